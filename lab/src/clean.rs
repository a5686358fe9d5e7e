//! Taking away what a run left: containers, cgroups, mounts, folders.
//!
//! Everything the lab makes lies under one folder, one cgroup and one prefix of names, so that the next start finds what
//! a killed one left, whichever run it was of.

use std::path::{Path, PathBuf};

use crate::cgroup::Cgroups;
use crate::error::{Result, io};
use crate::runc::Runc;
use crate::volume;

/// Where everything lies that is no result: short, because the path of a probe's socket may not be long.
pub const RUNTIME: &str = "/run/forewarn-lab";

/// What was found and taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Containers.
    pub containers: usize,
    /// Mounts.
    pub mounts: usize,
    /// Cgroups of runs.
    pub cgroups: usize,
    /// Folders.
    pub folders: usize,
}

impl Cleaned {
    /// Whether nothing was there.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Cleaned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { containers, mounts, cgroups, folders } = self;
        write!(f, "{containers} containers, {mounts} mounts, {cgroups} cgroups, {folders} folders")
    }
}

/// The state folder of the runtime.
#[must_use]
pub fn runtime_state() -> PathBuf {
    Path::new(RUNTIME).join("runc")
}

/// Takes away everything any run of the lab left on this machine.
///
/// # Errors
/// When something cannot be taken away; what comes after it is tried all the same.
pub fn clean(runc: &Runc, cgroups: &Cgroups) -> Result<Cleaned> {
    let mut cleaned = Cleaned::default();
    let mut problem = Ok(());
    let mut keep = |result: Result<()>| {
        let done = result.is_ok();
        if problem.is_ok() {
            problem = result;
        }
        usize::from(done)
    };
    // A runtime that was about to start a container would start it after the list was read.
    for pid in runtimes(Path::new("/proc")) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    if runtime_state().exists() {
        match runc.list() {
            Ok(ids) => ids.iter().for_each(|id| cleaned.containers += keep(runc.delete(id))),
            Err(error) => {
                keep(Err(error));
            }
        }
    }
    for path in cgroups.leftovers() {
        cleaned.cgroups += keep(cgroups.remove(&path));
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let ours: Vec<PathBuf> =
        volume::points(&mounts).map(|(_, point)| point).filter(|point| point.starts_with(RUNTIME)).collect();
    for point in ours.iter().rev() {
        cleaned.mounts += keep(volume::unmount(point));
    }
    let folder = Path::new(RUNTIME);
    // Never while something is mounted below: the volume's files are of no use to anybody, but who knows what else is.
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let clear = !volume::points(&mounts).any(|(_, point)| point.starts_with(RUNTIME));
    if clear && folder.exists() {
        cleaned.folders += keep(std::fs::remove_dir_all(folder).map_err(io(folder, "remove the folder")));
    }
    problem.map(|()| cleaned)
}

/// Processes of the runtime whose state lies in the lab's folder.
fn runtimes(proc: &Path) -> Vec<rustix::process::Pid> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    let state = runtime_state();
    let ours = |line: &[u8]| {
        let mut words = line.split(|&byte| byte == 0);
        words.any(|word| word == b"--root") && words.next() == Some(state.as_os_str().as_encoded_bytes())
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            ours(&line).then(|| rustix::process::Pid::from_raw(pid)).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_of_the_lab_are_known_by_their_state_folder() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, line) in [
            ("11", "runc\0--root\0/run/forewarn-lab/runc\0run\0x\0"),
            ("12", "runc\0--root\0/run/other\0run\0x\0"),
            ("13", "vi\0/run/forewarn-lab/runc\0"),
            ("self", "runc\0--root\0/run/forewarn-lab/runc\0"),
        ] {
            std::fs::create_dir(proc.path().join(pid)).unwrap();
            std::fs::write(proc.path().join(pid).join("cmdline"), line).unwrap();
        }
        let seen: Vec<i32> = runtimes(proc.path()).into_iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        assert_eq!(seen, [11]);
    }
}
