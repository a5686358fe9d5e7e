//! The training loop of the network, top to bottom: for each epoch a training pass, a validation pass, one
//! line, a checkpoint; the best weights on the validation part win.

use std::path::Path;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use datasets::progress::Progress;
use features::Design;
use model::device::Chosen;
use model::network::Inputs;
use model::neural::{from_safetensors, read, to_safetensors};
use model::{HazardNet, NetworkConfig, NetworkShape};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use survival::{Observation, TimeGrid};

use crate::checkpoint::{Checkpoints, State};
use crate::config::FitConfig;
use crate::error::{Result, TrainError};
use crate::loss::{Targets, hazard_loss};
use crate::start::Start;

/// Steps of a pass at least, as long as batches keep [`FEWEST_BATCH_ROWS`].
const STEPS_PER_EPOCH: usize = 20;
const FEWEST_BATCH_ROWS: usize = 32;

/// Rows of one part: input and labels.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Normalised input.
    pub design: &'a Design,
    /// What was observed, one per row.
    pub observations: &'a [Observation],
}

/// What one epoch came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Mean training loss per row.
    pub train: f64,
    /// Mean validation likelihood loss per row, without dropout and RPS.
    pub validation: f64,
}

/// A fitted network and how it got there.
pub struct FittedNetwork {
    /// The weights with the best validation loss, on the CPU.
    pub network: HazardNet,
    /// Sizes.
    pub shape: NetworkShape,
    /// One entry per epoch.
    pub history: Vec<Epoch>,
}

/// What a run is given besides its data.
pub struct Run<'a> {
    /// Sizes of the network.
    pub network: &'a NetworkConfig,
    /// The loop.
    pub fit: &'a FitConfig,
    /// Seed of weights, shuffles and dropout.
    pub seed: u64,
    /// Where it runs.
    pub device: &'a Chosen,
    /// Where checkpoints go; none are kept without it.
    pub checkpoints: Option<&'a Path>,
    /// Told of every epoch.
    pub progress: &'a dyn Progress,
}

