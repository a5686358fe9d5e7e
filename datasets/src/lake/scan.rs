//! Runs of samples in the lake's order, merged over files that are each in that order.
//!
//! Every file has a cursor, and the series that comes first over all cursors is handed over next: straight from what
//! was decoded where one file holds all of it, else put together, sorted and freed of duplicates. So memory holds one
//! batch per file and the samples of one series.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;
use std::path::Path;

use features::{EntityKind, MetricId};

use super::commit::LakeFile;
use super::part_reader::{BATCH, Cursor, Footers};
use super::tables::{LakeTables, Rank};
use crate::error::{DatasetError, Result};

/// Files read side by side; more are gathered in memory first, since open files and their pages are not free.
const MOST_OPEN: usize = 256;
/// Rows decoded at a time over all files together, about.
const MOST_DECODED: usize = 1 << 21;
const FEWEST_DECODED: usize = 2048;

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
    /// Metrics by storage id of which only samples from a moment on are read.
    pub recent: Option<(Vec<bool>, i64)>,
}

impl Scan {
    /// Everything of a kind.
    #[must_use]
    pub fn all(kind: EntityKind) -> Self {
        Self { kind, entities: (0, i32::MAX), metrics: None, times: i64::MIN..i64::MAX, recent: None }
    }

    /// Only these metrics.
    #[must_use]
    pub fn with_metrics(mut self, metrics: &[MetricId]) -> Self {
        self.metrics = Some(by_id(metrics));
        self
    }

    /// Of these metrics only samples from `from` on.
    #[must_use]
    pub fn with_recent(mut self, metrics: &[MetricId], from: i64) -> Self {
        self.recent = Some((by_id(metrics), from));
        self
    }

    fn wants(&self, metric: MetricId) -> bool {
        self.metrics.as_ref().is_none_or(|wanted| wanted.get(usize::from(metric.0)).copied().unwrap_or(false))
    }

    /// Whether a file that ends at `last` may hold something wanted of these entities and metrics.
    fn wants_any(&self, last: i64, entities: (i32, i32), metrics: (u16, u16)) -> bool {
        if entities.0 > self.entities.1 || entities.1 < self.entities.0 {
            return false;
        }
        let old = self.recent.as_ref().filter(|(_, from)| last < *from).map(|(recent, _)| recent);
        match (&self.metrics, old) {
            (None, None) => true,
            (Some(wanted), _) => {
                let until = wanted.len().min(usize::from(metrics.1) + 1);
                let skipped = |metric: usize| old.is_some_and(|old| old.get(metric).copied().unwrap_or(false));
                (usize::from(metrics.0)..until).any(|metric| wanted[metric] && !skipped(metric))
            }
            (None, Some(old)) => {
                (metrics.0..=metrics.1).any(|metric| !old.get(usize::from(metric)).copied().unwrap_or(false))
            }
        }
    }

    /// Times wanted of a metric.
    fn times_of(&self, metric: u16) -> Range<i64> {
        match &self.recent {
            Some((recent, from)) if recent.get(usize::from(metric)).copied().unwrap_or(false) => {
                self.times.start.max(*from)..self.times.end
            }
            _ => self.times.clone(),
        }
    }

    fn wants_rank(&self, rank: Rank) -> bool {
        rank.0 >= self.entities.0 && rank.0 <= self.entities.1 && self.wants(MetricId(rank.1))
    }
}

