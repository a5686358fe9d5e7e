//! From tiles and facts to rows.

use std::collections::BTreeMap;

use super::kernel::TileKernel;
use super::program::{Column, Fold, Program};
use super::read::{Cells, folded};
use super::series::on_track;
use super::tiles::EntityTiles;
use crate::batch::FeatureBatch;
use crate::catalogue::Catalogue;
use crate::entity::Entity;
use crate::season::{Season, decayed};
use crate::spec::FeatureSpec;
use crate::tile::{Aggregate, Frame, SpanKind, as_f64};
use crate::{FeatureError, Result};

/// What is known of an entity besides its samples, as of the cut.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// When it came to life, if known.
    pub born: Option<i64>,
    /// Attributes known at birth.
    pub attributes: &'a BTreeMap<String, f64>,
    /// Times at which past failures became certain, ascending; those at `as_of` or later are not looked at.
    pub failures: &'a [i64],
    /// Times of the samples that showed them, in the same order; empty where each was shown when it became certain. A
    /// failure that no sample before `as_of` showed is not looked at either.
    pub shown: &'a [i64],
    /// Cause of each failure, in the same order; empty where causes are not known.
    pub causes: &'a [&'a str],
}

/// A spec compiled against a catalogue: names are looked up once.
pub struct RowAssembler {
    spec: FeatureSpec,
    hash: String,
    kernel: TileKernel,
    program: Program,
    cells: Cells,
    entities: Vec<Entity>,
    as_of: Vec<i64>,
    flat_values: Vec<f32>,
    sequence_values: Vec<f32>,
}

impl RowAssembler {
    /// Checks the spec and looks its metrics up.
    ///
    /// # Errors
    /// When the spec contradicts itself or the catalogue, was made for another kernel, or asks for a statistic
    /// its metric's kind cannot give.
    pub fn try_new(spec: &FeatureSpec, catalogue: &Catalogue) -> Result<Self> {
        spec.validate(catalogue)?;
        spec.check_statistics(catalogue)?;
        let kernel = TileKernel::try_new(spec, catalogue)?;
        let program = Program::compile(spec, catalogue)?;
        Ok(Self {
            hash: spec.hash(),
            spec: spec.clone(),
            cells: Cells::new(program.cells),
            kernel,
            program,
            entities: Vec::new(),
            as_of: Vec::new(),
            flat_values: Vec::new(),
            sequence_values: Vec::new(),
        })
    }

    /// The kernel of the spec, to make tiles with.
    #[must_use]
    pub fn kernel(&self) -> &TileKernel {
        &self.kernel
    }

