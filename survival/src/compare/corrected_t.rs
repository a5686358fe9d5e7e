//! Nadeau–Bengio corrected resampled t test (Nadeau & Bengio 2003, Machine Learning 52).
//!
//! Folds share most of their training rows, so their differences are correlated and a plain t test finds differences
//! that are none. The variance of the mean is taken as `s² (1/k + n_test/n_train)` instead of `s²/k`.

use serde::{Deserialize, Serialize};

use super::{mean_and_variance, t_result};
use crate::{Interval, Result, SurvivalError};

/// Result of a corrected resampled t test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CorrectedT {
    /// Mean difference with its interval.
    pub effect: Interval,
    /// Mean / corrected standard error.
    pub statistic: f64,
    /// Differences − 1.
    pub degrees_of_freedom: f64,
    /// Corrected standard error: what [`super::equivalence::t`] asks for.
    pub standard_error: f64,
    /// Two-sided p.
    pub p_value: f64,
}

/// Tests that the mean of `differences` (score of A − score of B, one per fold or repeated fold) is 0.
///
/// `test_rows` and `train_rows` are the sizes of one fold's two parts: for k folds their ratio is 1/(k − 1).
///
/// # Errors
/// When there are fewer than two differences, one is not finite, all are the same but not 0, or a size is 0.
pub fn corrected_t(differences: &[f64], test_rows: usize, train_rows: usize, level: f64) -> Result<CorrectedT> {
    for (what, rows) in [("test rows of a fold", test_rows), ("training rows of a fold", train_rows)] {
        if rows == 0 {
            return Err(SurvivalError::Domain { what, value: 0.0, domain: "at least 1" });
        }
    }
    let (mean, variance) = mean_and_variance("differences of folds", differences)?;
    let k = differences.len() as f64;
    let standard_error = (variance * (1.0 / k + test_rows as f64 / train_rows as f64)).sqrt();
    let result = t_result("differences of folds", mean, standard_error, k - 1.0, level)?;
    Ok(CorrectedT {
        effect: result.effect,
        statistic: result.statistic,
        degrees_of_freedom: k - 1.0,
        standard_error,
        p_value: result.p_value,
    })
}
