//! Rows to equal inputs for every contender: a subsample, folds by group, and principal components.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::seq::SliceRandom;

use super::linear::symmetric_eigen;
use super::{generator, refusal};
use crate::error::Result;

/// `count` of `rows` rows in ascending order, or all of them.
pub(crate) fn subsample(rows: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut generator(seed, 1));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// A fold per row; rows of one group share it. Groups go in seeded order to the fold with the fewest failures, then rows,
/// so that every fold holds some of both.
///
/// # Errors
/// When there are fewer groups than folds, or fewer than two folds.
pub(crate) fn group_folds(groups: &[&str], failed: &[f64], folds: usize, seed: u64) -> Result<Vec<usize>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(row);
    }
    if folds < 2 || members.len() < folds {
        return Err(refusal(
            "folds",
            format!("{folds} folds of {} groups; need 2 or more, each a group", members.len()),
        ));
    }
    let mut order: Vec<Vec<usize>> = members.into_values().collect();
    order.shuffle(&mut generator(seed, 2));
    // Groups with failures first: those without can then even out the number of rows.
    let failures = |rows: &Vec<usize>| rows.iter().filter(|row| failed[**row] > 0.5).count();
    order.sort_by_key(|rows| std::cmp::Reverse(failures(rows)));
    let mut filled = vec![(0, 0, 0); folds];
    let mut fold_of = vec![0; groups.len()];
    for (fold, place) in filled.iter_mut().enumerate() {
        place.2 = fold;
    }
    for rows in order {
        let count = failures(&rows);
        let rank = |place: &&mut (usize, usize, usize)| if count > 0 { (place.0, place.1) } else { (place.1, place.0) };
        if let Some(place) = filled.iter_mut().min_by_key(rank) {
            place.0 += count;
            place.1 += rows.len();
            rows.iter().for_each(|&row| fold_of[row] = place.2);
        }
    }
    Ok(fold_of)
}

/// Principal components learned on training rows, each scaled to standard deviation 1 there.
#[derive(Debug, Clone)]
pub(crate) struct Components {
    means: Array1<f64>,
    /// Columns × components, already divided by the standard deviations.
    directions: Array2<f64>,
    /// Share of variance kept.
    pub(crate) explained: f64,
}

impl Components {
    /// # Errors
    /// When there are fewer columns, or fewer directions with variance, than components asked for.
    pub(crate) fn fit(x: ArrayView2<'_, f64>, count: usize) -> Result<Self> {
        let Some(means) = x.mean_axis(Axis(0)) else {
            return Err(refusal("principal components", "no training rows"));
        };
        let centred = &x - &means;
        let covariance = centred.t().dot(&centred) / x.nrows() as f64;
        let (values, vectors) = symmetric_eigen(covariance.view());
        let total = values.sum();
        let varied = values.iter().filter(|v| **v > 1e-10 * total).count();
        if count == 0 || varied < count {
            let reason = format!("{count} asked for, but {} columns vary in {varied} directions", x.ncols());
            return Err(refusal("principal components", reason));
        }
        let kept: Vec<usize> = (0..count).collect();
        let mut directions = vectors.select(Axis(1), &kept);
        for (mut direction, value) in directions.columns_mut().into_iter().zip(&values) {
            // The sign of an eigenvector is free; fixing it keeps runs comparable.
            let largest = direction.iter().copied().fold(0.0_f64, |m, v| if v.abs() > m.abs() { v } else { m });
            direction /= value.sqrt() * largest.signum();
        }
        Ok(Self { means, directions, explained: values.iter().take(count).sum::<f64>() / total })
    }

    pub(crate) fn apply(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        (&x - &self.means).dot(&self.directions)
    }
}
