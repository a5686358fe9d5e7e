//! HazardNet: summaries and windows in, one logit per interval and cause out.
//!
//! Per interval the classes are {survive, cause 1..C} with the survive logit fixed at 0, so the cause
//! logits z_jc give h_jc = exp(z_jc) / (1 + Σ exp(z_jk)) and every law of a curve holds by construction
//! (Gensheimer & Narasimhan 2019 for one cause, Lee et al. 2018 §3 for several, without its ranking loss).
//! The encoder is a few large matrix products: patches of the window share one, flattened patches another.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor, TensorData};
use features::Design;
use serde::{Deserialize, Serialize};
use survival::SurvivalCurve;

use crate::{ModelError, Result};

/// Sizes of the parts a person chooses; input and output sizes follow from the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Width of the two layers over the flat part; 0 switches the branch off.
    pub flat_hidden: usize,
    /// Steps per patch of the window; 0 switches the branch off.
    pub patch_steps: usize,
    /// Width of a patch's embedding.
    pub patch_hidden: usize,
    /// Width of the layer over all embedded patches.
    pub window_hidden: usize,
    /// Width of the layer that joins the branches.
    pub fusion_hidden: usize,
    /// Share of units dropped while training, after each hidden layer.
    pub dropout: f64,
}

impl Default for NetworkConfig {
    /// Below 300 thousand parameters for every data set at hand, which keeps serving on a CPU cheap. Chosen on the
    /// validation part of the simulated interaction world.
    fn default() -> Self {
        Self {
            flat_hidden: 256,
            patch_steps: 4,
            patch_hidden: 64,
            window_hidden: 128,
            fusion_hidden: 128,
            dropout: 0.3,
        }
    }
}

/// Sizes that follow from the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkShape {
    /// Columns of the flat part of a design.
    pub width: usize,
    /// Steps of the window.
    pub steps: usize,
    /// Channels of the window.
    pub channels: usize,
    /// Intervals of the time grid.
    pub intervals: usize,
    /// Causes of failure.
    pub causes: usize,
}

impl NetworkConfig {
    /// Checks sizes against each other and the data.
    ///
    /// # Errors
    /// When both branches are off or a size cannot be.
    pub fn validate(&self, shape: NetworkShape) -> Result<()> {
        let refuse = |reason: String| Err(ModelError::Network { reason });
        let flat = self.flat_hidden > 0 && shape.width > 0;
        let window = self.patch_steps > 0 && shape.steps > 0;
        if !flat && !window {
            return refuse(format!(
                "no branch has input: flat_hidden {} over {} columns, patch_steps {} over {} steps",
                self.flat_hidden, shape.width, self.patch_steps, shape.steps
            ));
        }
        if window && (self.patch_steps > shape.steps || self.patch_hidden == 0 || self.window_hidden == 0) {
            return refuse(format!(
                "patch_steps {} must fit {} steps, and patch_hidden ({}) and window_hidden ({}) be above 0",
                self.patch_steps, shape.steps, self.patch_hidden, self.window_hidden
            ));
        }
        if self.fusion_hidden == 0 || !(0.0..1.0).contains(&self.dropout) {
            return refuse(format!(
                "fusion_hidden {} must be above 0, dropout {} in [0, 1)",
                self.fusion_hidden, self.dropout
            ));
        }
        if shape.intervals == 0 || shape.causes == 0 {
            return refuse(format!("{} intervals and {} causes: nothing to predict", shape.intervals, shape.causes));
        }
        Ok(())
    }

