//! Are the shares true of the model? Inputs put back to the baseline must move the prediction by what they were given.
//!
//! The k inputs with the largest shares towards the prediction, and k inputs drawn at random, are replaced; the first must
//! move the prediction further (the deletion test of Petsiuk, Das & Saenko 2018, against random order).

use features::Design;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::inputs::candidates;
use super::{Attribution, Scorer, one};
use crate::error::{Result, TrainError};

/// Random orders each row is tried with.
const ORDERS: usize = 5;

/// How far predictions move when inputs are taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletionCurve {
    /// Rows tried.
    pub rows: usize,
    /// How many inputs were replaced.
    pub replaced: Vec<usize>,
    /// Mean movement of the prediction in its own direction when the top ones were.
    pub top: Vec<f64>,
    /// The same when as many random ones were.
    pub random: Vec<f64>,
}

impl DeletionCurve {
    /// Area between the curves over the area under the top one: near 1 where few inputs carry all, 0 where shares say
    /// nothing.
    #[must_use]
    pub fn advantage(&self) -> f64 {
        let area = |values: &[f64]| -> f64 { values.iter().sum() };
        let top = area(&self.top);
        if top > 0.0 { (top - area(&self.random)) / top } else { 0.0 }
    }
}

/// The curves over the rows that were attributed.
///
/// # Errors
/// When rows and attributions differ in number, or the model refuses a row.
pub fn deletion(
    scorer: &Scorer<'_>,
    design: &Design,
    rows: &[usize],
    attributions: &[Attribution],
    seed: u64,
) -> Result<DeletionCurve> {
    if rows.len() != attributions.len() {
        let reason = format!("{} rows, {} attributions", rows.len(), attributions.len());
        return Err(TrainError::Study { what: "deletion test".to_owned(), reason });
    }
    let widest = rows.iter().zip(attributions).map(|(&row, a)| candidates(design, row, a.window).len()).max();
    let counts = counts(widest.unwrap_or(0));
    let mut curve = DeletionCurve {
        rows: rows.len(),
        top: vec![0.0; counts.len()],
        random: vec![0.0; counts.len()],
        replaced: counts,
    };
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    for (&row, attribution) in rows.iter().zip(attributions) {
        let point = one(design, row);
        let mut order = candidates(design, row, attribution.window);
        let towards = if attribution.prediction >= attribution.baseline { 1.0 } else { -1.0 };
        let share = |at: &usize| match at.checked_sub(point.width) {
            None => towards * attribution.flat[*at],
            Some(cell) => towards * attribution.sequence[cell],
        };
        order.sort_by(|a, b| share(b).total_cmp(&share(a)));
        let movement = |order: &[usize], into: &mut [f64], weight: f64| -> Result<()> {
            let after = scorer.probabilities(&replaced(&point, order, &curve.replaced))?;
            for (sum, probability) in into.iter_mut().zip(after) {
                *sum += weight * towards * (attribution.prediction - probability);
            }
            Ok(())
        };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
        let weight = 1.0 / rows.len() as f64;
        let mut top = std::mem::take(&mut curve.top);
        let mut random = std::mem::take(&mut curve.random);
        movement(&order, &mut top, weight)?;
        for _ in 0..ORDERS {
            order.shuffle(&mut generator);
            #[expect(clippy::cast_precision_loss, reason = "a handful of orders")]
            movement(&order, &mut random, weight / ORDERS as f64)?;
        }
        (curve.top, curve.random) = (top, random);
    }
    Ok(curve)
}

/// 1, 2, 3, 5, 8, … up to all: early steps tell, later ones only meet.
fn counts(most: usize) -> Vec<usize> {
    let mut counts = Vec::new();
    let (mut n, mut next) = (1, 2);
    while n < most {
        counts.push(n);
        (n, next) = (next, n + next);
    }
    if most > 0 {
        counts.push(most);
    }
    counts
}

/// The row once per count, its first so many inputs of `order` at the baseline.
fn replaced(point: &Design, order: &[usize], counts: &[usize]) -> Design {
    let mut rows = Design { rows: counts.len(), flat: Vec::new(), sequence: Vec::new(), ..point.clone() };
    for &count in counts {
        let (mut flat, mut sequence) = (point.flat.clone(), point.sequence.clone());
        for &at in order.iter().take(count) {
            match at.checked_sub(point.width) {
                None => flat[at] = 0.0,
                Some(cell) => sequence[cell] = 0.0,
            }
        }
        rows.flat.extend(flat);
        rows.sequence.extend(sequence);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_and_end_at_all() {
        assert_eq!(counts(0), Vec::<usize>::new());
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(10), [1, 2, 3, 5, 8, 10]);
    }

    #[test]
    fn advantage_is_the_share_of_the_area_that_random_order_does_not_reach() {
        let curve =
            DeletionCurve { rows: 1, replaced: vec![1, 2, 3], top: vec![2.0, 2.0, 2.0], random: vec![1.0, 1.0, 1.0] };
        assert!((curve.advantage() - 0.5).abs() < 1e-15);
        let none = DeletionCurve { rows: 1, replaced: vec![1], top: vec![0.0], random: vec![0.0] };
        assert!(none.advantage().abs() < 1e-15);
    }
}
