//! Version 1: a hierarchy per controller, each with its own files.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>,
//! <https://docs.kernel.org/scheduler/sched-bwc.html>.

use std::path::Path;

use super::files::{Files, from_nanos, number, pairs};
use super::{CPU_PERIOD_US, ROOT, Usage};
use crate::error::{Result, io};

/// From here on a memory limit is none: the kernel writes the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;

/// `cpuacct.stat` counts hundredths of a second, whatever the kernel's own clock.
const TICKS: f64 = 100.0;

/// Where each controller is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchies {
    pub(super) memory: String,
    pub(super) cpu: String,
    pub(super) cpuacct: String,
    pub(super) pids: String,
    pub(super) blkio: String,
    pub(super) freezer: Option<String>,
    /// Version 2, mounted beside them.
    pub(super) unified: Option<String>,
    /// Where pressure is read, should it be.
    pub(super) pressure: Option<String>,
    /// All of them, also of controllers that the lab has no use for: the runtime makes groups in each.
    pub(super) mounts: Vec<String>,
}

impl Hierarchies {
    pub(super) fn make_node(&self, path: &str, memory: u64, quota_us: u64) -> Result<()> {
        self.count_what_is_below(path)?;
        let mut made: Vec<&str> = vec![&self.memory, &self.cpu, &self.cpuacct, &self.pids, &self.blkio];
        made.extend(self.freezer.as_deref());
        // For pressure alone.
        made.extend(self.unified.as_deref());
        for mount in made {
            let folder = format!("{mount}{path}");
            std::fs::create_dir_all(&folder).map_err(io(Path::new(&folder), "make the cgroup of a node"))?;
        }
        let write = |mount: &str, name: &str, value: u64| {
            let file = format!("{mount}{path}/{name}");
            std::fs::write(&file, value.to_string()).map_err(io(Path::new(&file), "set the limit of a node"))
        };
        // With swap counted the sum of both may never be below the memory alone, so that the order matters.
        let swap = "memory.memsw.limit_in_bytes";
        let counts_swap = Path::new(&format!("{}{path}/{swap}", self.memory)).exists();
        if counts_swap {
            write_unlimited(&format!("{}{path}/{swap}", self.memory))?;
        }
        write(&self.memory, "memory.limit_in_bytes", memory)?;
        if counts_swap {
            write(&self.memory, swap, memory)?;
        }
        write(&self.cpu, "cpu.cfs_period_us", CPU_PERIOD_US)?;
        write(&self.cpu, "cpu.cfs_quota_us", quota_us)
    }

    /// Before Linux 5.11 a cgroup counted what is below it only when told so, before anything was below it.
    fn count_what_is_below(&self, path: &str) -> Result<()> {
        let mut folder = format!("{}{ROOT}", self.memory);
        std::fs::create_dir_all(&folder).map_err(io(Path::new(&folder), "make the cgroup of the lab"))?;
        for name in path[ROOT.len()..].split('/') {
            if !name.is_empty() {
                folder.push('/');
                folder.push_str(name);
            }
            let file = format!("{folder}/memory.use_hierarchy");
            if std::fs::read_to_string(&file).is_ok_and(|text| text.trim_ascii() == "0") {
                std::fs::write(&file, "1").map_err(io(Path::new(&file), "have the cgroups below counted"))?;
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Usage>> {
        let mut files = Files::new();
        let mut usage = Usage::default();
        files.enter(&self.memory, path);
        let Some(text) = files.text("memory.usage_in_bytes")? else { return Ok(None) };
        usage.memory = number(text);
        let Some(text) = files.text("memory.stat")? else { return Ok(None) };
        memory_stat(text, &mut usage);
        usage.memory_limit = files.number("memory.limit_in_bytes")?.filter(|&limit| limit < NO_LIMIT);
        usage.memory_peak = files.number("memory.max_usage_in_bytes")?;
        usage.limit_hits = files.number("memory.failcnt")?;
        usage.oom_kills = files
            .text("memory.oom_control")?
            .and_then(|text| pairs(text).find(|(name, _)| *name == "oom_kill").map(|(_, count)| count));
        files.enter(&self.cpu, path);
        let Some(text) = files.text("cpu.stat")? else { return Ok(None) };
        for (name, count) in pairs(text) {
            match name {
                "nr_periods" => usage.cpu_periods = Some(count),
                "nr_throttled" => usage.cpu_throttled_periods = Some(count),
                "throttled_time" => usage.cpu_throttled_seconds = Some(from_nanos(count)),
                _ => {}
            }
        }
        usage.cpu_quota_us = files.number("cpu.cfs_quota_us")?;
        usage.cpu_period_us = files.number("cpu.cfs_period_us")?;
        files.enter(&self.cpuacct, path);
        let Some(text) = files.text("cpuacct.usage")? else { return Ok(None) };
        usage.cpu_seconds = number(text).map(from_nanos);
        for (name, count) in files.text("cpuacct.stat")?.into_iter().flat_map(pairs) {
            #[expect(clippy::cast_precision_loss, reason = "exact for millions of years")]
            let seconds = Some(count as f64 / TICKS);
            match name {
                "user" => usage.cpu_user_seconds = seconds,
                "system" => usage.cpu_system_seconds = seconds,
                _ => {}
            }
        }
        files.enter(&self.pids, path);
        let Some(text) = files.text("pids.current")? else { return Ok(None) };
        usage.pids = number(text);
        usage.pids_limit = files.number("pids.max")?;
        files.enter(&self.blkio, path);
        // The file without "recursive" counts this cgroup alone.
        if let Some(text) = files.text("blkio.throttle.io_service_bytes_recursive")? {
            io_bytes(text, &mut usage);
        }
        if let Some(mount) = &self.pressure {
            files.enter(mount, path);
            usage.pressure.cpu = files.pressure("cpu.pressure")?;
            usage.pressure.memory = files.pressure("memory.pressure")?;
            usage.pressure.io = files.pressure("io.pressure")?;
        }
        Ok(Some(usage.finish()))
    }
}

/// -1 stands for no limit.
fn write_unlimited(file: &str) -> Result<()> {
    std::fs::write(file, "-1").map_err(io(Path::new(file), "lift the limit of a node"))
}

/// Rows named `total_…` count what is below as well; a kernel that does not add up has rows of the cgroup alone.
fn memory_stat(text: &str, usage: &mut Usage) {
    let mut own = [None; 4];
    let mut all = [None; 4];
    for (name, value) in pairs(text) {
        let (name, into) = name.strip_prefix("total_").map_or((name, &mut own), |name| (name, &mut all));
        let place = match name {
            "rss" => 0,
            "cache" => 1,
            "inactive_file" => 2,
            "pgmajfault" => 3,
            _ => continue,
        };
        into[place] = Some(value);
    }
    [usage.rss, usage.cache, usage.inactive_file, usage.major_faults] = std::array::from_fn(|n| all[n].or(own[n]));
}

/// `8:0 Read 4096` for every device and operation, then the total.
fn io_bytes(text: &str, usage: &mut Usage) {
    let sum = |operation: &str| {
        text.lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace().skip(1);
                (words.next()? == operation).then(|| words.next().and_then(number))?
            })
            .sum::<u64>()
    };
    usage.read_bytes = Some(sum("Read"));
    usage.written_bytes = Some(sum("Write"));
}
