//! For whom the model works: scores of parts of the rows, against the floor on the same rows, and per cause.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use survival::scores::calibration::incidences;
use survival::scores::detection::HorizonLabels;
use survival::scores::incidence_brier::integrated_brier_contributions_of_cause;
use survival::{Cause, ClusterBootstrap, Interval, PairedInterval, SurvivalCurve};

use super::Context;
use crate::error::Result;

/// A slice with fewer failing rows says too little to be ranked.
const LEAST_FAILURES: usize = 10;
/// Values of one property that are shown, the most rows first.
const MOST_VALUES: usize = 12;

/// Rows that share a property known before the prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The property.
    pub by: String,
    /// Its value.
    pub value: String,
    /// Rows.
    pub rows: usize,
    /// Rows that end in a failure.
    pub failures: usize,
    /// Groups.
    pub groups: usize,
    /// Integrated Brier score; `None` where the slice is too small to judge.
    pub score: Option<Interval>,
    /// The floor's on the same rows.
    pub floor: Option<f64>,
    /// Score minus the floor's.
    pub difference: Option<PairedInterval>,
}

impl Slice {
    /// 1 − score/floor: what the model knows beyond the average curve.
    #[must_use]
    pub fn skill(&self) -> Option<f64> {
        let (score, floor) = (self.score.as_ref()?.estimate, self.floor?);
        (floor > 0.0).then(|| 1.0 - score / floor)
    }
}

/// The slice with the least skill among those that could be judged.
#[must_use]
pub fn worst(slices: &[Slice]) -> Option<&Slice> {
    let skill = |slice: &Slice| slice.skill().unwrap_or(f64::INFINITY);
    slices.iter().filter(|slice| slice.skill().is_some()).min_by(|a, b| skill(a).total_cmp(&skill(b)))
}

/// How well one cause is foretold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseScore {
    /// The cause.
    pub cause: String,
    /// Rows that end in it.
    pub failures: usize,
    /// Horizon of the precision.
    pub horizon: f64,
    /// Average precision of F_c at the horizon; `None` where nobody fails of it.
    pub average_precision: Option<f64>,
    /// Share of rows that fail of it within the horizon.
    pub prevalence: Option<f64>,
    /// Area under the ROC curve of the same.
    pub roc_area: Option<f64>,
    /// Integrated Brier score of F_c.
    pub score: Interval,
    /// Score minus the floor's.
    pub difference: PairedInterval,
}

impl Context<'_> {
    pub(super) fn slices(&self, own: &[SurvivalCurve], floor: &[SurvivalCurve]) -> Result<Vec<Slice>> {
        let (own, floor) = (self.brier(own)?, self.brier(floor)?);
        let mut slices = Vec::new();
        for (by, values) in self.properties() {
            let mut rows_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (row, value) in values.iter().enumerate() {
                rows_of.entry(value).or_default().push(row);
            }
            let mut found: Vec<(&str, Vec<usize>)> = rows_of.into_iter().collect();
            if found.len() > MOST_VALUES {
                found.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
                found.truncate(MOST_VALUES);
                found.sort_by(|a, b| a.0.cmp(b.0));
            }
            for (value, rows) in found {
                slices.push(self.slice(&by, value, &rows, &own, &floor)?);
            }
        }
        Ok(slices)
    }

    fn slice(&self, by: &str, value: &str, rows: &[usize], own: &[f64], floor: &[f64]) -> Result<Slice> {
        let groups: Vec<&str> = rows.iter().map(|&row| self.rows.groups[row].as_str()).collect();
        let distinct = groups.iter().collect::<std::collections::BTreeSet<_>>().len();
        let failures = rows.iter().filter(|&&row| self.observations()[row].failed()).count();
        let judged = rows.len() >= self.config.smallest_slice && failures >= LEAST_FAILURES && distinct > 1;
        let mut slice = Slice {
            by: by.to_owned(),
            value: value.to_owned(),
            rows: rows.len(),
            failures,
            groups: distinct,
            score: None,
            floor: None,
            difference: None,
        };
        if judged {
            let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
            let (own, floor) = (pick(own), pick(floor));
            let bootstrap =
                ClusterBootstrap::new(&groups, self.config.bootstrap.replicates, self.config.bootstrap.seed)?;
            slice.score = Some(bootstrap.interval_of_mean(&own)?);
            #[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
            let mean = floor.iter().sum::<f64>() / floor.len() as f64;
            slice.floor = Some(mean);
            slice.difference = Some(bootstrap.paired_difference(&own, &floor)?);
        }
        Ok(slice)
    }

    /// Properties with more than one value, each with its value per row.
    fn properties(&self) -> Vec<(String, Vec<String>)> {
        let entities = self.rows.features.entities();
        let mut properties = vec![
            ("kind".to_owned(), entities.iter().map(|entity| entity.kind().name().to_owned()).collect::<Vec<_>>()),
            ("group prefix".to_owned(), self.rows.groups.iter().map(|group| prefix(group).to_owned()).collect()),
        ];
        if let Some(ages) = self.ages() {
            properties.push(("age".to_owned(), bands(&ages)));
        }
        properties.retain(|(_, values)| values.iter().any(|value| *value != values[0]));
        properties
    }

    pub(super) fn causes(&self, own: &[SurvivalCurve], floor: &[SurvivalCurve]) -> Result<Vec<CauseScore>> {
        let horizon = self.info().alarms.horizon;
        let observations = self.observations();
        let bootstrap = &self.config.bootstrap;
        let bootstrap = ClusterBootstrap::new(&self.rows.groups, bootstrap.replicates, bootstrap.seed)?;
        let times = &self.evaluation.brier_times;
        let mut found = Vec::new();
        for (index, name) in self.info().causes.iter().enumerate() {
            let cause = Cause(u16::try_from(index).unwrap_or(u16::MAX));
            let score = |curves: &[SurvivalCurve]| {
                integrated_brier_contributions_of_cause(observations, cause, curves, times, self.censoring)
            };
            let (mine, table) = (score(own)?, score(floor)?);
            let at_horizon = incidences(own, cause, horizon)?;
            let labels = HorizonLabels::of_cause(observations, cause, horizon, self.censoring).ok();
            let curve = labels.as_ref().and_then(|labels| labels.precision_recall(&at_horizon).ok());
            found.push(CauseScore {
                cause: name.clone(),
                failures: observations.iter().filter(|o| o.cause() == Some(cause)).count(),
                horizon,
                average_precision: curve.as_ref().map(|curve| curve.average_precision),
                prevalence: curve.as_ref().map(|curve| curve.prevalence),
                roc_area: labels.as_ref().and_then(|labels| labels.roc_auc(&at_horizon).ok()),
                score: bootstrap.interval_of_mean(&mine)?,
                difference: bootstrap.paired_difference(&mine, &table)?,
            });
        }
        Ok(found)
    }
}

