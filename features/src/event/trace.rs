//! Series as the rules read them: what holds at a time, where a count rises, when a state is an episode.

use crate::catalogue::{Catalogue, MetricId};

/// Samples of one metric and part of an entity; times in milliseconds, increasing, values in the canonical unit, with
/// the stale mark where the series ended.
#[derive(Debug, Clone, Copy)]
pub struct Trace<'a> {
    /// Which metric.
    pub metric: MetricId,
    /// Which part, `name=value,…`; empty for the whole.
    pub part: &'a str,
    /// When.
    pub times: &'a [i64],
    /// What.
    pub values: &'a [f64],
}

/// From one finite value to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) before: f64,
    pub(super) after: f64,
}

impl Step {
    /// How far a counter rose; a fall is a reset, after which it counts from 0.
    pub(super) fn growth(&self) -> f64 {
        if self.after >= self.before { self.after - self.before } else { self.after }
    }
}

impl<'a> Trace<'a> {
    /// Finite samples.
    pub(super) fn values(&self) -> impl Iterator<Item = (i64, f64)> + use<'a> {
        let (times, values) = (self.times, self.values);
        times.iter().copied().zip(values.iter().copied()).filter(|(_, value)| !value.is_nan())
    }

    /// Each finite value with the one before it.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> + use<'a> {
        let mut before: Option<(i64, f64)> = None;
        self.values().filter_map(move |(time, value)| {
            let last = before.replace((time, value));
            last.map(|(low, before)| Step { low, high: time, before, after: value })
        })
    }

    /// The newest value not later than `time`, `None` after a stale mark.
    #[must_use]
    pub fn at(&self, time: i64) -> Option<f64> {
        let after = self.times.partition_point(|&t| t <= time);
        self.values[..after].last().copied().filter(|value| !value.is_nan())
    }

    /// The newest finite value not later than `time`, whatever ended since: states are shown only while they hold.
    #[must_use]
    pub fn last(&self, time: i64) -> Option<(i64, f64)> {
        let after = self.times.partition_point(|&t| t <= time);
        (0..after).rev().map(|at| (self.times[at], self.values[at])).find(|(_, value)| !value.is_nan())
    }

    /// How far a counter rose in `(low, high]`.
    pub(super) fn rise(&self, low: i64, high: i64) -> f64 {
        self.steps().filter(|step| step.high > low && step.high <= high).map(|step| step.growth()).sum()
    }

    /// Steps from clear (below ½) to set.
    pub(super) fn sets(&self) -> impl Iterator<Item = Step> + use<'a> {
        self.steps().filter(|step| step.before < 0.5 && step.after >= 0.5)
    }

    /// Whether it was set at any time in `[low, high]`, or holds a set value from before.
    pub(super) fn set_within(&self, low: i64, high: i64) -> bool {
        self.at(low).is_some_and(|value| value >= 0.5)
            || self.values().any(|(time, value)| time >= low && time <= high && value >= 0.5)
    }
}

/// A stretch of scrapes that show a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Episode {
    /// Last scrape before it.
    pub(super) low: i64,
    /// First scrape that shows it.
    pub(super) onset: i64,
    /// Scrapes that show it, up to the end of the episode.
    pub(super) scrapes: usize,
    /// The scrape with which enough of them had shown it.
    pub(super) shown: i64,
}

/// When an entity came to life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Born {
    pub(super) at: i64,
    /// So shortly before its first scrape it still was born inside the watch.
    pub(super) within: i64,
}

