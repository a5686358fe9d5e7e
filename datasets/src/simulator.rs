//! A fleet of containers on nodes whose hazard is known.
//!
//! `world` draws what a container is like and how likely it fails, `life` lets it live and `fleet` runs
//! them all; `signal` says what its metrics show, `scrape` and `exposition` name them as cAdvisor,
//! kube-state-metrics and node_exporter do and map them back. Failures reach the data set only through
//! `features::event`, as in real life; the true curves go to a file of their own and never into a feature.

mod exposition;
mod fleet;
mod life;
mod plan;
mod scrape;
mod signal;
mod world;

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Each, Source};

pub use world::World;

/// Milliseconds of an hour; the tick is a millisecond.
pub(crate) const HOUR: i64 = 3_600_000;
/// Length of a tile in ticks.
pub(crate) const TILE: i64 = 300_000;
/// A container is not at risk while it starts up, so two failures never fall between two scrapes.
pub(crate) const STARTUP: i64 = 45 * 60_000;

/// Size and kind of a simulated fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulatorConfig {
    /// How hazard follows from what the metrics show.
    pub world: World,
    /// Workloads; a workload is the group that is split together.
    pub workloads: usize,
    /// Containers that each workload keeps running.
    pub containers_per_workload: usize,
    /// Nodes they run on.
    pub nodes: usize,
    /// Length of the simulation in hours.
    pub hours: u32,
    /// Seconds between scrapes.
    pub scrape_seconds: u32,
    /// Minutes between cuts.
    pub cut_every_minutes: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Shuffles the outcomes: a control nothing can be learned from.
    pub permute_labels: bool,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            world: World::LogLinear,
            workloads: 600,
            containers_per_workload: 5,
            nodes: 20,
            hours: 240,
            scrape_seconds: 300,
            cut_every_minutes: 480,
            seed: 1,
            permute_labels: false,
        }
    }
}

impl SimulatorConfig {
    /// Checks the whole.
    ///
    /// # Errors
    /// One message naming the keys, their values and what they contradict.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(DatasetError::config("simulator config", reason));
        if self.workloads == 0 || self.containers_per_workload == 0 || self.nodes == 0 {
            return refuse(format!(
                "workloads ({}), containers_per_workload ({}) and nodes ({}) must be above 0",
                self.workloads, self.containers_per_workload, self.nodes
            ));
        }
        if !(15..=300).contains(&self.scrape_seconds) {
            return refuse(format!(
                "scrape_seconds ({}) must be 15 to 300, so that every 10 min step sees a counter twice",
                self.scrape_seconds
            ));
        }
        if !(48..=24 * 366).contains(&self.hours) {
            return refuse(format!(
                "hours ({}) must be 48 to {}: twice the longest horizon at least",
                self.hours,
                24 * 366
            ));
        }
        if self.cut_every_minutes == 0 || !self.cut_every_minutes.is_multiple_of(5) {
            return refuse(format!("cut_every_minutes ({}) must be a multiple of 5, the tile", self.cut_every_minutes));
        }
        Ok(())
    }
}

/// A simulated fleet as a source.
#[derive(Debug, Clone)]
pub struct Simulator {
    config: SimulatorConfig,
    plan: BuildPlan,
}

impl Simulator {
    /// A fleet of this size and kind.
    ///
    /// # Errors
    /// When the config contradicts itself.
    pub fn new(config: SimulatorConfig) -> Result<Self> {
        config.validate()?;
        let plan = plan::plan(&config)?;
        Ok(Self { config, plan })
    }

    /// Its config.
    #[must_use]
    pub fn config(&self) -> &SimulatorConfig {
        &self.config
    }
}

impl Source for Simulator {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    fn entities(&self) -> Option<u64> {
        // Lives are not known before they are lived.
        None
    }

    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> Result<()> {
        fleet::run(&self.config, &self.plan, each)
    }
}
