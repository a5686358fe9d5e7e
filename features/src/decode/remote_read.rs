//! Prometheus remote read: the request, and both forms of the answer.
//!
//! Streamed chunks come as frames and are the form for history: the server never holds more than a frame of them. The
//! other form is one snappy block of samples. Protocol:
//! <https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/>.

mod frames;
mod request;

use super::labels::LabelBytes;
use super::remote_write::{SeriesReader, series_labels};
use super::wire::{Message, Value};
use super::{DecodeError, Decoded, Point, SeriesSink, SourceSeries, Temporality, xor_chunk};

pub use frames::Frames;
pub use request::{MatchKind, Matcher, request};

/// Reads a `prometheus.ChunkedReadResponse`, one frame of a streamed answer. A series is handed over chunk by chunk, so
/// that memory is bounded by the longest chunk, 65,535 points. Chunks are cut where the storage cut them; points outside
/// `from..=until` (milliseconds) belong to neighbours and are left out.
///
/// # Errors
/// When the message or one of its chunks is corrupt or of a kind that is not known. Chunks before it have been handed
/// over by then.
pub fn chunked(bytes: &[u8], from: i64, until: i64, sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    let mut points = Vec::new();
    let mut scratch = Vec::new();
    let mut response = Message::new(bytes, "prometheus.ChunkedReadResponse");
    while let Some(field) = response.next()? {
        match (field.number, field.value) {
            (1, Value::Bytes(encoded)) => {
                let series = Message::inside(encoded, field.at, "prometheus.ChunkedSeries");
                let identity = identity(series, &mut scratch)?;
                let mut fields = series;
                while let Some(field) = fields.next()? {
                    let (2, Value::Bytes(encoded)) = (field.number, field.value) else { continue };
                    points.clear();
                    let chunk = Message::inside(encoded, field.at, "prometheus.Chunk");
                    decoded.histograms += chunk_points(chunk, &mut points)?;
                    points.retain(|point: &Point| (from..=until).contains(&point.time));
                    decoded.hand(
                        sink,
                        &SourceSeries {
                            identity,
                            temporality: Temporality::Unknown,
                            created: None,
                            points: &points,
                            labels: &|| series_labels(series),
                        },
                    );
                }
            }
            (1, _) => return Err(response.mismatch(field)),
            _ => {}
        }
    }
    Ok(decoded)
}

/// Of the labels of a series, which may stand behind its chunks.
fn identity(mut series: Message<'_>, scratch: &mut Vec<u8>) -> Result<u128, DecodeError> {
    let bytes = series.bytes();
    let mut labels = LabelBytes::new(scratch);
    loop {
        let before = series.place();
        let Some(field) = series.next()? else { break };
        match (field.number, field.value) {
            (1, Value::Bytes(_)) => labels.add(bytes, before, series.place()),
            (2, Value::Bytes(_)) => {}
            (1 | 2, _) => return Err(series.mismatch(field)),
            _ => {}
        }
    }
    Ok(labels.identity(bytes))
}

/// Appends the points of a chunk; returns how many chunks of native histograms it was, none or one.
fn chunk_points(mut chunk: Message<'_>, points: &mut Vec<Point>) -> Result<u64, DecodeError> {
    let (mut kind, mut data, mut at) = (0, &[][..], chunk.origin());
    while let Some(field) = chunk.next()? {
        match (field.number, field.value) {
            // An enum is an int32 on the wire.
            (3, Value::Varint(number)) => kind = number & 0xffff_ffff,
            (4, Value::Bytes(bytes)) => (data, at) = (bytes, field.at),
            (3 | 4, _) => return Err(chunk.mismatch(field)),
            _ => {}
        }
    }
    match kind {
        1 => xor_chunk::decode(data, points).map_err(|error| DecodeError { at: at + error.at, ..error })?,
        2 | 3 => return Ok(1),
        other => {
            return Err(chunk.error(format!("chunk encoding {other} is not read here; ask for samples instead")));
        }
    }
    Ok(0)
}

/// Reads an unpacked `prometheus.ReadResponse`, the form with plain samples.
///
/// # Errors
/// When the message is corrupt. Series before the fault have been handed over by then.
pub fn samples(bytes: &[u8], sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    let mut reader = SeriesReader::default();
    let mut response = Message::new(bytes, "prometheus.ReadResponse");
    while let Some(field) = response.next()? {
        let result = match (field.number, field.value) {
            (1, Value::Bytes(result)) => result,
            (1, _) => return Err(response.mismatch(field)),
            _ => continue,
        };
        let mut result = Message::inside(result, field.at, "prometheus.QueryResult");
        while let Some(field) = result.next()? {
            match (field.number, field.value) {
                (1, Value::Bytes(encoded)) => {
                    let series = Message::inside(encoded, field.at, "prometheus.TimeSeries");
                    reader.hand(series, &mut decoded, sink)?;
                }
                (1, _) => return Err(result.mismatch(field)),
                _ => {}
            }
        }
    }
    Ok(decoded)
}
