//! A folder appears whole or not at all: it is built beside its place and moved there in one step.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{DatasetError, Result};
use crate::file_lock::try_lock;
use crate::manifest::FileEntry;

/// A folder under construction. Dropped before [`Staging::publish`], it removes itself.
pub(crate) struct Staging {
    path: PathBuf,
    lock_path: PathBuf,
    /// Held while the folder is in use; the system lets go of it when a run dies, however it dies.
    _lock: File,
    published: bool,
}

impl Staging {
    /// Creates `.<name>.staging-<pid>` beside `target`. Of what dead runs left there, one that is `wanted` becomes this
    /// folder, and the rest is removed.
    pub(crate) fn create(target: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Self> {
        let parent = parent(target);
        fs::create_dir_all(&parent).map_err(DatasetError::io(&parent, "create the folder"))?;
        let name = target.file_name().ok_or_else(|| {
            DatasetError::config(target.display().to_string(), "the target must name a folder".to_owned())
        })?;
        let prefix = format!(".{}.staging-", name.to_string_lossy());
        let path = parent.join(format!("{prefix}{}", std::process::id()));
        let lock_path = lock_path(&path);
        // The lock comes before the folder, so that no other run can take a new folder for a dead one.
        let lock = try_lock(&lock_path)?.ok_or_else(|| DatasetError::Busy { path: path.clone() })?;
        let staging = Self { path, lock_path, _lock: lock, published: false };
        // A dead run may have had the number of this one.
        let mut taken = staging.path.is_dir() && wanted(&staging.path);
        if staging.path.exists() && !taken {
            fs::remove_dir_all(&staging.path)
                .map_err(DatasetError::io(&staging.path, "remove the folder of a dead run"))?;
        }
        each_dead(&parent, &prefix, &staging.path, &mut |dead| {
            if !taken && wanted(dead) {
                tracing::info!(path = %dead.display(), "going on with what a dead run left");
                fs::rename(dead, &staging.path)
                    .map_err(DatasetError::io(dead, "take over the folder of a dead run"))?;
                taken = true;
                return Ok(());
            }
            tracing::info!(path = %dead.display(), "removing what a dead run left");
            fs::remove_dir_all(dead).map_err(DatasetError::io(dead, "remove the folder of a dead run"))
        })?;
        if !taken {
            fs::create_dir(&staging.path).map_err(DatasetError::io(&staging.path, "create the folder"))?;
        }
        Ok(staging)
    }

    /// The folder under construction.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a small file and waits until it is on disk; `name` is its path inside the data set.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<FileEntry> {
        let path = self.path.join(name);
        let mut file = File::create_new(&path).map_err(DatasetError::io(&path, "create the file"))?;
        file.write_all(bytes).map_err(DatasetError::io(&path, "write the file"))?;
        file.sync_all().map_err(DatasetError::io(&path, "flush the file to disk"))?;
        Ok(FileEntry {
            path: name.to_owned(),
            sha256: hex::encode(Sha256::digest(bytes)),
            bytes: bytes.len() as u64,
            rows: None,
        })
    }

    /// Moves the finished folder to its place.
    pub(crate) fn publish(mut self, target: &Path) -> Result<()> {
        let rows = self.path.join("rows");
        // A data set has them; the folders of a lake are synced as they are written.
        if rows.is_dir() {
            sync_folder(&rows)?;
        }
        sync_folder(&self.path)?;
        fs::rename(&self.path, target).map_err(DatasetError::io(target, "move the finished folder here"))?;
        self.published = true;
        sync_folder(&parent(target))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: what cannot be removed now is removed by the next run.
            let _ = fs::remove_dir_all(&self.path);
        }
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn parent(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn lock_path(staging: &Path) -> PathBuf {
    let mut name = staging.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Every folder that a dead run left, its lock held meanwhile and removed afterwards.
fn each_dead(parent: &Path, prefix: &str, own: &Path, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = fs::read_dir(parent).map_err(DatasetError::io(parent, "list the folder"))?;
    for entry in entries {
        let entry = entry.map_err(DatasetError::io(parent, "list the folder"))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(prefix) || name.ends_with(".lock") || path == own || !path.is_dir() {
            continue;
        }
        let lock_path = lock_path(&path);
        let Some(_lock) = try_lock(&lock_path)? else { continue };
        // Another run may have dealt with it before the lock was had.
        if path.is_dir() {
            each(&path)?;
            fs::remove_file(&lock_path).map_err(DatasetError::io(&lock_path, "remove the lock file"))?;
        }
    }
    Ok(())
}

/// Makes names inside a folder durable, where the system can.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = File::open(path).map_err(DatasetError::io(path, "open the folder"))?;
        folder.sync_all().map_err(DatasetError::io(path, "flush the folder to disk"))?;
    }
    Ok(())
}
