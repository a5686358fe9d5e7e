//! Reading protobuf without copying: the fields of a message as borrowed slices, each with its place in the body.
//!
//! A receiver meets the same label sets at every scrape. To decode them into owned strings each time costs more than
//! everything else together, so series are told apart by their encoded bytes and only new ones are parsed. What this
//! reader accepts is held against `prost` in the tests and in the fuzz targets. Groups, which no message here uses and
//! which nest without a length, are refused.
//!
//! Encoding: <https://protobuf.dev/programming-guides/encoding/>.

use super::DecodeError;

/// Value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: a string, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Value<'a>,
    /// Where its value begins in the whole body.
    pub(super) at: usize,
}

/// A message being read, from the first field to the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the message lies in the whole body, so that errors name a byte of that.
    base: usize,
    what: &'static str,
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, base: 0, what }
    }

    /// A message that is a field of another; `at` is [`Field::at`].
    pub(super) fn inside(bytes: &'a [u8], at: usize, what: &'static str) -> Self {
        Self { bytes, at: 0, base: at, what }
    }

    /// All bytes of the message.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Offset inside this message of what comes next.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Offset of this message in the whole body.
    pub(super) fn origin(&self) -> usize {
        self.base
    }

    #[cold]
    pub(super) fn error(&self, problem: impl Into<String>) -> DecodeError {
        DecodeError { what: self.what, at: self.base + self.at, problem: problem.into() }
    }

    /// The error for a field whose wire type does not fit its declared one.
    #[cold]
    pub(super) fn mismatch(&self, field: Field<'_>) -> DecodeError {
        let seen = match field.value {
            Value::Varint(_) => "a varint",
            Value::Fixed64(_) => "64 bits",
            Value::Bytes(_) => "bytes with a length",
            Value::Fixed32(_) => "32 bits",
        };
        self.error(format!("field {} is {seen}, which it is not in this message", field.number))
    }

    /// The next field, `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let Some(number) = u32::try_from(key).ok().map(|key| key >> 3).filter(|&number| number > 0) else {
            return Err(self.error(format!("a field with the key {key}, which does not exist")));
        };
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let at = self.base + self.at;
                let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
                return Ok(Some(Field { number, value: Value::Bytes(bytes), at }));
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            3 | 4 => return Err(self.error(format!("field {number} is a group, and groups are not taken"))),
            wire => return Err(self.error(format!("field {number} has wire type {wire}, which does not exist"))),
        };
        Ok(Some(Field { number, value, at: self.base + self.at }))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, DecodeError> {
        // Nearly every varint of these messages is one byte: a tag or a short length.
        if let Some(&byte) = self.bytes.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        let (value, length) = uvarint(&self.bytes[self.at..]).map_err(|fault| self.error(fault.as_str()))?;
        self.at += length;
        Ok(value)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let left = self.bytes.len() - self.at;
        if length > left {
            return Err(self.error(format!("a field of {length} bytes, only {left} are left")));
        }
        let bytes = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

/// Why there is no number at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VarintFault {
    /// The bytes end before the number does.
    Ends,
    /// It has more than 64 bits.
    TooLong,
}

impl VarintFault {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ends => "ends inside a number",
            Self::TooLong => "a number of more than 64 bits",
        }
    }
}

/// A base-128 number and how many bytes it took.
pub(super) fn uvarint(bytes: &[u8]) -> Result<(u64, usize), VarintFault> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        // Nine bytes hold 63 bits; the tenth has room for the last one.
        if index == 9 && byte > 1 {
            return Err(VarintFault::TooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(VarintFault::Ends)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding::{decode_varint, encode_varint};

    use super::*;

    #[test]
    fn fields_come_with_their_places() {
        // Field 1, varint 300; field 2, bytes "ab"; field 3, 64 bits; field 4, 32 bits.
        let bytes = [0x08, 0xac, 0x02, 0x12, 2, b'a', b'b', 0x19, 1, 0, 0, 0, 0, 0, 0, 0, 0x25, 2, 0, 0, 0];
        let mut message = Message::inside(&bytes, 100, "test");
        let mut fields = Vec::new();
        while let Some(field) = message.next().unwrap() {
            fields.push((field.number, field.value));
            if let Value::Bytes(inner) = field.value {
                assert_eq!(field.at, 105);
                assert_eq!(inner, &bytes[field.at - 100..field.at - 98]);
            }
        }
        let expected =
            [(1, Value::Varint(300)), (2, Value::Bytes(b"ab")), (3, Value::Fixed64(1)), (4, Value::Fixed32(2))];
        assert_eq!(fields, expected);
    }

    #[test]
    fn what_is_no_field_is_refused_with_its_place() {
        let problem = |bytes: &[u8]| {
            let mut message = Message::inside(bytes, 7, "test");
            loop {
                match message.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{bytes:?} was read"),
                    Err(error) => break error.to_string(),
                }
            }
        };
        assert_eq!(problem(&[0x80]), "test, byte 7: ends inside a number");
        assert_eq!(problem(&[0x08, 1, 0x12, 3, 1]), "test, byte 11: a field of 3 bytes, only 1 are left");
        assert_eq!(problem(&[0x03]), "test, byte 8: a field with the key 3, which does not exist");
        assert_eq!(problem(&[0x0b]), "test, byte 8: field 1 is a group, and groups are not taken");
        assert_eq!(problem(&[0x0c]), "test, byte 8: field 1 is a group, and groups are not taken");
        assert_eq!(problem(&[0x0e]), "test, byte 8: field 1 has wire type 6, which does not exist");
        assert_eq!(problem(&[0x09, 1, 2]), "test, byte 8: a field of 8 bytes, only 2 are left");
        let eleven = [0xff; 11];
        assert_eq!(problem(&eleven), "test, byte 7: a number of more than 64 bits");
        let lengthy = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(problem(&lengthy), "test, byte 18: a field of 18446744073709551615 bytes, only 0 are left");
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_prost(value: u64) {
            let mut bytes = Vec::new();
            encode_varint(value, &mut bytes);
            prop_assert_eq!(uvarint(&bytes), Ok((value, bytes.len())));
            for end in 0..bytes.len() {
                prop_assert_eq!(uvarint(&bytes[..end]), Err(VarintFault::Ends));
            }
        }

        #[test]
        fn any_bytes_are_the_number_prost_reads(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = bytes.as_slice();
            let theirs = decode_varint(&mut rest).ok().map(|value| (value, bytes.len() - rest.len()));
            prop_assert_eq!(uvarint(&bytes).ok(), theirs);
        }
    }
}
