//! Failures of a node: it does not answer, it rebooted, a disk of it failed.

use super::trace::{Trace, Traces, episodes, stretches};
use super::{Break, EventRules, Telling};
use crate::Result;
use survival::CensorReason;

const CONDITION: &str = "node.condition";
const BOOT: &str = "boot.time";
const DISKS: &str = "signs of disks";

pub(super) fn tell(rules: &EventRules, traces: Traces<'_>, told: &mut Telling<'_>) -> Result<()> {
    let cordoned = |onset: i64, within: i64| {
        traces.parts("node.cordoned").any(|trace| trace.set_within(onset.saturating_sub(within), onset))
    };
    for ready in traces.parts("node.condition").filter(|trace| trace.part.contains("condition=Ready")) {
        let rule = &rules.node_not_ready;
        let down = |value| traces.is_one_of(ready, value, &["false", "unknown"]);
        told.down.extend(stretches(ready, down, ready.times));
        // No birth is given: a node that just booted is not ready yet.
        for episode in episodes(ready, down, ready.times, rule.scrapes, rule.merge_within.0, None) {
            let state = ready.at(episode.onset).and_then(|value| traces.state(ready, value)).unwrap_or("?");
            let evidence = format!("condition Ready {state} from {}, {} scrapes", episode.onset, episode.scrapes);
            if cordoned(episode.onset, rule.cordoned_within.0) {
                let (t_low, t_high) = (episode.low, episode.onset);
                let evidence = format!("{evidence}, cordoned before");
                told.breaks.push(Break { t_low, t_high, reason: CensorReason::Maintenance, evidence });
            } else {
                let gap = (episode.low, episode.onset);
                told.failure(CONDITION, "node_not_ready", gap, episode.shown, evidence)?;
            }
        }
    }
    for boot in reboots(rules, traces) {
        let evidence = format!("boot.time moved on by {} ms", boot.jump);
        if cordoned(boot.t_high, rules.reboot.cordoned_within.0) {
            let evidence = format!("{evidence}, cordoned before");
            let (t_low, t_high) = (boot.t_low, boot.t_high);
            told.breaks.push(Break { t_low, t_high, reason: CensorReason::Maintenance, evidence });
        } else {
            told.failure(BOOT, "node_reboot", (boot.t_low, boot.t_high), boot.gap.1, evidence)?;
        }
    }
    disks(rules, traces, told)
}

/// A new boot time.
pub(super) struct Reboot {
    pub(super) t_low: i64,
    pub(super) t_high: i64,
    /// Scrapes around it.
    pub(super) gap: (i64, i64),
    pub(super) jump: i64,
}

/// Jumps of `boot.time`; the new one is the moment, where it lies between the scrapes.
pub(super) fn reboots(rules: &EventRules, traces: Traces<'_>) -> Vec<Reboot> {
    let Some(boot) = traces.one("boot.time") else { return Vec::new() };
    let steps = boot.steps().filter_map(|step| {
        let (before, after) = (super::milliseconds(step.before), super::milliseconds(step.after));
        let jump = after - before;
        (jump > rules.reboot.jump.0).then(|| {
            let inside = after > step.low && after <= step.high;
            let (t_low, t_high) = if inside { (step.low, after) } else { (step.low, step.high) };
            Reboot { t_low, t_high, gap: (step.low, step.high), jump }
        })
    });
    steps.collect()
}

fn disks(rules: &EventRules, traces: Traces<'_>, told: &mut Telling<'_>) -> Result<()> {
    let mut signs: Vec<(i64, i64, String)> = Vec::new();
    let mut sign = |trace: &Trace<'_>, name: &str| {
        signs.extend(trace.sets().map(|step| (step.low, step.high, format!("{name}{{{}}} 0 -> 1", trace.part))));
    };
    for name in ["fs.readonly", "fs.device_error", "raid.disks_failed"] {
        traces.parts(name).for_each(|trace| sign(trace, name));
    }
    for trace in traces.parts("kernel.problem_active") {
        if rules.disk_fail.problems.iter().any(|problem| trace.part.contains(problem.as_str())) {
            sign(trace, "kernel.problem_active");
        }
    }
    for trace in traces.parts("disk.smart.healthy") {
        let broke = trace.steps().filter(|step| step.before >= 0.5 && step.after < 0.5);
        signs.extend(broke.map(|step| (step.low, step.high, format!("disk.smart.healthy{{{}}} 1 -> 0", trace.part))));
    }
    for active in traces.parts("raid.disks_active") {
        let required = traces.parts("raid.disks_required").find(|trace| trace.part == active.part);
        let Some(required) = required else { continue };
        let degraded = |time: i64, value: f64| required.at(time).is_some_and(|needed| value < needed);
        signs.extend(
            active
                .steps()
                .filter(|step| !degraded(step.low, step.before) && degraded(step.high, step.after))
                .map(|step| (step.low, step.high, format!("raid.disks_active{{{}}} below required", active.part))),
        );
    }
    signs.sort();
    let mut last: Option<i64> = None;
    let mut open: Option<(i64, i64, String)> = None;
    for (low, high, text) in signs {
        match &mut open {
            Some((_, _, evidence)) if last.is_some_and(|last| high - last < rules.disk_fail.merge_within.0) => {
                *evidence += &format!("; {text}");
            }
            _ => {
                if let Some((low, high, evidence)) = open.replace((low, high, text)) {
                    told.failure(DISKS, "disk_fail", (low, high), high, evidence)?;
                }
            }
        }
        last = Some(high);
    }
    if let Some((low, high, evidence)) = open {
        told.failure(DISKS, "disk_fail", (low, high), high, evidence)?;
    }
    Ok(())
}
