//! Tiles of one entity, and the row they give at a moment: the one implementation that history, night
//! and request all call.

use std::collections::BTreeMap;

use crate::batch::FeatureBatch;
use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::entity::Entity;
use crate::sample::Sample;
use crate::spec::{FeatureSpec, FlatSource, Statistic};
use crate::tile::Tile;
use crate::{FeatureError, Result};

/// Tiles of one entity, per metric, and what was left out on the way.
#[derive(Debug, Clone, Default)]
pub struct EntityTiles {
    /// Per metric id, tiles by interval number, ascending.
    series: BTreeMap<MetricId, Vec<(i64, Tile)>>,
    late: u64,
    duplicates: u64,
}

impl EntityTiles {
    /// Tiles of samples sorted by (metric, time).
    ///
    /// A sample that reached us more than `ingest_lag` after its tile ended is left out and counted, so a
    /// tile's content does not depend on who asks when. An identical duplicate is dropped and counted.
    ///
    /// # Errors
    /// When times of a metric run backwards, or one time carries two different values.
    pub fn build(spec: &FeatureSpec, catalogue: &Catalogue, entity: &str, samples: &[Sample]) -> Result<Self> {
        let mut tiles = Self::default();
        let mut previous: Option<Sample> = None;
        for sample in samples {
            if let Some(before) = previous
                && before.metric() == sample.metric()
            {
                let refuse = |problem| FeatureError::Order {
                    entity: entity.to_owned(),
                    metric: catalogue.name(sample.metric()).to_owned(),
                    time: sample.time(),
                    problem,
                };
                if before.time() > sample.time() {
                    return Err(refuse("time runs backwards"));
                }
                if before.time() == sample.time() {
                    if before.reading() != sample.reading() {
                        return Err(refuse("duplicate with another value"));
                    }
                    tiles.duplicates += 1;
                    continue;
                }
            } else if previous.is_some_and(|before| before.metric() > sample.metric()) {
                return Err(FeatureError::Spec { reason: format!("samples of {entity} are not sorted by metric") });
            }
            previous = Some(*sample);
            let Some(value) = sample.value() else { continue };
            let number = sample.time().div_euclid(spec.tile);
            if sample.known_at() > (number + 1) * spec.tile + spec.ingest_lag {
                tiles.late += 1;
                continue;
            }
            let series = tiles.series.entry(sample.metric()).or_default();
            match series.last_mut() {
                Some((last, tile)) if *last == number => tile.push(sample.time(), value),
                _ => series.push((number, Tile::of(sample.time(), value))),
            }
        }
        Ok(tiles)
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

    /// Tile over interval numbers `[from, until)`, merged newest to oldest.
    fn merged(&self, metric: MetricId, from: i64, until: i64) -> Tile {
        let Some(series) = self.series.get(&metric) else { return Tile::EMPTY };
        let end = series.partition_point(|&(number, _)| number < until);
        let mut merged = Tile::EMPTY;
        for &(number, tile) in series[..end].iter().rev() {
            if number < from {
                break;
            }
            merged = Tile::merge(&merged, &tile);
        }
        merged
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
    Tile { metric: MetricId, statistic: Statistic, tiles: i64 },
    Saturation { used: MetricId, limit: MetricId, tiles: i64 },
    EventCount { window: i64 },
    SinceEvent,
}

/// A spec compiled against a catalogue: names are looked up once.
pub struct RowAssembler {
    spec: FeatureSpec,
    hash: String,
    flat: Vec<Program>,
    channels: Vec<(MetricId, Statistic, Option<MetricId>)>,
    entities: Vec<Entity>,
    as_of: Vec<i64>,
    flat_values: Vec<f32>,
    sequence_values: Vec<f32>,
}

impl RowAssembler {
    /// Checks the spec and looks its metrics up.
    ///
    /// # Errors
    /// When the spec contradicts itself or the catalogue, or asks for a statistic its metric's kind cannot give.
    pub fn try_new(spec: &FeatureSpec, catalogue: &Catalogue) -> Result<Self> {
        spec.validate(catalogue)?;
        let mut flat = Vec::with_capacity(spec.flat.len());
        for column in &spec.flat {
            flat.push(match &column.source {
                FlatSource::Attribute { attribute } => Program::Attribute(attribute.clone()),
                FlatSource::Age => Program::Age,
                FlatSource::Tile { metric, statistic, window } => {
                    let id = catalogue.id(metric)?;
                    check_statistic(catalogue, id, *statistic, &column.name)?;
                    Program::Tile { metric: id, statistic: *statistic, tiles: window / spec.tile }
                }
                FlatSource::Saturation { used, limit, window } => Program::Saturation {
                    used: catalogue.id(used)?,
                    limit: catalogue.id(limit)?,
                    tiles: window / spec.tile,
                },
                FlatSource::EventCount { window } => Program::EventCount { window: *window },
                FlatSource::SinceEvent => Program::SinceEvent,
            });
        }
        let mut channels = Vec::with_capacity(spec.channels.len());
        for channel in &spec.channels {
            let id = catalogue.id(&channel.metric)?;
            check_statistic(catalogue, id, channel.statistic, &channel.name)?;
            let limit = channel.divide_by.as_ref().map(|limit| catalogue.id(limit)).transpose()?;
            channels.push((id, channel.statistic, limit));
        }
        Ok(Self {
            hash: spec.hash(),
            spec: spec.clone(),
            flat,
            channels,
            entities: Vec::new(),
            as_of: Vec::new(),
            flat_values: Vec::new(),
            sequence_values: Vec::new(),
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
        for program in &self.flat {
            let value = match program {
                Program::Attribute(name) => facts.attributes.get(name).copied().unwrap_or(f64::NAN),
                Program::Age => facts.born.map_or(f64::NAN, |born| spec.time.units(as_of - born)),
                Program::Tile { metric, statistic, tiles: length } => {
                    tiles.merged(*metric, head - length, head).statistic(*statistic, per_unit)
                }
                Program::Saturation { used, limit, tiles: length } => {
                    let used = tiles.merged(*used, head - length, head).statistic(Statistic::Last, per_unit);
                    share(used, tiles.merged(*limit, head - length, head).statistic(Statistic::Last, per_unit))
                }
                Program::EventCount { window } => {
                    let recent = past.iter().filter(|&&time| time > as_of - window).count();
                    f64::from(u32::try_from(recent).unwrap_or(u32::MAX))
                }
                Program::SinceEvent => past.last().map_or(f64::NAN, |&time| spec.time.units(as_of - time)),
            };
            self.flat_values.push(narrow(value));
        }
        if spec.steps > 0 {
            let tiles_per_step = spec.step / spec.tile;
            let steps = i64::try_from(spec.steps).unwrap_or(i64::MAX);
            for step in 0..steps {
                let until = head - (steps - 1 - step) * tiles_per_step;
                let from = until - tiles_per_step;
                for &(metric, statistic, limit) in &self.channels {
                    let value = tiles.merged(metric, from, until).statistic(statistic, per_unit);
                    let value = match limit {
                        Some(limit) => {
                            share(value, tiles.merged(limit, from, until).statistic(Statistic::Last, per_unit))
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
