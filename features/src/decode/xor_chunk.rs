//! The XOR chunk of the Prometheus storage: delta-of-delta times, XORed doubles (Pelkonen et al., VLDB 2015).
//!
//! Layout: sample count (u16, big-endian); first time as a zigzag varint and first value as 64 bits; then the
//! first time step as a varint; from there on times as second differences in 0, 14, 17, 20 or 64 bits, values as
//! the bits in which they differ from the one before.

use super::wire::uvarint;
use super::{DecodeError, Point};

const WHAT: &str = "XOR chunk";

/// Appends the samples of a chunk to `points`.
///
/// # Errors
/// When the chunk ends before its last sample, or a time leaves 64 bits.
pub fn decode(chunk: &[u8], points: &mut Vec<Point>) -> Result<(), DecodeError> {
    let refuse = |problem: &str| DecodeError { what: WHAT, at: 0, problem: problem.to_owned() };
    let [high, low, stream @ ..] = chunk else { return Err(refuse("shorter than its sample count")) };
    let count = u16::from_be_bytes([*high, *low]);
    if count == 0 {
        return Ok(());
    }
    // A sample after the second takes two bits at least.
    if usize::from(count) > 2 + stream.len() * 4 {
        return Err(refuse("claims more samples than its bytes can hold"));
    }
    let mut bits = Bits { bytes: stream, at: 0 };
    let first = bits.bytes_varint()?;
    let mut time = (first >> 1).cast_signed() ^ -(first & 1).cast_signed();
    let mut value = bits.take(64)?;
    points.push(Point { time, value: f64::from_bits(value) });
    let mut step = 0_i64;
    let (mut leading, mut trailing) = (0_u32, 0_u32);
    for index in 1..count {
        step =
            if index == 1 { bits.bytes_varint()?.cast_signed() } else { step.wrapping_add(bits.second_difference()?) };
        time = time.checked_add(step).ok_or_else(|| refuse("a time beyond 64 bits"))?;
        if bits.take(1)? == 1 {
            if bits.take(1)? == 1 {
                leading = u32::try_from(bits.take(5)?).unwrap_or(0);
                let significant = match u32::try_from(bits.take(6)?).unwrap_or(0) {
                    0 => 64,
                    some => some,
                };
                trailing = 64_u32
                    .checked_sub(leading + significant)
                    .ok_or_else(|| refuse("a value with more than 64 bits"))?;
            }
            value ^= bits.take(64 - leading - trailing)? << trailing;
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
    fn error(&self, problem: &str) -> DecodeError {
        DecodeError { what: WHAT, at: 2 + self.at / 8, problem: problem.to_owned() }
    }

    fn take(&mut self, count: u32) -> Result<u64, DecodeError> {
        let end = self.at + count as usize;
        if end > 8 * self.bytes.len() {
            return Err(self.error("ends before its last sample"));
        }
        let mut value = 0_u64;
        while self.at < end {
            let (byte, offset) = (u64::from(self.bytes[self.at / 8]), self.at % 8);
            let here = (8 - offset).min(end - self.at);
            let piece = (byte >> (8 - offset - here)) & ((1 << here) - 1);
            // A shift by 64 happens only when nothing is there to be shifted.
            value = value.checked_shl(u32::try_from(here).unwrap_or(0)).unwrap_or(0) | piece;
            self.at += here;
        }
        Ok(value)
    }

    /// A varint, which lies at a byte's edge in the two places where there is one.
    fn bytes_varint(&mut self) -> Result<u64, DecodeError> {
        if !self.at.is_multiple_of(8) {
            // The step of the second sample follows 64 bits of a value, so this cannot happen.
            return Err(self.error("a number off the edge of a byte"));
        }
        let (value, length) = uvarint(&self.bytes[self.at / 8..]).map_err(|problem| self.error(problem))?;
        self.at += 8 * length;
        Ok(value)
    }

    fn second_difference(&mut self) -> Result<i64, DecodeError> {
        let mut width = 0;
        for wider in [14, 17, 20, 64] {
            if self.take(1)? == 0 {
                break;
            }
            width = wider;
        }
        let bits = self.take(width)?;
        Ok(match width {
            0 => 0,
            64 => bits.cast_signed(),
            // The range is −(2^(w−1) − 1) ..= 2^(w−1), as Prometheus has it.
            width if bits > 1 << (width - 1) => bits.cast_signed() - (1 << width),
            _ => bits.cast_signed(),
        })
    }
}
