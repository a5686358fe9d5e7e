//! Prometheus remote read: the request, and both forms of the answer.
//!
//! Streamed chunks come as frames (varint length, CRC-32C big-endian, message) and are the form for history: the
//! server never holds more than a frame. The other form is one snappy block of samples.

use super::wire::{Message, Value, uvarint};
use super::xor_chunk;
use super::{DecodeError, Decoded, Point, SeriesSink, SourceSeries, Temporality, labels_of};
use crate::labels::Labels;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchKind {
    /// `=`.
    Equal,
    /// `=~`, anchored.
    Regex,
}

/// One matcher of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// How it compares.
    pub kind: MatchKind,
    /// Label.
    pub name: String,
    /// Value or expression.
    pub value: String,
}

/// Encodes `prometheus.ReadRequest` for one query over `[from, until]` milliseconds, both included.
#[must_use]
pub fn request(from: i64, until: i64, matchers: &[Matcher], streamed: bool) -> Vec<u8> {
    let mut query = Vec::new();
    number(&mut query, 1, from.cast_unsigned());
    number(&mut query, 2, until.cast_unsigned());
    for matcher in matchers {
        let mut encoded = Vec::new();
        number(&mut encoded, 1, if matcher.kind == MatchKind::Regex { 2 } else { 0 });
        field(&mut encoded, 2, matcher.name.as_bytes());
        field(&mut encoded, 3, matcher.value.as_bytes());
        field(&mut query, 3, &encoded);
    }
    let mut request = Vec::new();
    field(&mut request, 1, &query);
    number(&mut request, 2, u64::from(streamed));
    request
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

fn number(into: &mut Vec<u8>, field: u32, value: u64) {
    varint(into, u64::from(field) << 3);
    varint(into, value);
}

fn field(into: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    varint(into, u64::from(field) << 3 | 2);
    varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// Puts frames together from pieces of any size.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been handed over.
    used: usize,
    largest: usize,
}

impl Frames {
    /// Frames of at most `largest` bytes.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        Self { buffer: Vec::new(), used: 0, largest }
    }

    /// Adds what came over the wire.
    pub fn push(&mut self, piece: &[u8]) {
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole message, its checksum tried; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When a frame is longer than allowed or its checksum differs.
    pub fn message(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        const WHAT: &str = "frame of streamed remote read";
        let rest = &self.buffer[self.used..];
        let refuse = |problem: String| DecodeError { what: WHAT, at: 0, problem };
        let (length, header) = match uvarint(rest) {
            Ok(pair) => pair,
            Err(_) if rest.len() < 10 => return Ok(None),
            Err(problem) => return Err(refuse(problem.to_owned())),
        };
        let length = usize::try_from(length).ok().filter(|&length| length <= self.largest);
        let Some(length) = length else {
            return Err(refuse(format!("is longer than {} bytes; lower the server's frame size", self.largest)));
        };
        let start = header + 4;
        if rest.len() < start + length {
            return Ok(None);
        }
        let sum = u32::from_be_bytes([rest[header], rest[header + 1], rest[header + 2], rest[header + 3]]);
        let from = self.used + start;
        let message = &self.buffer[from..from + length];
        let got = crc32c::crc32c(message);
        if got != sum {
            return Err(refuse(format!("checksum is {got:08x}, the frame says {sum:08x}; fetch it again")));
        }
        self.used = from + length;
        Ok(Some(message))
    }

    /// Whether bytes of an unfinished frame are left.
    #[must_use]
    pub fn unfinished(&self) -> bool {
        self.used < self.buffer.len()
    }
}

/// Reads a `prometheus.ChunkedReadResponse`; samples outside `[from, until]` belong to neighbours and are left out.
///
/// # Errors
/// When the message or one of its chunks is corrupt.
pub fn chunked(bytes: &[u8], from: i64, until: i64, sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    let mut points = Vec::new();
    let mut response = Message::new(bytes, "prometheus.ChunkedReadResponse");
    while let Some((number, value)) = response.next()? {
        let (1, Value::Bytes(encoded)) = (number, value) else { continue };
        let series = response.inner(encoded, "prometheus.ChunkedSeries");
        points.clear();
        let mut fields = series;
        while let Some((number, value)) = fields.next()? {
            let (2, Value::Bytes(chunk)) = (number, value) else { continue };
            let mut chunk = fields.inner(chunk, "prometheus.Chunk");
            let (mut kind, mut data) = (0, &[][..]);
            while let Some((number, value)) = chunk.next()? {
                match (number, value) {
                    (3, Value::Varint(number)) => kind = number,
                    (4, Value::Bytes(bytes)) => data = bytes,
                    _ => {}
                }
            }
            if kind == 1 {
                xor_chunk::decode(data, &mut points)?;
            } else {
                decoded.passed_over += 1;
            }
        }
        points.retain(|point| (from..=until).contains(&point.time));
        hand_over(series, &points, &mut decoded, sink);
    }
    Ok(decoded)
}

/// Reads an unpacked `prometheus.ReadResponse`, the form with plain samples.
///
/// # Errors
/// When the message is corrupt.
pub fn samples(bytes: &[u8], sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    let mut points = Vec::new();
    let mut response = Message::new(bytes, "prometheus.ReadResponse");
    while let Some((number, value)) = response.next()? {
        let (1, Value::Bytes(result)) = (number, value) else { continue };
        let mut result = response.inner(result, "prometheus.QueryResult");
        while let Some((number, value)) = result.next()? {
            let (1, Value::Bytes(encoded)) = (number, value) else { continue };
            let series = result.inner(encoded, "prometheus.TimeSeries");
            points.clear();
            let mut fields = series;
            while let Some((number, value)) = fields.next()? {
                if let (2, Value::Bytes(bytes)) = (number, value) {
                    points.push(super::remote_write::sample(fields.inner(bytes, "prometheus.Sample"))?);
                }
            }
            hand_over(series, &points, &mut decoded, sink);
        }
    }
    Ok(decoded)
}

fn hand_over(series: Message<'_>, points: &[Point], decoded: &mut Decoded, sink: &mut dyn SeriesSink) {
    decoded.series += 1;
    decoded.points += points.len() as u64;
    let labels = || series_labels(series);
    // Told apart by the labels themselves: a series of history comes a few times, not every second.
    let identity = labels().map_or(0, |labels| xxhash_rust::xxh3::xxh3_128(labels.to_string().as_bytes()));
    sink.take(&SourceSeries { identity, temporality: Temporality::Unknown, created: None, points, labels: &labels });
}

fn series_labels(series: Message<'_>) -> Result<Labels, DecodeError> {
    let at = series.origin();
    labels_of(super::remote_write::pairs(series)?, "prometheus.TimeSeries", at)
}
