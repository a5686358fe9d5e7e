//! Stuart–Maxwell test: do two deciders use several classes equally often on the same rows?
//! (Stuart 1955; Maxwell 1970.)
//!
//! With d_i = row total − column total of class i and V_ii = n_i. + n_.i − 2 n_ii, V_ij = −(n_ij + n_ji), the
//! statistic d′V⁻¹d is χ². V is the Laplacian of "which classes are mixed up with which": it has one zero direction
//! per connected group of classes, so one class of each group is left out and classes never mixed up drop out whole.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::linear::{Cholesky, packed_index, packed_len};
use crate::special::chi_square_survival;
use crate::{Result, SurvivalError};

/// Result of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MarginalHomogeneity {
    /// d′V⁻¹d.
    pub statistic: f64,
    /// Classes mixed up with others − connected groups of them; 0 when the two never disagree.
    pub degrees_of_freedom: usize,
    /// P(χ² > statistic); 1 when the two never disagree.
    pub p_value: f64,
}

/// Tests a square table of counts: row = class by A, column = class by B.
///
/// # Errors
/// When the table is empty, not square, or holds a negative or non-finite count.
pub fn stuart_maxwell(table: ArrayView2<'_, f64>) -> Result<MarginalHomogeneity> {
    let classes = table.nrows();
    if classes != table.ncols() {
        return Err(SurvivalError::Shape { what: "columns of a square table", expected: classes, got: table.ncols() });
    }
    if let Some(&value) = table.iter().find(|v| !(v.is_finite() && **v >= 0.0)) {
        return Err(SurvivalError::Domain { what: "count of a table", value, domain: "at least 0 and finite" });
    }
    if table.sum() <= 0.0 {
        return Err(SurvivalError::Empty { what: "table of decisions" });
    }
    let mixed = |a: usize, b: usize| table[[a, b]] + table[[b, a]];
    let mut result = MarginalHomogeneity { statistic: 0.0, degrees_of_freedom: 0, p_value: 1.0 };
    for group in connected(classes, mixed) {
        // The last class of the group follows from the others.
        let kept = &group[..group.len() - 1];
        if kept.is_empty() {
            continue;
        }
        let mut variance = vec![0.0; packed_len(kept.len())];
        for (i, &a) in kept.iter().enumerate() {
            for (j, &b) in kept.iter().enumerate().skip(i) {
                variance[packed_index(kept.len(), i, j)] =
                    if i == j { group.iter().filter(|&&c| c != a).map(|&c| mixed(a, c)).sum() } else { -mixed(a, b) };
            }
        }
        let excess: Vec<f64> = kept.iter().map(|&a| table.row(a).sum() - table.column(a).sum()).collect();
        let factor = Cholesky::factor(&variance, kept.len(), 0.0, 1e-13)
            .map_err(|column| SurvivalError::Column { column, problem: "collinear with the others" })?;
        result.statistic += factor.solve(&excess).iter().zip(&excess).map(|(x, d)| x * d).sum::<f64>();
        result.degrees_of_freedom += kept.len();
    }
    if result.degrees_of_freedom > 0 {
        result.p_value = chi_square_survival(result.statistic, result.degrees_of_freedom as f64);
    }
    Ok(result)
}

/// Groups of classes connected by disagreements, each in increasing order.
fn connected(classes: usize, mixed: impl Fn(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let mut seen = vec![false; classes];
    let mut groups = Vec::new();
    for start in 0..classes {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut group = vec![start];
        let mut next = 0;
        while next < group.len() {
            let class = group[next];
            next += 1;
            for (other, seen) in seen.iter_mut().enumerate() {
                if !*seen && mixed(class, other) > 0.0 {
                    *seen = true;
                    group.push(other);
                }
            }
        }
        group.sort_unstable();
        groups.push(group);
    }
    groups
}
