//! Tiles at rest: every field of a tile, exactly, so that tiles merge to the same bits after years.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, UInt16Array};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef};
use features::{MetricId, Tile};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::commit::{LakeFile, Table};
use super::tables::LakeTables;
use crate::error::{DatasetError, Result};
use crate::parquet_file::ParquetSink;

const BATCH: usize = 65_536;

/// Schema of tile files: who, which interval (`number` × the lake's tile length), and the fields of the tile.
#[must_use]
pub fn tile_schema() -> SchemaRef {
    let mut fields = vec![
        Field::new("entity_id", DataType::Int32, false),
        Field::new("metric", DataType::UInt16, false),
        Field::new("series_id", DataType::Int32, false),
        Field::new("number", DataType::Int64, false),
    ];
    fields.extend(Tile::FIELDS.0.map(|name| Field::new(name, DataType::Int64, false)));
    fields.extend(Tile::FIELDS.1.map(|name| Field::new(name, DataType::Float64, false)));
    Arc::new(Schema::new(fields))
}

/// Tiles of one day of one kind, being written.
pub(super) struct TileWriter {
    name: String,
    path: std::path::PathBuf,
    staged: std::path::PathBuf,
    sink: ParquetSink<File>,
    ids: Vec<(i32, u16, i32)>,
    numbers: Vec<i64>,
    whole: [Vec<i64>; 5],
    values: [Vec<f64>; 11],
    file: LakeFile,
}

impl TileWriter {
    pub(super) fn create(lake: &Path, kind: &str, date: &str, name: &str) -> Result<Self> {
        let folder = format!("tiles/kind={kind}/date={date}");
        let place = lake.join(&folder);
        std::fs::create_dir_all(&place).map_err(DatasetError::io(&place, "create the folder"))?;
        let name = format!("{folder}/{name}.parquet");
        let path = lake.join(&name);
        let staged = path.with_extension("staged");
        let _ = std::fs::remove_file(&staged);
        Ok(Self {
            sink: ParquetSink::create(staged.clone(), &tile_schema())?,
            path,
            staged,
            ids: Vec::new(),
            numbers: Vec::new(),
            whole: Default::default(),
            values: Default::default(),
            file: LakeFile {
                table: Table::Tiles,
                path: name.clone(),
                sha256: String::new(),
                bytes: 0,
                rows: 0,
                kind: kind.to_owned(),
                date: date.to_owned(),
                entities: (i32::MAX, i32::MIN),
                times: (i64::MAX, i64::MIN),
                pruned: false,
            },
            name,
        })
    }

    pub(super) fn push(&mut self, tables: &LakeTables, series: u32, number: i64, tile: &Tile) -> Result<()> {
        let (entity, metric, _) = tables.rank(series);
        let (whole, values) = tile.fields();
        self.ids.push((entity, metric, series.cast_signed()));
        self.numbers.push(number);
        for (column, value) in self.whole.iter_mut().zip(whole) {
            column.push(value);
        }
        for (column, value) in self.values.iter_mut().zip(values) {
            column.push(value);
        }
        let file = &mut self.file;
        file.entities = (file.entities.0.min(entity), file.entities.1.max(entity));
        file.times = (file.times.0.min(whole[1]), file.times.1.max(whole[2]));
        if self.ids.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let ids = std::mem::take(&mut self.ids);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(ids.iter().map(|id| id.0))),
            Arc::new(UInt16Array::from_iter_values(ids.iter().map(|id| id.1))),
            Arc::new(Int32Array::from_iter_values(ids.iter().map(|id| id.2))),
            Arc::new(Int64Array::from(std::mem::take(&mut self.numbers))),
        ];
        for column in &mut self.whole {
            columns.push(Arc::new(Int64Array::from(std::mem::take(column))));
        }
        for column in &mut self.values {
            columns.push(Arc::new(Float64Array::from(std::mem::take(column))));
        }
        let batch = RecordBatch::try_new(tile_schema(), columns)
            .map_err(|error| DatasetError::config(&self.name, error.to_string()))?;
        self.sink.write(&batch)
    }

    pub(super) fn finish(mut self) -> Result<Option<LakeFile>> {
        if !self.ids.is_empty() {
            self.flush()?;
        }
        let entry = self.sink.close(&self.name)?;
        if entry.rows == Some(0) {
            let _ = std::fs::remove_file(&self.staged);
            return Ok(None);
        }
        std::fs::rename(&self.staged, &self.path)
            .map_err(DatasetError::io(&self.path, "move the finished file here"))?;
        if let Some(folder) = self.path.parent() {
            super::commit::sync_folder(folder)?;
        }
        self.file.sha256 = entry.sha256;
        self.file.bytes = entry.bytes;
        self.file.rows = entry.rows.unwrap_or(0);
        Ok(Some(self.file))
    }
}

/// A stored tile: entity, metric, series, interval number.
pub(super) type StoredTile = (i32, MetricId, u32, i64, Tile);

/// Hands over the tiles of a file that belong to entities of `[low, high]`.
pub(super) fn read(
    lake: &Path,
    file: &LakeFile,
    tables: &LakeTables,
    (low, high): (i32, i32),
    each: &mut dyn FnMut(StoredTile),
) -> Result<()> {
    let path = lake.join(&file.path);
    let handle = File::open(&path).map_err(DatasetError::io(&path, "open the tiles"))?;
    let named = DatasetError::parquet(&path);
    let reader = ParquetRecordBatchReaderBuilder::try_new(handle).and_then(|b| b.build()).map_err(&named)?;
    for batch in reader {
        let batch = batch.map_err(|error| DatasetError::Parquet { path: path.clone(), reason: error.to_string() })?;
        if batch.num_columns() != tile_schema().fields().len() {
            return Err(DatasetError::Column {
                path: path.clone(),
                column: "*".to_owned(),
                problem: format!(
                    "there are {} columns, a tile file has {}",
                    batch.num_columns(),
                    tile_schema().fields().len()
                ),
            });
        }
        let entities = batch.column(0).as_primitive::<Int32Type>();
        let series = batch.column(2).as_primitive::<Int32Type>();
        let numbers = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let entity = entities.value(row);
            if entity < low || entity > high {
                continue;
            }
            let whole = std::array::from_fn(|at| batch.column(4 + at).as_primitive::<Int64Type>().value(row));
            let values = std::array::from_fn(|at| batch.column(9 + at).as_primitive::<Float64Type>().value(row));
            let id = series.value(row).cast_unsigned();
            let metric = tables.series().get(id as usize).map(|row| row.metric);
            let Some(metric) = metric else {
                return Err(DatasetError::config(&file.path, format!("series {id} is in no series file")));
            };
            each((entity, metric, id, numbers.value(row), Tile::from_fields(whole, values)));
        }
    }
    Ok(())
}
