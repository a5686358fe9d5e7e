//! The power-law process of Crow and AMSAA: minimal repair with rate λβt^{β−1}, so E N(t) = λt^β.
//!
//! β < 1: failures come ever slower (growth), 1: a constant rate, β > 1: ever faster (wear). Estimates and interval as in
//! MIL-HDBK-189 (1981), appendix C: β̂ = n/Σ ln(T/t_i), λ̂ = n/T^β̂, 2nβ/β̂ ~ χ² with 2n degrees of freedom when
//! watching stopped at a time and 2(n − 1) when it stopped at a failure.

use serde::{Deserialize, Serialize};

use crate::random::Draws;
use crate::special::{chi_square_quantile, open_unit};
use crate::trend::{Truncation, split, too_few};
use crate::{Result, SurvivalError};

/// λ and β of E N(t) = λt^β, t counted from birth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// λ: expected failures by time 1.
    pub scale: f64,
    /// β.
    pub shape: f64,
}

/// One entity watched from age `from` to age `until`.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedProcess {
    /// Age at which watching began, at least 0.
    pub from: f64,
    /// Age at which it ended.
    pub until: f64,
    /// Ages at failure, inside (from, until].
    pub failures: Vec<f64>,
}

impl PowerLaw {
    /// Maximum likelihood of one λ and β common to many entities, each watched over its own ages:
    /// λ = n/Σ(T^β − S^β), n/β + Σ ln t = λ Σ(T^β ln T − S^β ln S) (MIL-HDBK-189, 5.3.2.3).
    ///
    /// # Errors
    /// When no entity failed, an age is out of order or not finite, or the failures sit where β has no finite estimate.
    pub fn fit(processes: &[WatchedProcess]) -> Result<Self> {
        let mut failures = 0.0;
        let mut longest = 0.0_f64;
        for process in processes {
            check_process(process)?;
            failures += process.failures.len() as f64;
            longest = longest.max(process.until);
        }
        if failures < 1.0 {
            return Err(SurvivalError::NoFailures { rows: processes.len() });
        }
        // Ages as shares of the longest: powers stay in range.
        let log_sum = processes.iter().flat_map(|p| &p.failures).map(|t| (t / longest).ln()).sum::<f64>();
        let power_sums = |shape: f64| {
            let (mut plain, mut logged) = (0.0, 0.0);
            for process in processes {
                let until = (process.until / longest).ln();
                plain += (shape * until).exp();
                logged += (shape * until).exp() * until;
                if process.from > 0.0 {
                    let from = (process.from / longest).ln();
                    plain -= (shape * from).exp();
                    logged -= (shape * from).exp() * from;
                }
            }
            (plain, logged)
        };
        // Falls in β: the derivative of a concave profile likelihood.
        let score = |shape: f64| {
            let (plain, logged) = power_sums(shape);
            failures / shape + log_sum - failures * logged / plain
        };
        let (mut low, mut high) = (1e-4_f64.ln(), 1e3_f64.ln());
        if score(low.exp()) <= 0.0 || score(high.exp()) >= 0.0 {
            return Err(SurvivalError::Domain {
                what: "shape of the power law",
                value: if score(low.exp()) <= 0.0 { 0.0 } else { f64::INFINITY },
                domain: "finite and above 0; the failures sit at one end of the watched ages, watch longer",
            });
        }
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if score(middle.exp()) > 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        let shape = (0.5 * (low + high)).exp();
        Ok(Self { scale: failures / power_sums(shape).0 / longest.powf(shape), shape })
    }

    /// λβt^{β−1}, failures per unit of time at age t > 0.
    #[must_use]
    pub fn intensity(&self, age: f64) -> f64 {
        self.scale * self.shape * age.powf(self.shape - 1.0)
    }

    /// Expected failures between two ages, 0 ≤ from ≤ until.
    #[must_use]
    pub fn expected_failures(&self, from: f64, until: f64) -> f64 {
        self.scale * (until.powf(self.shape) - from.powf(self.shape))
    }

