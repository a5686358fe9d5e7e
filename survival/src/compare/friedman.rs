//! Friedman's test and Nemenyi's critical difference: many methods over several data sets (Demšar 2006, JMLR 7).
//!
//! Methods are ranked within each data set, rank 1 for the smallest loss, ties sharing midranks. Two methods differ when
//! their mean ranks are further apart than the critical difference `q_α √(k(k+1)/(6N))`, with q_α the quantile of the
//! studentised range over √2.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::ranks::midranks;
use crate::special::{chi_square_survival, open_unit};
use crate::special_beta::{studentised_range_quantile, studentised_range_survival};
use crate::table::check_finite;
use crate::{Result, SurvivalError};

/// Mean ranks and what may be said of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Friedman {
    /// Mean rank per method; smaller is better.
    pub mean_ranks: Vec<f64>,
    /// Number of data sets.
    pub data_sets: usize,
    /// χ² with the correction for ties; 0 when every data set ties all methods.
    pub statistic: f64,
    /// P(χ² with k − 1 degrees of freedom > statistic).
    pub p_value: f64,
}

/// Tests that k methods rank alike over N data sets: one row per data set, one column per method, smaller is better.
///
/// # Errors
/// When there are fewer than two data sets or methods, or a loss is not finite.
pub fn friedman(losses: ArrayView2<'_, f64>) -> Result<Friedman> {
    let (data_sets, methods) = losses.dim();
    for (what, count) in [("data sets of a ranking", data_sets), ("methods of a ranking", methods)] {
        if count < 2 {
            return Err(SurvivalError::Domain { what, value: count as f64, domain: "at least 2" });
        }
    }
    check_finite(losses)?;
    let (n, k) = (data_sets as f64, methods as f64);
    let mut mean_ranks = vec![0.0; methods];
    let mut squares = 0.0;
    for row in losses.rows() {
        let ranks = midranks(&row.to_vec());
        for (mean, rank) in mean_ranks.iter_mut().zip(&ranks) {
            *mean += rank / n;
            squares += rank * rank;
        }
    }
    let middle = 0.5 * (k + 1.0);
    let between: f64 = mean_ranks.iter().map(|r| (r - middle) * (r - middle)).sum();
    // Spread of the ranks within data sets: n k (k + 1)(k − 1)/12 without ties, less with them.
    let within = squares - n * k * middle * middle;
    let statistic = if within > 1e-9 { (k - 1.0) * n * n * between / within } else { 0.0 };
    Ok(Friedman { mean_ranks, data_sets, statistic, p_value: chi_square_survival(statistic, k - 1.0) })
}

impl Friedman {
    /// Nemenyi's critical difference of mean ranks at `alpha`.
    ///
    /// # Errors
    /// When `alpha` is outside (0, 1).
    pub fn critical_difference(&self, alpha: f64) -> Result<f64> {
        open_unit("alpha", alpha)?;
        let q = studentised_range_quantile(1.0 - alpha, self.mean_ranks.len())? / 2.0_f64.sqrt();
        Ok(q * self.standard_error())
    }

    /// Nemenyi's p for two methods, adjusted for all pairs.
    ///
    /// # Errors
    /// When a method does not exist.
    pub fn pair_p_value(&self, first: usize, second: usize) -> Result<f64> {
        let rank = |method: usize| {
            self.mean_ranks.get(method).copied().ok_or(SurvivalError::Domain {
                what: "method of a ranking",
                value: method as f64,
                domain: "below the number of methods",
            })
        };
        let distance = (rank(first)? - rank(second)?).abs();
        studentised_range_survival(distance / self.standard_error() * 2.0_f64.sqrt(), self.mean_ranks.len())
    }

    fn standard_error(&self) -> f64 {
        let k = self.mean_ranks.len() as f64;
        (k * (k + 1.0) / (6.0 * self.data_sets as f64)).sqrt()
    }
}
