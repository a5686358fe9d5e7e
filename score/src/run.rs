//! The night: rows in, parts out, one manifest at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datasets::{Dataset, Progress};
use features::FeatureBatch;
use model::{AlarmLevels, BundleInfo, LoadedBundle, ModelError, Predictor};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use survival::{Readout, TimeUnit};

use crate::config::{AsOf, ScoreConfig};
use crate::error::{Result, ScoreError, io};
use crate::ledger::{Ledger, Lock, Part, digest, put_if_absent, write_synced};
use crate::risk_table::{Scored, risk_table};

/// What a committed night holds; readers trust this file and no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NightManifest {
    /// Derived from input, model and `as_of`.
    pub run_id: String,
    /// Digest of the data set's manifest.
    pub input_digest: String,
    /// Digest of the bundle's manifest.
    pub model_digest: String,
    /// Model name.
    pub model: String,
    /// Model version.
    pub version: String,
    /// Which rows.
    pub as_of: String,
    /// Shares.
    pub shards: u32,
    /// Rows scored.
    pub rows: u64,
    /// Rows in quarantine.
    pub failed: u64,
    /// How the risks are to be read; absent in nights of releases that did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// Every part, by shard and number.
    pub parts: Vec<Part>,
}

/// How risks are to be read: with it they can be judged when the bundle is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Unit of horizons and remaining lives.
    pub unit: TimeUnit,
    /// Silence that ends a life, in ticks.
    pub longest_gap: i64,
    /// Horizons, and the levels of the quantiles.
    pub readout: Readout,
    /// Names of the causes, by index.
    pub causes: Vec<String>,
    /// Levels of the alarms.
    pub alarms: AlarmLevels,
}

