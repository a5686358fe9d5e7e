//! Which fault is it? Scores of one class among several: confusion, macro-F1, balanced accuracy, log loss, top-k.
//!
//! Classes are 0..n. Probabilities come as one row per case and one column per class.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::check_rows;
use crate::{Result, SurvivalError};

/// Probabilities below this are raised to it before the logarithm, so that one sure error costs 34.5 and not ∞.
pub const LEAST_PROBABILITY: f64 = 1e-15;

/// How far a row of probabilities may be from adding to 1.
const ROW_SUM_TOLERANCE: f64 = 1e-6;

/// Cases by true class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// `counts[true][predicted]`.
    pub counts: Vec<Vec<usize>>,
}

/// Precision, recall and F1 of one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Cases truly of the class.
    pub cases: usize,
    /// Share of its predictions that are right; `None` when it was never predicted.
    pub precision: Option<f64>,
    /// Share of its cases that were predicted; `None` when there are none.
    pub recall: Option<f64>,
    /// 2 TP / (cases + predictions); `None` when there are neither.
    pub f1: Option<f64>,
}

impl Confusion {
    /// Counts true and predicted classes.
    ///
    /// # Errors
    /// When there is no case, lengths differ, or a class is not below `classes`.
    pub fn new(truth: &[usize], predicted: &[usize], classes: usize) -> Result<Self> {
        check_rows("predicted classes", truth.len(), predicted.len())?;
        let mut counts = vec![vec![0; classes]; classes];
        for (&t, &p) in truth.iter().zip(predicted) {
            check_class(t, classes)?;
            check_class(p, classes)?;
            counts[t][p] += 1;
        }
        Ok(Self { counts })
    }

    /// Scores of each class.
    #[must_use]
    pub fn per_class(&self) -> Vec<ClassScores> {
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        (0..self.counts.len())
            .map(|class| {
                let right = self.counts[class][class];
                let cases: usize = self.counts[class].iter().sum();
                let predictions: usize = self.counts.iter().map(|row| row[class]).sum();
                ClassScores {
                    cases,
                    precision: share(right, predictions),
                    recall: share(right, cases),
                    f1: share(2 * right, cases + predictions),
                }
            })
            .collect()
    }

    /// Share of right predictions.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: usize = (0..self.counts.len()).map(|class| self.counts[class][class]).sum();
        let cases: usize = self.counts.iter().flatten().sum();
        right as f64 / cases as f64
    }

    /// Mean F1 over the classes that occur, truly or as a prediction.
    ///
    /// A class without cases that was predicted counts with F1 = 0, a class with neither does not count: it would be 0/0,
    /// and any value for it would let the length of the class list move the score.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        mean(self.per_class().iter().filter_map(|class| class.f1))
    }

    /// Mean recall over the classes with cases: accuracy as if all were equally frequent.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        mean(self.per_class().iter().filter_map(|class| class.recall))
    }
}

/// Mean of −ln p(true class), natural logarithm, p raised to [`LEAST_PROBABILITY`] where it is smaller.
///
/// # Errors
/// When there is no case, shapes differ, a class does not exist, or a row is no distribution: negative, or not adding to
/// 1 within 1e-6.
pub fn log_loss(probabilities: ArrayView2<'_, f64>, truth: &[usize]) -> Result<f64> {
    check_table(probabilities, truth)?;
    for row in probabilities.rows() {
        if let Some(&value) = row.iter().find(|p| **p < 0.0) {
            return Err(SurvivalError::Domain { what: "class probability", value, domain: "at least 0" });
        }
        let value = row.sum();
        if (value - 1.0).abs() > ROW_SUM_TOLERANCE {
            return Err(SurvivalError::Domain { what: "sum of the class probabilities of a row", value, domain: "1" });
        }
    }
    let losses = truth.iter().enumerate().map(|(row, &class)| -probabilities[[row, class]].max(LEAST_PROBABILITY).ln());
    Ok(losses.sum::<f64>() / truth.len() as f64)
}

/// Share of cases whose true class is among the `k` highest scores. Classes tied with it share the places left: the mean
/// over all ways to break the tie.
///
/// # Errors
/// When there is no case, shapes differ, a score is not finite, a class does not exist, or `k` is 0.
pub fn top_k_accuracy(scores: ArrayView2<'_, f64>, truth: &[usize], k: usize) -> Result<f64> {
    check_table(scores, truth)?;
    check_k(k)?;
    let hits = truth.iter().zip(scores.rows()).map(|(&class, row)| {
        let place = Place::of(row.iter().copied(), row[class]);
        place.share_within(k)
    });
    Ok(mean(hits))
}

/// Where a score stands among all: how many are higher, and how many are equal, itself included.
pub(super) struct Place {
    pub(super) above: usize,
    pub(super) tied: usize,
}

impl Place {
    pub(super) fn of(scores: impl Iterator<Item = f64>, own: f64) -> Self {
        let mut place = Self { above: 0, tied: 0 };
        for score in scores {
            if score > own {
                place.above += 1;
            } else if score >= own {
                place.tied += 1;
            }
        }
        place
    }

    /// Chance to be among the first k when ties are broken by lot.
    pub(super) fn share_within(&self, k: usize) -> f64 {
        k.saturating_sub(self.above).min(self.tied) as f64 / self.tied as f64
    }
}

pub(super) fn check_k(k: usize) -> Result<()> {
    if k > 0 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what: "k of a top-k score", value: 0.0, domain: "at least 1" })
    }
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

fn check_class(class: usize, classes: usize) -> Result<()> {
    if class < classes {
        return Ok(());
    }
    Err(SurvivalError::Domain { what: "class", value: class as f64, domain: "below the number of classes" })
}

fn check_table(table: ArrayView2<'_, f64>, truth: &[usize]) -> Result<()> {
    check_rows("rows of class scores", truth.len(), table.nrows())?;
    if let Some(((row, column), &value)) = table.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(SurvivalError::NonFinite { what: "class scores", row, column, value });
    }
    truth.iter().try_for_each(|&class| check_class(class, table.ncols()))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn absent_classes_are_defined() {
        // Class 2 is predicted but never true; class 3 is neither.
        let confusion = Confusion::new(&[0, 0, 1, 1], &[0, 2, 1, 1], 4).unwrap();
        let per_class = confusion.per_class();
        assert_eq!((per_class[2].recall, per_class[2].f1, per_class[3].f1), (None, Some(0.0), None));
        assert!((confusion.macro_f1() - (2.0 / 3.0 + 1.0 + 0.0) / 3.0).abs() < 1e-15);
        assert!((confusion.balanced_accuracy() - 0.75).abs() < 1e-15);
        assert!((confusion.accuracy() - 0.75).abs() < 1e-15);
    }

    #[test]
    fn a_sure_error_costs_what_the_clip_says() {
        let p = array![[1.0, 0.0], [0.5, 0.5]];
        let want = 0.5 * (-(1e-15_f64).ln() + 2.0_f64.ln());
        assert!((log_loss(p.view(), &[1, 0]).unwrap() - want).abs() < 1e-12);
    }

    #[test]
    fn ties_share_the_places_left() {
        // Two of three tied for places 2 and 3: within the first two with chance ½.
        let scores = array![[0.6, 0.2, 0.2]];
        assert!((top_k_accuracy(scores.view(), &[1], 2).unwrap() - 0.5).abs() < 1e-15);
        assert!((top_k_accuracy(scores.view(), &[1], 3).unwrap() - 1.0).abs() < 1e-15);
        assert!(top_k_accuracy(scores.view(), &[1], 1).unwrap().abs() < 1e-15);
    }
}
