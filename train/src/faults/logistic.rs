//! Logistic regression with a ridge, in double precision: multinomial over classes, conditional over the entities of a case.
//!
//! Both losses are convex, and with a ridge strictly so in the weights; a small L-BFGS (Nocedal & Wright, Numerical
//! Optimization, 2nd ed., algorithm 7.4, Armijo backtracking) finds the minimum.

use crate::error::{Result, TrainError};

/// Pairs remembered.
const MEMORY: usize = 10;
/// Steps at most; a few dozen are usual.
const STEPS: usize = 1_000;
/// Stop when no entry of the gradient is larger, per unit of loss.
const TOLERANCE: f64 = 1e-7;
/// Or when this many steps in a row each gained less than [`GAIN`] of the loss: what is left is rounding.
const IDLE: usize = 3;
/// See [`IDLE`].
const GAIN: f64 = 1e-10;

/// Location and scale of columns, learnt on training rows; missing values become the mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standardizer {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Standardizer {
    /// Learns from rows of one width; a column without a finite value or without spread is put to 0.
    pub(super) fn fit(rows: &[&[f64]]) -> Self {
        let width = rows.first().map_or(0, |row| row.len());
        let mut mean = vec![0.0; width];
        let mut scale = vec![0.0; width];
        for column in 0..width {
            let values: Vec<f64> = rows.iter().map(|row| row[column]).filter(|value| value.is_finite()).collect();
            if values.is_empty() {
                continue;
            }
            mean[column] = values.iter().sum::<f64>() / values.len() as f64;
            let spread = super::numeric::deviation(&values);
            scale[column] = if spread > 1e-9 { 1.0 / spread } else { 0.0 };
        }
        Self { mean, scale }
    }

    /// A row of zero mean and unit deviation.
    pub(super) fn apply(&self, row: &[f64]) -> Vec<f64> {
        row.iter()
            .zip(self.mean.iter().zip(&self.scale))
            .map(|(value, (mean, scale))| if value.is_finite() { (value - mean) * scale } else { 0.0 })
            .collect()
    }
}

/// Weights per class, one intercept each; probabilities by softmax.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Multinomial {
    classes: usize,
    /// Class × (width + 1), the intercept last.
    weights: Vec<f64>,
}

impl Multinomial {
    /// Minimises Σ −ln p(class) + ½·ridge·‖weights‖² (intercepts free) over rows of one width.
    ///
    /// # Errors
    /// When there is no row, a value is not finite, a class is out of range, or the ridge is not positive.
    pub(super) fn fit(rows: &[Vec<f64>], labels: &[usize], classes: usize, ridge: f64) -> Result<Self> {
        check("multinomial logit", rows, ridge)?;
        if rows.len() != labels.len() || labels.iter().any(|label| *label >= classes) {
            return Err(refused(
                "multinomial logit",
                format!("{} rows, {} labels, {classes} classes", rows.len(), labels.len()),
            ));
        }
        let width = rows[0].len();
        let stride = width + 1;
        let loss = |weights: &[f64], gradient: &mut [f64]| {
            gradient.fill(0.0);
            let mut total = 0.0;
            for (row, label) in rows.iter().zip(labels) {
                let probabilities = softmax(logits(weights, stride, classes, row));
                total -= probabilities[*label].max(1e-300).ln();
                for (class, probability) in probabilities.iter().enumerate() {
                    let residual = probability - f64::from(u8::from(class == *label));
                    let part = &mut gradient[class * stride..(class + 1) * stride];
                    for (slot, value) in part.iter_mut().zip(row) {
                        *slot += residual * value;
                    }
                    part[width] += residual;
                }
            }
            for class in 0..classes {
                for column in 0..width {
                    let at = class * stride + column;
                    total += 0.5 * ridge * weights[at] * weights[at];
                    gradient[at] += ridge * weights[at];
                }
            }
            total
        };
        Ok(Self { classes, weights: minimise(loss, classes * stride) })
    }

    /// Probability of each class.
    pub(super) fn probabilities(&self, row: &[f64]) -> Vec<f64> {
        softmax(logits(&self.weights, row.len() + 1, self.classes, row))
    }
}

/// One weight per column: P(entity is the root | case) ∝ exp(w·x) (McFadden 1974), rows given case by case.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conditional {
    weights: Vec<f64>,
}

