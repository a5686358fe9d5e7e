//! Fault episodes and watched systems of public data sets: who was hurt, by what, when, and what the metrics said.
//!
//! A [`FaultCase`] is one episode: metrics of all entities before and during one fault, with its type and its root.
//! A [`WatchedSystem`] is a stretch of metrics with the windows in which something was wrong, for detectors. Nothing here
//! is resampled beyond putting samples on a regular grid, and no reader looks at a label to choose what it keeps.

pub mod genai;
mod grid;
pub mod nab;
pub mod nezha;
pub mod petshop;
pub mod rcd;
pub mod sockshop;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::source::Input;

/// Values on a regular grid, time × entity × metric; NaN where nothing was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct EntitySeries {
    /// Number of steps.
    pub steps: usize,
    /// Names, in the order of the values.
    pub entities: Vec<String>,
    /// Names, in the order of the values.
    pub metrics: Vec<String>,
    /// `steps × entities × metrics` values, metric fastest.
    pub values: Vec<f32>,
}

impl EntitySeries {
    /// A grid without a single sample.
    #[must_use]
    pub fn empty(steps: usize, entities: Vec<String>, metrics: Vec<String>) -> Self {
        let values = vec![f32::NAN; steps * entities.len() * metrics.len()];
        Self { steps, entities, metrics, values }
    }

    /// One value.
    #[must_use]
    pub fn at(&self, step: usize, entity: usize, metric: usize) -> f32 {
        self.values[self.index(step, entity, metric)]
    }

    /// Puts one value.
    pub fn put(&mut self, step: usize, entity: usize, metric: usize, value: f32) {
        let index = self.index(step, entity, metric);
        self.values[index] = value;
    }

    /// One metric of one entity over some steps.
    #[must_use]
    pub fn column(&self, steps: Range<usize>, entity: usize, metric: usize) -> Vec<f64> {
        steps.map(|step| f64::from(self.at(step, entity, metric))).collect()
    }

    /// Position of an entity.
    #[must_use]
    pub fn entity(&self, name: &str) -> Option<usize> {
        self.entities.iter().position(|entity| entity == name)
    }

    fn index(&self, step: usize, entity: usize, metric: usize) -> usize {
        (step * self.entities.len() + entity) * self.metrics.len() + metric
    }
}

/// The series in which users feel the fault.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceLevel {
    /// What it is.
    pub name: String,
    /// One value per step of the case.
    pub values: Vec<f64>,
    /// The entity it belongs to; `None` where it is measured outside of all of them.
    pub entity: Option<usize>,
    /// The metric of that entity which it is a copy of, so that nobody finds it correlated with itself.
    pub metric: Option<usize>,
}

/// One fault and what was measured around it.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultCase {
    /// Data set, and part of it where entities or metrics differ by part.
    pub set: String,
    /// Name within the set.
    pub id: String,
    /// Metrics of every entity, the time before the fault and then the fault.
    pub series: EntitySeries,
    /// Seconds between two steps.
    pub step: i64,
    /// Steps of the fault; all steps before it are the time of comparison.
    pub fault: Range<usize>,
    /// Type of the fault; `None` where the set names none.
    pub fault_type: Option<String>,
    /// Position of the entity that was hurt.
    pub root: usize,
    /// Metric that was hurt, where the set names one.
    pub root_metric: Option<String>,
    /// Held out together: what one of them teaches must not be asked of another.
    pub group: String,
    /// Resampled together: repetitions of one experiment.
    pub cluster: String,
    /// When the fault began, epoch seconds.
    pub time: i64,
    /// Where users feel it.
    pub service_level: Option<ServiceLevel>,
    /// Who calls whom, as pairs of entity positions; empty where nobody wrote it down.
    pub calls: Vec<(usize, usize)>,
}

/// How the parts of a set may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldRule {
    /// Everything before a case may teach about it, nothing after.
    RollingOrigin,
    /// Everything but its own group may.
    LeaveGroupOut,
    /// Nothing may: the set is for methods that learn from no other case.
    RankingOnly,
}

/// The episodes of one data set.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultSet {
    /// Name, as in the cases.
    pub name: String,
    /// Ordered by time, then by name.
    pub cases: Vec<FaultCase>,
    /// How parts are made.
    pub folds: FoldRule,
    /// What it was read from.
    pub inputs: Vec<Input>,
    /// What a reader of results must know.
    pub notes: Vec<String>,
}

/// Metrics with the windows in which something was wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedSystem {
    /// Name within its set.
    pub id: String,
    /// Epoch seconds of the first step; shifted where the publisher shifted it.
    pub start: i64,
    /// Seconds between two steps.
    pub step: i64,
    /// Name of each series.
    pub names: Vec<String>,
    /// Series, all of one length, NaN where nothing was measured.
    pub series: Vec<Vec<f32>>,
    /// Steps a detector may learn from.
    pub train: Range<usize>,
    /// Steps on which a threshold may be chosen; empty where other systems serve for that.
    pub validation: Range<usize>,
    /// Steps that are judged.
    pub test: Range<usize>,
    /// Steps in which something was wrong, in order; empty where nothing is known.
    pub windows: Vec<Range<usize>>,
    /// Steps in which an alarm is neither right nor wrong, such as the minutes after a fault.
    pub ignored: Vec<Range<usize>>,
}

impl WatchedSystem {
    /// Number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.series.first().map_or(0, Vec::len)
    }
}

/// Systems of one data set.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedSet {
    /// Name of the set.
    pub name: String,
    /// Its systems, by name.
    pub systems: Vec<WatchedSystem>,
    /// Whether the windows are labels; without them only false alarms can be counted.
    pub labelled: bool,
    /// What it was read from.
    pub inputs: Vec<Input>,
    /// What a reader of results must know.
    pub notes: Vec<String>,
}
