//! What can be wrong with a bundle, a device or a prediction.

use std::path::PathBuf;

use features::FeatureError;
use survival::SurvivalError;

/// Errors of networks, bundles and devices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of a bundle that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A bundle that is not one, or not one this build reads.
    #[error("bundle {path}: {reason}")]
    Bundle {
        /// The bundle's folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file whose bytes are not those the manifest names.
    #[error(
        "bundle {path}: {file} has sha256 {got}, the manifest says {expected}; the file was changed or damaged, fetch the bundle again"
    )]
    Digest {
        /// The bundle's folder.
        path: PathBuf,
        /// The file.
        file: String,
        /// Digest in the manifest.
        expected: String,
        /// Digest of the file.
        got: String,
    },
    /// A device whose arithmetic cannot be trusted.
    #[error("{device} misses golden row {row} by {error:.1e} (tolerance {tolerance:.0e})")]
    GoldenRow {
        /// Name of the device.
        device: String,
        /// First row it misses.
        row: usize,
        /// Largest absolute difference of that row's curve.
        error: f64,
        /// What was allowed.
        tolerance: f64,
    },
    /// A device that was asked for and is not there.
    #[error("no {wanted} device: {found}")]
    Device {
        /// What was asked for.
        wanted: &'static str,
        /// What there is, in words.
        found: String,
    },
    /// A network configuration that contradicts itself or its input.
    #[error("network: {reason}")]
    Network {
        /// Which values.
        reason: String,
    },
    /// A prediction that is not a curve: NaN weights, an overflow.
    #[error("row {row}: the model answered with a value that is not finite")]
    NonFinite {
        /// The first such row.
        row: usize,
    },
    /// What the features room refuses.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// What the survival room refuses.
    #[error(transparent)]
    Survival(#[from] SurvivalError),
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;
