//! Snappy blocks, with the size looked at before anything is allocated.

use super::DecodeError;

const WHAT: &str = "snappy block";
/// A copy of 64 bytes takes at least 3, so no honest block inflates further than this.
const LARGEST_RATIO: usize = 22;

/// Unpacks a snappy *block* (the form of remote write; not the framed one) into `into`, which is cleared first.
///
/// # Errors
/// When it claims more than `largest` bytes or more than its length can hold, or is corrupt. Nothing is
/// allocated for a claim that is refused.
pub fn unpack(block: &[u8], largest: usize, into: &mut Vec<u8>) -> Result<(), DecodeError> {
    let refuse = |problem: String| DecodeError { what: WHAT, at: 0, problem };
    let length = snap::raw::decompress_len(block).map_err(|error| refuse(format!("no snappy block ({error})")))?;
    if length > largest {
        return Err(refuse(format!("claims {length} bytes, at most {largest} are taken; send smaller requests")));
    }
    if length > block.len().saturating_mul(LARGEST_RATIO) {
        return Err(refuse(format!(
            "claims {length} bytes, its {} can hold no more than 22 times as many",
            block.len()
        )));
    }
    into.clear();
    into.resize(length, 0);
    let written =
        snap::raw::Decoder::new().decompress(block, into).map_err(|error| refuse(format!("is corrupt ({error})")))?;
    into.truncate(written);
    Ok(())
}
