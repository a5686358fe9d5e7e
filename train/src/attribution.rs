//! Which inputs moved a prediction: the failure probability within a horizon, shared out over the scaled input.
//!
//! Both methods walk the straight line from the baseline (every scaled input 0: the mean of the training part, or not
//! observed) to the row and add up what each input contributed on the way, so that the shares sum to the difference between
//! the two predictions (completeness). Where the model is a network, `gradients` takes the integral of its gradient
//! (integrated gradients, Sundararajan, Taly & Yan 2017); any other model is walked in small steps, `walk`. A share is
//! about the model, not about the world: it says what the prediction rests on, not what would prevent the failure.

mod deletion;
mod explanation;
mod gradients;
mod inputs;
mod walk;

use features::Design;
use model::{BundlePredictor, CurveModel};
use serde::{Deserialize, Serialize};
use survival::SurvivalCurve;

use crate::error::{Result, TrainError};

pub use deletion::{DeletionCurve, deletion};
pub use explanation::{ChannelShare, Contribution, Explanation, GlobalAttribution, explain, overall};
pub use inputs::{Inputs, Source};

/// How shares were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Integrated gradients of the network.
    IntegratedGradients,
    /// Differences along the way, one input after another.
    StepwiseDifferences,
}

impl Method {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IntegratedGradients => "integrated gradients",
            Self::StepwiseDifferences => "stepwise differences along the straight line",
        }
    }
}

/// Shares of one prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// Failure probability within the horizon, calibrated.
    pub prediction: f64,
    /// The same at the baseline.
    pub baseline: f64,
    /// Share of every flat column of the design.
    pub flat: Vec<f64>,
    /// Share of every step and channel of the window, steps × channels.
    pub sequence: Vec<f64>,
    /// Whether the window was walked at all: a model that does not read it has no share to give it.
    pub window: bool,
    /// Sum of the shares minus (prediction − baseline): 0 but for the steps of the integral.
    pub gap: f64,
}

impl Attribution {
    fn new(prediction: f64, baseline: f64, flat: Vec<f64>, sequence: Vec<f64>, window: bool) -> Self {
        let total: f64 = flat.iter().chain(&sequence).sum();
        Self { prediction, baseline, flat, sequence, window, gap: total - (prediction - baseline) }
    }
}

/// How far the shares of one prediction may miss the difference they share out: a fiftieth of it, and never less than
/// what single precision leaves of a probability.
#[must_use]
pub fn tolerance(prediction: f64, baseline: f64) -> f64 {
    (0.02 * (prediction - baseline).abs()).max(1e-4)
}

/// Failure probabilities of scaled rows, as the bundle answers them.
pub struct Scorer<'a> {
    predictor: &'a BundlePredictor,
    horizon: f64,
}

impl<'a> Scorer<'a> {
    /// Probabilities of failing within `horizon`, in the unit of the bundle's grid.
    #[must_use]
    pub fn new(predictor: &'a BundlePredictor, horizon: f64) -> Self {
        Self { predictor, horizon }
    }

    /// The horizon.
    #[must_use]
    pub fn horizon(&self) -> f64 {
        self.horizon
    }

    /// How [`attribute`] will go about it.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.model().network() {
            Some(_) => Method::IntegratedGradients,
            None => Method::StepwiseDifferences,
        }
    }

    /// One probability per row.
    ///
    /// # Errors
    /// When the design is of another width or the horizon lies beyond the grid.
    pub fn probabilities(&self, design: &Design) -> Result<Vec<f64>> {
        let mut probabilities = Vec::with_capacity(design.rows);
        for curve in self.model().curves(design)? {
            let curve: SurvivalCurve = self.predictor.calibration().apply(&curve)?;
            probabilities.push(curve.failure_probability(self.horizon)?);
        }
        Ok(probabilities)
    }

    fn model(&self) -> &dyn CurveModel {
        self.predictor.model()
    }
}

/// Shares of the chosen rows of a design.
///
/// # Errors
/// When a row is not in the design, the horizon lies beyond the grid, or the integral of a network's gradient misses
/// [`tolerance`] however finely it is taken.
pub fn attribute(scorer: &Scorer<'_>, design: &Design, rows: &[usize]) -> Result<Vec<Attribution>> {
    if let Some(&row) = rows.iter().find(|&&row| row >= design.rows) {
        let reason = format!("row {row} of a batch of {}", design.rows);
        return Err(TrainError::Study { what: "attribution".to_owned(), reason });
    }
    match scorer.model().network() {
        Some(network) => gradients::integrated(scorer, network, design, rows),
        None => rows.iter().map(|&row| walk::stepwise(scorer, &one(design, row))).collect(),
    }
}

/// One row of a design as a design.
fn one(design: &Design, row: usize) -> Design {
    let size = design.steps * design.channels;
    Design {
        rows: 1,
        width: design.width,
        flat: design.flat[row * design.width..(row + 1) * design.width].to_vec(),
        steps: design.steps,
        channels: design.channels,
        sequence: design.sequence[row * size..(row + 1) * size].to_vec(),
    }
}

/// The row every share is counted from: all 0.
fn baseline(design: &Design) -> Design {
    Design {
        rows: 1,
        width: design.width,
        flat: vec![0.0; design.width],
        steps: design.steps,
        channels: design.channels,
        sequence: vec![0.0; design.steps * design.channels],
    }
}
