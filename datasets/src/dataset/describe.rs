//! A data set in numbers, for a person about to trust it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use features::{LabeledBatch, Split};
use serde::Serialize;
use survival::Observation;

use super::Dataset;
use crate::builder::EVENTS;
use crate::error::{DatasetError, Result};
use crate::manifest::Counts;

/// Events shown with their evidence, so that a person can audit the labels.
const EVENT_SAMPLES: usize = 5;

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
    /// Some failures with their evidence.
    pub events: Vec<EventSample>,
}

impl Dataset {
    /// Reads every row and says what is in them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn describe(&self) -> Result<Description> {
        let rows = self.rows()?;
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
            events: self.event_samples()?,
        })
    }

    /// Failures spread evenly over the file.
    fn event_samples(&self) -> Result<Vec<EventSample>> {
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
        let stride = events.len().div_ceil(EVENT_SAMPLES).max(1);
        Ok(events.into_iter().step_by(stride).collect())
    }
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
        writeln!(f, "\nsome failures, to audit:")?;
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

fn list(f: &mut fmt::Formatter<'_>, what: &str, counts: &BTreeMap<String, u64>) -> fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    let items: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    writeln!(f, "\n{what}: {}", items.join(", "))
}
