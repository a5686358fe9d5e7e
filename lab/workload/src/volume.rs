//! The thread that writes to the volume: a log, and the working file that requests read.
//!
//! Data is synced every so often, so that dirty pages do not fill the memory the container has: this is about disks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::life::{self, Life};
use crate::script::Disk;

/// Time between two looks at the levels.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of one write at most.
const CHUNK: usize = 64 * 1024;
/// Bytes written after which they are synced.
const SYNC_BYTES: u64 = 512 * 1024;
/// Time after which even few bytes are synced.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// Logs are `log-<run>`.
const LOG: &str = "log-";

/// The file of which requests read random blocks.
pub(crate) struct WorkingFile {
    pub(crate) file: File,
    /// Bytes that can be read already.
    pub(crate) size: AtomicU64,
}

/// Starts the thread if the script writes at all; returns the working file if there is one.
pub(crate) fn start(life: &Arc<Life>) -> Result<Option<Arc<WorkingFile>>, String> {
    let script = &life.script;
    if script.disk.is_none() && script.cache.is_none() {
        return Ok(None);
    }
    let told = |error: io::Error| format!("{}: {error}", life.data.display());
    let (mut writer, mut working) = (None, None);
    if script.cache.is_some() {
        let path = life.data.join("working-file");
        writer = Some(Appender::create(path.clone()).map_err(told)?);
        working = Some(Arc::new(WorkingFile { file: File::open(path).map_err(told)?, size: AtomicU64::new(0) }));
    }
    let log = match &script.disk {
        Some(disk) => Some(Log::open(&life.data, script.run, disk).map_err(told)?),
        None => None,
    };
    let (own, shared) = (Arc::clone(life), working.clone());
    life::spawn("volume", move || run(&own, writer, shared.as_deref(), log))?;
    Ok(working)
}

fn run(life: &Life, mut writer: Option<Appender>, working: Option<&WorkingFile>, mut log: Option<Log>) -> ! {
    let script = &life.script;
    let chunk = vec![0x5a; CHUNK];
    loop {
        if let (Some(cache), Some(writer), Some(working)) = (&script.cache, &mut writer, working) {
            while writer.size < whole(cache.level.at(life.ms())) {
                if let Err(error) = writer.append(&chunk) {
                    life.fail("writing the working file", &error);
                }
                working.size.store(writer.size, Ordering::Relaxed);
            }
            if let Err(error) = writer.sync(false) {
                life.fail("syncing the working file", &error);
            }
        }
        if let (Some(disk), Some(log)) = (&script.disk, &mut log)
            && let Err(error) = log.follow(whole(disk.level.at(life.ms())), &chunk)
        {
            life.fail("writing the log", &error);
        }
        thread::sleep(TICK);
    }
}

fn whole(bytes: f64) -> u64 {
    bytes as u64
}

/// A log with an optional rotation.
struct Log {
    file: Appender,
    rotate: u64,
    /// Bytes written in all.
    written: u64,
}

impl Log {
    fn open(folder: &Path, run: u32, disk: &Disk) -> io::Result<Self> {
        if disk.fresh {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(LOG) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        let file = Appender::create(folder.join(format!("{LOG}{run}")))?;
        Ok(Self { file, rotate: disk.rotate.map_or(u64::MAX, whole), written: 0 })
    }

    /// Writes up to a total.
    fn follow(&mut self, total: u64, chunk: &[u8]) -> io::Result<()> {
        while self.written < total {
            let length = usize::try_from(total - self.written).unwrap_or(CHUNK).min(CHUNK);
            self.file.append(&chunk[..length])?;
            self.written += length as u64;
            if self.file.size >= self.rotate {
                self.file.begin_anew()?;
            }
        }
        self.file.sync(false)
    }
}

/// A file that is written at its end and synced now and then.
struct Appender {
    path: PathBuf,
    file: File,
    size: u64,
    unsynced: u64,
    synced_at: Instant,
}

impl Appender {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
        Ok(Self { path, file, size: 0, unsynced: 0, synced_at: Instant::now() })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        self.sync(self.unsynced >= SYNC_BYTES)
    }

    /// Syncs at once, or when the last time is long ago.
    fn sync(&mut self, now: bool) -> io::Result<()> {
        if self.unsynced > 0 && (now || self.synced_at.elapsed() >= SYNC_EVERY) {
            self.file.sync_data()?;
            self.unsynced = 0;
            self.synced_at = Instant::now();
        }
        Ok(())
    }

    /// Deletes the file, so that its space is free again, and begins a new one of the same name.
    fn begin_anew(&mut self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        *self = Self::create(self.path.clone())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("forewarn-workload-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    fn disk(keys: &str) -> Disk {
        let text = format!("seed 1\nrun 0\ndisk base=0 shape=constant {keys}\n");
        Script::parse(&text).expect("a script").disk.expect("a disk line")
    }

    fn bytes(folder: &Path) -> u64 {
        fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").metadata().expect("a file").len())
            .sum()
    }

    #[test]
    fn a_log_follows_its_level_and_rotation_keeps_it_small() {
        let folder = folder("rotation");
        let chunk = vec![1; CHUNK];
        let mut log = Log::open(&folder, 0, &disk("rotate=100000 fresh=1")).expect("a log");
        log.follow(90_000, &chunk).expect("space");
        assert_eq!(bytes(&folder), 90_000);
        for total in (100_000..2_000_000).step_by(50_000) {
            log.follow(total, &chunk).expect("space");
            assert!(bytes(&folder) < 100_000 + CHUNK as u64);
        }
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_restart_keeps_old_logs_unless_it_begins_fresh() {
        let folder = folder("restart");
        let chunk = vec![1; CHUNK];
        for (run, keys, wanted) in [(0, "fresh=0", 1000), (1, "fresh=0", 2000), (2, "fresh=1", 1000)] {
            let mut log = Log::open(&folder, run, &disk(keys)).expect("a log");
            log.follow(1000, &chunk).expect("space");
            assert_eq!(bytes(&folder), wanted, "run {run}");
        }
        fs::remove_dir_all(folder).expect("removed");
    }
}
