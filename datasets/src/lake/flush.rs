//! From rows in memory to Parquet parts and a commit that names them.
//!
//! **Duplicates.** A sample is told by its series and time. Identical values are one sample; of differing ones the
//! earliest `known_at` wins, ties by the larger value in total order. That is settled here among the rows of a flush.
//! Rows not later than anything stored of their series are looked up in the files that overlap them, and only there:
//! an identical one is dropped, and so is one that loses; one that wins is stored beside the loser, which readers
//! leave out and the next compaction drops. So what a sender repeats after a crash is stored once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use arrow::array::RecordBatch;
use features::EntityKind;
use hashbrown::HashMap;

use super::commit::{Committed, LakeFile, Snapshot, Table};
use super::disk::Disk;
use super::part::PartWriter;
use super::part_reader::{BATCH, PartReader};
use super::tables::{self, LakeTables, Place};
use super::{DAY, date_of};
use crate::error::{DatasetError, Result};

/// A row waiting to become Parquet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Buffered {
    pub(super) series: u32,
    pub(super) time: i64,
    pub(super) value: f64,
    pub(super) known_at: i64,
}

impl Buffered {
    /// Whether this one stays when both tell of the same series and time.
    fn wins_over(&self, value: f64, known_at: i64) -> bool {
        self.known_at.cmp(&known_at).then_with(|| value.total_cmp(&self.value)).is_lt()
    }
}

/// What a lake holds of its series, as far as a flush must know it.
#[derive(Debug)]
pub(super) struct Flusher {
    places: Vec<Place>,
    /// Per series a time after which nothing of it is stored.
    stored_until: Vec<i64>,
    /// Series below this id are in files.
    written: u32,
    /// Dropped rows that no commit has counted yet.
    dropped: Dropped,
}

#[derive(Debug, Default, Clone, Copy)]
struct Dropped {
    duplicates: u64,
    conflicts: u64,
}

/// What one flush is to store.
pub(super) struct Job<'a> {
    pub(super) disk: &'a Disk,
    pub(super) lake: &'a Path,
    pub(super) rows: Vec<Buffered>,
    /// Series not in files yet.
    pub(super) series: Option<RecordBatch>,
    /// Name of the new parts.
    pub(super) name: &'a str,
    /// What else the commit says.
    pub(super) note: &'a dyn Fn(&mut Snapshot),
}

/// A flush that failed before others could see it, and its rows.
pub(super) struct NotStored {
    pub(super) error: DatasetError,
    pub(super) rows: Vec<Buffered>,
}

impl Flusher {
    pub(super) fn new(snapshot: &Snapshot, tables: &LakeTables) -> Self {
        let mut flusher =
            Self { places: Vec::new(), stored_until: Vec::new(), written: 0, dropped: Dropped::default() };
        flusher.learn(tables);
        flusher.written = tables.count();
        let mut newest: HashMap<&str, i64> = HashMap::new();
        for file in snapshot.table(Table::Samples) {
            let time = newest.entry(file.kind.as_str()).or_insert(i64::MIN);
            *time = file.times.1.max(*time);
        }
        for (place, until) in flusher.places.iter().zip(&mut flusher.stored_until) {
            *until = newest.get(place.kind.name()).copied().unwrap_or(i64::MIN);
        }
        flusher
    }

    /// Takes note of series registered since.
    pub(super) fn learn(&mut self, tables: &LakeTables) {
        let from = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.extend((from..tables.count()).map(|id| tables.place(id)));
        self.stored_until.resize(self.places.len(), i64::MIN);
    }

    /// Series below this id are in files.
    pub(super) fn written(&self) -> u32 {
        self.written
    }

    /// Writes and commits. Where that fails before others can see the commit, the rows come back.
    pub(super) fn store(&mut self, job: Job<'_>) -> std::result::Result<Committed, Box<NotStored>> {
        let Job { disk, lake, rows, series, name, note } = job;
        let mut batch = Sorted::of(rows, &self.places);
        for (_, run) in &mut batch.runs {
            run.end = run.start + self.dropped.within(&mut batch.rows[run.clone()]);
        }
        let mut files = Vec::new();
        let outcome = self.write(disk, lake, &mut batch, series, name, &mut files).and_then(|()| {
            Snapshot::commit_on(disk, lake, |next| {
                next.files.extend(files.iter().cloned());
                next.duplicates += self.dropped.duplicates;
                next.conflicts += self.dropped.conflicts;
                note(next);
                Ok(())
            })
        });
        match outcome {
            Ok(committed) => {
                for (series, run) in &batch.runs {
                    if let Some(row) = batch.rows[run.clone()].last() {
                        let until = &mut self.stored_until[*series as usize];
                        *until = row.time.max(*until);
                    }
                }
                self.written = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
                self.dropped = Dropped::default();
                Ok(committed)
            }
            Err(error) => {
                // Room first: what nothing names is of no use. Best effort, the next opening does the rest.
                for file in &files {
                    let _ = disk.remove(&lake.join(&file.path));
                }
                Err(Box::new(NotStored { error, rows: batch.into_rows() }))
            }
        }
    }

