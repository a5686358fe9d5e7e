//! How often does this one fail? Counts with a gamma-distributed rate per entity, shrunk by empirical Bayes.
//!
//! Entity i is expected to fail E_i times by a common law (its accumulated hazard) and does so with rate multiplier
//! Z_i ~ Gamma(k, k), mean 1, variance 1/k: n_i | Z_i ~ Poisson(μ E_i Z_i), so n_i is negative binomial. Then
//! Z_i | n_i ~ Gamma(k + n_i, k + μ E_i): a quiet entity is drawn towards the fleet, a bad one believed (Efron & Morris
//! 1973; as frailty: Klein 1992). Large k: all alike.

use serde::{Deserialize, Serialize};

use crate::special::ln_gamma;
use crate::{Result, SurvivalError};

/// Between these k is looked for: variance of the multiplier from 1 000 down to one in a million.
const SMALLEST_K: f64 = 1e-3;
const LARGEST_K: f64 = 1e6;

/// A rate multiplier as known after counting: gamma with this shape and rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GammaFrailty {
    /// k + n.
    pub shape: f64,
    /// (k + μE)/μ, so that draws include the overall rate μ.
    pub rate: f64,
}

impl GammaFrailty {
    /// Shape / rate.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.shape / self.rate
    }
}

/// μ and k of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GammaPoisson {
    rate: f64,
    concentration: f64,
    log_likelihood: f64,
}

impl GammaPoisson {
    /// Maximum likelihood of (μ, k) from counts and what the common law expected.
    ///
    /// # Errors
    /// When there is no entity, lengths differ, an expectation is negative or not finite, or nothing failed.
    pub fn fit(counts: &[usize], expected: &[f64]) -> Result<Self> {
        crate::scores::check_rows("expected failures", counts.len(), expected.len())?;
        if let Some(&value) = expected.iter().find(|e| !(e.is_finite() && **e >= 0.0)) {
            return Err(SurvivalError::Domain { what: "expected failures", value, domain: "at least 0 and finite" });
        }
        // An entity watched for no time says nothing.
        let rows: Vec<(f64, f64)> =
            counts.iter().zip(expected).filter(|(_, e)| **e > 0.0).map(|(&n, &e)| (n as f64, e)).collect();
        if rows.iter().map(|(n, _)| n).sum::<f64>() < 1.0 {
            return Err(SurvivalError::NoFailures { rows: counts.len() });
        }
        let at = |log_k: f64| {
            let k = log_k.exp();
            let rate = rate_given(&rows, k);
            (log_likelihood(&rows, rate, k), rate)
        };
        // Golden section on ln k: the profile has one maximum on all data met so far, and k only shrinks.
        let ratio = 0.5 * (5.0_f64.sqrt() - 1.0);
        let (mut low, mut high) = (SMALLEST_K.ln(), LARGEST_K.ln());
        let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
        let (mut at_left, mut at_right) = (at(left).0, at(right).0);
        for _ in 0..45 {
            if at_left >= at_right {
                (high, right, at_right) = (right, left, at_left);
                left = high - ratio * (high - low);
                at_left = at(left).0;
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = low + ratio * (high - low);
                at_right = at(right).0;
            }
        }
        let middle = 0.5 * (low + high);
        let (log_likelihood, rate) = at(middle);
        Ok(Self { rate, concentration: middle.exp(), log_likelihood })
    }

    /// μ: what the common law's expectations are off by on average.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// k; the multiplier has variance 1/k.
    #[must_use]
    pub fn concentration(&self) -> f64 {
        self.concentration
    }

    /// Negative binomial log-likelihood at the optimum.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// The multiplier of the common hazard for an entity seen to fail `count` times where `expected` were expected.
    ///
    /// # Errors
    /// When `expected` is negative or not finite.
    pub fn posterior(&self, count: usize, expected: f64) -> Result<GammaFrailty> {
        if !(expected.is_finite() && expected >= 0.0) {
            return Err(SurvivalError::Domain {
                what: "expected failures",
                value: expected,
                domain: "at least 0 and finite",
            });
        }
        let shape = self.concentration + count as f64;
        Ok(GammaFrailty { shape, rate: (self.concentration + self.rate * expected) / self.rate })
    }
}

