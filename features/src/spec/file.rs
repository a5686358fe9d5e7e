//! The spec as people write it: families of columns, durations such as `5m`, defaults where nothing is said.

use std::collections::BTreeMap;

use serde::Deserialize;
use survival::TimeUnit;

use super::{
    Channel, FeatureSpec, FlatColumn, FlatSource, KERNEL_VERSION, RegimeChannel, Rollup, Statistic, Summary, TimeAxis,
};
use crate::catalogue::{Catalogue, MetricKind};
use crate::mapping::{MappingSet, SHIPPED};
use crate::{FeatureError, Result};

/// Keys of a column that hold a duration.
const DURATIONS: [&str; 5] = ["window", "short", "long", "half_life", "period"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "hours")]
    unit: TimeUnit,
    #[serde(default = "five_minutes")]
    tile: Duration,
    #[serde(default = "one_minute")]
    ingest_lag: Duration,
    #[serde(default = "one_minute")]
    scrape_interval: Duration,
    /// Three scrape intervals where nothing is said.
    longest_gap: Option<Duration>,
    #[serde(default)]
    rollup: RollupChoice,
    #[serde(default)]
    family: Vec<Family>,
    #[serde(default)]
    column: Vec<toml::Table>,
    sequence: Option<Sequence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    metric: Option<String>,
    #[serde(default)]
    metrics: Vec<String>,
    windows: Option<Vec<Duration>>,
    statistics: Option<Vec<Statistic>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sequence {
    steps: usize,
    step: Duration,
    channel: Vec<Channel>,
    #[serde(default)]
    regimes: Vec<RegimeChannel>,
    #[serde(default)]
    summaries: Vec<Summary>,
}

/// `rollup = false` or `rollup = { length = "1h", from_window = "24h" }`.
#[derive(Deserialize)]
#[serde(untagged)]
enum RollupChoice {
    Switch(bool),
    Of(RollupLength),
}

impl Default for RollupChoice {
    fn default() -> Self {
        Self::Switch(true)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollupLength {
    length: Duration,
    from_window: Duration,
}

/// A duration as written and in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Duration {
    text: String,
    ticks: i64,
}

impl TryFrom<String> for Duration {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let ticks = milliseconds(&text)?;
        Ok(Self { text, ticks })
    }
}

fn hours() -> TimeUnit {
    TimeUnit::Hours
}

fn five_minutes() -> Duration {
    Duration { text: "5m".to_owned(), ticks: 300_000 }
}

fn one_minute() -> Duration {
    Duration { text: "1m".to_owned(), ticks: 60_000 }
}

/// `250ms`, `30s`, `5m`, `24h`, `7d` in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no duration; write a whole number and ms, s, m, h or d, such as \"5m\"");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let per = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(per).ok_or_else(wrong)
}

fn refuse(reason: impl Into<String>) -> FeatureError {
    FeatureError::Spec { reason: reason.into() }
}

impl FeatureSpec {
    /// A spec from its TOML form; ticks are milliseconds.
    ///
    /// `[[family]]` gives every statistic of every metric over every window, in columns named
    /// `metric.statistic.window`. Left out, windows are 1h and 24h, and statistics those of the metric's kind:
    /// last, mean, max and slope of a gauge; increase, rate and rate_max of a counter; increase of a delta;
    /// transitions of a state; changes of a time. `[[column]]` gives any other column as in [`FlatSource`], by
    /// `name` and `from`; with `windows = [..]` in place of `window` it gives one per window, named
    /// `name.window`. `[sequence]` gives steps and channels. The shipped mappings that provide what it reads are pinned
    /// by their digests.
    ///
    /// # Errors
    /// When the text is no such TOML, or the spec contradicts itself or the catalogue: one message that names
    /// the key, what was seen and what to write instead.
    pub fn from_toml(text: &str, catalogue: &Catalogue) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        let ticks_per_unit = match file.unit {
            TimeUnit::Seconds => 1_000,
            TimeUnit::Minutes => 60_000,
            TimeUnit::Hours => 3_600_000,
            TimeUnit::Days => 86_400_000,
            TimeUnit::Cycles => return Err(refuse("unit is cycles; this form counts time by the clock")),
        };
        let rollup = match file.rollup {
            RollupChoice::Switch(false) => None,
            RollupChoice::Switch(true) => Some(default_rollup(&file.tile)?),
            RollupChoice::Of(RollupLength { length, from_window }) => {
                Some(Rollup { tile_multiple: whole_tiles(&length, &file.tile)?, from_window: from_window.ticks })
            }
        };
        let mut flat = Vec::new();
        for family in &file.family {
            flat.extend(family.columns(catalogue)?);
        }
        for table in file.column {
            flat.extend(columns(table)?);
        }
        let (steps, step, channels, regimes, summaries) = match file.sequence {
            Some(Sequence { steps, step, channel, regimes, summaries }) => {
                (steps, step.ticks, channel, regimes, summaries)
            }
            None => (0, file.tile.ticks, Vec::new(), Vec::new(), Vec::new()),
        };
        let spec = Self {
            kernel_version: KERNEL_VERSION,
            time: TimeAxis { unit: file.unit, ticks_per_unit },
            tile: file.tile.ticks,
            ingest_lag: file.ingest_lag.ticks,
            longest_gap: file.longest_gap.map_or(3 * file.scrape_interval.ticks, |gap| gap.ticks),
            flat,
            steps,
            step,
            channels,
            regimes,
            summaries,
            scrape_interval: Some(file.scrape_interval.ticks),
            rollup,
            catalogue_digest: catalogue.digest(),
            mappings: BTreeMap::new(),
        };
        spec.validate(catalogue)?;
        spec.check_statistics(catalogue)?;
        match MappingSet::of(&SHIPPED, catalogue) {
            Ok(mappings) => spec.with_mappings(&mappings, catalogue),
            // The shipped mappings speak of the shipped catalogue: for another one nothing is mapped by them.
            Err(_) => Ok(spec),
        }
    }
}

