//! A lake as a source of histories: entities one range after the other, each with its lives, events and tiles.
//!
//! Memory holds the samples of one range of entities, whatever the length of the history.

mod config;
mod context;
mod events;
mod followed;
mod lives;
mod rows;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use features::spec::FlatSource;
use features::{
    Catalogue, EntityHistory, EntityKind, EntityTiles, FeatureSpec, MetricId, Tile, TileBuilder, TileKernel,
};

pub use config::{CutConfig, FeatureConfig, LabelConfig, LakeBuildConfig, NoticeSource, OTHER, SplitConfig};
use context::Context;
pub use events::{LONGEST_GAP, events_by, events_of, refresh_events};
pub use followed::{FollowConfig, lives_by};
pub use rows::{LakeRows, rows_at, rows_at_by};

use crate::error::{DatasetError, Result};
use crate::lake::{LAKE_LAG, LAKE_TILE, Lake, LakeTables, Run, Scan, Table};
use crate::source::{BuildPlan, Each, Input, Source};
use lives::{EntitySeries, Life, Watch};

/// Samples in memory at a time; 24 bytes each, and as much again while they become tiles.
const MOST_ROWS: u64 = 8_000_000;

/// A lake, read by a build config.
#[derive(Debug)]
pub struct LakeSource {
    lake: Lake,
    config: LakeBuildConfig,
    plan: BuildPlan,
    watch: Watch,
    context: Context,
    /// Entity ids of each unit, both included.
    units: Vec<(i32, i32)>,
    old: Option<OldTiles>,
    skipped: BTreeMap<String, u64>,
}

impl LakeSource {
    /// Opens the newest commit of a lake for a build.
    ///
    /// # Errors
    /// When the lake or the config cannot be used, or the lake has nothing of the kind.
    pub fn open(dir: &Path, config: LakeBuildConfig) -> Result<Self> {
        let lake = Lake::open(dir)?;
        let catalogue = Catalogue::standard();
        let (first, last) = lake.times(config.kind).ok_or_else(|| DatasetError::Empty {
            path: PathBuf::from(dir),
            what: "samples of this kind (`forewarn lake status` shows what there is)",
        })?;
        let from = config.from.as_deref().map(|text| config::moment("from", text)).transpose()?.unwrap_or(first);
        let until = config.until.as_deref().map(|text| config::moment("until", text)).transpose()?.unwrap_or(last + 1);
        let mut inputs =
            vec![Input::of("spec", serde_json::to_string(&config.placeless()).unwrap_or_default().as_bytes())];
        // Digests of the files say what was read; the number of a commit would change with every compaction.
        let mut files: Vec<&str> = lake
            .snapshot()
            .files
            .iter()
            .filter(|file| file.table == Table::Samples && file.kind == config.kind.name() && file.times.0 < until)
            .map(|file| file.sha256.as_str())
            .collect();
        files.sort_unstable();
        inputs.push(Input::of("lake samples", files.join(" ").as_bytes()));
        for mapping in features::mapping::MappingSet::standard(&catalogue).sources() {
            inputs.push(Input {
                name: format!("mapping {} v{}", mapping.name, mapping.version),
                sha256: mapping.sha256.clone(),
            });
        }
        let (mut context, files) = Context::of_files(&config.labels)?;
        inputs.extend(files);
        let notes = notes(&lake, &config, &config.spec(&catalogue)?);
        let plan = config.plan(catalogue, inputs, notes)?;
        let watch = Watch { from, until, longest_gap: plan.spec.longest_gap };
        context.read_lake(&lake, config.kind, until, &plan.catalogue)?;
        let old = OldTiles::of(&lake, config.kind, &plan.spec);
        tiled(&lake, config.kind)?;
        let units = lake.ranges(config.kind, most_rows(old))?;
        Ok(Self { lake, config, plan, watch, context, units, old, skipped: BTreeMap::new() })
    }

