//! What is told of a cgroup, whatever its version.

/// Time that tasks waited for a resource since the group was made, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// At least one task waited.
    pub some: f64,
    /// All tasks waited; older kernels do not say it of the CPU.
    pub full: Option<f64>,
}

/// Pressure stall information; `None` where the kernel keeps none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// Waiting for the CPU.
    pub cpu: Option<Stall>,
    /// Waiting for memory to be freed or read back.
    pub memory: Option<Stall>,
    /// Waiting for disks.
    pub io: Option<Stall>,
}

/// What the kernel counts for one cgroup and all below it. `None`: this kernel or version has no such number, or there
/// is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// All memory charged, bytes.
    pub memory: Option<u64>,
    /// Anonymous memory, bytes.
    pub rss: Option<u64>,
    /// Page cache, bytes; that of shared memory is among it.
    pub cache: Option<u64>,
    /// Page cache that was not used lately, bytes.
    pub inactive_file: Option<u64>,
    /// `memory` without `inactive_file`, never below 0, bytes: what the kubelet decides evictions by.
    pub working_set: Option<u64>,
    /// Highest `memory` so far, bytes (version 2: kernel 5.19 and later).
    pub memory_peak: Option<u64>,
    /// Memory limit, bytes.
    pub memory_limit: Option<u64>,
    /// How often the memory limit was hit.
    pub limit_hits: Option<u64>,
    /// Processes killed for memory. Version 1 counts those of this cgroup alone, not of those below it.
    pub oom_kills: Option<u64>,
    /// Page faults that had to read from a disk.
    pub major_faults: Option<u64>,
    /// CPU time, seconds.
    pub cpu_seconds: Option<f64>,
    /// CPU time in user mode, seconds.
    pub cpu_user_seconds: Option<f64>,
    /// CPU time in the kernel, seconds.
    pub cpu_system_seconds: Option<f64>,
    /// Quota periods in which something ran.
    pub cpu_periods: Option<u64>,
    /// Quota periods in which the quota was used up.
    pub cpu_throttled_periods: Option<u64>,
    /// Time that runnable tasks were held back by the quota, seconds.
    pub cpu_throttled_seconds: Option<f64>,
    /// CPU quota per period, microseconds.
    pub cpu_quota_us: Option<u64>,
    /// Quota period, microseconds.
    pub cpu_period_us: Option<u64>,
    /// Tasks (threads count).
    pub pids: Option<u64>,
    /// Most tasks allowed.
    pub pids_limit: Option<u64>,
    /// Stalls: version 2, and version 1 after [`with_pressure_of_v2`](super::Cgroups::with_pressure_of_v2).
    pub pressure: Pressure,
    /// Bytes read from disks. Newer kernels count them on version 1 only where a throttle was ever set.
    pub read_bytes: Option<u64>,
    /// Bytes written to disks, likewise.
    pub written_bytes: Option<u64>,
}

impl Usage {
    /// The working set follows from two other numbers.
    pub(super) fn finish(mut self) -> Self {
        self.working_set = match (self.memory, self.inactive_file) {
            (Some(memory), Some(inactive)) => Some(memory.saturating_sub(inactive)),
            _ => None,
        };
        self
    }
}
