//! Tiles at rest: every field of a tile, exactly, so that tiles merge to the same bits after years.
//!
//! What `v0` to `v6`, `c0` and `c1` mean depends on the metric's kind: `features::tile::TileColumns` names them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, UInt8Array, UInt16Array, UInt32Array,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMillisecondType, UInt8Type,
    UInt16Type, UInt32Type,
};
use features::tile::{MAX_STATES, TileColumns};
use features::{Catalogue, MetricId, Tile};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::commit::{LakeFile, Table};
use super::part::time_type;
use super::tables::LakeTables;
use crate::error::{DatasetError, Result};
use crate::parquet_file::ParquetSink;

const BATCH: usize = 65_536;
const VALUES: usize = 7;

/// Schema of tile files: whose, which interval (`number` times the lake's tile length), and every field of the tile.
#[must_use]
pub fn tile_schema() -> SchemaRef {
    let mut fields = vec![
        Field::new("entity_id", DataType::Int32, false),
        Field::new("metric", DataType::UInt16, false),
        Field::new("series_id", DataType::Int32, false),
        Field::new("number", DataType::Int64, false),
        Field::new("count", DataType::UInt32, false),
        Field::new("flags", DataType::UInt8, false),
        Field::new("longest_wait", DataType::Int64, false),
        Field::new("t_first", time_type(), false),
        Field::new("t_last", time_type(), false),
        Field::new("first", DataType::Float64, false),
        Field::new("last", DataType::Float64, false),
    ];
    fields.extend((0..VALUES).map(|at| Field::new(format!("v{at}"), DataType::Float64, false)));
    fields.extend((0..2).map(|at| Field::new(format!("c{at}"), DataType::UInt32, false)));
    fields.push(Field::new("covered", DataType::Int64, false));
    fields.push(Field::new("born", DataType::Int64, false));
    fields.extend((0..MAX_STATES).map(|at| Field::new(format!("held{at}"), DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

/// Tiles of one day of one kind, being written.
pub(super) struct TileWriter {
    path: PathBuf,
    staged: PathBuf,
    sink: ParquetSink<File>,
    ids: Vec<(i32, u16, i32)>,
    columns: TileColumns,
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
            columns: TileColumns::default(),
            file: LakeFile {
                table: Table::Tiles,
                path: name,
                sha256: String::new(),
                bytes: 0,
                rows: 0,
                kind: kind.to_owned(),
                date: date.to_owned(),
                entities: (i32::MAX, i32::MIN),
                times: (i64::MAX, i64::MIN),
                pruned: false,
                settled: false,
            },
        })
    }

    pub(super) fn push(&mut self, tables: &LakeTables, series: u32, number: i64, tile: &Tile) -> Result<()> {
        let (entity, metric, _) = tables.rank(series);
        self.ids.push((entity, metric, series.cast_signed()));
        self.columns.push(number, tile);
        let head = tile.head();
        let file = &mut self.file;
        file.entities = (file.entities.0.min(entity), file.entities.1.max(entity));
        file.times = (file.times.0.min(head.t_first), file.times.1.max(head.t_last));
        if self.ids.len() == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let ids = std::mem::take(&mut self.ids);
        let tiles = std::mem::take(&mut self.columns);
        let whole = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let time = |values: Vec<i64>| {
            Arc::new(arrow::array::TimestampMillisecondArray::from(values).with_timezone("UTC")) as ArrayRef
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(ids.iter().map(|id| id.0))),
            Arc::new(UInt16Array::from_iter_values(ids.iter().map(|id| id.1))),
            Arc::new(Int32Array::from_iter_values(ids.iter().map(|id| id.2))),
            whole(tiles.number),
            Arc::new(UInt32Array::from(tiles.count)),
            Arc::new(UInt8Array::from(tiles.flags)),
            whole(tiles.longest_wait),
            time(tiles.t_first),
            time(tiles.t_last),
            Arc::new(Float64Array::from(tiles.first)),
            Arc::new(Float64Array::from(tiles.last)),
        ];
        for at in 0..VALUES {
            columns.push(Arc::new(Float64Array::from_iter_values(tiles.values.iter().map(|values| values[at]))));
        }
        for at in 0..2 {
            columns.push(Arc::new(UInt32Array::from_iter_values(tiles.counts.iter().map(|counts| counts[at]))));
        }
        columns.push(whole(tiles.covered));
        columns.push(whole(tiles.born));
        for at in 0..MAX_STATES {
            columns.push(whole(tiles.held.iter().map(|held| held[at]).collect()));
        }
        let batch = RecordBatch::try_new(tile_schema(), columns)
            .map_err(|error| DatasetError::config(&self.file.path, error.to_string()))?;
        self.sink.write(&batch)
    }

    pub(super) fn finish(mut self) -> Result<Option<LakeFile>> {
        if !self.ids.is_empty() {
            self.flush()?;
        }
        let entry = self.sink.close(&self.file.path)?;
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

/// A tile as stored: entity, metric, series, interval, tile.
pub(super) type StoredTile = (i32, MetricId, u32, i64, Tile);

/// Hands over the tiles of some entities and metrics, in the order of the file.
pub(super) fn read(
    path: &Path,
    entities: (i32, i32),
    wanted: &dyn Fn(MetricId) -> bool,
    catalogue: &Catalogue,
    each: &mut dyn FnMut(StoredTile),
) -> Result<()> {
    let problem = |problem: String| DatasetError::Column { path: path.to_owned(), column: "tiles".to_owned(), problem };
    let file = File::open(path).map_err(DatasetError::io(path, "open the tiles"))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| problem(error.to_string()))?;
    if builder.schema().fields() != tile_schema().fields() {
        return Err(problem("other columns than this release writes; run `forewarn lake migrate`".to_owned()));
    }
    let inside = |group: &RowGroupMetaData| match group.column(0).statistics() {
        Some(Statistics::Int32(seen)) => {
            seen.min_opt().is_none_or(|&low| low <= entities.1) && seen.max_opt().is_none_or(|&high| high >= entities.0)
        }
        _ => true,
    };
    let groups = builder.metadata().row_groups().iter().enumerate();
    let groups: Vec<usize> = groups.filter(|(_, group)| inside(group)).map(|(at, _)| at).collect();
    let reader =
        builder.with_row_groups(groups).with_batch_size(BATCH).build().map_err(|error| problem(error.to_string()))?;
    for batch in reader {
        let batch = batch.map_err(|error| problem(error.to_string()))?;
        let whole = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().to_vec();
        let time = |at: usize| batch.column(at).as_primitive::<TimestampMillisecondType>().values().to_vec();
        let real = |at: usize| batch.column(at).as_primitive::<Float64Type>().values().to_vec();
        let count = |at: usize| batch.column(at).as_primitive::<UInt32Type>().values().to_vec();
        let ids = batch.column(0).as_primitive::<Int32Type>().values();
        let metrics = batch.column(1).as_primitive::<UInt16Type>().values();
        let series = batch.column(2).as_primitive::<Int32Type>().values();
        let values: Vec<Vec<f64>> = (0..VALUES).map(|at| real(11 + at)).collect();
        let counts = [count(11 + VALUES), count(12 + VALUES)];
        let held: Vec<Vec<i64>> = (0..MAX_STATES).map(|at| whole(15 + VALUES + at)).collect();
        let rows = 0..batch.num_rows();
        let columns = TileColumns {
            number: whole(3),
            count: count(4),
            flags: batch.column(5).as_primitive::<UInt8Type>().values().to_vec(),
            longest_wait: whole(6),
            t_first: time(7),
            t_last: time(8),
            first: real(9),
            last: real(10),
            values: rows.clone().map(|row| std::array::from_fn(|at| values[at][row])).collect(),
            counts: rows.clone().map(|row| [counts[0][row], counts[1][row]]).collect(),
            covered: whole(13 + VALUES),
            born: whole(14 + VALUES),
            held: rows.clone().map(|row| std::array::from_fn(|at| held[at][row])).collect(),
        };
        for row in rows {
            let metric = MetricId(metrics[row]);
            if ids[row] < entities.0 || ids[row] > entities.1 || !wanted(metric) {
                continue;
            }
            let kind = catalogue
                .definition(metric)
                .ok_or_else(|| problem(format!("metric {} is not in the catalogue", metric.0)))?
                .kind;
            let (number, tile) = columns.tile(row, kind).map_err(|error| problem(error.to_string()))?;
            each((ids[row], metric, series[row].cast_unsigned(), number, tile));
        }
    }
    Ok(())
}
