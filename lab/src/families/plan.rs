//! What is drawn: everything that is planned for a pod before it lives.

use serde::{Deserialize, Serialize};

/// A pod as planned. What really happens to it is for the kernel and its neighbours to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodPlan {
    /// Family it was drawn from.
    pub family: String,
    /// What it dies of if it lives long enough; `None` for a look-alike.
    pub cause: Option<String>,
    /// Whether its family is kept for the test alone.
    pub held_out: bool,
    /// Place in the run.
    pub index: u64,
    /// Seed of the container's own random numbers.
    pub seed: u64,
    /// Bytes; `None`: only the node's memory limits it.
    pub memory_limit: Option<u64>,
    /// Bytes asked for; who uses more is evicted first.
    pub memory_request: u64,
    /// Cores; `None`: only the node's CPU limits it.
    pub cpu_limit: Option<f64>,
    /// Cores asked for; its weight among neighbours.
    pub cpu_request: f64,
    /// Processes and threads.
    pub pids_limit: u32,
    /// Handles of one process.
    pub open_files: u64,
    /// Size of the volume in bytes.
    pub volume_bytes: u64,
    /// Bytes per second that may be read from the volume.
    pub read_bps: u64,
    /// Bytes per second that may be written to it.
    pub write_bps: u64,
    /// How it is asked whether it lives.
    pub probe: ProbePlan,
    /// Milliseconds after which it is taken down if nothing killed it.
    pub life_ms: u64,
    /// Why it then ends.
    pub end: PlannedEnd,
    /// Failures after which its container is started a last time.
    pub failures_allowed: u32,
    /// Milliseconds from that last start until the pod is deleted.
    pub linger_ms: u64,
    /// Behaviour lines of the container's script, without `seed` and `run`.
    pub script: Vec<String>,
}

/// A liveness probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbePlan {
    /// Milliseconds between probes.
    pub period_ms: u64,
    /// Milliseconds to wait for an answer.
    pub timeout_ms: u64,
    /// Failures in a row that kill.
    pub failures: u32,
    /// Milliseconds after the start of the container without a probe.
    pub initial_delay_ms: u64,
}

/// How a pod ends that nothing kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedEnd {
    /// Its owner wants fewer.
    ScaleDown,
    /// Its owner wants a new version.
    Rollout,
    /// It is done and exits by itself.
    Complete,
    /// It does not end.
    Stay,
}

/// A node as planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePlan {
    /// Bytes of memory for all its pods.
    pub memory: u64,
    /// Cores for all its pods.
    pub cpu: f64,
    /// Pods at a time.
    pub pods: u32,
    /// Bytes of available memory below which pods are evicted.
    pub eviction_below: u64,
}
