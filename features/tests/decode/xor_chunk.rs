//! The decoder against bytes worked out by hand and against an encoder written from the same description.

use features::decode::Point;
use features::decode::xor_chunk::decode;
use features::sample::STALE_NAN_BITS;
use proptest::prelude::*;

use crate::gorilla::encode;

fn bits(points: &[Point]) -> Vec<(i64, u64)> {
    points.iter().map(|point| (point.time, point.value.to_bits())).collect()
}

fn decoded(chunk: &[u8]) -> Vec<(i64, u64)> {
    let mut points = Vec::new();
    decode(chunk, &mut points).unwrap();
    bits(&points)
}

#[test]
fn a_chunk_by_hand() {
    // Five samples: (1000, 1.0), (1015, 1.0), (1030, 2.0), (1046, 3.0), (1046 + 16 - 8192 + 1, 3.0).
    //
    // count              00 05
    // first time 1000    zigzag 2000 = 0b1111_1010000, low seven bits first: d0 0f
    // first value 1.0    3f f0 00 00 00 00 00 00
    // first step 15      0f
    // value 1.0 again    0
    // step 15 again      0
    // value 2.0          1.0 is 3ff0…, 2.0 is 4000…; they differ in 7ff0…: 1 zero in front, 52 behind, 11 bits.
    //                    11 00001 001011 11111111111
    // step 16, change 1  10 00000000000001
    // value 3.0          2.0 is 4000…, 3.0 is 4008…; they differ in bit 51. One zero in front is fewer than its 12,
    //                    but 52 behind are more than its 51: a new window, 12 in front, 1 bit.
    //                    11 01100 000001 1
    // step -8175         change -8191, the lowest that 14 bits hold: 2^14 - 8191 = 8193 = 10000000000001
    //                    10 10000000000001
    // value 3.0 again    0
    //
    // The bits after the first step, cut into bytes, seven of padding at the end:
    // 00110000 10010111 11111111 11100000 00000000 01110110 00000011 10100000 00000001 0
    let chunk = [
        0x00, 0x05, 0xd0, 0x0f, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x0f, 0x30, 0x97, 0xff, 0xe0, 0x00, 0x76, 0x03, 0xa0,
        0x01, 0x00,
    ];
    let expected: Vec<(i64, u64)> = [(1000, 1.0), (1015, 1.0), (1030, 2.0), (1046, 3.0), (-7129, 3.0)]
        .map(|(time, value): (i64, f64)| (time, value.to_bits()))
        .to_vec();
    assert_eq!(decoded(&chunk), expected);
    assert_eq!(encode(&expected), chunk);
}

#[test]
fn the_edges_of_every_width_come_back() {
    let edges = [14_u32, 17, 20].map(|width| [-(1_i64 << (width - 1)), 1 - (1 << (width - 1)), 1 << (width - 1)]);
    let mut points = vec![(1_700_000_000_000, 0_u64), (1_700_000_015_000, 1)];
    let mut step = 15_000;
    for change in edges.as_flattened().iter().chain(&[1 << 40, -(1 << 40), 0, 1, -1]) {
        step += change;
        let &(time, value) = points.last().unwrap();
        points.push((time + step, value.rotate_left(7) ^ 5));
    }
    assert_eq!(decoded(&encode(&points)), points);
}

#[test]
fn a_stale_mark_keeps_its_bits() {
    let points = [(10, 2.5_f64.to_bits()), (20, STALE_NAN_BITS), (30, f64::NEG_INFINITY.to_bits())];
    assert_eq!(decoded(&encode(&points)), points);
}

#[test]
fn claims_that_cannot_be_true_are_refused() {
    let refusal = |chunk: &[u8]| {
        let mut points = vec![Point { time: 1, value: 1.0 }];
        let problem = decode(chunk, &mut points).unwrap_err().to_string();
        assert_eq!(points.len(), 1, "what was there stays");
        problem
    };
    assert_eq!(refusal(&[1]), "XOR chunk, byte 0: 1 bytes, fewer than its sample count has");
    assert_eq!(
        refusal(&[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        "XOR chunk, byte 0: claims 65535 samples, more than 11 bytes can hold"
    );
    // Times 2^63 - 1 and one more.
    let mut chunk = vec![0, 2];
    chunk.extend([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    chunk.extend([0; 8]);
    chunk.extend([1, 0]);
    assert_eq!(refusal(&chunk), "XOR chunk, byte 21: a time that leaves 64 bits");
    // A window of 31 + 63 bits: 11 11111 111111.
    let chunk = [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xf8, 0];
    assert_eq!(refusal(&chunk), "XOR chunk, byte 13: a value of 31 + 63 bits");
    assert_eq!(decoded(&[0, 0]), []);
}

prop_compose! {
    fn series()(
        start in -4_000_000_000_000_i64..4_000_000_000_000,
        steps in prop::collection::vec(prop_oneof![Just(15_000_i64), 0..60_000_i64, -1_000_000_i64..1_000_000_000], 0..200),
        values in prop::collection::vec(
            prop_oneof![Just(1.0_f64.to_bits()), Just(STALE_NAN_BITS), any::<u64>(), (0..1000_u32).prop_map(|n| f64::from(n).to_bits())],
            201,
        ),
    ) -> Vec<(i64, u64)> {
        let mut time = start;
        let mut points = vec![(time, values[0])];
        for (step, &value) in steps.iter().zip(&values[1..]) {
            time += step;
            points.push((time, value));
        }
        points
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(points in series()) {
        prop_assert_eq!(decoded(&encode(&points)), points);
    }

    #[test]
    fn every_cut_is_refused(points in series()) {
        let chunk = encode(&points);
        for end in 0..chunk.len() {
            prop_assert!(decode(&chunk[..end], &mut Vec::new()).is_err(), "{} of {}", end, chunk.len());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(chunk in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut points = Vec::new();
        if decode(&chunk, &mut points).is_ok() {
            prop_assert_eq!(points.len(), chunk.first_chunk().map_or(0, |count| usize::from(u16::from_be_bytes(*count))));
        }
    }
}
