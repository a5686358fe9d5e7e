//! zstd Parquet of a lake → 5-minute tiles → features, beside polars, duckdb and the bare decoding of the same files.
//!
//! `FOREWARN_PYTHON=python cargo bench --workspace --bench lake -- [millions of samples] [entities]` compares;
//! `-- scale [most millions]` prints how cost grows with samples and entities; `-- memory` prints what `dataset build`
//! takes while history grows. `bench/lake.sh` runs all of it.
//!
//! The lake is filled by the writer and compacted, as `forewarn ingest` and `forewarn lake compact` leave it: scrapes
//! every 15 s, 20 metrics an entity, half of them counters with resets. A sample is a row of its files. The same
//! samples are written in the wide layout as well, a row per entity and scrape. The peers read the same files and
//! compute the same columns; equality is asserted before any time is printed (`lake_peers.py` says to what tolerance).
//! Every measurement is the best of some passes in a process of its own, files in the page cache; its peak memory is
//! that of the process.
//!
//! `FOREWARN_BENCH_LAKE` names a folder for the lake, which is kept there; else it is temporary.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float32Array, Int32Array, RecordBatch};
use datasets::Lake;
use datasets::lake_source::{LakeRows, rows_at};
use features::{Catalogue, EntityKind, FeatureSpec};

mod lake {
    pub(crate) mod data;
    pub(crate) mod machine;
    pub(crate) mod memory;
    pub(crate) mod operator;
}

use lake::data::{AS_OF, DAY, METRICS, SCRAPE, Shape, fill, spec};
use lake::machine::{Figures, load, machine, measure, measured};
use lake::{memory, operator};

const REPEATS: usize = 3;
/// One thread: what `forewarn score --lake` runs, and the same without lives and events.
const NIGHT: &str = "rows of a night (`rows_at`)";
const ALONE: &str = "scan, tiles, features";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [child, what, path, threads, repeats] = words.as_slice()
        && child == "child"
    {
        return run_child(what, Path::new(path), (number(threads), number(repeats)));
    }
    // `cargo test --benches` calls this too; timings belong to `cargo bench`.
    if !words.iter().any(|word| word == "--bench") {
        return;
    }
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if words.iter().any(|word| word == "scale") {
        scale(numbers.first().copied().unwrap_or(100));
    } else if words.iter().any(|word| word == "memory") {
        memory::table();
    } else {
        compare(Shape::of(numbers.first().copied().unwrap_or(12) * 1_000_000, numbers.get(1).copied()));
    }
}

fn number(word: &str) -> usize {
    word.parse().expect("a number")
}

/// One measurement, in this process.
fn run_child(what: &str, path: &Path, (threads, repeats): (usize, usize)) {
    let catalogue = Catalogue::standard();
    let spec = spec(&catalogue);
    let rows = |values: Vec<f32>| (values.len() / spec.flat.len()) as u64;
    match what {
        "night" => measure(repeats, || night(path, &spec).rows.rows() as u64),
        "long" => measure(repeats, || rows(operator::long(path, &spec, &catalogue, threads))),
        "wide" => measure(repeats, || rows(operator::wide(path, &spec, &catalogue, threads))),
        "decode" => measure(repeats, || operator::decode_long(path)),
        "decode-wide" => measure(repeats, || operator::decode_wide(path)),
        "build" => memory::build_in(path),
        other => panic!("no measurement {other:?}"),
    }
}

/// What `forewarn score --lake` makes; it reads no further back than the longest window, a day.
fn night(dir: &Path, spec: &FeatureSpec) -> LakeRows {
    // TWO THREADS: `rows_at` has one. Where it takes a number, this passes `threads` on and `compare` measures 1 and 2.
    rows_at(dir, EntityKind::Container, spec, &[], Some(AS_OF)).expect("rows")
}

