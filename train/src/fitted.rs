//! Any family, fitted on the same rows: normaliser, model, then calibration, quantile and alarm levels.
//!
//! Without cross-fitting there is one fit: model on the training part, choices on validation, probabilities and quantile
//! levels on calibration, alarm levels on validation. With K folds there are K, each on the groups outside its fold, and
//! every row is held out once (cross-fitting; the folds' models together are the bundle's). The normaliser has seen all
//! rows it scales, but no label.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use datasets::progress::Progress;
use features::split::group_bucket;
use features::{Design, FeatureBatch, FeatureSpec, LabeledBatch, Normalizer};
use model::bundle::BundlePredictor;
use model::device::{Chosen, choose};
use model::{AlarmLevels, Calibration, Fitted, Member, ModelKind, Predictor};
use survival::{CensoringWeights, Observation, Readout, SurvivalCurve, TimeGrid};

use crate::boosted_fit::fit_boosted;
use crate::calibrate::{Held, calibrate};
use crate::classical_fit::fit_classical;
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::evaluate::brier_times;
use crate::fit::{Epoch, Part, Run, fit_network};
use crate::lives::Lives;
use crate::stack::stack_weights;

/// Folds a stack's shares are chosen over where nothing else is said.
const STACK_FOLDS: u32 = 3;

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

/// Normalised input of every part, shared by all families, and who is fitted on what.
pub struct Prepared {
    /// Fitted on the rows that are fitted on.
    pub normalizer: Normalizer,
    design: Design,
    observations: Vec<Observation>,
    /// Whose life each row is a cut of, where ages are known.
    lives: Option<Lives>,
    fits: Vec<FitRows>,
    /// Rows that calibrate, and rows that set alarm levels.
    calibration: Vec<usize>,
    validation: Vec<usize>,
}

/// Row numbers of one fit.
struct FitRows {
    fit: Vec<usize>,
    /// Stops and chooses; with folds, also what this fit alone may predict.
    validate: Vec<usize>,
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
    /// One entry per epoch of the first network fitted.
    pub history: Vec<Epoch>,
    /// What was chosen on the validation part, and what could not be fitted.
    pub notes: Vec<String>,
    /// Wall-clock seconds of fitting, choices included.
    pub seconds: f64,
    /// Device it was fitted on.
    pub device: String,
}

/// Fits the normaliser and scales every part with it; `folds` as in [`TrainConfig::cross_fit`].
///
/// # Errors
/// When the training part is empty, the spec does not fit, or a fold would be empty.
pub fn prepare(parts: Parts<'_>, folds: u32) -> Result<Prepared> {
    let (train, validation, calibration) = (parts.train, parts.validation, parts.calibration);
    let (n, v, c) = (train.rows(), validation.rows(), calibration.rows());
    let mut all = train.features.clone();
    all.append(&validation.features)?;
    all.append(&calibration.features)?;
    let labels = || [train, validation, calibration].into_iter();
    let observations = labels().flat_map(|part| part.observations.iter().copied()).collect();
    let lives = Lives::of(parts.spec, &all);
    if folds == 0 {
        let normalizer = Normalizer::fit(parts.spec, &train.features)?;
        let fits = vec![FitRows { fit: (0..n).collect(), validate: (n..n + v).collect() }];
        let design = normalizer.design(&all)?;
        let (calibration, validation) = ((n + v..n + v + c).collect(), (n..n + v).collect());
        let lives = lives.map(|lives| lives.read_by(&normalizer));
        return Ok(Prepared { normalizer, design, observations, lives, fits, calibration, validation });
    }
    let normalizer = Normalizer::fit(parts.spec, &all)?;
    let fold_of: Vec<u32> =
        labels().flat_map(|part| &part.groups).map(|group| group_bucket("cross-fit", group) % folds).collect();
    let fits = (0..folds)
        .map(|fold| {
            let (validate, fit): (Vec<usize>, Vec<usize>) = (0..fold_of.len()).partition(|&row| fold_of[row] == fold);
            if validate.is_empty() || fit.is_empty() {
                let reason =
                    format!("fold {fold} of {folds} would be empty: too few groups; lower cross_fit or set it to 0");
                return Err(TrainError::Data { model: "any model".to_owned(), reason });
            }
            Ok(FitRows { fit, validate })
        })
        .collect::<Result<Vec<_>>>()?;
    let design = normalizer.design(&all)?;
    let rows: Vec<usize> = (0..fold_of.len()).collect();
    let lives = lives.map(|lives| lives.read_by(&normalizer));
    Ok(Prepared { normalizer, design, observations, lives, fits, calibration: rows.clone(), validation: rows })
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
    let failures = parts.train.observations.iter().filter(|o| o.failed()).count();
    if failures == 0 {
        let reason = format!("no failure among the {} rows of the training part", parts.train.rows());
        return Err(TrainError::Data { model: kind.name().to_owned(), reason });
    }
    if kind == ModelKind::Stack && prepared.fits.len() < 2 {
        // Shares chosen on rows a member was fitted or stopped on would favour the member that fits noise.
        let prepared = prepare(parts, STACK_FOLDS)?;
        return fit_model(kind, parts, &prepared, config, checkpoints, progress);
    }
    let started = Instant::now();
    let mut fitting = Fitting {
        parts,
        prepared,
        config,
        checkpoints,
        progress,
        notes: Vec::new(),
        history: Vec::new(),
        device: Chosen::cpu("classical models are fitted on the CPU"),
    };
    let (fitted, curves) = match kind {
        ModelKind::Stack => fitting.stack()?,
        _ => fitting.family(kind)?,
    };
    let held = |rows: &[usize]| -> Vec<SurvivalCurve> { rows.iter().filter_map(|&row| curves[row].clone()).collect() };
    let of = |rows: &[usize]| -> Vec<Observation> { rows.iter().map(|&row| prepared.observations[row]).collect() };
    let calibration_rows = of(&prepared.calibration);
    let calibration = Held { curves: held(&prepared.calibration), observations: &calibration_rows };
    let validation_rows = of(&prepared.validation);
    let validation =
        (prepared.fits.len() == 1).then(|| Held { curves: held(&prepared.validation), observations: &validation_rows });
    let calibrated = calibrate(
        kind,
        parts.causes.len(),
        parts.readout,
        &config.alarms,
        &calibration,
        validation.as_ref(),
        &mut fitting.notes,
    )?;
    Ok(FittedModel {
        kind,
        fitted,
        normalizer: prepared.normalizer.clone(),
        calibration: calibrated.calibration,
        readout: calibrated.readout,
        alarms: calibrated.alarms,
        history: fitting.history,
        notes: fitting.notes,
        seconds: started.elapsed().as_secs_f64(),
        device: fitting.device.name,
    })
}

