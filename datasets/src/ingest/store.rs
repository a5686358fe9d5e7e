//! What the receivers and importers need of a lake, and nothing else of it.

use features::CanonicalSeries;

use crate::lake::{LakeRow, LakeWriter, SeriesId, Ticket};
use crate::{DatasetError, Result};

/// A value that became known at a time of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistoryRow {
    /// The value.
    pub row: LakeRow,
    /// Milliseconds since the epoch, UTC.
    pub known_at: i64,
}

/// Where rows rest. Many threads may call it.
pub trait RowStore: Send + Sync {
    /// The number of a series, the same for equal series; `None` where there is no room for another one.
    ///
    /// # Errors
    /// When the store cannot be used: the disk is full, a file cannot be read.
    fn register(&self, series: &CanonicalSeries) -> Result<Option<SeriesId>>;

    /// Takes rows that became known at `known_at`; they are safe once [`wait`](Self::wait) returns for the ticket.
    ///
    /// # Errors
    /// When none of the rows will be stored.
    fn append(&self, known_at: i64, rows: &[LakeRow]) -> Result<Ticket>;

    /// Returns once the rows of the ticket survive a crash.
    ///
    /// # Errors
    /// When they do not yet, and the sender should send them again. The store keeps them all the same, and tries them
    /// again with the next ones.
    fn wait(&self, ticket: Ticket) -> Result<()>;

    /// A ticket for everything appended so far.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    fn newest(&self) -> Result<Ticket> {
        // A ticket stands for all before it. One of no rows makes the store try again what it could not write, where
        // the last one given out would only be told of that failure once more.
        self.append(0, &[])
    }

    /// Stores rows of the past and notes how far the import of this name has come. The note is never ahead of the
    /// rows; rows that are stored without their note are known again when they come again.
    ///
    /// # Errors
    /// When the note was not written.
    fn import(&self, name: &str, progress: &str, rows: Vec<HistoryRow>) -> Result<()>;

    /// How far the import of this name has come, as noted last; `None` when it never began.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn imported(&self, name: &str) -> Result<Option<String>>;

    /// Writes what is still on its way to its place.
    ///
    /// # Errors
    /// When that fails; what was acknowledged is safe all the same.
    fn flush(&self) -> Result<()>;

    /// Whether enough is on its way to be worth a flush.
    fn wants_flush(&self) -> bool;

    /// Counters of its own, as name, kind (`counter`, `gauge`) and value, shown with the receiver's.
    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        Vec::new()
    }
}

impl RowStore for LakeWriter {
    fn register(&self, series: &CanonicalSeries) -> Result<Option<SeriesId>> {
        match Self::register(self, series) {
            Ok(id) => Ok(Some(id)),
            Err(DatasetError::SeriesLimit { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn append(&self, known_at: i64, rows: &[LakeRow]) -> Result<Ticket> {
        Self::append(self, known_at, rows)
    }

    fn wait(&self, ticket: Ticket) -> Result<()> {
        Self::wait(self, ticket)
    }

    fn import(&self, name: &str, progress: &str, rows: Vec<HistoryRow>) -> Result<()> {
        let rows: Vec<(LakeRow, i64)> = rows.into_iter().map(|row| (row.row, row.known_at)).collect();
        Self::import(self, name, progress, &rows)
    }

    fn imported(&self, name: &str) -> Result<Option<String>> {
        self.import_progress(name)
    }

    fn flush(&self) -> Result<()> {
        Self::flush(self)
    }

    fn wants_flush(&self) -> bool {
        Self::wants_flush(self)
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        let stats = self.stats();
        vec![
            ("lake_rows_total", "counter", stats.rows as f64),
            ("lake_log_syncs_total", "counter", stats.syncs as f64),
            ("lake_flushes_total", "counter", stats.flushes as f64),
            ("lake_rows_waiting", "gauge", stats.waiting as f64),
            ("lake_series", "gauge", stats.series as f64),
            ("lake_rows_replayed", "gauge", stats.replayed as f64),
        ]
    }
}
