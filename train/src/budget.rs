//! Alarms within a budget: what a score foretells when it may cry wolf only so often.
//!
//! An alarm begins at the first row whose score reaches the threshold and ends at the first below it. It is false when its
//! entity is known to live through the horizon from there, and unknown when watching ended before. The threshold is the
//! lowest whose false alarms per hour of watching stay within the budget on validation rows; it is then used unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use survival::scores::detection::HorizonLabels;
use survival::{ClusterBootstrap, Interval, Observation};

use crate::error::{Result, TrainError};

/// Rows of one part, in any order.
#[derive(Debug, Clone, Copy)]
pub struct WatchedRows<'a> {
    /// Name of the life each row is of: key and incarnation.
    pub lives: &'a [String],
    /// Resampled together.
    pub groups: &'a [String],
    /// When each row is, ticks.
    pub as_of: &'a [i64],
    /// What came of it.
    pub observations: &'a [Observation],
    /// What the life of each row died of, by a truth that no feature sees; `None` where it did not die.
    pub causes: &'a [Option<String>],
    /// What the life of each row was made to die of, whether it did or not; `None` where it was made to live.
    pub written: &'a [Option<String>],
    /// Ticks in one hour.
    pub ticks_per_hour: f64,
    /// Ticks between two rows of a life.
    pub every: i64,
}

/// What one score did at one threshold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alarms {
    /// Threshold.
    pub threshold: f64,
    /// Hours whose fate within the horizon is known: those of the other rows cannot hold a false alarm.
    pub hours: f64,
    /// Alarms after which the entity is known to have lived through the horizon.
    pub false_alarms: usize,
    /// Alarms of which nobody knows.
    pub unknown: usize,
    /// Deaths with at least one row, by true cause.
    pub deaths: BTreeMap<String, Foretold>,
    /// Share of all deaths with an alarm within the horizon before them, resampled by group.
    pub caught: Option<Interval>,
}

/// What became of the deaths of one cause.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Foretold {
    /// How many there were.
    pub deaths: usize,
    /// With an alarm within the horizon before them.
    pub caught: usize,
    /// Time from the first such row to the death, of each caught one, sorted; units of duration.
    pub lead: Vec<f64>,
}

impl Foretold {
    /// Quartiles of the lead times; `None` where nothing was caught.
    #[must_use]
    pub fn quartiles(&self) -> Option<[f64; 3]> {
        let last = self.lead.len().checked_sub(1)?;
        Some([1, 2, 3].map(|quarter| self.lead[last * quarter / 4]))
    }
}

impl Alarms {
    /// False alarms per hour of watching.
    #[must_use]
    pub fn false_per_hour(&self) -> f64 {
        self.false_alarms as f64 / self.hours
    }
}

/// Rows of each life in the order of time.
fn lives(rows: &WatchedRows<'_>) -> Vec<Vec<usize>> {
    let mut by_life: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, life) in rows.lives.iter().enumerate() {
        by_life.entry(life).or_default().push(row);
    }
    let mut lives: Vec<Vec<usize>> = by_life.into_values().collect();
    for life in &mut lives {
        life.sort_by_key(|&row| rows.as_of[row]);
    }
    lives
}

/// Hours that these rows stand for and whose fate is known: a row that is censored within the horizon can hold no false
/// alarm, and its time would make any score look quieter than it is.
fn hours(rows: &WatchedRows<'_>, horizon: f64) -> f64 {
    let known = rows.observations.iter().filter(|row| row.duration() > horizon || row.cause().is_some()).count();
    known as f64 * rows.every as f64 / rows.ticks_per_hour
}

/// False and unknown alarms of one life. A missing score raises none.
fn cries(rows: &WatchedRows<'_>, life: &[usize], score: &[f64], threshold: f64, horizon: f64) -> (usize, usize) {
    let (mut on, mut wrong, mut unknown) = (false, 0, 0);
    for &row in life {
        let above = score[row] >= threshold;
        if above && !on {
            let observation = &rows.observations[row];
            if observation.duration() > horizon {
                wrong += 1;
            } else if observation.cause().is_none() {
                unknown += 1;
            }
        }
        on = above;
    }
    (wrong, unknown)
}

