//! The XOR chunk of the Prometheus storage: differences of time differences, XORed doubles.
//!
//! Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1, with the
//! widths of Prometheus (<https://github.com/prometheus/prometheus/blob/main/tsdb/docs/format/chunks.md>):
//!
//! | part | bits |
//! |---|---|
//! | number of samples | 16, big-endian |
//! | first time, milliseconds | zigzag varint |
//! | first value | 64 |
//! | first time difference | varint |
//! | every later time: change of the difference | `0`; `10` + 14; `110` + 17; `1110` + 20; `1111` + 64 |
//! | every later value: what differs from the one before | `0` nothing; `10` + the bits of the last window; `11` + 5 (zeros in front) + 6 (length, 0 for 64) + the bits |

use super::wire::{VarintFault, uvarint};
use super::{DecodeError, Point};

const WHAT: &str = "XOR chunk";

/// Appends the samples of a chunk to `points`, 65,535 at most.
///
/// # Errors
/// When the chunk ends before its last sample, or holds what no encoder writes. `points` is as it was then.
pub fn decode(chunk: &[u8], points: &mut Vec<Point>) -> Result<(), DecodeError> {
    let before = points.len();
    append(chunk, points).inspect_err(|_| points.truncate(before))
}

fn append(chunk: &[u8], points: &mut Vec<Point>) -> Result<(), DecodeError> {
    let refuse = |problem: String| DecodeError { what: WHAT, at: 0, problem };
    let Some((count, stream)) = chunk.split_first_chunk::<2>() else {
        return Err(refuse(format!("{} bytes, fewer than its sample count has", chunk.len())));
    };
    let count = usize::from(u16::from_be_bytes(*count));
    if count == 0 {
        return Ok(());
    }
    // Every sample after the second takes two bits at least.
    if count > 2 + stream.len() * 4 {
        return Err(refuse(format!("claims {count} samples, more than {} bytes can hold", chunk.len())));
    }
    points.reserve(count);
    let mut bits = Bits { bytes: stream, at: 0 };
    let first = bits.varint()?;
    let mut time = (first >> 1).cast_signed() ^ -(first & 1).cast_signed();
    let mut value = bits.take(64)?;
    points.push(Point { time, value: f64::from_bits(value) });
    let mut step = 0_i64;
    // Of the last window of differing bits; before the first one all bits are taken.
    let (mut length, mut behind) = (64, 0);
    for index in 1..count {
        step = match index {
            1 => bits.varint()?.cast_signed(),
            _ => step.wrapping_add(bits.second_difference()?),
        };
        time = time.checked_add(step).ok_or_else(|| bits.error("a time that leaves 64 bits"))?;
        if bits.take(1)? == 1 {
            if bits.take(1)? == 1 {
                let front = bits.take(5)?;
                length = match bits.take(6)? {
                    0 => 64,
                    some => some,
                };
                behind = 64_u64
                    .checked_sub(front + length)
                    .ok_or_else(|| bits.error(&format!("a value of {front} + {length} bits")))?;
            }
            value ^= bits.take(length)? << behind;
        }
        points.push(Point { time, value: f64::from_bits(value) });
    }
    Ok(())
}

/// A stream of bits, the highest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl Bits<'_> {
    #[cold]
    fn error(&self, problem: &str) -> DecodeError {
        DecodeError { what: WHAT, at: 2 + self.at / 8, problem: problem.to_owned() }
    }

    /// The next `count` bits, at most 64, as the lowest of a number.
    #[inline]
    fn take(&mut self, count: u64) -> Result<u64, DecodeError> {
        // Eight bytes hold 57 bits from any bit of the first one.
        if count > 57 {
            return Ok((self.take(count - 32)? << 32) | self.take(32)?);
        }
        let (byte, bit) = (self.at / 8, self.at % 8);
        #[expect(clippy::cast_possible_truncation, reason = "at most 57")]
        let count = count as usize;
        if self.at + count > 8 * self.bytes.len() {
            return Err(self.error("ends before its last sample"));
        }
        if count == 0 {
            return Ok(0);
        }
        let rest = &self.bytes[byte..];
        let word = rest.first_chunk::<8>().map_or_else(
            || {
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(last)
            },
            |eight| u64::from_be_bytes(*eight),
        );
        self.at += count;
        Ok((word << bit) >> (64 - count))
    }

    /// A varint; there are two, and both begin at a byte: behind the count, and behind 64 bits after a varint.
    fn varint(&mut self) -> Result<u64, DecodeError> {
        debug_assert!(self.at.is_multiple_of(8), "varints begin at a byte");
        let (value, length) = uvarint(&self.bytes[self.at / 8..]).map_err(|fault| match fault {
            VarintFault::Ends => self.error("ends before its last sample"),
            VarintFault::TooLong => self.error(fault.as_str()),
        })?;
        self.at += 8 * length;
        Ok(value)
    }

    #[inline]
    fn second_difference(&mut self) -> Result<i64, DecodeError> {
        let mut width = 0;
        for wider in [14, 17, 20, 64] {
            if self.take(1)? == 0 {
                break;
            }
            width = wider;
        }
        let bits = self.take(width)?.cast_signed();
        // The range of w bits is -(2^(w-1) - 1) ..= 2^(w-1): the middle is positive.
        let negative = width != 0 && width != 64 && bits > 1 << (width - 1);
        Ok(if negative { bits - (1 << width) } else { bits })
    }
}
