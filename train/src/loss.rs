//! Discrete-time hazard likelihood with censoring, delayed entry and causes, plus a ranked probability score.
//!
//! A row entering at interval e and ending in interval k contributes
//! −Σ_{j=e}^{k−1} ln p_j(survive) − 1[failed of c]·ln p_k(c); one censored inside k contributes nothing for k
//! (Gensheimer & Narasimhan 2019, eq. 3, carried to several causes). RPS = Σ_j Δτ_j/τ_K (F_j − 1[T ≤ τ_j])²
//! runs over the intervals whose status is known.

use burn::tensor::{Device, Tensor, TensorData};
use survival::{Observation, TimeGrid};

/// Likelihood weights and RPS targets of every row, as flat arrays ready for a device.
#[derive(Debug, Clone)]
pub struct Targets {
    intervals: usize,
    classes: usize,
    /// Rows × intervals × (1 + causes): 1 where ln p enters the likelihood.
    likelihood: Vec<f32>,
    /// Rows × intervals: Δτ_j/τ_K where the status at τ_j is known, else 0.
    known: Vec<f32>,
    /// Rows × intervals: 1 where failed by τ_j.
    failed: Vec<f32>,
}

/// Targets of one batch on a device.
#[derive(Debug, Clone)]
pub struct TargetBatch {
    likelihood: Tensor<3>,
    known: Tensor<2>,
    failed: Tensor<2>,
}

impl Targets {
    /// Targets of observations on a grid. A failure beyond the grid is a survivor of all of it.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "weights between 0 and 1 go to single precision")]
    pub fn new(observations: &[Observation], grid: &TimeGrid, causes: usize) -> Self {
        let (intervals, classes) = (grid.intervals(), causes + 1);
        let rows = observations.len();
        let mut targets = Self {
            intervals,
            classes,
            likelihood: vec![0.0; rows * intervals * classes],
            known: vec![0.0; rows * intervals],
            failed: vec![0.0; rows * intervals],
        };
        let edges = grid.edges();
        for (row, observation) in observations.iter().enumerate() {
            let failed_in = observation.cause().and_then(|c| grid.interval_of(observation.duration()).map(|j| (j, c)));
            let survived = match failed_in {
                Some((interval, _)) => interval,
                None => grid.intervals_survived(observation.duration()).min(intervals),
            };
            // An interval entered part-way says nothing about its start.
            let entered = edges.partition_point(|&edge| edge < observation.entry()).min(intervals);
            for interval in entered..survived {
                targets.likelihood[(row * intervals + interval) * classes] = 1.0;
            }
            if let Some((interval, cause)) = failed_in
                && interval >= entered
            {
                let class = 1 + usize::from(cause.0);
                targets.likelihood[(row * intervals + interval) * classes + class] = 1.0;
            }
            for interval in 0..intervals {
                let weight = ((edges[interval + 1] - edges[interval]) / grid.last_edge()) as f32;
                let at = row * intervals + interval;
                match failed_in {
                    Some((failed, _)) if interval >= failed => {
                        targets.known[at] = weight;
                        targets.failed[at] = 1.0;
                    }
                    Some(_) => targets.known[at] = weight,
                    None if interval < survived => targets.known[at] = weight,
                    None => {}
                }
            }
        }
        targets
    }

    /// The targets of these rows on a device.
    #[must_use]
    pub fn gather(&self, rows: &[usize], device: &Device) -> TargetBatch {
        let pick = |values: &[f32], width: usize| -> Vec<f32> {
            rows.iter().flat_map(|&row| values[row * width..(row + 1) * width].iter().copied()).collect()
        };
        let size = self.intervals * self.classes;
        let likelihood = TensorData::new(pick(&self.likelihood, size), [rows.len(), self.intervals, self.classes]);
        let flat = [rows.len(), self.intervals];
        TargetBatch {
            likelihood: Tensor::from_data(likelihood, device),
            known: Tensor::from_data(TensorData::new(pick(&self.known, self.intervals), flat), device),
            failed: Tensor::from_data(TensorData::new(pick(&self.failed, self.intervals), flat), device),
        }
    }
}

/// Mean loss per row of log probabilities, rows × intervals × (1 + causes).
#[must_use]
pub fn hazard_loss(log_probabilities: Tensor<3>, targets: TargetBatch, rps_weight: f64) -> Tensor<1> {
    let [rows, intervals, _] = log_probabilities.dims();
    #[expect(clippy::cast_precision_loss, reason = "rows of a batch")]
    let per_row = 1.0 / rows as f64;
    let likelihood = (targets.likelihood * log_probabilities.clone()).sum().mul_scalar(-per_row);
    if rps_weight == 0.0 {
        return likelihood;
    }
    let survive: Tensor<2> = log_probabilities.narrow(2, 0, 1).reshape([rows, intervals]);
    let failed = survive.cumsum(1).exp().neg().add_scalar(1.0);
    let rps = ((failed - targets.failed).powi_scalar(2) * targets.known).sum();
    likelihood + rps.mul_scalar(rps_weight * per_row)
}

/// Logits of the training data's hazards, intervals × causes: where a network that learned nothing stands.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "logits are moderate")]
pub fn base_logits(observations: &[Observation], grid: &TimeGrid, causes: usize) -> Vec<f32> {
    let intervals = grid.intervals();
    let mut at_risk = vec![0.0_f64; intervals];
    let mut failures = vec![0.0_f64; intervals * causes];
    for observation in observations {
        let failed = observation.cause().and_then(|c| grid.interval_of(observation.duration()).map(|j| (j, c)));
        let survived = failed.map_or_else(|| grid.intervals_survived(observation.duration()), |(j, _)| j);
        for count in at_risk.iter_mut().take(failed.map_or(survived, |(j, _)| j + 1)) {
            *count += 1.0;
        }
        if let Some((interval, cause)) = failed {
            failures[interval * causes + usize::from(cause.0)] += 1.0;
        }
    }
    let exposure: f64 = at_risk.iter().sum::<f64>().max(1.0);
    let mut logits = Vec::with_capacity(intervals * causes);
    for interval in 0..intervals {
        // One pseudo-row at the overall rate keeps empty cells finite.
        let hazards: Vec<f64> = (0..causes)
            .map(|cause| {
                let total: f64 = (0..intervals).map(|j| failures[j * causes + cause]).sum();
                let overall = (total + 0.5) / (exposure + 1.0);
                (failures[interval * causes + cause] + overall) / (at_risk[interval] + 1.0)
            })
            .collect();
        let stay = (1.0 - hazards.iter().sum::<f64>()).max(1e-9);
        logits.extend(hazards.iter().map(|h| (h / stay).ln() as f32));
    }
    logits
}