/// μ for this k: the root of Σ (n − μE)·k/(k + μE), which falls in μ.
fn rate_given(rows: &[(f64, f64)], k: f64) -> f64 {
    let score = |rate: f64| rows.iter().map(|(n, e)| (n - rate * e) / (k + rate * e)).sum::<f64>();
    let crude = rows.iter().map(|(n, _)| n).sum::<f64>() / rows.iter().map(|(_, e)| e).sum::<f64>();
    let (mut low, mut high) = (crude.ln(), crude.ln());
    while score(low.exp()) < 0.0 && low > -690.0 {
        low -= 1.0;
    }
    while score(high.exp()) > 0.0 && high < 690.0 {
        high += 1.0;
    }
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if score(middle.exp()) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

fn log_likelihood(rows: &[(f64, f64)], rate: f64, k: f64) -> f64 {
    rows.iter()
        .map(|&(n, e)| {
            let mean = rate * e;
            // ln Γ(k + n) − ln Γ(k) as a sum: for large k the difference of the two would lose its digits.
            let rising: f64 = (0..n as usize).map(|i| (k + i as f64).ln()).sum();
            let counted = if n > 0.0 { n * (mean / (k + mean)).ln() } else { 0.0 };
            rising - ln_gamma(n + 1.0) - k * (mean / k).ln_1p() + counted
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [usize; 10] = [0, 0, 1, 0, 3, 12, 2, 0, 5, 1];
    const EXPECTED: [f64; 10] = [1.0, 0.5, 1.0, 2.0, 1.0, 1.5, 1.0, 0.2, 3.0, 1.0];

    #[test]
    fn the_negative_binomial_maximum_is_scipys() {
        // scipy 1.17.1 Nelder–Mead on the same likelihood.
        let fit = GammaPoisson::fit(&COUNTS, &EXPECTED).unwrap();
        assert!((fit.rate() - 1.847_814_5).abs() < 1e-5, "{fit:?}");
        assert!((fit.concentration() - 0.861_325_8).abs() < 1e-5);
        assert!((fit.log_likelihood() + 18.487_443_341_2).abs() < 1e-8);
    }

    #[test]
    fn the_posterior_lies_between_the_entity_and_the_fleet() {
        let fit = GammaPoisson::fit(&COUNTS, &EXPECTED).unwrap();
        let bad = fit.posterior(12, 1.5).unwrap().mean();
        assert!(bad < 12.0 / 1.5 && bad > fit.rate(), "{bad}");
        let quiet = fit.posterior(0, 2.0).unwrap().mean();
        assert!(quiet > 0.0 && quiet < fit.rate());
        assert!((fit.posterior(0, 0.0).unwrap().mean() - fit.rate()).abs() < 1e-12, "unseen: the fleet's own");
    }

    #[test]
    fn counts_without_extra_spread_are_shrunk_to_the_fleet() {
        let fit = GammaPoisson::fit(&[2; 50], &[2.0; 50]).unwrap();
        assert!(fit.concentration() > 1e5 && (fit.rate() - 1.0).abs() < 1e-9, "{fit:?}");
        assert!((fit.posterior(4, 2.0).unwrap().mean() - 1.0).abs() < 1e-3);
    }

    #[test]
    fn counts_that_say_nothing_are_refused() {
        assert!(matches!(GammaPoisson::fit(&[], &[]), Err(SurvivalError::Empty { .. })));
        assert!(matches!(GammaPoisson::fit(&[1], &[]), Err(SurvivalError::Shape { .. })));
        assert!(matches!(GammaPoisson::fit(&[0, 0], &[1.0, 1.0]), Err(SurvivalError::NoFailures { rows: 2 })));
        assert!(matches!(GammaPoisson::fit(&[1], &[f64::NAN]), Err(SurvivalError::Domain { .. })));
        assert!(GammaPoisson::fit(&COUNTS, &EXPECTED).unwrap().posterior(1, -1.0).is_err());
    }
}