    /// A network whose output is the life table: zero weights in the head, its bias at `base` logits.
    ///
    /// `base` holds intervals × causes logits of the training data's hazards.
    ///
    /// # Errors
    /// When the configuration does not fit the shape, or `base` has another length.
    pub fn init(&self, shape: NetworkShape, base: &[f32], device: &Device) -> Result<HazardNet> {
        self.validate(shape)?;
        let outputs = shape.intervals * shape.causes;
        if base.len() != outputs {
            return Err(ModelError::Network {
                reason: format!("base hazard has {} logits, the head {outputs}", base.len()),
            });
        }
        let linear = |input: usize, output: usize| LinearConfig::new(input, output).init(device);
        let flat = (self.flat_hidden > 0 && shape.width > 0).then(|| FlatBranch {
            first: linear(shape.width, self.flat_hidden),
            second: linear(self.flat_hidden, self.flat_hidden),
        });
        // Steps that do not fill a patch are the oldest and are left out.
        let patches = shape.steps.checked_div(self.patch_steps).unwrap_or(0);
        let window = (patches > 0).then(|| WindowBranch {
            embed: linear(self.patch_steps * shape.channels, self.patch_hidden),
            mix: linear(patches * self.patch_hidden, self.window_hidden),
        });
        let joined = flat.as_ref().map_or(0, |_| self.flat_hidden) + window.as_ref().map_or(0, |_| self.window_hidden);
        let skip = (shape.width > 0).then(|| {
            let mut layer = LinearConfig::new(shape.width, shape.causes).with_bias(false).init(device);
            layer.weight = Param::from_tensor(Tensor::zeros([shape.width, shape.causes], device));
            layer
        });
        let mut head = linear(self.fusion_hidden, outputs);
        head.weight = Param::from_tensor(Tensor::zeros([self.fusion_hidden, outputs], device));
        head.bias = Some(Param::from_tensor(Tensor::from_data(TensorData::new(base.to_vec(), [outputs]), device)));
        Ok(HazardNet {
            flat,
            window,
            skip,
            fusion: linear(joined, self.fusion_hidden),
            head,
            dropout: DropoutConfig::new(self.dropout).init(),
            patch_steps: self.patch_steps,
            intervals: shape.intervals,
            causes: shape.causes,
        })
    }
}

#[derive(Module, Debug)]
struct FlatBranch {
    first: Linear,
    second: Linear,
}

#[derive(Module, Debug)]
struct WindowBranch {
    embed: Linear,
    mix: Linear,
}

/// The network.
#[derive(Module, Debug)]
pub struct HazardNet {
    flat: Option<FlatBranch>,
    window: Option<WindowBranch>,
    /// Effects of the flat part shared by all intervals: the proportional part of the model.
    skip: Option<Linear>,
    fusion: Linear,
    head: Linear,
    dropout: Dropout,
    patch_steps: usize,
    intervals: usize,
    causes: usize,
}

/// Input tensors of a batch.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Rows × width.
    pub flat: Tensor<2>,
    /// Rows × steps × channels.
    pub sequence: Tensor<3>,
}

impl Inputs {
    /// Tensors of the rows `rows` of a design, in that order.
    #[must_use]
    pub fn gather(design: &Design, rows: &[usize], device: &Device) -> Self {
        let size = design.steps * design.channels;
        let mut flat = Vec::with_capacity(rows.len() * design.width);
        let mut sequence = Vec::with_capacity(rows.len() * size);
        for &row in rows {
            flat.extend_from_slice(&design.flat[row * design.width..(row + 1) * design.width]);
            sequence.extend_from_slice(&design.sequence[row * size..(row + 1) * size]);
        }
        // A branch without input still needs a tensor of some width; it is never read.
        let width = design.width.max(1);
        if design.width == 0 {
            flat.resize(rows.len(), 0.0);
        }
        let (steps, channels) = (design.steps.max(1), design.channels.max(1));
        if size == 0 {
            sequence.resize(rows.len(), 0.0);
        }
        Self {
            flat: Tensor::from_data(TensorData::new(flat, [rows.len(), width]), device),
            sequence: Tensor::from_data(TensorData::new(sequence, [rows.len(), steps, channels]), device),
        }
    }
}

impl HazardNet {
    /// Intervals of the grid.
    #[must_use]
    pub fn intervals(&self) -> usize {
        self.intervals
    }

