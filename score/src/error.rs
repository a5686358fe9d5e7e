//! What can stop a night, and the exit code it ends with.

use std::path::PathBuf;

/// Errors of the nightly job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// Settings that contradict each other.
    #[error("{reason}")]
    Usage {
        /// Which settings, which values, what to do.
        reason: String,
    },
    /// Nothing to score.
    #[error("{path}: {reason}")]
    NoInput {
        /// The input.
        path: PathBuf,
        /// Why there is nothing.
        reason: String,
    },
    /// Too many rows the model could not score.
    #[error("{failed} of {rows} rows could not be scored, {allowed} allowed; first: {first}; see {quarantine}")]
    TooManyFailed {
        /// Rows not scored.
        failed: u64,
        /// Rows tried.
        rows: u64,
        /// Rows allowed to fail.
        allowed: u64,
        /// The first reason.
        first: String,
        /// Where the rows are.
        quarantine: PathBuf,
    },
    /// Another run's output where this one's belongs.
    #[error("{path}: {reason}")]
    Conflict {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Asked to stop; the part under way was finished.
    #[error("stopped after {parts} parts; run the same command again to go on")]
    Interrupted {
        /// Parts done in this run.
        parts: u64,
    },
    /// Another process works on this shard.
    #[error("{path}: shard {shard} is being scored by another process; wait for it or remove the file if it is gone")]
    Locked {
        /// The lock.
        path: PathBuf,
        /// The shard.
        shard: u32,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Parquet or Arrow refused.
    #[error("{path}: {reason}")]
    Parquet {
        /// Which file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// What the datasets room refuses.
    #[error(transparent)]
    Dataset(#[from] datasets::DatasetError),
    /// What the model room refuses.
    #[error(transparent)]
    Model(#[from] model::ModelError),
    /// What a score refuses.
    #[error(transparent)]
    Survival(#[from] survival::SurvivalError),
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = ScoreError> = std::result::Result<T, E>;

impl ScoreError {
    /// The process exit code: 64–66 and 70, 78 need a person, 74 and 75 another try.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 64,
            Self::TooManyFailed { .. } => 65,
            Self::NoInput { .. } => 66,
            Self::Conflict { .. } => 70,
            Self::Interrupted { .. } | Self::Locked { .. } => 75,
            Self::Io { .. } | Self::Parquet { .. } => 74,
            Self::Dataset(datasets::DatasetError::Io { .. } | datasets::DatasetError::DiskFull { .. }) => 74,
            Self::Dataset(datasets::DatasetError::NotFound { .. }) => 66,
            Self::Dataset(_) | Self::Survival(_) => 65,
            Self::Model(_) => 78,
        }
    }
}

/// Puts a path to an I/O error.
pub(crate) fn io(path: &std::path::Path) -> impl Fn(std::io::Error) -> ScoreError + '_ {
    move |source| ScoreError::Io { path: path.to_owned(), source }
}