/// Fits the network on `train`, stopping early on `validation`.
///
/// # Errors
/// When a part is empty, the loss stops being a number, or a checkpoint cannot be used.
pub fn fit_network(
    run: &Run<'_>,
    grid: &TimeGrid,
    causes: usize,
    train: Part<'_>,
    validation: Part<'_>,
) -> Result<FittedNetwork> {
    for (name, part) in [("training", train), ("validation", validation)] {
        if !part.observations.iter().any(Observation::failed) {
            let reason = format!("no failure among the {} rows of the {name} part", part.observations.len());
            return Err(TrainError::Data { model: "hazard-net".to_owned(), reason });
        }
    }
    let shape = NetworkShape {
        width: train.design.width,
        steps: train.design.steps,
        channels: train.design.channels,
        intervals: grid.intervals(),
        causes,
    };
    let plain = run.device.device.clone();
    let device = plain.clone().autodiff();
    let start = Start::of(run, grid, causes, train, validation)?;
    let base = start.base;
    // Initial weights are drawn on the CPU, so that every device starts from the same ones.
    let cpu = Device::flex();
    cpu.seed(run.seed);
    let initial = run.network.init(shape, &base, &cpu)?.with_linear_part(&start.slopes, &cpu)?;
    let initial = to_safetensors(&initial)?;
    let mut network =
        from_safetensors(run.network.init(shape, &base, &device)?, &initial, &device)?.set_require_grad(true);
    #[expect(clippy::cast_possible_truncation, reason = "weight decay in single precision")]
    let decay = run.fit.weight_decay as f32;
    let mut optimizer =
        AdamWConfig::new().with_weight_decay(decay).with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init();
    let train_targets = Targets::new(train.observations, grid, causes);
    let validation_targets = Targets::new(validation.observations, grid, causes);

    let untrained = from_safetensors(run.network.init(shape, &base, &plain)?, &initial, &plain)?;
    let mut state = State::start(initial);
    // Training must beat where it begins, or the beginning is what is kept.
    state.best_loss = mean_loss(&untrained, validation, &validation_targets, &plain)?;
    let checkpoints = run.checkpoints.map(|dir| Checkpoints::open(dir, run, shape, train)).transpose()?;
    if let Some(checkpoints) = &checkpoints
        && let Some((saved_network, saved_optimizer, saved_state)) =
            checkpoints.latest(network.clone(), optimizer.clone())?
    {
        (network, optimizer, state) = (saved_network, saved_optimizer, saved_state);
    }

    run.progress.begin("training hazard-net, epochs", Some(run.fit.epochs as u64));
    run.progress.advance(state.history.len() as u64);
    while state.history.len() < run.fit.epochs && state.without_gain <= run.fit.patience {
        let epoch = state.history.len() + 1;
        // Shuffle and dropout follow from (seed, epoch) alone, so a resumed run takes the same steps.
        let epoch_seed = run.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(epoch as u64);
        device.seed(epoch_seed);
        let mut order: Vec<usize> = (0..train.design.rows).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(epoch_seed));
        let rate = learning_rate(run.fit, epoch);

        let mut total = Tensor::<1>::zeros([1], &plain);
        let mut steps = 0.0_f64;
        for rows in order.chunks(batch_rows(run.fit, order.len())) {
            let inputs = Inputs::gather(train.design, rows, &device);
            let targets = train_targets.gather(rows, &device);
            let loss = hazard_loss(network.log_probabilities(inputs), targets, run.fit.rps_weight);
            total = total + loss.clone().inner();
            steps += 1.0;
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(rate, network, gradients);
        }
        let train_loss = f64::from(first(total)?) / steps;
        let valid = network.valid();
        let validation_loss = mean_loss(&valid, validation, &validation_targets, &plain)?;
        if !(train_loss.is_finite() && validation_loss.is_finite()) {
            return Err(TrainError::Diverged { epoch, loss: train_loss });
        }
        state.history.push(Epoch { epoch, train: train_loss, validation: validation_loss });
        if validation_loss < state.best_loss {
            (state.best_loss, state.without_gain) = (validation_loss, 0);
            state.best_weights = to_safetensors(&valid)?;
        } else {
            state.without_gain += 1;
        }
        tracing::info!(epoch, train_loss, validation_loss, best = state.best_loss, "epoch");
        if let Some(checkpoints) = &checkpoints {
            checkpoints.save(&network, &optimizer, &state)?;
        }
        run.progress.advance(1);
    }
    run.progress.end();

    let fresh = run.network.init(shape, &base, &cpu)?;
    let network = from_safetensors(fresh, &state.best_weights, &cpu)?;
    Ok(FittedNetwork { network, shape, history: state.history })
}

/// Mean likelihood loss per row, without dropout.
fn mean_loss(network: &HazardNet, part: Part<'_>, targets: &Targets, device: &Device) -> Result<f64> {
    let rows: Vec<usize> = (0..part.design.rows).collect();
    let mut total = 0.0_f64;
    for rows in rows.chunks(2048) {
        let inputs = Inputs::gather(part.design, rows, device);
        let loss = hazard_loss(network.log_probabilities(inputs), targets.gather(rows, device), 0.0);
        #[expect(clippy::cast_precision_loss, reason = "rows of a pass")]
        let weight = rows.len() as f64;
        total += f64::from(first(loss)?) * weight;
    }
    #[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
    let rows = part.design.rows as f64;
    Ok(total / rows)
}

fn first(tensor: Tensor<1>) -> Result<f32> {
    Ok(read(tensor)?.first().copied().unwrap_or(f32::NAN))
}

/// Few rows still want enough steps in a pass.
fn batch_rows(fit: &FitConfig, rows: usize) -> usize {
    fit.batch_rows.min((rows / STEPS_PER_EPOCH).max(FEWEST_BATCH_ROWS))
}

/// Two warm-up epochs, then a cosine down to a twentieth of the peak.
#[expect(clippy::cast_precision_loss, reason = "epoch numbers")]
fn learning_rate(fit: &FitConfig, epoch: usize) -> f64 {
    let warm = (epoch as f64 / 2.0).min(1.0);
    let share = (epoch - 1) as f64 / fit.epochs.max(2) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
    fit.learning_rate * warm * (0.05 + 0.95 * cosine)
}
