//! Commits: each a whole list of the lake's files, linked into place under the next free number.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::disk::{Disk, DiskFile};
use crate::error::{DatasetError, Result};

/// Commits kept for readers and for looking back.
const KEPT: u64 = 20;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Canonical samples.
    Samples,
    /// Tiles of closed days.
    Tiles,
    /// Failure events.
    Events,
    /// Series and the entities they belong to.
    Series,
    /// Names of metrics.
    Metrics,
}

/// A file of the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeFile {
    /// What it holds.
    pub table: Table,
    /// Path inside the lake, with `/`.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Kind of its entities; empty for tables without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its day; empty for tables without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// Smallest and largest entity id.
    #[serde(default)]
    pub entities: (i32, i32),
    /// First and last time in milliseconds.
    #[serde(default)]
    pub times: (i64, i64),
    /// Raw samples of this day have been pruned to what events need.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pruned: bool,
    /// A compaction of its closed day has seen it: its rows are in the day's tiles, and it need not be merged again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

/// A file that an earlier commit named; readers may still hold that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Path inside the lake.
    pub path: String,
    /// When it was taken out, milliseconds.
    pub at: i64,
}

/// The lake at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Its number.
    pub number: u64,
    /// Log segments up to this one are in the files.
    pub log_consumed: u64,
    /// Its files, by path.
    pub files: Vec<LakeFile>,
    /// Files waiting for their deletion.
    #[serde(default)]
    pub removed: Vec<Removed>,
    /// How far each import has come, by its name.
    #[serde(default)]
    pub imports: BTreeMap<String, String>,
    /// Identical samples that were dropped so far.
    #[serde(default)]
    pub duplicates: u64,
    /// Samples dropped because an earlier one of the same series and time says otherwise.
    #[serde(default)]
    pub conflicts: u64,
}

/// A commit that can be seen by others.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) snapshot: Snapshot,
    /// Whether it is known to survive a power cut; if not, nothing it replaces may be removed yet.
    pub(super) durable: Result<()>,
}

impl Snapshot {
    /// The newest commit, or an empty lake where there is none.
    pub(crate) fn latest(lake: &Path) -> Result<Self> {
        // A commit may be pruned between the listing and the reading; then there is a newer one.
        for _ in 0..5 {
            let Some(number) = numbers(lake)?.last().copied() else { return Ok(Self::default()) };
            let path = path_of(lake, number);
            match fs::read(&path) {
                Ok(bytes) => {
                    return serde_json::from_slice(&bytes)
                        .map_err(|error| DatasetError::config(path.display().to_string(), error.to_string()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(DatasetError::io(&path, "read the commit")(error)),
            }
        }
        Err(DatasetError::config(
            lake.display().to_string(),
            "its commits change faster than they can be read".to_owned(),
        ))
    }

    /// Applies `change` to the newest snapshot and links the result into place; where another process was faster,
    /// to that one's. Returns what is now the newest.
    pub(crate) fn commit(lake: &Path, change: impl FnMut(&mut Self) -> Result<()>) -> Result<Self> {
        let committed = Self::commit_on(&Disk::default(), lake, change)?;
        committed.durable.map(|()| committed.snapshot)
    }

    /// As [`Snapshot::commit`], telling apart what failed before the commit could be seen and what failed after.
    pub(super) fn commit_on(
        disk: &Disk,
        lake: &Path,
        mut change: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<Committed> {
        loop {
            let mut next = Self::latest(lake)?;
            change(&mut next)?;
            next.number += 1;
            next.files.sort_by(|a, b| a.path.cmp(&b.path));
            let path = path_of(lake, next.number);
            let text = serde_json::to_vec(&next)
                .map_err(|error| DatasetError::config(path.display().to_string(), error.to_string()))?;
            // Threads of one process commit too, so the process id alone would name one file twice.
            static STAGED: AtomicU64 = AtomicU64::new(0);
            let count = STAGED.fetch_add(1, Ordering::Relaxed);
            let staged = path.with_extension(format!("staged-{}-{count}", std::process::id()));
            let linked = write_held(disk, &staged, &text).map(|_held| disk.link(&staged, &path));
            // A staged file that stays behind is harmless, and is removed when the lake is opened next.
            let _ = disk.remove(&staged);
            match linked? {
                Ok(()) => {
                    let durable = disk.sync_folder(&lake.join("commits"));
                    if durable.is_ok() {
                        for old in numbers(lake)?.into_iter().filter(|&old| old + KEPT <= next.number) {
                            let _ = disk.remove(&path_of(lake, old));
                        }
                    }
                    return Ok(Committed { snapshot: next, durable });
                }
                // Another process was faster, or took the staged file for one of a process that died.
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotFound) => {}
                Err(error) => return Err(DatasetError::io(&path, "link the commit into place")(error)),
            }
        }
    }

    /// Files of one table.
    pub fn table(&self, table: Table) -> impl Iterator<Item = &LakeFile> {
        self.files.iter().filter(move |file| file.table == table)
    }
}

fn path_of(lake: &Path, number: u64) -> PathBuf {
    lake.join("commits").join(format!("{number:020}.json"))
}

/// Numbers of the commits there are, ascending.
fn numbers(lake: &Path) -> Result<Vec<u64>> {
    let folder = lake.join("commits");
    let entries = fs::read_dir(&folder).map_err(DatasetError::io(&folder, "list the commits"))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(DatasetError::io(&folder, "list the commits"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        numbers.extend(name.strip_suffix(".json").and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes a file and keeps it open and marked as in use.
fn write_held(disk: &Disk, path: &Path, bytes: &[u8]) -> Result<DiskFile> {
    let mut file = disk.create_new(path, "create the file")?;
    file.hold();
    file.write_all(bytes).map_err(DatasetError::io(path, "write the file"))?;
    file.sync()?;
    Ok(file)
}

/// Removes commits that were being written by processes that are dead.
pub(super) fn remove_staged(disk: &Disk, lake: &Path) -> Result<()> {
    let folder = lake.join("commits");
    for entry in fs::read_dir(&folder).map_err(DatasetError::io(&folder, "list the commits"))? {
        let path = entry.map_err(DatasetError::io(&folder, "list the commits"))?.path();
        let staged = path.extension().is_some_and(|extension| extension.to_string_lossy().starts_with("staged"));
        if staged && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            disk.remove(&path)?;
        }
    }
    Ok(())
}

/// Writes beside and renames, so that the file is there whole or not at all.
pub(super) fn write_durably(disk: &Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = path.with_extension(format!("staged-{}", std::process::id()));
    disk.remove(&staged)?;
    drop(write_held(disk, &staged, bytes)?);
    disk.rename(&staged, path)?;
    path.parent().map_or(Ok(()), |folder| disk.sync_folder(folder))
}

/// Makes names inside a folder durable, where the system can.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    Disk::default().sync_folder(path)
}
