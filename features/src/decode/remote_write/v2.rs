//! Remote write 2.0: strings stand once in a table, and labels are places in it.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::super::labels::{labels_of, refused_identity};
use super::super::wire::{Message, Value, uvarint};
use super::super::{DecodeError, Decoded, MOST_LABELS, Point, SeriesSink, SourceSeries, Temporality};
use super::text;
use crate::labels::Labels;

const REQUEST: &str = "io.prometheus.write.v2.Request";
const SERIES: &str = "io.prometheus.write.v2.TimeSeries";
/// Strings of one request; senders put a few thousand samples into one.
const MOST_SYMBOLS: usize = 1 << 20;
/// Keeps identities of this form apart from those of the others.
const SEED: u64 = 0x7632;

/// Reads an unpacked `io.prometheus.write.v2.Request`.
///
/// A start of accumulation is taken from the samples and, as senders before 2.0-rc.4 have it, from the series. Where
/// the samples of one series began at different times, the series is handed over in as many parts.
///
/// # Errors
/// When the bytes are no such message, its table does not begin with the empty string or holds more than a million.
/// Series before the fault have been handed over by then.
pub fn v2(bytes: &[u8], sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let symbols = symbols(bytes)?;
    let mut reader =
        Reader { symbols: &symbols, refs: Vec::new(), points: Vec::new(), starts: Vec::new(), key: Vec::new() };
    let mut decoded = Decoded::default();
    let mut request = Message::new(bytes, REQUEST);
    while let Some(field) = request.next()? {
        match (field.number, field.value) {
            (5, Value::Bytes(encoded)) => {
                reader.hand(Message::inside(encoded, field.at, SERIES), &mut decoded, sink)?;
            }
            (5, _) => return Err(request.mismatch(field)),
            _ => {}
        }
    }
    Ok(decoded)
}

struct Symbol<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Label sets are told apart by the hashes of their strings: each string is hashed once, however often and long.
    hash: u128,
}

/// The table. Fields may come in any order, so it is read before the first series.
fn symbols(bytes: &[u8]) -> Result<Vec<Symbol<'_>>, DecodeError> {
    let mut symbols = Vec::new();
    let mut request = Message::new(bytes, REQUEST);
    while let Some(field) = request.next()? {
        match (field.number, field.value) {
            (4, Value::Bytes(bytes)) => {
                if symbols.len() == MOST_SYMBOLS {
                    return Err(request.error(format!("more than {MOST_SYMBOLS} symbols; send smaller requests")));
                }
                symbols.push(Symbol { bytes, at: field.at, hash: xxh3_128_with_seed(bytes, SEED) });
            }
            (4, _) => return Err(request.mismatch(field)),
            (1, Value::Bytes(_)) => {
                return Err(request.error(
                    "field 1 holds the series of remote write 1.0; send its content type, application/x-protobuf",
                ));
            }
            _ => {}
        }
    }
    match symbols.first() {
        Some(first) if first.bytes.is_empty() => Ok(symbols),
        Some(first) => {
            let start = String::from_utf8_lossy(&first.bytes[..first.bytes.len().min(40)]).into_owned();
            let problem = format!("the first symbol is {start:?}, it must be the empty string");
            Err(DecodeError { what: REQUEST, at: first.at, problem })
        }
        None => Err(DecodeError {
            what: REQUEST,
            at: 0,
            problem: "no symbols; the first must be the empty string".to_owned(),
        }),
    }
}

struct Reader<'s> {
    symbols: &'s [Symbol<'s>],
    /// Of the series being read; one more than is taken at most, which is enough to refuse it.
    refs: Vec<u32>,
    points: Vec<Point>,
    /// One for each point, 0 for unknown.
    starts: Vec<i64>,
    key: Vec<u8>,
}