    /// Reads no more than about so many samples at a time, one entity at least; that is also a unit of a build.
    ///
    /// # Errors
    /// When a file of the lake cannot be read.
    pub fn with_most_samples(mut self, most: u64) -> Result<Self> {
        self.units = self.lake.ranges(self.config.kind, most)?;
        Ok(self)
    }

    /// The lake it reads.
    #[must_use]
    pub fn lake(&self) -> &Lake {
        &self.lake
    }
}

impl Source for LakeSource {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    fn entities(&self) -> Option<u64> {
        let of_kind = self.lake.tables().entities().iter().filter(|entity| entity.kind == self.config.kind);
        Some(of_kind.count() as u64)
    }

    fn units(&self) -> usize {
        self.units.len()
    }

    fn unit(&mut self, unit: usize, each: &mut Each<'_>) -> Result<()> {
        let named = DatasetError::feature(&self.plan.name);
        let catalogue = &self.plan.catalogue;
        let kernel = TileKernel::try_new(&self.plan.spec, catalogue).map_err(&named)?;
        let (featured, all) = wanted(&self.plan.spec, catalogue).map_err(&named)?;
        let mut skipped = BTreeMap::new();
        let times = i64::MIN..self.watch.until;
        let scan = Scan { entities: self.units[unit], times, ..Scan::all(self.config.kind) }.with_metrics(&all);
        each_entity_of(&self.lake, &scan, (self.old, &featured), &mut |entity| {
            let what = What { kernel: &kernel, featured: &featured, catalogue, context: &self.context };
            for history in entity.histories(self.lake.tables(), &self.watch, &self.config, &what, &mut skipped)? {
                each(history, None)?;
            }
            Ok(())
        })?;
        self.skipped = skipped;
        Ok(())
    }

    fn raw_since(&self) -> Option<i64> {
        self.lake.pruned_until(self.config.kind)
    }

    fn skipped(&self) -> BTreeMap<String, u64> {
        self.skipped.clone()
    }
}

/// Metrics that features read, and those read at all: events and starts of lives as well.
fn wanted(spec: &FeatureSpec, catalogue: &Catalogue) -> features::Result<(Vec<MetricId>, Vec<MetricId>)> {
    let featured = spec.metrics(catalogue)?;
    let mut all = featured.clone();
    all.extend(features::event::metrics(catalogue));
    all.extend(spec.life_metrics(catalogue));
    Ok((featured, all))
}

/// Days whose raw samples are gone; their tiles stand in, where the spec's are made as the lake's are.
#[derive(Debug, Clone, Copy)]
struct OldTiles {
    until: i64,
}

impl OldTiles {
    fn of(lake: &Lake, kind: EntityKind, spec: &FeatureSpec) -> Option<Self> {
        let until = lake.pruned_until(kind)?;
        (spec.tile == LAKE_TILE && spec.ingest_lag == LAKE_LAG).then_some(Self { until })
    }
}

/// Refuses a lake of which samples of pruned days wait for their tiles: they would be in no feature.
fn tiled(lake: &Lake, kind: EntityKind) -> Result<()> {
    let Some(until) = lake.pruned_until(kind) else { return Ok(()) };
    let waiting = lake
        .snapshot()
        .table(Table::Samples)
        .filter(|file| file.kind == kind.name() && !file.settled && !file.pruned && file.times.0 < until)
        .count();
    if waiting == 0 {
        return Ok(());
    }
    let day = crate::lake::date_of(until - 1);
    Err(DatasetError::config(
        lake.dir().display().to_string(),
        format!(
            "raw samples up to {day} are pruned, and {waiting} files that came since have no tiles yet; run `forewarn lake compact`"
        ),
    ))
}

