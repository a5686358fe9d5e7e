//! Settings of one night.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Result, ScoreError};

/// Which rows of a data set are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsOf {
    /// Every row.
    All,
    /// The newest row of each entity.
    Latest,
    /// Rows of exactly this tick; written as RFC 3339 it stands for milliseconds since 1970.
    At(i64),
}

impl AsOf {
    /// The form used in folder names and on the command line.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Latest => "latest".to_owned(),
            Self::At(tick) => tick.to_string(),
        }
    }
}

impl std::str::FromStr for AsOf {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "latest" => Ok(Self::Latest),
            other => other
                .parse()
                .ok()
                // Ticks of a lake are milliseconds.
                .or_else(|| chrono::DateTime::parse_from_rfc3339(other).ok().map(|time| time.timestamp_millis()))
                .map(Self::At)
                .ok_or_else(|| format!("{other:?} is neither all, latest, a whole number of ticks nor RFC 3339")),
        }
    }
}

/// Settings of one run of `forewarn score`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// Data set folder.
    pub dataset: PathBuf,
    /// Bundle folder.
    pub bundle: PathBuf,
    /// Where the risks go.
    pub out: PathBuf,
    /// Which rows.
    pub as_of: AsOf,
    /// Where the model runs.
    #[serde(default)]
    pub device: model::DeviceChoice,
    /// How many shares the fleet is split into.
    #[serde(default = "one_shard")]
    pub shards: u32,
    /// The one share scored here; all of them when `None`.
    #[serde(default)]
    pub shard: Option<u32>,
    /// Rows per output file: small enough that a kill costs seconds.
    #[serde(default = "part_rows")]
    pub part_rows: usize,
    /// Share of rows that may fail before the night does.
    #[serde(default = "max_failed_share")]
    pub max_failed_share: f64,
}

/// One process scores everything.
fn one_shard() -> u32 {
    1
}

/// About ten seconds of a small model on one core.
fn part_rows() -> usize {
    100_000
}

/// One row in a thousand.
fn max_failed_share() -> f64 {
    0.001
}

impl ScoreConfig {
    /// Settings with the defaults for all but the paths.
    #[must_use]
    pub fn new(dataset: PathBuf, bundle: PathBuf, out: PathBuf, as_of: AsOf) -> Self {
        Self {
            dataset,
            bundle,
            out,
            as_of,
            device: model::DeviceChoice::Auto,
            shards: one_shard(),
            shard: None,
            part_rows: part_rows(),
            max_failed_share: max_failed_share(),
        }
    }

    /// Checks the whole.
    ///
    /// # Errors
    /// A message naming the keys and their values.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(ScoreError::Usage { reason });
        if self.shards == 0 || self.shards > 10_000 {
            return refuse(format!("shards is {}, must be 1 to 10000", self.shards));
        }
        if let Some(shard) = self.shard
            && shard >= self.shards
        {
            return refuse(format!("shard {shard} of {}: shards count from 0", self.shards));
        }
        if self.part_rows == 0 {
            return refuse("part_rows is 0, must be above 0".to_owned());
        }
        if !(0.0..=1.0).contains(&self.max_failed_share) {
            return refuse(format!("max_failed_share is {}, must lie in [0, 1]", self.max_failed_share));
        }
        Ok(())
    }
}