impl Reader<'_> {
    fn hand(
        &mut self,
        mut series: Message<'_>,
        decoded: &mut Decoded,
        sink: &mut dyn SeriesSink,
    ) -> Result<(), DecodeError> {
        self.refs.clear();
        self.points.clear();
        self.starts.clear();
        let at = series.origin();
        let (mut temporality, mut created) = (Temporality::Unknown, 0);
        while let Some(field) = series.next()? {
            match (field.number, field.value) {
                (1, Value::Bytes(packed)) => self.packed(packed, field.at)?,
                (1, Value::Varint(reference)) => self.refer(reference),
                (2, Value::Bytes(encoded)) => {
                    let (point, start) = sample(Message::inside(encoded, field.at, "io.prometheus.write.v2.Sample"))?;
                    self.points.push(point);
                    self.starts.push(start);
                }
                (3, Value::Bytes(_)) => decoded.histograms += 1,
                (4, Value::Bytes(_)) => decoded.exemplars += 1,
                (5, Value::Bytes(encoded)) => {
                    let metadata = Message::inside(encoded, field.at, "io.prometheus.write.v2.Metadata");
                    temporality = kind(metadata, temporality)?;
                }
                (6, Value::Varint(time)) => created = time.cast_signed(),
                (1..=6, _) => return Err(series.mismatch(field)),
                _ => {}
            }
        }
        let identity = self.identity();
        let labels = || self.labels(at);
        let mut points = self.points.as_slice();
        for starts in self.starts.chunk_by(|a, b| a == b) {
            let (these, rest) = points.split_at(starts.len());
            points = rest;
            let start = if starts[0] == 0 { created } else { starts[0] };
            let created = Some(start).filter(|&start| start > 0);
            decoded.hand(sink, &SourceSeries { identity, temporality, created, points: these, labels: &labels });
        }
        Ok(())
    }

    fn packed(&mut self, mut bytes: &[u8], at: usize) -> Result<(), DecodeError> {
        let all = bytes.len();
        while !bytes.is_empty() {
            let (reference, length) = uvarint(bytes).map_err(|fault| DecodeError {
                what: SERIES,
                at: at + all - bytes.len(),
                problem: fault.as_str().to_owned(),
            })?;
            self.refer(reference);
            bytes = &bytes[length..];
        }
        Ok(())
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a uint32 with more bits loses them, says the encoding")]
    fn refer(&mut self, reference: u64) {
        if self.refs.len() <= 2 * MOST_LABELS {
            self.refs.push(reference as u32);
        }
    }

    fn symbol(&self, reference: u32) -> Option<&Symbol<'_>> {
        self.symbols.get(usize::try_from(reference).ok()?)
    }

    /// Places in the table differ from message to message, the strings do not.
    fn identity(&mut self) -> u128 {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let complete = self.refs.iter().all(|&reference| {
            self.symbol(reference).is_some_and(|symbol| {
                key.extend_from_slice(&symbol.hash.to_le_bytes());
                true
            })
        });
        let identity = if complete { xxh3_128_with_seed(&key, SEED) } else { refused_identity(&key) };
        self.key = key;
        identity
    }

    fn labels(&self, at: usize) -> Result<Labels, DecodeError> {
        let refuse = |problem: String| DecodeError { what: SERIES, at, problem };
        if self.refs.len() > 2 * MOST_LABELS {
            return Err(refuse(format!("more than {MOST_LABELS} labels")));
        }
        let (pairs, rest) = self.refs.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(refuse(format!("{} label references, which do not make pairs", self.refs.len())));
        }
        let string = |reference: u32| {
            let symbol = self.symbol(reference).ok_or_else(|| {
                refuse(format!("label reference {reference}, the table has {} symbols", self.symbols.len()))
            })?;
            text(symbol.bytes, symbol.at, REQUEST)
        };
        let pairs = pairs.iter().map(|&[name, value]| Ok((string(name)?, string(value)?)));
        labels_of(&pairs.collect::<Result<Vec<_>, DecodeError>>()?, SERIES, at)
    }
}

/// `Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3 }`.
fn sample(mut message: Message<'_>) -> Result<(Point, i64), DecodeError> {
    let (mut point, mut start) = (Point { time: 0, value: 0.0 }, 0);
    while let Some(field) = message.next()? {
        match (field.number, field.value) {
            (1, Value::Fixed64(bits)) => point.value = f64::from_bits(bits),
            (2, Value::Varint(time)) => point.time = time.cast_signed(),
            (3, Value::Varint(time)) => start = time.cast_signed(),
            (1..=3, _) => return Err(message.mismatch(field)),
            _ => {}
        }
    }
    Ok((point, start))
}

/// `Metadata { MetricType type = 1; … }`. The type is that of the family: the parts of a histogram accumulate as
/// counters do, of a summary some accumulate and the quantiles do not, so nothing is said of it.
fn kind(mut metadata: Message<'_>, mut temporality: Temporality) -> Result<Temporality, DecodeError> {
    while let Some(field) = metadata.next()? {
        match (field.number, field.value) {
            (1, Value::Varint(number)) => {
                // An enum is an int32 on the wire.
                temporality = match number & 0xffff_ffff {
                    1 | 3 => Temporality::Cumulative,
                    2 | 4 | 6 | 7 => Temporality::Gauge,
                    _ => Temporality::Unknown,
                };
            }
            (1, _) => return Err(metadata.mismatch(field)),
            _ => {}
        }
    }
    Ok(temporality)
}
