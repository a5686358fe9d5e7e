//! Failures of a container of a Docker engine, from its state as polled and from the engine's own events.

use super::notice::{Happening, Notice};
use super::trace::{Traces, episodes};
use super::{Break, EventRules, Told};
use crate::Result;
use survival::CensorReason;

pub(super) fn tell(
    rules: &EventRules,
    key: &str,
    traces: Traces<'_>,
    notices: &[Notice],
    told: &mut Told,
) -> Result<()> {
    engine(rules, key, notices, told)?;
    let known = |low: i64, high: i64| {
        notices.iter().any(|notice| notice.ends_container() && notice.time > low && notice.time <= high)
    };
    if let Some(finished) = traces.one("terminated.time") {
        for step in finished.steps().filter(|step| step.after > step.before) {
            // The engine's own word is nearer to what happened.
            if known(step.low, step.high) {
                continue;
            }
            let end = super::milliseconds(step.after);
            let (t_low, t_high) = if end > step.low && end <= step.high { (end, end) } else { (step.low, step.high) };
            let exit = traces.one("terminated.exit_code").and_then(|trace| trace.at(step.high)).unwrap_or(0.0);
            let killed = traces.one("oom.killed").and_then(|trace| trace.at(step.high)).is_some_and(|v| v >= 0.5);
            let evidence = format!("finished_at {end}, exit code {exit}, OOMKilled {killed}");
            if killed && exit.abs() >= 0.5 {
                told.failure(key, "docker_oom", t_low, t_high, evidence)?;
            } else if exit.abs() >= 0.5 {
                told.failure(key, "docker_exit", t_low, t_high, evidence)?;
            } else {
                told.breaks.push(Break { t_low, t_high, reason: CensorReason::Completed, evidence });
            }
        }
    }
    if let Some(health) = traces.one("health.status") {
        let sick = |value| traces.is_one_of(health, value, &["unhealthy"]);
        for episode in episodes(health, sick, health.times, 1, rules.crash_loop.merge_within.0) {
            let told_already = notices
                .iter()
                .any(|n| n.what == Happening::Unhealthy && n.time > episode.low && n.time <= episode.onset);
            if !told_already {
                let evidence = format!("health.status unhealthy from {}", episode.onset);
                told.failure(key, "docker_unhealthy", episode.low, episode.onset, evidence)?;
            }
        }
    }
    Ok(())
}

/// The engine's events: a die after a kill or stop is planned, one after an oom is that oom.
fn engine(rules: &EventRules, key: &str, notices: &[Notice], told: &mut Told) -> Result<()> {
    let before = |time: i64, within: i64, wanted: &dyn Fn(&Happening) -> bool| {
        notices.iter().any(|n| n.time <= time && time - n.time <= within && wanted(&n.what))
    };
    for notice in notices {
        let time = notice.time;
        match &notice.what {
            Happening::OutOfMemory => told.failure(key, "docker_oom", time, time, notice.text())?,
            Happening::Unhealthy => told.failure(key, "docker_unhealthy", time, time, notice.text())?,
            Happening::Died(exit) => {
                let asked =
                    before(time, rules.docker.planned_within.0, &|what| matches!(what, Happening::ShutdownAsked(_)));
                let oom = before(time, rules.docker.oom_within.0, &|what| *what == Happening::OutOfMemory);
                if oom {
                    continue;
                }
                if *exit == 0 || asked {
                    let reason = if asked { CensorReason::PlannedEnd } else { CensorReason::Completed };
                    told.breaks.push(Break { t_low: time, t_high: time, reason, evidence: notice.text() });
                } else {
                    told.failure(key, "docker_exit", time, time, notice.text())?;
                }
            }
            Happening::ShutdownAsked(_) | Happening::HaRestart(_) => {}
        }
    }
    Ok(())
}
