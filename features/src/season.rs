//! The level now against the same hour of days or weeks before, and what adds up of it; and half-lives.
//!
//! Arithmetic is `+ − × ÷` alone, so that every processor gives the same bits.

use crate::spec::Statistic;

/// How a series is compared with its own past; all lengths in roll-ups ("hours").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Season {
    /// What the level of an hour is: the mean of a gauge, the rate of a counter.
    pub level: Statistic,
    /// Hours in a period: 24 for the hour of the day, 168 for the hour of the week.
    pub period: i64,
    /// How many periods back.
    pub cycles: u32,
    /// Over how many hours residuals are summed; `None` for the newest residual itself.
    pub cusum: Option<u32>,
}

impl Season {
    /// The residual, or the sum of residuals, ending with the hour numbered `newest`. `level` gives the level of an
    /// hour, NaN where it was not seen.
    pub fn value(&self, newest: i64, level: impl Fn(i64) -> f64) -> f64 {
        match self.cusum {
            None => self.residual(newest, &level),
            Some(steps) => {
                let residuals = (0..i64::from(steps)).rev().map(|back| self.residual(newest - back, &level));
                cusum(residuals)
            }
        }
    }

    /// Level of an hour minus the mean level of the same hour in the periods before that were seen; NaN where the
    /// hour or all of them were not.
    fn residual(&self, hour: i64, level: &impl Fn(i64) -> f64) -> f64 {
        let now = level(hour);
        if now.is_nan() {
            return f64::NAN;
        }
        // Summed as differences from now: a level of 1e10 costs no digits.
        let (mut seen, mut sum) = (0_u32, 0.0);
        for cycle in 1..=i64::from(self.cycles) {
            let before = level(hour - cycle * self.period);
            if !before.is_nan() {
                seen += 1;
                sum += now - before;
            }
        }
        if seen == 0 { f64::NAN } else { sum / f64::from(seen) }
    }
}

/// S = max(0, S + r) over residuals, oldest first, missing ones passed over; NaN where all are missing.
fn cusum(residuals: impl Iterator<Item = f64>) -> f64 {
    residuals.filter(|residual| !residual.is_nan()).fold(f64::NAN, |sum, residual| {
        let sum = if sum.is_nan() { residual } else { sum + residual };
        if sum > 0.0 { sum } else { 0.0 }
    })
}

/// 2^−x for x ≥ 0: what is left of 1 after x half-lives. Accurate to about 1e-15.
///
/// Own arithmetic, because the last bits of `exp2` differ between systems.
pub(crate) fn decayed(half_lives: f64) -> f64 {
    let whole = half_lives.floor();
    if whole >= 1000.0 {
        return 0.0;
    }
    // Taylor series of exp(−f·ln 2), f in [0, 1): term 18 is below 1e-18.
    let x = -(half_lives - whole) * std::f64::consts::LN_2;
    let fraction = (1..=18).rev().fold(1.0, |sum, term| 1.0 + x / f64::from(term) * sum);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 999")]
    let exponent = 1023 - whole as u64;
    fraction * f64::from_bits(exponent << 52)
}

#[cfg(test)]
mod tests {
    use super::{Season, cusum, decayed};
    use crate::spec::Statistic;

    #[test]
    #[expect(clippy::float_cmp, reason = "powers of two are exact")]
    fn half_lives_halve() {
        for whole in 0_i32..60 {
            assert_eq!(decayed(f64::from(whole)), 0.5_f64.powi(whole));
        }
        for tenth in 0..100 {
            let x = f64::from(tenth) / 10.0;
            assert!((decayed(x) / (-x).exp2() - 1.0).abs() < 2e-15, "{x}");
        }
        assert_eq!(decayed(1e9), 0.0);
        assert!(decayed(999.5) > 0.0);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers")]
    fn residuals_look_at_the_same_hour_of_the_days_seen() {
        // Hour h of day d has level 100·h + d; day 2 was not seen.
        let level = |number: i64| {
            let (day, hour) = (number.div_euclid(24), number.rem_euclid(24));
            if day == 2 || day < 0 { f64::NAN } else { (100 * hour + day) as f64 }
        };
        let season = Season { level: Statistic::Mean, period: 24, cycles: 3, cusum: None };
        assert_eq!(season.value(4 * 24 + 7, level), 4.0 - f64::midpoint(1.0, 3.0));
        assert!(season.value(7, level).is_nan());
        assert!(season.value(2 * 24 + 7, level).is_nan());
        // Day 4 minus the mean of days 1 and 3 is 2 at every hour.
        let summed = Season { cusum: Some(5), ..season };
        assert_eq!(summed.value(4 * 24 + 7, level), 10.0);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "whole numbers")]
    fn a_sum_of_residuals_never_falls_below_zero() {
        assert_eq!(cusum([5.0, -9.0, 2.0, f64::NAN, 1.0].into_iter()), 3.0);
        assert_eq!(cusum([-5.0].into_iter()), 0.0);
        assert!(cusum([f64::NAN].into_iter()).is_nan());
    }
}
