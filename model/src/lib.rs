//! What is trained and served. Burn without autodiff.
//!
//! A bundle is born in `train`: normaliser and model are fitted on the training part, probabilities and
//! quantile levels calibrated on the calibration part, alarm levels chosen on validation data, golden rows
//! recorded. [`bundle`] writes and reads it, [`device`] decides where it runs, and whoever scores or serves
//! sees only a [`Predictor`]. The network is in [`network`], its weights in [`neural`], the rivals over the same input
//! in [`classical`] and `boosted`; [`fitted`] holds any of them, or several.

#[cfg(feature = "boosted")]
pub mod boosted;
pub mod bundle;
pub mod calibration;
pub mod classical;
pub mod device;
pub mod error;
pub mod fitted;
pub mod network;
pub mod neural;
pub mod predictor;

#[cfg(feature = "boosted")]
pub use boosted::{BoostedHazard, CauseBooster};
pub use bundle::{BundleParts, BundlePredictor, LoadedBundle};
pub use calibration::Calibration;
pub use classical::{Classical, ClassicalModel};
pub use device::{Chosen, DeviceChoice};
pub use error::{ModelError, Result};
pub use fitted::{Fitted, Member, mean_curves};
pub use network::{HazardNet, NetworkConfig, NetworkShape};
pub use predictor::{AlarmLevels, BundleInfo, CurveModel, ModelKind, Predictor};
