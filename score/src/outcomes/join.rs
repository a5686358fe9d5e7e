//! Risks joined with what became of their entities, by the label rules of a data set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use chrono::{DateTime, Datelike};
use datasets::lake_source::{FollowConfig, OTHER, lives_by};
use datasets::{DatasetError, Lake};
use features::event::EventRules;
use features::label::{Label, observe};
use features::spec::TimeAxis;
use features::{EntityHistory, EntityKind};
use survival::{CensorReason, Observation, Outcome};

use super::nights::{Nights, Risk};
use crate::error::{Result, ScoreError};

/// What became of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// Followed from `as_of`; the moment of the failure where there was one, and its cause.
    Observed { observation: Observation, failed_at: Option<i64>, cause: Option<String> },
    /// Nothing can be said: `not_watched`, `inside_event`, `inside_gap`, `not_in_the_lake`.
    Excluded(&'static str),
}

/// A stored row and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Joined {
    pub(super) risk: Risk,
    pub(super) week: Week,
    pub(super) fate: Fate,
}

impl Joined {
    pub(super) fn observation(&self) -> Option<Observation> {
        match &self.fate {
            Fate::Observed { observation, .. } => Some(*observation),
            Fate::Excluded(_) => None,
        }
    }

    /// Why watching ended, where no failure ended it.
    pub(super) fn censored(&self) -> Option<CensorReason> {
        match self.observation()?.outcome() {
            Outcome::Censored(reason) => Some(reason),
            Outcome::Failed(_) => None,
        }
    }
}

/// A week of ISO 8601, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Week {
    year: i32,
    number: u32,
}

impl Week {
    pub(super) fn of(milliseconds: i64) -> Self {
        let week = DateTime::from_timestamp_millis(milliseconds).unwrap_or_default().iso_week();
        Self { year: week.year(), number: week.week() }
    }
}

impl std::fmt::Display for Week {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-W{:02}", self.year, self.number)
    }
}

/// A failure a night could have foretold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Failure {
    pub(super) key: String,
    pub(super) at: i64,
    /// That of the last night before it.
    pub(super) week: Week,
}

/// Everything one bundle is judged by.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) rows: Vec<Joined>,
    /// From the first night to one alarm horizon after the last, scored or not.
    pub(super) failures: Vec<Failure>,
    /// What the lake left out, by rule.
    pub(super) skipped: BTreeMap<String, u64>,
}

/// How the lake is told.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    pub(super) rules: EventRules,
    pub(super) actions: Option<PathBuf>,
}

/// Milliseconds in a unit of duration.
pub(super) fn axis(nights: &Nights) -> Result<TimeAxis> {
    let unit = nights.terms.unit;
    #[expect(clippy::cast_possible_truncation, reason = "at most a day of milliseconds, whole")]
    let ticks_per_unit = unit.seconds().map(|seconds| (seconds * 1000.0) as i64);
    let ticks_per_unit = ticks_per_unit.ok_or_else(|| ScoreError::Usage {
        reason: format!(
            "the risks of {}@{} are in {}, and a lake is in time of the clock; only risks of a lake or of a data set built from one can be judged by it",
            nights.model,
            nights.version,
            unit.short()
        ),
    })?;
    Ok(TimeAxis { unit, ticks_per_unit })
}

