//! Proportional hazards: λ(t|x) = λ₀(t)·exp(η), η = (x − x̄)·β.
//!
//! Reading order: [`CoxModel::fit_events`] is the story (prepare, Newton steps, undo the scaling), the module
//! `cox_likelihood` is one pass over the data, `cox_predict` turns the fit into curves.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::cox_likelihood::{Pass, SortedRows};
use crate::linear::{Cholesky, packed_index};
use crate::table::{Standardised, check_ridge};
use crate::{Observation, Result, SurvivalError};

/// A Newton step is halved at most this often before the fit gives up.
const HALVINGS: usize = 40;
/// Information about a column left at the optimum, relative to β = 0, below which its coefficient is running off.
const SEPARATED: f64 = 1e-6;

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
        if events.len() != observations.len() {
            return Err(SurvivalError::Shape { what: "event flags", expected: observations.len(), got: events.len() });
        }
        if !events.contains(&true) {
            return Err(SurvivalError::NoFailures { rows: observations.len() });
        }
        if options.ridge <= 0.0 {
            table.refuse_dependent_columns()?;
        }
        let rows = SortedRows::new(&table, observations, events);
        let fit = maximise(&rows, table.columns, options)?;
        let factor = factor(&fit.pass, table.columns, options.ridge)?;
        let standard_errors = factor.inverse_diagonal().iter().zip(&table.scales).map(|(v, s)| v.sqrt() / s).collect();
        let (baseline_times, baseline_hazard) = rows.baseline(&fit.pass);
        Ok(Self {
            coefficients: table.unscale(&fit.beta),
            standard_errors,
            means: table.means,
            baseline_times,
            baseline_hazard,
            log_likelihood: fit.pass.log_likelihood,
            null_log_likelihood: fit.null_log_likelihood,
            iterations: fit.iterations,
            options: *options,
        })
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

struct Fit {
    beta: Vec<f64>,
    pass: Pass,
    null_log_likelihood: f64,
    iterations: usize,
}

/// Newton–Raphson with step halving on standardised columns, from β = 0.
fn maximise(rows: &SortedRows, columns: usize, options: &CoxOptions) -> Result<Fit> {
    let ridge = options.ridge;
    let penalised =
        |pass: &Pass, beta: &[f64]| pass.log_likelihood - 0.5 * ridge * beta.iter().map(|b| b * b).sum::<f64>();
    let mut beta = vec![0.0; columns];
    let mut current = rows.pass(&beta, options.ties);
    let null_log_likelihood = current.log_likelihood;
    let start_information: Vec<f64> = (0..columns).map(|j| current.information[packed_index(columns, j, j)]).collect();
    let mut gain = f64::INFINITY;
    for iteration in 1..=options.max_iterations {
        let gradient: Vec<f64> = current.gradient.iter().zip(&beta).map(|(g, b)| g - ridge * b).collect();
        let step = factor(&current, columns, ridge)?.solve(&gradient);
        gain = 0.5 * gradient.iter().zip(&step).map(|(g, s)| g * s).sum::<f64>();
        let target = penalised(&current, &beta);
        let mut share = 1.0;
        let mut accepted = None;
        for _ in 0..HALVINGS {
            let candidate: Vec<f64> = beta.iter().zip(&step).map(|(b, s)| b + share * s).collect();
            let pass = rows.pass(&candidate, options.ties);
            // The last steps gain less than rounding can show; that is not a fall.
            if penalised(&pass, &candidate) >= target - 1e-12 * target.abs() {
                accepted = Some((candidate, pass));
                break;
            }
            share *= 0.5;
        }
        let Some((candidate, pass)) = accepted else { break };
        (beta, current) = (candidate, pass);
        if gain <= options.tolerance {
            if ridge <= 0.0 {
                refuse_separation(&current, &start_information)?;
            }
            return Ok(Fit { beta, pass: current, null_log_likelihood, iterations: iteration });
        }
    }
    Err(SurvivalError::NoConvergence { what: "Cox regression", iterations: options.max_iterations, last_step: gain })
}

fn factor(pass: &Pass, columns: usize, ridge: f64) -> Result<Cholesky> {
    Cholesky::factor(&pass.information, columns, ridge, 1e-13).map_err(|column| SurvivalError::Column {
        column,
        problem: "collinear with the others or separating the failures",
    })
}

/// A column that separates the failures lets its coefficient grow for ever while its information dies away.
fn refuse_separation(pass: &Pass, start_information: &[f64]) -> Result<()> {
    let columns = start_information.len();
    for (column, start) in start_information.iter().enumerate() {
        if pass.information[packed_index(columns, column, column)] < SEPARATED * start {
            return Err(SurvivalError::Column { column, problem: "separating the failures" });
        }
    }
    Ok(())
}
