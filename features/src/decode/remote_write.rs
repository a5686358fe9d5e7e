//! Prometheus remote write, 1.0 (`prometheus.WriteRequest`) and 2.0 (`io.prometheus.write.v2.Request`).
//!
//! Specifications: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and `…_spec_2_0/` (2.0-rc.4).

use xxhash_rust::xxh3::xxh3_128;

use super::wire::{Message, Value};
use super::{
    DecodeError, Decoded, LONGEST_LABEL, MOST_LABELS, Point, SeriesSink, SourceSeries, Temporality, labels_of,
};
use crate::labels::Labels;

/// Reads an unpacked `prometheus.WriteRequest`.
///
/// # Errors
/// When the bytes are no such message. Series before the fault have been handed over by then.
pub fn v1(bytes: &[u8], sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    let mut points = Vec::new();
    let mut scattered = Vec::new();
    let mut request = Message::new(bytes, "prometheus.WriteRequest");
    while let Some((number, value)) = request.next()? {
        if number != 1 {
            // Metadata comes along in requests of its own; the catalogue knows more about units and kinds.
            continue;
        }
        let Value::Bytes(encoded) = value else { return Err(request.error("timeseries is no message")) };
        let series = request.inner(encoded, "prometheus.TimeSeries");
        let (identity, passed_over) = v1_series(series, encoded, &mut points, &mut scattered)?;
        decoded.series += 1;
        decoded.points += points.len() as u64;
        decoded.passed_over += passed_over;
        sink.take(&SourceSeries {
            identity,
            temporality: Temporality::Unknown,
            created: None,
            points: &points,
            labels: &|| v1_labels(series),
        });
    }
    Ok(decoded)
}

/// Points of a series, the hash of its labels, and how much was passed over.
fn v1_series(
    mut series: Message<'_>,
    encoded: &[u8],
    points: &mut Vec<Point>,
    scattered: &mut Vec<u8>,
) -> Result<(u128, u64), DecodeError> {
    points.clear();
    let mut passed_over = 0;
    // Labels lie side by side in every encoder known; where they do not, their bytes are put together.
    let mut region: Option<(usize, usize)> = None;
    let mut apart = false;
    loop {
        let before = series.place();
        let Some((number, value)) = series.next()? else { break };
        match (number, value) {
            (1, Value::Bytes(_)) => {
                region = match region {
                    None => Some((before, series.place())),
                    Some((from, until)) if until == before && !apart => Some((from, series.place())),
                    Some((from, until)) => {
                        if !apart {
                            scattered.clear();
                            scattered.extend_from_slice(&encoded[from..until]);
                            apart = true;
                        }
                        scattered.extend_from_slice(&encoded[before..series.place()]);
                        Some((from, until))
                    }
                };
            }
            (2, Value::Bytes(bytes)) => points.push(sample(series.inner(bytes, "prometheus.Sample"))?),
            (3 | 4, Value::Bytes(_)) => passed_over += 1,
            (1 | 2, _) => return Err(series.error("labels and samples are messages")),
            _ => {}
        }
    }
    let identity = match region {
        _ if apart => xxh3_128(scattered),
        Some((from, until)) => xxh3_128(&encoded[from..until]),
        None => 0,
    };
    Ok((identity, passed_over))
}

/// `Sample { double value = 1; int64 timestamp = 2 }`, the same in both versions.
pub(super) fn sample(mut message: Message<'_>) -> Result<Point, DecodeError> {
    let mut point = Point { time: 0, value: 0.0 };
    while let Some(field) = message.next()? {
        match field {
            (1, Value::Fixed64(bits)) => point.value = f64::from_bits(bits),
            (2, Value::Varint(time)) => point.time = time.cast_signed(),
            (1 | 2, _) => return Err(message.error("value is a double, timestamp an int64")),
            _ => {}
        }
    }
    Ok(point)
}

fn v1_labels(series: Message<'_>) -> Result<Labels, DecodeError> {
    let at = series.origin();
    labels_of(pairs(series)?, "prometheus.TimeSeries", at)
}

/// Label pairs of a message whose field 1 holds labels.
pub(super) fn pairs(mut series: Message<'_>) -> Result<Vec<(String, String)>, DecodeError> {
    let mut pairs = Vec::new();
    while let Some((number, value)) = series.next()? {
        let (1, Value::Bytes(bytes)) = (number, value) else { continue };
        if pairs.len() > MOST_LABELS {
            return Err(series.error(format!("more than {MOST_LABELS} labels")));
        }
        let mut label = series.inner(bytes, "prometheus.Label");
        let (mut name, mut text) = ("", "");
        while let Some((number, value)) = label.next()? {
            match (number, value) {
                (1, Value::Bytes(bytes)) => name = utf8(&label, bytes)?,
                (2, Value::Bytes(bytes)) => text = utf8(&label, bytes)?,
                _ => {}
            }
        }
        pairs.push((name.to_owned(), text.to_owned()));
    }
    Ok(pairs)
}

