//! Which parts of a shard are done: one JSON line each, written after the part is in place.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, ScoreError, io};

/// One part that is in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// File name inside the run's folder.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Rows scored.
    pub rows: u64,
    /// Rows left out into quarantine.
    pub failed: u64,
}

/// The ledger of one shard.
pub(crate) struct Ledger {
    path: PathBuf,
    parts: Vec<Part>,
}

impl Ledger {
    /// Reads what is done; a line cut short by a kill is the part that was not finished.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut parts = Vec::new();
        if path.exists() {
            let file = File::open(path).map_err(io(path))?;
            for line in BufReader::new(file).lines() {
                match serde_json::from_str(&line.map_err(io(path))?) {
                    Ok(part) => parts.push(part),
                    Err(_) => break,
                }
            }
        }
        Ok(Self { path: path.to_owned(), parts })
    }

    /// The entry of a part whose file still has the bytes it had.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn done(&self, dir: &Path, file: &str) -> Result<Option<Part>> {
        let Some(part) = self.parts.iter().rev().find(|part| part.file == file) else { return Ok(None) };
        let path = dir.join(file);
        if !path.is_file() {
            return Ok(None);
        }
        Ok((digest(&path)? == part.sha256).then(|| part.clone()))
    }

    /// Adds a part and syncs.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn add(&mut self, part: Part) -> Result<()> {
        // Rewritten whole, so that a torn last line of a killed run never joins a new one.
        self.parts.retain(|known| known.file != part.file);
        self.parts.push(part);
        let mut text = Vec::new();
        for part in &self.parts {
            let line = serde_json::to_string(part)
                .map_err(|error| ScoreError::Parquet { path: self.path.clone(), reason: error.to_string() })?;
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        let staged = self.path.with_extension("staged");
        write_synced(&staged, &text)?;
        fs::rename(&staged, &self.path).map_err(io(&self.path))
    }
}

/// SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn digest(path: &Path) -> Result<String> {
    Ok(hex::encode(Sha256::digest(fs::read(path).map_err(io(path))?)))
}

/// Writes and syncs a file.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io(path))
}

/// Writes a file if it is not there, staged in `staging`; equal content is success, different content a conflict.
///
/// # Errors
/// When the disk refuses, or the file is there with other content.
pub(crate) fn put_if_absent(path: &Path, staging: &Path, bytes: &[u8]) -> Result<()> {
    // Beside nothing a reader looks at: a killed run leaves its staged file here, and the folder goes after the commit.
    let staged = staging.join(format!("put-{}", std::process::id()));
    write_synced(&staged, bytes)?;
    // A hard link fails when the name is taken, and shows the whole file or nothing.
    let linked = fs::hard_link(&staged, path);
    fs::remove_file(&staged).map_err(io(&staged))?;
    match linked {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if fs::read(path).map_err(io(path))? == bytes {
                Ok(())
            } else {
                let reason = "is there already with other content; another run wrote it from other input".to_owned();
                Err(ScoreError::Conflict { path: path.to_owned(), reason })
            }
        }
        Err(error) => Err(io(path)(error)),
    }
}

/// A file that names the process scoring a shard; gone when dropped, stale when that process is.
pub(crate) struct Lock {
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of a shard.
    ///
    /// # Errors
    /// When a living process holds it.
    pub(crate) fn take(path: &Path, shard: u32) -> Result<Self> {
        for _ in 0..2 {
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => {
                    file.write_all(std::process::id().to_string().as_bytes()).map_err(io(path))?;
                    return Ok(Self { path: path.to_owned() });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    let holder = fs::read_to_string(path).unwrap_or_default();
                    let alive = !holder.is_empty()
                        && holder != std::process::id().to_string()
                        && Path::new("/proc").join(&holder).exists();
                    if alive {
                        return Err(ScoreError::Locked { path: path.to_owned(), shard });
                    }
                    // kill -9 is a normal event: its lock holds nobody back.
                    fs::remove_file(path).map_err(io(path))?;
                }
                Err(error) => return Err(io(path)(error)),
            }
        }
        Err(ScoreError::Locked { path: path.to_owned(), shard })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
