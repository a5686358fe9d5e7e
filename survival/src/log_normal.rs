//! Log-normal durations: ln T ~ N(μ, σ²), the usual law of repair times; ages still running are censored.
//!
//! Without censoring μ and σ are the mean and the (maximum likelihood) standard deviation of the logs. With it the EM
//! iteration replaces what is not known by its expectation: with a = (ln c − μ)/σ and Mills' ratio m = φ(a)/(1 − Φ(a)),
//! E ln T = μ + σm and E (ln T)² = μ² + 2μσm + σ²(1 + am) (Cohen 1959, Technometrics 1, 217).

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::special::{normal_cdf, normal_quantile};
use crate::{Observation, Result, SurvivalError};

const MAX_ITERATIONS: usize = 10_000;
/// Stop when neither parameter moves by more than this.
const TOLERANCE: f64 = 1e-12;

/// A log-normal law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogNormal {
    location: f64,
    spread: f64,
}

impl LogNormal {
    /// The law with this μ and σ.
    ///
    /// # Errors
    /// When μ is not finite or σ not positive and finite.
    pub fn try_new(location: f64, spread: f64) -> Result<Self> {
        if !location.is_finite() {
            return Err(SurvivalError::Domain { what: "mean of the logs", value: location, domain: "finite" });
        }
        if !(spread.is_finite() && spread > 0.0) {
            return Err(SurvivalError::Domain {
                what: "standard deviation of the logs",
                value: spread,
                domain: "positive and finite; with all durations equal there is no spread to fit",
            });
        }
        Ok(Self { location, spread })
    }

    /// Maximum likelihood; every cause ends a duration.
    ///
    /// # Errors
    /// When there is no observation, none ended, one was entered late (not supported), the ended ones are all equal, or
    /// the iteration does not settle.
    pub fn fit(observations: &[Observation]) -> Result<Self> {
        if observations.is_empty() {
            return Err(SurvivalError::Empty { what: "list of observations" });
        }
        if let Some(late) = observations.iter().find(|o| o.entry() > 0.0) {
            return Err(SurvivalError::Domain {
                what: "entry time",
                value: late.entry(),
                domain: "0: a log-normal law is fitted to durations seen from their beginning",
            });
        }
        let logs = |ended: bool| observations.iter().filter(move |o| o.failed() == ended).map(|o| o.duration().ln());
        let ended: Vec<f64> = logs(true).collect();
        let running: Vec<f64> = logs(false).collect();
        if ended.is_empty() {
            return Err(SurvivalError::NoFailures { rows: observations.len() });
        }
        let count = ended.len() as f64;
        let mean = ended.iter().sum::<f64>() / count;
        let square = ended.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        let mut law = Self::try_new(mean, square.sqrt())?;
        if running.is_empty() {
            return Ok(law);
        }
        let total = observations.len() as f64;
        for _ in 0..MAX_ITERATIONS {
            // Deviations from the current mean: sums of squares of large logs would lose digits.
            let (mut first, mut second) = (0.0, 0.0);
            for value in &ended {
                first += value - law.location;
                second += (value - law.location).powi(2);
            }
            for value in &running {
                let a = (value - law.location) / law.spread;
                let mills = mills(a);
                first += law.spread * mills;
                second += law.spread * law.spread * (1.0 + a * mills);
            }
            let shift = first / total;
            let next = Self::try_new(law.location + shift, (second / total - shift * shift).max(0.0).sqrt())?;
            let moved = shift.abs().max((next.spread - law.spread).abs());
            law = next;
            if moved <= TOLERANCE * (1.0 + law.location.abs()) {
                return Ok(law);
            }
        }
        Err(SurvivalError::NoConvergence { what: "log-normal law", iterations: MAX_ITERATIONS, last_step: TOLERANCE })
    }

    /// μ.
    #[must_use]
    pub fn location(&self) -> f64 {
        self.location
    }

