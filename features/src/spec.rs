//! What a feature row is made of, and the hash that travels with it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use survival::TimeUnit;

use crate::catalogue::{Catalogue, MetricId};
use crate::{FeatureError, Result};

/// Raised whenever the bits of a feature may change.
///
/// 2: tiles break at gaps and stale marks, a new life is a reset, parts are combined.
pub const KERNEL_VERSION: u32 = 2;

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
}

/// A statistic of a tile.
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
    /// Growth of a counter, resets counted from zero.
    Increase,
    /// Growth of a counter per unit of covered time.
    Rate,
    /// Largest single step of a counter.
    MaxStep,
    /// Resets of a counter.
    Resets,
    /// Number of samples.
    Count,
}

/// Where a flat column comes from. Windows are in ticks, half-open `[as_of − window, as_of)`.
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
    /// Growth of one counter over the growth of another within a window: throttled over all periods.
    Ratio {
        /// Canonical metric above the line.
        above: String,
        /// Canonical metric below it.
        below: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Time until a level reaches its limit at the slope of the window, in units; missing when it does not rise.
    TimeToLimit {
        /// Canonical metric of the level.
        metric: String,
        /// Canonical metric of its limit.
        limit: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Time since the moment that a `time` metric carries, in units: the uptime of a node, the age of a container.
    Since {
        /// Canonical metric.
        metric: String,
        /// How far back its newest value may lie, in ticks.
        window: i64,
    },
    /// Time since the newest sample of a metric, in units; missing when the window has none.
    Staleness {
        /// Canonical metric.
        metric: String,
        /// Length of the window in ticks.
        window: i64,
    },
    /// Samples of a metric over how many there should be.
    Coverage {
        /// Canonical metric.
        metric: String,
        /// Length of the window in ticks.
        window: i64,
        /// Ticks between samples.
        interval: i64,
    },
    /// Failures of this entity key, each counting half after every half-life.
    EventDecay {
        /// Half-life in ticks.
        half_life: i64,
    },
    /// Failures of this entity key within a window.
    EventCount {
        /// Length of the window in ticks.
        window: i64,
    },
    /// Time since the last failure of this entity key, in units; missing when there was none.
    SinceEvent,
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
    /// Digest of the catalogue the metrics come from.
    pub catalogue_digest: String,
}

impl FeatureSpec {
    /// Checks the whole: names, windows against tiles, metrics against the catalogue.
    ///
    /// # Errors
    /// One message naming the key, its value and what it contradicts.
    pub fn validate(&self, catalogue: &Catalogue) -> Result<()> {
        let refuse = |reason: String| Err(FeatureError::Spec { reason });
        // Finished rows of an older kernel stay readable; who computes rows asks for the current one.
        if self.kernel_version == 0 || self.kernel_version > KERNEL_VERSION {
            return refuse(format!(
                "kernel_version is {}, this build knows 1 to {KERNEL_VERSION}; use the release that made it, or a newer one",
                self.kernel_version
            ));
        }
        if self.catalogue_digest != catalogue.digest() {
            return refuse("catalogue_digest differs from the catalogue given".to_owned());
        }
        if self.tile <= 0 || self.time.ticks_per_unit <= 0 {
            return refuse(format!(
                "tile ({}) and ticks_per_unit ({}) must be above 0",
                self.tile, self.time.ticks_per_unit
            ));
        }
        if self.ingest_lag < 0 || self.longest_gap <= 0 {
            return refuse(format!(
                "ingest_lag ({}) must be at least 0 and longest_gap ({}) above 0",
                self.ingest_lag, self.longest_gap
            ));
        }
        if self.flat.is_empty() && (self.steps == 0 || self.channels.is_empty()) {
            return refuse("neither flat columns nor sequence channels: nothing to learn from".to_owned());
        }
        if (self.steps == 0) != self.channels.is_empty() {
            return refuse(format!(
                "steps ({}) and channels ({}) must both be given or both be 0",
                self.steps,
                self.channels.len()
            ));
        }
        if self.steps > 0 && (self.step <= 0 || self.step % self.tile != 0) {
            return refuse(format!("step ({}) must be a multiple of tile ({})", self.step, self.tile));
        }
        let mut names = std::collections::HashSet::new();
        for name in self.flat.iter().map(|c| &c.name).chain(self.channels.iter().map(|c| &c.name)) {
            if name.is_empty() || !names.insert(name) {
                return refuse(format!("column {name:?} is empty or given twice"));
            }
        }
        for column in &self.flat {
            let window = match &column.source {
                FlatSource::Tile { metric, window, .. } => {
                    catalogue.id(metric)?;
                    *window
                }
                FlatSource::Saturation { used, limit, window } => {
                    catalogue.id(used)?;
                    catalogue.id(limit)?;
                    *window
                }
                FlatSource::Ratio { above: one, below: other, window }
                | FlatSource::TimeToLimit { metric: one, limit: other, window } => {
                    catalogue.id(one)?;
                    catalogue.id(other)?;
                    *window
                }
                FlatSource::Since { metric, window } | FlatSource::Staleness { metric, window } => {
                    catalogue.id(metric)?;
                    *window
                }
                FlatSource::Coverage { metric, window, interval } => {
                    catalogue.id(metric)?;
                    if *interval <= 0 {
                        return refuse(format!("column {:?}: interval ({interval}) must be above 0", column.name));
                    }
                    *window
                }
                FlatSource::EventDecay { half_life } => {
                    if *half_life <= 0 {
                        return refuse(format!("column {:?}: half_life ({half_life}) must be above 0", column.name));
                    }
                    continue;
                }
                FlatSource::EventCount { window } => *window,
                FlatSource::Attribute { .. } | FlatSource::Age | FlatSource::SinceEvent => continue,
            };
            if window <= 0 || window % self.tile != 0 {
                return refuse(format!(
                    "column {:?}: window ({window}) must be a multiple of tile ({})",
                    column.name, self.tile
                ));
            }
        }
        for channel in &self.channels {
            catalogue.id(&channel.metric)?;
            if let Some(limit) = &channel.divide_by {
                catalogue.id(limit)?;
            }
        }
        for regime in &self.regimes {
            if self.channel_index(&regime.channel).is_none() || regime.resolution <= 0.0 {
                return refuse(format!(
                    "regime channel {:?} must be a channel, with a resolution above 0",
                    regime.channel
                ));
            }
        }
        for summary in &self.summaries {
            let steps = match *summary {
                Summary::Last => 1,
                Summary::Mean { steps }
                | Summary::Std { steps }
                | Summary::Slope { steps }
                | Summary::Change { steps } => steps,
            };
            if steps == 0 || steps > self.steps {
                return refuse(format!(
                    "summary {summary:?} reaches over {steps} steps, the window has {}",
                    self.steps
                ));
            }
        }
        Ok(())
    }

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
            FlatSource::Tile { window, .. }
            | FlatSource::Saturation { window, .. }
            | FlatSource::Ratio { window, .. }
            | FlatSource::TimeToLimit { window, .. }
            | FlatSource::Since { window, .. }
            | FlatSource::Staleness { window, .. }
            | FlatSource::Coverage { window, .. } => window,
            FlatSource::Attribute { .. }
            | FlatSource::Age
            | FlatSource::EventCount { .. }
            | FlatSource::EventDecay { .. }
            | FlatSource::SinceEvent => 0,
        });
        flat.chain([steps.saturating_mul(self.step)]).max().unwrap_or(0)
    }

    /// Position of a channel.
    #[must_use]
    pub fn channel_index(&self, name: &str) -> Option<usize> {
        self.channels.iter().position(|channel| channel.name == name)
    }

    /// Metrics the spec reads, without repetition, in id order.
    ///
    /// # Errors
    /// When the catalogue lacks one.
    pub fn metrics(&self, catalogue: &Catalogue) -> Result<Vec<MetricId>> {
        let mut ids = Vec::new();
        for column in &self.flat {
            match &column.source {
                FlatSource::Tile { metric, .. } => ids.push(catalogue.id(metric)?),
                FlatSource::Since { metric, .. }
                | FlatSource::Staleness { metric, .. }
                | FlatSource::Coverage { metric, .. } => ids.push(catalogue.id(metric)?),
                FlatSource::Saturation { used: one, limit: other, .. }
                | FlatSource::Ratio { above: one, below: other, .. }
                | FlatSource::TimeToLimit { metric: one, limit: other, .. } => {
                    ids.extend([catalogue.id(one)?, catalogue.id(other)?]);
                }
                FlatSource::Attribute { .. }
                | FlatSource::Age
                | FlatSource::EventCount { .. }
                | FlatSource::EventDecay { .. }
                | FlatSource::SinceEvent => {}
            }
        }
        for channel in &self.channels {
            ids.push(catalogue.id(&channel.metric)?);
            if let Some(limit) = &channel.divide_by {
                ids.push(catalogue.id(limit)?);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}
