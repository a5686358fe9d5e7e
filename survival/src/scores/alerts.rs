//! Alerts as an operator meets them: a budget per day, a false-alarm rate, a lead time. The bill is in
//! [`super::action_costs`].
//!
//! Per-row scores count one bad disk thirty times. So a budget is judged twice: how many of the alerts were right, and
//! how many of the *units* that failed were alerted at least once in time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::detection::{HorizonLabels, ThresholdPoint};
use super::resampling::percentile;
use super::{check_rows, check_values};
use crate::special::open_unit;
use crate::{Result, SurvivalError};

/// Precision and recall when the fleet raises its `budget` highest scores every day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BudgetPoint {
    /// Alerts allowed per day over the whole fleet.
    pub budget: usize,
    /// Days with at least one row.
    pub days: usize,
    /// Alerts raised: days × budget, less where a day has fewer rows.
    pub alerts: usize,
    /// Share of alerts on rows that failed within the horizon.
    pub precision: f64,
    /// Share of failing rows that were alerted.
    pub row_recall: f64,
    /// Share of failing units with at least one alert on a failing row: the recall to quote.
    pub unit_recall: f64,
    /// Units with at least one failing row.
    pub failing_units: usize,
    /// Share of failing rows among all: the precision of alerts drawn by lot.
    pub prevalence: f64,
}

/// One row per unit and landmark: its `day`, its `unit`, its score, and whether the unit fails within the horizon.
///
/// Rows that tie at the cut share the places left equally: the result is the mean over all ways to break the tie and
/// does not depend on the order of rows. A unit's chance of an alert is then taken as independent from day to day.
///
/// # Errors
/// When lists are empty or differ in length, a score is not finite, the budget is 0, or no row fails.
pub fn at_daily_budget(
    day: &[i64],
    unit: &[usize],
    score: &[f64],
    fails: &[bool],
    budget: usize,
) -> Result<BudgetPoint> {
    for (what, length) in [("units", unit.len()), ("scores", score.len()), ("labels", fails.len())] {
        check_rows(what, day.len(), length)?;
    }
    check_values("scores", score)?;
    if budget == 0 {
        return Err(SurvivalError::Domain { what: "alerts per day", value: 0.0, domain: "at least 1" });
    }
    let failing_rows = fails.iter().filter(|f| **f).count();
    if failing_rows == 0 {
        return Err(SurvivalError::NoFailures { rows: day.len() });
    }
    let mut rows_of_day: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, day) in day.iter().enumerate() {
        rows_of_day.entry(*day).or_default().push(row);
    }
    let mut alerts = 0;
    let mut caught = 0.0;
    let mut missed_by_unit: BTreeMap<usize, f64> = BTreeMap::new();
    for rows in rows_of_day.values_mut() {
        rows.sort_unstable_by(|&a, &b| score[b].total_cmp(&score[a]));
        let places = budget.min(rows.len());
        alerts += places;
        let cut = score[rows[places - 1]];
        let above = rows.iter().filter(|&&row| score[row] > cut).count();
        let tied = rows[above..].iter().take_while(|&&row| score[row] >= cut).count();
        let share_of_tied = (places - above) as f64 / tied as f64;
        for (position, &row) in rows.iter().enumerate() {
            if fails[row] {
                let share = if position < above {
                    1.0
                } else if position < above + tied {
                    share_of_tied
                } else {
                    0.0
                };
                caught += share;
                *missed_by_unit.entry(unit[row]).or_insert(1.0) *= 1.0 - share;
            }
        }
    }
    let failing_units = missed_by_unit.len();
    Ok(BudgetPoint {
        budget,
        days: rows_of_day.len(),
        alerts,
        precision: caught / alerts as f64,
        row_recall: caught / failing_rows as f64,
        unit_recall: 1.0 - missed_by_unit.values().sum::<f64>() / failing_units as f64,
        failing_units,
        prevalence: failing_rows as f64 / day.len() as f64,
    })
}

/// The threshold with the highest recall whose false-alarm rate is at most `rate` (0.001 in the reports).
///
/// `None` when already the highest score raises more false alarms than that. No interpolation between thresholds: with
/// fewer than 1/`rate` survivors the limit allows no false alarm at all.
///
/// # Errors
/// When `rate` is outside (0, 1), a score is not finite, lengths differ, no row fails, or every row does.
pub fn at_false_alarm_rate(labels: &HorizonLabels, score: &[f64], rate: f64) -> Result<Option<ThresholdPoint>> {
    open_unit("false-alarm rate", rate)?;
    let curve = labels.precision_recall(score)?;
    if curve.prevalence >= 1.0 {
        return Err(SurvivalError::NoComparablePair { rows: score.len() });
    }
    Ok(curve.points.into_iter().take_while(|point| point.false_alarm_rate <= rate).last())
}

/// How long before its failure each caught unit was alerted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeadTimes {
    /// Failures, caught or missed.
    pub failures: usize,
    /// Failure − first alert that counts, increasing; one per caught failure.
    pub lead: Vec<f64>,
}

