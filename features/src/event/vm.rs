//! Failures of a virtual machine: it went off, or was started again on another host.

use super::node::reboots;
use super::notice::{Happening, Notice};
use super::trace::{Trace, Traces};
use super::{Break, EventRules, Told};
use crate::Result;
use survival::CensorReason;

/// Names under which `vm.info` carries the host.
const HOST: [&str; 4] = ["host_name=", "esxhostname=", "vcenter.host.name=", "host="];

pub(super) fn tell(
    rules: &EventRules,
    key: &str,
    traces: Traces<'_>,
    notices: &[Notice],
    told: &mut Told,
) -> Result<()> {
    let within = rules.vm_down.maintenance_within.0;
    let noticed = |wanted: fn(&Happening) -> bool, low: i64, high: i64| {
        notices.iter().find(|notice| notice.time > low && notice.time <= high && wanted(&notice.what))
    };
    let ha = |low, high| noticed(|what| matches!(what, Happening::HaRestart(_)), low, high);
    let asked = |low, high| noticed(|what| matches!(what, Happening::ShutdownAsked(_)), low, high);
    let maintenance = |low: i64, high: i64| {
        traces.parts("maintenance").any(|trace| trace.set_within(low.saturating_sub(within), high))
    };

    if let Some(power) = traces.one("power.state") {
        for step in power.steps() {
            let before = traces.state(power, step.before).unwrap_or("?");
            let after = traces.state(power, step.after).unwrap_or("?");
            if before != "on" || after == "on" {
                continue;
            }
            let (t_low, t_high) = (step.low, step.high);
            let evidence = format!("power.state on -> {after}");
            let planned = if after == "suspended" {
                Some("suspended".to_owned())
            } else if after == "crashed" {
                None
            } else if maintenance(t_low, t_high) {
                Some("in maintenance".to_owned())
            } else {
                asked(t_low, t_high).map(|notice| notice.text())
            };
            match planned {
                Some(why) => {
                    let evidence = format!("{evidence}, {why}");
                    told.breaks.push(Break { t_low, t_high, reason: CensorReason::Maintenance, evidence });
                }
                None => told.failure(key, "vm_down", t_low, t_high, evidence)?,
            }
        }
    }
    for boot in reboots(rules, traces) {
        let (low, high) = boot.gap;
        let moved = match (host_at(traces, low), host_at(traces, high)) {
            (Some(from), Some(to)) if from != to => Some(format!("host {from} -> {to}")),
            _ => None,
        };
        let text = ha(low, high).map(|notice| notice.text());
        let evidence = format!("boot.time moved on by {} ms", boot.jump);
        match moved.or(text) {
            Some(why) => told.failure(key, "ha_restart", boot.t_low, boot.t_high, format!("{evidence}, {why}"))?,
            // A restart nobody explains: neither failure nor success, and a new life.
            None => {
                let (t_low, t_high) = (boot.t_low, boot.t_high);
                told.breaks.push(Break { t_low, t_high, reason: CensorReason::Lost, evidence });
            }
        }
    }
    Ok(())
}

/// The host of a virtual machine: the info series seen last.
fn host_at<'a>(traces: Traces<'a>, time: i64) -> Option<&'a str> {
    let newest = |trace: &&Trace<'a>| trace.last(time).map(|(seen, _)| seen);
    let info = traces.parts("vm.info").filter(|trace| newest(trace).is_some()).max_by_key(newest)?;
    info.part.split(',').find_map(|pair| HOST.iter().find_map(|name| pair.strip_prefix(name)))
}
