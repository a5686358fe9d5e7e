//! Concordance of risk scores with the order of failures: Harrell's index and Uno's weighted one.
//!
//! A pair (i, j) is comparable when i failed at T_i and j was then at risk and outlived it: T_j > T_i, or T_j = T_i
//! with j censored (failures come before censorings), and entry_j < T_i. Two failures at the same time are not
//! comparable. Equal risks count ½; risks are compared exactly.
//!
//! scikit-survival has the same pairs but calls risks within 1e-8 tied; lifelines has the same pairs and exact ties
//! but reads its score as a survival time (larger = lives longer), so its index of −risk is ours of risk.

use super::brier::CensoringWeights;
use super::{check_rows, check_values};
use crate::risk_table::check_weights;
use crate::table::same_time;
use crate::{Observation, Result, SurvivalError};

/// An index and the pairs behind it (sums of pair weights when weighted).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Concordance {
    /// (concordant + ½ tied) / comparable.
    pub index: f64,
    /// Pairs where the unit that failed first had the higher risk.
    pub concordant: f64,
    /// Pairs where it had the lower risk.
    pub discordant: f64,
    /// Pairs with equal risks.
    pub tied_risk: f64,
    /// All pairs that can be ordered.
    pub comparable: f64,
}

/// Harrell's C in O(n log n); larger `risk` should mean earlier failure.
///
/// # Errors
/// When lengths differ, a risk is not finite, or no pair is comparable.
pub fn harrell(observations: &[Observation], risk: &[f64]) -> Result<Concordance> {
    let ones = vec![1.0; observations.len()];
    count_pairs(observations, risk, &ones, &ones)
}

/// Harrell's C with a weight per row; a pair weighs the product. Row multiplicities of a bootstrap go in here.
///
/// # Errors
/// As [`harrell`], and when a weight is negative or not finite.
pub fn harrell_weighted(observations: &[Observation], risk: &[f64], weights: &[f64]) -> Result<Concordance> {
    check_weights(weights, observations.len())?;
    count_pairs(observations, risk, weights, weights)
}

/// Uno's C up to `tau`: pairs whose first failure lies before `tau`, each weighted G(T_i)⁻².
///
/// G is fitted on `training`. Like scikit-survival (and unlike the Brier weights) it is read at T_i, not before it.
///
/// # Errors
/// As [`harrell`]; also when `tau` is not positive or G reaches 0 at a failure before it.
pub fn uno(training: &[Observation], observations: &[Observation], risk: &[f64], tau: f64) -> Result<Concordance> {
    if tau.is_nan() || tau <= 0.0 {
        return Err(SurvivalError::Domain { what: "truncation time tau", value: tau, domain: "positive" });
    }
    let censoring = CensoringWeights::fit(training)?;
    let mut first_weight = Vec::with_capacity(observations.len());
    for observation in observations {
        let time = observation.duration();
        if !observation.failed() || time >= tau {
            first_weight.push(0.0);
            continue;
        }
        let g = censoring.at(time);
        if g <= 0.0 {
            return Err(SurvivalError::ThinCensoring {
                time,
                probability: g,
                least: f64::MIN_POSITIVE,
                allowed_until: censoring.allowed_until(),
            });
        }
        first_weight.push(1.0 / (g * g));
    }
    count_pairs(observations, risk, &first_weight, &vec![1.0; observations.len()])
}

fn count_pairs(
    observations: &[Observation],
    risk: &[f64],
    first_weight: &[f64],
    later_weight: &[f64],
) -> Result<Concordance> {
    check_rows("risks", observations.len(), risk.len())?;
    check_values("risks", risk)?;
    sum_pairs(observations, risk, first_weight, later_weight).index(observations.len())
}

/// Weights of the pairs by what the risks say about them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PairSums {
    pub(super) concordant: f64,
    pub(super) discordant: f64,
    pub(super) tied_risk: f64,
}

impl PairSums {
    pub(super) fn add(&mut self, other: Self) {
        self.concordant += other.concordant;
        self.discordant += other.discordant;
        self.tied_risk += other.tied_risk;
    }

