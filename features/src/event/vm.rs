//! Failures of a virtual machine: it went off, or was started again on another host.

use super::node::{Reboot, reboots};
use super::notice::{Happening, Notice};
use super::trace::{Trace, Traces, stretches};
use super::{Break, EventRules, Telling};
use crate::Result;
use survival::CensorReason;

const POWER: &str = "power.state";
const BOOT: &str = "boot.time";
const EVENTS: &str = "events of vCenter";

/// Names under which `vm.info` carries the host.
const HOST: [&str; 4] = ["host_name=", "esxhostname=", "vcenter.host.name=", "host="];
/// States in which a machine does not run; of "other" nobody knows.
const DOWN: [&str; 3] = ["off", "suspended", "crashed"];

/// A machine seen to stop.
struct Outage {
    low: i64,
    high: i64,
    /// First scrape that shows it running again, [`i64::MAX`] where none came.
    until: i64,
    evidence: String,
    /// Why it is no failure.
    planned: Option<String>,
    /// That high availability ended it.
    restart: Option<Restart>,
}

/// A start by high availability.
struct Restart {
    /// The machine ran again by then, so that it had failed before.
    by: i64,
    shown: i64,
    evidence: String,
}

pub(super) fn tell(rules: &EventRules, traces: Traces<'_>, notices: &[Notice], told: &mut Telling<'_>) -> Result<()> {
    let mut outages = outages(rules, traces, notices, told);
    let join = rules.join.window.0;
    let boots = reboots(rules, traces);
    // vCenter and the exporter are read at other moments.
    let around =
        |boot: &Reboot, time: i64| time > boot.gap.0.saturating_sub(join) && time <= boot.gap.1.saturating_add(join);
    let starts: Vec<&Notice> = notices.iter().filter(|n| matches!(n.what, Happening::HaRestart(_))).collect();
    for boot in &boots {
        let moved = match (host_at(traces, boot.gap.0), host_at(traces, boot.gap.1)) {
            (Some(from), Some(to)) if from != to => Some(format!("host {from} -> {to}")),
            _ => None,
        };
        let text = starts.iter().find(|start| around(boot, start.time)).map(|start| start.text());
        let evidence = format!("boot.time moved on by {} ms", boot.jump);
        let explain = |why: &str| format!("{evidence}, {why}");
        // boot.time is not shown while a machine is off: its jump and the outage are one story.
        let stopped = |outage: &Outage| outage.low < boot.gap.1 && outage.until > boot.gap.0;
        match (moved.as_ref().or(text.as_ref()), outages.iter_mut().find(|outage| stopped(outage) && outage.open())) {
            (Some(why), Some(outage)) => {
                outage.restart = Some(Restart { by: boot.t_high, shown: boot.gap.1, evidence: explain(why) });
            }
            (why, None) => {
                let explained = outages.iter().any(stopped);
                // Meant to stop, it may well be started on another host; but then nobody else starts it.
                let why = if explained { text.as_ref() } else { why };
                let gap = (boot.t_low, boot.t_high);
                match why {
                    Some(why) => told.failure(BOOT, "ha_restart", gap, boot.gap.1, explain(why))?,
                    None if explained => {}
                    // A restart nobody explains: neither failure nor success, and a new life.
                    None => {
                        let reason = CensorReason::Lost;
                        told.breaks.push(Break { t_low: gap.0, t_high: gap.1, reason, evidence });
                    }
                }
            }
            // Switched on again by somebody.
            (None, Some(_)) => {}
        }
    }
    let alone = starts.into_iter().filter(|start| !boots.iter().any(|boot| around(boot, start.time)));
    for (time, evidence) in restarts(alone, join) {
        let of = |outage: &&mut Outage| time > outage.low && time <= outage.until.saturating_add(join) && outage.open();
        match outages.iter_mut().rev().find(of) {
            Some(outage) => outage.restart = Some(Restart { by: time, shown: time, evidence }),
            None => told.failure(EVENTS, "ha_restart", (time, time), time, evidence)?,
        }
    }
    for outage in outages {
        outage.tell(told)?;
    }
    Ok(())
}

