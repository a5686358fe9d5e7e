//! Every setting of a training run: one struct, one TOML file, checked whole, saved with the bundle.

use model::{DeviceChoice, ModelKind, NetworkConfig};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};

/// Settings of one run of `forewarn train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Which family to fit.
    pub model: ModelKind,
    /// Seed of initial weights, shuffles and dropout.
    pub seed: u64,
    /// Where the network is trained.
    pub device: DeviceChoice,
    /// Sizes of the network.
    pub network: NetworkConfig,
    /// The loop.
    pub fit: FitConfig,
    /// The classical rivals.
    pub classical: ClassicalConfig,
    /// Alarm budget.
    pub alarms: AlarmConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            model: ModelKind::HazardNet,
            seed: 1,
            device: DeviceChoice::Auto,
            network: NetworkConfig::default(),
            fit: FitConfig::default(),
            classical: ClassicalConfig::default(),
            alarms: AlarmConfig::default(),
        }
    }
}

/// Settings of the network's training loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitConfig {
    /// Passes over the training part at most.
    pub epochs: usize,
    /// Passes without a better validation loss before stopping.
    pub patience: usize,
    /// Rows per step.
    pub batch_rows: usize,
    /// Peak learning rate; it falls as a cosine to a twentieth.
    pub learning_rate: f64,
    /// Decoupled weight decay (AdamW).
    pub weight_decay: f64,
    /// Weight of the ranked probability score beside the likelihood.
    pub rps_weight: f64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self { epochs: 30, patience: 6, batch_rows: 512, learning_rate: 2e-3, weight_decay: 0.3, rps_weight: 0.2 }
    }
}

/// Settings of the classical models; what they choose among, they choose on the validation part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassicalConfig {
    /// Ridge penalties tried, on standardised columns.
    pub ridges: Vec<f64>,
}

impl Default for ClassicalConfig {
    fn default() -> Self {
        Self { ridges: vec![1.0, 10.0, 100.0, 1000.0] }
    }
}

/// How many rows may stand above an alarm level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmConfig {
    /// Share of validation rows above `elevated`.
    pub elevated_budget: f64,
    /// Share of validation rows above `high`.
    pub high_budget: f64,
}

impl Default for AlarmConfig {
    fn default() -> Self {
        Self { elevated_budget: 0.05, high_budget: 0.01 }
    }
}

impl TrainConfig {
    /// Reads a TOML file's text and checks the whole.
    ///
    /// # Errors
    /// When a key is unknown or of another type, or settings contradict each other.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let config: Self =
            toml::from_str(text).map_err(|e| TrainError::Config { file: file.to_owned(), reason: e.to_string() })?;
        config.validate(file)?;
        Ok(config)
    }

    /// Checks the whole: each limit against those it can contradict.
    ///
    /// # Errors
    /// A message naming the key and what it must be.
    pub fn validate(&self, file: &str) -> Result<()> {
        let refuse = |reason: String| Err(TrainError::Config { file: file.to_owned(), reason });
        let fit = &self.fit;
        if fit.epochs == 0 || fit.batch_rows == 0 {
            return refuse(format!(
                "fit.epochs ({}) and fit.batch_rows ({}) must be above 0",
                fit.epochs, fit.batch_rows
            ));
        }
        if fit.patience >= fit.epochs && fit.epochs > 1 {
            return refuse(format!(
                "fit.patience ({}) is not below fit.epochs ({}): it would never stop early",
                fit.patience, fit.epochs
            ));
        }
        if !(fit.learning_rate > 0.0 && fit.learning_rate < 1.0) {
            return refuse(format!("fit.learning_rate is {}, must lie between 0 and 1", fit.learning_rate));
        }
        if !(fit.weight_decay >= 0.0 && fit.rps_weight >= 0.0) {
            return refuse(format!(
                "fit.weight_decay ({}) and fit.rps_weight ({}) must be at least 0",
                fit.weight_decay, fit.rps_weight
            ));
        }
        if self.classical.ridges.is_empty() || self.classical.ridges.iter().any(|r| !(r.is_finite() && *r > 0.0)) {
            return refuse(format!("classical.ridges is {:?}, needs values above 0", self.classical.ridges));
        }
        let alarms = &self.alarms;
        if !(alarms.high_budget > 0.0 && alarms.high_budget <= alarms.elevated_budget && alarms.elevated_budget < 1.0) {
            return refuse(format!(
                "alarms.high_budget ({}) must be above 0 and at most alarms.elevated_budget ({}), which must be below 1",
                alarms.high_budget, alarms.elevated_budget
            ));
        }
        Ok(())
    }

    /// The resolved settings as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }
}