    pub(super) fn index(self, rows: usize) -> Result<Concordance> {
        let Self { concordant, discordant, tied_risk } = self;
        let comparable = concordant + discordant + tied_risk;
        if comparable.is_nan() || comparable <= 0.0 {
            return Err(SurvivalError::NoComparablePair { rows });
        }
        let index = (concordant + 0.5 * tied_risk) / comparable;
        Ok(Concordance { index, concordant, discordant, tied_risk, comparable })
    }
}

/// Pairs by one walk back through time: units still at risk sit in a tree over the ranks of their risks.
///
/// A pair weighs `first_weight` of the unit that failed times `later_weight` of the one that outlived it.
pub(super) fn sum_pairs(
    observations: &[Observation],
    risk: &[f64],
    first_weight: &[f64],
    later_weight: &[f64],
) -> PairSums {
    let (rank, ranks) = ranks_of(risk);
    // (duration, row) side by side: sorting then never jumps back into the observations.
    let mut by_time: Vec<(f64, usize)> = observations.iter().map(Observation::duration).zip(0..).collect();
    by_time.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut by_entry: Vec<usize> = (0..observations.len()).filter(|&row| observations[row].entry() > 0.0).collect();
    by_entry.sort_unstable_by(|&a, &b| observations[b].entry().total_cmp(&observations[a].entry()));

    let mut tree = Fenwick::new(ranks);
    let mut sums = PairSums::default();
    let (mut start, mut left) = (0, 0);
    while start < by_time.len() {
        let time = by_time[start].0;
        let mut end = start;
        while end < by_time.len() && same_time(by_time[end].0, time) {
            let row = by_time[end].1;
            if !observations[row].failed() {
                tree.add(rank[row], later_weight[row]);
            }
            end += 1;
        }
        // Not under watch before `time`: out of every risk set from here back.
        while left < by_entry.len() && observations[by_entry[left]].entry() >= time {
            tree.add(rank[by_entry[left]], -later_weight[by_entry[left]]);
            left += 1;
        }
        for &(_, row) in &by_time[start..end] {
            if observations[row].failed() && first_weight[row] > 0.0 {
                sums.add(tree.against(rank[row], first_weight[row]));
            }
        }
        for &(_, row) in &by_time[start..end] {
            if observations[row].failed() {
                tree.add(rank[row], later_weight[row]);
            }
        }
        start = end;
    }
    sums
}

/// Dense ranks of the risks, and how many distinct values there are.
pub(super) fn ranks_of(risk: &[f64]) -> (Vec<usize>, usize) {
    // Adding 0 turns −0 into 0, which the total order would otherwise keep apart.
    let mut sorted: Vec<(f64, usize)> = risk.iter().map(|r| r + 0.0).zip(0..).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut rank = vec![0; risk.len()];
    let mut ranks = 0;
    for (position, &(value, row)) in sorted.iter().enumerate() {
        if position > 0 && !same_time(sorted[position - 1].0, value) {
            ranks += 1;
        }
        rank[row] = ranks;
    }
    (rank, ranks + 1)
}

/// Prefix sums under single additions, each in O(log n); integers below 2⁵³ stay exact.
pub(super) struct Fenwick {
    tree: Vec<f64>,
    values: Vec<f64>,
    total: f64,
}

impl Fenwick {
    pub(super) fn new(size: usize) -> Self {
        Self { tree: vec![0.0; size + 1], values: vec![0.0; size], total: 0.0 }
    }

    pub(super) fn add(&mut self, position: usize, amount: f64) {
        self.values[position] += amount;
        self.total += amount;
        let mut node = position + 1;
        while node < self.tree.len() {
            self.tree[node] += amount;
            node += node & node.wrapping_neg();
        }
    }

    fn sum_below(&self, position: usize) -> f64 {
        let mut node = position;
        let mut sum = 0.0;
        while node > 0 {
            sum += self.tree[node];
            node &= node - 1;
        }
        sum
    }

    /// The units in the tree against one that failed before them with this rank and weight.
    pub(super) fn against(&self, rank: usize, weight: f64) -> PairSums {
        let below = self.sum_below(rank);
        let tied = self.values[rank];
        let above = self.total - below - tied;
        PairSums { concordant: weight * below, discordant: weight * above, tied_risk: weight * tied }
    }
}
