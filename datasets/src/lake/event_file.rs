//! Failure events of a lake, as last extracted: a table that can be made again from the samples at any time.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::commit::{LakeFile, Removed, Snapshot, Table};
use super::part::time_type;
use super::tables::write_table;
use crate::error::{DatasetError, Result};

/// One failure event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Kind of the entity.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// Its incarnation.
    pub incarnation: String,
    /// Cause.
    pub cause: String,
    /// The event lies in `(t_low, t_high]`, milliseconds.
    pub t_low: i64,
    /// First time it was certain.
    pub t_high: i64,
    /// The samples that tell of it, in words.
    pub evidence: String,
}

/// Schema of event files.
#[must_use]
pub fn event_schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Schema::new(vec![
        text("kind"),
        text("key"),
        text("incarnation"),
        text("cause"),
        Field::new("t_low", time_type(), false),
        Field::new("t_high", time_type(), false),
        text("evidence"),
    ])
}

/// Puts these events in place of those of the kind; `now` in milliseconds.
///
/// # Errors
/// When the file cannot be written.
pub fn replace_events(lake: &Path, kind: &str, events: &[StoredEvent], now: i64) -> Result<()> {
    let folder = lake.join("events").join(format!("kind={kind}"));
    std::fs::create_dir_all(&folder).map_err(DatasetError::io(&folder, "create the folder"))?;
    let name = format!("events/kind={kind}/events-{now:013}-{}.parquet", std::process::id());
    let text =
        |of: fn(&StoredEvent) -> &str| Arc::new(StringArray::from_iter_values(events.iter().map(of))) as ArrayRef;
    let time = |of: fn(&StoredEvent) -> i64| {
        let times = TimestampMillisecondArray::from_iter_values(events.iter().map(of));
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    let columns = vec![
        text(|event| &event.kind),
        text(|event| &event.key),
        text(|event| &event.incarnation),
        text(|event| &event.cause),
        time(|event| event.t_low),
        time(|event| event.t_high),
        text(|event| &event.evidence),
    ];
    let batch = RecordBatch::try_new(Arc::new(event_schema()), columns)
        .map_err(|error| DatasetError::config(&name, error.to_string()))?;
    let file = LakeFile { kind: kind.to_owned(), ..write_table(lake, Table::Events, &name, &batch, (0, 0))? };
    super::commit::sync_folder(&folder)?;
    Snapshot::commit(lake, |next| {
        let (old, kept) = std::mem::take(&mut next.files)
            .into_iter()
            .partition(|file| file.table == Table::Events && file.kind == kind);
        next.files = kept;
        let old: Vec<LakeFile> = old;
        next.removed.extend(old.into_iter().map(|file| Removed { path: file.path, at: now }));
        next.files.push(file.clone());
        Ok(())
    })?;
    Ok(())
}
