//! Tiles of one entity, and the row they give at a moment: the one implementation that history, night
//! and request all call.

use std::collections::BTreeMap;

use crate::batch::FeatureBatch;
use crate::catalogue::{Catalogue, Combine, MetricId, MetricKind};
use crate::entity::Entity;
use crate::sample::{STALE_NAN_BITS, Sample};
use crate::spec::{FeatureSpec, FlatSource, KERNEL_VERSION, Statistic};
use crate::tile::{Join, Tile};
use crate::{FeatureError, Result};

/// Tiles of one part of one metric by interval number, ascending.
type Series = Vec<(i64, Tile)>;

/// Tiles of one entity, per metric and part, and what was left out on the way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityTiles {
    series: BTreeMap<(MetricId, u32), Series>,
    late: u64,
    duplicates: u64,
}

/// Samples of one metric and part, in time order, as columns.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Ticks, increasing.
    pub times: &'a [i64],
    /// Canonical unit; the stale mark keeps its bits.
    pub values: &'a [f64],
    /// When each was known, ticks.
    pub known_at: &'a [i64],
    /// Moments at which a new life began, ascending; empty for metrics that run on across lives.
    pub lives: &'a [i64],
}

impl EntityTiles {
    /// Tiles of samples sorted by (metric, part, time).
    ///
    /// A sample that reached us more than `ingest_lag` after its tile ended is left out and counted, so a
    /// tile's content does not depend on who asks when. An identical duplicate is dropped and counted.
    ///
    /// # Errors
    /// When times of a metric run backwards, or one time carries two different values.
    pub fn build(spec: &FeatureSpec, catalogue: &Catalogue, entity: &str, samples: &[Sample]) -> Result<Self> {
        let mut tiles = Self::default();
        let (mut times, mut values, mut known_at) = (Vec::new(), Vec::new(), Vec::new());
        let place = |sample: &Sample| (sample.metric(), sample.part());
        for run in samples.chunk_by(|a, b| place(a) == place(b)) {
            let (metric, part) = place(&run[0]);
            if tiles.series.last_key_value().is_some_and(|(&before, _)| before >= (metric, part)) {
                return Err(FeatureError::Spec {
                    reason: format!("samples of {entity} are not sorted by metric and part"),
                });
            }
            times.clear();
            values.clear();
            known_at.clear();
            let mut before: Option<&Sample> = None;
            for sample in run {
                if let Some(before) = before
                    && before.time() >= sample.time()
                {
                    let problem = match before.time() == sample.time() {
                        false => "time runs backwards",
                        true if before.reading() == sample.reading() => {
                            tiles.duplicates += 1;
                            continue;
                        }
                        true => "duplicate with another value",
                    };
                    return Err(FeatureError::Order {
                        entity: entity.to_owned(),
                        metric: catalogue.name(metric).to_owned(),
                        time: sample.time(),
                        problem,
                    });
                }
                before = Some(sample);
                times.push(sample.time());
                values.push(sample.value().unwrap_or(f64::from_bits(STALE_NAN_BITS)));
                known_at.push(sample.known_at());
            }
            let columns = Columns { times: &times, values: &values, known_at: &known_at, lives: &[] };
            tiles.extend(spec, metric, part, columns);
        }
        Ok(tiles)
    }

    /// Adds samples of one metric and part that are later than those it has. Late ones are left out and counted; a
    /// stale mark or a gap longer than the spec allows breaks the series, so that no step is counted across it.
    pub fn extend(&mut self, spec: &FeatureSpec, metric: MetricId, part: u32, columns: Columns<'_>) {
        let series = self.series.entry((metric, part)).or_default();
        let mut previous = series.last().and_then(|(_, tile)| tile.last_time());
        let mut stale = false;
        let mut life = previous.map_or(0, |time| columns.lives.partition_point(|&born| born <= time));
        // The edge is looked at instead of dividing every time.
        let (mut number, mut edge) = (i64::MIN, i64::MIN);
        let mut open = Tile::EMPTY;
        for ((&time, &value), &known_at) in columns.times.iter().zip(columns.values).zip(columns.known_at) {
            if value.is_nan() {
                stale = true;
                continue;
            }
            let tile_of_sample = if time < edge { number } else { time.div_euclid(spec.tile) };
            if known_at > (tile_of_sample + 1) * spec.tile + spec.ingest_lag {
                self.late += 1;
                continue;
            }
            let mut join = match previous {
                Some(before) if stale || time - before > spec.longest_gap => Join::Break,
                _ => Join::Continues,
            };
            stale = false;
            if columns.lives.get(life).is_some_and(|&born| born <= time) {
                life += columns.lives[life..].partition_point(|&born| born <= time);
                // What a life had counted before its first sample here is known only if its birth was seen.
                if join == Join::Continues && previous.is_some() {
                    join = Join::NewLife;
                }
            }
            if tile_of_sample != number {
                close(series, number, open);
                (number, edge) = (tile_of_sample, (tile_of_sample + 1) * spec.tile);
                open = match series.last() {
                    Some(&(last, tile)) if last == number => {
                        series.pop();
                        tile
                    }
                    _ => Tile::EMPTY,
                };
            }
            open.push(time, value, join);
            previous = Some(time);
        }
        close(series, number, open);
    }