    /// Rows assembled so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.entities.len()
    }

    /// Adds the row of `entity` at `as_of`, from samples before it alone.
    ///
    /// # Errors
    /// When `as_of` does not sit on a tile edge, or failures and what is said of them differ in number.
    pub fn push(&mut self, entity: &Entity, facts: &Facts<'_>, tiles: &EntityTiles, as_of: i64) -> Result<()> {
        let mut flat = std::mem::take(&mut self.flat_values);
        let mut sequence = std::mem::take(&mut self.sequence_values);
        let done = self.finalize(entity.key(), facts, tiles, as_of, &mut flat, &mut sequence);
        self.flat_values = flat;
        self.sequence_values = sequence;
        done?;
        self.entities.push(entity.clone());
        self.as_of.push(as_of);
        Ok(())
    }

    /// Appends the values of one row: flat columns to `flat`, steps × channels to `sequence`. `entity` is named in
    /// errors; on an error nothing is appended.
    ///
    /// # Errors
    /// When `as_of` does not sit on a tile edge, or failures and what is said of them differ in number.
    pub fn finalize(
        &mut self,
        entity: &str,
        facts: &Facts<'_>,
        tiles: &EntityTiles,
        as_of: i64,
        flat: &mut Vec<f32>,
        sequence: &mut Vec<f32>,
    ) -> Result<()> {
        if as_of.rem_euclid(self.spec.tile) != 0 {
            return Err(FeatureError::Spec {
                reason: format!("as_of {as_of} of {entity} is not on a tile edge (tile {})", self.spec.tile),
            });
        }
        let expected = facts.failures.len();
        for (what, got) in
            [("causes of failures", facts.causes.len()), ("moments that showed failures", facts.shown.len())]
        {
            if got != 0 && got != expected {
                return Err(FeatureError::Shape { what, expected, got });
            }
        }
        self.read(tiles, as_of);
        let row = Row { spec: &self.spec, cells: &self.cells, facts, tiles, as_of };
        flat.extend(self.program.columns.iter().map(|column| narrow(row.value(column))));
        for step in (0..self.spec.steps).rev() {
            sequence.extend(self.program.channels.iter().map(|channel| {
                narrow(match channel.divide_by {
                    Some(limit) => self.cells.paired(channel.cell + step, limit + step, channel.fold, share),
                    None => self.cells.folded(channel.cell + step, channel.fold, f64::NAN),
                })
            }));
        }
        Ok(())
    }

    /// One walk per metric and part, newest tile to oldest, fills every cell.
    fn read(&mut self, tiles: &EntityTiles, as_of: i64) {
        let Self { spec, program, cells, .. } = self;
        cells.clear();
        let (tile, gap) = (spec.tile, spec.longest_gap);
        let head = as_of.div_euclid(tile);
        let ticks_per_unit = as_f64(spec.time.ticks_per_unit);
        let ticks_per_second = spec.time.ticks_per_second().unwrap_or(f64::NAN);
        // A part without samples in a window says nothing, not even 0: that it exists may be known only later.
        for reads in &program.reads {
            for (_, part, series) in tiles.parts(reads.metric) {
                on_track!(series, track => {
                    if !reads.plain.is_empty() {
                        track.windows(head, reads.plain.iter().map(|window| window.length), gap, |index, span| {
                            let window = &reads.plain[index];
                            let frame = Frame { from: (head - window.length) * tile, as_of, ticks_per_unit };
                            for &(read, cell) in window.cells.iter().filter(|_| span.head().count > 0) {
                                cells.set(cell, *part, read.of(span, &frame, ticks_per_second));
                            }
                        });
                    }
                    if let Some(rollup) = spec.rollup && !reads.rolled.is_empty() {
                        let multiple = rollup.tile_multiple;
                        let head = head.div_euclid(multiple);
                        let lengths = reads.rolled.iter().map(|window| window.length);
                        track.rolled_windows(head, lengths, multiple, gap, |index, span| {
                            let window = &reads.rolled[index];
                            let from = (head - window.length) * multiple * tile;
                            let frame = Frame { from, as_of, ticks_per_unit };
                            for &(read, cell) in window.cells.iter().filter(|_| span.head().count > 0) {
                                cells.set(cell, *part, read.of(span, &frame, ticks_per_second));
                            }
                        });
                    }
                    if !reads.steps.is_empty() {
                        let length = spec.step / tile;
                        track.steps(head, length, spec.steps, gap, |step, span| {
                            let back = i64::try_from(step + 1).unwrap_or(i64::MAX).saturating_mul(length);
                            let frame = Frame { from: (head - back) * tile, as_of, ticks_per_unit };
                            for &(read, cell) in reads.steps.iter().filter(|_| span.head().count > 0) {
                                cells.set(cell + step, *part, read.of(span, &frame, ticks_per_second));
                            }
                        });
                    }
                });
            }
        }
        for limit in &program.derived {
            for step in 0..limit.length {
                fill_limit(cells, limit.limit + step, limit.quota + step, limit.period + step);
            }
        }
    }

    /// The rows assembled so far, leaving the assembler empty.
    ///
    /// # Errors
    /// When a value overflowed single precision.
    pub fn finish(&mut self) -> Result<FeatureBatch> {
        FeatureBatch::try_new(
            &self.spec,
            self.hash.clone(),
            std::mem::take(&mut self.entities),
            std::mem::take(&mut self.as_of),
            std::mem::take(&mut self.flat_values),
            std::mem::take(&mut self.sequence_values),
        )
    }
}

/// One row while its columns are computed.
struct Row<'a> {
    spec: &'a FeatureSpec,
    cells: &'a Cells,
    facts: &'a Facts<'a>,
    tiles: &'a EntityTiles,
    as_of: i64,
}

