//! Samples to features and nothing else: scan, tile kernel and row assembler, one range of entities a thread.
//!
//! `rows_at` does more with the same parts: lives, events, notices, several incarnations, neighbours.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema, TimeUnit, TimestampMillisecondType};
use datasets::Lake;
use datasets::lake::{Scan, Table};
use features::{Catalogue, Entity, EntityKind, Facts, FeatureSpec, MetricId, RowAssembler, TileBuilder, TileKernel};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::data::{ARRIVES_AFTER, AS_OF, METRICS, Shape, key};

/// Rows decoded at a time.
const BATCH: usize = 16_384;
/// Rows of a row group of the wide file, about; one ends with an entity.
const WIDE_GROUP: usize = 65_536;

/// Makes rows of entities that come one after the other.
struct Rows<'k> {
    kernel: &'k TileKernel,
    assembler: RowAssembler,
    open: Option<(i32, TileBuilder<'k>)>,
}

impl<'k> Rows<'k> {
    fn new(kernel: &'k TileKernel, spec: &FeatureSpec, catalogue: &Catalogue) -> Self {
        let assembler = RowAssembler::try_new(spec, catalogue).expect("the spec of the benchmark");
        Self { kernel, assembler, open: None }
    }

    fn take(&mut self, entity: i32, metric: MetricId, times: &[i64], values: &[f64], known_at: &[i64]) {
        if self.open.as_ref().is_some_and(|(open, _)| *open != entity) {
            self.end_entity();
        }
        let (_, builder) = self.open.get_or_insert_with(|| (entity, TileBuilder::new(self.kernel, "bench")));
        builder.extend_run(metric, 0, times, values, known_at).expect("samples in order");
    }

    fn end_entity(&mut self) {
        let Some((id, builder)) = self.open.take() else { return };
        let name = key(usize::try_from(id).unwrap_or(0));
        let entity = Entity::try_new(EntityKind::Container, name, "uid").expect("a key");
        let attributes = BTreeMap::new();
        let facts = Facts { born: None, attributes: &attributes, failures: &[], causes: &[], shown: &[] };
        self.assembler.push(&entity, &facts, &builder.finish(), AS_OF).expect("a row");
    }

    fn finish(mut self) -> Vec<f32> {
        self.end_entity();
        self.assembler.finish().expect("rows").flat().to_vec()
    }
}

/// Does the work of each part in a thread of its own and puts the rows end to end.
fn in_threads(parts: Vec<Range<usize>>, work: impl Fn(Range<usize>) -> Vec<f32> + Sync) -> Vec<f32> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread ends")).collect()
    })
}

/// `0..count` in so many pieces.
fn pieces(count: usize, threads: usize) -> Vec<Range<usize>> {
    (0..threads).map(|at| count * at / threads..count * (at + 1) / threads).collect()
}

/// Features of every entity of a lake.
pub(crate) fn long(dir: &Path, spec: &FeatureSpec, catalogue: &Catalogue, threads: usize) -> Vec<f32> {
    let lake = Lake::open(dir).expect("a lake");
    let kernel = TileKernel::try_new(spec, catalogue).expect("the spec of the benchmark");
    let featured = spec.metrics(catalogue).expect("metrics");
    let id = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    in_threads(pieces(lake.tables().entities().len(), threads), |part| {
        let mut rows = Rows::new(&kernel, spec, catalogue);
        let entities = (id(part.start), id(part.end) - 1);
        let scan = Scan { entities, times: i64::MIN..AS_OF, ..Scan::all(EntityKind::Container) };
        lake.scan(&scan.with_metrics(&featured), &mut |run| {
            rows.take(run.entity, run.metric, run.times, run.values, run.known_at);
            Ok(())
        })
        .expect("readable");
        rows.finish()
    })
}

