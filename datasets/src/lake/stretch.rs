//! A copy of a lake on a slower clock: what an accelerated lab measured, as a cluster would have shown it.

use std::collections::BTreeSet;
use std::path::Path;

use features::{CanonicalSeries, Catalogue, Entity, EntityKind, MetricKind};
use serde::Serialize;

use super::commit::Table;
use super::reader::Lake;
use super::scan::{Run, Scan};
use super::writer::{LakeOptions, LakeRow, LakeWriter, SeriesId};
use super::{DAY, date_of};
use crate::error::{DatasetError, Result};
use crate::staging::Staging;

/// Rows held at a time; 32 bytes each, and as much again twice while they are sorted.
const MOST_ROWS: usize = 4_000_000;

/// The year 10000 in milliseconds: days of a lake are folders named by dates, whose years have four digits.
const NO_DATE: i64 = 253_402_300_800_000;

/// What a stretching copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StretchReport {
    /// The moment that stays where it is, milliseconds.
    pub origin: i64,
    /// Series.
    pub series: u64,
    /// Rows of samples.
    pub rows: u64,
    /// First and last time of the copy, milliseconds.
    pub times: (i64, i64),
}

/// Writes the samples of the lake in `from` to a new lake in `to` whose time runs `factor` times as slowly.
///
/// A time `t` becomes `origin + (t − origin) × factor`, where `origin` is the beginning of the day (UTC) of the first
/// sample. So does the moment at which each sample was known, and so do values that are points in time themselves
/// (`start.time`, `terminated.time` and the others of that kind), or lives would begin and end beside their samples.
/// Every other value stays: a counter of seconds (CPU time, time stalled) rises as far as it did, but takes `factor`
/// times as long for it, so that its rate is that share of what it was. The copy is for what is told from states,
/// counts and moments, such as failures by the shipped event rules; rates of such counters are not those of a machine.
///
/// Series keep their ids. Tiles and failure events are not copied: they follow from the samples and are made when the
/// copy is compacted. Rows that wait in the log of `from` are not looked at; close its writer first. The copy may
/// reach into the future, which the storing of history allows; its days close when they are over by the clock given
/// to [`compact`](super::compact()).
///
/// # Errors
/// When `factor` is below 1, `from` is no lake, is empty or has pruned days, `to` exists, the last sample would lie
/// beyond the year 9999, or a file cannot be read or written; then nothing is left at `to`.
pub fn stretch(from: &Path, to: &Path, factor: i64) -> Result<StretchReport> {
    stretch_by(from, to, factor, MOST_ROWS)
}

fn stretch_by(from: &Path, to: &Path, factor: i64, most_rows: usize) -> Result<StretchReport> {
    let refuse = |reason: String| Err(DatasetError::config(from.display().to_string(), reason));
    if factor < 1 {
        return refuse(format!("cannot be stretched by {factor}; give a whole number of at least 1"));
    }
    if to.exists() {
        return Err(DatasetError::Exists { path: to.to_owned(), problem: "a copy replaces nothing".to_owned() });
    }
    let lake = Lake::open(from)?;
    let kinds: BTreeSet<EntityKind> = lake.tables().entities().iter().map(|entity| entity.kind).collect();
    if let Some(until) = kinds.iter().filter_map(|&kind| lake.pruned_until(kind)).max() {
        let day = date_of(until - 1);
        return refuse(format!(
            "raw samples up to {day} are pruned, and tiles cannot be stretched; copy before pruning"
        ));
    }
    let spans = kinds.iter().filter_map(|&kind| lake.times(kind));
    let (first, last) = spans
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        .ok_or_else(|| DatasetError::Empty { path: from.to_owned(), what: "samples" })?;
    let clock = Clock { origin: first.div_euclid(DAY) * DAY, factor };
    let times = (clock.time(first), clock.time(last));
    if times.1 >= NO_DATE {
        return refuse(format!("stretched by {factor}, its last sample would lie beyond the year 9999"));
    }

    let staging = Staging::create(to, |_| false)?;
    let options = LakeOptions::default();
    let max_series = options.max_series.max(lake.tables().series().len());
    let writer = LakeWriter::open(staging.path(), LakeOptions { max_series, ..options })?;
    let mut copy = Copying {
        series: register(&lake, &writer)?,
        writer: &writer,
        catalogue: Catalogue::standard(),
        clock,
        name: format!("stretched by {factor}"),
        most_rows: most_rows.max(1),
        waiting: Vec::new(),
        rows: 0,
    };
    for &kind in &kinds {
        for times in clock.slices(&lake, kind, times.1, copy.most_rows) {
            lake.scan(&Scan { times, ..Scan::all(kind) }, &mut |run| copy.take(run))?;
            copy.store()?;
        }
    }
    // Also series without a row, and that it is whole.
    writer.import(&copy.name, "whole", &[])?;
    let report = StretchReport { origin: clock.origin, series: copy.series.len() as u64, rows: copy.rows, times };
    writer.close()?;
    staging.publish(to)?;
    Ok(report)
}

/// Every series of a lake in the order of its ids, so that they are the same in the copy.
fn register(lake: &Lake, writer: &LakeWriter) -> Result<Vec<SeriesId>> {
    let tables = lake.tables();
    let each = tables.series().iter().map(|row| {
        let of = &tables.entities()[usize::try_from(row.entity).unwrap_or(0)];
        let entity =
            Entity::try_new(of.kind, of.key.as_str(), &*row.incarnation).map_err(DatasetError::feature(&of.key))?;
        writer.register(&CanonicalSeries { entity, metric: row.metric, part: row.part.to_string() })
    });
    each.collect()
}

