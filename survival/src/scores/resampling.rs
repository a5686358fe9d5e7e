//! Intervals and paired differences by resampling whole clusters (entities, racks, runs) with replacement.
//!
//! Rows of one unit are not independent, so units are drawn, not rows. Percentile intervals. Every replicate has its
//! own stream of a small generator seeded from (seed, replicate), so results depend on nothing but the inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{check_rows, check_values};
use crate::special::open_unit;
use crate::{Result, SurvivalError};

/// A statistic with a bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The statistic on the data as they are.
    pub estimate: f64,
    /// Lower percentile.
    pub low: f64,
    /// Upper percentile.
    pub high: f64,
    /// Nominal level, such as 0.95.
    pub level: f64,
}

/// mean(a) − mean(b) with a bootstrap interval, the same clusters drawn for both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedInterval {
    /// mean(a) − mean(b).
    pub difference: f64,
    /// Lower percentile.
    pub low: f64,
    /// Upper percentile.
    pub high: f64,
    /// Nominal level.
    pub level: f64,
    /// Two-sided p: twice the smaller share of replicates on either side of 0, counting the data themselves once,
    /// so never below 2/(replicates + 1).
    pub p_value: f64,
}

/// Draws clusters with replacement.
#[derive(Debug, Clone)]
pub struct ClusterBootstrap {
    cluster_of_row: Vec<usize>,
    clusters: usize,
    replicates: usize,
    seed: u64,
    level: f64,
}

impl ClusterBootstrap {
    /// One group name per row; rows sharing a name are drawn together. Level 0.95 unless changed.
    ///
    /// # Errors
    /// When there is no row or no replicate, or only one cluster, whose resampling would show no spread.
    pub fn new(groups: &[impl AsRef<str>], replicates: usize, seed: u64) -> Result<Self> {
        if groups.is_empty() {
            return Err(SurvivalError::Empty { what: "list of groups" });
        }
        if replicates == 0 {
            return Err(SurvivalError::Domain { what: "bootstrap replicates", value: 0.0, domain: "at least 1" });
        }
        // Sorted names: the numbering, and with it every draw, does not depend on the order of rows.
        let mut number: BTreeMap<&str, usize> = groups.iter().map(|g| (g.as_ref(), 0)).collect();
        for (position, value) in number.values_mut().enumerate() {
            *value = position;
        }
        let clusters = number.len();
        if clusters < 2 {
            return Err(SurvivalError::Domain {
                what: "number of bootstrap clusters",
                value: clusters as f64,
                domain: "at least 2",
            });
        }
        let cluster_of_row = groups.iter().map(|g| number.get(g.as_ref()).copied().unwrap_or(0)).collect();
        Ok(Self { cluster_of_row, clusters, replicates, seed, level: 0.95 })
    }

    /// Another level than 0.95.
    ///
    /// # Errors
    /// When `level` is outside (0, 1).
    pub fn with_level(mut self, level: f64) -> Result<Self> {
        open_unit("interval level", level)?;
        self.level = level;
        Ok(self)
    }

    /// Number of distinct groups.
    #[must_use]
    pub fn clusters(&self) -> usize {
        self.clusters
    }

    /// Number of replicates.
    #[must_use]
    pub fn replicates(&self) -> usize {
        self.replicates
    }

    /// Mean of one value per row (a Brier contribution, an absolute error) with its interval.
    ///
    /// # Errors
    /// When the length differs from the groups or a value is not finite.
    pub fn interval_of_mean(&self, values: &[f64]) -> Result<Interval> {
        let sums = self.cluster_sums("values", values)?;
        let estimate = values.iter().sum::<f64>() / values.len() as f64;
        let (low, high) = self.percentiles(self.replicate_means(&sums));
        Ok(Interval { estimate, low, high, level: self.level })
    }

    /// mean(a) − mean(b) over the same rows.
    ///
    /// # Errors
    /// When a length differs from the groups or a value is not finite.
    pub fn paired_difference(&self, a: &[f64], b: &[f64]) -> Result<PairedInterval> {
        check_rows("second list of values", a.len(), b.len())?;
        check_values("second list of values", b)?;
        let differences: Vec<f64> = a.iter().zip(b).map(|(x, y)| x - y).collect();
        let sums = self.cluster_sums("first list of values", &differences)?;
        let difference = differences.iter().sum::<f64>() / differences.len() as f64;
        let means = self.replicate_means(&sums);
        let p_value = two_sided_p(&means);
        let (low, high) = self.percentiles(means);
        Ok(PairedInterval { difference, low, high, level: self.level, p_value })
    }

    /// Any statistic of row multiplicities (how often each row was drawn; 1 everywhere for the data themselves).
    ///
    /// Replicates in which the statistic is undefined are left out.
    ///
    /// # Errors
    /// When it is undefined on the data themselves or in more than half of the replicates.
    pub fn interval_of(&self, statistic: impl Fn(&[f64]) -> Option<f64>) -> Result<Interval> {
        let (estimate, values) = self.replicate_values(&statistic)?;
        let (low, high) = self.percentiles(values);
        Ok(Interval { estimate, low, high, level: self.level })
    }

    /// Difference of two statistics of the same multiplicities, such as the concordance of two models.
    ///
    /// # Errors
    /// As [`ClusterBootstrap::interval_of`].
    pub fn paired_difference_of(
        &self,
        a: impl Fn(&[f64]) -> Option<f64>,
        b: impl Fn(&[f64]) -> Option<f64>,
    ) -> Result<PairedInterval> {
        let (difference, values) = self.replicate_values(&|w: &[f64]| Some(a(w)? - b(w)?))?;
        let p_value = two_sided_p(&values);
        let (low, high) = self.percentiles(values);
        Ok(PairedInterval { difference, low, high, level: self.level, p_value })
    }

