//! What the receivers and importers need of a lake, and nothing else of it.

use features::CanonicalSeries;

use crate::Result;

/// A value of a registered series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// As [`RowStore::register`] named it.
    pub series: u32,
    /// Milliseconds since the epoch, UTC.
    pub time: i64,
    /// In the canonical unit, or the stale mark.
    pub value: f64,
}

/// A value of a registered series that became known at a time of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistoryRow {
    /// The value.
    pub row: Row,
    /// Milliseconds since the epoch, UTC.
    pub known_at: i64,
}

/// Where rows rest. Many threads may call it.
pub trait RowStore: Send + Sync {
    /// The number of a series, the same for equal series; `None` where there is no room for another one.
    ///
    /// # Errors
    /// When the store cannot be used: the disk is full, a file cannot be read.
    fn register(&self, series: &CanonicalSeries) -> Result<Option<u32>>;

    /// Takes rows that became known at `known_at`; they are safe once [`wait`](Self::wait) returns for the ticket.
    ///
    /// # Errors
    /// When none of the rows will be stored.
    fn append(&self, known_at: i64, rows: &[Row]) -> Result<u64>;

    /// Returns once the rows of the ticket survive a crash.
    ///
    /// # Errors
    /// When they do not and never will.
    fn wait(&self, ticket: u64) -> Result<()>;

    /// Stores rows of the past and, with them or not at all, how far the import of this name has come.
    ///
    /// # Errors
    /// When nothing of it was stored.
    fn import(&self, name: &str, progress: &str, rows: Vec<HistoryRow>) -> Result<()>;

    /// How far the import of this name has come, as told last; `None` when it never began.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn imported(&self, name: &str) -> Result<Option<String>>;

    /// Writes what is still on its way to its place.
    ///
    /// # Errors
    /// When that fails; what was acknowledged is safe all the same.
    fn flush(&self) -> Result<()>;

    /// Counters of its own, as name and value, shown with the receiver's.
    fn figures(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}