fn compare(shape: Shape) {
    let catalogue = Catalogue::standard();
    let spec = spec(&catalogue);
    let folder = tempfile::tempdir().expect("a folder");
    // A lake that is to be looked at by other commands as well.
    let dir = std::env::var_os("FOREWARN_BENCH_LAKE").map_or_else(|| folder.path().join("lake"), Into::into);
    assert!(!dir.exists(), "{} is there already", dir.display());
    let begun = Instant::now();
    let samples = fill(&dir, shape, &catalogue);
    let filled = begun.elapsed().as_secs_f64();
    let wide = folder.path().join("wide.parquet");
    operator::write_wide(&wide, shape);
    let each = |bytes: u64| bytes as f64 / samples as f64;
    let opened = Lake::open(&dir).expect("a lake");
    let files = &opened.snapshot().files;
    let long_bytes: u64 = files.iter().filter(|file| file.path.starts_with("samples")).map(|file| file.bytes).sum();
    let wide_bytes = std::fs::metadata(&wide).expect("a file").len();
    println!("{}", machine());
    println!(
        "{samples} samples of {} entities over {:.2} days; long {:.2}, wide {:.2} bytes a sample; \
         long written and compacted in {filled:.1} s",
        shape.entities,
        shape.scrapes as f64 * SCRAPE as f64 / DAY as f64,
        each(long_bytes),
        each(wide_bytes)
    );

    if shape.scrapes as f64 * SCRAPE as f64 > DAY as f64 {
        println!("a night reads the last day alone, and its rate counts all samples of the lake: read the operator's");
    }
    let ours = night(&dir, &spec);
    assert_eq!(ours.rows.rows(), shape.entities, "a row of every entity");
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let expected = bits(ours.rows.flat());
    for threads in [1, 2] {
        assert!(bits(&operator::long(&dir, &spec, &catalogue, threads)) == expected, "long, {threads} threads");
        assert!(bits(&operator::wide(&wide, &spec, &catalogue, threads)) == expected, "wide, {threads} threads");
    }
    println!("rows of a night, of the operator on either layout and on one or two threads are equal to the bit");
    let features = folder.path().join("features.parquet");
    write_features(&features, &spec, &ours.rows, &opened);

    let long = Layout { what: "long", rows_per_sample: 1.0, samples };
    let first = measured("night", &dir, 1, REPEATS);
    let one = measured("long", &dir, 1, REPEATS);
    let two = measured("long", &dir, 2, REPEATS);
    let bare = measured("decode", &dir, 1, REPEATS);
    let mut table = vec![
        (NIGHT.to_owned(), 1, first),
        (ALONE.to_owned(), 1, one),
        (ALONE.to_owned(), 2, two),
        ("decoding of the same columns alone".to_owned(), 1, bare),
    ];
    let idioms = [("window", "same"), ("order", "same"), ("order", "plain")];
    table.extend(peers(&idioms, [dir.as_os_str(), features.as_os_str()], None));
    long.print(&table, [("a night, 1 thread", first), ("operator, 2 threads", two)]);

    let side_by_side = Layout { what: "wide", rows_per_sample: 1.0 / METRICS.len() as f64, samples };
    let one = measured("wide", &wide, 1, REPEATS);
    let two = measured("wide", &wide, 2, REPEATS);
    let bare = measured("decode-wide", &wide, 1, REPEATS);
    let mut table = vec![
        ("decoding, tiles, features".to_owned(), 1, one),
        ("decoding, tiles, features".to_owned(), 2, two),
        ("decoding alone".to_owned(), 1, bare),
    ];
    table.extend(peers(&idioms[..2], [dir.as_os_str(), features.as_os_str()], Some(&wide)));
    side_by_side.print(&table, [("operator, 1 thread", one), ("operator, 2 threads", two)]);
}

/// Runs each peer in each idiom; a line on what was compared.
fn peers(idioms: &[(&str, &str)], paths: [&OsStr; 2], wide: Option<&Path>) -> Vec<(String, usize, Figures)> {
    let Some(python) = std::env::var_os("FOREWARN_PYTHON") else {
        println!("FOREWARN_PYTHON names no interpreter with polars and duckdb: no comparison");
        return Vec::new();
    };
    let mut measured = Vec::new();
    for peer in ["polars", "duckdb"] {
        for &(idiom, rules) in idioms {
            let output = Command::new(&python)
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/lake_peers.py"))
                .args([peer, idiom, rules])
                .args(paths)
                .arg(AS_OF.to_string())
                .args(wide)
                .env("POLARS_MAX_THREADS", "2")
                .output()
                .expect("python runs");
            let problem = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{peer} {idiom} {rules}: {problem}");
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
            let number = |key: &str| said[key].as_f64().expect("a number");
            let version = said["version"].as_str().unwrap_or("?");
            println!(
                "{peer} {version}, {idiom}, {rules}: {} values equal within 1 ulp of single precision, {} of them to the \
                 bit, counts exact; {} tiles equal, sums to 1e-9",
                number("values"),
                number("exact"),
                number("tiles")
            );
            let figures = Figures {
                wall: number("seconds"),
                cpu: number("cpu"),
                peak: number("peak_kib") / 1024.0,
                count: said["values"].as_u64().unwrap_or(0),
            };
            let how = match (idiom, rules) {
                ("window", _) => "the row before by a window over the series",
                (_, "plain") => "the row before in the files' order, no late samples, no gaps",
                _ => "the row before in the files' order",
            };
            measured.push((format!("{peer} {version}: {how}"), 2, figures));
        }
    }
    measured
}