    /// Time from `age` until the expected number of failures has grown by `more`.
    #[must_use]
    pub fn time_until(&self, age: f64, more: f64) -> f64 {
        let target = self.scale.mul_add(age.powf(self.shape), more) / self.scale;
        (target.powf(1.0 / self.shape) - age).max(0.0)
    }
}

fn check_process(process: &WatchedProcess) -> Result<()> {
    if !(process.from.is_finite() && process.from >= 0.0 && process.until > process.from && process.until.is_finite()) {
        return Err(SurvivalError::Entry { entry: process.from, duration: process.until });
    }
    match process.failures.iter().find(|t| !(**t > process.from && **t <= process.until)) {
        None => Ok(()),
        Some(&value) => Err(SurvivalError::Domain { what: "age at failure", value, domain: "within the watched ages" }),
    }
}

/// A power law fitted to one entity, with what is needed to judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrowAmsaa {
    law: PowerLaw,
    failures: usize,
    end: f64,
    truncation: Truncation,
    /// (t_i/T) of the failures that are random given the truncation.
    shares: Vec<f64>,
}

impl CrowAmsaa {
    /// Closed-form maximum likelihood from failure times counted from birth.
    ///
    /// # Errors
    /// When there are fewer than two times (three with failure truncation), a time is not positive and finite, times
    /// decrease, pass the end, or all sit at it.
    pub fn fit(times: &[f64], truncation: Truncation) -> Result<Self> {
        let (inner, end) = split(times, truncation)?;
        if inner.len() < 2 {
            return Err(too_few(times.len(), "at least 2 (3 where the last ends the watching)"));
        }
        let logs: f64 = inner.iter().map(|t| (end / t).ln()).sum();
        if logs <= 0.0 {
            return Err(SurvivalError::Domain { what: "failure time", value: end, domain: "not all at the end" });
        }
        let failures = times.len();
        let shape = failures as f64 / logs;
        let scale = failures as f64 / end.powf(shape);
        let shares = inner.iter().map(|t| t / end).collect();
        Ok(Self { law: PowerLaw { scale, shape }, failures, end, truncation, shares })
    }

    /// λ̂ and β̂.
    #[must_use]
    pub fn law(&self) -> PowerLaw {
        self.law
    }

    /// β̄, free of bias: (n − 1)/n·β̂ for time truncation, (n − 2)/n·β̂ for failure truncation.
    #[must_use]
    pub fn unbiased_shape(&self) -> f64 {
        (self.shares.len() as f64 - 1.0) / self.failures as f64 * self.law.shape
    }

    /// 1/(λ̂β̂T^{β̂−1}): mean time between failures at the end of watching.
    #[must_use]
    pub fn mean_time_between_failures(&self) -> f64 {
        1.0 / self.law.intensity(self.end)
    }

    /// Exact interval for β: β̂·χ²_{α/2, 2m}/(2n) to β̂·χ²_{1−α/2, 2m}/(2n), m = n or n − 1 as the truncation says.
    ///
    /// # Errors
    /// When `level` is outside (0, 1).
    pub fn shape_interval(&self, level: f64) -> Result<(f64, f64)> {
        open_unit("interval level", level)?;
        let freedom = 2.0 * self.shares.len() as f64;
        let per = self.law.shape / (2.0 * self.failures as f64);
        let tail = 0.5 * (1.0 - level);
        Ok((per * chi_square_quantile(tail, freedom)?, per * chi_square_quantile(1.0 - tail, freedom)?))
    }