/// From the times of a lake to those of its copy.
#[derive(Debug, Clone, Copy)]
struct Clock {
    origin: i64,
    factor: i64,
}

impl Clock {
    fn time(self, time: i64) -> i64 {
        self.origin.saturating_add(time.saturating_sub(self.origin).saturating_mul(self.factor))
    }

    /// The same for seconds since the epoch; a mark of the end keeps its bits.
    #[expect(clippy::cast_precision_loss, reason = "days of this century in seconds, and a small factor")]
    fn seconds(self, value: f64) -> f64 {
        if value.is_nan() {
            return value;
        }
        // Whole seconds, since a day begins on one: differences lose nothing.
        let origin = (self.origin / 1000) as f64;
        origin + (value - origin) * self.factor as f64
    }

    /// The first time that becomes one of this day of the copy or later, counted from the origin.
    fn first_of(self, day: i64) -> i64 {
        let after = day.saturating_mul(DAY);
        self.origin.saturating_add(after.div_euclid(self.factor) + i64::from(after.rem_euclid(self.factor) > 0))
    }

    /// Stretches of a lake's time that become whole days of the copy and hold about `most_rows` rows of a kind each:
    /// so that every day becomes few files, and the samples of few days are held.
    fn slices(self, lake: &Lake, kind: EntityKind, last: i64, most_rows: usize) -> Vec<std::ops::Range<i64>> {
        let days = (last - self.origin).div_euclid(DAY) + 1;
        let rows: u64 =
            lake.snapshot().table(Table::Samples).filter(|file| file.kind == kind.name()).map(|file| file.rows).sum();
        let pieces = i64::try_from(rows.div_ceil(most_rows as u64)).unwrap_or(i64::MAX).clamp(1, days);
        let border = |piece: i64| self.first_of(days * piece / pieces);
        (0..pieces).map(|piece| border(piece)..border(piece + 1)).collect()
    }
}

/// Rows on their way from one lake to the other.
struct Copying<'a> {
    writer: &'a LakeWriter,
    catalogue: Catalogue,
    clock: Clock,
    /// Of the copy, by id in the lake.
    series: Vec<SeriesId>,
    name: String,
    most_rows: usize,
    waiting: Vec<(LakeRow, i64)>,
    rows: u64,
}

impl Copying<'_> {
    fn take(&mut self, run: Run<'_>) -> Result<()> {
        let is_time = self.catalogue.definition(run.metric).is_some_and(|metric| metric.kind == MetricKind::Time);
        let series = self.series[run.series as usize];
        for ((&time, &value), &known_at) in run.times.iter().zip(run.values).zip(run.known_at) {
            let value = if is_time { self.clock.seconds(value) } else { value };
            self.waiting.push((LakeRow { series, time: self.clock.time(time), value }, self.clock.time(known_at)));
            if self.waiting.len() >= self.most_rows {
                self.store()?;
            }
        }
        Ok(())
    }

    fn store(&mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            self.writer.import(&self.name, "under way", &self.waiting)?;
            self.rows += self.waiting.len() as u64;
            self.waiting.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use features::MetricId;

    use super::*;

    #[test]
    fn a_day_of_the_copy_begins_with_the_first_time_that_falls_into_it() {
        for factor in [1, 7, 60, 3600] {
            let clock = Clock { origin: 20_000 * DAY, factor };
            for day in 0..50 {
                let (first, begins) = (clock.first_of(day), clock.origin + day * DAY);
                assert!(clock.time(first) >= begins && clock.time(first - 1) < begins, "day {day}, {factor} times");
            }
        }
    }

    #[test]
    fn how_many_rows_are_held_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("lab");
        let writer = LakeWriter::open(&from, LakeOptions::default()).unwrap();
        let mut rows = Vec::new();
        for metric in 0..3 {
            let entity = Entity::try_new(EntityKind::Container, format!("ns/pod-{metric}/app"), "uid").unwrap();
            let series = CanonicalSeries { entity, metric: MetricId(metric), part: String::new() };
            let series = writer.register(&series).unwrap();
            // An hour, which becomes two days and a half.
            let times = (0..240).map(|step| 20_000 * DAY + 15_000 * step);
            rows.extend(times.map(|time| (LakeRow { series, time, value: f64::from(metric) }, time + 300)));
        }
        writer.import("all", "whole", &rows).unwrap();
        writer.close().unwrap();
        let content = |name: &str, most_rows: usize| {
            let to = folder.path().join(name);
            let report = stretch_by(&from, &to, 60, most_rows).unwrap();
            let lake = Lake::open(&to).unwrap();
            lake.verify(&crate::Silent).unwrap();
            let mut content: BTreeMap<u32, Vec<(i64, u64, i64)>> = BTreeMap::new();
            lake.scan(&Scan::all(EntityKind::Container), &mut |run| {
                let rows = run.times.iter().zip(run.values).zip(run.known_at);
                let rows = rows.map(|((&time, value), &known_at)| (time, value.to_bits(), known_at));
                content.entry(run.series).or_default().extend(rows);
                Ok(())
            })
            .unwrap();
            (report, content)
        };
        let whole = content("whole", MOST_ROWS);
        assert_eq!((whole.0.rows, whole.1.len()), (720, 3));
        for (name, most_rows) in [("days", 300), ("pieces", 70)] {
            assert_eq!(content(name, most_rows), whole, "{most_rows} rows at a time");
        }
    }
}
