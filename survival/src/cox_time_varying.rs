//! Proportional hazards with covariates that change: λ(t|x(·)) = λ₀(t)·exp((x(t) − x̄)·β).
//!
//! The fit needs each unit's covariates only while it was watched. A prediction needs their future, which nobody knows:
//! every call therefore names the path it assumes, see [`CovariatePath`].

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::competing::{curve_from_cumulative_hazards, fit_each_cause};
use crate::cox::CoxOptions;
use crate::cox_diagnostics::CoxDiagnostics;
use crate::cox_newton::Baseline;
use crate::cox_strata::{StratifiedCox, capped};
use crate::start_stop::StartStopRows;
use crate::table::{check_finite, check_width};
use crate::{Cause, Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// What the covariates are assumed to do after `as_of`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CovariatePath<'a> {
    /// They stay as known at `as_of`: a landmark prediction. For covariates that drift as units wear it understates the
    /// later risk, because the model was fitted with the values of the moment.
    Held,
    /// They change as given, one list of changes per row. For covariates that the unit produces itself (its own load or
    /// temperature) the result is a what-if: knowing their future would mean knowing that the unit lives.
    Given(&'a [Vec<CovariateChange>]),
}

/// From this time on the unit has these covariates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CovariateChange {
    /// Time after `as_of`, above 0.
    pub after: f64,
    /// The whole row of covariates from then on.
    pub x: Vec<f64>,
}

/// A fitted Cox model over start–stop rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeVaryingCox {
    cox: StratifiedCox,
    units: usize,
}

impl TimeVaryingCox {
    /// Fits with every failure, of whatever cause, as the event. `strata`: columns that take a baseline of their own
    /// instead of a coefficient, often none.
    ///
    /// # Errors
    /// As [`StratifiedCox::fit`].
    pub fn fit(rows: &StartStopRows<'_>, strata: &[usize], options: &CoxOptions) -> Result<Self> {
        let events: Vec<bool> = rows.observations.iter().map(Observation::failed).collect();
        Self::fit_events(rows, &events, strata, options)
    }

    /// The same with `events[i]` saying whether row i ended in the event.
    ///
    /// # Errors
    /// As [`StratifiedCox::fit`].
    pub fn fit_events(
        rows: &StartStopRows<'_>,
        events: &[bool],
        strata: &[usize],
        options: &CoxOptions,
    ) -> Result<Self> {
        let cox = StratifiedCox::fit_events(rows.x, rows.observations, events, strata, options)?;
        Ok(Self { cox, units: rows.count() })
    }

    /// Coefficients, errors, baselines.
    #[must_use]
    pub fn cox(&self) -> &StratifiedCox {
        &self.cox
    }

    /// Number of units it was fitted on.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units
    }

    /// Residuals, robust errors (take [`StartStopRows::units`] as clusters) and the test of proportional hazards.
    ///
    /// # Errors
    /// As [`StratifiedCox::diagnostics`].
    pub fn diagnostics(&self, rows: &StartStopRows<'_>) -> Result<CoxDiagnostics> {
        self.cox.diagnostics(rows.x, rows.observations)
    }

    /// S(t | alive at `as_of`, path) at the edges, for units whose clock starts at `as_of`, as in landmark data.
    ///
    /// # Errors
    /// As [`TimeVaryingCox::curves_at`].
    pub fn curves(
        &self,
        x: ArrayView2<'_, f64>,
        grid: &Arc<TimeGrid>,
        path: CovariatePath<'_>,
    ) -> Result<Vec<SurvivalCurve>> {
        self.curves_at(x, &vec![0.0; x.nrows()], grid, path)
    }

    /// The same for units whose clock shows `ages[i]` at `as_of`: exp(−Σ_pieces e^η (Λ₀(age + end) − Λ₀(age + begin))).
    /// Beyond the last failure time seen in training Λ₀ is carried forward.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite, a row belongs to a stratum
    /// that training never saw, an age is negative, not finite, or at or beyond the last failure of training, or a path
    /// is malformed.
    pub fn curves_at(
        &self,
        x: ArrayView2<'_, f64>,
        ages: &[f64],
        grid: &Arc<TimeGrid>,
        path: CovariatePath<'_>,
    ) -> Result<Vec<SurvivalCurve>> {
        curves_along(&[Some(self)], self.cox.width(), x, ages, grid, path)
    }
}

/// One time-varying Cox model per cause, the other causes censored, joined into one curve.
///
/// A cause without a single failure in the training data has hazard 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseSpecificTimeVaryingCox {
    columns: usize,
    models: Vec<Option<TimeVaryingCox>>,
}

impl CauseSpecificTimeVaryingCox {
    /// Fits causes 0..`causes`.
    ///
    /// # Errors
    /// As [`TimeVaryingCox::fit`], and when a failure is of a cause at or beyond `causes`.
    pub fn fit(rows: &StartStopRows<'_>, causes: usize, strata: &[usize], options: &CoxOptions) -> Result<Self> {
        let models = fit_each_cause(rows.observations, causes, |events| {
            TimeVaryingCox::fit_events(rows, events, strata, options)
        })?;
        Ok(Self { columns: rows.x.ncols(), models })
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.models.len()
    }

