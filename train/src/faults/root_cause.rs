//! Which entity was the root: every ranker on the same cases, learned ones on cases that their set allows to teach.

use std::collections::BTreeMap;

use datasets::benchmark::faults::{FaultCase, FaultSet, FoldRule};
use serde::{Deserialize, Serialize};
use survival::{ClusterBootstrap, Interval};

use super::FaultsOptions;
use super::boosted::{Boosted, BoostedConfig};
use super::features::{Shifts, entity_row};
use super::folds::{Fold, folds, inner_folds};
use super::logistic::{Conditional, Standardizer};
use super::rank::{
    CallGraphWalk, GrangerRank, LargestShift, Random, RootCauseRanker, ServiceCorrelation, SkeletonWalk, rank_of,
};
use super::score::rate;
use crate::error::{Result, TrainError};

const RIDGES: [f64; 4] = [0.3, 3.0, 30.0, 300.0];
const TREES: [BoostedConfig; 3] = [
    BoostedConfig { rounds: 20, depth: 2, learning_rate: 0.2 },
    BoostedConfig { rounds: 80, depth: 2, learning_rate: 0.2 },
    BoostedConfig { rounds: 80, depth: 4, learning_rate: 0.1 },
];
/// Seeds of the random control, whose mean is its score.
const RANDOM_SEEDS: u64 = 50;

/// A way of finding the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootMethod {
    /// By lot: the floor.
    Random,
    /// Farthest robust distance from the time before.
    LargestShift,
    /// Correlation with what users feel.
    ServiceCorrelation,
    /// Conditional independences and a random walk.
    SkeletonWalk,
    /// Granger causality and PageRank.
    Granger,
    /// Down the call graph along what moved.
    CallGraph,
    /// Conditional logit over the entities of a case, learned from other cases.
    LearnedLogit,
    /// Boosted trees over entities, learned from other cases.
    LearnedBoosted,
}

impl RootMethod {
    /// All of them, the floor first.
    pub const ALL: [Self; 8] = [
        Self::Random,
        Self::LargestShift,
        Self::ServiceCorrelation,
        Self::SkeletonWalk,
        Self::Granger,
        Self::CallGraph,
        Self::LearnedLogit,
        Self::LearnedBoosted,
    ];

    /// Name in tables and of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::LargestShift => "largest_shift",
            Self::ServiceCorrelation => "service_correlation",
            Self::SkeletonWalk => "skeleton_walk",
            Self::Granger => "granger_pagerank",
            Self::CallGraph => "call_graph",
            Self::LearnedLogit => "learned_logit",
            Self::LearnedBoosted => "learned_boosted",
        }
    }

    /// Whether it learns from other cases.
    #[must_use]
    pub fn learns(self) -> bool {
        matches!(self, Self::LearnedLogit | Self::LearnedBoosted)
    }
}

/// Where a method put the root of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseRank {
    /// Case.
    pub id: String,
    /// Resampled together.
    pub cluster: String,
    /// Type of the fault, where the set names one.
    pub fault_type: Option<String>,
    /// Rank from 1; a half where it shares its place, a mean for the random control.
    pub rank: f64,
    /// Entities ranked.
    pub candidates: usize,
    /// Share of seeds with the root first; 0 or 1 but for the random control.
    pub top1: f64,
    /// The same among the first three.
    pub top3: f64,
    /// Mean of 1/rank.
    pub reciprocal: f64,
}

/// Scores of one ranker on one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootCauseResult {
    /// Data set.
    pub set: String,
    /// Method.
    pub method: RootMethod,
    /// Share with the root first: exact binomial, or clusters resampled where cases repeat.
    pub top1: Interval,
    /// The same among the first three.
    pub top3: Interval,
    /// Mean reciprocal rank; clusters resampled.
    pub reciprocal_rank: Interval,
    /// Cases, share first, share among the first three, per type of fault.
    pub by_type: BTreeMap<String, (usize, f64, f64)>,
    /// Setting chosen in each fold of a learned ranker.
    pub chosen: Vec<String>,
    /// Every case ranked.
    pub ranks: Vec<CaseRank>,
}