/// The lowest threshold within the budget, false alarms per hour; above every score where none is.
#[must_use]
pub fn threshold(rows: &WatchedRows<'_>, score: &[f64], horizon: f64, budget: f64) -> f64 {
    let lives = lives(rows);
    let hours = hours(rows, horizon);
    let mut levels: Vec<f64> = score.iter().copied().filter(|value| !value.is_nan()).collect();
    levels.sort_unstable_by(|a, b| b.total_cmp(a));
    levels.dedup();
    let mut best = levels.first().map_or(f64::INFINITY, |highest| highest.next_up());
    for level in levels {
        let wrong: usize = lives.iter().map(|life| cries(rows, life, score, level, horizon).0).sum();
        // Alarms that flow together may become fewer again further down, where most rows are in alarm: not gone to.
        if wrong as f64 > budget * hours {
            break;
        }
        best = level;
    }
    best
}

/// What a score did at a threshold.
///
/// # Errors
/// When there are too few groups to resample.
pub fn alarms(rows: &WatchedRows<'_>, score: &[f64], threshold: f64, horizon: f64) -> Result<Alarms> {
    let lives = lives(rows);
    let mut outcome = Alarms { threshold, hours: hours(rows, horizon), ..Alarms::default() };
    let (mut groups, mut caught) = (Vec::new(), Vec::new());
    for life in &lives {
        let (wrong, unknown) = cries(rows, life, score, threshold, horizon);
        outcome.false_alarms += wrong;
        outcome.unknown += unknown;
        let Some(&last) = life.last() else { continue };
        if rows.observations[last].cause().is_none() {
            continue;
        }
        let cause = rows.causes[last].clone().unwrap_or_else(|| "not in the truth".to_owned());
        let foretold = outcome.deaths.entry(cause).or_default();
        foretold.deaths += 1;
        let first = life.iter().find(|&&row| score[row] >= threshold && rows.observations[row].duration() <= horizon);
        if let Some(&row) = first {
            foretold.caught += 1;
            foretold.lead.push(rows.observations[row].duration());
        }
        groups.push(rows.groups[last].clone());
        caught.push(f64::from(u8::from(first.is_some())));
    }
    for foretold in outcome.deaths.values_mut() {
        foretold.lead.sort_unstable_by(f64::total_cmp);
    }
    if !caught.is_empty() {
        outcome.caught = ClusterBootstrap::new(&groups, 1_000, 0).and_then(|b| b.interval_of_mean(&caught)).ok();
    }
    if outcome.hours <= 0.0 {
        let reason = "nothing was watched: there is no row".to_owned();
        return Err(TrainError::Data { model: "alarms".to_owned(), reason });
    }
    Ok(outcome)
}

/// With whom those who die are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// Everybody who lives through the horizon.
    All,
    /// Those of them that were made to die of the same.
    Alike,
}

/// How well a score tells rows before a death of one cause from rows that are known to live: area under the ROC curve
/// within the horizon, 0.5 where it knows nothing, with an interval resampled by group; `None` where too few died of it.
/// Rows before deaths of other causes are left out. Among `Peers::Alike` the living are those made to die of the same:
/// what a score says of the kind of container is then worth nothing, and what it says of the moment is left.
#[must_use]
pub fn auc_by_cause(
    rows: &WatchedRows<'_>,
    score: &[f64],
    horizon: f64,
    peers: Peers,
    replicates: usize,
) -> BTreeMap<String, Option<Interval>> {
    let mut names: Vec<&String> = rows.causes.iter().flatten().collect();
    names.sort_unstable();
    names.dedup();
    let dies = |row: usize| {
        let observation = &rows.observations[row];
        observation.duration() <= horizon && observation.cause().is_some()
    };
    let lives: Vec<usize> =
        (0..score.len()).filter(|&row| rows.observations[row].duration() > horizon && !score[row].is_nan()).collect();
    let mut areas = BTreeMap::new();
    for name in names {
        let dying = (0..score.len())
            .filter(|&row| dies(row) && rows.causes[row].as_ref() == Some(name) && !score[row].is_nan());
        let living =
            lives.iter().copied().filter(|&row| peers == Peers::All || rows.written[row].as_ref() == Some(name));
        let chosen: Vec<usize> = dying.chain(living).collect();
        let positive: Vec<bool> = chosen.iter().map(|&row| dies(row)).collect();
        let scores: Vec<f64> = chosen.iter().map(|&row| score[row]).collect();
        let groups: Vec<&str> = chosen.iter().map(|&row| rows.groups[row].as_str()).collect();
        let area = || -> Option<Interval> {
            let labels = HorizonLabels::known(&positive).ok()?;
            labels.roc_auc(&scores).ok()?;
            let bootstrap = ClusterBootstrap::new(&groups, replicates, 0).ok()?;
            bootstrap.interval_of(|weights| labels.reweighted(weights).ok()?.roc_auc(&scores).ok()).ok()
        };
        areas.insert(name.clone(), area());
    }
    areas
}

