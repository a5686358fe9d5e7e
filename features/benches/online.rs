//! What a sample and a row cost: one thread, plain clock, equal outputs asserted first.
//!
//! `cargo bench --workspace --bench online`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use features::catalogue::MetricDefinition;
use features::spec::{FlatColumn, FlatSource, KERNEL_VERSION, Rollup, Statistic};
use features::tile::{Rule, Tile};
use features::{
    Catalogue, EntityTiles, Facts, FeatureSpec, LiveTiles, MetricId, MetricKind, RowAssembler, TileBuilder, TileKernel,
    TimeAxis,
};
use survival::TimeUnit;

const TILE: i64 = 300_000;
const HOUR: i64 = 12 * TILE;
const SCRAPE: i64 = 15_000;
const METRICS: u16 = 20;
const START: i64 = 1_795_478_400_000;

fn main() {
    // `cargo test --benches` calls this too; timings belong to `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let catalogue = catalogue();
    let spec = spec(&catalogue);
    let kernel = TileKernel::try_new(&spec, &catalogue).unwrap();
    bulk(&kernel);
    single();
    live(&kernel);
    rows(&spec, &catalogue, &kernel);
}

/// Half gauges, half counters.
fn catalogue() -> Catalogue {
    let definition = |index| MetricDefinition {
        id: format!("metric.{index}"),
        unit: "1".to_owned(),
        kind: if index % 2 == 0 { MetricKind::Gauge } else { MetricKind::Counter },
        states: Vec::new(),
        signed: false,
        combine: features::Combine::default(),
        foretells: String::new(),
    };
    Catalogue::try_new((0..METRICS).map(definition).collect()).unwrap()
}

/// Five statistics of each metric over 15 minutes, 1, 6 and 24 hours.
fn spec(catalogue: &Catalogue) -> FeatureSpec {
    let gauge = [Statistic::Last, Statistic::Mean, Statistic::Max, Statistic::Std, Statistic::Slope];
    let counter = [Statistic::Increase, Statistic::Rate, Statistic::RateMax, Statistic::Fano, Statistic::Resets];
    let mut flat = Vec::new();
    for definition in catalogue.definitions() {
        for statistic in if definition.kind == MetricKind::Gauge { gauge } else { counter } {
            for window in [3 * TILE, HOUR, 6 * HOUR, 24 * HOUR] {
                let metric = definition.id.clone();
                flat.push(FlatColumn {
                    name: format!("{metric}.{}.{window}", statistic.name()),
                    source: FlatSource::Tile { metric, statistic, window },
                });
            }
        }
    }
    FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Hours, ticks_per_unit: HOUR },
        tile: TILE,
        ingest_lag: 60_000,
        longest_gap: 3 * SCRAPE,
        flat,
        steps: 0,
        step: TILE,
        channels: Vec::new(),
        regimes: Vec::new(),
        summaries: Vec::new(),
        scrape_interval: Some(SCRAPE),
        rollup: None,
        catalogue_digest: catalogue.digest(),
    }
}

/// A run of one series: a level that wanders, or a counter that grows by whole numbers and resets now and then.
fn run(samples: usize, kind: MetricKind) -> (Vec<i64>, Vec<f64>) {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1_u32 << 24)
    };
    let mut value = 1e10;
    let times = (0..).map(|index| START + index * SCRAPE).take(samples).collect();
    let values = (0..samples).map(|_| {
        let draw = random();
        value = match kind {
            MetricKind::Counter if draw < 1e-4 => 0.0,
            MetricKind::Counter => value + (100.0 * draw).floor(),
            _ => value + 1e6 * (draw - 0.5),
        };
        value
    });
    (times, values.collect())
}

