//! The classical families, each with its penalty chosen on the validation part.

use std::collections::BTreeSet;
use std::sync::Arc;

use datasets::progress::Progress;
use model::classical::{Classical, ClassicalModel, matrix};
use model::{CurveModel, ModelKind};
use survival::scores::log_likelihood::log_loss_contributions;
use survival::{
    AalenJohansen, AftLaw, AftOptions, CauseSpecificAft, CauseSpecificCox, CauseSpecificWeibull, CoxOptions,
    DiscreteHazard, HazardOptions, StratifiedAalenJohansen, TimeGrid,
};

use crate::config::ClassicalConfig;
use crate::error::{Result, TrainError};
use crate::evaluate::mean;
use crate::fit::Part;
use crate::lives::Lives;

/// Gain in log-likelihood below which a fit stops: far below what a validation score can see.
pub(crate) const FIT_TOLERANCE: f64 = 1e-5;

/// Fits one classical family.
///
/// # Errors
/// When no penalty gives a fit, or age-only finds no age.
#[expect(clippy::too_many_arguments, reason = "one call, from the dispatch over families")]
pub(crate) fn fit_classical(
    kind: ModelKind,
    config: &ClassicalConfig,
    grid: &Arc<TimeGrid>,
    causes: usize,
    names: &[String],
    lives: Option<&Lives>,
    train: Part<'_>,
    validation: Part<'_>,
    progress: &dyn Progress,
    notes: &mut Vec<String>,
) -> Result<ClassicalModel> {
    let observations = train.observations;
    if kind == ModelKind::KaplanMeier {
        return Ok(ClassicalModel::KaplanMeier { fitted: AalenJohansen::fit(observations, causes)? });
    }
    if kind == ModelKind::KaplanMeierByClass {
        return class_table(causes, grid, names, train, validation, notes);
    }
    let columns = if kind == ModelKind::AgeOnly { Some(age_columns(names)?) } else { None };
    let x = matrix(train.design, columns.as_deref())?;
    let fit_one = |ridge: f64| -> Result<ClassicalModel> {
        Ok(match kind {
            ModelKind::Weibull => {
                let options = AftOptions { ridge, tolerance: FIT_TOLERANCE, ..AftOptions::default() };
                ClassicalModel::Weibull { fitted: CauseSpecificWeibull::fit(x.view(), observations, causes, &options)? }
            }
            ModelKind::CoxTimeVarying => lives.ok_or_else(no_age)?.fit(&x.view(), observations, causes, ridge)?,
            ModelKind::LogLogistic => {
                let options = AftOptions { ridge, tolerance: FIT_TOLERANCE, ..AftOptions::default() };
                let laws = [AftLaw::LogLogistic];
                ClassicalModel::Aft { fitted: CauseSpecificAft::fit(x.view(), observations, causes, &laws, &options)? }
            }
            ModelKind::DiscreteHazard => {
                let options = HazardOptions { ridge, tolerance: FIT_TOLERANCE, ..HazardOptions::default() };
                ClassicalModel::DiscreteHazard {
                    fitted: DiscreteHazard::fit(x.view(), observations, grid, causes, &options)?,
                }
            }
            _ => {
                let options = CoxOptions { ridge, tolerance: FIT_TOLERANCE, ..CoxOptions::default() };
                ClassicalModel::Cox {
                    fitted: CauseSpecificCox::fit(x.view(), observations, causes, &options)?,
                    columns: columns.clone(),
                }
            }
        })
    };
    progress.begin(&format!("fitting {}, ridge penalties", kind.name()), Some(config.ridges.len() as u64));
    let mut best: Option<(f64, f64, ClassicalModel)> = None;
    let mut last_error = None;
    for &ridge in &config.ridges {
        match fit_one(ridge) {
            Ok(model) => {
                let classical = Classical::new(model, grid.clone());
                let curves = classical.curves(validation.design)?;
                let loss = mean(&log_loss_contributions(validation.observations, &curves)?);
                tracing::info!(model = kind.name(), ridge, loss, "validation");
                if best.as_ref().is_none_or(|(_, least, _)| loss < *least) {
                    best = Some((ridge, loss, classical.into_model()));
                }
            }
            Err(error) => {
                notes.push(format!("ridge {ridge}: {error}"));
                last_error = Some(error);
            }
        }
        progress.advance(1);
    }
    progress.end();
    match (best, last_error) {
        (Some((ridge, _, model)), _) => {
            notes.push(format!("ridge {ridge} chosen on validation among {:?}", config.ridges));
            Ok(model)
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(TrainError::Data { model: kind.name().to_owned(), reason: "no ridge given".to_owned() }),
    }
}

/// The design columns that tell age and nothing else.
fn age_columns(names: &[String]) -> Result<Vec<usize>> {
    let columns: Vec<usize> = names.iter().enumerate().filter(|(_, name)| *name == "age").map(|(at, _)| at).collect();
    if columns.is_empty() {
        return Err(no_age());
    }
    Ok(columns)
}

fn no_age() -> TrainError {
    TrainError::Data {
        model: "a model over ages".to_owned(),
        reason: "the feature spec has no column named age".to_owned(),
    }
}

/// Values a column may take to tell classes apart.
const MOST_VALUES: usize = 6;
/// Columns a class is made of at most.
const MOST_COLUMNS: usize = 3;
/// Failures a class needs for a table of its own.
const LEAST_FAILURES: usize = 10;

/// A life table per class; columns join one by one while the validation part likes it.
fn class_table(
    causes: usize,
    grid: &Arc<TimeGrid>,
    names: &[String],
    train: Part<'_>,
    validation: Part<'_>,
    notes: &mut Vec<String>,
) -> Result<ClassicalModel> {
    let (x, held) = (matrix(train.design, None)?, matrix(validation.design, None)?);
    let few: Vec<usize> = (0..train.design.width)
        .filter(|&column| {
            let mut distinct = BTreeSet::new();
            // The first value too many ends the look.
            let many = x.column(column).iter().any(|v| distinct.insert(v.to_bits()) && distinct.len() > MOST_VALUES);
            !many && distinct.len() > 1
        })
        .collect();
    let fit = |columns: &[usize]| -> Result<(f64, StratifiedAalenJohansen)> {
        let fitted = StratifiedAalenJohansen::fit(x.view(), train.observations, causes, columns, LEAST_FAILURES)?;
        let curves = fitted.curves(held.view(), grid)?;
        Ok((mean(&log_loss_contributions(validation.observations, &curves)?), fitted))
    };
    let mut columns: Vec<usize> = Vec::new();
    let mut best = fit(&columns)?;
    while columns.len() < MOST_COLUMNS {
        let mut next: Option<(usize, (f64, StratifiedAalenJohansen))> = None;
        for &column in few.iter().filter(|column| !columns.contains(column)) {
            let mut wider = columns.clone();
            wider.push(column);
            // Too many classes: this column does not join.
            let Ok(found) = fit(&wider) else { continue };
            if found.0 < next.as_ref().map_or(best.0, |(_, (loss, _))| *loss) {
                next = Some((column, found));
            }
        }
        let Some((column, found)) = next else { break };
        columns.push(column);
        best = found;
    }
    let chosen: Vec<&str> = columns.iter().map(|&column| names.get(column).map_or("", String::as_str)).collect();
    notes.push(format!("classes by {chosen:?}, chosen on validation among {} few-valued columns", few.len()));
    Ok(ClassicalModel::ClassTable { fitted: best.1 })
}
