//! Continuous ranked probability score of a curve, in closed form from its edges (Gneiting & Raftery 2007; for survival
//! Avati et al., UAI 2020).
//!
//! With F = 1 − S linear between the edges, up to a time u within the grid:
//! failed at T ≤ u: ∫₀ᵀ F² + ∫_Tᵘ S²; censored at c or alive at u: ∫₀^min(c,u) F². Unit: that of time; for a certain
//! prediction of life y the score is |T − y|. Rows with entry > 0 are scored from there on, given survival until then.
//!
//! Without censoring before u this is ∫₀ᵘ of the Brier score and proper. With censoring it is not: after a failure S is
//! asked to be 0 up to u, after a censoring nothing is asked, so a curve that falls too early gets the best score (Rindt
//! et al., AISTATS 2022; a test shows it). Under heavy censoring rank models by the integrated Brier score, whose weights
//! keep it proper.

use super::check_rows;
use crate::{Observation, Result, SurvivalCurve, SurvivalError};

/// Each row's survival-CRPS up to `until`; their mean is the score.
///
/// # Errors
/// When lengths differ, `until` is not positive, lies beyond a curve's grid or at or before a row's entry, or a curve gives
/// S(entry) = 0 to a unit that was alive then.
pub fn survival_crps_contributions(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    until: f64,
) -> Result<Vec<f64>> {
    check_rows("curves", observations.len(), curves.len())?;
    observations.iter().zip(curves).map(|(observation, curve)| score(observation, curve, until)).collect()
}

/// Mean survival-CRPS up to `until`.
///
/// # Errors
/// As [`survival_crps_contributions`].
pub fn survival_crps(observations: &[Observation], curves: &[SurvivalCurve], until: f64) -> Result<f64> {
    let contributions = survival_crps_contributions(observations, curves, until)?;
    Ok(contributions.iter().sum::<f64>() / contributions.len() as f64)
}

fn score(observation: &Observation, curve: &SurvivalCurve, until: f64) -> Result<f64> {
    let entry = observation.entry();
    if until.is_nan() || until <= entry {
        return Err(SurvivalError::Domain {
            what: "end of a ranked probability score",
            value: until,
            domain: "positive and after every entry time",
        });
    }
    // Checks `until` against the grid.
    curve.survival_at(until)?;
    let at_entry = curve.survival_at(entry)?;
    if at_entry <= 0.0 {
        return Err(SurvivalError::Domain { what: "survival at the entry time", value: at_entry, domain: "above 0" });
    }
    let end = observation.duration().min(until);
    let before = square_integral(curve, entry, end, |s| 1.0 - s / at_entry)?;
    if observation.failed() && end < until {
        return Ok(before + square_integral(curve, end, until, |s| s / at_entry)?);
    }
    Ok(before)
}

/// ∫ f(S(t))² dt over [from, to] for a linear f: (b − a)(f_a² + f_a·f_b + f_b²)/3 on each straight piece.
fn square_integral(curve: &SurvivalCurve, from: f64, to: f64, f: impl Fn(f64) -> f64) -> Result<f64> {
    let edges = curve.grid().edges();
    let inside = edges.partition_point(|&edge| edge <= from)..edges.partition_point(|&edge| edge < to);
    let (mut left, mut value) = (from, f(curve.survival_at(from)?));
    let mut sum = 0.0;
    let corners = inside.map(|k| (edges[k], curve.survival()[k])).chain([(to, curve.survival_at(to)?)]);
    for (right, survival) in corners {
        let next = f(survival);
        sum += (right - left) * (value * value + value * next + next * next) / 3.0;
        (left, value) = (right, next);
    }
    Ok(sum)
}