    /// Causes of failure.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.causes
    }

    /// The same with these effects of the flat part on every interval, columns × causes; none where it is empty.
    ///
    /// # Errors
    /// When there are effects and their number is not columns × causes.
    pub fn with_linear_part(mut self, effects: &[f32], device: &Device) -> Result<Self> {
        let Some(skip) = &mut self.skip else { return Ok(self) };
        if effects.is_empty() {
            return Ok(self);
        }
        let [width, causes] = skip.weight.val().dims();
        if effects.len() != width * causes {
            let reason = format!("{} linear effects, expected {width} × {causes}", effects.len());
            return Err(ModelError::Network { reason });
        }
        let data = TensorData::new(effects.to_vec(), [width, causes]);
        skip.weight = Param::from_tensor(Tensor::from_data(data, device));
        Ok(self)
    }

    /// Cause logits, rows × intervals × causes; the survive logit is 0.
    #[must_use]
    pub fn forward(&self, inputs: Inputs) -> Tensor<3> {
        let [rows, steps, channels] = inputs.sequence.dims();
        let mut parts = Vec::with_capacity(2);
        if let Some(branch) = &self.flat {
            let hidden = self.dropout.forward(relu(branch.first.forward(inputs.flat.clone())));
            parts.push(self.dropout.forward(relu(branch.second.forward(hidden))));
        }
        if let Some(branch) = &self.window {
            let patches = steps / self.patch_steps;
            let used = patches * self.patch_steps;
            let sequence = if used == steps { inputs.sequence } else { inputs.sequence.narrow(1, steps - used, used) };
            let unfolded: Tensor<2> = sequence.reshape([rows * patches, self.patch_steps * channels]);
            let embedded = relu(branch.embed.forward(unfolded));
            let [_, width] = embedded.dims();
            let flattened: Tensor<2> = embedded.reshape([rows, patches * width]);
            parts.push(self.dropout.forward(relu(branch.mix.forward(flattened))));
        }
        let joined = if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(parts, 1) };
        let hidden = self.dropout.forward(relu(self.fusion.forward(joined)));
        let logits: Tensor<3> = self.head.forward(hidden).reshape([rows, self.intervals, self.causes]);
        match &self.skip {
            Some(skip) => {
                let shared: Tensor<3> = skip.forward(inputs.flat).reshape([rows, 1, self.causes]);
                logits + shared
            }
            None => logits,
        }
    }

    /// ln p of {survive, cause 1..C} per interval, rows × intervals × (1 + causes).
    #[must_use]
    pub fn log_probabilities(&self, inputs: Inputs) -> Tensor<3> {
        let logits = self.forward(inputs);
        let [rows, intervals, _] = logits.dims();
        let survive = Tensor::zeros([rows, intervals, 1], &logits.device());
        log_softmax(Tensor::cat(vec![survive, logits], 2), 2)
    }
}

/// Hazards per interval and cause from cause logits, in double precision; a logit of −∞ is a hazard of 0.
#[must_use]
pub fn hazards_from_logits<T: Copy + Into<f64>>(logits: &[T], intervals: usize, causes: usize) -> Vec<Vec<f64>> {
    (0..intervals)
        .map(|interval| {
            let row = &logits[interval * causes..(interval + 1) * causes];
            let top = row.iter().fold(0.0_f64, |top, &z| top.max(z.into()));
            let weights: Vec<f64> = row.iter().map(|&z| (z.into() - top).exp()).collect();
            let total = (-top).exp() + weights.iter().sum::<f64>();
            weights.into_iter().map(|weight| weight / total).collect()
        })
        .collect()
}

/// Cause logits of a curve's hazards, bounded so that an interval without failures stays finite.
#[must_use]
pub fn logits_from_curve(curve: &SurvivalCurve) -> Vec<f64> {
    const SMALLEST: f64 = 1e-9;
    let survival = curve.survival();
    let mut logits = Vec::with_capacity(curve.grid().intervals() * curve.causes());
    for interval in 0..curve.grid().intervals() {
        let alive = survival[interval].max(SMALLEST);
        let stay = (survival[interval + 1] / alive).clamp(SMALLEST, 1.0);
        for incidence in curve.incidence() {
            let hazard = ((incidence[interval + 1] - incidence[interval]) / alive).clamp(SMALLEST, 1.0);
            logits.push((hazard / stay).ln());
        }
    }
    logits
}
