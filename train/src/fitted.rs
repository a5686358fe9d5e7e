//! Any family, fitted on the same rows: normaliser and model on the training part, choices on validation,
//! probabilities and quantile levels on calibration, alarm levels on validation.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use datasets::progress::Progress;
use features::{Design, FeatureBatch, FeatureSpec, LabeledBatch, Normalizer};
use model::bundle::BundlePredictor;
use model::classical::{Classical, ClassicalModel, matrix};
use model::device::{Chosen, choose};
use model::neural::Neural;
use model::{AlarmLevels, Calibration, CurveModel, Fitted, ModelKind, Predictor};
use survival::scores::log_likelihood::log_loss_contributions;
use survival::{
    AalenJohansen, AftOptions, CauseSpecificCox, CauseSpecificWeibull, CensorReason, CoxOptions, DiscreteHazard,
    HazardOptions, KaplanMeier, Observation, Outcome, Readout, SurvivalCurve, TimeGrid,
};

use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::fit::{Epoch, Part, Run, fit_network};

/// Failures a calibration part must hold before it may move a probability.
const LEAST_FAILURES: usize = 20;

/// The parts a model is fitted on, and what they mean.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// What a feature row is.
    pub spec: &'a FeatureSpec,
    /// Time axis.
    pub grid: &'a Arc<TimeGrid>,
    /// Cause names.
    pub causes: &'a [String],
    /// Horizons and nominal quantile levels.
    pub readout: &'a Readout,
    /// Everything fitted is fitted here.
    pub train: &'a LabeledBatch,
    /// Choices are made here.
    pub validation: &'a LabeledBatch,
    /// Calibration happens here.
    pub calibration: &'a LabeledBatch,
}

/// Normalised input of every part, shared by all families.
pub struct Prepared {
    /// Fitted on the training part.
    pub normalizer: Normalizer,
    train: Design,
    validation: Design,
    calibration: Design,
}

/// A fitted model with everything a prediction needs.
pub struct FittedModel {
    /// Family.
    pub kind: ModelKind,
    /// The fitted part.
    pub fitted: Fitted,
    /// Input scaling.
    pub normalizer: Normalizer,
    /// Output scaling.
    pub calibration: Calibration,
    /// Horizons and calibrated quantile levels.
    pub readout: Readout,
    /// Alarm levels.
    pub alarms: AlarmLevels,
    /// One entry per epoch, for a network.
    pub history: Vec<Epoch>,
    /// What was chosen on the validation part, and what could not be fitted.
    pub notes: Vec<String>,
    /// Wall-clock seconds of fitting, choices included.
    pub seconds: f64,
    /// Device it was fitted on.
    pub device: String,
}

/// Fits the normaliser on the training part and scales every part with it.
///
/// # Errors
/// When the training part is empty or the spec does not fit.
pub fn prepare(parts: Parts<'_>) -> Result<Prepared> {
    let normalizer = Normalizer::fit(parts.spec, &parts.train.features)?;
    Ok(Prepared {
        train: normalizer.design(&parts.train.features)?,
        validation: normalizer.design(&parts.validation.features)?,
        calibration: normalizer.design(&parts.calibration.features)?,
        normalizer,
    })
}

/// Fits one family.
///
/// # Errors
/// When a part holds no failure, a fit does not converge, or the device is refused.
pub fn fit_model(
    kind: ModelKind,
    parts: Parts<'_>,
    prepared: &Prepared,
    config: &TrainConfig,
    checkpoints: Option<&Path>,
    progress: &dyn Progress,
) -> Result<FittedModel> {
    let started = Instant::now();
    let failures = parts.train.observations.iter().filter(|o| o.failed()).count();
    if failures == 0 {
        let reason = format!("no failure among the {} rows of the training part", parts.train.rows());
        return Err(TrainError::Data { model: kind.name().to_owned(), reason });
    }
    let mut notes = Vec::new();
    let mut history = Vec::new();
    let mut device = Chosen::cpu("classical models are fitted on the CPU");
    let fitted = match kind {
        ModelKind::HazardNet => {
            device = choose(config.device)?;
            notes.push(format!("trained on {}: {}", device.name, device.why));
            let run = Run {
                network: &config.network,
                fit: &config.fit,
                seed: config.seed,
                device: &device,
                checkpoints,
                progress,
            };
            let train = Part { design: &prepared.train, observations: &parts.train.observations };
            let validation = Part { design: &prepared.validation, observations: &parts.validation.observations };
            let result = fit_network(&run, parts.grid, parts.causes.len(), train, validation)?;
            history = result.history;
            if let Some(best) = history.iter().min_by(|a, b| a.validation.total_cmp(&b.validation)) {
                notes.push(format!("epoch {} of {} chosen on validation", best.epoch, history.len()));
            }
            Fitted::Neural(Box::new(result.network), config.network.clone(), result.shape)
        }
        _ => Fitted::Classical(fit_classical(kind, parts, prepared, config, progress, &mut notes)?),
    };
    let mut model = FittedModel {
        kind,
        fitted,
        normalizer: prepared.normalizer.clone(),
        calibration: Calibration::identity(parts.causes.len()),
        readout: parts.readout.clone(),
        alarms: AlarmLevels { horizon: 0.0, elevated_budget: 0.0, elevated: 1.0, high_budget: 0.0, high: 1.0 },
        history,
        notes,
        seconds: 0.0,
        device: device.name.clone(),
    };
    calibrate(&mut model, parts, prepared, config)?;
    model.seconds = started.elapsed().as_secs_f64();
    Ok(model)
}

