//! Reading a lake: a snapshot, its tables, and runs of samples in the lake's order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use features::{EntityKind, MetricId};
use serde::Serialize;

use super::commit::{LakeFile, Snapshot, Table};
use super::part::PartReader;
use super::tables::LakeTables;
use super::{check, log};
use crate::error::{DatasetError, Result};

/// A lake opened for reading; what is committed later is not seen.
#[derive(Debug, Clone)]
pub struct Lake {
    dir: PathBuf,
    snapshot: Snapshot,
    tables: LakeTables,
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Which kind of entities.
    pub kind: EntityKind,
    /// Entity ids, both included.
    pub entities: (i32, i32),
    /// Metrics by storage id, indexed by it; `None` for all.
    pub metrics: Option<Vec<bool>>,
    /// Times in milliseconds, half-open.
    pub times: Range<i64>,
}

impl Scan {
    /// Everything of a kind.
    #[must_use]
    pub fn all(kind: EntityKind) -> Self {
        Self { kind, entities: (0, i32::MAX), metrics: None, times: i64::MIN..i64::MAX }
    }

    /// Only these metrics.
    #[must_use]
    pub fn with_metrics(mut self, metrics: &[MetricId]) -> Self {
        let size = metrics.iter().map(|metric| usize::from(metric.0) + 1).max().unwrap_or(0);
        let mut wanted = vec![false; size];
        for metric in metrics {
            wanted[usize::from(metric.0)] = true;
        }
        self.metrics = Some(wanted);
        self
    }

    fn wants(&self, metric: MetricId) -> bool {
        self.metrics.as_ref().is_none_or(|wanted| wanted.get(usize::from(metric.0)).copied().unwrap_or(false))
    }
}

/// Samples of one series in time order, each time once.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Entity id.
    pub entity: i32,
    /// Metric.
    pub metric: MetricId,
    /// Series id.
    pub series: u32,
    /// Milliseconds, strictly increasing.
    pub times: &'a [i64],
    /// Canonical unit; the stale mark keeps its bits.
    pub values: &'a [f64],
    /// When each was known, milliseconds.
    pub known_at: &'a [i64],
}

/// What a lake holds, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LakeStatus {
    /// Number of the newest commit.
    pub commit: u64,
    /// Files of samples, by kind and day: files, rows, bytes, whether pruned.
    pub days: BTreeMap<String, BTreeMap<String, (u64, u64, u64, bool)>>,
    /// Entities by kind.
    pub entities: BTreeMap<String, u64>,
    /// Series.
    pub series: u64,
    /// Rows of samples.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Log segments waiting to become Parquet.
    pub log_segments: u64,
    /// Identical samples dropped so far.
    pub duplicates: u64,
    /// Differing samples of one time dropped so far.
    pub conflicts: u64,
    /// First and last time, milliseconds.
    pub times: Option<(i64, i64)>,
    /// Imports and how far each has come.
    pub imports: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Gathered {
    times: Vec<i64>,
    values: Vec<f64>,
    known_at: Vec<i64>,
}

impl Lake {
    /// Opens the newest commit of the lake in `dir`.
    ///
    /// # Errors
    /// When it is no lake, of another format, or its series cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        check(&dir)?;
        let snapshot = Snapshot::latest(&dir)?;
        let tables = LakeTables::read(&dir, &snapshot)?;
        Ok(Self { dir, snapshot, tables })
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it is made of.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Its series and entities.
    #[must_use]
    pub fn tables(&self) -> &LakeTables {
        &self.tables
    }

