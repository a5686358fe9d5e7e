//! Simulated requests: an open loop, so that they come whether or not the container keeps up.

use super::ScriptError;
use super::line::Line;

/// Share of a burst's period in which the requests are more.
const BURST_SHARE: f64 = 0.25;
/// Step of the integration of the rate, in seconds; patterns change over many seconds.
const STEP: f64 = 0.01;

/// Requests, and what each costs.
///
/// Keys: `rate` per second, `cores` of CPU that requests take at that rate, `scratch` bytes touched by each, `pattern`;
/// for `sine` and `bursts` `period_ms` and `amplitude`, a share of the rate (with `constant` they may stand there and
/// mean nothing); optional, `growth` of the rate and `cost_growth` of a request's CPU, both as a share of their
/// beginning per minute, from `onset_ms` on.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Requests per second at the start.
    pub rate: f64,
    /// CPU in cores at that rate.
    pub cores: f64,
    /// Bytes that a request allocates, writes and frees.
    pub scratch: f64,
    /// How the rate swings.
    pub pattern: Pattern,
    /// Share of the rate by which it grows per minute.
    pub growth: f64,
    /// Share of its CPU by which a request grows per minute.
    pub cost_growth: f64,
    onset: u64,
}

/// How the rate swings around its mean, or above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pattern {
    /// Not at all.
    Constant,
    /// `rate * (1 + amplitude * sin)`, amplitude at most 1.
    Sine {
        /// Milliseconds of a whole swing.
        period_ms: u64,
        /// Share of the rate.
        amplitude: f64,
    },
    /// `rate * (1 + amplitude)` in the first quarter of each period, `rate` in the rest.
    Bursts {
        /// Milliseconds from burst to burst.
        period_ms: u64,
        /// Share of the rate.
        amplitude: f64,
    },
}

impl Load {
    pub(super) fn read(line: &mut Line<'_>) -> Result<Self, ScriptError> {
        let (rate, cores, scratch) = (line.positive("rate")?, line.number("cores")?, line.number("scratch")?);
        let name = line.word("pattern", &[("constant", 'c'), ("sine", 's'), ("bursts", 'b')])?;
        let pattern = if name == 'c' {
            line.optional_whole("period_ms")?;
            line.number_or_zero("amplitude")?;
            Pattern::Constant
        } else {
            let (period_ms, amplitude) = (line.whole("period_ms")?, line.number("amplitude")?);
            if period_ms == 0 {
                return Err(line.error("period_ms", "0", "a period is at least 1 ms"));
            }
            if name == 'b' {
                Pattern::Bursts { period_ms, amplitude }
            } else if amplitude <= 1.0 {
                Pattern::Sine { period_ms, amplitude }
            } else {
                return Err(line.error("amplitude", &amplitude.to_string(), "a sine of the rate swings by at most 1"));
            }
        };
        let (growth, cost_growth) = (line.number_or_zero("growth")?, line.number_or_zero("cost_growth")?);
        let onset = line.optional_whole("onset_ms")?.unwrap_or(0);
        Ok(Self { rate, cores, scratch, pattern, growth, cost_growth, onset })
    }

    /// Milliseconds after the start at which load grows; `None` if it never does.
    pub fn onset_ms(&self) -> Option<u64> {
        (self.growth > 0.0 || self.cost_growth > 0.0).then_some(self.onset)
    }

    /// Requests per second at a time in seconds after the start.
    pub fn rate_at(&self, seconds: f64) -> f64 {
        let phase = |period_ms: u64| (seconds * 1000.0 / period_ms as f64).fract();
        let swing = match self.pattern {
            Pattern::Constant => 0.0,
            Pattern::Sine { period_ms, amplitude } => amplitude * (std::f64::consts::TAU * phase(period_ms)).sin(),
            Pattern::Bursts { period_ms, amplitude } if phase(period_ms) < BURST_SHARE => amplitude,
            Pattern::Bursts { .. } => 0.0,
        };
        self.rate * (1.0 + swing) * (1.0 + self.growth * self.minutes(seconds))
    }

    /// Seconds of CPU that a request takes at a time in seconds after the start.
    pub fn cost_at(&self, seconds: f64) -> f64 {
        self.cores / self.rate * (1.0 + self.cost_growth * self.minutes(seconds))
    }

    /// Time in seconds of the request that follows one at `seconds`, given a draw from the unit exponential: the
    /// moment at which the integral of the rate has grown by the draw, which makes the requests a Poisson process.
    pub fn next(&self, seconds: f64, draw: f64) -> f64 {
        let (mut time, mut left) = (seconds, draw);
        loop {
            let rate = self.rate_at(time);
            if rate * STEP >= left {
                return time + left / rate;
            }
            left -= rate * STEP;
            time += STEP;
        }
    }

    fn minutes(&self, seconds: f64) -> f64 {
        ((seconds - self.onset as f64 / 1000.0) / 60.0).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Load {
        let text = format!("load rate=40 cores=0.02 scratch=0 {text}");
        Load::read(&mut Line::parse(1, &text).expect("a line")).expect("a load")
    }

    /// Requests up to a time, with the mean of the exponential as every draw: no noise.
    fn total(load: &Load, until: f64) -> f64 {
        let (mut time, mut count) = (0.0, 0.0);
        while time < until {
            time = load.next(time, 1.0);
            count += 1.0;
        }
        count
    }

    fn near(seen: f64, wanted: f64) {
        // One request at the end, and steps of 10 ms across the jumps of a pattern.
        assert!((seen - wanted).abs() <= 2.0 + 0.005 * wanted, "{seen} instead of {wanted}");
    }

    #[test]
    fn patterns_have_the_totals_their_definition_gives() {
        near(total(&load("pattern=constant"), 60.0), 2400.0);
        near(total(&load("pattern=sine period_ms=5000 amplitude=0.9"), 60.0), 2400.0);
        near(total(&load("pattern=bursts period_ms=10000 amplitude=4"), 60.0), 2400.0 * (1.0 + 4.0 * BURST_SHARE));
    }

    #[test]
    fn a_rate_that_touches_zero_still_goes_on() {
        near(total(&load("pattern=sine period_ms=5000 amplitude=1"), 60.0), 2400.0);
    }

    #[test]
    fn growth_begins_at_its_onset() {
        let load = load("pattern=constant growth=0.5 cost_growth=1 onset_ms=60000");
        assert!((load.rate_at(60.0) - 40.0).abs() < 1e-9 && (load.rate_at(120.0) - 60.0).abs() < 1e-9);
        assert!((load.cost_at(30.0) - 0.0005).abs() < 1e-12 && (load.cost_at(120.0) - 0.001).abs() < 1e-12);
        assert_eq!(load.onset_ms(), Some(60_000));
    }

    #[test]
    fn amplitudes_that_make_a_negative_rate_are_refused() {
        let text = "load rate=1 cores=0 scratch=0 pattern=sine period_ms=10 amplitude=1.5";
        assert!(Load::read(&mut Line::parse(1, text).expect("a line")).is_err());
    }
}
