//! What the protocol is run on, and with what sizes, grids and seeds.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::preparation::{group_folds, subsample};
use super::{check_finite, refusal};
use crate::error::Result;

/// A task as plain arrays, one entry per row.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// For the report: data, horizon, endpoint; "synthetic" where it is.
    pub name: &'a str,
    /// Rows × columns, standardised.
    pub x: ArrayView2<'a, f64>,
    /// Failed within the horizon.
    pub failed: &'a [bool],
    /// Group (entity) of each row: never split, and drawn whole by the bootstrap.
    pub groups: &'a [String],
    /// Inverse probability of censoring weights; 1 everywhere when absent, 0 for a row whose answer is unknown.
    pub weights: Option<&'a [f64]>,
    /// Scores made elsewhere, out of fold by [`chosen_rows`]: boosted trees, for example.
    pub external: &'a [External],
}

/// A score column given from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct External {
    /// Name in the report.
    pub name: String,
    /// One score per row of the task; larger = more likely to fail.
    pub score: Vec<f64>,
    /// Whether it is a probability, so that a Brier score means something.
    pub probability: bool,
}

/// Sizes, grids and seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Rows used at most.
    pub rows: usize,
    /// Numbers of qubits; each is a number of principal components too.
    pub qubits: Vec<usize>,
    /// Circuits are fitted up to this many qubits.
    pub circuit_qubits: usize,
    /// Layers of the circuit.
    pub layers: usize,
    /// Bandwidths of the feature map.
    pub bandwidths: Vec<f64>,
    /// Widths of the Gaussian kernel: γ times the median squared distance. As many as bandwidths.
    pub gaussian_scales: Vec<f64>,
    /// Ridges of every kernel.
    pub ridges: Vec<f64>,
    /// Adam's step sizes for circuit and MLP.
    pub rates: Vec<f64>,
    /// Their weight decays: rates × decays must number bandwidths × ridges.
    pub decays: Vec<f64>,
    /// Passes of Adam.
    pub epochs: usize,
    /// Rows per step of Adam.
    pub batch_rows: usize,
    /// Numbers of shots; the first serves the projected kernel, the circuit and the stability rows too.
    pub shots: Vec<u32>,
    /// Outer folds.
    pub outer_folds: usize,
    /// Inner folds.
    pub inner_folds: usize,
    /// Bootstrap replicates: p is at least 2/(replicates + 1), and Holm multiplies it by the number of comparisons.
    pub replicates: usize,
    /// δ of the AUPRC.
    pub margin: f64,
    /// λ of the geometric difference, on kernels of trace N.
    pub pretest_ridge: f64,
    /// Repeats per row and disturbance in the stability rows.
    pub repeats: usize,
    /// Whether every entangled and classical contender (logistic fits) is run on shuffled labels too.
    pub shuffle: bool,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rows: 400,
            qubits: vec![4, 6, 8],
            circuit_qubits: 6,
            layers: 3,
            bandwidths: vec![0.01, 0.03, 0.1, 0.3, 1.0],
            gaussian_scales: vec![0.03, 0.1, 0.3, 1.0, 3.0],
            ridges: vec![0.003, 0.03, 0.3],
            rates: vec![0.01, 0.03, 0.1],
            decays: vec![0.0, 1e-4, 1e-3, 1e-2, 1e-1],
            epochs: 20,
            batch_rows: 32,
            shots: vec![1_000, 10_000],
            outer_folds: 4,
            inner_folds: 3,
            replicates: 2_000,
            margin: 0.01,
            pretest_ridge: 1e-2,
            repeats: 20,
            shuffle: true,
            seed: 1,
        }
    }
}

impl Settings {
    /// Settings tried per contender and outer fold.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.bandwidths.len() * self.ridges.len()
    }

    fn check(&self) -> Result<()> {
        let fair = self.gaussian_scales.len() == self.bandwidths.len()
            && self.rates.len() * self.decays.len() == self.trials();
        let bad = if !fair || self.trials() == 0 {
            "gaussian_scales must number bandwidths, and rates × decays must number bandwidths × ridges, at least 1: \
             else trials differ between contenders"
        } else if self.qubits.is_empty() || self.rows < 20 || self.repeats < 2 {
            "need a number of qubits, 20 rows and 2 repeats"
        } else if self.shots.is_empty() || self.shots.contains(&0) {
            "shots must list numbers above 0"
        } else if !(self.margin.is_finite() && self.margin >= 0.0) {
            "margin must be at least 0"
        } else {
            return Ok(());
        };
        Err(refusal("quantum settings", bad))
    }
}

/// Which rows of a task the protocol uses, and the outer fold of each: what an outside model has to be fitted by.
///
/// # Errors
/// When the task or the settings cannot be used.
pub fn chosen_rows(task: &Task<'_>, settings: &Settings) -> Result<(Vec<usize>, Vec<usize>)> {
    settings.check()?;
    let n = task.x.nrows();
    let lengths = [task.failed.len(), task.groups.len(), task.weights.map_or(n, <[f64]>::len)];
    if n == 0
        || lengths.iter().chain(task.external.iter().map(|e| e.score.len()).collect::<Vec<_>>().iter()).any(|&l| l != n)
    {
        let reason = format!("{n} rows, {lengths:?} labels, groups and weights; all must be equal and above 0");
        return Err(refusal("quantum task", reason));
    }
    check_finite("quantum task", "x", task.x.iter())?;
    for external in task.external {
        check_finite("quantum task", &external.name, &external.score)?;
    }
    let rows = subsample(n, settings.rows, settings.seed);
    let groups: Vec<&str> = rows.iter().map(|&row| task.groups[row].as_str()).collect();
    let failed: Vec<f64> = rows.iter().map(|&row| f64::from(u8::from(task.failed[row]))).collect();
    let folds = group_folds(&groups, &failed, settings.outer_folds, settings.seed)?;
    Ok((rows, folds))
}
