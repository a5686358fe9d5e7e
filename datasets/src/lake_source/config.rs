//! What `forewarn dataset build --spec FILE` reads: which entities, which labels, which cuts, which features.

use std::path::{Path, PathBuf};

use features::split::{Shares, TimeBorders};
use features::{Catalogue, EntityKind, FeatureSpec};
use serde::{Deserialize, Serialize};
use survival::TimeGrid;

use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Cuts, Input, SplitRule, readout};
use crate::span::Span;

/// Milliseconds of an hour; the tick of a lake is a millisecond.
pub(super) const HOUR: i64 = 3_600_000;

/// A data set to build from a lake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeBuildConfig {
    /// Short name: letters, digits, `-` and `_`.
    pub name: String,
    /// One line for people; the name unless given.
    #[serde(default)]
    pub title: String,
    /// Licence of the data, in words.
    #[serde(default = "unstated")]
    pub licence: String,
    /// Where it comes from.
    #[serde(default)]
    pub source: String,
    /// Which entities.
    pub kind: EntityKind,
    /// Only samples from here on (RFC 3339); the first of the lake unless given.
    #[serde(default)]
    pub from: Option<String>,
    /// Watching ends here (RFC 3339); after the last sample of the lake unless given.
    #[serde(default)]
    pub until: Option<String>,
    /// When rows are made.
    #[serde(default)]
    pub cuts: CutConfig,
    /// What is predicted.
    pub labels: LabelConfig,
    /// Which rows are for what.
    #[serde(default)]
    pub split: SplitConfig,
    /// What a row is made of.
    pub features: FeatureConfig,
}

/// Where the feature spec comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureConfig {
    /// One that ships with this build: `container`, `pod`, `node`, `vm`, `lab-container`.
    Shipped(String),
    /// A file in the form of the shipped ones, beside this one unless absolute.
    File(PathBuf),
}

/// When rows are made of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CutConfig {
    /// After watching began.
    pub first: Span,
    /// Between cuts.
    pub every: Span,
}

impl Default for CutConfig {
    fn default() -> Self {
        Self { first: Span(HOUR), every: Span(HOUR) }
    }
}

/// What is predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelConfig {
    /// Causes told apart, as event_rules.toml names them. Failures of any other cause are `other`.
    pub causes: Vec<String>,
    /// Times ahead at which a probability is asked.
    #[serde(default = "default_horizons")]
    pub horizons: Vec<Span>,
    /// Interval edges after 0; they must contain the horizons.
    #[serde(default = "default_edges")]
    pub edges: Vec<Span>,
    /// Rule file for events, beside this one unless absolute; the shipped one unless given.
    #[serde(default)]
    pub rules: Option<PathBuf>,
    /// Log of what was done because of a prediction, JSON lines; such ends are `intervention`.
    #[serde(default)]
    pub actions: Option<PathBuf>,
    /// What engines and vCenters said of their own.
    #[serde(default)]
    pub notices: Vec<NoticeSource>,
}

/// Where an engine or a vCenter wrote what happened, JSON lines; the file is beside this one unless absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub enum NoticeSource {
    /// `docker events --format '{{json .}}'` of one engine.
    Docker {
        /// The engine, as the first part of its containers' keys.
        engine: String,
        /// The file.
        file: PathBuf,
    },
    /// Events of a vCenter: `{"time", "vm", "event", "message"}`.
    Vcenter {
        /// The file.
        file: PathBuf,
    },
}

impl NoticeSource {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Docker { file, .. } | Self::Vcenter { file } => file,
        }
    }

    fn path_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Docker { file, .. } | Self::Vcenter { file } => file,
        }
    }
}

/// Which rows are for what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum SplitConfig {
    /// Workloads (or entities without one) are disjoint between the parts, by hash.
    Group {
        /// Another salt is another split.
        #[serde(default = "default_salt")]
        salt: String,
        /// Per cent of the groups.
        #[serde(default = "default_train")]
        train: u32,
        /// Per cent of the groups.
        #[serde(default = "default_part")]
        validation: u32,
        /// Per cent of the groups.
        #[serde(default = "default_part")]
        calibration: u32,
        /// Groups that are test whatever their hash, see [`SplitRule::ByGroup`]: those of a namespace by its name alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        test_only: Vec<String>,
    },
    /// Train, validation, calibration and test follow each other; before each border the last edge of the
    /// grid plus the longest window is left out.
    Time {
        /// Validation starts here, RFC 3339.
        validation: String,
        /// Calibration starts here.
        calibration: String,
        /// Test starts here.
        test: String,
    },
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self::Group {
            salt: default_salt(),
            train: default_train(),
            validation: default_part(),
            calibration: default_part(),
            test_only: Vec::new(),
        }
    }
}

fn unstated() -> String {
    "not stated".to_owned()
}

fn default_salt() -> String {
    "forewarn ".to_owned()
}

fn default_train() -> u32 {
    60
}

fn default_part() -> u32 {
    13
}

fn default_horizons() -> Vec<Span> {
    [1, 6, 24].map(|hours| Span(hours * HOUR)).to_vec()
}

