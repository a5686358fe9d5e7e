//! The one writer of a lake: rows are acknowledged once they are in the log, and become Parquet in batches.
//!
//! **Duplicates.** A sample is told by its series and time. Inside a flush, identical ones are dropped; of differing
//! ones the earliest `known_at` wins, ties by the larger value in total order. A row that is not later than
//! everything its kind's files hold is looked up in the files that overlap it, and dropped when it is there: what a
//! sender repeats after a crash is stored once.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};

use features::{CanonicalSeries, Catalogue, Entity, EntityKind, MetricId};
use hashbrown::{HashMap, HashSet};

use super::commit::{LakeFile, Snapshot, Table};
use super::log::{self, Segment};
use super::part::{PartReader, PartWriter};
use super::tables::{self, LakeTables};
use super::{create, date_of};
use crate::error::{DatasetError, Result};

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

#[derive(Debug, Clone, Copy)]
struct Buffered {
    series: u32,
    time: i64,
    value: f64,
    known_at: i64,
}

#[derive(Debug)]
struct Inner {
    tables: LakeTables,
    ids: HashMap<CanonicalSeries, u32>,
    /// Series below this are in files.
    series_written: u32,
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
    options: LakeOptions,
    inner: Mutex<Inner>,
    written: Condvar,
    /// Held by the thread that turns rows into Parquet.
    flushing: Mutex<()>,
    /// Held for life; the system lets go of it when the process dies.
    _lock: File,
}

const SERIES_RECORD: u8 = 1;
const ROWS_RECORD: u8 = 2;

