//! Calibration over the whole population: the mean curve against Kaplan–Meier, per cause against Aalen–Johansen.
//!
//! Score: ∫(mean prediction − estimate)² dt/(t_max − t_min) by the trapezoid rule over the given times, both read at the
//! times (Qi et al., SurvivalEVAL, 2024; per cause Alberge et al., AISTATS 2026). 0 says that the average is right, not
//! that any single curve is: the Kaplan–Meier curve given to everyone scores 0.

use serde::{Deserialize, Serialize};

use super::brier::{CurveReader, trapezoid_shares};
use super::check_rows;
use crate::{AalenJohansen, Cause, KaplanMeier, Observation, Result, SurvivalCurve, SurvivalError};

/// Mean prediction and estimate at each time, and how far they are apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarginalCalibration {
    /// The times asked for.
    pub times: Vec<f64>,
    /// Mean of the predictions at each.
    pub predicted: Vec<f64>,
    /// The estimate at each.
    pub observed: Vec<f64>,
    /// ∫(predicted − observed)² dt/(t_max − t_min).
    pub integrated_squared: f64,
    /// max |predicted − observed| over the times.
    pub largest: f64,
}

/// KM-calibration: mean S against Kaplan–Meier of the same units.
///
/// # Errors
/// When lengths differ, there are fewer than two times, they do not increase, or one lies beyond a curve's grid or the
/// follow-up.
pub fn km_calibration(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
) -> Result<MarginalCalibration> {
    let estimate = KaplanMeier::fit(observations)?;
    compare(observations, curves, times, |curve| Ok(curve.survival()), |time| estimate.survival_at(time))
}

/// AJ-calibration of one cause: mean F_c against Aalen–Johansen of the same units.
///
/// # Errors
/// As [`km_calibration`]; also when a curve lacks the cause or an observation failed of a cause no curve knows.
pub fn aj_calibration(
    observations: &[Observation],
    cause: Cause,
    curves: &[SurvivalCurve],
    times: &[f64],
) -> Result<MarginalCalibration> {
    check_rows("curves", observations.len(), curves.len())?;
    let estimate = AalenJohansen::fit(observations, curves[0].causes())?;
    let unknown =
        SurvivalError::Domain { what: "cause index", value: f64::from(cause.0), domain: "below the number of causes" };
    compare(
        observations,
        curves,
        times,
        |curve| curve.incidence().get(usize::from(cause.0)).map(Vec::as_slice).ok_or_else(|| unknown.clone()),
        |time| estimate.incidence_at(cause, time),
    )
}

fn compare(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
    values: impl Fn(&SurvivalCurve) -> Result<&[f64]>,
    estimate: impl Fn(f64) -> f64,
) -> Result<MarginalCalibration> {
    check_rows("curves", observations.len(), curves.len())?;
    let shares = trapezoid_shares(times)?;
    if times[0] < 0.0 {
        return Err(SurvivalError::Domain { what: "time of a score", value: times[0], domain: "at least 0" });
    }
    check_follow_up(observations, times[times.len() - 1])?;
    let mut predicted = vec![0.0; times.len()];
    let mut reader = CurveReader::default();
    for curve in curves {
        reader.locate(curve, times)?;
        let values = values(curve)?;
        for (k, sum) in predicted.iter_mut().enumerate() {
            *sum += reader.value(values, k);
        }
    }
    let rows = curves.len() as f64;
    predicted.iter_mut().for_each(|sum| *sum /= rows);
    let observed: Vec<f64> = times.iter().map(|&time| estimate(time)).collect();
    let gaps = predicted.iter().zip(&observed).map(|(p, o)| p - o);
    let integrated_squared = gaps.clone().zip(&shares).map(|(gap, share)| share * gap * gap).sum();
    let largest = gaps.map(f64::abs).fold(0.0, f64::max);
    Ok(MarginalCalibration { times: times.to_vec(), predicted, observed, integrated_squared, largest })
}

/// Some unit must have been watched at least until `time`, or its estimate there is only carried forward.
pub(super) fn check_follow_up(observations: &[Observation], time: f64) -> Result<()> {
    let last = observations.iter().map(Observation::duration).fold(0.0, f64::max);
    if time <= last { Ok(()) } else { Err(SurvivalError::BeyondFollowUp { time, last }) }
}
