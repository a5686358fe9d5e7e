//! Reading protobuf without copying: fields of a message as borrowed slices, each with its place.
//!
//! A receiver meets the same label sets every scrape. Decoding them into owned strings each time costs more
//! than everything else together, so series are told apart by their encoded bytes and only new ones are parsed.
//! What this reader accepts is held against `prost` in the tests and in the fuzz targets.

use super::DecodeError;

/// Value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// A message being read. `base` is where it lies in the whole body, so that errors name a byte of that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
    base: usize,
    what: &'static str,
}

impl<'a> Message<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, base: 0, what }
    }

    /// A message that is a field of this one, read by the last call of [`Message::next`].
    pub(crate) fn inner(&self, bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, base: self.base + self.at - bytes.len(), what }
    }

    /// Offset inside this message of what comes next.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// Offset of this message in the whole body.
    pub(crate) fn origin(&self) -> usize {
        self.base
    }

    /// Numbers of a packed field.
    pub(crate) fn packed(&self, mut bytes: &[u8], into: &mut Vec<u64>) -> Result<(), DecodeError> {
        while !bytes.is_empty() {
            let (value, length) = uvarint(bytes).map_err(|problem| self.error(problem))?;
            into.push(value);
            bytes = &bytes[length..];
        }
        Ok(())
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> DecodeError {
        DecodeError { what: self.what, at: self.base + self.at, problem: problem.into() }
    }

    /// The next field and its number, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, DecodeError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let Some(number) = number else { return Err(self.error(format!("field number {} does not exist", key >> 3))) };
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            wire => return Err(self.error(format!("field {number} has wire type {wire}, which is not used"))),
        };
        Ok(Some((number, value)))
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        // Nearly every varint of these messages is one byte: a tag or a short length.
        if let Some(&byte) = self.bytes.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        let (value, length) = uvarint(&self.bytes[self.at..]).map_err(|problem| self.error(problem))?;
        self.at += length;
        Ok(value)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let left = self.bytes.len() - self.at;
        if length > left {
            return Err(self.error(format!("a field of {length} bytes, only {left} are left")));
        }
        let bytes = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

/// A base-128 number and the bytes it took.
pub(crate) fn uvarint(bytes: &[u8]) -> Result<(u64, usize), &'static str> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        // As prost does: the tenth byte may hold the one bit that is left.
        if index == 9 && byte > 1 {
            return Err("a number of more than 64 bits");
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(if bytes.len() < 10 { "ends inside a number" } else { "a number of more than 64 bits" })
}
