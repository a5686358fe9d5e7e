//! A quantity over time: bytes held, files open, threads, cores burned, bytes written.

use super::ScriptError;
use super::line::Line;

/// How much of something the container has at a time after its start.
///
/// Keys: `base`, `shape`; for all shapes but `constant` `onset_ms`, and `cap`, optional but for `plateau`; optional for
/// all, together, `saw` and `saw_ms`: a saw-tooth on top as of a garbage collector, with its height and period.
///
/// | shape | keys | growth since the onset |
/// |---|---|---|
/// | `constant` | | none |
/// | `linear` | `rate` per second | straight |
/// | `steps` | `step`, `period_ms` | a step at the onset and after every period |
/// | `accelerating` | `rate`, `period_ms` | begins at the rate, which doubles every period |
/// | `plateau` | `rate`, `cap` | begins at the rate and settles at the cap |
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// From the start on.
    pub base: f64,
    /// Growth.
    pub shape: Shape,
    /// Most there is, saw-tooth aside.
    pub cap: f64,
    /// Height of the saw-tooth.
    pub saw: f64,
    /// Its period in milliseconds; 0 without one.
    pub saw_ms: u64,
    onset: u64,
}

/// How a [`Level`] grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Not at all.
    Constant,
    /// The same amount every second.
    Linear {
        /// Per second.
        rate: f64,
    },
    /// All at once, again and again.
    Steps {
        /// Height of a step.
        step: f64,
        /// Milliseconds between steps.
        period_ms: u64,
    },
    /// Faster and faster.
    Accelerating {
        /// Per second, at the onset.
        rate: f64,
        /// Milliseconds in which the rate doubles.
        period_ms: u64,
    },
    /// Slower and slower.
    Plateau {
        /// Per second, at the onset.
        rate: f64,
    },
}

impl Level {
    pub(super) fn read(line: &mut Line<'_>) -> Result<Self, ScriptError> {
        let base = line.number("base")?;
        let name = line.word(
            "shape",
            &[("constant", 'c'), ("linear", 'l'), ("steps", 's'), ("accelerating", 'a'), ("plateau", 'p')],
        )?;
        let shape = match name {
            'l' => Shape::Linear { rate: line.positive("rate")? },
            's' => Shape::Steps { step: line.positive("step")?, period_ms: period(line, "period_ms")? },
            'a' => Shape::Accelerating { rate: line.positive("rate")?, period_ms: period(line, "period_ms")? },
            'p' => Shape::Plateau { rate: line.positive("rate")? },
            _ => Shape::Constant,
        };
        let onset = if shape == Shape::Constant { 0 } else { line.whole("onset_ms")? };
        let cap = match shape {
            Shape::Constant => f64::INFINITY,
            Shape::Plateau { .. } => line.positive("cap")?,
            _ => line.optional_positive("cap")?.unwrap_or(f64::INFINITY),
        };
        if cap < base {
            return Err(line.error("cap", &cap.to_string(), "the cap is at least the base"));
        }
        let saw = line.number_or_zero("saw")?;
        let saw_ms = if saw > 0.0 { period(line, "saw_ms")? } else { 0 };
        Ok(Self { base, shape, cap, saw, saw_ms, onset })
    }

    /// Milliseconds after the start at which it begins to grow; `None` if it never does.
    pub fn onset_ms(&self) -> Option<u64> {
        (self.shape != Shape::Constant).then_some(self.onset)
    }

    /// The level at a time in milliseconds after the start.
    pub fn at(&self, ms: u64) -> f64 {
        let grown = match ms.checked_sub(self.onset) {
            Some(passed) => self.base + self.growth(passed),
            None => self.base,
        };
        let tooth = match self.saw_ms {
            0 => 0.0,
            period => self.saw * (ms % period) as f64 / period as f64,
        };
        grown.min(self.cap) + tooth
    }

