//! A forecast given as draws: its mean, its quantiles, and how far it was from what happened.

use crate::special::open_unit;
use crate::{Result, SurvivalError};

/// Draws of one quantity, each as likely as the others, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastSample {
    sorted: Vec<f64>,
}

impl ForecastSample {
    /// Sorts the draws.
    ///
    /// # Errors
    /// When there is none or one is not finite.
    pub fn try_new(mut draws: Vec<f64>) -> Result<Self> {
        if draws.is_empty() {
            return Err(SurvivalError::Empty { what: "list of forecast draws" });
        }
        crate::scores::check_values("forecast draws", &draws)?;
        draws.sort_unstable_by(f64::total_cmp);
        Ok(Self { sorted: draws })
    }

    /// The draws, increasing.
    #[must_use]
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    /// Their mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len() as f64
    }

    /// inf{x : share of draws ≤ x reaches `level`}: the forecast that is best under the pinball loss of this level, so
    /// the median under the absolute error (Gneiting 2011, J. Am. Stat. Assoc. 106, 746).
    ///
    /// # Errors
    /// When `level` is outside (0, 1).
    pub fn quantile(&self, level: f64) -> Result<f64> {
        open_unit("quantile level", level)?;
        let rank = (level * self.sorted.len() as f64).ceil() as usize;
        Ok(self.sorted[rank.clamp(1, self.sorted.len()) - 1])
    }

    /// Share of draws above `limit`.
    #[must_use]
    pub fn share_above(&self, limit: f64) -> f64 {
        let at_most = self.sorted.partition_point(|&value| value <= limit);
        (self.sorted.len() - at_most) as f64 / self.sorted.len() as f64
    }

    /// Continuous ranked probability score of the draws' empirical distribution F, ∫(F(x) − 1\[x ≥ y\])²dx, through
    /// E|X − y| − ½E|X − X′| (Gneiting & Raftery 2007, eq. 21); 0 is perfect, a point forecast scores its absolute error.
    ///
    /// Exact; O(n) on sorted draws, so O(n log n) with the sorting: Σ_{i,j}|x_i − x_j| = 2 Σ_i (2i − n − 1) x_(i).
    ///
    /// # Errors
    /// When `observed` is not finite.
    pub fn crps(&self, observed: f64) -> Result<f64> {
        if !observed.is_finite() {
            return Err(SurvivalError::Domain { what: "observed value", value: observed, domain: "finite" });
        }
        let n = self.sorted.len() as f64;
        // Differences from the outcome keep the digits of a sample far from 0.
        let (mut distance, mut spread) = (0.0, 0.0);
        for (place, value) in self.sorted.iter().enumerate() {
            let difference = value - observed;
            distance += difference.abs();
            spread += (2.0 * place as f64 + 1.0 - n) * difference;
        }
        Ok((distance / n - spread / (n * n)).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(draws: &[f64]) -> ForecastSample {
        ForecastSample::try_new(draws.to_vec()).unwrap()
    }

    #[test]
    fn crps_agrees_with_the_double_sum_and_with_hand_worked_cases() {
        // One draw: the absolute error. Draws 0 and 1, outcome 0: ½ − ½·½ = ¼.
        assert!((sample(&[3.0]).crps(5.0).unwrap() - 2.0).abs() < 1e-15);
        assert!((sample(&[0.0, 1.0]).crps(0.0).unwrap() - 0.25).abs() < 1e-15);
        let draws = [2.5_f64, -1.0, 7.0, 2.5, 0.3, 11.0, 4.0];
        for observed in [-3.0, 0.3, 2.0, 20.0] {
            let n = draws.len() as f64;
            let distance: f64 = draws.iter().map(|x| (x - observed).abs()).sum();
            let spread: f64 = draws.iter().flat_map(|x| draws.iter().map(move |y| (x - y).abs())).sum();
            let slow = distance / n - 0.5 * spread / (n * n);
            assert!((sample(&draws).crps(observed).unwrap() - slow).abs() < 1e-12);
        }
    }

    #[test]
    fn crps_is_what_scoringrules_prints() {
        // scoringrules 0.10 `crps_ensemble(y, x, estimator="nrg")`, Apache-2.0.
        let draws = [0.1, 0.4, 0.45, 1.7, 3.2, 9.0];
        for (observed, expected) in [(0.0, 0.970_833_333_333_333_4), (1.0, 0.654_166_666_666_666_6), (5.5, 2.687_5)] {
            assert!((sample(&draws).crps(observed).unwrap() - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn quantiles_are_draws_and_shares_count_strictly_above() {
        let sample = sample(&[4.0, 1.0, 3.0, 2.0]);
        for (level, expected) in [(0.01, 1.0), (0.25, 1.0), (0.26, 2.0), (0.5, 2.0), (0.99, 4.0)] {
            assert!((sample.quantile(level).unwrap() - expected).abs() < 1e-15, "{level}");
        }
        assert!((sample.share_above(2.0) - 0.5).abs() < 1e-15 && sample.share_above(4.0) < 1e-15);
        assert!((sample.mean() - 2.5).abs() < 1e-15);
    }

    #[test]
    fn nothing_and_nan_are_refused() {
        assert!(matches!(ForecastSample::try_new(vec![]), Err(SurvivalError::Empty { .. })));
        assert!(matches!(ForecastSample::try_new(vec![1.0, f64::NAN]), Err(SurvivalError::NonFinite { row: 1, .. })));
        assert!(sample(&[1.0]).crps(f64::INFINITY).is_err() && sample(&[1.0]).quantile(1.0).is_err());
    }
}
