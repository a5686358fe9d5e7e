//! One pass over the data: log partial likelihood, gradient, information and baseline jumps at a given β.
//!
//! Walking back in time over the distinct failure times t, with w = e^η and the risk set R = {entry < t ≤ stop},
//! only S₀ = Σ_R w and S₁ = Σ_R w x are carried. The second moments need no carrying: exchanging the sums over times
//! and rows, Σ_t a_t Σ_R w x xᵀ = Σ_i (w_i Σ_{t in (entry_i, stop_i]} a_t) x_i x_iᵀ, one weighted Gram matrix.
//! So a pass is O(n p²) multiplications in long straight loops, with no n × n object and no p × p sums to subtract.

use crate::Observation;
use crate::cox::Ties;
use crate::cox_newton::Baseline;
use crate::interval_sums::IntervalSums;
use crate::linear::Gram;
use crate::table::{Standardised, same_time};

/// When the risk set has shrunk to this share of its largest weight, sums are rebuilt from its members:
/// subtracting entries would otherwise leave only the rounding of what was taken away.
const REBUILD: f64 = 1e-4;

/// Rows sorted once by stop time (latest first, failures first at ties) and once by entry.
///
/// One stratum: rows of other strata are never at risk beside these.
pub(crate) struct SortedRows {
    pub(crate) columns: usize,
    /// For each row its place among the observations.
    pub(crate) origin: Vec<usize>,
    x: Vec<f64>,
    pub(crate) stop: Vec<f64>,
    entry: Vec<f64>,
    pub(crate) event: Vec<bool>,
    /// Rows with entry > 0, latest entry first.
    by_entry: Vec<usize>,
    /// Distinct failure times, latest first.
    pub(crate) blocks: Vec<Block>,
    /// For each row: position in `blocks` of the latest failure time ≤ stop, and of the latest ≤ entry.
    pub(crate) span: Vec<(usize, usize)>,
}

pub(crate) struct Block {
    pub(crate) time: f64,
    /// Rows up to here have stop ≥ time.
    end: usize,
    /// Rows failing at this time.
    pub(crate) failures: std::ops::Range<usize>,
}

/// What one pass yields.
pub(crate) struct Pass {
    pub(crate) log_likelihood: f64,
    pub(crate) gradient: Vec<f64>,
    /// Packed upper triangle of −∂²ℓ.
    pub(crate) information: Vec<f64>,
    /// Baseline jump at each block, for weights e^{η − shift}.
    jumps: Vec<f64>,
    shift: f64,
}

impl SortedRows {
    /// Sorts the rows `order` of the table.
    pub(crate) fn new(
        table: &Standardised,
        observations: &[Observation],
        events: &[bool],
        mut order: Vec<usize>,
    ) -> Self {
        order.sort_by(|&a, &b| {
            let later_first = observations[b].duration().total_cmp(&observations[a].duration());
            later_first.then(events[b].cmp(&events[a]))
        });
        let mut x = Vec::with_capacity(order.len() * table.columns);
        for &row in &order {
            x.extend_from_slice(table.row(row));
        }
        let stop: Vec<f64> = order.iter().map(|&row| observations[row].duration()).collect();
        let entry: Vec<f64> = order.iter().map(|&row| observations[row].entry()).collect();
        let event: Vec<bool> = order.iter().map(|&row| events[row]).collect();
        let mut by_entry: Vec<usize> = (0..entry.len()).filter(|&row| entry[row] > 0.0).collect();
        by_entry.sort_by(|&a, &b| entry[b].total_cmp(&entry[a]));

        let mut blocks = Vec::new();
        let mut row = 0;
        while row < stop.len() {
            let start = row;
            while row < stop.len() && same_time(stop[row], stop[start]) {
                row += 1;
            }
            let failures = event[start..row].iter().filter(|&&e| e).count();
            if failures > 0 {
                blocks.push(Block { time: stop[start], end: row, failures: start..start + failures });
            }
        }
        let latest_at_or_before = |time: f64| blocks.partition_point(|block| block.time > time);
        let span = stop.iter().zip(&entry).map(|(&s, &e)| (latest_at_or_before(s), latest_at_or_before(e))).collect();
        Self { columns: table.columns, origin: order, x, stop, entry, event, by_entry, blocks, span }
    }

