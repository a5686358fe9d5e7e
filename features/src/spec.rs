//! What a feature row is made of, and the hash that travels with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use survival::TimeUnit;

use crate::Result;
use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::mapping::MappingSet;

mod check;
mod file;
pub(crate) use file::milliseconds;
mod source;
mod statistic;

pub use source::{FlatSource, Neighbourhood, Pooled};
pub use statistic::Statistic;
pub(crate) use statistic::check_statistic;

/// Raised whenever the bits of a feature may change.
///
/// 2: tiles know gaps, lives and stale marks; sums are shifted; parts are combined.
/// 3: windows of failures are half-open as those of tiles are; the CPU limit falls back to quota over period; errors of
/// a drive run on over reboots.
/// 4: counts of probes run on over restarts of their container; the largest of zeros of either sign is 0.
pub const KERNEL_VERSION: u32 = 4;

/// Metrics whose value is the start of a life: process counters begin at zero there.
const LIFE_METRICS: [&str; 3] = ["start.time", "boot.time", "created.time"];
/// Counters that run on across lives: the API server counts restarts, the kubelet the probes of a pod's container whichever
/// run of it answers, and a drive its own errors, whatever reboots.
const RUN_ON: [&str; 6] = [
    "restart.count",
    "probe.count",
    "probe.failures",
    "probe.duration",
    "probe.duration_count",
    "disk.nvme.media_errors",
];
/// The limit in cores, and the quota and period whose ratio it is where nothing shows it.
const CPU_LIMIT: (&str, &str, &str) = ("cpu.limit", "cpu.quota", "cpu.period");

/// What a tick is: `ticks_per_unit` ticks make one `unit` (1000 per second for milliseconds, 1 per cycle).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeAxis {
    /// Unit of durations, horizons and grid edges.
    pub unit: TimeUnit,
    /// Ticks in one unit.
    pub ticks_per_unit: i64,
}

impl TimeAxis {
    /// A span of ticks in units.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "ticks are milliseconds or cycles, far below 2^53")]
    pub fn units(self, ticks: i64) -> f64 {
        ticks as f64 / self.ticks_per_unit as f64
    }

    /// Ticks in a second; `None` where time is not that of a clock.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn ticks_per_second(self) -> Option<f64> {
        let seconds = match self.unit {
            TimeUnit::Seconds => 1.0,
            TimeUnit::Minutes => 60.0,
            TimeUnit::Hours => 3600.0,
            TimeUnit::Days => 86_400.0,
            TimeUnit::Cycles => return None,
        };
        Some(self.ticks_per_unit as f64 / seconds)
    }
}

/// One flat column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlatColumn {
    /// Its name in Parquet, reports and requests.
    pub name: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub source: FlatSource,
}

/// What a sequence channel shows at each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Canonical metric.
    pub metric: String,
    /// Statistic of the step's tiles.
    pub statistic: Statistic,
    /// Metric whose newest value within the step divides it (a limit), if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divide_by: Option<String>,
}

/// A channel that tells operating conditions apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegimeChannel {
    /// Name of the channel.
    pub channel: String,
    /// Values closer than about this are the same condition.
    pub resolution: f64,
}

/// A summary of each channel of a normalised window; `steps` counts back from `as_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Summary {
    /// Newest observed value.
    Last,
    /// Mean of the newest steps.
    Mean {
        /// How many.
        steps: usize,
    },
    /// Standard deviation of the newest steps.
    Std {
        /// How many.
        steps: usize,
    },
    /// Least-squares slope per step over the newest steps.
    Slope {
        /// How many.
        steps: usize,
    },
    /// Mean of the newest `steps` minus the mean of the oldest `steps` observed.
    Change {
        /// How many.
        steps: usize,
    },
}

/// Tiles joined beforehand (hours out of five minutes) for long windows.
///
/// Windows of at least `from_window` end at the roll-up edge at or before `as_of` and are joined from roll-ups,
/// newest to oldest, each joined from its tiles newest to oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// How many tiles make one roll-up.
    pub tile_multiple: i64,
    /// Shortest window, in ticks, that is read from roll-ups.
    pub from_window: i64,
}

impl Rollup {
    /// Hours out of five-minute tiles, for windows of a day and longer, where a tick is a millisecond.
    pub const HOURS: Self = Self { tile_multiple: 12, from_window: 86_400_000 };
}

/// The declarative description of a feature row, shared by data set, bundle and request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// [`KERNEL_VERSION`] of the build that made it.
    pub kernel_version: u32,
    /// What a tick is.
    pub time: TimeAxis,
    /// Length of a tile in ticks; `as_of` and windows sit on its edges.
    pub tile: i64,
    /// A sample that reaches us later than this after its tile's end is left out, online and offline.
    pub ingest_lag: i64,
    /// A stretch without samples longer than this ends the observation.
    pub longest_gap: i64,
    /// Flat columns, in order.
    pub flat: Vec<FlatColumn>,
    /// Steps of the sequence window, oldest first; 0 for no sequence.
    pub steps: usize,
    /// Length of a step in ticks, a multiple of the tile.
    pub step: i64,
    /// Sequence channels, in order.
    pub channels: Vec<Channel>,
    /// Channels that define operating conditions, each normalised on its own.
    #[serde(default)]
    pub regimes: Vec<RegimeChannel>,
    /// Summaries of every channel, computed after normalising.
    #[serde(default)]
    pub summaries: Vec<Summary>,
    /// Time between two samples of a metric, in ticks, where completeness is to be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_interval: Option<i64>,
    /// Longer windows are read from tiles joined beforehand; `None` reads every window from tiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollup: Option<Rollup>,
    /// Digest of the catalogue the metrics come from.
    pub catalogue_digest: String,
    /// Digests of the mappings that provide what the spec reads, by source: another mapping may give a column another
    /// meaning. Empty where samples come from elsewhere, and then not part of the hash.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mappings: BTreeMap<String, String>,
}

