//! Weighted Gram matrices over packed upper triangles, and the Cholesky factor that solves with them.

/// Position of (a, b), a ≤ b, in the upper triangle of a `size` × `size` matrix stored row by row.
pub(crate) fn packed_index(size: usize, a: usize, b: usize) -> usize {
    debug_assert!(a <= b && b < size);
    a * size - a * a.saturating_sub(1) / 2 + b - a
}

/// Length of the packed upper triangle.
pub(crate) fn packed_len(size: usize) -> usize {
    size * (size + 1) / 2
}

/// Σ w x xᵀ, gathered four rows at a time: the triangle is then read and written once per four rows,
/// and it is that traffic, not the multiplications, which limits the rank-one form.
pub(crate) struct Gram {
    size: usize,
    packed: Vec<f64>,
    rows: Vec<f64>,
    weights: [f64; 4],
    held: usize,
}

impl Gram {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, packed: vec![0.0; packed_len(size)], rows: vec![0.0; 4 * size], weights: [0.0; 4], held: 0 }
    }

    /// Adds `weight`·x xᵀ.
    pub(crate) fn add(&mut self, weight: f64, row: &[f64]) {
        self.weights[self.held] = weight;
        self.rows[self.held * self.size..(self.held + 1) * self.size].copy_from_slice(row);
        self.held += 1;
        if self.held == 4 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // A slot left over from an earlier batch must not count twice.
        for weight in &mut self.weights[self.held..] {
            *weight = 0.0;
        }
        self.held = 0;
        let size = self.size;
        let [w0, w1, w2, w3] = self.weights;
        let (r0, rest) = self.rows.split_at(size);
        let (r1, rest) = rest.split_at(size);
        let (r2, r3) = rest.split_at(size);
        let mut start = 0;
        for a in 0..size {
            let width = size - a;
            let out = &mut self.packed[start..start + width];
            let (s0, s1, s2, s3) = (w0 * r0[a], w1 * r1[a], w2 * r2[a], w3 * r3[a]);
            let (x0, x1, x2, x3) = (&r0[a..], &r1[a..], &r2[a..], &r3[a..]);
            for ((((value, x0), x1), x2), x3) in out.iter_mut().zip(x0).zip(x1).zip(x2).zip(x3) {
                *value += s0 * x0 + s1 * x1 + s2 * x2 + s3 * x3;
            }
            start += width;
        }
    }

    /// The packed upper triangle.
    pub(crate) fn finish(mut self) -> Vec<f64> {
        if self.held > 0 {
            self.flush();
        }
        self.packed
    }
}

/// Lower Cholesky factor of a symmetric positive definite matrix.
pub(crate) struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factor of `packed` + `ridge`·I.
    ///
    /// A pivot below `relative` times its own diagonal entry means that the column repeats the ones before it:
    /// the error is that column's index.
    pub(crate) fn factor(packed: &[f64], size: usize, ridge: f64, relative: f64) -> Result<Self, usize> {
        let mut lower = vec![0.0; size * size];
        for j in 0..size {
            let diagonal = packed[packed_index(size, j, j)] + ridge;
            let (above, from_j) = lower.split_at_mut(j * size);
            let own = &mut from_j[..size];
            // Row j of L left of the diagonal, then the pivot.
            for k in 0..j {
                let row_k = &above[k * size..k * size + k];
                let dot: f64 = row_k.iter().zip(&own[..k]).map(|(a, b)| a * b).sum();
                own[k] = (packed[packed_index(size, k, j)] - dot) / above[k * size + k];
            }
            let pivot = diagonal - own[..j].iter().map(|v| v * v).sum::<f64>();
            if pivot.is_nan() || pivot <= relative * diagonal.abs() || pivot <= 0.0 {
                return Err(j);
            }
            own[j] = pivot.sqrt();
        }
        Ok(Self { size, lower })
    }

    /// x with A x = b.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.size;
        let mut x = b.to_vec();
        for i in 0..n {
            let dot: f64 = self.lower[i * n..i * n + i].iter().zip(&x[..i]).map(|(l, v)| l * v).sum();
            x[i] = (x[i] - dot) / self.lower[i * n + i];
        }
        for i in (0..n).rev() {
            x[i] /= self.lower[i * n + i];
            let value = x[i];
            for (k, slot) in x[..i].iter_mut().enumerate() {
                *slot -= self.lower[i * n + k] * value;
            }
        }
        x
    }

    /// What each column adds given those before it: the squared diagonal of the factor.
    pub(crate) fn pivots(&self) -> Vec<f64> {
        (0..self.size).map(|i| self.lower[i * self.size + i].powi(2)).collect()
    }

    /// A⁻¹, column by column.
    pub(crate) fn inverse(&self) -> Vec<Vec<f64>> {
        let mut unit = vec![0.0; self.size];
        (0..self.size)
            .map(|i| {
                unit[i] = 1.0;
                let column = self.solve(&unit);
                unit[i] = 0.0;
                column
            })
            .collect()
    }

    /// Diagonal of A⁻¹: the variances.
    pub(crate) fn inverse_diagonal(&self) -> Vec<f64> {
        self.inverse().iter().enumerate().map(|(i, column)| column[i]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gram_matches_the_plain_sum_for_any_number_of_rows() {
        for rows in 0..10 {
            let data: Vec<[f64; 3]> = (0..rows).map(|i| [1.0, f64::from(i), f64::from(i * i) - 2.0]).collect();
            let mut gram = Gram::new(3);
            for (i, row) in data.iter().enumerate() {
                gram.add(0.5 + i as f64, row);
            }
            let packed = gram.finish();
            for a in 0..3 {
                for b in a..3 {
                    let plain: f64 = data.iter().enumerate().map(|(i, r)| (0.5 + i as f64) * r[a] * r[b]).sum();
                    assert!((packed[packed_index(3, a, b)] - plain).abs() < 1e-9, "{rows} rows, ({a}, {b})");
                }
            }
        }
    }

    #[test]
    fn cholesky_solves_and_names_the_repeating_column() {
        // A = [[4, 2, 1], [2, 5, 3], [1, 3, 6]] and x = (1, −2, 3).
        let packed = [4.0, 2.0, 1.0, 5.0, 3.0, 6.0];
        let factor = Cholesky::factor(&packed, 3, 0.0, 1e-12).unwrap();
        let x = factor.solve(&[3.0, 1.0, 13.0]);
        for (got, expected) in x.iter().zip([1.0, -2.0, 3.0]) {
            assert!((got - expected).abs() < 1e-12, "{x:?}");
        }
        // Column 1 = 2 · column 0.
        assert_eq!(Cholesky::factor(&[1.0, 2.0, 4.0], 2, 0.0, 1e-12).err(), Some(1));
    }
}
