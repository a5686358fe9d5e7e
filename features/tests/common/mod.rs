//! A small world with every kind of metric, parts, lives, gaps and late samples, and a spec with every family.
#![allow(dead_code, reason = "each test binary uses its own share")]

use std::collections::BTreeMap;

use features::catalogue::MetricDefinition;
use features::sample::STALE_NAN_BITS;
use features::spec::{Channel, FlatColumn, FlatSource, KERNEL_VERSION, Neighbourhood, Pooled, Rollup, Statistic};
use features::tile::TileColumns;
use features::{
    Catalogue, Combine, Entity, EntityKind, EntityTiles, Facts, FeatureSpec, MetricId, MetricKind, RowAssembler,
    Sample, TileKernel, TimeAxis,
};
use proptest::prelude::*;
use survival::TimeUnit;

/// Five seconds of ten ticks.
pub(crate) const TILE: i64 = 50;
pub(crate) const LAG: i64 = 20;
pub(crate) const GAP: i64 = 60;
/// Four tiles make a roll-up.
pub(crate) const HOUR: i64 = 4 * TILE;
pub(crate) const TICKS_PER_SECOND: f64 = 10.0;
/// Samples lie in `0..END`.
pub(crate) const END: i64 = 3000;

pub(crate) const STATES: [&str; 3] = ["up", "down", "odd"];

/// Name, kind, how parts combine, how many parts have samples.
pub(crate) const METRICS: [(&str, MetricKind, Combine, u32); 11] = [
    ("level", MetricKind::Gauge, Combine::Max, 1),
    ("limit", MetricKind::Gauge, Combine::Max, 1),
    ("free", MetricKind::Gauge, Combine::Min, 2),
    ("bytes", MetricKind::Gauge, Combine::Sum, 3),
    ("total", MetricKind::Counter, Combine::Max, 2),
    ("periods", MetricKind::Counter, Combine::Max, 2),
    ("restart.count", MetricKind::Counter, Combine::Max, 1),
    ("reports", MetricKind::Delta, Combine::Max, 1),
    ("phase", MetricKind::State, Combine::Max, 1),
    ("start.time", MetricKind::Time, Combine::Max, 1),
    ("owner", MetricKind::Info, Combine::Max, 1),
];

pub(crate) fn catalogue() -> Catalogue {
    let definition = |(id, kind, combine, _): (&str, MetricKind, Combine, u32)| MetricDefinition {
        id: id.to_owned(),
        unit: "1".to_owned(),
        kind,
        states: if kind == MetricKind::State { STATES.map(str::to_owned).to_vec() } else { Vec::new() },
        signed: false,
        combine,
        foretells: String::new(),
    };
    Catalogue::try_new(METRICS.into_iter().map(definition).collect()).unwrap()
}

/// Every statistic of every metric it suits, over plain and rolled-up windows, and every other family.
pub(crate) fn spec() -> FeatureSpec {
    let catalogue = catalogue();
    let mut flat = Vec::new();
    for (metric, kind, ..) in METRICS {
        for statistic in Statistic::ALL.into_iter().filter(|statistic| statistic.suits(kind)) {
            for window in [TILE, 3 * TILE, 2 * HOUR, 5 * HOUR] {
                flat.push(FlatColumn {
                    name: format!("{metric}.{}.{window}", statistic.name()),
                    source: FlatSource::Tile { metric: metric.to_owned(), statistic, window },
                });
            }
        }
    }
    for window in [3 * TILE, 2 * HOUR] {
        for (name, source) in windowed(window) {
            flat.push(FlatColumn { name: format!("{name}.{window}"), source });
        }
    }
    flat.extend(others().into_iter().map(|(name, source)| FlatColumn { name: name.to_owned(), source }));
    let channel = |name: &str, metric: &str, statistic, limit: Option<&str>| Channel {
        name: name.to_owned(),
        metric: metric.to_owned(),
        statistic,
        divide_by: limit.map(str::to_owned),
    };
    FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Seconds, ticks_per_unit: 10 },
        tile: TILE,
        ingest_lag: LAG,
        longest_gap: GAP,
        flat,
        steps: 6,
        step: 2 * TILE,
        channels: vec![
            channel("seq.level", "level", Statistic::Mean, Some("limit")),
            channel("seq.free", "free", Statistic::Last, Some("limit")),
            channel("seq.rate", "total", Statistic::Rate, None),
            channel("seq.growth", "total", Statistic::Increase, None),
        ],
        regimes: Vec::new(),
        summaries: Vec::new(),
        scrape_interval: Some(10),
        rollup: Some(Rollup { tile_multiple: 4, from_window: 2 * HOUR }),
        catalogue_digest: catalogue.digest(),
    }
}

