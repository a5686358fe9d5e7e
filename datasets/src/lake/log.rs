//! The write-ahead log: what is acknowledged is in it until it is Parquet.
//!
//! A segment is a file of records `[length u32][CRC-32C u32][payload]`, little-endian. Threads put records into
//! one buffer; whoever waits first writes and syncs it for all that are in it by then. A record cut off by a crash
//! ends the newest segment; anywhere else a bad record is corruption and refused by place.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result};

const HEADER: usize = 8;
/// No record is longer; a longer length is a torn or corrupt header.
const LONGEST: usize = 1 << 30;

/// The file records go to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    file: File,
    /// Bytes known to be on disk.
    length: u64,
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
    pub(super) fn create(lake: &Path, number: u64) -> Result<Self> {
        let path = path_of(lake, number);
        let file = File::create_new(&path).map_err(DatasetError::io(&path, "create the log segment"))?;
        super::commit::sync_folder(&lake.join("wal"))?;
        Ok(Self { number, path, file, length: 0 })
    }

    /// Writes framed records and waits until they are on disk. After a failure the segment is as before.
    pub(super) fn append(&mut self, records: &[u8]) -> Result<()> {
        let written = self.file.write_all(records).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What is half written must not stand before later records.
            use std::io::Seek;
            let back = self.file.set_len(self.length).and_then(|()| self.file.seek(std::io::SeekFrom::End(0)));
            if let Err(error) = back {
                return Err(DatasetError::io(&self.path, "take back a half-written record")(error));
            }
            return Err(DatasetError::io(&self.path, "write the log")(error));
        }
        self.length += records.len() as u64;
        Ok(())
    }
}

/// Numbers of the segments there are, ascending.
pub(super) fn segments(lake: &Path) -> Result<Vec<u64>> {
    let folder = lake.join("wal");
    let entries = fs::read_dir(&folder).map_err(DatasetError::io(&folder, "list the log"))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(DatasetError::io(&folder, "list the log"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        numbers.extend(name.strip_suffix(".log").and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Hands every payload of a segment to `each`. In the newest segment a bad record is the end, and is cut off, so
/// that later segments may follow.
pub(super) fn replay(lake: &Path, number: u64, newest: bool, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let path = path_of(lake, number);
    let bytes = fs::read(&path).map_err(DatasetError::io(&path, "read the log"))?;
    let mut at = 0;
    while at < bytes.len() {
        let word =
            |from: usize| bytes.get(from..from + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes);
        let payload = match (word(at), word(at + 4)) {
            (Some(length), Some(sum)) if length as usize <= LONGEST => {
                bytes.get(at + HEADER..at + HEADER + length as usize).filter(|payload| crc32c::crc32c(payload) == sum)
            }
            _ => None,
        };
        let Some(payload) = payload else {
            if newest {
                tracing::info!(path = %path.display(), at, "the log ends in a record that was never acknowledged");
                let file = File::options().write(true).open(&path).map_err(DatasetError::io(&path, "open the log"))?;
                file.set_len(at as u64).map_err(DatasetError::io(&path, "cut off a torn record"))?;
                return file.sync_all().map_err(DatasetError::io(&path, "flush the log to disk"));
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
    }
    Ok(())
}

/// Removes segments up to `consumed`.
pub(super) fn remove(lake: &Path, consumed: u64) -> Result<()> {
    for number in segments(lake)?.into_iter().filter(|&number| number <= consumed) {
        let path = path_of(lake, number);
        fs::remove_file(&path).map_err(DatasetError::io(&path, "remove a log segment that is in Parquet"))?;
    }
    Ok(())
}