    fn write(
        &mut self,
        disk: &Disk,
        lake: &Path,
        batch: &mut Sorted,
        series: Option<RecordBatch>,
        name: &str,
        files: &mut Vec<LakeFile>,
    ) -> Result<()> {
        self.drop_stored(lake, batch)?;
        let mut parts: BTreeMap<(EntityKind, i64), PartWriter> = BTreeMap::new();
        let (mut times, mut values, mut known_at) = (Vec::new(), Vec::new(), Vec::new());
        for (series, run) in &batch.runs {
            let place = self.places[*series as usize];
            let rows = &batch.rows[run.clone()];
            for day in rows.chunk_by(|a, b| a.time.div_euclid(DAY) == b.time.div_euclid(DAY)) {
                let key = (place.kind, day[0].time.div_euclid(DAY));
                let part = match parts.entry(key) {
                    std::collections::btree_map::Entry::Occupied(part) => part.into_mut(),
                    std::collections::btree_map::Entry::Vacant(vacant) => {
                        let date = date_of(day[0].time);
                        vacant.insert(PartWriter::create(disk, lake, place.kind.name(), &date, name)?)
                    }
                };
                times.clear();
                values.clear();
                known_at.clear();
                times.extend(day.iter().map(|row| row.time));
                values.extend(day.iter().map(|row| row.value));
                known_at.extend(day.iter().map(|row| row.known_at));
                part.push_at(place, *series, (&times, &values, &known_at))?;
            }
        }
        for part in parts.into_values() {
            files.extend(part.finish(false, false)?);
        }
        if let Some(series) = series {
            files.push(tables::write_series(disk, lake, self.written, &series)?);
        }
        Ok(())
    }

    /// Drops rows that files hold already.
    fn drop_stored(&mut self, lake: &Path, batch: &mut Sorted) -> Result<()> {
        let suspects = Suspects::of(batch, &self.places, &self.stored_until);
        if suspects.runs.is_empty() {
            return Ok(());
        }
        let snapshot = Snapshot::latest(lake)?;
        let mut verdicts = vec![Verdict::New; batch.rows.len()];
        for file in snapshot.table(Table::Samples) {
            let Some(kind) = suspects.kinds.get(file.kind.as_str()).filter(|kind| kind.overlaps(file)) else {
                continue;
            };
            let wanted = |(low, high): (i32, i32), _| {
                let at = kind.entities.partition_point(|&entity| entity < low);
                kind.entities.get(at).is_some_and(|&entity| entity <= high)
            };
            let Some(mut cursor) = PartReader::open(lake, file)?.cursor(&wanted, true, BATCH)? else { continue };
            loop {
                if let Some(run) = suspects.runs.get(&cursor.series()) {
                    compare(&batch.rows[run.clone()], cursor.columns(), &mut verdicts[run.clone()]);
                }
                if !cursor.advance()? {
                    break;
                }
            }
        }
        for (_, run) in &mut batch.runs {
            let mut kept = run.start;
            for at in run.clone() {
                match verdicts[at] {
                    Verdict::New => {}
                    Verdict::Wins => self.dropped.conflicts += 1,
                    Verdict::Loses => self.dropped.conflicts += 1,
                    Verdict::Same => self.dropped.duplicates += 1,
                }
                if verdicts[at] <= Verdict::Wins {
                    batch.rows[kept] = batch.rows[at];
                    kept += 1;
                }
            }
            run.end = kept;
        }
        Ok(())
    }
}

/// What the files say of a row; the later one counts where several files speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    New,
    Wins,
    Loses,
    Same,
}

