//! Score and Schoenfeld residuals of a Cox model at a given β, ties and late entries included.
//!
//! With D_l = S₀ − f_l s₀ and z_l = (S₁ − f_l s₁)/D_l over the d failures at t (f_l = l/d for Efron, 0 for Breslow):
//! Schoenfeld, per failing row, x_i − z̄ with z̄ the mean of the z_l; score, per row,
//! U_i = δ_i (x_i − z̄) − w_i Σ_{t in (entry, stop]} Σ_l (1 − f_l δ_it)(x_i − z_l)/D_l, δ_it: row i fails at t.
//! Σ_i U_i is the gradient (Lin & Wei, J. Am. Stat. Assoc. 84, 1989; Therneau & Grambsch, Modeling Survival Data, 2000,
//! sections 3.4 and 4.2.)

use crate::cox::Ties;
use crate::cox_likelihood::{RiskSet, SortedRows, TieMoments, add_scaled};
use crate::interval_sums::IntervalSums;

/// The Schoenfeld residual of one failure, standardised columns.
pub(crate) struct FailureResidual {
    pub(crate) row: usize,
    pub(crate) time: f64,
    pub(crate) residual: Vec<f64>,
}

impl SortedRows {
    /// Writes score residuals (n × p, in the order of the observations) and adds one Schoenfeld residual per failure.
    ///
    /// O(n p log n) work and O(n p) memory: what a row has lived through is a sum over a stretch of failure times.
    pub(crate) fn residuals(&self, beta: &[f64], ties: Ties, score: &mut [f64], schoenfeld: &mut Vec<FailureResidual>) {
        let p = self.columns;
        let (eta, _) = self.log_weights(beta);
        let weight: Vec<f64> = eta.iter().map(|e| e.exp()).collect();
        let mut risk = RiskSet::new(p);
        // Per block Σ_l 1/D_l followed by Σ_l z_l/D_l.
        let mut lived = IntervalSums::zeros(self.blocks.len(), p + 1);
        let mut failing = vec![0.0; p];
        let mut expected = vec![0.0; p];
        for (index, block) in self.blocks.iter().enumerate() {
            risk.advance(self, &weight, block);
            let mut failing_weight = 0.0;
            failing.fill(0.0);
            for row in block.failures.clone() {
                failing_weight += weight[row];
                add_scaled(&mut failing, weight[row], self.row(row));
            }
            let d = block.failures.len() as f64;
            let m = TieMoments::new(risk.total, failing_weight, block.failures.len(), ties);
            // Σ f_l/D_l² and Σ f_l²/D_l².
            let once = m.mean_share * m.squared;
            let twice = m.share_variance + m.mean_share * once;
            let sums = lived.leaf_mut(index);
            sums[0] = m.jump;
            for (k, (all, own)) in risk.weighted.iter().zip(&failing).enumerate() {
                sums[k + 1] = all * m.squared - own * once;
                expected[k] = (all * m.jump - own * m.tie_correction) / d;
            }
            for row in block.failures.clone() {
                let x = self.row(row);
                let residual: Vec<f64> = x.iter().zip(&expected).map(|(x, e)| x - e).collect();
                let origin = self.origin[row];
                let out = &mut score[origin * p..(origin + 1) * p];
                for (k, value) in out.iter_mut().enumerate() {
                    let spared = risk.weighted[k] * once - failing[k] * twice;
                    *value += residual[k] + weight[row] * (x[k] * m.tie_correction - spared);
                }
                schoenfeld.push(FailureResidual { row: origin, time: block.time, residual });
            }
        }
        lived.gather();
        let mut own = vec![0.0; p + 1];
        for (row, &(last, before)) in self.span.iter().enumerate() {
            lived.sum(last, before, &mut own);
            let origin = self.origin[row];
            for (k, (value, x)) in score[origin * p..(origin + 1) * p].iter_mut().zip(self.row(row)).enumerate() {
                *value -= weight[row] * (x * own[0] - own[k + 1]);
            }
        }
    }
}
