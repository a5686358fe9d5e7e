//! Proportional hazards with a baseline per stratum: λ(t|x, s) = λ₀ₛ(t)·exp(η).
//!
//! For a column whose hazards are not proportional, or that only sorts units into kinds: it takes no coefficient, and
//! each combination of values has its own baseline. Risk sets never mix strata; β is shared.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::classes::Classes;
use crate::competing::curve_from_cumulative_hazards;
use crate::cox::CoxOptions;
use crate::cox_diagnostics::CoxDiagnostics;
use crate::cox_newton::{Baseline, CoxFit, fit_cox};
use crate::table::{Standardised, check_finite, check_ridge, check_width};
use crate::{Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// A fitted Cox model with one baseline per stratum.
///
/// A stratum without a single failure in training has hazard 0; [`StratifiedCox::baselines`] shows which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StratifiedCox {
    classes: Classes,
    covariates: Vec<usize>,
    coefficients: Vec<f64>,
    standard_errors: Vec<f64>,
    means: Vec<f64>,
    baselines: Vec<Baseline>,
    log_likelihood: f64,
    null_log_likelihood: f64,
    iterations: usize,
    options: CoxOptions,
}

impl StratifiedCox {
    /// Fits with every failure, of whatever cause, as the event. `strata`: columns of the n × p table whose
    /// combinations are the strata; all other columns are covariates. No column: one baseline for all.
    ///
    /// # Errors
    /// As [`CoxModel::fit`](crate::CoxModel::fit), and when a stratum column is unknown or named twice or the columns
    /// make more than 1000 strata.
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        strata: &[usize],
        options: &CoxOptions,
    ) -> Result<Self> {
        let events: Vec<bool> = observations.iter().map(Observation::failed).collect();
        Self::fit_events(x, observations, &events, strata, options)
    }

    /// The same with `events[i]` saying whether row i ended in the event.
    ///
    /// # Errors
    /// As [`StratifiedCox::fit`].
    pub fn fit_events(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
        strata: &[usize],
        options: &CoxOptions,
    ) -> Result<Self> {
        check_ridge(options.ridge)?;
        let (classes, of_row) = Classes::learn(x, strata)?;
        let covariates = classes.others();
        let table = Standardised::new(x.select(Axis(1), &covariates).view(), observations)?;
        let fit = fit_cox(&table, observations, events, classes.members(&of_row), options);
        let CoxFit { coefficients, standard_errors, baselines, log_likelihood, null_log_likelihood, iterations } =
            fit.map_err(|error| in_whole_table(error, &covariates))?;
        Ok(Self {
            classes,
            covariates,
            coefficients,
            standard_errors,
            means: table.means,
            baselines,
            log_likelihood,
            null_log_likelihood,
            iterations,
            options: *options,
        })
    }

    /// The columns of the table that take a coefficient, in the order of [`StratifiedCox::coefficients`].
    #[must_use]
    pub fn covariates(&self) -> &[usize] {
        &self.covariates
    }

    /// β per unit of the original columns.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// Square roots of the diagonal of the inverse (penalised) information.
    #[must_use]
    pub fn standard_errors(&self) -> &[f64] {
        &self.standard_errors
    }

    /// Values of the stratum columns, one entry per stratum.
    #[must_use]
    pub fn strata(&self) -> &[Vec<f64>] {
        self.classes.values()
    }

    /// Baseline per stratum, for covariates at their means over all rows; empty where no unit failed.
    #[must_use]
    pub fn baselines(&self) -> &[Baseline] {
        &self.baselines
    }

    /// Log partial likelihood at β̂, summed over strata, without the penalty.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// Log partial likelihood at β = 0.
    #[must_use]
    pub fn null_log_likelihood(&self) -> f64 {
        self.null_log_likelihood
    }

    /// Newton steps taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Columns of the whole table.
    pub(crate) fn width(&self) -> usize {
        self.classes.width()
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
    /// As [`StratifiedCox::diagnostics`].
    pub fn diagnostics_of_events(
        &self,
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
    ) -> Result<CoxDiagnostics> {
        check_width(self.width(), x.ncols())?;
        check_finite(x)?;
        let of_row = x
            .rows()
            .into_iter()
            .enumerate()
            .map(|(index, row)| self.stratum(index, row))
            .collect::<Result<Vec<usize>>>()?;
        let covariates = x.select(Axis(1), &self.covariates);
        let members = self.classes.members(&of_row);
        CoxDiagnostics::new(covariates.view(), observations, events, members, &self.coefficients, &self.options)
            .map_err(|error| in_whole_table(error, &self.covariates))
    }

    /// S at the edges for every row of an n × p table; beyond the last failure time of the stratum Λ₀ is carried
    /// forward.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite, or a row belongs to a
    /// stratum that training never saw.
    pub fn survival_on_grid(&self, x: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.width(), x.ncols())?;
        check_finite(x)?;
        let mut hazards = vec![vec![0.0; grid.edges().len()]];
        x.rows()
            .into_iter()
            .enumerate()
            .map(|(index, row)| {
                let (baseline, ratio) = self.baseline_and_ratio(index, row)?;
                for (value, &edge) in hazards[0].iter_mut().zip(grid.edges()) {
                    *value = capped(baseline.at(edge) * ratio);
                }
                curve_from_cumulative_hazards(grid, &hazards)
            })
            .collect()
    }

    /// The baseline and hazard ratio of row `index`.
    pub(crate) fn baseline_and_ratio(&self, index: usize, row: ArrayView1<'_, f64>) -> Result<(&Baseline, f64)> {
        let stratum = self.stratum(index, row)?;
        let eta: f64 =
            self.covariates.iter().zip(&self.means).zip(&self.coefficients).map(|((&c, m), b)| (row[c] - m) * b).sum();
        // e^700 is the edge of f64: beyond it 0·∞ would turn "not yet" into NaN.
        Ok((&self.baselines[stratum], eta.min(700.0).exp()))
    }

    fn stratum(&self, index: usize, row: ArrayView1<'_, f64>) -> Result<usize> {
        self.classes.find(|column| row[column]).ok_or_else(|| SurvivalError::UnknownStratum {
            row: index,
            stratum: self.classes.describe(|column| row[column]),
        })
    }
}

/// Differences of cumulative hazards must stay finite.
pub(crate) fn capped(hazard: f64) -> f64 {
    hazard.min(f64::MAX / 1e6)
}

/// The fit knows covariates only; the reader knows columns of the whole table.
fn in_whole_table(error: SurvivalError, covariates: &[usize]) -> SurvivalError {
    match error {
        SurvivalError::Column { column, problem } => {
            SurvivalError::Column { column: covariates.get(column).copied().unwrap_or(column), problem }
        }
        other => other,
    }
}
