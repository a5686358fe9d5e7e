//! Merging small files, writing the tiles of closed days, and pruning raw samples whose tiles are written.
//!
//! Each day of each kind commits by itself, so a run that is killed has lost one day's work at most. Files taken
//! out stay on disk for a grace period, for readers of an older commit.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::Path;

use features::spec::{FlatColumn, FlatSource, KERNEL_VERSION, Statistic};
use features::{Catalogue, EntityKind, FeatureSpec, MetricId, Tile, TileBuilder, TileKernel, TimeAxis};
use serde::Serialize;
use survival::TimeUnit;

use super::commit::{LakeFile, Removed, Snapshot, Table};
use super::disk::Disk;
use super::part::PartWriter;
use super::part_reader::Footers;
use super::reader::{nobody_reads, ranges};
use super::scan::{Run, Scan, scan_parts};
use super::tables::{LakeTables, Rank};
use super::tile_file::{self, TileWriter};
use super::{DAY, LAKE_LAG, LAKE_TILE, check, date_of};
use crate::error::{DatasetError, Result};
use crate::file_lock;
use crate::progress::Progress;

/// Late rows of a closed day are merged at once when they are more than one in so many.
const FEW: u64 = 100;
/// After so long they are merged however few they are, milliseconds.
const PATIENCE: i64 = 2 * DAY;

/// How a compaction goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactOptions {
    /// Now, in milliseconds: days that end before it by more than [`CompactOptions::closed_after`] are closed.
    pub now: i64,
    /// How long after its end a day is still open for late samples, in milliseconds.
    pub closed_after: i64,
    /// Also days still open, without tiles.
    pub open_days: bool,
    /// Files taken out are deleted after this many milliseconds.
    pub grace: i64,
    /// Fewest files of an open day that are worth merging.
    pub fewest_files: usize,
    /// Rows held in memory at a time.
    pub most_rows: u64,
    /// Rows of a file of the result, about: 200 to 300 MB.
    pub most_file_rows: u64,
}

impl CompactOptions {
    /// The defaults: a day closes an hour after its end, files wait fifteen minutes for readers.
    #[must_use]
    pub fn at(now: i64) -> Self {
        Self {
            now,
            closed_after: 3_600_000,
            open_days: false,
            grace: 900_000,
            fewest_files: 2,
            most_rows: 8_000_000,
            most_file_rows: 1 << 26,
        }
    }
}

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    /// Days of a kind looked at.
    pub days: u64,
    /// Files merged, and into how many.
    pub merged: (u64, u64),
    /// Rows rewritten.
    pub rows: u64,
    /// Duplicate rows that fell out.
    pub duplicates: u64,
    /// Tiles written.
    pub tiles: u64,
    /// Files deleted from disk.
    pub deleted: u64,
}

/// What a pruning did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Days of a kind pruned.
    pub days: u64,
    /// Rows before and after.
    pub rows: (u64, u64),
    /// Bytes before and after.
    pub bytes: (u64, u64),
    /// Days left alone because their tiles are not written, as `kind date`.
    pub without_tiles: Vec<String>,
    /// Files deleted from disk.
    pub deleted: u64,
}

/// Merges the files of each day.
///
/// # Errors
/// When another compaction is running, or a file cannot be read or written.
pub fn compact(lake: &Path, options: &CompactOptions, progress: &dyn Progress) -> Result<CompactReport> {
    compact_on(&Disk::default(), lake, options, progress)
}

