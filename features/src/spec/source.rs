//! Where a flat column comes from.

use serde::{Deserialize, Serialize};

use super::Statistic;
use crate::entity::EntityKind;

/// Who is compared with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Neighbourhood {
    /// Everything that runs on the same node.
    Node,
    /// The replicas of the same workload.
    Workload,
}

/// What is read from the neighbours' values of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooled {
    /// Largest value of the others.
    Max,
    /// Sum over the others.
    Sum,
    /// Mean of the others.
    Mean,
    /// How many others have a value.
    Count,
    /// (own − mean of the others) / sample deviation of the others; missing below two others or without spread.
    ZScore,
}

/// Where a flat column comes from. Windows are in ticks, half-open `[as_of − window, as_of)`, those of failures too.
///
/// The newest value of `cpu.limit` is, where nothing in the window shows it, the newest `cpu.quota` over the newest
/// `cpu.period`, for a quota above 0: what the kernel enforces where the API is not asked.
///
/// A metric may have several parts per entity (disks, mount points). A statistic is taken per part; counts
/// (`increase`, `resets`, `count`, `transitions`, `changes`) are summed over the parts, `longest_gap` is the
/// longest, `staleness` that of the freshest, every other one is combined as the catalogue's `combine` says.
/// Ratios are taken per part, of parts with the same number, and combined in the way of the numerator
/// (with `combine = "sum"`: sum over sum); a denominator that is known for the whole entity alone (part 0)
/// serves every part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum FlatSource {
    /// An attribute known at birth.
    Attribute {
        /// Its name.
        attribute: String,
    },
    /// Time since birth, in units.
    Age,
    /// A statistic of one metric over a window.
    Tile {
        /// Canonical metric.
        metric: String,
        /// Which statistic.
        statistic: Statistic,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Newest `used` over newest `limit` within a window; missing where the limit is 0 or unknown.
    Saturation {
        /// Canonical metric of the amount used.
        used: String,
        /// Canonical metric of the limit.
        limit: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Growth per second of a counter over the newest value of its limit: CPU seconds per second over CPUs.
    LoadOfLimit {
        /// Canonical counter.
        metric: String,
        /// Canonical metric of the limit, in the counter's unit per second.
        limit: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Increase of one counter over the increase of another: throttled periods over periods.
    IncreaseRatio {
        /// Canonical counter above the line.
        numerator: String,
        /// Canonical counter below the line; missing where it did not grow.
        denominator: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Growth of a counter of seconds over the seconds covered: the share of time stalled (PSI).
    StallShare {
        /// Canonical counter in seconds.
        metric: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Slope over a short window divided by the slope over a long one; missing where the long one is 0.
    SlopeRatio {
        /// Canonical gauge.
        metric: String,
        /// Length of the short window in ticks.
        short: i64,
        /// Length of the long window in ticks.
        long: i64,
    },
    /// (limit − used) / slope of used, in units; of several parts the soonest; 0 where the limit is passed. Missing
    /// where the slope is not above 0 or where there is no limit.
    TimeToLimit {
        /// Canonical gauge of the amount used.
        used: String,
        /// Canonical metric of the limit.
        limit: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Share of covered time in one state.
    StateShare {
        /// Canonical state metric.
        metric: String,
        /// Name of the state.
        state: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Moment of prediction minus the newest value of a time metric, in units: age of a life, uptime of a node.
    TimeSince {
        /// Canonical time metric.
        metric: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Samples over those expected by the scrape interval of the spec; of the parts seen in the window the least
    /// complete.
    Completeness {
        /// Canonical metric.
        metric: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// 1 where the newest value in the window is above 0, else 0: whether a limit is set.
    Present {
        /// Canonical metric.
        metric: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Failures of this entity key within a window, known before its end.
    EventCount {
        /// Length of the window in ticks.
        window: i64,
        /// Only failures of this cause; missing where causes are not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// Time since the last failure of this entity key, in units; missing when there was none.
    SinceEvent {
        /// Only failures of this cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// Failures of this entity key, each counting half as much after every half-life.
    EventDecay {
        /// Half-life in ticks.
        half_life: i64,
        /// Only failures of this cause; missing where causes are not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// Level of the newest whole roll-up (hour) minus the mean level of the same hour one, two … `cycles` periods
    /// before, those that were seen. The level is the mean of a gauge, the rate of a counter.
    Season {
        /// Canonical gauge or counter.
        metric: String,
        /// A day or a week, in ticks.
        period: i64,
        /// How many periods back.
        cycles: u32,
    },
    /// Cumulative sum of such residuals over the newest whole hours, never below 0: a drift upwards adds up.
    Cusum {
        /// Canonical gauge or counter.
        metric: String,
        /// A day or a week, in ticks.
        period: i64,
        /// How many periods back each residual looks.
        cycles: u32,
        /// How many hours (roll-ups) are summed.
        steps: u32,
    },
    /// What the neighbours show in one column; filled in a second pass, see [`crate::neighbour`].
    Neighbour {
        /// Who counts as a neighbour.
        within: Neighbourhood,
        /// The flat column that is pooled.
        column: String,
        /// What is read from it.
        pooled: Pooled,
        /// The kind of the neighbours where it is another one than the row's own: a node reads its pods.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<EntityKind>,
    },
}

impl FlatSource {
    /// Metrics it reads.
    #[must_use]
    pub fn metrics(&self) -> Vec<&str> {
        match self {
            Self::Tile { metric, .. }
            | Self::StallShare { metric, .. }
            | Self::SlopeRatio { metric, .. }
            | Self::StateShare { metric, .. }
            | Self::TimeSince { metric, .. }
            | Self::Completeness { metric, .. }
            | Self::Present { metric, .. }
            | Self::Season { metric, .. }
            | Self::Cusum { metric, .. } => vec![metric],
            Self::Saturation { used, limit, .. } | Self::TimeToLimit { used, limit, .. } => vec![used, limit],
            Self::LoadOfLimit { metric, limit, .. } => vec![metric, limit],
            Self::IncreaseRatio { numerator, denominator, .. } => vec![numerator, denominator],
            Self::Attribute { .. }
            | Self::Age
            | Self::EventCount { .. }
            | Self::SinceEvent { .. }
            | Self::EventDecay { .. }
            | Self::Neighbour { .. } => Vec::new(),
        }
    }

    /// Windows of tiles it reads, in ticks.
    pub(crate) fn windows(&self) -> Vec<i64> {
        match *self {
            Self::Tile { window, .. }
            | Self::Saturation { window, .. }
            | Self::LoadOfLimit { window, .. }
            | Self::IncreaseRatio { window, .. }
            | Self::StallShare { window, .. }
            | Self::TimeToLimit { window, .. }
            | Self::StateShare { window, .. }
            | Self::TimeSince { window, .. }
            | Self::Completeness { window, .. }
            | Self::Present { window, .. } => vec![window],
            Self::SlopeRatio { short, long, .. } => vec![short, long],
            _ => Vec::new(),
        }
    }
}