impl Row<'_> {
    fn value(&self, column: &Column) -> f64 {
        let Self { spec, cells, facts, as_of, .. } = *self;
        match column {
            Column::Attribute(name) => facts.attributes.get(name).copied().unwrap_or(f64::NAN),
            Column::Age => facts.born.map_or(f64::NAN, |born| spec.time.units(as_of - born)),
            Column::EventCount { window, cause } => self.events(cause.as_deref()).map_or(f64::NAN, |events| {
                let recent = events.filter(|&time| time >= as_of - window).count();
                f64::from(u32::try_from(recent).unwrap_or(u32::MAX))
            }),
            Column::SinceEvent { cause } => {
                let last = self.events(cause.as_deref()).and_then(Iterator::last);
                last.map_or(f64::NAN, |time| spec.time.units(as_of - time))
            }
            Column::EventDecay { half_life, cause } => self.events(cause.as_deref()).map_or(f64::NAN, |events| {
                events.fold(0.0, |sum, time| sum + decayed(as_f64(as_of - time) / as_f64(*half_life)))
            }),
            Column::Value { cell, fold, nothing } => cells.folded(*cell, *fold, *nothing),
            Column::Ratio { top, bottom, fold } => cells.paired(*top, *bottom, *fold, share),
            Column::SlopeRatio { short, long, fold } => {
                cells.paired(*short, *long, *fold, |short, long| if long == 0.0 { f64::NAN } else { short / long })
            }
            Column::TimeToLimit { used, limit, slope } => {
                let soonest = cells.parts(*used).iter().filter_map(|&(part, used)| {
                    let limit = cells.partner(*limit, part).filter(|&limit| limit > 0.0)?;
                    let slope = cells.partner(*slope, part).filter(|&slope| slope > 0.0)?;
                    Some(if used >= limit { 0.0 } else { (limit - used) / slope })
                });
                folded(soonest, Fold::Min).unwrap_or(f64::NAN)
            }
            Column::TimeSince { cell, fold } => {
                let start = cells.folded(*cell, *fold, f64::NAN) * spec.time.ticks_per_second().unwrap_or(f64::NAN);
                (as_f64(as_of) - start) / as_f64(spec.time.ticks_per_unit)
            }
            Column::Completeness { cell, expected } => cells.folded(*cell, Fold::Min, 0.0) / expected,
            Column::Present { cell } => f64::from(u8::from(cells.folded(*cell, Fold::Max, 0.0) > 0.0)),
            Column::Season { metric, fold, season } => {
                let parts = self.tiles.parts(*metric).iter();
                let values = parts.map(|(_, _, series)| self.season(season, series));
                folded(values.filter(|value| !value.is_nan()), *fold).unwrap_or(f64::NAN)
            }
            Column::Neighbour => f64::NAN,
        }
    }

    /// Failures certain and shown before `as_of`, of one cause or any; `None` when a cause is asked for and causes are
    /// not known. A window of them is half-open, as those of tiles are.
    fn events(&self, cause: Option<&str>) -> Option<impl Iterator<Item = i64>> {
        let Facts { failures, shown, causes, .. } = *self.facts;
        let as_of = self.as_of;
        let past = failures.partition_point(|&time| time < as_of);
        if cause.is_some() && causes.is_empty() && past > 0 {
            return None;
        }
        let known = move |&index: &usize| shown.get(index).is_none_or(|&time| time < as_of);
        let wanted = move |&index: &usize| cause.is_none_or(|cause| causes[index] == cause);
        Some((0..past).filter(known).filter(wanted).map(|index| failures[index]))
    }

    fn season(&self, season: &Season, series: &super::series::Series) -> f64 {
        let Some(rollup) = self.spec.rollup else { return f64::NAN };
        let (multiple, gap) = (rollup.tile_multiple, self.spec.longest_gap);
        let hour = multiple * self.spec.tile;
        let ticks_per_unit = as_f64(self.spec.time.ticks_per_unit);
        let level = |number: i64| {
            let frame = Frame { from: number * hour, as_of: self.as_of, ticks_per_unit };
            on_track!(series, track => track.rolled_at(number, multiple, gap).statistic(season.level, &frame))
        };
        season.value(self.as_of.div_euclid(hour) - 1, level)
    }
}

/// Fills the cell of a limit that nothing showed, part by part, with quota over period. A quota of 0 or below is none.
fn fill_limit(cells: &mut Cells, limit: usize, quota: usize, period: usize) {
    if !cells.parts(limit).is_empty() {
        return;
    }
    for at in 0..cells.parts(quota).len() {
        let (part, used) = cells.parts(quota)[at];
        if let Some(length) = cells.partner(period, part).filter(|&length| used > 0.0 && length > 0.0) {
            cells.set(limit, part, used / length);
        }
    }
}

/// Used over limit; a limit of 0 means none, not infinite load.
fn share(used: f64, limit: f64) -> f64 {
    if limit > 0.0 { used / limit } else { f64::NAN }
}

#[expect(clippy::cast_possible_truncation, reason = "features are stored in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}