impl Outage {
    /// A failure of which nobody has said yet how it ended.
    fn open(&self) -> bool {
        self.planned.is_none() && self.restart.is_none()
    }

    fn tell(self, told: &mut Telling<'_>) -> Result<()> {
        let Self { low, high, evidence, planned, restart, .. } = self;
        match (planned, restart) {
            (Some(why), _) => {
                let (evidence, reason) = (format!("{evidence}, {why}"), CensorReason::Maintenance);
                told.breaks.push(Break { t_low: low, t_high: high, reason, evidence });
                Ok(())
            }
            (None, Some(start)) => {
                let gap = (low, high.min(start.by).max(low));
                let evidence = format!("{evidence}; {}", start.evidence);
                // That it was high availability is known only once it has started the machine.
                told.failure(POWER, "ha_restart", gap, start.shown.max(high), evidence)
            }
            (None, None) => told.failure(POWER, "vm_down", (low, high), high, evidence),
        }
    }
}

/// Every step of the power state from on to a state in which the machine does not run.
fn outages(rules: &EventRules, traces: Traces<'_>, notices: &[Notice], told: &mut Telling<'_>) -> Vec<Outage> {
    let within = rules.vm_down.maintenance_within.0;
    let maintenance = |low: i64, high: i64| {
        traces.parts("maintenance").any(|trace| trace.set_within(low.saturating_sub(within), high))
    };
    let asked = |low: i64, high: i64| {
        let wanted = |n: &&Notice| n.time > low && n.time <= high && matches!(n.what, Happening::ShutdownAsked(_));
        notices.iter().find(wanted).map(Notice::text)
    };
    let Some(power) = traces.one("power.state") else { return Vec::new() };
    told.down.extend(stretches(power, |value| traces.is_one_of(power, value, &DOWN), power.times));
    let known: Vec<(i64, &str)> = power
        .values()
        .filter_map(|(time, value)| Some((time, traces.state(power, value)?)))
        .filter(|&(_, state)| state == "on" || DOWN.contains(&state))
        .collect();
    let mut outages = Vec::new();
    for (at, pair) in known.windows(2).enumerate() {
        let ((low, before), (high, after)) = (pair[0], pair[1]);
        if before != "on" || after == "on" {
            continue;
        }
        let planned = match after {
            "suspended" => Some("suspended".to_owned()),
            "crashed" => None,
            _ if maintenance(low, high) => Some("in maintenance".to_owned()),
            _ => asked(low, high),
        };
        let until = known[at + 1..].iter().find(|(_, state)| *state == "on").map_or(i64::MAX, |&(time, _)| time);
        let evidence = format!("power.state on -> {after}");
        outages.push(Outage { low, high, until, evidence, planned, restart: None });
    }
    outages
}

/// Starts by high availability as (moment, words): vCenter has several events for one of them.
fn restarts<'a>(starts: impl Iterator<Item = &'a Notice>, join: i64) -> Vec<(i64, String)> {
    let mut found: Vec<(i64, String)> = Vec::new();
    let mut last: Option<i64> = None;
    for start in starts {
        match found.last_mut() {
            Some((_, words)) if last.is_some_and(|last| start.time - last <= join) => {
                *words += &format!("; {}", start.text());
            }
            _ => found.push((start.time, start.text())),
        }
        last = Some(start.time);
    }
    found
}

/// The host of a virtual machine: the info series seen last.
fn host_at<'a>(traces: Traces<'a>, time: i64) -> Option<&'a str> {
    let newest = |trace: &&Trace<'a>| trace.last(time).map(|(seen, _)| seen);
    let info = traces.parts("vm.info").filter(|trace| newest(trace).is_some()).max_by_key(newest)?;
    info.part.split(',').find_map(|pair| HOST.iter().find_map(|name| pair.strip_prefix(name)))
}