/// Ranks every case that may be asked for: with learning sets the tests of their folds, for all methods alike.
/// `None` where no case of the set has what the method needs.
///
/// # Errors
/// When a fit fails or there is no case.
pub fn run_root_cause(set: &FaultSet, method: RootMethod, options: &FaultsOptions) -> Result<Option<RootCauseResult>> {
    let cases: Vec<&FaultCase> = set.cases.iter().collect();
    let mut outer = folds(&cases, set.folds);
    if set.folds == FoldRule::RankingOnly {
        if method.learns() {
            return Ok(None);
        }
        outer = vec![Fold { train: Vec::new(), test: (0..cases.len()).collect() }];
    }
    if outer.iter().all(|fold| fold.test.is_empty()) {
        let reason = "no case to rank".to_owned();
        return Err(TrainError::Data { model: format!("{} on {}", method.name(), set.name), reason });
    }
    let table = method.learns().then(|| Table::of(&cases));
    let mut ranks = Vec::new();
    let mut able = false;
    let mut chosen = Vec::new();
    for fold in &outer {
        let ranker: Box<dyn RootCauseRanker> = match (method, &table) {
            (RootMethod::LearnedLogit | RootMethod::LearnedBoosted, Some(table)) => {
                let (trial, ranker) = learn(table, set, fold, method, options)?;
                chosen.push(trial);
                ranker
            }
            (RootMethod::ServiceCorrelation, _) => Box::new(ServiceCorrelation),
            (RootMethod::SkeletonWalk, _) => Box::new(SkeletonWalk),
            (RootMethod::Granger, _) => Box::new(GrangerRank),
            (RootMethod::CallGraph, _) => Box::new(CallGraphWalk),
            (RootMethod::Random, _) => Box::new(Random { seed: options.seed }),
            _ => Box::new(LargestShift),
        };
        for &case in &fold.test {
            let seeds = if method == RootMethod::Random { RANDOM_SEEDS } else { 1 };
            let mut each = Vec::new();
            for seed in 0..seeds {
                let scores = match method {
                    RootMethod::Random => Random { seed: options.seed.wrapping_add(seed) }.rank(cases[case]),
                    _ => ranker.rank(cases[case]),
                };
                able |= scores.is_some();
                // A case that lacks what the method needs leaves all entities equal.
                let level = || (0..cases[case].series.entities.len()).map(|entity| (entity, 0.0)).collect();
                each.push(rank_of(cases[case].root, &scores.unwrap_or_else(level)));
            }
            ranks.push(case_rank(cases[case], &each));
        }
    }
    if !able {
        return Ok(None);
    }
    let clusters: Vec<String> = ranks.iter().map(|rank| rank.cluster.clone()).collect();
    let column = |of: fn(&CaseRank) -> f64| -> Vec<f64> { ranks.iter().map(of).collect() };
    let interval = |values: &[f64]| rate(values, &clusters, options.replicates, options.seed);
    let reciprocal = column(|rank| rank.reciprocal);
    Ok(Some(RootCauseResult {
        set: set.name.clone(),
        method,
        top1: interval(&column(|rank| rank.top1))?,
        top3: interval(&column(|rank| rank.top3))?,
        reciprocal_rank: ClusterBootstrap::new(&clusters, options.replicates, options.seed)?
            .interval_of_mean(&reciprocal)?,
        by_type: by_type(&ranks),
        chosen,
        ranks,
    }))
}

fn case_rank(case: &FaultCase, each: &[f64]) -> CaseRank {
    let mean = |of: &dyn Fn(f64) -> f64| each.iter().map(|rank| of(*rank)).sum::<f64>() / each.len().max(1) as f64;
    let within = |most: f64| move |rank: f64| f64::from(u8::from(rank <= most));
    CaseRank {
        id: case.id.clone(),
        cluster: case.cluster.clone(),
        fault_type: case.fault_type.clone(),
        rank: mean(&|rank| rank),
        candidates: case.series.entities.len(),
        top1: mean(&within(1.0)),
        top3: mean(&within(3.0)),
        reciprocal: mean(&|rank| 1.0 / rank),
    }
}

