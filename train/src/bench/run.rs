//! All the work of one task, piece by piece: tune, fit per seed, keep the curves; then the summary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use datasets::Progress;
use model::{DeviceChoice, ModelKind, Predictor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use survival::SurvivalCurve;

use crate::bench::ledger::Ledger;
use crate::bench::predictions::{self, Header};
use crate::bench::space::tuned_as;
use crate::bench::summary::{TaskSummary, summarise};
use crate::bench::task::{HeldOut, Task};
use crate::bench::tune::{Budget, Chosen, tune};
use crate::config::TrainConfig;
use crate::error::{Result, TrainError, io};
use crate::fitted::{fit_model, prepare};

/// What a benchmark runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BenchConfig {
    /// Families, the one the others are compared with first.
    pub kinds: Vec<ModelKind>,
    /// Seeds of the families that have any.
    pub seeds: u64,
    /// How long each family may be tuned for each held-out part.
    pub budget: Budget,
    /// Settings tuning starts from; its `cross_fit` is that of the models kept.
    pub base: TrainConfig,
    /// Replicates of the bootstrap.
    pub replicates: usize,
}

impl Default for BenchConfig {
    fn default() -> Self {
        Self {
            kinds: ModelKind::ALL.to_vec(),
            seeds: 10,
            budget: Budget::default(),
            base: TrainConfig { cross_fit: 5, ..TrainConfig::default() },
            replicates: 2000,
        }
    }
}

/// Settings chosen for a task, by held-out part and family; what `--chosen` reads.
pub type ChosenSettings = BTreeMap<String, BTreeMap<String, Chosen>>;

/// One fit's answers for the rows held out.
pub struct Answer {
    /// Seed.
    pub seed: u64,
    /// Levels and times of the fit.
    pub header: Header,
    /// One curve per row, in the order of the part.
    pub curves: Vec<SurvivalCurve>,
}

/// Answers of every family for one held-out part.
pub struct PartAnswers {
    /// Rows judged.
    pub rows: Vec<usize>,
    /// By family, in the order asked for; one per seed.
    pub answers: Vec<(ModelKind, Vec<Answer>)>,
}

/// Everything a task was answered with, before it is judged.
pub struct Answered {
    /// What was run: families the data set cannot be asked about left out.
    pub config: BenchConfig,
    /// Settings by held-out part and family.
    pub settings: ChosenSettings,
    /// Curves by held-out part.
    pub parts: Vec<PartAnswers>,
}

/// Runs a task in `work`, going on where a killed run stopped. With `chosen`, nothing is tuned.
///
/// # Errors
/// When a fit fails, `chosen` lacks a family that is to be run, or the disk refuses.
pub fn run_task(
    task: &Task<'_>,
    config: &BenchConfig,
    chosen: Option<&ChosenSettings>,
    work: &Path,
    progress: &dyn Progress,
) -> Result<(TaskSummary, ChosenSettings)> {
    let Answered { config, settings, parts } = answer_task(task, config, chosen, work, progress)?;
    let summary = summarise(task, &config, &settings, &parts)?;
    let text = serde_json::to_vec_pretty(&summary).map_err(|error| TrainError::Config {
        file: "summary.json".to_owned(),
        reason: format!("cannot be written: {error}"),
    })?;
    let folder = work.join(&task.name);
    let place = folder.join("summary.json");
    let staged = folder.join("summary.staging");
    std::fs::write(&staged, text).map_err(io(&staged))?;
    std::fs::rename(&staged, &place).map_err(io(&place))?;
    Ok((summary, settings))
}

/// The work of [`run_task`] without the summary: for those who judge the curves themselves. After a run it only reads.
///
/// # Errors
/// As [`run_task`].
pub fn answer_task(
    task: &Task<'_>,
    config: &BenchConfig,
    chosen: Option<&ChosenSettings>,
    work: &Path,
    progress: &dyn Progress,
) -> Result<Answered> {
    let config = applicable(task, config)?;
    let folder = work.join(&task.name);
    let mut ledger = Ledger::open(&folder.join("ledger.jsonl"))?;
    let mut settings = ChosenSettings::new();
    let mut parts = Vec::new();
    for part in task.held_out()? {
        let found = match chosen {
            Some(chosen) => committed(task, &config, chosen, &part)?,
            None => tune_part(task, &config, &part, &mut ledger, progress)?,
        };
        parts.push(fit_part(task, &config, &part, &found, &folder, progress)?);
        settings.insert(part.name.clone(), found);
    }
    Ok(Answered { config, settings, parts })
}

/// The families this data set can be asked about, and the device the networks will run on, looked for once.
fn applicable(task: &Task<'_>, config: &BenchConfig) -> Result<BenchConfig> {
    let mut config = config.clone();
    let knows_age = task.dataset.spec().flat.iter().any(|column| column.name == "age");
    config.kinds.retain(|&kind| knows_age || !matches!(kind, ModelKind::AgeOnly | ModelKind::CoxTimeVarying));
    if model::device::choose(config.base.device)?.is_cpu {
        config.base.device = DeviceChoice::Cpu;
    }
    Ok(config)
}

