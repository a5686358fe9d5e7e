//! Likelihood of what was observed under a curve, on the curve's own grid.

use crate::{Observation, Result, SurvivalCurve, SurvivalError};

/// Probabilities are floored here: a model that ruled out what happened is punished, not infinitely.
const FLOOR: f64 = 1e-12;

/// −ln of the probability each curve gave to what was observed.
///
/// A failure of cause c in interval j has probability F_c(τ_{j+1}) − F_c(τ_j); a censored row, or a failure
/// beyond the grid, S at the last edge survived. Rows with entry > 0 are conditional on S(entry).
///
/// # Errors
/// When the numbers of rows differ, or a cause is unknown to the curve.
pub fn log_loss_contributions(observations: &[Observation], curves: &[SurvivalCurve]) -> Result<Vec<f64>> {
    super::check_rows("curves", observations.len(), curves.len())?;
    observations
        .iter()
        .zip(curves)
        .map(|(observation, curve)| {
            let grid = curve.grid();
            let failed = observation.cause().and_then(|c| grid.interval_of(observation.duration()).map(|j| (j, c)));
            let probability = match failed {
                Some((interval, cause)) => {
                    let values = curve.incidence().get(usize::from(cause.0)).ok_or(SurvivalError::Domain {
                        what: "cause index",
                        value: f64::from(cause.0),
                        domain: "below the number of causes",
                    })?;
                    values[interval + 1] - values[interval]
                }
                None => curve.survival()[grid.intervals_survived(observation.duration()).min(grid.intervals())],
            };
            let condition = if observation.entry() > 0.0 {
                curve.survival_at(observation.entry().min(grid.last_edge()))?
            } else {
                1.0
            };
            Ok(-(probability.max(FLOOR) / condition.max(FLOOR)).ln())
        })
        .collect()
}
