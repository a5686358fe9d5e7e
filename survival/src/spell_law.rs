//! Laws a spell may follow in a simulation: how much longer, given how long it has lasted.
//!
//! Every law answers one question: from `elapsed` on, after which time has the cumulative hazard grown by e? With e
//! exponential of mean 1 the answer is a draw of the remaining time, and e/Z one for an entity with hazard multiplier Z.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::log_normal::LogNormal;
use crate::power_law::PowerLaw;
use crate::{KaplanMeier, Observation, Result, SurvivalCurve, SurvivalError};

/// The law of one kind of spell.
#[derive(Debug, Clone, PartialEq)]
pub enum SpellLaw {
    /// Constant hazard, per unit of time.
    Exponential {
        /// 1 / mean.
        rate: f64,
    },
    /// H(t) = (t/scale)^shape.
    Weibull {
        /// ρ.
        shape: f64,
        /// λ.
        scale: f64,
    },
    /// ln T normal.
    LogNormal(LogNormal),
    /// What was seen, with an exponential tail.
    Empirical(Arc<EmpiricalLaw>),
    /// A predicted curve counted from the moment of the forecast; nothing ends beyond its grid.
    Curve(Arc<SurvivalCurve>),
    /// Minimal repair: the hazard runs on with age, whatever was repaired; `elapsed` is the age, repairs included.
    PowerLaw(PowerLaw),
}

impl SpellLaw {
    /// A constant hazard.
    ///
    /// # Errors
    /// When `rate` is not positive and finite.
    pub fn exponential(rate: f64) -> Result<Self> {
        positive("failure rate", rate)?;
        Ok(Self::Exponential { rate })
    }

    /// A Weibull law.
    ///
    /// # Errors
    /// When a parameter is not positive and finite.
    pub fn weibull(shape: f64, scale: f64) -> Result<Self> {
        positive("Weibull shape", shape)?;
        positive("Weibull scale", scale)?;
        Ok(Self::Weibull { shape, scale })
    }

    /// Time from `elapsed` on until the cumulative hazard has grown by `hazard`; ∞ where it never does.
    #[must_use]
    pub fn time_until(&self, elapsed: f64, hazard: f64) -> f64 {
        match self {
            Self::Exponential { rate } => hazard / rate,
            Self::Weibull { shape, scale } => {
                if elapsed <= 0.0 {
                    return scale * hazard.powf(1.0 / shape);
                }
                let share = elapsed / scale;
                (scale * (share.powf(*shape) + hazard).powf(1.0 / shape) - elapsed).max(0.0)
            }
            Self::LogNormal(law) => (law.time_of(law.survival_at(elapsed) * (-hazard).exp()) - elapsed).max(0.0),
            Self::Empirical(law) => law.time_until(elapsed, hazard),
            Self::Curve(curve) => curve_time(curve, elapsed, hazard),
            Self::PowerLaw(law) => law.time_until(elapsed, hazard),
        }
    }

    /// H(until) − H(from): what [`crate::gamma_poisson`] takes as expected failures; ∞ where survival reaches 0.
    #[must_use]
    pub fn hazard_between(&self, from: f64, until: f64) -> f64 {
        let rise = match self {
            Self::Exponential { rate } => rate * (until - from),
            Self::Weibull { shape, scale } => (until / scale).powf(*shape) - (from / scale).powf(*shape),
            Self::LogNormal(law) => law.survival_at(from).ln() - law.survival_at(until).ln(),
            Self::Empirical(law) => law.hazard_at(until) - law.hazard_at(from),
            Self::Curve(curve) => {
                let at = |time: f64| curve.survival_at(time.min(curve.grid().last_edge())).unwrap_or(0.0);
                at(from).ln() - at(until).ln()
            }
            Self::PowerLaw(law) => law.expected_failures(from, until),
        };
        rise.max(0.0)
    }

    /// Whether a repair leaves the clock running instead of setting it to 0.
    pub(crate) fn runs_on(&self) -> bool {
        matches!(self, Self::PowerLaw(_))
    }

    /// How far ahead the law is known.
    pub(crate) fn known_until(&self) -> f64 {
        match self {
            Self::Curve(curve) => curve.grid().last_edge(),
            _ => f64::INFINITY,
        }
    }
}