/// The committed settings of every family that has any.
fn committed(
    task: &Task<'_>,
    config: &BenchConfig,
    chosen: &ChosenSettings,
    part: &HeldOut,
) -> Result<BTreeMap<String, Chosen>> {
    let of_part = chosen.get(&part.name).cloned().unwrap_or_default();
    for &kind in &config.kinds {
        let Some(tuned) = tuned_as(kind) else { continue };
        if !of_part.contains_key(tuned.name()) {
            return Err(TrainError::Config {
                file: "chosen settings".to_owned(),
                reason: format!(
                    "{} has none for {} on {}; run the benchmark once without --chosen",
                    task.name,
                    tuned.name(),
                    part.name
                ),
            });
        }
    }
    Ok(of_part)
}

fn tune_part(
    task: &Task<'_>,
    config: &BenchConfig,
    part: &HeldOut,
    ledger: &mut Ledger,
    progress: &dyn Progress,
) -> Result<BTreeMap<String, Chosen>> {
    let mut found = BTreeMap::new();
    let mut wanted = config.kinds.clone();
    if wanted.contains(&ModelKind::Stack) {
        wanted.extend(&config.base.stack.members);
    }
    for kind in wanted.into_iter().filter_map(tuned_as) {
        if !found.contains_key(kind.name()) {
            let chosen = tune(task, &part.name, &part.develop, kind, &config.base, config.budget, ledger, progress)?;
            found.insert(kind.name().to_owned(), chosen);
        }
    }
    Ok(found)
}

/// The settings a family is fitted with: its own part of what was chosen; a stack takes that of each member.
fn settings_of(kind: ModelKind, base: &TrainConfig, chosen: &BTreeMap<String, Chosen>) -> TrainConfig {
    let mut settings = TrainConfig { model: kind, ..base.clone() };
    let kinds = if kind == ModelKind::Stack { base.stack.members.clone() } else { vec![kind] };
    for kind in kinds {
        let Some(found) = tuned_as(kind).and_then(|tuned| chosen.get(tuned.name())) else { continue };
        match kind {
            ModelKind::HazardNet | ModelKind::HazardNetEnsemble => {
                settings.network = found.settings.network.clone();
                settings.fit = found.settings.fit.clone();
            }
            ModelKind::BoostedHazard => settings.boosted = found.settings.boosted.clone(),
            _ => settings.classical = found.settings.classical.clone(),
        }
    }
    settings
}

fn fit_part(
    task: &Task<'_>,
    config: &BenchConfig,
    part: &HeldOut,
    chosen: &BTreeMap<String, Chosen>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<PartAnswers> {
    let seeds = |kind: ModelKind| if kind.is_stochastic() { config.seeds } else { 1 };
    let fits: u64 = config.kinds.iter().map(|&kind| seeds(kind)).sum();
    let rows = task.parts(&part.develop);
    let parts = rows.of(task.dataset);
    let test = task.rows.select(&part.test);
    let mut prepared = None;
    let mut answers = Vec::with_capacity(config.kinds.len());
    progress.begin(&format!("{} {}: fits", task.name, part.name), Some(fits));
    for &kind in &config.kinds {
        let mut of_kind = Vec::new();
        for seed in 1..=seeds(kind) {
            let settings = TrainConfig { seed, ..settings_of(kind, &config.base, chosen) };
            let identity = identity(task, part, &settings);
            let path = folder.join(&part.name).join(format!("{}-seed-{seed}.curves", kind.name()));
            let (header, curves) = match predictions::read(&path, &identity, task.dataset.grid())? {
                Some(found) => found,
                None => {
                    let prepared = match &prepared {
                        Some(prepared) => prepared,
                        None => prepared.insert(prepare(parts, settings.cross_fit)?),
                    };
                    let checkpoints: PathBuf = path.with_extension("run");
                    let fitted = fit_model(kind, parts, prepared, &settings, Some(&checkpoints), &datasets::Silent)?;
                    let predictor = fitted.predictor(task.dataset.grid())?;
                    let started = Instant::now();
                    let curves = predictor.predict(&test.features)?;
                    #[expect(clippy::cast_precision_loss, reason = "rows of a test part")]
                    let rows_per_second = test.rows() as f64 / started.elapsed().as_secs_f64().max(1e-9);
                    let header = Header {
                        identity,
                        kind,
                        seed,
                        rows: curves.len(),
                        causes: task.dataset.causes().len(),
                        readout: fitted.readout,
                        alarms: fitted.alarms,
                        seconds: fitted.seconds,
                        rows_per_second,
                        notes: fitted.notes,
                    };
                    predictions::write(&path, &header, &curves)?;
                    if checkpoints.exists() {
                        std::fs::remove_dir_all(&checkpoints).map_err(io(&checkpoints))?;
                    }
                    // What is judged is what is kept, so that a run taken up again judges the same numbers.
                    match predictions::read(&path, &header.identity, task.dataset.grid())? {
                        Some(kept) => kept,
                        None => (header, curves),
                    }
                }
            };
            of_kind.push(Answer { seed, header, curves });
            progress.advance(1);
        }
        answers.push((kind, of_kind));
    }
    progress.end();
    Ok(PartAnswers { rows: part.test.clone(), answers })
}

/// Data, rows and settings of a fit as one digest.
fn identity(task: &Task<'_>, part: &HeldOut, settings: &TrainConfig) -> String {
    let manifest = task.dataset.manifest();
    let mut digest = Sha256::new();
    digest.update(format!("{} {} {} {}", manifest.input_digest, manifest.spec_hash, part.name, settings.to_toml()));
    for &row in part.develop.iter().chain(&part.test) {
        digest.update(row.to_le_bytes());
    }
    hex::encode(digest.finalize())
}
