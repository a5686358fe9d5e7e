//! Version 2: one hierarchy, in which a cgroup hands its controllers down.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>.

use std::path::Path;

use super::files::{Files, from_micros, number, pairs};
use super::{CPU_PERIOD_US, Usage, refuse};
use crate::error::{LabError, Result, io};

/// Controllers of limits and counts.
const NEEDED: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// Where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unified {
    pub(super) mount: String,
}

impl Unified {
    /// Whether all controllers that are needed are there.
    pub(super) fn check(&self) -> Result<()> {
        let file = format!("{}/cgroup.controllers", self.mount);
        let there = std::fs::read_to_string(&file).map_err(io(Path::new(&file), "read"))?;
        let Some(missing) = NEEDED.into_iter().find(|name| !there.split_ascii_whitespace().any(|one| one == *name))
        else {
            return Ok(());
        };
        refuse(format!(
            "controller {missing:?} is missing in {file}, which has {:?}. Boot with the kernel parameter \
             cgroup_enable={missing}, without cgroup_disable={missing}; in a container or a systemd unit have it \
             delegated (Delegate=yes), or run on the host itself",
            there.trim_ascii()
        ))
    }

    pub(super) fn make_node(&self, path: &str, memory: u64, quota_us: u64) -> Result<()> {
        // Every cgroup on the way hands the controllers down, and the node itself to its pods. None but the first holds
        // processes, and the first may hold some.
        let mut folder = self.mount.clone();
        hand_down(&folder)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            folder.push('/');
            folder.push_str(name);
            std::fs::create_dir_all(&folder).map_err(io(Path::new(&folder), "make the cgroup of a node"))?;
            hand_down(&folder)?;
        }
        let write = |name: &str, value: &str| {
            let file = format!("{folder}/{name}");
            std::fs::write(&file, value).map_err(io(Path::new(&file), "set the limit of a node"))
        };
        write("memory.max", &memory.to_string())?;
        // Kernels without swap have no such file.
        if Path::new(&format!("{folder}/memory.swap.max")).exists() {
            write("memory.swap.max", "0")?;
        }
        write("cpu.max", &format!("{quota_us} {CPU_PERIOD_US}"))
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Usage>> {
        let mut files = Files::new();
        let mut usage = Usage::default();
        files.enter(&self.mount, path);
        let Some(text) = files.text("memory.current")? else { return Ok(None) };
        usage.memory = number(text);
        let Some(text) = files.text("memory.stat")? else { return Ok(None) };
        for (name, value) in pairs(text) {
            match name {
                "anon" => usage.rss = Some(value),
                "file" => usage.cache = Some(value),
                "inactive_file" => usage.inactive_file = Some(value),
                "pgmajfault" => usage.major_faults = Some(value),
                _ => {}
            }
        }
        usage.memory_limit = files.number("memory.max")?;
        usage.memory_peak = files.number("memory.peak")?;
        for (name, count) in files.text("memory.events")?.into_iter().flat_map(pairs) {
            match name {
                "max" => usage.limit_hits = Some(count),
                "oom_kill" => usage.oom_kills = Some(count),
                _ => {}
            }
        }
        let Some(text) = files.text("cpu.stat")? else { return Ok(None) };
        for (name, count) in pairs(text) {
            match name {
                "usage_usec" => usage.cpu_seconds = Some(from_micros(count)),
                "user_usec" => usage.cpu_user_seconds = Some(from_micros(count)),
                "system_usec" => usage.cpu_system_seconds = Some(from_micros(count)),
                "nr_periods" => usage.cpu_periods = Some(count),
                "nr_throttled" => usage.cpu_throttled_periods = Some(count),
                "throttled_usec" => usage.cpu_throttled_seconds = Some(from_micros(count)),
                _ => {}
            }
        }
        if let Some((quota, period)) = files.text("cpu.max")?.and_then(|text| text.trim_ascii().split_once(' ')) {
            usage.cpu_quota_us = number(quota);
            usage.cpu_period_us = number(period);
        }
        let Some(text) = files.text("pids.current")? else { return Ok(None) };
        usage.pids = number(text);
        usage.pids_limit = files.number("pids.max")?;
        if let Some(text) = files.text("io.stat")? {
            io_bytes(text, &mut usage);
        }
        usage.pressure.cpu = files.pressure("cpu.pressure")?;
        usage.pressure.memory = files.pressure("memory.pressure")?;
        usage.pressure.io = files.pressure("io.pressure")?;
        Ok(Some(usage.finish()))
    }
}

/// Has a cgroup give all needed controllers to those below it.
fn hand_down(folder: &str) -> Result<()> {
    let file = format!("{folder}/cgroup.subtree_control");
    let given = std::fs::read_to_string(&file).unwrap_or_default();
    let more: Vec<String> = NEEDED
        .into_iter()
        .filter(|name| !given.split_ascii_whitespace().any(|one| one == *name))
        .map(|name| format!("+{name}"))
        .collect();
    if more.is_empty() {
        return Ok(());
    }
    let more = more.join(" ");
    std::fs::write(&file, &more).map_err(|source| LabError::Cgroup {
        reason: format!(
            "{file} does not take {more:?}: {source}. Either processes live in that cgroup, and the lab has to run on the \
             host itself, or systemd has not delegated them: run the lab with systemd-run --scope -p Delegate=yes"
        ),
    })
}

/// `8:0 rbytes=4096 wbytes=0 …` for every device.
fn io_bytes(text: &str, usage: &mut Usage) {
    let sum = |name: &str| {
        text.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name).and_then(number)).sum::<u64>()
    };
    usage.read_bytes = Some(sum("rbytes="));
    usage.written_bytes = Some(sum("wbytes="));
}