fn utf8<'a>(message: &Message<'a>, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
    if bytes.len() > LONGEST_LABEL {
        return Err(message.error(format!("a label of {} bytes, at most {LONGEST_LABEL} are taken", bytes.len())));
    }
    std::str::from_utf8(bytes).map_err(|error| message.error(format!("a label that is not UTF-8 ({error})")))
}

/// Reads an unpacked `io.prometheus.write.v2.Request`.
///
/// # Errors
/// When the bytes are no such message, or its symbol table does not begin with the empty string.
pub fn v2(bytes: &[u8], sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    const WHAT: &str = "io.prometheus.write.v2.Request";
    let mut symbols: Vec<&[u8]> = Vec::new();
    let mut request = Message::new(bytes, WHAT);
    // Fields may come in any order, so the table is read before the first series.
    while let Some((number, value)) = request.next()? {
        match (number, value) {
            (4, Value::Bytes(symbol)) => symbols.push(symbol),
            (5, Value::Bytes(_)) => {}
            (4 | 5, _) => return Err(request.error("symbols are strings, timeseries are messages")),
            (1, Value::Bytes(_)) => {
                return Err(request.error("field 1 is reserved; this looks like a request of version 1.0"));
            }
            _ => {}
        }
    }
    if symbols.first().is_none_or(|symbol| !symbol.is_empty()) {
        return Err(DecodeError { what: WHAT, at: 0, problem: "symbols[0] must be the empty string".to_owned() });
    }
    let mut decoded = Decoded::default();
    let (mut points, mut refs, mut key) = (Vec::new(), Vec::new(), Vec::new());
    let mut request = Message::new(bytes, WHAT);
    while let Some((number, value)) = request.next()? {
        let (5, Value::Bytes(encoded)) = (number, value) else { continue };
        let mut series = request.inner(encoded, "io.prometheus.write.v2.TimeSeries");
        points.clear();
        refs.clear();
        let (mut temporality, mut created) = (Temporality::Unknown, None);
        while let Some((number, value)) = series.next()? {
            match (number, value) {
                (1, Value::Bytes(packed)) => series.packed(packed, &mut refs)?,
                (1, Value::Varint(reference)) => refs.push(reference),
                (2, Value::Bytes(bytes)) => points.push(sample(series.inner(bytes, "v2.Sample"))?),
                (3 | 4, Value::Bytes(_)) => decoded.passed_over += 1,
                (5, Value::Bytes(bytes)) => temporality = kind(series.inner(bytes, "v2.Metadata"))?,
                (6, Value::Varint(time)) => created = Some(time.cast_signed()).filter(|&time| time > 0),
                (1..=6, _) => return Err(series.error(format!("field {number} has an unexpected type"))),
                _ => {}
            }
        }
        // Numbers in the table differ between messages, so the identity is that of the strings.
        key.clear();
        for &reference in &refs {
            let symbol = usize::try_from(reference).ok().and_then(|at| symbols.get(at)).copied().unwrap_or_default();
            key.extend_from_slice(&(symbol.len() as u64).to_le_bytes());
            key.extend_from_slice(symbol);
        }
        decoded.series += 1;
        decoded.points += points.len() as u64;
        sink.take(&SourceSeries {
            identity: xxh3_128(&key),
            temporality,
            created,
            points: &points,
            labels: &|| v2_labels(&series, &refs, &symbols),
        });
    }
    Ok(decoded)
}

fn v2_labels(series: &Message<'_>, refs: &[u64], symbols: &[&[u8]]) -> Result<Labels, DecodeError> {
    let (pairs, rest) = refs.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(series.error(format!("{} label references, which do not make pairs", refs.len())));
    }
    if pairs.len() > MOST_LABELS {
        return Err(series.error(format!("{} labels, at most {MOST_LABELS} are taken", pairs.len())));
    }
    let symbol = |reference: u64| {
        let bytes = usize::try_from(reference).ok().and_then(|at| symbols.get(at)).ok_or_else(|| {
            series.error(format!("label reference {reference}, the table has {} symbols", symbols.len()))
        })?;
        utf8(series, bytes).map(str::to_owned)
    };
    let pairs = pairs.iter().map(|&[name, value]| Ok((symbol(name)?, symbol(value)?))).collect::<Result<_, _>>()?;
    labels_of(pairs, "io.prometheus.write.v2.TimeSeries", series.origin())
}

/// `Metadata { MetricType type = 1; … }`; histogram parts accumulate as counters do.
fn kind(mut metadata: Message<'_>) -> Result<Temporality, DecodeError> {
    let mut kind = Temporality::Unknown;
    while let Some(field) = metadata.next()? {
        if let (1, Value::Varint(number)) = field {
            kind = match number {
                1 | 3 | 5 => Temporality::Cumulative,
                2 | 4 | 6 | 7 => Temporality::Gauge,
                _ => Temporality::Unknown,
            };
        }
    }
    Ok(kind)
}
