//! Files somebody exported: tables in CSV or Parquet, Prometheus text, VictoriaMetrics lines; plain or gzip.
//!
//! A file is read once from start to end with bounded memory. Its import is known by the digest of its bytes and of
//! the plan, so the same file under another name is not stored twice, and one that was killed goes on where it
//! stopped.

mod csv;
mod lines;
mod parquet;
mod plan;
mod table;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use features::Catalogue;
use features::canonical::{Limits, Resolve};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::history::{HistoryOptions, HistoryReport, Importer};
use super::pipeline::{Failure, Pipeline};
use super::store::RowStore;
use crate::{DatasetError, Progress, Result};

pub use plan::{LongForm, LongName, PlanEntity, SeriesForm, TablePlan, TimeColumn, TimeUnit, ValueColumn};

/// What a file holds.
#[derive(Debug, Clone)]
pub enum FileKind {
    /// Comma-separated values with a header.
    Csv(TablePlan),
    /// Parquet.
    Parquet(TablePlan),
    /// A Prometheus text exposition; samples without a time get this one, milliseconds.
    Exposition {
        /// When it was scraped, for samples that do not say.
        at: Option<i64>,
    },
    /// JSON lines as `/api/v1/export` of VictoriaMetrics writes them.
    VmLines,
}

/// Where an import goes and by which rules.
#[derive(Clone)]
pub struct FileTarget {
    /// The lake.
    pub store: Arc<dyn RowStore>,
    /// Canonical metrics.
    pub catalogue: Arc<Catalogue>,
    /// What source series are; tables with an entity of their own do not need it.
    pub mappings: Arc<dyn Resolve>,
    /// What may be remembered and pass.
    pub limits: Limits,
    /// How rows are dated and how many are held.
    pub options: HistoryOptions,
}

/// How far a file is stored: data rows of a table, lines of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    done: u64,
    complete: bool,
    /// Whether an exposition is OpenMetrics, once that is known: its first lines are not read again to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open_metrics: Option<bool>,
}

/// Imports one file.
///
/// # Errors
/// When the file cannot be read, does not fit the plan, or the store fails. What was stored stays, and the same call
/// goes on from there.
pub fn import(path: &Path, kind: &FileKind, target: &FileTarget, progress: &dyn Progress) -> Result<HistoryReport> {
    let mappings: Arc<dyn Resolve> = match kind {
        FileKind::Csv(plan) | FileKind::Parquet(plan) => {
            plan.validate(&target.catalogue)?;
            match plan.resolver(&target.catalogue) {
                Some(resolver) => Arc::new(resolver),
                None => target.mappings.clone(),
            }
        }
        FileKind::Exposition { .. } | FileKind::VmLines => target.mappings.clone(),
    };
    let pipeline = Arc::new(Pipeline::new(target.store.clone(), target.catalogue.clone(), mappings, target.limits));
    let bytes = path.metadata().map_err(DatasetError::io(path, "read the file"))?.len();
    progress.begin("reading the file", Some(bytes.max(1)));
    let name = ledger_name(path, kind, &target.options)?;
    let mut importer = Importer::new(pipeline, name, &target.options);
    let mut position = Position::default();
    if let Some(note) = importer.progress_now()? {
        position = serde_json::from_str(&note).map_err(|error| DatasetError::Config {
            subject: format!("{}: note in the ledger", path.display()),
            reason: format!("{error}: {note}"),
        })?;
        importer.report().resumed = true;
        importer.report().already_complete = position.complete;
        tracing::info!(path = %path.display(), done = position.done, "going on where an earlier run stopped");
    }
    if !position.complete {
        let read_at = super::now();
        let latest = read_at.saturating_add(target.limits.max_future.max(FAR_AHEAD));
        let mut run = Run { path, importer: &mut importer, position, read_at, latest };
        match kind {
            FileKind::Csv(plan) => csv::read(&mut run, plan, &target.catalogue)?,
            FileKind::Parquet(plan) => parquet::read(&mut run, plan, &target.catalogue)?,
            FileKind::Exposition { at } => lines::read(&mut run, lines::Form::Exposition(*at))?,
            FileKind::VmLines => lines::read(&mut run, lines::Form::Vm)?,
        }
        run.position.complete = true;
        run.commit()?;
    }
    progress.advance(bytes.max(1));
    progress.end();
    Ok(importer.finish())
}

/// No clock is a day ahead: a time further off was not measured, its column is read in the wrong unit. Milliseconds.
const FAR_AHEAD: i64 = 86_400_000;

/// One file being read.
struct Run<'a> {
    path: &'a Path,
    importer: &'a mut Importer,
    position: Position,
    read_at: i64,
    /// A table with a time after this is refused as a whole; up to it, samples of the future are dropped and counted.
    latest: i64,
}

impl Run<'_> {
    /// Some rows or lines are taken; stores them when enough are held.
    fn advance(&mut self, by: u64) -> Result<()> {
        self.position.done += by;
        if self.importer.is_full() { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        let note = serde_json::to_string(&self.position).unwrap_or_default();
        self.importer.commit_now(&note)
    }

    /// Names the file in a failure; `line` is where the piece began.
    fn fail(&self, failure: Failure, line: impl FnOnce(usize) -> u64) -> DatasetError {
        match failure {
            Failure::Malformed(error) => {
                DatasetError::Line { path: self.path.to_owned(), line: line(error.at), problem: error.to_string() }
            }
            Failure::Store(error) => error,
        }
    }
}

/// The file's bytes, inflated if it is gzip, whatever its name says.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    let mut file = File::open(path).map_err(DatasetError::io(path, "read the file"))?;
    let mut magic = [0; 2];
    let gzip = match file.read_exact(&mut magic) {
        Ok(()) => magic == [0x1f, 0x8b],
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => return Err(DatasetError::io(path, "read the file")(error)),
    };
    io::Seek::rewind(&mut file).map_err(DatasetError::io(path, "read the file"))?;
    let reader = BufReader::with_capacity(1 << 20, file);
    Ok(if gzip { Box::new(flate2::bufread::MultiGzDecoder::new(reader)) } else { Box::new(reader) })
}

/// Names the file in an error while reading, gzip damage apart.
fn reading(path: &Path, error: io::Error) -> DatasetError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            DatasetError::Gzip { path: path.to_owned(), problem: "ends before its end mark".to_owned() }
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            DatasetError::Gzip { path: path.to_owned(), problem: format!("is corrupt: {error}") }
        }
        _ => DatasetError::io(path, "read the file")(error),
    }
}

fn ledger_name(path: &Path, kind: &FileKind, options: &HistoryOptions) -> Result<String> {
    let mut file = File::open(path).map_err(DatasetError::io(path, "read the file"))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(DatasetError::io(path, "read the file"))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let rules = match kind {
        FileKind::Csv(plan) => format!("csv {}", serde_json::to_string(plan).unwrap_or_default()),
        FileKind::Parquet(plan) => format!("parquet {}", serde_json::to_string(plan).unwrap_or_default()),
        FileKind::Exposition { at } => format!("exposition {at:?}"),
        FileKind::VmLines => "vm lines".to_owned(),
    };
    let rules = hex::encode(&Sha256::digest(format!("{rules} {}", options.known_after))[..8]);
    Ok(format!("file {} {rules}", hex::encode(hash.finalize())))
}
