//! A data set in numbers, for a person about to trust it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use features::{LabeledBatch, Split};
use serde::Serialize;
use sha2::{Digest, Sha256};
use survival::{CensorReason, Observation};

use super::Dataset;
use crate::builder::EVENTS;
use crate::error::{DatasetError, Result};
use crate::manifest::{Counts, WatchCounts};

/// How many failures are shown for an audit, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Failures shown with their evidence.
    pub events: usize,
    /// Another seed draws others.
    pub seed: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { events: 5, seed: 0 }
    }
}

/// One part in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitDescription {
    /// Its name.
    pub split: String,
    /// Rows.
    pub rows: usize,
    /// Rows that end in a failure.
    pub failures: usize,
    /// Distinct entities.
    pub entities: usize,
    /// Distinct groups.
    pub groups: usize,
    /// Per horizon of the readout: rows that fail within it, rows that live beyond it (the rest is censored before).
    pub within: Vec<(f64, usize, usize)>,
}

/// One failure with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventSample {
    /// Entity key.
    pub entity: String,
    /// Incarnation.
    pub incarnation: String,
    /// Cause.
    pub cause: String,
    /// Last time known alive, ticks.
    pub t_low: i64,
    /// First time the failure was certain, ticks.
    pub t_high: i64,
    /// What it was derived from.
    pub evidence: String,
}

/// A data set in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Short name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Unit of durations.
    pub unit: String,
    /// Counts of the manifest.
    pub counts: Counts,
    /// Each part.
    pub splits: Vec<SplitDescription>,
    /// Share of rows in which a flat column, or of steps in which a channel, was not observed.
    pub missing: Vec<(String, f64)>,
    /// Smallest, 5 %, 25 %, 50 %, 75 %, 95 % and largest duration of rows that end in a failure.
    pub failure_durations: Vec<f64>,
    /// The same of censored rows.
    pub censored_durations: Vec<f64>,
    /// Failures by cause in equal stretches from the first to the last of them.
    pub over_time: Option<OverTime>,
    /// Kaplan–Meier estimate over all rows: durations and the share that outlives them.
    pub survival: Vec<(f64, f64)>,
    /// A random sample of the failures with their evidence, so that a person can check the labels.
    pub events: Vec<EventSample>,
}

/// Failures over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverTime {
    /// Start of the first stretch, ticks.
    pub from: i64,
    /// Length of each, ticks.
    pub step: i64,
    /// By cause, a count per stretch.
    pub causes: BTreeMap<String, Vec<u64>>,
}

impl Dataset {
    /// Reads every row and says what is in them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn describe(&self) -> Result<Description> {
        self.describe_with(Audit::default())
    }

    /// The same with a sample of failures of another size or seed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn describe_with(&self, audit: Audit) -> Result<Description> {
        let rows = self.rows()?;
        let events = self.events()?;
        let manifest = self.manifest();
        Ok(Description {
            name: manifest.name.clone(),
            title: manifest.title.clone(),
            unit: manifest.grid.unit().short().to_owned(),
            counts: manifest.counts.clone(),
            splits: Split::ALL.into_iter().map(|split| part(&rows, split, &manifest.readout.horizons)).collect(),
            missing: missing(self, &rows),
            failure_durations: quantiles(rows.observations.iter().filter(|o| o.failed())),
            censored_durations: quantiles(rows.observations.iter().filter(|o| !o.failed())),
            over_time: over_time(&events),
            survival: survival(&rows.observations),
            events: sample(events, audit),
        })
    }

    /// Every failure, as written.
    fn events(&self) -> Result<Vec<EventSample>> {
        let path = self.dir().join(EVENTS);
        let mut events = Vec::new();
        for batch in self.batches(&path, None)? {
            let batch = batch?;
            let column = |name: &str| {
                batch.column_by_name(name).ok_or_else(|| DatasetError::Column {
                    path: path.clone(),
                    column: name.to_owned(),
                    problem: "is missing".to_owned(),
                })
            };
            let text = |name: &str| {
                column(name)?.as_string_opt::<i32>().ok_or_else(|| DatasetError::Column {
                    path: path.clone(),
                    column: name.to_owned(),
                    problem: "is not text".to_owned(),
                })
            };
            let time = |name: &str| {
                column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| DatasetError::Column {
                    path: path.clone(),
                    column: name.to_owned(),
                    problem: "is not Int64".to_owned(),
                })
            };
            let (entity, incarnation) = (text("entity")?, text("incarnation")?);
            let (cause, evidence) = (text("cause")?, text("evidence")?);
            let (t_low, t_high) = (time("t_low")?, time("t_high")?);
            for row in 0..batch.num_rows() {
                events.push(EventSample {
                    entity: entity.value(row).to_owned(),
                    incarnation: incarnation.value(row).to_owned(),
                    cause: cause.value(row).to_owned(),
                    t_low: t_low.value(row),
                    t_high: t_high.value(row),
                    evidence: evidence.value(row).to_owned(),
                });
            }
        }
        Ok(events)
    }
}

