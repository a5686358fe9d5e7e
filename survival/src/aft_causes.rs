//! One accelerated-life law per cause, joined into one curve.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::aft::{AftCandidate, AftModel, AftOptions};
use crate::aft_law::AftLaw;
use crate::competing::{curve_from_cumulative_hazards, fit_each_cause};
use crate::table::{check_finite, check_width};
use crate::{Cause, Observation, Result, SurvivalCurve, TimeGrid};

/// One accelerated-life model per cause, the other causes censored, joined into one curve.
///
/// A cause without a single failure in the training data has hazard 0. Each cause has its own law, the one with the
/// smallest AIC among those offered, and keeps the table it was chosen by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseSpecificAft {
    columns: usize,
    models: Vec<Option<AftModel>>,
    candidates: Vec<Vec<AftCandidate>>,
}

impl CauseSpecificAft {
    /// Fits causes 0..`causes` on an n × p table, choosing each cause's law among `laws` (one law: that one).
    ///
    /// # Errors
    /// As [`AftModel::choose`], and when a failure is of a cause at or beyond `causes`.
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        causes: usize,
        laws: &[AftLaw],
        options: &AftOptions,
    ) -> Result<Self> {
        let chosen =
            fit_each_cause(observations, causes, |events| AftModel::choose(x, observations, events, laws, options))?;
        let (models, candidates) =
            chosen.into_iter().map(|cause| cause.map_or((None, vec![]), |(model, table)| (Some(model), table))).unzip();
        Ok(Self { columns: x.ncols(), models, candidates })
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.models.len()
    }

    /// The model of one cause; `None` when that cause never happened.
    #[must_use]
    pub fn model(&self, cause: Cause) -> Option<&AftModel> {
        self.models.get(usize::from(cause.0)).and_then(Option::as_ref)
    }

    /// The table by which that cause's law was chosen; empty when the cause never happened.
    #[must_use]
    pub fn candidates(&self, cause: Cause) -> &[AftCandidate] {
        self.candidates.get(usize::from(cause.0)).map_or(&[], Vec::as_slice)
    }

    /// S and every F_c for every row: per interval exp(−Σ_c ΔH_c), failures split in proportion to ΔH_c.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn curves(&self, x: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        let models: Vec<_> = self.models.iter().map(Option::as_ref).collect();
        curves_of_causes(self.columns, &models, x, grid)
    }
}

/// One curve per row from one accelerated-life model per cause.
pub(crate) fn curves_of_causes(
    columns: usize,
    models: &[Option<&AftModel>],
    x: ArrayView2<'_, f64>,
    grid: &Arc<TimeGrid>,
) -> Result<Vec<SurvivalCurve>> {
    check_width(columns, x.ncols())?;
    check_finite(x)?;
    let mut hazards = vec![vec![0.0; grid.edges().len()]; models.len()];
    x.rows()
        .into_iter()
        .map(|row| {
            for (model, out) in models.iter().zip(&mut hazards) {
                if let Some(model) = model {
                    model.hazards_on(row, grid, out);
                }
            }
            curve_from_cumulative_hazards(grid, &hazards)
        })
        .collect()
}
