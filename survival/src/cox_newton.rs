//! Newton's method for the Cox partial likelihood over one or many strata.
//!
//! Strata share β; each has its own risk sets and its own baseline, so log-likelihood, gradient and information add up.

use serde::{Deserialize, Serialize};

use crate::cox::{CoxOptions, Ties};
use crate::cox_likelihood::{Pass, SortedRows};
use crate::linear::{Cholesky, packed_len};
use crate::risk_table::step_value;
use crate::table::Standardised;
use crate::{Observation, Result, SurvivalError};

/// A Newton step is halved at most this often before the fit gives up.
const HALVINGS: usize = 40;
/// Information left at the optimum about a column given those before it, relative to β = 0, below which a coefficient
/// is running off.
const SEPARATED: f64 = 1e-6;

/// A baseline cumulative hazard: a step function of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// Distinct failure times, increasing.
    pub times: Vec<f64>,
    /// Λ₀ from each of those times on, for covariates at their means.
    pub hazard: Vec<f64>,
}

impl Baseline {
    /// Λ₀(t); 0 before the first failure, the last value beyond the last.
    #[must_use]
    pub fn at(&self, time: f64) -> f64 {
        step_value(&self.times, &self.hazard, time, 0.0)
    }
}

/// What the fit yields, per unit of the original columns.
pub(crate) struct CoxFit {
    pub(crate) coefficients: Vec<f64>,
    pub(crate) standard_errors: Vec<f64>,
    /// One per stratum.
    pub(crate) baselines: Vec<Baseline>,
    pub(crate) log_likelihood: f64,
    pub(crate) null_log_likelihood: f64,
    pub(crate) iterations: usize,
}

/// Maximum partial likelihood; `members` holds the rows of each stratum.
pub(crate) fn fit_cox(
    table: &Standardised,
    observations: &[Observation],
    events: &[bool],
    members: Vec<Vec<usize>>,
    options: &CoxOptions,
) -> Result<CoxFit> {
    table.check_events(events, options.ridge)?;
    let strata = sort_strata(table, observations, events, members);
    let fit = maximise(&strata, table.columns, options)?;
    let factor = factor(&fit.total, table.columns, options.ridge)?;
    Ok(CoxFit {
        coefficients: table.unscale(&fit.beta),
        standard_errors: factor.inverse_diagonal().iter().zip(&table.scales).map(|(v, s)| v.sqrt() / s).collect(),
        baselines: strata.iter().zip(&fit.total.passes).map(|(rows, pass)| rows.baseline(pass)).collect(),
        log_likelihood: fit.total.log_likelihood,
        null_log_likelihood: fit.null_log_likelihood,
        iterations: fit.iterations,
    })
}

pub(crate) fn sort_strata(
    table: &Standardised,
    observations: &[Observation],
    events: &[bool],
    members: Vec<Vec<usize>>,
) -> Vec<SortedRows> {
    members.into_iter().map(|rows| SortedRows::new(table, observations, events, rows)).collect()
}

/// Sums over the strata, and what each stratum keeps for its baseline.
pub(crate) struct Total {
    log_likelihood: f64,
    gradient: Vec<f64>,
    pub(crate) information: Vec<f64>,
    passes: Vec<Pass>,
}

impl Total {
    pub(crate) fn new(strata: &[SortedRows], beta: &[f64], ties: Ties) -> Self {
        let size = beta.len();
        let mut total = Self {
            log_likelihood: 0.0,
            gradient: vec![0.0; size],
            information: vec![0.0; packed_len(size)],
            passes: Vec::with_capacity(strata.len()),
        };
        for rows in strata {
            let mut pass = rows.pass(beta, ties);
            total.log_likelihood += pass.log_likelihood;
            add(&mut total.gradient, &pass.gradient);
            add(&mut total.information, &pass.information);
            // With thousands of strata the p × p matrices of each would outweigh the table.
            (pass.gradient, pass.information) = (vec![], vec![]);
            total.passes.push(pass);
        }
        total
    }
}

fn add(sums: &mut [f64], terms: &[f64]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}

struct Fit {
    beta: Vec<f64>,
    total: Total,
    null_log_likelihood: f64,
    iterations: usize,
}

/// Newton–Raphson with step halving on standardised columns, from β = 0.
fn maximise(strata: &[SortedRows], columns: usize, options: &CoxOptions) -> Result<Fit> {
    let ridge = options.ridge;
    let penalised =
        |total: &Total, beta: &[f64]| total.log_likelihood - 0.5 * ridge * beta.iter().map(|b| b * b).sum::<f64>();
    let mut beta = vec![0.0; columns];
    let mut current = Total::new(strata, &beta, options.ties);
    let null_log_likelihood = current.log_likelihood;
    let start = if ridge > 0.0 { vec![] } else { factor(&current, columns, 0.0)?.pivots() };
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
            let total = Total::new(strata, &candidate, options.ties);
            // The last steps gain less than rounding can show; that is not a fall.
            if penalised(&total, &candidate) >= target - 1e-12 * target.abs() {
                accepted = Some((candidate, total));
                break;
            }
            share *= 0.5;
        }
        let Some((candidate, total)) = accepted else { break };
        (beta, current) = (candidate, total);
        if gain <= options.tolerance {
            if ridge <= 0.0 {
                refuse_separation(&factor(&current, columns, 0.0)?, &start)?;
            }
            return Ok(Fit { beta, total: current, null_log_likelihood, iterations: iteration });
        }
    }
    Err(SurvivalError::NoConvergence { what: "Cox regression", iterations: options.max_iterations, last_step: gain })
}

pub(crate) fn factor(total: &Total, columns: usize, ridge: f64) -> Result<Cholesky> {
    Cholesky::factor(&total.information, columns, ridge, 1e-13).map_err(|column| SurvivalError::Column {
        column,
        problem: "collinear with the others or separating the failures",
    })
}

/// A column that separates the failures, alone or with those before it, lets its coefficient grow for ever while the
/// information about it dies away. The pivots see combinations too, where every diagonal entry stays large.
fn refuse_separation(end: &Cholesky, start: &[f64]) -> Result<()> {
    match end.pivots().iter().zip(start).position(|(end, start)| *end < SEPARATED * start) {
        None => Ok(()),
        Some(column) => Err(SurvivalError::Column { column, problem: "separating the failures" }),
    }
}
