//! Alarms at the bundle's horizon: what a level catches, how early, within which budget and at what cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use survival::SurvivalCurve;
use survival::scores::calibration::failure_probabilities;
use survival::scores::detection::{HorizonLabels, ThresholdPoint};

use super::Context;

/// Points of a curve that are kept.
const POINTS: usize = 200;

/// A level and what it comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmPoint {
    /// `elevated` or `high`.
    pub name: String,
    /// Probability from which on it alarms.
    pub level: f64,
    /// Share of rows it was to alarm, chosen on validation rows.
    pub budget: f64,
    /// Share of rows it alarms here.
    pub alarmed: f64,
    /// Weighted share of alarms that fail within the horizon.
    pub precision: f64,
    /// Weighted share of failing rows alarmed.
    pub recall: f64,
}

/// Failures announced within a budget of alarms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetPoint {
    /// Share of rows that may be alarmed.
    pub budget: f64,
    /// The level that keeps it on these rows.
    pub level: f64,
    /// Rows alarmed.
    pub alarms: usize,
    /// Of those, rows known to have lived through the horizon.
    pub false_alarms: usize,
    /// Failures seen.
    pub failures: usize,
    /// Failures with an alarm before them.
    pub caught: usize,
    /// Quartiles of the time from the first alarm to the failure.
    pub lead: Option<[f64; 3]>,
    /// Alarms per entity and day, where time is that of a clock.
    pub alarms_per_entity_day: Option<f64>,
}

/// Expected cost of acting on every alarm, in units of what running to failure costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostCurve {
    /// Cost of a preventive action, in those of a failure. It is also the precision at which an alarm breaks even.
    pub ratio: f64,
    /// Threshold and cost, thresholds falling.
    pub points: Vec<[f64; 2]>,
    /// The cheapest threshold on these rows and its cost: chosen after the fact.
    pub best: [f64; 2],
    /// Cost at the threshold equal to the ratio, which is the best one where probabilities are right.
    pub at_ratio: f64,
    /// Cost at the bundle's high level.
    pub at_high: f64,
    /// Cost of the cheapest limit on age alone, chosen after the fact as well.
    pub by_age: Option<f64>,
}

/// Alarms at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The horizon.
    pub horizon: f64,
    /// Weighted share of rows that fail within it: the precision of random alarms, and the cost of running to failure.
    pub prevalence: f64,
    /// Recall and precision at every threshold, thinned.
    pub points: Vec<[f64; 2]>,
    /// The bundle's own levels.
    pub alarms: Vec<AlarmPoint>,
    /// Failures announced within budgets.
    pub budgets: Vec<BudgetPoint>,
    /// Lead times at the high level, sorted.
    pub lead: Vec<f64>,
    /// Costs, one curve per ratio.
    pub costs: Vec<CostCurve>,
}

