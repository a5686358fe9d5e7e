//! The file system as the lake uses it: few operations, each of which can be made to fail in a test.
//!
//! What must survive a crash goes through here, so that a test can stop at every single step and look at what is left.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result};

/// Where a lake's files are written.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    faults: Option<std::sync::Arc<faults::Faults>>,
}

/// A file being written.
#[derive(Debug)]
pub(super) struct DiskFile {
    file: File,
    path: PathBuf,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests make its steps fail"))]
    disk: Disk,
}

impl Disk {
    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests make it fail")]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// Creates a file; one that is there already is refused.
    pub(super) fn create_new(&self, path: &Path, doing: &'static str) -> Result<DiskFile> {
        let file = self.step().and_then(|()| File::create_new(path)).map_err(DatasetError::io(path, doing))?;
        self.created(path);
        Ok(DiskFile { file, path: path.to_owned(), disk: self.clone() })
    }

    /// Creates a folder and those above it, durably.
    pub(super) fn create_folder(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_folder(parent)?;
        }
        match self.step().and_then(|()| fs::create_dir(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DatasetError::io(path, "create the folder")(error));
            }
            _ => {}
        }
        self.sync_folder(parent.unwrap_or(Path::new(".")))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step().and_then(|()| fs::rename(from, to)).map_err(DatasetError::io(to, "move the finished file here"))?;
        self.moved(from, to);
        Ok(())
    }

    /// A second name for a file; fails where the name is taken.
    pub(super) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        fs::hard_link(from, to)
    }

    /// Removes a file, which may be gone already.
    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        match self.step().and_then(|()| fs::remove_file(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DatasetError::io(path, "remove the file")(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes names inside a folder durable, where the system can.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<()> {
        self.step().map_err(DatasetError::io(path, "flush the folder to disk"))?;
        if cfg!(unix) {
            let folder = File::open(path).map_err(DatasetError::io(path, "open the folder"))?;
            folder.sync_all().map_err(DatasetError::io(path, "flush the folder to disk"))?;
        }
        Ok(())
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests take note")]
    fn created(&self, _path: &Path) {}

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests take note")]
    fn moved(&self, _from: &Path, _to: &Path) {}
}

impl DiskFile {
    /// Waits until everything written is on disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.sync_data().map_err(DatasetError::io(&self.path, "flush the file to disk"))
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        self.disk.step()?;
        self.file.sync_data()?;
        #[cfg(test)]
        self.disk.synced(&self.path, &self.file);
        Ok(())
    }

    /// Cuts the file to `length` bytes, where writing goes on.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        use std::io::Seek;
        #[cfg(test)]
        self.disk.step()?;
        self.file.set_len(length)?;
        self.file.seek(io::SeekFrom::Start(length)).map(drop)
    }

    /// Marks the file as one of a living process; the system takes the mark off when the process dies.
    pub(super) fn hold(&self) {
        let _ = self.file.try_lock();
    }
}

impl Write for DiskFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        if let Err(error) = self.disk.step() {
            // Some of it may have arrived all the same.
            let _ = self.file.write_all(&buffer[..buffer.len() / 2]);
            return Err(error);
        }
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
pub(super) mod faults {
    use std::collections::HashMap;
    use std::fs::File;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    use super::Disk;

    /// Which steps fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in crate::lake) enum Fault {
        /// From this step on nothing works any more, as if the process had died there.
        DiesAt(u64),
        /// The disk is full for these steps.
        FullFrom(u64, u64),
    }

    /// Counts steps and lets some of them fail.
    #[derive(Debug)]
    pub(in crate::lake) struct Faults {
        fault: Fault,
        step: AtomicU64,
        /// Bytes of each file that a power cut would leave.
        durable: Mutex<HashMap<PathBuf, u64>>,
    }

    impl Faults {
        pub(in crate::lake) fn new(fault: Fault) -> Arc<Self> {
            Arc::new(Self { fault, step: AtomicU64::new(0), durable: Mutex::default() })
        }

        /// Steps tried so far.
        pub(in crate::lake) fn steps(&self) -> u64 {
            self.step.load(Ordering::Relaxed)
        }

        /// Cuts every file to what was synced.
        pub(in crate::lake) fn cut_power(&self) {
            for (path, &length) in &*self.durable.lock().unwrap() {
                if let Ok(file) = File::options().write(true).open(path) {
                    file.set_len(length).unwrap();
                }
            }
        }
    }

    impl Disk {
        pub(in crate::lake) fn with(faults: &Arc<Faults>) -> Self {
            Self { faults: Some(Arc::clone(faults)) }
        }

        pub(super) fn step(&self) -> io::Result<()> {
            let Some(faults) = &self.faults else { return Ok(()) };
            let step = faults.step.fetch_add(1, Ordering::Relaxed);
            match faults.fault {
                Fault::DiesAt(at) if step >= at => Err(io::Error::other("the process is dead")),
                Fault::FullFrom(from, until) if (from..until).contains(&step) => {
                    Err(io::Error::from(io::ErrorKind::StorageFull))
                }
                _ => Ok(()),
            }
        }

        fn note(&self, change: impl FnOnce(&mut HashMap<PathBuf, u64>)) {
            if let Some(faults) = &self.faults {
                change(&mut faults.durable.lock().unwrap());
            }
        }

        pub(super) fn created(&self, path: &Path) {
            self.note(|durable| _ = durable.insert(path.to_owned(), 0));
        }

        pub(super) fn synced(&self, path: &Path, file: &File) {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            self.note(|durable| _ = durable.insert(path.to_owned(), length));
        }

        pub(super) fn moved(&self, from: &Path, to: &Path) {
            self.note(|durable| {
                if let Some(length) = durable.remove(from) {
                    durable.insert(to.to_owned(), length);
                }
            });
        }
    }
}