/// Hands over the entities of a kind one after the other, each whole.
fn each_entity(
    lake: &Lake,
    kind: EntityKind,
    scan: &dyn Fn((i32, i32)) -> Scan,
    each: &mut dyn FnMut(Entity) -> Result<()>,
) -> Result<()> {
    each_entity_with(lake, kind, scan, (None, &[]), each)
}

/// The same, with the tiles of pruned days.
fn each_entity_with(
    lake: &Lake,
    kind: EntityKind,
    scan: &dyn Fn((i32, i32)) -> Scan,
    (old, featured): (Option<OldTiles>, &[MetricId]),
    each: &mut dyn FnMut(Entity) -> Result<()>,
) -> Result<()> {
    lake.ranges(kind, most_rows(old))?
        .into_iter()
        .try_for_each(|entities| each_entity_of(lake, &scan(entities), (old, featured), each))
}

/// Rows in memory at a time.
fn most_rows(old: Option<OldTiles>) -> u64 {
    // Pruned days have few rows and as many tiles as ever.
    if old.is_some() { MOST_ROWS / 16 } else { MOST_ROWS }
}

/// Hands over the entities of one range, which is that of the scan.
fn each_entity_of(
    lake: &Lake,
    scan: &Scan,
    (old, featured): (Option<OldTiles>, &[MetricId]),
    each: &mut dyn FnMut(Entity) -> Result<()>,
) -> Result<()> {
    let catalogue = Catalogue::standard();
    let mut tiles = match old {
        Some(old) => {
            lake.tiles(scan.kind, scan.entities, &|metric| featured.contains(&metric), old.until, &catalogue)?
        }
        None => HashMap::new(),
    };
    let mut of_entity: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for &series in tiles.keys() {
        of_entity.entry(lake.tables().series()[series as usize].entity).or_default().push(series);
    }
    let mut each = |mut entity: Entity, of_entity: &mut BTreeMap<i32, Vec<u32>>| -> Result<()> {
        if let Some(old) = old {
            entity.raw_from = old.until;
            for series in &mut entity.series {
                series.tiles = tiles.remove(&series.id).unwrap_or_default();
            }
            // Series of which nothing but tiles is left.
            let mut left = of_entity.remove(&entity.id).unwrap_or_default();
            left.sort_unstable();
            for id in left {
                if let Some(tiles) = tiles.remove(&id) {
                    let metric = lake.tables().series()[id as usize].metric;
                    let (times, values, known_at) = (Vec::new(), Vec::new(), Vec::new());
                    entity.series.push(Series { id, metric, times, values, known_at, tiles });
                }
            }
        }
        each(entity)
    };
    let empty = |id: i32| Entity { id, series: Vec::new(), raw_from: i64::MIN };
    let mut open: Option<Entity> = None;
    lake.scan(scan, &mut |run| {
        if open.as_ref().is_some_and(|entity| entity.id != run.entity)
            && let Some(done) = open.take()
        {
            each(done, &mut of_entity)?;
        }
        if open.is_none() {
            // Entities of which nothing but tiles is left, in their place.
            while let Some((&id, _)) = of_entity.first_key_value().filter(|(id, _)| **id < run.entity) {
                each(empty(id), &mut of_entity)?;
            }
        }
        open.get_or_insert_with(|| empty(run.entity)).take(&run);
        Ok(())
    })?;
    if let Some(last) = open {
        each(last, &mut of_entity)?;
    }
    while let Some((&id, _)) = of_entity.first_key_value() {
        each(empty(id), &mut of_entity)?;
    }
    Ok(())
}

/// What histories are made with.
struct What<'a> {
    kernel: &'a TileKernel,
    featured: &'a [MetricId],
    catalogue: &'a Catalogue,
    context: &'a Context,
}

/// One entity over all its incarnations, as it lies in the lake.
struct Entity {
    id: i32,
    series: Vec<Series>,
    /// Before this the features come from tiles.
    raw_from: i64,
}