impl Context<'_> {
    /// `None` where the censoring weights or the rows do not tell who fails within the horizon.
    pub(super) fn detection(&self, curves: &[SurvivalCurve]) -> Option<Detection> {
        let alarms = &self.info().alarms;
        let horizon = alarms.horizon;
        let probabilities = failure_probabilities(curves, horizon).ok()?;
        let labels = HorizonLabels::new(self.observations(), horizon, self.censoring).ok()?;
        let curve = labels.precision_recall(&probabilities).ok()?;
        let levels = [("elevated", alarms.elevated, alarms.elevated_budget), ("high", alarms.high, alarms.high_budget)];
        let points = levels
            .into_iter()
            .map(|(name, level, budget)| {
                let point = labels.at_threshold(&probabilities, level).ok()?;
                Some(AlarmPoint {
                    name: name.to_owned(),
                    level,
                    budget,
                    alarmed: share(point.alerts, probabilities.len()),
                    precision: if point.alerts == 0 { f64::NAN } else { point.precision },
                    recall: point.recall,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let age = self.ages().and_then(|ages| labels.precision_recall(&ages).ok());
        let step = curve.points.len().div_ceil(POINTS).max(1);
        let failures = self.failures();
        Some(Detection {
            horizon,
            prevalence: curve.prevalence,
            points: curve.points.iter().step_by(step).map(|p| [p.recall, p.precision]).collect(),
            alarms: points,
            budgets: self.budgets(&probabilities, &failures),
            lead: self.lead(&probabilities, &failures, alarms.high),
            costs: self
                .config
                .cost_ratios
                .iter()
                .map(|&ratio| {
                    let at = |threshold: f64| {
                        let point = labels.at_threshold(&probabilities, threshold).ok();
                        point.map_or(f64::NAN, |point| cost(&point, ratio, curve.prevalence))
                    };
                    let all = curve.points.iter().map(|p| [p.threshold, cost(p, ratio, curve.prevalence)]);
                    // A threshold above every probability alarms nobody and costs what running to failure does.
                    let all: Vec<[f64; 2]> = std::iter::once([1.0, 1.0]).chain(all).collect();
                    let best = all.iter().copied().min_by(|a, b| a[1].total_cmp(&b[1])).unwrap_or([1.0, 1.0]);
                    CostCurve {
                        ratio,
                        points: thin(&all),
                        best,
                        at_ratio: at(ratio),
                        at_high: at(alarms.high),
                        by_age: age
                            .as_ref()
                            .map(|age| age.points.iter().map(|p| cost(p, ratio, age.prevalence)).fold(1.0, f64::min)),
                    }
                })
                .collect(),
        })
    }

    /// The raw column named age, where there is one and every row has it.
    pub(super) fn ages(&self) -> Option<Vec<f64>> {
        let column = self.info().spec.flat.iter().position(|column| column.name == "age")?;
        let ages = (0..self.rows.rows()).map(|row| f64::from(self.rows.features.flat_row(row)[column]));
        let ages: Vec<f64> = ages.collect();
        ages.iter().all(|age| age.is_finite()).then_some(ages)
    }

    /// Rows before each distinct failure, by entity and moment.
    fn failures(&self) -> Vec<Vec<usize>> {
        let features = &self.rows.features;
        let ticks = self.info().spec.time.ticks_per_unit;
        let mut found: BTreeMap<(&str, i64), Vec<usize>> = BTreeMap::new();
        for (row, observation) in self.observations().iter().enumerate().filter(|(_, o)| o.failed()) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "ticks of an event")]
            let moment = features.as_of()[row] + (observation.duration() * ticks as f64).round() as i64;
            found.entry((features.entities()[row].key(), moment)).or_default().push(row);
        }
        found.into_values().collect()
    }

    /// Time from the first alarm to the failure, of each failure announced, sorted.
    fn lead(&self, probabilities: &[f64], failures: &[Vec<usize>], level: f64) -> Vec<f64> {
        let first = |rows: &Vec<usize>| {
            let alarmed = rows.iter().filter(|&&row| probabilities[row] >= level);
            alarmed.map(|&row| self.observations()[row].duration()).max_by(f64::total_cmp)
        };
        let mut lead: Vec<f64> = failures.iter().filter_map(first).collect();
        lead.sort_unstable_by(f64::total_cmp);
        lead
    }

    fn budgets(&self, probabilities: &[f64], failures: &[Vec<usize>]) -> Vec<BudgetPoint> {
        let mut sorted = probabilities.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let days = self.entity_days();
        let point = |&budget: &f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of rows"
            )]
            let allowed = (sorted.len() as f64 * budget).floor() as usize;
            // The smallest level with no more than the allowed rows at or above it.
            let level = sorted.get(allowed).map_or(0.0, |next| next.next_up());
            let alarmed = |row: &usize| probabilities[*row] >= level;
            let rows: Vec<usize> = (0..probabilities.len()).filter(alarmed).collect();
            let lead = self.lead(probabilities, failures, level);
            let quartile = |share: usize| lead.get((lead.len() - 1) * share / 4).copied();
            let quartiles = if lead.is_empty() {
                None
            } else {
                quartile(1).zip(quartile(2)).zip(quartile(3)).map(|((a, b), c)| [a, b, c])
            };
            let lived = |row: &&usize| self.observations()[**row].duration() > self.info().alarms.horizon;
            BudgetPoint {
                budget,
                level,
                alarms: rows.len(),
                false_alarms: rows.iter().filter(lived).count(),
                failures: failures.len(),
                caught: lead.len(),
                lead: quartiles,
                #[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
                alarms_per_entity_day: days.map(|days| rows.len() as f64 / days),
            }
        };
        self.config.alarm_budgets.iter().map(point).collect()
    }

    /// Days of entities the rows stand for: each for the usual time to the next row of its entity.
    #[expect(clippy::cast_precision_loss, reason = "ticks and row counts stay far below 2^53")]
    fn entity_days(&self) -> Option<f64> {
        let features = &self.rows.features;
        let mut moments: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (entity, &as_of) in features.entities().iter().zip(features.as_of()) {
            moments.entry(entity.key()).or_default().push(as_of);
        }
        let mut between: Vec<i64> = Vec::new();
        for moments in moments.values_mut() {
            moments.sort_unstable();
            between.extend(moments.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0));
        }
        between.sort_unstable();
        let usual = *between.get(between.len() / 2)?;
        let day = 86_400.0 * self.info().spec.time.ticks_per_second()?;
        Some(features.rows() as f64 * usual as f64 / day)
    }
}

