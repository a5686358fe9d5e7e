//! One Weibull law per cause, joined into one curve, as it has always lain in bundles.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::aft_causes::curves_of_causes;
use crate::competing::fit_each_cause;
use crate::weibull::{AftOptions, WeibullAft};
use crate::{Cause, Observation, Result, SurvivalCurve, TimeGrid};

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
        let models =
            fit_each_cause(observations, causes, |events| WeibullAft::fit_events(x, observations, events, options))?;
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
        let models: Vec<_> = self.models.iter().map(|model| model.as_ref().map(WeibullAft::as_aft)).collect();
        curves_of_causes(self.columns, &models, x, grid)
    }
}
