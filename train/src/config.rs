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
    /// Folds a model is fitted over, by group; 0 fits once on the training part. With K folds the rows of training,
    /// validation and calibration part together are fitted K times, each time without one fold, which stops and
    /// chooses; curves are averaged, and what each row's own fold predicted for it calibrates.
    pub cross_fit: u32,
    /// Several networks as one model.
    pub ensemble: EnsembleConfig,
    /// The boosted trees.
    pub boosted: BoostedConfig,
    /// The classical rivals.
    pub classical: ClassicalConfig,
    /// Several families as one model.
    pub stack: StackConfig,
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
            cross_fit: 0,
            ensemble: EnsembleConfig::default(),
            boosted: BoostedConfig::default(),
            classical: ClassicalConfig::default(),
            stack: StackConfig::default(),
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
    /// Whether the network begins at the linear hazard model of its own flat part, or else at the life table.
    pub linear_start: bool,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            epochs: 40,
            patience: 8,
            batch_rows: 512,
            learning_rate: 2e-3,
            weight_decay: 0.3,
            rps_weight: 0.2,
            linear_start: true,
        }
    }
}

/// Settings of an ensemble of networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnsembleConfig {
    /// Networks of different seeds, in each fold.
    pub members: usize,
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        Self { members: 5 }
    }
}

/// Settings of the boosted trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoostedConfig {
    /// Trees per cause at most.
    pub trees: usize,
    /// Trees without a better validation loss before stopping.
    pub patience: usize,
    /// Share of each tree's step that is taken.
    pub learning_rate: f64,
    /// Depth of a tree at most.
    pub max_depth: usize,
    /// Leaves of a tree at most; the most useful split goes first.
    pub max_leaves: usize,
    /// Penalty on squared leaf values.
    pub l2: f64,
    /// Sum of p(1 − p) a leaf must hold.
    pub min_leaf_weight: f64,
    /// Share of the intervals drawn for each tree.
    pub row_share: f64,
    /// Share of the columns drawn for each tree.
    pub column_share: f64,
    /// Values a column is cut into.
    pub bins: u16,
    /// Cells of the person-period table at most (8 bytes each); beyond, survived intervals are drawn.
    pub cells: usize,
}

impl Default for BoostedConfig {
    fn default() -> Self {
        Self {
            trees: 500,
            patience: 25,
            learning_rate: 0.05,
            max_depth: 6,
            max_leaves: 31,
            l2: 1.0,
            min_leaf_weight: 1.0,
            row_share: 0.8,
            column_share: 0.6,
            bins: 128,
            cells: 30_000_000,
        }
    }
}

impl BoostedConfig {
    fn validate(&self) -> std::result::Result<(), String> {
        if self.trees == 0 || self.patience == 0 || self.max_depth == 0 || self.max_leaves < 2 || self.bins < 2 {
            return Err(format!(
                "boosted.trees ({}), patience ({}) and max_depth ({}) must be above 0, max_leaves ({}) and bins ({}) at least 2",
                self.trees, self.patience, self.max_depth, self.max_leaves, self.bins
            ));
        }
        let share = |value: f64| value > 0.0 && value <= 1.0;
        if !(share(self.learning_rate) && share(self.row_share) && share(self.column_share)) {
            return Err(format!(
                "boosted.learning_rate ({}), row_share ({}) and column_share ({}) must lie in (0, 1]",
                self.learning_rate, self.row_share, self.column_share
            ));
        }
        if !(self.l2 >= 0.0 && self.min_leaf_weight >= 0.0) {
            return Err(format!(
                "boosted.l2 ({}) and min_leaf_weight ({}) must be at least 0",
                self.l2, self.min_leaf_weight
            ));
        }
        Ok(())
    }
}

/// Settings of a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StackConfig {
    /// Its families.
    pub members: Vec<ModelKind>,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self { members: vec![ModelKind::HazardNet, ModelKind::BoostedHazard, ModelKind::Cox] }
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
        if self.cross_fit == 1 || self.cross_fit > 20 {
            return refuse(format!("cross_fit is {}, must be 0 (off) or 2 to 20 folds", self.cross_fit));
        }
        if !(1..=50).contains(&self.ensemble.members) {
            return refuse(format!("ensemble.members is {}, must be 1 to 50", self.ensemble.members));
        }
        self.boosted.validate().or_else(refuse)?;
        let members = &self.stack.members;
        let distinct: std::collections::BTreeSet<_> = members.iter().collect();
        if members.is_empty()
            || distinct.len() != members.len()
            || members.len() > crate::stack::MOST_MEMBERS
            || members.contains(&ModelKind::Stack)
        {
            return refuse(format!(
                "stack.members is {members:?}: give one to {} families, each once, none of them stack",
                crate::stack::MOST_MEMBERS
            ));
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
