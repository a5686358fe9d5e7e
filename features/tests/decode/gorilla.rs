//! An encoder of XOR chunks, written from the description in `features::decode::xor_chunk`.

/// Writes a chunk as the table in the module's documentation has it.
pub(crate) fn encode(points: &[(i64, u64)]) -> Vec<u8> {
    let mut stream: Vec<bool> = Vec::new();
    let put = |stream: &mut Vec<bool>, value: u64, width: u32| {
        stream.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
    };
    let varint = |stream: &mut Vec<bool>, mut value: u64| {
        while value >= 0x80 {
            put(stream, value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        put(stream, value, 8);
    };
    let mut window: Option<(u32, u32)> = None;
    for (index, &(time, value)) in points.iter().enumerate() {
        let step = |index: usize| points[index].0 - points[index - 1].0;
        match index {
            0 => {
                varint(&mut stream, (time << 1 ^ time >> 63).cast_unsigned());
                put(&mut stream, value, 64);
                continue;
            }
            1 => varint(&mut stream, step(1).cast_unsigned()),
            _ => {
                let change = step(index) - step(index - 1);
                let fits = |width: u32| -((1 << (width - 1)) - 1) <= change && change <= 1 << (width - 1);
                match change {
                    0 => put(&mut stream, 0b0, 1),
                    _ if fits(14) => {
                        put(&mut stream, 0b10, 2);
                        put(&mut stream, change.cast_unsigned(), 14);
                    }
                    _ if fits(17) => {
                        put(&mut stream, 0b110, 3);
                        put(&mut stream, change.cast_unsigned(), 17);
                    }
                    _ if fits(20) => {
                        put(&mut stream, 0b1110, 4);
                        put(&mut stream, change.cast_unsigned(), 20);
                    }
                    _ => {
                        put(&mut stream, 0b1111, 4);
                        put(&mut stream, change.cast_unsigned(), 64);
                    }
                }
            }
        }
        let difference = value ^ points[index - 1].1;
        if difference == 0 {
            put(&mut stream, 0b0, 1);
            continue;
        }
        let (front, behind) = (difference.leading_zeros().min(31), difference.trailing_zeros());
        if let Some((old_front, old_behind)) = window.filter(|&(f, b)| front >= f && behind >= b) {
            put(&mut stream, 0b10, 2);
            put(&mut stream, difference >> old_behind, 64 - old_front - old_behind);
        } else {
            window = Some((front, behind));
            let length = 64 - front - behind;
            put(&mut stream, 0b11, 2);
            put(&mut stream, u64::from(front), 5);
            put(&mut stream, u64::from(length % 64), 6);
            put(&mut stream, difference >> behind, length);
        }
    }
    let mut chunk = u16::try_from(points.len()).unwrap().to_be_bytes().to_vec();
    chunk.extend(
        stream
            .chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (index, &bit)| sum | u8::from(bit) << (7 - index))),
    );
    chunk
}
