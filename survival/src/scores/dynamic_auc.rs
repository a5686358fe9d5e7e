//! Cumulative/dynamic AUC(t): does the risk tell who fails by t from who is alive beyond it (Uno et al. 2007, Hung &
//! Chiang 2010)?
//!
//! AUC(t) is the weighted area of [`HorizonLabels::roc_auc`] at horizon t: cases weigh 1/G(T−), controls alike. Its mean
//! over time is weighted by the failures between the times,
//! Σ_k AUC(t_k)·(Ŝ(t_{k−1}) − Ŝ(t_k)) / (1 − Ŝ(t_K)), with Ŝ(t_0) = 1 and Ŝ the Kaplan–Meier estimate of the scored
//! units (Lambert & Chevret 2016).

use serde::{Deserialize, Serialize};

use super::brier::CensoringWeights;
use super::calibration::failure_probabilities;
use super::check_rows;
use super::detection::HorizonLabels;
use crate::{KaplanMeier, Observation, Result, SurvivalCurve, SurvivalError};

/// AUC at each time and its mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DynamicAuc {
    /// The times asked for.
    pub times: Vec<f64>,
    /// AUC(t) at each.
    pub auc: Vec<f64>,
    /// Mean weighted by the failures between the times.
    pub mean: f64,
}

/// AUC(t) of curves, risk at t being 1 − S(t).
///
/// # Errors
/// When lengths differ, times are empty or do not increase, one lies beyond a curve's grid, G is too small at one,
/// nothing failed by the first, or all of known state had failed by the last.
pub fn cumulative_dynamic_auc(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<DynamicAuc> {
    check_rows("curves", observations.len(), curves.len())?;
    over_times(observations, times, censoring, |labels, time| labels.roc_auc(&failure_probabilities(curves, time)?))
}

/// AUC(t) of one risk per row, the same at every time.
///
/// # Errors
/// As [`cumulative_dynamic_auc`], and when a risk is not finite.
pub fn cumulative_dynamic_auc_of_risk(
    observations: &[Observation],
    risk: &[f64],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<DynamicAuc> {
    over_times(observations, times, censoring, |labels, _| labels.roc_auc(risk))
}

fn over_times(
    observations: &[Observation],
    times: &[f64],
    censoring: &CensoringWeights,
    area: impl Fn(&HorizonLabels, f64) -> Result<f64>,
) -> Result<DynamicAuc> {
    if times.is_empty() {
        return Err(SurvivalError::Empty { what: "list of times" });
    }
    if let Some(pair) = times.windows(2).find(|pair| pair[1].is_nan() || pair[1] <= pair[0]) {
        return Err(SurvivalError::Domain {
            what: "time of an AUC",
            value: pair[1],
            domain: "above the time before it",
        });
    }
    let alive = KaplanMeier::fit(observations)?;
    let mut auc = Vec::with_capacity(times.len());
    let (mut sum, mut before) = (0.0, 1.0);
    for &time in times {
        let value = area(&HorizonLabels::new(observations, time, censoring)?, time)?;
        let now = alive.survival_at(time);
        sum += value * (before - now);
        before = now;
        auc.push(value);
    }
    // A case before the first time was demanded above, so Ŝ has fallen by now.
    Ok(DynamicAuc { times: times.to_vec(), auc, mean: sum / (1.0 - before) })
}
