//! Failures of a pod: evicted by its kubelet, or preempted by a more important pod.

use super::trace::{Traces, episodes};
use super::{EventRules, Told};
use crate::Result;

pub(super) fn tell(rules: &EventRules, key: &str, traces: Traces<'_>, seen: &[i64], told: &mut Told) -> Result<()> {
    let clock = traces.one("phase").map_or(seen, |phase| phase.times);
    let merge = rules.image_pull.merge_within.0;
    if let Some(status) = traces.one("status.reason") {
        let evicted = |value| traces.is_one_of(status, value, &["Evicted"]);
        for episode in episodes(status, evicted, clock, 1, merge) {
            let phase = traces.one("phase").and_then(|phase| traces.state(phase, phase.last(episode.onset)?.1));
            if phase.is_none_or(|phase| phase == "Failed") {
                let evidence = format!("status.reason Evicted, phase {}", phase.unwrap_or("not seen"));
                told.failure(key, "evicted", episode.low, episode.onset, evidence)?;
            }
        }
    }
    if let Some(disruption) = traces.one("disruption.reason") {
        for (reason, cause) in [("TerminationByKubelet", "evicted"), ("PreemptionByScheduler", "preempted")] {
            let wanted = |value| traces.is_one_of(disruption, value, &[reason]);
            for episode in episodes(disruption, wanted, clock, 1, merge) {
                let evidence = format!("disruption.reason {reason}");
                told.failure(key, cause, episode.low, episode.onset, evidence)?;
            }
        }
    }
    Ok(())
}
