//! Remaining life as predicted, against what it turned out to be where the failure was seen.
//!
//! Only rows that failed tell their remaining life, and they are the short lives: errors and coverage here describe rows that
//! did fail within the grid, not all rows.

use serde::{Deserialize, Serialize};
use survival::SurvivalCurve;

use super::Context;
use crate::error::Result;

/// Bins of true life.
const BINS: usize = 5;

/// One row that failed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LifeRow {
    /// Time to its failure.
    pub truth: f64,
    /// Predicted median; `None` beyond the grid.
    pub median: Option<f64>,
    /// Lowest predicted quantile.
    pub low: Option<f64>,
    /// Highest predicted quantile.
    pub high: Option<f64>,
}

/// Rows of similar true life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LifeBin {
    /// Shortest and longest life in it.
    pub range: (f64, f64),
    /// Rows.
    pub rows: usize,
    /// Rows whose median lies within the grid; errors are of those alone.
    pub told: usize,
    /// Mean of predicted − true: above 0 promises too long a life.
    pub bias: f64,
    /// Mean of |predicted − true|.
    pub absolute: f64,
    /// Share of rows with |predicted − true| ≤ 20 % of the true life, counting those beyond the grid as missed (α–λ accuracy).
    pub within_fifth: f64,
    /// Share of lives between the outer quantiles.
    pub coverage: f64,
    /// Mean distance between the outer quantiles, cut at the grid.
    pub width: f64,
}

/// Remaining life where it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemainingLife {
    /// Share of all lives the outer quantiles should hold.
    pub nominal: f64,
    /// End of the grid.
    pub last_edge: f64,
    /// Rows of the part.
    pub all_rows: usize,
    /// Rows that failed within the grid.
    pub rows: Vec<LifeRow>,
    /// The same in fifths by true life.
    pub bins: Vec<LifeBin>,
}

impl Context<'_> {
    pub(super) fn remaining_life(&self, curves: &[SurvivalCurve]) -> Result<Option<RemainingLife>> {
        let readout = &self.info().readout;
        let levels = &readout.quantile_levels;
        let (Some(&low), Some(&high)) = (levels.first(), levels.last()) else { return Ok(None) };
        let middle = levels[levels.len() / 2];
        let last_edge = self.info().grid.last_edge();
        let mut rows = Vec::new();
        for (observation, curve) in self.observations().iter().zip(curves) {
            if observation.failed() && observation.duration() <= last_edge {
                rows.push(LifeRow {
                    truth: observation.duration(),
                    median: curve.quantile(middle)?,
                    low: curve.quantile(low)?,
                    high: curve.quantile(high)?,
                });
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let nominal = readout.quantiles.last().unwrap_or(&1.0) - readout.quantiles.first().unwrap_or(&0.0);
        let mut sorted = rows.clone();
        sorted.sort_by(|a, b| a.truth.total_cmp(&b.truth));
        let size = sorted.len().div_ceil(BINS).max(1);
        let bins = sorted.chunks(size).map(|rows| bin(rows, last_edge)).collect();
        Ok(Some(RemainingLife { nominal, last_edge, all_rows: self.rows.rows(), rows, bins }))
    }
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn bin(rows: &[LifeRow], last_edge: f64) -> LifeBin {
    let n = rows.len() as f64;
    let errors: Vec<f64> = rows.iter().filter_map(|row| row.median.map(|median| median - row.truth)).collect();
    let mean = |sum: f64| if errors.is_empty() { f64::NAN } else { sum / errors.len() as f64 };
    let close = rows.iter().filter(|r| r.median.is_some_and(|m| (m - r.truth).abs() <= 0.2 * r.truth)).count();
    let held = rows
        .iter()
        .filter(|r| r.low.is_some_and(|low| r.truth >= low) && r.high.is_none_or(|high| r.truth <= high))
        .count();
    let width = |r: &LifeRow| r.high.unwrap_or(last_edge) - r.low.unwrap_or(last_edge);
    LifeBin {
        range: (rows.first().map_or(0.0, |r| r.truth), rows.last().map_or(0.0, |r| r.truth)),
        rows: rows.len(),
        told: errors.len(),
        bias: mean(errors.iter().sum()),
        absolute: mean(errors.iter().map(|e| e.abs()).sum()),
        within_fifth: close as f64 / n,
        coverage: held as f64 / n,
        width: rows.iter().map(width).sum::<f64>() / n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_worked_by_hand() {
        let row = |truth, median, low, high| LifeRow { truth, median, low, high };
        let rows = [
            row(2.0, Some(2.3), Some(1.0), Some(4.0)),
            row(4.0, Some(6.0), Some(5.0), None),
            // Beyond the grid altogether: promised to live longer than it did.
            row(5.0, None, None, None),
        ];
        let bin = bin(&rows, 10.0);
        assert_eq!((bin.rows, bin.told), (3, 2));
        assert!((bin.bias - 1.15).abs() < 1e-12 && (bin.absolute - 1.15).abs() < 1e-12);
        assert!((bin.within_fifth - 1.0 / 3.0).abs() < 1e-12);
        assert!((bin.coverage - 1.0 / 3.0).abs() < 1e-12);
        assert!((bin.width - (3.0 + 5.0 + 0.0) / 3.0).abs() < 1e-12);
    }
}