    /// First and last sample time of a kind.
    #[must_use]
    pub fn times(&self, kind: EntityKind) -> Option<(i64, i64)> {
        let files = self.snapshot.table(Table::Samples).filter(|file| file.kind == kind.name());
        files.map(|file| file.times).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Ranges of entity ids that hold about `most_rows` samples each, one entity at least.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn ranges(&self, kind: EntityKind, most_rows: u64) -> Result<Vec<(i32, i32)>> {
        let mut groups: Vec<(i32, i32, u64)> = Vec::new();
        for file in self.snapshot.table(Table::Samples).filter(|file| file.kind == kind.name()) {
            let part = PartReader::open(&self.dir, file)?;
            groups.extend(part.groups().iter().map(|&(rows, low, high)| (low, high, rows)));
        }
        Ok(ranges(&groups, most_rows))
    }

    /// Hands over the samples wanted, by (entity, metric, series), each series in one run.
    ///
    /// Memory holds the samples of the entities asked for: ask for ranges of [`Lake::ranges`].
    ///
    /// # Errors
    /// When a file cannot be read, or `each` refuses.
    pub fn scan(&self, scan: &Scan, each: &mut dyn FnMut(Run<'_>) -> Result<()>) -> Result<()> {
        let files: Vec<&LakeFile> =
            self.snapshot.table(Table::Samples).filter(|file| file.kind == scan.kind.name()).collect();
        scan_files(&self.dir, &self.tables, &files, scan, each)
    }

    /// What it holds.
    ///
    /// # Errors
    /// When its log cannot be listed.
    pub fn status(&self) -> Result<LakeStatus> {
        let mut status = LakeStatus {
            commit: self.snapshot.number,
            days: BTreeMap::new(),
            entities: BTreeMap::new(),
            series: self.tables.series().len() as u64,
            rows: 0,
            bytes: self.snapshot.files.iter().map(|file| file.bytes).sum(),
            log_segments: log::segments(&self.dir)?.len() as u64,
            duplicates: self.snapshot.duplicates,
            conflicts: self.snapshot.conflicts,
            times: None,
            imports: self.snapshot.imports.clone(),
        };
        for file in self.snapshot.table(Table::Samples) {
            let day = status.days.entry(file.kind.clone()).or_default().entry(file.date.clone()).or_default();
            *day = (day.0 + 1, day.1 + file.rows, day.2 + file.bytes, day.3 || file.pruned);
            status.rows += file.rows;
            let (low, high) = status.times.unwrap_or(file.times);
            status.times = Some((low.min(file.times.0), high.max(file.times.1)));
        }
        for entity in self.tables.entities() {
            *status.entities.entry(entity.kind.name().to_owned()).or_default() += 1;
        }
        Ok(status)
    }

    /// Recomputes the digest of every file, and checks that samples are in order and refer to known series.
    ///
    /// # Errors
    /// Naming the first file that is not as its commit says.
    pub fn verify(&self, progress: &dyn crate::Progress) -> Result<u64> {
        progress.begin("verifying the lake", Some(self.snapshot.files.len() as u64));
        for file in &self.snapshot.files {
            let path = self.dir.join(&file.path);
            let (sha256, bytes) = crate::parquet_file::digest(&path)?;
            if sha256 != file.sha256 || bytes != file.bytes {
                return Err(DatasetError::Disagrees {
                    path,
                    what: "SHA-256",
                    expected: file.sha256.clone(),
                    got: sha256,
                });
            }
            if file.table == Table::Samples {
                self.verify_order(file)?;
            }
            progress.advance(1);
        }
        progress.end();
        Ok(self.snapshot.files.len() as u64)
    }

    fn verify_order(&self, file: &LakeFile) -> Result<()> {
        let refuse = |what, got: String| {
            Err(DatasetError::Disagrees {
                path: self.dir.join(&file.path),
                what,
                expected: "as the lake's format says".to_owned(),
                got,
            })
        };
        let mut before: Option<((i32, u16, u32), i64)> = None;
        let mut rows = 0;
        PartReader::open(&self.dir, file)?.read(i32::MIN, i32::MAX, &mut |batch| {
            for (&series, &time) in batch.series.iter().zip(batch.times) {
                let series = series.cast_unsigned();
                if series as usize >= self.tables.series().len() {
                    return refuse("series_id", format!("{series}, which no series file defines"));
                }
                let key = (self.tables.rank(series), time);
                if before.is_some_and(|before| before >= key) {
                    return refuse("order by (entity_id, metric, series_id, ts)", format!("{key:?} after {before:?}"));
                }
                before = Some(key);
                rows += 1;
            }
            Ok(())
        })?;
        if rows == file.rows { Ok(()) } else { refuse("rows", rows.to_string()) }
    }
}

/// Splits the entities of row groups `(low, high, rows)` into ranges of about `most_rows`.
pub(super) fn ranges(groups: &[(i32, i32, u64)], most_rows: u64) -> Vec<(i32, i32)> {
    // Rows of a group are taken to be spread evenly over its entities.
    let mut borders: BTreeMap<i32, f64> = BTreeMap::new();
    let Some(first) = groups.iter().map(|group| group.0).min() else { return Vec::new() };
    let last = groups.iter().map(|group| group.1).max().unwrap_or(first);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    for &(low, high, rows) in groups {
        let density = rows as f64 / (f64::from(high) - f64::from(low) + 1.0);
        *borders.entry(low).or_default() += density;
        *borders.entry(high.saturating_add(1)).or_default() -= density;
    }
    let mut ranges = Vec::new();
    let (mut start, mut held, mut density, mut at) = (first, 0.0, 0.0, first);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let most = most_rows.max(1) as f64;
    for (&border, change) in &borders {
        while at < border.min(last.saturating_add(1)) {
            // As many entities of this density as still fit, one at least.
            #[expect(clippy::cast_possible_truncation, reason = "bounded by the entities up to the border")]
            let fit = if density > 0.0 {
                (((most - held) / density).floor().max(1.0)).min(f64::from(border - at))
            } else {
                f64::from(border - at)
            } as i32;
            held += density * f64::from(fit);
            at += fit;
            if held >= most || at > last {
                ranges.push((start, at - 1));
                (start, held) = (at, 0.0);
            }
        }
        density += change;
    }
    if start <= last {
        ranges.push((start, last));
    }
    ranges
}

/// As [`Lake::scan`], over these files.
pub(super) fn scan_files(
    lake: &Path,
    tables: &LakeTables,
    files: &[&LakeFile],
    scan: &Scan,
    each: &mut dyn FnMut(Run<'_>) -> Result<()>,
) -> Result<()> {
    let (low, high) = scan.entities;
    let mut chosen: Vec<&LakeFile> = files
        .iter()
        .copied()
        .filter(|file| file.entities.0 <= high && file.entities.1 >= low)
        .filter(|file| file.times.0 < scan.times.end && file.times.1 >= scan.times.start)
        .collect();
    // In time order, runs mostly only have to be put end to end.
    chosen.sort_by_key(|file| file.times);
    let series = tables.series();
    let mut gathered: BTreeMap<(i32, u16, u32), Gathered> = BTreeMap::new();
    for file in chosen {
        let whole = file.times.0 >= scan.times.start && file.times.1 < scan.times.end;
        PartReader::open(lake, file)?.read(low, high, &mut |rows| {
            let mut at = 0;
            while at < rows.series.len() {
                let id = rows.series[at];
                let length = run_length(&rows.series[at..]);
                let (from, until) = (at, at + length);
                at = until;
                let row = series.get(id.cast_unsigned() as usize).ok_or_else(|| {
                    DatasetError::config(&file.path, format!("series {id} is in no series file; verify the lake"))
                })?;
                if row.entity < low || row.entity > high || !scan.wants(row.metric) {
                    continue;
                }
                let (mut from, mut until) = (from, until);
                if !whole {
                    from += rows.times[from..until].partition_point(|&time| time < scan.times.start);
                    until = from + rows.times[from..until].partition_point(|&time| time < scan.times.end);
                }
                let into = gathered.entry((row.entity, row.metric.0, id.cast_unsigned())).or_default();
                into.times.extend_from_slice(&rows.times[from..until]);
                into.values.extend_from_slice(&rows.values[from..until]);
                into.known_at.extend_from_slice(&rows.known_at[from..until]);
            }
            Ok(())
        })?;
    }
    while let Some(((entity, metric, series), mut run)) = gathered.pop_first() {
        if !run.times.is_sorted_by(|a, b| a < b) {
            run.settle();
        }
        each(Run {
            entity,
            metric: MetricId(metric),
            series,
            times: &run.times,
            values: &run.values,
            known_at: &run.known_at,
        })?;
    }
    Ok(())
}

/// Length of the run of equal ids at the start, in leaps.
fn run_length(ids: &[i32]) -> usize {
    let first = ids[0];
    let mut length = 1;
    let mut leap = 64;
    while length < ids.len() {
        let end = (length + leap).min(ids.len());
        // Runs are sorted apart, so equal ends mean equal all between.
        if ids[end - 1] == first && ids[length..end].iter().all(|&id| id == first) {
            length = end;
            leap *= 2;
        } else {
            return length + ids[length..end].iter().take_while(|&&id| id == first).count();
        }
    }
    length
}

impl Gathered {
    /// Sorts by time and leaves one row of each: the earliest known, of those the larger value.
    fn settle(&mut self) {
        let mut order: Vec<usize> = (0..self.times.len()).collect();
        order.sort_by(|&a, &b| {
            (self.times[a], self.known_at[a])
                .cmp(&(self.times[b], self.known_at[b]))
                .then_with(|| self.values[b].total_cmp(&self.values[a]))
        });
        order.dedup_by_key(|at| self.times[*at]);
        self.times = order.iter().map(|&at| self.times[at]).collect::<Vec<_>>();
        let (values, known_at) = (&self.values, &self.known_at);
        let settled: (Vec<f64>, Vec<i64>) = order.iter().map(|&at| (values[at], known_at[at])).unzip();
        (self.values, self.known_at) = settled;
    }
}
