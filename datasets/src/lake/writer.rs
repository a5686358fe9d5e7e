//! The one writer of a lake: rows are acknowledged once they are in the log, and become Parquet in batches.
//!
//! Threads put records into one buffer; whoever waits first writes and syncs it for all that are in it by then.
//! Memory holds at most twice [`LakeOptions::flush_rows`] rows of 32 bytes that wait, as many that are being flushed,
//! twice over while they are sorted, and about 100 bytes per series besides its texts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use features::{CanonicalSeries, Catalogue};
use hashbrown::HashSet;

use super::commit::{self, Removed, Snapshot, Table};
use super::disk::Disk;
use super::flush::{Buffered, Flusher, Job, NotStored};
use super::log::{self, Segment};
use super::records::{self, Record};
use super::tables::{self, LakeTables};
use super::{LOCK, create};
use crate::error::{DatasetError, Result};
use crate::file_lock::lock;

/// Bounds of a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeOptions {
    /// Rows that call for a flush; twice as many wait at most.
    pub flush_rows: usize,
    /// Canonical series the lake may hold.
    pub max_series: usize,
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self { flush_rows: 4_000_000, max_series: 2_000_000 }
    }
}

/// A series of this lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

/// A row to store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LakeRow {
    /// Whose.
    pub series: SeriesId,
    /// Milliseconds.
    pub time: i64,
    /// Canonical unit; the stale mark keeps its bits.
    pub value: f64,
}

/// Stands for rows in the log; [`LakeWriter::wait`] returns once they are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a writer has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Rows put into the log.
    pub rows: u64,
    /// Times the log was synced.
    pub syncs: u64,
    /// Flushes to Parquet.
    pub flushes: u64,
    /// Rows waiting to become Parquet.
    pub waiting: usize,
    /// Series of the lake.
    pub series: usize,
    /// Rows replayed from the log when it was opened.
    pub replayed: u64,
}

#[derive(Debug)]
struct Inner {
    tables: LakeTables,
    rows: Vec<Buffered>,
    /// Framed records not yet on disk.
    pending: Vec<u8>,
    /// Number of the newest record put in, and of the newest on disk.
    put: u64,
    synced: u64,
    /// Tickets up to here failed to reach the disk, and why.
    failed: Option<(u64, String, bool)>,
    /// `None` while a thread writes to it.
    segment: Option<Segment>,
    stats: WriterStats,
}

/// The writer of a lake; any number of threads may share it.
#[derive(Debug)]
pub struct LakeWriter {
    lake: PathBuf,
    disk: Disk,
    options: LakeOptions,
    inner: Mutex<Inner>,
    written: Condvar,
    /// Held by the thread that turns rows into Parquet.
    flusher: Mutex<Flusher>,
    /// Held for life; the system lets go of it when the process dies.
    _lock: File,
}

impl LakeWriter {
    /// Opens the lake in `dir` for writing, making it where there is none, and replays what its log holds.
    ///
    /// # Errors
    /// When another process writes to it, it is of another format, or its log is corrupt.
    pub fn open(dir: &Path, options: LakeOptions) -> Result<Self> {
        Self::open_on(Disk::default(), dir, options)
    }

