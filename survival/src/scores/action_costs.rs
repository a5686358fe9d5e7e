//! What acting on alerts costs: break-even precision, cost per unit-year, cost against threshold.
//!
//! Costs are in units of one preventive action; the ratio of a failure's cost to it is swept in the reports, because
//! nobody knows it well.

use serde::{Deserialize, Serialize};

use super::detection::HorizonLabels;
use crate::{Result, SurvivalError};

/// What acting and not acting cost, in units of one preventive action.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ActionCosts {
    /// Cost of one failure (corrective) over cost of one preventive action: 1 to 50 in the reports.
    pub corrective: f64,
    /// Share of warned failures that the action prevents, in (0, 1].
    pub effectiveness: f64,
}

impl ActionCosts {
    fn check(&self) -> Result<()> {
        if !(self.corrective.is_finite() && self.corrective > 0.0) {
            return Err(SurvivalError::Domain {
                what: "cost of a failure over cost of a preventive action",
                value: self.corrective,
                domain: "positive and finite",
            });
        }
        if self.effectiveness > 0.0 && self.effectiveness <= 1.0 {
            return Ok(());
        }
        Err(SurvivalError::Domain {
            what: "effectiveness of a preventive action",
            value: self.effectiveness,
            domain: "in (0, 1]",
        })
    }

    /// The precision from which on acting on an alert pays: 1/(ratio · effectiveness). Above 1 it never does.
    ///
    /// # Errors
    /// When a cost is outside its range.
    pub fn break_even_precision(&self) -> Result<f64> {
        self.check()?;
        Ok(1.0 / (self.corrective * self.effectiveness))
    }

    /// (actions + ratio · failures) / unit-years, from what a policy did and what still failed.
    ///
    /// # Errors
    /// When a cost is outside its range, a count is negative, or there are no unit-years.
    pub fn per_unit_year(&self, actions: f64, failures: f64, unit_years: f64) -> Result<f64> {
        self.check()?;
        for (what, value) in [("preventive actions", actions), ("failures", failures)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(SurvivalError::Domain { what, value, domain: "at least 0 and finite" });
            }
        }
        if !(unit_years.is_finite() && unit_years > 0.0) {
            return Err(SurvivalError::Domain { what: "unit-years", value: unit_years, domain: "positive and finite" });
        }
        Ok((actions + self.corrective * failures) / unit_years)
    }
}

/// Expected cost of one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CostPoint {
    /// Scores at or above it are acted upon.
    pub threshold: f64,
    /// Per unit-year, in preventive actions.
    pub cost: f64,
    /// Of the alerts.
    pub precision: f64,
}

/// Cost against threshold, and the line it has to beat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostCurve {
    /// One point per distinct score, from the highest threshold down.
    pub points: Vec<CostPoint>,
    /// Never acting.
    pub run_to_failure: f64,
    /// The cheapest threshold *on these rows*: choose on validation data, quote on test data. `None` when never acting is
    /// cheaper than every threshold.
    pub best: Option<CostPoint>,
}

/// Cost per unit-year of acting on every row scored at or above each threshold, one decision per unit.
///
/// An alert costs 1, a failure costs the ratio, a warned failure still comes with probability 1 − effectiveness. Rows
/// must be one per unit and decision period: a unit with two failing rows would pay its failure twice.
///
/// # Errors
/// When lengths differ, a score is not finite, no row fails, a cost is outside its range, or `unit_years` is not positive.
pub fn cost_curve(labels: &HorizonLabels, score: &[f64], costs: &ActionCosts, unit_years: f64) -> Result<CostCurve> {
    let (positive, weight) = (labels.positive(), labels.weight());
    let failing: f64 = positive.iter().zip(weight).filter(|(p, _)| **p).map(|(_, w)| w).sum();
    let surviving: f64 = positive.iter().zip(weight).filter(|(p, _)| !**p).map(|(_, w)| w).sum();
    let run_to_failure = costs.per_unit_year(0.0, failing, unit_years)?;
    let mut points = Vec::new();
    for point in labels.precision_recall(score)?.points {
        let caught = point.recall * failing;
        let actions = caught + point.false_alarm_rate * surviving;
        let cost = costs.per_unit_year(actions, (failing - costs.effectiveness * caught).max(0.0), unit_years)?;
        points.push(CostPoint { threshold: point.threshold, cost, precision: point.precision });
    }
    let cheapest = points.iter().copied().min_by(|a, b| a.cost.total_cmp(&b.cost));
    Ok(CostCurve { best: cheapest.filter(|point| point.cost < run_to_failure), points, run_to_failure })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }

    #[test]
    fn costs_worked_by_hand() {
        let labels = HorizonLabels::known(&[true, false, true, false]).unwrap();
        let costs = ActionCosts { corrective: 10.0, effectiveness: 0.8 };
        close(costs.break_even_precision().unwrap(), 0.125);
        let curve = cost_curve(&labels, &[4.0, 3.0, 2.0, 1.0], &costs, 2.0).unwrap();
        // Two failures; thresholds catch 1, 1, 2, 2 of them with 1, 2, 3, 4 actions.
        close(curve.run_to_failure, 10.0);
        let want = [(1.0 + 10.0 * 1.2) / 2.0, (2.0 + 12.0) / 2.0, (3.0 + 10.0 * 0.4) / 2.0, (4.0 + 4.0) / 2.0];
        for (point, want) in curve.points.iter().zip(want) {
            close(point.cost, want);
        }
        close(curve.best.unwrap().threshold, 2.0);
        // Actions that cost as much as failures cannot pay.
        let dear = ActionCosts { corrective: 1.0, effectiveness: 1.0 };
        assert_eq!(cost_curve(&labels, &[1.0, 4.0, 2.0, 1.0], &dear, 2.0).unwrap().best, None);
    }
}
