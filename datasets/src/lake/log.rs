//! The write-ahead log: what is acknowledged is in it until it is Parquet.
//!
//! A segment is a file of records `[length u32][CRC-32C u32][payload]`, little-endian. Threads put records into
//! one buffer; whoever waits first writes and syncs it for all that are in it by then. A record cut off by a crash
//! ends the newest segment; anywhere else a bad record is corruption and refused by place.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use crate::error::{DatasetError, Result};

const HEADER: usize = 8;
/// No record is longer; a longer length is a torn or corrupt header.
const LONGEST: usize = 1 << 30;

/// The file records go to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    file: DiskFile,
    /// Bytes known to be on disk.
    length: u64,
    /// Something may stand behind `length`: it must go before another record comes.
    dirty: bool,
}

pub(super) fn path_of(lake: &Path, number: u64) -> PathBuf {
    lake.join("wal").join(format!("{number:020}.log"))
}

/// Frames a payload.
pub(super) fn frame(payload: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    into.extend_from_slice(payload);
}

impl Segment {
    /// Begins segment `number`, which must not exist yet.
    pub(super) fn create(disk: &Disk, lake: &Path, number: u64) -> Result<Self> {
        let path = path_of(lake, number);
        let file = disk.create_new(&path, "create the log segment")?;
        if let Err(error) = disk.sync_folder(&lake.join("wal")) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { number, path, file, length: 0, dirty: false })
    }

    /// Writes framed records and waits until they are on disk. After a failure none of them counts: what of them may
    /// have arrived is cut off, at the latest before the next records.
    pub(super) fn append(&mut self, records: &[u8]) -> Result<()> {
        if self.dirty {
            self.file.cut(self.length).map_err(DatasetError::io(&self.path, "take back a half-written record"))?;
            self.dirty = false;
        }
        if let Err(error) = self.file.write_all(records).and_then(|()| self.file.sync_data()) {
            self.dirty = self.file.cut(self.length).is_err();
            return Err(DatasetError::io(&self.path, "write the log")(error));
        }
        self.length += records.len() as u64;
        Ok(())
    }
}

/// Numbers of the segments there are, ascending.
pub(super) fn segments(lake: &Path) -> Result<Vec<u64>> {
    let folder = lake.join("wal");
    let entries = match fs::read_dir(&folder) {
        // A published lake has no log, and version control keeps no empty folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(DatasetError::io(&folder, "list the log"))?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(DatasetError::io(&folder, "list the log"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        numbers.extend(name.strip_suffix(".log").and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What is in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Replayed {
    /// Whole records.
    pub(super) records: u64,
    /// Bytes of whole records.
    pub(super) bytes: u64,
    /// Bytes behind them, which are no whole record.
    pub(super) torn: u64,
}

/// Hands every payload of a segment to `each`, up to the first record that is not whole. Only in the newest segment
/// may there be one: a write that a crash cut off, and that was never acknowledged.
pub(super) fn replay(
    lake: &Path,
    number: u64,
    newest: bool,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Replayed> {
    let path = path_of(lake, number);
    let bytes = fs::read(&path).map_err(DatasetError::io(&path, "read the log"))?;
    let mut seen = Replayed::default();
    let mut at = 0;
    while at < bytes.len() {
        let Some(payload) = record(&bytes[at..]) else {
            if newest {
                seen.torn = (bytes.len() - at) as u64;
                break;
            }
            return Err(DatasetError::Disagrees {
                path,
                what: "a record of the log, before its end",
                expected: "a whole record with its checksum".to_owned(),
                got: format!("something else at byte {at}"),
            });
        };
        each(payload)?;
        at += HEADER + payload.len();
        seen.records += 1;
        seen.bytes = at as u64;
    }
    Ok(seen)
}

fn record(bytes: &[u8]) -> Option<&[u8]> {
    let word = |from: usize| bytes.get(from..from + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
    let (length, sum) = (word(0)? as usize, word(4)?);
    // A header of zeros is what a power cut leaves of a file that had grown, and its checksum would even be right.
    if length == 0 || length > LONGEST {
        return None;
    }
    bytes.get(HEADER..HEADER + length).filter(|payload| crc32c::crc32c(payload) == sum)
}

/// Reads the whole log as an opening writer would, and changes nothing.
pub(super) fn check(lake: &Path) -> Result<()> {
    let segments = segments(lake)?;
    for &number in &segments {
        let newest = segments.last() == Some(&number);
        let outcome = replay(lake, number, newest, &mut |payload| match super::records::read(payload) {
            Some(_) => Ok(()),
            None => Err(DatasetError::config(
                path_of(lake, number).display().to_string(),
                "a record whose checksum is right cannot be read: another build wrote it",
            )),
        });
        match outcome {
            // A writer at work may have turned it into Parquet meanwhile.
            Err(DatasetError::NotFound { .. }) => {}
            outcome => drop(outcome?),
        }
    }
    Ok(())
}

/// Cuts off what follows the whole records, so that later segments may follow.
pub(super) fn cut_torn(lake: &Path, number: u64, seen: Replayed) -> Result<()> {
    let path = path_of(lake, number);
    tracing::info!(
        path = %path.display(), at = seen.bytes, bytes = seen.torn,
        "the log ends in a record that was never acknowledged; it is cut off"
    );
    let file = File::options().write(true).open(&path).map_err(DatasetError::io(&path, "open the log"))?;
    file.set_len(seen.bytes).map_err(DatasetError::io(&path, "cut off a torn record"))?;
    file.sync_all().map_err(DatasetError::io(&path, "flush the log to disk"))
}

/// Removes segments up to `consumed`.
pub(super) fn remove(disk: &Disk, lake: &Path, consumed: u64) -> Result<()> {
    for number in segments(lake)?.into_iter().filter(|&number| number <= consumed) {
        disk.remove(&path_of(lake, number))?;
    }
    Ok(())
}
