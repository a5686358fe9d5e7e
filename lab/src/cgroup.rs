//! Control groups: the folders that hold nodes, pods and containers, and what the kernel counts there.
//!
//! Both versions are read into one [`Usage`], in the way cAdvisor reads them. Formats:
//! <https://docs.kernel.org/admin-guide/cgroup-v1/index.html>, <https://docs.kernel.org/admin-guide/cgroup-v2.html>.
//!
//! A path is one inside every hierarchy, as `linux.cgroupsPath` of a container's configuration names it:
//! `/forewarn-lab/<run>/<node>/pod<uid>/<container id>`. Whatever this module changes lies under [`ROOT`].

mod detect;
mod files;
mod tree;
mod usage;
mod v1;
mod v2;

use std::path::Path;
use std::time::Duration;

use crate::error::{LabError, Result, io};

pub(crate) use files::pressure_of;
pub use usage::{Pressure, Stall, Usage};

/// The cgroup that holds everything of the lab, in every hierarchy.
pub const ROOT: &str = "/forewarn-lab";

/// Period of CPU quotas, microseconds: the kubelet's default.
pub const CPU_PERIOD_US: u64 = 100_000;

/// The kernel takes no shorter quota.
const SHORTEST_QUOTA_US: u64 = 1_000;

/// How long [`Cgroups::remove`] tries: killed processes leave their cgroup a little later.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control groups of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups(Layout);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Layout {
    V1(v1::Hierarchies),
    V2(v2::Unified),
}

/// The path of a node's cgroup. Names have to be as [`Cgroups::make_node`] takes them.
#[must_use]
pub fn node_path(run: &str, node: &str) -> String {
    format!("{ROOT}/{run}/{node}")
}

/// The path of a container's cgroup in that of its node.
#[must_use]
pub fn container_path(node: &str, pod_uid: &str, container_id: &str) -> String {
    format!("{node}/pod{pod_uid}/{container_id}")
}

impl Cgroups {
    /// Reads `/proc/mounts` and `/proc/cgroups`, given as text. On version 2 these do not tell which controllers there
    /// are: [`of_host`](Self::of_host) looks into `cgroup.controllers`.
    ///
    /// # Errors
    /// [`LabError::Cgroup`] with the controller that is missing (memory, cpu, cpuacct, pids, blkio) and how to get it.
    pub fn detect(proc_mounts: &str, proc_cgroups: &str) -> Result<Self> {
        detect::layout(proc_mounts, proc_cgroups).map(Self)
    }

    /// The control groups of this host.
    ///
    /// # Errors
    /// As [`detect`](Self::detect); [`LabError::Io`] when a file of the kernel cannot be read.
    pub fn of_host() -> Result<Self> {
        let text = |path: &'static str| std::fs::read_to_string(path).map_err(io(Path::new(path), "read"));
        let cgroups = Self::detect(&text("/proc/mounts")?, &text("/proc/cgroups")?)?;
        if let Layout::V2(unified) = &cgroups.0 {
            unified.check()?;
        }
        Ok(cgroups)
    }

    /// Reads pressure from the hierarchy of version 2 that many hosts mount beside those of version 1; the container
    /// runtime makes its groups there too. Without effect on version 2 alone and where there is none. The kubelet shows
    /// no pressure on such hosts.
    #[must_use]
    pub fn with_pressure_of_v2(mut self) -> Self {
        if let Layout::V1(hierarchies) = &mut self.0 {
            hierarchies.pressure.clone_from(&hierarchies.unified);
        }
        self
    }