    pub(crate) fn row(&self, index: usize) -> &[f64] {
        &self.x[index * self.columns..(index + 1) * self.columns]
    }

    /// η of every row less the largest, and that largest.
    ///
    /// The largest η cancels from the likelihood; taking it out keeps e^η from overflowing.
    pub(crate) fn log_weights(&self, beta: &[f64]) -> (Vec<f64>, f64) {
        let mut eta: Vec<f64> = (0..self.stop.len()).map(|row| dot(self.row(row), beta)).collect();
        let shift = eta.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for value in &mut eta {
            *value -= shift;
        }
        (eta, shift)
    }

    /// ℓ(β), its gradient and information.
    pub(crate) fn pass(&self, beta: &[f64], ties: Ties) -> Pass {
        let (eta, shift) = self.log_weights(beta);
        let weight: Vec<f64> = eta.iter().map(|e| e.exp()).collect();

        let mut gram = Gram::new(self.columns);
        let mut log_likelihood = 0.0;
        let mut jumps = Vec::with_capacity(self.blocks.len());
        let mut tie_corrections = Vec::with_capacity(self.blocks.len());
        let mut risk = RiskSet::new(self.columns);
        let mut failing = vec![0.0; self.columns];
        let mut direction = vec![0.0; self.columns];
        for block in &self.blocks {
            risk.advance(self, &weight, block);
            let mut failing_weight = 0.0;
            failing.fill(0.0);
            for row in block.failures.clone() {
                log_likelihood += eta[row];
                failing_weight += weight[row];
                add_scaled(&mut failing, weight[row], self.row(row));
            }
            let d = block.failures.len();
            let moments = TieMoments::new(risk.total, failing_weight, d, ties);
            log_likelihood -= moments.log_sum;
            // Σ_l z_l z_lᵀ with z_l = (S₁ − f_l s₁)/(S₀ − f_l s₀) has rank two: complete the square in f.
            for ((out, all), own) in direction.iter_mut().zip(&risk.weighted).zip(&failing) {
                *out = all - moments.mean_share * own;
            }
            gram.add(-moments.squared, &direction);
            if moments.share_variance > 0.0 {
                gram.add(-moments.share_variance, &failing);
            }
            jumps.push(moments.jump);
            tie_corrections.push(moments.tie_correction);
        }

        // What each row has lived through: jumps of the failure times in (entry, stop].
        let mut hazard = IntervalSums::zeros(jumps.len(), 1);
        for (block, &jump) in jumps.iter().enumerate() {
            hazard.leaf_mut(block)[0] = jump;
        }
        hazard.gather();
        let mut gradient = vec![0.0; self.columns];
        for (row, &(last, before)) in self.span.iter().enumerate() {
            let mut lived = [0.0];
            hazard.sum(last, before, &mut lived);
            let [mut lived] = lived;
            let mut residual = 0.0;
            if self.event[row] {
                lived -= tie_corrections[last];
                residual = 1.0;
            }
            let expected = weight[row] * lived;
            residual -= expected;
            let x = self.row(row);
            add_scaled(&mut gradient, residual, x);
            gram.add(expected, x);
        }
        Pass { log_likelihood, gradient, information: gram.finish(), jumps, shift }
    }

    /// The baseline cumulative hazard for covariates at their means.
    pub(crate) fn baseline(&self, pass: &Pass) -> Baseline {
        let undo = (-pass.shift).exp();
        let mut total = 0.0;
        let (times, hazard) = self
            .blocks
            .iter()
            .zip(&pass.jumps)
            .rev()
            .map(|(block, jump)| {
                total += jump * undo;
                (block.time, total)
            })
            .unzip();
        Baseline { times, hazard }
    }
}

