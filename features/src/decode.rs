//! From the bytes of a protocol to source series and points: pure, bounded, fuzzed; no mapping and no clock.
//!
//! Every decoder hands its series to a [`SeriesSink`] one by one and keeps none, so that its memory is bounded by the
//! message and by the limits here. What is wrong with one series costs that series alone: it is handed over like the
//! others, and its [`labels`](SourceSeries::labels) say what is wrong. What is wrong with the message ends it with a
//! [`DecodeError`]. A series without points is not handed over.

mod collect;
pub mod exposition;
mod labels;
pub mod otlp;
pub mod remote_read;
pub mod remote_write;
pub mod snappy;
pub mod vm_export;
mod wire;
pub mod xor_chunk;

use crate::labels::Labels;

pub use collect::{Collected, Collector};
pub use labels::{LONGEST_LABEL, LONGEST_LABELS, MOST_LABELS};

/// One point of a source series. The stale mark is the NaN of [`STALE_NAN_BITS`](crate::sample::STALE_NAN_BITS).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since the epoch, UTC.
    pub time: i64,
    /// The value in the source's unit.
    pub value: f64,
}

/// What the protocol itself says of a series' values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Temporality {
    /// Nothing (remote write 1.0, untyped text).
    #[default]
    Unknown,
    /// A level.
    Gauge,
    /// Accumulated since a start.
    Cumulative,
    /// Growth since the last report.
    Delta,
}

/// A decoded series on its way to a sink; lives as long as the call.
pub struct SourceSeries<'a> {
    /// 128-bit hash of the encoded label set: equal encodings are equal series, so labels are parsed once per series.
    /// Labels that were refused have an identity no good ones have, so what is remembered of good ones never serves
    /// bad ones.
    pub identity: u128,
    /// What the protocol says of the values.
    pub temporality: Temporality,
    /// When accumulation began, milliseconds, where the protocol says so.
    pub created: Option<i64>,
    /// Points in the order of the message; never empty.
    pub points: &'a [Point],
    /// Parses the labels; called on the first sight of an identity. An error says why the series is refused.
    pub labels: &'a dyn Fn() -> Result<Labels, DecodeError>,
}

/// Takes series one by one.
pub trait SeriesSink {
    /// One series of the message. The same identity may come several times.
    fn take(&mut self, series: &SourceSeries<'_>);
}

/// Why bytes are not what they claim to be: what, where, what was seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, byte {at}: {problem}")]
pub struct DecodeError {
    /// Which message or part of it.
    pub what: &'static str,
    /// Offset of the byte in the decoded message.
    pub at: usize,
    /// What was seen and expected.
    pub problem: String,
}

/// What a message held, apart from what the sink made of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Series handed over.
    pub series: u64,
    /// Points handed over.
    pub points: u64,
    /// Exemplars passed over.
    pub exemplars: u64,
    /// Native histograms passed over; the series of classic ones are series like all others.
    pub histograms: u64,
}

impl Decoded {
    /// Hands a series over and counts it, unless it has no points.
    fn hand(&mut self, sink: &mut dyn SeriesSink, series: &SourceSeries<'_>) {
        if !series.points.is_empty() {
            self.series += 1;
            self.points += series.points.len() as u64;
            sink.take(series);
        }
    }
}
