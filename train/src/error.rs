//! What can go wrong while fitting, evaluating and reporting.

use std::path::PathBuf;

/// Errors of training and evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A configuration that cannot be used.
    #[error("{file}: {reason}")]
    Config {
        /// File or source of the setting.
        file: String,
        /// Which key, which value, what to do.
        reason: String,
    },
    /// A data set a model cannot be fitted on.
    #[error("cannot fit {model}: {reason}")]
    Data {
        /// Which model.
        model: String,
        /// What is missing.
        reason: String,
    },
    /// A report, an attribution or another look at a fitted model that cannot be had.
    #[error("{what}: {reason}")]
    Study {
        /// What was asked for.
        what: String,
        /// What stands against it.
        reason: String,
    },
    /// A loss that is no number any more.
    #[error("training diverged in epoch {epoch}: loss is {loss}; lower learning_rate or check the data for outliers")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// The loss.
        loss: f64,
    },
    /// A checkpoint of another run.
    #[error("{path}: checkpoint belongs to another run ({what} differs); remove the folder or restore the setting")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the model room refuses.
    #[error(transparent)]
    Model(#[from] model::ModelError),
    /// What the datasets room refuses.
    #[error(transparent)]
    Dataset(#[from] datasets::DatasetError),
    /// What the features room refuses.
    #[error(transparent)]
    Feature(#[from] features::FeatureError),
    /// What the survival room refuses.
    #[error(transparent)]
    Survival(#[from] survival::SurvivalError),
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// Puts a path to an I/O error.
pub(crate) fn io(path: &std::path::Path) -> impl Fn(std::io::Error) -> TrainError + '_ {
    move |source| TrainError::Io { path: path.to_owned(), source }
}
