//! Failures of a pod: evicted by its kubelet, or preempted by a more important pod.

use super::trace::{Born, Traces, episodes, stretches};
use super::{Break, EventRules, FailureEvent, Telling};
use crate::Result;
use survival::CensorReason;

const STATUS: &str = "status.reason";
const DISRUPTION: &str = "disruption.reason";

pub(super) fn tell(
    rules: &EventRules,
    traces: Traces<'_>,
    seen: &[i64],
    born: Option<Born>,
    told: &mut Telling<'_>,
) -> Result<()> {
    let clock = traces.one("phase").map_or(seen, |phase| phase.times);
    let merge = rules.pod.merge_within.0;
    if let Some(status) = traces.one("status.reason") {
        let evicted = |value| traces.is_one_of(status, value, &["Evicted"]);
        for episode in episodes(status, evicted, clock, 1, merge, born) {
            let phase = traces.one("phase").and_then(|phase| traces.state(phase, phase.last(episode.onset)?.1));
            if phase.is_none_or(|phase| phase == "Failed") {
                let evidence = format!("status.reason Evicted, phase {}", phase.unwrap_or("not seen"));
                told.failure(STATUS, "evicted", (episode.low, episode.onset), episode.shown, evidence)?;
            }
        }
    }
    if let Some(disruption) = traces.one("disruption.reason") {
        for (reason, cause) in [("TerminationByKubelet", "evicted"), ("PreemptionByScheduler", "preempted")] {
            let wanted = |value| traces.is_one_of(disruption, value, &[reason]);
            for episode in episodes(disruption, wanted, clock, 1, merge, born) {
                let evidence = format!("disruption.reason {reason}");
                told.failure(DISRUPTION, cause, (episode.low, episode.onset), episode.shown, evidence)?;
            }
        }
    }
    if let Some(phase) = traces.one("phase") {
        // A pod that ended stays listed until somebody collects it.
        let over = |value| traces.is_one_of(phase, value, &["Failed", "Succeeded"]);
        told.down.extend(stretches(phase, over, phase.times));
        for step in phase.steps().filter(|step| over(step.after) && !over(step.before)) {
            let succeeded = traces.is_one_of(phase, step.after, &["Succeeded"]);
            let explains = |event: &FailureEvent| event.t_high() >= step.low && event.t_low() <= step.high;
            let explained = told.failures.iter().any(|sighting| explains(&sighting.event));
            // A failed pod of which nothing says why: its restarts, if any, are told with its containers.
            let reason = if succeeded { CensorReason::Completed } else { CensorReason::Lost };
            if succeeded || !explained {
                let evidence = format!("phase {}", traces.state(phase, step.after).unwrap_or("?"));
                told.breaks.push(Break { t_low: step.low, t_high: step.high, reason, evidence });
            }
        }
    }
    Ok(())
}
