//! Which encoding for which column of a sample file: bytes per row and rows decoded per second on one core.
//!
//! `cargo bench --workspace --bench lake_layout -- [rows]` prints which encoding costs what. The rows are a
//! day of scrapes every 15 s: jittered times, times of arrival shared by a request, and values of five kinds (bytes
//! in pages, seconds of CPU, counts that rarely move, states, ratios).

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, TimestampMillisecondArray, UInt16Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const START: i64 = 1_795_000_000_000;
const STEPS: usize = 5_760;
const METRICS: usize = 20;
const REPEATS: usize = 5;

/// How one column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Dictionary,
    Delta,
    Split,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    way: Way,
    /// `None` is uncompressed, 0 is snappy, else the level of zstd.
    squeeze: Option<i32>,
}

impl Column {
    fn name(self) -> String {
        let way = match self.way {
            Way::Plain => "PLAIN",
            Way::Dictionary => "RLE_DICTIONARY",
            Way::Delta => "DELTA_BINARY_PACKED",
            Way::Split => "BYTE_STREAM_SPLIT",
        };
        match self.squeeze {
            None => format!("{way}, none"),
            Some(0) => format!("{way}, snappy"),
            Some(level) => format!("{way}, zstd {level}"),
        }
    }
}

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("entity_id", DataType::Int32, false),
        Field::new("metric", DataType::UInt16, false),
        Field::new("series_id", DataType::Int32, false),
        Field::new("ts", time.clone(), false),
        Field::new("value", DataType::Float64, false),
        Field::new("known_at", time, false),
    ]))
}

/// Rows of whole series in the lake's order, one batch per row group.
fn rows(count: usize, group: usize) -> Vec<RecordBatch> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut entities, mut metrics, mut series) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut values, mut known) = (Vec::new(), Vec::new(), Vec::new());
    let mut entity = 0;
    while times.len() < count {
        // One target: its metrics share the times of its scrapes, and arrive in one request.
        let offset = random.random_range(0..15_000_i64);
        let scrapes: Vec<(i64, i64)> = (0..STEPS as i64)
            .map(|step| {
                let time = START + offset + step * 15_000 + random.random_range(0..4);
                (time, time + random.random_range(200..5_200))
            })
            .collect();
        for metric in 0..METRICS {
            let mut level = f64::from(random.random_range(1_000..100_000_u32));
            for &(time, known_at) in &scrapes {
                let moved = random.random_range(-1.0..1.0_f64);
                let value = match metric % 5 {
                    0 => {
                        level = (level + (moved * 3.0).round()).max(1.0);
                        level * 4096.0
                    }
                    1 => {
                        level += moved.abs() * 15.0;
                        level
                    }
                    2 => {
                        level += f64::from(u8::from(moved > 0.99));
                        level
                    }
                    3 => f64::from(u8::from(moved > 0.999)),
                    _ => (moved * 1e6).round() / 1e6,
                };
                entities.push(entity);
                metrics.push(u16::try_from(metric).unwrap_or(0) * 5);
                series.push(entity * 20 + i32::try_from(metric).unwrap_or(0));
                times.push(time);
                values.push(value);
                known.push(known_at);
            }
        }
        entity += 1;
    }
    let time = |values: Vec<i64>| Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC")) as ArrayRef;
    let whole = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int32Array::from(entities)),
            Arc::new(UInt16Array::from(metrics)),
            Arc::new(Int32Array::from(series)),
            time(times),
            Arc::new(Float64Array::from(values)),
            time(known),
        ],
    )
    .expect("columns of equal length");
    let all = whole.num_rows();
    (0..all).step_by(group).map(|from| whole.slice(from, group.min(all - from))).collect()
}

#[derive(Debug, Clone)]
struct Layout {
    columns: [Column; 6],
    page_rows: usize,
    version: WriterVersion,
}

const fn column(way: Way, squeeze: Option<i32>) -> Column {
    Column { way, squeeze }
}

impl Layout {
    fn base() -> Self {
        let ids = column(Way::Dictionary, Some(1));
        Self {
            columns: [
                ids,
                ids,
                ids,
                column(Way::Delta, Some(1)),
                column(Way::Split, Some(1)),
                column(Way::Delta, Some(1)),
            ],
            page_rows: 20_000,
            version: WriterVersion::PARQUET_1_0,
        }
    }

    fn with(mut self, name: &str, column: Column) -> Self {
        let at = schema().index_of(name).expect("a column of the schema");
        self.columns[at] = column;
        self
    }

