//! State vector of up to 24 qubits in double precision, and the gates on it.
//!
//! Qubit q is bit q of the basis index, so |q₁q₀⟩ = |10⟩ has index 2. Real and imaginary parts lie apart: inner loops
//! then vectorise, and a table of states is two matrices ready for a matrix product. Rotations are
//! R_P(θ) = exp(−iθP/2), as in Nielsen & Chuang, section 4.2.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{check_finite, refusal};
use crate::error::Result;

/// 24 qubits are 256 MiB; a typing error should not ask for more.
pub const MAX_QUBITS: usize = 24;

/// A complex number as (real, imaginary).
pub type Complex = (f64, f64);
/// A one-qubit operator, rows first.
pub type Matrix2 = [[Complex; 2]; 2];

/// A unitary operation on one or two qubits; angles in radians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gate {
    /// Hadamard.
    H(usize),
    /// Pauli X: bit flip.
    X(usize),
    /// Pauli Y.
    Y(usize),
    /// Pauli Z: phase flip.
    Z(usize),
    /// exp(−iθX/2).
    Rx(usize, f64),
    /// exp(−iθY/2).
    Ry(usize, f64),
    /// exp(−iθZ/2).
    Rz(usize, f64),
    /// Controlled X: control, target.
    Cx(usize, usize),
    /// Controlled Z: symmetric in its qubits.
    Cz(usize, usize),
    /// exp(−iθ Z⊗Z/2).
    Rzz(usize, usize, f64),
}

impl Gate {
    /// Matrix of a one-qubit gate; `None` for gates on two.
    #[must_use]
    pub fn matrix(self) -> Option<Matrix2> {
        let h = std::f64::consts::FRAC_1_SQRT_2;
        let (o, l) = ((0.0, 0.0), (1.0, 0.0));
        Some(match self {
            Self::H(_) => [[(h, 0.0), (h, 0.0)], [(h, 0.0), (-h, 0.0)]],
            Self::X(_) => [[o, l], [l, o]],
            Self::Y(_) => [[o, (0.0, -1.0)], [(0.0, 1.0), o]],
            Self::Z(_) => [[l, o], [o, (-1.0, 0.0)]],
            Self::Rx(_, angle) => rx(angle),
            Self::Ry(_, angle) => ry(angle),
            Self::Rz(_, angle) => rz(angle),
            Self::Cx(..) | Self::Cz(..) | Self::Rzz(..) => return None,
        })
    }

    fn qubits(self) -> (usize, Option<usize>) {
        match self {
            Self::H(q) | Self::X(q) | Self::Y(q) | Self::Z(q) => (q, None),
            Self::Rx(q, _) | Self::Ry(q, _) | Self::Rz(q, _) => (q, None),
            Self::Cx(a, b) | Self::Cz(a, b) | Self::Rzz(a, b, _) => (a, Some(b)),
        }
    }
}

/// exp(−iθX/2).
pub(crate) fn rx(angle: f64) -> Matrix2 {
    let (s, c) = (0.5 * angle).sin_cos();
    [[(c, 0.0), (0.0, -s)], [(0.0, -s), (c, 0.0)]]
}

/// exp(−iθY/2).
pub(crate) fn ry(angle: f64) -> Matrix2 {
    let (s, c) = (0.5 * angle).sin_cos();
    [[(c, 0.0), (-s, 0.0)], [(s, 0.0), (c, 0.0)]]
}

/// exp(−iθZ/2).
pub(crate) fn rz(angle: f64) -> Matrix2 {
    let (s, c) = (0.5 * angle).sin_cos();
    [[(c, -s), (0.0, 0.0)], [(0.0, 0.0), (c, s)]]
}

/// Product of two one-qubit operators: `a` acts last.
pub(crate) fn product(a: &Matrix2, b: &Matrix2) -> Matrix2 {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let (x, y) = (times(a[i][0], b[0][j]), times(a[i][1], b[1][j]));
            (x.0 + y.0, x.1 + y.1)
        })
    })
}

/// Conjugate transpose.
pub(crate) fn adjoint(m: &Matrix2) -> Matrix2 {
    std::array::from_fn(|i| std::array::from_fn(|j| (m[j][i].0, -m[j][i].1)))
}

