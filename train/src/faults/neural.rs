//! A small network over the columns of a case: one hidden layer beside a linear path, softmax over classes.
//!
//! The linear path makes a logit its special case, so that it can only lose by what it learns beyond one. Initial weights
//! are drawn here and there is no dropout: a fit follows from its rows and its seed alone.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::{log_softmax, relu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use model::neural::read;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};

/// What is chosen for a network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NetworkChoice {
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Passes over all rows.
    pub epochs: usize,
    /// Step size.
    pub learning_rate: f64,
    /// Pull of the weights towards 0 (decoupled, Loshchilov & Hutter 2019).
    pub weight_decay: f32,
}

#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
    output: Linear,
    straight: Linear,
}

impl Network {
    fn new(width: usize, hidden: usize, classes: usize, seed: u64, device: &Device) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        // He initialisation for what a rectifier follows; the two paths to the output start at nothing or near it.
        let mut layer = |input: usize, output: usize, deviation: f32| {
            let weights: Vec<f32> =
                (0..input * output).map(|_| deviation * 3.0_f32.sqrt() * generator.random_range(-1.0..1.0)).collect();
            let mut layer = LinearConfig::new(input, output).init(device);
            layer.weight = Param::from_tensor(Tensor::from_data(TensorData::new(weights, [input, output]), device));
            layer.bias = Some(Param::from_tensor(Tensor::zeros([output], device)));
            layer
        };
        let spread = |input: usize| (2.0 / input.max(1) as f32).sqrt();
        Self {
            hidden: layer(width, hidden, spread(width)),
            output: layer(hidden, classes, 0.5 * spread(hidden)),
            straight: layer(width, classes, 0.0),
        }
    }

    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.hidden.forward(rows.clone()))) + self.straight.forward(rows)
    }
}

/// Fits on standardised rows and gives the probabilities of the asked rows.
///
/// # Errors
/// When there is no row, a label is out of range, or the loss stops being a number.
pub(super) fn fit_predict(
    rows: &[Vec<f64>],
    labels: &[usize],
    classes: usize,
    asked: &[Vec<f64>],
    choice: NetworkChoice,
    seed: u64,
) -> Result<Vec<Vec<f64>>> {
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 || rows.len() != labels.len() || labels.iter().any(|label| *label >= classes) {
        let reason = format!("{} rows of {width} columns, {} labels, {classes} classes", rows.len(), labels.len());
        return Err(TrainError::Data { model: "small network".to_owned(), reason });
    }
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let mut network = Network::new(width, choice.hidden, classes, seed, &device).set_require_grad(true);
    let mut optimizer = AdamWConfig::new()
        .with_weight_decay(choice.weight_decay)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let inputs = tensor(rows, width, &device);
    let mut wanted = vec![0.0_f32; rows.len() * classes];
    for (row, label) in labels.iter().enumerate() {
        wanted[row * classes + label] = 1.0;
    }
    let wanted: Tensor<2> = Tensor::from_data(TensorData::new(wanted, [rows.len(), classes]), &device);
    let per_row = -1.0 / rows.len() as f64;
    for epoch in 1..=choice.epochs {
        let loss = (log_softmax(network.forward(inputs.clone()), 1) * wanted.clone()).sum().mul_scalar(per_row);
        // The last value tells of every earlier one: what is no number stays none.
        if epoch == choice.epochs {
            let value = read(loss.clone())?.first().copied().unwrap_or(f32::NAN);
            if !value.is_finite() {
                return Err(TrainError::Diverged { epoch, loss: f64::from(value) });
            }
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(choice.learning_rate, network, gradients);
    }
    let probabilities = softmax(network.valid().forward(tensor(asked, width, &plain)), 1);
    let of_row = |row: &[f32]| -> Vec<f64> {
        // Single precision leaves the sum a little off 1.
        let sum: f64 = row.iter().map(|p| f64::from(*p)).sum();
        row.iter().map(|p| f64::from(*p) / sum).collect()
    };
    Ok(read(probabilities)?.chunks_exact(classes).map(of_row).collect())
}

fn tensor(rows: &[Vec<f64>], width: usize, device: &Device) -> Tensor<2> {
    #[expect(clippy::cast_possible_truncation, reason = "standardised values in single precision")]
    let values: Vec<f32> = rows.iter().flatten().map(|value| *value as f32).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), width]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOICE: NetworkChoice = NetworkChoice { hidden: 16, epochs: 200, learning_rate: 0.02, weight_decay: 0.01 };

    #[test]
    fn learns_an_exclusive_or_and_says_the_same_twice() {
        let rows: Vec<Vec<f64>> = (0..40)
            .map(|i| vec![if i % 2 == 0 { 1.0 } else { -1.0 }, if i % 4 < 2 { 1.0 } else { -1.0 }, f64::from(i) / 80.0])
            .collect();
        let labels: Vec<usize> = rows.iter().map(|row| usize::from(row[0] * row[1] > 0.0)).collect();
        let first = fit_predict(&rows, &labels, 2, &rows, CHOICE, 5).unwrap();
        assert!(first.iter().zip(&labels).all(|(p, label)| p[*label] > 0.8), "{first:?}");
        assert_eq!(first, fit_predict(&rows, &labels, 2, &rows, CHOICE, 5).unwrap());
        assert_ne!(first, fit_predict(&rows, &labels, 2, &rows, CHOICE, 6).unwrap());
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(fit_predict(&[], &[], 2, &[], CHOICE, 1).unwrap_err().to_string().contains("0 rows"));
        let rows = [vec![1.0]];
        assert!(fit_predict(&rows, &[2], 2, &rows, CHOICE, 1).unwrap_err().to_string().contains("2 classes"));
    }
}
