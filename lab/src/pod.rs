//! What is known of a pod: fixed at its birth, or changing as its kubelet acts; the metrics are told from this.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::families::PodPlan;
use crate::node::Node;

/// Name of the one container of a pod.
pub const CONTAINER: &str = "app";

/// A pod of the lab.
#[derive(Debug)]
pub struct Pod {
    /// Its script, limits and planned end.
    pub plan: PodPlan,
    /// Its family: scripts of a kind share a namespace.
    pub namespace: String,
    /// `workload-revision-replica`.
    pub name: String,
    /// Its replica set: `workload-revision`.
    pub owner: String,
    /// In the form of a UUID, told by run, plan and revision.
    pub uid: String,
    /// Where it runs.
    pub node: Arc<Node>,
    /// When it was made, milliseconds since the epoch.
    pub created: i64,
    /// Folder of script, probe socket and report.
    pub share: PathBuf,
    /// Where its volume is mounted.
    pub data: PathBuf,
    state: Mutex<State>,
    evicted: AtomicBool,
}

/// Where a pod is in its life; the words of `kube_pod_status_phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Its container has not started yet.
    #[default]
    Pending,
    /// Started, or to be started again.
    Running,
    /// Ended for good with exit code 0.
    Succeeded,
    /// Ended for good by its kubelet.
    Failed,
}

impl Phase {
    /// The word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// How the last run of a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminated {
    /// `OOMKilled`, `Error` or `Completed`.
    pub reason: &'static str,
    /// Exit status: 128 and the signal where it was killed.
    pub exit_code: i32,
    /// Milliseconds since the epoch.
    pub at: i64,
}

/// What a kubelet counts of its liveness probes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Probes {
    /// Answered in time.
    pub successful: u64,
    /// Not answered in time.
    pub failed: u64,
    /// Seconds they took, the time-out where they failed.
    pub seconds: f64,
}

/// What changes.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Phase of the pod.
    pub phase: Phase,
    /// Whether the kubelet evicted it.
    pub evicted: bool,
    /// When its end was asked for, milliseconds since the epoch.
    pub deleted: Option<i64>,
    /// First process of the running container.
    pub pid: Option<u32>,
    /// Name the runtime knows the container by.
    pub container: Option<String>,
    /// When the container started, milliseconds since the epoch.
    pub started: Option<i64>,
    /// When it became ready first.
    pub became_ready: Option<i64>,
    /// Whether its last probe was answered.
    pub ready: bool,
    /// Restarts of the container.
    pub restarts: u32,
    /// Why it waits to be started.
    pub waiting: Option<&'static str>,
    /// How the run before ended.
    pub terminated: Option<Terminated>,
    /// Liveness probes so far.
    pub probes: Probes,
    /// Device its volume is mounted from.
    pub device: String,
}

impl Pod {
    /// A pod of a plan; a later `revision` is another pod of the same workload.
    #[must_use]
    pub fn new(run: &str, plan: PodPlan, revision: u32, node: Arc<Node>, created: i64, folder: &Path) -> Self {
        let digest = hex::encode(Sha256::digest(format!("{run} {} {} {revision}", plan.seed, plan.index)));
        let uid =
            format!("{}-{}-{}-{}-{}", &digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]);
        let workload = format!("w{:05}", plan.index);
        // Kubernetes names revisions and replicas by letters and digits, ten and five of them.
        let owner = format!("{workload}-{}", &digest[32..42]);
        Self {
            namespace: plan.family.clone(),
            name: format!("{owner}-{}", &digest[42..47]),
            owner,
            uid,
            node,
            created,
            share: folder.join("share"),
            data: folder.join("data"),
            plan,
            state: Mutex::default(),
            evicted: AtomicBool::new(false),
        }
    }

    /// `namespace/pod/container`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}/{CONTAINER}", self.namespace, self.name)
    }

    /// Path of a container's cgroup below every hierarchy's root.
    #[must_use]
    pub fn cgroup(&self, container: &str) -> String {
        crate::cgroup::container_path(&self.node.cgroup, &self.uid, container)
    }

    /// What is known now.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// Changes what is known.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
    }

    /// Asks its kubelet to end it for want of memory.
    pub(crate) fn evict(&self) {
        self.evicted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_to_be_evicted(&self) -> bool {
        self.evicted.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
