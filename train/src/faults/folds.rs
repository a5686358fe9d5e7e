//! Which cases may teach about which.

use datasets::benchmark::faults::{FaultCase, FoldRule};

/// Blocks of a rolling origin after the first part.
const BLOCKS: usize = 4;
/// Share of cases, in hundredths, that a rolling origin begins with.
const FIRST: usize = 40;
/// Parts of an inner split by group.
const INNER: usize = 4;

/// Positions of the cases that teach and of those that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) train: Vec<usize>,
    pub(super) test: Vec<usize>,
}

/// The folds of a set whose cases are in order of time. Every case is asked for at most once.
pub(super) fn folds(cases: &[&FaultCase], rule: FoldRule) -> Vec<Fold> {
    let all: Vec<usize> = (0..cases.len()).collect();
    match rule {
        FoldRule::RankingOnly => Vec::new(),
        FoldRule::RollingOrigin => rolling(&all, FIRST),
        FoldRule::LeaveGroupOut => by_group(cases, &all, usize::MAX),
    }
}

/// Folds inside the cases that teach, for choosing settings, made by the same rule.
pub(super) fn inner_folds(cases: &[&FaultCase], train: &[usize], rule: FoldRule) -> Vec<Fold> {
    match rule {
        FoldRule::RankingOnly => Vec::new(),
        FoldRule::RollingOrigin => rolling(train, 50),
        FoldRule::LeaveGroupOut => by_group(cases, train, INNER),
    }
}

fn rolling(cases: &[usize], first: usize) -> Vec<Fold> {
    let begin = (cases.len() * first / 100).max(1);
    let left = cases.len().saturating_sub(begin);
    (0..BLOCKS)
        .map(|block| (begin + left * block / BLOCKS, begin + left * (block + 1) / BLOCKS))
        .filter(|(from, to)| from < to)
        .map(|(from, to)| Fold { train: cases[..from].to_vec(), test: cases[from..to].to_vec() })
        .collect()
}

fn by_group(cases: &[&FaultCase], among: &[usize], most: usize) -> Vec<Fold> {
    let mut groups: Vec<&str> = among.iter().map(|&case| cases[case].group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    let parts = groups.len().min(most);
    if parts < 2 {
        return Vec::new();
    }
    let part_of = |case: usize| groups.partition_point(|group| *group < cases[case].group.as_str()) % parts;
    (0..parts)
        .map(|part| {
            let (test, train) = among.iter().copied().partition(|&case| part_of(case) == part);
            Fold { train, test }
        })
        .collect()
}