/// Episodes of a state: at least `scrapes` in a row show it, and stretches closer than `merge` are one.
///
/// `clock` are the scrapes at which the state would have been shown had it held. An episode that is there at the first
/// of them began nobody knows when, and is none, unless the entity was `born` inside the watch: then it began since.
pub(super) fn episodes(
    trace: &Trace<'_>,
    wanted: impl Fn(f64) -> bool,
    clock: &[i64],
    scrapes: usize,
    merge: i64,
    born: Option<Born>,
) -> Vec<Episode> {
    let first = clock.first().copied().unwrap_or(i64::MAX);
    let began = born.filter(|born| born.at >= first.saturating_sub(born.within)).map_or(i64::MIN, |born| born.at);
    let mut found: Vec<Episode> = Vec::new();
    let mut open: Option<(Episode, i64)> = None;
    let mut ended: Option<i64> = None;
    let close = |open: Option<(Episode, i64)>, found: &mut Vec<Episode>, ended: &mut Option<i64>| {
        let Some((episode, last)) = open else { return };
        if episode.scrapes < scrapes {
            return;
        }
        let joined = ended.is_some_and(|end| episode.onset - end < merge);
        *ended = Some(last);
        match found.last_mut() {
            Some(before) if joined => before.scrapes += episode.scrapes,
            _ if joined => {}
            _ if episode.low == i64::MIN => {}
            _ => found.push(episode),
        }
    };
    for (time, value) in trace.values() {
        if !wanted(value) {
            close(open.take(), &mut found, &mut ended);
            continue;
        }
        let before = clock.partition_point(|&tick| tick < time);
        let previous = clock[..before].last().copied();
        match &mut open {
            // A scrape in between that did not show it ends the stretch.
            Some((episode, last)) if previous.is_none_or(|tick| tick <= *last) => {
                episode.scrapes += 1;
                if episode.scrapes <= scrapes {
                    episode.shown = time;
                }
                *last = time;
            }
            _ => {
                close(open.take(), &mut found, &mut ended);
                let low = previous.unwrap_or_else(|| began.min(time));
                open = Some((Episode { low, onset: time, scrapes: 1, shown: time }, time));
            }
        }
    }
    close(open, &mut found, &mut ended);
    found
}

/// Stretches over which a state that means "down" holds: from its first sample to the first scrape that does not show
/// it, [`i64::MAX`] where the last one still did. `clock` as for [`episodes`].
pub(super) fn stretches(trace: &Trace<'_>, down: impl Fn(f64) -> bool, clock: &[i64]) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut last = None;
    let after = |time: i64| clock.get(clock.partition_point(|&tick| tick <= time)).copied().unwrap_or(i64::MAX);
    for (time, value) in trace.values() {
        match (&mut last, down(value)) {
            (Some(seen), true) if after(*seen) >= time => *seen = time,
            (Some(seen), true) => {
                let until = after(*seen);
                if let Some(open) = found.last_mut() {
                    open.1 = until;
                }
                found.push((time, i64::MAX));
                *seen = time;
            }
            (None, true) => {
                found.push((time, i64::MAX));
                last = Some(time);
            }
            (Some(seen), false) => {
                if let Some(open) = found.last_mut() {
                    open.1 = after(*seen).min(time);
                }
                last = None;
            }
            (None, false) => {}
        }
    }
    if let (Some(seen), Some(open)) = (last, found.last_mut()) {
        open.1 = after(seen);
    }
    found
}

/// Traces of one entity by the names of their metrics.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traces<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) all: &'a [Trace<'a>],
}

impl<'a> Traces<'a> {
    /// Every part of a metric.
    pub(super) fn parts(self, name: &'a str) -> impl Iterator<Item = &'a Trace<'a>> {
        let catalogue = self.catalogue;
        self.all.iter().filter(move |trace| catalogue.name(trace.metric) == name && !trace.times.is_empty())
    }

    /// Series that are there whenever the rules are asked, whatever was pruned: what they say of when an entity was seen
    /// is the same next year.
    pub(super) fn lasting(self) -> impl Iterator<Item = &'a Trace<'a>> {
        let catalogue = self.catalogue;
        self.all.iter().filter(move |trace| catalogue.definition(trace.metric).is_some_and(super::is_read))
    }

    /// The metric of the whole entity, or its first part.
    pub(super) fn one(self, name: &'a str) -> Option<&'a Trace<'a>> {
        self.parts(name).min_by_key(|trace| trace.part)
    }

    /// The name of a state.
    pub(super) fn state(self, trace: &Trace<'_>, value: f64) -> Option<&'a str> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "stored states are checked indices"
        )]
        let index = value as usize;
        self.catalogue.definition(trace.metric)?.states.get(index).map(String::as_str)
    }

    /// Whether the state of a trace is one of these.
    pub(super) fn is_one_of(self, trace: &Trace<'_>, value: f64, names: &[impl AsRef<str>]) -> bool {
        self.state(trace, value).is_some_and(|state| names.iter().any(|name| name.as_ref() == state))
    }
}
