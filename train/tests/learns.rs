//! What the network's loss and start are, against references that know nothing of tensors.

mod common;

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use datasets::simulator::World;
use features::Split;
use model::network::{Inputs, hazards_from_logits};
use model::neural::read;
use model::{NetworkConfig, NetworkShape};
use survival::{
    AalenJohansen, Cause, CensorReason, Observation, Outcome, SurvivalCurve, TimeGrid, TimeUnit,
    negative_log_likelihood,
};
use train::loss::{Targets, base_logits, hazard_loss};

fn grid() -> Arc<TimeGrid> {
    Arc::new(TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 1.0, 2.0, 4.0, 8.0]).unwrap())
}

/// Failures inside bins, on edges and beyond the grid; censorings inside bins and on edges; a late entry.
fn observations() -> Vec<Observation> {
    let failed = |t: f64, c: u16| Observation::try_new(t, Outcome::Failed(Cause(c))).unwrap();
    let censored = |t: f64| Observation::try_new(t, Outcome::Censored(CensorReason::EndOfObservation)).unwrap();
    vec![
        failed(0.5, 0),
        failed(1.0, 1),
        failed(3.9, 0),
        failed(8.0, 1),
        failed(9.0, 0),
        censored(0.3),
        censored(2.0),
        censored(2.5),
        censored(20.0),
        Observation::try_with_entry(5.0, 1.0, Outcome::Failed(Cause(0))).unwrap(),
        Observation::try_with_entry(7.0, 1.5, Outcome::Failed(Cause(1))).unwrap(),
    ]
}

/// ln p of {survive, causes} from made-up logits, and the logits in the layout of the f64 reference.
fn log_probabilities(rows: usize, intervals: usize, causes: usize) -> (Vec<f32>, Vec<Vec<f64>>) {
    let mut flat = Vec::new();
    let mut reference = Vec::new();
    for row in 0..rows {
        let mut all = Vec::new();
        for interval in 0..intervals {
            let mut logits = vec![0.0_f64];
            for cause in 0..causes {
                logits.push(f64::from(u16::try_from(row * 7 + interval * 3 + cause).unwrap()).sin() - 1.0);
            }
            let total = logits.iter().map(|z| z.exp()).sum::<f64>().ln();
            #[expect(clippy::cast_possible_truncation, reason = "the tensor is single precision")]
            flat.extend(logits.iter().map(|z| (z - total) as f32));
            all.extend(logits);
        }
        reference.push(all);
    }
    (flat, reference)
}

#[test]
fn the_loss_of_every_row_is_the_f64_likelihood() {
    let (grid, observations) = (grid(), observations());
    let (values, reference) = log_probabilities(observations.len(), 4, 2);
    let device = Device::flex();
    let targets = Targets::new(&observations, &grid, 2);
    for (row, observation) in observations.iter().enumerate() {
        let one = values[row * 12..(row + 1) * 12].to_vec();
        let tensor = Tensor::<3>::from_data(TensorData::new(one, [1, 4, 3]), &device);
        let loss = f64::from(read(hazard_loss(tensor, targets.gather(&[row], &device), 0.0)).unwrap()[0]);
        let expected = negative_log_likelihood(&grid, &reference[row], observation);
        assert!((loss - expected).abs() < 1e-5, "row {row} {observation:?}: {loss} against {expected}");
    }
}

#[test]
fn the_gradient_of_the_loss_equals_finite_differences() {
    let (grid, observations) = (grid(), observations());
    let device = Device::flex();
    let differentiable = device.clone().autodiff();
    let rows: Vec<usize> = (0..observations.len()).collect();
    let targets = Targets::new(&observations, &grid, 2);
    let logits: Vec<f32> = (0..rows.len() * 8).map(|n| f32::from(u16::try_from(n).unwrap()).sin() - 1.0).collect();
    let loss = |values: Vec<f32>, device: &Device| {
        let shape = [rows.len(), 4, 2];
        let logits = Tensor::<3>::from_data(TensorData::new(values, shape), device).require_grad();
        let survive = Tensor::zeros([rows.len(), 4, 1], device);
        let log = burn::tensor::activation::log_softmax(Tensor::cat(vec![survive, logits.clone()], 2), 2);
        (hazard_loss(log, targets.gather(&rows, device), 0.7), logits)
    };
    let (value, input) = loss(logits.clone(), &differentiable);
    let gradients = value.backward();
    let gradient = read(input.grad(&gradients).unwrap()).unwrap();
    // Single precision: a step of 1e-2 leaves about 1e-3 of rounding and curvature.
    let step = 1e-2_f32;
    for at in (0..logits.len()).step_by(5) {
        let moved = |by: f32| {
            let mut values = logits.clone();
            values[at] += by;
            f64::from(read(loss(values, &differentiable).0.inner()).unwrap()[0])
        };
        let numeric = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        assert!((numeric - f64::from(gradient[at])).abs() < 2e-3, "logit {at}: {numeric} against {}", gradient[at]);
    }
}

#[test]
fn an_untrained_network_is_the_life_table() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::LogLinear, 60, false);
    let train = dataset.rows().unwrap().part(Split::Train);
    let (grid, causes) = (dataset.grid(), dataset.causes().len());
    let shape = NetworkShape { width: 5, steps: 8, channels: 2, intervals: grid.intervals(), causes };
    let base = base_logits(&train.observations, grid, causes);
    let device = Device::flex();
    let network = NetworkConfig::default().init(shape, &base, &device).unwrap();
    let rows = 3;
    let wave = |n: usize| (0..n).map(|i| f32::from(u16::try_from(i).unwrap()).sin()).collect::<Vec<_>>();
    let inputs = Inputs {
        flat: Tensor::from_data(TensorData::new(wave(rows * 5), [rows, 5]), &device),
        sequence: Tensor::from_data(TensorData::new(wave(rows * 16), [rows, 8, 2]), &device),
    };
    let logits = read(network.forward(inputs)).unwrap();
    let table = AalenJohansen::fit(&train.observations, causes).unwrap().on_grid(grid).unwrap();
    for row in logits.chunks_exact(grid.intervals() * causes) {
        let hazards = hazards_from_logits(row, grid.intervals(), causes);
        let curve = SurvivalCurve::from_hazards(grid.clone(), &hazards).unwrap();
        for (got, expected) in curve.survival().iter().zip(table.survival()) {
            // The life table lets rows censored inside a bin count until they leave, the discrete one does not.
            assert!((got - expected).abs() < 0.01, "{got} against {expected}");
        }
    }
}
