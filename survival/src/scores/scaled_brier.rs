//! Share of the error of "everyone is average" that a model takes away: 1 − IBS/IBS of the reference.
//!
//! The reference is the Kaplan–Meier estimate (Aalen–Johansen for one cause) of the *training* data, given to every unit
//! and read as the step function it is. 0: no better than the average curve; 1: perfect; below 0: worse. As with every
//! ratio, compare models by it only on the same units and times.

use serde::{Deserialize, Serialize};

use super::brier::{CensoringWeights, TimePlan, integrated_brier_score};
use super::incidence_brier::integrated_brier_score_of_cause;
use crate::{AalenJohansen, Cause, KaplanMeier, Observation, Result, SurvivalCurve, SurvivalError};

/// IBS of a model beside that of the average curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScaledBrier {
    /// IBS of the model.
    pub score: f64,
    /// IBS of the reference on the same units, times and weights.
    pub reference: f64,
    /// 1 − score/reference.
    pub scaled: f64,
}

/// Scaled IBS over `times`; `average` is the estimate of the training data.
///
/// # Errors
/// As [`integrated_brier_score`]; also when a time lies beyond the follow-up of `average` or the reference makes no
/// error at all.
pub fn scaled_integrated_brier_score(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
    average: &KaplanMeier,
) -> Result<ScaledBrier> {
    let score = integrated_brier_score(observations, curves, times, censoring)?;
    let plan = TimePlan::new(times, censoring)?;
    let gone: Vec<f64> = at_times(times, average.times(), |time| 1.0 - average.survival_at(time))?;
    scaled(score, flat_score(observations, &plan, &gone, censoring, |_| true))
}

/// Scaled IBS of one cause over `times`; `average` is the estimate of the training data.
///
/// # Errors
/// As [`scaled_integrated_brier_score`], and when a curve lacks the cause.
pub fn scaled_integrated_brier_score_of_cause(
    observations: &[Observation],
    cause: Cause,
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
    average: &AalenJohansen,
) -> Result<ScaledBrier> {
    let score = integrated_brier_score_of_cause(observations, cause, curves, times, censoring)?;
    let plan = TimePlan::new(times, censoring)?;
    let gone = at_times(times, average.times(), |time| average.incidence_at(cause, time))?;
    scaled(score, flat_score(observations, &plan, &gone, censoring, |seen| seen == cause))
}

fn at_times(times: &[f64], known: &[f64], value: impl Fn(f64) -> f64) -> Result<Vec<f64>> {
    let last = known.last().copied().unwrap_or(0.0);
    match times.last() {
        Some(&time) if time > last => Err(SurvivalError::BeyondFollowUp { time, last }),
        _ => Ok(times.iter().map(|&time| value(time)).collect()),
    }
}

/// IBS when every unit is given the same incidences: sums over the times are shared by all units.
fn flat_score(
    observations: &[Observation],
    plan: &TimePlan,
    incidence: &[f64],
    censoring: &CensoringWeights,
    counts: impl Fn(Cause) -> bool,
) -> f64 {
    let steps = incidence.len();
    let (mut alive, mut hit, mut missed) = (vec![0.0; steps + 1], vec![0.0; steps + 1], vec![0.0; steps + 1]);
    for k in 0..steps {
        alive[k + 1] = alive[k] + plan.alive[k] * incidence[k] * incidence[k];
    }
    for k in (0..steps).rev() {
        hit[k] = hit[k + 1] + plan.share[k] * (1.0 - incidence[k]) * (1.0 - incidence[k]);
        missed[k] = missed[k + 1] + plan.share[k] * incidence[k] * incidence[k];
    }
    let sum: f64 = observations
        .iter()
        .map(|observation| {
            let before = plan.times.partition_point(|&t| t < observation.duration());
            let after = match observation.cause() {
                Some(cause) if counts(cause) => hit[before] * censoring.of_failure(observation.duration()),
                Some(_) => missed[before] * censoring.of_failure(observation.duration()),
                None => 0.0,
            };
            alive[before] + after
        })
        .sum();
    sum / observations.len() as f64
}

fn scaled(score: f64, reference: f64) -> Result<ScaledBrier> {
    if reference <= 0.0 {
        return Err(SurvivalError::Domain {
            what: "integrated Brier score of the average curve",
            value: reference,
            domain: "above 0, or there is nothing to improve on",
        });
    }
    Ok(ScaledBrier { score, reference, scaled: 1.0 - score / reference })
}
