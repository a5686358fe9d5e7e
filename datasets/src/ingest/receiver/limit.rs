//! How many samples a message holds, counted in its bytes: before it is decoded, when it is still small.
//!
//! Encoded, an empty sample takes two bytes. Decoders gather the samples of a series, those of OTLP whole messages of
//! many fields, so that counting what they hand over would come after the memory is taken.

use features::decode::snappy;

use super::Answer;
use crate::ingest::statistics::{Ending, Protocol};

/// Numbers of the fields that lead from a message to its samples, level by level.
type Path = [&'static [u64]];

/// `timeseries`, `samples`.
const REMOTE_WRITE_1: &Path = &[&[1], &[2]];
/// The same in 2.0.
const REMOTE_WRITE_2: &Path = &[&[5], &[2]];
/// `resource_metrics`, `scope_metrics`, `metrics`; gauge, sum and the three kinds of histogram; `data_points`.
const OTLP: &Path = &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]];

/// Refuses a snappy block of remote write that holds more than `most` samples. What is wrong with it otherwise is left
/// to its decoder.
pub(super) fn remote_write(block: &[u8], protocol: Protocol, largest: usize, most: usize) -> Result<(), Answer> {
    // What senders usually send is so small that it need not be unpacked to know, and so is unpacked once.
    let claimed = snap::raw::decompress_len(block).unwrap_or(0);
    if claimed > largest || !may_hold_more(claimed, most) {
        return Ok(());
    }
    let mut message = Vec::new();
    if snappy::unpack(block, largest, &mut message).is_err() {
        return Ok(());
    }
    check(&message, if protocol == Protocol::RemoteWrite2 { REMOTE_WRITE_2 } else { REMOTE_WRITE_1 }, most)
}

/// Refuses an `ExportMetricsServiceRequest` that holds more than `most` points.
pub(in crate::ingest) fn otlp(message: &[u8], most: usize) -> Result<(), Answer> {
    check(message, OTLP, most)
}

/// How a message of more samples is answered.
pub(super) fn too_many(most: usize) -> Answer {
    Answer::refusal(Ending::TooLarge, format!("the request holds more than {most} samples; send smaller batches"))
}

fn check(message: &[u8], path: &Path, most: usize) -> Result<(), Answer> {
    let more = may_hold_more(message.len(), most) && count(message, path, most) > most;
    if more { Err(too_many(most)) } else { Ok(()) }
}

fn may_hold_more(bytes: usize, most: usize) -> bool {
    bytes / 2 > most
}

/// Samples in a message, counted up to the first past `most`. A message on the way that holds none counts as one: it
/// takes memory like one. Of a message that is malformed, those before the fault.
fn count(mut message: &[u8], path: &Path, most: usize) -> usize {
    let Some((fields, deeper)) = path.split_first() else { return 1 };
    let mut samples = 0;
    while samples <= most
        && let Some((number, content)) = next(&mut message)
    {
        if fields.contains(&number) {
            samples += count(content, deeper, most - samples).max(1);
        }
    }
    samples
}

/// The next field that has a length: its number and content.
fn next<'a>(message: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    loop {
        let key = varint(message)?;
        match key & 7 {
            0 => {
                varint(message)?;
            }
            1 => {
                split(message, 8)?;
            }
            2 => {
                let length = usize::try_from(varint(message)?).ok()?;
                return Some((key >> 3, split(message, length)?));
            }
            // Groups have no length. What is in one counts as if it stood outside, so that nothing can hide there.
            3 | 4 => {}
            5 => {
                split(message, 4)?;
            }
            _ => return None,
        }
    }
}

fn split<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(head)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let mut length = content.len();
        while length >= 0x80 {
            field.push(length.to_le_bytes()[0] | 0x80);
            length >>= 7;
        }
        field.push(length.to_le_bytes()[0]);
        field.extend_from_slice(content);
        field
    }

    #[test]
    fn samples_are_counted_up_to_the_first_too_many() {
        let series = [field(1, b"label"), field(2, b"").repeat(200)].concat();
        let request = field(1, &series).repeat(3);
        assert_eq!(count(&request, REMOTE_WRITE_1, 1000), 600);
        assert_eq!(count(&request, REMOTE_WRITE_1, 600), 600);
        assert_eq!(count(&request, REMOTE_WRITE_1, 450), 451);
        assert_eq!(count(&request, REMOTE_WRITE_2, 1000), 0);
        assert_eq!(count(&request[..request.len() - 1], REMOTE_WRITE_1, 1000), 400, "the decoder says what is wrong");
    }

    #[test]
    fn points_of_every_kind_and_empty_messages_on_the_way_count() {
        let points = field(1, b"").repeat(10);
        let metrics: Vec<u8> = [5, 7, 9, 10, 11].into_iter().flat_map(|kind| field(2, &field(kind, &points))).collect();
        let request = field(1, &field(2, &metrics));
        assert_eq!(count(&request, OTLP, 1000), 50);
        assert_eq!(count(&field(1, b"").repeat(300), OTLP, 1000), 300);
        assert!(otlp(&request, 50).is_ok());
        let answer = otlp(&request, 49).unwrap_err();
        assert_eq!(answer.ending, Ending::TooLarge);
        assert!(answer.message.contains("more than 49 samples"), "{}", answer.message);
    }

    #[test]
    fn nothing_hides_behind_other_fields_or_in_groups() {
        let mut request = vec![9 << 3, 1, 9 << 3 | 1];
        request.extend_from_slice(&[0; 8]);
        request.push(9 << 3 | 5);
        request.extend_from_slice(&[0; 4]);
        request.push(9 << 3 | 3);
        request.extend(field(1, &field(2, b"").repeat(5)));
        request.push(9 << 3 | 4);
        request.extend(field(1, &field(2, b"").repeat(7)));
        assert_eq!(count(&request, REMOTE_WRITE_1, 1000), 12);
    }
}
