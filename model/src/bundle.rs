//! A trained model as a folder: weights and everything needed to read and check them.
//!
//! ```text
//! manifest.json     schema version, name, kind, spec hash, sha256 of every other file; written last
//! model.json        spec, catalogue, grid, causes, readout, alarm levels, normaliser, calibration, structure
//! weights*          networks as .safetensors, trees and classical models as .json, one file per member
//! golden.json       input rows and the curves the training machine's CPU gave for them
//! card.md           for people
//! training.toml     the resolved configuration of the run that made it
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use features::{Catalogue, Entity, FeatureBatch, FeatureSpec, Normalizer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use survival::{Prediction, Readout, SurvivalCurve, TimeGrid};

use crate::calibration::Calibration;
use crate::device::{Chosen, DEVICE_TOLERANCE, DeviceChoice, choose};
use crate::fitted::{Fitted, Structure};
use crate::network::{NetworkConfig, NetworkShape};
use crate::predictor::{AlarmLevels, BundleInfo, CurveModel, ModelKind, Predictor};
use crate::{ModelError, Result};

/// Version of the bundle layout that is written; those before it are read, a later one is refused by name.
pub const BUNDLE_SCHEMA: u32 = 2;
/// The first layout: one network in `weights.safetensors`, or one classical model in `classical.json`.
const FIRST_SCHEMA: u32 = 1;
/// Golden rows on the CPU must come out as written, but for the last bits of another CPU's `exp`.
const CPU_TOLERANCE: f64 = 1e-6;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: u32,
    name: String,
    kind: ModelKind,
    feature_spec_hash: String,
    built_with: String,
    files: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    spec: FeatureSpec,
    catalogue: Catalogue,
    grid: TimeGrid,
    causes: Vec<String>,
    readout: Readout,
    alarms: AlarmLevels,
    normalizer: Normalizer,
    calibration: Calibration,
    /// Absent in the first layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    structure: Option<Structure>,
    /// The first layout's network; `None` where the model is classical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<(NetworkConfig, NetworkShape)>,
}

impl Description {
    /// Where each part of the model lies.
    fn structure(&self) -> Structure {
        match (&self.structure, &self.network) {
            (Some(structure), _) => structure.clone(),
            (None, Some((config, shape))) => {
                Structure::Neural { config: config.clone(), shape: *shape, file: "weights.safetensors".to_owned() }
            }
            (None, None) => Structure::Classical { file: "classical.json".to_owned() },
        }
    }
}

/// NaN is null in the file: JSON has no other word for it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    entities: Vec<Entity>,
    as_of: Vec<i64>,
    flat: Vec<Option<f32>>,
    sequence: Vec<Option<f32>>,
    curves: Vec<SurvivalCurve>,
}

/// Everything a bundle is written from.
pub struct BundleParts {
    /// Name, `[A-Za-z0-9._-]`, at most 64 characters.
    pub name: String,
    /// Family.
    pub kind: ModelKind,
    /// The fitted part.
    pub fitted: Fitted,
    /// What a feature row is.
    pub spec: FeatureSpec,
    /// Metrics the spec reads from.
    pub catalogue: Catalogue,
    /// Time axis.
    pub grid: Arc<TimeGrid>,
    /// Names of the causes.
    pub causes: Vec<String>,
    /// Horizons and calibrated quantile levels.
    pub readout: Readout,
    /// Alarm levels.
    pub alarms: AlarmLevels,
    /// Fitted on the training part.
    pub normalizer: Normalizer,
    /// Fitted on the calibration part.
    pub calibration: Calibration,
    /// The card, Markdown.
    pub card: String,
    /// The resolved configuration of the run, TOML.
    pub training: String,
    /// A few rows to remember the answers of.
    pub golden: FeatureBatch,
}

/// Normaliser, fitted model and calibration in a row.
pub struct BundlePredictor {
    normalizer: Normalizer,
    model: Box<dyn CurveModel>,
    calibration: Calibration,
}