impl Reading {
    fn of(info: &BundleInfo) -> Self {
        Self {
            unit: info.grid.unit(),
            longest_gap: info.spec.longest_gap,
            readout: info.readout.clone(),
            causes: info.causes.clone(),
            alarms: info.alarms.clone(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardFile {
    run_id: String,
    shard: u32,
    shards: u32,
    parts: Vec<Part>,
}

/// How a night ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All shards are in and the manifest is written.
    Committed {
        /// The run's folder.
        dir: PathBuf,
        /// What it holds.
        manifest: NightManifest,
    },
    /// It was committed before, with the same content.
    AlreadyCommitted {
        /// The run's folder.
        dir: PathBuf,
        /// What it holds.
        manifest: NightManifest,
    },
    /// This shard is done, others are missing.
    ShardDone {
        /// The run's folder.
        dir: PathBuf,
        /// Shards still missing.
        missing: Vec<u32>,
    },
}

impl Outcome {
    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        match self {
            Self::Committed { dir, .. } | Self::AlreadyCommitted { dir, .. } | Self::ShardDone { dir, .. } => dir,
        }
    }
}

/// Scores a data set. `stop` is looked at between parts.
///
/// # Errors
/// See [`ScoreError`]; its [`ScoreError::exit_code`] says whether another try can help.
pub fn score(config: &ScoreConfig, progress: &dyn Progress, stop: &AtomicBool) -> Result<Outcome> {
    config.validate()?;
    let dataset = Dataset::open(&config.dataset)?;
    let bundle = LoadedBundle::load(&config.bundle, config.device)?;
    let info = bundle.info().clone();
    let spec_hash = &dataset.manifest().spec_hash;
    if *spec_hash != info.spec_hash {
        return Err(ModelError::Feature(features::FeatureError::SpecMismatch {
            expected: info.spec_hash.clone(),
            got: spec_hash.clone(),
        })
        .into());
    }
    let input_digest = digest(&config.dataset.join("dataset.json"))?;
    let rows = dataset.rows()?;
    night_of(config, &bundle, &rows.features, &input_digest, progress, stop)
}

/// Scores rows that were made for this night, such as those of a lake. `input_digest` pins what they were made from;
/// equal digests are the same night.
///
/// # Errors
/// As [`score`].
pub fn score_rows(
    config: &ScoreConfig,
    bundle: &LoadedBundle,
    rows: &FeatureBatch,
    input_digest: &str,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Outcome> {
    config.validate()?;
    night_of(config, bundle, rows, input_digest, progress, stop)
}

fn night_of(
    config: &ScoreConfig,
    bundle: &LoadedBundle,
    rows: &FeatureBatch,
    input_digest: &str,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<Outcome> {
    let info = bundle.info().clone();
    let identity = format!("{input_digest} {} {} {}", info.digest, config.as_of.text(), config.shards);
    let run_id = hex::encode(Sha256::digest(identity.as_bytes()))[..16].to_owned();
    let dir =
        config.out.join(format!("as_of={}", config.as_of.text())).join(format!("model={}@{}", info.name, info.version));

    let manifest_path = dir.join("manifest.json");
    if manifest_path.exists() {
        let outcome = already(&dir, &manifest_path, &run_id)?;
        // A run killed between its manifest and this clean-up left the folder.
        clear(&config.out.join("_staging").join(&run_id))?;
        return Ok(outcome);
    }
    let staging = config.out.join("_staging").join(&run_id);
    fs::create_dir_all(&dir).map_err(io(&dir))?;
    fs::create_dir_all(&staging).map_err(io(&staging))?;
    refuse_other_run(&dir, &staging, &run_id)?;

    let night = Night { config, bundle, info: &info, run_id: &run_id, dir: &dir, staging: &staging, stop };
    let wanted: Vec<u32> = config.shard.map_or_else(|| (0..config.shards).collect(), |shard| vec![shard]);
    let by_shard = night.assign(rows)?;
    progress.begin("scoring rows", Some(wanted.iter().map(|s| by_shard[*s as usize].len() as u64).sum()));
    for shard in wanted {
        night.shard(shard, rows, &by_shard[shard as usize], progress)?;
    }
    progress.end();
    night.commit(input_digest)
}

struct Night<'a> {
    config: &'a ScoreConfig,
    bundle: &'a LoadedBundle,
    info: &'a BundleInfo,
    run_id: &'a str,
    dir: &'a Path,
    staging: &'a Path,
    stop: &'a AtomicBool,
}

impl Night<'_> {
    /// Row numbers of every shard, sorted by (entity, incarnation, as_of).
    fn assign(&self, features: &FeatureBatch) -> Result<Vec<Vec<usize>>> {
        let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
        for (entity, &as_of) in features.entities().iter().zip(features.as_of()) {
            let seen = newest.entry(entity.key()).or_insert(as_of);
            *seen = as_of.max(*seen);
        }
        let mut shards = vec![Vec::new(); self.config.shards as usize];
        for row in 0..features.rows() {
            let (entity, as_of) = (&features.entities()[row], features.as_of()[row]);
            let wanted = match self.config.as_of {
                AsOf::All => true,
                AsOf::Latest => newest.get(entity.key()) == Some(&as_of),
                AsOf::At(tick) => as_of == tick,
            };
            if wanted {
                shards[shard_of(entity.key(), self.config.shards)].push(row);
            }
        }
        if shards.iter().all(Vec::is_empty) {
            let reason =
                format!("no row is as of {}; `forewarn dataset describe` shows the range", self.config.as_of.text());
            return Err(ScoreError::NoInput { path: self.config.dataset.clone(), reason });
        }
        for shard in &mut shards {
            shard.sort_by(|&a, &b| {
                let key = |row: usize| (&features.entities()[row], features.as_of()[row]);
                key(a).cmp(&key(b))
            });
        }
        Ok(shards)
    }

    fn shard(&self, shard: u32, features: &FeatureBatch, rows: &[usize], progress: &dyn Progress) -> Result<()> {
        let _lock = Lock::take(&self.staging.join(format!("shard-{shard}.lock")), shard)?;
        let mut ledger = Ledger::open(&self.staging.join(format!("ledger-{shard}.jsonl")))?;
        let mut parts = Vec::new();
        let mut done_here = 0;
        let mut quarantined: Vec<(usize, String)> = Vec::new();
        for (number, chunk) in rows.chunks(self.config.part_rows).enumerate() {
            let file = format!("part-{shard:05}-{number:05}.parquet");
            if let Some(part) = ledger.done(self.dir, &file)? {
                parts.push(part);
                progress.advance(chunk.len() as u64);
                continue;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(ScoreError::Interrupted { parts: done_here });
            }
            let (scored, failed) = self.predict(&features.select(chunk), chunk)?;
            let failed_rows = failed.len() as u64;
            quarantined.extend(failed);
            let table =
                risk_table(self.info, self.run_id, &scored).map_err(|e| parquet_error(&self.dir.join(&file), &e))?;
            let staged = self.staging.join(&file);
            let sha256 = write_parquet(&staged, &table)?;
            let place = self.dir.join(&file);
            fs::rename(&staged, &place).map_err(io(&place))?;
            let part = Part { file, sha256, rows: scored.len() as u64, failed: failed_rows };
            ledger.add(part.clone())?;
            parts.push(part);
            done_here += 1;
            progress.advance(chunk.len() as u64);
        }
        let failed = parts.iter().map(|part| part.failed).sum();
        self.quarantine(shard, features, rows.len() as u64, failed, &quarantined)?;
        let shards = self.config.shards;
        let file = ShardFile { run_id: self.run_id.to_owned(), shard, shards, parts };
        let path = self.dir.join(format!("shard-{shard}-of-{shards}.json"));
        put_if_absent(&path, self.staging, &json(&path, &file)?)
    }

    /// Scores rows together, or, when that fails, each on its own, so that one bad row costs one row.
    #[expect(clippy::type_complexity, reason = "rows that were scored and rows that were not")]
    fn predict(&self, batch: &FeatureBatch, rows: &[usize]) -> Result<(Vec<Scored>, Vec<(usize, String)>)> {
        let mut scored = Vec::with_capacity(batch.rows());
        let mut failed = Vec::new();
        let read = |at: usize, curve: &survival::SurvivalCurve| -> Result<Scored> {
            let prediction = self.bundle.read(curve)?;
            Ok(Scored { entity: batch.entities()[at].clone(), as_of: batch.as_of()[at], prediction })
        };
        match self.bundle.predict(batch) {
            Ok(curves) => {
                for (at, curve) in curves.iter().enumerate() {
                    scored.push(read(at, curve)?);
                }
            }
            Err(_) => {
                for (at, &row) in rows.iter().enumerate() {
                    match self.bundle.predict(&batch.slice(at, at + 1)) {
                        Ok(curves) => scored.push(read(at, &curves[0])?),
                        Err(error) => failed.push((row, error.to_string())),
                    }
                }
            }
        }
        Ok((scored, failed))
    }

    /// Writes the rows of this run that failed; `count` also holds those of runs before a kill.
    fn quarantine(
        &self,
        shard: u32,
        features: &FeatureBatch,
        rows: u64,
        count: u64,
        failed: &[(usize, String)],
    ) -> Result<()> {
        let path = self.staging.join(format!("quarantine-{shard}.parquet"));
        let first = failed.first().map_or("in an earlier run", |(_, reason)| reason.as_str());
        if count == 0 {
            return Ok(());
        }
        let schema = Schema::new(vec![
            Field::new("entity", DataType::Utf8, false),
            Field::new("as_of", DataType::Int64, false),
            Field::new("reason", DataType::Utf8, false),
        ]);
        let entities = failed.iter().map(|(row, _)| features.entities()[*row].key());
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(entities)),
            Arc::new(Int64Array::from_iter_values(failed.iter().map(|(row, _)| features.as_of()[*row]))),
            Arc::new(StringArray::from_iter_values(failed.iter().map(|(_, reason)| reason))),
        ];
        if !failed.is_empty() {
            let table = RecordBatch::try_new(Arc::new(schema), columns).map_err(|e| parquet_error(&path, &e))?;
            write_parquet(&path, &table)?;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of rows"
        )]
        let allowed = (rows as f64 * self.config.max_failed_share).floor() as u64;
        if count > allowed {
            let first = first.to_owned();
            return Err(ScoreError::TooManyFailed { failed: count, rows, allowed, first, quarantine: path });
        }
        Ok(())
    }

    /// Writes the manifest once all shards are in, then the plan, and clears the staging folder.
    fn commit(&self, input_digest: &str) -> Result<Outcome> {
        let shards = self.config.shards;
        let mut parts = Vec::new();
        let mut missing = Vec::new();
        for shard in 0..shards {
            let path = self.dir.join(format!("shard-{shard}-of-{shards}.json"));
            if !path.exists() {
                missing.push(shard);
                continue;
            }
            let file: ShardFile = read_json(&path)?;
            if file.run_id != self.run_id {
                let reason = format!("belongs to run {}, this is {}", file.run_id, self.run_id);
                return Err(ScoreError::Conflict { path, reason });
            }
            parts.extend(file.parts);
        }
        if !missing.is_empty() {
            return Ok(Outcome::ShardDone { dir: self.dir.to_owned(), missing });
        }
        let manifest = NightManifest {
            run_id: self.run_id.to_owned(),
            input_digest: input_digest.to_owned(),
            model_digest: self.info.digest.clone(),
            model: self.info.name.clone(),
            version: self.info.version.clone(),
            as_of: self.config.as_of.text(),
            shards,
            rows: parts.iter().map(|part| part.rows).sum(),
            failed: parts.iter().map(|part| part.failed).sum(),
            reading: Some(Reading::of(self.info)),
            parts,
        };
        let path = self.dir.join("manifest.json");
        put_if_absent(&path, self.staging, &json(&path, &manifest)?)?;
        clear(self.staging)?;
        Ok(Outcome::Committed { dir: self.dir.to_owned(), manifest })
    }
}