fn positive(what: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what, value, domain: "positive and finite" })
    }
}

fn curve_time(curve: &SurvivalCurve, elapsed: f64, hazard: f64) -> f64 {
    let Ok(now) = curve.survival_at(elapsed) else { return f64::INFINITY };
    // Above 0, so that a certain failure is met where S reaches 0 and not beyond the grid.
    let target = now * (-hazard).exp();
    let survival = curve.survival();
    let after = survival.partition_point(|&s| s > target);
    if after == survival.len() {
        return f64::INFINITY;
    }
    if after == 0 {
        return 0.0;
    }
    let (s0, s1) = (survival[after - 1], survival[after]);
    let edges = curve.grid().edges();
    let time = edges[after - 1] + (s0 - target) / (s0 - s1) * (edges[after] - edges[after - 1]);
    (time - elapsed).max(0.0)
}

/// The product-limit estimate as a law: Nelson–Aalen steps d/n where it was seen, and beyond its last step a constant
/// hazard, failures / total time of everything seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmpiricalLaw {
    times: Vec<f64>,
    /// −ln Ŝ at each time; ∞ is never stored.
    hazard: Vec<f64>,
    tail_rate: f64,
}

impl EmpiricalLaw {
    /// Kaplan–Meier of the observations. Where Ŝ reaches 0 the last step is left out and the tail takes over.
    ///
    /// # Errors
    /// When there is no observation or no failure.
    pub fn fit(observations: &[Observation]) -> Result<Self> {
        let estimate = KaplanMeier::fit(observations)?;
        let failures = observations.iter().filter(|o| o.failed()).count();
        if failures == 0 {
            return Err(SurvivalError::NoFailures { rows: observations.len() });
        }
        let watched: f64 = observations.iter().map(|o| o.duration() - o.entry()).sum();
        let (mut times, mut hazard) = (Vec::new(), Vec::new());
        for ((&time, &events), &survival) in estimate.times().iter().zip(estimate.events()).zip(estimate.survival()) {
            if events > 0.0 && survival > 0.0 {
                times.push(time);
                hazard.push(-survival.ln());
            }
        }
        Ok(Self { times, hazard, tail_rate: failures as f64 / watched })
    }

    /// 1 / mean of the exponential tail.
    #[must_use]
    pub fn tail_rate(&self) -> f64 {
        self.tail_rate
    }

    fn hazard_at(&self, time: f64) -> f64 {
        let passed = self.times.partition_point(|&t| t <= time);
        let seen = if passed == 0 { 0.0 } else { self.hazard[passed - 1] };
        let end = self.times.last().copied().unwrap_or(0.0);
        seen + (time - end).max(0.0) * self.tail_rate
    }

    fn time_until(&self, elapsed: f64, more: f64) -> f64 {
        let passed = self.times.partition_point(|&time| time <= elapsed);
        let seen = if passed == 0 { 0.0 } else { self.hazard[passed - 1] };
        let target = more + seen;
        let step = self.hazard.partition_point(|&h| h < target);
        if let Some(&time) = self.times.get(step) {
            return (time - elapsed).max(0.0);
        }
        let seen = self.hazard.last().copied().unwrap_or(0.0);
        let begin = self.times.last().copied().unwrap_or(0.0).max(elapsed);
        begin - elapsed + (target - seen).max(0.0) / self.tail_rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CensorReason, Outcome, TimeGrid, TimeUnit};

    #[test]
    fn each_law_adds_the_hazard_asked_for() {
        let weibull = SpellLaw::weibull(0.7, 20.0).unwrap();
        let time = weibull.time_until(5.0, 0.8);
        let rise = ((5.0 + time) / 20.0_f64).powf(0.7) - (5.0 / 20.0_f64).powf(0.7);
        assert!((rise - 0.8).abs() < 1e-12);
        let log_normal = LogNormal::try_new(1.0, 1.5).unwrap();
        let time = SpellLaw::LogNormal(log_normal).time_until(4.0, 0.3);
        let rise = (log_normal.survival_at(4.0) / log_normal.survival_at(4.0 + time)).ln();
        assert!((rise - 0.3).abs() < 1e-9);
        // Far out, where S is below the smallest double, the answer is still a time.
        assert!(SpellLaw::LogNormal(log_normal).time_until(1e30, 1.0).is_finite());
        assert!((SpellLaw::exponential(0.25).unwrap().time_until(99.0, 0.5) - 2.0).abs() < 1e-15);
    }

