//! p values of a family: Holm (1979) for primary claims, Benjamini–Hochberg (1995) for secondary results.

use crate::{Result, SurvivalError};

/// Holm's step-down p: below α for a claim means that no false one is declared in the family with probability 1 − α,
/// whatever the dependence. In the order of the input.
///
/// # Errors
/// When there is no p or one lies outside \[0, 1\].
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>> {
    let order = increasing(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    Ok(adjusted)
}

/// Benjamini and Hochberg's step-up p: the share of false ones among those below α is at most α on average, for
/// independent or positively dependent tests. In the order of the input.
///
/// # Errors
/// When there is no p or one lies outside \[0, 1\].
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>> {
    let order = increasing(p_values)?;
    let mut adjusted = vec![0.0; p_values.len()];
    let mut smallest = 1.0_f64;
    for (rank, &index) in order.iter().enumerate().rev() {
        smallest = smallest.min(p_values.len() as f64 * p_values[index] / (rank + 1) as f64);
        adjusted[index] = smallest;
    }
    Ok(adjusted)
}

fn increasing(p_values: &[f64]) -> Result<Vec<usize>> {
    if p_values.is_empty() {
        return Err(SurvivalError::Empty { what: "list of p values" });
    }
    if let Some(&value) = p_values.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(SurvivalError::Domain { what: "p value", value, domain: "in [0, 1]" });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    Ok(order)
}
