//! Concordance for one cause while others compete (Wolbers et al., Biostatistics 2014).
//!
//! Risk is F_c at one horizon. Unit i must have failed of cause c at T_i ≤ horizon; it is paired with every j known not to
//! have failed of c by T_i:
//!
//! * A: j was at risk and outlived T_i (T_j > T_i, or T_j = T_i with j censored, and entry_j < T_i);
//! * B: j failed of another cause at T_j ≤ T_i. It can never fail of c any more, so it stays in every later comparison as
//!   one who outlives i: the convention of the subdistribution. Leaving it out would reward a model for ranking high
//!   whom another cause took first.
//!
//! Pairs weigh 1/G(T_i−)² (A) and 1/(G(T_i−)·G(T_j−)) (B), or 1 without weights. Equal risks count ½.

use super::brier::CensoringWeights;
use super::calibration::check_horizon;
use super::concordance::{Concordance, Fenwick, PairSums, ranks_of, sum_pairs};
use super::{check_rows, check_values};
use crate::table::same_time;
use crate::{Cause, Observation, Result, SurvivalError};

/// C_c(horizon) from F_c(horizon|x) of every row in O(n log n); `censoring` fitted on training data, or `None` to count
/// pairs alike (which then depends on how units were censored).
///
/// # Errors
/// When lengths differ, a value is not finite, G(`horizon`) is too small, nothing failed of `cause` by `horizon`, or no
/// pair is comparable.
pub fn concordance_of_cause(
    observations: &[Observation],
    cause: Cause,
    incidence_at_horizon: &[f64],
    horizon: f64,
    censoring: Option<&CensoringWeights>,
) -> Result<Concordance> {
    check_rows("incidence values", observations.len(), incidence_at_horizon.len())?;
    check_values("incidence values", incidence_at_horizon)?;
    check_horizon(horizon)?;
    if let Some(censoring) = censoring {
        censoring.check(horizon)?;
    }
    let weight_of = |o: &Observation| censoring.map_or(1.0, |c| c.of_failure(o.duration()));
    let weight: Vec<f64> =
        observations.iter().map(|o| if o.failed() && o.duration() <= horizon { weight_of(o) } else { 0.0 }).collect();
    let of_cause = |row: usize| observations[row].cause() == Some(cause);
    let first: Vec<f64> = weight.iter().enumerate().map(|(row, w)| if of_cause(row) { w * w } else { 0.0 }).collect();
    if first.iter().all(|&w| w <= 0.0) {
        return Err(SurvivalError::NoFailures { rows: observations.len() });
    }
    let mut sums = sum_pairs(observations, incidence_at_horizon, &first, &vec![1.0; observations.len()]);
    sums.add(pairs_with_lost(observations, incidence_at_horizon, &weight, of_cause));
    sums.index(observations.len())
}

/// Pairs of a failure of the cause with the units another cause took before it or with it.
fn pairs_with_lost(
    observations: &[Observation],
    risk: &[f64],
    weight: &[f64],
    of_cause: impl Fn(usize) -> bool,
) -> PairSums {
    let (rank, ranks) = ranks_of(risk);
    let mut failures: Vec<(f64, usize)> = (0..observations.len())
        .filter(|&row| weight[row] > 0.0)
        .map(|row| (observations[row].duration(), row))
        .collect();
    failures.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut lost = Fenwick::new(ranks);
    let mut sums = PairSums::default();
    for together in failures.chunk_by(|a, b| same_time(a.0, b.0)) {
        for &(_, row) in together.iter().filter(|&&(_, row)| !of_cause(row)) {
            lost.add(rank[row], weight[row]);
        }
        for &(_, row) in together.iter().filter(|&&(_, row)| of_cause(row)) {
            sums.add(lost.against(rank[row], weight[row]));
        }
    }
    sums
}