impl LakeWriter {
    /// Opens the lake in `dir` for writing, making it where there is none, and replays what its log holds.
    ///
    /// # Errors
    /// When another process writes to it, it is of another format, or its log is corrupt.
    pub fn open(dir: &Path, options: LakeOptions) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(DatasetError::io(dir, "create the folder"))?;
        create(dir)?;
        let lock_path = dir.join("writer.lock");
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(DatasetError::io(&lock_path, "create the lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DatasetError::Busy { path: lock_path }),
            Err(TryLockError::Error(error)) => return Err(DatasetError::io(&lock_path, "lock the file")(error)),
        }
        let mut snapshot = Snapshot::latest(dir)?;
        let catalogue = Catalogue::standard();
        if snapshot.table(Table::Metrics).all(|file| file.rows != catalogue.definitions().len() as u64) {
            let metrics = tables::write_metrics(dir, &catalogue)?;
            snapshot = Snapshot::commit(dir, |next| {
                next.files.retain(|file| file.table != Table::Metrics);
                next.files.push(metrics.clone());
                Ok(())
            })?;
        }
        let tables = LakeTables::read(dir, &snapshot)?;
        let mut ids = HashMap::with_capacity(tables.series().len());
        for id in 0..u32::try_from(tables.series().len()).unwrap_or(u32::MAX) {
            ids.insert(tables.canonical(id)?, id);
        }
        let mut inner = Inner {
            series_written: u32::try_from(tables.series().len()).unwrap_or(u32::MAX),
            tables,
            ids,
            rows: Vec::new(),
            pending: Vec::new(),
            put: 0,
            synced: 0,
            failed: None,
            segment: None,
            stats: WriterStats::default(),
        };
        log::remove(dir, snapshot.log_consumed)?;
        let segments = log::segments(dir)?;
        for &number in &segments {
            let newest = segments.last() == Some(&number);
            log::replay(dir, number, newest, &mut |payload| inner.replay(dir, payload))?;
        }
        inner.stats.replayed = inner.rows.len() as u64;
        let next = segments.last().copied().unwrap_or(snapshot.log_consumed).max(snapshot.log_consumed) + 1;
        inner.segment = Some(Segment::create(dir, next)?);
        remove_leftovers(dir, &snapshot)?;
        Ok(Self {
            lake: dir.to_owned(),
            options,
            inner: Mutex::new(inner),
            written: Condvar::new(),
            flushing: Mutex::new(()),
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
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The id of a series, new or known. It is in the log before the first row that uses it.
    ///
    /// # Errors
    /// When a new series would pass the limit.
    pub fn register(&self, series: &CanonicalSeries) -> Result<SeriesId> {
        let mut inner = self.lock();
        if let Some(&id) = inner.ids.get(series) {
            return Ok(SeriesId(id));
        }
        if inner.ids.len() >= self.options.max_series {
            return Err(DatasetError::SeriesLimit { limit: self.options.max_series });
        }
        let id = inner.tables.add(series)?;
        inner.ids.insert(series.clone(), id);
        let record = series_record(id, series);
        log::frame(&record, &mut inner.pending);
        inner.put += 1;
        Ok(SeriesId(id))
    }

    /// Puts rows into the log's buffer; they are durable once [`LakeWriter::wait`] of the ticket returns.
    ///
    /// # Errors
    /// When twice [`LakeOptions::flush_rows`] are waiting to become Parquet: the caller should try again later.
    pub fn append(&self, known_at: i64, rows: &[LakeRow]) -> Result<Ticket> {
        let mut record = Vec::with_capacity(13 + 20 * rows.len());
        record.push(ROWS_RECORD);
        record.extend_from_slice(&known_at.to_le_bytes());
        record.extend_from_slice(&u32::try_from(rows.len()).unwrap_or(u32::MAX).to_le_bytes());
        for row in rows {
            record.extend_from_slice(&row.series.0.to_le_bytes());
            record.extend_from_slice(&row.time.to_le_bytes());
            record.extend_from_slice(&row.value.to_bits().to_le_bytes());
        }
        let mut inner = self.lock();
        if inner.rows.len() + rows.len() > 2 * self.options.flush_rows.max(rows.len()) {
            return Err(DatasetError::Full { path: self.lake.clone(), waiting: inner.rows.len() });
        }
        log::frame(&record, &mut inner.pending);
        inner.rows.extend(rows.iter().map(|row| Buffered {
            series: row.series.0,
            time: row.time,
            value: row.value,
            known_at: known_at.max(row.time),
        }));
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
            if let Some((until, reason, full)) = &inner.failed
                && *until >= ticket.0
            {
                let path = self.lake.join("wal");
                return Err(if *full {
                    DatasetError::DiskFull { path }
                } else {
                    DatasetError::io(&path, "write the log")(std::io::Error::other(reason.clone()))
                });
            }
            inner = match inner.segment.take() {
                Some(segment) => self.write_log(inner, segment),
                None => self.written.wait(inner).unwrap_or_else(std::sync::PoisonError::into_inner),
            };
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
        WriterStats { waiting: inner.rows.len(), series: inner.ids.len(), ..inner.stats }
    }

    /// How far an import has come, as committed.
    ///
    /// # Errors
    /// When the commit cannot be read.
    pub fn import_progress(&self, import: &str) -> Result<Option<String>> {
        Ok(Snapshot::latest(&self.lake)?.imports.remove(import))
    }

    /// Turns every row so far into Parquet and commits; rows that arrive meanwhile wait for the next flush.
    ///
    /// # Errors
    /// When a file cannot be written; the rows stay in the log and are tried again.
    pub fn flush(&self) -> Result<()> {
        self.flush_with()
    }

    /// Stores rows of the past, each with the time it became known, and in the same commit how far the import of
    /// this name has come: both are there or neither. The log is not needed for that.
    ///
    /// # Errors
    /// When a file cannot be written; then nothing of it is stored.
    pub fn import(&self, import: &str, progress: &str, rows: &[(LakeRow, i64)]) -> Result<()> {
        let _flushing = self.flushing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let inner = self.lock();
        let tables = inner.tables.clone();
        let from = inner.series_written;
        drop(inner);
        let until = u32::try_from(tables.series().len()).unwrap_or(u32::MAX);
        let rows: Vec<Buffered> = rows
            .iter()
            .map(|&(LakeRow { series, time, value }, known_at)| Buffered {
                series: series.0,
                time,
                value,
                known_at: known_at.max(time),
            })
            .collect();
        let number = Snapshot::latest(&self.lake)?.number;
        let name = format!("part-import-{number:020}");
        self.to_parquet(&tables, &rows, (from, until), &name, |next| {
            next.imports.insert(import.to_owned(), progress.to_owned());
        })?;
        self.lock().series_written = until;
        Ok(())
    }

    fn flush_with(&self) -> Result<()> {
        let _flushing = self.flushing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut inner = self.lock();
        // Everything up to here goes to the old segment, everything after it to a new one.
        let old = loop {
            match inner.segment.take() {
                Some(segment) if inner.pending.is_empty() => break segment,
                Some(segment) => {
                    inner = self.write_log(inner, segment);
                    if let Some((_, reason, _)) = &inner.failed {
                        return Err(DatasetError::io(&self.lake.join("wal"), "write the log")(std::io::Error::other(
                            reason.clone(),
                        )));
                    }
                }
                None => inner = self.written.wait(inner).unwrap_or_else(std::sync::PoisonError::into_inner),
            }
        };
        let consumed = old.number;
        if inner.rows.is_empty() && inner.series_written as usize == inner.tables.series().len() {
            inner.segment = Some(old);
            self.written.notify_all();
            return Ok(());
        }
        match Segment::create(&self.lake, consumed + 1) {
            Ok(segment) => inner.segment = Some(segment),
            Err(error) => {
                inner.segment = Some(old);
                self.written.notify_all();
                return Err(error);
            }
        }
        self.written.notify_all();
        let rows = std::mem::take(&mut inner.rows);
        let tables = inner.tables.clone();
        let from = inner.series_written;
        let until = u32::try_from(tables.series().len()).unwrap_or(u32::MAX);
        drop(inner);

        let name = format!("part-{consumed:020}");
        let outcome = self.to_parquet(&tables, &rows, (from, until), &name, |next| next.log_consumed = consumed);
        let mut inner = self.lock();
        match outcome {
            Ok(()) => {
                inner.series_written = until;
                inner.stats.flushes += 1;
                drop(inner);
                log::remove(&self.lake, consumed)
            }
            Err(error) => {
                // The log still holds them; the next flush tries again together with what came since.
                let newer = std::mem::replace(&mut inner.rows, rows);
                inner.rows.extend(newer);
                Err(error)
            }
        }
    }

    fn to_parquet(
        &self,
        tables: &LakeTables,
        rows: &[Buffered],
        (from, until): (u32, u32),
        name: &str,
        note: impl Fn(&mut Snapshot),
    ) -> Result<()> {
        let snapshot = Snapshot::latest(&self.lake)?;
        let mut by_series = sorted(rows, until);
        let mut dropped = Dropped::default();
        by_series.retain(|(_, rows)| !rows.is_empty());
        for (_, rows) in &mut by_series {
            dropped.within(rows);
        }
        drop_stored(&self.lake, &snapshot, tables, &mut by_series, &mut dropped)?;
        by_series.sort_by_key(|(series, _)| tables.rank(*series));

        let mut parts: BTreeMap<(EntityKind, String), PartWriter> = BTreeMap::new();
        let (mut times, mut values, mut known_at) = (Vec::new(), Vec::new(), Vec::new());
        for (series, rows) in &by_series {
            let kind = tables.kind(*series);
            for day in rows.chunk_by(|a, b| a.time.div_euclid(super::DAY) == b.time.div_euclid(super::DAY)) {
                let date = date_of(day[0].time);
                let part = match parts.entry((kind, date)) {
                    std::collections::btree_map::Entry::Occupied(part) => part.into_mut(),
                    std::collections::btree_map::Entry::Vacant(place) => {
                        let part = PartWriter::create(&self.lake, kind.name(), &place.key().1, name)?;
                        place.insert(part)
                    }
                };
                times.clear();
                values.clear();
                known_at.clear();
                times.extend(day.iter().map(|row| row.time));
                values.extend(day.iter().map(|row| row.value));
                known_at.extend(day.iter().map(|row| row.known_at));
                part.push(tables, *series, (&times, &values, &known_at))?;
            }
        }
        let mut files: Vec<LakeFile> = Vec::new();
        for part in parts.into_values() {
            files.extend(part.finish(false)?);
        }
        if until > from {
            files.push(tables.write(&self.lake, from, until)?);
            super::commit::sync_folder(&self.lake.join("series"))?;
        }
        Snapshot::commit(&self.lake, |next| {
            next.files.extend(files.iter().cloned());
            next.duplicates += dropped.duplicates;
            next.conflicts += dropped.conflicts;
            note(next);
            Ok(())
        })?;
        Ok(())
    }

    /// Flushes and lets go of the lake.
    ///
    /// # Errors
    /// As [`LakeWriter::flush`].
    pub fn close(self) -> Result<()> {
        self.flush()
    }
}

impl Inner {
    fn replay(&mut self, lake: &Path, payload: &[u8]) -> Result<()> {
        let torn = || DatasetError::config(lake.display().to_string(), "a record of the log cannot be read".to_owned());
        let mut rest = payload;
        match take::<1>(&mut rest).ok_or_else(torn)?[0] {
            SERIES_RECORD => {
                let id = u32::from_le_bytes(take(&mut rest).ok_or_else(torn)?);
                let metric = u16::from_le_bytes(take(&mut rest).ok_or_else(torn)?);
                let mut texts = Vec::new();
                for _ in 0..4 {
                    let length = u32::from_le_bytes(take(&mut rest).ok_or_else(torn)?) as usize;
                    let (text, after) = rest.split_at_checked(length).ok_or_else(torn)?;
                    texts.push(std::str::from_utf8(text).map_err(|_| torn())?);
                    rest = after;
                }
                let named = DatasetError::feature("lake log");
                let kind = EntityKind::from_name(texts[0]).map_err(&named)?;
                let entity = Entity::try_new(kind, texts[1], texts[2]).map_err(&named)?;
                let series = CanonicalSeries { entity, metric: MetricId(metric), part: texts[3].to_owned() };
                if (id as usize) < self.tables.series().len() {
                    return if self.tables.canonical(id)? == series { Ok(()) } else { Err(torn()) };
                }
                if self.tables.add(&series)? != id {
                    return Err(torn());
                }
                self.ids.insert(series, id);
                Ok(())
            }
            ROWS_RECORD => {
                let known_at = i64::from_le_bytes(take(&mut rest).ok_or_else(torn)?);
                let count = u32::from_le_bytes(take(&mut rest).ok_or_else(torn)?);
                for _ in 0..count {
                    let series = u32::from_le_bytes(take(&mut rest).ok_or_else(torn)?);
                    let time = i64::from_le_bytes(take(&mut rest).ok_or_else(torn)?);
                    let value = f64::from_bits(u64::from_le_bytes(take(&mut rest).ok_or_else(torn)?));
                    if series as usize >= self.tables.series().len() {
                        return Err(torn());
                    }
                    self.rows.push(Buffered { series, time, value, known_at: known_at.max(time) });
                }
                Ok(())
            }
            _ => Err(torn()),
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn series_record(id: u32, series: &CanonicalSeries) -> Vec<u8> {
    let mut record = vec![SERIES_RECORD];
    record.extend_from_slice(&id.to_le_bytes());
    record.extend_from_slice(&series.metric.0.to_le_bytes());
    let entity = &series.entity;
    for text in [entity.kind().name(), entity.key(), entity.incarnation(), &series.part] {
        record.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        record.extend_from_slice(text.as_bytes());
    }
    record
}

type BySeries = Vec<(u32, Vec<Buffered>)>;

/// Rows per series, each sorted by time, then by when it was known, then by value.
fn sorted(rows: &[Buffered], series: u32) -> BySeries {
    let mut counts = vec![0_usize; series as usize];
    for row in rows {
        counts[row.series as usize] += 1;
    }
    let mut by_series: BySeries =
        (0..series).zip(&counts).map(|(id, &count)| (id, Vec::with_capacity(count))).collect();
    for row in rows {
        by_series[row.series as usize].1.push(*row);
    }
    for (_, rows) in &mut by_series {
        if !rows.is_sorted_by(|a, b| a.time < b.time) {
            rows.sort_by(|a, b| {
                (a.time, a.known_at).cmp(&(b.time, b.known_at)).then_with(|| b.value.total_cmp(&a.value))
            });
        }
    }
    by_series
}

#[derive(Debug, Default)]
struct Dropped {
    duplicates: u64,
    conflicts: u64,
}

impl Dropped {
    fn count(&mut self, kept: f64, other: f64) {
        if kept.to_bits() == other.to_bits() {
            self.duplicates += 1;
        } else {
            self.conflicts += 1;
        }
    }

    /// Leaves the first row of each time: the earliest known, of those the larger.
    fn within(&mut self, rows: &mut Vec<Buffered>) {
        rows.dedup_by(|next, kept| {
            let same = next.time == kept.time;
            if same {
                self.count(kept.value, next.value);
            }
            same
        });
    }
}

/// Drops rows that files hold already. Only rows not later than all files of their kind are looked at.
fn drop_stored(
    lake: &Path,
    snapshot: &Snapshot,
    tables: &LakeTables,
    by_series: &mut BySeries,
    dropped: &mut Dropped,
) -> Result<()> {
    let mut newest: HashMap<&str, i64> = HashMap::new();
    for file in snapshot.table(Table::Samples) {
        let time = newest.entry(file.kind.as_str()).or_insert(i64::MIN);
        *time = file.times.1.max(*time);
    }
    let mut suspects: HashSet<(u32, i64)> = HashSet::new();
    let mut span: HashMap<&str, (i64, i64, i32, i32)> = HashMap::new();
    for (series, rows) in by_series.iter() {
        let kind = tables.kind(*series).name();
        let limit = newest.get(kind).copied().unwrap_or(i64::MIN);
        let entity = tables.series()[*series as usize].entity;
        for row in rows.iter().take_while(|row| row.time <= limit) {
            suspects.insert((*series, row.time));
            let span = span.entry(kind).or_insert((i64::MAX, i64::MIN, i32::MAX, i32::MIN));
            *span = (span.0.min(row.time), span.1.max(row.time), span.2.min(entity), span.3.max(entity));
        }
    }
    if suspects.is_empty() {
        return Ok(());
    }
    let mut stored: HashMap<(u32, i64), f64> = HashMap::new();
    for file in snapshot.table(Table::Samples) {
        let Some(&(from, until, low, high)) = span.get(file.kind.as_str()) else { continue };
        if file.times.0 > until || file.times.1 < from || file.entities.0 > high || file.entities.1 < low {
            continue;
        }
        PartReader::open(lake, file)?.read(low, high, &mut |rows| {
            for ((&series, &time), &value) in rows.series.iter().zip(rows.times).zip(rows.values) {
                if time >= from && time <= until && suspects.contains(&(series.cast_unsigned(), time)) {
                    stored.insert((series.cast_unsigned(), time), value);
                }
            }
            Ok(())
        })?;
    }
    for (series, rows) in by_series.iter_mut() {
        rows.retain(|row| match stored.get(&(*series, row.time)) {
            Some(&value) => {
                dropped.count(value, row.value);
                false
            }
            None => true,
        });
    }
    Ok(())
}

/// Removes half-written files of runs that died; whole files that no commit names are left to `compact`, since
/// another process may be about to name them.
fn remove_leftovers(lake: &Path, snapshot: &Snapshot) -> Result<()> {
    let mut folders = vec![lake.join("samples"), lake.join("series"), lake.join("metrics")];
    let named: HashSet<&str> = snapshot.files.iter().map(|file| file.path.as_str()).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.map_err(DatasetError::io(&folder, "list the folder"))?;
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(lake).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let ours = entry.file_name().to_string_lossy().starts_with("part-");
            let staged = path.extension().is_some_and(|extension| extension == "staged");
            let waiting = snapshot.removed.iter().any(|removed| removed.path == relative);
            if ours && (staged || !named.contains(relative.as_str())) && !waiting {
                tracing::info!(path = %path.display(), "removing what a run that died left");
                std::fs::remove_file(&path).map_err(DatasetError::io(&path, "remove a leftover"))?;
            }
        }
    }
    Ok(())
}
