//! Pods, the lives of their container, and when nobody could watch.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};
use survival::CensorReason;

use super::plan::CAUSES;
use super::signal::Limits;
use super::world::{Hazard, Levels, World, draw};
use super::{HOUR, STARTUP};

/// Mean hours between scrape outages of a pod, at least one hour apart, and how long they last in minutes.
const MEAN_OUTAGE_HOURS: f64 = 600.0;
const OUTAGE_MINUTES: std::ops::Range<i64> = 20..30;
/// Largest scrape interval in minutes, on either side of an outage.
const LARGEST_INTERVAL: i64 = 5;
// Two failures are further apart than any two scrapes, so each is seen with its own reason.
const _: () = assert!(STARTUP > (OUTAGE_MINUTES.end + 2 * LARGEST_INTERVAL) * 60_000);
// The first cut comes an hour after a start.
const _: () = assert!(STARTUP < HOUR);

/// One pod on a node, with one container.
pub(super) struct Pod {
    pub(super) key: String,
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) end_reason: CensorReason,
    pub(super) limits: Limits,
    pub(super) node: usize,
}

/// One life of its container.
pub(super) struct Life {
    pub(super) start: i64,
    /// Failure, or the pod's end.
    pub(super) end: i64,
    pub(super) cause: Option<usize>,
    pub(super) levels: Levels,
    pub(super) hazard: Hazard,
}

/// Life after life until the pod ends; each restart draws a new nature.
pub(super) fn lives(world: World, flipped: bool, pod: &Pod, random: &mut ChaCha8Rng) -> Vec<Life> {
    let mut lives = Vec::new();
    let mut start = pod.start;
    while start < pod.end {
        let (levels, hazard) = draw(world, flipped, random);
        let (ticks, cause) = hazard.draw(random);
        let restart = random.random_range(10..60) * 1000;
        let fails = start + ticks < pod.end;
        let end = if fails { start + ticks } else { pod.end };
        lives.push(Life { start, end, cause: fails.then_some(cause), levels, hazard });
        start = end + restart;
    }
    debug_assert!(lives.iter().all(|life| life.cause.is_none_or(|cause| cause < CAUSES.len())));
    lives
}

pub(super) fn outages(pod: &Pod, random: &mut ChaCha8Rng) -> Vec<(i64, i64)> {
    let mut outages = Vec::new();
    let mut time = pod.start;
    loop {
        let wait: f64 = Exp1.sample(random);
        time += seconds(wait * MEAN_OUTAGE_HOURS * 3600.0) * 1000;
        if time >= pod.end {
            return outages;
        }
        let until = time + random.random_range(OUTAGE_MINUTES) * 60_000;
        outages.push((time, until));
        time = until + HOUR;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bounded by the length of a simulation many times over")]
pub(super) fn seconds(value: f64) -> i64 {
    value.min(1e9) as i64
}
