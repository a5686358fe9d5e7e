//! Accelerated life with a Weibull law: S(t|x) = exp(−(t/λ(x))^ρ), ln λ(x) = b₀ + xβ.
//!
//! With z = ln t − ln λ, u = ρz and H = e^u, a row adds δ(ln ρ + u − ln t) − H(t) + H(entry) to the log-likelihood;
//! Newton's method runs over (b₀, β, ln ρ) with the exact gradient and Hessian. ρ < 1: early failures, 1: constant
//! hazard, ρ > 1: wear-out. A coefficient β_k stretches life by e^{β_k} per unit of its column.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::special::gamma;
use crate::table::{Standardised, check_finite, check_ridge, check_width};
use crate::weibull_likelihood::Likelihood;
use crate::{Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// How to fit an accelerated-life model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AftOptions {
    /// Penalty ½·ridge·‖β‖² on columns scaled to standard deviation 1. With a ridge above 0 the shape is held too, by
    /// ½·(ln ρ)²: with few failures and many columns the likelihood alone would send it to infinity.
    pub ridge: f64,
    /// Newton steps at most.
    pub max_iterations: usize,
    /// Stop after the step whose expected gain in log-likelihood is below this.
    pub tolerance: f64,
}

impl Default for AftOptions {
    fn default() -> Self {
        Self { ridge: 0.0, max_iterations: 100, tolerance: 1e-9 }
    }
}

/// A fitted Weibull accelerated-life model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeibullAft {
    intercept: f64,
    coefficients: Vec<f64>,
    shape: f64,
    log_likelihood: f64,
    iterations: usize,
    options: AftOptions,
}

impl WeibullAft {
    /// Maximum likelihood with every failure, of whatever cause, as the event. A table without columns is allowed
    /// and gives the plain two-parameter law.
    ///
    /// # Errors
    /// When shapes differ, a value is not finite, nothing failed, a column is constant or collinear with `ridge` 0,
    /// or the iteration does not settle.
    pub fn fit(x: ArrayView2<'_, f64>, observations: &[Observation], options: &AftOptions) -> Result<Self> {
        let events: Vec<bool> = observations.iter().map(Observation::failed).collect();
        Self::fit_events(x, observations, &events, options)
    }

    /// The same with `events[i]` saying whether row i ended in the event.
    ///
    /// # Errors
    /// As [`WeibullAft::fit`].
    pub fn fit_events(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
        options: &AftOptions,
    ) -> Result<Self> {
        check_ridge(options.ridge)?;
        let table = Standardised::new(x, observations)?;
        if events.len() != observations.len() {
            return Err(SurvivalError::Shape { what: "event flags", expected: observations.len(), got: events.len() });
        }
        if !events.contains(&true) {
            return Err(SurvivalError::NoFailures { rows: observations.len() });
        }
        if options.ridge <= 0.0 {
            table.refuse_dependent_columns()?;
        }
        let problem = Likelihood::new(&table, observations, events, options.ridge);
        let (parameters, log_likelihood, iterations) = problem.maximise(options)?;
        let coefficients = table.unscale(&parameters[1..=table.columns]);
        let centre: f64 = coefficients.iter().zip(&table.means).map(|(b, m)| b * m).sum();
        Ok(Self {
            intercept: parameters[0] + problem.log_time_mean - centre,
            coefficients,
            shape: parameters[table.columns + 1].exp(),
            log_likelihood,
            iterations,
            options: *options,
        })
    }

    /// b₀: ln λ at x = 0.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// β per unit of the original columns.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// ρ.
    #[must_use]
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// Log-likelihood at the optimum, in the unit of the durations, without the penalty.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// Newton steps taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// λ(x): the age by which 63.2 % have failed, in the unit of the durations.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn scale(&self, row: &[f64]) -> Result<f64> {
        check_width(self.coefficients.len(), row.len())?;
        Ok(self.log_scale(row).exp())
    }

    pub(crate) fn log_scale<'a>(&self, row: impl IntoIterator<Item = &'a f64>) -> f64 {
        self.intercept + row.into_iter().zip(&self.coefficients).map(|(x, b)| x * b).sum::<f64>()
    }

    /// MTTF(x) = λ(x)·Γ(1 + 1/ρ).
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn mean_time_to_failure(&self, row: &[f64]) -> Result<f64> {
        Ok(self.scale(row)? * gamma(1.0 + 1.0 / self.shape))
    }

    /// S(t|x).
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn survival_at(&self, row: &[f64], time: f64) -> Result<f64> {
        Ok((-self.cumulative_hazard_at(row, time)?).exp())
    }

    /// H(t|x) = (t/λ(x))^ρ; 0 up to t = 0.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn cumulative_hazard_at(&self, row: &[f64], time: f64) -> Result<f64> {
        check_width(self.coefficients.len(), row.len())?;
        Ok(self.hazard(self.log_scale(row), time))
    }

    pub(crate) fn hazard(&self, log_scale: f64, time: f64) -> f64 {
        if time <= 0.0 { 0.0 } else { (self.shape * (time.ln() - log_scale)).min(700.0).exp() }
    }

    /// S at the edges for every row of an n × p table.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn survival_on_grid(&self, rows: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.coefficients.len(), rows.ncols())?;
        check_finite(rows)?;
        rows.rows()
            .into_iter()
            .map(|row| {
                let log_scale = self.log_scale(row);
                let survival = grid.edges().iter().map(|&edge| (-self.hazard(log_scale, edge)).exp()).collect();
                SurvivalCurve::from_survival(Arc::clone(grid), survival)
            })
            .collect()
    }
}
