//! Snappy blocks, whose size is looked at before anything is allocated.

use super::DecodeError;

const WHAT: &str = "snappy block";
/// A copy of 64 bytes takes 3, and nothing in the format yields more from less: no honest block inflates further.
const LARGEST_RATIO: usize = 22;
/// The first bytes of the framed form.
const FRAMED: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// Unpacks a snappy *block* (the form of remote write and read; not the framed one) into `into`, whose memory is used
/// again and whose content is replaced.
///
/// # Errors
/// When the block claims more than `largest` bytes or more than its length can hold, or is corrupt. Nothing is
/// allocated for a claim that is refused; `into` is empty then.
pub fn unpack(block: &[u8], largest: usize, into: &mut Vec<u8>) -> Result<(), DecodeError> {
    let result = try_unpack(block, largest, into);
    if result.is_err() {
        into.clear();
    }
    result
}

fn try_unpack(block: &[u8], largest: usize, into: &mut Vec<u8>) -> Result<(), DecodeError> {
    let refuse = |problem: String| DecodeError { what: WHAT, at: 0, problem };
    let hint = if block.starts_with(FRAMED) {
        "; it is in the framed form, send the block form"
    } else if block.starts_with(b"\x1f\x8b") {
        "; it looks like gzip, send snappy"
    } else {
        ""
    };
    let length = snap::raw::decompress_len(block).map_err(|error| refuse(format!("has no length ({error}){hint}")))?;
    if length > largest {
        return Err(refuse(format!("claims {length} bytes, at most {largest} are taken{hint}; send smaller requests")));
    }
    if length > block.len().saturating_mul(LARGEST_RATIO) {
        let all = block.len();
        return Err(refuse(format!("claims {length} bytes, more than {all} packed ones can hold{hint}")));
    }
    // What was there before is overwritten, so only growth is filled.
    into.resize(length, 0);
    let written = snap::raw::Decoder::new()
        .decompress(block, into)
        .map_err(|error| refuse(format!("is corrupt ({error}){hint}")))?;
    into.truncate(written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(bytes).unwrap()
    }

    fn refusal(block: &[u8], largest: usize) -> String {
        let mut into = vec![1, 2, 3];
        let problem = unpack(block, largest, &mut into).unwrap_err().to_string();
        assert!(into.is_empty());
        problem
    }

    #[test]
    fn a_bomb_is_refused_before_memory_is_taken() {
        // The length of 4 GiB - 1 as a varint and not a byte more.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(
            refusal(&bomb, 1 << 20),
            "snappy block, byte 0: claims 4294967295 bytes, at most 1048576 are taken; send smaller requests"
        );
        let mut into = Vec::new();
        let problem = unpack(&bomb, usize::MAX, &mut into).unwrap_err().to_string();
        assert_eq!(problem, "snappy block, byte 0: claims 4294967295 bytes, more than 5 packed ones can hold");
        assert_eq!(into.capacity(), 0);
    }

    #[test]
    fn the_most_that_can_be_packed_is_unpacked() {
        let zeros = vec![0; 10_000_000];
        let mut into = Vec::new();
        unpack(&pack(&zeros), zeros.len(), &mut into).unwrap();
        assert_eq!(into, zeros);
    }

    #[test]
    fn other_forms_are_named() {
        let framed = b"\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00";
        assert!(refusal(framed, 1 << 20).ends_with("it is in the framed form, send the block form"));
        assert!(refusal(b"\x1f\x8b\x08\x00\x00\x00", 1 << 20).contains("it looks like gzip, send snappy"));
        assert!(refusal(b"", 1 << 20).starts_with("snappy block, byte 0: is corrupt"));
        assert!(refusal(b"\x80", 1 << 20).starts_with("snappy block, byte 0: has no length"));
    }

    proptest! {
        #[test]
        fn memory_is_used_again(first in prop::collection::vec(any::<u8>(), 0..300), second in ".{0,300}") {
            let mut into = Vec::new();
            unpack(&pack(&first), 1 << 20, &mut into).unwrap();
            prop_assert_eq!(&into, &first);
            unpack(&pack(second.as_bytes()), 1 << 20, &mut into).unwrap();
            prop_assert_eq!(&into, second.as_bytes());
        }

        #[test]
        fn every_cut_is_refused(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let block = pack(&bytes);
            for end in 0..block.len() {
                prop_assert!(unpack(&block[..end], 1 << 20, &mut Vec::new()).is_err());
            }
        }
    }
}
