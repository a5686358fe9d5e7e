//! From the bytes of a protocol to source series and points: pure, bounded, fuzzed; no mapping and no clock.

use crate::labels::Labels;

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
    pub identity: u128,
    /// What the protocol says of the values.
    pub temporality: Temporality,
    /// When accumulation began, milliseconds, where the protocol says so.
    pub created: Option<i64>,
    /// Points in the order of the message.
    pub points: &'a [Point],
    /// Parses the labels; called on the first sight of an identity.
    pub labels: &'a dyn Fn() -> Result<Labels, DecodeError>,
}

/// Takes series one by one.
pub trait SeriesSink {
    /// One series of the message.
    ///
    /// # Errors
    /// When the labels cannot be parsed; the decoder stops there.
    fn take(&mut self, series: &SourceSeries<'_>) -> Result<(), DecodeError>;
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