    /// Adds a finished tile, as it was stored; tiles of a series come in order.
    pub fn push_tile(&mut self, metric: MetricId, part: u32, number: i64, tile: Tile) {
        self.series.entry((metric, part)).or_default().push((number, tile));
    }

    /// Every tile, by metric, part and interval number.
    pub fn iter(&self) -> impl Iterator<Item = (MetricId, u32, i64, &Tile)> {
        self.series.iter().flat_map(|(&(metric, part), series)| {
            series.iter().map(move |(number, tile)| (metric, part, *number, tile))
        })
    }

    /// Samples left out because they came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Identical duplicates dropped.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    fn parts(&self, metric: MetricId) -> impl Iterator<Item = (u32, &Series)> {
        self.series.range((metric, 0)..=(metric, u32::MAX)).map(|(&(_, part), series)| (part, series))
    }

    /// A statistic over interval numbers `[from, until)`, the parts combined.
    fn statistic(&self, metric: MetricId, (from, until): (i64, i64), statistic: Statistic, how: &How) -> f64 {
        let mut combined = Combined::new(how.combine);
        for (_, series) in self.parts(metric) {
            combined.add(merged(series, from, until).statistic(statistic, how.per_unit));
        }
        combined.value(statistic)
    }

    /// Every column of a walk at once; `out` is filled in the order of its columns.
    fn walk(&self, walk: &Walk, head: i64, per_unit: f64, out: &mut Vec<Combined>) {
        out.clear();
        out.extend(walk.columns.iter().map(|_| Combined::new(walk.combine)));
        for (_, series) in self.parts(walk.metric) {
            let end = series.partition_point(|&(number, _)| number < head);
            let mut older = series[..end].iter().rev().peekable();
            let mut merged = Tile::EMPTY;
            for (&(_, statistic, tiles), combined) in walk.columns.iter().zip(out.iter_mut()) {
                while let Some((_, tile)) = older.next_if(|(number, _)| *number >= head - tiles) {
                    merged = Tile::merge(&merged, tile);
                }
                combined.add(merged.statistic(statistic, per_unit));
            }
        }
    }

    /// Time of the newest sample of any part in interval numbers `[from, until)`.
    fn newest(&self, metric: MetricId, (from, until): (i64, i64)) -> Option<i64> {
        let newest = |series: &Series| {
            let end = series.partition_point(|&(number, _)| number < until);
            series[..end].last().filter(|(number, _)| *number >= from).and_then(|(_, tile)| tile.last_time())
        };
        self.parts(metric).filter_map(|(_, series)| newest(series)).max()
    }

    /// A statistic of one metric over that of another, part by part; missing where the denominator is not above 0.
    fn ratio(
        &self,
        (above, below): (MetricId, MetricId),
        (from, until): (i64, i64),
        statistic: Statistic,
        how: &How,
    ) -> f64 {
        let mut combined = Combined::new(how.combine);
        for (part, series) in self.parts(above) {
            // A limit of the whole entity holds for each of its parts.
            let limits = self.series.get(&(below, part)).or_else(|| self.series.get(&(below, 0)));
            let Some(limits) = limits else { continue };
            let below = merged(limits, from, until).statistic(statistic, how.per_unit);
            combined.add(share(merged(series, from, until).statistic(statistic, how.per_unit), below));
        }
        combined.value(statistic)
    }
}

fn close(series: &mut Series, number: i64, tile: Tile) {
    if tile.count() > 0 {
        series.push((number, tile));
    }
}

