//! Rows of every entity that is alive at one moment, without labels: what a night job scores.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use features::event::EventRules;
use features::neighbour::{Neighbours, Place};
use features::{Catalogue, EntityKind, Facts, FailureEvent, FeatureBatch, FeatureSpec, MetricId, RowAssembler};
use sha2::{Digest, Sha256};

use super::config::{CutConfig, FeatureConfig, LabelConfig, LakeBuildConfig, SplitConfig};
use super::context::Context;
use super::lives::Watch;
use super::{OldTiles, What, each_entity_with, wanted};
use crate::error::{DatasetError, Result};
use crate::lake::{Lake, Scan};

/// The rows of a lake at one moment.
#[derive(Debug, Clone)]
pub struct LakeRows {
    /// One row per entity alive at the moment, by entity.
    pub rows: FeatureBatch,
    /// The moment, milliseconds, a tile edge.
    pub as_of: i64,
    /// Digest of what the rows were made from.
    pub digest: String,
    /// Entities left out, by rule.
    pub skipped: BTreeMap<String, u64>,
}

/// Rows of a spec for every entity of a kind that was seen within the longest gap before `as_of`; the newest tile edge
/// of the lake unless given. Samples later than the moment are not looked at. Failures so far are told by the shipped
/// event rules.
///
/// # Errors
/// When the lake has nothing of the kind, or the spec is of another kernel or catalogue than this build's.
pub fn rows_at(
    dir: &Path,
    kind: EntityKind,
    spec: &FeatureSpec,
    causes: &[String],
    as_of: Option<i64>,
) -> Result<LakeRows> {
    rows_at_by(dir, kind, spec, causes, as_of, EventRules::shipped())
}

/// The same with failures so far told by other rules: those of the data set that the model was trained on, where its
/// build spec named a file, since columns about past failures mean what the rules mean.
///
/// # Errors
/// As [`rows_at`].
pub fn rows_at_by(
    dir: &Path,
    kind: EntityKind,
    spec: &FeatureSpec,
    causes: &[String],
    as_of: Option<i64>,
    rules: EventRules,
) -> Result<LakeRows> {
    let lake = Lake::open(dir)?;
    let catalogue = Catalogue::standard();
    let named = DatasetError::feature(dir.display());
    let mut assembler = RowAssembler::try_new(spec, &catalogue).map_err(&named)?;
    let (_, last) = lake.times(kind).ok_or_else(|| DatasetError::Empty {
        path: PathBuf::from(dir),
        what: "samples of this kind (`forewarn lake status` shows what there is)",
    })?;
    // The last tile that is closed: its samples have had the time to arrive.
    let as_of = as_of.unwrap_or_else(|| last - spec.ingest_lag);
    let as_of = as_of.div_euclid(spec.tile) * spec.tile;
    let watch = Watch { from: i64::MIN, until: as_of, longest_gap: spec.longest_gap };
    let config = LakeBuildConfig {
        name: "night".to_owned(),
        title: String::new(),
        licence: String::new(),
        source: String::new(),
        kind,
        from: None,
        until: None,
        cuts: CutConfig::default(),
        labels: LabelConfig {
            causes: causes.to_vec(),
            horizons: Vec::new(),
            edges: Vec::new(),
            rules: None,
            actions: None,
            notices: Vec::new(),
        },
        split: SplitConfig::default(),
        features: FeatureConfig::Shipped(String::new()),
    };
    let (featured, all) = wanted(spec, &catalogue).map_err(&named)?;
    let kernel = features::TileKernel::try_new(spec, &catalogue).map_err(&named)?;
    let mut skipped = BTreeMap::new();
    // What features read is needed as far back as they look, what tells of lives and failures from the beginning.
    let told: Vec<MetricId> =
        features::event::metrics(&catalogue).into_iter().chain(spec.life_metrics(&catalogue)).collect();
    let recent: Vec<MetricId> = featured.iter().copied().filter(|metric| !told.contains(metric)).collect();
    let from = as_of.saturating_sub(spec.lookback()).saturating_sub(spec.tile);
    let scan = |entities| {
        Scan { entities, times: i64::MIN..as_of, ..Scan::all(kind) }.with_metrics(&all).with_recent(&recent, from)
    };
    let mut context = Context::by(rules);
    context.read_lake(&lake, kind, as_of, &catalogue)?;
    let mut gone = 0;
    let mut places: Vec<(Option<String>, String)> = Vec::new();
    let old = OldTiles::of(&lake, kind, spec);
    each_entity_with(&lake, kind, &scan, (old, &featured), &mut |entity| {
        let what = What { kernel: &kernel, featured: &featured, catalogue: &catalogue, context: &context };
        let histories = entity.histories(lake.tables(), &watch, &config, &what, &mut skipped)?;
        let Some(newest) = histories.last() else { return Ok(()) };
        if newest.end != survival::CensorReason::EndOfObservation {
            gone += 1;
            return Ok(());
        }
        let failures: Vec<i64> = newest.events.iter().map(FailureEvent::t_high).collect();
        let causes: Vec<&str> = newest.events.iter().map(FailureEvent::cause).collect();
        let shown: Vec<i64> = newest.events.iter().map(FailureEvent::shown_at).collect();
        let attributes = &newest.attributes;
        let facts = Facts { born: newest.born, attributes, failures: &failures, causes: &causes, shown: &shown };
        let Some(tiles) = &newest.tiles else { return Ok(()) };
        assembler.push(&newest.entity, &facts, tiles, as_of).map_err(&named)?;
        places.push((newest.node(as_of).map(str::to_owned), newest.group.clone()));
        Ok(())
    })?;
    if gone > 0 {
        skipped.insert("not_alive_at_the_moment".to_owned(), gone);
    }
    let mut rows = assembler.finish().map_err(&named)?;
    let mut pools = Neighbours::try_new(kind, spec, &[(kind, spec)]).map_err(&named)?;
    if pools.is_asked() {
        let place = |row: usize| Place { node: places[row].0.as_deref(), workload: Some(&places[row].1) };
        (0..rows.rows()).for_each(|row| pools.collect(&place(row), as_of, rows.flat_row(row)));
        let reader = pools.reader(kind, spec).map_err(&named)?;
        (0..rows.rows()).for_each(|row| reader.fill(&place(row), as_of, rows.flat_row_mut(row)));
    }
    // What is scored, and not which files it came from: a compaction changes those and none of this.
    let mut hasher = Sha256::new();
    hasher.update(spec.hash());
    hasher.update(as_of.to_le_bytes());
    for entity in rows.entities() {
        for text in [entity.key(), entity.incarnation()] {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
    }
    for value in rows.flat().iter().chain(rows.sequence()) {
        // Missing is missing, whatever its bits.
        let bits = if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
        hasher.update(bits.to_le_bytes());
    }
    Ok(LakeRows { rows, as_of, digest: hex::encode(hasher.finalize()), skipped })
}