impl FittedModel {
    /// The model as a predictor on the CPU.
    ///
    /// # Errors
    /// When network and grid do not fit.
    pub fn predictor(&self, grid: &Arc<TimeGrid>) -> Result<BundlePredictor> {
        let model = self.fitted.model(grid, &burn::tensor::Device::flex())?;
        Ok(BundlePredictor::new(self.normalizer.clone(), model, self.calibration.clone()))
    }

    /// Curves of a batch.
    ///
    /// # Errors
    /// When the batch was made for another spec.
    pub fn predict(&self, grid: &Arc<TimeGrid>, batch: &FeatureBatch) -> Result<Vec<SurvivalCurve>> {
        Ok(self.predictor(grid)?.predict(batch)?)
    }
}

/// Curves of rows a model was not fitted on, by row; `None` where it was.
type HeldOut = Vec<Option<SurvivalCurve>>;

struct Fitting<'a> {
    parts: Parts<'a>,
    prepared: &'a Prepared,
    config: &'a TrainConfig,
    checkpoints: Option<&'a Path>,
    progress: &'a dyn Progress,
    notes: Vec<String>,
    history: Vec<Epoch>,
    device: Chosen,
}

impl Fitting<'_> {
    /// One family over every fit of the plan.
    fn family(&mut self, kind: ModelKind) -> Result<(Fitted, HeldOut)> {
        let prepared = self.prepared;
        let mut held: HeldOut = vec![None; prepared.observations.len()];
        let mut members = Vec::with_capacity(prepared.fits.len());
        for (fold, rows) in prepared.fits.iter().enumerate() {
            let design = prepared.design.select(&rows.fit);
            let validation_design = prepared.design.select(&rows.validate);
            let of = |rows: &[usize]| -> Vec<Observation> { rows.iter().map(|&r| prepared.observations[r]).collect() };
            let (observations, validation_observations) = (of(&rows.fit), of(&rows.validate));
            let train = Part { design: &design, observations: &observations };
            let validation = Part { design: &validation_design, observations: &validation_observations };
            let lives = prepared.lives.as_ref().map(|lives| lives.select(&rows.fit));
            let fitted = self.one(kind, fold, lives.as_ref(), train, validation)?;
            let model = fitted.model(self.parts.grid, &burn::tensor::Device::flex())?;
            let mut keep = |rows: &[usize], design: &Design| -> Result<()> {
                for (&row, curve) in rows.iter().zip(model.curves(design)?) {
                    held[row] = Some(curve);
                }
                Ok(())
            };
            keep(&rows.validate, &validation_design)?;
            if prepared.fits.len() == 1 && !prepared.calibration.is_empty() {
                keep(&prepared.calibration, &prepared.design.select(&prepared.calibration))?;
            }
            members.push((kind, fitted));
        }
        Ok((mixture(members), held))
    }

    /// Families over folds, and shares from what they predicted for rows they had not seen.
    fn stack(&mut self) -> Result<(Fitted, HeldOut)> {
        let prepared = self.prepared;
        let mut families = Vec::new();
        let mut of_members = Vec::new();
        for &kind in &self.config.stack.members {
            let (fitted, held) = self.family(kind)?;
            families.push((kind, fitted));
            of_members.push(held.into_iter().flatten().collect::<Vec<_>>());
        }
        let censoring = CensoringWeights::fit(&prepared.observations)?;
        let times = brier_times(self.parts.grid, self.parts.readout, &censoring);
        let weights = stack_weights(&prepared.observations, &of_members, &times, &censoring)?;
        for ((kind, _), weight) in families.iter().zip(&weights) {
            self.notes.push(format!("share of {} in the stack: {weight:.3}", kind.name()));
        }
        let mut curves = Vec::with_capacity(prepared.observations.len());
        for row in 0..prepared.observations.len() {
            let members: Vec<(f64, &SurvivalCurve)> =
                weights.iter().zip(&of_members).map(|(&weight, curves)| (weight, &curves[row])).collect();
            curves.push(Some(SurvivalCurve::mixture(&members)?));
        }
        let calibration = Calibration::identity(self.parts.causes.len());
        let members = families
            .into_iter()
            .zip(weights)
            .filter(|(_, weight)| *weight > 0.0)
            .map(|((kind, fitted), weight)| Member { kind, weight, calibration: calibration.clone(), fitted })
            .collect();
        Ok((Fitted::Mixture(members), curves))
    }

    /// One fit of one family.
    fn one(
        &mut self,
        kind: ModelKind,
        fold: usize,
        lives: Option<&Lives>,
        train: Part<'_>,
        validation: Part<'_>,
    ) -> Result<Fitted> {
        let (config, parts) = (self.config, self.parts);
        let causes = parts.causes.len();
        Ok(match kind {
            ModelKind::HazardNet => self.network(fold, 0, train, validation)?,
            ModelKind::HazardNetEnsemble => {
                let members = (0..config.ensemble.members)
                    .map(|number| Ok((ModelKind::HazardNet, self.network(fold, number, train, validation)?)))
                    .collect::<Result<Vec<_>>>()?;
                mixture(members)
            }
            ModelKind::BoostedHazard => Fitted::Boosted(fit_boosted(
                &config.boosted,
                config.seed,
                parts.grid,
                causes,
                train,
                validation,
                &mut self.notes,
            )?),
            _ => Fitted::Classical(fit_classical(
                kind,
                &config.classical,
                parts.grid,
                causes,
                self.prepared.normalizer.names(),
                lives,
                train,
                validation,
                self.progress,
                &mut self.notes,
            )?),
        })
    }

    fn network(&mut self, fold: usize, member: usize, train: Part<'_>, validation: Part<'_>) -> Result<Fitted> {
        let config = self.config;
        self.device = choose(config.device)?;
        let single = self.prepared.fits.len() == 1 && member == 0;
        let folder: Option<PathBuf> = self
            .checkpoints
            .map(|dir| if single { dir.to_owned() } else { dir.join(format!("network-{fold}-{member}")) });
        let run = Run {
            network: &config.network,
            fit: &config.fit,
            seed: member_seed(config.seed, member),
            device: &self.device,
            checkpoints: folder.as_deref(),
            progress: self.progress,
        };
        let result = fit_network(&run, self.parts.grid, self.parts.causes.len(), train, validation)?;
        if let Some(best) = result.history.iter().min_by(|a, b| a.validation.total_cmp(&b.validation)) {
            self.notes.push(format!(
                "network {fold}-{member} on {} ({}): epoch {} of {} chosen on validation",
                self.device.name,
                self.device.why,
                best.epoch,
                result.history.len()
            ));
        }
        if self.history.is_empty() {
            self.history = result.history;
        }
        Ok(Fitted::Neural(Box::new(result.network), config.network.clone(), result.shape))
    }
}

/// The first network of an ensemble is the one a single fit with this seed would give.
fn member_seed(seed: u64, member: usize) -> u64 {
    seed.wrapping_add((member as u64).wrapping_mul(0x9E37_79B9))
}

/// Equal shares; one model alone stays itself.
fn mixture(mut models: Vec<(ModelKind, Fitted)>) -> Fitted {
    if models.len() == 1
        && let Some((_, only)) = models.pop()
    {
        return only;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few models")]
    let weight = 1.0 / models.len() as f64;
    let member = |(kind, fitted)| Member { kind, weight, calibration: Calibration::identity(0), fitted };
    Fitted::Mixture(models.into_iter().map(member).collect())
}
