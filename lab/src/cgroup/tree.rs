//! Whole branches of cgroups: what is in them, and their end.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{ROOT, refuse};
use crate::error::{Result, io};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Removes a branch from every hierarchy.
pub(super) fn remove(mounts: &[String], path: &str, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        kill(mounts, path)?;
        let mut left = Ok(());
        for mount in mounts {
            let removed = remove_branch(Path::new(&format!("{mount}{path}")));
            left = left.and(removed);
        }
        if left.is_ok() || Instant::now() >= deadline {
            // Not while another run has cgroups in it: the kernel removes empty ones alone.
            if path.rsplit_once('/').is_some_and(|(above, _)| above == ROOT) {
                for mount in mounts {
                    let _ = std::fs::remove_dir(format!("{mount}{ROOT}"));
                }
            }
            return left;
        }
        std::thread::sleep(PAUSE);
    }
}

/// From the bottom up; the first problem is told, the rest is removed all the same.
fn remove_branch(folder: &Path) -> Result<()> {
    let Some(children) = folders(folder)? else { return Ok(()) };
    let mut result = Ok(());
    for child in children {
        let removed = remove_branch(&folder.join(child));
        result = result.and(removed);
    }
    result.and(match std::fs::remove_dir(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io(folder, "remove the cgroup")(error)),
        _ => Ok(()),
    })
}

/// Names of the folders in a folder; `None` when it is not there.
fn folders(folder: &Path) -> Result<Option<Vec<String>>> {
    let listed = std::fs::read_dir(folder).and_then(|entries| {
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    });
    match listed {
        Ok(names) => Ok(Some(names)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(folder, "list the cgroups in it")(error)),
    }
}

/// Kills every process of a branch.
fn kill(mounts: &[String], path: &str) -> Result<()> {
    let mut pids = BTreeSet::new();
    for mount in mounts {
        collect(Path::new(&format!("{mount}{path}")), &mut pids)?;
    }
    // Processes of another pid namespace are shown as 0.
    pids.remove("0");
    if pids.is_empty() {
        return Ok(());
    }
    if pids.contains(std::process::id().to_string().as_str()) {
        return refuse(format!(
            "{path}: the lab itself runs in this cgroup, which it was to remove; start it elsewhere"
        ));
    }
    for mount in mounts {
        let folder = format!("{mount}{path}");
        // Of version 2: takes those that are being born as well.
        let _ = write_there(&format!("{folder}/cgroup.kill"), "1");
        // Of version 1: the frozen do not die.
        thaw(Path::new(&folder));
    }
    // Some may be gone by now, which is not worth a word; whoever stays is found by the next try.
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    Ok(())
}

/// Ids of the processes of a branch of one hierarchy.
fn collect(folder: &Path, pids: &mut BTreeSet<String>) -> Result<()> {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().map(str::to_owned));
    for child in folders(folder)?.into_iter().flatten() {
        collect(&folder.join(child), pids)?;
    }
    Ok(())
}

fn thaw(folder: &Path) {
    let _ = write_there(&folder.join("freezer.state").to_string_lossy(), "THAWED");
    for child in folders(folder).into_iter().flatten().flatten() {
        thaw(&folder.join(child));
    }
}

/// Writes a file that is there.
fn write_there(file: &str, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// Paths of the cgroups directly below `path` in any hierarchy, sorted.
pub(super) fn children(mounts: &[String], path: &str) -> Vec<String> {
    let names = mounts.iter().filter_map(|mount| folders(Path::new(&format!("{mount}{path}"))).ok().flatten());
    let names: BTreeSet<String> = names.flatten().collect();
    names.into_iter().map(|name| format!("{path}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use std::path::PathBuf;

    use super::*;

    fn trees(name: &str) -> (PathBuf, Vec<String>) {
        let folder = std::env::temp_dir().join(format!("lab-tree-{name}-{}", std::process::id()));
        let mounts: Vec<String> =
            ["memory", "cpu"].iter().map(|name| folder.join(name).to_str().unwrap().to_owned()).collect();
        for mount in &mounts {
            std::fs::create_dir_all(format!("{mount}{ROOT}")).unwrap();
        }
        (folder, mounts)
    }

    #[test]
    fn a_branch_is_removed_from_every_hierarchy_and_the_rest_stays() {
        let (folder, mounts) = trees("branch");
        std::fs::create_dir_all(format!("{}{ROOT}/one/node/pod1/a", mounts[0])).unwrap();
        std::fs::create_dir_all(format!("{}{ROOT}/one/node/pod1/b", mounts[1])).unwrap();
        std::fs::create_dir_all(format!("{}{ROOT}/two", mounts[1])).unwrap();
        assert_eq!(children(&mounts, ROOT), [format!("{ROOT}/one"), format!("{ROOT}/two")]);
        remove(&mounts, &format!("{ROOT}/one/node/pod1"), Duration::ZERO).unwrap();
        assert!(Path::new(&format!("{}{ROOT}/one/node", mounts[0])).exists());
        assert!(!Path::new(&format!("{}{ROOT}/one/node/pod1", mounts[1])).exists());
        remove(&mounts, &format!("{ROOT}/one"), Duration::ZERO).unwrap();
        assert_eq!(children(&mounts, ROOT), [format!("{ROOT}/two")]);
        assert!(!Path::new(&format!("{}{ROOT}", mounts[0])).exists(), "nothing is left in it");
        remove(&mounts, &format!("{ROOT}/one"), Duration::ZERO).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_removed_is_told_and_the_rest_is_removed() {
        let (folder, mounts) = trees("stuck");
        std::fs::create_dir_all(format!("{}{ROOT}/one/a", mounts[0])).unwrap();
        std::fs::create_dir_all(format!("{}{ROOT}/one", mounts[1])).unwrap();
        // A file in it: no cgroup has one that can be removed, a folder with one cannot.
        std::fs::write(format!("{}{ROOT}/one/a/file", mounts[0]), "").unwrap();
        let error = remove(&mounts, &format!("{ROOT}/one"), Duration::from_millis(30)).unwrap_err().to_string();
        assert!(error.contains("/one/a"), "{error}");
        assert!(!Path::new(&format!("{}{ROOT}/one", mounts[1])).exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_cgroup_that_holds_this_process_is_not_removed() {
        let (folder, mounts) = trees("own");
        let inside = format!("{}{ROOT}/one/a", mounts[1]);
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(format!("{inside}/cgroup.procs"), format!("0\n{}\n", std::process::id())).unwrap();
        let error = remove(&mounts, &format!("{ROOT}/one"), Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("the lab itself runs in this cgroup"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn processes_below_are_killed() {
        let (folder, mounts) = trees("kill");
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let inside = format!("{}{ROOT}/one/a/b", mounts[1]);
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(format!("{inside}/cgroup.procs"), format!("{}\n", sleeper.id())).unwrap();
        kill(&mounts, &format!("{ROOT}/one")).unwrap();
        assert!(!sleeper.wait().unwrap().success(), "it was killed before its minute was over");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