/// One of the two ways the samples are laid out.
struct Layout {
    what: &'static str,
    rows_per_sample: f64,
    samples: u64,
}

impl Layout {
    /// Figures of each measurement, and its time over those of ours.
    fn print(&self, table: &[(String, usize, Figures)], ours: [(&str, Figures); 2]) {
        let Self { what, rows_per_sample, samples } = self;
        let millions = *samples as f64 / 1e6;
        println!("\n{what} layout, load average {}; the last two columns are times over ours\n", load());
        println!(
            "| what | threads | s | CPU s | M samples/s | M rows of the file/s | M samples per CPU second | peak MiB | \
             ÷ {} | ÷ {} |",
            ours[0].0, ours[1].0
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for (name, threads, Figures { wall, cpu, peak, .. }) in table {
            let rate = millions / wall;
            println!(
                "| {name} | {threads} | {wall:.3} | {cpu:.2} | {rate:.1} | {:.2} | {:.1} | {peak:.0} | {:.2} | {:.2} |",
                rate * rows_per_sample,
                millions / cpu,
                wall / ours[0].1.wall,
                wall / ours[1].1.wall
            );
        }
    }
}

/// One row per entity: its id and every column, for the peers to compare with.
fn write_features(path: &Path, spec: &FeatureSpec, rows: &features::FeatureBatch, lake: &Lake) {
    for (row, entity) in rows.entities().iter().enumerate() {
        assert_eq!(lake.tables().entities()[row].key, entity.key(), "rows are in the order of entity ids");
    }
    let ids = Int32Array::from_iter_values((0..).take(rows.rows()));
    let mut columns: Vec<(&str, ArrayRef)> = vec![("entity_id", Arc::new(ids))];
    for (index, column) in spec.flat.iter().enumerate() {
        let values = (0..rows.rows()).map(|row| rows.flat_row(row)[index]);
        columns.push((column.name.as_str(), Arc::new(Float32Array::from_iter_values(values))));
    }
    let batch = RecordBatch::try_from_iter(columns).expect("columns of equal length");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("Parquet");
    writer.write(&batch).expect("Parquet");
    writer.close().expect("Parquet");
}

/// How cost grows with samples and with entities.
fn scale(most: usize) {
    let catalogue = Catalogue::standard();
    println!("{}\n", machine());
    println!("A night reads what its windows reach, a day; the operator reads and tiles every sample.\n");
    println!(
        "| M samples | entities | scrapes of each | {NIGHT}, 1 thread: s | CPU s | peak MiB | {ALONE}, 1 thread: s | \
         M samples/s | peak MiB | 2 threads: s | M samples/s | CPU s | peak MiB | filled in s | load |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for millions in [1, 10, 100].into_iter().filter(|&millions| millions <= most) {
        for entities in [100, 1_000, 10_000] {
            let folder = tempfile::tempdir().expect("a folder");
            let dir = folder.path().join("lake");
            let shape = Shape::of(millions * 1_000_000, Some(entities));
            let begun = Instant::now();
            let samples = fill(&dir, shape, &catalogue);
            let filled = begun.elapsed().as_secs_f64();
            let repeats = if millions > 10 { 2 } else { REPEATS };
            let [night, one, two] = [("night", 1), ("long", 1), ("long", 2)].map(|(what, threads)| {
                let figures = measured(what, &dir, threads, repeats);
                assert_eq!(figures.count, entities as u64, "a row of every entity");
                figures
            });
            let rate = |figures: Figures| samples as f64 / figures.wall / 1e6;
            println!(
                "| {millions} | {entities} | {} | {:.2} | {:.2} | {:.0} | {:.2} | {:.1} | {:.0} | {:.2} | {:.1} | {:.2} | \
                 {:.0} | {filled:.0} | {} |",
                shape.scrapes,
                night.wall,
                night.cpu,
                night.peak,
                one.wall,
                rate(one),
                one.peak,
                two.wall,
                rate(two),
                two.cpu,
                two.peak,
                load()
            );
        }
    }
}
