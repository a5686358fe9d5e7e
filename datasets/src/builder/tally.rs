//! Counts what goes in and what does not.

use std::collections::{BTreeMap, BTreeSet};

use features::{EntityHistory, EntityTiles, FailureEvent, Split};
use serde::{Deserialize, Serialize};
use survival::Outcome;

use super::labels::Cut;
use crate::manifest::{Counts, WatchCounts};

/// Running counts of a build.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tally {
    counts: Counts,
    groups: BTreeSet<String>,
    groups_of_split: BTreeMap<Split, BTreeSet<String>>,
    /// Key and incarnation counted last.
    last: (String, String),
}

impl Tally {
    /// A cut left out by this rule.
    pub(super) fn exclude(&mut self, rule: &str) {
        *self.counts.excluded.entry(rule.to_owned()).or_default() += 1;
    }

    /// One history, the failures that are its own, its tiles and its rows.
    pub(super) fn history(
        &mut self,
        history: &EntityHistory,
        own: &[&FailureEvent],
        tiles: &EntityTiles,
        cuts: &[Cut],
        causes: &[String],
        longest_gap: i64,
    ) {
        let counts = &mut self.counts;
        counts.entities += 1;
        watch(counts.watched.get_or_insert_default(), history, longest_gap);
        // The lives of one incarnation share its tiles.
        let entity = &history.entity;
        let incarnation = entity.incarnation().rsplit_once(':').map_or("", |(incarnation, _)| incarnation);
        let shared = history.tiles.is_some() && self.last == (entity.key().to_owned(), incarnation.to_owned());
        if !shared {
            counts.late_samples += tiles.late();
            counts.duplicate_samples += tiles.duplicates();
            self.last = (entity.key().to_owned(), incarnation.to_owned());
        }
        for event in own {
            *counts.events_by_cause.entry(event.cause().to_owned()).or_default() += 1;
        }
        if own.is_empty() {
            *counts.ends_by_reason.entry(history.end.name().to_owned()).or_default() += 1;
        }
        self.groups.insert(history.group.clone());
        let mut seen = BTreeSet::new();
        for cut in cuts {
            counts.rows += 1;
            let part = counts.splits.entry(cut.split.name().to_owned()).or_default();
            part.rows += 1;
            if seen.insert(cut.split) {
                part.entities += 1;
                self.groups_of_split.entry(cut.split).or_default().insert(history.group.clone());
            }
            let (first, last) = counts.as_of_range.unwrap_or((cut.as_of, cut.as_of));
            counts.as_of_range = Some((first.min(cut.as_of), last.max(cut.as_of)));
            match cut.label.observation.outcome() {
                Outcome::Failed(cause) => {
                    counts.failures += 1;
                    part.failures += 1;
                    let name = causes.get(usize::from(cause.0)).cloned().unwrap_or_default();
                    *counts.rows_by_cause.entry(name).or_default() += 1;
                }
                Outcome::Censored(reason) => {
                    *counts.rows_by_censor_reason.entry(reason.name().to_owned()).or_default() += 1;
                }
            }
        }
    }

    /// Adds what the source itself left out.
    pub(super) fn skipped(&mut self, skipped: BTreeMap<String, u64>) {
        for (rule, count) in skipped {
            *self.counts.excluded.entry(rule).or_default() += count;
        }
    }

    /// The counts.
    pub(super) fn finish(mut self) -> Counts {
        self.counts.groups = self.groups.len() as u64;
        for (split, groups) in &self.groups_of_split {
            if let Some(part) = self.counts.splits.get_mut(split.name()) {
                part.groups = groups.len() as u64;
            }
        }
        self.counts
    }
}

/// Adds the watched time of a history and its gaps, those parts of them that lie inside it.
fn watch(counts: &mut WatchCounts, history: &EntityHistory, allowed: i64) {
    let (from, until) = (history.observed_from, history.observed_until);
    if counts.total == 0 {
        (counts.from, counts.until) = (from, until);
    }
    counts.from = counts.from.min(from);
    counts.until = counts.until.max(until);
    counts.total += until - from;
    counts.joined_late += u64::from(history.born.is_some_and(|born| born < from));
    let lengths =
        history.gaps.iter().map(|&(last, next)| next.min(until) - last.max(from)).filter(|&length| length > 0);
    let mut any = false;
    for length in lengths {
        any = true;
        counts.gaps += 1;
        counts.missing += length;
        if length > counts.longest_gap {
            counts.longest_gap = length;
            counts.longest_gap_entity = history.entity.key().to_owned();
        }
        let mut bound = allowed.max(1) * 2;
        let mut place = 0;
        while length > bound {
            bound = bound.saturating_mul(2);
            place += 1;
        }
        while counts.gaps_up_to.len() <= place {
            let next = counts.gaps_up_to.last().map_or(allowed.max(1) * 2, |(bound, _)| bound.saturating_mul(2));
            counts.gaps_up_to.push((next, 0));
        }
        counts.gaps_up_to[place].1 += 1;
    }
    counts.histories_with_gaps += u64::from(any);
}
