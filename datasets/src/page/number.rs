//! How numbers and gaps read: digits the interval supports, no more.

use survival::{Interval, PairedInterval};

/// Averages over fewer units than this get one digit: more would describe the sample, not the model.
const FEW_UNITS: usize = 10;

/// Stands where there is no number.
pub const GAP: &str = "–";

/// `value` to `decimals` places, or a gap.
#[must_use]
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return GAP.to_owned();
    }
    let text = format!("{value:.decimals$}");
    // -0.00 is a rounded nothing; its sign would read as a direction.
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| c == '0' || c == '.') => digits.to_owned(),
        _ => text,
    }
}

/// Decimals that show two digits of a typical half-width, or of the numbers where none has an interval, from (estimate, low, high) of the numbers side by side.
#[must_use]
pub fn decimals(values: &[(f64, f64, f64)], units: usize) -> usize {
    let mut widths: Vec<f64> =
        values.iter().map(|(_, low, high)| (high - low) / 2.0).filter(|w| w.is_finite() && *w > 0.0).collect();
    widths.sort_by(f64::total_cmp);
    let size = values.iter().map(|(estimate, _, _)| estimate.abs()).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let wanted = match widths.get(widths.len() / 2) {
        Some(&width) => places(width) + 1,
        None if size > 0.0 => places(size) + 1,
        None => 2,
    };
    let most = if units >= FEW_UNITS {
        5
    } else if size >= 0.1 || size <= 0.0 {
        1
    } else {
        // One decimal of a score of 0.03 would be 0.0: keep its first digit.
        places(size)
    };
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "clamped to 0..=5")]
    let decimals = wanted.clamp(0, most.clamp(0, 5)) as usize;
    decimals
}

/// Decimals at which the first digit of `value` appears.
fn places(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of a float is small")]
    let places = -(value.log10().floor()) as i64;
    places
}

/// Estimate, low, high.
#[must_use]
pub fn ends(interval: &Interval) -> (f64, f64, f64) {
    (interval.estimate, interval.low, interval.high)
}

/// Difference, low, high.
#[must_use]
pub fn paired_ends(interval: &PairedInterval) -> (f64, f64, f64) {
    (interval.difference, interval.low, interval.high)
}

/// `0.94` as `94 %`; whole percents are what a few hundred rows support.
#[must_use]
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{} %", fixed(100.0 * share, 0)) } else { GAP.to_owned() }
}

/// A share that may be small: `0.31 %`, `3.1 %`, `31 %`.
#[must_use]
pub fn small_percent(share: f64) -> String {
    if !share.is_finite() {
        return GAP.to_owned();
    }
    let percent = 100.0 * share;
    let decimals = if percent.abs() >= 10.0 || percent.abs() <= 0.0 {
        0
    } else if percent.abs() >= 1.0 {
        1
    } else {
        2
    };
    format!("{} %", fixed(percent, decimals))
}

/// A probability of chance.
#[must_use]
pub fn p_value(p: f64) -> String {
    match p {
        p if !p.is_finite() => GAP.to_owned(),
        p if p < 0.001 => "<0.001".to_owned(),
        p if p < 0.1 => fixed(p, 3),
        p => fixed(p, 2),
    }
}

/// Two digits below ten, whole numbers above.
#[must_use]
pub fn short(value: f64) -> String {
    if value.abs() >= 9.95 || value.abs() <= 0.0 || !value.is_finite() {
        return fixed(value, 0);
    }
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=4")]
    let decimals = (places(value.abs()) + 1).clamp(0, 4) as usize;
    fixed(value, decimals)
}

/// A time as configured: `24 h`, `0.5 d`.
#[must_use]
pub fn time(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return GAP.to_owned();
    }
    let text = format!("{value:.3}");
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `12345` as `12,345`.
#[must_use]
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn plural(n: usize, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_interval() {
        // Half-width 0.0043: two of its digits are at the fourth decimal.
        assert_eq!(decimals(&[(0.0612, 0.0570, 0.0656)], 100), 4);
        assert_eq!(decimals(&[(18.3, 15.0, 21.5)], 100), 1);
        assert_eq!(decimals(&[(1830.0, 1500.0, 2150.0)], 100), 0);
        assert_eq!(decimals(&[(f64::NAN, f64::NAN, f64::NAN)], 100), 2);
    }

    #[test]
    fn few_units_never_get_two_digits() {
        assert_eq!(decimals(&[(18.34, 18.30, 18.38)], 6), 1);
        assert_eq!(decimals(&[(0.83, 0.82, 0.84)], 9), 1);
        assert_eq!(decimals(&[(0.031, 0.030, 0.032)], 9), 2);
    }

    #[test]
    fn gaps_signs_and_thousands_read_well() {
        assert_eq!(fixed(f64::NAN, 2), "–");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(time(0.5, "d"), "0.5 d");
        assert_eq!(time(100.0, "h"), "100 h");
        assert_eq!(p_value(0.0001), "<0.001");
        assert_eq!((short(0.4213), short(4.26), short(73.6)), ("0.42".into(), "4.3".into(), "74".into()));
    }
}