fn text(name: &str) -> String {
    name.to_owned()
}

fn windowed(window: i64) -> Vec<(&'static str, FlatSource)> {
    let saturation = |used: &str, limit: &str| FlatSource::Saturation { used: text(used), limit: text(limit), window };
    let share = |state: usize| FlatSource::StateShare { metric: text("phase"), state: text(STATES[state]), window };
    vec![
        ("saturation", saturation("level", "limit")),
        ("saturation.parts", saturation("free", "bytes")),
        ("saturation.summed", saturation("bytes", "free")),
        ("load", FlatSource::LoadOfLimit { metric: text("total"), limit: text("limit"), window }),
        ("throttled", FlatSource::IncreaseRatio { numerator: text("total"), denominator: text("periods"), window }),
        ("stalled", FlatSource::StallShare { metric: text("total"), window }),
        ("to_limit", FlatSource::TimeToLimit { used: text("level"), limit: text("limit"), window }),
        ("up", share(0)),
        ("odd", share(2)),
        ("since_start", FlatSource::TimeSince { metric: text("start.time"), window }),
        ("completeness", FlatSource::Completeness { metric: text("free"), window }),
        ("limit.set", FlatSource::Present { metric: text("limit"), window }),
        ("failures", FlatSource::EventCount { window, cause: None }),
        ("failures.oom", FlatSource::EventCount { window, cause: Some(text("oom")) }),
    ]
}

fn others() -> Vec<(&'static str, FlatSource)> {
    let season = |metric: &str, cycles| FlatSource::Season { metric: text(metric), period: 3 * HOUR, cycles };
    let pooled = |within, pooled| FlatSource::Neighbour { within, column: text("level.last.150"), pooled, kind: None };
    vec![
        ("cores", FlatSource::Attribute { attribute: text("cores") }),
        ("age", FlatSource::Age),
        ("since", FlatSource::SinceEvent { cause: None }),
        ("since.oom", FlatSource::SinceEvent { cause: Some(text("oom")) }),
        ("decayed", FlatSource::EventDecay { half_life: 100, cause: None }),
        ("slopes", FlatSource::SlopeRatio { metric: text("level"), short: 3 * TILE, long: 2 * HOUR }),
        ("season", season("level", 3)),
        ("season.parts", season("bytes", 2)),
        ("season.rate", season("total", 2)),
        ("cusum", FlatSource::Cusum { metric: text("level"), period: 3 * HOUR, cycles: 2, steps: 4 }),
        ("node.max", pooled(Neighbourhood::Node, Pooled::Max)),
        ("workload.z", pooled(Neighbourhood::Workload, Pooled::ZScore)),
    ]
}

/// What arrives: metric, part, time, when it was known, value or stale mark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) metric: MetricId,
    pub(crate) part: u32,
    pub(crate) time: i64,
    pub(crate) known_at: i64,
    pub(crate) value: f64,
}

impl Arrival {
    pub(crate) fn sample(self) -> Sample {
        Sample::try_new(&catalogue(), self.metric, self.time, self.known_at, self.value).unwrap().in_part(self.part)
    }

    pub(crate) fn is_late(&self) -> bool {
        self.known_at > (self.time.div_euclid(TILE) + 1) * TILE + LAG
    }
}

