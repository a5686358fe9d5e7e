//! Accelerated life: ln T = b₀ + xβ + σ·ε, with ε from one of the laws of [`AftLaw`].
//!
//! With λ(x) = e^{b₀ + xβ} and ρ = 1/σ, S(t|x) = S₀(ρ·ln(t/λ(x))). A coefficient β_k stretches life by e^{β_k} per unit
//! of its column, whatever the law. [`AftModel::fit_events`] is the story, `aft_likelihood` the arithmetic,
//! [`AftModel::choose`] takes the law with the smallest AIC and says what the others had.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::aft_law::AftLaw;
use crate::aft_likelihood::Likelihood;
use crate::table::{Standardised, check_finite, check_ridge, check_width};
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

/// What a fit found, whatever the law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AftFit {
    intercept: f64,
    coefficients: Vec<f64>,
    shape: f64,
    log_likelihood: f64,
    iterations: usize,
    options: AftOptions,
}

/// A fitted accelerated-life model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AftModel {
    law: AftLaw,
    fit: AftFit,
}

/// One line of the table by which a law was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AftCandidate {
    /// The law.
    pub law: AftLaw,
    /// Free parameters: intercept, coefficients, and the shape where it is fitted.
    pub parameters: usize,
    /// Log-likelihood at the optimum, without the penalty; `None` when the fit failed.
    pub log_likelihood: Option<f64>,
    /// 2·parameters − 2·ℓ. With a ridge every coefficient still counts as free, which is too many for all laws alike.
    pub aic: Option<f64>,
    /// Why the law could not be fitted.
    pub problem: Option<String>,
}