/// Moments as people write them.
pub(super) fn moment(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds)
        .map_or_else(|| format!("tick {milliseconds}"), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// Why these nights cannot be judged by this lake, if they cannot.
pub(super) fn mismatch(lake: &Lake, nights: &Nights) -> Option<String> {
    let held: BTreeSet<&str> = lake.tables().entities().iter().map(|entity| entity.kind.name()).collect();
    let held = held.into_iter().collect::<Vec<_>>().join(", ");
    let times = EntityKind::from_name(&nights.kind).ok().and_then(|kind| lake.times(kind));
    let name = format!("{}@{}", nights.model, nights.version);
    let Some((first, last)) = times else {
        return Some(format!(
            "the risks of {name} are of entities of kind {}, the lake holds {}; give the lake the nights were scored from",
            nights.kind,
            if held.is_empty() { "none at all" } else { &held }
        ));
    };
    let (Some(earliest), Some(latest)) = (nights.risks.first(), nights.risks.last()) else { return None };
    let range = format!(
        "the nights of {name} are as of {} to {}, the lake holds samples of kind {} from {} to {}",
        moment(earliest.as_of),
        moment(latest.as_of),
        nights.kind,
        moment(first),
        moment(last)
    );
    if earliest.as_of >= last {
        return Some(format!("{range}: nothing has been seen since; fetch newer history or wait"));
    }
    (latest.as_of < first)
        .then(|| format!("{range}: it does not reach back to them; give the lake they were scored from"))
}

/// Follows every row through the lake.
pub(super) fn join(lake: &Lake, nights: Nights, telling: &Telling) -> Result<Past> {
    let axis = axis(&nights)?;
    let kind = EntityKind::from_name(&nights.kind).map_err(model::ModelError::Feature)?;
    let mut moments: Vec<i64> = nights.risks.iter().map(|risk| risk.as_of).collect();
    moments.dedup();
    let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else {
        return Ok(Past { rows: Vec::new(), failures: Vec::new(), skipped: BTreeMap::new() });
    };
    let mut causes: Vec<String> = nights.terms.causes.iter().filter(|cause| *cause != OTHER).cloned().collect();
    let config = FollowConfig {
        rules: telling.rules.clone(),
        actions: telling.actions.clone(),
        causes: causes.clone(),
        longest_gap: nights.terms.longest_gap,
        from: first,
    };
    causes.push(OTHER.to_owned());
    let mut rows: Vec<Joined> = nights
        .risks
        .into_iter()
        .map(|risk| Joined { week: Week::of(risk.as_of), risk, fate: Fate::Excluded("not_in_the_lake") })
        .collect();
    let mut by_key: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        by_key.entry(row.risk.key.clone()).or_default().push(at);
    }
    let reach = |at: i64| at > first && axis.units(at - last) <= nights.terms.alarm_horizon;
    let mut failures = BTreeSet::new();
    let skipped = lives_by(lake, kind, &config, &mut |history| {
        let key = history.entity.key();
        for event in history.own_events().filter(|event| reach(event.t_high())) {
            let night = moments.partition_point(|&moment| moment < event.t_high()).saturating_sub(1);
            failures.insert(Failure { key: key.to_owned(), at: event.t_high(), week: Week::of(moments[night]) });
        }
        for &at in by_key.get(key).map_or(&[][..], Vec::as_slice) {
            if let Some(fate) = fate(&history, &rows[at].risk, axis, &causes)? {
                rows[at].fate = fate;
            } else if rows[at].fate == Fate::Excluded("not_in_the_lake") {
                rows[at].fate = Fate::Excluded("not_watched");
            }
        }
        Ok(())
    })?;
    Ok(Past { rows, failures: failures.into_iter().collect(), skipped })
}

/// What a life says of a row, unless the row belongs to another life.
fn fate(history: &EntityHistory, risk: &Risk, axis: TimeAxis, causes: &[String]) -> datasets::Result<Option<Fate>> {
    let own = super::nights::without_life(history.entity.incarnation()) == risk.incarnation;
    if !own || risk.as_of < history.observed_from || risk.as_of >= history.observed_until {
        return Ok(None);
    }
    let label = observe(history, axis, causes, risk.as_of)
        .map_err(|error| DatasetError::Feature { subject: history.entity.key().to_owned(), error })?;
    Ok(Some(match label {
        Label::Excluded(rule) => Fate::Excluded(rule.name()),
        Label::Observed { observation, .. } => {
            let later = history.events.partition_point(|event| event.t_high() <= risk.as_of);
            let event = observation.cause().and(history.events.get(later));
            let cause = observation.cause().and_then(|cause| causes.get(usize::from(cause.0)).cloned());
            Fate::Observed { observation, failed_at: event.map(features::FailureEvent::t_high), cause }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::{Week, moment};

    #[test]
    fn weeks_are_those_of_iso_8601() {
        // 2026-12-31 is a Thursday of week 53; 2027-01-03 still belongs to it, 2027-01-04 begins the next.
        for (time, week) in
            [(1_798_675_200_000, "2026-W53"), (1_798_934_400_000, "2026-W53"), (1_799_020_800_000, "2027-W01")]
        {
            assert_eq!(Week::of(time).to_string(), week, "{}", moment(time));
        }
    }
}
