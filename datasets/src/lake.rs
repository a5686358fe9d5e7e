//! The Parquet lake: canonical samples as they arrive, deduplicated, readable by any Parquet reader.
//!
//! ```text
//! LAKE/lake.json                                      format, written once
//! LAKE/wal/00000000000000000007.log                   what is acknowledged and not yet Parquet
//! LAKE/commits/00000000000000000012.json              which files make up the lake; the highest number counts
//! LAKE/samples/kind=container/date=2026-11-23/*.parquet   entity_id, metric, series_id, ts, value, known_at
//! LAKE/tiles/kind=…/date=…/*.parquet                  tiles of closed days
//! LAKE/events/kind=…/*.parquet                        failure events, as last extracted
//! LAKE/series/*.parquet                               series_id, entity_id, kind, key, incarnation, metric, part
//! LAKE/metrics/*.parquet                              metric, id, unit, kind
//! ```
//!
//! Samples are sorted by (entity_id, metric, series_id, ts). A file that no commit names does not exist: it is a
//! leftover of a run that died, and goes away with the next one. A commit is a file of its own, linked into place
//! under the next free number, so that a receiver and a compaction in another process cannot undo each other.

mod commit;
mod compact;
mod disk;
mod event_file;
#[cfg(test)]
mod faults;
mod flush;
mod log;
mod part;
mod part_reader;
mod reader;
mod records;
mod scan;
mod stretch;
mod tables;
mod tile_file;
mod writer;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};

pub use commit::{LakeFile, Removed, Snapshot, Table};
pub use compact::{CompactOptions, CompactReport, PruneReport, compact, prune};
pub use event_file::{StoredEvent, event_schema, replace_events};
pub use part::sample_schema;
pub use reader::{DayStatus, Lake, LakeStatus};
pub use scan::{Run, Scan};
pub use stretch::{StretchReport, stretch};
pub use tables::{EntityRow, LakeTables, SeriesRow, series_schema};
pub use tile_file::tile_schema;
pub use writer::{LakeOptions, LakeRow, LakeWriter, SeriesId, Ticket, WriterStats};

/// Version of the layout.
pub const FORMAT: u32 = 1;
/// Milliseconds of a day.
pub(crate) const DAY: i64 = 86_400_000;
/// The file whose lock the one writer holds.
const LOCK: &str = "writer.lock";
/// The file whose lock readers share, and whoever deletes files holds alone.
const READERS: &str = "readers.lock";
/// Length of the tiles a lake keeps, in milliseconds.
pub const LAKE_TILE: i64 = 300_000;

/// How late a sample may come and still be in the lake's tiles, milliseconds.
pub const LAKE_LAG: i64 = 60_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    format: u32,
    tile_ms: i64,
}

fn identity_path(lake: &Path) -> PathBuf {
    lake.join("lake.json")
}

/// Refuses a folder that is no lake, or one of another format.
pub(crate) fn check(lake: &Path) -> Result<()> {
    let path = identity_path(lake);
    let bytes = std::fs::read(&path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            DatasetError::NotFound { path: path.clone(), wanted: "a lake; `forewarn ingest` makes one".to_owned() }
        } else {
            DatasetError::io(&path, "read the lake's identity")(error)
        }
    })?;
    let identity: Identity = serde_json::from_slice(&bytes)
        .map_err(|error| DatasetError::config(path.display().to_string(), error.to_string()))?;
    if identity.format != FORMAT {
        return Err(DatasetError::Disagrees {
            path,
            what: "lake format (`forewarn lake migrate` brings an older one to this one's)",
            expected: FORMAT.to_string(),
            got: identity.format.to_string(),
        });
    }
    Ok(())
}

/// Brings a lake of an earlier release to this one's format; returns the format it had.
///
/// # Errors
/// When it is no lake, or of a format this release does not know.
pub fn migrate(lake: &Path) -> Result<u32> {
    // There has been one format so far; what comes later adds its steps here.
    check(lake)?;
    Ok(FORMAT)
}

/// Folders of a lake from its beginning.
const FOLDERS: [&str; 5] = ["wal", "commits", "samples", "series", "metrics"];

/// Makes an empty lake, unless there is one.
fn create(disk: &disk::Disk, lake: &Path) -> Result<()> {
    let path = identity_path(lake);
    if path.exists() {
        return check(lake);
    }
    disk.create_folder(lake)?;
    // A run that died while making the lake leaves empty folders and no identity; that is no reason to refuse.
    let entries = std::fs::read_dir(lake).map_err(DatasetError::io(lake, "list the folder"))?;
    for entry in entries {
        let entry = entry.map_err(DatasetError::io(lake, "list the folder"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let empty_folder = || std::fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none());
        let ours = name == LOCK
            || name == READERS
            || name.starts_with("lake.staged-")
            || FOLDERS.contains(&&*name) && empty_folder();
        if !ours {
            let problem = format!("holds {name:?}, but no lake.json");
            return Err(DatasetError::Exists { path: lake.to_owned(), problem });
        }
    }
    for folder in FOLDERS {
        disk.create_folder(&lake.join(folder))?;
    }
    let text = serde_json::to_vec_pretty(&Identity { format: FORMAT, tile_ms: LAKE_TILE })
        .map_err(|error| DatasetError::config("lake.json", error.to_string()))?;
    commit::write_durably(disk, &path, &text)
}

/// `2026-11-23` of a moment in milliseconds.
pub(crate) fn date_of(time: i64) -> String {
    chrono::DateTime::from_timestamp_millis(time.div_euclid(DAY) * DAY)
        .map_or_else(|| "0000-00-00".to_owned(), |moment| moment.format("%Y-%m-%d").to_string())
}
