//! A lake as a source of histories: entities one range after the other, each with its lives, events and tiles.
//!
//! Memory holds the samples of one range of entities, whatever the length of the history.

mod config;
mod context;
mod lives;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use features::{Catalogue, EntityHistory, EntityKind, EntityTiles, FeatureSpec, MetricId, TileBuilder, TileKernel};

pub use config::{CutConfig, FeatureConfig, LabelConfig, LakeBuildConfig, NoticeSource, OTHER, SplitConfig};
use context::Context;
pub use rows::{LakeRows, rows_at};

use crate::error::{DatasetError, Result};
use crate::lake::{Lake, LakeTables, Run, Scan, StoredEvent, Table};
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
        let mut inputs = vec![Input::of("spec", serde_json::to_string(&config).unwrap_or_default().as_bytes())];
        // Digests of the files say what was read; the number of a commit would change with every compaction.
        let mut files: Vec<&str> = lake
            .snapshot()
            .files
            .iter()
            .filter(|file| file.table == Table::Samples && file.kind == config.kind.name())
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
        let notes = notes(&lake, &config);
        let plan = config.plan(catalogue, inputs, notes)?;
        let watch = Watch { from, until, longest_gap: plan.spec.longest_gap };
        context.read_lake(&lake, config.kind, until, &plan.catalogue)?;
        Ok(Self { lake, config, plan, watch, context, skipped: BTreeMap::new() })
    }

    /// The lake it reads.
    #[must_use]
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Every failure of the kind, in the order of the entities.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn events(&mut self) -> Result<Vec<StoredEvent>> {
        let mut events = Vec::new();
        self.histories(&mut |history, _| {
            for event in &history.events {
                // Histories of later lives carry the failures of earlier ones.
                if event.t_high() > history.observed_from && event.t_high() <= history.observed_until {
                    events.push(StoredEvent {
                        kind: history.entity.kind().name().to_owned(),
                        key: history.entity.key().to_owned(),
                        incarnation: history.entity.incarnation().to_owned(),
                        cause: event.cause().to_owned(),
                        t_low: event.t_low(),
                        t_high: event.t_high(),
                        evidence: event.evidence().to_owned(),
                    });
                }
            }
            Ok(())
        })?;
        Ok(events)
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

    fn histories(&mut self, each: &mut Each<'_>) -> Result<()> {
        let named = DatasetError::feature(&self.plan.name);
        let catalogue = &self.plan.catalogue;
        let kernel = TileKernel::try_new(&self.plan.spec, catalogue).map_err(&named)?;
        let (featured, all) = wanted(&self.plan.spec, catalogue).map_err(&named)?;
        let mut skipped = BTreeMap::new();
        let scan = |entities| {
            Scan { entities, times: i64::MIN..self.watch.until, ..Scan::all(self.config.kind) }.with_metrics(&all)
        };
        each_entity(&self.lake, self.config.kind, &scan, &mut |entity| {
            let what = What { kernel: &kernel, featured: &featured, catalogue, context: &self.context };
            for history in entity.histories(self.lake.tables(), &self.watch, &self.config, &what, &mut skipped)? {
                each(history, None)?;
            }
            Ok(())
        })?;
        self.skipped = skipped;
        Ok(())
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

/// Hands over the entities of a kind one after the other, each whole.
fn each_entity(
    lake: &Lake,
    kind: EntityKind,
    scan: &dyn Fn((i32, i32)) -> Scan,
    each: &mut dyn FnMut(Entity) -> Result<()>,
) -> Result<()> {
    for entities in lake.ranges(kind, MOST_ROWS)? {
        let mut open: Option<Entity> = None;
        lake.scan(&scan(entities), &mut |run| {
            if open.as_ref().is_some_and(|entity| entity.id != run.entity)
                && let Some(done) = open.take()
            {
                each(done)?;
            }
            open.get_or_insert_with(|| Entity { id: run.entity, series: Vec::new() }).take(&run);
            Ok(())
        })?;
        if let Some(last) = open {
            each(last)?;
        }
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
}

struct Series {
    id: u32,
    metric: MetricId,
    times: Vec<i64>,
    values: Vec<f64>,
    known_at: Vec<i64>,
}

impl Entity {
    fn take(&mut self, run: &Run<'_>) {
        self.series.push(Series {
            id: run.series,
            metric: run.metric,
            times: run.times.to_vec(),
            values: run.values.to_vec(),
            known_at: run.known_at.to_vec(),
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
        let series: Vec<EntitySeries<'_>> = self
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
            })
            .collect();
        let lives = lives::of(row.kind, &row.key, &series, watch, catalogue, context, skipped)?;
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
                    let built =
                        Arc::new(build_tiles(kernel, &row.key, &series, featured, (incarnation, span), part_of)?);
                    tiles.insert(incarnation, built.clone());
                    built
                }
            };
            histories.push(life.history(row.kind, &row.key, config, built)?);
        }
        Ok(histories)
    }
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
    part_of: impl Fn(&str) -> u32,
) -> Result<EntityTiles> {
    let named = DatasetError::feature(key);
    let mut builder = TileBuilder::new(kernel, key);
    let own = |series: &&EntitySeries<'_>| series.incarnation == incarnation || series.incarnation.is_empty();
    let cut = |series: &EntitySeries<'_>| {
        if series.incarnation == incarnation {
            return 0..series.times.len();
        }
        series.times.partition_point(|&time| time < from)..series.times.partition_point(|&time| time <= until)
    };
    for series in series.iter().filter(own) {
        let range = cut(series);
        if kernel.tells_lives(series.metric) {
            builder.take_lives(&series.times[range.clone()], &series.values[range.clone()], &series.known_at[range]);
        }
    }
    // Two sources may give one metric and part: the one that names its incarnation is taken.
    let mut chosen: BTreeMap<(MetricId, u32), &EntitySeries<'_>> = BTreeMap::new();
    for series in series.iter().filter(own).filter(|series| featured.contains(&series.metric)) {
        let place = (series.metric, part_of(series.part));
        let better = chosen.get(&place).is_none_or(|before| before.incarnation.is_empty());
        if better && !cut(series).is_empty() {
            chosen.insert(place, series);
        }
    }
    for ((metric, part), series) in chosen {
        let range = cut(series);
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

fn notes(lake: &Lake, config: &LakeBuildConfig) -> Vec<String> {
    let mut notes = vec![
        "Failures are derived from states and counts by the event rules named among the inputs; each carries the samples it follows from.".to_owned(),
        "known_at is the time of receipt for samples that were pushed to us, and sample time plus a fixed lag for history that was fetched: a guess, the same for all.".to_owned(),
        "Series that do not name an incarnation (cAdvisor without its cgroup path) are given to the incarnation that was there at the time.".to_owned(),
    ];
    let pruned: Vec<&str> = lake
        .snapshot()
        .table(Table::Samples)
        .filter(|file| file.pruned && file.kind == config.kind.name())
        .map(|file| file.date.as_str())
        .collect();
    if let Some(last) = pruned.iter().max() {
        notes.push(format!(
            "Raw samples up to {last} have been pruned; before that only what events need is left, and features of those days are missing."
        ));
    }
    if config.kind == EntityKind::Container {
        notes.push("Restarts with exit code 0 (Completed) are no failures; they open a new life.".to_owned());
    }
    notes
}
