//! A share of successes with exact bounds (Clopper & Pearson 1934): coverage never below its level, also for 0 of n.

use crate::special::open_unit;
use crate::special_beta::beta_quantile;
use crate::{Interval, Result, SurvivalError};

/// Two-sided interval of the probability behind `successes` of `trials`.
///
/// # Errors
/// When there is no trial, more successes than trials, or `level` is outside (0, 1).
pub fn clopper_pearson(successes: usize, trials: usize, level: f64) -> Result<Interval> {
    open_unit("interval level", level)?;
    let tail = 0.5 * (1.0 - level);
    Ok(Interval {
        estimate: share(successes, trials)?,
        low: lower(successes, trials, tail)?,
        high: upper(successes, trials, tail)?,
        level,
    })
}

/// One-sided: the probability is at most this with `confidence`.
///
/// For 0 of n it is 1 − (1 − confidence)^{1/n}, which at 95 % is just below 3/n ([`rule_of_three`]).
///
/// # Errors
/// As [`clopper_pearson`].
pub fn upper_bound(successes: usize, trials: usize, confidence: f64) -> Result<f64> {
    open_unit("confidence", confidence)?;
    share(successes, trials)?;
    upper(successes, trials, 1.0 - confidence)
}

/// One-sided: the probability is at least this with `confidence`. The test of "the level r is reached".
///
/// # Errors
/// As [`clopper_pearson`].
pub fn lower_bound(successes: usize, trials: usize, confidence: f64) -> Result<f64> {
    open_unit("confidence", confidence)?;
    share(successes, trials)?;
    lower(successes, trials, 1.0 - confidence)
}

/// 3/n: the 95 % upper bound when nothing happened in n trials, for a reader with a pencil; at most 1.
///
/// # Errors
/// When there is no trial.
pub fn rule_of_three(trials: usize) -> Result<f64> {
    share(0, trials)?;
    Ok((3.0 / trials as f64).min(1.0))
}

fn share(successes: usize, trials: usize) -> Result<f64> {
    if trials == 0 {
        return Err(SurvivalError::Empty { what: "list of trials" });
    }
    if successes > trials {
        return Err(SurvivalError::Domain {
            what: "successes",
            value: successes as f64,
            domain: "at most the number of trials",
        });
    }
    Ok(successes as f64 / trials as f64)
}

fn lower(successes: usize, trials: usize, tail: f64) -> Result<f64> {
    if successes == 0 { Ok(0.0) } else { beta_quantile(tail, successes as f64, (trials - successes + 1) as f64) }
}

fn upper(successes: usize, trials: usize, tail: f64) -> Result<f64> {
    if successes == trials {
        return Ok(1.0);
    }
    beta_quantile(1.0 - tail, (successes + 1) as f64, (trials - successes) as f64)
}
