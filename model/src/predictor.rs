//! The one trait between models and everything that judges, scores or serves them.

use std::sync::Arc;

use features::{Catalogue, Design, FeatureBatch, FeatureSpec};
use serde::{Deserialize, Serialize};
use survival::{Readout, SurvivalCurve, TimeGrid};

use crate::Result;

/// Which family a model belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// The neural discrete-time hazard model.
    HazardNet,
    /// Cause-specific proportional hazards.
    Cox,
    /// Cause-specific Weibull accelerated failure time.
    Weibull,
    /// Aalen–Johansen (Kaplan–Meier for one cause): no covariates.
    KaplanMeier,
    /// Logistic hazard per interval, linear in the covariates.
    DiscreteHazard,
    /// Cox on age alone.
    AgeOnly,
}

impl ModelKind {
    /// Every family, neural first.
    pub const ALL: [Self; 6] =
        [Self::HazardNet, Self::Cox, Self::Weibull, Self::DiscreteHazard, Self::KaplanMeier, Self::AgeOnly];

    /// The name used on the command line, in bundles and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HazardNet => "hazard-net",
            Self::Cox => "cox",
            Self::Weibull => "weibull",
            Self::KaplanMeier => "kaplan-meier",
            Self::DiscreteHazard => "discrete-hazard",
            Self::AgeOnly => "age-only",
        }
    }

    /// The family with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Feature rows in, survival curves out, one per row and in their order.
///
/// A row's curve does not depend on the rows beside it.
pub trait Predictor: Send {
    /// Curves of a batch made for this predictor's feature spec.
    ///
    /// # Errors
    /// When the batch was made for another spec, or the model answers with values that are not finite.
    fn predict(&self, batch: &FeatureBatch) -> Result<Vec<SurvivalCurve>>;
}

/// A fitted model over normalised input; [`Predictor`] wraps one with normaliser and calibration.
pub trait CurveModel: Send {
    /// One curve per row of the design.
    ///
    /// # Errors
    /// When the design's width differs from the one fitted, or an answer is not finite.
    fn curves(&self, design: &Design) -> Result<Vec<SurvivalCurve>>;
}

/// Failure probabilities from which on a row is worth acting on, chosen on validation data for a stated budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmLevels {
    /// Horizon the probabilities refer to, in the grid's unit.
    pub horizon: f64,
    /// Share of rows allowed above `elevated`.
    pub elevated_budget: f64,
    /// Level of "watch this one".
    pub elevated: f64,
    /// Share of rows allowed above `high`.
    pub high_budget: f64,
    /// Level of "act on this one".
    pub high: f64,
}

/// What is known of a bundle besides its weights.
#[derive(Debug, Clone)]
pub struct BundleInfo {
    /// Name of the model, `[A-Za-z0-9._-]`.
    pub name: String,
    /// First 12 hexadecimal digits of the bundle's digest.
    pub version: String,
    /// SHA-256 of the bundle's manifest.
    pub digest: String,
    /// Family.
    pub kind: ModelKind,
    /// What a feature row is.
    pub spec: FeatureSpec,
    /// Hash of `spec`.
    pub spec_hash: String,
    /// Metrics the spec reads from.
    pub catalogue: Catalogue,
    /// Time axis of every curve.
    pub grid: Arc<TimeGrid>,
    /// Names of the causes, by index.
    pub causes: Vec<String>,
    /// Horizons and calibrated quantile levels.
    pub readout: Readout,
    /// Alarm levels.
    pub alarms: AlarmLevels,
    /// The card, Markdown.
    pub card: String,
}
