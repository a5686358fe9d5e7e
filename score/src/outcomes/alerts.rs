//! Alarms kept or missed: failures caught and how long before, failures missed, false alarms.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use survival::scores::alerts::LeadTimes;

use super::join::{Failure, Fate, Joined};
use super::nights::{Alarm, Terms};
use crate::error::Result;

/// What became of the alarms of one level and above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertOutcomes {
    /// `elevated` (which takes in `high`) or `high`.
    pub level: String,
    /// Failure probability from which on it was raised, where the nights say so.
    pub threshold: Option<f64>,
    /// Rows that were alerted.
    pub alerts: usize,
    /// Entities that were.
    pub entities: usize,
    /// Alerts followed by a failure within the alarm horizon.
    pub kept: usize,
    /// Alerts on rows known to have lived beyond it.
    pub false_alarms: usize,
    /// Alerts of which neither is known, by reason; those on which somebody acted are `intervention`.
    pub undecided: BTreeMap<String, usize>,
    /// kept / (kept + false alarms).
    pub precision: Option<f64>,
    /// Failures with a scored row within the alarm horizon before them.
    pub failures: usize,
    /// Those with an alert among these rows.
    pub caught: usize,
    /// Those without.
    pub missed: usize,
    /// Failures that no row foresees or overlooks: none was scored within the alarm horizon before them.
    pub not_scored: usize,
    /// Failure − first alert of the caught ones.
    pub lead: Option<Lead>,
}

/// Lead times, in the unit of the horizons.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// Shortest.
    pub least: f64,
    /// Median.
    pub median: f64,
    /// Longest.
    pub most: f64,
}

/// Both levels over the rows of a week and the failures that belong to it. The nights before a failure may lie in the week
/// before, so `before` is made of every row.
pub(super) fn alerts(
    rows: &[&Joined],
    failures: &[&Failure],
    before: &Before<'_>,
    terms: &Terms,
) -> Result<Vec<AlertOutcomes>> {
    let levels = [(Alarm::Elevated, terms.levels.map(|levels| levels.0)), (Alarm::High, terms.levels.map(|l| l.1))];
    levels.iter().map(|&(level, threshold)| of_level(level, threshold, rows, failures, before, terms)).collect()
}

/// Of every failure the rows within the alarm horizon before it: how long before, and their alarm.
pub(super) struct Before<'a>(HashMap<(&'a str, i64), Vec<(f64, Alarm)>>);

impl<'a> Before<'a> {
    pub(super) fn of(rows: &'a [Joined], terms: &Terms) -> Self {
        let mut before: HashMap<(&str, i64), Vec<(f64, Alarm)>> = HashMap::new();
        for row in rows {
            if let Fate::Observed { observation, failed_at: Some(at), .. } = &row.fate
                && observation.duration() <= terms.alarm_horizon
            {
                before.entry((&row.risk.key, *at)).or_default().push((observation.duration(), row.risk.alarm));
            }
        }
        Self(before)
    }
}

fn of_level(
    level: Alarm,
    threshold: Option<f64>,
    rows: &[&Joined],
    failures: &[&Failure],
    before: &Before<'_>,
    terms: &Terms,
) -> Result<AlertOutcomes> {
    let (mut kept, mut false_alarms, mut undecided) = (0, 0, BTreeMap::<String, usize>::new());
    let alerted: Vec<&&Joined> = rows.iter().filter(|row| row.risk.alarm >= level).collect();
    for row in &alerted {
        let why = match &row.fate {
            Fate::Excluded(rule) => *rule,
            Fate::Observed { observation, .. } if observation.duration() > terms.alarm_horizon => {
                false_alarms += 1;
                continue;
            }
            Fate::Observed { failed_at: Some(_), .. } => {
                kept += 1;
                continue;
            }
            Fate::Observed { .. } => row.censored().map_or("lost", survival::CensorReason::name),
        };
        *undecided.entry(why.to_owned()).or_default() += 1;
    }
    let entities: BTreeSet<&str> = alerted.iter().map(|row| row.risk.key.as_str()).collect();
    let scored: Vec<&Vec<(f64, Alarm)>> =
        failures.iter().filter_map(|failure| before.0.get(&(failure.key.as_str(), failure.at))).collect();
    // Time counts back from the failure, which is therefore at 0: differences of moments would round.
    let warned: Vec<Vec<f64>> = scored
        .iter()
        .map(|rows| rows.iter().filter(|(_, alarm)| *alarm >= level).map(|(ahead, _)| -ahead).collect())
        .collect();
    let mut caught = 0;
    let mut lead = None;
    if !scored.is_empty() {
        let times = LeadTimes::new(&vec![0.0; scored.len()], &warned, terms.alarm_horizon)?;
        caught = times.lead.len();
        if let (Some(&least), Some(&most), Some(median)) = (times.lead.first(), times.lead.last(), times.quantile(0.5)?)
        {
            lead = Some(Lead { least, median, most });
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "rows")]
    let precision = (kept + false_alarms > 0).then(|| kept as f64 / (kept + false_alarms) as f64);
    Ok(AlertOutcomes {
        level: level.name().to_owned(),
        threshold,
        alerts: alerted.len(),
        entities: entities.len(),
        kept,
        false_alarms,
        undecided,
        precision,
        failures: scored.len(),
        caught,
        missed: scored.len() - caught,
        not_scored: failures.len() - scored.len(),
        lead,
    })
}
