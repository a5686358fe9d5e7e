//! One Weibull law per cause, joined into one curve.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::competing::curve_from_cumulative_hazards;
use crate::nonparametric::check_causes;
use crate::table::{check_finite, check_width};
use crate::weibull::{AftOptions, WeibullAft};
use crate::{Cause, Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// One Weibull model per cause, the other causes censored, joined into one curve.
///
/// A cause without a single failure in the training data has hazard 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseSpecificWeibull {
    columns: usize,
    models: Vec<Option<WeibullAft>>,
}

impl CauseSpecificWeibull {
    /// Fits causes 0..`causes` on an n × p table.
    ///
    /// # Errors
    /// As [`WeibullAft::fit`], and when a failure is of a cause at or beyond `causes`.
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        causes: usize,
        options: &AftOptions,
    ) -> Result<Self> {
        check_causes(observations, causes)?;
        if !observations.iter().any(Observation::failed) {
            return Err(SurvivalError::NoFailures { rows: observations.len() });
        }
        let mut models = Vec::with_capacity(causes);
        for cause in 0..causes {
            let events: Vec<bool> =
                observations.iter().map(|o| o.cause().is_some_and(|c| usize::from(c.0) == cause)).collect();
            let model = if events.contains(&true) {
                Some(WeibullAft::fit_events(x, observations, &events, options)?)
            } else {
                None
            };
            models.push(model);
        }
        Ok(Self { columns: x.ncols(), models })
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.models.len()
    }

    /// The model of one cause; `None` when that cause never happened.
    #[must_use]
    pub fn model(&self, cause: Cause) -> Option<&WeibullAft> {
        self.models.get(usize::from(cause.0)).and_then(Option::as_ref)
    }

    /// S and every F_c for every row: per interval exp(−Σ_c ΔH_c), failures split in proportion to ΔH_c.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn curves(&self, x: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.columns, x.ncols())?;
        check_finite(x)?;
        let mut hazards = vec![vec![0.0; grid.edges().len()]; self.models.len()];
        x.rows()
            .into_iter()
            .map(|row| {
                for (model, out) in self.models.iter().zip(&mut hazards) {
                    let Some(model) = model else { continue };
                    let log_scale = model.log_scale(row);
                    for (value, &edge) in out.iter_mut().zip(grid.edges()) {
                        *value = model.hazard(log_scale, edge);
                    }
                }
                curve_from_cumulative_hazards(grid, &hazards)
            })
            .collect()
    }
}
