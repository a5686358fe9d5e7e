//! Paired t test: two methods under common random numbers, one pair per seed.
//!
//! Only where pairs are independent, as seeds of a simulator are. Folds share training rows: [`super::corrected_t`].

use serde::{Deserialize, Serialize};

use super::{mean_and_variance, paired, t_result};
use crate::{Interval, Result};

/// Result of a paired t test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedT {
    /// Mean of a − b with its interval.
    pub effect: Interval,
    /// Mean / standard error.
    pub statistic: f64,
    /// Pairs − 1.
    pub degrees_of_freedom: f64,
    /// Standard error of the mean difference: what [`super::equivalence::t`] asks for.
    pub standard_error: f64,
    /// Two-sided p.
    pub p_value: f64,
}

/// Tests mean(a − b) = 0 over pairs.
///
/// # Errors
/// When lengths differ, a value is not finite, there are fewer than two pairs, or all differ by the same amount.
pub fn paired_t(a: &[f64], b: &[f64], level: f64) -> Result<PairedT> {
    let differences = paired("paired values", a, b)?;
    let (mean, variance) = mean_and_variance("paired values", &differences)?;
    let n = differences.len() as f64;
    let standard_error = (variance / n).sqrt();
    let result = t_result("paired differences", mean, standard_error, n - 1.0, level)?;
    Ok(PairedT {
        effect: result.effect,
        statistic: result.statistic,
        degrees_of_freedom: n - 1.0,
        standard_error,
        p_value: result.p_value,
    })
}
