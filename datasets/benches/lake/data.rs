//! What the lakes of the benchmark hold: scrapes of entities with 20 metrics, half of them counters with resets.
//!
//! Every value follows from entity, metric and place in its series, so that the same samples can be written as long
//! rows and as wide ones.

use std::path::{Path, PathBuf};

use datasets::lake::{CompactOptions, LakeRow, SeriesId, compact};
use datasets::{LakeOptions, LakeWriter, Silent};
use features::{CanonicalSeries, Catalogue, Entity, EntityKind, FeatureSpec, MetricId};

pub(crate) const DAY: i64 = 86_400_000;
/// The moment of the features, the end of a day; the newest scrape lies less than one interval before it.
pub(crate) const AS_OF: i64 = 1_795_000_000_000 / DAY * DAY;
/// Milliseconds between scrapes.
pub(crate) const SCRAPE: i64 = 15_000;
/// Milliseconds from a sample to its arrival.
pub(crate) const ARRIVES_AFTER: i64 = 800;
/// Rows of an import; memory holds them a few times over, whatever the size of the lake.
const IMPORT: usize = 4_000_000;

pub(crate) const METRICS: [&str; 20] = [
    "mem.working_set",
    "mem.limit",
    "mem.rss",
    "mem.cache",
    "fd.open",
    "thread.count",
    "ready",
    "cpu.limit",
    "process.count",
    "fs.used",
    "mem.limit_hits",
    "mem.major_faults",
    "cpu.time",
    "cpu.periods",
    "cpu.throttled_periods",
    "net.rx_errors",
    "cpu.throttled_time",
    "oom.events",
    "net.rx_dropped",
    "restart.count",
];
/// The first so many are gauges, the others counters.
const GAUGES: usize = 10;
const RESTARTS: usize = 19;

pub(crate) fn spec(catalogue: &Catalogue) -> FeatureSpec {
    let list = |names: &[&str]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "unit = \"hours\"\ntile = \"5m\"\ningest_lag = \"1m\"\nscrape_interval = \"15s\"\n\
         [[family]]\nmetrics = [{}]\nwindows = [\"1h\", \"24h\"]\nstatistics = [\"count\", \"mean\", \"max\", \"min\", \"last\"]\n\
         [[family]]\nmetrics = [{}]\nwindows = [\"1h\", \"24h\"]\nstatistics = [\"increase\"]\n",
        list(&METRICS[..GAUGES]),
        list(&METRICS[GAUGES..])
    );
    FeatureSpec::from_toml(&text, catalogue).expect("the spec of the benchmark")
}

/// How many entities, and scrapes of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) entities: usize,
    pub(crate) scrapes: usize,
}

impl Shape {
    /// About so many samples; a day of each entity unless their number is given.
    pub(crate) fn of(samples: usize, entities: Option<usize>) -> Self {
        let a_day = usize::try_from(DAY / SCRAPE).unwrap_or(1);
        let entities = entities.unwrap_or(samples.div_ceil(a_day * METRICS.len()));
        Self { entities, scrapes: samples.div_ceil(entities * METRICS.len()) }
    }

    /// Times of an entity's scrapes.
    pub(crate) fn times(self, entity: usize) -> Vec<i64> {
        let offset = i64::try_from(Dice::of(entity, METRICS.len()).roll() % SCRAPE.unsigned_abs()).unwrap_or(0);
        let begun = AS_OF - i64::try_from(self.scrapes).unwrap_or(0) * SCRAPE + offset;
        (begun..).step_by(usize::try_from(SCRAPE).unwrap_or(1)).take(self.scrapes).collect()
    }

    /// Values of one metric of an entity, in place of those that are there.
    pub(crate) fn values(self, entity: usize, metric: usize, into: &mut Vec<f64>) {
        let mut dice = Dice::of(entity, metric);
        let mut level = (1_000 + dice.roll() % 99_000) as f64;
        into.clear();
        into.extend((0..self.scrapes).map(|at| {
            let draw = dice.roll();
            if metric < GAUGES {
                level = (level + (draw % 7) as f64 - 3.0).max(1.0);
            } else if metric == RESTARTS {
                // A container that restarts in its last scrape has not been seen alive since: it would get no row.
                level += if at + 1 < self.scrapes && draw.is_multiple_of(2_880) { 1.0 } else { 0.0 };
            } else if (draw >> 32).is_multiple_of(20_000) {
                level = 0.0;
            } else {
                level += (draw % 9) as f64 / 4.0;
            }
            level
        }));
    }
}

/// A replica of a workload of its own.
pub(crate) fn key(entity: usize) -> String {
    format!("ns-{}/app{entity}-5d9c7b8f6d-x2x9z/app", entity % 50)
}

/// SplitMix64: three multiplications a sample, so that making samples costs less than writing them.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(entity: usize, metric: usize) -> Self {
        Self((entity as u64).wrapping_mul(0xd134_2543_de82_ef95) ^ ((metric as u64) << 56))
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A lake being filled by imports of bounded size.
pub(crate) struct Filler {
    dir: PathBuf,
    writer: LakeWriter,
    rows: Vec<(LakeRow, i64)>,
    imports: usize,
    total: u64,
}

impl Filler {
    pub(crate) fn open(dir: &Path) -> Self {
        let options = LakeOptions { max_series: 4_000_000, ..LakeOptions::default() };
        let writer = LakeWriter::open(dir, options).expect("a lake");
        Self { dir: dir.to_owned(), writer, rows: Vec::new(), imports: 0, total: 0 }
    }

    pub(crate) fn series(&self, entity: usize, metric: MetricId) -> SeriesId {
        let entity = Entity::try_new(EntityKind::Container, key(entity), "uid").expect("a key");
        let series = CanonicalSeries { entity, metric, part: String::new() };
        self.writer.register(&series).expect("room for the series")
    }

    pub(crate) fn push(&mut self, series: SeriesId, times: &[i64], values: &[f64]) {
        let rows = times.iter().zip(values);
        self.rows.extend(rows.map(|(&time, &value)| (LakeRow { series, time, value }, time + ARRIVES_AFTER)));
    }

    /// Stores what there is, once that is enough.
    pub(crate) fn end_entity(&mut self) {
        if self.rows.len() >= IMPORT {
            self.import();
        }
    }

    fn import(&mut self) {
        self.total += self.rows.len() as u64;
        self.imports += 1;
        self.writer.import("fill", &self.imports.to_string(), &self.rows).expect("stored");
        self.rows.clear();
    }

    /// Compacts the lake, every day being closed, so that its tiles are written too; how many samples it holds.
    pub(crate) fn finish(mut self) -> u64 {
        self.import();
        let Self { dir, writer, total, .. } = self;
        writer.close().expect("flushed");
        let options = CompactOptions { open_days: true, ..CompactOptions::at(AS_OF + 2 * DAY) };
        compact(&dir, &options, &Silent).expect("compacted");
        total
    }
}

/// Fills a lake as `forewarn ingest` and `forewarn lake compact` leave it; how many samples it holds.
pub(crate) fn fill(dir: &Path, shape: Shape, catalogue: &Catalogue) -> u64 {
    let mut filler = Filler::open(dir);
    let metrics = METRICS.map(|name| catalogue.id(name).expect("a metric"));
    let mut values = Vec::new();
    for entity in 0..shape.entities {
        let times = shape.times(entity);
        for (at, &metric) in metrics.iter().enumerate() {
            shape.values(entity, at, &mut values);
            let series = filler.series(entity, metric);
            filler.push(series, &times, &values);
        }
        filler.end_entity();
    }
    filler.finish()
}