/// Tile over interval numbers `[from, until)`, merged newest to oldest.
fn merged(series: &Series, from: i64, until: i64) -> Tile {
    let end = series.partition_point(|&(number, _)| number < until);
    let mut merged = Tile::EMPTY;
    for &(number, ref tile) in series[..end].iter().rev() {
        if number < from {
            break;
        }
        merged = Tile::merge(&merged, tile);
    }
    merged
}

/// How parts become one number, and what a unit of time is.
#[derive(Debug, Clone, Copy)]
struct How {
    combine: Combine,
    per_unit: f64,
}

/// Parts put together one after the other; those that say nothing are left out.
struct Combined {
    how: Combine,
    value: Option<f64>,
}

impl Combined {
    fn new(how: Combine) -> Self {
        Self { how, value: None }
    }

    fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.value = Some(match (self.value, self.how) {
            (None, _) => value,
            (Some(before), Combine::Max) => before.max(value),
            (Some(before), Combine::Min) => before.min(value),
            (Some(before), Combine::Sum) => before + value,
        });
    }

    fn value(&self, statistic: Statistic) -> f64 {
        // Without any part, a count is still a number.
        self.value.unwrap_or(if statistic == Statistic::Count { 0.0 } else { f64::NAN })
    }
}

/// What is known of an entity besides its samples, as of the cut.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// When it came to life, if known.
    pub born: Option<i64>,
    /// Attributes known at birth.
    pub attributes: &'a BTreeMap<String, f64>,
    /// Times at which past failures became certain, ascending; later ones than `as_of` are not looked at.
    pub failures: &'a [i64],
}

enum Program {
    Attribute(String),
    Age,
    /// Filled by the walk over its metric.
    Walked,
    Ratio {
        above: MetricId,
        below: MetricId,
        statistic: Statistic,
        tiles: i64,
        combine: Combine,
    },
    TimeToLimit {
        metric: MetricId,
        limit: MetricId,
        tiles: i64,
    },
    Since {
        metric: MetricId,
        tiles: i64,
    },
    Staleness {
        metric: MetricId,
        tiles: i64,
    },
    Coverage {
        metric: MetricId,
        tiles: i64,
        expected: f64,
    },
    EventCount {
        window: i64,
    },
    EventDecay {
        half_life: i64,
    },
    SinceEvent,
}

/// Columns that read one metric, shortest window first: one pass over the tiles, newest to oldest, serves them all.
struct Walk {
    metric: MetricId,
    combine: Combine,
    /// Column, statistic, length in tiles.
    columns: Vec<(usize, Statistic, i64)>,
}

/// A spec compiled against a catalogue: names are looked up once.
pub struct RowAssembler {
    spec: FeatureSpec,
    hash: String,
    flat: Vec<Program>,
    walks: Vec<Walk>,
    /// Metric, statistic, limit that divides it, and how its parts combine.
    channels: Vec<(MetricId, Statistic, Option<MetricId>, Combine)>,
    entities: Vec<Entity>,
    as_of: Vec<i64>,
    flat_values: Vec<f32>,
    sequence_values: Vec<f32>,
    scratch: Vec<Combined>,
}

