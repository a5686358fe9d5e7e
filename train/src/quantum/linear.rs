//! Dense symmetric systems of a few hundred to a few thousand unknowns, and small eigenproblems.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Slice};

/// Columns per panel: narrow enough to stay in cache, wide enough that the matrix product does the work.
const PANEL: usize = 48;

/// Lower factor L with L Lᵀ = A, row by row; what lies above the diagonal is not read.
pub(crate) struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Left-looking by panels of columns; `None` when A is not square or not positive definite.
    pub(crate) fn factor(a: Array2<f64>) -> Option<Self> {
        let n = a.nrows();
        if a.ncols() != n {
            return None;
        }
        let mut a = a;
        let mut start = 0;
        while start < n {
            let end = (start + PANEL).min(n);
            let (done, rest) = a.view_mut().split_at(Axis(1), start);
            let mut panel = rest.split_at(Axis(1), end - start).0;
            if start > 0 {
                let below = done.slice_axis(Axis(0), Slice::from(start..));
                let own = done.slice_axis(Axis(0), Slice::from(start..end));
                let mut target = panel.slice_axis_mut(Axis(0), Slice::from(start..));
                general_mat_mul(-1.0, &below, &own.t(), 1.0, &mut target);
            }
            // The panel by itself, copied: short rows in one piece.
            let width = end - start;
            let mut block: Vec<f64> = panel.slice_axis(Axis(0), Slice::from(start..)).iter().copied().collect();
            for j in 0..width {
                let (own, below) = block[j * width..].split_at_mut(width);
                let diagonal = own[j];
                let pivot = diagonal - own[..j].iter().map(|v| v * v).sum::<f64>();
                if pivot.is_nan() || pivot <= 1e-13 * diagonal.abs() || pivot <= 0.0 {
                    return None;
                }
                own[j] = pivot.sqrt();
                for row in below.chunks_exact_mut(width) {
                    let sum: f64 = row[..j].iter().zip(&own[..j]).map(|(a, b)| a * b).sum();
                    row[j] = (row[j] - sum) / own[j];
                }
            }
            let values = block.into_iter();
            panel
                .slice_axis_mut(Axis(0), Slice::from(start..))
                .iter_mut()
                .zip(values)
                .for_each(|(to, from)| *to = from);
            start = end;
        }
        Some(Self { size: n, lower: a.into_iter().collect() })
    }

    /// Factor of A, or of A + jI with the smallest j = 10⁻⁸·4ᵏ·mean diagonal that makes it positive definite; j is
    /// given back. A kernel read from shots is not positive semi-definite, and this is the usual spectrum shift.
    pub(crate) fn factor_shifted(a: &Array2<f64>) -> Option<(Self, f64)> {
        if let Some(factor) = Self::factor(a.clone()) {
            return Some((factor, 0.0));
        }
        let mut shift = 1e-8 * a.diag().mean()?.abs();
        for _ in 0..20 {
            let mut shifted = a.clone();
            shifted.diag_mut().iter_mut().for_each(|d| *d += shift);
            if let Some(factor) = Self::factor(shifted) {
                return Some((factor, shift));
            }
            shift *= 4.0;
        }
        None
    }

    /// x with A x = b.
    pub(crate) fn solve(&self, b: ArrayView1<'_, f64>) -> Array1<f64> {
        let n = self.size;
        let mut x = b.to_vec();
        for i in 0..n {
            let sum: f64 = self.lower[i * n..i * n + i].iter().zip(&x[..i]).map(|(l, v)| l * v).sum();
            x[i] = (x[i] - sum) / self.lower[i * n + i];
        }
        for i in (0..n).rev() {
            let value = x[i] / self.lower[i * n + i];
            x[i] = value;
            for (slot, l) in x[..i].iter_mut().zip(&self.lower[i * n..i * n + i]) {
                *slot -= l * value;
            }
        }
        x.into()
    }
}

/// Eigenvalues (largest first) and eigenvectors (columns) of a symmetric matrix, by Jacobi's cyclic rotations.
pub(crate) fn symmetric_eigen(matrix: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
    let n = matrix.nrows();
    let mut a = matrix.to_owned();
    let mut vectors = Array2::eye(n);
    let size: f64 = a.iter().map(|v| v * v).sum();
    for _sweep in 0..60 {
        let off: f64 = a.indexed_iter().filter(|((i, j), _)| i != j).map(|(_, v)| v * v).sum();
        if off <= 1e-26 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[[j, j]].total_cmp(&a[[i, i]]));
    let values = order.iter().map(|&i| a[[i, i]]).collect();
    (values, vectors.select(Axis(1), &order))
}

/// One rotation that zeroes a_pq (Golub & Van Loan, section 8.5).
fn rotate(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    let off = a[[p, q]];
    if off.abs() <= f64::MIN_POSITIVE {
        return;
    }
    let tau = (a[[q, q]] - a[[p, p]]) / (2.0 * off);
    let t = if tau >= 0.0 { 1.0 / (tau + tau.hypot(1.0)) } else { -1.0 / (-tau + tau.hypot(1.0)) };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..a.nrows() {
        let (x, y) = (a[[k, p]], a[[k, q]]);
        a[[k, p]] = c * x - s * y;
        a[[k, q]] = s * x + c * y;
        let (x, y) = (vectors[[k, p]], vectors[[k, q]]);
        vectors[[k, p]] = c * x - s * y;
        vectors[[k, q]] = s * x + c * y;
    }
    for k in 0..a.nrows() {
        let (x, y) = (a[[p, k]], a[[q, k]]);
        a[[p, k]] = c * x - s * y;
        a[[q, k]] = s * x + c * y;
    }
}
