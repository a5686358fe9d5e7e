//! Kernels on rows: fidelity of ZZ-feature-map states, its projected form, and the Gaussian kernel they must beat.
//!
//! Feature map (Havlíček et al. 2019, Nature 567, eq. 3–4): |φ(x)⟩ = U H⊗ⁿ U H⊗ⁿ |0⟩ with
//! U = exp(i Σ x_k Z_k + i Σ_{j<k} (π − x_j)(π − x_k) Z_j Z_k), over all pairs. A bandwidth c multiplies the columns
//! first: without it values concentrate as qubits grow. Without the pair terms no gate entangles.
//! Fidelity kernel: |⟨φ(x)|φ(x′)⟩|². Projected kernel (Huang et al. 2021, arXiv 2011.01938, eq. 9):
//! exp(−γ Σ_k ‖ρ_k(x) − ρ_k(x′)‖²_F) over the one-qubit reduced states ρ_k.

use std::f64::consts::PI;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};

use super::linear::Cholesky;
use super::state::StateVector;
use super::{check_finite, refusal};
use crate::error::Result;

/// Rows to states of as many qubits as columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZzFeatureMap {
    /// Multiplies every column; above 0.
    pub bandwidth: f64,
    /// With the pair terms, or each qubit by itself.
    pub entangling: bool,
}

impl ZzFeatureMap {
    /// |φ(x)⟩.
    ///
    /// # Errors
    /// When the row is empty, too wide for a state vector or not finite, or the bandwidth is not above 0.
    pub fn state(&self, row: ArrayView1<'_, f64>) -> Result<StateVector> {
        if !(self.bandwidth.is_finite() && self.bandwidth > 0.0) {
            return Err(refusal("ZZ feature map", format!("bandwidth {}, must be above 0", self.bandwidth)));
        }
        check_finite("ZZ feature map", "row", row.iter())?;
        let mut state = StateVector::zero(row.len())?;
        let factors: Vec<(f64, f64)> = self.phases(row).into_iter().map(|p| (p.cos(), p.sin())).collect();
        state.re.fill((0.5_f64).powi(row.len() as i32).sqrt());
        state.rotate_by(|index| factors[index]);
        walsh_hadamard(&mut state.re);
        walsh_hadamard(&mut state.im);
        state.scale((0.5_f64).powi(row.len() as i32).sqrt());
        state.rotate_by(|index| factors[index]);
        Ok(state)
    }

    /// Σ x_k z_k + Σ (π − x_j)(π − x_k) z_j z_k of every basis state, z = ±1, qubit by qubit.
    fn phases(&self, row: ArrayView1<'_, f64>) -> Vec<f64> {
        let x: Vec<f64> = row.iter().map(|v| self.bandwidth * v).collect();
        let mut phases = vec![0.0];
        // Σ_{j<k} (π − x_j) z_j of every state of the qubits so far.
        let mut sums = vec![0.0];
        for &value in &x {
            let pair = if self.entangling { PI - value } else { 0.0 };
            let own: Vec<f64> = sums.iter().map(|sum| value + pair * sum).collect();
            let up: Vec<f64> = phases.iter().zip(&own).map(|(p, o)| p + o).collect();
            let down: Vec<f64> = phases.iter().zip(&own).map(|(p, o)| p - o).collect();
            phases = [up, down].concat();
            sums = sums.iter().map(|s| s + pair).chain(sums.iter().map(|s| s - pair)).collect();
        }
        phases
    }

    /// States of every row, kept: 16·2ⁿ bytes each.
    ///
    /// # Errors
    /// As [`ZzFeatureMap::state`], and when there is no row.
    pub fn states(&self, x: ArrayView2<'_, f64>) -> Result<StateTable> {
        if x.nrows() == 0 {
            return Err(refusal("ZZ feature map", "the table has no rows"));
        }
        let size = StateVector::zero(x.ncols())?.re.len();
        let mut re = Array2::zeros((x.nrows(), size));
        let mut im = Array2::zeros((x.nrows(), size));
        let mut bloch = Array2::zeros((x.nrows(), 3 * x.ncols()));
        for (i, row) in x.axis_iter(Axis(0)).enumerate() {
            let state = self.state(row)?;
            for q in 0..x.ncols() {
                for (axis, value) in state.bloch(q)?.into_iter().enumerate() {
                    bloch[[i, 3 * q + axis]] = value;
                }
            }
            re.row_mut(i).assign(&ArrayView1::from(&state.re));
            im.row_mut(i).assign(&ArrayView1::from(&state.im));
        }
        Ok(StateTable { re, im, bloch })
    }
}

