//! "Will it fail within h?" as a yes/no question: precision–recall, ROC, thresholds, under censoring.
//!
//! A unit failing by h is positive with weight 1/G(T−), one alive beyond h is negative with weight 1/G(h), and one
//! censored before h has weight 0: its answer is unknown, and the weights of the others stand in for it.

use super::brier::CensoringWeights;
use super::{check_rows, check_values};
use crate::risk_table::check_weights;
use crate::{Cause, Observation, Result, SurvivalError};

/// Yes/no truth per row with its weight.
#[derive(Debug, Clone, PartialEq)]
pub struct HorizonLabels {
    positive: Vec<bool>,
    weight: Vec<f64>,
}

/// Precision and recall when every score at or above `threshold` raises an alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdPoint {
    /// The threshold.
    pub threshold: f64,
    /// Weighted share of alerts that were followed by a failure; 0 without alerts.
    pub precision: f64,
    /// Weighted share of failures that were alerted.
    pub recall: f64,
    /// Weighted share of survivors that were alerted.
    pub false_alarm_rate: f64,
    /// Rows alerted, unweighted: what an operator has to look at.
    pub alerts: usize,
}

/// The curve, its area and the line of no skill.
#[derive(Debug, Clone, PartialEq)]
pub struct PrecisionRecall {
    /// One point per distinct score, from the highest threshold down.
    pub points: Vec<ThresholdPoint>,
    /// Σ (R_i − R_{i−1})·P_i over the points (no interpolation, which would flatter).
    pub average_precision: f64,
    /// Weighted share of positives: the precision of random alerts.
    pub prevalence: f64,
}

impl HorizonLabels {
    /// Failed by `horizon`, of any cause.
    ///
    /// # Errors
    /// When there is no observation or G(`horizon`) is too small.
    pub fn new(observations: &[Observation], horizon: f64, censoring: &CensoringWeights) -> Result<Self> {
        Self::by(observations, horizon, censoring, |_| true)
    }

    /// Failed of `cause` by `horizon`; units that failed of another cause count as negative.
    ///
    /// # Errors
    /// When there is no observation or G(`horizon`) is too small.
    pub fn of_cause(
        observations: &[Observation],
        cause: Cause,
        horizon: f64,
        censoring: &CensoringWeights,
    ) -> Result<Self> {
        Self::by(observations, horizon, censoring, |seen| seen == cause)
    }

    /// Labels known without censoring, all of weight 1.
    ///
    /// # Errors
    /// When there is no row.
    pub fn known(positive: &[bool]) -> Result<Self> {
        check_rows("labels", positive.len(), positive.len())?;
        Ok(Self { positive: positive.to_vec(), weight: vec![1.0; positive.len()] })
    }

    fn by(
        observations: &[Observation],
        horizon: f64,
        censoring: &CensoringWeights,
        counts: impl Fn(Cause) -> bool,
    ) -> Result<Self> {
        check_rows("observations", observations.len(), observations.len())?;
        censoring.check(horizon)?;
        let alive_weight = 1.0 / censoring.at(horizon);
        let (positive, weight) = observations
            .iter()
            .map(|observation| {
                if observation.duration() > horizon {
                    return (false, alive_weight);
                }
                match observation.cause() {
                    Some(cause) => (counts(cause), censoring.of_failure(observation.duration())),
                    None => (false, 0.0),
                }
            })
            .unzip();
        Ok(Self { positive, weight })
    }

    /// The same labels with each weight multiplied, such as by the row multiplicities of a bootstrap.
    ///
    /// # Errors
    /// When the length differs or a factor is negative or not finite.
    pub fn reweighted(&self, factors: &[f64]) -> Result<Self> {
        check_weights(factors, self.weight.len())?;
        let weight = self.weight.iter().zip(factors).map(|(w, f)| w * f).collect();
        Ok(Self { positive: self.positive.clone(), weight })
    }

    /// Whether each row is positive.
    #[must_use]
    pub fn positive(&self) -> &[bool] {
        &self.positive
    }

    /// Weight of each row.
    #[must_use]
    pub fn weight(&self) -> &[f64] {
        &self.weight
    }

    /// Weighted share of positives.
    ///
    /// # Errors
    /// When no row has a weight above 0.
    pub fn prevalence(&self) -> Result<f64> {
        let (positives, negatives) = self.totals();
        if positives + negatives > 0.0 {
            Ok(positives / (positives + negatives))
        } else {
            Err(SurvivalError::Empty { what: "list of rows whose state at the horizon is known" })
        }
    }

    fn totals(&self) -> (f64, f64) {
        let mut totals = (0.0, 0.0);
        for (&positive, weight) in self.positive.iter().zip(&self.weight) {
            if positive {
                totals.0 += weight;
            } else {
                totals.1 += weight;
            }
        }
        totals
    }

    fn check(&self, score: &[f64]) -> Result<(f64, f64)> {
        check_rows("scores", self.positive.len(), score.len())?;
        check_values("scores", score)?;
        let (positives, negatives) = self.totals();
        if positives <= 0.0 {
            return Err(SurvivalError::NoFailures { rows: score.len() });
        }
        Ok((positives, negatives))
    }