impl Conditional {
    /// Minimises Σ −ln P(root) + ½·ridge·‖w‖² over cases of (rows, position of the root).
    ///
    /// # Errors
    /// When there is no case, a value is not finite, or the ridge is not positive.
    pub(super) fn fit(cases: &[(Vec<Vec<f64>>, usize)], ridge: f64) -> Result<Self> {
        for (rows, root) in cases {
            check("conditional logit", rows, ridge)?;
            if *root >= rows.len() {
                return Err(refused("conditional logit", format!("root {root} of {} entities", rows.len())));
            }
        }
        let Some((first, _)) = cases.first() else {
            return Err(refused("conditional logit", "no case to learn from".to_owned()));
        };
        let loss = |weights: &[f64], gradient: &mut [f64]| {
            gradient.fill(0.0);
            let mut total = 0.0;
            for (rows, root) in cases {
                let probabilities = softmax(rows.iter().map(|row| dot(row, weights)).collect());
                total -= probabilities[*root].max(1e-300).ln();
                for (entity, (row, probability)) in rows.iter().zip(&probabilities).enumerate() {
                    let residual = probability - f64::from(u8::from(entity == *root));
                    for (slot, value) in gradient.iter_mut().zip(row) {
                        *slot += residual * value;
                    }
                }
            }
            for (slot, weight) in gradient.iter_mut().zip(weights) {
                total += 0.5 * ridge * weight * weight;
                *slot += ridge * weight;
            }
            total
        };
        Ok(Self { weights: minimise(loss, first[0].len()) })
    }

    /// w·x.
    pub(super) fn score(&self, row: &[f64]) -> f64 {
        dot(row, &self.weights)
    }
}

fn check(model: &str, rows: &[Vec<f64>], ridge: f64) -> Result<()> {
    if rows.is_empty() {
        return Err(refused(model, "no row to learn from".to_owned()));
    }
    if !(ridge.is_finite() && ridge > 0.0) {
        return Err(refused(model, format!("ridge is {ridge}, must be above 0")));
    }
    let width = rows[0].len();
    for (index, row) in rows.iter().enumerate() {
        if row.len() != width || row.iter().any(|value| !value.is_finite()) {
            return Err(refused(model, format!("row {index} is not {width} finite numbers")));
        }
    }
    Ok(())
}

fn refused(model: &str, reason: String) -> TrainError {
    TrainError::Data { model: model.to_owned(), reason }
}

fn logits(weights: &[f64], stride: usize, classes: usize, row: &[f64]) -> Vec<f64> {
    (0..classes)
        .map(|class| {
            let part = &weights[class * stride..(class + 1) * stride];
            dot(row, part) + part[stride - 1]
        })
        .collect()
}