/// Decodes the columns that features need of every sample file and looks at nothing; how many samples.
pub(crate) fn decode_long(dir: &Path) -> u64 {
    let lake = Lake::open(dir).expect("a lake");
    let mut rows = 0;
    for file in lake.snapshot().table(Table::Samples) {
        let file = File::open(dir.join(&file.path)).expect("a file");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["series_id", "ts", "value", "known_at"]);
        let reader = builder.with_projection(mask).with_batch_size(BATCH).build().expect("Parquet");
        rows += reader.map(|batch| std::hint::black_box(batch.expect("Parquet")).num_rows() as u64).sum::<u64>();
    }
    rows
}

/// Writes the samples of a shape as the guide's layout has them: a row per entity and scrape, a column per metric.
pub(crate) fn write_wide(path: &Path, shape: Shape) {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![Field::new("entity_id", DataType::Int32, false), Field::new("ts", time, false)];
    fields.extend(METRICS.map(|name| Field::new(name, DataType::Float64, false)));
    let schema = Arc::new(Schema::new(fields));
    let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_max_row_group_row_count(Some(1 << 26))
        .set_column_dictionary_enabled(column("ts"), false)
        .set_column_encoding(column("ts"), Encoding::DELTA_BINARY_PACKED);
    for name in METRICS {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::BYTE_STREAM_SPLIT);
    }
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties.build())).expect("Parquet");
    let mut values = Vec::new();
    for entity in 0..shape.entities {
        let times = shape.times(entity);
        let id = i32::try_from(entity).unwrap_or(i32::MAX);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![id; times.len()])),
            Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
        ];
        for metric in 0..METRICS.len() {
            shape.values(entity, metric, &mut values);
            columns.push(Arc::new(Float64Array::from(values.clone())));
        }
        writer.write(&RecordBatch::try_new(schema.clone(), columns).expect("equal columns")).expect("Parquet");
        if writer.in_progress_rows() >= WIDE_GROUP {
            writer.flush().expect("Parquet");
        }
    }
    writer.close().expect("Parquet");
}

/// Decodes the wide file and looks at nothing; how many samples.
pub(crate) fn decode_wide(path: &Path) -> u64 {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("Parquet");
    let reader = builder.with_batch_size(BATCH).build().expect("Parquet");
    let rows = reader.map(|batch| std::hint::black_box(batch.expect("Parquet")).num_rows() as u64).sum::<u64>();
    rows * METRICS.len() as u64
}

/// Features of every entity of the wide file; a thread has its row groups, which end with an entity.
pub(crate) fn wide(path: &Path, spec: &FeatureSpec, catalogue: &Catalogue, threads: usize) -> Vec<f32> {
    let kernel = TileKernel::try_new(spec, catalogue).expect("the spec of the benchmark");
    let metrics = METRICS.map(|name| catalogue.id(name).expect("a metric"));
    let open = || ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("Parquet");
    in_threads(pieces(open().metadata().num_row_groups(), threads), |groups| {
        let mut rows = Rows::new(&kernel, spec, catalogue);
        let mut known_at = Vec::new();
        let reader = open().with_row_groups(groups.collect()).with_batch_size(BATCH).build().expect("Parquet");
        for batch in reader {
            let batch = batch.expect("Parquet");
            let ids: &[i32] = batch.column(0).as_primitive::<Int32Type>().values();
            let times: &[i64] = batch.column(1).as_primitive::<TimestampMillisecondType>().values();
            known_at.clear();
            known_at.extend(times.iter().map(|time| time + ARRIVES_AFTER));
            let mut from = 0;
            for run in ids.chunk_by(|a, b| a == b) {
                let until = from + run.len();
                for (at, &metric) in metrics.iter().enumerate() {
                    let values: &[f64] = batch.column(2 + at).as_primitive::<Float64Type>().values();
                    rows.take(run[0], metric, &times[from..until], &values[from..until], &known_at[from..until]);
                }
                from = until;
            }
        }
        rows.finish()
    })
}
