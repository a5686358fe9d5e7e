//! Locks on files, which the system lets go of however their holder ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{DatasetError, Result};

/// The lock on a file, which is made if it is not there; `None` while another process holds it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open(path).map_err(DatasetError::io(path, "create the lock file"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(DatasetError::io(path, "lock the file")(error)),
    }
}

/// The same where somebody else's lock is a refusal.
pub(crate) fn lock(path: &Path) -> Result<File> {
    try_lock(path)?.ok_or_else(|| DatasetError::Busy { path: path.to_owned() })
}

/// A lock that many may share; waits for who holds it alone. `None` where the file cannot be made or written.
pub(crate) fn share(path: &Path) -> Result<Option<File>> {
    let Ok(file) = open(path) else { return Ok(None) };
    file.lock_shared().map_err(DatasetError::io(path, "lock the file"))?;
    Ok(Some(file))
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().create(true).write(true).truncate(false).open(path)
}