/// Unnormalised H⊗ⁿ.
fn walsh_hadamard(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// One state per row.
#[derive(Debug, Clone)]
pub struct StateTable {
    re: Array2<f64>,
    im: Array2<f64>,
    bloch: Array2<f64>,
}

impl StateTable {
    /// |⟨a|b⟩|² of each own row a with each row b of `other`: one complex matrix product.
    ///
    /// # Errors
    /// When the numbers of qubits differ.
    pub fn fidelities(&self, other: &Self) -> Result<Array2<f64>> {
        if self.re.ncols() != other.re.ncols() {
            let reason = format!("states of {} and {} amplitudes", self.re.ncols(), other.re.ncols());
            return Err(refusal("fidelity kernel", reason));
        }
        let mut real = self.re.dot(&other.re.t());
        general_mat_mul(1.0, &self.im, &other.im.t(), 1.0, &mut real);
        let mut imaginary = self.re.dot(&other.im.t());
        general_mat_mul(-1.0, &self.im, &other.re.t(), 1.0, &mut imaginary);
        real.zip_mut_with(&imaginary, |a, b| *a = (*a * *a + b * b).min(1.0));
        Ok(real)
    }

    /// (⟨X⟩, ⟨Y⟩, ⟨Z⟩) of every qubit: rows × 3n.
    #[must_use]
    pub fn bloch(&self) -> &Array2<f64> {
        &self.bloch
    }

    /// Σ_k ‖ρ_k − ρ′_k‖²_F between own rows and those of `other`: half the squared distance of Bloch vectors.
    ///
    /// # Errors
    /// When the numbers of qubits differ.
    pub fn projected_distances(&self, other: &Self) -> Result<Array2<f64>> {
        Ok(squared_distances(self.bloch.view(), other.bloch.view())? * 0.5)
    }
}

/// ‖a − b‖² of each row of `a` with each row of `b`.
///
/// # Errors
/// When widths differ, a table is empty or a value is not finite.
pub fn squared_distances(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    if a.ncols() != b.ncols() || a.is_empty() || b.is_empty() {
        let reason = format!("tables of {:?} and {:?}; need equal widths and at least one row", a.dim(), b.dim());
        return Err(refusal("Gaussian kernel", reason));
    }
    check_finite("Gaussian kernel", "rows", a.iter().chain(b.iter()))?;
    let squares = |t: ArrayView2<'_, f64>| -> Array1<f64> { t.rows().into_iter().map(|r| r.dot(&r)).collect() };
    let (left, right) = (squares(a), squares(b));
    let mut distances = a.dot(&b.t());
    for (mut row, l) in distances.rows_mut().into_iter().zip(&left) {
        row.zip_mut_with(&right, |d, r| *d = (l + r - 2.0 * *d).max(0.0));
    }
    Ok(distances)
}

/// exp(−γ d) of squared distances.
#[must_use]
pub fn gaussian(distances: &Array2<f64>, gamma: f64) -> Array2<f64> {
    distances.mapv(|d| (-gamma * d).exp())
}

/// Median off the diagonal of a square table of distances; 1 when it is 0, so that it can be divided by.
#[must_use]
pub fn median_distance(distances: ArrayView2<'_, f64>) -> f64 {
    let mut values: Vec<f64> = distances.indexed_iter().filter(|((i, j), _)| i < j).map(|(_, &v)| v).collect();
    if values.is_empty() {
        return 1.0;
    }
    let middle = values.len() / 2;
    let median = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
    if median > 0.0 { median } else { 1.0 }
}

/// A symmetric fidelity kernel as read from `shots` measurements per entry: Binomial(shots, k)/shots.
///
/// The diagonal is 1 by construction and not measured. What noise makes negative is undone by the smallest shift of the
/// diagonal found (returned too); the rows used for prediction carry no shift.
///
/// # Errors
/// When the table is not square, an entry lies outside [0, 1] or there is no shot.
pub fn measured_gram(k: &Array2<f64>, shots: u64, random: &mut ChaCha8Rng) -> Result<(Array2<f64>, f64)> {
    if k.nrows() != k.ncols() {
        return Err(refusal("fidelity kernel", format!("a Gram matrix of shape {:?}", k.dim())));
    }
    let mut noisy = Array2::eye(k.nrows());
    for i in 0..k.nrows() {
        for j in 0..i {
            let read = measured(k[[i, j]], shots, random)?;
            noisy[[i, j]] = read;
            noisy[[j, i]] = read;
        }
    }
    match Cholesky::factor_shifted(&noisy) {
        Some((_, shift)) => {
            noisy.diag_mut().iter_mut().for_each(|d| *d += shift);
            Ok((noisy, shift))
        }
        None => Err(refusal("fidelity kernel", "no shift of the diagonal makes the measured kernel positive")),
    }
}

/// One probability as read from `shots` measurements.
///
/// # Errors
/// When it lies outside [0, 1] or there is no shot.
pub fn measured(probability: f64, shots: u64, random: &mut ChaCha8Rng) -> Result<f64> {
    if shots == 0 {
        return Err(refusal("shot noise", "0 shots; need at least 1"));
    }
    let draws = Binomial::new(shots, probability)
        .map_err(|error| refusal("shot noise", format!("probability {probability}: {error}")))?;
    Ok(draws.sample(random) as f64 / shots as f64)
}

/// How far a quantum kernel could outdo a classical one, before any label is seen (Huang et al. 2021, eq. F17–F19).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GeometricDifference {
    /// g(K_C‖K_Q) = √‖√K_Q √K_C (K_C + λ)⁻² √K_C √K_Q‖: about √N or more leaves room for an advantage, less does not.
    pub general: f64,
    /// λ √‖√K_Q (K_C + λ)⁻² √K_Q‖: training error that λ costs; `general` means little where this is large.
    pub training: f64,
    /// √N to hold them against.
    pub root_rows: f64,
    /// λ.
    pub ridge: f64,
}

