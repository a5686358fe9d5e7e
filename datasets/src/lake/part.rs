//! Sample files being written: rows in the lake's order, a layout chosen by measurement.
//!
//! `cargo bench --workspace --bench lake_layout` prints the table the choices below are made from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, TimestampMillisecondArray, UInt16Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::commit::{LakeFile, Table};
use super::disk::{Disk, DiskFile};
use super::tables::{LakeTables, Place};
use crate::error::{DatasetError, Result};
use crate::parquet_file::{CREATED_BY, ParquetSink};

/// Rows of a row group: small enough to be held while writing, large enough that a file has few.
const ROW_GROUP: usize = 262_144;
/// Rows of a page, in every column the same, so that a range of entities skips whole pages of all of them.
const PAGE_ROWS: usize = 32_768;

pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// Schema of sample files.
#[must_use]
pub fn sample_schema() -> Schema {
    Schema::new(vec![
        Field::new("entity_id", DataType::Int32, false),
        Field::new("metric", DataType::UInt16, false),
        Field::new("series_id", DataType::Int32, false),
        Field::new("ts", time_type(), false),
        Field::new("value", DataType::Float64, false),
        Field::new("known_at", time_type(), false),
    ])
}

fn schema() -> SchemaRef {
    Arc::new(sample_schema())
}

fn ascending(column_idx: i32) -> SortingColumn {
    SortingColumn { column_idx, descending: false, nulls_first: false }
}

fn properties() -> WriterProperties {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default());
    let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(zstd)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_sorting_columns(Some((0..4).map(ascending).collect()));
    for id in ["entity_id", "metric", "series_id"] {
        // Runs of equal ids: a handful of bytes each, nothing left to squeeze.
        builder = builder.set_column_compression(path(id), Compression::UNCOMPRESSED);
    }
    for time in ["ts", "known_at"] {
        builder = builder
            .set_column_dictionary_enabled(path(time), false)
            .set_column_encoding(path(time), Encoding::DELTA_BINARY_PACKED);
    }
    builder
        .set_column_dictionary_enabled(path("value"), false)
        .set_column_encoding(path("value"), Encoding::BYTE_STREAM_SPLIT)
        // Nobody looks for samples by their value, whose smallest and largest span all metrics of a page.
        .set_column_statistics_enabled(path("value"), EnabledStatistics::None)
        .build()
}

/// Times in milliseconds, values, and when each was known: columns of one series.
pub(super) type Columns<'a> = (&'a [i64], &'a [f64], &'a [i64]);

/// A sample file under construction; rows come in the lake's order. Dropped before its end, it removes itself.
pub(super) struct PartWriter {
    disk: Disk,
    lake: PathBuf,
    name: String,
    staged: Staged,
    kind: String,
    date: String,
    sink: ParquetSink<DiskFile>,
    entity: Vec<i32>,
    metric: Vec<u16>,
    series: Vec<i32>,
    times: Vec<i64>,
    values: Vec<f64>,
    known_at: Vec<i64>,
    entities: (i32, i32),
    span: (i64, i64),
    rows: u64,
}

/// A file that is removed unless it was moved to its place.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        // Best effort: what cannot be removed now is removed when the lake is opened or compacted next.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl PartWriter {
    /// Begins `samples/kind=…/date=…/<name>.parquet`.
    pub(super) fn create(disk: &Disk, lake: &Path, kind: &str, date: &str, name: &str) -> Result<Self> {
        let folder = format!("samples/kind={kind}/date={date}");
        disk.create_folder(&lake.join(&folder))?;
        let name = format!("{folder}/{name}.parquet");
        let path = lake.join(&name).with_extension("staged");
        disk.remove(&path)?;
        let file = disk.create_new(&path, "create the file")?;
        let staged = Staged(path.clone());
        Ok(Self {
            sink: ParquetSink::laid_out(file, path, &schema(), properties())?,
            disk: disk.clone(),
            lake: lake.to_owned(),
            name,
            staged,
            kind: kind.to_owned(),
            date: date.to_owned(),
            entity: Vec::new(),
            metric: Vec::new(),
            series: Vec::new(),
            times: Vec::new(),
            values: Vec::new(),
            known_at: Vec::new(),
            entities: (i32::MAX, i32::MIN),
            span: (i64::MAX, i64::MIN),
            rows: 0,
        })
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds rows of one series of these tables, in time order.
    pub(super) fn push(&mut self, tables: &LakeTables, series: u32, columns: Columns<'_>) -> Result<()> {
        self.push_at(tables.place(series), series, columns)
    }

    /// Adds rows of one series, in time order.
    pub(super) fn push_at(&mut self, place: Place, series: u32, columns: Columns<'_>) -> Result<()> {
        let (mut times, mut values, mut known_at) = columns;
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return Ok(()) };
        self.entities = (self.entities.0.min(place.entity), self.entities.1.max(place.entity));
        self.span = (self.span.0.min(first), self.span.1.max(last));
        self.rows += times.len() as u64;
        while !times.is_empty() {
            let take = (ROW_GROUP - self.times.len()).min(times.len());
            let until = self.times.len() + take;
            self.entity.resize(until, place.entity);
            self.metric.resize(until, place.metric.0);
            self.series.resize(until, series.cast_signed());
            self.times.extend_from_slice(&times[..take]);
            self.values.extend_from_slice(&values[..take]);
            self.known_at.extend_from_slice(&known_at[..take]);
            (times, values, known_at) = (&times[take..], &values[take..], &known_at[take..]);
            if until == ROW_GROUP {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.times.is_empty() {
            return Ok(());
        }
        let time = |times: &mut Vec<i64>| {
            Arc::new(TimestampMillisecondArray::from(std::mem::take(times)).with_timezone("UTC")) as ArrayRef
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(std::mem::take(&mut self.entity))),
            Arc::new(UInt16Array::from(std::mem::take(&mut self.metric))),
            Arc::new(Int32Array::from(std::mem::take(&mut self.series))),
            time(&mut self.times),
            Arc::new(Float64Array::from(std::mem::take(&mut self.values))),
            time(&mut self.known_at),
        ];
        let batch = RecordBatch::try_new(schema(), columns)
            .map_err(|error| DatasetError::config(&self.name, error.to_string()))?;
        self.sink.write(&batch)
    }

    /// Ends the file, durable and in its place; nothing names it yet. `None` when it has no rows.
    pub(super) fn finish(mut self, pruned: bool, settled: bool) -> Result<Option<LakeFile>> {
        if self.rows == 0 {
            return Ok(None);
        }
        self.flush()?;
        let (file, entry) = self.sink.finish(&self.name)?;
        file.sync()?;
        let path = self.lake.join(&self.name);
        self.disk.rename(&self.staged.0, &path)?;
        if let Some(folder) = path.parent()
            && let Err(error) = self.disk.sync_folder(folder)
        {
            // Nobody will name it.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Some(LakeFile {
            table: Table::Samples,
            path: entry.path,
            sha256: entry.sha256,
            bytes: entry.bytes,
            rows: self.rows,
            kind: self.kind,
            date: self.date,
            entities: self.entities,
            times: self.span,
            pruned,
            settled,
        }))
    }
}
