//! What a lab has on the machine: mounts, control groups, processes, loop devices, folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::clean::RUNTIME;

/// Kinds of traces that a running lab has; each is the first word of a trace.
pub(crate) const KINDS: [&str; 5] = ["mount", "cgroup", "process", "loop", "folder"];

/// All there is of any lab, and of the volumes of the run in `out`: one line each.
pub(crate) fn traces(out: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut found = Vec::new();
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[1].starts_with(RUNTIME) {
            found.push(format!("mount {}", words[1]));
        }
        let cgroup = Path::new(words[1]).join("forewarn-lab");
        if words[2].starts_with("cgroup") && cgroup.exists() {
            found.push(format!("cgroup {}", cgroup.display()));
        }
    }
    for process in listed("/proc") {
        // Of another process, or of one that has just ended.
        let Ok(text) = fs::read_to_string(process.join("cmdline")) else { continue };
        let runtime = text.split('\0').next().is_some_and(|program| program.ends_with("runc"));
        if runtime && text.contains("forewarn-lab") {
            found.push(format!("process {}", text.replace('\0', " ")));
        }
    }
    let images = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    for device in listed("/sys/block") {
        let Ok(file) = fs::read_to_string(device.join("loop/backing_file")) else { continue };
        if Path::new(&file).starts_with(&images) {
            found.push(format!("loop {} of {file}", device.display()));
        }
    }
    for folder in [PathBuf::from(RUNTIME), out.join("volumes")] {
        if folder.exists() {
            found.push(format!("folder {}", folder.display()));
        }
    }
    found
}

/// That nothing is left. A loop device is let go a moment after it was unmounted, so this looks for a few seconds.
pub(crate) fn nothing_is_left(out: &Path) {
    let began = Instant::now();
    loop {
        let left = traces(out);
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "left on the machine: {left:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn listed(folder: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}
