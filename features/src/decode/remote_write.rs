//! Prometheus remote write, 1.0 (`prometheus.WriteRequest`) and 2.0 (`io.prometheus.write.v2.Request`).
//!
//! Specifications: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and
//! <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/> (2.0-rc.4). Both bodies come in one snappy block, see
//! [`snappy`](super::snappy). Exemplars and native histograms are counted and passed over.

mod v2;

use super::labels::{LabelBytes, MOST_LABELS, labels_of};
use super::wire::{Message, Value};
use super::{DecodeError, Decoded, Point, SeriesSink, SourceSeries, Temporality};
use crate::labels::Labels;

pub use v2::v2;

/// Reads an unpacked `prometheus.WriteRequest`. Metadata is passed over: it comes in requests of its own, and the
/// catalogue knows more of units and kinds.
///
/// # Errors
/// When the bytes are no such message. Series before the fault have been handed over by then.
pub fn v1(bytes: &[u8], sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    let mut reader = SeriesReader::default();
    let mut request = Message::new(bytes, "prometheus.WriteRequest");
    // Read as 1.0, a request of version 2.0 is one of unknown fields and no series: its loss would go unnoticed.
    let (mut series, mut other) = (false, false);
    while let Some(field) = request.next()? {
        match (field.number, field.value) {
            (1, Value::Bytes(encoded)) => {
                series = true;
                let encoded = Message::inside(encoded, field.at, "prometheus.TimeSeries");
                reader.hand(encoded, &mut decoded, sink)?;
            }
            (1, _) => return Err(request.mismatch(field)),
            (5, Value::Bytes(_)) => other = true,
            _ => {}
        }
    }
    if other && !series {
        return Err(request.error(
            "no series, but field 5 of remote write 2.0; send its content type, \
             application/x-protobuf;proto=io.prometheus.write.v2.Request",
        ));
    }
    Ok(decoded)
}

/// Reads messages `prometheus.TimeSeries`, with memory used again.
#[derive(Default)]
pub(super) struct SeriesReader {
    points: Vec<Point>,
    scratch: Vec<u8>,
}

impl SeriesReader {
    /// Reads one and hands it over.
    pub(super) fn hand(
        &mut self,
        series: Message<'_>,
        decoded: &mut Decoded,
        sink: &mut dyn SeriesSink,
    ) -> Result<(), DecodeError> {
        let identity = self.read(series, decoded)?;
        decoded.hand(
            sink,
            &SourceSeries {
                identity,
                temporality: Temporality::Unknown,
                created: None,
                points: &self.points,
                labels: &|| series_labels(series),
            },
        );
        Ok(())
    }

    /// The points, and the identity of the labels.
    fn read(&mut self, mut series: Message<'_>, decoded: &mut Decoded) -> Result<u128, DecodeError> {
        self.points.clear();
        let bytes = series.bytes();
        let mut labels = LabelBytes::new(&mut self.scratch);
        loop {
            let before = series.place();
            let Some(field) = series.next()? else { break };
            match (field.number, field.value) {
                (1, Value::Bytes(_)) => labels.add(bytes, before, series.place()),
                (2, Value::Bytes(encoded)) => {
                    self.points.push(sample(Message::inside(encoded, field.at, "prometheus.Sample"))?);
                }
                (3, Value::Bytes(_)) => decoded.exemplars += 1,
                (4, Value::Bytes(_)) => decoded.histograms += 1,
                (1..=4, _) => return Err(series.mismatch(field)),
                _ => {}
            }
        }
        Ok(labels.identity(bytes))
    }
}

/// `Sample { double value = 1; int64 timestamp = 2 }`.
fn sample(mut message: Message<'_>) -> Result<Point, DecodeError> {
    let mut point = Point { time: 0, value: 0.0 };
    while let Some(field) = message.next()? {
        match (field.number, field.value) {
            (1, Value::Fixed64(bits)) => point.value = f64::from_bits(bits),
            (2, Value::Varint(time)) => point.time = time.cast_signed(),
            (1 | 2, _) => return Err(message.mismatch(field)),
            _ => {}
        }
    }
    Ok(point)
}

/// Labels of a message whose field 1 holds them: a series of remote write or remote read.
pub(super) fn series_labels(mut series: Message<'_>) -> Result<Labels, DecodeError> {
    let at = series.origin();
    let mut pairs = Vec::new();
    while let Some(field) = series.next()? {
        let (1, Value::Bytes(encoded)) = (field.number, field.value) else { continue };
        if pairs.len() > MOST_LABELS {
            // Refused below; nobody needs the rest.
            break;
        }
        let mut label = Message::inside(encoded, field.at, "prometheus.Label");
        let (mut name, mut value) = ("", "");
        while let Some(field) = label.next()? {
            match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => name = text(bytes, field.at, "prometheus.Label")?,
                (2, Value::Bytes(bytes)) => value = text(bytes, field.at, "prometheus.Label")?,
                (1 | 2, _) => return Err(label.mismatch(field)),
                _ => {}
            }
        }
        pairs.push((name, value));
    }
    labels_of(&pairs, "prometheus.TimeSeries", at)
}

/// A label's name or value; its length is looked at when the series is known.
fn text<'a>(bytes: &'a [u8], at: usize, what: &'static str) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError {
        what,
        at: at + error.valid_up_to(),
        problem: format!("{:?} is not UTF-8", String::from_utf8_lossy(&bytes[..bytes.len().min(60)])),
    })
}
