//! The one trait between models and everything that judges, scores or serves them.

use std::sync::Arc;

use features::{Catalogue, Design, FeatureBatch, FeatureSpec};
use serde::{Deserialize, Serialize};
use survival::{Readout, SurvivalCurve, TimeGrid};

use crate::Result;
use crate::network::HazardNet;

/// Which family a model belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// The neural discrete-time hazard model.
    HazardNet,
    /// Several of them from different seeds, curves averaged.
    HazardNetEnsemble,
    /// Boosted trees on the person-period table.
    BoostedHazard,
    /// Cause-specific proportional hazards.
    Cox,
    /// The same over the ages of entities, covariates changing from cut to cut.
    CoxTimeVarying,
    /// Cause-specific Weibull accelerated failure time.
    Weibull,
    /// Cause-specific log-logistic accelerated failure time.
    LogLogistic,
    /// Logistic hazard per interval, linear in the covariates.
    DiscreteHazard,
    /// Aalen–Johansen (Kaplan–Meier for one cause): no covariates.
    KaplanMeier,
    /// The same for each class of the few-valued covariates that matter most.
    KaplanMeierByClass,
    /// Cox on age alone.
    AgeOnly,
    /// A weighted mean of families, weights chosen out of fold.
    Stack,
}

impl ModelKind {
    /// Every family, neural first.
    pub const ALL: [Self; 12] = [
        Self::HazardNet,
        Self::HazardNetEnsemble,
        Self::BoostedHazard,
        Self::Cox,
        Self::CoxTimeVarying,
        Self::Weibull,
        Self::LogLogistic,
        Self::DiscreteHazard,
        Self::KaplanMeierByClass,
        Self::KaplanMeier,
        Self::AgeOnly,
        Self::Stack,
    ];
    /// Those a first comparison shows: one of each kind, quick to fit.
    pub const FIRST: [Self; 7] = [
        Self::HazardNet,
        Self::BoostedHazard,
        Self::Cox,
        Self::Weibull,
        Self::DiscreteHazard,
        Self::KaplanMeier,
        Self::AgeOnly,
    ];

    /// The name used on the command line, in bundles and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HazardNet => "hazard-net",
            Self::HazardNetEnsemble => "hazard-net-ensemble",
            Self::BoostedHazard => "boosted-hazard",
            Self::Cox => "cox",
            Self::CoxTimeVarying => "cox-time-varying",
            Self::Weibull => "weibull",
            Self::LogLogistic => "log-logistic",
            Self::DiscreteHazard => "discrete-hazard",
            Self::KaplanMeier => "kaplan-meier",
            Self::KaplanMeierByClass => "kaplan-meier-by-class",
            Self::AgeOnly => "age-only",
            Self::Stack => "stack",
        }
    }

    /// One line for help texts.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::HazardNet => "neural discrete-time hazard model",
            Self::HazardNetEnsemble => "several such networks from different seeds, curves averaged",
            Self::BoostedHazard => "boosted trees on the person-period table",
            Self::Cox => "cause-specific proportional hazards",
            Self::CoxTimeVarying => "the same over ages, covariates changing from cut to cut",
            Self::Weibull => "cause-specific Weibull accelerated failure time",
            Self::LogLogistic => "cause-specific log-logistic accelerated failure time",
            Self::DiscreteHazard => "logistic hazard per interval, linear",
            Self::KaplanMeier => "life table, no covariates",
            Self::KaplanMeierByClass => "a life table for each class of few-valued covariates",
            Self::AgeOnly => "Cox on age alone",
            Self::Stack => "weighted mean of families, weights chosen out of fold",
        }
    }

    /// Whether a network decides what it says.
    #[must_use]
    pub fn is_neural(self) -> bool {
        matches!(self, Self::HazardNet | Self::HazardNetEnsemble)
    }

    /// Whether its fit depends on a seed.
    #[must_use]
    pub fn is_stochastic(self) -> bool {
        matches!(self, Self::HazardNet | Self::HazardNetEnsemble | Self::BoostedHazard | Self::Stack)
    }

    /// Whether it is reliability statistics: no network, no trees, no mixture with either.
    #[must_use]
    pub fn is_classical(self) -> bool {
        !self.is_neural() && !matches!(self, Self::BoostedHazard | Self::Stack)
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

    /// The network inside, where the model is one: who differentiates it needs more than its curves.
    fn network(&self) -> Option<&HazardNet> {
        None
    }
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
