//! The wgpu path on a software adapter: a short training of a tiny network agrees with the CPU's.
//!
//! Needs a software Vulkan adapter (Debian's `mesa-vulkan-drivers`); elsewhere the trial is reported ignored.

use std::sync::Arc;

use datasets::Silent;
use features::Design;
use libtest_mimic::{Arguments, Failed, Trial};
use model::device::{adapters, choose};
use model::network::Inputs;
use model::neural::read;
use model::{DeviceChoice, NetworkConfig};
use survival::{Cause, CensorReason, Observation, Outcome, TimeGrid, TimeUnit};
use train::config::FitConfig;
use train::fit::{Part, Run, fit_network};

/// Largest difference of a logit after training on two devices: sums run in another order on each.
const TOLERANCE: f64 = 2e-3;

fn main() {
    let arguments = Arguments::from_args();
    let there = adapters().iter().any(|adapter| adapter.kind == "software");
    let name = "a_short_training_on_the_software_adapter_agrees_with_the_cpu";
    let trial = if there {
        Trial::test(name, agrees)
    } else {
        Trial::test(format!("{name} (ignored: no software Vulkan adapter)"), || Ok(())).with_ignored_flag(true)
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn agrees() -> Result<(), Failed> {
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 1.0, 2.0, 4.0])?);
    let rows = 64_usize;
    let wave = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
    let design = Design { rows, width: 4, flat: wave(rows * 4), steps: 4, channels: 2, sequence: wave(rows * 8) };
    let observations: Vec<Observation> = (0..rows)
        .map(|row| {
            let duration = 0.3 + 0.11 * row as f64 % 4.5;
            let outcome = if row % 3 == 0 {
                Outcome::Censored(CensorReason::EndOfObservation)
            } else {
                Outcome::Failed(Cause(0))
            };
            Observation::try_new(duration, outcome)
        })
        .collect::<Result<_, _>>()?;
    let part = Part { design: &design, observations: &observations };
    let network = NetworkConfig {
        flat_hidden: 8,
        patch_steps: 2,
        patch_hidden: 4,
        window_hidden: 8,
        fusion_hidden: 8,
        dropout: 0.0,
    };
    let fit = FitConfig { epochs: 3, patience: 2, batch_rows: 32, ..FitConfig::default() };
    let mut logits = Vec::new();
    let software = choose(DeviceChoice::Software)?;
    println!("trained on {}", software.name);
    // Initial weights are drawn on the CPU in both runs: a device has random numbers of its own.
    for device in [choose(DeviceChoice::Cpu)?, software] {
        let run = Run { network: &network, fit: &fit, seed: 3, device: &device, checkpoints: None, progress: &Silent };
        let fitted = fit_network(&run, &grid, 1, part, part)?;
        let cpu = burn::tensor::Device::flex();
        let all: Vec<usize> = (0..rows).collect();
        logits.push(read(fitted.network.forward(Inputs::gather(&design, &all, &cpu)))?);
    }
    let largest = logits[0].iter().zip(&logits[1]).fold(0.0_f64, |top, (a, b)| top.max(f64::from((a - b).abs())));
    println!("largest difference of a logit: {largest:.2e}");
    if largest <= TOLERANCE {
        Ok(())
    } else {
        Err(format!("logits differ by {largest:.2e}, allowed {TOLERANCE:.0e}").into())
    }
}
