//! A data re-uploading classifier (Pérez-Salinas et al. 2020, arXiv 1907.02085), one qubit per column.
//!
//! Layer: on every qubit R_Z(c) R_Y(b) R_X(a·x_q), then CZ around the ring; after the last layer R_X(d). The read-out is
//! logit = Σ v_q ⟨Z_q⟩ + t over *all* qubits, so that the version without CZ still sees every column. Gradients are exact, by the
//! adjoint method (Jones & Gacon 2020, arXiv 2009.02823): the circuit is undone gate by gate, and what the undone gate
//! contributes is a 2 × 2 overlap of the two states that carry the value and its sensitivity.

use std::f64::consts::PI;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::adam::Differentiable;
use super::learn::sigmoid;
use super::refusal;
use super::state::{Complex, Matrix2, StateVector, adjoint, product, rx, ry, rz};
use crate::error::Result;

/// Most qubits allowed: a fit runs the circuit a hundred thousand times.
pub const MAX_QUBITS: usize = 12;

/// Shape of the circuit. Parameters lie as (a, b, c) per layer and qubit, then d, then v per qubit, then t.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    qubits: usize,
    layers: usize,
    entangling: bool,
}

impl Circuit {
    /// # Errors
    /// When there is no layer, or the qubits are not within 1 to [`MAX_QUBITS`].
    pub fn new(qubits: usize, layers: usize, entangling: bool) -> Result<Self> {
        if qubits == 0 || qubits > MAX_QUBITS || layers == 0 {
            let reason = format!("{qubits} qubits and {layers} layers; need 1 to {MAX_QUBITS} and at least 1");
            return Err(refusal("variational circuit", reason));
        }
        Ok(Self { qubits, layers, entangling })
    }

    fn check(&self, parameters: &[f64], row: &[f64]) -> Result<()> {
        if parameters.len() == self.parameters() && row.len() == self.qubits {
            return Ok(());
        }
        let reason = format!("{} parameters and {} columns for {self:?}", parameters.len(), row.len());
        Err(refusal("variational circuit", reason))
    }

    fn angles_end(&self) -> usize {
        3 * self.layers * self.qubits
    }

    /// The state before measurement.
    ///
    /// # Errors
    /// When lengths do not fit.
    pub fn state(&self, parameters: &[f64], row: &[f64]) -> Result<StateVector> {
        self.check(parameters, row)?;
        let mut state = StateVector::zero(self.qubits)?;
        for layer in parameters[..self.angles_end()].chunks_exact(3 * self.qubits) {
            for (q, (own, x)) in layer.chunks_exact(3).zip(row).enumerate() {
                state.apply_one(q, &encoding(own, *x));
            }
            self.entangle(&mut state);
        }
        for (q, angle) in parameters[self.angles_end()..][..self.qubits].iter().enumerate() {
            state.apply_one(q, &rx(*angle));
        }
        Ok(state)
    }

    /// CZ between neighbours of the ring; its own inverse. Two qubits have one pair only.
    fn entangle(&self, state: &mut StateVector) {
        if !self.entangling || self.qubits < 2 {
            return;
        }
        let (n, mask) = (self.qubits, (1_usize << self.qubits) - 1);
        let ring = n > 2;
        state.negate_where(|index| {
            let turned = if ring { (index << 1 | index >> (n - 1)) & mask } else { index << 1 & mask };
            (index & turned).count_ones() % 2 == 1
        });
    }

    /// ⟨Z_q⟩ of every qubit: the highest by the difference of the halves, the rest on their sum.
    fn expectations(&self, probabilities: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut left: Vec<f64> = probabilities.collect();
        let mut z = vec![0.0; self.qubits];
        for z in z.iter_mut().rev() {
            let half = left.len() / 2;
            let (low, high) = left.split_at_mut(half);
            *z = low.iter().sum::<f64>() - high.iter().sum::<f64>();
            low.iter_mut().zip(high).for_each(|(l, h)| *l += *h);
            left.truncate(half);
        }
        z
    }

    fn read_out(&self, parameters: &[f64], z: &[f64]) -> f64 {
        let weights = &parameters[self.angles_end() + self.qubits..];
        weights[self.qubits] + weights.iter().zip(z).map(|(v, z)| v * z).sum::<f64>()
    }

    /// P(failed within the horizon) with every ⟨Z_q⟩ read from the same `shots` measurements.
    ///
    /// # Errors
    /// When lengths do not fit or there is no shot.
    pub fn measured(&self, parameters: &[f64], row: &[f64], shots: u32, random: &mut ChaCha8Rng) -> Result<f64> {
        if shots == 0 {
            return Err(refusal("variational circuit", "0 shots; need at least 1"));
        }
        let counts = self.state(parameters, row)?.sample(shots as usize, random);
        let z = self.expectations(counts.into_iter().map(|c| f64::from(c) / f64::from(shots)));
        Ok(sigmoid(self.read_out(parameters, &z)))
    }
}

/// R_Z(c) R_Y(b) R_X(a·x).
fn encoding(own: &[f64], x: f64) -> Matrix2 {
    product(&rz(own[2]), &product(&ry(own[1]), &rx(own[0] * x)))
}

/// ∂R/∂θ = R(θ + π)/2 for every rotation R_P.
fn half(m: &Matrix2) -> Matrix2 {
    m.map(|row| row.map(|(re, im)| (0.5 * re, 0.5 * im)))
}

impl Differentiable for Circuit {
    fn parameters(&self) -> usize {
        self.angles_end() + 2 * self.qubits + 1
    }

    fn columns(&self) -> usize {
        self.qubits
    }

