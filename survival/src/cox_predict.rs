//! From a fitted Cox model to cumulative hazards and curves, for one cause or several.
//!
//! Covariates are taken as known at `as_of` and held there; nothing is assumed about their later path.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::competing::{curve_from_cumulative_hazards, fit_each_cause};
use crate::cox::{CoxModel, CoxOptions};
use crate::risk_table::step_value;
use crate::table::{check_finite, check_width};
use crate::{Cause, Observation, Result, SurvivalCurve, TimeGrid};

impl CoxModel {
    /// η = (x − x̄)·β: the log hazard ratio against a unit with average covariates.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn linear_predictor(&self, row: &[f64]) -> Result<f64> {
        check_width(self.coefficients.len(), row.len())?;
        Ok(self.eta(row))
    }

    fn eta<'a>(&self, row: impl IntoIterator<Item = &'a f64>) -> f64 {
        row.into_iter().zip(&self.means).zip(&self.coefficients).map(|((x, m), b)| (x - m) * b).sum()
    }

    /// Λ(t|x) = Λ₀(t)·e^η; beyond the last failure time the last value is carried forward.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn cumulative_hazard_at(&self, row: &[f64], time: f64) -> Result<f64> {
        Ok(step_value(&self.baseline_times, &self.baseline_hazard, time, 0.0) * self.linear_predictor(row)?.exp())
    }

    /// Λ₀ at every edge of a grid.
    fn baseline_on(&self, grid: &TimeGrid) -> Vec<f64> {
        grid.edges().iter().map(|&edge| step_value(&self.baseline_times, &self.baseline_hazard, edge, 0.0)).collect()
    }

    /// S(τ_j|x) = exp(−Λ₀(τ_j) e^η) for every row of an n × p table.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn survival_on_grid(&self, rows: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.coefficients.len(), rows.ncols())?;
        check_finite(rows)?;
        let baseline = self.baseline_on(grid);
        let mut curves = Vec::with_capacity(rows.nrows());
        for row in rows.rows() {
            let ratio = self.eta(row).exp();
            curves.push(SurvivalCurve::from_survival(Arc::clone(grid), survival_values(&baseline, ratio))?);
        }
        Ok(curves)
    }
}

/// exp(−Λ₀·ratio), where 0·∞ (a huge ratio before the first failure) means no hazard yet.
fn survival_values(baseline: &[f64], ratio: f64) -> Vec<f64> {
    let mut last = (0.0_f64, 1.0);
    baseline
        .iter()
        .map(|&hazard| {
            // Edges between two failures repeat the hazard: no second exponential for them.
            if hazard > last.0 {
                last = (hazard, (-hazard * ratio).exp());
            }
            last.1
        })
        .collect()
}

/// One Cox model per cause, the other causes censored, joined into one curve.
///
/// A cause without a single failure in the training data has hazard 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseSpecificCox {
    columns: usize,
    models: Vec<Option<CoxModel>>,
}

impl CauseSpecificCox {
    /// Fits causes 0..`causes` on an n × p table.
    ///
    /// # Errors
    /// As [`CoxModel::fit`], and when a failure is of a cause at or beyond `causes`.
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        causes: usize,
        options: &CoxOptions,
    ) -> Result<Self> {
        let models =
            fit_each_cause(observations, causes, |events| CoxModel::fit_events(x, observations, events, options))?;
        Ok(Self { columns: x.ncols(), models })
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.models.len()
    }

    /// The model of one cause; `None` when that cause never happened.
    #[must_use]
    pub fn model(&self, cause: Cause) -> Option<&CoxModel> {
        self.models.get(usize::from(cause.0)).and_then(Option::as_ref)
    }

    /// S and every F_c for every row: per interval exp(−Σ_c ΔΛ_c), failures split in proportion to ΔΛ_c.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn curves(&self, x: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.columns, x.ncols())?;
        check_finite(x)?;
        let baselines: Vec<Vec<f64>> = self
            .models
            .iter()
            .map(|model| model.as_ref().map_or_else(|| vec![0.0; grid.edges().len()], |m| m.baseline_on(grid)))
            .collect();
        let mut hazards = baselines.clone();
        let mut curves = Vec::with_capacity(x.nrows());
        for row in x.rows() {
            for ((model, baseline), out) in self.models.iter().zip(&baselines).zip(&mut hazards) {
                let Some(model) = model else { continue };
                // e^700 is the edge of f64: beyond it 0·∞ would turn "not yet" into NaN.
                let ratio = model.eta(row).min(700.0).exp();
                for (value, base) in out.iter_mut().zip(baseline) {
                    *value = (base * ratio).min(f64::MAX / 1e6);
                }
            }
            curves.push(curve_from_cumulative_hazards(grid, &hazards)?);
        }
        Ok(curves)
    }
}
