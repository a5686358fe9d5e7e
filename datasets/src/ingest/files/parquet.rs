//! Tables as Parquet, whatever types the writer chose.

use std::fs::File;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit as ArrowUnit};
use features::Catalogue;

use super::Run;
use super::plan::{TablePlan, TimeColumn, TimeUnit};
use super::table::{Chunk, Values, fractional_time, parse_time, take, whole_time};
use crate::{DatasetError, Result};

/// Rows taken at once.
const CHUNK: usize = 8192;

pub(super) fn read(run: &mut Run<'_>, plan: &TablePlan, catalogue: &Catalogue) -> Result<()> {
    let path = run.path.to_owned();
    let file = File::open(&path).map_err(DatasetError::io(&path, "read the file"))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(DatasetError::parquet(&path))?;
    let schema = builder.schema().clone();
    plan.check_columns(&path, schema.fields().iter().map(|field| field.name().as_str()))?;
    let wanted = schema.fields().iter().enumerate().filter(|(_, field)| !plan.ignore.contains(field.name()));
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(at, _)| at));
    let done = usize::try_from(run.position.done).unwrap_or(usize::MAX);
    let reader = builder.with_projection(mask).with_batch_size(CHUNK).with_offset(done);
    for batch in reader.build().map_err(DatasetError::parquet(&path))? {
        let batch = batch.map_err(|error| DatasetError::Parquet { path: path.clone(), reason: error.to_string() })?;
        let chunk = chunk(run, plan, &batch)?;
        take(run, plan, catalogue, &chunk)?;
    }
    Ok(())
}

fn chunk(run: &Run<'_>, plan: &TablePlan, batch: &RecordBatch) -> Result<Chunk> {
    // Rows are counted from 1, there being no lines.
    let first_line = run.position.done + 1;
    let column =
        |name: &str| batch.column_by_name(name).cloned().ok_or_else(|| bad(run, name, "is missing".to_owned()));
    let times = |time: &TimeColumn| times(run, time, &column(&time.column)?, first_line);
    let texts = |name: &str| {
        let array = column(name)?;
        let text = cast(&array, &DataType::Utf8)
            .map_err(|_| bad(run, name, format!("is {}, expected text", array.data_type())))?;
        Ok(text.as_string::<i32>().clone())
    };
    let values = |name: &str| {
        let array = column(name)?;
        if is_text(array.data_type()) {
            return texts(name).map(Values::Text);
        }
        match cast(&array, &DataType::Float64) {
            Ok(numbers) => Ok(Values::Number(numbers.as_primitive::<Float64Type>().clone())),
            Err(_) => Err(bad(run, name, format!("is {}, expected numbers or text", array.data_type()))),
        }
    };
    Ok(Chunk {
        first_line,
        times: times(&plan.time)?,
        known_at: plan.known_at.as_ref().map(times).transpose()?,
        texts: plan.text_columns().map(texts).collect::<Result<_>>()?,
        values: plan.value_columns().into_iter().map(values).collect::<Result<_>>()?,
    })
}

fn times(run: &Run<'_>, time: &TimeColumn, array: &ArrayRef, first_line: u64) -> Result<Vec<i64>> {
    let name = &time.column;
    let kind = array.data_type();
    if let Some(row) = (0..array.len()).find(|&row| array.is_null(row)) {
        let problem = format!("column {name:?} holds no time");
        return Err(DatasetError::Line { path: run.path.to_owned(), line: first_line + row as u64, problem });
    }
    let line = |row: usize, problem: String| DatasetError::Line {
        path: run.path.to_owned(),
        line: first_line + row as u64,
        problem: format!("column {name:?}: {problem}"),
    };
    let castable = |to: &DataType| cast(array, to).map_err(|error| bad(run, name, format!("is {kind}: {error}")));
    let (unit, given) = match kind {
        DataType::Timestamp(unit, _) => {
            let unit = match unit {
                ArrowUnit::Second => TimeUnit::S,
                ArrowUnit::Millisecond => TimeUnit::Ms,
                ArrowUnit::Microsecond => TimeUnit::Us,
                ArrowUnit::Nanosecond => TimeUnit::Ns,
            };
            (unit, true)
        }
        _ => match time.unit {
            Some(unit) => (unit, false),
            None => return Err(bad(run, name, format!("is {kind}; say its unit in the mapping file"))),
        },
    };
    if given && time.unit.is_some_and(|said| said != unit) {
        return Err(bad(run, name, format!("is {kind}, the mapping file says {:?}; leave the unit out", time.unit)));
    }
    if is_text(kind) {
        let texts = castable(&DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        return (0..texts.len())
            .map(|row| parse_time(texts.value(row), unit).map_err(|problem| line(row, problem)))
            .collect();
    }
    if kind.is_floating() {
        let numbers = castable(&DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>().values().iter().enumerate();
        let read = |(row, &time): (usize, &f64)| {
            let there = time.is_finite().then(|| fractional_time(time, unit));
            there.ok_or_else(|| line(row, format!("{time} is no time")))
        };
        return numbers.map(read).collect();
    }
    let whole = castable(&DataType::Int64)?;
    let whole = whole.as_primitive::<Int64Type>().values().iter().enumerate();
    whole
        .map(|(row, &time)| whole_time(time, unit).ok_or_else(|| line(row, format!("time {time} is out of range"))))
        .collect()
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn bad(run: &Run<'_>, column: &str, problem: String) -> DatasetError {
    DatasetError::Column { path: run.path.to_owned(), column: column.to_owned(), problem }
}
