//! What an engine or a vCenter says happened, at a moment of its own: no interval, and no guess from samples.

use serde::Deserialize;

use crate::{FeatureError, Result};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The main process ended with this code.
    Died(i64),
    /// A process of the container was killed for want of memory.
    OutOfMemory,
    /// A health check failed for good.
    Unhealthy,
    /// Somebody asked for the end: a stop, a kill, a shutdown by the guest.
    ShutdownAsked(String),
    /// High availability started the machine again.
    HaRestart(String),
}

/// One thing that happened to one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Milliseconds.
    pub time: i64,
    /// What.
    pub what: Happening,
}

impl Notice {
    /// In words, for the evidence of an event.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.what {
            Happening::Died(code) => format!("die, exit code {code}"),
            Happening::OutOfMemory => "oom".to_owned(),
            Happening::Unhealthy => "health_status: unhealthy".to_owned(),
            Happening::ShutdownAsked(how) | Happening::HaRestart(how) => how.clone(),
        }
    }
}

#[derive(Deserialize)]
struct DockerLine {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(rename = "Action", default)]
    action: String,
    #[serde(rename = "Actor")]
    actor: Option<DockerActor>,
    #[serde(default)]
    time: i64,
    #[serde(rename = "timeNano", default)]
    nanos: i64,
}

#[derive(Deserialize)]
struct DockerActor {
    #[serde(rename = "Attributes", default)]
    attributes: std::collections::BTreeMap<String, String>,
}

/// One line of `docker events --format '{{json .}}'` (Engine API, `GET /events`): the container's name and what
/// happened to it, `None` for what no rule reads.
///
/// # Errors
/// When the line is no such JSON.
pub fn docker(line: &str) -> Result<Option<(String, Notice)>> {
    let wrong = |problem: String| FeatureError::Spec { reason: format!("a Docker event: {problem}; line {line:?}") };
    let event: DockerLine = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
    if event.kind != "container" {
        return Ok(None);
    }
    let attributes = event.actor.map(|actor| actor.attributes).unwrap_or_default();
    let (action, detail) = event.action.split_once(": ").unwrap_or((&event.action, ""));
    let what = match (action, detail) {
        ("die", _) => {
            let code = attributes.get("exitCode").ok_or_else(|| wrong("die without exitCode".to_owned()))?;
            Happening::Died(code.parse().map_err(|_| wrong(format!("exitCode {code:?} is no number")))?)
        }
        ("oom", _) => Happening::OutOfMemory,
        ("health_status", "unhealthy") => Happening::Unhealthy,
        ("kill", _) => {
            let signal = attributes.get("signal").map_or("", String::as_str);
            if !ends(signal) {
                return Ok(None);
            }
            Happening::ShutdownAsked(format!("kill, signal {signal}"))
        }
        ("stop", _) => Happening::ShutdownAsked("stop".to_owned()),
        _ => return Ok(None),
    };
    let name = attributes.get("name").ok_or_else(|| wrong("no name of the container".to_owned()))?;
    let time = if event.nanos > 0 { event.nanos / 1_000_000 } else { event.time * 1000 };
    Ok(Some((name.clone(), Notice { time, what })))
}

/// Whether a signal asks for the end: INT, QUIT, KILL and TERM do, a HUP or USR1 asks for something else. Docker writes
/// numbers, Podman names; without a word `docker kill` sends KILL.
fn ends(signal: &str) -> bool {
    let name = signal.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    matches!(name, "" | "2" | "INT" | "3" | "QUIT" | "9" | "KILL" | "15" | "TERM")
}

#[derive(Deserialize)]
struct VcenterLine {
    time: String,
    vm: String,
    event: String,
    #[serde(default)]
    message: String,
}

/// One line of a vCenter event export, `{"time": RFC 3339, "vm": KEY, "event": TYPE, "message": TEXT}`: the key of the
/// machine and what happened. `clock` reads the time as milliseconds.
///
/// # Errors
/// When the line is no such JSON, or its time cannot be read.
pub fn vcenter(line: &str, clock: &dyn Fn(&str) -> Option<i64>) -> Result<Option<(String, Notice)>> {
    let wrong = |problem: String| FeatureError::Spec { reason: format!("a vCenter event: {problem}; line {line:?}") };
    let event: VcenterLine = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
    let time = clock(&event.time).ok_or_else(|| wrong(format!("time {:?} is no RFC 3339 moment", event.time)))?;
    let text = format!("{}: {}", event.event, event.message);
    // An HA reset after a missing VMware Tools heartbeat is told in the message alone (KB 316525).
    let message = event.message.to_ascii_lowercase();
    let what = match event.event.as_str() {
        "VmRestartedOnAlternateHostEvent"
        | "com.vmware.vc.ha.VmRestartedByHAEvent"
        | "VmDasBeingResetEvent"
        | "VmDasBeingResetWithScreenshotEvent" => Happening::HaRestart(text),
        _ if message.contains("vsphere ha") && (message.contains("restarted") || message.contains("reset")) => {
            Happening::HaRestart(text)
        }
        "VmGuestShutdownEvent" | "VmGuestStandbyEvent" => Happening::ShutdownAsked(text),
        _ => return Ok(None),
    };
    Ok(Some((event.vm, Notice { time, what })))
}
