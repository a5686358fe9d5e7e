//! Sums without rounding: whole numbers over the bits of single-precision values and their squares.

/// Digits of 32 bits; the lowest counts 2^−320, so squares of single-precision values (2^−298 to 2^256) fit.
const DIGITS: usize = 20;
const LOWEST: i32 = -320;

/// A sum of up to 2^31 values, exact.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exact([i64; DIGITS]);

impl Exact {
    pub(super) const ZERO: Self = Self([0; DIGITS]);

    /// Adds a single-precision value or the square of one.
    pub(super) fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        if exponent == 0 {
            return; // Zero: neither single-precision values nor their squares are subnormal in double precision.
        }
        let mantissa = u128::from(bits & ((1 << 52) - 1) | (1 << 52));
        // 53-bit mantissas end in zeros wherever the value would reach below the lowest digit.
        let at = usize::try_from(exponent - 1075 - LOWEST).ok();
        let (at, mantissa) = match at {
            Some(at) => (at, mantissa),
            None => (0, mantissa >> u32::try_from(LOWEST - (exponent - 1075)).unwrap_or(127).min(127)),
        };
        let mut rest = mantissa << (at % 32);
        let mut digit = at / 32;
        while rest > 0 && digit < DIGITS {
            let part = i64::try_from(rest & 0xffff_ffff).unwrap_or(0);
            self.0[digit] += if value < 0.0 { -part } else { part };
            rest >>= 32;
            digit += 1;
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (digit, other) in self.0.iter_mut().zip(other.0) {
            *digit += other;
        }
    }

    /// The sum as two numbers that do not overlap, high first.
    fn pair(&self) -> (f64, f64) {
        let (negative, digits) = self.magnitude();
        let sign = if negative { -1.0 } else { 1.0 };
        let (mut high, mut low) = (0.0, 0.0);
        for (index, &digit) in digits.iter().enumerate().rev() {
            let exponent = LOWEST + 32 * i32::try_from(index).unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "32 bits")]
            let part = digit as f64 * power_of_two(exponent);
            let (sum, error) = two_sum(high, part);
            high = sum;
            low += error;
        }
        let (high, low) = two_sum(high, low);
        (sign * high, sign * low)
    }

    /// The sum, rounded.
    pub(super) fn value(&self) -> f64 {
        self.pair().0
    }

    /// Sign, and digits of the absolute value carried into 0 to 2^32 − 1.
    fn magnitude(&self) -> (bool, [i64; DIGITS]) {
        let mut digits = self.0;
        let negative = carry(&mut digits) < 0;
        if negative {
            digits = self.0.map(|digit| -digit);
            carry(&mut digits);
        }
        (negative, digits)
    }
}

/// Carries every digit but the highest; the highest keeps the sign and is returned.
fn carry(digits: &mut [i64; DIGITS]) -> i64 {
    for index in 0..DIGITS - 1 {
        digits[index + 1] += digits[index] >> 32;
        digits[index] &= 0xffff_ffff;
    }
    digits[DIGITS - 1]
}

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).unwrap_or(0) << 52)
}

/// Sample deviation of `count` values from their exact sum and sum of squares; 0 below two.
///
/// count·Σx² − (Σx)² in doubled precision: replicas of 1e10 bytes differ in digits that one double lacks.
pub(super) fn deviation(count: u32, sum: &Exact, squares: &Exact) -> f64 {
    if count < 2 {
        return 0.0;
    }
    let n = f64::from(count);
    let (s, s_low) = sum.pair();
    let (q, q_low) = squares.pair();
    let (nq, nq_low) = two_product(n, q);
    let (ss, ss_low) = two_product(s, s);
    let (high, error) = two_sum(nq, -ss);
    let difference = high + (error + (nq_low + n * q_low - ss_low - 2.0 * s * s_low));
    (difference.max(0.0) / n / (n - 1.0)).sqrt()
}

/// Sum and its rounding error (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// Product and its rounding error (Dekker); no fused operation, so that every processor gives the same bits.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let split = |x: f64| {
        let big = 134_217_729.0 * x;
        let high = big - (big - x);
        (high, x - high)
    };
    let product = a * b;
    let ((ah, al), (bh, bl)) = (split(a), split(b));
    (product, ((ah * bh - product) + ah * bl + al * bh) + al * bl)
}

#[cfg(test)]
mod tests {
    use super::{Exact, deviation};

    fn sum(values: &[f32]) -> Exact {
        let mut sum = Exact::ZERO;
        values.iter().for_each(|&value| sum.add(f64::from(value)));
        sum
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "exact sums")]
    fn nothing_is_lost_between_the_largest_and_the_smallest() {
        let tiny = f32::from_bits(1);
        let mut values = vec![f32::MAX, tiny, 1.5, -f32::MAX, -1.0];
        assert_eq!(sum(&values).value(), 0.5 + f64::from(tiny));
        values.push(-0.5);
        assert_eq!(sum(&values).value(), f64::from(tiny));
        values.push(-tiny);
        assert_eq!(sum(&values), sum(&[]).clone());
        assert_eq!(sum(&[-3.0, 1.0]).value(), -2.0);
        let mut squares = Exact::ZERO;
        squares.add(f64::from(f32::MAX) * f64::from(f32::MAX));
        squares.add(f64::from(tiny) * f64::from(tiny));
        squares.add(-(f64::from(f32::MAX) * f64::from(f32::MAX)));
        assert_eq!(squares.value(), f64::from(tiny) * f64::from(tiny));
    }

    #[test]
    fn deviations_of_replicas_of_gigabytes_keep_their_digits() {
        // Neighbouring single-precision numbers near 1e10 lie 1024 apart.
        let values: Vec<f32> = (0..5_u8).map(|i| 1e10 + 1024.0 * f32::from(i)).collect();
        let mut squares = Exact::ZERO;
        values.iter().for_each(|&value| squares.add(f64::from(value) * f64::from(value)));
        let expected = 1024.0 * 2.5_f64.sqrt();
        assert!((deviation(5, &sum(&values), &squares) / expected - 1.0).abs() < 1e-12);
    }
}
