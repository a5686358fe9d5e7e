//! zstd Parquet of a lake → 5-minute tiles → features, against polars, duckdb and the bare decoding of the same files.
//!
//! `FOREWARN_PYTHON=python cargo bench -p datasets --features ingest --bench lake -- [millions of rows] [entities]`
//!
//! `FOREWARN_BENCH_LAKE` names a folder for the lake, which is kept there; else it is temporary.
//!
//! The lake is filled by the writer and compacted, as `forewarn ingest` and `forewarn lake compact` leave it: scrapes
//! every 15 s, 20 metrics an entity, half of them counters with resets. The peers read the same files and compute the
//! same columns; equality (1e-9 relative) is asserted before any time is printed. Every figure is the best of some
//! passes in this one run.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use arrow::array::{Float64Array, RecordBatch, StringArray};
use datasets::lake::{CompactOptions, LakeRow, SeriesId, compact};
use datasets::lake_source::rows_at;
use datasets::{Lake, LakeOptions, LakeWriter, Silent};
use features::{CanonicalSeries, Catalogue, Entity, EntityKind, FeatureSpec};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const DAY: i64 = 86_400_000;
const START: i64 = 1_795_000_000_000 / DAY * DAY;
const STEP: i64 = 15_000;
const REPEATS: usize = 3;

const GAUGES: [&str; 10] = [
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
];
const COUNTERS: [&str; 10] = [
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

fn spec(catalogue: &Catalogue) -> FeatureSpec {
    let list = |names: &[&str]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "unit = \"hours\"\ntile = \"5m\"\ningest_lag = \"1m\"\nscrape_interval = \"15s\"\n\
         [[family]]\nmetrics = [{}]\nwindows = [\"1h\", \"24h\"]\nstatistics = [\"mean\", \"max\", \"min\", \"last\"]\n\
         [[family]]\nmetrics = [{}]\nwindows = [\"1h\", \"24h\"]\nstatistics = [\"increase\"]\n",
        list(&GAUGES),
        list(&COUNTERS)
    );
    FeatureSpec::from_toml(&text, catalogue).expect("the spec of the benchmark")
}

/// Fills a lake with `entities` × 20 series of one day's scrapes for `days`, and compacts it.
fn fill(dir: &Path, entities: usize, days: i64, catalogue: &Catalogue) -> u64 {
    let writer =
        LakeWriter::open(dir, LakeOptions { max_series: 4_000_000, ..LakeOptions::default() }).expect("a lake");
    let mut total = 0;
    for day in 0..days {
        let mut rows: Vec<(LakeRow, i64)> = Vec::new();
        let mut part = 0;
        for entity in 0..entities {
            let mut random = ChaCha8Rng::seed_from_u64((entity as u64) << 16 | day.unsigned_abs());
            let key = format!("ns-{}/pod-{entity}/app", entity % 50);
            let offset = random.random_range(0..STEP);
            let ids: Vec<SeriesId> = GAUGES
                .iter()
                .chain(&COUNTERS)
                .map(|name| {
                    let series = CanonicalSeries {
                        entity: Entity::try_new(EntityKind::Container, key.clone(), "uid").expect("a key"),
                        metric: catalogue.id(name).expect("a metric"),
                        part: String::new(),
                    };
                    writer.register(&series).expect("room for the series")
                })
                .collect();
            for (at, &series) in ids.iter().enumerate() {
                let mut level = f64::from(random.random_range(1_000..100_000_u32));
                for step in 0..DAY / STEP {
                    let time = START + day * DAY + offset + step * STEP;
                    let moved = random.random_range(-1.0..1.0_f64);
                    if at < GAUGES.len() {
                        level = (level + (moved * 3.0).round()).max(1.0);
                    } else if COUNTERS[at - GAUGES.len()] == "restart.count" {
                        level += f64::from(u8::from(random.random_range(0..2_880) == 0));
                    } else if random.random_range(0..20_000) == 0 {
                        level = 0.0;
                    } else {
                        level += (moved.abs() * 8.0).round() / 4.0;
                    }
                    rows.push((LakeRow { series, time, value: level }, time + 800));
                }
            }
            if rows.len() > 4_000_000 || entity + 1 == entities {
                total += rows.len() as u64;
                part += 1;
                writer.import(&format!("fill-{day}"), &part.to_string(), &rows).expect("stored");
                rows.clear();
            }
        }
    }
    writer.flush().expect("flushed");
    drop(writer);
    let options = CompactOptions { open_days: true, ..CompactOptions::at(START + (days + 2) * DAY) };
    compact(dir, &options, &Silent).expect("compacted");
    total
}

