//! One hidden layer of tanh units: the classical rival with as many parameters as a circuit.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::adam::Differentiable;
use super::refusal;
use crate::error::Result;

/// logit = Σ_u v_u tanh(w_u·x + b_u) + c; per unit the parameters lie as (w…, b, v), c last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mlp {
    columns: usize,
    hidden: usize,
}

impl Mlp {
    /// # Errors
    /// When there is no column or no hidden unit.
    pub fn new(columns: usize, hidden: usize) -> Result<Self> {
        if columns == 0 || hidden == 0 {
            return Err(refusal("MLP", format!("{columns} columns and {hidden} hidden units; need one of each")));
        }
        Ok(Self { columns, hidden })
    }

    /// The width whose parameter count comes nearest to `parameters`.
    ///
    /// # Errors
    /// When there is no column.
    pub fn of_size(columns: usize, parameters: usize) -> Result<Self> {
        let per_unit = (columns + 2) as f64;
        let hidden = ((parameters as f64 - 1.0) / per_unit).round().max(1.0);
        Self::new(columns, hidden as usize)
    }
}

impl Differentiable for Mlp {
    fn parameters(&self) -> usize {
        self.hidden * (self.columns + 2) + 1
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn initial(&self, random: &mut ChaCha8Rng) -> Vec<f64> {
        // Uniform with the variance of Glorot & Bengio (2010) for the hidden layer.
        let reach = (6.0 / (self.columns + self.hidden) as f64).sqrt();
        (0..self.parameters()).map(|_| reach * (2.0 * random.random::<f64>() - 1.0)).collect()
    }

    fn logit(&self, parameters: &[f64], row: &[f64], gradient: Option<&mut [f64]>) -> Result<f64> {
        if parameters.len() != self.parameters() || row.len() != self.columns {
            let reason = format!("{} parameters and {} columns for {self:?}", parameters.len(), row.len());
            return Err(refusal("MLP", reason));
        }
        let width = self.columns + 2;
        let unit = |own: &[f64]| {
            let inner: f64 = own.iter().zip(row).map(|(w, x)| w * x).sum();
            (inner + own[self.columns]).tanh()
        };
        let last = self.parameters() - 1;
        let units = parameters[..last].chunks_exact(width);
        let logit = parameters[last] + units.clone().map(|own| own[width - 1] * unit(own)).sum::<f64>();
        if let Some(gradient) = gradient {
            for (own, out) in units.zip(gradient.chunks_exact_mut(width)) {
                let active = unit(own);
                let slope = own[width - 1] * (1.0 - active * active);
                for (g, x) in out.iter_mut().zip(row) {
                    *g = slope * x;
                }
                out[self.columns] = slope;
                out[width - 1] = active;
            }
            gradient[last] = 1.0;
        }
        Ok(logit)
    }
}