impl FittedModel {
    /// The model as a predictor on the CPU.
    ///
    /// # Errors
    /// When network and grid do not fit.
    pub fn predictor(&self, grid: &Arc<TimeGrid>) -> Result<BundlePredictor> {
        Ok(BundlePredictor::new(self.normalizer.clone(), self.core(grid)?, self.calibration.clone()))
    }

    /// Curves of a batch.
    ///
    /// # Errors
    /// When the batch was made for another spec.
    pub fn predict(&self, grid: &Arc<TimeGrid>, batch: &FeatureBatch) -> Result<Vec<SurvivalCurve>> {
        Ok(self.predictor(grid)?.predict(batch)?)
    }

    fn core(&self, grid: &Arc<TimeGrid>) -> Result<Box<dyn CurveModel>> {
        Ok(match &self.fitted {
            Fitted::Classical(model) => Box::new(Classical::new(model.clone(), grid.clone())),
            Fitted::Neural(network, _, shape) => Box::new(Neural::try_new(
                (**network).clone(),
                grid.clone(),
                burn::tensor::Device::flex(),
                shape.width,
                (shape.steps, shape.channels),
            )?),
        })
    }
}

fn fit_classical(
    kind: ModelKind,
    parts: Parts<'_>,
    prepared: &Prepared,
    config: &TrainConfig,
    progress: &dyn Progress,
    notes: &mut Vec<String>,
) -> Result<ClassicalModel> {
    let observations = &parts.train.observations;
    let causes = parts.causes.len();
    if kind == ModelKind::KaplanMeier {
        return Ok(ClassicalModel::KaplanMeier { fitted: AalenJohansen::fit(observations, causes)? });
    }
    let columns = if kind == ModelKind::AgeOnly { Some(age_columns(prepared)?) } else { None };
    let x = matrix(&prepared.train, columns.as_deref())?;
    let fit_one = |ridge: f64| -> Result<ClassicalModel> {
        Ok(match kind {
            ModelKind::Weibull => ClassicalModel::Weibull {
                fitted: CauseSpecificWeibull::fit(
                    x.view(),
                    observations,
                    causes,
                    &AftOptions { ridge, tolerance: FIT_TOLERANCE, ..AftOptions::default() },
                )?,
            },
            ModelKind::DiscreteHazard => ClassicalModel::DiscreteHazard {
                fitted: DiscreteHazard::fit(
                    x.view(),
                    observations,
                    parts.grid,
                    causes,
                    &HazardOptions { ridge, tolerance: FIT_TOLERANCE, ..HazardOptions::default() },
                )?,
            },
            _ => ClassicalModel::Cox {
                fitted: CauseSpecificCox::fit(
                    x.view(),
                    observations,
                    causes,
                    &CoxOptions { ridge, tolerance: FIT_TOLERANCE, ..CoxOptions::default() },
                )?,
                columns: columns.clone(),
            },
        })
    };
    progress.begin(&format!("fitting {}, ridge penalties", kind.name()), Some(config.classical.ridges.len() as u64));
    let mut best: Option<(f64, f64, ClassicalModel)> = None;
    let mut last_error = None;
    for &ridge in &config.classical.ridges {
        match fit_one(ridge) {
            Ok(model) => {
                let classical = Classical::new(model, parts.grid.clone());
                let curves = classical.curves(&prepared.validation)?;
                let loss = mean(&log_loss_contributions(&parts.validation.observations, &curves)?);
                tracing::info!(model = kind.name(), ridge, loss, "validation");
                if best.as_ref().is_none_or(|(_, least, _)| loss < *least) {
                    best = Some((ridge, loss, classical.model().clone()));
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
            notes.push(format!("ridge {ridge} chosen on validation among {:?}", config.classical.ridges));
            Ok(model)
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(TrainError::Data { model: kind.name().to_owned(), reason: "no ridge given".to_owned() }),
    }
}

/// Gain in log-likelihood below which a fit stops: far below what a validation score can see.
const FIT_TOLERANCE: f64 = 1e-5;

/// The design columns that tell age and nothing else.
fn age_columns(prepared: &Prepared) -> Result<Vec<usize>> {
    let columns: Vec<usize> =
        prepared.normalizer.names().iter().enumerate().filter(|(_, name)| *name == "age").map(|(at, _)| at).collect();
    if columns.is_empty() {
        return Err(TrainError::Data {
            model: ModelKind::AgeOnly.name().to_owned(),
            reason: "the feature spec has no column named age".to_owned(),
        });
    }
    Ok(columns)
}

/// Calibration of hazards and quantile levels on the calibration part, alarm levels on validation.
fn calibrate(model: &mut FittedModel, parts: Parts<'_>, prepared: &Prepared, config: &TrainConfig) -> Result<()> {
    let core = model.core(parts.grid)?;
    let raw = if prepared.calibration.rows == 0 { Vec::new() } else { core.curves(&prepared.calibration)? };
    let observations = &parts.calibration.observations;
    let failures = observations.iter().filter(|o| o.failed()).count();
    // The life table is its own calibration; scaling it by another part's luck helps nobody.
    if failures >= LEAST_FAILURES && model.kind != ModelKind::KaplanMeier {
        model.calibration = Calibration::fit(&raw, observations)?;
    } else if failures < LEAST_FAILURES {
        model.notes.push(format!("not calibrated: {failures} failures in the calibration part, need {LEAST_FAILURES}"));
    }
    let calibrated = |curves: Vec<SurvivalCurve>| -> Result<Vec<SurvivalCurve>> {
        curves.iter().map(|curve| Ok(model.calibration.apply(curve)?)).collect()
    };
    let curves = calibrated(raw)?;
    let validation = calibrated(core.curves(&prepared.validation)?)?;
    if failures >= LEAST_FAILURES {
        model.readout.quantile_levels = conformal_levels(&curves, observations, &parts.readout.quantiles)?;
    }
    let horizon = parts.readout.horizons.last().copied().unwrap_or(parts.grid.last_edge());
    let mut risks = validation
        .iter()
        .map(|curve| curve.failure_probability(horizon))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    risks.sort_unstable_by(f64::total_cmp);
    model.alarms = AlarmLevels {
        horizon,
        elevated_budget: config.alarms.elevated_budget,
        elevated: level(&risks, config.alarms.elevated_budget),
        high_budget: config.alarms.high_budget,
        high: level(&risks, config.alarms.high_budget),
    };
    Ok(())
}

/// Smallest level with at most `budget` of the sorted risks above it; nobody alarms where all are equal.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of rows"
)]
fn level(sorted: &[f64], budget: f64) -> f64 {
    let allowed = (sorted.len() as f64 * budget).floor() as usize;
    let at = sorted.len().saturating_sub(allowed + 1);
    sorted.get(at).copied().unwrap_or(1.0).next_up().min(1.0)
}

/// Curve levels at which nominal RUL quantiles cover what they say on the calibration part.
///
/// U = F(T | x) is uniform under a right curve; its Kaplan–Meier estimate over censored rows gives, for each
/// nominal q, the level q′ with P(U ≤ q′) = q (split conformal prediction with censored scores; compare
/// Candès, Lei & Ren 2023). Levels not reached within the grid stay nominal.
fn conformal_levels(curves: &[SurvivalCurve], observations: &[Observation], nominal: &[f64]) -> Result<Vec<f64>> {
    let mut scores = Vec::with_capacity(curves.len());
    for (curve, observation) in curves.iter().zip(observations) {
        let last = curve.grid().last_edge();
        let within = observation.duration() <= last;
        let level = 1.0 - curve.survival_at(observation.duration().min(last))?;
        let outcome = match observation.outcome() {
            Outcome::Failed(cause) if within => Outcome::Failed(cause),
            _ => Outcome::Censored(CensorReason::EndOfObservation),
        };
        scores.push(Observation::try_new(level.max(1e-12), outcome)?);
    }
    let distribution = KaplanMeier::fit(&scores)?;
    let mut levels: Vec<f64> = Vec::with_capacity(nominal.len());
    for &q in nominal {
        let reached = distribution.survival().iter().position(|&s| 1.0 - s >= q).map(|at| distribution.times()[at]);
        let previous = levels.last().copied().unwrap_or(0.0);
        levels.push(reached.unwrap_or(q).clamp(1e-9, 1.0 - 1e-9).max(previous));
    }
    Ok(levels)
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