/// At most one sample per metric, part and time, in that order; some late, some stale marks, some gaps.
pub(crate) fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let delay = prop_oneof![6 => 0_i64..15, 2 => 0_i64..70, 1 => 60_i64..400];
    let wait = prop_oneof![12 => 1_i64..25, 2 => 1_i64..60, 1 => 50_i64..300];
    let one = (wait, 0_u32..1000, delay, prop_oneof![20 => Just(false), 1 => Just(true)]);
    let series: Vec<(usize, u32)> = METRICS
        .iter()
        .enumerate()
        .flat_map(|(metric, &(.., parts))| (0..parts).map(move |part| (metric, part)))
        .collect();
    let runs: Vec<_> = series.iter().map(|_| proptest::collection::vec(one.clone(), 0..80)).collect();
    runs.prop_map(move |runs| {
        let mut arrivals = Vec::new();
        for (&(metric, part), run) in series.iter().zip(runs) {
            let (mut time, mut count) = (0, 0.0);
            for (wait, draw, delay, stale) in run {
                time += wait;
                if time >= END {
                    break;
                }
                let draw_value = f64::from(draw);
                let value = match METRICS[metric].1 {
                    MetricKind::Gauge | MetricKind::Delta => draw_value,
                    MetricKind::Counter => {
                        count = if draw < 40 { f64::from(draw % 7) } else { count + f64::from(draw % 50) };
                        count
                    }
                    MetricKind::State => f64::from(draw % 3),
                    // The life began up to three ticks before the reading.
                    MetricKind::Time => (((time - 1) / 200 * 200).max(time - 3)) as f64 / TICKS_PER_SECOND,
                    MetricKind::Info => 1.0,
                };
                let value = if stale { f64::from_bits(STALE_NAN_BITS) } else { value };
                let id = MetricId(u16::try_from(metric).unwrap());
                arrivals.push(Arrival { metric: id, part, time, known_at: time + delay, value });
            }
        }
        arrivals
    })
}

pub(crate) fn samples(arrivals: &[Arrival]) -> Vec<Sample> {
    arrivals.iter().map(|arrival| arrival.sample()).collect()
}

pub(crate) fn kernel() -> TileKernel {
    TileKernel::try_new(&spec(), &catalogue()).unwrap()
}

pub(crate) fn build(samples: &[Sample]) -> EntityTiles {
    EntityTiles::build(&spec(), &catalogue(), "one", samples).unwrap()
}

/// Every bit of every tile, as text.
pub(crate) fn bytes(tiles: &EntityTiles) -> String {
    let mut columns = TileColumns::default();
    let mut keys = Vec::new();
    for (metric, part, number, tile) in tiles.tiles() {
        columns.push(number, &tile);
        keys.push((metric.0, part, tile.kind()));
    }
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let values: Vec<Vec<u64>> = columns.values.iter().map(|values| bits(values)).collect();
    let (first, last) = (bits(&columns.first), bits(&columns.last));
    columns.values.clear();
    columns.first.clear();
    columns.last.clear();
    format!("{keys:?} {columns:?} {values:?} {first:?} {last:?}")
}

pub(crate) fn entity() -> Entity {
    Entity::try_new(EntityKind::Machine, "one", "").unwrap()
}

/// Values of the row at `as_of`: flat columns, then the sequence.
pub(crate) fn row_of(tiles: &EntityTiles, failures: &[(i64, &str)], as_of: i64) -> Vec<f32> {
    let mut assembler = RowAssembler::try_new(&spec(), &catalogue()).unwrap();
    let (times, causes): (Vec<i64>, Vec<&str>) = failures.iter().copied().unzip();
    let attributes = BTreeMap::from([("cores".to_owned(), 4.0)]);
    let facts = Facts { born: Some(-7), attributes: &attributes, failures: &times, causes: &causes, shown: &[] };
    assembler.push(&entity(), &facts, tiles, as_of).unwrap();
    let batch = assembler.finish().unwrap();
    batch.flat().iter().chain(batch.sequence()).copied().collect()
}

pub(crate) fn row_bits(tiles: &EntityTiles, failures: &[(i64, &str)], as_of: i64) -> Vec<u32> {
    row_of(tiles, failures, as_of).into_iter().map(f32::to_bits).collect()
}

/// The names behind [`row_of`].
pub(crate) fn names() -> Vec<String> {
    let spec = spec();
    let steps = (0..spec.steps).flat_map(|step| spec.channels.iter().map(move |c| format!("{}[{step}]", c.name)));
    spec.flat.iter().map(|column| column.name.clone()).chain(steps).collect()
}