/// A group's name without the number at its end: `web-17` and `web-4` are both `web`.
fn prefix(group: &str) -> &str {
    let stem = group.trim_end_matches(|c: char| c.is_ascii_digit());
    let stem = stem.trim_end_matches(['-', '_', '.', '/', ':', ' ', '#']);
    if stem.is_empty() { "numbered" } else { stem }
}

/// Quarters of the values; equal values stay together.
fn bands(ages: &[f64]) -> Vec<String> {
    let mut sorted = ages.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut edges: Vec<f64> = Vec::new();
    for quarter in 1..4 {
        let edge = sorted[(sorted.len() * quarter / 4).min(sorted.len() - 1)];
        if edge > sorted[0] && edges.last().is_none_or(|last| edge > *last) {
            edges.push(edge);
        }
    }
    let name = |band: usize| {
        let shown = |value: f64| datasets::page::number::short(value);
        match (band.checked_sub(1).map(|at| edges[at]), edges.get(band)) {
            (None, None) => "all".to_owned(),
            (None, Some(high)) => format!("1. below {}", shown(*high)),
            (Some(low), Some(high)) => format!("{}. {} to {}", band + 1, shown(low), shown(*high)),
            (Some(low), None) => format!("{}. {} and more", band + 1, shown(low)),
        }
    };
    ages.iter().map(|age| name(edges.partition_point(|edge| edge <= age))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lose_their_number_and_nothing_else() {
        assert_eq!(prefix("web-17"), "web");
        assert_eq!(prefix("rack1/node"), "rack1/node");
        assert_eq!(prefix("042"), "numbered");
    }

    #[test]
    fn bands_are_quarters_and_equal_ages_stay_together() {
        let ages: Vec<f64> = (1..=8u8).map(f64::from).collect();
        let names = bands(&ages);
        assert_eq!(names[0], names[1]);
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert!(bands(&[3.0, 3.0, 3.0]).iter().all(|name| name == "all"));
    }

    #[test]
    fn the_worst_slice_is_the_one_with_least_skill_among_those_judged() {
        let slice = |value: &str, score: Option<f64>| Slice {
            by: "kind".to_owned(),
            value: value.to_owned(),
            rows: 100,
            failures: 20,
            groups: 5,
            score: score.map(|estimate| Interval { estimate, low: estimate, high: estimate, level: 0.95 }),
            floor: score.map(|_| 0.2),
            difference: None,
        };
        let slices = [slice("a", Some(0.1)), slice("b", Some(0.19)), slice("c", None)];
        assert_eq!(worst(&slices).map(|s| s.value.as_str()), Some("b"));
        assert!(worst(&slices[2..]).is_none());
    }
}