/// Judges rows by stored ones of the same series, both in time order.
fn compare(rows: &[Buffered], (times, values, known_at): (&[i64], &[f64], &[i64]), verdicts: &mut [Verdict]) {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
    let mut at = times.partition_point(|&time| time < first.time);
    let mut row = 0;
    while row < rows.len() && at < times.len() && times[at] <= last.time {
        if times[at] < rows[row].time {
            at += 1;
        } else if times[at] > rows[row].time {
            row += 1;
        } else {
            let verdict = if values[at].to_bits() == rows[row].value.to_bits() {
                Verdict::Same
            } else if rows[row].wins_over(values[at], known_at[at]) {
                Verdict::Wins
            } else {
                Verdict::Loses
            };
            verdicts[row] = verdicts[row].max(verdict);
            (row, at) = (row + 1, at + 1);
        }
    }
}

/// Rows that may be stored already.
#[derive(Debug, Default)]
struct Suspects {
    /// Where they lie in the batch, by series.
    runs: HashMap<u32, Range<usize>>,
    kinds: HashMap<&'static str, KindSuspects>,
}

#[derive(Debug)]
struct KindSuspects {
    times: (i64, i64),
    /// Ascending.
    entities: Vec<i32>,
}

impl KindSuspects {
    fn overlaps(&self, file: &LakeFile) -> bool {
        file.times.0 <= self.times.1 && file.times.1 >= self.times.0
    }
}

impl Suspects {
    fn of(batch: &Sorted, places: &[Place], stored_until: &[i64]) -> Self {
        let mut suspects = Self::default();
        for (series, run) in &batch.runs {
            let until = stored_until[*series as usize];
            let rows = &batch.rows[run.clone()];
            let rows = &rows[..rows.partition_point(|row| row.time <= until)];
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
            let place = places[*series as usize];
            let kind = suspects
                .kinds
                .entry(place.kind.name())
                .or_insert(KindSuspects { times: (i64::MAX, i64::MIN), entities: Vec::new() });
            kind.times = (kind.times.0.min(first.time), kind.times.1.max(last.time));
            if kind.entities.last() != Some(&place.entity) {
                kind.entities.push(place.entity);
            }
            suspects.runs.insert(*series, run.start..run.start + rows.len());
        }
        suspects
    }
}

impl Dropped {
    /// Leaves the first row of each time, which is the one that wins; returns how many are left.
    fn within(&mut self, rows: &mut [Buffered]) -> usize {
        let mut kept = usize::from(!rows.is_empty());
        for at in 1..rows.len() {
            let (row, last) = (rows[at], rows[kept - 1]);
            if row.time != last.time {
                rows[kept] = row;
                kept += 1;
            } else if row.value.to_bits() == last.value.to_bits() {
                self.duplicates += 1;
            } else {
                self.conflicts += 1;
            }
        }
        kept
    }
}

/// Rows by series, each series in time order; runs in the lake's order. Dropped rows leave gaps between the runs.
#[derive(Debug)]
struct Sorted {
    rows: Vec<Buffered>,
    runs: Vec<(u32, Range<usize>)>,
}

impl Sorted {
    fn of(rows: Vec<Buffered>, places: &[Place]) -> Self {
        // Counting sort: one pass to count, one to place.
        let mut next = vec![0_usize; places.len()];
        for row in &rows {
            next[row.series as usize] += 1;
        }
        let mut runs = Vec::new();
        let mut from = 0;
        for (series, next) in (0_u32..).zip(&mut next) {
            let until = from + *next;
            if *next > 0 {
                runs.push((series, from..until));
            }
            *next = from;
            from = until;
        }
        let mut sorted = vec![Buffered { series: 0, time: 0, value: 0.0, known_at: 0 }; rows.len()];
        for row in &rows {
            let place = &mut next[row.series as usize];
            sorted[*place] = *row;
            *place += 1;
        }
        drop(rows);
        for (_, run) in &runs {
            let rows = &mut sorted[run.clone()];
            if !rows.is_sorted_by(|a, b| a.time < b.time) {
                rows.sort_by(|a, b| {
                    (a.time, a.known_at).cmp(&(b.time, b.known_at)).then_with(|| b.value.total_cmp(&a.value))
                });
            }
        }
        runs.sort_by_key(|(series, _)| {
            let place = &places[*series as usize];
            (place.entity, place.metric.0, *series)
        });
        Self { rows: sorted, runs }
    }

    fn into_rows(self) -> Vec<Buffered> {
        if self.runs.iter().map(|(_, run)| run.len()).sum::<usize>() == self.rows.len() {
            return self.rows;
        }
        self.runs.iter().flat_map(|(_, run)| &self.rows[run.clone()]).copied().collect()
    }
}
