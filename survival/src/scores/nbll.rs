//! Negative binomial log-likelihood of "alive at t?" and its integral, weighted for censoring (Graf et al. 1999).
//!
//! NBLL(t) = −mean of `1[T ≤ t, failed]·ln(1 − S(t|x))/G(T−) + 1[T > t]·ln S(t|x)/G(t)`; the integral is that of the Brier
//! score: trapezoid rule over the given times, divided by their span. Like it, a proper score; unlike it, it punishes
//! confident mistakes without bound, so S is held inside [[`CLIP`], 1 − [`CLIP`]].
//!
//! pycox divides by the sum of weights instead of n and integrates by Simpson's rule.

use super::brier::{CensoringWeights, CurveReader, TimePlan};
use super::{check_rows, check_values};
use crate::{Observation, Outcome, Result, SurvivalCurve};

/// Probabilities nearer to 0 or 1 than this are moved here: one mistake costs at most 16.1.
pub const CLIP: f64 = 1e-7;

/// NBLL(t) from S(t|x) of every row.
///
/// # Errors
/// When lengths differ, a value is not finite, or G(t) is too small.
pub fn negative_binomial_log_likelihood(
    observations: &[Observation],
    survival_at_t: &[f64],
    time: f64,
    censoring: &CensoringWeights,
) -> Result<f64> {
    check_rows("survival values", observations.len(), survival_at_t.len())?;
    check_values("survival values", survival_at_t)?;
    censoring.check(time)?;
    let alive_weight = 1.0 / censoring.at(time);
    let sum: f64 = observations
        .iter()
        .zip(survival_at_t)
        .map(|(observation, &s)| match observation.outcome() {
            _ if observation.duration() > time => surprise(s) * alive_weight,
            Outcome::Failed(_) => surprise(1.0 - s) * censoring.of_failure(observation.duration()),
            Outcome::Censored(_) => 0.0,
        })
        .sum();
    Ok(sum / observations.len() as f64)
}

/// Each row's part of ∫NBLL dt/(t_max − t_min) over `times`; their mean is the score.
///
/// # Errors
/// As [`integrated_brier_contributions`](super::brier::integrated_brier_contributions).
pub fn integrated_nbll_contributions(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<Vec<f64>> {
    check_rows("curves", observations.len(), curves.len())?;
    let plan = TimePlan::new(times, censoring)?;
    let mut reader = CurveReader::default();
    let mut contributions = Vec::with_capacity(curves.len());
    for (observation, curve) in observations.iter().zip(curves) {
        reader.locate(curve, times)?;
        let survival = curve.survival();
        let alive = plan.times.partition_point(|&t| t < observation.duration());
        let mut sum: f64 = (0..alive).map(|k| plan.alive[k] * surprise(reader.value(survival, k))).sum();
        if observation.failed() {
            let failed: f64 =
                (alive..plan.times.len()).map(|k| plan.share[k] * surprise(1.0 - reader.value(survival, k))).sum();
            sum += failed * censoring.of_failure(observation.duration());
        }
        contributions.push(sum);
    }
    Ok(contributions)
}

/// ∫NBLL dt/(t_max − t_min) over `times`.
///
/// # Errors
/// As [`integrated_nbll_contributions`].
pub fn integrated_nbll(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<f64> {
    let contributions = integrated_nbll_contributions(observations, curves, times, censoring)?;
    Ok(contributions.iter().sum::<f64>() / contributions.len() as f64)
}

/// −ln of the probability given to what happened.
fn surprise(probability: f64) -> f64 {
    -probability.clamp(CLIP, 1.0 - CLIP).ln()
}
