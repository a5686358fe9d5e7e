//! Wilcoxon signed-rank test: two methods over several data sets (Wilcoxon 1945; Demšar 2006).
//!
//! Differences of 0 are dropped from the test and counted. Up to [`EXACT_UP_TO`] differences the p is exact, given the
//! midranks as they are: the distribution of a sum of signed midranks is as quick to list with ties as without, and a
//! normal approximation over six data sets is none. Beyond, normal with variance Σ rank²/4 (that is the tie
//! correction) and a continuity correction of ½.

use serde::{Deserialize, Serialize};

use super::ranks::midranks;
use super::{open_level, paired};
use crate::special::{normal_cdf, two_sided_factor};
use crate::{Interval, Result};

/// Up to this many differences that are not 0 the p is exact.
pub const EXACT_UP_TO: usize = 50;

/// Beyond this many differences the pairwise averages behind the interval would not fit into a small memory.
const INTERVAL_UP_TO: usize = 4000;

/// Result of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wilcoxon {
    /// Sum of the ranks of positive differences a − b.
    pub positive_rank_sum: f64,
    /// Differences that are not 0.
    pub used: usize,
    /// Differences of 0, dropped.
    pub zeros: usize,
    /// Whether the p is exact.
    pub exact: bool,
    /// Two-sided p; 1 when every difference is 0.
    pub p_value: f64,
    /// Median of all pairwise averages of differences, zeros included (Hodges & Lehmann 1963), with its distribution-free
    /// interval. `None` with so few differences that no interval of this level exists (below 6 at 95 %), or beyond 4000.
    pub effect: Option<Interval>,
}

/// Tests that a − b is symmetric about 0; one pair per data set.
///
/// # Errors
/// When there is no pair, lengths differ, or a value is not finite.
pub fn wilcoxon(a: &[f64], b: &[f64], level: f64) -> Result<Wilcoxon> {
    open_level(level)?;
    let differences = paired("scores per data set", a, b)?;
    let used: Vec<f64> = differences.iter().copied().filter(|d| d.abs() > 0.0).collect();
    let ranks = midranks(&used.iter().map(|d| d.abs()).collect::<Vec<_>>());
    let positive_rank_sum: f64 = ranks.iter().zip(&used).filter(|(_, d)| **d > 0.0).map(|(r, _)| r).sum();
    let exact = used.len() <= EXACT_UP_TO;
    let p_value = if exact { exact_p(&ranks, positive_rank_sum) } else { normal_p(&ranks, positive_rank_sum) };
    Ok(Wilcoxon {
        positive_rank_sum,
        used: used.len(),
        zeros: differences.len() - used.len(),
        exact,
        p_value,
        effect: hodges_lehmann(&differences, level)?,
    })
}

/// P(sum of randomly signed ranks = s/2) for s = 0.. : midranks are multiples of ½.
fn distribution(ranks: &[f64]) -> Vec<f64> {
    let mut probability = vec![1.0];
    for rank in ranks {
        let step = (2.0 * rank).round() as usize;
        let mut next = vec![0.0; probability.len() + step];
        for (sum, p) in probability.iter().enumerate() {
            next[sum] += 0.5 * p;
            next[sum + step] += 0.5 * p;
        }
        probability = next;
    }
    probability
}

fn exact_p(ranks: &[f64], positive: f64) -> f64 {
    let probability = distribution(ranks);
    let place = (2.0 * positive).round() as usize;
    let below: f64 = probability[..=place].iter().sum();
    let above: f64 = probability[place..].iter().sum();
    (2.0 * below.min(above)).min(1.0)
}

fn normal_p(ranks: &[f64], positive: f64) -> f64 {
    let mean = 0.5 * ranks.iter().sum::<f64>();
    let deviation = (0.25 * ranks.iter().map(|r| r * r).sum::<f64>()).sqrt();
    let excess = ((positive - mean).abs() - 0.5).max(0.0);
    2.0 * normal_cdf(-excess / deviation)
}

fn hodges_lehmann(differences: &[f64], level: f64) -> Result<Option<Interval>> {
    let n = differences.len();
    if n > INTERVAL_UP_TO {
        return Ok(None);
    }
    let place = critical_place(n, level)?;
    if place == 0 {
        return Ok(None);
    }
    let mut averages = Vec::with_capacity(n * (n + 1) / 2);
    for (i, x) in differences.iter().enumerate() {
        averages.extend(differences[i..].iter().map(|y| 0.5 * (x + y)));
    }
    averages.sort_unstable_by(f64::total_cmp);
    let count = averages.len();
    let estimate = 0.5 * (averages[(count - 1) / 2] + averages[count / 2]);
    Ok(Some(Interval { estimate, low: averages[place - 1], high: averages[count - place], level }))
}

/// The largest k with P(W ≤ k − 1) ≤ (1 − level)/2 without ties: the interval runs from the k-th smallest pairwise
/// average to the k-th largest. 0 when there is none.
fn critical_place(n: usize, level: f64) -> Result<usize> {
    let tail = 0.5 * (1.0 - level);
    if n <= EXACT_UP_TO {
        let ranks: Vec<f64> = (1..=n).map(|r| r as f64).collect();
        let mut below = 0.0;
        let places = distribution(&ranks).into_iter().step_by(2).take_while(|p| {
            below += p;
            below <= tail
        });
        return Ok(places.count());
    }
    let n = n as f64;
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    let place = n * (n + 1.0) / 4.0 + 0.5 - two_sided_factor(level)? * deviation;
    Ok(place.floor().max(0.0) as usize)
}