    /// Cramér–von Mises statistic C²_M = 1/(12M) + Σ((t_i/T)^β̄ − (2i − 1)/(2M))² and its p value.
    ///
    /// Under the power law the statistic depends on M alone, so its law is simulated instead of read from a table.
    ///
    /// # Errors
    /// When `replicates` is 0.
    pub fn goodness_of_fit(&self, replicates: usize, seed: u64) -> Result<(f64, f64)> {
        if replicates == 0 {
            return Err(SurvivalError::Domain { what: "replicates", value: 0.0, domain: "at least 1" });
        }
        let statistic = cramer_von_mises(&self.shares);
        let mut as_large = 1;
        let mut shares = vec![0.0; self.shares.len()];
        for replicate in 0..replicates {
            let mut draws = Draws::new(seed, replicate as u64);
            shares.fill_with(|| draws.unit());
            shares.sort_unstable_by(f64::total_cmp);
            as_large += usize::from(cramer_von_mises(&shares) >= statistic);
        }
        Ok((statistic, as_large as f64 / (replicates + 1) as f64))
    }

    /// How watching ended.
    #[must_use]
    pub fn truncation(&self) -> Truncation {
        self.truncation
    }
}

/// C²_M of sorted shares with the unbiased shape estimated from the same shares, (M − 1)/Σ ln(1/share).
fn cramer_von_mises(shares: &[f64]) -> f64 {
    let m = shares.len() as f64;
    let shape = (m - 1.0) / -shares.iter().map(|s| s.ln()).sum::<f64>();
    let sum: f64 =
        shares.iter().enumerate().map(|(i, s)| (s.powf(shape) - (2.0 * i as f64 + 1.0) / (2.0 * m)).powi(2)).sum();
    1.0 / (12.0 * m) + sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MIL-HDBK-189 (1981), appendix C: two prototypes, 27 failures in 300 h.
    const HANDBOOK: [f64; 27] = [
        2.6, 16.5, 16.5, 17.0, 21.4, 29.1, 33.3, 56.5, 63.1, 70.6, 73.0, 77.7, 93.9, 95.5, 98.1, 101.1, 132.0, 142.2,
        147.7, 149.0, 167.2, 190.7, 193.0, 198.7, 251.9, 282.5, 286.1,
    ];

    #[test]
    fn the_example_of_the_handbook() {
        let fit = CrowAmsaa::fit(&HANDBOOK, Truncation::Time(300.0)).unwrap();
        // Printed there: β̂ 0.716, λ̂ 0.454, intensity at 300 h 0.0645, so MTBF 15.5; β̄ 0.690; C² 0.091.
        assert!((fit.law().shape - 0.716).abs() < 5e-4 && (fit.law().scale - 0.454).abs() < 5e-4, "{fit:?}");
        assert!((fit.law().intensity(300.0) - 0.0645).abs() < 5e-5);
        assert!((fit.mean_time_between_failures() - 15.5).abs() < 0.05);
        assert!((fit.unbiased_shape() - 0.690).abs() < 5e-4);
        let (statistic, p) = fit.goodness_of_fit(2_000, 1).unwrap();
        assert!((statistic - 0.091).abs() < 5e-4, "{statistic}");
        assert!(p > 0.2 && p < 0.6, "{p}");
        // The fitted curve passes through all 27 failures at the end.
        assert!((fit.law().expected_failures(0.0, 300.0) - 27.0).abs() < 1e-9);
        // scipy 1.17.1 `chi2.ppf`.
        let (low, high) = fit.shape_interval(0.90).unwrap();
        assert!(
            (low - 0.505_632_287_612_185_7).abs() < 1e-9 && (high - 0.957_151_511_970_735_8).abs() < 1e-9,
            "{low} {high}"
        );
    }

    #[test]
    fn the_failure_truncated_example_of_the_growth_reference() {
        // ReliaSoft reliability growth reference, "Crow-AMSAA parameter estimation": β̂ 0.6142, λ̂ 0.4239.
        let times = [
            2.7, 10.3, 12.5, 30.6, 57.0, 61.3, 80.0, 109.5, 125.0, 128.6, 143.8, 167.9, 229.2, 296.7, 320.6, 328.2,
            366.2, 396.7, 421.1, 438.2, 501.2, 620.0,
        ];
        let fit = CrowAmsaa::fit(&times, Truncation::Failure).unwrap();
        assert!((fit.law().shape - 0.6142).abs() < 5e-5 && (fit.law().scale - 0.4239).abs() < 2e-4, "{fit:?}");
        assert!((fit.unbiased_shape() - 20.0 / 22.0 * fit.law().shape).abs() < 1e-12);
        let (low, high) = fit.shape_interval(0.95).unwrap();
        assert!(low < fit.unbiased_shape() && fit.unbiased_shape() < high);
    }

    #[test]
    fn many_entities_with_one_of_them_reduce_to_the_closed_form() {
        let single = CrowAmsaa::fit(&HANDBOOK, Truncation::Time(300.0)).unwrap().law();
        let watched = WatchedProcess { from: 0.0, until: 300.0, failures: HANDBOOK.to_vec() };
        let pooled = PowerLaw::fit(&[watched]).unwrap();
        assert!((pooled.shape - single.shape).abs() < 1e-10 && (pooled.scale - single.scale).abs() < 1e-9);
        // Unequal ends, one entity entered late; root of the score found by scipy 1.17.1 `brentq`.
        let processes = [
            WatchedProcess { from: 0.0, until: 4.0, failures: vec![0.5, 1.0, 1.5, 2.0, 3.0] },
            WatchedProcess { from: 0.0, until: 100.0, failures: vec![50.0] },
            WatchedProcess { from: 10.0, until: 40.0, failures: vec![12.0, 30.0] },
        ];
        let pooled = PowerLaw::fit(&processes).unwrap();
        assert!(
            (pooled.shape - 0.360_156_536_424_623).abs() < 1e-9 && (pooled.scale - 0.954_271_224_378_582).abs() < 1e-9
        );
    }

    #[test]
    fn the_time_until_more_failures_inverts_their_expected_number() {
        let law = PowerLaw { scale: 0.3, shape: 0.7 };
        for (age, more) in [(0.0, 0.2), (5.0, 1e-3), (200.0, 4.0)] {
            let time = law.time_until(age, more);
            assert!((law.expected_failures(age, age + time) - more).abs() < 1e-9);
        }
    }

    #[test]
    fn a_sudden_change_of_pace_is_no_power_law() {
        let times: Vec<f64> = (1..=10).chain(900..910).map(f64::from).collect();
        let (_, p) = CrowAmsaa::fit(&times, Truncation::Time(1000.0)).unwrap().goodness_of_fit(2_000, 3).unwrap();
        assert!(p < 0.01, "{p}");
    }

    #[test]
    fn what_no_power_law_can_be_fitted_to_is_refused() {
        assert!(CrowAmsaa::fit(&[1.0], Truncation::Time(2.0)).is_err());
        assert!(CrowAmsaa::fit(&[1.0, 2.0], Truncation::Failure).is_err());
        assert!(CrowAmsaa::fit(&[2.0, 2.0], Truncation::Time(2.0)).is_err());
        let watched = |from, until, failures: &[f64]| WatchedProcess { from, until, failures: failures.to_vec() };
        assert!(matches!(PowerLaw::fit(&[watched(0.0, 3.0, &[])]), Err(SurvivalError::NoFailures { rows: 1 })));
        assert!(matches!(PowerLaw::fit(&[watched(3.0, 3.0, &[])]), Err(SurvivalError::Entry { .. })));
        assert!(matches!(PowerLaw::fit(&[watched(0.0, 3.0, &[4.0])]), Err(SurvivalError::Domain { .. })));
        assert!(matches!(PowerLaw::fit(&[watched(0.0, 3.0, &[3.0])]), Err(SurvivalError::Domain { .. })));
        let fit = CrowAmsaa::fit(&HANDBOOK, Truncation::Time(300.0)).unwrap();
        assert!(fit.shape_interval(1.0).is_err() && fit.goodness_of_fit(0, 0).is_err());
    }
}