impl AftModel {
    /// Maximum likelihood with every failure, of whatever cause, as the event. A table without columns is allowed
    /// and gives the plain law.
    ///
    /// # Errors
    /// When shapes differ, a value is not finite, nothing failed, a column is constant or collinear with `ridge` 0,
    /// or the iteration does not settle.
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        law: AftLaw,
        options: &AftOptions,
    ) -> Result<Self> {
        let events: Vec<bool> = observations.iter().map(Observation::failed).collect();
        Self::fit_events(x, observations, &events, law, options)
    }

    /// The same with `events[i]` saying whether row i ended in the event.
    ///
    /// # Errors
    /// As [`AftModel::fit`].
    pub fn fit_events(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
        law: AftLaw,
        options: &AftOptions,
    ) -> Result<Self> {
        check_ridge(options.ridge)?;
        let table = Standardised::new(x, observations)?;
        table.check_events(events, options.ridge)?;
        Self::fit_table(&table, observations, events, law, options)
    }

    fn fit_table(
        table: &Standardised,
        observations: &[Observation],
        events: &[bool],
        law: AftLaw,
        options: &AftOptions,
    ) -> Result<Self> {
        let problem = Likelihood::new(law, table, observations, events, options.ridge);
        let (parameters, log_likelihood, iterations) = problem.maximise(options)?;
        let coefficients = table.unscale(&parameters[1..=table.columns]);
        let centre: f64 = coefficients.iter().zip(&table.means).map(|(b, m)| b * m).sum();
        let fit = AftFit {
            intercept: parameters[0] + problem.log_time_mean - centre,
            coefficients,
            shape: parameters[table.columns + 1].exp(),
            log_likelihood,
            iterations,
            options: *options,
        };
        Ok(Self { law, fit })
    }

    /// Fits every law of `laws` and keeps the one with the smallest AIC (the first of equals), with the table it was
    /// chosen by. A law whose fit fails stands in the table with its reason.
    ///
    /// # Errors
    /// As [`AftModel::fit_events`] for bad input, when `laws` is empty, or when no law could be fitted (the first
    /// law's error).
    pub fn choose(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
        laws: &[AftLaw],
        options: &AftOptions,
    ) -> Result<(Self, Vec<AftCandidate>)> {
        check_ridge(options.ridge)?;
        let table = Standardised::new(x, observations)?;
        table.check_events(events, options.ridge)?;
        let mut best: Option<(f64, Self)> = None;
        let mut first_error = None;
        let mut candidates = Vec::with_capacity(laws.len());
        for &law in laws {
            let parameters = table.columns + 1 + usize::from(law.has_shape());
            match Self::fit_table(&table, observations, events, law, options) {
                Ok(model) => {
                    let aic = model.aic();
                    candidates.push(AftCandidate {
                        law,
                        parameters,
                        log_likelihood: Some(model.log_likelihood()),
                        aic: Some(aic),
                        problem: None,
                    });
                    if best.as_ref().is_none_or(|(smallest, _)| aic < *smallest) {
                        best = Some((aic, model));
                    }
                }
                Err(error) => {
                    let problem = Some(error.to_string());
                    candidates.push(AftCandidate { law, parameters, log_likelihood: None, aic: None, problem });
                    first_error.get_or_insert(error);
                }
            }
        }
        match best {
            Some((_, model)) => Ok((model, candidates)),
            None => Err(first_error.unwrap_or(SurvivalError::Empty { what: "list of accelerated-life laws" })),
        }
    }

    /// The law.
    #[must_use]
    pub fn law(&self) -> AftLaw {
        self.law
    }

    /// b₀: ln λ at x = 0.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.fit.intercept
    }

    /// β per unit of the original columns.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.fit.coefficients
    }

    /// ρ = 1/σ; 1 for the exponential law.
    #[must_use]
    pub fn shape(&self) -> f64 {
        self.fit.shape
    }

    /// Log-likelihood at the optimum, in the unit of the durations, without the penalty.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.fit.log_likelihood
    }

    /// 2·(free parameters) − 2·ℓ, every coefficient counted as free.
    #[must_use]
    pub fn aic(&self) -> f64 {
        let parameters = self.fit.coefficients.len() + 1 + usize::from(self.law.has_shape());
        2.0 * parameters as f64 - 2.0 * self.fit.log_likelihood
    }

    /// Newton steps taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.fit.iterations
    }

    /// λ(x) = e^{b₀ + xβ} in the unit of the durations: the median for the log-normal and log-logistic laws, the age by
    /// which 63.2 % have failed for the exponential and Weibull laws.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn scale(&self, row: &[f64]) -> Result<f64> {
        check_width(self.fit.coefficients.len(), row.len())?;
        Ok(self.log_scale(row).exp())
    }

    fn log_scale<'a>(&self, row: impl IntoIterator<Item = &'a f64>) -> f64 {
        self.fit.intercept + row.into_iter().zip(&self.fit.coefficients).map(|(x, b)| x * b).sum::<f64>()
    }

    /// MTTF(x); `None` where it is infinite, as under the log-logistic law with ρ ≤ 1.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn mean_time_to_failure(&self, row: &[f64]) -> Result<Option<f64>> {
        let scale = self.scale(row)?;
        Ok(self.law.mean_per_scale(self.fit.shape).map(|factor| scale * factor))
    }

    /// S(t|x).
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn survival_at(&self, row: &[f64], time: f64) -> Result<f64> {
        Ok((-self.cumulative_hazard_at(row, time)?).exp())
    }

    /// H(t|x) = −ln S(t|x); 0 up to t = 0.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn cumulative_hazard_at(&self, row: &[f64], time: f64) -> Result<f64> {
        check_width(self.fit.coefficients.len(), row.len())?;
        Ok(self.hazard(self.log_scale(row), time))
    }

    fn hazard(&self, log_scale: f64, time: f64) -> f64 {
        if time <= 0.0 { 0.0 } else { self.law.hazard(self.fit.shape * (time.ln() - log_scale)) }
    }

    /// H at every edge for one row, written into `out`.
    pub(crate) fn hazards_on<'a>(&self, row: impl IntoIterator<Item = &'a f64>, grid: &TimeGrid, out: &mut [f64]) {
        let log_scale = self.log_scale(row);
        for (value, &edge) in out.iter_mut().zip(grid.edges()) {
            *value = self.hazard(log_scale, edge);
        }
    }

    /// S at the edges for every row of an n × p table.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn survival_on_grid(&self, rows: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.fit.coefficients.len(), rows.ncols())?;
        check_finite(rows)?;
        rows.rows()
            .into_iter()
            .map(|row| {
                let mut survival = vec![0.0; grid.edges().len()];
                self.hazards_on(row, grid, &mut survival);
                for value in &mut survival {
                    *value = (-*value).exp();
                }
                SurvivalCurve::from_survival(Arc::clone(grid), survival)
            })
            .collect()
    }

    pub(crate) fn of_fit(law: AftLaw, fit: AftFit) -> Self {
        Self { law, fit }
    }

    pub(crate) fn into_fit(self) -> AftFit {
        self.fit
    }
}
