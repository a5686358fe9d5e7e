//! Everything known about one entity key: what was measured, what failed, how watching ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use survival::CensorReason;

use crate::entity::Entity;
use crate::event::FailureEvent;
use crate::sample::Sample;
use crate::window::EntityTiles;

/// One entity as a source hands it over; memory is bounded by one of these at a time.
#[derive(Debug, Clone)]
pub struct EntityHistory {
    /// Who.
    pub entity: Entity,
    /// The unit that is split and bootstrapped together: workload, run, rack, or the entity itself.
    pub group: String,
    /// When it was first seen on which node, by time; empty where that is not known.
    pub nodes: Vec<(i64, String)>,
    /// Attributes known at birth (requests, quality of service, …).
    pub attributes: BTreeMap<String, f64>,
    /// When it came to life, if known; may lie before the first sample (left truncation).
    pub born: Option<i64>,
    /// From when it was watched.
    pub observed_from: i64,
    /// Until when it was watched.
    pub observed_until: i64,
    /// Why watching ended, should no failure have ended it.
    pub end: CensorReason,
    /// Sorted by (metric, part, time).
    pub samples: Vec<Sample>,
    /// Tiles made while reading; where given, features come from these and not from `samples`.
    pub tiles: Option<Arc<EntityTiles>>,
    /// Of the whole key, sorted by `t_high`; shared by its lives.
    pub events: Arc<[FailureEvent]>,
    /// Stretches without any sample, longer than the gap rule allows, as (last sample, next sample), in order; shared
    /// by its lives.
    pub gaps: Arc<[(i64, i64)]>,
}

impl EntityHistory {
    /// The failures that fall into this watch: an entity's record goes further back.
    pub fn own_events(&self) -> impl Iterator<Item = &FailureEvent> {
        let from = self.events.partition_point(|event| event.t_high() <= self.observed_from);
        self.events[from..].iter().take_while(|event| event.t_high() <= self.observed_until)
    }

    /// The node it was on at a time.
    #[must_use]
    pub fn node(&self, time: i64) -> Option<&str> {
        let after = self.nodes.partition_point(|(seen, _)| *seen <= time);
        self.nodes[..after].last().map(|(_, node)| node.as_str())
    }
}

/// Stretches longer than `longest` between consecutive sample times of any metric.
#[must_use]
pub fn gaps(samples: &[Sample], longest: i64) -> Vec<(i64, i64)> {
    let mut times: Vec<i64> = samples.iter().map(Sample::time).collect();
    times.sort_unstable();
    times.dedup();
    times.windows(2).filter(|pair| pair[1] - pair[0] > longest).map(|pair| (pair[0], pair[1])).collect()
}
