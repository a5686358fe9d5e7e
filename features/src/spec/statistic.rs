//! Statistics of joined tiles, and which of them mean something for which kind of metric.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::{FeatureError, Result};

/// A statistic of a window's tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Newest value.
    Last,
    /// Mean of the values.
    Mean,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Sample standard deviation.
    Std,
    /// Least-squares slope, per unit of time.
    Slope,
    /// Growth of a counter, resets counted from zero; of a delta metric, the sum of the reports.
    Increase,
    /// Growth of a counter per unit of covered time.
    Rate,
    /// Largest rate of a single tile, per unit of time.
    RateMax,
    /// Largest single step of a counter.
    MaxStep,
    /// Sample standard deviation of a counter's steps. Precise to about 1e-16 times (mean step / deviation)².
    StepStd,
    /// Variance over mean of the growth per tile (tiles with samples); 1 for a Poisson stream.
    Fano,
    /// Resets of a counter.
    Resets,
    /// Changes from one state to another between linked samples.
    Transitions,
    /// Changes of a time metric, such as new start times.
    Changes,
    /// Number of samples.
    Count,
    /// Longest wait between neighbouring samples inside the window, in units of time.
    LongestGap,
    /// Time from the newest sample in the window to the moment of prediction, in units of time.
    Staleness,
}

impl Statistic {
    /// Every statistic.
    pub const ALL: [Self; 18] = [
        Self::Last,
        Self::Mean,
        Self::Min,
        Self::Max,
        Self::Std,
        Self::Slope,
        Self::Increase,
        Self::Rate,
        Self::RateMax,
        Self::MaxStep,
        Self::StepStd,
        Self::Fano,
        Self::Resets,
        Self::Transitions,
        Self::Changes,
        Self::Count,
        Self::LongestGap,
        Self::Staleness,
    ];

    /// The name used in specs and column names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Std => "std",
            Self::Slope => "slope",
            Self::Increase => "increase",
            Self::Rate => "rate",
            Self::RateMax => "rate_max",
            Self::MaxStep => "max_step",
            Self::StepStd => "step_std",
            Self::Fano => "fano",
            Self::Resets => "resets",
            Self::Transitions => "transitions",
            Self::Changes => "changes",
            Self::Count => "count",
            Self::LongestGap => "longest_gap",
            Self::Staleness => "staleness",
        }
    }

    /// Whether it means something for a kind of metric.
    #[must_use]
    pub fn suits(self, kind: MetricKind) -> bool {
        match self {
            Self::Count | Self::LongestGap | Self::Staleness | Self::Last => kind != MetricKind::Info,
            Self::Mean | Self::Max => matches!(kind, MetricKind::Gauge | MetricKind::Delta),
            Self::Min | Self::Std | Self::Slope => kind == MetricKind::Gauge,
            Self::Increase => matches!(kind, MetricKind::Counter | MetricKind::Delta),
            Self::Rate | Self::RateMax | Self::MaxStep | Self::StepStd | Self::Fano | Self::Resets => {
                kind == MetricKind::Counter
            }
            Self::Transitions => kind == MetricKind::State,
            Self::Changes => kind == MetricKind::Time,
        }
    }
}

/// Refuses a statistic that means nothing for its metric, naming those that do.
pub(crate) fn check_statistic(catalogue: &Catalogue, id: MetricId, statistic: Statistic, column: &str) -> Result<()> {
    let Some(definition) = catalogue.definition(id) else { return Ok(()) };
    if statistic.suits(definition.kind) {
        return Ok(());
    }
    let suited: Vec<&str> =
        Statistic::ALL.into_iter().filter(|s| s.suits(definition.kind)).map(Statistic::name).collect();
    Err(FeatureError::Spec {
        reason: format!(
            "column {column:?}: {} means nothing for {} ({:?}); choose of: {}",
            statistic.name(),
            definition.id,
            definition.kind,
            if suited.is_empty() { "none, it has no tiles".to_owned() } else { suited.join(", ") }
        ),
    })
}