    fn write(&self, batches: &[RecordBatch]) -> Bytes {
        let mut builder = WriterProperties::builder()
            .set_writer_version(self.version)
            .set_data_page_row_count_limit(self.page_rows)
            .set_data_page_size_limit(16 << 20)
            .set_write_batch_size(self.page_rows.min(8192))
            .set_max_row_group_row_count(Some(1 << 24));
        for (field, column) in schema().fields().iter().zip(self.columns) {
            let path = ColumnPath::new(vec![field.name().clone()]);
            let squeeze = match column.squeeze {
                None => Compression::UNCOMPRESSED,
                Some(0) => Compression::SNAPPY,
                Some(level) => Compression::ZSTD(ZstdLevel::try_new(level).expect("a level of zstd")),
            };
            builder = builder
                .set_column_compression(path.clone(), squeeze)
                .set_column_dictionary_enabled(path.clone(), column.way == Way::Dictionary);
            builder = match column.way {
                Way::Dictionary => builder,
                Way::Plain => builder.set_column_encoding(path, Encoding::PLAIN),
                Way::Delta => builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
                Way::Split => builder.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
            };
        }
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema(), Some(builder.build())).expect("a valid layout");
        for batch in batches {
            writer.write(batch).expect("memory takes everything");
            writer.flush().expect("memory takes everything");
        }
        writer.close().expect("memory takes everything");
        Bytes::from(bytes)
    }
}

/// Rows per second while decoding these columns, the best of some passes.
fn decode(file: &Bytes, columns: &[&str], batch: usize) -> f64 {
    let mut best = f64::INFINITY;
    let mut rows = 0;
    for _ in 0..REPEATS {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("just written");
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let reader = builder.with_projection(mask).with_batch_size(batch).build().expect("just written");
        let begun = Instant::now();
        rows = 0;
        for batch in reader {
            rows += black_box(batch.expect("just written")).num_rows();
        }
        best = best.min(begun.elapsed().as_secs_f64());
    }
    rows as f64 / best
}

fn column_bytes(file: &Bytes) -> BTreeMap<String, i64> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("just written");
    let mut sizes = BTreeMap::new();
    for group in builder.metadata().row_groups() {
        for column in group.columns() {
            *sizes.entry(column.column_path().string()).or_default() += column.compressed_size();
        }
    }
    sizes
}

fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(8_000_000);
    let group = 131_072;
    let batches = rows(count, group);
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    println!("{total} rows, row groups of {group}, one thread, best of {REPEATS}\n");
    println!("| column | encoding | bytes a row | M rows/s |\n|---|---|---|---|");
    let ids = [
        column(Way::Dictionary, Some(1)),
        column(Way::Dictionary, None),
        column(Way::Delta, Some(1)),
        column(Way::Delta, None),
        column(Way::Plain, Some(1)),
    ];
    let times = [
        column(Way::Delta, Some(1)),
        column(Way::Delta, None),
        column(Way::Dictionary, Some(1)),
        column(Way::Dictionary, None),
        column(Way::Plain, Some(1)),
        column(Way::Split, Some(1)),
    ];
    let values = [
        column(Way::Split, Some(1)),
        column(Way::Split, Some(3)),
        column(Way::Split, Some(9)),
        column(Way::Split, Some(0)),
        column(Way::Split, None),
        column(Way::Plain, Some(1)),
        column(Way::Plain, Some(3)),
        column(Way::Dictionary, Some(1)),
        column(Way::Dictionary, Some(3)),
    ];
    for (name, ways) in [
        ("entity_id", &ids[..]),
        ("series_id", &ids[..]),
        ("ts", &times[..]),
        ("value", &values[..]),
        ("known_at", &times[..]),
    ] {
        for &way in ways {
            let file = Layout::base().with(name, way).write(&batches);
            let size = column_bytes(&file)[name] as f64 / total as f64;
            let speed = decode(&file, &[name], 16_384) / 1e6;
            println!("| {name} | {} | {size:.3} | {speed:.0} |", way.name());
        }
    }
    println!(
        "\n| rows a page | rows a batch | version | bytes a row | M rows/s: series_id, ts, value | with known_at |"
    );
    println!("|---|---|---|---|---|---|");
    let three = ["series_id", "ts", "value"];
    let four = ["series_id", "ts", "value", "known_at"];
    for page_rows in [8_192, 20_000, 65_536, 131_072] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let layout = Layout { page_rows, version, ..Layout::base() };
            let file = layout.write(&batches);
            let size = file.len() as f64 / total as f64;
            for batch in [4_096, 16_384, 65_536] {
                let (narrow, wide) = (decode(&file, &three, batch) / 1e6, decode(&file, &four, batch) / 1e6);
                let version = if version == WriterVersion::PARQUET_1_0 { "1" } else { "2" };
                println!("| {page_rows} | {batch} | {version} | {size:.2} | {narrow:.1} | {wide:.1} |");
            }
        }
    }
}
