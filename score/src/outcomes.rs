//! What nights foretold against what happened since, week by week (prequential: each row was written before its outcome).
//!
//! `nights` reads the committed runs, `join` follows each row through the lake by the label rules of data sets, `slice`
//! judges the weeks: Brier score (`brier`), observed shares (`observed`), alarms kept or missed (`alerts`).
//!
//! A row that is not followed to a horizon is censored there, whatever the reason; it never counts as a success. Weights
//! for censoring are those of the week's own rows, because the newest week is followed for the shortest time.

mod alerts;
mod brier;
mod join;
mod nights;
mod observed;
mod show;
mod slice;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use datasets::Lake;
use datasets::table::Table;
use features::event::EventRules;
use serde::{Deserialize, Serialize};

use crate::error::{Result, ScoreError};
use join::{Failure, Joined, Past, Telling, Week, moment};
use nights::{Nights, Terms};

pub use alerts::{AlertOutcomes, Lead};
pub use brier::Brier;
pub use observed::ObservedShare;
pub use slice::{AtHorizon, DCalibrationOutcome, Interventions, Slice};

/// What to judge by what.
#[derive(Debug, Clone)]
pub struct OutcomesConfig {
    /// Folder of the nights, as `forewarn score --out` names it.
    pub scores: PathBuf,
    /// The lake they were scored from, with what came since.
    pub lake: PathBuf,
    /// Rules by which failures and ends are told.
    pub rules: EventRules,
    /// Log of what was done because of a prediction, JSON lines; such ends are `intervention`.
    pub actions: Option<PathBuf>,
    /// Only rows as of this moment or later, milliseconds.
    pub since: Option<i64>,
    /// Only rows as of before this moment, milliseconds. Their outcomes are looked for to the end of the lake all the same.
    pub until: Option<i64>,
}

/// What became of what was foretold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Digest of the event rules.
    pub rules: String,
    /// Runs that were never committed, and are not looked at.
    pub unfinished: usize,
    /// Bundles whose rows this lake cannot judge, and why.
    pub left_out: Vec<String>,
    /// One per bundle and kind of entity.
    pub bundles: Vec<BundleOutcomes>,
}

/// What became of the risks of one bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BundleOutcomes {
    /// Its name.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Kind of the entities.
    pub kind: String,
    /// Committed runs.
    pub runs: usize,
    /// Rows that another run held as well, counted once.
    pub duplicates: usize,
    /// First and last `as_of`, RFC 3339.
    pub as_of: (String, String),
    /// First and last sample of the kind in the lake, RFC 3339.
    pub lake: (String, String),
    /// Unit of horizons and lead times, short.
    pub unit: String,
    /// Horizon of the alarms.
    pub alarm_horizon: f64,
    /// Whether that is a guess, the last horizon, because the nights are of a release that did not write it down.
    pub alarm_horizon_guessed: bool,
    /// What the telling of lives left out, by rule.
    pub skipped: BTreeMap<String, u64>,
    /// By week of `as_of`.
    pub weeks: Vec<Slice>,
    /// All weeks.
    pub total: Slice,
}

