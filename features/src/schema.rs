//! Arrow form of labelled rows: one f32 column per flat feature, one fixed-size binary for the window.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema, SchemaRef};
use survival::{Cause, CensorReason, Observation, Outcome};

use crate::batch::{FeatureBatch, LabeledBatch};
use crate::entity::{Entity, EntityKind};
use crate::spec::FeatureSpec;
use crate::split::Split;
use crate::{FeatureError, Result};

/// Version of the row layout; a reader refuses another one by name.
pub const ROW_SCHEMA_VERSION: u32 = 1;
/// Column that holds steps × channels little-endian f32, oldest step first.
pub const WINDOW_COLUMN: &str = "window";

/// Schema of labelled rows of a spec; flat features keep their names.
#[must_use]
pub fn row_schema(spec: &FeatureSpec) -> SchemaRef {
    let mut fields = vec![
        Field::new("entity", DataType::Utf8, false),
        Field::new("kind", DataType::Utf8, false),
        Field::new("incarnation", DataType::Utf8, false),
        Field::new("group", DataType::Utf8, false),
        Field::new("split", DataType::Utf8, false),
        Field::new("as_of", DataType::Int64, false),
        Field::new("duration", DataType::Float64, false),
        Field::new("entry", DataType::Float64, false),
        Field::new("known_alive", DataType::Float64, false),
        Field::new("cause", DataType::Utf8, true),
        Field::new("censor_reason", DataType::Utf8, true),
    ];
    fields.extend(spec.flat.iter().map(|column| Field::new(&column.name, DataType::Float32, true)));
    let bytes = window_bytes(spec);
    if bytes > 0 {
        fields.push(Field::new(WINDOW_COLUMN, DataType::FixedSizeBinary(bytes), false));
    }
    let metadata = [
        ("forewarn.row_schema_version".to_owned(), ROW_SCHEMA_VERSION.to_string()),
        ("forewarn.feature_spec_hash".to_owned(), spec.hash()),
    ];
    Arc::new(Schema::new_with_metadata(fields, metadata.into_iter().collect()))
}

/// Labelled rows as an Arrow batch.
///
/// # Errors
/// When a cause index is not in `causes`, or Arrow refuses the columns.
pub fn to_record_batch(spec: &FeatureSpec, causes: &[String], rows: &LabeledBatch) -> Result<RecordBatch> {
    let features = &rows.features;
    let entities = features.entities();
    let mut cause_names = Vec::with_capacity(rows.rows());
    for observation in &rows.observations {
        cause_names.push(match observation.cause() {
            None => None,
            Some(cause) => Some(causes.get(usize::from(cause.0)).map(String::as_str).ok_or(FeatureError::Shape {
                what: "cause index",
                expected: causes.len(),
                got: usize::from(cause.0),
            })?),
        });
    }
    let censor = rows.observations.iter().map(|o| match o.outcome() {
        Outcome::Censored(reason) => Some(reason.name()),
        Outcome::Failed(_) => None,
    });
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(entities.iter().map(Entity::key))),
        Arc::new(StringArray::from_iter_values(entities.iter().map(|e| e.kind().name()))),
        Arc::new(StringArray::from_iter_values(entities.iter().map(Entity::incarnation))),
        Arc::new(StringArray::from_iter_values(&rows.groups)),
        Arc::new(StringArray::from_iter_values(rows.splits.iter().map(|split| split.name()))),
        Arc::new(Int64Array::from(features.as_of().to_vec())),
        Arc::new(Float64Array::from_iter_values(rows.observations.iter().map(Observation::duration))),
        Arc::new(Float64Array::from_iter_values(rows.observations.iter().map(Observation::entry))),
        Arc::new(Float64Array::from(rows.known_alive.clone())),
        Arc::new(StringArray::from(cause_names)),
        Arc::new(StringArray::from_iter(censor)),
    ];
    let width = features.width();
    for column in 0..width {
        // Missing is null on disk, so that every reader of Parquet sees it as missing.
        let values = (0..rows.rows()).map(|row| features.flat()[row * width + column]);
        columns.push(Arc::new(Float32Array::from_iter(values.map(|v| (!v.is_nan()).then_some(v)))));
    }
    let bytes = window_bytes(spec);
    if bytes > 0 {
        let mut buffer = Vec::with_capacity(features.sequence().len() * 4);
        for value in features.sequence() {
            buffer.extend_from_slice(&value.to_le_bytes());
        }
        let array = FixedSizeBinaryArray::try_new(bytes, buffer.into(), None).map_err(|e| arrow_error(&e))?;
        columns.push(Arc::new(array));
    }
    RecordBatch::try_new(row_schema(spec), columns).map_err(|e| arrow_error(&e))
}