pub(super) fn compact_on(
    disk: &Disk,
    lake: &Path,
    options: &CompactOptions,
    progress: &dyn Progress,
) -> Result<CompactReport> {
    let _lock = lock(lake)?;
    let mut report = CompactReport { deleted: delete_removed(disk, lake, options)?, ..CompactReport::default() };
    let snapshot = Snapshot::latest(lake)?;
    remove_orphans(disk, lake, &snapshot)?;
    let tables = LakeTables::read(lake, &snapshot)?;
    let days = days(&snapshot);
    progress.begin("compacting days", Some(days.len() as u64));
    for ((kind, date), files) in &days {
        progress.advance(1);
        report.days += 1;
        let day = Day { disk, lake, tables: &tables, kind, date, files, number: snapshot.number };
        let tiles: Vec<&LakeFile> =
            snapshot.table(Table::Tiles).filter(|file| file.kind == *kind && file.date == *date).collect();
        let end = day_end(date).unwrap_or(i64::MAX);
        if end.saturating_add(options.closed_after) <= options.now {
            if due(files, end, options) {
                compact_closed(&day, &tiles, options, &mut report)?;
            }
        } else if options.open_days && files.len() >= options.fewest_files {
            let all: Vec<&LakeFile> = files.iter().collect();
            compact_day(&day, (&all, true), None, options, &mut report)?;
        }
    }
    progress.end();
    Ok(report)
}

/// Whether a closed day has files that no compaction has seen, and enough of them to be worth reading all others again.
fn due(files: &[LakeFile], day_end: i64, options: &CompactOptions) -> bool {
    let rows = |settled: bool| files.iter().filter(|f| f.settled == settled).map(|f| f.rows).sum::<u64>();
    let new = files.iter().filter(|file| !file.settled).count();
    // Until then features are made of the raw samples, late ones included, so nothing is lost by waiting.
    let few = new < 16 && rows(false).saturating_mul(FEW) < rows(true);
    new > 0 && (!few || day_end.saturating_add(PATIENCE) <= options.now)
}

/// Brings a closed day to rest: one run of files, and tiles of all its rows.
fn compact_closed(
    day: &Day<'_>,
    tiles: &[&LakeFile],
    options: &CompactOptions,
    report: &mut CompactReport,
) -> Result<()> {
    // What a pruning has left is in the old tiles, and they know more than it does.
    let raw: Vec<&LakeFile> = day.files.iter().filter(|file| !file.pruned).collect();
    compact_day(day, (&raw, raw.len() > 1), Some(tiles), options, report)
}

/// Files of one day of one kind, to be replaced.
struct Day<'a> {
    disk: &'a Disk,
    lake: &'a Path,
    tables: &'a LakeTables,
    kind: &'a str,
    date: &'a str,
    files: &'a [LakeFile],
    /// Of the commit they were found in: no other run replaces files of the same day under the same number.
    number: u64,
}

/// New files of a day, a next one begun whenever one is long enough.
struct NewParts<'a> {
    day: &'a Day<'a>,
    prefix: &'static str,
    /// Whether the files are pruned, and whether they are settled.
    marks: (bool, bool),
    most_rows: u64,
    open: Option<PartWriter>,
    files: Vec<LakeFile>,
}

impl<'a> NewParts<'a> {
    fn new(day: &'a Day<'a>, prefix: &'static str, marks: (bool, bool), options: &CompactOptions) -> Self {
        Self { day, prefix, marks, most_rows: options.most_file_rows, open: None, files: Vec::new() }
    }

    fn push(&mut self, run: Run<'_>) -> Result<()> {
        if self.open.as_ref().is_some_and(|part| part.rows() >= self.most_rows) {
            self.end_file()?;
        }
        let part = match &mut self.open {
            Some(part) => part,
            None => {
                let Day { disk, lake, kind, date, number, .. } = *self.day;
                let name = format!("{}-{number:020}-{:03}", self.prefix, self.files.len());
                self.open.insert(PartWriter::create(disk, lake, kind, date, &name)?)
            }
        };
        part.push(self.day.tables, run.series, (run.times, run.values, run.known_at))
    }

