//! Failures of a container in a pod: restarts and what they meant, restarts again and again, images not to be had.

use super::trace::{Trace, Traces, episodes};
use super::{Break, EventRules, Told};
use crate::Result;
use survival::CensorReason;

/// A rise of `restart.count`.
struct Restart {
    low: i64,
    high: i64,
    before: f64,
    after: f64,
}

pub(super) fn tell(rules: &EventRules, key: &str, traces: Traces<'_>, told: &mut Told) -> Result<()> {
    if let Some(count) = traces.one("restart.count") {
        for step in count.steps().filter(|step| step.after > step.before) {
            let restart = Restart { low: step.low, high: step.high, before: step.before, after: step.after };
            restarted(rules, key, traces, &restart, told)?;
        }
        if let Some(waiting) = traces.one("waiting.reason") {
            for (cause, rule) in [("crash_loop", &rules.crash_loop), ("image_pull", &rules.image_pull)] {
                let wanted = |value| traces.is_one_of(waiting, value, &rule.reasons);
                for episode in episodes(waiting, wanted, count.times, rule.scrapes, rule.merge_within.0) {
                    let reason = waiting.at(episode.onset).and_then(|value| traces.state(waiting, value));
                    let evidence = format!(
                        "waiting.reason {} from {}, {} scrapes",
                        reason.unwrap_or("?"),
                        episode.onset,
                        episode.scrapes
                    );
                    told.failure(key, cause, episode.low, episode.onset, evidence)?;
                }
            }
        }
    }
    Ok(())
}

/// Several restarts in one gap are as many failures; only the last has a known reason (kube-state-metrics#651).
fn restarted(rules: &EventRules, key: &str, traces: Traces<'_>, restart: &Restart, told: &mut Told) -> Result<()> {
    let Restart { low, high, before, after } = *restart;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "restart counts are small and rising")]
    let times = (after - before).round() as u64;
    for _ in 1..times {
        let evidence = format!("restart.count {before} -> {after} in one gap; reason not seen");
        told.failure(key, "unknown", low, high, evidence)?;
    }
    // An older moment belongs to an earlier end.
    let exact = traces
        .one("terminated.time")
        .and_then(|trace| trace.last(high))
        .map(|(_, seconds)| super::milliseconds(seconds))
        .filter(|&time| time > low && time <= high);
    let reason =
        traces.one("terminated.reason").and_then(|trace| traces.state(trace, trace.last(high)?.1)).unwrap_or("");
    let exit = traces.one("terminated.exit_code").and_then(|trace| trace.last(high)).map(|(_, code)| code);
    let failed = failed_probes(traces, low - rules.probe_kill.within.0, high);
    let out_of_memory: f64 = traces.parts("oom.events").map(|trace| trace.rise(low, high)).sum();
    let is = |names: &[String]| names.iter().any(|name| name == reason);
    let clean = exit.is_none_or(|code| code.abs() < 0.5);
    let cause = if is(&rules.restart.oom) {
        Some("container_oom")
    } else if failed >= f64::from(rules.probe_kill.failures) {
        Some("probe_kill")
    } else if is(&rules.restart.evicted) {
        Some("evicted")
    } else if is(&rules.restart.crash) {
        Some("container_crash")
    } else if is(&rules.restart.completed) && clean {
        None
    } else if !clean {
        Some("container_crash")
    } else if out_of_memory > 0.0 {
        Some("container_oom")
    } else {
        Some("unknown")
    };
    let shown = if reason.is_empty() { "not seen" } else { reason };
    let mut evidence = format!("restart.count {before} -> {after}, terminated.reason {shown}");
    if let Some(code) = exit {
        evidence += &format!(", exit code {code}");
    }
    if let Some(time) = exact {
        evidence += &format!(", terminated.time {time}");
    }
    if failed > 0.0 {
        evidence += &format!(", {failed} failed liveness probes before");
    }
    if out_of_memory > 0.0 {
        evidence += &format!(", oom.events +{out_of_memory}");
    }
    let (low, high) = exact.map_or((low, high), |time| (time, time));
    match cause {
        Some(cause) => told.failure(key, cause, low, high, evidence),
        None => {
            told.breaks.push(Break { t_low: low, t_high: high, reason: CensorReason::Completed, evidence });
            Ok(())
        }
    }
}

fn failed_probes(traces: Traces<'_>, low: i64, high: i64) -> f64 {
    let liveness = |trace: &&Trace<'_>| {
        let part = trace.part.to_ascii_lowercase();
        part.contains("probe_type=liveness") && part.contains("result=failed")
    };
    traces.parts("probe.count").filter(liveness).map(|trace| trace.rise(low, high)).sum()
}