    pub(super) fn open_on(disk: Disk, dir: &Path, options: LakeOptions) -> Result<Self> {
        disk.create_folder(dir)?;
        let lock = lock(&dir.join(LOCK))?;
        create(&disk, dir)?;
        commit::remove_staged(&disk, dir)?;
        let mut snapshot = Snapshot::latest(dir)?;
        let catalogue = Catalogue::standard();
        tables::check_metrics(dir, &snapshot, &catalogue)?;
        if snapshot.table(Table::Metrics).all(|file| file.path != tables::metrics_path(&catalogue)) {
            let metrics = tables::write_metrics(&disk, dir, &catalogue)?;
            let now = chrono::Utc::now().timestamp_millis();
            let committed = Snapshot::commit_on(&disk, dir, |next| {
                let old = next.files.extract_if(.., |file| file.table == Table::Metrics);
                let old: Vec<Removed> = old.map(|file| Removed { path: file.path, at: now }).collect();
                next.removed.extend(old);
                next.files.push(metrics.clone());
                Ok(())
            })?;
            committed.durable?;
            snapshot = committed.snapshot;
        }
        let tables = LakeTables::read(dir, &snapshot)?;
        let flusher = Flusher::new(&snapshot, &tables);
        let mut inner = Inner {
            tables,
            rows: Vec::new(),
            pending: Vec::new(),
            put: 0,
            synced: 0,
            failed: None,
            segment: None,
            stats: WriterStats::default(),
        };
        log::remove(&disk, dir, snapshot.log_consumed)?;
        let segments = log::segments(dir)?;
        for &number in &segments {
            let newest = segments.last() == Some(&number);
            let seen = log::replay(dir, number, newest, &mut |payload| inner.replay(dir, number, payload))?;
            if seen.torn > 0 {
                log::cut_torn(dir, number, seen)?;
            }
        }
        inner.stats.replayed = inner.rows.len() as u64;
        let next = segments.last().copied().unwrap_or(0).max(snapshot.log_consumed) + 1;
        inner.segment = Some(Segment::create(&disk, dir, next)?);
        remove_leftovers(&disk, dir, &snapshot)?;
        Ok(Self {
            lake: dir.to_owned(),
            disk,
            options,
            inner: Mutex::new(inner),
            written: Condvar::new(),
            flusher: Mutex::new(flusher),
            _lock: lock,
        })
    }