impl LeadTimes {
    /// From each failure's time and the times of the alerts on its unit, in one unit of time.
    ///
    /// Alerts count from `window` before the failure until just before it: an alert months ahead is no warning of *this*
    /// failure, and one at or after it is none at all.
    ///
    /// # Errors
    /// When there is no failure, lengths differ, a time is not finite, or `window` is not positive.
    pub fn new(failure: &[f64], alerts: &[Vec<f64>], window: f64) -> Result<Self> {
        check_rows("alerts per failure", failure.len(), alerts.len())?;
        check_values("failure times", failure)?;
        if window.is_nan() || window <= 0.0 {
            return Err(SurvivalError::Domain { what: "warning window", value: window, domain: "positive" });
        }
        let mut lead = Vec::new();
        for (time, alerts) in failure.iter().zip(alerts) {
            check_values("alert times", alerts)?;
            let leads = alerts.iter().map(|alert| time - alert).filter(|lead| *lead > 0.0 && *lead <= window);
            lead.extend(leads.max_by(f64::total_cmp));
        }
        lead.sort_unstable_by(f64::total_cmp);
        Ok(Self { failures: failure.len(), lead })
    }

    /// Share of failures without an alert in time.
    #[must_use]
    pub fn missed_share(&self) -> f64 {
        1.0 - self.lead.len() as f64 / self.failures as f64
    }

    /// Share of *all* failures warned of at least `lead` ahead: the recall of an action that takes that long.
    #[must_use]
    pub fn share_with_at_least(&self, lead: f64) -> f64 {
        (self.lead.len() - self.lead.partition_point(|l| *l < lead)) as f64 / self.failures as f64
    }

    /// Quantile of the lead among caught failures; `None` when none was caught.
    ///
    /// # Errors
    /// When `level` is outside (0, 1).
    pub fn quantile(&self, level: f64) -> Result<Option<f64>> {
        open_unit("quantile level", level)?;
        Ok((!self.lead.is_empty()).then(|| percentile(&self.lead, level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }

    #[test]
    fn two_days_of_a_budget_worked_by_hand() {
        // Day 1: unit 0 (0.9, fails), 1 (0.8), 2 (0.8, fails), 3 (0.1). Day 2: unit 0 (0.3, fails), 2 (0.7), 4 (0.2, fails).
        let day = [1, 1, 1, 1, 2, 2, 2];
        let unit = [0, 1, 2, 3, 0, 2, 4];
        let score = [0.9, 0.8, 0.8, 0.1, 0.3, 0.7, 0.2];
        let fails = [true, false, true, false, true, false, true];
        let got = at_daily_budget(&day, &unit, &score, &fails, 2).unwrap();
        // Alerts: 0 surely, 1 and 2 with a half each; then 2 and 0. Right: 1 + ½ + 1 of 4.
        close(got.precision, 2.5 / 4.0);
        close(got.row_recall, 2.5 / 4.0);
        // Unit 0 surely, unit 2 with a half, unit 4 never.
        close(got.unit_recall, 1.5 / 3.0);
        close(got.prevalence, 4.0 / 7.0);
        assert_eq!((got.alerts, got.days, got.failing_units), (4, 2, 3));
        // A budget beyond the fleet raises everything once.
        let all = at_daily_budget(&day, &unit, &score, &fails, 100).unwrap();
        assert_eq!(all.alerts, 7);
        close(all.unit_recall, 1.0);
        close(all.precision, all.prevalence);
    }

    #[test]
    fn recall_under_a_false_alarm_rate_takes_the_last_threshold_that_keeps_to_it() {
        let labels = HorizonLabels::known(&[true, false, true, false, false, true]).unwrap();
        let score = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        let strict = at_false_alarm_rate(&labels, &score, 0.001).unwrap().unwrap();
        close(strict.recall, 1.0 / 3.0);
        let loose = at_false_alarm_rate(&labels, &score, 0.34).unwrap().unwrap();
        close(loose.recall, 2.0 / 3.0);
        assert_eq!(at_false_alarm_rate(&labels, &[0.0, 9.0, 0.0, 0.0, 0.0, 0.0], 0.001).unwrap(), None);
    }

    #[test]
    fn lead_times_count_the_first_alert_inside_the_window() {
        let alerts = [vec![2.0, 95.0, 99.0], vec![100.0, 101.0], vec![], vec![60.0]];
        let got = LeadTimes::new(&[100.0; 4], &alerts, 50.0).unwrap();
        // Alerts 98 ahead, at the failure and after it do not count.
        assert_eq!(got.lead, [5.0, 40.0]);
        close(got.missed_share(), 0.5);
        close(got.share_with_at_least(5.0), 0.5);
        close(got.share_with_at_least(6.0), 0.25);
        close(got.quantile(0.5).unwrap().unwrap(), 22.5);
    }
}