/// exp and normalise, without overflow.
pub(super) fn softmax(mut values: Vec<f64>) -> Vec<f64> {
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in &mut values {
        *value = (*value - top).exp();
        sum += *value;
    }
    for value in &mut values {
        *value /= sum;
    }
    values
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// L-BFGS from 0.
fn minimise(loss: impl Fn(&[f64], &mut [f64]) -> f64, size: usize) -> Vec<f64> {
    let mut point = vec![0.0; size];
    let mut gradient = vec![0.0; size];
    let mut value = loss(&point, &mut gradient);
    let mut memory: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let mut idle = 0;
    for _ in 0..STEPS {
        let largest = gradient.iter().fold(0.0_f64, |top, g| top.max(g.abs()));
        if largest <= TOLERANCE * (1.0 + value.abs()) {
            break;
        }
        let direction = two_loop(&gradient, &memory);
        let slope = dot(&gradient, &direction);
        let mut length = if memory.is_empty() { 1.0 / (1.0 + largest) } else { 1.0 };
        let (mut trial, mut trial_gradient) = (point.clone(), vec![0.0; size]);
        let mut accepted = None;
        for _ in 0..30 {
            for (slot, (p, d)) in trial.iter_mut().zip(point.iter().zip(&direction)) {
                *slot = p + length * d;
            }
            let new = loss(&trial, &mut trial_gradient);
            if new.is_finite() && new <= value + 1e-4 * length * slope {
                accepted = Some(new);
                break;
            }
            length *= 0.5;
        }
        // No length helps any more: what is left is rounding.
        let Some(new) = accepted else { break };
        let step: Vec<f64> = trial.iter().zip(&point).map(|(t, p)| t - p).collect();
        let change: Vec<f64> = trial_gradient.iter().zip(&gradient).map(|(t, g)| t - g).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-12 * dot(&change, &change) {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((step, change, 1.0 / curvature));
        }
        idle = if value - new < GAIN * (1e-3 + value.abs()) { idle + 1 } else { 0 };
        (point, gradient, value) = (trial, trial_gradient, new);
        if idle >= IDLE {
            break;
        }
    }
    point
}

fn two_loop(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(memory.len());
    for (step, change, inverse) in memory.iter().rev() {
        let alpha = inverse * dot(step, &q);
        for (slot, value) in q.iter_mut().zip(change) {
            *slot -= alpha * value;
        }
        alphas.push(alpha);
    }
    if let Some((_, change, inverse)) = memory.last() {
        let scale = 1.0 / (inverse * dot(change, change));
        for slot in &mut q {
            *slot *= scale;
        }
    }
    for ((step, change, inverse), alpha) in memory.iter().zip(alphas.iter().rev()) {
        let beta = inverse * dot(change, &q);
        for (slot, value) in q.iter_mut().zip(step) {
            *slot += (alpha - beta) * value;
        }
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_multinomial_logit_agrees_with_scikit_learn() {
        // LogisticRegression(C=1) of scikit-learn 1.9.1, tolerance 1e-12.
        let rows: Vec<Vec<f64>> = [
            [0.5, -1.2],
            [1.5, 0.3],
            [-0.7, 0.8],
            [2.2, -0.4],
            [-1.1, -0.9],
            [0.1, 1.7],
            [0.9, 0.9],
            [-1.8, 0.2],
            [1.2, -1.5],
        ]
        .iter()
        .map(|row| row.to_vec())
        .collect();
        let labels = [0, 0, 1, 0, 2, 1, 1, 2, 2];
        let model = Multinomial::fit(&rows, &labels, 3, 1.0).unwrap();
        let expected = [
            (vec![0.5, -1.2], [0.391_886_57, 0.069_650_74, 0.538_462_69]),
            (vec![1.5, 0.3], [0.569_942_4, 0.323_547_61, 0.106_509_98]),
            (vec![0.3, 0.4], [0.294_776_41, 0.465_505_46, 0.239_718_13]),
        ];
        for (row, expected) in expected {
            for (got, expected) in model.probabilities(&row).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{row:?}: {got} against {expected}");
            }
        }
    }

    #[test]
    fn the_conditional_logit_of_two_entities_is_a_logit_of_their_difference() {
        let differences = [0.4, -0.3, 1.2, 0.8, -0.5, 0.1];
        let cases: Vec<_> = differences.iter().map(|d| (vec![vec![*d], vec![0.0]], 0)).collect();
        let model = Conditional::fit(&cases, 0.5).unwrap();
        // At the minimum the derivative Σ −d·(1 − σ(w·d)) + ridge·w is 0.
        let weight = model.score(&[1.0]);
        let derivative: f64 = differences.iter().map(|d| -d / (1.0 + (weight * d).exp())).sum::<f64>() + 0.5 * weight;
        assert!(derivative.abs() < 1e-6, "{derivative} at {weight}");
    }

    #[test]
    fn bad_input_is_refused() {
        let refused = |rows: &[Vec<f64>], labels: &[usize], ridge: f64| {
            Multinomial::fit(rows, labels, 2, ridge).unwrap_err().to_string()
        };
        assert!(refused(&[], &[], 1.0).contains("no row"));
        assert!(refused(&[vec![f64::NAN]], &[0], 1.0).contains("row 0 is not 1 finite"));
        assert!(refused(&[vec![1.0]], &[2], 1.0).contains("2 classes"));
        assert!(refused(&[vec![1.0]], &[0], 0.0).contains("ridge is 0"));
        assert!(Conditional::fit(&[], 1.0).unwrap_err().to_string().contains("no case"));
    }

    #[test]
    fn standardizing_puts_gaps_to_the_mean_and_constants_to_nothing() {
        let rows: [&[f64]; 3] = [&[1.0, 7.0, f64::NAN], &[3.0, 7.0, f64::NAN], &[f64::NAN, 7.0, f64::NAN]];
        let standard = Standardizer::fit(&rows);
        let expected = [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]];
        for (row, expected) in rows.iter().zip(expected) {
            for (got, expected) in standard.apply(row).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-12);
            }
        }
    }
}
