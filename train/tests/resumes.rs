//! A run killed at an epoch's end and started again ends with the weights of one that was not.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use datasets::simulator::World;
use datasets::{Progress, Silent};
use model::ModelKind;
use train::pipeline::split;
use train::{Parts, TrainConfig, TrainError, fit_model, prepare};

/// Dies after the third epoch, once its checkpoint is written.
struct Killer(AtomicU64);

impl Progress for Killer {
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, by: u64) {
        assert!(self.0.fetch_add(by, Ordering::Relaxed) + by < 3, "killed");
    }
    fn end(&self) {}
}

#[test]
fn a_killed_run_resumes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::LogLinear, 40, false);
    let rows = dataset.rows().unwrap();
    let parts4 = split("fleet", &rows).unwrap();
    let parts = Parts {
        spec: dataset.spec(),
        grid: dataset.grid(),
        causes: dataset.causes(),
        readout: dataset.readout(),
        train: &parts4.train,
        validation: &parts4.validation,
        calibration: &parts4.calibration,
    };
    let prepared = prepare(parts, 0).unwrap();
    let mut config = TrainConfig::default();
    config.fit.epochs = 6;
    config.fit.patience = 5;
    let fit = |config: &TrainConfig, dir: &str, progress: &dyn Progress| {
        fit_model(ModelKind::HazardNet, parts, &prepared, config, Some(&folder.path().join(dir)), progress)
    };
    let whole = fit(&config, "whole", &Silent).unwrap();
    let killed = catch_unwind(AssertUnwindSafe(|| fit(&config, "killed", &Killer(AtomicU64::new(0))).is_ok()));
    assert!(killed.is_err(), "the run was to be killed");
    let resumed = fit(&config, "killed", &Silent).unwrap();

    assert_eq!(whole.history, resumed.history);
    let weights = |fitted: &train::FittedModel| match &fitted.fitted {
        model::Fitted::Neural(network, _, _) => model::neural::to_safetensors(network).unwrap(),
        _ => unreachable!("a network was fitted"),
    };
    assert!(weights(&whole) == weights(&resumed), "weights differ after resuming");

    // A checkpoint of other settings is refused by name.
    let mut other = config.clone();
    other.seed += 1;
    match fit(&other, "killed", &Silent).map(|_| ()).unwrap_err() {
        TrainError::Checkpoint { path, .. } => assert!(path.starts_with(folder.path())),
        error => panic!("{error}"),
    }
}
