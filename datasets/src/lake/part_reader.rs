//! Sample files being read: whole pages are skipped by their statistics, the rest is decoded in batches and handed
//! over as runs of one series, slices of what was decoded.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Float64Type, Int32Type, TimestampMillisecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::commit::LakeFile;
use crate::error::{DatasetError, Result};

/// Rows decoded at a time where few files are open.
pub(super) const BATCH: usize = 32_768;

/// A sample file opened for reading; its footer is read once.
#[derive(Debug)]
pub(super) struct PartReader {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// Per row group: rows, smallest and largest entity.
    groups: Vec<(u64, i32, i32)>,
}

/// Footers already read, by path; a file never changes under its name.
#[derive(Debug, Clone, Default)]
pub(super) struct Footers(Arc<Mutex<HashMap<String, Arc<PartReader>>>>);

impl Footers {
    pub(super) fn open(&self, lake: &Path, file: &LakeFile) -> Result<Arc<PartReader>> {
        if let Some(part) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&file.path) {
            return Ok(Arc::clone(part));
        }
        let part = Arc::new(PartReader::open(lake, file)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(file.path.clone(), Arc::clone(&part));
        Ok(part)
    }
}

/// First row, entities and metrics of a page.
type PageBounds = (usize, (i32, i32), (u16, u16));

/// Rows of a part that may be skipped: asked of a page or row group with its smallest and largest entity and metric.
pub(super) type Wanted<'a> = &'a dyn Fn((i32, i32), (u16, u16)) -> bool;

impl PartReader {
    pub(super) fn open(lake: &Path, file: &LakeFile) -> Result<Self> {
        let path = lake.join(&file.path);
        let handle = File::open(&path).map_err(DatasetError::io(&path, "open the samples"))?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&handle, options).map_err(DatasetError::parquet(&path))?;
        let mut groups = Vec::new();
        for group in metadata.metadata().row_groups() {
            let (low, high) = match group.columns().first().and_then(|column| column.statistics()) {
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

    /// Begins reading the rows that may be wanted; `None` when there are none.
    pub(super) fn cursor(&self, wanted: Wanted<'_>, known_at: bool, batch: usize) -> Result<Option<Cursor>> {
        const ALL: (u16, u16) = (0, u16::MAX);
        let chosen: Vec<usize> =
            (0..self.groups.len()).filter(|&at| wanted((self.groups[at].1, self.groups[at].2), ALL)).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        let (selected, skips) = self.pages(&chosen, wanted);
        if selected.is_empty() {
            return Ok(None);
        }
        let named = DatasetError::parquet(&self.path);
        let file = File::open(&self.path).map_err(DatasetError::io(&self.path, "open the samples"))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let names = ["series_id", "ts", "value", "known_at"];
        let mask = ProjectionMask::columns(builder.parquet_schema(), names.into_iter().take(3 + usize::from(known_at)));
        if skips {
            let rows = chosen.iter().map(|&at| usize::try_from(self.groups[at].0).unwrap_or(0)).sum();
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(selected.into_iter(), rows));
        }
        let reader =
            builder.with_row_groups(chosen).with_projection(mask).with_batch_size(batch).build().map_err(&named)?;
        let mut cursor =
            Cursor { path: self.path.clone(), reader, known_at, batch: Decoded::default(), run: 0..0, last: false };
        Ok(cursor.advance()?.then_some(cursor))
    }

    /// Row ranges of the pages that may be wanted, counted over the chosen row groups, and whether any is left out.
    fn pages(&self, chosen: &[usize], wanted: Wanted<'_>) -> (Vec<Range<usize>>, bool) {
        let mut selected: Vec<Range<usize>> = Vec::new();
        let mut skips = false;
        let mut base = 0;
        for &group in chosen {
            let rows = usize::try_from(self.groups[group].0).unwrap_or(0);
            let pages = self
                .page_bounds(group)
                .unwrap_or_else(|| vec![(0, (self.groups[group].1, self.groups[group].2), (0, u16::MAX))]);
            for (at, &(first, entities, metrics)) in pages.iter().enumerate() {
                let until = pages.get(at + 1).map_or(rows, |next| next.0);
                if !wanted(entities, metrics) {
                    skips = true;
                } else if let Some(before) = selected.last_mut().filter(|before| before.end == base + first) {
                    before.end = base + until;
                } else {
                    selected.push(base + first..base + until);
                }
            }
            base += rows;
        }
        (selected, skips)
    }

    /// First row, entities and metrics of each page of a row group, where the file says so.
    fn page_bounds(&self, group: usize) -> Option<Vec<PageBounds>> {
        let metadata = self.metadata.metadata();
        let columns = metadata.column_index()?.get(group)?;
        let locations = metadata.offset_index()?.get(group)?.first()?.page_locations();
        let (ColumnIndexMetaData::INT32(entities), ColumnIndexMetaData::INT32(metrics)) =
            (columns.first()?, columns.get(1)?)
        else {
            return None;
        };
        let same = locations.len() == metrics.min_values().len()
            && metadata.offset_index()?.get(group)?.get(1)?.page_locations().len() == locations.len();
        let metric = |value: Option<&i32>, other: u16| value.and_then(|&v| u16::try_from(v).ok()).unwrap_or(other);
        let pages = locations.iter().enumerate().map(|(at, location)| {
            let low = entities.min_value(at).copied().unwrap_or(i32::MIN);
            let high = entities.max_value(at).copied().unwrap_or(i32::MAX);
            // Metrics are sorted inside one entity only, and pages of the two columns must cover the same rows.
            let metrics = if same && low == high {
                (metric(metrics.min_value(at), 0), metric(metrics.max_value(at), u16::MAX))
            } else {
                (0, u16::MAX)
            };
            Some((usize::try_from(location.first_row_index).ok()?, (low, high), metrics))
        });
        pages.collect()
    }
}

/// A place in a part: the run of one series that comes next, as far as it is decoded.
pub(super) struct Cursor {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    known_at: bool,
    batch: Decoded,
    run: Range<usize>,
    /// Whether the run ends inside what is decoded, so that it is surely whole.
    last: bool,
}

#[derive(Debug, Default)]
struct Decoded {
    series: ScalarBuffer<i32>,
    times: ScalarBuffer<i64>,
    values: ScalarBuffer<f64>,
    known_at: ScalarBuffer<i64>,
}

impl Cursor {
    /// The series of the run.
    pub(super) fn series(&self) -> u32 {
        self.batch.series[self.run.start].cast_unsigned()
    }