/// Stretches of the figure over time.
const STRETCHES: i64 = 40;
/// Points of the survival curve that are kept.
const POINTS: usize = 200;

/// Those whose digests with the seed are smallest: a random sample that is the same on every machine.
fn sample(events: Vec<EventSample>, audit: Audit) -> Vec<EventSample> {
    let mut drawn: Vec<([u8; 32], EventSample)> = events
        .into_iter()
        .map(|event| {
            let mut hasher = Sha256::new();
            hasher.update(audit.seed.to_le_bytes());
            hasher.update(event.entity.as_bytes());
            hasher.update([0]);
            hasher.update(event.incarnation.as_bytes());
            hasher.update(event.t_high.to_le_bytes());
            hasher.update(event.cause.as_bytes());
            (hasher.finalize().into(), event)
        })
        .collect();
    drawn.sort_unstable_by_key(|(digest, _)| *digest);
    drawn.truncate(audit.events);
    drawn.into_iter().map(|(_, event)| event).collect()
}

fn over_time(events: &[EventSample]) -> Option<OverTime> {
    let from = events.iter().map(|event| event.t_high).min()?;
    let last = events.iter().map(|event| event.t_high).max()?;
    let step = ((last - from) / STRETCHES + 1).max(1);
    let stretches = usize::try_from((last - from) / step + 1).unwrap_or(1);
    let mut causes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in events {
        let at = usize::try_from((event.t_high - from) / step).unwrap_or(0);
        causes.entry(event.cause.clone()).or_insert_with(|| vec![0; stretches])[at] += 1;
    }
    Some(OverTime { from, step, causes })
}

fn survival(observations: &[Observation]) -> Vec<(f64, f64)> {
    let Ok(estimate) = survival::KaplanMeier::fit(observations) else { return Vec::new() };
    let points: Vec<(f64, f64)> = estimate.times().iter().copied().zip(estimate.survival().iter().copied()).collect();
    let stride = points.len().div_ceil(POINTS).max(1);
    std::iter::once((0.0, 1.0)).chain(points.into_iter().step_by(stride)).collect()
}

fn part(rows: &LabeledBatch, split: Split, horizons: &[f64]) -> SplitDescription {
    let chosen = rows.rows_of(split);
    let observations: Vec<&Observation> = chosen.iter().map(|&row| &rows.observations[row]).collect();
    let within = horizons
        .iter()
        .map(|&horizon| {
            let failed = observations.iter().filter(|o| o.failed() && o.duration() <= horizon).count();
            let alive = observations
                .iter()
                .filter(|o| o.duration() > horizon || (!o.failed() && o.duration() >= horizon))
                .count();
            (horizon, failed, alive)
        })
        .collect();
    SplitDescription {
        split: split.name().to_owned(),
        rows: chosen.len(),
        failures: observations.iter().filter(|o| o.failed()).count(),
        entities: chosen.iter().map(|&row| &rows.features.entities()[row]).collect::<BTreeSet<_>>().len(),
        groups: chosen.iter().map(|&row| &rows.groups[row]).collect::<BTreeSet<_>>().len(),
        within,
    }
}

