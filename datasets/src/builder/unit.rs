//! What a build has finished of its source, unit by unit: where one that was killed goes on.
//!
//! ```text
//! STAGING/units/00000.parquet          rows of the unit, their columns about neighbours still empty
//! STAGING/units/00000.events.parquet   its failures
//! STAGING/units/00000.beside.parquet   who was there at moments that are no rows, for columns about neighbours
//! STAGING/units/00000.json             written last: what a later run must know to go on behind it
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::neighbours::Stretch;
use super::tally::Tally;
use crate::error::{DatasetError, Result};
use crate::manifest::FileEntry;
use crate::staging::sync_folder;

/// Folder of the units inside the staging folder.
pub(super) const FOLDER: &str = "units";

/// A finished unit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unit {
    /// Digest of the build it belongs to.
    pub(super) digest: String,
    /// Units of the whole source.
    pub(super) of: usize,
    pub(super) rows: FileEntry,
    pub(super) events: FileEntry,
    /// Nodes of the rows, where neighbours are asked for.
    pub(super) nodes: Vec<Stretch>,
    /// Who was there beside the rows, where neighbours are asked for, and on which nodes.
    pub(super) beside: Option<(FileEntry, Vec<Stretch>)>,
    /// Counts up to and including this unit.
    pub(super) tally: Tally,
    /// Entities handed over up to and including this unit.
    pub(super) entities: u64,
}

pub(super) fn rows_path(unit: usize) -> String {
    format!("{FOLDER}/{unit:05}.parquet")
}

pub(super) fn events_path(unit: usize) -> String {
    format!("{FOLDER}/{unit:05}.events.parquet")
}

pub(super) fn beside_path(unit: usize) -> String {
    format!("{FOLDER}/{unit:05}.beside.parquet")
}

fn record_path(staging: &Path, unit: usize) -> PathBuf {
    staging.join(FOLDER).join(format!("{unit:05}.json"))
}

/// Whether a folder holds units of the build with this digest.
pub(super) fn any(staging: &Path, digest: &str, of: usize) -> bool {
    read(staging, 0).is_some_and(|unit| unit.digest == digest && unit.of == of)
}

/// The units that are whole, from the first on; whatever else lies in the folder is removed.
pub(super) fn finished(staging: &Path, digest: &str, of: usize) -> Result<Vec<Unit>> {
    let mut units = Vec::new();
    while units.len() < of {
        let Some(unit) = read(staging, units.len()).filter(|unit| unit.digest == digest && unit.of == of) else {
            break;
        };
        let whole = |file: &FileEntry| {
            crate::parquet_file::digest(&staging.join(&file.path))
                .is_ok_and(|(sha256, bytes)| sha256 == file.sha256 && bytes == file.bytes)
        };
        if !unit.files().all(whole) {
            break;
        }
        units.push(unit);
    }
    let mut kept: Vec<PathBuf> = (0..units.len()).map(|unit| record_path(staging, unit)).collect();
    kept.extend(units.iter().flat_map(Unit::files).map(|file| staging.join(&file.path)));
    remove_all_but(staging, &kept)?;
    let folder = staging.join(FOLDER);
    fs::create_dir_all(&folder).map_err(DatasetError::io(&folder, "create the folder"))?;
    Ok(units)
}

impl Unit {
    fn files(&self) -> impl Iterator<Item = &FileEntry> {
        [&self.rows, &self.events].into_iter().chain(self.beside.as_ref().map(|(file, _)| file))
    }

    /// Makes the unit count: its files are on disk already.
    pub(super) fn write(&self, staging: &Path, number: usize) -> Result<()> {
        let path = record_path(staging, number);
        let staged = path.with_extension("json.staged");
        let text = serde_json::to_vec(self)
            .map_err(|error| DatasetError::config(path.display().to_string(), error.to_string()))?;
        fs::write(&staged, text).map_err(DatasetError::io(&staged, "write the file"))?;
        let file = fs::File::open(&staged).map_err(DatasetError::io(&staged, "open the file"))?;
        file.sync_all().map_err(DatasetError::io(&staged, "flush the file to disk"))?;
        fs::rename(&staged, &path).map_err(DatasetError::io(&path, "move the finished unit here"))?;
        sync_folder(&staging.join(FOLDER))
    }
}

fn read(staging: &Path, unit: usize) -> Option<Unit> {
    serde_json::from_slice(&fs::read(record_path(staging, unit)).ok()?).ok()
}

/// Removes everything in a staging folder but these files of its units.
fn remove_all_but(staging: &Path, kept: &[PathBuf]) -> Result<()> {
    for folder in [staging.to_owned(), staging.join(FOLDER)] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.map_err(DatasetError::io(&folder, "list the folder"))?.path();
            let removed = if path == staging.join(FOLDER) || kept.contains(&path) {
                Ok(())
            } else if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.map_err(DatasetError::io(&path, "remove what a dead run left"))?;
        }
    }
    Ok(())
}