impl BundlePredictor {
    /// A predictor from its three parts.
    #[must_use]
    pub fn new(normalizer: Normalizer, model: Box<dyn CurveModel>, calibration: Calibration) -> Self {
        Self { normalizer, model, calibration }
    }

    /// Scaling of the input.
    #[must_use]
    pub fn normalizer(&self) -> &Normalizer {
        &self.normalizer
    }

    /// The fitted model over scaled input, before calibration.
    #[must_use]
    pub fn model(&self) -> &dyn CurveModel {
        self.model.as_ref()
    }

    /// Scaling of the output.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }
}

impl Predictor for BundlePredictor {
    fn predict(&self, batch: &FeatureBatch) -> Result<Vec<SurvivalCurve>> {
        let design = self.normalizer.design(batch)?;
        self.model.curves(&design)?.iter().map(|curve| self.calibration.apply(curve)).collect()
    }
}

/// A bundle that was read, checked and put on a device.
pub struct LoadedBundle {
    info: BundleInfo,
    predictor: BundlePredictor,
    device: Chosen,
    fitted: Fitted,
}

/// Writes a bundle: staged beside its place, synced, renamed.
///
/// # Errors
/// When the folder exists, a weight is not finite, or the disk refuses.
pub fn write(parts: BundleParts, dir: &Path) -> Result<BundleInfo> {
    let refuse = |reason: String| ModelError::Bundle { path: dir.to_owned(), reason };
    if parts.name.is_empty()
        || parts.name.len() > 64
        || parts.name.starts_with('.')
        || !parts.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        return Err(refuse(format!(
            "name {:?} must be 1 to 64 of A-Z a-z 0-9 . _ - and not start with a dot",
            parts.name
        )));
    }
    if dir.exists() {
        return Err(refuse("exists already; choose another --out or remove it".to_owned()));
    }
    parts.spec.validate(&parts.catalogue)?;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let structure = parts.fitted.to_files("weights", &mut files)?;
    // What is remembered is what the files give back, not what was in memory.
    let restored = structure
        .read(&|name| files.get(name).map(Vec::as_slice).ok_or_else(|| refuse(format!("{name} was not written"))))?;
    let model = restored.model(&parts.grid, &burn::tensor::Device::flex())?;
    let predictor = BundlePredictor::new(parts.normalizer.clone(), model, parts.calibration.clone());
    let curves = predictor.predict(&parts.golden)?;
    let nullable = |values: &[f32]| values.iter().map(|v| (!v.is_nan()).then_some(*v)).collect();
    let golden = Golden {
        entities: parts.golden.entities().to_vec(),
        as_of: parts.golden.as_of().to_vec(),
        flat: nullable(parts.golden.flat()),
        sequence: nullable(parts.golden.sequence()),
        curves,
    };
    files.insert("golden.json".to_owned(), to_json(&golden, dir)?);
    let description = Description {
        spec: parts.spec,
        catalogue: parts.catalogue,
        grid: (*parts.grid).clone(),
        causes: parts.causes,
        readout: parts.readout,
        alarms: parts.alarms,
        normalizer: parts.normalizer,
        calibration: parts.calibration,
        structure: Some(structure),
        network: None,
    };
    files.insert("model.json".to_owned(), to_json(&description, dir)?);
    files.insert("card.md".to_owned(), parts.card.clone().into_bytes());
    files.insert("training.toml".to_owned(), parts.training.into_bytes());
    let manifest = Manifest {
        schema: BUNDLE_SCHEMA,
        name: parts.name,
        kind: parts.kind,
        feature_spec_hash: description.spec.hash(),
        built_with: format!("forewarn {}", env!("CARGO_PKG_VERSION")),
        files: files.iter().map(|(name, bytes)| (name.clone(), hex::encode(Sha256::digest(bytes)))).collect(),
    };
    let manifest_bytes = to_json(&manifest, dir)?;

    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    fs::create_dir_all(&parent).map_err(io(&parent))?;
    let staging = tempfile::Builder::new().prefix(".bundle-staging-").tempdir_in(&parent).map_err(io(&parent))?;
    for (name, bytes) in &files {
        write_synced(&staging.path().join(name), bytes)?;
    }
    write_synced(&staging.path().join("manifest.json"), &manifest_bytes)?;
    let staged = staging.keep();
    if let Err(error) = fs::rename(&staged, dir) {
        // Nothing half-written: the staged folder goes too, whatever kept it from its place.
        let _ = fs::remove_dir_all(&staged);
        return Err(io(dir)(error));
    }
    Ok(info(&manifest, &manifest_bytes, &description, parts.card))
}