fn by_id(metrics: &[MetricId]) -> Vec<bool> {
    let size = metrics.iter().map(|metric| usize::from(metric.0) + 1).max().unwrap_or(0);
    let mut wanted = vec![false; size];
    for metric in metrics {
        wanted[usize::from(metric.0)] = true;
    }
    wanted
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

/// Receives runs.
pub(super) type Each<'a> = &'a mut dyn FnMut(Run<'_>) -> Result<()>;

/// Hands over the samples wanted, by (entity, metric, series), each series in one run; footers are read once for many
/// scans.
pub(super) fn scan_parts(
    footers: &Footers,
    lake: &Path,
    tables: &LakeTables,
    files: &[&LakeFile],
    scan: &Scan,
    each: Each<'_>,
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
    if chosen.len() > MOST_OPEN {
        return gather(footers, lake, tables, &chosen, scan, each);
    }
    let batch = (MOST_DECODED / chosen.len().max(1)).clamp(FEWEST_DECODED, BATCH);
    let mut merge = Merge { tables, scan, cursors: Vec::new(), next: BinaryHeap::new() };
    for file in chosen {
        let part = footers.open(lake, file)?;
        let wanted = |entities, metrics| scan.wants_any(file.times.1, entities, metrics);
        if let Some(cursor) = part.cursor(&wanted, true, batch)? {
            merge.cursors.push(cursor);
            merge.push(merge.cursors.len() - 1, None)?;
        }
    }
    merge.run(each)
}

struct Merge<'a> {
    tables: &'a LakeTables,
    scan: &'a Scan,
    cursors: Vec<Cursor>,
    /// The series that comes next of each cursor; cursors are in time order.
    next: BinaryHeap<Reverse<(Rank, usize)>>,
}

impl Merge<'_> {
    /// Notes what comes next of a cursor that stands on a run, passing over series that are not wanted.
    fn push(&mut self, at: usize, mut before: Option<Rank>) -> Result<()> {
        let cursor = &mut self.cursors[at];
        loop {
            let rank = rank_of(self.tables, cursor, before)?;
            if self.scan.wants_rank(rank) {
                self.next.push(Reverse((rank, at)));
                return Ok(());
            }
            before = Some(rank);
            if !next_series(cursor)? {
                return Ok(());
            }
        }
    }

    fn run(&mut self, each: Each<'_>) -> Result<()> {
        let mut whole = Columns::default();
        while let Some(Reverse((rank, at))) = self.next.pop() {
            let shared = self.next.peek().is_some_and(|Reverse((other, _))| *other == rank);
            if !shared && self.cursors[at].ends_here() {
                let cursor = &self.cursors[at];
                let columns = within(&self.scan.times_of(rank.1), cursor.columns());
                if !columns.0.is_sorted_by(|a, b| a < b) {
                    return Err(disorder(cursor.path(), "ts", "times that do not increase inside a series"));
                }
                hand_over(rank, columns, each)?;
                if self.cursors[at].advance()? {
                    self.push(at, Some(rank))?;
                }
                continue;
            }
            whole.clear();
            let mut at = at;
            loop {
                let more = self.take_series(at, rank, &mut whole)?;
                if more {
                    self.push(at, Some(rank))?;
                }
                match self.next.peek() {
                    Some(&Reverse((other, next))) if other == rank => {
                        self.next.pop();
                        at = next;
                    }
                    _ => break,
                }
            }
            whole.settle();
            hand_over(rank, whole.columns(), each)?;
        }
        Ok(())
    }

    /// Takes all that a cursor has of its series; true when another series follows.
    fn take_series(&mut self, at: usize, rank: Rank, into: &mut Columns) -> Result<bool> {
        let cursor = &mut self.cursors[at];
        loop {
            into.extend(within(&self.scan.times_of(rank.1), cursor.columns()));
            if !cursor.advance()? {
                return Ok(false);
            }
            if cursor.series() != rank.2 {
                return Ok(true);
            }
        }
    }
}

