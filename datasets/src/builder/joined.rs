//! From the files of the units to those of the data set: full row groups, parts of a size that can be handed around.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use crate::error::{DatasetError, Result};
use crate::manifest::FileEntry;
use crate::parquet_file::{self, ParquetSink, ROW_GROUP};

/// A part is closed by the row group that brings it past this.
pub(super) const PART_BYTES: u64 = 256 << 20;

/// Files that follow each other, each below a size.
pub(super) struct Parts<'a> {
    folder: &'a Path,
    schema: &'a SchemaRef,
    /// Path of a part inside the data set by its number.
    name: fn(usize) -> String,
    most_bytes: u64,
    open: Option<ParquetSink<File>>,
    done: Vec<FileEntry>,
    waiting: Vec<RecordBatch>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(folder: &'a Path, schema: &'a SchemaRef, name: fn(usize) -> String, most_bytes: u64) -> Self {
        Self { folder, schema, name, most_bytes, open: None, done: Vec::new(), waiting: Vec::new() }
    }

    /// Takes every row of a file, each batch as `change` makes it.
    pub(super) fn take(
        &mut self,
        path: &Path,
        change: &mut dyn FnMut(RecordBatch) -> Result<RecordBatch>,
    ) -> Result<()> {
        for batch in parquet_file::batches(path)? {
            self.waiting.push(change(batch?)?);
            while self.waiting.iter().map(RecordBatch::num_rows).sum::<usize>() >= ROW_GROUP {
                self.write_group()?;
            }
        }
        Ok(())
    }

    pub(super) fn close(mut self) -> Result<Vec<FileEntry>> {
        if !self.waiting.is_empty() {
            self.write_group()?;
        }
        // A data set has one part at least, if an empty one.
        if self.done.is_empty() && self.open.is_none() {
            self.sink()?;
        }
        self.end_part()?;
        Ok(self.done)
    }

    fn sink(&mut self) -> Result<&mut ParquetSink<File>> {
        let path = self.folder.join((self.name)(self.done.len()));
        match &mut self.open {
            Some(sink) => Ok(sink),
            open => Ok(open.insert(ParquetSink::create(path, self.schema)?)),
        }
    }

    fn write_group(&mut self) -> Result<()> {
        let named = |error: arrow::error::ArrowError| DatasetError::config("rows of the units", error.to_string());
        let whole = match &mut *self.waiting {
            [one] => one.clone(),
            several => concat_batches(&several[0].schema(), several.iter()).map_err(named)?,
        };
        self.waiting.clear();
        let rows = whole.num_rows().min(ROW_GROUP);
        if rows < whole.num_rows() {
            self.waiting.push(whole.slice(rows, whole.num_rows() - rows));
        }
        let most = self.most_bytes;
        let sink = self.sink()?;
        sink.write(&whole.slice(0, rows))?;
        if sink.bytes() >= most {
            self.end_part()?;
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<()> {
        if let Some(sink) = self.open.take() {
            self.done.push(sink.close(&(self.name)(self.done.len()))?);
        }
        Ok(())
    }
}
