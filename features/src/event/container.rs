//! Failures of a container in a pod: restarts and what they meant, restarts again and again, images not to be had.

use super::trace::{Born, Step, Trace, Traces, episodes, stretches};
use super::{Break, EventRules, Telling};
use crate::Result;
use survival::CensorReason;

const RESTARTS: &str = "restart.count";
const WAITING: &str = "waiting.reason";

/// What is known of the restart before this one.
struct Before {
    /// An end at or before this moment is that of an earlier restart: a container may wait out its back-off for many
    /// scrapes before `restart.count` rises.
    ended: i64,
    /// When the earlier restart was shown.
    shown: i64,
}

pub(super) fn tell(rules: &EventRules, traces: Traces<'_>, born: Option<Born>, told: &mut Telling<'_>) -> Result<()> {
    let Some(count) = traces.one("restart.count") else { return Ok(()) };
    let Some((first, _)) = count.values().next() else { return Ok(()) };
    let rises: Vec<Step> = count.steps().filter(|step| step.after > step.before).collect();
    let mut before = Before { ended: first, shown: first };
    for (at, rise) in rises.iter().enumerate() {
        let next = rises.get(at + 1).map_or(i64::MAX, |next| next.low);
        let ended = restarted(rules, traces, rise, &before, next, told)?;
        before = Before { ended: ended.map_or(rise.low, |time| time.max(rise.low)), shown: rise.high };
    }
    // OpenTelemetry has one set of reasons for containers that wait and for those that ended.
    let Some(waiting) = traces.one("waiting.reason").or_else(|| traces.one("container.reason")) else { return Ok(()) };
    for (cause, rule) in [("crash_loop", &rules.crash_loop), ("image_pull", &rules.image_pull)] {
        let wanted = |value| traces.is_one_of(waiting, value, &rule.reasons);
        for episode in episodes(waiting, wanted, count.times, rule.scrapes, rule.merge_within.0, born) {
            let reason = waiting.at(episode.onset).and_then(|value| traces.state(waiting, value));
            let evidence = format!(
                "{} {} from {}, {} scrapes",
                traces.catalogue.name(waiting.metric),
                reason.unwrap_or("?"),
                episode.onset,
                episode.scrapes
            );
            told.failure(WAITING, cause, (episode.low, episode.onset), episode.shown, evidence)?;
        }
        told.down.extend(stretches(waiting, wanted, count.times));
    }
    Ok(())
}

/// Several restarts in one gap are as many failures; only the last has a known reason (kube-state-metrics#651). Gives
/// the moment at which the last of them ended, where it is known.
fn restarted(
    rules: &EventRules,
    traces: Traces<'_>,
    rise: &Step,
    earlier: &Before,
    next: i64,
    told: &mut Telling<'_>,
) -> Result<Option<i64>> {
    let Step { low, high, before, after } = *rise;
    let exact = traces
        .one("terminated.time")
        .and_then(|trace| trace.last(high))
        .map(|(_, seconds)| super::milliseconds(seconds))
        .filter(|&time| time > earlier.ended && time <= high);
    // Ends before the last one lie before it, and after the scrape that had not counted them.
    let others = match exact {
        Some(time) if time > low => (low, time),
        Some(time) => (earlier.ended, time),
        None => (low, high),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "restart counts are small and rising")]
    let times = (after - before).round() as u64;
    for _ in 1..times {
        let evidence = format!("restart.count {before} -> {after} in one gap; reason not seen");
        told.failure(RESTARTS, "unknown", others, high, evidence)?;
    }
    // What was shown before the gap belongs to an earlier end.
    let reason = traces
        .one("terminated.reason")
        .and_then(|trace| trace.last(high).filter(|&(time, _)| time > low).and_then(|(_, v)| traces.state(trace, v)))
        .or_else(|| ended_as(rules, traces, earlier.shown, high))
        .unwrap_or("");
    let exit = traces
        .one("terminated.exit_code")
        .and_then(|trace| trace.last(high))
        .filter(|&(time, _)| time > low)
        .map(|(_, code)| code);
    let since = exact.map_or(low, |time| time.min(low));
    let failed = failed_probes(traces, since.saturating_sub(rules.probe_kill.within.0), high);
    // Counted by another source, which is scraped at other moments.
    let join = rules.join.window.0;
    let (from, until) = (since.saturating_sub(join).max(earlier.shown), high.saturating_add(join).min(next.max(high)));
    let kills: Vec<Step> = traces
        .parts("oom.events")
        .flat_map(Trace::steps)
        .filter(|step| step.high > from && step.high <= until && step.growth() > 0.0)
        .collect();
    let out_of_memory: f64 = kills.iter().map(Step::growth).sum();
    let is = |names: &[String]| names.iter().any(|name| name == reason);
    let clean = exit.is_none_or(|code| code.abs() < 0.5);
    let mut shown_at = high;
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
        // The one cause that a later scrape may tell: before it nobody could know.
        shown_at = kills.iter().map(|step| step.high).fold(high, i64::max);
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
        Some(cause) => told.failure(RESTARTS, cause, (low, high), shown_at, evidence)?,
        None => told.breaks.push(Break { t_low: low, t_high: high, reason: CensorReason::Completed, evidence }),
    }
    Ok(exact)
}

/// The last reason of an end that OpenTelemetry's one set of reasons showed in `(after, until]`.
fn ended_as<'a>(rules: &EventRules, traces: Traces<'a>, after: i64, until: i64) -> Option<&'a str> {
    let trace = traces.one("container.reason")?;
    let rules = &rules.restart;
    let ends = [&rules.oom, &rules.crash, &rules.evicted, &rules.completed];
    let ended = |value: &f64| ends.iter().any(|names| traces.is_one_of(trace, *value, names.as_slice()));
    let shown = trace.values().filter(|&(time, _)| time > after && time <= until).map(|(_, value)| value);
    traces.state(trace, shown.filter(ended).last()?)
}

/// Failed liveness probes in `(low, high]`.
fn failed_probes(traces: Traces<'_>, low: i64, high: i64) -> f64 {
    let of = |trace: &&Trace<'_>, words: &[&str]| {
        let part = trace.part.to_ascii_lowercase();
        words.iter().all(|word| part.contains(word))
    };
    let failures = traces.parts("probe.failures").filter(|trace| of(trace, &["probe_type=liveness"]));
    let counts = traces.parts("probe.count").filter(|trace| of(trace, &["probe_type=liveness", "result=failed"]));
    let failed: Vec<&Trace<'_>> = failures.chain(counts).collect();
    // The kubelet creates the series with the first failure, so that its first value is growth: of a container that
    // was watched before, and whose failures no other series counted before.
    let is_before = |trace: &&Trace<'_>, time: i64| trace.times.first().is_some_and(|&first| first < time);
    let first = |trace: &&Trace<'_>| {
        let (time, value) = trace.values().next()?;
        let watched = traces.lasting().any(|other| is_before(&other, time));
        let counted = failed.iter().any(|other| is_before(other, time));
        (time > low && time <= high && watched && !counted).then_some(value)
    };
    failed.iter().map(|trace| trace.rise(low, high) + first(trace).unwrap_or(0.0)).sum()
}
