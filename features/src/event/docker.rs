//! Failures of a container of a Docker engine, from its state as polled and from the engine's own events.

use super::notice::{Happening, Notice};
use super::trace::{Born, Step, Traces, episodes, stretches};
use super::{Break, EventRules, Telling};
use crate::Result;
use survival::CensorReason;

const EVENTS: &str = "events of the engine";
const STATE: &str = "state of the container";
const HEALTH: &str = "health.status";

/// An end that the engine's events told: when, and as which failure; `None` for a planned one.
type EngineEnd = (i64, Option<&'static str>);

pub(super) fn tell(
    rules: &EventRules,
    traces: Traces<'_>,
    notices: &[Notice],
    born: Option<Born>,
    told: &mut Telling<'_>,
) -> Result<()> {
    let ends = engine(rules, notices, told)?;
    polled(rules, traces, ends, told)?;
    if let Some(health) = traces.one("health.status") {
        let sick = |value| traces.is_one_of(health, value, &["unhealthy"]);
        told.down.extend(stretches(health, sick, health.times));
        for episode in episodes(health, sick, health.times, 1, rules.docker.merge_within.0, born) {
            let evidence = format!("health.status unhealthy from {}", episode.onset);
            told.failure(HEALTH, "docker_unhealthy", (episode.low, episode.onset), episode.shown, evidence)?;
        }
    }
    Ok(())
}

/// The engine's events: a die after a kill or stop is planned, one after an oom is that oom.
fn engine(rules: &EventRules, notices: &[Notice], told: &mut Telling<'_>) -> Result<Vec<EngineEnd>> {
    let before = |time: i64, within: i64, wanted: &dyn Fn(&Happening) -> bool| {
        notices.iter().any(|n| n.time <= time && time - n.time <= within && wanted(&n.what))
    };
    let mut ends: Vec<EngineEnd> = Vec::new();
    for notice in notices {
        let time = notice.time;
        match &notice.what {
            Happening::OutOfMemory => told.failure(EVENTS, "docker_oom", (time, time), time, notice.text())?,
            Happening::Unhealthy => told.failure(EVENTS, "docker_unhealthy", (time, time), time, notice.text())?,
            Happening::Died(exit) => {
                let asked =
                    before(time, rules.docker.planned_within.0, &|what| matches!(what, Happening::ShutdownAsked(_)));
                let oom = before(time, rules.docker.oom_within.0, &|what| *what == Happening::OutOfMemory);
                if oom {
                    ends.push((time, Some("docker_oom")));
                } else if *exit == 0 || asked {
                    let reason = if asked { CensorReason::PlannedEnd } else { CensorReason::Completed };
                    told.breaks.push(Break { t_low: time, t_high: time, reason, evidence: notice.text() });
                    ends.push((time, None));
                } else {
                    told.failure(EVENTS, "docker_exit", (time, time), time, notice.text())?;
                    ends.push((time, Some("docker_exit")));
                }
            }
            Happening::ShutdownAsked(_) | Happening::HaRestart(_) => {}
        }
    }
    Ok(ends)
}

/// What the polled state shows: a new `finished_at`, and restarts by the daemon's policy that no `finished_at` tells.
fn polled(rules: &EventRules, traces: Traces<'_>, mut engine: Vec<EngineEnd>, told: &mut Telling<'_>) -> Result<()> {
    let join = rules.join.window.0;
    // The engine's own word is nearer to what happened; each of its ends is seen once by polling.
    let mut word = |low: i64, high: i64| {
        let near = |&(time, _): &EngineEnd| time > low.saturating_sub(join) && time <= high.saturating_add(join);
        let at = (0..engine.len()).filter(|&at| near(&engine[at])).min_by_key(|&at| (engine[at].0 - high).abs())?;
        Some(engine.swap_remove(at).1)
    };
    let restarts: Vec<Step> = traces
        .one("restart.count")
        .map(|count| count.steps().filter(|step| step.after > step.before).collect())
        .unwrap_or_default();
    // Scrapes whose new finished_at was told.
    let mut seen: Vec<i64> = Vec::new();
    for (low, high, finished) in finished(traces) {
        let end = super::milliseconds(finished);
        let (t_low, t_high) = if end > low && end <= high { (end, end) } else { (low, high) };
        seen.push(high);
        let fresh = |name| traces.one(name).and_then(|trace| trace.last(high)).filter(|&(time, _)| time > low);
        let exit = fresh("terminated.exit_code").map_or(0.0, |(_, code)| code);
        let killed = fresh("oom.killed").is_some_and(|(_, killed)| killed >= 0.5);
        let restarted = restarts.iter().any(|step| step.high > low && step.low < high);
        let mut evidence = format!("finished_at {end}, exit code {exit}, OOMKilled {killed}");
        let cause = if killed && exit.abs() >= 0.5 {
            Some("docker_oom")
        } else if exit.abs() >= 0.5 {
            Some("docker_exit")
        } else if restarted {
            // A start sets both back, so that they say nothing of the end before it.
            evidence += ", restarted by the daemon since";
            Some("unknown")
        } else {
            None
        };
        match word(t_low, t_high).map_or(Some(cause), |said| said.map(Some)) {
            Some(Some(cause)) => told.failure(STATE, cause, (t_low, t_high), high, evidence)?,
            Some(None) => told.breaks.push(Break { t_low, t_high, reason: CensorReason::Completed, evidence }),
            // Planned, as the engine says.
            None => {}
        }
    }
    for step in restarts {
        let Step { low, high, before, after } = step;
        let told_already = seen.iter().filter(|&&time| time > low && time <= high).count();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "restart counts are small and rising"
        )]
        let times = (after - before).round() as usize;
        for _ in told_already..times {
            // Whatever the engine told of it is told.
            if word(low, high).is_none() {
                let evidence = format!("restart.count {before} -> {after}, finished_at not seen");
                told.failure(STATE, "unknown", (low, high), high, evidence)?;
            }
        }
    }
    Ok(())
}

/// Every new `finished_at` as (low, high, value).
///
/// A container that never ended has none, so that its first one is news where the container was seen before; unless it
/// lies before all that was seen: then somebody only began to look at it.
fn finished(traces: Traces<'_>) -> Vec<(i64, i64, f64)> {
    let Some(finished) = traces.one("terminated.time") else { return Vec::new() };
    let mut ends = Vec::new();
    if let Some((time, value)) = finished.values().next() {
        let since = traces.lasting().filter_map(|trace| trace.times.first()).min().copied();
        let earlier = |times: &[i64]| times[..times.partition_point(|&tick| tick < time)].last().copied();
        let low = traces.lasting().filter_map(|trace| earlier(trace.times)).max();
        let end = super::milliseconds(value);
        if let (Some(since), Some(low)) = (since, low)
            && end > since
        {
            // Shown late, it still is exact.
            ends.push((low.min(end - 1), time, value));
        }
    }
    let steps = finished.steps().filter(|step| step.after > step.before);
    ends.extend(steps.map(|step| (step.low, step.high, step.after)));
    ends
}
