//! Proportional hazards: λ(t|x) = λ₀(t)·exp(η), η = (x − x̄)·β.
//!
//! Reading order: [`CoxModel::fit_events`] is the story, `cox_newton` the steps (prepare, Newton, undo the scaling),
//! `cox_likelihood` one pass over the data; `cox_predict` turns the fit into curves, [`crate::cox_diagnostics`] asks
//! whether it holds. [`crate::cox_strata`] gives each class its own baseline, [`crate::cox_time_varying`] lets
//! covariates change.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::cox_diagnostics::CoxDiagnostics;
use crate::cox_newton::{CoxFit, fit_cox};
use crate::table::{Standardised, check_ridge};
use crate::{Observation, Result};

/// How units that fail at the same time share the risk set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// Σ_{l<d} ln(Σ_R e^η − (l/d) Σ_D e^η): close to the exact likelihood; the default of lifelines and R.
    #[default]
    Efron,
    /// d·ln Σ_R e^η: the default of scikit-survival; weights and repeated rows agree only here.
    Breslow,
}

/// How to fit a Cox model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoxOptions {
    /// Treatment of tied failure times.
    pub ties: Ties,
    /// Penalty ½·ridge·‖β‖² on columns scaled to standard deviation 1; with 0 dependent columns are refused.
    pub ridge: f64,
    /// Newton steps at most.
    pub max_iterations: usize,
    /// Stop after the step whose expected gain in log-likelihood (half the squared Newton decrement) is below this.
    pub tolerance: f64,
}

impl Default for CoxOptions {
    fn default() -> Self {
        Self { ties: Ties::Efron, ridge: 0.0, max_iterations: 50, tolerance: 1e-9 }
    }
}

/// A fitted proportional-hazards model with its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CoxModel {
    pub(crate) coefficients: Vec<f64>,
    pub(crate) standard_errors: Vec<f64>,
    pub(crate) means: Vec<f64>,
    pub(crate) baseline_times: Vec<f64>,
    pub(crate) baseline_hazard: Vec<f64>,
    log_likelihood: f64,
    null_log_likelihood: f64,
    iterations: usize,
    options: CoxOptions,
}

impl CoxModel {
    /// Fits with every failure, of whatever cause, as the event. Rows with entry > 0 are start–stop rows.
    ///
    /// `x`: n × p covariates, constant over a row's (entry, duration]; O(n p²) per Newton step, O(n p) memory.
    ///
    /// # Errors
    /// When shapes differ, a value is not finite, nothing failed, a column is constant, collinear or separating
    /// with `ridge` 0, or the iteration does not settle.
    pub fn fit(x: ArrayView2<'_, f64>, observations: &[Observation], options: &CoxOptions) -> Result<Self> {
        let events: Vec<bool> = observations.iter().map(Observation::failed).collect();
        Self::fit_events(x, observations, &events, options)
    }

    /// Fits with `events[i]` saying whether row i ended in the event; all other rows are censored at their end.
    ///
    /// # Errors
    /// As [`CoxModel::fit`].
    pub fn fit_events(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
        options: &CoxOptions,
    ) -> Result<Self> {
        check_ridge(options.ridge)?;
        let table = Standardised::new(x, observations)?;
        let members = vec![(0..observations.len()).collect()];
        let CoxFit { coefficients, standard_errors, mut baselines, log_likelihood, null_log_likelihood, iterations } =
            fit_cox(&table, observations, events, members, options)?;
        let baseline = baselines.pop().unwrap_or_default();
        Ok(Self {
            coefficients,
            standard_errors,
            means: table.means,
            baseline_times: baseline.times,
            baseline_hazard: baseline.hazard,
            log_likelihood,
            null_log_likelihood,
            iterations,
            options: *options,
        })
    }

    /// Residuals, robust errors and the test of proportional hazards on the rows the model was fitted on, with every
    /// failure as the event.
    ///
    /// # Errors
    /// When the rows do not fit the model, nothing failed, or the information cannot be inverted.
    pub fn diagnostics(&self, x: ArrayView2<'_, f64>, observations: &[Observation]) -> Result<CoxDiagnostics> {
        let events: Vec<bool> = observations.iter().map(Observation::failed).collect();
        self.diagnostics_of_events(x, observations, &events)
    }

    /// The same with `events[i]` saying whether row i ended in the event.
    ///
    /// # Errors
    /// As [`CoxModel::diagnostics`].
    pub fn diagnostics_of_events(
        &self,
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
    ) -> Result<CoxDiagnostics> {
        let members = vec![(0..observations.len()).collect()];
        CoxDiagnostics::new(x, observations, events, members, &self.coefficients, &self.options)
    }

    /// β per unit of the original columns.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// Square roots of the diagonal of the inverse (penalised) information, per unit of the original columns.
    #[must_use]
    pub fn standard_errors(&self) -> &[f64] {
        &self.standard_errors
    }

    /// Log partial likelihood at β̂, without the penalty.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// Log partial likelihood at β = 0, for the likelihood-ratio test.
    #[must_use]
    pub fn null_log_likelihood(&self) -> f64 {
        self.null_log_likelihood
    }

    /// Newton steps taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// The options it was fitted with.
    #[must_use]
    pub fn options(&self) -> &CoxOptions {
        &self.options
    }

    /// Column means x̄: the covariates to which the baseline belongs.
    #[must_use]
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Distinct failure times, increasing, where the baseline jumps.
    #[must_use]
    pub fn baseline_times(&self) -> &[f64] {
        &self.baseline_times
    }

    /// Baseline cumulative hazard Λ₀ at [`CoxModel::baseline_times`], for covariates at their means.
    ///
    /// Jumps are d/Σ_R e^η with Breslow ties and Σ_{l<d} 1/(Σ_R e^η − (l/d) Σ_D e^η) with Efron's,
    /// each the maximiser that belongs to its partial likelihood (lifelines keeps d/Σ_R e^η in both cases).
    #[must_use]
    pub fn baseline_cumulative_hazard(&self) -> &[f64] {
        &self.baseline_hazard
    }
}
