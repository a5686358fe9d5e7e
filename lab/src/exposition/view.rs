//! What exporters are told of nodes, pods and containers.

use crate::cgroup::{Pressure, Usage};
use crate::proc::Interface;

/// Everything that is shown at a moment. Times are seconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fleet {
    /// Nodes.
    pub nodes: Vec<NodeView>,
    /// Pods that the API knows, also those that have ended.
    pub pods: Vec<PodView>,
    /// Containers of these pods, running or not.
    pub containers: Vec<ContainerView>,
}

/// A container of a pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerView {
    /// Namespace of its pod.
    pub namespace: String,
    /// Name of its pod.
    pub pod: String,
    /// Uid of its pod.
    pub pod_uid: String,
    /// Its name in the pod.
    pub container: String,
    /// The runtime's name of this run.
    pub container_id: String,
    /// Node of its pod.
    pub node: String,
    /// Image.
    pub image: String,
    /// Path of its cgroup; cAdvisor shows it as `id`, and the pod's uid is read from it.
    pub cgroup: String,
    /// What its cgroup counts; cAdvisor shows nothing of a container that is `None`.
    pub usage: Option<Usage>,
    /// Open file descriptors of its processes.
    pub files: Option<u64>,
    /// Threads of its processes.
    pub threads: Option<u64>,
    /// Its processes.
    pub processes: Option<u64>,
    /// The file system it writes to.
    pub file_system: Option<FileSystemView>,
    /// Interfaces of the network it shares with its pod.
    pub network: Vec<Interface>,
    /// When this run started.
    pub start_time: Option<f64>,
    /// Memory limit in its specification, bytes.
    pub memory_limit: Option<u64>,
    /// Memory it asks for, bytes.
    pub memory_request: Option<u64>,
    /// CPU limit in its specification, cores.
    pub cpu_limit: Option<f64>,
    /// CPU it asks for, cores.
    pub cpu_request: Option<f64>,
    /// Restarts since its pod was made.
    pub restarts: u64,
    /// Whether it runs.
    pub running: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Why it waits to be started, such as `CrashLoopBackOff`.
    pub waiting: Option<String>,
    /// How the run before ended.
    pub last_terminated: Option<Termination>,
    /// Its liveness probes; `None` where it has none.
    pub liveness: Option<Probes>,
}

/// A file system of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystemView {
    /// Its device, such as `/dev/loop3`.
    pub device: String,
    /// Bytes taken.
    pub used: u64,
    /// Bytes it has.
    pub limit: u64,
}

/// How a run of a container ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Termination {
    /// Such as `OOMKilled`, `Error` or `Completed`.
    pub reason: String,
    /// 128 and the signal where it was killed by one.
    pub exit_code: i32,
    /// When.
    pub time: f64,
}

/// What a kubelet counts of the probes of a container, over all its runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Probes {
    /// Answered in time.
    pub successful: u64,
    /// Not answered in time.
    pub failed: u64,
    /// Seconds that all of them took.
    pub seconds: f64,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodView {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub pod: String,
    /// Uid.
    pub uid: String,
    /// Node it was given to.
    pub node: String,
    /// Address of the node.
    pub host_ip: String,
    /// Address of the pod.
    pub pod_ip: String,
    /// Replica set that made it; empty for a pod made by hand.
    pub owner: String,
    /// When it was made.
    pub created: f64,
    /// When its kubelet took it on.
    pub start_time: Option<f64>,
    /// When it became ready, while it is.
    pub ready_time: Option<f64>,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Why it failed as a pod, such as `Evicted`; none in most cases.
    pub reason: Option<String>,
    /// When its deletion was asked for, until it is gone.
    pub deletion_time: Option<f64>,
}

/// What is said of a condition of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody has heard of it.
    #[default]
    Unknown,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeView {
    /// Name.
    pub name: String,
    /// What its cgroup counts.
    pub usage: Option<Usage>,
    /// Its memory, bytes.
    pub memory_total: u64,
    /// CPU time it had and did not use since it was made, seconds; must never fall, see [`Idle`].
    pub cpu_idle_seconds: f64,
    /// Processes killed for memory in it, over all its containers.
    pub oom_kills: u64,
    /// Whether it is ready.
    pub ready: Condition,
    /// Whether its memory is short.
    pub memory_pressure: Condition,
    /// Whether it takes no more pods.
    pub unschedulable: bool,
    /// Pods evicted for want of memory.
    pub evictions: u64,
    /// When it was made.
    pub boot_time: f64,
    /// Its stalls: of its cgroup, or of the host where that has none.
    pub pressure: Pressure,
}

/// Idle time of a node, which is what its CPU quota leaves: may seem to fall for a moment when a quota is used in
/// advance, and a counter that falls would be taken for a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Idle(f64);

impl Idle {
    /// Idle seconds of a node of so many cores that is `up` seconds old and has used so many seconds of CPU.
    pub fn after(&mut self, cores: f64, up: f64, used: f64) -> f64 {
        self.0 = self.0.max(cores * up - used);
        self.0
    }
}
