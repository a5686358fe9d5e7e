//! The rule file: every word and threshold by which failures are told, versioned, its digest part of a data set.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{FeatureError, Result};

const SHIPPED: &str = include_str!("../../event_rules.toml");
/// Version of the form this build reads.
const VERSION: u32 = 3;

/// A duration in milliseconds, written `90s`, `10m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within(pub i64);

impl Serialize for Within {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", self.0))
    }
}

impl<'de> Deserialize<'de> for Within {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::spec::milliseconds(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// When two sources tell the same failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRules {
    /// Failures of one cause that two sources tell no further apart than this are one.
    pub window: Within,
}

/// When a state that the first scrape shows began inside the watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BornRules {
    /// Born no longer than this before the first scrape.
    pub within: Within,
}

/// What a rise of `restart.count` means, by the last terminated reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartRules {
    /// Reasons that are `container_oom`.
    pub oom: Vec<String>,
    /// Reasons that are `container_crash`.
    pub crash: Vec<String>,
    /// Reasons that are `evicted`.
    pub evicted: Vec<String>,
    /// Reasons that are no failure.
    pub completed: Vec<String>,
}

/// When a restart is a probe's doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRules {
    /// Failed liveness probes needed.
    pub failures: u32,
    /// Before the restart.
    pub within: Within,
}

/// A state that is an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeRules {
    /// States that count.
    pub reasons: Vec<String>,
    /// Scrapes in a row that must show it.
    pub scrapes: usize,
    /// Episodes closer than this are one.
    pub merge_within: Within,
}

/// When a node that is not ready has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotReadyRules {
    /// Scrapes in a row that must show it.
    pub scrapes: usize,
    /// Flaps closer than this are one.
    pub merge_within: Within,
    /// Planned when cordoned so shortly before.
    pub cordoned_within: Within,
}

/// When a new boot time is a reboot, and when a planned one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebootRules {
    /// Least jump.
    pub jump: Within,
    /// Planned when cordoned so shortly before.
    pub cordoned_within: Within,
}

/// When a disk has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskRules {
    /// Signs closer than this are one failure.
    pub merge_within: Within,
    /// Problems of the node-problem-detector that say so.
    pub problems: Vec<String>,
}

/// When a virtual machine that went off has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmRules {
    /// Planned when in maintenance so shortly before.
    pub maintenance_within: Within,
}

/// How evictions and preemptions of a pod belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodRules {
    /// Episodes closer than this are one.
    pub merge_within: Within,
}

/// How events of a Docker engine belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerRules {
    /// Spells of bad health closer than this are one.
    pub merge_within: Within,
    /// A die so shortly after a kill or stop is planned.
    pub planned_within: Within,
    /// A die so shortly after an oom is the same failure.
    pub oom_within: Within,
}

/// When errors of a module are a trap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmRules {
    /// Errors from one scrape to the next.
    pub errors: u32,
    /// Bursts closer than this are one.
    pub merge_within: Within,
}

/// How an end without failure is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndRules {
    /// Node cordoned so shortly before: a drain.
    pub drain_within: Within,
    /// A pod of the same workload began so close to the end: replaced.
    pub replaced_within: Within,
    /// So shortly after an action of the action log: the action's doing.
    pub intervention_within: Within,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRules {
    /// Version of the form.
    pub version: u32,
    /// One failure, several sources.
    pub join: JoinRules,
    /// Births inside the watch.
    pub born: BornRules,
    /// Restarts.
    pub restart: RestartRules,
    /// Restarts by a probe.
    pub probe_kill: ProbeRules,
    /// Restarts again and again.
    pub crash_loop: EpisodeRules,
    /// Images that cannot be had.
    pub image_pull: EpisodeRules,
    /// Nodes that do not answer.
    pub node_not_ready: NotReadyRules,
    /// Reboots of nodes and restarts of virtual machines.
    pub reboot: RebootRules,
    /// Disks.
    pub disk_fail: DiskRules,
    /// Virtual machines that went off.
    pub vm_down: VmRules,
    /// Pods.
    pub pod: PodRules,
    /// Docker engines.
    pub docker: DockerRules,
    /// WebAssembly modules.
    pub wasm_trap: WasmRules,
    /// Ends without failure.
    pub ends: EndRules,
}

/// What every version of the form has.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

impl EventRules {
    /// The rules that ship with this build.
    ///
    /// # Panics
    /// Never: a test reads the file.
    #[must_use]
    pub fn shipped() -> Self {
        Self::from_toml(SHIPPED).expect("the shipped rules are read by a test")
    }

    /// Rules in the form of the shipped file.
    ///
    /// # Errors
    /// When it is no TOML, a key is missing or unknown, or the version is another; the message names the line.
    pub fn from_toml(text: &str) -> Result<Self> {
        let refuse = |reason: String| FeatureError::Spec { reason: format!("event rules: {reason}") };
        // Before the keys: those of another version would be refused one by one, and the reason not told.
        if let Ok(Form { version }) = toml::from_str(text)
            && version != VERSION
        {
            return Err(refuse(format!(
                "version {version} is not known, this build reads {VERSION}; start from the shipped event_rules.toml"
            )));
        }
        let rules: Self = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        for (name, scrapes) in [
            ("crash_loop", rules.crash_loop.scrapes),
            ("image_pull", rules.image_pull.scrapes),
            ("node_not_ready", rules.node_not_ready.scrapes),
        ] {
            if scrapes == 0 {
                return Err(refuse(format!("{name}.scrapes is 0, a state must be seen at least once")));
            }
        }
        Ok(rules)
    }

    /// SHA-256 of what the rules say; comments and order do not count.
    #[must_use]
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }
}
