//! Tiles at rest: every field of a tile, exactly, so that tiles merge to the same bits after years.
//!
//! What `v0` to `v6`, `c0` and `c1` mean depends on the metric's kind: `features::tile::TileColumns` names them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, UInt8Array, UInt16Array, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use features::Tile;
use features::tile::{MAX_STATES, TileColumns};

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
