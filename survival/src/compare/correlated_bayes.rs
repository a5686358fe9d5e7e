//! Bayesian correlated t test with a region of practical equivalence (Corani & Benavoli 2015, Machine Learning 100).
//!
//! The posterior of the mean difference of k folds is Student's t with k − 1 degrees of freedom, location x̄ and scale
//! `s √(1/k + ρ/(1−ρ))`, ρ = share of rows in a test fold: the correlation that shared training rows bring.

use serde::{Deserialize, Serialize};

use super::{mean_and_variance, vanishes};
use crate::special_beta::student_t_cdf;
use crate::{Result, SurvivalError};

/// Posterior probabilities of three statements that exclude each other; they add to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Posterior {
    /// P(mean difference < −rope): B better by more than the margin.
    pub below: f64,
    /// P(|mean difference| ≤ rope): equal for practical purposes.
    pub within: f64,
    /// P(mean difference > rope): A better by more than the margin, for scores where more is better.
    pub above: f64,
}

/// Posterior of the mean of `differences` (A − B per fold), `correlation` = test rows / all rows, half width `rope` ≥ 0.
///
/// # Errors
/// When there are fewer than two differences, one is not finite, all are equal, the correlation is outside \[0, 1), or
/// the rope is negative.
pub fn correlated_t(differences: &[f64], correlation: f64, rope: f64) -> Result<Posterior> {
    if !(0.0..1.0).contains(&correlation) {
        return Err(SurvivalError::Domain { what: "correlation of folds", value: correlation, domain: "in [0, 1)" });
    }
    if !(rope.is_finite() && rope >= 0.0) {
        return Err(SurvivalError::Domain {
            what: "half width of the rope",
            value: rope,
            domain: "at least 0 and finite",
        });
    }
    let (mean, variance) = mean_and_variance("differences of folds", differences)?;
    let k = differences.len() as f64;
    let scale = (variance * (1.0 / k + correlation / (1.0 - correlation))).sqrt();
    if vanishes(scale, mean) {
        return Err(SurvivalError::NoSpread { what: "differences of folds", value: mean });
    }
    let below = student_t_cdf((-rope - mean) / scale, k - 1.0)?;
    let above = student_t_cdf((mean - rope) / scale, k - 1.0)?;
    Ok(Posterior { below, within: (1.0 - below - above).max(0.0), above })
}