    #[test]
    fn a_curve_is_read_between_its_edges_and_ends_nothing_beyond() {
        let grid = Arc::new(TimeGrid::try_new(TimeUnit::Days, vec![0.0, 1.0, 3.0]).unwrap());
        let law = SpellLaw::Curve(Arc::new(SurvivalCurve::from_survival(grid, vec![1.0, 0.8, 0.4]).unwrap()));
        assert!((law.time_until(0.0, -0.9_f64.ln()) - 0.5).abs() < 1e-12);
        assert!((law.time_until(0.0, -0.6_f64.ln()) - 2.0).abs() < 1e-12);
        assert!((law.time_until(1.0, -0.75_f64.ln()) - 1.0).abs() < 1e-12);
        assert!(law.time_until(0.0, -0.39_f64.ln()).is_infinite() && law.time_until(4.0, 0.1).is_infinite());
    }

    #[test]
    fn the_empirical_law_steps_where_failures_were_and_has_the_stated_tail() {
        let failed = |t| Observation::try_new(t, Outcome::Failed(Cause(0))).unwrap();
        let lost = Observation::try_new(8.0, Outcome::Censored(CensorReason::Lost)).unwrap();
        let law = EmpiricalLaw::fit(&[failed(2.0), failed(5.0), lost, failed(2.0)]).unwrap();
        assert!((law.tail_rate() - 3.0 / 17.0).abs() < 1e-15);
        // Ŝ: ½ from 2 on, ¼ from 5 on.
        assert!((law.time_until(0.0, 0.1) - 2.0).abs() < 1e-12);
        assert!((law.time_until(2.0, 0.1) - 3.0).abs() < 1e-12);
        let into_tail = law.time_until(0.0, 4.0_f64.ln() + 0.5);
        assert!((into_tail - (5.0 + 0.5 * 17.0 / 3.0)).abs() < 1e-12);
        assert!((law.time_until(7.0, 0.5) - 0.5 * 17.0 / 3.0).abs() < 1e-12);
        // A curve that ends at 0 has no last step to wait for.
        let law = EmpiricalLaw::fit(&[failed(1.0)]).unwrap();
        assert!((law.time_until(0.0, 0.3) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn time_until_and_hazard_between_are_inverse() {
        let failed = |t| Observation::try_new(t, Outcome::Failed(Cause(0))).unwrap();
        let empirical = EmpiricalLaw::fit(&[failed(2.0), failed(5.0), failed(9.0)]).unwrap();
        for law in [
            SpellLaw::exponential(0.2).unwrap(),
            SpellLaw::weibull(0.6, 12.0).unwrap(),
            SpellLaw::LogNormal(LogNormal::try_new(1.0, 2.0).unwrap()),
            SpellLaw::PowerLaw(PowerLaw { scale: 0.4, shape: 0.8 }),
            // Within the tail, where it has no steps.
            SpellLaw::Empirical(Arc::new(empirical)),
        ] {
            for (elapsed, more) in [(9.0, 0.4), (30.0, 2.0)] {
                let until = elapsed + law.time_until(elapsed, more);
                assert!((law.hazard_between(elapsed, until) - more).abs() < 1e-9, "{law:?}");
            }
        }
    }

    #[test]
    fn impossible_parameters_are_refused() {
        assert!(SpellLaw::exponential(0.0).is_err() && SpellLaw::weibull(f64::NAN, 1.0).is_err());
        assert!(SpellLaw::weibull(1.0, -1.0).is_err());
        let alive = Observation::try_new(1.0, Outcome::Censored(CensorReason::Lost)).unwrap();
        assert!(matches!(EmpiricalLaw::fit(&[alive]), Err(SurvivalError::NoFailures { rows: 1 })));
        assert!(matches!(EmpiricalLaw::fit(&[]), Err(SurvivalError::Empty { .. })));
    }
}