    /// Its folder.
    #[must_use]
    pub fn lake(&self) -> &Path {
        &self.lake
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding the lock leaves nothing half done that the log would not repair.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of a series, new or known. It is in the log before the first row that uses it.
    ///
    /// # Errors
    /// When a new series would pass the limit.
    pub fn register(&self, series: &CanonicalSeries) -> Result<SeriesId> {
        let mut inner = self.lock();
        if let Some(id) = inner.tables.series_id(series) {
            return Ok(SeriesId(id));
        }
        if inner.tables.series().len() >= self.options.max_series {
            return Err(DatasetError::SeriesLimit { limit: self.options.max_series });
        }
        let id = inner.tables.add(series)?;
        log::frame(&records::series(id, series), &mut inner.pending);
        inner.put += 1;
        Ok(SeriesId(id))
    }

    /// Puts rows into the log's buffer; they are durable once [`LakeWriter::wait`] of the ticket returns.
    ///
    /// # Errors
    /// When twice [`LakeOptions::flush_rows`] are waiting to become Parquet: the caller should try again later.
    /// When a row names a series that [`LakeWriter::register`] never gave out.
    pub fn append(&self, known_at: i64, rows: &[LakeRow]) -> Result<Ticket> {
        let mut record = Vec::new();
        log::frame(&records::rows(known_at, rows), &mut record);
        let highest = rows.iter().map(|row| row.series.0).max();
        let mut inner = self.lock();
        if let Some(id) = highest.filter(|&id| id >= inner.tables.count()) {
            return Err(DatasetError::config(
                self.lake.display().to_string(),
                format!("a row of series {id}, of {} that are registered", inner.tables.count()),
            ));
        }
        if inner.rows.len() + rows.len() > 2 * self.options.flush_rows.max(rows.len()) {
            return Err(DatasetError::Full { path: self.lake.clone(), waiting: inner.rows.len() });
        }
        inner.pending.extend_from_slice(&record);
        inner.rows.extend(rows.iter().map(|row| buffered(*row, known_at)));
        inner.put += 1;
        inner.stats.rows += rows.len() as u64;
        Ok(Ticket(inner.put))
    }

    /// Returns once the rows of `ticket` are on disk. Whoever comes first writes for all.
    ///
    /// # Errors
    /// When the disk refuses; the rows are then not acknowledged, and are tried again with the next ones.
    pub fn wait(&self, ticket: Ticket) -> Result<()> {
        let mut inner = self.lock();
        loop {
            if inner.synced >= ticket.0 {
                return Ok(());
            }
            if let Some((until, ..)) = &inner.failed
                && *until >= ticket.0
            {
                return self.log_failure(&inner);
            }
            inner = match inner.segment.take() {
                Some(segment) => self.write_log(inner, segment),
                None => self.written.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn log_failure(&self, inner: &Inner) -> Result<()> {
        let path = self.lake.join("wal");
        match &inner.failed {
            None => Ok(()),
            Some((_, _, true)) => Err(DatasetError::DiskFull { path }),
            Some((_, reason, false)) => {
                Err(DatasetError::io(&path, "write the log")(std::io::Error::other(reason.clone())))
            }
        }
    }

    /// Writes all pending records and syncs, without holding the lock meanwhile.
    fn write_log<'a>(&'a self, mut inner: MutexGuard<'a, Inner>, mut segment: Segment) -> MutexGuard<'a, Inner> {
        let records = std::mem::take(&mut inner.pending);
        let until = inner.put;
        drop(inner);
        let outcome = segment.append(&records);
        let mut inner = self.lock();
        match outcome {
            Ok(()) => {
                inner.synced = until;
                inner.stats.syncs += 1;
                inner.failed = None;
            }
            Err(error) => {
                let full = matches!(error, DatasetError::DiskFull { .. });
                inner.failed = Some((until, error.to_string(), full));
                // Later records may speak of series defined in these.
                let newer = std::mem::replace(&mut inner.pending, records);
                inner.pending.extend_from_slice(&newer);
            }
        }
        inner.segment = Some(segment);
        self.written.notify_all();
        inner
    }

    /// Whether enough rows wait to be worth a flush.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        self.lock().rows.len() >= self.options.flush_rows
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> WriterStats {
        let inner = self.lock();
        WriterStats { waiting: inner.rows.len(), series: inner.tables.series().len(), ..inner.stats }
    }

    /// How far an import has come, as committed.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn import_progress(&self, import: &str) -> Result<Option<String>> {
        Ok(Snapshot::latest(&self.lake)?.imports.remove(import))
    }

    /// Stores rows of the past, each with the time it became known, and in the same commit how far the import of
    /// this name has come: both are there or neither. The log is not needed for that.
    ///
    /// # Errors
    /// When a file cannot be written; then nothing of it is stored.
    pub fn import(&self, import: &str, progress: &str, rows: &[(LakeRow, i64)]) -> Result<()> {
        let mut flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = self.lock();
        if let Some(&(row, _)) = rows.iter().find(|(row, _)| row.series.0 >= inner.tables.count()) {
            return Err(DatasetError::config(
                import,
                format!("a row of series {}, of {} that are registered", row.series.0, inner.tables.count()),
            ));
        }
        flusher.learn(&inner.tables);
        let series = new_series(&flusher, &inner)?;
        drop(inner);
        let rows = rows.iter().map(|&(row, known_at)| buffered(row, known_at)).collect();
        let name = format!("part-import-{:020}", Snapshot::latest(&self.lake)?.number);
        let note = |next: &mut Snapshot| drop(next.imports.insert(import.to_owned(), progress.to_owned()));
        let job = Job { disk: &self.disk, lake: &self.lake, rows, series, name: &name, note: &note };
        flusher.store(job).map_err(|failed| failed.error)?.durable
    }

    /// Turns every row so far into Parquet and commits; rows that arrive meanwhile wait for the next flush.
    ///
    /// # Errors
    /// When a file cannot be written; the rows stay in the log and are tried again.
    pub fn flush(&self) -> Result<()> {
        let mut flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        // Everything up to here goes to the old segment, everything after it to a new one.
        let old = loop {
            match inner.segment.take() {
                Some(segment) if inner.pending.is_empty() => break segment,
                Some(segment) => {
                    inner = self.write_log(inner, segment);
                    self.log_failure(&inner)?;
                }
                None => inner = self.written.wait(inner).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let consumed = old.number;
        let nothing = inner.rows.is_empty() && flusher.written() == inner.tables.count();
        let next = if nothing { None } else { Some(Segment::create(&self.disk, &self.lake, consumed + 1)) };
        match next {
            Some(Ok(segment)) => inner.segment = Some(segment),
            other => {
                inner.segment = Some(old);
                self.written.notify_all();
                return other.map_or(Ok(()), |failed| failed.map(drop));
            }
        }
        self.written.notify_all();
        flusher.learn(&inner.tables);
        let series = new_series(&flusher, &inner)?;
        let rows = std::mem::take(&mut inner.rows);
        drop(inner);

        let name = format!("part-{consumed:020}");
        let note = |next: &mut Snapshot| next.log_consumed = consumed;
        let job = Job { disk: &self.disk, lake: &self.lake, rows, series, name: &name, note: &note };
        match flusher.store(job) {
            Ok(committed) => {
                self.lock().stats.flushes += 1;
                // Until the commit surely outlives a power cut, the log is the only copy that does.
                committed.durable?;
                log::remove(&self.disk, &self.lake, consumed)
            }
            Err(failed) => {
                let NotStored { error, rows } = *failed;
                // The log still holds them; the next flush tries again together with what came since.
                let mut inner = self.lock();
                let newer = std::mem::replace(&mut inner.rows, rows);
                inner.rows.extend(newer);
                Err(error)
            }
        }
    }

    /// Flushes and lets go of the lake.
    ///
    /// # Errors
    /// As [`LakeWriter::flush`].
    pub fn close(self) -> Result<()> {
        self.flush()
    }
}

fn buffered(row: LakeRow, known_at: i64) -> Buffered {
    // Nothing is known before its time; a sender's clock may run ahead of ours.
    Buffered { series: row.series.0, time: row.time, value: row.value, known_at: known_at.max(row.time) }
}

fn new_series(flusher: &Flusher, inner: &Inner) -> Result<Option<arrow::array::RecordBatch>> {
    let from = flusher.written();
    (from < inner.tables.count()).then(|| inner.tables.batch(from)).transpose()
}

impl Inner {
    fn replay(&mut self, lake: &Path, segment: u64, payload: &[u8]) -> Result<()> {
        let unreadable = || {
            DatasetError::config(
                log::path_of(lake, segment).display().to_string(),
                "a record whose checksum is right cannot be read: another build wrote it, or series files are missing",
            )
        };
        match records::read(payload).ok_or_else(unreadable)? {
            Record::Series(id, series) => {
                if id < self.tables.count() {
                    return if self.tables.is(id, &series) { Ok(()) } else { Err(unreadable()) };
                }
                if self.tables.add(&series)? != id {
                    return Err(unreadable());
                }
            }
            Record::Rows(known_at, rows) => {
                let before = self.rows.len();
                self.rows.extend(records::each_row(rows).map(|row| buffered(row, known_at)));
                if self.rows[before..].iter().any(|row| row.series >= self.tables.count()) {
                    return Err(unreadable());
                }
            }
        }
        Ok(())
    }
}

/// Removes what a flush or import that died has written and never committed. Only the one writer writes files of
/// these names.
fn remove_leftovers(disk: &Disk, lake: &Path, snapshot: &Snapshot) -> Result<()> {
    let mut folders = vec![lake.join("samples"), lake.join("series"), lake.join("metrics")];
    let files = snapshot.files.iter().map(|file| file.path.as_str());
    let known: HashSet<&str> = files.chain(snapshot.removed.iter().map(|removed| removed.path.as_str())).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.map_err(DatasetError::io(&folder, "list the folder"))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let relative = path.strip_prefix(lake).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if (name.starts_with("part-") || name.starts_with("metrics-")) && !known.contains(relative.as_str()) {
                tracing::info!(path = %path.display(), "removing what a run that died left");
                disk.remove(&path)?;
            }
        }
    }
    Ok(())
}
