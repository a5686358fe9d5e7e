//! What can be wrong with sources and data sets on disk: what, where, what was seen, what to do.

use std::io;
use std::path::{Path, PathBuf};

use features::FeatureError;
use parquet::errors::ParquetError;

/// Errors of everything between a file somebody hands over and a finished data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder that is not there.
    #[error("{path}: not found ({wanted})")]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
        /// What it was needed for.
        wanted: String,
    },
    /// Reading or writing failed.
    #[error("{path}: cannot {doing}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// No room left; what was half written has been removed.
    #[error("{path}: disk full; free some space and run it again, nothing half-written is left")]
    DiskFull {
        /// Which file.
        path: PathBuf,
    },
    /// Too many series for this lake.
    #[error(
        "a new series past the limit of {limit}; send fewer (metric_relabel_configs, write_relabel_configs) or raise --max-series"
    )]
    SeriesLimit {
        /// The limit.
        limit: usize,
    },
    /// Rows come faster than they become Parquet.
    #[error("{path}: {waiting} rows are waiting to become Parquet; try again in a few seconds")]
    Full {
        /// Which lake.
        path: PathBuf,
        /// Rows waiting.
        waiting: usize,
    },
    /// A gzip file that ends too early or is not gzip.
    #[error("{path}: gzip {problem}; fetch it again")]
    Gzip {
        /// Which file.
        path: PathBuf,
        /// `ends before its end mark`, or `is corrupt: …`.
        problem: String,
    },
    /// A column missing or holding something else.
    #[error("{path}: column {column:?} {problem}")]
    Column {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: String,
        /// `is missing; columns are …`, `is Utf8, expected Float32`, …
        problem: String,
    },
    /// A row or cell that cannot be read as what it should be.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// What was seen and expected.
        problem: String,
    },
    /// A source that holds nothing.
    #[error("{path}: no {what}; refused, because nothing can be learned from an empty data set")]
    Empty {
        /// Which file or data set.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// Rows, but not one failure.
    #[error("{path}: none of its {rows} rows ends in a failure; watch longer or choose another event")]
    NoFailures {
        /// Which data set.
        path: PathBuf,
        /// How many rows there were.
        rows: u64,
    },
    /// A file that is not the one the manifest describes.
    #[error("{path}: sha256 is {got}, the manifest says {expected}; the file was changed, rebuild the data set")]
    Digest {
        /// Which file.
        path: PathBuf,
        /// Digest of the manifest.
        expected: String,
        /// Digest of the file.
        got: String,
    },
    /// A count, hash or size that disagrees with the manifest.
    #[error("{path}: {what} is {got}, the manifest says {expected}; rebuild the data set")]
    Disagrees {
        /// Which file.
        path: PathBuf,
        /// What was compared.
        what: &'static str,
        /// What the manifest says.
        expected: String,
        /// What was seen.
        got: String,
    },
    /// A manifest that cannot be used.
    #[error("{path}: {reason}")]
    Manifest {
        /// Which manifest.
        path: PathBuf,
        /// Unknown key, missing key, bad value.
        reason: String,
    },
    /// A layout of another time.
    #[error(
        "{path}: schema_version is {found}, this build reads {expected}; rebuild the data set or use a matching build"
    )]
    SchemaVersion {
        /// Which manifest.
        path: PathBuf,
        /// Version seen.
        found: String,
        /// Version read here.
        expected: u32,
    },
    /// A target that holds something else.
    #[error("{path}: already there and {problem}; choose another folder or remove it first")]
    Exists {
        /// Which folder.
        path: PathBuf,
        /// What is in it.
        problem: String,
    },
    /// Another live process writes to the same place.
    #[error("{path}: another process is at work here; wait for it to end, or choose another folder")]
    Busy {
        /// The lock or the staging folder.
        path: PathBuf,
    },
    /// A config or plan that contradicts itself.
    #[error("{subject}: {reason}")]
    Config {
        /// Which config.
        subject: String,
        /// Keys, values, what to do.
        reason: String,
    },
    /// A Parquet file that cannot be read or written.
    #[error("{path}: {reason}")]
    Parquet {
        /// Which file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// A running service that does not answer as it should.
    #[error("{url}: {problem}")]
    Remote {
        /// Its address, without secrets.
        url: String,
        /// What it answered, what to do.
        problem: String,
    },
    /// A sample, event, spec or mapping the features room refuses.
    #[error("{subject}: {error}")]
    Feature {
        /// Which file, data set or entity.
        subject: String,
        /// What is wrong with it.
        error: FeatureError,
    },
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = DatasetError> = std::result::Result<T, E>;

impl DatasetError {
    /// Names the file and the action in a system error; a full disk and a missing file get their own words.
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_owned() },
            io::ErrorKind::NotFound => Self::NotFound { path: path.to_owned(), wanted: format!("to {doing}") },
            _ => Self::Io { path: path.to_owned(), doing, error },
        }
    }

    /// Names the file in a Parquet error; a full disk inside it is still a full disk.
    pub(crate) fn parquet(path: &Path) -> impl Fn(ParquetError) -> Self {
        move |error| {
            if let ParquetError::External(inner) = &error
                && let Some(inner) = inner.downcast_ref::<io::Error>()
                && matches!(inner.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            {
                return Self::DiskFull { path: path.to_owned() };
            }
            let reason = error.to_string();
            // Where the writer lets go of its file the error arrives as words.
            if ["no storage space", "No space left on device", "Disk quota exceeded"]
                .iter()
                .any(|full| reason.contains(full))
            {
                return Self::DiskFull { path: path.to_owned() };
            }
            Self::Parquet { path: path.to_owned(), reason }
        }
    }

    /// Names the subject of a refusal by the features room.
    pub(crate) fn feature(subject: impl ToString) -> impl Fn(FeatureError) -> Self {
        move |error| Self::Feature { subject: subject.to_string(), error }
    }

    /// A contradiction in a config or plan.
    pub(crate) fn config(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { subject: subject.into(), reason: reason.into() }
    }
}