struct Series {
    id: u32,
    metric: MetricId,
    times: Vec<i64>,
    values: Vec<f64>,
    known_at: Vec<i64>,
    /// Of pruned days.
    tiles: Vec<(i64, Tile)>,
}

impl Entity {
    fn take(&mut self, run: &Run<'_>) {
        self.series.push(Series {
            id: run.series,
            metric: run.metric,
            times: run.times.to_vec(),
            values: run.values.to_vec(),
            known_at: run.known_at.to_vec(),
            tiles: Vec::new(),
        });
    }

    fn histories(
        &self,
        tables: &LakeTables,
        watch: &Watch,
        config: &LakeBuildConfig,
        what: &What<'_>,
        skipped: &mut BTreeMap<String, u64>,
    ) -> Result<Vec<EntityHistory>> {
        let What { kernel, featured, catalogue, context } = *what;
        let row = &tables.entities()[usize::try_from(self.id).unwrap_or(0)];
        let series = entity_series(self, tables, catalogue);
        let told = lives::of(row.kind, &row.key, &series, watch, catalogue, context, skipped)?;
        let record = told.record(&row.key, &config.labels.causes)?;
        let lives = told.lives;
        // Parts are numbered over all metrics, so that a limit finds the part it limits; 0 is the whole.
        let mut parts: Vec<&str> = series.iter().map(|series| series.part).filter(|part| !part.is_empty()).collect();
        parts.sort_unstable();
        parts.dedup();
        let part_of = |part: &str| match parts.binary_search(&part) {
            Ok(at) if !part.is_empty() => u32::try_from(at + 1).unwrap_or(u32::MAX),
            _ => 0,
        };
        let mut tiles: BTreeMap<&str, Arc<EntityTiles>> = BTreeMap::new();
        let mut histories = Vec::with_capacity(lives.len());
        for life in &lives {
            let incarnation = life.incarnation.as_str();
            let built = match tiles.get(incarnation) {
                Some(built) => built.clone(),
                None => {
                    let span = incarnation_span(&lives, incarnation);
                    let built = Arc::new(build_tiles(
                        kernel,
                        &row.key,
                        &series,
                        featured,
                        (incarnation, span),
                        self.raw_from,
                        part_of,
                    )?);
                    tiles.insert(incarnation, built.clone());
                    built
                }
            };
            histories.push(life.history(row.kind, &row.key, &record, built)?);
        }
        Ok(histories)
    }
}

fn entity_series<'a>(entity: &'a Entity, tables: &'a LakeTables, catalogue: &'a Catalogue) -> Vec<EntitySeries<'a>> {
    entity
        .series
        .iter()
        .map(|series| EntitySeries {
            metric: series.metric,
            name: catalogue.name(series.metric),
            part: &tables.series()[series.id as usize].part,
            incarnation: &tables.series()[series.id as usize].incarnation,
            times: &series.times,
            values: &series.values,
            known_at: &series.known_at,
            tiles: &series.tiles,
        })
        .collect()
}

/// From when to when an incarnation was watched.
fn incarnation_span(lives: &[Life], incarnation: &str) -> (i64, i64) {
    let own = lives.iter().filter(|life| life.incarnation == incarnation);
    own.fold((i64::MAX, i64::MIN), |span, life| (span.0.min(life.from), span.1.max(life.until)))
}

