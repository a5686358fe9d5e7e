//! How far the inputs have moved since training: the population stability index of every feature.
//!
//! PSI = Σ_b (a_b − e_b)·ln(a_b/e_b) over bins that hold equal shares of the reference, missing values in a bin of their
//! own (Siddiqi 2006, the symmetric Kullback–Leibler divergence of binned shares). Below 0.1 is usually taken for stable,
//! above 0.25 for moved; what chance alone gives depends on how many independent units there are and stands beside it.

use std::collections::HashSet;

use features::{FeatureSpec, LabeledBatch};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};

/// Bins of the reference, at most.
const BINS: usize = 10;

/// One feature, reference against later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureDrift {
    /// Flat column, or channel followed by `(newest)`: the newest observed value of its window.
    pub feature: String,
    /// Population stability index.
    pub index: f64,
    /// What it comes to on average when nothing moved: (bins − 1)·(1/m + 1/n) with m and n groups (Yurdakul 2018).
    pub by_chance: f64,
    /// Share not observed in the reference.
    pub missing_reference: f64,
    /// Share not observed later.
    pub missing_later: f64,
    /// Mean of the reference, NaN where nothing was observed.
    pub mean_reference: f64,
    /// Mean later.
    pub mean_later: f64,
}

/// Every flat column and the newest value of every channel, the one that moved most first.
///
/// # Errors
/// When a side has no rows or the two are of different specs.
pub fn drift(spec: &FeatureSpec, reference: &LabeledBatch, later: &LabeledBatch) -> Result<Vec<FeatureDrift>> {
    let refuse = |reason: String| TrainError::Study { what: "drift".to_owned(), reason };
    if reference.rows() == 0 || later.rows() == 0 {
        return Err(refuse(format!("{} rows of reference, {} later rows", reference.rows(), later.rows())));
    }
    if reference.features.spec_hash() != later.features.spec_hash() {
        let (a, b) = (reference.features.spec_hash(), later.features.spec_hash());
        return Err(refuse(format!("feature spec {a} against {b}; build both data sets with one spec")));
    }
    let groups = |rows: &LabeledBatch| rows.groups.iter().collect::<HashSet<_>>().len();
    let units = (groups(reference), groups(later));
    let mut found = Vec::with_capacity(spec.flat.len() + spec.channels.len());
    for (at, column) in spec.flat.iter().enumerate() {
        found.push(compare(column.name.clone(), &flat(reference, at), &flat(later, at), units));
    }
    for (at, channel) in spec.channels.iter().enumerate() {
        found.push(compare(format!("{} (newest)", channel.name), &newest(reference, at), &newest(later, at), units));
    }
    found.sort_by(|a, b| b.index.total_cmp(&a.index).then_with(|| a.feature.cmp(&b.feature)));
    Ok(found)
}

fn flat(rows: &LabeledBatch, column: usize) -> Vec<f32> {
    (0..rows.rows()).map(|row| rows.features.flat_row(row)[column]).collect()
}

fn newest(rows: &LabeledBatch, channel: usize) -> Vec<f32> {
    let channels = rows.features.channels();
    let last = |window: &[f32]| window.iter().skip(channel).step_by(channels).rev().copied().find(|v| !v.is_nan());
    (0..rows.rows()).map(|row| last(rows.features.sequence_row(row)).unwrap_or(f32::NAN)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn compare(feature: String, reference: &[f32], later: &[f32], units: (usize, usize)) -> FeatureDrift {
    let edges = edges(reference);
    let (expected, actual) = (shares(reference, &edges), shares(later, &edges));
    let index = expected.iter().zip(&actual).map(|(e, a)| (a - e) * (a / e).ln()).sum();
    let filled = shares_raw(reference, &edges).iter().filter(|n| **n > 0).count();
    FeatureDrift {
        feature,
        index,
        by_chance: filled.saturating_sub(1) as f64 * (1.0 / units.0.max(1) as f64 + 1.0 / units.1.max(1) as f64),
        missing_reference: missing(reference),
        missing_later: missing(later),
        mean_reference: mean(reference),
        mean_later: mean(later),
    }
}

/// Inner edges of bins with equal shares of the observed reference; a value that fills a bin alone stands on its own.
fn edges(values: &[f32]) -> Vec<f32> {
    let mut seen: Vec<f32> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    seen.sort_unstable_by(f32::total_cmp);
    let mut edges: Vec<f32> = Vec::with_capacity(BINS);
    for bin in 1..BINS {
        let Some(&edge) = seen.get(bin * seen.len() / BINS) else { continue };
        if edges.last().is_none_or(|last| edge > *last) {
            edges.push(edge);
        }
    }
    edges
}

/// Rows per bin, missing values last: bin b holds edges[b − 1] ≤ v < edges[b].
fn shares_raw(values: &[f32], edges: &[f32]) -> Vec<usize> {
    let mut counts = vec![0; edges.len() + 2];
    for value in values {
        let bin = if value.is_nan() { edges.len() + 1 } else { edges.partition_point(|edge| edge <= value) };
        counts[bin] += 1;
    }
    counts
}

/// Shares with half a row added to every bin, so that an empty one has a logarithm.
#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn shares(values: &[f32], edges: &[f32]) -> Vec<f64> {
    let counts = shares_raw(values, edges);
    let total = values.len() as f64 + 0.5 * counts.len() as f64;
    counts.into_iter().map(|n| (n as f64 + 0.5) / total).collect()
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn missing(values: &[f32]) -> f64 {
    values.iter().filter(|v| v.is_nan()).count() as f64 / values.len().max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn mean(values: &[f32]) -> f64 {
    let (sum, n) = values.iter().filter(|v| !v.is_nan()).fold((0.0, 0_usize), |(s, n), v| (s + f64::from(*v), n + 1));
    if n == 0 { f64::NAN } else { sum / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_have_not_moved_and_shifted_ones_have() {
        let reference: Vec<f32> = (0..1000u16).map(|i| f32::from(i) / 1000.0).collect();
        let same = compare("x".to_owned(), &reference, &reference, (100, 50));
        assert!(same.index.abs() < 1e-12, "{}", same.index);
        assert!((same.by_chance - 9.0 * (0.01 + 0.02)).abs() < 1e-12);
        let moved: Vec<f32> = reference.iter().map(|v| v + 0.5).collect();
        // Half of the bins emptied into the last: (0.6 − 0.1)·ln 6 + 5·0.1·ln(0.1/0) with half a row for the empty ones.
        let e = 100.5_f64 / 1005.5;
        let (empty, full) = (0.5_f64 / 1005.5, 600.5 / 1005.5);
        let by_hand = 5.0 * (empty - e) * (empty / e).ln() + (full - e) * (full / e).ln();
        let got = compare("x".to_owned(), &reference, &moved, (100, 50)).index;
        assert!((got - by_hand).abs() < 0.01 * by_hand, "{got} against {by_hand}");
    }

    #[test]
    fn missing_values_and_constants_are_bins_like_others() {
        let constant = vec![1.0_f32; 100];
        assert!(compare("c".to_owned(), &constant, &constant, (10, 10)).index.abs() < 1e-12);
        let gone = vec![f32::NAN; 100];
        let drift = compare("c".to_owned(), &constant, &gone, (10, 10));
        assert!(drift.index > 5.0 && drift.index.is_finite());
        assert!((drift.missing_later - 1.0).abs() < 1e-12 && drift.mean_later.is_nan());
        // Nothing to compare with is stable only where nothing came.
        assert!(compare("g".to_owned(), &gone, &gone, (10, 10)).index.abs() < 1e-12);
    }
}
