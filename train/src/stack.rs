//! How much each family counts in a stack: the shares with the smallest integrated Brier score out of fold.
//!
//! The score of Σ w_m·S_m with Σ w_m = 1 is the quadratic form wᵀAw, where A_mn averages the product of two members'
//! errors. A follows from scores alone: A_mm is the score of member m, and the score of ½(S_m + S_n) is
//! ¼(A_mm + 2A_mn + A_nn). With few members the best shares of the simplex are found exactly, support by support.

use survival::scores::brier::{CensoringWeights, integrated_brier_score};
use survival::{Observation, SurvivalCurve};

use crate::error::{Result, TrainError};

/// Members a stack may have: supports are tried one by one.
pub const MOST_MEMBERS: usize = 8;

/// Shares of the members, at least 0 and summing to 1.
///
/// `of_members`: for each member, curves of rows it was not fitted on, all of the same rows.
///
/// # Errors
/// When there is no member, too many, or the score is undefined on these rows.
pub fn stack_weights(
    observations: &[Observation],
    of_members: &[Vec<SurvivalCurve>],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<Vec<f64>> {
    let members = of_members.len();
    if members == 0 || members > MOST_MEMBERS {
        let reason = format!("{members} members, must be 1 to {MOST_MEMBERS}");
        return Err(TrainError::Data { model: "stack".to_owned(), reason });
    }
    let mut products = vec![vec![0.0; members]; members];
    for m in 0..members {
        products[m][m] = integrated_brier_score(observations, &of_members[m], times, censoring)?;
    }
    for m in 0..members {
        for n in m + 1..members {
            let halves = of_members[m]
                .iter()
                .zip(&of_members[n])
                .map(|(a, b)| SurvivalCurve::mixture(&[(0.5, a), (0.5, b)]))
                .collect::<std::result::Result<Vec<_>, _>>()?;
            let mixed = integrated_brier_score(observations, &halves, times, censoring)?;
            let product = 2.0 * mixed - 0.5 * (products[m][m] + products[n][n]);
            products[m][n] = product;
            products[n][m] = product;
        }
    }
    Ok(least_form(&products))
}

/// The point of the simplex with the smallest wᵀAw, A positive semidefinite.
fn least_form(a: &[Vec<f64>]) -> Vec<f64> {
    let members = a.len();
    let mut best = (f64::INFINITY, vec![0.0; members]);
    for support in 1_u32..1 << members {
        let inside: Vec<usize> = (0..members).filter(|m| support & (1 << m) != 0).collect();
        let Some(solution) = solve_ones(a, &inside) else { continue };
        let total: f64 = solution.iter().sum();
        if total.is_nan() || total <= 0.0 || solution.iter().any(|value| value / total < 0.0) {
            continue;
        }
        let mut weights = vec![0.0; members];
        for (&member, value) in inside.iter().zip(&solution) {
            weights[member] = value / total;
        }
        let form: f64 = (0..members)
            .flat_map(|m| (0..members).map(move |n| (m, n)))
            .map(|(m, n)| weights[m] * a[m][n] * weights[n])
            .sum();
        if form < best.0 {
            best = (form, weights);
        }
    }
    best.1
}

/// x with A_SS·x = 1 by elimination with pivots; `None` where members of the support repeat each other.
fn solve_ones(a: &[Vec<f64>], inside: &[usize]) -> Option<Vec<f64>> {
    let n = inside.len();
    let mut rows: Vec<Vec<f64>> =
        inside.iter().map(|&m| inside.iter().map(|&k| a[m][k]).chain(std::iter::once(1.0)).collect()).collect();
    let scale = inside.iter().map(|&m| a[m][m].abs()).fold(0.0, f64::max);
    for column in 0..n {
        let pivot = (column..n).max_by(|&p, &q| rows[p][column].abs().total_cmp(&rows[q][column].abs()))?;
        if rows[pivot][column].abs() <= 1e-9 * scale {
            return None;
        }
        rows.swap(column, pivot);
        for other in 0..n {
            if other != column {
                let factor = rows[other][column] / rows[column][column];
                let pivot_row = rows[column].clone();
                for (value, above) in rows[other].iter_mut().zip(&pivot_row).skip(column) {
                    *value -= factor * above;
                }
            }
        }
    }
    Some((0..n).map(|row| rows[row][n] / rows[row][row]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_shares_of_two_are_those_of_calculus() {
        // Errors with variances 1 and 2 and covariance 0.5: w = (2 − 0.5)/(1 + 2 − 1) = 0.75.
        let weights = least_form(&[vec![1.0, 0.5], vec![0.5, 2.0]]);
        assert!((weights[0] - 0.75).abs() < 1e-12 && (weights[1] - 0.25).abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn a_member_that_only_harms_gets_nothing() {
        // The covariance exceeds the smaller variance: the unconstrained share of the second is below 0.
        let weights = least_form(&[vec![1.0, 1.2], vec![1.2, 2.0]]);
        assert!((weights[0] - 1.0).abs() < 1e-12 && weights[1].abs() < 1e-12, "{weights:?}");
    }

    #[test]
    fn of_two_equal_members_one_is_enough() {
        let weights = least_form(&[vec![1.0, 1.0, 0.9], vec![1.0, 1.0, 0.9], vec![0.9, 0.9, 1.5]]);
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{weights:?}");
        assert!(weights[0].abs() < 1e-12 || weights[1].abs() < 1e-12, "{weights:?}");
    }
}
