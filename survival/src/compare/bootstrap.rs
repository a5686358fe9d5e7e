//! Paired cluster bootstrap: the default test of a difference of two scores.
//!
//! Whole units are drawn with replacement, the same draw for both methods. Percentile and BCa interval (Efron 1987),
//! a two-sided p by inverting the percentile interval, and the test of equality, all of the same replicates.
//!
//! **Weights that are estimated** (G of the censoring) are part of the statistic, so they are fitted anew in each
//! replicate. [`compare`] hands the statistic one multiplicity per row, a whole number, and that suffices: take rows
//! [`repeated`] that often and fit. Where G comes from other rows than the scored ones, make the bootstrap over both
//! lists one after the other and split the multiplicities: a unit in both parts is then drawn for both.
//!
//! ```
//! # use survival::compare::bootstrap::{compare, repeated};
//! # use survival::scores::brier::{CensoringWeights, brier_score};
//! # use survival::{Cause, CensorReason, ClusterBootstrap, Observation, Outcome};
//! # let outcome = |i: usize| if i % 3 == 0 { Outcome::Censored(CensorReason::EndOfObservation) } else { Outcome::Failed(Cause(0)) };
//! # let train: Vec<Observation> = (0..40).map(|i| Observation::try_new(1.0 + i as f64, outcome(i)).unwrap()).collect();
//! # let test = train.clone();
//! # let (survival_a, survival_b) = (vec![0.6; 40], (0..40).map(|i| 0.2 + 0.015 * i as f64).collect::<Vec<_>>());
//! let units: Vec<String> = (0..train.len()).map(|i| format!("train {i}")).chain((0..test.len()).map(|i| format!("test {i}"))).collect();
//! let bootstrap = ClusterBootstrap::new(&units, 200, 1)?;
//! let result = compare(&bootstrap, |multiplicity| {
//!     let (of_train, of_test) = multiplicity.split_at(train.len());
//!     let censoring = CensoringWeights::fit(&repeated(&train, of_train)).ok()?;
//!     let rows = repeated(&test, of_test);
//!     let score = |s: &[f64]| brier_score(&rows, &repeated(s, of_test), 20.0, &censoring).ok();
//!     Some((score(&survival_a)?, score(&survival_b)?))
//! })?;
//! assert!(result.effect.low <= result.effect.estimate && result.p_value > 0.0);
//! # Ok::<(), survival::SurvivalError>(())
//! ```

use serde::{Deserialize, Serialize};

use super::equivalence::{self, Equivalence};
use crate::scores::resampling::{percentile, two_sided_p};
use crate::scores::{check_rows, check_values};
use crate::special::{normal_cdf, normal_quantile, open_unit};
use crate::{ClusterBootstrap, Interval, Result, SurvivalError};

/// Score of A − score of B over the same units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootstrapComparison {
    /// The difference on the data, with the percentile interval.
    pub effect: Interval,
    /// The interval corrected for bias and skewness; `None` when all replicates lie on one side of the estimate, or
    /// when leaving out a cluster leaves nothing to compute or changes nothing.
    pub corrected: Option<Interval>,
    /// Two-sided p: twice the smaller share of replicates on either side of 0, the data themselves counted once, so
    /// never below 2/(replicates + 1).
    pub p_value: f64,
    /// Units drawn in each replicate.
    pub clusters: usize,
    /// Replicates in which the difference was undefined, left out.
    pub undefined: usize,
    /// The differences of the others.
    #[serde(skip)]
    pub replicates: Vec<f64>,
}

impl BootstrapComparison {
    /// Is the difference within ±`margin`? Two one-sided tests at `alpha` on the same replicates.
    ///
    /// # Errors
    /// When the margin is not positive, `alpha` is outside (0, ½), or the replicates were lost on the way to a file.
    pub fn equivalence(&self, margin: f64, alpha: f64) -> Result<Equivalence> {
        if self.replicates.is_empty() {
            return Err(SurvivalError::Empty {
                what: "list of bootstrap replicates (they are not stored with a report)",
            });
        }
        equivalence::replicates(&self.replicates, margin, alpha)
    }
}