    /// The model of one cause; `None` when that cause never happened.
    #[must_use]
    pub fn model(&self, cause: Cause) -> Option<&TimeVaryingCox> {
        self.models.get(usize::from(cause.0)).and_then(Option::as_ref)
    }

    /// S and every F_c for every row, for units whose clock starts at `as_of`.
    ///
    /// # Errors
    /// As [`TimeVaryingCox::curves_at`].
    pub fn curves(
        &self,
        x: ArrayView2<'_, f64>,
        grid: &Arc<TimeGrid>,
        path: CovariatePath<'_>,
    ) -> Result<Vec<SurvivalCurve>> {
        self.curves_at(x, &vec![0.0; x.nrows()], grid, path)
    }

    /// The same for units whose clock shows `ages[i]` at `as_of`.
    ///
    /// # Errors
    /// As [`TimeVaryingCox::curves_at`].
    pub fn curves_at(
        &self,
        x: ArrayView2<'_, f64>,
        ages: &[f64],
        grid: &Arc<TimeGrid>,
        path: CovariatePath<'_>,
    ) -> Result<Vec<SurvivalCurve>> {
        let models: Vec<_> = self.models.iter().map(Option::as_ref).collect();
        curves_along(&models, self.columns, x, ages, grid, path)
    }
}

fn curves_along(
    models: &[Option<&TimeVaryingCox>],
    width: usize,
    x: ArrayView2<'_, f64>,
    ages: &[f64],
    grid: &Arc<TimeGrid>,
    path: CovariatePath<'_>,
) -> Result<Vec<SurvivalCurve>> {
    check_width(width, x.ncols())?;
    check_finite(x)?;
    check_ages(models, x.nrows(), ages)?;
    let nothing = vec![];
    if let CovariatePath::Given(paths) = path {
        if paths.len() != x.nrows() {
            return Err(SurvivalError::Shape { what: "covariate paths", expected: x.nrows(), got: paths.len() });
        }
        for changes in paths {
            check_changes(changes, width)?;
        }
    }
    let mut hazards = vec![vec![0.0; grid.edges().len()]; models.len()];
    x.rows()
        .into_iter()
        .enumerate()
        .map(|(index, row)| {
            let changes = match path {
                CovariatePath::Held => &nothing,
                CovariatePath::Given(paths) => &paths[index],
            };
            for (model, out) in models.iter().zip(&mut hazards) {
                let Some(model) = model else { continue };
                hazards_along(&model.cox, index, row, changes, ages[index], grid, out)?;
            }
            curve_from_cumulative_hazards(grid, &hazards)
        })
        .collect()
}

/// Λ gathered from `age` on, at every edge after `as_of`.
fn hazards_along(
    cox: &StratifiedCox,
    index: usize,
    row: ArrayView1<'_, f64>,
    changes: &[CovariateChange],
    age: f64,
    grid: &TimeGrid,
    out: &mut [f64],
) -> Result<()> {
    let (mut baseline, mut ratio): (&Baseline, f64) = cox.baseline_and_ratio(index, row)?;
    let (mut gathered, mut begun) = (0.0, baseline.at(age));
    let mut waiting = changes.iter().peekable();
    for (value, &edge) in out.iter_mut().zip(grid.edges()) {
        while let Some(change) = waiting.next_if(|change| change.after < edge) {
            gathered = capped(gathered + (baseline.at(age + change.after) - begun) * ratio);
            (baseline, ratio) = cox.baseline_and_ratio(index, ArrayView1::from(&change.x))?;
            begun = baseline.at(age + change.after);
        }
        *value = capped(gathered + (baseline.at(age + edge) - begun) * ratio);
    }
    Ok(())
}

/// From the last failure of training on the baseline says nothing, and a flat curve would read as safety.
fn check_ages(models: &[Option<&TimeVaryingCox>], rows: usize, ages: &[f64]) -> Result<()> {
    if ages.len() != rows {
        return Err(SurvivalError::Shape { what: "ages at as_of", expected: rows, got: ages.len() });
    }
    let last = models
        .iter()
        .flatten()
        .flat_map(|model| model.cox.baselines())
        .filter_map(|baseline| baseline.times.last().copied())
        .fold(0.0, f64::max);
    match ages.iter().find(|age| !(**age >= 0.0 && **age < last)) {
        None => Ok(()),
        Some(&value) => Err(SurvivalError::Domain {
            what: "age at as_of",
            value,
            domain: "at least 0 and below the last failure time seen in training",
        }),
    }
}

fn check_changes(changes: &[CovariateChange], width: usize) -> Result<()> {
    let mut before = 0.0;
    for (row, change) in changes.iter().enumerate() {
        if !(change.after.is_finite() && change.after > before) {
            return Err(SurvivalError::Domain {
                what: "time of a covariate change after as_of",
                value: change.after,
                domain: "finite, above 0 and above the change before it",
            });
        }
        before = change.after;
        check_width(width, change.x.len())?;
        if let Some(column) = change.x.iter().position(|v| !v.is_finite()) {
            return Err(SurvivalError::NonFinite { what: "covariate path", row, column, value: change.x[column] });
        }
    }
    Ok(())
}
