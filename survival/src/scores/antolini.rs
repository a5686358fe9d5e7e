//! Time-dependent concordance of curves that may cross (Antolini, Boracchi & Biganzoli, Stat. Med. 2005).
//!
//! C^td = P(S(T_i|x_i) < S(T_i|x_j) given that i failed at T_i and j outlived it): every pair is compared at the time its
//! first unit failed, so no single number per unit has to stand for a whole curve. Pairs are those of
//! [`concordance`](super::concordance): T_j > T_i, or T_j = T_i with j censored, and entry_j < T_i; two failures at the
//! same time are no pair. Equal values of S count ½ (the paper counts them as discordant: `concordant / comparable`).
//! When the curves never cross, C^td is Harrell's C of any of their values.

use serde::{Deserialize, Serialize};

use super::brier::CurveReader;
use super::check_rows;
use super::concordance::{Concordance, PairSums, sum_pairs};
use crate::risk_table::check_weights;
use crate::table::same_time;
use crate::{Observation, Result, SurvivalCurve, SurvivalError};

/// Up to this many failures that share one reading of the curves are compared with every unit one by one; more are
/// sorted.
const FEW: usize = 8;

/// At which time the curves of a pair are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// At T_i itself, on the lines between the edges: the definition. O(n) per distinct failure time.
    AtFailure,
    /// At the edge that ends the interval of T_i, where a discrete-time curve says something of its own.
    /// O(n log n) per interval, so for any number of rows; needs one grid for all curves.
    AtEdge,
}

/// C^td over the pairs whose first failure lies at or before `until`.
///
/// # Errors
/// When lengths differ, `until` is not positive or lies beyond a curve's grid, no pair is comparable, or the curves of
/// [`Reading::AtEdge`] live on different grids.
pub fn antolini(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    until: f64,
    reading: Reading,
) -> Result<Concordance> {
    antolini_weighted(observations, curves, until, reading, &vec![1.0; observations.len()])
}

/// The same with a weight per row; a pair weighs the product. Row multiplicities of a bootstrap go in here.
///
/// # Errors
/// As [`antolini`], and when a weight is negative or not finite.
pub fn antolini_weighted(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    until: f64,
    reading: Reading,
    weights: &[f64],
) -> Result<Concordance> {
    check_rows("curves", observations.len(), curves.len())?;
    check_weights(weights, observations.len())?;
    check_grids(curves, until, reading)?;
    let mut by_time: Vec<(f64, usize)> = observations.iter().map(Observation::duration).zip(0..).collect();
    by_time.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let edges = curves[0].grid().edges();
    let mut risk = Vec::with_capacity(curves.len());
    let mut sums = PairSums::default();
    let mut start = 0;
    while start < by_time.len() && by_time[start].0 <= until {
        let time = by_time[start].0;
        let read_at = match reading {
            Reading::AtFailure => time,
            Reading::AtEdge => edges[edges.partition_point(|&edge| edge < time)],
        };
        let last = read_at.min(until);
        let ending = by_time[start..].partition_point(|&(t, _)| t <= last);
        let still_there = &by_time[start..];
        if still_there[..ending].iter().any(|&(_, row)| observations[row].failed() && weights[row] > 0.0) {
            let mut reader = CurveReader::default();
            risk.clear();
            for &(_, row) in still_there {
                reader.locate(&curves[row], &[read_at])?;
                risk.push(-reader.value(curves[row].survival(), 0));
            }
            sums.add(pairs_of(observations, weights, still_there, ending, &risk));
        }
        start += ending;
    }
    sums.index(observations.len())
}

/// Pairs of the failures among the first `ending` of `units` with all of `units` (by increasing time, risks beside).
fn pairs_of(
    observations: &[Observation],
    weights: &[f64],
    units: &[(f64, usize)],
    ending: usize,
    risk: &[f64],
) -> PairSums {
    let failed: Vec<usize> = (0..ending).filter(|&place| observations[units[place].1].failed()).collect();
    if failed.len() > FEW {
        let own: Vec<Observation> = units.iter().map(|&(_, row)| observations[row]).collect();
        let later: Vec<f64> = units.iter().map(|&(_, row)| weights[row]).collect();
        let mut first = vec![0.0; units.len()];
        for &place in &failed {
            first[place] = later[place];
        }
        return sum_pairs(&own, risk, &first, &later);
    }
    let mut sums = PairSums::default();
    for &place in &failed {
        let (time, first) = units[place];
        for (&(other, later), &other_risk) in units.iter().zip(risk) {
            let observation = &observations[later];
            let outlived = other > time || (same_time(other, time) && !observation.failed());
            if !outlived || observation.entry() >= time {
                continue;
            }
            let weight = weights[first] * weights[later];
            if risk[place] > other_risk {
                sums.concordant += weight;
            } else if risk[place] < other_risk {
                sums.discordant += weight;
            } else {
                sums.tied_risk += weight;
            }
        }
    }
    sums
}

fn check_grids(curves: &[SurvivalCurve], until: f64, reading: Reading) -> Result<()> {
    if !(until.is_finite() && until > 0.0) {
        return Err(SurvivalError::Domain { what: "end of the pairs", value: until, domain: "positive and finite" });
    }
    let common = curves[0].grid();
    for (row, curve) in curves.iter().enumerate() {
        let grid = curve.grid();
        if until > grid.last_edge() {
            return Err(SurvivalError::BeyondGrid { horizon: until, last_edge: grid.last_edge() });
        }
        if reading == Reading::AtEdge && !std::sync::Arc::ptr_eq(grid, common) && grid.edges() != common.edges() {
            let reason =
                format!("the curve of row {row} has other edges than that of row 0; read them at the failures");
            return Err(SurvivalError::Curve { reason });
        }
    }
    Ok(())
}