/// Tiles of one incarnation. Series that do not say whose they are belong to it while it was watched.
fn build_tiles(
    kernel: &TileKernel,
    key: &str,
    series: &[EntitySeries<'_>],
    featured: &[MetricId],
    (incarnation, (from, until)): (&str, (i64, i64)),
    raw_from: i64,
    part_of: impl Fn(&str) -> u32,
) -> Result<EntityTiles> {
    let named = DatasetError::feature(key);
    let own = |series: &&EntitySeries<'_>| series.incarnation == incarnation || series.incarnation.is_empty();
    let cut = |series: &EntitySeries<'_>| {
        if series.incarnation == incarnation {
            return 0..series.times.len();
        }
        series.times.partition_point(|&time| time < from)..series.times.partition_point(|&time| time <= until)
    };
    // Two sources may give one metric and part: the one that names its incarnation is taken.
    let mut chosen: BTreeMap<(MetricId, u32), &EntitySeries<'_>> = BTreeMap::new();
    for series in series.iter().filter(own).filter(|series| featured.contains(&series.metric)) {
        let place = (series.metric, part_of(series.part));
        let better = chosen.get(&place).is_none_or(|before| before.incarnation.is_empty());
        if better && (!cut(series).is_empty() || !series.tiles.is_empty()) {
            chosen.insert(place, series);
        }
    }
    let mut tiles = EntityTiles::default();
    for (&(metric, part), series) in &chosen {
        let whole = series.incarnation == incarnation;
        for (number, tile) in series.tiles {
            let begins = number * kernel.tile();
            let inside = whole || (begins >= from && begins <= until);
            if inside && begins < raw_from {
                tiles.insert(kernel, metric, part, *number, tile).map_err(&named)?;
            }
        }
    }
    let mut builder = TileBuilder::resume(kernel, key, tiles);
    for series in series.iter().filter(own) {
        let range = cut(series);
        if kernel.tells_lives(series.metric) {
            builder.take_lives(&series.times[range.clone()], &series.values[range.clone()], &series.known_at[range]);
        }
    }
    for ((metric, part), series) in chosen {
        let range = cut(series);
        let range = range.start.max(series.times.partition_point(|&time| time < raw_from)).min(range.end)..range.end;
        builder
            .extend_run(
                metric,
                part,
                &series.times[range.clone()],
                &series.values[range.clone()],
                &series.known_at[range],
            )
            .map_err(&named)?;
    }
    Ok(builder.finish())
}

fn notes(lake: &Lake, config: &LakeBuildConfig, spec: &FeatureSpec) -> Vec<String> {
    let mut notes = vec![
        "Failures are derived from states and counts by the event rules named among the inputs; each carries the samples it follows from.".to_owned(),
        "known_at is the time of receipt for samples that were pushed to us, and sample time plus a fixed lag for history that was fetched: a guess, the same for all.".to_owned(),
        "Series that do not name an incarnation (cAdvisor without its cgroup path) are given to the incarnation that was there at the time.".to_owned(),
    ];
    if let Some(until) = lake.pruned_until(config.kind) {
        let last = crate::lake::date_of(until - 1);
        notes.push(if OldTiles::of(lake, config.kind, spec).is_some() {
            format!(
                "Raw samples up to {last} have been pruned; features of those days come from the lake's 5-minute tiles, in which steps over gaps of up to 5 minutes count."
            )
        } else {
            format!(
                "Raw samples up to {last} have been pruned, and the spec's tiles (length {} ms, lag {} ms) are not those the lake kept ({LAKE_TILE} ms, {LAKE_LAG} ms): features of those days are missing.",
                spec.tile, spec.ingest_lag
            )
        });
    }
    let elsewhere: Vec<&str> = spec
        .flat
        .iter()
        .filter(|column| matches!(column.source, FlatSource::Neighbour { kind: Some(kind), .. } if kind != config.kind))
        .map(|column| column.name.as_str())
        .collect();
    if !elsewhere.is_empty() {
        notes.push(format!(
            "Columns {} are about entities of another kind, which a build of this kind does not read: they are missing.",
            elsewhere.join(", ")
        ));
    }
    notes.push(
        "Drains, rollouts and scale-downs are told from pods and cordoned nodes: a deleted pod with no pod of its workload begun near its end was scaled down, one with a pod of another owner rolled out.".to_owned(),
    );
    if config.kind == EntityKind::Container {
        notes.push("Restarts with exit code 0 (Completed) are no failures; they open a new life.".to_owned());
    }
    notes
}