    /// The statistic on the data and on every replicate in which it is defined.
    pub(crate) fn replicate_values(&self, statistic: &impl Fn(&[f64]) -> Option<f64>) -> Result<(f64, Vec<f64>)> {
        let mut weights = vec![1.0; self.cluster_of_row.len()];
        let undefined = SurvivalError::UndefinedStatistic { undefined: self.replicates, replicates: self.replicates };
        let estimate = statistic(&weights).filter(|v| v.is_finite()).ok_or(undefined)?;
        let mut values = Vec::with_capacity(self.replicates);
        for replicate in 0..self.replicates {
            let drawn = self.draw(replicate);
            for (weight, &cluster) in weights.iter_mut().zip(&self.cluster_of_row) {
                *weight = f64::from(drawn[cluster]);
            }
            values.extend(statistic(&weights).filter(|v| v.is_finite()));
        }
        let undefined = self.replicates - values.len();
        if 2 * undefined > self.replicates {
            return Err(SurvivalError::UndefinedStatistic { undefined, replicates: self.replicates });
        }
        Ok((estimate, values))
    }

    /// The statistic with each cluster left out in turn; `None` where it is undefined.
    pub(crate) fn without_each_cluster(&self, statistic: &impl Fn(&[f64]) -> Option<f64>) -> Option<Vec<f64>> {
        let mut weights = vec![1.0; self.cluster_of_row.len()];
        (0..self.clusters)
            .map(|left_out| {
                for (weight, &cluster) in weights.iter_mut().zip(&self.cluster_of_row) {
                    *weight = if cluster == left_out { 0.0 } else { 1.0 };
                }
                statistic(&weights).filter(|v| v.is_finite())
            })
            .collect()
    }

    /// Nominal level of the intervals.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.level
    }

    /// How often each cluster is drawn in one replicate.
    fn draw(&self, replicate: usize) -> Vec<u32> {
        let mut generator = Xoshiro::new(self.seed, replicate as u64);
        let mut drawn = vec![0; self.clusters];
        for _ in 0..self.clusters {
            drawn[generator.below(self.clusters)] += 1;
        }
        drawn
    }

    /// Σ of values and number of rows per cluster.
    pub(crate) fn cluster_sums(&self, what: &'static str, values: &[f64]) -> Result<Vec<(f64, f64)>> {
        check_rows(what, self.cluster_of_row.len(), values.len())?;
        check_values(what, values)?;
        let mut sums = vec![(0.0, 0.0); self.clusters];
        for (value, &cluster) in values.iter().zip(&self.cluster_of_row) {
            sums[cluster].0 += value;
            sums[cluster].1 += 1.0;
        }
        Ok(sums)
    }

    pub(crate) fn replicate_means(&self, sums: &[(f64, f64)]) -> Vec<f64> {
        (0..self.replicates)
            .map(|replicate| {
                let mut generator = Xoshiro::new(self.seed, replicate as u64);
                let (mut total, mut rows) = (0.0, 0.0);
                for _ in 0..self.clusters {
                    let (sum, count) = sums[generator.below(self.clusters)];
                    total += sum;
                    rows += count;
                }
                total / rows
            })
            .collect()
    }

    pub(crate) fn percentiles(&self, mut values: Vec<f64>) -> (f64, f64) {
        values.sort_unstable_by(f64::total_cmp);
        let tail = 0.5 * (1.0 - self.level);
        (percentile(&values, tail), percentile(&values, 1.0 - tail))
    }
}

/// Linear interpolation between order statistics (type 7 of Hyndman & Fan), on sorted values.
pub(crate) fn percentile(sorted: &[f64], level: f64) -> f64 {
    let place = level * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

pub(crate) fn two_sided_p(values: &[f64]) -> f64 {
    let below = values.iter().filter(|v| **v <= 0.0).count();
    let above = values.iter().filter(|v| **v >= 0.0).count();
    (2.0 * (below.min(above) + 1) as f64 / (values.len() + 1) as f64).min(1.0)
}

/// xoshiro256++ seeded by SplitMix64 (Blackman & Vigna, public domain): small, fast, the same on every machine.
pub(crate) struct Xoshiro {
    state: [u64; 4],
}

impl Xoshiro {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = seed;
        let mut base = split_mix(&mut mixer) ^ stream.wrapping_mul(0xD134_2543_DE82_EF95);
        Self { state: std::array::from_fn(|_| split_mix(&mut base)) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.state;
        let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
        let (s2, s3) = (s2 ^ s0, s3 ^ s1);
        self.state = [s0 ^ s3, s1 ^ s2, s2 ^ (s1 << 17), s3.rotate_left(45)];
        result
    }

    /// Uniform on 0..n by the high half of a product; the bias is below n/2⁶⁴.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_gives_its_published_first_numbers() {
        // Seed 1234567, from the reference implementation at prng.di.unimi.it.
        let mut state = 1_234_567;
        let got: Vec<u64> = (0..3).map(|_| split_mix(&mut state)).collect();
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn xoshiro_gives_its_published_first_numbers() {
        // State (1, 2, 3, 4): the first outputs of the reference implementation of xoshiro256++.
        let mut generator = Xoshiro { state: [1, 2, 3, 4] };
        let got: Vec<u64> = (0..3).map(|_| generator.next()).collect();
        assert_eq!(got, [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn percentiles_interpolate_between_order_statistics() {
        assert!((percentile(&[1.0, 2.0, 4.0], 0.25) - 1.5).abs() < 1e-15);
        assert!((percentile(&[1.0, 2.0, 4.0], 1.0) - 4.0).abs() < 1e-15);
    }
}