/// Cost of acting on every alarm over that of running to failure: an action costs `ratio` and prevents the failure it
/// announces, a failure costs 1.
fn cost(point: &ThresholdPoint, ratio: f64, prevalence: f64) -> f64 {
    let alarmed = point.recall * prevalence + point.false_alarm_rate * (1.0 - prevalence);
    let missed = (1.0 - point.recall) * prevalence;
    (ratio * alarmed + missed) / prevalence
}

fn thin(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let step = points.len().div_ceil(POINTS).max(1);
    let mut kept: Vec<[f64; 2]> = points.iter().copied().step_by(step).collect();
    if let (Some(last), Some(end)) = (kept.last().copied(), points.last().copied())
        && last[0] > end[0]
    {
        kept.push(end);
    }
    kept
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(recall: f64, false_alarm_rate: f64) -> ThresholdPoint {
        ThresholdPoint { threshold: 0.5, precision: 0.0, recall, false_alarm_rate, alerts: 1 }
    }

    #[test]
    fn costs_worked_by_hand() {
        // One row in ten fails, acting costs a fifth of a failure.
        assert!((cost(&point(0.0, 0.0), 0.2, 0.1) - 1.0).abs() < 1e-15, "nobody alarmed is running to failure");
        assert!((cost(&point(1.0, 0.0), 0.2, 0.1) - 0.2).abs() < 1e-15, "perfect alarms cost the action alone");
        // Everybody alarmed: 0.2 for each of ten rows, against one failure.
        assert!((cost(&point(1.0, 1.0), 0.2, 0.1) - 2.0).abs() < 1e-12);
        // Half caught with precision equal to the ratio breaks even: 0.05 caught, 0.2 false of 0.9 alive.
        let even = point(0.5, 0.2 / 0.9);
        assert!((cost(&even, 0.2, 0.1) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let many: Vec<[f64; 2]> = (0..1001u16).map(|i| [1.0 - f64::from(i) / 1000.0, 0.5]).collect();
        let kept = thin(&many);
        assert!(kept.len() <= POINTS + 1);
        assert!((kept[0][0] - 1.0).abs() < 1e-12 && kept[kept.len() - 1][0].abs() < 1e-12);
    }
}