    fn growth(&self, passed_ms: u64) -> f64 {
        let seconds = passed_ms as f64 / 1000.0;
        match self.shape {
            Shape::Constant => 0.0,
            Shape::Linear { rate } => rate * seconds,
            Shape::Steps { step, period_ms } => step * (1 + passed_ms / period_ms) as f64,
            Shape::Accelerating { rate, period_ms } => {
                let doubling = period_ms as f64 / 1000.0;
                rate * doubling / std::f64::consts::LN_2 * ((seconds / doubling).exp2() - 1.0)
            }
            Shape::Plateau { rate } => {
                let room = self.cap - self.base;
                if room > 0.0 { room * (1.0 - (-rate * seconds / room).exp()) } else { 0.0 }
            }
        }
    }
}

fn period(line: &mut Line<'_>, key: &str) -> Result<u64, ScriptError> {
    match line.whole(key)? {
        0 => Err(line.error(key, "0", "a period is at least 1 ms")),
        period => Ok(period),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(text: &str) -> Level {
        let text = format!("heap {text}");
        let mut line = Line::parse(1, &text).expect("a line");
        let level = Level::read(&mut line).expect("a level");
        line.end().expect("all keys read");
        level
    }

    fn near(seen: f64, wanted: f64) {
        // Sums and one exponential: far better than a millionth.
        assert!((seen - wanted).abs() <= 1e-6 * wanted.abs().max(1.0), "{seen} instead of {wanted}");
    }

    #[test]
    fn nothing_grows_before_its_onset() {
        for shape in
            ["linear rate=9", "steps step=9 period_ms=10", "accelerating rate=9 period_ms=10", "plateau rate=9 cap=99"]
        {
            let level = level(&format!("base=5 shape={shape} onset_ms=1000"));
            near(level.at(999), 5.0);
            assert!(level.at(1100) > 5.0, "{shape}");
        }
    }

    #[test]
    fn a_line_is_straight_and_stops_at_its_cap() {
        let level = level("base=10 shape=linear rate=2 onset_ms=1000 cap=20");
        near(level.at(3000), 14.0);
        near(level.at(60_000), 20.0);
    }

    #[test]
    fn steps_come_at_the_onset_and_after_every_period() {
        let level = level("base=0 shape=steps step=7 period_ms=500 onset_ms=100");
        near(level.at(100), 7.0);
        near(level.at(599), 7.0);
        near(level.at(600), 14.0);
    }

    #[test]
    fn acceleration_doubles_the_rate_every_period() {
        let level = level("base=0 shape=accelerating rate=3 period_ms=10000 onset_ms=0");
        let slope = |ms: u64| (level.at(ms + 1) - level.at(ms)) * 1000.0;
        assert!(
            (slope(0) - 3.0).abs() < 0.01 && (slope(10_000) - 6.0).abs() < 0.01 && (slope(20_000) - 12.0).abs() < 0.01
        );
    }

    #[test]
    fn a_plateau_begins_like_a_line_and_never_passes_its_cap() {
        let level = level("base=100 shape=plateau rate=10 cap=200 onset_ms=0");
        assert!((level.at(100) - 101.0).abs() < 0.01);
        assert!(level.at(100_000) <= 200.0 && level.at(100_000) > 199.9);
    }

    #[test]
    fn a_saw_tooth_falls_back_after_each_period() {
        let level = level("base=10 shape=constant saw=8 saw_ms=1000");
        near(level.at(500), 14.0);
        near(level.at(1000), 10.0);
        assert_eq!(level.onset_ms(), None);
    }

    #[test]
    fn keys_of_another_shape_are_refused() {
        let mut line = Line::parse(1, "heap base=1 shape=constant rate=4").expect("a line");
        Level::read(&mut line).expect("a level");
        assert!(line.end().is_err());
        for text in [
            "heap base=9 shape=plateau rate=1 cap=2 onset_ms=0",
            "heap base=9 shape=steps step=1 period_ms=0 onset_ms=0",
        ] {
            assert!(Level::read(&mut Line::parse(1, text).expect("a line")).is_err(), "{text}");
        }
    }
}