impl RowAssembler {
    /// Checks the spec and looks its metrics up.
    ///
    /// # Errors
    /// When the spec contradicts itself or the catalogue, or asks for a statistic its metric's kind cannot give.
    pub fn try_new(spec: &FeatureSpec, catalogue: &Catalogue) -> Result<Self> {
        spec.validate(catalogue)?;
        if spec.kernel_version != KERNEL_VERSION {
            return Err(FeatureError::Spec {
                reason: format!(
                    "kernel_version is {}, this build computes {KERNEL_VERSION}; finished rows stay readable, new ones need a new data set",
                    spec.kernel_version
                ),
            });
        }
        let combine = |metric: MetricId| catalogue.definition(metric).map(|d| d.combine).unwrap_or_default();
        let mut flat = Vec::with_capacity(spec.flat.len());
        let mut walks: BTreeMap<MetricId, Walk> = BTreeMap::new();
        for (index, column) in spec.flat.iter().enumerate() {
            flat.push(match &column.source {
                FlatSource::Attribute { attribute } => Program::Attribute(attribute.clone()),
                FlatSource::Age => Program::Age,
                FlatSource::Tile { metric, statistic, window } => {
                    let id = catalogue.id(metric)?;
                    check_statistic(catalogue, id, *statistic, &column.name)?;
                    let walk = Walk { metric: id, combine: combine(id), columns: Vec::new() };
                    let walk = walks.entry(id).or_insert(walk);
                    walk.columns.push((index, *statistic, window / spec.tile));
                    Program::Walked
                }
                FlatSource::Saturation { used, limit, window } => {
                    let (above, below) = (catalogue.id(used)?, catalogue.id(limit)?);
                    let tiles = window / spec.tile;
                    Program::Ratio { above, below, statistic: Statistic::Last, tiles, combine: combine(above) }
                }
                FlatSource::Ratio { above, below, window } => {
                    let (above, below) = (catalogue.id(above)?, catalogue.id(below)?);
                    for id in [above, below] {
                        check_statistic(catalogue, id, Statistic::Increase, &column.name)?;
                    }
                    let tiles = window / spec.tile;
                    Program::Ratio { above, below, statistic: Statistic::Increase, tiles, combine: combine(above) }
                }
                FlatSource::TimeToLimit { metric, limit, window } => {
                    let metric = catalogue.id(metric)?;
                    check_statistic(catalogue, metric, Statistic::Slope, &column.name)?;
                    Program::TimeToLimit { metric, limit: catalogue.id(limit)?, tiles: window / spec.tile }
                }
                FlatSource::Since { metric, window } => {
                    let id = catalogue.id(metric)?;
                    if catalogue.definition(id).is_none_or(|d| d.kind != MetricKind::Time) {
                        return Err(FeatureError::Spec {
                            reason: format!("column {:?}: {metric} is no point in time", column.name),
                        });
                    }
                    Program::Since { metric: id, tiles: window / spec.tile }
                }
                FlatSource::Staleness { metric, window } => {
                    Program::Staleness { metric: catalogue.id(metric)?, tiles: window / spec.tile }
                }
                FlatSource::Coverage { metric, window, interval } => Program::Coverage {
                    metric: catalogue.id(metric)?,
                    tiles: window / spec.tile,
                    expected: spec.time.units(*window) / spec.time.units(*interval),
                },
                FlatSource::EventCount { window } => Program::EventCount { window: *window },
                FlatSource::EventDecay { half_life } => Program::EventDecay { half_life: *half_life },
                FlatSource::SinceEvent => Program::SinceEvent,
            });
        }
        let mut channels = Vec::with_capacity(spec.channels.len());
        for channel in &spec.channels {
            let id = catalogue.id(&channel.metric)?;
            check_statistic(catalogue, id, channel.statistic, &channel.name)?;
            let limit = channel.divide_by.as_ref().map(|limit| catalogue.id(limit)).transpose()?;
            channels.push((id, channel.statistic, limit, combine(id)));
        }
        Ok(Self {
            hash: spec.hash(),
            spec: spec.clone(),
            flat,
            walks: walks
                .into_values()
                .map(|mut walk| {
                    walk.columns.sort_by_key(|&(column, _, tiles)| (tiles, column));
                    walk
                })
                .collect(),
            channels,
            entities: Vec::new(),
            as_of: Vec::new(),
            flat_values: Vec::new(),
            sequence_values: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Rows assembled so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.entities.len()
    }

    /// Adds the row of `entity` at `as_of`, from samples before it alone.
    ///
    /// # Errors
    /// When `as_of` does not sit on a tile edge.
    pub fn push(&mut self, entity: &Entity, facts: &Facts<'_>, tiles: &EntityTiles, as_of: i64) -> Result<()> {
        let spec = &self.spec;
        if as_of.rem_euclid(spec.tile) != 0 {
            return Err(FeatureError::Spec {
                reason: format!("as_of {as_of} of {} is not on a tile edge (tile {})", entity.key(), spec.tile),
            });
        }
        let head = as_of.div_euclid(spec.tile);
        let per_unit = spec.time.units(1).recip();
        let past = &facts.failures[..facts.failures.partition_point(|&time| time <= as_of)];
        let row = self.flat_values.len();
        for program in &self.flat {
            let value = match program {
                Program::Walked => f64::NAN,
                Program::Attribute(name) => facts.attributes.get(name).copied().unwrap_or(f64::NAN),
                Program::Age => facts.born.map_or(f64::NAN, |born| spec.time.units(as_of - born)),
                &Program::Ratio { above, below, statistic, tiles: length, combine } => {
                    tiles.ratio((above, below), (head - length, head), statistic, &How { combine, per_unit })
                }
                &Program::TimeToLimit { metric, limit, tiles: length } => {
                    let at = |metric, statistic| {
                        tiles.statistic(
                            metric,
                            (head - length, head),
                            statistic,
                            &How { combine: Combine::Max, per_unit },
                        )
                    };
                    let (slope, room) =
                        (at(metric, Statistic::Slope), at(limit, Statistic::Last) - at(metric, Statistic::Last));
                    if slope > 0.0 && at(limit, Statistic::Last) > 0.0 { (room / slope).max(0.0) } else { f64::NAN }
                }
                &Program::Since { metric, tiles: length } => {
                    let how = How { combine: Combine::Max, per_unit };
                    let seconds = tiles.statistic(metric, (head - length, head), Statistic::Last, &how);
                    let unit = spec.time.unit.seconds().unwrap_or(f64::NAN);
                    spec.time.units(as_of) - seconds / unit
                }
                &Program::Staleness { metric, tiles: length } => {
                    let newest = tiles.newest(metric, (head - length, head));
                    newest.map_or(f64::NAN, |time| spec.time.units(as_of - time))
                }
                &Program::Coverage { metric, tiles: length, expected } => {
                    let how = How { combine: Combine::Max, per_unit };
                    tiles.statistic(metric, (head - length, head), Statistic::Count, &how) / expected
                }
                Program::EventCount { window } => {
                    let recent = past.iter().filter(|&&time| time > as_of - window).count();
                    f64::from(u32::try_from(recent).unwrap_or(u32::MAX))
                }
                Program::EventDecay { half_life } => {
                    let half_life = spec.time.units(*half_life);
                    past.iter().map(|&time| (-spec.time.units(as_of - time) / half_life).exp2()).sum()
                }
                Program::SinceEvent => past.last().map_or(f64::NAN, |&time| spec.time.units(as_of - time)),
            };
            self.flat_values.push(narrow(value));
        }
        for walk in &self.walks {
            tiles.walk(walk, head, per_unit, &mut self.scratch);
            for (&(column, statistic, _), combined) in walk.columns.iter().zip(&self.scratch) {
                self.flat_values[row + column] = narrow(combined.value(statistic));
            }
        }
        if spec.steps > 0 {
            let tiles_per_step = spec.step / spec.tile;
            let steps = i64::try_from(spec.steps).unwrap_or(i64::MAX);
            for step in 0..steps {
                let until = head - (steps - 1 - step) * tiles_per_step;
                let from = until - tiles_per_step;
                for &(metric, statistic, limit, combine) in &self.channels {
                    let value = tiles.statistic(metric, (from, until), statistic, &How { combine, per_unit });
                    let value = match limit {
                        Some(limit) => {
                            let how = How { combine: Combine::Max, per_unit };
                            share(value, tiles.statistic(limit, (from, until), Statistic::Last, &how))
                        }
                        None => value,
                    };
                    self.sequence_values.push(narrow(value));
                }
            }
        }
        self.entities.push(entity.clone());
        self.as_of.push(as_of);
        Ok(())
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

/// Used over limit; a limit of 0 means none, not infinite load.
fn share(used: f64, limit: f64) -> f64 {
    if limit > 0.0 { used / limit } else { f64::NAN }
}

#[expect(clippy::cast_possible_truncation, reason = "features are stored in single precision")]
fn narrow(value: f64) -> f32 {
    value as f32
}

fn check_statistic(catalogue: &Catalogue, id: MetricId, statistic: Statistic, column: &str) -> Result<()> {
    let Some(definition) = catalogue.definition(id) else { return Ok(()) };
    let growth = matches!(statistic, Statistic::Increase | Statistic::Rate | Statistic::MaxStep | Statistic::Resets);
    let wrong = match definition.kind {
        MetricKind::Gauge => growth,
        MetricKind::Counter => matches!(statistic, Statistic::Mean | Statistic::Std | Statistic::Slope),
        MetricKind::Delta => growth && statistic != Statistic::Increase,
        MetricKind::State | MetricKind::Time | MetricKind::Info => {
            !matches!(statistic, Statistic::Last | Statistic::Count)
        }
    };
    if wrong {
        return Err(FeatureError::Spec {
            reason: format!(
                "column {column:?}: {statistic:?} means nothing for {} ({:?})",
                definition.id, definition.kind
            ),
        });
    }
    Ok(())
}
