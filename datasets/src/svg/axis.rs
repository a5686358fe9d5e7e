//! A range of one coordinate and its round ticks.

/// A labelled range of one coordinate.
#[derive(Debug, Clone)]
pub struct Axis {
    pub(super) label: String,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Axis {
    /// From `low` to `high`; a range that is empty or not finite is widened to one unit.
    #[must_use]
    pub fn new(label: &str, low: f64, high: f64) -> Self {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() && high > low { high } else { low + 1.0 };
        Self { label: label.to_owned(), low, high }
    }

    /// Round numbers 1, 2 or 5 times a power of ten, about `wanted` of them, and their decimals.
    pub(super) fn ticks(&self, wanted: f64) -> (Vec<f64>, usize) {
        let raw = (self.high - self.low) / wanted;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|&step| step >= raw).unwrap_or(10.0 * power);
        // Half a millionth of a step forgives the rounding of 0.1 + 0.2.
        let slack = step * 1e-6;
        let mut ticks = Vec::new();
        let mut at = ((self.low - slack) / step).ceil() * step;
        while at <= self.high + slack && ticks.len() < 50 {
            // 0 times a negative step prints as "-0".
            ticks.push(if at.abs() < slack { 0.0 } else { at });
            at += step;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 12")]
        let decimals = (-(step + slack).log10().floor()).clamp(0.0, 12.0) as usize;
        (ticks, decimals)
    }

    /// Where `value` lies between the ends, from 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        // A value beyond the axis is drawn at the frame rather than over the labels.
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside_the_axis() {
        let (ticks, decimals) = Axis::new("", 0.0, 1.0).ticks(5.0);
        assert_eq!(
            ticks.iter().map(|t| format!("{t:.decimals$}")).collect::<Vec<_>>(),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        let (ticks, decimals) = Axis::new("", -13.0, 340.0).ticks(6.0);
        assert_eq!(ticks.iter().map(|t| format!("{t:.decimals$}")).collect::<Vec<_>>(), ["0", "100", "200", "300"]);
    }
}
