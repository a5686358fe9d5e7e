//! From the bytes of a protocol to source series and points: pure, bounded, fuzzed; no mapping and no clock.
//!
//! Every decoder hands its series to a [`SeriesSink`] one by one, so that memory is bounded by the message. What
//! is wrong with one series costs that series, and is said when its labels are asked for; what is wrong with the
//! message ends it.

pub mod exposition;
pub mod otlp;
pub mod remote_read;
pub mod remote_write;
pub mod snappy;
pub mod vm_export;
mod wire;
pub mod xor_chunk;

use crate::labels::Labels;

/// Labels of a series, more than this are refused.
pub const MOST_LABELS: usize = 128;
/// Bytes of a label's name or value, more than this are refused.
pub const LONGEST_LABEL: usize = 64 * 1024;

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
    /// Native histograms and exemplars passed over: this project has no use for them.
    pub passed_over: u64,
}

/// Checks owned pairs as every protocol needs it: a name, no label twice, none too long or too many.
pub(crate) fn labels_of(pairs: Vec<(String, String)>, what: &'static str, at: usize) -> Result<Labels, DecodeError> {
    let refuse = |problem: String| DecodeError { what, at, problem };
    if pairs.len() > MOST_LABELS {
        return Err(refuse(format!("{} labels, at most {MOST_LABELS} are taken", pairs.len())));
    }
    if let Some((name, value)) = pairs.iter().find(|(name, value)| name.len().max(value.len()) > LONGEST_LABEL) {
        let start: String = name.chars().take(40).collect();
        return Err(refuse(format!("label {start:?} has {} bytes, at most {LONGEST_LABEL} are taken", value.len())));
    }
    let labels = Labels::try_new(pairs).map_err(|name| refuse(format!("label {name:?} is given twice")))?;
    if labels.name().is_empty() {
        return Err(refuse(format!("a series without a name (__name__): {labels}")));
    }
    Ok(labels)
}
