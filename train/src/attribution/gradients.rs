//! Integrated gradients of the network: (x − x′)·∫₀¹ ∇F(x′ + α(x − x′)) dα, x′ = 0 (Sundararajan et al. 2017, eq. 1).
//!
//! F is the calibrated failure probability within the horizon, differentiated through the calibration of the logits. The
//! integral is a midpoint sum whose steps double until the shares sum to F(x) − F(0) within the tolerance.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use features::Design;
use model::HazardNet;
use model::network::Inputs;
use model::neural::{from_safetensors, read, to_safetensors};

use super::{Attribution, Scorer, baseline, one, tolerance};
use crate::error::{Result, TrainError};

/// Steps of the first sum.
const FEWEST_STEPS: usize = 32;
/// Steps beyond which a sum that still misses says that something else is wrong.
const MOST_STEPS: usize = 4096;
/// Points differentiated at once.
const POINTS: usize = 256;

/// What F needs besides the network.
struct Function {
    network: HazardNet,
    slope: Tensor<3>,
    shift: Tensor<3>,
    /// Intervals wholly before the horizon, and the part of the next one that is.
    whole: usize,
    part: f32,
    device: Device,
}

pub(super) fn integrated(
    scorer: &Scorer<'_>,
    network: &HazardNet,
    design: &Design,
    rows: &[usize],
) -> Result<Vec<Attribution>> {
    let start = scorer.probabilities(&baseline(design))?[0];
    let function = Function::new(scorer, network, design)?;
    rows.iter()
        .map(|&row| {
            let point = one(design, row);
            let prediction = scorer.probabilities(&point)?[0];
            let mut steps = FEWEST_STEPS;
            loop {
                let (flat, sequence) = function.shares(&point, steps)?;
                let found = Attribution::new(prediction, start, flat, sequence, true);
                if found.gap.abs() <= tolerance(prediction, start) {
                    return Ok(found);
                }
                steps *= 2;
                if steps > MOST_STEPS {
                    let reason = format!(
                        "shares of row {row} miss the difference {:.4} by {:.1e} after {MOST_STEPS} steps",
                        prediction - start,
                        found.gap
                    );
                    return Err(TrainError::Study { what: "integrated gradients".to_owned(), reason });
                }
            }
        })
        .collect()
}

impl Function {
    fn new(scorer: &Scorer<'_>, network: &HazardNet, design: &Design) -> Result<Self> {
        let curve = scorer.model().curves(&baseline(design))?;
        let Some(curve) = curve.first() else {
            return Err(TrainError::Study {
                what: "integrated gradients".to_owned(),
                reason: "the model gives no curve".to_owned(),
            });
        };
        // The horizon was checked against the grid by the scorer before.
        let edges = curve.grid().edges();
        let next = edges.partition_point(|&edge| edge < scorer.horizon()).clamp(1, edges.len() - 1);
        let share = (scorer.horizon() - edges[next - 1]) / (edges[next] - edges[next - 1]);
        let device = Device::flex().autodiff();
        // `valid` switches dropout off, which would otherwise run wherever gradients are taken.
        let plain = network.valid();
        let network = from_safetensors(plain, &to_safetensors(network)?, &device)?;
        let calibration = scorer.predictor.calibration();
        let causes = network.causes();
        #[expect(clippy::cast_possible_truncation, reason = "the network is single precision")]
        let tensor = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            Tensor::<3>::from_data(TensorData::new(values, [1, 1, causes]), &device)
        };
        #[expect(clippy::cast_possible_truncation, reason = "the network is single precision")]
        let part = share.clamp(0.0, 1.0) as f32;
        Ok(Self {
            slope: tensor(&calibration.slope),
            shift: tensor(&calibration.shift),
            network,
            whole: next - 1,
            part,
            device,
        })
    }

    /// Shares from a sum of so many midpoints.
    fn shares(&self, point: &Design, steps: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut flat = vec![0.0_f64; point.flat.len()];
        let mut sequence = vec![0.0_f64; point.sequence.len()];
        let mut done = 0;
        while done < steps {
            let points = POINTS.min(steps - done);
            let (on_flat, on_sequence) = self.gradients(point, done, points, steps)?;
            add(&mut flat, &on_flat);
            add(&mut sequence, &on_sequence);
            done += points;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand steps")]
        let weight = 1.0 / steps as f64;
        let times = |sums: &mut [f64], x: &[f32]| {
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum *= weight * f64::from(x);
            }
        };
        times(&mut flat, &point.flat);
        times(&mut sequence, &point.sequence);
        Ok((flat, sequence))
    }

    /// ∇F at the midpoints `from..from + points` of `steps`, row after row.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand steps, and the network is single precision")]
    fn gradients(&self, point: &Design, from: usize, points: usize, steps: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let along = |x: &[f32]| -> Vec<f32> {
            (from..from + points)
                .flat_map(|step| x.iter().map(move |&x| x * ((step as f32 + 0.5) / steps as f32)))
                .collect()
        };
        let path = Design {
            rows: points,
            width: point.width,
            flat: along(&point.flat),
            steps: point.steps,
            channels: point.channels,
            sequence: along(&point.sequence),
        };
        let all: Vec<usize> = (0..points).collect();
        let inputs = Inputs::gather(&path, &all, &self.device);
        let flat = inputs.flat.require_grad();
        let sequence = inputs.sequence.require_grad();
        let survival = self.survival(Inputs { flat: flat.clone(), sequence: sequence.clone() });
        // F = 1 − S, and rows do not meet: the gradient of the sum holds that of every row.
        let gradients = survival.sum().neg().backward();
        // A branch that is switched off leaves its input without a gradient: nothing rests on it.
        let flat = flat.grad(&gradients).map(read).transpose()?.unwrap_or_default();
        let sequence = sequence.grad(&gradients).map(read).transpose()?.unwrap_or_default();
        Ok((flat, sequence))
    }

    /// S at the horizon, one per row: straight between the edges, as a curve is read.
    fn survival(&self, inputs: Inputs) -> Tensor<2> {
        let logits = self.network.forward(inputs);
        let [rows, intervals, _] = logits.dims();
        let logits = logits * self.slope.clone() + self.shift.clone();
        let survive = Tensor::<3>::zeros([rows, intervals, 1], &logits.device());
        let log = log_softmax(Tensor::cat(vec![survive, logits], 2), 2);
        let stay: Tensor<2> = log.narrow(2, 0, 1).reshape([rows, intervals]);
        let until = |interval: usize| stay.clone().narrow(1, 0, interval).sum_dim(1).exp();
        let after = until(self.whole + 1) * self.part;
        if self.whole == 0 {
            // S(0) = 1 moves with no input.
            after
        } else {
            after + until(self.whole) * (1.0 - self.part)
        }
    }
}

/// Adds rows of `values` onto `sums`.
fn add(sums: &mut [f64], values: &[f32]) {
    if sums.is_empty() {
        return;
    }
    for row in values.chunks_exact(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
}
