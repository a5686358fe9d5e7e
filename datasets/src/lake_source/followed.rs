//! What became of the entities of a lake: their lives and failures, without any feature.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use features::event::EventRules;
use features::{Catalogue, EntityHistory, EntityKind, EntityTiles, MetricId};

use super::context::Context;
use super::lives::{self, Watch};
use super::{OldTiles, each_entity_with, entity_series, tiled};
use crate::error::Result;
use crate::lake::{Lake, Scan};

/// By what lives are told.
#[derive(Debug, Clone)]
pub struct FollowConfig {
    /// Rules of failures and ends.
    pub rules: EventRules,
    /// Log of what was done because of a prediction, JSON lines; such ends are `intervention`.
    pub actions: Option<PathBuf>,
    /// Causes told apart; failures of any other are [`OTHER`](super::OTHER).
    pub causes: Vec<String>,
    /// Silence that ends a life, milliseconds.
    pub longest_gap: i64,
    /// Lives are asked for from here on, milliseconds: what tells of nothing but that an entity was there is not read
    /// of earlier days. Failures are known from the beginning of the lake all the same.
    pub from: i64,
}

/// Hands over every life of a kind, entity by entity, as [`LakeSource`](super::LakeSource) tells them, with no tiles.
/// An entity is taken as seen by any sample of it. Returns what was left out, by rule.
///
/// # Errors
/// When the action log or a file of the lake cannot be read.
pub fn lives_by(
    lake: &Lake,
    kind: EntityKind,
    config: &FollowConfig,
    each: &mut dyn FnMut(EntityHistory) -> Result<()>,
) -> Result<BTreeMap<String, u64>> {
    let catalogue = Catalogue::standard();
    let mut skipped = BTreeMap::new();
    let Some((_, last)) = lake.times(kind) else { return Ok(skipped) };
    tiled(lake, kind)?;
    let watch = Watch { from: i64::MIN, until: last + 1, longest_gap: config.longest_gap };
    let mut context = Context::by(config.rules.clone());
    if let Some(path) = &config.actions {
        context.read_actions(path, &mut Vec::new())?;
    }
    context.read_lake(lake, kind, watch.until, &catalogue)?;
    let told = features::event::metrics(&catalogue);
    let recent: BTreeSet<MetricId> =
        lake.tables().series().iter().map(|series| series.metric).filter(|metric| !told.contains(metric)).collect();
    let recent: Vec<MetricId> = recent.into_iter().collect();
    // Who was alive at a moment was seen no longer before it than a gap may last.
    let from = config.from.saturating_sub(config.longest_gap);
    let scan = |entities| Scan { entities, times: i64::MIN..watch.until, ..Scan::all(kind) }.with_recent(&recent, from);
    let old = lake.pruned_until(kind).filter(|until| *until > from).map(|until| OldTiles { until });
    each_entity_with(lake, kind, &scan, (old, &recent), &mut |entity| {
        let row = &lake.tables().entities()[usize::try_from(entity.id).unwrap_or(0)];
        let series = entity_series(&entity, lake.tables(), &catalogue);
        let told = lives::of(kind, &row.key, &series, &watch, &catalogue, &context, &mut skipped)?;
        let record = told.record(&row.key, &config.causes)?;
        let tiles = Arc::new(EntityTiles::default());
        told.lives.iter().try_for_each(|life| each(life.history(kind, &row.key, &record, tiles.clone())?))
    })?;
    Ok(skipped)
}
