//! One way to fit anything with a logit and a gradient: Adam (Kingma & Ba 2015) on the weighted logistic loss, so that
//! circuit and rival differ in nothing but their function.

use ndarray::{ArrayView2, Axis};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::learn::{Targets, sigmoid};
use super::{check_finite, generator, refusal};
use crate::error::Result;

/// A function from a row to a logit with free parameters.
pub trait Differentiable {
    /// Number of parameters.
    fn parameters(&self) -> usize;
    /// Columns of a row.
    fn columns(&self) -> usize;
    /// Where a fit starts.
    fn initial(&self, random: &mut ChaCha8Rng) -> Vec<f64>;
    /// The logit of a row; ∂logit/∂parameter is written over `gradient` when one is given.
    ///
    /// # Errors
    /// When lengths do not fit.
    fn logit(&self, parameters: &[f64], row: &[f64], gradient: Option<&mut [f64]>) -> Result<f64>;
}

/// How to descend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamOptions {
    /// Passes over the rows.
    pub epochs: usize,
    /// Rows per step.
    pub batch_rows: usize,
    /// Step size; falls by a half cosine to a tenth.
    pub rate: f64,
    /// ½·decay·‖parameters‖² is added to the mean loss.
    pub decay: f64,
    /// Seed of start and order.
    pub seed: u64,
}

/// Parameters after the last epoch.
///
/// # Errors
/// When shapes differ, a value is not finite, an option is out of range, or the loss stops being a number.
pub fn fit(
    function: &impl Differentiable,
    x: ArrayView2<'_, f64>,
    targets: &Targets,
    options: &AdamOptions,
) -> Result<Vec<f64>> {
    let rows = targets.failed.len();
    if x.dim() != (rows, function.columns()) {
        let reason = format!("table of shape {:?} for {rows} targets and {} columns", x.dim(), function.columns());
        return Err(refusal("Adam", reason));
    }
    check_finite("Adam", "rows", x.iter())?;
    let usable = |value: f64, least: f64| value.is_finite() && value >= least;
    if options.batch_rows == 0 || !usable(options.rate, f64::MIN_POSITIVE) || !usable(options.decay, 0.0) {
        return Err(refusal("Adam", format!("{options:?}: batch_rows and rate must be above 0, decay at least 0")));
    }
    let mut random = generator(options.seed, 0);
    let mut parameters = function.initial(&mut random);
    let size = parameters.len();
    let (mut first, mut second, mut own, mut sum) =
        (vec![0.0; size], vec![0.0; size], vec![0.0; size], vec![0.0; size]);
    let mean_weight = targets.weight.iter().sum::<f64>() / rows as f64;
    let table: Vec<Vec<f64>> = x.axis_iter(Axis(0)).map(|row| row.to_vec()).collect();
    let mut order: Vec<usize> = (0..rows).collect();
    let (mut step, steps) = (0, options.epochs * rows.div_ceil(options.batch_rows));
    for _ in 0..options.epochs {
        order.shuffle(&mut random);
        for batch in order.chunks(options.batch_rows) {
            for (s, p) in sum.iter_mut().zip(&parameters) {
                *s = options.decay * p;
            }
            for &row in batch {
                let logit = function.logit(&parameters, &table[row], Some(&mut own))?;
                let scale = targets.weight[row] / mean_weight / batch.len() as f64;
                let slope = scale * (sigmoid(logit) - targets.failed[row]);
                sum.iter_mut().zip(&own).for_each(|(s, g)| *s += slope * g);
            }
            check_finite("Adam", "gradient (lower the rate)", &sum)?;
            step += 1;
            let progress = f64::from(step) / steps as f64;
            let rate = options.rate * (0.55 + 0.45 * (std::f64::consts::PI * progress).cos());
            let (c1, c2) = (1.0 - 0.9_f64.powi(step), 1.0 - 0.999_f64.powi(step));
            for (((p, g), m), v) in parameters.iter_mut().zip(&sum).zip(&mut first).zip(&mut second) {
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                *p -= rate * (*m / c1) / ((*v / c2).sqrt() + 1e-8);
            }
        }
    }
    Ok(parameters)
}

/// P(failed within the horizon) of each row.
///
/// # Errors
/// When widths differ.
pub fn predict(function: &impl Differentiable, parameters: &[f64], x: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
    x.axis_iter(Axis(0)).map(|row| Ok(sigmoid(function.logit(parameters, &row.to_vec(), None)?))).collect()
}