fn default_edges() -> Vec<Span> {
    let hours = [0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 18.0, 21.0, 24.0];
    #[expect(clippy::cast_possible_truncation, reason = "half hours are whole milliseconds")]
    let spans = hours.map(|hour| Span((hour * 3_600_000.0) as i64));
    spans.to_vec()
}

/// Milliseconds of an RFC 3339 moment.
pub(super) fn moment(key: &str, text: &str) -> Result<i64> {
    chrono::DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis()).map_err(|error| {
        DatasetError::config(key, format!("{text:?} is no moment such as 2026-11-01T00:00:00Z ({error})"))
    })
}

impl LakeBuildConfig {
    /// Reads a file; relative paths in it are taken from its folder.
    ///
    /// # Errors
    /// When it cannot be read or holds something else; the message names the line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(DatasetError::io(path, "read the spec"))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| DatasetError::config(path.display().to_string(), error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for file in [&mut config.labels.rules, &mut config.labels.actions].into_iter().flatten() {
            *file = folder.join(&*file);
        }
        for file in config.labels.notices.iter_mut().map(NoticeSource::path_mut) {
            *file = folder.join(&*file);
        }
        if let FeatureConfig::File(file) = &mut config.features {
            *file = folder.join(&*file);
        }
        Ok(config)
    }

    /// The same with the names of its files alone: their contents are pinned each by itself, and where they lay must not make
    /// another data set.
    pub(super) fn placeless(&self) -> Self {
        let mut config = self.clone();
        let name = |path: &mut PathBuf| {
            if let Some(name) = path.file_name() {
                *path = PathBuf::from(name);
            }
        };
        [&mut config.labels.rules, &mut config.labels.actions].into_iter().flatten().for_each(name);
        config.labels.notices.iter_mut().map(NoticeSource::path_mut).for_each(name);
        if let FeatureConfig::File(file) = &mut config.features {
            name(file);
        }
        config
    }

    /// The feature spec, against the standard catalogue.
    ///
    /// # Errors
    /// When there is none of that name, or it cannot be read.
    pub fn spec(&self, catalogue: &Catalogue) -> Result<FeatureSpec> {
        let (name, text) = match &self.features {
            FeatureConfig::Shipped(name) => {
                let text = features::spec::shipped(name).ok_or_else(|| {
                    DatasetError::config("features.shipped", format!("there is no {name:?}; there are {}", SHIPPED))
                })?;
                (name.clone(), text.to_owned())
            }
            FeatureConfig::File(path) => {
                let text = std::fs::read_to_string(path).map_err(DatasetError::io(path, "read the feature spec"))?;
                (path.display().to_string(), text)
            }
        };
        FeatureSpec::from_toml(&text, catalogue).map_err(DatasetError::feature(name))
    }

    /// The plan of the build, its durations in the unit of the feature spec. `inputs` pins what decides the histories.
    ///
    /// # Errors
    /// When a key contradicts another.
    pub fn plan(&self, catalogue: Catalogue, inputs: Vec<Input>, notes: Vec<String>) -> Result<BuildPlan> {
        let spec = self.spec(&catalogue)?;
        let units = |span: &Span| spec.time.units(span.0);
        let mut edges = vec![0.0];
        edges.extend(self.labels.edges.iter().map(units));
        let grid = TimeGrid::try_new(spec.time.unit, edges)
            .map_err(|error| DatasetError::feature("labels.edges")(error.into()))?;
        for horizon in &self.labels.horizons {
            if !self.labels.edges.contains(horizon) {
                return Err(DatasetError::config("labels.horizons", format!("{horizon} is not among labels.edges")));
            }
        }
        let horizons: Vec<f64> = self.labels.horizons.iter().map(units).collect();
        let longest = self.labels.horizons.iter().map(|span| span.0).max().unwrap_or(0);
        let split = match &self.split {
            SplitConfig::Group { salt, train, validation, calibration, test_only } => SplitRule::ByGroup {
                salt: salt.clone(),
                shares: Shares { train: *train, validation: *validation, calibration: *calibration },
                test_only: test_only.clone(),
            },
            SplitConfig::Time { validation, calibration, test } => SplitRule::ByTime(TimeBorders {
                validation: moment("split.validation", validation)?,
                calibration: moment("split.calibration", calibration)?,
                test: moment("split.test", test)?,
                // Labels of the training part reach to the last edge, whichever horizon is asked for.
                purge: longest.max(self.labels.edges.iter().map(|span| span.0).max().unwrap_or(0)) + spec.lookback(),
            }),
        };
        let restricted_to = grid.last_edge();
        let mut causes = self.labels.causes.clone();
        causes.push(OTHER.to_owned());
        Ok(BuildPlan {
            name: self.name.clone(),
            title: if self.title.is_empty() { self.name.clone() } else { self.title.clone() },
            licence: self.licence.clone(),
            source_text: self.source.clone(),
            inputs,
            grid,
            causes,
            readout: readout(&horizons, &[0.05, 0.5, 0.95], restricted_to),
            cuts: Cuts::Every { first: self.cuts.first.0, every: self.cuts.every.0, phase: 0 },
            split,
            permute_labels: None,
            notes,
            catalogue,
            spec,
        })
    }
}

/// Cause of failures that `labels.causes` does not name.
pub const OTHER: &str = "other";
const SHIPPED: &str = "container, pod, node, vm, lab-container";