    /// Which version this is: `v1` (a hierarchy per controller, also where version 2 is mounted beside them) or `v2`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        match self.0 {
            Layout::V1(_) => "v1",
            Layout::V2(_) => "v2",
        }
    }

    /// Makes the cgroup of a node, `/forewarn-lab/<run>/<node>`, with a memory limit in bytes and a quota in cores; swap
    /// is off in it. A node that is there gets the limits anew. On version 1 no container may have a larger quota than
    /// its node.
    ///
    /// # Errors
    /// [`LabError::Cgroup`] for a path that does not lie under [`ROOT`], has other characters than letters, digits,
    /// `.`, `_` and `-`, or for limits that no cgroup can have; [`LabError::Io`] when the kernel refuses.
    pub fn make_node(&self, path: &str, memory: u64, cpu: f64) -> Result<()> {
        inside(path)?;
        if path == ROOT {
            return refuse(format!("cgroup {path}: a node needs a cgroup of its own below it"));
        }
        let quota = cpu * CPU_PERIOD_US as f64;
        if !(quota.is_finite() && quota >= SHORTEST_QUOTA_US as f64 && quota < 1e12) || memory == 0 {
            return refuse(format!(
                "cgroup {path}: {memory} bytes and {cpu} cores; a node needs memory and at least 0.01 cores"
            ));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1e3 and 1e12")]
        let quota_us = quota.round() as u64;
        match &self.0 {
            Layout::V1(hierarchies) => hierarchies.make_node(path, memory, quota_us),
            Layout::V2(unified) => unified.make_node(path, memory, quota_us),
        }
    }

    /// Kills what is left in a cgroup and in all below it, and removes them from every hierarchy; tries for five
    /// seconds. A cgroup that is not there is no error. [`ROOT`] goes with the last run in it.
    ///
    /// # Errors
    /// [`LabError::Cgroup`] for a path outside [`ROOT`] or when the lab itself runs in there; [`LabError::Io`] with the
    /// folder that could not be removed.
    pub fn remove(&self, path: &str) -> Result<()> {
        inside(path)?;
        tree::remove(self.mounts(), path, PATIENCE)
    }

    /// Paths of the runs that have a cgroup in any hierarchy, sorted. What cannot be listed is left out.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        tree::children(self.mounts(), ROOT)
    }

    /// Ids of the processes in a cgroup itself, not in those below; `None` when it is gone.
    ///
    /// # Errors
    /// [`LabError::Io`] when the kernel's file cannot be read.
    pub fn processes(&self, path: &str) -> Result<Option<Vec<u32>>> {
        let mount = match &self.0 {
            Layout::V1(hierarchies) => &hierarchies.pids,
            Layout::V2(unified) => &unified.mount,
        };
        let mut files = files::Files::new();
        files.enter(mount, path);
        Ok(files.list("cgroup.procs")?.map(|text| text.lines().filter_map(|line| line.parse().ok()).collect()))
    }

    /// What a container uses; `None` when its cgroup is gone or not yet complete.
    ///
    /// # Errors
    /// [`LabError::Io`] when a file of the kernel cannot be read.
    pub fn read_container(&self, path: &str) -> Result<Option<Usage>> {
        match &self.0 {
            Layout::V1(hierarchies) => hierarchies.read(path),
            Layout::V2(unified) => unified.read(path),
        }
    }

    /// What a node and all in it use; `None` when its cgroup is gone. Every number but
    /// [`Usage::oom_kills`] of version 1 covers the cgroups below.
    ///
    /// # Errors
    /// As [`read_container`](Self::read_container).
    pub fn read_node(&self, path: &str) -> Result<Option<Usage>> {
        // The same files: the kernel adds up what is below.
        self.read_container(path)
    }

    /// The working set of a node or container alone, bytes, with two reads; `None` when it is gone or cannot be read.
    #[must_use]
    pub fn working_set(&self, path: &str) -> Option<u64> {
        let (mount, memory, inactive) = match &self.0 {
            Layout::V1(hierarchies) => (&hierarchies.memory, "memory.usage_in_bytes", "total_inactive_file"),
            Layout::V2(unified) => (&unified.mount, "memory.current", "inactive_file"),
        };
        let mut files = files::Files::new();
        files.enter(mount, path);
        let used = files.number(memory).ok()??;
        let inactive = files::pairs(files.text("memory.stat").ok()??).find(|(name, _)| *name == inactive)?.1;
        Some(used.saturating_sub(inactive))
    }

    /// Where hierarchies are mounted: a container's groups are in all of them.
    fn mounts(&self) -> &[String] {
        match &self.0 {
            Layout::V1(hierarchies) => &hierarchies.mounts,
            Layout::V2(unified) => std::slice::from_ref(&unified.mount),
        }
    }
}

/// Checks that a path names a cgroup of the lab: processes are killed and folders removed by it.
fn inside(path: &str) -> Result<()> {
    let good = |name: &str| {
        !name.bytes().all(|b| b == b'.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    match path.strip_prefix(ROOT) {
        Some("") => Ok(()),
        Some(rest) if rest.strip_prefix('/').is_some_and(|rest| rest.split('/').all(good)) => Ok(()),
        _ => refuse(format!(
            "cgroup {path:?} is none of the lab's: it has to lie under {ROOT} and be named in letters, digits, \".\", \
             \"_\" and \"-\""
        )),
    }
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(LabError::Cgroup { reason })
}

#[cfg(test)]
mod tests;