fn seconds(mut work: impl FnMut()) -> f64 {
    (0..REPEATS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Decodes columns of every sample file and looks at nothing.
fn decode(lake: &Path, columns: &[&str]) -> u64 {
    let opened = Lake::open(lake).expect("a lake");
    let mut rows = 0;
    for file in opened.snapshot().files.iter().filter(|file| file.path.starts_with("samples")) {
        let file = std::fs::File::open(lake.join(&file.path)).expect("a file");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let reader = builder.with_projection(mask).with_batch_size(16_384).build().expect("Parquet");
        for batch in reader {
            rows += std::hint::black_box(batch.expect("Parquet")).num_rows() as u64;
        }
    }
    rows
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let millions = numbers.first().copied().unwrap_or(12);
    let per_entity = usize::try_from(DAY / STEP).unwrap_or(1) * (GAUGES.len() + COUNTERS.len());
    let catalogue = Catalogue::standard();
    let spec = spec(&catalogue);
    let entities = numbers.get(1).copied().unwrap_or((millions * 1_000_000).div_ceil(per_entity));
    let days = i64::try_from((millions * 1_000_000).div_ceil(per_entity * entities)).unwrap_or(1).max(1);
    let folder = tempfile::tempdir().expect("a folder");
    // A lake that is to be looked at by other commands as well.
    let lake = std::env::var_os("FOREWARN_BENCH_LAKE").map_or_else(|| folder.path().join("lake"), Into::into);
    let begun = Instant::now();
    let total = fill(&lake, entities, days, &catalogue);
    let filled = begun.elapsed().as_secs_f64();
    let as_of = START + days * DAY;
    let bytes: u64 = Lake::open(&lake).expect("a lake").snapshot().files.iter().map(|file| file.bytes).sum();
    println!(
        "{total} rows of {entities} entities over {days} days, {:.2} bytes a row; written and compacted in {filled:.1} s",
        bytes as f64 / total as f64
    );

    let night = || rows_at(&lake, EntityKind::Container, &spec, &[], Some(as_of)).expect("rows");
    let ours = night();
    if std::env::var_os("FOREWARN_BENCH_MEMORY").is_some() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
        println!("{} rows of features; {}", ours.rows.rows(), peak.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let features = folder.path().join("features.parquet");
    write_features(&features, &spec, &ours.rows);
    let own = seconds(|| drop(std::hint::black_box(night())));
    let bare = seconds(|| _ = decode(&lake, &["series_id", "ts", "value", "known_at"]));
    let rate = |time: f64| total as f64 / time / 1e6;
    let mut peers = Vec::new();
    if let Some(python) = std::env::var_os("FOREWARN_PYTHON") {
        for peer in ["polars", "duckdb"] {
            let output = Command::new(&python)
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/lake_peers.py"))
                .args([peer, lake.to_str().unwrap_or(""), features.to_str().unwrap_or(""), &as_of.to_string()])
                .env("POLARS_MAX_THREADS", "2")
                .output()
                .expect("python runs");
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            assert!(output.status.success(), "{peer}: {said}");
            if !said.is_empty() {
                println!("{peer}: {said}");
            }
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let time: f64 = text.rsplit(' ').next().and_then(|word| word.parse().ok()).expect("seconds last");
            peers.push((peer, time, text));
        }
    } else {
        println!("FOREWARN_PYTHON names no interpreter with polars and duckdb: no comparison");
    }
    println!("\n| what | threads | s | M rows/s | ours is … times as fast |\n|---|---|---|---|---|");
    println!("| scan, tiles, features | 1 | {own:.2} | {:.1} | – |", rate(own));
    println!("| decoding of the same columns alone | 1 | {bare:.2} | {:.1} | {:.2} |", rate(bare), bare / own);
    for (peer, time, text) in &peers {
        println!(
            "| {peer} ({}) | 2 | {time:.2} | {:.1} | {:.1} |",
            text.split(' ').next().unwrap_or(""),
            rate(*time),
            time / own
        );
    }
}

/// One row per entity: its key and every column, for the peers to compare with.
fn write_features(path: &Path, spec: &FeatureSpec, rows: &features::FeatureBatch) {
    let keys: Vec<&str> = rows.entities().iter().map(Entity::key).collect();
    let mut columns: Vec<(String, arrow::array::ArrayRef)> =
        vec![("key".to_owned(), std::sync::Arc::new(StringArray::from(keys)))];
    for (index, column) in spec.flat.iter().enumerate() {
        let values: Float64Array =
            (0..rows.rows()).map(|row| Some(f64::from(rows.flat_row(row)[index]))).collect::<Vec<_>>().into();
        columns.push((column.name.clone(), std::sync::Arc::new(values)));
    }
    let batch = RecordBatch::try_from_iter(columns).expect("columns of equal length");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("Parquet");
    writer.write(&batch).expect("Parquet");
    writer.close().expect("Parquet");
}
