//! One training epoch of HazardNet on 50,000 windows of 64 steps × 24 channels.

use std::sync::Arc;
use std::time::Instant;

use datasets::Silent;
use features::Design;
use model::NetworkConfig;
use model::device::Chosen;
use survival::{Cause, CensorReason, Observation, Outcome, TimeGrid, TimeUnit};
use train::config::FitConfig;
use train::fit::{Part, Run, fit_network};

fn main() {
    let (rows, steps, channels, width) = (50_000_usize, 64, 24, 128);
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / 8_388_608.0 - 1.0
    };
    let design = Design {
        rows,
        width,
        flat: (0..rows * width).map(|_| next()).collect(),
        steps,
        channels,
        sequence: (0..rows * steps * channels).map(|_| next()).collect(),
    };
    let edges: Vec<f64> = (0..=20).map(f64::from).collect();
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Hours, edges).expect("a grid"));
    let observations: Vec<Observation> = (0..rows)
        .map(|row| {
            let duration = f64::from(next() + 1.0) * 15.0 + 0.01;
            let outcome = match row % 3 {
                0 => Outcome::Censored(CensorReason::EndOfObservation),
                other => Outcome::Failed(Cause(u16::from(other == 1))),
            };
            Observation::try_new(duration, outcome).expect("a duration")
        })
        .collect();
    let part = Part { design: &design, observations: &observations };
    let few = Design {
        rows: 256,
        flat: design.flat[..256 * width].to_vec(),
        sequence: design.sequence[..256 * steps * channels].to_vec(),
        ..design.clone()
    };
    let validation = Part { design: &few, observations: &observations[..256] };
    let device = Chosen::cpu("benchmark");
    println!("{:<28} {:>10} {:>14}", "epoch of HazardNet", "seconds", "windows/s");
    for repeat in 1..=3 {
        let fit = FitConfig { epochs: 1, patience: 1, ..FitConfig::default() };
        let network = NetworkConfig::default();
        let run =
            Run { network: &network, fit: &fit, seed: repeat, device: &device, checkpoints: None, progress: &Silent };
        let started = Instant::now();
        let fitted = fit_network(&run, &grid, 2, part, validation).expect("an epoch");
        let seconds = started.elapsed().as_secs_f64();
        assert!(fitted.history[0].train.is_finite());
        println!("{:<28} {seconds:>10.2} {:>14.0}", format!("run {repeat}, 50,000 x 64 x 24"), rows as f64 / seconds);
    }
}
