//! From a data set folder to bundles, and from bundles to one comparison.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datasets::{Dataset, Progress};
use features::{LabeledBatch, Split};
use model::{BundleInfo, BundleParts, LoadedBundle, ModelKind, Predictor, bundle};
use survival::Observation;

use crate::card::bundle_card;
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::evaluate::{EvaluateConfig, Evaluation, Judged, Predicted, evaluate};
use crate::fit::Epoch;
use crate::fitted::{FittedModel, Parts, fit_model, prepare};

/// Rows whose answers a bundle remembers.
const GOLDEN_ROWS: usize = 16;

/// A bundle that was just written.
pub struct Trained {
    /// Family.
    pub kind: ModelKind,
    /// Its folder.
    pub dir: PathBuf,
    /// What is in it.
    pub info: BundleInfo,
    /// Seconds of fitting.
    pub seconds: f64,
    /// One entry per epoch, for a network.
    pub history: Vec<Epoch>,
    /// What was chosen and what could not be.
    pub notes: Vec<String>,
}

/// The four parts of a data set.
pub struct Split4 {
    /// Everything fitted is fitted here.
    pub train: LabeledBatch,
    /// Choices.
    pub validation: LabeledBatch,
    /// Calibration.
    pub calibration: LabeledBatch,
    /// Opened once.
    pub test: LabeledBatch,
    /// Row numbers of the test part in the data set.
    pub test_rows: Vec<usize>,
}

/// Splits rows by their `split` column.
///
/// # Errors
/// When a part a model needs is empty.
pub fn split(dataset: &str, rows: &LabeledBatch) -> Result<Split4> {
    for part in [Split::Train, Split::Validation, Split::Calibration] {
        if rows.rows_of(part).is_empty() {
            let reason = format!("the {} part of {dataset} is empty; rebuild it with other shares", part.name());
            return Err(TrainError::Data { model: "any model".to_owned(), reason });
        }
    }
    let test_rows = rows.rows_of(Split::Test);
    Ok(Split4 {
        train: rows.part(Split::Train),
        validation: rows.part(Split::Validation),
        calibration: rows.part(Split::Calibration),
        test: rows.select(&test_rows),
        test_rows,
    })
}

/// Fits families on the same rows of one data set and writes a bundle for each.
///
/// `place` names a family's folder; a network's checkpoints go into `<folder>.run` until the bundle is there.
///
/// # Errors
/// When a fit fails or a bundle cannot be written.
pub fn train_bundles(
    dataset: &Dataset,
    rows: &LabeledBatch,
    kinds: &[ModelKind],
    config: &TrainConfig,
    place: &dyn Fn(ModelKind) -> PathBuf,
    progress: &dyn Progress,
) -> Result<Vec<Trained>> {
    config.validate("training settings")?;
    let parts4 = split(&dataset.manifest().name, rows)?;
    let parts = Parts {
        spec: dataset.spec(),
        grid: dataset.grid(),
        causes: dataset.causes(),
        readout: dataset.readout(),
        train: &parts4.train,
        validation: &parts4.validation,
        calibration: &parts4.calibration,
    };
    let prepared = prepare(parts, config.cross_fit)?;
    let mut trained = Vec::with_capacity(kinds.len());
    for &kind in kinds {
        let dir = place(kind);
        let run_dir = PathBuf::from(format!("{}.run", dir.display()));
        let fitted = fit_model(kind, parts, &prepared, config, Some(&run_dir), progress)?;
        trained.push(write_bundle(dataset, &parts4, fitted, config, &dir)?);
        if run_dir.exists() {
            std::fs::remove_dir_all(&run_dir).map_err(crate::error::io(&run_dir))?;
        }
    }
    Ok(trained)
}

fn write_bundle(
    dataset: &Dataset,
    parts: &Split4,
    fitted: FittedModel,
    config: &TrainConfig,
    dir: &Path,
) -> Result<Trained> {
    let kind = fitted.kind;
    let (seconds, history, notes) = (fitted.seconds, fitted.history.clone(), fitted.notes.clone());
    let rows = parts.calibration.rows();
    let golden: Vec<usize> = (0..rows.min(GOLDEN_ROWS)).map(|at| at * rows / rows.min(GOLDEN_ROWS)).collect();
    let config = TrainConfig { model: kind, ..config.clone() };
    let card = bundle_card(dataset.manifest(), &fitted, parts, &config);
    let parts = BundleParts {
        name: kind.name().to_owned(),
        kind,
        fitted: fitted.fitted,
        spec: dataset.spec().clone(),
        catalogue: dataset.catalogue().clone(),
        grid: dataset.grid().clone(),
        causes: dataset.causes().to_vec(),
        readout: fitted.readout,
        alarms: fitted.alarms,
        normalizer: fitted.normalizer,
        calibration: fitted.calibration,
        card,
        training: config.to_toml(),
        golden: parts.calibration.features.select(&golden),
    };
    let info = bundle::write(parts, dir)?;
    Ok(Trained { kind, dir: dir.to_owned(), info, seconds, history, notes })
}

/// Judges bundles on the test part of a data set; the first is the one the others are compared with.
///
/// # Errors
/// When a bundle was made for another spec or grid, or the test part has no failure.
pub fn evaluate_bundles(
    dataset: &Dataset,
    rows: &LabeledBatch,
    bundles: &[(LoadedBundle, Option<f64>)],
    config: EvaluateConfig,
    progress: &dyn Progress,
) -> Result<Evaluation> {
    let parts = split(&dataset.manifest().name, rows)?;
    let truth =
        dataset.truth()?.map(|curves| parts.test_rows.iter().map(|&row| curves[row].clone()).collect::<Vec<_>>());
    progress.begin("evaluating models", Some(bundles.len() as u64));
    let mut predicted: Vec<Predicted> = Vec::with_capacity(bundles.len());
    for (bundle, seconds) in bundles {
        let info = bundle.info();
        if info.grid != *dataset.grid() || info.causes != dataset.causes() {
            let reason =
                format!("bundle {} has another time grid or other causes than {}", info.name, dataset.manifest().name);
            return Err(TrainError::Data { model: info.name.clone(), reason });
        }
        let curves = bundle.predict(&parts.test.features)?;
        let name = distinct_name(&predicted, info);
        predicted.push(Predicted::new(name, info.kind, curves, &info.readout, &info.alarms, *seconds)?);
        progress.advance(1);
    }
    let judged = judged(dataset, &parts.test, &parts.train.observations, truth.as_deref());
    let evaluation = evaluate(&judged, &predicted, config);
    progress.end();
    evaluation
}

/// The bundle's name, with its version where another model bears it already.
pub(crate) fn distinct_name(predicted: &[Predicted], info: &BundleInfo) -> String {
    let same_name = predicted.iter().any(|other| other.name == info.name);
    if same_name { format!("{}@{}", info.name, info.version) } else { info.name.clone() }
}

/// Rows of a data set under evaluation.
#[must_use]
pub fn judged<'a>(
    dataset: &'a Dataset,
    test: &'a LabeledBatch,
    training: &'a [Observation],
    truth: Option<&'a [survival::SurvivalCurve]>,
) -> Judged<'a> {
    let grid: &Arc<_> = dataset.grid();
    Judged {
        dataset: &dataset.manifest().name,
        test,
        training,
        grid,
        causes: dataset.causes(),
        readout: dataset.readout(),
        truth,
        ticks_per_unit: dataset.spec().time.ticks_per_unit,
    }
}