/// Joins nights and lake. The table holds every row with its outcome, whichever bundle it is of.
///
/// # Errors
/// When there is no committed run, none as of the time asked for, none the lake can judge (another kind of entity, a lake
/// that ends before the first night or begins after the last, no row of which anything is known), or a file cannot be read.
pub fn outcomes(config: &OutcomesConfig) -> Result<(Outcomes, Table)> {
    let (since, until) = (config.since.unwrap_or(i64::MIN), config.until.unwrap_or(i64::MAX));
    if since >= until {
        let reason = format!("--since {} is not before --until {}", moment(since), moment(until));
        return Err(ScoreError::Usage { reason });
    }
    let read = nights::read(&config.scores, since, until)?;
    if read.nights.is_empty() {
        let reason = match read.range {
            None => "its runs hold no row".to_owned(),
            Some((first, last)) => format!(
                "no row is as of the time asked for; there are rows as of {} to {}",
                moment(first),
                moment(last)
            ),
        };
        return Err(ScoreError::NoInput { path: config.scores.clone(), reason });
    }
    let lake = Lake::open(&config.lake)?;
    let telling = Telling { rules: config.rules.clone(), actions: config.actions.clone() };
    let (mut bundles, mut left_out, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for nights in read.nights {
        if let Some(reason) = join::mismatch(&lake, &nights) {
            left_out.push(reason);
            continue;
        }
        let head = Head::of(&lake, &nights);
        let past = join::join(&lake, nights, &telling)?;
        if let Some(reason) = nothing_known(&head, &past.rows) {
            left_out.push(reason);
            continue;
        }
        bundles.push(head.judge(&past)?);
        tables.push((head, past.rows));
    }
    if bundles.is_empty() {
        return Err(ScoreError::NoInput { path: config.lake.clone(), reason: left_out.join("; ") });
    }
    let outcomes = Outcomes { rules: config.rules.digest(), unfinished: read.unfinished, left_out, bundles };
    Ok((outcomes, show::table(&tables)))
}

/// Why nothing can be said of any row.
fn nothing_known(head: &Head, rows: &[Joined]) -> Option<String> {
    if rows.iter().any(|row| row.observation().is_some()) {
        return None;
    }
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        if let join::Fate::Excluded(rule) = row.fate {
            *why.entry(rule).or_default() += 1;
        }
    }
    let why: Vec<String> = why.iter().map(|(rule, count)| format!("{count} {rule}")).collect();
    Some(format!(
        "nothing is known of any of the {} rows of {}@{} after they were scored ({}); give the lake they were scored from, with what came since",
        rows.len(),
        head.model,
        head.version,
        why.join(", ")
    ))
}

/// What is known of the nights of a bundle before they are judged.
struct Head {
    model: String,
    version: String,
    kind: String,
    runs: usize,
    duplicates: usize,
    lake: (String, String),
    terms: Terms,
}

impl Head {
    fn of(lake: &Lake, nights: &Nights) -> Self {
        let times = features::EntityKind::from_name(&nights.kind).ok().and_then(|kind| lake.times(kind));
        Self {
            model: nights.model.clone(),
            version: nights.version.clone(),
            kind: nights.kind.clone(),
            runs: nights.runs,
            duplicates: nights.duplicates,
            lake: times.map_or_else(Default::default, |(first, last)| (moment(first), moment(last))),
            terms: nights.terms.clone(),
        }
    }

    fn judge(&self, past: &Past) -> Result<BundleOutcomes> {
        let terms = &self.terms;
        let before = alerts::Before::of(&past.rows, terms);
        let weeks: BTreeSet<Week> = past.rows.iter().map(|row| row.week).collect();
        let mut slices = Vec::with_capacity(weeks.len());
        for week in weeks {
            let rows: Vec<&Joined> = past.rows.iter().filter(|row| row.week == week).collect();
            let failures: Vec<&Failure> = past.failures.iter().filter(|failure| failure.week == week).collect();
            slices.push(slice::of_week(week.to_string(), &rows, &failures, &before, terms)?);
        }
        let rows: Vec<&Joined> = past.rows.iter().collect();
        let failures: Vec<&Failure> = past.failures.iter().collect();
        let total = slice::total(&slices, &rows, &failures, &before, terms)?;
        let first: Vec<f64> = slices
            .iter()
            .find(|slice| !slice.horizons.is_empty())
            .map_or_else(Vec::new, |slice| slice.horizons.iter().map(|at| at.predicted).collect());
        for slice in &mut slices {
            for (at, first) in slice.horizons.iter_mut().zip(&first) {
                at.moved = Some(at.predicted - first);
            }
        }
        let as_of = |row: Option<&Joined>| row.map_or_else(String::new, |row| moment(row.risk.as_of));
        Ok(BundleOutcomes {
            model: self.model.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
            runs: self.runs,
            duplicates: self.duplicates,
            as_of: (as_of(past.rows.first()), as_of(past.rows.last())),
            lake: self.lake.clone(),
            unit: terms.unit.short().to_owned(),
            alarm_horizon: terms.alarm_horizon,
            alarm_horizon_guessed: terms.levels.is_none(),
            skipped: past.skipped.clone(),
            weeks: slices,
            total,
        })
    }
}
