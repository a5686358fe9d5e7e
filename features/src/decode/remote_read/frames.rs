//! The stream `application/x-streamed-protobuf`: length (varint), CRC-32C of the message (4 bytes, big-endian), message.

use super::super::DecodeError;
use super::super::wire::{VarintFault, uvarint};

/// Puts frames together from pieces of any size. Holds one unfinished frame and the last piece at most, if every
/// message is taken before the next piece comes.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been handed over.
    used: usize,
    /// Bytes of the stream that are no longer in the buffer.
    gone: usize,
    largest: usize,
}

impl Frames {
    /// Frames whose messages have at most `largest` bytes.
    #[must_use]
    pub fn new(largest: usize) -> Self {
        Self { buffer: Vec::new(), used: 0, gone: 0, largest }
    }

    /// Adds what came over the wire.
    pub fn push(&mut self, piece: &[u8]) {
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.gone += self.used;
            self.used = 0;
        }
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole message, its checksum tried; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When a frame is longer than allowed or its checksum differs. The stream cannot be read on after that.
    pub fn message(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        let rest = &self.buffer[self.used..];
        let refuse = |problem: String| DecodeError { what: "stream of frames", at: self.gone + self.used, problem };
        let (length, header) = match uvarint(rest) {
            Ok(pair) => pair,
            Err(VarintFault::Ends) => return Ok(None),
            Err(fault) => return Err(refuse(fault.as_str().to_owned())),
        };
        let Some(length) = usize::try_from(length).ok().filter(|&length| length <= self.largest) else {
            let largest = self.largest;
            return Err(refuse(format!(
                "a frame of {length} bytes, at most {largest} are taken; lower the server's frame size"
            )));
        };
        let Some((sum, rest)) = rest[header..].split_first_chunk::<4>() else { return Ok(None) };
        let Some(message) = rest.get(..length) else { return Ok(None) };
        let (stated, found) = (u32::from_be_bytes(*sum), crc32c::crc32c(message));
        if stated != found {
            return Err(refuse(format!("checksum {found:08x}, the frame states {stated:08x}; ask for it again")));
        }
        let start = self.used + header + 4;
        self.used = start + length;
        Ok(Some(&self.buffer[start..start + length]))
    }

    /// Whether bytes of an unfinished frame are left: true at the end of a stream that was cut off.
    #[must_use]
    pub fn unfinished(&self) -> bool {
        self.used < self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(message.len() as u64, &mut bytes);
        bytes.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
        bytes.extend_from_slice(message);
        bytes
    }

    fn messages(frames: &mut Frames) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| frames.message().unwrap().map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn a_frame_by_hand() {
        // "123456789" is the check input of CRC catalogues; CRC-32C of it is e3069283.
        let bytes = *b"\x09\xe3\x06\x92\x83123456789";
        let mut frames = Frames::new(9);
        frames.push(&bytes);
        assert_eq!(messages(&mut frames), [b"123456789"]);
        assert!(!frames.unfinished());
    }

    #[test]
    fn damage_is_said_with_its_place() {
        let mut stream = frame(b"one");
        stream.extend(frame(b"two"));
        stream[15] ^= 1;
        let mut frames = Frames::new(100);
        frames.push(&stream);
        assert_eq!(frames.message().unwrap().unwrap(), b"one");
        let error = frames.message().unwrap_err().to_string();
        assert!(error.starts_with("stream of frames, byte 8: checksum "), "{error}");
        assert!(frames.message().is_err(), "a damaged stream is not read on");
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_at_its_length() {
        let mut frames = Frames::new(1000);
        frames.push(&[0xe9, 0x07]);
        let error = frames.message().unwrap_err().to_string();
        assert!(error.contains("a frame of 1001 bytes, at most 1000 are taken"), "{error}");
        let mut frames = Frames::new(1000);
        frames.push(&[0xff; 10]);
        assert!(frames.message().unwrap_err().to_string().contains("more than 64 bits"));
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_whole_gives(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
            cuts in prop::collection::vec(1_usize..50, 0..60),
        ) {
            let stream: Vec<u8> = contents.iter().flat_map(|message| frame(message)).collect();
            let mut frames = Frames::new(200);
            let mut seen = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.into_iter().chain(std::iter::once(usize::MAX)) {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                frames.push(piece);
                seen.extend(messages(&mut frames));
                rest = after;
            }
            prop_assert_eq!(seen, contents);
            prop_assert!(!frames.unfinished());
        }

        #[test]
        fn a_cut_stream_is_unfinished(message in prop::collection::vec(any::<u8>(), 0..200)) {
            let stream = frame(&message);
            for end in 1..stream.len() {
                let mut frames = Frames::new(200);
                frames.push(&stream[..end]);
                prop_assert_eq!(frames.message(), Ok(None));
                prop_assert!(frames.unfinished());
            }
        }
    }
}
