//! Is A better than B, and may one say so? One file per question.
//!
//! | question | file |
//! |---|---|
//! | difference of two scores, units clustered (the default) | [`bootstrap`], on [`crate::ClusterBootstrap`] |
//! | two AUCs on the same units, one row per unit | [`delong`] |
//! | losses of two forecasts in sequence | [`diebold_mariano`] |
//! | right and wrong decisions at one alert budget | [`mcnemar`] |
//! | decisions among several classes | [`marginal_homogeneity`] |
//! | folds of one cross-validation (never a plain t test) | [`corrected_t`], [`correlated_bayes`] |
//! | paired seeds of a simulator | [`paired_t`] |
//! | two methods over several data sets | [`wilcoxon`] |
//! | many methods over several data sets | [`friedman`] |
//! | a share of successes, or none in n | [`binomial`] |
//! | several claims at once | [`adjust`] |
//! | are they equal? | [`equivalence`] |
//! | so what? | [`verdict`] |
//!
//! Every test that has an effect gives it as an [`Interval`] of A − B in the unit of its input: turn it so that
//! positive favours the claim ([`flipped`]) before it goes to [`verdict`].
//!
//! What two results that are equal in every unit give: difference 0, interval \[0, 0\], p = 1. Results that differ by
//! the same amount everywhere have no standard error and are refused ([`SurvivalError::NoSpread`]).

pub mod adjust;
pub mod binomial;
pub mod bootstrap;
pub mod corrected_t;
pub mod correlated_bayes;
pub mod delong;
pub mod diebold_mariano;
pub mod equivalence;
pub mod friedman;
pub mod marginal_homogeneity;
pub mod mcnemar;
pub mod paired_t;
mod ranks;
pub mod verdict;
pub mod wilcoxon;

use crate::scores::{check_rows, check_values};
use crate::special_beta::{student_t_quantile, student_t_two_sided};
use crate::{Interval, Result, SurvivalError};

/// The same interval for B − A: what a score that is better when smaller needs before a verdict.
#[must_use]
pub fn flipped(effect: &Interval) -> Interval {
    // Not −x, which would turn 0 into −0 in a report.
    Interval { estimate: 0.0 - effect.estimate, low: 0.0 - effect.high, high: 0.0 - effect.low, level: effect.level }
}

/// a − b of two lists of one length with finite values.
fn paired(what: &'static str, a: &[f64], b: &[f64]) -> Result<Vec<f64>> {
    if a.is_empty() {
        return Err(SurvivalError::Empty { what });
    }
    check_rows(what, a.len(), b.len())?;
    check_values(what, a)?;
    check_values(what, b)?;
    Ok(a.iter().zip(b).map(|(x, y)| x - y).collect())
}

/// Mean and sample variance (n − 1) of at least two values.
fn mean_and_variance(what: &'static str, values: &[f64]) -> Result<(f64, f64)> {
    at_least_two(what, values.len())?;
    check_values(what, values)?;
    let n = values.len() as f64;
    // Differences from the first value: equal values then have a variance of exactly 0.
    let anchor = values[0];
    let mean = anchor + values.iter().map(|v| v - anchor).sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    Ok((mean, variance))
}

fn at_least_two(what: &'static str, count: usize) -> Result<()> {
    if count >= 2 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what, value: count as f64, domain: "at least 2 values" })
    }
}

/// Whether a spread is only rounding beside the value it belongs to.
fn vanishes(standard_error: f64, value: f64) -> bool {
    standard_error.is_nan() || standard_error <= 1e-14 * value.abs()
}

/// A t statistic, its two-sided p and the interval mean ± t·standard error.
struct TResult {
    statistic: f64,
    p_value: f64,
    effect: Interval,
}

fn t_result(what: &'static str, mean: f64, standard_error: f64, df: f64, level: f64) -> Result<TResult> {
    let factor = student_t_quantile(0.5 + 0.5 * open_level(level)?, df)?;
    if vanishes(standard_error, mean) {
        if mean.abs() > 0.0 {
            return Err(SurvivalError::NoSpread { what, value: mean });
        }
        let effect = Interval { estimate: 0.0, low: 0.0, high: 0.0, level };
        return Ok(TResult { statistic: 0.0, p_value: 1.0, effect });
    }
    let statistic = mean / standard_error;
    let reach = factor * standard_error;
    Ok(TResult {
        statistic,
        p_value: student_t_two_sided(statistic, df)?,
        effect: Interval { estimate: mean, low: mean - reach, high: mean + reach, level },
    })
}

fn open_level(level: f64) -> Result<f64> {
    crate::special::open_unit("interval level", level)?;
    Ok(level)
}