fn by_type(ranks: &[CaseRank]) -> BTreeMap<String, (usize, f64, f64)> {
    let mut types: BTreeMap<String, (usize, f64, f64)> = BTreeMap::new();
    for rank in ranks {
        if let Some(name) = &rank.fault_type {
            let slot = types.entry(name.clone()).or_default();
            *slot = (slot.0 + 1, slot.1 + rank.top1, slot.2 + rank.top3);
        }
    }
    for slot in types.values_mut() {
        *slot = (slot.0, slot.1 / slot.0 as f64, slot.2 / slot.0 as f64);
    }
    types
}

/// Rows of every entity of every case.
struct Table<'a> {
    cases: &'a [&'a FaultCase],
    rows: Vec<Vec<Vec<f64>>>,
}

impl<'a> Table<'a> {
    fn of(cases: &'a [&'a FaultCase]) -> Self {
        let rows = |case: &&FaultCase| {
            let shifts = Shifts::of(case);
            (0..shifts.entities()).map(|entity| entity_row(&shifts, entity)).collect()
        };
        Self { rows: cases.iter().map(rows).collect(), cases }
    }
}

enum Learned {
    Logit(Standardizer, Conditional),
    Boosted(Box<Boosted>),
}

impl Learned {
    fn scores(&self, rows: &[Vec<f64>]) -> Vec<(usize, f64)> {
        let scores: Vec<f64> = match self {
            Self::Logit(standard, model) => rows.iter().map(|row| model.score(&standard.apply(row))).collect(),
            Self::Boosted(model) => model.log_odds(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        };
        scores.into_iter().enumerate().collect()
    }
}

impl RootCauseRanker for Learned {
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>> {
        let shifts = Shifts::of(case);
        let rows: Vec<Vec<f64>> = (0..shifts.entities()).map(|entity| entity_row(&shifts, entity)).collect();
        Some(self.scores(&rows))
    }
}

/// Fits on the teaching cases of a fold, the setting chosen by mean reciprocal rank on folds inside them.
fn learn(
    table: &Table<'_>,
    set: &FaultSet,
    fold: &Fold,
    method: RootMethod,
    options: &FaultsOptions,
) -> Result<(String, Box<dyn RootCauseRanker>)> {
    let trials = if method == RootMethod::LearnedLogit { RIDGES.len() } else { TREES.len() };
    let inner = inner_folds(table.cases, &fold.train, set.folds);
    let mut best = (0, f64::NEG_INFINITY);
    for trial in 0..trials {
        let mut total = 0.0;
        for fold in &inner {
            let model = fit(table, &fold.train, method, trial, options.seed)?;
            for &case in &fold.test {
                total += 1.0 / rank_of(table.cases[case].root, &model.scores(&table.rows[case]));
            }
        }
        if total > best.1 {
            best = (trial, total);
        }
    }
    let setting = match method {
        RootMethod::LearnedLogit => format!("ridge {}", RIDGES[best.0]),
        _ => format!("{} rounds of depth {}", TREES[best.0].rounds, TREES[best.0].depth),
    };
    Ok((setting, Box::new(fit(table, &fold.train, method, best.0, options.seed)?)))
}

fn fit(table: &Table<'_>, train: &[usize], method: RootMethod, trial: usize, seed: u64) -> Result<Learned> {
    let rows: Vec<&[f64]> = train.iter().flat_map(|&case| table.rows[case].iter().map(Vec::as_slice)).collect();
    if method == RootMethod::LearnedLogit {
        let standard = Standardizer::fit(&rows);
        let cases: Vec<(Vec<Vec<f64>>, usize)> = train
            .iter()
            .map(|&case| (table.rows[case].iter().map(|row| standard.apply(row)).collect(), table.cases[case].root))
            .collect();
        let model = Conditional::fit(&cases, RIDGES[trial])?;
        return Ok(Learned::Logit(standard, model));
    }
    let labels: Vec<bool> = train
        .iter()
        .flat_map(|&case| (0..table.rows[case].len()).map(move |entity| entity == table.cases[case].root))
        .collect();
    Ok(Learned::Boosted(Box::new(Boosted::fit(&rows, &labels, TREES[trial], seed)?)))
}