    fn end_file(&mut self) -> Result<()> {
        if let Some(part) = self.open.take() {
            self.files.extend(part.finish(self.marks.0, self.marks.1)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<LakeFile>> {
        self.end_file()?;
        Ok(self.files)
    }
}

fn compact_day(
    day: &Day<'_>,
    (chosen, merge): (&[&LakeFile], bool),
    old_tiles: Option<&[&LakeFile]>,
    options: &CompactOptions,
    report: &mut CompactReport,
) -> Result<()> {
    let Day { lake, tables, kind, date, .. } = *day;
    let mut parts = NewParts::new(day, "compact", (false, old_tiles.is_some()), options);
    let name = format!("compact-{:020}", day.number);
    let mut tile_writer = old_tiles.map(|_| TileWriter::create(lake, kind, date, &name)).transpose()?;
    let catalogue = Catalogue::standard();
    let spec = lake_spec(&catalogue);
    let kernel = TileKernel::try_new(&spec, &catalogue).map_err(DatasetError::feature("the lake's tiles"))?;
    let lives = spec.life_metrics(&catalogue);
    let mut rows = 0_u64;
    let entity_kind = EntityKind::from_name(kind).map_err(DatasetError::feature(date))?;
    let footers = Footers::default();
    let old = old_tiles.unwrap_or(&[]);
    for entities in day_ranges(chosen.iter().chain(old).copied(), options.most_rows) {
        let all = Scan { entities, ..Scan::all(entity_kind) };
        let mut builders: BTreeMap<i32, TileBuilder<'_>> = BTreeMap::new();
        if old_tiles.is_some() {
            // Counters are read by the starts of lives, so these come first; of a pruned day they are still there.
            let seen: Vec<&LakeFile> = day.files.iter().collect();
            scan_parts(&footers, lake, tables, &seen, &all.clone().with_metrics(&lives), &mut |run| {
                let builder = builders.entry(run.entity).or_insert_with(|| TileBuilder::new(&kernel, date));
                builder.take_lives(run.times, run.values, run.known_at);
                Ok(())
            })?;
        }
        scan_parts(&footers, lake, tables, chosen, &all, &mut |run| {
            rows += run.times.len() as u64;
            if merge {
                parts.push(run)?;
            }
            if old_tiles.is_some() {
                let builder = builders.entry(run.entity).or_insert_with(|| TileBuilder::new(&kernel, date));
                // A series is a part here; what parts mean together is said when they are read.
                builder
                    .extend_run(run.metric, run.series, run.times, run.values, run.known_at)
                    .map_err(DatasetError::feature(date))?;
            }
            Ok(())
        })?;
        if let Some(writer) = &mut tile_writer {
            let mut tiles: BTreeMap<(Rank, i64), Tile> = BTreeMap::new();
            for file in old.iter().filter(|file| file.entities.0 <= entities.1 && file.entities.1 >= entities.0) {
                tile_file::read(&lake.join(&file.path), entities, &|_| true, &catalogue, &mut |stored| {
                    let (_, _, series, number, tile) = stored;
                    tiles.insert((tables.rank(series), number), tile);
                })?;
            }
            for builder in builders.into_values() {
                for (_, series, number, tile) in builder.finish().tiles() {
                    let before = tiles.entry((tables.rank(series), number));
                    report.tiles += u64::from(matches!(before, Entry::Vacant(_)));
                    // Where raw samples are gone the old tile was made of more of them than there are now.
                    let stays = |old: &Tile| old.head().count > tile.head().count;
                    match before {
                        Entry::Occupied(old) if stays(old.get()) => {}
                        Entry::Occupied(mut old) => _ = old.insert(tile),
                        Entry::Vacant(vacant) => _ = vacant.insert(tile),
                    }
                }
            }
            for ((rank, number), tile) in tiles {
                writer.push(tables, rank.2, number, &tile)?;
            }
        }
    }
    let before: u64 = chosen.iter().map(|file| file.rows).sum();
    let mut parts = parts.finish()?;
    let merged = parts.len() as u64;
    let tile_file = tile_writer.map(TileWriter::finish).transpose()?.flatten();
    parts.extend(tile_file);
    let mut replaced: Vec<&str> = Vec::new();
    if merge {
        replaced.extend(chosen.iter().map(|file| file.path.as_str()));
    }
    replaced.extend(old.iter().map(|file| file.path.as_str()));
    let settled: &[&LakeFile] = if merge || old_tiles.is_none() { &[] } else { chosen };
    swap(day.disk, lake, &replaced, settled, &parts, options.now)?;
    report.rows += rows;
    if merge {
        report.merged = (report.merged.0 + chosen.len() as u64, report.merged.1 + merged);
        report.duplicates += before - rows;
    }
    Ok(())
}

/// Drops raw samples of days that ended more than `keep` milliseconds before now, but for `needed` metrics.
///
/// # Errors
/// When another compaction is running, or a file cannot be read or written.
pub fn prune(
    lake: &Path,
    keep: i64,
    needed: &[MetricId],
    without_tiles: bool,
    options: &CompactOptions,
    progress: &dyn Progress,
) -> Result<PruneReport> {
    prune_on(&Disk::default(), lake, keep, (needed, without_tiles), options, progress)
}

pub(super) fn prune_on(
    disk: &Disk,
    lake: &Path,
    keep: i64,
    (needed, without_tiles): (&[MetricId], bool),
    options: &CompactOptions,
    progress: &dyn Progress,
) -> Result<PruneReport> {
    let _lock = lock(lake)?;
    let mut report = PruneReport { deleted: delete_removed(disk, lake, options)?, ..PruneReport::default() };
    let snapshot = Snapshot::latest(lake)?;
    remove_orphans(disk, lake, &snapshot)?;
    let tables = LakeTables::read(lake, &snapshot)?;
    let old: Vec<_> = days(&snapshot)
        .into_iter()
        .filter(|((_, date), files)| {
            day_end(date).is_some_and(|end| end + keep <= options.now) && files.iter().any(|file| !file.pruned)
        })
        .collect();
    progress.begin("pruning days", Some(old.len() as u64));
    for ((kind, date), files) in old {
        progress.advance(1);
        // Rows that no tile knows would be gone for good.
        let tiled = files.iter().all(|file| file.settled);
        if !tiled && !without_tiles {
            report.without_tiles.push(format!("{kind} {date}"));
            continue;
        }
        let number = snapshot.number;
        let day = Day { disk, lake, tables: &tables, kind: &kind, date: &date, files: &files, number };
        let mut parts = NewParts::new(&day, "pruned", (true, tiled), options);
        let chosen: Vec<&LakeFile> = files.iter().collect();
        let entity_kind = EntityKind::from_name(&kind).map_err(DatasetError::feature(&date))?;
        let footers = Footers::default();
        for range in day_ranges(files.iter(), options.most_rows) {
            let scan = Scan { entities: range, ..Scan::all(entity_kind) }.with_metrics(needed);
            scan_parts(&footers, lake, &tables, &chosen, &scan, &mut |run| parts.push(run))?;
        }
        let parts = parts.finish()?;
        let replaced: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        swap(disk, lake, &replaced, &[], &parts, options.now)?;
        let sum = |of: fn(&LakeFile) -> u64| files.iter().map(of).sum::<u64>();
        report.days += 1;
        report.rows.0 += sum(|file| file.rows);
        report.bytes.0 += sum(|file| file.bytes);
        report.rows.1 += parts.iter().map(|file| file.rows).sum::<u64>();
        report.bytes.1 += parts.iter().map(|file| file.bytes).sum::<u64>();
    }
    progress.end();
    Ok(report)
}

/// Commits new files in place of others, and marks those that are as a compaction leaves them.
fn swap(
    disk: &Disk,
    lake: &Path,
    replaced: &[&str],
    settled: &[&LakeFile],
    added: &[LakeFile],
    now: i64,
) -> Result<()> {
    let committed = Snapshot::commit_on(disk, lake, |next| {
        let gone = next.files.iter().filter(|file| replaced.contains(&file.path.as_str())).count();
        if gone != replaced.len() {
            return Err(DatasetError::config(
                lake.display().to_string(),
                "files being merged were taken out by another process".to_owned(),
            ));
        }
        next.files.retain(|file| !replaced.contains(&file.path.as_str()));
        next.removed.extend(replaced.iter().map(|path| Removed { path: (*path).to_owned(), at: now }));
        for file in next.files.iter_mut().filter(|file| settled.iter().any(|other| other.path == file.path)) {
            file.settled = true;
        }
        next.files.extend_from_slice(added);
        Ok(())
    })?;
    committed.durable
}

/// Deletes files taken out longer ago than the grace period.
fn delete_removed(disk: &Disk, lake: &Path, options: &CompactOptions) -> Result<u64> {
    let snapshot = Snapshot::latest(lake)?;
    let due: Vec<String> =
        snapshot.removed.iter().filter(|r| r.at + options.grace <= options.now).map(|r| r.path.clone()).collect();
    if due.is_empty() {
        return Ok(0);
    }
    // A build may read for hours; what it reads goes away with a later compaction.
    let Some(_nobody) = nobody_reads(lake)? else { return Ok(0) };
    // A power cut must not bring back a commit that still names them.
    disk.sync_folder(&lake.join("commits"))?;
    for path in &due {
        disk.remove(&lake.join(path))?;
    }
    let committed = Snapshot::commit_on(disk, lake, |next| {
        next.removed.retain(|removed| !due.contains(&removed.path));
        Ok(())
    })?;
    committed.durable.map(|()| due.len() as u64)
}

/// Removes what compactions and prunings that died have written and never committed. Only they write files of these
/// names, and the lock says that none is at work.
fn remove_orphans(disk: &Disk, lake: &Path, snapshot: &Snapshot) -> Result<()> {
    let mut folders = vec![lake.join("samples"), lake.join("tiles")];
    let known: HashSet<&str> = snapshot
        .files
        .iter()
        .map(|file| file.path.as_str())
        .chain(snapshot.removed.iter().map(|removed| removed.path.as_str()))
        .collect();
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
            if (name.starts_with("compact-") || name.starts_with("pruned-")) && !known.contains(relative.as_str()) {
                tracing::info!(path = %path.display(), "removing what a compaction that died left");
                disk.remove(&path)?;
            }
        }
    }
    Ok(())
}

fn lock(lake: &Path) -> Result<File> {
    check(lake)?;
    file_lock::lock(&lake.join("compact.lock"))
}

/// Sample files by kind and day.
fn days(snapshot: &Snapshot) -> BTreeMap<(String, String), Vec<LakeFile>> {
    let mut days: BTreeMap<_, Vec<LakeFile>> = BTreeMap::new();
    for file in snapshot.table(Table::Samples) {
        days.entry((file.kind.clone(), file.date.clone())).or_default().push(file.clone());
    }
    days
}

fn day_end(date: &str) -> Option<i64> {
    let day = chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?;
    let end = day.and_utc().timestamp_millis() + DAY;
    (date_of(end - 1) == date).then_some(end)
}

fn day_ranges<'a>(files: impl Iterator<Item = &'a LakeFile>, most_rows: u64) -> Vec<(i32, i32)> {
    let groups: Vec<_> = files.map(|file| (file.entities.0, file.entities.1, file.rows)).collect();
    ranges(&groups, most_rows)
}

/// The rule by which a lake makes its tiles; a data set whose spec has another tile, lag or gap needs raw samples.
pub(crate) fn lake_spec(catalogue: &Catalogue) -> FeatureSpec {
    // A spec that reads a counter, so that starts of lives count.
    let restarts =
        FlatSource::Tile { metric: "restart.count".to_owned(), statistic: Statistic::Increase, window: LAKE_TILE };
    let column = FlatColumn { name: "restarts".to_owned(), source: restarts };
    FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Hours, ticks_per_unit: 3_600_000 },
        tile: LAKE_TILE,
        ingest_lag: LAKE_LAG,
        longest_gap: LAKE_TILE,
        flat: vec![column],
        steps: 0,
        step: LAKE_TILE,
        channels: Vec::new(),
        regimes: Vec::new(),
        summaries: Vec::new(),
        scrape_interval: None,
        rollup: None,
        catalogue_digest: catalogue.digest(),
    }
}