impl FeatureSpec {
    /// SHA-256 over canonical JSON (sorted keys), hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        // `Value` keeps its maps sorted, so the text does not depend on the order of fields in this struct.
        let text = serde_json::to_value(self).map(|value| value.to_string()).unwrap_or_default();
        hex::encode(Sha256::digest(text.as_bytes()))
    }

    /// Longest look-back in ticks: nothing older is needed to compute a row (births and events apart).
    #[must_use]
    pub fn lookback(&self) -> i64 {
        let steps = i64::try_from(self.steps).unwrap_or(i64::MAX);
        let flat = self.flat.iter().map(|column| match column.source {
            FlatSource::Season { period, cycles, .. } => self.season_reach(period, cycles, 1),
            FlatSource::Cusum { period, cycles, steps, .. } => self.season_reach(period, cycles, steps),
            ref source => source.windows().into_iter().map(|window| self.window_reach(window)).max().unwrap_or(0),
        });
        flat.chain([steps.saturating_mul(self.step)]).max().unwrap_or(0)
    }

    /// Ticks back from `as_of` to the start of a window, at the worst.
    fn window_reach(&self, window: i64) -> i64 {
        match self.rollup {
            Some(rollup) if window >= rollup.from_window => {
                window.saturating_add((rollup.tile_multiple - 1).saturating_mul(self.tile))
            }
            _ => window,
        }
    }

    fn season_reach(&self, period: i64, cycles: u32, steps: u32) -> i64 {
        let multiple = self.rollup.map_or(1, |rollup| rollup.tile_multiple);
        let hour = multiple.saturating_mul(self.tile);
        period.saturating_mul(i64::from(cycles)).saturating_add(hour.saturating_mul(i64::from(steps) + 1))
    }

    /// Position of a channel.
    #[must_use]
    pub fn channel_index(&self, name: &str) -> Option<usize> {
        self.channels.iter().position(|channel| channel.name == name)
    }

    /// Pins the mappings that provide what the spec reads.
    ///
    /// # Errors
    /// When the catalogue lacks a metric of the spec.
    pub fn with_mappings(mut self, mappings: &MappingSet, catalogue: &Catalogue) -> Result<Self> {
        let mut read = self.metrics(catalogue)?;
        read.extend(self.life_metrics(catalogue));
        self.mappings = mappings.digests_of(&read);
        Ok(self)
    }

    /// Metrics the spec reads, without repetition, in id order; with `cpu.limit` those it is made of where nothing shows
    /// it.
    ///
    /// # Errors
    /// When the catalogue lacks one.
    pub fn metrics(&self, catalogue: &Catalogue) -> Result<Vec<MetricId>> {
        let flat = self.flat.iter().flat_map(|column| column.source.metrics());
        let channels = self.channels.iter().flat_map(|c| std::iter::once(&c.metric).chain(&c.divide_by));
        let mut ids: Vec<MetricId> =
            flat.chain(channels.map(String::as_str)).map(|name| catalogue.id(name)).collect::<Result<_>>()?;
        if let Some((limit, quota, period)) = cpu_limit(catalogue)
            && ids.contains(&limit)
        {
            ids.extend([quota, period]);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Time metrics whose values say when a life began (`start.time`, `boot.time`, `created.time`), as far as the
    /// catalogue has them; a counter is read rightly only beside them. In id order; empty where the spec reads no
    /// counter or its time is not that of a clock.
    #[must_use]
    pub fn life_metrics(&self, catalogue: &Catalogue) -> Vec<MetricId> {
        let of_kind = |id: &MetricId, kind| catalogue.definition(*id).is_some_and(|d| d.kind == kind);
        let counters = self.metrics(catalogue).is_ok_and(|ids| ids.iter().any(|id| of_kind(id, MetricKind::Counter)));
        if !counters || self.time.ticks_per_second().is_none() {
            return Vec::new();
        }
        life_metrics(catalogue)
    }
}

/// The feature specs of this build, as TOML, by name.
pub const SHIPPED: [(&str, &str); 5] = [
    ("container", include_str!("../specs/container.toml")),
    ("pod", include_str!("../specs/pod.toml")),
    ("node", include_str!("../specs/node.toml")),
    ("vm", include_str!("../specs/vm.toml")),
    ("lab-container", include_str!("../specs/lab-container.toml")),
];

/// The text of a shipped spec.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Time metrics of a catalogue whose values say when a life began, in id order.
pub(crate) fn life_metrics(catalogue: &Catalogue) -> Vec<MetricId> {
    let is_time = |id: &MetricId| catalogue.definition(*id).is_some_and(|d| d.kind == MetricKind::Time);
    let mut ids: Vec<MetricId> =
        LIFE_METRICS.iter().filter_map(|name| catalogue.id(name).ok()).filter(is_time).collect();
    ids.sort_unstable();
    ids
}

/// `cpu.limit`, `cpu.quota` and `cpu.period` of a catalogue that has all of them.
pub(crate) fn cpu_limit(catalogue: &Catalogue) -> Option<(MetricId, MetricId, MetricId)> {
    let (limit, quota, period) = CPU_LIMIT;
    Some((catalogue.id(limit).ok()?, catalogue.id(quota).ok()?, catalogue.id(period).ok()?))
}

/// Whether a counter runs on across lives.
pub(crate) fn runs_on(name: &str) -> bool {
    RUN_ON.contains(&name)
}
