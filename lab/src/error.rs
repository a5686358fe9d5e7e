//! What can go wrong in the lab: what, where, what was seen, what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of everything between a family of scripts and a finished run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Reading or writing failed.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// Families of scripts that cannot be used.
    #[error("{path}: {reason}")]
    Families {
        /// Which file.
        path: String,
        /// Family, key, what was seen.
        reason: String,
    },
    /// Control groups that cannot be used.
    #[error("control groups: {reason}")]
    Cgroup {
        /// What is missing and what to do.
        reason: String,
    },
    /// The machine cannot run containers.
    #[error("{reason}")]
    Host {
        /// What is missing and what to do.
        reason: String,
    },
    /// A program of the system failed.
    #[error("{program} failed ({status}): {said}")]
    Program {
        /// Which, with what it was asked to do.
        program: String,
        /// How it ended.
        status: String,
        /// What it said, cut.
        said: String,
    },
    /// A folder that holds something else, or a run with other settings.
    #[error("{path}: {reason}")]
    Run {
        /// Which folder or file.
        path: PathBuf,
        /// What is in the way and what to do.
        reason: String,
    },
    /// The lake or the data set.
    #[error(transparent)]
    Dataset(#[from] datasets::DatasetError),
}

/// Result of the lab.
pub type Result<T> = std::result::Result<T, LabError>;

/// An error of a file.
pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> LabError {
    let path = path.to_owned();
    move |source| LabError::Io { path, doing: doing.to_owned(), source }
}