/// S₀ and S₁ of the units at risk, moved back from one failure time to the one before.
pub(crate) struct RiskSet {
    pub(crate) total: f64,
    pub(crate) weighted: Vec<f64>,
    largest: f64,
    joined: usize,
    left: usize,
}

impl RiskSet {
    pub(crate) fn new(columns: usize) -> Self {
        Self { total: 0.0, weighted: vec![0.0; columns], largest: 0.0, joined: 0, left: 0 }
    }

    pub(crate) fn advance(&mut self, rows: &SortedRows, weight: &[f64], block: &Block) {
        while self.joined < block.end {
            self.total += weight[self.joined];
            add_scaled(&mut self.weighted, weight[self.joined], rows.row(self.joined));
            self.joined += 1;
        }
        self.largest = self.largest.max(self.total);
        let before = self.left;
        while let Some(&row) = rows.by_entry.get(self.left).filter(|&&row| rows.entry[row] >= block.time) {
            // Stop > entry ≥ time, so this row has joined already.
            self.total -= weight[row];
            add_scaled(&mut self.weighted, -weight[row], rows.row(row));
            self.left += 1;
        }
        if self.left > before && self.total < REBUILD * self.largest {
            self.rebuild(rows, weight, block);
        }
    }

    fn rebuild(&mut self, rows: &SortedRows, weight: &[f64], block: &Block) {
        self.total = 0.0;
        self.weighted.fill(0.0);
        for row in (0..block.end).filter(|&row| rows.entry[row] < block.time) {
            self.total += weight[row];
            add_scaled(&mut self.weighted, weight[row], rows.row(row));
        }
        self.largest = self.total;
    }
}

/// Sums over the d tied failures l = 0..d−1, with f_l = l/d (Efron) or 0 (Breslow) and D_l = S₀ − f_l s₀.
pub(crate) struct TieMoments {
    /// Σ ln D_l.
    log_sum: f64,
    /// Σ 1/D_l.
    pub(crate) jump: f64,
    /// Σ f_l/D_l: what the failing rows themselves are spared.
    pub(crate) tie_correction: f64,
    /// Σ 1/D_l².
    pub(crate) squared: f64,
    /// Mean of f_l under weights 1/D_l².
    pub(crate) mean_share: f64,
    /// Σ (f_l − mean)²/D_l².
    pub(crate) share_variance: f64,
}

impl TieMoments {
    pub(crate) fn new(at_risk: f64, failing: f64, count: usize, ties: Ties) -> Self {
        let d = count as f64;
        if count == 1 || ties == Ties::Breslow {
            return Self {
                log_sum: d * at_risk.ln(),
                jump: d / at_risk,
                tie_correction: 0.0,
                squared: d / (at_risk * at_risk),
                mean_share: 0.0,
                share_variance: 0.0,
            };
        }
        let terms = || {
            (0..count).map(move |l| {
                let share = l as f64 / d;
                (share, 1.0 / (at_risk - share * failing))
            })
        };
        let (mut log_sum, mut jump, mut tie_correction, mut squared, mut shares) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (share, inverse) in terms() {
            log_sum -= inverse.ln();
            jump += inverse;
            tie_correction += share * inverse;
            squared += inverse * inverse;
            shares += share * inverse * inverse;
        }
        let mean_share = shares / squared;
        let share_variance = terms().map(|(share, inverse)| ((share - mean_share) * inverse).powi(2)).sum();
        Self { log_sum, jump, tie_correction, squared, mean_share, share_variance }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

pub(crate) fn add_scaled(out: &mut [f64], factor: f64, row: &[f64]) {
    for (value, x) in out.iter_mut().zip(row) {
        *value += factor * x;
    }
}