    /// Whether the run ends before what is decoded does.
    pub(super) fn ends_here(&self) -> bool {
        self.last
    }

    /// Times, values and, where asked for, times of knowing of the run.
    pub(super) fn columns(&self) -> (&[i64], &[f64], &[i64]) {
        let known_at = if self.known_at { &self.batch.known_at[self.run.clone()] } else { &[] };
        (&self.batch.times[self.run.clone()], &self.batch.values[self.run.clone()], known_at)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes to the next run; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let mut from = self.run.end;
        while from == self.batch.series.len() {
            let Some(batch) = self.reader.next() else { return Ok(false) };
            let batch =
                batch.map_err(|error| DatasetError::Parquet { path: self.path.clone(), reason: error.to_string() })?;
            self.batch = self.decoded(&batch)?;
            from = 0;
        }
        let length = run_length(&self.batch.series[from..]);
        self.run = from..from + length;
        self.last = self.run.end < self.batch.series.len();
        Ok(true)
    }

    fn decoded(&self, batch: &RecordBatch) -> Result<Decoded> {
        let times = |at: usize| {
            let column = batch.columns().get(at)?.as_primitive_opt::<TimestampMillisecondType>()?;
            Some(column.values().clone())
        };
        let decoded = || {
            Some(Decoded {
                series: batch.columns().first()?.as_primitive_opt::<Int32Type>()?.values().clone(),
                times: times(1)?,
                values: batch.columns().get(2)?.as_primitive_opt::<Float64Type>()?.values().clone(),
                known_at: if self.known_at { times(3)? } else { ScalarBuffer::default() },
            })
        };
        decoded().ok_or_else(|| DatasetError::Column {
            path: self.path.clone(),
            column: "series_id, ts, value, known_at".to_owned(),
            problem: "are not all there with the lake's types".to_owned(),
        })
    }
}

/// Length of the run of equal ids at the start. Equal ids lie together, so a few looks find its end.
fn run_length(ids: &[i32]) -> usize {
    let first = ids[0];
    let mut leap = 16;
    let mut low = 0;
    while low + leap < ids.len() && ids[low + leap] == first {
        low += leap;
        leap *= 2;
    }
    let high = (low + leap).min(ids.len());
    low + ids[low..high].partition_point(|&id| id == first)
}

#[cfg(test)]
mod tests {
    use super::run_length;

    #[test]
    fn runs_end_where_the_id_changes() {
        for length in 1..300 {
            for rest in [0, 1, 15, 16, 17, 400] {
                let mut ids = vec![5; length];
                ids.extend((0..rest).map(|at| 6 + at));
                assert_eq!(run_length(&ids), length, "{length} {rest}");
            }
        }
    }
}
