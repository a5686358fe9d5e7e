//! Brier score of the incidence of one cause while the others compete.
//!
//! BS_c(t) = mean of `1[T ≤ t, cause c]·(1 − F_c(t))²/G(T−)`, `1[T ≤ t, another cause]·F_c(t)²/G(T−)` and
//! `1[T > t]·F_c(t)²/G(t)`, of which one at most is not 0 (Schoop et al. 2011). With one cause it equals the Brier score of S.

use super::brier::{CensoringWeights, CurveReader, TimePlan};
use super::{check_rows, check_values};
use crate::{Cause, Observation, Result, SurvivalCurve, SurvivalError};

/// BS_c(t) from F_c(t|x) of every row.
///
/// # Errors
/// When lengths differ, a value is not finite, or G(t) is too small.
pub fn brier_score_of_cause(
    observations: &[Observation],
    cause: Cause,
    incidence_at_t: &[f64],
    time: f64,
    censoring: &CensoringWeights,
) -> Result<f64> {
    check_rows("incidence values", observations.len(), incidence_at_t.len())?;
    check_values("incidence values", incidence_at_t)?;
    censoring.check(time)?;
    let alive_weight = 1.0 / censoring.at(time);
    let sum: f64 = observations
        .iter()
        .zip(incidence_at_t)
        .map(|(observation, &f)| {
            if observation.duration() > time {
                return f * f * alive_weight;
            }
            match observation.cause() {
                Some(seen) if seen == cause => (1.0 - f) * (1.0 - f) * censoring.of_failure(observation.duration()),
                Some(_) => f * f * censoring.of_failure(observation.duration()),
                None => 0.0,
            }
        })
        .sum();
    Ok(sum / observations.len() as f64)
}

/// Each row's part of ∫BS_c dt/(t_max − t_min) over `times`; their mean is the score.
///
/// # Errors
/// As [`integrated_brier_contributions`](super::brier::integrated_brier_contributions), and when a curve lacks the
/// cause.
pub fn integrated_brier_contributions_of_cause(
    observations: &[Observation],
    cause: Cause,
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
        let Some(incidence) = curve.incidence().get(usize::from(cause.0)) else {
            return Err(SurvivalError::Domain {
                what: "cause index",
                value: f64::from(cause.0),
                domain: "below the number of causes",
            });
        };
        let duration = observation.duration();
        let alive = plan.times.partition_point(|&t| t < duration);
        let mut sum = 0.0;
        for k in 0..alive {
            let f = reader.value(incidence, k);
            sum += plan.alive[k] * f * f;
        }
        if let Some(seen) = observation.cause() {
            let target = if seen == cause { 1.0 } else { 0.0 };
            let mut failed = 0.0;
            for k in alive..plan.times.len() {
                let miss = target - reader.value(incidence, k);
                failed += plan.share[k] * miss * miss;
            }
            sum += failed * censoring.of_failure(duration);
        }
        contributions.push(sum);
    }
    Ok(contributions)
}

/// ∫BS_c dt/(t_max − t_min) over `times`.
///
/// # Errors
/// As [`integrated_brier_contributions_of_cause`].
pub fn integrated_brier_score_of_cause(
    observations: &[Observation],
    cause: Cause,
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<f64> {
    let contributions = integrated_brier_contributions_of_cause(observations, cause, curves, times, censoring)?;
    Ok(contributions.iter().sum::<f64>() / contributions.len() as f64)
}
