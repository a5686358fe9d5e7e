//! Tiles from runs: slices of the samples of one series, in order of time.

use std::collections::BTreeMap;

use super::kernel::{Lives, TileKernel};
use super::series::{Series, Track, on_track};
use super::tiles::EntityTiles;
use crate::catalogue::MetricId;
use crate::sample::STALE_NAN_BITS;
use crate::tile::{Aggregate, Rule, TileKind};
use crate::{FeatureError, Result};

/// Makes the tiles of one entity.
///
/// Runs of different series come in any order, runs of one series in order of time. Starts of lives
/// ([`FeatureSpec::life_metrics`](crate::FeatureSpec::life_metrics)) must be given before the counters they
/// reset, by [`TileBuilder::take_lives`] or as runs of their own. A new incarnation of the entity takes a new
/// builder, or [`TileBuilder::end_series`] between the two: no step leads from one to the other.
#[derive(Debug)]
pub struct TileBuilder<'k> {
    kernel: &'k TileKernel,
    entity: String,
    tiles: EntityTiles,
    lives: Lives,
    newest: BTreeMap<(MetricId, u32), Newest>,
}

/// The newest sample of a series, taken or not.
#[derive(Debug, Clone, Copy)]
struct Newest {
    time: i64,
    bits: u64,
    late: bool,
}

/// What is counted of one run.
#[derive(Default)]
struct Counted {
    late: u64,
    duplicates: u64,
}

impl<'k> TileBuilder<'k> {
    /// A builder without tiles; `entity` is named in errors.
    #[must_use]
    pub fn new(kernel: &'k TileKernel, entity: &str) -> Self {
        Self::resume(kernel, entity, EntityTiles::default())
    }

    /// A builder that goes on after tiles made earlier.
    #[must_use]
    pub fn resume(kernel: &'k TileKernel, entity: &str, tiles: EntityTiles) -> Self {
        let mut lives = Lives::default();
        let mut newest = BTreeMap::new();
        for (metric, part, series) in &tiles.series {
            on_track!(series, track => {
                if let Some((_, tile)) = track.tiles.iter().rev().find(|(_, tile)| tile.head().count > 0) {
                    let seen = Newest { time: tile.head().t_last, bits: tile.last().to_bits(), late: false };
                    newest.insert((*metric, *part), seen);
                }
            });
            if let Series::Time(track) = series
                && kernel.tells_lives(*metric)
            {
                for (_, tile) in track.tiles.iter().filter(|(_, tile)| tile.head().count > 0) {
                    for (time, value) in tile.ends() {
                        lives.take(kernel, time, value);
                    }
                }
            }
        }
        Self { kernel, entity: entity.to_owned(), tiles, lives, newest }
    }

    /// Takes readings of a life metric, which need not be given again as a run unless the spec reads it.
    pub fn take_lives(&mut self, times: &[i64], values: &[f64], known_at: &[i64]) {
        for ((&time, &value), &known_at) in times.iter().zip(values).zip(known_at) {
            self.take_life(time, value, known_at);
        }
    }

    pub(super) fn take_life(&mut self, time: i64, seconds: f64, known_at: i64) {
        if seconds.is_finite() && known_at <= self.kernel.closes(self.kernel.number(time)) {
            self.lives.take(self.kernel, time, seconds);
        }
    }

    /// Marks that a series ended at `time`, as a stale mark would.
    ///
    /// # Errors
    /// When the series has newer samples.
    pub fn end_series(&mut self, metric: MetricId, part: u32, time: i64) -> Result<()> {
        self.extend_run(metric, part, &[time], &[f64::from_bits(STALE_NAN_BITS)], &[time])
    }

    /// Takes samples of one series in order of time: milliseconds or other ticks, canonical values (the stale
    /// mark is its NaN), and when each reached us.
    ///
    /// A sample known later than its tile closes is left out and counted. An identical duplicate is dropped and
    /// counted; of its times of arrival the earliest decides. Labels carried as a series are passed over.
    ///
    /// # Errors
    /// When the slices differ in length, times run backwards, one time carries two values, or a value is neither
    /// finite nor the stale mark; tiles of a run that was refused must not be used.
    pub fn extend_run(
        &mut self,
        metric: MetricId,
        part: u32,
        times: &[i64],
        values: &[f64],
        known_at: &[i64],
    ) -> Result<()> {
        for got in [values.len(), known_at.len()] {
            if got != times.len() {
                return Err(FeatureError::Shape { what: "samples of a run", expected: times.len(), got });
            }
        }
        let kernel = self.kernel;
        let Some(index) = self.tiles.index_or_new(kernel, metric, part)? else { return Ok(()) };
        if kernel.tells_lives(metric) {
            self.take_lives(times, values, known_at);
        }
        let mut run = Run {
            kernel,
            entity: &self.entity,
            metric,
            lives: kernel.resets_with_life(metric).then_some(&mut self.lives),
            newest: self.newest.get(&(metric, part)).copied(),
            counted: Counted::default(),
        };
        on_track!(&mut self.tiles.series[index].2, track => run.extend(track, times, values, known_at))?;
        let Run { newest, counted, .. } = run;
        self.tiles.late += counted.late;
        self.tiles.duplicates += counted.duplicates;
        if let Some(newest) = newest {
            self.newest.insert((metric, part), newest);
        }
        Ok(())
    }