fn times(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// Amplitudes of n qubits, norm 1.
#[derive(Debug, Clone, PartialEq)]
pub struct StateVector {
    qubits: usize,
    pub(crate) re: Vec<f64>,
    pub(crate) im: Vec<f64>,
}

impl StateVector {
    /// |0…0⟩.
    ///
    /// # Errors
    /// When `qubits` is 0 or above [`MAX_QUBITS`].
    pub fn zero(qubits: usize) -> Result<Self> {
        if qubits == 0 || qubits > MAX_QUBITS {
            return Err(refusal("state vector", format!("{qubits} qubits asked for, allowed are 1 to {MAX_QUBITS}")));
        }
        let mut re = vec![0.0; 1 << qubits];
        re[0] = 1.0;
        let im = vec![0.0; 1 << qubits];
        Ok(Self { qubits, re, im })
    }

    /// A state from its amplitudes, normalised.
    ///
    /// # Errors
    /// When their number is no power of two within the limit, one is not finite, or all are 0.
    pub fn from_amplitudes(amplitudes: &[Complex]) -> Result<Self> {
        let qubits = amplitudes.len().checked_ilog2().unwrap_or(0) as usize;
        let mut state = Self::zero(qubits)?;
        if amplitudes.len() != 1 << qubits {
            return Err(refusal("state vector", format!("{} amplitudes are no power of two", amplitudes.len())));
        }
        (state.re, state.im) = amplitudes.iter().copied().unzip();
        check_finite("state vector", "amplitudes", state.re.iter().chain(&state.im))?;
        let norm = state.norm();
        if norm <= 0.0 {
            return Err(refusal("state vector", "every amplitude is 0"));
        }
        state.scale(1.0 / norm);
        Ok(state)
    }

    /// Number of qubits.
    #[must_use]
    pub fn qubits(&self) -> usize {
        self.qubits
    }

    /// Amplitude of a basis state, `None` beyond the last.
    #[must_use]
    pub fn amplitude(&self, index: usize) -> Option<Complex> {
        Some((*self.re.get(index)?, *self.im.get(index)?))
    }

    /// √⟨ψ|ψ⟩; 1 up to rounding.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.probabilities().sum::<f64>().sqrt()
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        self.re.iter_mut().chain(&mut self.im).for_each(|value| *value *= factor);
    }

    /// |⟨b|ψ⟩|² of every basis state b, in order.
    pub fn probabilities(&self) -> impl Iterator<Item = f64> + '_ {
        self.re.iter().zip(&self.im).map(|(re, im)| re * re + im * im)
    }

    /// ⟨self|other⟩.
    ///
    /// # Errors
    /// When the numbers of qubits differ.
    pub fn inner(&self, other: &Self) -> Result<Complex> {
        if self.qubits != other.qubits {
            let reason = format!("inner product of {} with {} qubits", self.qubits, other.qubits);
            return Err(refusal("state vector", reason));
        }
        let mut sum = (0.0, 0.0);
        for (((a, b), c), d) in self.re.iter().zip(&self.im).zip(&other.re).zip(&other.im) {
            sum.0 += a * c + b * d;
            sum.1 += a * d - b * c;
        }
        Ok(sum)
    }

    /// |⟨self|other⟩|².
    ///
    /// # Errors
    /// When the numbers of qubits differ.
    pub fn fidelity(&self, other: &Self) -> Result<f64> {
        let (re, im) = self.inner(other)?;
        Ok(re * re + im * im)
    }

    /// Applies a gate.
    ///
    /// # Errors
    /// When a qubit does not exist, a two-qubit gate names one qubit twice, or an angle is not finite.
    pub fn apply(&mut self, gate: Gate) -> Result<()> {
        let (a, b) = gate.qubits();
        if a >= self.qubits || b.is_some_and(|b| b >= self.qubits || b == a) {
            return Err(refusal("state vector", format!("{gate:?} on {} qubits", self.qubits)));
        }
        if let Gate::Rx(_, angle) | Gate::Ry(_, angle) | Gate::Rz(_, angle) | Gate::Rzz(_, _, angle) = gate {
            check_finite("state vector", "angle", [&angle])?;
        }
        match (gate, gate.matrix()) {
            (_, Some(matrix)) => self.apply_one(a, &matrix),
            (Gate::Cx(control, target), _) => self.flip_if(control, target),
            (Gate::Cz(a, b), _) => {
                let both = 1 << a | 1 << b;
                self.negate_where(|index| index & both == both);
            }
            (Gate::Rzz(a, b, angle), _) => {
                let (s, c) = (0.5 * angle).sin_cos();
                self.rotate_by(|index| if (index >> a ^ index >> b) & 1 == 1 { (c, s) } else { (c, -s) });
            }
            _ => {}
        }
        Ok(())
    }

    /// A one-qubit operator on qubit `q`, which must exist.
    pub(crate) fn apply_one(&mut self, q: usize, m: &Matrix2) {
        let half = 1 << q;
        let [[a, b], [c, d]] = *m;
        for (re, im) in self.re.chunks_exact_mut(2 * half).zip(self.im.chunks_exact_mut(2 * half)) {
            let (re0, re1) = re.split_at_mut(half);
            let (im0, im1) = im.split_at_mut(half);
            for (((x, y), u), v) in re0.iter_mut().zip(im0).zip(re1).zip(im1) {
                let (xr, xi, yr, yi) = (*x, *y, *u, *v);
                *x = a.0 * xr - a.1 * xi + b.0 * yr - b.1 * yi;
                *y = a.0 * xi + a.1 * xr + b.0 * yi + b.1 * yr;
                *u = c.0 * xr - c.1 * xi + d.0 * yr - d.1 * yi;
                *v = c.0 * xi + c.1 * xr + d.0 * yi + d.1 * yr;
            }
        }
    }

    fn flip_if(&mut self, control: usize, target: usize) {
        for index in 0..self.re.len() {
            let partner = index | 1 << target;
            if index >> control & 1 == 1 && index != partner {
                self.re.swap(index, partner);
                self.im.swap(index, partner);
            }
        }
    }

    pub(crate) fn negate_where(&mut self, hit: impl Fn(usize) -> bool) {
        for (index, (re, im)) in self.re.iter_mut().zip(&mut self.im).enumerate() {
            if hit(index) {
                (*re, *im) = (-*re, -*im);
            }
        }
    }

    /// Multiplies each amplitude by a number of modulus 1.
    pub(crate) fn rotate_by(&mut self, factor: impl Fn(usize) -> Complex) {
        for (index, (re, im)) in self.re.iter_mut().zip(&mut self.im).enumerate() {
            (*re, *im) = times((*re, *im), factor(index));
        }
    }

    /// (⟨X⟩, ⟨Y⟩, ⟨Z⟩) of one qubit: its reduced density matrix is (1 + xX + yY + zZ)/2.
    ///
    /// # Errors
    /// When the qubit does not exist.
    pub fn bloch(&self, q: usize) -> Result<[f64; 3]> {
        if q >= self.qubits {
            return Err(refusal("state vector", format!("qubit {q} of {}", self.qubits)));
        }
        let half = 1 << q;
        let [mut x, mut y, mut z] = [0.0; 3];
        for (re, im) in self.re.chunks_exact(2 * half).zip(self.im.chunks_exact(2 * half)) {
            let (re0, re1) = re.split_at(half);
            let (im0, im1) = im.split_at(half);
            for (((a, b), c), d) in re0.iter().zip(im0).zip(re1).zip(im1) {
                x += 2.0 * (a * c + b * d);
                y += 2.0 * (a * d - b * c);
                z += a * a + b * b - c * c - d * d;
            }
        }
        Ok([x, y, z])
    }

    /// How often each basis state is read in `shots` measurements of all qubits.
    #[must_use]
    pub fn sample(&self, shots: usize, random: &mut ChaCha8Rng) -> Vec<u32> {
        let mut cumulative = Vec::with_capacity(self.re.len());
        let mut total = 0.0;
        for probability in self.probabilities() {
            total += probability;
            cumulative.push(total);
        }
        let mut counts = vec![0; self.re.len()];
        for _ in 0..shots {
            let drawn = random.random::<f64>() * total;
            let index = cumulative.partition_point(|&c| c <= drawn).min(counts.len() - 1);
            counts[index] += 1;
        }
        counts
    }
}
