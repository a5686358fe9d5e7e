//! Containers: the OCI bundle of one, and the runtime that runs it.
//!
//! The runtime stays in the foreground, one process beside each container, and ends with the container's exit status;
//! it keeps the container's cgroup until the container is deleted, so that the kernel's counters can be read after a death.
//! Bundle format: <https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config.md>.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::cgroup::CPU_PERIOD_US;
use crate::error::{LabError, Result, io};

/// User and group inside a container: nobody in particular.
const USER: u32 = 65_532;

/// What one container is made of.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    /// Name under which the runtime knows it.
    pub id: &'a str,
    /// Name of the host inside.
    pub host: &'a str,
    /// Folder with the workload, shared and read-only.
    pub root: &'a Path,
    /// Writable volume, on the host.
    pub data: &'a Path,
    /// Folder of script, probe socket and report, on the host.
    pub share: &'a Path,
    /// Path of its cgroup, below every hierarchy's root.
    pub cgroup: &'a str,
    /// Bytes; none without limit.
    pub memory_limit: Option<u64>,
    /// Whether there is swap, and the kernel can limit memory and swap together. Without swap that would change nothing but
    /// where hits of the limit are counted.
    pub swap_limited: bool,
    /// Cores; none without limit.
    pub cpu_limit: Option<f64>,
    /// Cores asked for; becomes the weight among neighbours.
    pub cpu_request: f64,
    /// Most tasks.
    pub pids: u32,
    /// Most open files.
    pub open_files: u64,
    /// Device numbers of the volume's disk.
    pub device: Option<(u64, u64)>,
    /// Bytes per second that may be read from it.
    pub read_bps: u64,
    /// Bytes per second that may be written to it.
    pub write_bps: u64,
}

impl Container<'_> {
    /// `config.json` of its bundle.
    #[must_use]
    pub fn config(&self) -> Value {
        let memory = self.memory_limit.map_or_else(
            || json!({}),
            // Version 1 counts swap beside memory: without a limit on both a leak would go on into swap.
            |limit| {
                if self.swap_limited { json!({ "limit": limit, "swap": limit }) } else { json!({ "limit": limit }) }
            },
        );
        // As the kubelet does: 1024 shares for a core asked for, 2 at least.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cores are few and not negative")]
        let shares = ((self.cpu_request * 1024.0) as u64).max(2);
        let mut cpu = json!({ "shares": shares });
        if let Some(cores) = self.cpu_limit {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "microseconds of a period"
            )]
            let quota = ((cores * CPU_PERIOD_US as f64) as i64).max(1_000);
            cpu["quota"] = quota.into();
            cpu["period"] = CPU_PERIOD_US.into();
        }
        let block = self.device.map_or_else(
            || json!({}),
            |(major, minor)| {
                let limit = |rate: u64| json!([{ "major": major, "minor": minor, "rate": rate }]);
                json!({
                    "throttleReadBpsDevice": limit(self.read_bps),
                    "throttleWriteBpsDevice": limit(self.write_bps),
                })
            },
        );
        let bind = |from: &Path, to: &str| json!({ "destination": to, "type": "bind", "source": from, "options": ["bind", "rw", "nosuid", "nodev"] });
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": { "uid": USER, "gid": USER },
                "args": ["/workload"],
                // Blocks given back by the program go back to the kernel.
                "env": ["MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_ARENA_MAX=1"],
                "cwd": "/",
                "capabilities": { "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [] },
                "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": self.open_files, "soft": self.open_files }],
                "noNewPrivileges": true
            },
            "root": { "path": self.root, "readonly": true },
            "hostname": self.host,
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                  "options": ["nosuid", "strictatime", "mode=755", "size=64k"] },
                bind(self.data, "/data"),
                bind(self.share, "/run/forewarn"),
            ],
            "linux": {
                "cgroupsPath": self.cgroup,
                "resources": { "memory": memory, "cpu": cpu, "pids": { "limit": self.pids }, "blockIO": block },
                "namespaces": [
                    { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }
                ]
            }
        })
    }
}

/// The OCI runtime.
#[derive(Debug, Clone)]
pub struct Runc {
    program: PathBuf,
    state: PathBuf,
}

impl Runc {
    /// A runtime that keeps its state in `state`.
    #[must_use]
    pub fn new(program: PathBuf, state: PathBuf) -> Self {
        Self { program, state }
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn version(&self) -> Result<String> {
        let said = self.ask(&["--version"])?;
        Ok(said.lines().next().unwrap_or_default().to_owned())
    }

    /// Starts the container of a bundle; the process ends with the container, and with its exit code (128 and the
    /// signal where it was killed).
    ///
    /// # Errors
    /// When the runtime itself cannot be started; a container that cannot is told by the exit code.
    pub fn run(&self, bundle: &Path, id: &str, pid_file: &Path, log: &Path) -> Result<Child> {
        let said = File::create(log).map_err(io(log, "create the log of the runtime"))?;
        self.command()
            .args(["run", "--keep", "--bundle"])
            .arg(bundle)
            .arg("--pid-file")
            .arg(pid_file)
            .arg(id)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .map_err(io(&self.program, "start the runtime"))
    }

    /// Sends a signal to the first process of a container.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn kill(&self, id: &str, signal: &str) -> Result<()> {
        self.ask(&["kill", id, signal]).map(|_| ())
    }

    /// Removes a container and its cgroup, killing what is left in it. One that is not there is removed already.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub fn delete(&self, id: &str) -> Result<()> {
        self.ask(&["delete", "--force", id]).map(|_| ())
    }

    /// Names of the containers it knows of.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn list(&self) -> Result<Vec<String>> {
        let said = self.ask(&["list", "--quiet"])?;
        Ok(said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.state);
        command
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(arguments);
        crate::host::output(command, &format!("{} {}", self.program.display(), arguments.join(" ")))
    }
}

/// Writes the bundle of a container.
///
/// # Errors
/// When it cannot be written.
pub fn write_bundle(folder: &Path, container: &Container<'_>) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(io(folder, "create the bundle"))?;
    let path = folder.join("config.json");
    let text = serde_json::to_vec_pretty(&container.config())
        .map_err(|error| LabError::Run { path: path.clone(), reason: error.to_string() })?;
    std::fs::write(&path, text).map_err(io(&path, "write the bundle's config"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_resources() {
        let path = Path::new("/x");
        let mut container = Container {
            id: "a",
            host: "a",
            root: path,
            data: path,
            share: path,
            cgroup: "/forewarn-lab/r/n/podu/a",
            memory_limit: Some(64 << 20),
            swap_limited: false,
            cpu_limit: Some(0.05),
            cpu_request: 0.0,
            pids: 64,
            open_files: 256,
            device: Some((7, 3)),
            read_bps: 1 << 20,
            write_bps: 2 << 20,
        };
        let resources = &container.config()["linux"]["resources"];
        assert_eq!(resources["memory"]["limit"], 64 << 20);
        assert_eq!(resources["cpu"]["quota"], 5_000);
        assert_eq!(resources["cpu"]["shares"], 2);
        assert_eq!(resources["blockIO"]["throttleReadBpsDevice"][0]["minor"], 3);
        assert_eq!(resources["blockIO"]["throttleWriteBpsDevice"][0]["rate"], 2 << 20);
        (container.memory_limit, container.cpu_limit) = (None, None);
        let resources = &container.config()["linux"]["resources"];
        assert_eq!(resources["memory"], json!({}));
        assert_eq!(resources["cpu"].get("quota"), None);
    }
}