impl LoadedBundle {
    /// Reads a bundle, checks every digest and the golden rows, and puts it on a device.
    ///
    /// A device that misses a golden row is refused: with [`DeviceChoice::Auto`] the CPU takes over and
    /// [`LoadedBundle::device`] says why, otherwise this is an error.
    ///
    /// # Errors
    /// When a file is missing, changed, of another schema or contradicts another, or golden rows are missed.
    pub fn load(dir: &Path, choice: DeviceChoice) -> Result<Self> {
        let refuse = |reason: String| ModelError::Bundle { path: dir.to_owned(), reason };
        if !dir.join("manifest.json").is_file() {
            return Err(refuse("no manifest.json in it; give the folder that forewarn train wrote".to_owned()));
        }
        let manifest_bytes = read_file(&dir.join("manifest.json"))?;
        let head: serde_json::Value = serde_json::from_slice(&manifest_bytes)
            .map_err(|error| refuse(format!("manifest.json is no JSON: {error}; fetch the bundle again")))?;
        let schema = head.get("schema").and_then(serde_json::Value::as_u64);
        if !schema.is_some_and(|s| (u64::from(FIRST_SCHEMA)..=u64::from(BUNDLE_SCHEMA)).contains(&s)) {
            let seen = schema.map_or("none".to_owned(), |s| s.to_string());
            return Err(refuse(format!(
                "schema is {seen}, this build reads {FIRST_SCHEMA} to {BUNDLE_SCHEMA}; train the model again"
            )));
        }
        let manifest: Manifest = from_json(&manifest_bytes, dir, "manifest.json")?;
        let mut files = BTreeMap::new();
        for (name, expected) in &manifest.files {
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(refuse(format!("manifest names a file {name:?} outside the bundle")));
            }
            let bytes = read_file(&dir.join(name))?;
            let got = hex::encode(Sha256::digest(&bytes));
            if got != *expected {
                return Err(ModelError::Digest {
                    path: dir.to_owned(),
                    file: name.clone(),
                    expected: expected.clone(),
                    got,
                });
            }
            files.insert(name.as_str(), bytes);
        }
        let file = |name: &str| files.get(name).ok_or_else(|| refuse(format!("manifest names no {name}")));
        let description: Description = from_json(file("model.json")?, dir, "model.json")?;
        description.spec.validate(&description.catalogue)?;
        if description.spec.hash() != manifest.feature_spec_hash
            || description.normalizer.spec_hash() != manifest.feature_spec_hash
        {
            return Err(refuse(format!(
                "feature spec {} in model.json, {} in the normaliser, {} in the manifest; the parts are of different runs",
                description.spec.hash(),
                description.normalizer.spec_hash(),
                manifest.feature_spec_hash
            )));
        }
        let golden: Golden = from_json(file("golden.json")?, dir, "golden.json")?;
        let card = String::from_utf8_lossy(file("card.md")?).into_owned();
        let info = info(&manifest, &manifest_bytes, &description, card);

        let fitted = description.structure().read(&|name| file(name).map(Vec::as_slice))?;
        let build = |chosen: &Chosen| -> Result<BundlePredictor> {
            let model = fitted.model(&info.grid, &chosen.device)?;
            let predictor =
                BundlePredictor::new(description.normalizer.clone(), model, description.calibration.clone());
            let tolerance = if chosen.is_cpu { CPU_TOLERANCE } else { DEVICE_TOLERANCE };
            check_golden(&chosen.name, &predictor, &description.spec, &golden, tolerance)?;
            Ok(predictor)
        };
        let chosen =
            if fitted.is_neural() { choose(choice)? } else { Chosen::cpu("only networks run on another device") };
        let (predictor, device) = match build(&chosen) {
            Ok(predictor) => (predictor, chosen),
            Err(error @ ModelError::GoldenRow { .. }) if choice == DeviceChoice::Auto && !chosen.is_cpu => {
                tracing::warn!(%error, "continuing on the CPU");
                let cpu = Chosen::cpu(error.to_string());
                (build(&cpu)?, cpu)
            }
            Err(error) => return Err(error),
        };
        Ok(Self { info, predictor, device, fitted })
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &BundleInfo {
        &self.info
    }

