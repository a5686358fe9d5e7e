//! Logistic hazard on a time grid: the linear special case of the network.
//!
//! In interval j a unit at risk takes class 0 (survives the interval) or class c (fails of cause c) with logits
//! 0 and α_jc + xβ_c: one intercept per interval and cause, covariate effects shared by all intervals.
//! Person-period rows are never stored: intervals are visited inside the loop over observations.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::hazard_loss::Loss;
use crate::nonparametric::check_causes;
use crate::optimize::{Limits, minimise};
use crate::person_periods::PersonPeriods;
use crate::table::{Standardised, check_finite, check_ridge, check_width};
use crate::{Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// How to fit a discrete hazard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HazardOptions {
    /// Penalty ½·ridge·‖β‖² on columns scaled to standard deviation 1.
    pub ridge: f64,
    /// Penalty ½·smoothing·Σ (α_{j+1,c} − α_jc)², and a hundredth of it towards the overall log-odds of the cause.
    /// It gives intervals without failures a finite intercept; with 0 such intervals make the fit fail.
    pub smoothing: f64,
    /// L-BFGS iterations at most.
    pub max_iterations: usize,
    /// Stop when the decrease of the loss still to be had is about this.
    pub tolerance: f64,
}

impl Default for HazardOptions {
    fn default() -> Self {
        Self { ridge: 0.0, smoothing: 0.01, max_iterations: 2000, tolerance: 1e-9 }
    }
}

/// A fitted logistic hazard per interval and cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiscreteHazard {
    grid: Arc<TimeGrid>,
    /// α_jc at x = 0, `[interval][cause]`.
    intercepts: Vec<Vec<f64>>,
    /// β_c, `[cause][column]`.
    coefficients: Vec<Vec<f64>>,
    log_likelihood: f64,
    iterations: usize,
    options: HazardOptions,
}

impl DiscreteHazard {
    /// Fits causes 0..`causes` on an n × p table; memory O(n p), time per iteration O(n (p + intervals at risk) C).
    ///
    /// # Errors
    /// When shapes differ, a value is not finite, nothing failed on the grid, a failure is of an unknown cause,
    /// a column is constant or collinear with `ridge` 0, or the iteration does not settle.
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        grid: &Arc<TimeGrid>,
        causes: usize,
        options: &HazardOptions,
    ) -> Result<Self> {
        check_ridge(options.ridge)?;
        check_ridge(options.smoothing)?;
        let table = Standardised::new(x, observations)?;
        check_causes(observations, causes)?;
        if options.ridge <= 0.0 {
            table.refuse_dependent_columns()?;
        }
        let periods: Vec<PersonPeriods> = observations.iter().map(|o| PersonPeriods::of(o, grid)).collect();
        if periods.iter().all(|p| p.failed_of.is_none()) {
            return Err(SurvivalError::NoFailures { rows: observations.len() });
        }
        let problem = Loss::new(&table, &periods, grid.intervals(), causes, options);
        let limits = Limits { max_iterations: options.max_iterations, tolerance: options.tolerance };
        let end = minimise(|p, g| problem.evaluate(p, g), problem.start(), &problem.diagonal(), limits);
        if !end.converged {
            return Err(SurvivalError::NoConvergence {
                what: "discrete hazard",
                iterations: end.iterations,
                last_step: end.decrease_left,
            });
        }
        let (alpha, beta) = end.point.split_at(grid.intervals() * causes);
        let coefficients: Vec<Vec<f64>> =
            (0..causes).map(|c| table.unscale(&beta[c * table.columns..(c + 1) * table.columns])).collect();
        let centres: Vec<f64> =
            coefficients.iter().map(|b| b.iter().zip(&table.means).map(|(b, m)| b * m).sum()).collect();
        let intercepts = alpha
            .chunks_exact(causes)
            .map(|row| row.iter().zip(&centres).map(|(a, centre)| a - centre).collect())
            .collect();
        let log_likelihood = problem.penalty(&end.point) - end.value;
        Ok(Self {
            grid: Arc::clone(grid),
            intercepts,
            coefficients,
            log_likelihood,
            iterations: end.iterations,
            options: *options,
        })
    }

    /// The grid it was fitted on.
    #[must_use]
    pub fn grid(&self) -> &Arc<TimeGrid> {
        &self.grid
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.coefficients.len()
    }

    /// α_jc at x = 0, `[interval][cause]`.
    #[must_use]
    pub fn intercepts(&self) -> &[Vec<f64>] {
        &self.intercepts
    }

    /// β_c per unit of the original columns, `[cause][column]`.
    #[must_use]
    pub fn coefficients(&self) -> &[Vec<f64>] {
        &self.coefficients
    }

    /// Log-likelihood of the training observations, without the penalties.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// L-BFGS iterations taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Logits of one row laid out `[interval][class]`, class 0 = survive with logit 0, as
    /// [`negative_log_likelihood`](crate::negative_log_likelihood) reads them.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn logits(&self, row: &[f64]) -> Result<Vec<f64>> {
        check_width(self.columns(), row.len())?;
        let effects = self.effects(row);
        Ok(self
            .intercepts
            .iter()
            .flat_map(|alpha| std::iter::once(0.0).chain(alpha.iter().zip(&effects).map(|(a, e)| a + e)))
            .collect())
    }

    /// h_jc: probability of failing of cause c in interval j given alive at its beginning, `[interval][cause]`.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn hazards(&self, row: &[f64]) -> Result<Vec<Vec<f64>>> {
        check_width(self.columns(), row.len())?;
        Ok(self.hazards_from(&self.effects(row)))
    }

    /// S and every F_c for every row of an n × p table.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn curves(&self, x: ArrayView2<'_, f64>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.columns(), x.ncols())?;
        check_finite(x)?;
        x.rows()
            .into_iter()
            .map(|row| SurvivalCurve::from_hazards(Arc::clone(&self.grid), &self.hazards_from(&self.effects(row))))
            .collect()
    }

    fn columns(&self) -> usize {
        self.coefficients.first().map_or(0, Vec::len)
    }

    fn effects<'a>(&self, row: impl IntoIterator<Item = &'a f64> + Clone) -> Vec<f64> {
        self.coefficients.iter().map(|beta| row.clone().into_iter().zip(beta).map(|(x, b)| x * b).sum()).collect()
    }

    fn hazards_from(&self, effects: &[f64]) -> Vec<Vec<f64>> {
        self.intercepts
            .iter()
            .map(|alpha| {
                let logits: Vec<f64> = alpha.iter().zip(effects).map(|(a, e)| a + e).collect();
                let largest = logits.iter().copied().fold(0.0, f64::max);
                let total = (-largest).exp() + logits.iter().map(|l| (l - largest).exp()).sum::<f64>();
                logits.iter().map(|l| (l - largest).exp() / total).collect()
            })
            .collect()
    }
}
