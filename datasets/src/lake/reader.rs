//! Reading a lake: a snapshot, its tables, and runs of samples in the lake's order.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use features::{Catalogue, EntityKind, MetricId, Tile};
use serde::Serialize;

use super::commit::{LakeFile, Snapshot, Table};
use super::part_reader::{BATCH, Footers, PartReader};
use super::scan::{Run, Scan, scan_parts};
use super::tables::{self, LakeTables, Rank};
use super::{DAY, READERS, check, log, tile_file};
use crate::error::{DatasetError, Result};
use crate::file_lock;

/// A lake opened for reading; what is committed later is not seen.
#[derive(Debug, Clone)]
pub struct Lake {
    dir: PathBuf,
    snapshot: Snapshot,
    tables: LakeTables,
    footers: Footers,
    /// While it is held no compaction deletes files that this snapshot names. `None` where the lake cannot be written.
    _reading: Option<Arc<File>>,
}

/// The samples of one kind and day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DayStatus {
    /// Files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Whether raw samples are pruned to what events need.
    pub pruned: bool,
}

/// What a lake holds, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LakeStatus {
    /// Number of the newest commit.
    pub commit: u64,
    /// Files of samples, by kind and day.
    pub days: BTreeMap<String, BTreeMap<String, DayStatus>>,
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

impl Lake {
    /// Opens the newest commit of the lake in `dir`.
    ///
    /// # Errors
    /// When it is no lake, of another format, or its series cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        check(&dir)?;
        let reading = file_lock::share(&dir.join(READERS))?.map(Arc::new);
        let snapshot = Snapshot::latest(&dir)?;
        tables::check_metrics(&dir, &snapshot, &Catalogue::standard())?;
        let tables = LakeTables::read(&dir, &snapshot)?;
        Ok(Self { dir, snapshot, tables, footers: Footers::default(), _reading: reading })
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
            let part = self.footers.open(&self.dir, file)?;
            groups.extend(part.groups().iter().map(|&(rows, low, high)| (low, high, rows)));
        }
        // Of pruned days entities may be left of which there is nothing but tiles.
        if let Some(until) = self.pruned_until(kind) {
            let tiles = self.snapshot.table(Table::Tiles).filter(|file| file.kind == kind.name());
            groups.extend(tiles.filter(|file| file.times.0 < until).map(|f| (f.entities.0, f.entities.1, f.rows)));
        }
        Ok(ranges(&groups, most_rows))
    }

    /// Hands over the samples wanted, by (entity, metric, series), each series in one run.
    ///
    /// Memory holds one batch per file and the samples of one series; only where more than 256 files have to be
    /// read side by side, because nobody compacted them, all samples of the entities asked for: then ask for ranges
    /// of [`Lake::ranges`].
    ///
    /// # Errors
    /// When a file cannot be read, or `each` refuses.
    pub fn scan(&self, scan: &Scan, each: &mut dyn FnMut(Run<'_>) -> Result<()>) -> Result<()> {
        let files: Vec<&LakeFile> =
            self.snapshot.table(Table::Samples).filter(|file| file.kind == scan.kind.name()).collect();
        scan_parts(&self.footers, &self.dir, &self.tables, &files, scan, each)
    }

    /// End of the newest day of a kind whose raw samples are pruned, milliseconds; `None` where all are there.
    #[must_use]
    pub fn pruned_until(&self, kind: EntityKind) -> Option<i64> {
        let of = |table: Table| self.snapshot.table(table).filter(move |file| file.kind == kind.name());
        // A pruning may have left nothing of a day but its tiles.
        let raw = |date: &str| {
            let mut files = of(Table::Samples).filter(|file| file.date == date).peekable();
            files.peek().is_some() && files.all(|file| !file.pruned)
        };
        let days = of(Table::Tiles).filter(|file| !raw(&file.date));
        days.map(|file| (file.times.1.div_euclid(DAY) + 1) * DAY).max()
    }

    /// Tiles of the days up to a moment, by series, in order of time. Memory holds them all: ask for few entities.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn tiles(
        &self,
        kind: EntityKind,
        entities: (i32, i32),
        wanted: &dyn Fn(MetricId) -> bool,
        until: i64,
        catalogue: &Catalogue,
    ) -> Result<HashMap<u32, Vec<(i64, Tile)>>> {
        let mut files: Vec<&LakeFile> = self
            .snapshot
            .table(Table::Tiles)
            .filter(|file| file.kind == kind.name() && file.times.0 < until)
            .filter(|file| file.entities.0 <= entities.1 && file.entities.1 >= entities.0)
            .collect();
        files.sort_by_key(|file| file.times);
        let mut tiles: HashMap<u32, Vec<(i64, Tile)>> = HashMap::new();
        for file in files {
            tile_file::read(&self.dir.join(&file.path), entities, wanted, catalogue, &mut |(
                _,
                _,
                series,
                number,
                tile,
            )| {
                tiles.entry(series).or_default().push((number, tile));
            })?;
        }
        Ok(tiles)
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
            day.files += 1;
            day.rows += file.rows;
            day.bytes += file.bytes;
            day.pruned |= file.pruned;
            status.rows += file.rows;
            let (low, high) = status.times.unwrap_or(file.times);
            status.times = Some((low.min(file.times.0), high.max(file.times.1)));
        }
        for entity in self.tables.entities() {
            *status.entities.entry(entity.kind.name().to_owned()).or_default() += 1;
        }
        Ok(status)
    }

    /// Recomputes the digest of every file, and checks that samples are in order and refer to known series and that
    /// the log can be read.
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
        log::check(&self.dir)?;
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
        let mut before: Option<(Rank, i64)> = None;
        let mut rows = 0;
        let mut part = PartReader::open(&self.dir, file)?.cursor(&|_, _| true, false, BATCH)?;
        while let Some(cursor) = &mut part {
            let series = cursor.series();
            if series as usize >= self.tables.series().len() {
                return refuse("series_id", format!("{series}, which no series file defines"));
            }
            let rank = self.tables.rank(series);
            let times = cursor.columns().0;
            let follows = before.is_none_or(|(last, time)| last < rank || last == rank && time < times[0]);
            if !follows || !times.is_sorted_by(|a, b| a < b) {
                return refuse("order by (entity_id, metric, series_id, ts)", format!("{rank:?} after {before:?}"));
            }
            before = times.last().map(|&time| (rank, time));
            rows += times.len() as u64;
            if !cursor.advance()? {
                break;
            }
        }
        if rows == file.rows { Ok(()) } else { refuse("rows", rows.to_string()) }
    }
}

/// The lock that no reader holds, or `None` while one does.
pub(super) fn nobody_reads(lake: &Path) -> Result<Option<File>> {
    file_lock::try_lock(&lake.join(READERS))
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
