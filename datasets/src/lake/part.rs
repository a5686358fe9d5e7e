//! Sample files: written in order, read column by column.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, RecordBatch, TimestampMillisecondArray, UInt16Array};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::file::statistics::Statistics;

use super::commit::{LakeFile, Table};
use super::tables::LakeTables;
use crate::error::{DatasetError, Result};
use crate::parquet_file::ParquetSink;

/// Rows of a row group: small enough that a range of entities needs few, large enough to decode fast.
pub(super) const ROW_GROUP: usize = 131_072;
/// Rows decoded at a time.
const BATCH: usize = 65_536;

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

/// A sample file under construction; rows come in the lake's order.
pub(super) struct PartWriter {
    lake: PathBuf,
    name: String,
    staged: PathBuf,
    kind: String,
    date: String,
    sink: ParquetSink<File>,
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

impl PartWriter {
    /// Begins `samples/kind=…/date=…/<name>.parquet`.
    pub(super) fn create(lake: &Path, kind: &str, date: &str, name: &str) -> Result<Self> {
        let folder = format!("samples/kind={kind}/date={date}");
        let place = lake.join(&folder);
        std::fs::create_dir_all(&place).map_err(DatasetError::io(&place, "create the folder"))?;
        let name = format!("{folder}/{name}.parquet");
        let staged = lake.join(&name).with_extension("staged");
        let _ = std::fs::remove_file(&staged);
        Ok(Self {
            sink: ParquetSink::create(staged.clone(), &schema())?,
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

    /// Adds rows of one series, in time order.
    pub(super) fn push(
        &mut self,
        tables: &LakeTables,
        series: u32,
        (mut times, mut values, mut known_at): (&[i64], &[f64], &[i64]),
    ) -> Result<()> {
        let (entity, metric, _) = tables.rank(series);
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return Ok(()) };
        self.entities = (self.entities.0.min(entity), self.entities.1.max(entity));
        self.span = (self.span.0.min(first), self.span.1.max(last));
        self.rows += times.len() as u64;
        while !times.is_empty() {
            let take = (ROW_GROUP - self.times.len()).min(times.len());
            let until = self.times.len() + take;
            self.entity.resize(until, entity);
            self.metric.resize(until, metric);
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
    pub(super) fn finish(mut self, pruned: bool) -> Result<Option<LakeFile>> {
        if self.rows == 0 {
            drop(self.sink);
            let _ = std::fs::remove_file(&self.staged);
            return Ok(None);
        }
        self.flush()?;
        let entry = self.sink.close(&self.name)?;
        let path = self.lake.join(&self.name);
        std::fs::rename(&self.staged, &path).map_err(DatasetError::io(&path, "move the finished file here"))?;
        if let Some(folder) = path.parent() {
            super::commit::sync_folder(folder)?;
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
        }))
    }
}

/// A sample file opened for reading; its footer is read once.
#[derive(Debug, Clone)]
pub(super) struct PartReader {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// Per row group: rows, smallest and largest entity.
    groups: Vec<(u64, i32, i32)>,
}

/// Rows of a part, as slices over one decoded batch.
pub(super) struct Rows<'a> {
    pub(super) series: &'a [i32],
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    pub(super) known_at: &'a [i64],
}

impl PartReader {
    pub(super) fn open(lake: &Path, file: &LakeFile) -> Result<Self> {
        let path = lake.join(&file.path);
        let handle = File::open(&path).map_err(DatasetError::io(&path, "open the samples"))?;
        let metadata = ArrowReaderMetadata::load(&handle, Default::default()).map_err(DatasetError::parquet(&path))?;
        let mut groups = Vec::new();
        for group in metadata.metadata().row_groups() {
            let (low, high) = match group.column(0).statistics() {
                Some(Statistics::Int32(range)) => {
                    (range.min_opt().copied().unwrap_or(i32::MIN), range.max_opt().copied().unwrap_or(i32::MAX))
                }
                _ => (i32::MIN, i32::MAX),
            };
            groups.push((u64::try_from(group.num_rows()).unwrap_or(0), low, high));
        }
        Ok(Self { path, metadata, groups })
    }

    /// Rows, smallest and largest entity of every row group.
    pub(super) fn groups(&self) -> &[(u64, i32, i32)] {
        &self.groups
    }

    /// Hands over the row groups that may hold entities of `[low, high]`.
    pub(super) fn read(&self, low: i32, high: i32, each: &mut dyn FnMut(Rows<'_>) -> Result<()>) -> Result<()> {
        let wanted: Vec<usize> =
            (0..self.groups.len()).filter(|&g| self.groups[g].1 <= high && self.groups[g].2 >= low).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let named = DatasetError::parquet(&self.path);
        let file = File::open(&self.path).map_err(DatasetError::io(&self.path, "open the samples"))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["series_id", "ts", "value", "known_at"]);
        let reader =
            builder.with_row_groups(wanted).with_projection(mask).with_batch_size(BATCH).build().map_err(&named)?;
        for batch in reader {
            let batch =
                batch.map_err(|error| DatasetError::Parquet { path: self.path.clone(), reason: error.to_string() })?;
            let times = |at: usize| {
                batch.column(at).as_primitive_opt::<TimestampMillisecondType>().map(|column| &column.values()[..])
            };
            let series = batch.column(0).as_primitive_opt::<Int32Type>().map(|column| &column.values()[..]);
            let values = batch.column(2).as_primitive_opt::<Float64Type>().map(|column| &column.values()[..]);
            let (Some(series), Some(ts), Some(values), Some(known_at)) = (series, times(1), values, times(3)) else {
                return Err(DatasetError::Column {
                    path: self.path.clone(),
                    column: "series_id, ts, value, known_at".to_owned(),
                    problem: "are not of the lake's types".to_owned(),
                });
            };
            each(Rows { series, times: ts, values, known_at })?;
        }
        Ok(())
    }
}