/// Compares two scores of the same multiplicities (how often each row was drawn; 1 everywhere for the data).
///
/// # Errors
/// When a score is undefined (`None` or not finite) on the data or in more than half of the replicates.
pub fn compare(
    bootstrap: &ClusterBootstrap,
    scores: impl Fn(&[f64]) -> Option<(f64, f64)>,
) -> Result<BootstrapComparison> {
    let difference = |multiplicity: &[f64]| scores(multiplicity).map(|(a, b)| a - b);
    let (estimate, replicates) = bootstrap.replicate_values(&difference)?;
    Ok(summary(bootstrap, estimate, replicates, bootstrap.without_each_cluster(&difference)))
}

/// Compares the means of one value per row (Brier contributions, absolute errors) without walking the rows again for
/// every replicate.
///
/// # Errors
/// When lengths differ or a value is not finite.
pub fn compare_means(bootstrap: &ClusterBootstrap, a: &[f64], b: &[f64]) -> Result<BootstrapComparison> {
    check_rows("second list of values", a.len(), b.len())?;
    check_values("second list of values", b)?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(x, y)| x - y).collect();
    let sums = bootstrap.cluster_sums("first list of values", &differences)?;
    let (total, rows) = sums.iter().fold((0.0, 0.0), |(t, n), (sum, count)| (t + sum, n + count));
    let left_out = sums.iter().map(|(sum, count)| (total - sum) / (rows - count)).collect();
    Ok(summary(bootstrap, total / rows, bootstrap.replicate_means(&sums), Some(left_out)))
}

fn summary(
    bootstrap: &ClusterBootstrap,
    estimate: f64,
    replicates: Vec<f64>,
    left_out: Option<Vec<f64>>,
) -> BootstrapComparison {
    let level = bootstrap.level();
    let (low, high) = bootstrap.percentiles(replicates.clone());
    BootstrapComparison {
        effect: Interval { estimate, low, high, level },
        corrected: left_out.and_then(|values| bca(estimate, &replicates, &values, level).ok().flatten()),
        p_value: two_sided_p(&replicates),
        clusters: bootstrap.clusters(),
        undefined: bootstrap.replicates() - replicates.len(),
        replicates,
    }
}

/// The BCa interval of `estimate` from its bootstrap replicates and its values with each unit left out in turn.
///
/// Replicates equal to the estimate count half in the bias. `None` when the bias or the acceleration is undefined: all
/// replicates on one side, or nothing changes when a unit is left out.
///
/// # Errors
/// When a list is empty or holds a value that is not finite, or `level` is outside (0, 1).
pub fn bca(estimate: f64, replicates: &[f64], left_out: &[f64], level: f64) -> Result<Option<Interval>> {
    open_unit("interval level", level)?;
    for (what, values) in [("bootstrap replicates", replicates), ("values with a unit left out", left_out)] {
        if values.is_empty() {
            return Err(SurvivalError::Empty { what });
        }
        check_values(what, values)?;
    }
    let below = replicates.iter().filter(|v| **v < estimate).count() as f64;
    let up_to = replicates.iter().filter(|v| **v <= estimate).count() as f64;
    let share = 0.5 * (below + up_to) / replicates.len() as f64;
    let mean = left_out.iter().sum::<f64>() / left_out.len() as f64;
    let moment = |power: i32| left_out.iter().map(|v| (mean - v).powi(power)).sum::<f64>();
    let (second, third) = (moment(2), moment(3));
    let moves = second.sqrt() > 1e-14 * mean.abs();
    if share <= 0.0 || share >= 1.0 || !moves {
        return Ok(None);
    }
    let acceleration = third / (6.0 * second.powf(1.5));
    let bias = normal_quantile(share)?;
    let corrected = |tail: f64| -> Result<f64> {
        let shifted = bias + normal_quantile(tail)?;
        Ok(normal_cdf(bias + shifted / (1.0 - acceleration * shifted)))
    };
    let mut sorted = replicates.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - level);
    let (low, high) = (corrected(tail)?, corrected(1.0 - tail)?);
    Ok(Some(Interval { estimate, low: percentile(&sorted, low), high: percentile(&sorted, high), level }))
}

/// Each row as often as its multiplicity says: a replicate written out, for estimators that take no weights.
#[must_use]
pub fn repeated<T: Clone>(rows: &[T], multiplicity: &[f64]) -> Vec<T> {
    rows.iter().zip(multiplicity).flat_map(|(row, times)| std::iter::repeat_n(row.clone(), *times as usize)).collect()
}