/// Best of `repeats`, in seconds.
fn best<T>(repeats: usize, mut run: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..repeats {
        let start = Instant::now();
        black_box(run());
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn row(what: &str, value: f64, unit: &str) {
    println!("{what:<68} {value:>9.1} {unit}");
}

/// Slices to tiles against a bare sum over the same slices: times, values and arrival times each read once.
fn bulk(kernel: &TileKernel) {
    const SAMPLES: usize = 4_000_000;
    let millions = SAMPLES as f64 / 1e6;
    for (metric, kind) in [(MetricId(0), MetricKind::Gauge), (MetricId(1), MetricKind::Counter)] {
        let (times, values) = run(SAMPLES, kind);
        let build = || {
            let mut builder = TileBuilder::new(kernel, "bench");
            builder.extend_run(metric, 0, &times, &values, &times).unwrap();
            builder.finish()
        };
        let rule = Rule::gap(kernel_gap());
        let mut one_by_one = EntityTiles::default();
        let mut start = 0;
        while start < SAMPLES {
            let number = kernel.number(times[start]);
            let end = start + times[start..].partition_point(|&time| kernel.number(time) == number);
            let mut tile = Tile::empty(kind).unwrap();
            (start..end).for_each(|index| tile.push(times[index], values[index], &rule));
            one_by_one.insert(kernel, metric, 0, number, &tile).unwrap();
            start = end;
        }
        assert!(build().tiles().eq(one_by_one.tiles()), "bulk and single samples give the same tiles");

        let bound = best(5, || {
            let mut sums = (0_i64, 0.0, 0_i64);
            for ((&time, &value), &known) in times.iter().zip(&values).zip(&times) {
                sums = (sums.0.wrapping_add(time), sums.1 + value, sums.2.wrapping_add(known));
            }
            sums
        });
        let seconds = best(5, build);
        row(&format!("{kind:?}: runs to tiles"), millions / seconds, "M samples/s");
        row(&format!("{kind:?}: bare sum over the same slices"), millions / bound, "M samples/s");
        row(&format!("{kind:?}: share of the bare sum"), 100.0 * bound / seconds, "%");
    }
}

fn kernel_gap() -> i64 {
    3 * SCRAPE
}

/// `Tile::push`, a new tile every 20 samples.
fn single() {
    let (times, values) = run(1_000_000, MetricKind::Gauge);
    let rule = Rule::gap(kernel_gap());
    for kind in [MetricKind::Gauge, MetricKind::Counter] {
        let seconds = best(5, || {
            let mut checksum = 0_u64;
            for (times, values) in times.chunks(20).zip(values.chunks(20)) {
                let mut tile = Tile::empty(kind).unwrap();
                for (&time, &value) in times.iter().zip(values) {
                    tile.push(black_box(time), value, &rule);
                }
                checksum += u64::from(tile.head().count);
            }
            assert_eq!(checksum, 1_000_000);
        });
        row(&format!("{kind:?}: one sample pushed into its tile"), 1e3 * seconds, "ns");
    }
}

/// A fleet's worth of samples as they arrive, one scrape of 20 metrics after another, tiles closed as time goes on.
fn live(kernel: &TileKernel) {
    let scrapes = 5760;
    let (times, values) = run(scrapes, MetricKind::Gauge);
    let kernel = Arc::new(kernel.clone());
    let samples = scrapes as f64 * f64::from(METRICS);
    let stream = |live: &mut LiveTiles| {
        for (&time, &value) in times.iter().zip(&values) {
            for metric in 0..METRICS {
                live.add(MetricId(metric), 0, time, time, value);
            }
            live.close(time).unwrap();
        }
        live.close(i64::MAX / 2).unwrap();
    };
    let mut live = LiveTiles::new(Arc::clone(&kernel), "bench");
    stream(&mut live);
    let mut builder = TileBuilder::new(&kernel, "bench");
    for metric in 0..METRICS {
        builder.extend_run(MetricId(metric), 0, &times, &values, &times).unwrap();
    }
    assert!(live.tiles().tiles().eq(builder.finish().tiles()), "live and bulk give the same tiles");
    let seconds = best(5, || {
        let mut live = LiveTiles::new(Arc::clone(&kernel), "bench");
        stream(&mut live);
        live
    });
    row("one sample added online, tiles closed as they end", 1e9 * seconds / samples, "ns");
    let mut live = LiveTiles::new(Arc::clone(&kernel), "bench");
    let seconds = best(5, || {
        for (&time, &value) in times.iter().zip(&values).take(1000) {
            for metric in 0..METRICS {
                live.add(MetricId(metric), 0, time, time, value);
            }
        }
    });
    row("one sample added online, closing apart", 1e9 * seconds / (1000.0 * f64::from(METRICS)), "ns");
}

/// The row of one entity: 20 metrics with 24 hours of tiles, and with 7 days where long windows are rolled up.
fn rows(spec: &FeatureSpec, catalogue: &Catalogue, kernel: &TileKernel) {
    let facts = Facts { born: Some(START), attributes: &BTreeMap::new(), failures: &[], shown: &[], causes: &[] };
    let tiles_of = |kernel: &TileKernel, days: usize| {
        let mut builder = TileBuilder::new(kernel, "bench");
        for definition in catalogue.definitions() {
            let (times, values) = run(5760 * days, definition.kind);
            builder.extend_run(catalogue.id(&definition.id).unwrap(), 0, &times, &values, &times).unwrap();
        }
        builder.finish()
    };
    let tiles = tiles_of(kernel, 1);
    finalized("row from 20 metrics x 288 tiles", spec, catalogue, &facts, &tiles, START + 24 * HOUR);

    let mut week = spec.clone();
    week.rollup = Some(Rollup::HOURS);
    for column in &mut week.flat {
        if let FlatSource::Tile { window, .. } = &mut column.source
            && *window == 24 * HOUR
        {
            *window = 7 * 24 * HOUR;
        }
    }
    let kernel = TileKernel::try_new(&week, catalogue).unwrap();
    let tiles = tiles_of(&kernel, 7);
    finalized(
        "row from 20 metrics x 2016 tiles, hours rolled up",
        &week,
        catalogue,
        &facts,
        &tiles,
        START + 168 * HOUR,
    );
}

fn finalized(
    what: &str,
    spec: &FeatureSpec,
    catalogue: &Catalogue,
    facts: &Facts<'_>,
    tiles: &EntityTiles,
    as_of: i64,
) {
    const ROWS: usize = 2000;
    let mut assembler = RowAssembler::try_new(spec, catalogue).unwrap();
    let (mut flat, mut sequence) = (Vec::new(), Vec::new());
    assembler.finalize("bench", facts, tiles, as_of, &mut flat, &mut sequence).unwrap();
    let expected: Vec<u32> = flat.iter().map(|value| value.to_bits()).collect();
    assert!(flat.iter().all(|value| !value.is_nan()) && flat.len() == spec.flat.len(), "every column has a value");
    let mut micros = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        flat.clear();
        let start = Instant::now();
        assembler.finalize("bench", facts, black_box(tiles), as_of, &mut flat, &mut sequence).unwrap();
        micros.push(1e6 * start.elapsed().as_secs_f64());
        assert!(flat.iter().map(|value| value.to_bits()).eq(expected.iter().copied()), "the same row every time");
    }
    micros.sort_by(f64::total_cmp);
    row(&format!("{what}, {} columns: median", flat.len()), micros[ROWS / 2], "us");
    row(&format!("{what}, {} columns: p99", flat.len()), micros[ROWS * 99 / 100], "us");
}
