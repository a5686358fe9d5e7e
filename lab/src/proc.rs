//! What `/proc` tells of processes and of the host: open files, threads, networks, starts, stalls.
//!
//! Formats: `proc(5)`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cgroup::{Pressure, Stall, pressure_of};
use crate::error::{LabError, Result, io};

/// The kernel shows times in hundredths of a second to everybody, whatever its own clock.
const TICKS: f64 = 100.0;

/// "No such process": it ended while its file was open.
const ESRCH: i32 = 3;

/// A mounted `/proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proc {
    root: PathBuf,
}

/// What the processes of a container have together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tasks {
    /// How many there are.
    pub processes: u64,
    /// Their threads, the first of each among them.
    pub threads: u64,
    /// Their open file descriptors.
    pub files: u64,
}

/// Counts of a network interface since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name in its own network namespace.
    pub name: String,
    /// Bytes received.
    pub receive_bytes: u64,
    /// Packets that arrived damaged.
    pub receive_errors: u64,
    /// Packets for which there was no room.
    pub receive_dropped: u64,
    /// Bytes sent.
    pub transmit_bytes: u64,
}

/// Room on a mounted file system, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// All of it, but for what the file system itself takes.
    pub size: u64,
    /// Taken by files.
    pub used: u64,
    /// What a process without privileges can still take.
    pub available: u64,
}

/// Numbers of `/proc/PID/stat`.
struct Stat {
    user_ticks: u64,
    system_ticks: u64,
    threads: u64,
    /// Since the host booted.
    start_ticks: u64,
}

impl Proc {
    /// Of this host.
    #[must_use]
    pub fn of_host() -> Self {
        Self::at(Path::new("/proc"))
    }

    /// Mounted elsewhere.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Processes, threads and open files of these processes; those that have ended are left out.
    ///
    /// # Errors
    /// [`LabError::Io`] when a file of a living process cannot be read, [`LabError::Host`] when it has another form.
    pub fn tasks(&self, pids: &[u32]) -> Result<Tasks> {
        let mut tasks = Tasks::default();
        for &pid in pids {
            let (Some(stat), Some(files)) = (self.stat(&pid.to_string())?, self.open_files(pid)?) else { continue };
            tasks.processes += 1;
            tasks.threads += stat.threads;
            tasks.files += files;
        }
        Ok(tasks)
    }

    /// Open file descriptors of a process; `None` when it has ended.
    ///
    /// # Errors
    /// [`LabError::Io`] when they cannot be listed; those of others are root's to see.
    pub fn open_files(&self, pid: u32) -> Result<Option<u64>> {
        let folder = self.root.join(pid.to_string()).join("fd");
        let counted = std::fs::read_dir(&folder).and_then(|entries| {
            let mut count = 0;
            for entry in entries {
                entry?;
                count += 1;
            }
            Ok(count)
        });
        living(counted, &folder, "count the open files of a process")
    }

    /// Network interfaces that a process sees, but for the loopback; `None` when it has ended.
    ///
    /// # Errors
    /// [`LabError::Io`] when they cannot be read.
    pub fn network(&self, pid: u32) -> Result<Option<Vec<Interface>>> {
        let file = self.root.join(pid.to_string()).join("net/dev");
        let text = living(std::fs::read_to_string(&file), &file, "read the network counters of a process")?;
        Ok(text.map(|text| text.lines().filter_map(interface).filter(|interface| interface.name != "lo").collect()))
    }

    /// When a process started, seconds since the epoch; `None` when it has ended. `boot_time` is that of
    /// [`boot_time`](Self::boot_time).
    ///
    /// # Errors
    /// As [`tasks`](Self::tasks).
    pub fn start_time(&self, pid: u32, boot_time: f64) -> Result<Option<f64>> {
        Ok(self.stat(&pid.to_string())?.map(|stat| boot_time + seconds(stat.start_ticks)))
    }

    /// CPU time that this process itself has used, seconds.
    ///
    /// # Errors
    /// As [`tasks`](Self::tasks).
    pub fn own_cpu_seconds(&self) -> Result<f64> {
        match self.stat("self")? {
            Some(stat) => Ok(seconds(stat.user_ticks) + seconds(stat.system_ticks)),
            None => Err(LabError::Host { reason: format!("{}: is no /proc: it has no self", self.root.display()) }),
        }
    }

    /// When the host booted, whole seconds since the epoch.
    ///
    /// # Errors
    /// [`LabError::Io`] when `/proc/stat` cannot be read, [`LabError::Host`] when it does not say.
    pub fn boot_time(&self) -> Result<f64> {
        let file = self.root.join("stat");
        let text = std::fs::read_to_string(&file).map_err(io(&file, "read"))?;
        text.lines().find_map(|line| line.strip_prefix("btime ")?.trim_ascii().parse().ok()).ok_or_else(|| {
            LabError::Host { reason: format!("{}: has no row btime, the time of the boot", file.display()) }
        })
    }

    /// Stalls of the whole host; what the kernel does not tell is `None` (it may be booted with `psi=1`).
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let read = |name: &str| -> Option<Stall> {
            pressure_of(&std::fs::read_to_string(self.root.join("pressure").join(name)).ok()?)
        };
        Pressure { cpu: read("cpu"), memory: read("memory"), io: read("io") }
    }

    fn stat(&self, pid: &str) -> Result<Option<Stat>> {
        let file = self.root.join(pid).join("stat");
        let Some(text) = living(std::fs::read_to_string(&file), &file, "read the state of a process")? else {
            return Ok(None);
        };
        match stat(&text) {
            Some(stat) => Ok(Some(stat)),
            None => Err(LabError::Host {
                reason: format!("{}: {:?} is not what proc(5) describes", file.display(), text.trim_ascii()),
            }),
        }
    }
}

/// Room on the file system that holds a path. Asks the file system itself, which knows of files that were removed but
/// are still open.
///
/// # Errors
/// [`LabError::Io`] when the path is not there.
pub fn file_system(path: &Path) -> Result<FileSystem> {
    let stat = rustix::fs::statvfs(path).map_err(|error| io(path, "ask for its free space")(error.into()))?;
    Ok(FileSystem {
        size: stat.f_blocks * stat.f_frsize,
        used: stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize,
        available: stat.f_bavail * stat.f_frsize,
    })
}

/// `None` for a process that has ended.
fn living<T>(result: std::io::Result<T>, path: &Path, doing: &'static str) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => Ok(None),
        Err(error) => Err(io(path, doing)(error)),
    }
}

/// Reads `/proc/PID/stat`. The second word is the program's name in brackets, which may hold spaces and brackets.
fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    // Numbered as in proc(5); the third comes first.
    let words: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let word = |number: usize| words.get(number - 3)?.parse().ok();
    Some(Stat { user_ticks: word(14)?, system_ticks: word(15)?, threads: word(20)?, start_ticks: word(22)? })
}

/// A row of `/proc/PID/net/dev`; `None` for the two of the heading.
fn interface(line: &str) -> Option<Interface> {
    let (name, counts) = line.split_once(':')?;
    let counts: Vec<u64> = counts.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    // Received: bytes, packets, errors, dropped and four more; sent: bytes first.
    Some(Interface {
        name: name.trim_ascii().to_owned(),
        receive_bytes: *counts.first()?,
        receive_errors: *counts.get(2)?,
        receive_dropped: *counts.get(3)?,
        transmit_bytes: *counts.get(8)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "exact for millions of years")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS
}

#[cfg(test)]
mod tests;