fn default_rollup(tile: &Duration) -> Result<Rollup> {
    let hour = Duration { text: "1h".to_owned(), ticks: 3_600_000 };
    let tile_multiple = whole_tiles(&hour, tile)
        .map_err(|_| refuse(format!("tile {} does not divide an hour; give rollup, or rollup = false", tile.text)))?;
    Ok(Rollup { tile_multiple, from_window: Rollup::HOURS.from_window })
}

fn whole_tiles(length: &Duration, tile: &Duration) -> Result<i64> {
    if tile.ticks <= 0 || length.ticks % tile.ticks != 0 {
        return Err(refuse(format!("rollup length {} is not a whole number of tiles of {}", length.text, tile.text)));
    }
    Ok(length.ticks / tile.ticks)
}

impl Family {
    fn columns(&self, catalogue: &Catalogue) -> Result<Vec<FlatColumn>> {
        let metrics: Vec<&String> = self.metric.iter().chain(&self.metrics).collect();
        if metrics.is_empty() {
            return Err(refuse("a [[family]] names no metric; give metric = \"..\" or metrics = [..]"));
        }
        let day = ["1h", "24h"].map(|text| Duration::try_from(text.to_owned()));
        let default_windows: Vec<Duration> = day.into_iter().flatten().collect();
        let windows = self.windows.as_ref().unwrap_or(&default_windows);
        let mut columns = Vec::new();
        for metric in metrics {
            let id = catalogue.id(metric)?;
            let kind = catalogue.definition(id).map_or(MetricKind::Gauge, |definition| definition.kind);
            let statistics = self.statistics.as_deref().unwrap_or_else(|| usual(kind));
            for statistic in statistics {
                for window in windows {
                    columns.push(FlatColumn {
                        name: format!("{metric}.{}.{}", statistic.name(), window.text),
                        source: FlatSource::Tile {
                            metric: metric.clone(),
                            statistic: *statistic,
                            window: window.ticks,
                        },
                    });
                }
            }
        }
        Ok(columns)
    }
}

fn usual(kind: MetricKind) -> &'static [Statistic] {
    match kind {
        MetricKind::Gauge => &[Statistic::Last, Statistic::Mean, Statistic::Max, Statistic::Slope],
        MetricKind::Counter => &[Statistic::Increase, Statistic::Rate, Statistic::RateMax],
        MetricKind::Delta => &[Statistic::Increase],
        MetricKind::State => &[Statistic::Transitions],
        MetricKind::Time => &[Statistic::Changes],
        MetricKind::Info => &[],
    }
}

/// The columns of one `[[column]]`: one, or one per window.
fn columns(mut table: toml::Table) -> Result<Vec<FlatColumn>> {
    let name = table.get("name").and_then(|name| name.as_str()).unwrap_or("(without a name)").to_owned();
    let wrong = |problem: String| refuse(format!("column {name:?}: {problem}"));
    for key in DURATIONS {
        if let Some(toml::Value::String(text)) = table.get(key) {
            let ticks = milliseconds(text).map_err(|problem| wrong(format!("{key}: {problem}")))?;
            table.insert(key.to_owned(), toml::Value::Integer(ticks));
        } else if table.contains_key(key) {
            return Err(wrong(format!("{key} must be a text such as \"5m\"")));
        }
    }
    let read = |table: toml::Table| {
        toml::Value::Table(table).try_into::<FlatColumn>().map_err(|error| wrong(error.message().to_owned()))
    };
    let Some(windows) = table.remove("windows") else { return Ok(vec![read(table)?]) };
    let windows: Vec<Duration> =
        windows.try_into().map_err(|error: toml::de::Error| wrong(format!("windows: {}", error.message())))?;
    windows
        .into_iter()
        .map(|window| {
            let mut one = table.clone();
            one.insert("name".to_owned(), toml::Value::String(format!("{name}.{}", window.text)));
            one.insert("window".to_owned(), toml::Value::Integer(window.ticks));
            read(one)
        })
        .collect()
}
