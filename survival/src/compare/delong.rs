//! DeLong's test of two AUCs on the same units and interval of one (DeLong, DeLong & Clarke-Pearson 1988), by the
//! midrank form of Sun & Xu (2014): O(n log n), ties count ½.
//!
//! One row per unit: rows of one unit are not independent, and then [`super::bootstrap`] is the test.

use serde::{Deserialize, Serialize};

use super::ranks::midranks;
use super::{open_level, vanishes};
use crate::scores::{check_rows, check_values};
use crate::special::{normal_cdf, two_sided_factor};
use crate::{Interval, Result, SurvivalError};

/// Result of DeLong's test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DeLong {
    /// AUC of the first score.
    pub auc_a: f64,
    /// AUC of the second score.
    pub auc_b: f64,
    /// AUC of A − AUC of B with its normal interval.
    pub effect: Interval,
    /// Difference / standard error.
    pub statistic: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Two-sided p.
    pub p_value: f64,
}

/// Compares two scores (larger = more likely positive) of the same rows.
///
/// # Errors
/// When lengths differ, a score is not finite, either class has fewer than two rows, or both AUCs are constant under
/// resampling (such as 1 and ½) but differ.
pub fn delong(positive: &[bool], score_a: &[f64], score_b: &[f64], level: f64) -> Result<DeLong> {
    let factor = two_sided_factor(open_level(level)?)?;
    let (a, b) = (Placements::new(positive, score_a)?, Placements::new(positive, score_b)?);
    let minus = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x - y).collect() };
    let difference = a.auc - b.auc;
    // The variance of a difference of means of placements, without the covariance matrix on the way.
    let variance = spread(&minus(&a.of_positives, &b.of_positives)) + spread(&minus(&a.of_negatives, &b.of_negatives));
    let standard_error = variance.sqrt();
    if vanishes(standard_error, 1.0) {
        if difference.abs() > 1e-12 {
            return Err(SurvivalError::NoSpread { what: "placements of the two scores", value: difference });
        }
        let effect = Interval { estimate: 0.0, low: 0.0, high: 0.0, level };
        return Ok(DeLong { auc_a: a.auc, auc_b: b.auc, effect, statistic: 0.0, standard_error: 0.0, p_value: 1.0 });
    }
    let statistic = difference / standard_error;
    let reach = factor * standard_error;
    let effect = Interval { estimate: difference, low: difference - reach, high: difference + reach, level };
    let p_value = 2.0 * normal_cdf(-statistic.abs());
    Ok(DeLong { auc_a: a.auc, auc_b: b.auc, effect, statistic, standard_error, p_value })
}

/// One AUC with its normal interval, cut at 0 and 1.
///
/// # Errors
/// As [`delong`]; a score that separates the classes, or ties all rows, has no standard error and is refused.
pub fn auc_interval(positive: &[bool], score: &[f64], level: f64) -> Result<Interval> {
    let factor = two_sided_factor(open_level(level)?)?;
    let placements = Placements::new(positive, score)?;
    let standard_error = (spread(&placements.of_positives) + spread(&placements.of_negatives)).sqrt();
    if vanishes(standard_error, 1.0) {
        return Err(SurvivalError::NoSpread { what: "placements of the score", value: placements.auc });
    }
    let reach = factor * standard_error;
    let (low, high) = ((placements.auc - reach).max(0.0), (placements.auc + reach).min(1.0));
    Ok(Interval { estimate: placements.auc, low, high, level })
}

/// For each positive the share of negatives below it, for each negative the share of positives above it, ties ½.
struct Placements {
    auc: f64,
    of_positives: Vec<f64>,
    of_negatives: Vec<f64>,
}

impl Placements {
    fn new(positive: &[bool], score: &[f64]) -> Result<Self> {
        check_rows("scores", positive.len(), score.len())?;
        check_values("scores", score)?;
        let of = |class: bool| -> Vec<f64> {
            score.iter().zip(positive).filter(|(_, p)| **p == class).map(|(s, _)| *s).collect()
        };
        let (positives, negatives) = (of(true), of(false));
        for (what, class) in [("number of positive rows", &positives), ("number of negative rows", &negatives)] {
            if class.len() < 2 {
                return Err(SurvivalError::Domain { what, value: class.len() as f64, domain: "at least 2" });
            }
        }
        let (m, n) = (positives.len() as f64, negatives.len() as f64);
        let all = midranks(&positives.iter().chain(&negatives).copied().collect::<Vec<_>>());
        let (all_positives, all_negatives) = all.split_at(positives.len());
        // Rank among all less rank within the class = rows of the other class below.
        let of_positives: Vec<f64> =
            all_positives.iter().zip(midranks(&positives)).map(|(all, own)| (all - own) / n).collect();
        let of_negatives =
            all_negatives.iter().zip(midranks(&negatives)).map(|(all, own)| 1.0 - (all - own) / m).collect();
        let auc = of_positives.iter().sum::<f64>() / m;
        Ok(Self { auc, of_positives, of_negatives })
    }
}

/// Variance of the mean: s²/n.
fn spread(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n * (n - 1.0))
}