#[cfg(test)]
mod tests {
    use survival::{Cause, CensorReason, Outcome};

    use super::*;

    struct Owned {
        lives: Vec<String>,
        groups: Vec<String>,
        as_of: Vec<i64>,
        observations: Vec<Observation>,
        causes: Vec<Option<String>>,
        written: Vec<Option<String>>,
    }

    impl Owned {
        fn rows(&self) -> WatchedRows<'_> {
            WatchedRows {
                lives: &self.lives,
                groups: &self.groups,
                as_of: &self.as_of,
                observations: &self.observations,
                causes: &self.causes,
                written: &self.written,
                ticks_per_hour: 100.0,
                every: 10,
            }
        }
    }

    /// Lives of ten rows, ten ticks apart: one that dies at 100, one that lives on to 1,000, one censored at 100.
    fn three() -> Owned {
        let mut owned = Owned {
            lives: vec![],
            groups: vec![],
            as_of: vec![],
            observations: vec![],
            causes: vec![],
            written: vec![],
        };
        let died = Outcome::Failed(Cause(0));
        let ends = [
            ("dies", 100.0, died),
            ("lives", 1_000.0, Outcome::Censored(CensorReason::EndOfObservation)),
            ("leaves", 100.0, Outcome::Censored(CensorReason::ScaleDown)),
        ];
        for (name, until, outcome) in ends {
            for step in 0..10 {
                owned.lives.push(name.to_owned());
                owned.groups.push(name.to_owned());
                owned.as_of.push(step * 10);
                owned.observations.push(Observation::try_new(until - step as f64 * 10.0, outcome).unwrap());
                owned.causes.push((name == "dies").then(|| "leak".to_owned()));
                owned.written.push((name != "leaves").then(|| "leak".to_owned()));
            }
        }
        owned
    }

    #[test]
    fn alarms_are_counted_by_their_beginnings_and_deaths_by_their_first_warning() {
        let owned = three();
        let rows = owned.rows();
        let mut score = vec![0.0; 30];
        // Warned from 50 before its death on; the living one twice, the leaving one once.
        score[5..10].fill(0.9);
        (score[11], score[12], score[15]) = (0.8, 0.8, 0.95);
        score[28] = 0.85;
        let outcome = alarms(&rows, &score, 0.7, 60.0).unwrap();
        // Six of the leaving one's ten rows are censored within the horizon.
        assert!((outcome.hours - 2.4).abs() < 1e-12);
        assert_eq!((outcome.false_alarms, outcome.unknown), (2, 1));
        assert_eq!(outcome.deaths["leak"], Foretold { deaths: 1, caught: 1, lead: vec![50.0] });
        // A warning further ahead than the horizon warns of nothing.
        let early = alarms(&rows, &score, 0.7, 40.0).unwrap();
        assert_eq!(early.deaths["leak"].lead, [40.0]);
        assert_eq!(early.false_alarms, 3);
    }

    #[test]
    fn the_threshold_is_the_lowest_within_the_budget() {
        let owned = three();
        let rows = owned.rows();
        let mut score = vec![0.0; 30];
        score[9] = 0.5;
        (score[12], score[15]) = (0.6, 0.4);
        // In 2.4 hours: none allowed, one, two.
        let at = |budget| threshold(&rows, &score, 60.0, budget);
        assert!(at(0.0) > 0.6);
        assert!((at(0.42) - 0.5).abs() < 1e-12, "0.4 would be a second false alarm");
        assert!((at(0.84) - 0.4).abs() < 1e-12);
        let missing = vec![f64::NAN; 30];
        assert!(threshold(&rows, &missing, 60.0, 1.0).is_infinite());
        assert_eq!(alarms(&rows, &missing, 0.5, 60.0).unwrap().false_alarms, 0);
    }

    #[test]
    fn a_score_that_knows_a_cause_tells_its_rows_apart() {
        let mut owned = three();
        for (group, row) in (0..30).enumerate() {
            owned.groups[row] = format!("g{}", group % 6);
        }
        let rows = owned.rows();
        let knowing: Vec<f64> = (0..30).map(|row| if (4..10).contains(&row) { 1.0 } else { 0.0 }).collect();
        let area = auc_by_cause(&rows, &knowing, 60.0, Peers::All, 50)["leak"].unwrap();
        assert!((area.estimate - 1.0).abs() < 1e-12, "{area:?}");
        let blind = vec![0.3; 30];
        let area = auc_by_cause(&rows, &blind, 60.0, Peers::Alike, 50)["leak"].unwrap();
        assert!((area.estimate - 0.5).abs() < 1e-12, "{area:?}");
    }
}