fn missing(dataset: &Dataset, rows: &LabeledBatch) -> Vec<(String, f64)> {
    let spec = dataset.spec();
    let share = |values: &[f32], width: usize, column: usize| {
        let (all, unseen) = values
            .iter()
            .skip(column)
            .step_by(width)
            .fold((0_u32, 0_u32), |(all, unseen), value| (all + 1, unseen + u32::from(value.is_nan())));
        f64::from(unseen) / f64::from(all.max(1))
    };
    let flat = spec.flat.iter().enumerate();
    let flat = flat.map(|(index, column)| (column.name.clone(), share(rows.features.flat(), spec.flat.len(), index)));
    let channels = spec.channels.iter().enumerate();
    let channels =
        channels.map(|(index, c)| (c.name.clone(), share(rows.features.sequence(), spec.channels.len(), index)));
    flat.chain(channels).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank inside a vector"
)]
fn quantiles<'a>(observations: impl Iterator<Item = &'a Observation>) -> Vec<f64> {
    let mut durations: Vec<f64> = observations.map(Observation::duration).collect();
    durations.sort_unstable_by(f64::total_cmp);
    let Some(last) = durations.len().checked_sub(1) else { return Vec::new() };
    [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0].iter().map(|q| durations[(q * last as f64).round() as usize]).collect()
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(f, "{} ({})", self.title, self.name)?;
        writeln!(
            f,
            "{} rows, {} ending in failure; {} histories, {} groups; durations in {}",
            counts.rows, counts.failures, counts.entities, counts.groups, self.unit
        )?;
        writeln!(
            f,
            "\n{:<12} {:>8} {:>9} {:>9} {:>7}  failed / alive at each horizon",
            "part", "rows", "failures", "entities", "groups"
        )?;
        for part in &self.splits {
            write!(
                f,
                "{:<12} {:>8} {:>9} {:>9} {:>7} ",
                part.split, part.rows, part.failures, part.entities, part.groups
            )?;
            for (horizon, failed, alive) in &part.within {
                write!(f, "  {horizon} {}: {failed} / {alive}", self.unit)?;
            }
            writeln!(f)?;
        }
        list(f, "failures by cause", &counts.events_by_cause)?;
        list(f, "histories that no failure ended", &counts.ends_by_reason)?;
        list(f, "censored rows by reason", &counts.rows_by_censor_reason)?;
        for reason in counts.rows_by_censor_reason.keys() {
            writeln!(f, "  {reason}: {}", explanation(reason))?;
        }
        if let Some(watched) = &counts.watched {
            writeln!(
                f,
                "\ngaps: {} in {} histories; {:.2} % of the watched time is missing; {} histories were older than their first sample",
                watched.gaps,
                watched.histories_with_gaps,
                missing_share(watched),
                watched.joined_late
            )?;
            if watched.gaps > 0 {
                writeln!(f, "longest: {} ticks, of {}", watched.longest_gap, watched.longest_gap_entity)?;
            }
        }
        list(f, "left out", &counts.excluded)?;
        writeln!(f, "\nlate samples {}, duplicates {}", counts.late_samples, counts.duplicate_samples)?;
        writeln!(f, "duration to failure   (0 5 25 50 75 95 100 %): {:?}", self.failure_durations)?;
        writeln!(f, "duration to censoring (0 5 25 50 75 95 100 %): {:?}", self.censored_durations)?;
        let gaps: Vec<String> = self
            .missing
            .iter()
            .filter(|(_, share)| *share > 0.0)
            .map(|(n, s)| format!("{n} {:.1} %", 100.0 * s))
            .collect();
        writeln!(f, "not observed: {}", if gaps.is_empty() { "nothing".to_owned() } else { gaps.join(", ") })?;
        writeln!(f, "\na random sample of the failures, to audit (--audit N --seed S for others):")?;
        for event in &self.events {
            writeln!(
                f,
                "  {} [{}] {} in ({}, {}]: {}",
                event.entity, event.incarnation, event.cause, event.t_low, event.t_high, event.evidence
            )?;
        }
        Ok(())
    }
}

/// Per cent of the watched time that lies in gaps.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(crate) fn missing_share(watched: &WatchCounts) -> f64 {
    100.0 * watched.missing as f64 / watched.total.max(1) as f64
}

/// A censoring reason in words.
pub(crate) fn explanation(reason: &str) -> &'static str {
    CensorReason::ALL.into_iter().find(|known| known.name() == reason).map_or("", CensorReason::explanation)
}

fn list(f: &mut fmt::Formatter<'_>, what: &str, counts: &BTreeMap<String, u64>) -> fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    let items: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    writeln!(f, "\n{what}: {}", items.join(", "))
}