    fn initial(&self, random: &mut ChaCha8Rng) -> Vec<f64> {
        // Small angles: near the identity gradients do not vanish (Grant et al. 2019, arXiv 1903.05076).
        let mut parameters: Vec<f64> =
            (0..self.parameters()).map(|_| 0.5 * (2.0 * random.random::<f64>() - 1.0)).collect();
        // After R_X(a·x) ⟨Z⟩ is even in x and ⟨Y⟩ odd: a quarter turn before read-out lets a slope be learned at once.
        for angle in &mut parameters[self.angles_end()..][..self.qubits] {
            *angle += 0.5 * PI;
        }
        parameters
    }

    fn logit(&self, parameters: &[f64], row: &[f64], gradient: Option<&mut [f64]>) -> Result<f64> {
        let mut ket = self.state(parameters, row)?;
        let z = self.expectations(ket.probabilities());
        let logit = self.read_out(parameters, &z);
        let Some(gradient) = gradient else { return Ok(logit) };
        let (end, n) = (self.angles_end(), self.qubits);
        let weights = &parameters[end + n..end + 2 * n];
        gradient[end + n..end + 2 * n].copy_from_slice(&z);
        gradient[end + 2 * n] = 1.0;
        // O|ψ⟩ with O = Σ v_q Z_q.
        let mut bra = ket.clone();
        let mut observable = vec![0.0];
        for v in weights {
            let down: Vec<f64> = observable.iter().map(|o| o - v).collect();
            observable.iter_mut().for_each(|o| *o += v);
            observable.extend(down);
        }
        for ((re, im), o) in bra.re.iter_mut().zip(&mut bra.im).zip(&observable) {
            *re *= o;
            *im *= o;
        }
        for q in (0..n).rev() {
            let angle = parameters[end + q];
            let overlap = undo(&mut ket, &mut bra, q, &rx(angle));
            gradient[end + q] = slope(&half(&rx(angle + PI)), &overlap);
        }
        for layer in (0..self.layers).rev() {
            self.entangle(&mut ket);
            self.entangle(&mut bra);
            for q in (0..n).rev() {
                let start = 3 * (layer * n + q);
                let own = &parameters[start..start + 3];
                let overlap = undo(&mut ket, &mut bra, q, &encoding(own, row[q]));
                let (x, y, z) = (rx(own[0] * row[q]), ry(own[1]), rz(own[2]));
                let dx = half(&rx(own[0] * row[q] + PI));
                gradient[start] = row[q] * slope(&product(&z, &product(&y, &dx)), &overlap);
                gradient[start + 1] = slope(&product(&z, &product(&half(&ry(own[1] + PI)), &x)), &overlap);
                gradient[start + 2] = slope(&product(&half(&rz(own[2] + PI)), &product(&y, &x)), &overlap);
            }
        }
        Ok(logit)
    }
}

/// Takes gate `u` on qubit q off the ket, gives ⟨bra_a|ket_b⟩ over the other qubits, then takes it off the bra.
fn undo(ket: &mut StateVector, bra: &mut StateVector, q: usize, u: &Matrix2) -> Matrix2 {
    let inverse = adjoint(u);
    ket.apply_one(q, &inverse);
    let overlap = overlaps(bra, ket, q);
    bra.apply_one(q, &inverse);
    overlap
}

fn overlaps(bra: &StateVector, ket: &StateVector, q: usize) -> Matrix2 {
    let size = 1 << q;
    let mut sums = [[(0.0, 0.0); 2]; 2];
    let halves = |s: &StateVector, start: usize| -> (usize, usize) { (start, s.re.len().min(start + size)) };
    for block in (0..ket.re.len()).step_by(2 * size) {
        for (a, row) in sums.iter_mut().enumerate() {
            for (b, sum) in row.iter_mut().enumerate() {
                let (l0, l1) = halves(bra, block + a * size);
                let (k0, k1) = halves(ket, block + b * size);
                let part = inner(&bra.re[l0..l1], &bra.im[l0..l1], &ket.re[k0..k1], &ket.im[k0..k1]);
                sum.0 += part.0;
                sum.1 += part.1;
            }
        }
    }
    sums
}

fn inner(ar: &[f64], ai: &[f64], br: &[f64], bi: &[f64]) -> Complex {
    // Four running sums: a single one would forbid the compiler to use wide registers.
    let (mut re, mut im) = ([0.0; 4], [0.0; 4]);
    let wide = ar.chunks_exact(4).zip(ai.chunks_exact(4)).zip(br.chunks_exact(4)).zip(bi.chunks_exact(4));
    for (((a, b), c), d) in wide {
        for lane in 0..4 {
            re[lane] += a[lane] * c[lane] + b[lane] * d[lane];
            im[lane] += a[lane] * d[lane] - b[lane] * c[lane];
        }
    }
    let mut sum = (re.iter().sum::<f64>(), im.iter().sum::<f64>());
    let rest = ar.len() / 4 * 4;
    for (((a, b), c), d) in ar[rest..].iter().zip(&ai[rest..]).zip(&br[rest..]).zip(&bi[rest..]) {
        sum.0 += a * c + b * d;
        sum.1 += a * d - b * c;
    }
    sum
}

/// 2 Re ⟨bra|∂U|ket⟩.
fn slope(derivative: &Matrix2, overlap: &Matrix2) -> f64 {
    let mut sum = 0.0;
    for (d, o) in derivative.iter().flatten().zip(overlap.iter().flatten()) {
        sum += d.0 * o.0 - d.1 * o.1;
    }
    2.0 * sum
}
