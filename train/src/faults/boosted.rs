//! Boosted trees of `forust-ml` on small tables: one log-loss booster, or one per class against the rest.

use forust_ml::{GradientBooster, Matrix};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError};

/// What is chosen for a booster.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoostedConfig {
    /// Trees.
    pub rounds: usize,
    /// Depth of each.
    pub depth: usize,
    /// Share of each tree's vote.
    pub learning_rate: f32,
}

/// A booster for a yes or no; a constant where the training rows agree.
pub(super) struct Boosted {
    kept: Vec<usize>,
    booster: Option<GradientBooster>,
    constant: f64,
}

impl Boosted {
    /// Fits P(yes) on rows of one width; gaps are NaN.
    ///
    /// # Errors
    /// When there is no row or the booster refuses.
    pub(super) fn fit(rows: &[&[f64]], labels: &[bool], config: BoostedConfig, seed: u64) -> Result<Self> {
        let refused = |reason: String| TrainError::Data { model: "boosted trees".to_owned(), reason };
        if rows.is_empty() || rows.len() != labels.len() {
            return Err(refused(format!("{} rows and {} labels", rows.len(), labels.len())));
        }
        let yes = labels.iter().filter(|label| **label).count() as f64;
        let size = rows.len() as f64;
        // Half a row on either side keeps the start finite.
        let constant = ((yes + 0.5) / (size - yes + 0.5)).ln();
        let varies = |column: usize| {
            let mut finite = rows.iter().map(|row| row[column]).filter(|value| value.is_finite());
            let first = finite.next();
            finite.any(|value| Some(value.to_bits()) != first.map(f64::to_bits))
        };
        // The booster refuses columns of one value.
        let kept: Vec<usize> = (0..rows[0].len()).filter(|&column| varies(column)).collect();
        if kept.is_empty() || yes < 0.5 || yes > size - 0.5 {
            return Ok(Self { kept, booster: None, constant });
        }
        let data = columns(rows, &kept);
        let mut booster = GradientBooster::default()
            .set_iterations(config.rounds)
            .set_max_depth(config.depth)
            .set_learning_rate(config.learning_rate)
            .set_min_leaf_weight(0.5)
            .set_initialize_base_score(false)
            .set_base_score(constant)
            .set_nbins(64)
            .set_parallel(false)
            .set_seed(seed);
        let target: Vec<f64> = labels.iter().map(|label| f64::from(u8::from(*label))).collect();
        booster
            .fit_unweighted(&Matrix::new(&data, rows.len(), kept.len()), &target, None)
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { kept, booster: Some(booster), constant })
    }

    /// Log odds per row.
    pub(super) fn log_odds(&self, rows: &[&[f64]]) -> Vec<f64> {
        match &self.booster {
            Some(booster) if !rows.is_empty() => {
                let data = columns(rows, &self.kept);
                booster.predict(&Matrix::new(&data, rows.len(), self.kept.len()), false)
            }
            _ => vec![self.constant; rows.len()],
        }
    }
}

/// Column after column, as the booster wants them; infinities become gaps.
fn columns(rows: &[&[f64]], kept: &[usize]) -> Vec<f64> {
    let mut data = Vec::with_capacity(rows.len() * kept.len());
    for &column in kept {
        data.extend(rows.iter().map(|row| if row[column].is_finite() { row[column] } else { f64::NAN }));
    }
    data
}

/// One booster per class against the rest; their probabilities made to sum to 1.
pub(super) struct OneVsRest(Vec<Boosted>);

impl OneVsRest {
    /// Fits all classes.
    ///
    /// # Errors
    /// As [`Boosted::fit`].
    pub(super) fn fit(
        rows: &[&[f64]],
        labels: &[usize],
        classes: usize,
        config: BoostedConfig,
        seed: u64,
    ) -> Result<Self> {
        let per_class = |class: usize| {
            let own: Vec<bool> = labels.iter().map(|label| *label == class).collect();
            Boosted::fit(rows, &own, config, seed)
        };
        Ok(Self((0..classes).map(per_class).collect::<Result<_>>()?))
    }

    /// Probability of each class, per row.
    pub(super) fn probabilities(&self, rows: &[&[f64]]) -> Vec<Vec<f64>> {
        let odds: Vec<Vec<f64>> = self.0.iter().map(|booster| booster.log_odds(rows)).collect();
        (0..rows.len())
            .map(|row| {
                let each: Vec<f64> = odds.iter().map(|class| 1.0 / (1.0 + (-class[row]).exp())).collect();
                let sum: f64 = each.iter().sum::<f64>().max(1e-300);
                each.iter().map(|p| p / sum).collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BoostedConfig = BoostedConfig { rounds: 30, depth: 2, learning_rate: 0.3 };

    #[test]
    fn learns_a_rule_that_is_no_line_and_says_the_same_twice() {
        let rows: Vec<Vec<f64>> =
            (0..80).map(|i| vec![f64::from(i % 9) - 4.0, f64::from(i % 7), 1.0, f64::NAN]).collect();
        let labels: Vec<usize> = rows.iter().map(|row| usize::from(row[0].abs() < 2.5)).collect();
        let views: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let first = OneVsRest::fit(&views, &labels, 2, CONFIG, 1).unwrap().probabilities(&views);
        let right = first.iter().zip(&labels).filter(|(p, label)| p[**label] > 0.5).count();
        assert_eq!(right, 80);
        let second = OneVsRest::fit(&views, &labels, 2, CONFIG, 1).unwrap().probabilities(&views);
        assert_eq!(first, second);
    }

    #[test]
    fn agreeing_rows_make_a_constant_and_no_rows_are_refused() {
        let row = [1.0, 2.0];
        let model = Boosted::fit(&[&row, &row], &[true, true], CONFIG, 1).unwrap();
        assert!((model.log_odds(&[&row])[0] - 5.0_f64.ln()).abs() < 1e-12);
        let message = Boosted::fit(&[], &[], CONFIG, 1).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("0 rows"), "{message}");
    }
}