    /// σ.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.spread
    }

    /// e^{μ + σ²/2}.
    #[must_use]
    pub fn mean(&self) -> f64 {
        (self.location + 0.5 * self.spread * self.spread).exp()
    }

    /// S(t) = 1 − Φ((ln t − μ)/σ); 1 up to t = 0.
    #[must_use]
    pub fn survival_at(&self, time: f64) -> f64 {
        if time <= 0.0 { 1.0 } else { normal_cdf((self.location - time.ln()) / self.spread) }
    }

    /// inf{t : S(t) ≤ survival}; 0 at 1 and above, the largest time a double reaches in the far tail.
    #[must_use]
    pub fn time_of(&self, survival: f64) -> f64 {
        if survival >= 1.0 {
            return 0.0;
        }
        let deviate = normal_quantile(survival.max(f64::MIN_POSITIVE)).unwrap_or(-38.0);
        (self.location - self.spread * deviate).exp()
    }
}

/// φ(a)/(1 − Φ(a)); in the far tail, where both vanish, a + 1/a.
fn mills(a: f64) -> f64 {
    if a > 30.0 {
        return a + 1.0 / a;
    }
    (-0.5 * a * a).exp() / (2.0 * PI).sqrt() / normal_cdf(-a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CensorReason, Outcome};

    fn lives(ended: &[f64], running: &[f64]) -> Vec<Observation> {
        let of =
            |times: &[f64], outcome| times.iter().map(move |&t| Observation::try_new(t, outcome).unwrap()).collect();
        let mut all: Vec<Observation> = of(ended, Outcome::Failed(Cause(0)));
        let running: Vec<Observation> = of(running, Outcome::Censored(CensorReason::EndOfObservation));
        all.extend(running);
        all
    }

    #[test]
    fn without_censoring_it_is_mean_and_deviation_of_the_logs() {
        let law = LogNormal::fit(&lives(&[1.0, 1.0_f64.exp(), 2.0_f64.exp()], &[])).unwrap();
        assert!((law.location() - 1.0).abs() < 1e-12 && (law.spread() - (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((law.mean() - (1.0 + 1.0_f64 / 3.0).exp()).abs() < 1e-12);
    }

    #[test]
    fn censored_repairs_give_what_scipy_maximises() {
        // scipy 1.17.1 Nelder–Mead on the censored likelihood; lifelines 0.30.3 `LogNormalFitter` stops at 2.20791, 1.38869.
        let law =
            LogNormal::fit(&lives(&[1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 2.5], &[4.0, 10.0, 60.0])).unwrap();
        assert!((law.location() - 2.207_914_7).abs() < 1e-6 && (law.spread() - 1.388_696_2).abs() < 1e-6, "{law:?}");
    }

    #[test]
    fn survival_and_time_are_inverse() {
        let law = LogNormal::try_new(0.5, 1.7).unwrap();
        for survival in [1e-12, 0.01, 0.5, 0.999] {
            assert!((law.survival_at(law.time_of(survival)) / survival - 1.0).abs() < 1e-9);
        }
        assert!(law.time_of(1.0) <= 0.0 && law.time_of(0.0).is_finite() && (law.survival_at(0.0) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn what_gives_no_law_is_refused() {
        assert!(matches!(LogNormal::fit(&[]), Err(SurvivalError::Empty { .. })));
        assert!(matches!(LogNormal::fit(&lives(&[], &[1.0])), Err(SurvivalError::NoFailures { rows: 1 })));
        assert!(matches!(LogNormal::fit(&lives(&[2.0, 2.0], &[])), Err(SurvivalError::Domain { .. })));
        let late = Observation::try_with_entry(2.0, 1.0, Outcome::Failed(Cause(0))).unwrap();
        assert!(matches!(LogNormal::fit(&[late]), Err(SurvivalError::Domain { what: "entry time", .. })));
        assert!(LogNormal::try_new(f64::NAN, 1.0).is_err() && LogNormal::try_new(0.0, f64::INFINITY).is_err());
    }
}