    /// Precision–recall curve and average precision of `score` (larger = more likely to fail).
    ///
    /// # Errors
    /// When lengths differ, a score is not finite, or no row is positive.
    pub fn precision_recall(&self, score: &[f64]) -> Result<PrecisionRecall> {
        let (positives, negatives) = self.check(score)?;
        let mut points: Vec<ThresholdPoint> = Vec::new();
        let mut average_precision = 0.0;
        let mut recall_before = 0.0;
        self.walk(score, |threshold, caught, raised, alerts| {
            let point = threshold_point(threshold, caught, raised, positives, negatives, alerts);
            average_precision += (point.recall - recall_before) * point.precision;
            recall_before = point.recall;
            points.push(point);
        });
        Ok(PrecisionRecall { points, average_precision, prevalence: positives / (positives + negatives) })
    }

    /// Area under the ROC curve: P(score of a positive > score of a negative) + ½ P(equal), weighted.
    ///
    /// # Errors
    /// When lengths differ, a score is not finite, or one of the two classes is empty.
    pub fn roc_auc(&self, score: &[f64]) -> Result<f64> {
        let (positives, negatives) = self.check(score)?;
        if negatives <= 0.0 {
            return Err(SurvivalError::NoComparablePair { rows: score.len() });
        }
        let (mut area, mut caught_before, mut raised_before) = (0.0, 0.0, 0.0);
        self.walk(score, |_, caught, raised, _| {
            area += 0.5 * (caught + caught_before) * (raised - raised_before);
            (caught_before, raised_before) = (caught, raised);
        });
        Ok(area / (positives * negatives))
    }

    /// Precision, recall and false alarms when scores at or above `threshold` raise an alert.
    ///
    /// # Errors
    /// As [`HorizonLabels::precision_recall`].
    pub fn at_threshold(&self, score: &[f64], threshold: f64) -> Result<ThresholdPoint> {
        let (positives, negatives) = self.check(score)?;
        let (mut caught, mut raised, mut alerts) = (0.0, 0.0, 0);
        for ((&s, &positive), weight) in score.iter().zip(&self.positive).zip(&self.weight) {
            if s >= threshold {
                alerts += 1;
                if positive {
                    caught += weight;
                } else {
                    raised += weight;
                }
            }
        }
        Ok(threshold_point(threshold, caught, raised, positives, negatives, alerts))
    }

    /// Calls `visit(threshold, positives ≥ it, negatives ≥ it, rows ≥ it)` for each distinct score, highest first.
    fn walk(&self, score: &[f64], mut visit: impl FnMut(f64, f64, f64, usize)) {
        let mut order: Vec<usize> = (0..score.len()).collect();
        order.sort_unstable_by(|&a, &b| score[b].total_cmp(&score[a]));
        let (mut caught, mut raised) = (0.0, 0.0);
        for (position, &row) in order.iter().enumerate() {
            if self.positive[row] {
                caught += self.weight[row];
            } else {
                raised += self.weight[row];
            }
            // Equal scores cannot be told apart by a threshold, so they are counted together.
            let last_of_its_score = order.get(position + 1).is_none_or(|&next| score[next] < score[row]);
            if last_of_its_score {
                visit(score[row], caught, raised, position + 1);
            }
        }
    }
}

fn threshold_point(
    threshold: f64,
    caught: f64,
    raised: f64,
    positives: f64,
    negatives: f64,
    alerts: usize,
) -> ThresholdPoint {
    ThresholdPoint {
        threshold,
        precision: if caught + raised > 0.0 { caught / (caught + raised) } else { 0.0 },
        recall: caught / positives,
        false_alarm_rate: if negatives > 0.0 { raised / negatives } else { 0.0 },
        alerts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_alerts_worked_by_hand() {
        // Scores 6, 5, 4, 4, 2, 1 with truth + − + − − +.
        let labels = HorizonLabels::known(&[true, false, true, false, false, true]).unwrap();
        let score = [6.0, 5.0, 4.0, 4.0, 2.0, 1.0];
        let curve = labels.precision_recall(&score).unwrap();
        // Points: (1/3, 1), (1/3, 1/2), (2/3, 2/4), (2/3, 2/5), (1, 3/6): AP = 1/3·(1 + 1/2 + 1/2).
        assert!((curve.average_precision - 2.0 / 3.0).abs() < 1e-15);
        assert!((curve.prevalence - 0.5).abs() < 1e-15);
        // Pairs (+ against −): 6 beats 3; 4 beats 1, ties 1; 1 beats none: (3 + 1.5)/9.
        assert!((labels.roc_auc(&score).unwrap() - 0.5).abs() < 1e-15);
        let point = labels.at_threshold(&score, 4.0).unwrap();
        assert_eq!(point.alerts, 4);
        assert!((point.precision - 0.5).abs() < 1e-15 && (point.recall - 2.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn no_failure_by_the_horizon_is_an_error_not_a_number() {
        let labels = HorizonLabels::known(&[false, false]).unwrap();
        assert_eq!(labels.roc_auc(&[0.1, 0.2]), Err(SurvivalError::NoFailures { rows: 2 }));
    }
}
