//! How far a smooth calibration curve lies from the diagonal at one horizon: ICI, E50, E90 (Austin, Harrell & van
//! Klaveren, Stat. Med. 2020).
//!
//! The curve is their Cox variant: the hazard on a restricted cubic spline of ln(−ln(1 − p)), p the predicted failure
//! probability, fitted by [`CoxModel`] (Efron ties) to the scored units themselves; its failure probability at the horizon
//! is what p "should have been". No bins, but the smoother sees only proportional hazards in p; lifelines draws another
//! smoother (a spline in time, linear in ln(−ln(1 − p))), so its numbers differ.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::calibration::{check_horizon, check_probabilities};
use super::marginal_calibration::check_follow_up;
use crate::{CoxModel, CoxOptions, KaplanMeier, Observation, Result, SurvivalError};

/// Predictions nearer to 0 or 1 than this are moved here before ln(−ln(1 − p)).
const CLIP: f64 = 1e-10;

/// Summary of |p − calibrated p| over the units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationIndex {
    /// The horizon.
    pub horizon: f64,
    /// ICI: the mean.
    pub ici: f64,
    /// E50: the median.
    pub e50: f64,
    /// E90: the 90th percentile.
    pub e90: f64,
    /// The largest.
    pub largest: f64,
    /// The calibrated probability of each unit, in the order given: the curve to draw.
    pub calibrated: Vec<f64>,
}

/// ICI of predicted failure probabilities at `horizon`, with a spline of 3 to 7 knots (3 or 4 are the usual choice).
///
/// Knots lie at quantiles of the predictions, evenly spaced between 10 and 90 % (3 knots), 5 and 95 % (4 to 6) or 2.5 and
/// 97.5 % (7). Knots that coincide count once; with fewer than 3 left the curve is linear, and when all predictions
/// are equal it is 1 − Kaplan–Meier.
///
/// # Errors
/// When lengths differ, a prediction is outside [0, 1], the horizon lies beyond the follow-up, `knots` is outside 3–7,
/// nothing failed, or the fit finds no optimum (the predictions separate the failures: too few of them for a curve).
pub fn integrated_calibration_index(
    observations: &[Observation],
    predicted: &[f64],
    horizon: f64,
    knots: usize,
) -> Result<CalibrationIndex> {
    check_probabilities(observations, predicted)?;
    check_horizon(horizon)?;
    check_follow_up(observations, horizon)?;
    if !(3..=7).contains(&knots) {
        return Err(SurvivalError::Domain { what: "number of knots", value: knots as f64, domain: "from 3 to 7" });
    }
    if !observations.iter().any(Observation::failed) {
        return Err(SurvivalError::NoFailures { rows: observations.len() });
    }
    let scale: Vec<f64> = predicted.iter().map(|p| (-(-p.clamp(CLIP, 1.0 - CLIP)).ln_1p()).ln()).collect();
    let mut sorted = scale.clone();
    sorted.sort_by(f64::total_cmp);
    let calibrated = if sorted[0] < sorted[sorted.len() - 1] {
        smooth(observations, &scale, &spline_knots(&sorted, knots), horizon)?
    } else {
        vec![1.0 - KaplanMeier::fit(observations)?.survival_at(horizon); observations.len()]
    };
    let mut gaps: Vec<f64> = predicted.iter().zip(&calibrated).map(|(p, c)| (p - c).abs()).collect();
    let ici = gaps.iter().sum::<f64>() / gaps.len() as f64;
    gaps.sort_by(f64::total_cmp);
    let (e50, e90, largest) = (quantile(&gaps, 0.5), quantile(&gaps, 0.9), gaps[gaps.len() - 1]);
    Ok(CalibrationIndex { horizon, ici, e50, e90, largest, calibrated })
}

fn smooth(observations: &[Observation], scale: &[f64], knots: &[f64], horizon: f64) -> Result<Vec<f64>> {
    let columns = if knots.len() < 3 { 1 } else { knots.len() - 1 };
    let x = Array2::from_shape_fn((scale.len(), columns), |(row, column)| match column {
        0 => scale[row],
        _ => spline_term(scale[row], knots, column - 1),
    });
    // Beyond the default, so that the index itself is exact to about 1e-10.
    let options = CoxOptions { tolerance: 1e-14, ..CoxOptions::default() };
    let model = CoxModel::fit(x.view(), observations, &options)?;
    x.rows()
        .into_iter()
        .map(|row| {
            let hazard = model.cumulative_hazard_at(&row.to_vec(), horizon)?;
            // Before the first failure the baseline is 0, whatever the ratio.
            Ok(if hazard.is_nan() { 0.0 } else { -(-hazard).exp_m1() })
        })
        .collect()
}

fn spline_knots(sorted: &[f64], count: usize) -> Vec<f64> {
    let first = match count {
        3 => 0.1,
        4..=6 => 0.05,
        _ => 0.025,
    };
    let step = (1.0 - 2.0 * first) / (count - 1) as f64;
    let mut knots: Vec<f64> = (0..count).map(|k| quantile(sorted, first + step * k as f64)).collect();
    knots.dedup_by(|a, b| *a <= *b);
    knots
}

/// The j-th cubic term, linear beyond the outer knots (Harrell, Regression Modeling Strategies, eq. 2.25).
fn spline_term(x: f64, knots: &[f64], j: usize) -> f64 {
    let cube = |knot: f64| (x - knot).max(0.0).powi(3);
    let (last, before) = (knots[knots.len() - 1], knots[knots.len() - 2]);
    let span = last - before;
    let value = cube(knots[j]) - cube(before) * (last - knots[j]) / span + cube(last) * (before - knots[j]) / span;
    value / ((last - knots[0]) * (last - knots[0]))
}

/// Quantile of sorted values, interpolated linearly between order statistics.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}