/// Goes to the next series of a cursor; false at its end.
fn next_series(cursor: &mut Cursor) -> Result<bool> {
    let series = cursor.series();
    while cursor.advance()? {
        if cursor.series() != series {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rank of a cursor's series, which must lie behind the one before it.
fn rank_of(tables: &LakeTables, cursor: &Cursor, before: Option<Rank>) -> Result<Rank> {
    let series = cursor.series();
    if series as usize >= tables.series().len() {
        return Err(disorder(cursor.path(), "series_id", "a series that no series file defines"));
    }
    let rank = tables.rank(series);
    if before.is_some_and(|before| before >= rank) {
        return Err(disorder(cursor.path(), "series_id", "series out of order"));
    }
    Ok(rank)
}

fn disorder(path: &Path, column: &str, problem: &str) -> DatasetError {
    DatasetError::Column {
        path: path.to_owned(),
        column: column.to_owned(),
        problem: format!("holds {problem}; the file was changed or its series files are missing, verify the lake"),
    }
}

type Slices<'a> = (&'a [i64], &'a [f64], &'a [i64]);

fn within<'a>(wanted: &Range<i64>, columns: Slices<'a>) -> Slices<'a> {
    let (times, values, known_at) = columns;
    if times.first().is_some_and(|&time| time >= wanted.start) && times.last().is_some_and(|&time| time < wanted.end) {
        return columns;
    }
    let from = times.partition_point(|&time| time < wanted.start);
    let until = from + times[from..].partition_point(|&time| time < wanted.end);
    (&times[from..until], &values[from..until], &known_at[from..until])
}

fn hand_over(rank: Rank, (times, values, known_at): Slices<'_>, each: Each<'_>) -> Result<()> {
    if times.is_empty() {
        return Ok(());
    }
    each(Run { entity: rank.0, metric: MetricId(rank.1), series: rank.2, times, values, known_at })
}

/// Samples of one series from several places.
#[derive(Debug, Default)]
struct Columns {
    times: Vec<i64>,
    values: Vec<f64>,
    known_at: Vec<i64>,
}

impl Columns {
    fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
        self.known_at.clear();
    }

    fn extend(&mut self, (times, values, known_at): Slices<'_>) {
        self.times.extend_from_slice(times);
        self.values.extend_from_slice(values);
        self.known_at.extend_from_slice(known_at);
    }

    fn columns(&self) -> Slices<'_> {
        (&self.times, &self.values, &self.known_at)
    }

    /// Sorts by time and leaves one row of each: the earliest known, of those the larger value.
    fn settle(&mut self) {
        if self.times.is_sorted_by(|a, b| a < b) {
            return;
        }
        let mut order: Vec<usize> = (0..self.times.len()).collect();
        order.sort_by(|&a, &b| {
            (self.times[a], self.known_at[a])
                .cmp(&(self.times[b], self.known_at[b]))
                .then_with(|| self.values[b].total_cmp(&self.values[a]))
        });
        order.dedup_by_key(|at| self.times[*at]);
        let pick = |column: &[i64]| order.iter().map(|&at| column[at]).collect();
        (self.times, self.values, self.known_at) =
            (pick(&self.times), order.iter().map(|&at| self.values[at]).collect(), pick(&self.known_at));
    }
}

/// As [`scan_parts`] over many small files, one after the other: memory holds all rows asked for.
fn gather(
    footers: &Footers,
    lake: &Path,
    tables: &LakeTables,
    files: &[&LakeFile],
    scan: &Scan,
    each: Each<'_>,
) -> Result<()> {
    let mut gathered: BTreeMap<Rank, Columns> = BTreeMap::new();
    for file in files {
        let wanted = |entities, metrics| scan.wants_any(file.times.1, entities, metrics);
        let Some(mut cursor) = footers.open(lake, file)?.cursor(&wanted, true, BATCH)? else { continue };
        loop {
            let rank = rank_of(tables, &cursor, None)?;
            if scan.wants_rank(rank) {
                gathered.entry(rank).or_default().extend(within(&scan.times_of(rank.1), cursor.columns()));
            }
            if !cursor.advance()? {
                break;
            }
        }
    }
    while let Some((rank, mut columns)) = gathered.pop_first() {
        columns.settle();
        hand_over(rank, columns.columns(), each)?;
    }
    Ok(())
}
