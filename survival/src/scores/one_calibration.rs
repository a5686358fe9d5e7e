//! Calibration at one horizon as a test: predicted against Kaplan–Meier failure shares in groups of similar prediction.
//!
//! D'Agostino & Nam (2003): Σ_b n_b·(o_b − p_b)²/(p_b(1 − p_b)) against χ²_{B−1}, which without censoring is the test of
//! Hosmer & Lemeshow. It takes the spread of o_b for that of n_b known outcomes, too small under censoring; Demler, Paynter
//! & Cook (2015) put Greenwood's variance of o_b in its place, against χ²_B for predictions fixed before the outcomes
//! were seen. A guard, not a rank: the p value falls with the number of rows however small the misfit.

use serde::{Deserialize, Serialize};

use super::calibration::{bins_by_prediction, check_horizon, check_probabilities};
use super::marginal_calibration::check_follow_up;
use crate::risk_table::step_value;
use crate::special::chi_square_survival;
use crate::{KaplanMeier, Observation, Result, SurvivalError};

/// A chi-square statistic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// Its value.
    pub statistic: f64,
    /// Degrees of freedom.
    pub degrees_of_freedom: f64,
    /// P(χ² > statistic).
    pub p_value: f64,
}

/// One group of similar predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationGroup {
    /// Rows in it.
    pub rows: usize,
    /// Mean predicted probability p_b.
    pub predicted: f64,
    /// 1 − Kaplan–Meier at the horizon of its rows, o_b; carried forward when all of them left before.
    pub observed: f64,
    /// Greenwood's variance of o_b.
    pub variance: f64,
}

/// Calibration at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneCalibration {
    /// The horizon.
    pub horizon: f64,
    /// Groups by increasing prediction.
    pub groups: Vec<CalibrationGroup>,
    /// D'Agostino–Nam.
    pub dagostino_nam: ChiSquare,
    /// With Greenwood's variance; `None` when a group has variance 0 (nobody or everybody failed).
    pub greenwood: Option<ChiSquare>,
}

/// 1-calibration of predicted failure probabilities at `horizon` in up to `bins` groups of equal size (equal
/// predictions stay together).
///
/// # Errors
/// When lengths differ, a prediction is outside [0, 1], the horizon lies beyond the follow-up, fewer than two groups
/// come about, or a group's mean prediction is 0 or 1, which no count of outcomes can be tested against.
pub fn one_calibration(
    observations: &[Observation],
    predicted: &[f64],
    horizon: f64,
    bins: usize,
) -> Result<OneCalibration> {
    check_probabilities(observations, predicted)?;
    check_horizon(horizon)?;
    check_follow_up(observations, horizon)?;
    let mut groups = Vec::with_capacity(bins);
    for members in bins_by_prediction(predicted, bins)? {
        let own: Vec<Observation> = members.iter().map(|&row| observations[row]).collect();
        let curve = KaplanMeier::fit(&own)?;
        let rows = members.len();
        let mean = members.iter().map(|&row| predicted[row]).sum::<f64>() / rows as f64;
        if !(mean > 0.0 && mean < 1.0) {
            return Err(SurvivalError::Domain {
                what: "mean prediction of a group",
                value: mean,
                domain: "strictly between 0 and 1",
            });
        }
        groups.push(CalibrationGroup {
            rows,
            predicted: mean,
            observed: 1.0 - curve.survival_at(horizon),
            variance: step_value(curve.times(), &curve.variance(), horizon, 0.0),
        });
    }
    if groups.len() < 2 {
        return Err(SurvivalError::Domain {
            what: "number of groups with predictions of their own",
            value: groups.len() as f64,
            domain: "at least 2",
        });
    }
    let count = groups.len() as f64;
    let gap = |group: &CalibrationGroup| (group.observed - group.predicted) * (group.observed - group.predicted);
    let nam = groups.iter().map(|g| g.rows as f64 * gap(g) / (g.predicted * (1.0 - g.predicted))).sum();
    let greenwood = groups
        .iter()
        .all(|g| g.variance > 0.0)
        .then(|| chi_square(groups.iter().map(|g| gap(g) / g.variance).sum(), count));
    Ok(OneCalibration { horizon, dagostino_nam: chi_square(nam, count - 1.0), greenwood, groups })
}

fn chi_square(statistic: f64, degrees_of_freedom: f64) -> ChiSquare {
    ChiSquare { statistic, degrees_of_freedom, p_value: chi_square_survival(statistic, degrees_of_freedom) }
}
