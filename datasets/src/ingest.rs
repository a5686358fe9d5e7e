//! From running services and exported files into a lake.
//!
//! What is sent to us arrives at the [`receiver`] (Prometheus remote write 1.0 and 2.0, OTLP over HTTP) and at
//! [`otlp`] (gRPC); what we fetch is read by [`prometheus`] (remote read) and [`victoria`] (export lines), what we are
//! handed as files by [`files`]. All of them decode with the pure code of `features`, canonicalise in one
//! [`pipeline`], and hand rows to a [`store::RowStore`], which the lake implements. Async code lives in here only.
//!
//! What is received is acknowledged after it is durable. What is imported is committed piece by piece together with a
//! note of how far it came, so that an import that was killed goes on where it stopped and stores nothing twice.

pub mod client;
pub mod files;
pub mod history;
pub mod otlp;
pub mod pipeline;
pub mod prometheus;
pub mod receiver;
pub mod statistics;
pub mod store;
pub mod victoria;
mod wire;

pub use client::{Auth, Endpoint};
pub use history::{HistoryOptions, HistoryReport};
pub use pipeline::Pipeline;
pub use receiver::{Listeners, ReceiverOptions, serve};
pub use statistics::IngestStats;
pub use store::{HistoryRow, RowStore};

/// Milliseconds since the epoch, now.
#[must_use]
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