/// g between two Gram matrices of the same rows, both scaled to trace N.
///
/// # Errors
/// When shapes differ or are not square, λ is not above 0, or the classical kernel is not positive semi-definite.
pub fn geometric_difference(classical: &Array2<f64>, quantum: &Array2<f64>, ridge: f64) -> Result<GeometricDifference> {
    let n = classical.nrows();
    if classical.dim() != (n, n) || quantum.dim() != (n, n) || n == 0 || !(ridge.is_finite() && ridge > 0.0) {
        let reason = format!("shapes {:?} and {:?}, ridge {ridge}", classical.dim(), quantum.dim());
        return Err(refusal("geometric difference", reason));
    }
    let scaled = |k: &Array2<f64>| k * (n as f64 / k.diag().sum());
    let (classical, quantum) = (scaled(classical), scaled(quantum));
    let mut regular = classical.clone();
    regular.diag_mut().iter_mut().for_each(|d| *d += ridge);
    let factor = Cholesky::factor(regular)
        .ok_or_else(|| refusal("geometric difference", "the classical kernel is not positive semi-definite"))?;
    // (K_C + λ)⁻¹ K_C (K_C + λ)⁻¹ and (K_C + λ)⁻²: the square roots of K_C commute with the rest.
    let general = largest_eigenvalue(&quantum, |v| factor.solve(classical.dot(&factor.solve(v.view())).view()));
    let training = largest_eigenvalue(&quantum, |v| factor.solve(factor.solve(v.view()).view()));
    Ok(GeometricDifference {
        general: general.sqrt(),
        training: ridge * training.sqrt(),
        root_rows: (n as f64).sqrt(),
        ridge,
    })
}

/// Of √Q M √Q, by power iteration on M Q, which is self-adjoint under ⟨x, Q y⟩.
fn largest_eigenvalue(q: &Array2<f64>, m: impl Fn(&Array1<f64>) -> Array1<f64>) -> f64 {
    let n = q.nrows();
    // No special direction: a start with irregular signs meets the leading eigenvector almost surely.
    let mut x: Array1<f64> = (0..n).map(|i| 1.0 + (i as f64 * 1.618).sin()).collect();
    let mut value = 0.0;
    for _ in 0..500 {
        let qx = q.dot(&x);
        let next = m(&qx);
        let (above, below) = (qx.dot(&next), qx.dot(&x));
        if below <= 0.0 {
            return 0.0;
        }
        let new = above / below;
        let size = next.dot(&next).sqrt();
        if size <= 0.0 {
            return 0.0;
        }
        x = next / size;
        if (new - value).abs() <= 1e-10 * new.abs() {
            return new.max(0.0);
        }
        value = new;
    }
    value.max(0.0)
}