    /// The tiles, roll-ups made beforehand where the spec reads them.
    #[must_use]
    pub fn finish(self) -> EntityTiles {
        let mut tiles = self.tiles;
        tiles.series.retain(|(_, _, series)| series.len() > 0);
        tiles.roll_up(self.kernel);
        tiles
    }
}

struct Run<'a> {
    kernel: &'a TileKernel,
    entity: &'a str,
    metric: MetricId,
    lives: Option<&'a mut Lives>,
    newest: Option<Newest>,
    counted: Counted,
}

impl Run<'_> {
    fn extend<T: TileKind>(
        &mut self,
        track: &mut Track<T>,
        times: &[i64],
        values: &[f64],
        known_at: &[i64],
    ) -> Result<()> {
        let kernel = self.kernel;
        let mut from = 0;
        while let Some(&first) = times.get(from) {
            let number = kernel.number(first);
            let end = number.saturating_add(1).saturating_mul(kernel.tile);
            let closes = kernel.closes(number);
            // One look at the samples of this tile: how many, and whether any of them needs more than adding up.
            let mut before = self.newest.map_or(i64::MIN, |newest| newest.time);
            let mut plain = true;
            let mut until = from;
            for ((&time, &value), &known) in times[from..].iter().zip(&values[from..]).zip(&known_at[from..]) {
                if time >= end {
                    break;
                }
                plain &= (time > before) & (known <= closes) & value.is_finite();
                before = time;
                until += 1;
            }
            let lives = self.lives.as_mut().map_or(&[][..], |lives| lives.known_in(kernel, number));
            let rule = Rule { longest_gap: kernel.longest_gap, lives };
            let (times, values) = (&times[from..until], &values[from..until]);
            if plain {
                track.at(number).extend(times, values, &rule);
                if let ([.., time], [.., value]) = (times, values) {
                    self.newest = Some(Newest { time: *time, bits: value.to_bits(), late: false });
                }
            } else {
                for ((&time, &value), &known) in times.iter().zip(values).zip(&known_at[from..until]) {
                    let late = known > closes;
                    let taken = take(&mut self.newest, &mut self.counted, time, value, late);
                    let taken =
                        taken.map_err(|problem| refused(kernel, self.entity, self.metric, time, value, problem))?;
                    if !taken {
                        continue;
                    }
                    if value.is_nan() {
                        track.at(number).end();
                    } else {
                        track.at(number).push(time, value, &rule);
                    }
                }
            }
            from = until;
        }
        Ok(())
    }
}

/// Whether a sample enters its tile; what is wrong with it otherwise.
fn take(
    newest: &mut Option<Newest>,
    counted: &mut Counted,
    time: i64,
    value: f64,
    late: bool,
) -> Result<bool, &'static str> {
    let bits = value.to_bits();
    if !value.is_finite() && bits != STALE_NAN_BITS {
        return Err("");
    }
    if let Some(seen) = newest {
        if time < seen.time {
            return Err("time runs backwards");
        }
        if time == seen.time {
            if bits != seen.bits {
                return Err("duplicate with another value");
            }
            counted.duplicates += 1;
            // The same sample, this time in time: it counts after all.
            let rescued = seen.late && !late;
            if rescued {
                seen.late = false;
                counted.late -= 1;
            }
            return Ok(rescued);
        }
    }
    *newest = Some(Newest { time, bits, late });
    counted.late += u64::from(late);
    Ok(!late)
}

fn refused(
    kernel: &TileKernel,
    entity: &str,
    metric: MetricId,
    time: i64,
    value: f64,
    problem: &'static str,
) -> FeatureError {
    let metric = kernel.name(metric).to_owned();
    if problem.is_empty() {
        return FeatureError::NonFinite { metric, time, value };
    }
    FeatureError::Order { entity: entity.to_owned(), metric, time, problem }
}