    /// Where it runs and why.
    #[must_use]
    pub fn device(&self) -> &Chosen {
        &self.device
    }

    /// Normaliser, model and calibration, for who looks inside a prediction.
    #[must_use]
    pub fn predictor(&self) -> &BundlePredictor {
        &self.predictor
    }

    /// What was fitted: weights, trees, coefficients.
    #[must_use]
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// A curve read as the bundle reads it.
    ///
    /// # Errors
    /// When a horizon lies beyond the curve's grid.
    pub fn read(&self, curve: &SurvivalCurve) -> Result<Prediction> {
        Ok(Prediction::from_curve(curve, &self.info.readout)?)
    }

    /// Information and predictor apart, for a server whose device thread owns the predictor.
    #[must_use]
    pub fn into_parts(self) -> (BundleInfo, BundlePredictor, Chosen) {
        (self.info, self.predictor, self.device)
    }
}

impl Predictor for LoadedBundle {
    fn predict(&self, batch: &FeatureBatch) -> Result<Vec<SurvivalCurve>> {
        self.predictor.predict(batch)
    }
}

fn info(manifest: &Manifest, manifest_bytes: &[u8], description: &Description, card: String) -> BundleInfo {
    let digest = hex::encode(Sha256::digest(manifest_bytes));
    BundleInfo {
        name: manifest.name.clone(),
        version: digest[..12].to_owned(),
        digest,
        kind: manifest.kind,
        spec: description.spec.clone(),
        spec_hash: manifest.feature_spec_hash.clone(),
        catalogue: description.catalogue.clone(),
        grid: Arc::new(description.grid.clone()),
        causes: description.causes.clone(),
        readout: description.readout.clone(),
        alarms: description.alarms.clone(),
        card,
    }
}

fn check_golden(
    device: &str,
    predictor: &BundlePredictor,
    spec: &FeatureSpec,
    golden: &Golden,
    tolerance: f64,
) -> Result<()> {
    let plain = |values: &[Option<f32>]| values.iter().map(|v| v.unwrap_or(f32::NAN)).collect();
    let batch = FeatureBatch::try_new(
        spec,
        spec.hash(),
        golden.entities.clone(),
        golden.as_of.clone(),
        plain(&golden.flat),
        plain(&golden.sequence),
    )?;
    let curves = predictor.predict(&batch)?;
    for (row, (got, expected)) in curves.iter().zip(&golden.curves).enumerate() {
        let pairs = got.survival().iter().zip(expected.survival());
        let causes = got.incidence().iter().zip(expected.incidence()).flat_map(|(a, b)| a.iter().zip(b));
        let error = pairs.chain(causes).fold(0.0_f64, |top, (a, b)| top.max((a - b).abs()));
        if error > tolerance {
            return Err(ModelError::GoldenRow { device: device.to_owned(), row, error, tolerance });
        }
    }
    Ok(())
}

fn to_json(value: &impl Serialize, dir: &Path) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| ModelError::Bundle {
        path: dir.to_owned(),
        reason: format!("cannot be written as JSON: {error}"),
    })
}

fn from_json<T: for<'de> Deserialize<'de>>(bytes: &[u8], dir: &Path, name: &str) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| ModelError::Bundle { path: dir.to_owned(), reason: format!("{name}: {error}") })
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(io(path))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut file = fs::File::create(path).map_err(io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io(path))
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> ModelError + '_ {
    move |source| ModelError::Io { path: path.to_owned(), source }
}