/// Labelled rows from an Arrow batch; columns are found by name.
///
/// # Errors
/// When a column is missing, of another type, null where it must not be, or holds an unknown name.
pub fn from_record_batch(spec: &FeatureSpec, causes: &[String], batch: &RecordBatch) -> Result<LabeledBatch> {
    let rows = batch.num_rows();
    let key = strings(batch, "entity")?;
    let kind = strings(batch, "kind")?;
    let incarnation = strings(batch, "incarnation")?;
    let group = strings(batch, "group")?;
    let split = strings(batch, "split")?;
    let as_of = typed(batch, "as_of", &DataType::Int64)?.as_primitive::<Int64Type>().values().to_vec();
    let duration = typed(batch, "duration", &DataType::Float64)?.as_primitive::<Float64Type>();
    let entry = typed(batch, "entry", &DataType::Float64)?.as_primitive::<Float64Type>();
    let known_alive = typed(batch, "known_alive", &DataType::Float64)?.as_primitive::<Float64Type>();
    let cause = strings(batch, "cause")?;
    let censor = strings(batch, "censor_reason")?;

    let mut entities = Vec::with_capacity(rows);
    let mut observations = Vec::with_capacity(rows);
    let mut splits = Vec::with_capacity(rows);
    for row in 0..rows {
        entities.push(Entity::try_new(
            EntityKind::from_name(kind.value(row))?,
            key.value(row),
            incarnation.value(row),
        )?);
        splits.push(Split::from_name(split.value(row)).ok_or_else(|| unknown("split", split.value(row)))?);
        let outcome = match (cause.is_valid(row), censor.is_valid(row)) {
            (true, false) => {
                let name = cause.value(row);
                let index = causes.iter().position(|c| c == name).ok_or_else(|| unknown("cause", name))?;
                Outcome::Failed(Cause(u16::try_from(index).unwrap_or(u16::MAX)))
            }
            (false, true) => {
                let name = censor.value(row);
                Outcome::Censored(CensorReason::from_name(name).ok_or_else(|| unknown("censor_reason", name))?)
            }
            _ => {
                return Err(FeatureError::Column {
                    column: "cause".to_owned(),
                    problem: format!("and censor_reason: row {row} must have exactly one of the two"),
                });
            }
        };
        observations.push(Observation::try_with_entry(duration.value(row), entry.value(row), outcome)?);
    }

    let width = spec.flat.len();
    let mut flat = vec![f32::NAN; rows * width];
    for (index, column) in spec.flat.iter().enumerate() {
        let values = typed(batch, &column.name, &DataType::Float32)?.as_primitive::<Float32Type>();
        for row in 0..rows {
            if values.is_valid(row) {
                flat[row * width + index] = values.value(row);
            }
        }
    }
    let bytes = window_bytes(spec);
    let mut sequence = Vec::new();
    if bytes > 0 {
        let windows = typed(batch, WINDOW_COLUMN, &DataType::FixedSizeBinary(bytes))?.as_fixed_size_binary();
        sequence.reserve(rows * spec.steps * spec.channels.len());
        for row in 0..rows {
            let (chunks, _) = windows.value(row).as_chunks::<4>();
            sequence.extend(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)));
        }
    }
    let groups = (0..rows).map(|row| group.value(row).to_owned()).collect();
    let features = FeatureBatch::try_new(spec, spec.hash(), entities, as_of, flat, sequence)?;
    LabeledBatch::try_new(features, observations, known_alive.values().to_vec(), groups, splits)
}

fn window_bytes(spec: &FeatureSpec) -> i32 {
    i32::try_from(4 * spec.steps * spec.channels.len()).unwrap_or(i32::MAX)
}

fn typed<'a>(batch: &'a RecordBatch, name: &str, expected: &DataType) -> Result<&'a ArrayRef> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| FeatureError::Column { column: name.to_owned(), problem: "is missing".to_owned() })?;
    if column.data_type() != expected {
        return Err(FeatureError::Column {
            column: name.to_owned(),
            problem: format!("is {}, expected {expected}", column.data_type()),
        });
    }
    Ok(column)
}

fn strings<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    Ok(typed(batch, name, &DataType::Utf8)?.as_string::<i32>())
}

fn unknown(column: &str, value: &str) -> FeatureError {
    FeatureError::Column { column: column.to_owned(), problem: format!("holds {value:?}, which is not known") }
}

fn arrow_error(error: &arrow::error::ArrowError) -> FeatureError {
    FeatureError::Column { column: "(batch)".to_owned(), problem: error.to_string() }
}
