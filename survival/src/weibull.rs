//! Accelerated life with a Weibull law: S(t|x) = exp(−(t/λ(x))^ρ), ln λ(x) = b₀ + xβ.
//!
//! With z = ln t − ln λ, u = ρz and H = e^u, a row adds δ(ln ρ + u − ln t) − H(t) + H(entry) to the log-likelihood;
//! Newton's method runs over (b₀, β, ln ρ) with the exact gradient and Hessian. ρ < 1: early failures, 1: constant
//! hazard, ρ > 1: wear-out. A coefficient β_k stretches life by e^{β_k} per unit of its column.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::competing::curve_from_cumulative_hazards;
use crate::linear::{Cholesky, Gram, packed_index};
use crate::nonparametric::check_causes;
use crate::special::gamma;
use crate::table::{Standardised, check_finite, check_ridge, check_width};
use crate::{Cause, Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// How to fit an accelerated-life model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AftOptions {
    /// Penalty ½·ridge·‖β‖² on columns scaled to standard deviation 1; intercept and shape are free.
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

    fn log_scale<'a>(&self, row: impl IntoIterator<Item = &'a f64>) -> f64 {
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

    fn hazard(&self, log_scale: f64, time: f64) -> f64 {
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

/// Log-likelihood over (b₀, β standardised, ln ρ), with ln t shifted by its mean so that the three are of like size.
struct Likelihood<'a> {
    table: &'a Standardised,
    log_stop: Vec<f64>,
    /// `None` for rows watched from time 0.
    log_entry: Vec<Option<f64>>,
    events: &'a [bool],
    log_time_mean: f64,
    ridge: f64,
}

struct Evaluation {
    /// Without the penalty.
    value: f64,
    penalised: f64,
    gradient: Vec<f64>,
    /// Packed upper triangle of the negative Hessian.
    information: Vec<f64>,
}

impl<'a> Likelihood<'a> {
    fn new(table: &'a Standardised, observations: &[Observation], events: &'a [bool], ridge: f64) -> Self {
        let n = observations.len() as f64;
        let log_time_mean = observations.iter().map(|o| o.duration().ln()).sum::<f64>() / n;
        Self {
            table,
            log_stop: observations.iter().map(|o| o.duration().ln() - log_time_mean).collect(),
            log_entry: observations.iter().map(|o| (o.entry() > 0.0).then(|| o.entry().ln() - log_time_mean)).collect(),
            events,
            log_time_mean,
            ridge,
        }
    }

    fn maximise(&self, options: &AftOptions) -> Result<(Vec<f64>, f64, usize)> {
        let columns = self.table.columns;
        let mut parameters = vec![0.0; columns + 2];
        parameters[0] = self.exponential_log_scale();
        let mut current = self.evaluate(&parameters);
        let mut gain = f64::INFINITY;
        for iteration in 1..=options.max_iterations {
            let step = self.ascent_step(&current, columns + 2)?;
            gain = 0.5 * current.gradient.iter().zip(&step).map(|(g, s)| g * s).sum::<f64>();
            let mut share = 1.0;
            let mut accepted = None;
            for _ in 0..60 {
                let candidate: Vec<f64> = parameters.iter().zip(&step).map(|(p, s)| p + share * s).collect();
                let evaluation = self.evaluate(&candidate);
                if evaluation.penalised >= current.penalised - 1e-12 * current.penalised.abs() {
                    accepted = Some((candidate, evaluation));
                    break;
                }
                share *= 0.5;
            }
            let Some((candidate, evaluation)) = accepted else { break };
            (parameters, current) = (candidate, evaluation);
            if gain <= options.tolerance {
                return Ok((parameters, current.value, iteration));
            }
        }
        Err(SurvivalError::NoConvergence { what: "Weibull regression", iterations: options.max_iterations, last_step: gain })
    }

    /// ln(exposure per failure): the optimum of the exponential law without covariates.
    fn exponential_log_scale(&self) -> f64 {
        let failures = self.events.iter().filter(|&&e| e).count() as f64;
        let exposure: f64 =
            self.log_stop.iter().zip(&self.log_entry).map(|(t, e)| t.exp() - e.map_or(0.0, f64::exp)).sum();
        (exposure / failures).ln()
    }

    /// Newton's direction; far from the optimum the Hessian may bend the wrong way, and is then lifted until it does not.
    fn ascent_step(&self, at: &Evaluation, size: usize) -> Result<Vec<f64>> {
        let largest = (0..size).map(|i| at.information[packed_index(size, i, i)].abs()).fold(1e-8, f64::max);
        let mut lift = 0.0;
        for _ in 0..60 {
            if let Ok(factor) = Cholesky::factor(&at.information, size, lift, 1e-14) {
                return Ok(factor.solve(&at.gradient));
            }
            lift = if lift > 0.0 { lift * 4.0 } else { 1e-6 * largest };
        }
        Err(SurvivalError::NoConvergence { what: "Weibull regression", iterations: 0, last_step: f64::INFINITY })
    }

    fn evaluate(&self, parameters: &[f64]) -> Evaluation {
        let columns = self.table.columns;
        let size = columns + 2;
        let (beta, log_shape) = (&parameters[1..=columns], parameters[columns + 1]);
        let shape = log_shape.exp();
        let mut value = 0.0;
        let mut gradient = vec![0.0; size];
        // Location derivatives share the design (1, x); the shape's row and column are summed beside it.
        let mut gram = Gram::new(columns + 1);
        let mut design = vec![1.0; columns + 1];
        let mut cross = vec![0.0; columns + 1];
        let mut shape_information = 0.0;
        for (row, &log_stop) in self.log_stop.iter().enumerate() {
            let x = self.table.row(row);
            design[1..].copy_from_slice(x);
            let location = parameters[0] + x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>();
            let u = shape * (log_stop - location);
            let hazard = u.exp();
            let failed = if self.events[row] { 1.0 } else { 0.0 };
            // v·e^v → 0 as the entry goes to 0, so rows watched from the start leave these at 0.
            let (mut entry_hazard, mut v) = (0.0, 0.0);
            if let Some(log_entry) = self.log_entry[row] {
                v = shape * (log_entry - location);
                entry_hazard = v.exp();
            }
            let residual = failed - hazard + entry_hazard;
            if self.events[row] {
                value += log_shape + u - (log_stop + self.log_time_mean);
            }
            value += entry_hazard - hazard;
            let slope = -shape * residual;
            let bent = u * hazard - v * entry_hazard;
            gradient[columns + 1] += failed * (1.0 + u) - bent;
            shape_information += (u + u * u) * hazard - (v + v * v) * entry_hazard - failed * u;
            let mixed = shape * residual - shape * bent;
            for ((g, c), d) in gradient.iter_mut().zip(&mut cross).zip(&design) {
                *g += slope * d;
                *c += mixed * d;
            }
            gram.add(shape * shape * (hazard - entry_hazard), &design);
        }
        let mut penalty = 0.0;
        for (g, b) in gradient[1..=columns].iter_mut().zip(beta) {
            *g -= self.ridge * b;
            penalty += 0.5 * self.ridge * b * b;
        }
        let location_information = gram.finish();
        let mut information = Vec::with_capacity(size * (size + 1) / 2);
        for (a, mixed) in cross.iter().enumerate() {
            for b in a..=columns {
                let own = if a == b && a > 0 { self.ridge } else { 0.0 };
                information.push(location_information[packed_index(columns + 1, a, b)] + own);
            }
            information.push(*mixed);
        }
        information.push(shape_information);
        Evaluation { value, penalised: value - penalty, gradient, information }
    }
}

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
