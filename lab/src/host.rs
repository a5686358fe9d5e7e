//! What the machine must offer, and its own programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cgroup::Cgroups;
use crate::error::{LabError, Result, io};
use crate::proc::file_system;

/// Programs of the system that the lab runs, and the packages they come in.
const PROGRAMS: [(&str, &str); 3] = [("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("umount", "mount")];
/// Bytes that must be free where volumes and the lake are kept, for each container at a time.
const ROOM_EACH: u64 = 64 << 20;

/// A machine that can run the lab.
#[derive(Debug)]
pub struct Host {
    /// Its control groups.
    pub cgroups: Cgroups,
    /// Where the runtime is.
    pub runc: PathBuf,
}

impl Host {
    /// Looks whether this machine can run `concurrency` containers with their files in `out`.
    ///
    /// # Errors
    /// Names what is missing and what to do: not root, no runtime, a program or a cgroup controller missing, no room.
    pub fn check(out: &Path, concurrency: usize) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(LabError::Host {
                reason: "the lab makes containers, cgroups and mounts and needs root; run it with sudo".to_owned(),
            });
        }
        let runc = find("runc").ok_or_else(|| LabError::Host {
            reason: "runc is not in PATH; install it (Debian, Ubuntu: apt install runc)".to_owned(),
        })?;
        for (program, package) in PROGRAMS {
            if find(program).is_none() {
                return Err(LabError::Host {
                    reason: format!("{program} is not in PATH; install it (Debian, Ubuntu: apt install {package})"),
                });
            }
        }
        if !Path::new("/dev/loop-control").exists() {
            return Err(LabError::Host {
                reason: "/dev/loop-control is not there, and volumes are images mounted through loop devices; load the module: modprobe loop"
                    .to_owned(),
            });
        }
        // Hosts of version 1 count pressure in the hierarchy of version 2 that most mount beside it.
        let cgroups = Cgroups::of_host()?.with_pressure_of_v2();
        let there = out.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let free = file_system(there)?.available;
        let needed = ROOM_EACH * concurrency as u64;
        if free < needed {
            return Err(LabError::Host {
                reason: format!(
                    "{}: {} MiB are free, {} MiB are needed for the volumes of {concurrency} containers; free some or lower --concurrency",
                    there.display(),
                    free >> 20,
                    needed >> 20
                ),
            });
        }
        Ok(Self { cgroups, runc })
    }
}

/// Whether there is swap that cgroups of version 1 count beside memory.
pub(crate) fn counts_swap() -> bool {
    let there = std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1);
    there && Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()
}

/// Where a program is, as a shell would find it; the folders of system programs are looked at as well.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or fails; what it said on standard error is kept.
pub(crate) fn output(mut command: Command, what: &str) -> Result<String> {
    let output = command.output().map_err(io(Path::new(what), "start it"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(LabError::Program {
        program: what.to_owned(),
        status: output.status.to_string(),
        said: said.trim().chars().take(400).collect(),
    })
}