/// Removes a run's staging folder, unless rows lie in quarantine there.
fn clear(staging: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(staging) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(io(staging))?;
        if entry.file_name().to_string_lossy().starts_with("quarantine-") {
            return Ok(());
        }
    }
    fs::remove_dir_all(staging).map_err(io(staging))?;
    if let Some(parent) = staging.parent() {
        // Other runs may be staging beside this one.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// Stable share of an entity: `int(sha256(key)[:8 hex digits], 16) mod shards`, whatever the order of files.
fn shard_of(key: &str, shards: u32) -> usize {
    let digest = Sha256::digest(key.as_bytes());
    (u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % shards) as usize
}

fn already(dir: &Path, path: &Path, run_id: &str) -> Result<Outcome> {
    let manifest: NightManifest = read_json(path)?;
    if manifest.run_id != run_id {
        let reason = format!(
            "is of run {}, this would be {run_id}: the data set or the shards changed; choose another --out",
            manifest.run_id
        );
        return Err(ScoreError::Conflict { path: path.to_owned(), reason });
    }
    for part in &manifest.parts {
        let file = dir.join(&part.file);
        if digest(&file)? != part.sha256 {
            let reason = "has other bytes than the manifest says; remove the folder and score again".to_owned();
            return Err(ScoreError::Conflict { path: file, reason });
        }
    }
    Ok(Outcome::AlreadyCommitted { dir: dir.to_owned(), manifest })
}

/// Parts of another run in the folder would be taken for ours.
fn refuse_other_run(dir: &Path, staging: &Path, run_id: &str) -> Result<()> {
    let path = dir.join("run_id");
    if path.exists() {
        let other = fs::read_to_string(&path).map_err(io(&path))?;
        if other != run_id {
            let reason = format!("an unfinished run {other} of other input is here; remove the folder or finish it");
            return Err(ScoreError::Conflict { path, reason });
        }
        return Ok(());
    }
    put_if_absent(&path, staging, run_id.as_bytes())
}

/// Writes one Parquet file with fixed settings and returns its digest.
fn write_parquet(path: &Path, table: &RecordBatch) -> Result<String> {
    let level = ZstdLevel::try_new(3).map_err(|e| parquet_error(path, &e))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(format!("forewarn {}", env!("CARGO_PKG_VERSION")))
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, table.schema(), Some(properties)).map_err(|e| parquet_error(path, &e))?;
    writer.write(table).map_err(|e| parquet_error(path, &e))?;
    writer.close().map_err(|e| parquet_error(path, &e))?;
    write_synced(path, &bytes)?;
    Ok(hex::encode(Sha256::digest(&bytes)))
}

fn json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|e| parquet_error(path, &e))
}

pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(io(path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ScoreError::Conflict { path: path.to_owned(), reason: format!("cannot be read: {error}") })
}

pub(crate) fn parquet_error(path: &Path, error: &impl std::fmt::Display) -> ScoreError {
    ScoreError::Parquet { path: path.to_owned(), reason: error.to_string() }
}
