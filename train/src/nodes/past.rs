//! What is known of a fleet at one moment: nothing that happens later can be reached from here.
//!
//! Times are days since 1970 UTC.

use datasets::benchmark::lanl::{LanlNodes, Month, NodeHistory};
use survival::renewal::{Now, Window};
use survival::{Cause, CensorReason, Observation, Outcome, SurvivalError};

use crate::error::Result;

const SECONDS_A_DAY: f64 = 86_400.0;

/// A fleet with its calendar: the downtime of every node in every month it was in service throughout.
pub(super) struct Fleet<'a> {
    nodes: &'a [NodeHistory],
    months: Vec<(Month, f64, f64)>,
    /// Per node: index of its first whole month, and downtime as a share of the judged part of each whole month.
    shares: Vec<(usize, Vec<f64>)>,
    elapsed: f64,
}

/// An outage as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PastOutage {
    /// When it began.
    pub start: f64,
    /// When it ended; `None` while it runs.
    pub end: Option<f64>,
}

/// One node as known at the moment of the forecast.
#[derive(Debug, Clone)]
pub struct NodePast<'a> {
    /// Unchanging facts: key, system, purpose, processors, memory. Its outages and end are not for forecasters.
    facts: &'a NodeHistory,
    /// In service from.
    pub from: f64,
    /// Watched until: the moment of the forecast, or before it when the node was retired.
    pub until: f64,
    /// In order of time.
    pub outages: Vec<PastOutage>,
    /// Downtime of each whole month of service before, as a share of the part of a month that forecasts are for.
    pub monthly: &'a [f64],
}

impl NodePast<'_> {
    /// Key of the node.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.facts.key
    }

    /// Its system.
    #[must_use]
    pub fn system(&self) -> u32 {
        self.facts.system
    }

    /// Number within the system, from 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.facts.node
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.facts.purpose
    }

    /// Processors and memory.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        (self.facts.processors, self.facts.memory)
    }

    /// Working or down at the end of what is known, and for how long.
    #[must_use]
    pub fn now(&self) -> Now {
        match self.outages.last() {
            Some(PastOutage { start, end: None }) => Now::Down(self.until - start),
            Some(PastOutage { end: Some(end), .. }) => Now::Up(self.until - end),
            None => Now::Up(self.until - self.from),
        }
    }

    /// Up spells that were still running after `begin`, each from its own beginning, entered late where it is older.
    ///
    /// # Errors
    /// Never on a node that was read; durations are checked all the same.
    pub fn up_spells(&self, begin: f64) -> Result<Vec<Observation>, SurvivalError> {
        let mut spells = Vec::new();
        let mut up = self.from;
        let ends = self.outages.iter().map(|o| (o.start, Outcome::Failed(Cause(0)), o.end));
        let last = (self.until, Outcome::Censored(CensorReason::EndOfObservation), None);
        for (end, outcome, repaired) in ends.chain([last]) {
            let entry = (begin - up).max(0.0);
            if end > up && end - up > entry {
                spells.push(Observation::try_with_entry(end - up, entry, outcome)?);
            }
            match repaired {
                Some(at) => up = at,
                None => break,
            }
        }
        Ok(spells)
    }

    /// Repairs that began after `begin`; one under way is censored.
    ///
    /// # Errors
    /// As [`NodePast::up_spells`].
    pub fn repairs(&self, begin: f64) -> Result<Vec<Observation>, SurvivalError> {
        let mut repairs = Vec::new();
        for outage in self.outages.iter().filter(|o| o.start >= begin) {
            let (end, outcome) = match outage.end {
                Some(end) => (end, Outcome::Failed(Cause(0))),
                None => (self.until, Outcome::Censored(CensorReason::EndOfObservation)),
            };
            if end > outage.start {
                repairs.push(Observation::try_new(end - outage.start, outcome)?);
            }
        }
        Ok(repairs)
    }

    /// Outages that began in (`begin`, `until`].
    #[must_use]
    pub fn failures_between(&self, begin: f64, until: f64) -> usize {
        let before = |time: f64| self.outages.partition_point(|o| o.start <= time);
        before(until) - before(begin).min(before(until))
    }
}

/// A fleet at one moment.
pub struct Past<'a> {
    /// The month forecasts are for.
    pub month: Month,
    /// The moment of the forecast.
    pub as_of: f64,
    /// Share of the month that has passed by then.
    pub elapsed: f64,
    /// Length of the month.
    pub length: f64,
    /// Every node that has been in service, retired ones included, in the order of the fleet.
    pub nodes: Vec<NodePast<'a>>,
}

/// One forecast to be made: which node, which window, with which seed.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Index into [`Past::nodes`].
    pub node: usize,
    /// The month, what has passed of it, what of that was spent down; days.
    pub window: Window,
    /// The same for every forecaster: they differ by their laws, not by their luck.
    pub seed: u64,
}

/// One forecast to be judged and its outcome: downtime of the whole month, days.
pub(super) struct Judged {
    pub(super) ask: Ask,
    pub(super) downtime: f64,
}

fn days(seconds: i64) -> f64 {
    seconds as f64 / SECONDS_A_DAY
}

impl<'a> Fleet<'a> {
    /// `elapsed`: share of a month that has passed when its forecast is made.
    pub(super) fn new(read: &'a LanlNodes, elapsed: f64) -> Result<Self> {
        let mut months = Vec::new();
        let mut month = Month { year: 1995, month: 1 };
        while month.next().start()? <= read.end {
            months.push((month, days(month.start()?), days(month.next().start()?)));
            month = month.next();
        }
        let share = |node: &NodeHistory| {
            let (from, until) = (days(node.from), days(node.until));
            let first = months.partition_point(|(_, start, _)| *start < from);
            let whole = months[first..].iter().take_while(|(_, _, end)| *end <= until);
            let shares = whole.map(|(_, start, end)| {
                let begin = start + elapsed * (end - start);
                down_between(node, begin, *end) / (end - begin)
            });
            (first, shares.collect())
        };
        let shares = read.nodes.iter().map(share).collect();
        Ok(Self { nodes: &read.nodes, months, shares, elapsed })
    }

    /// What is known when the forecast of a month is made; `None` for a month beyond the file.
    pub(super) fn at(&self, month: Month) -> Option<Past<'_>> {
        let index = self.months.iter().position(|(known, _, _)| *known == month)?;
        let (_, start, end) = self.months[index];
        let as_of = start + self.elapsed * (end - start);
        let mut nodes = Vec::new();
        for (node, (first, shares)) in self.nodes.iter().zip(&self.shares) {
            if days(node.from) >= as_of {
                continue;
            }
            let until = days(node.until).min(as_of);
            let known = node.outages.iter().filter(|outage| days(outage.start) < until).map(|outage| PastOutage {
                start: days(outage.start),
                end: Some(days(outage.end)).filter(|end| *end <= until),
            });
            let monthly = &shares[..index.saturating_sub(*first).min(shares.len())];
            nodes.push(NodePast { facts: node, from: days(node.from), until, outages: known.collect(), monthly });
        }
        Some(Past { month, as_of, elapsed: self.elapsed, length: end - start, nodes })
    }

    /// The nodes in service throughout the month that have been for at least `least_months` before it. That a node will be
    /// in service is known from the calendar of its system, not a thing to forecast.
    pub(super) fn judged(&self, past: &Past<'_>, least_months: usize, seed: u64) -> Result<Vec<Judged>> {
        let start = past.as_of - past.elapsed * past.length;
        let end = start + past.length;
        let mut judged = Vec::new();
        for (index, node) in past.nodes.iter().enumerate() {
            if node.monthly.len() < least_months || days(node.facts.until) < end {
                continue;
            }
            let spent = down_between(node.facts, start, past.as_of);
            let window = Window::try_new(past.length, past.as_of - start, spent.min(past.as_of - start))?;
            let seed = seed_of(&format!("{seed} {} {}", past.month, node.key()));
            let downtime = down_between(node.facts, start, end);
            judged.push(Judged { ask: Ask { node: index, window, seed }, downtime });
        }
        Ok(judged)
    }
}

fn down_between(node: &NodeHistory, begin: f64, end: f64) -> f64 {
    let overlap = |start: i64, stop: i64| (days(stop).min(end) - days(start).max(begin)).max(0.0);
    node.outages.iter().map(|outage| overlap(outage.start, outage.end)).sum()
}

/// FNV-1a over the name: a seed that depends on nothing but it.
fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
pub(super) mod tests {
    use datasets::benchmark::lanl::Outage;
    use datasets::source::Input;

    use super::*;

    /// Nodes of one system in service from January 2003, watched to the end of 2004, each with outages (day, hours).
    pub(in crate::nodes) fn fleet(outages: &[&[(f64, f64)]]) -> LanlNodes {
        let from = Month { year: 2003, month: 1 }.start().unwrap();
        let until = Month { year: 2005, month: 1 }.start().unwrap();
        let second = |day: f64| from + (day * SECONDS_A_DAY) as i64;
        let node = |(number, outages): (usize, &&[(f64, f64)])| NodeHistory {
            key: format!("lanl-1-{number}"),
            system: 1,
            node: u32::try_from(number).unwrap(),
            purpose: "compute".to_owned(),
            processors: 4.0,
            memory: 8.0,
            from,
            until,
            added: outages.is_empty(),
            outages: outages
                .iter()
                .map(|&(day, hours)| Outage {
                    start: second(day),
                    end: second(day + hours / 24.0),
                    cause: "Hardware".to_owned(),
                    records: 1,
                    same_event: false,
                })
                .collect(),
        };
        let nodes: Vec<NodeHistory> = outages.iter().enumerate().map(node).collect();
        let records = outages.iter().map(|o| o.len()).sum();
        LanlNodes { nodes, records, merged: 0, instant: 0, added: 0, end: until, input: Input::of("test", b"") }
    }

    #[test]
    fn nothing_after_the_moment_of_the_forecast_is_known() {
        // One outage in January, one that runs over the end of February, one later.
        let read = fleet(&[&[(10.0, 24.0), (58.0, 48.0), (100.0, 5.0)]]);
        let fleet = Fleet::new(&read, 0.0).unwrap();
        let past = fleet.at(Month { year: 2003, month: 3 }).unwrap();
        let node = &past.nodes[0];
        assert_eq!(node.outages.len(), 2);
        assert_eq!(node.outages[1].end, None, "not yet repaired");
        assert!(matches!(node.now(), Now::Down(for_days) if (for_days - 1.0).abs() < 1e-9));
        assert_eq!(node.monthly.len(), 2);
        assert!((node.monthly[0] - 1.0 / 31.0).abs() < 1e-9 && (node.monthly[1] - 1.0 / 28.0).abs() < 1e-9);
        let spells = node.up_spells(past.as_of - 50.0).unwrap();
        // Up 11 to 58, watched from day 9 on: entered before it began. The node is down now: no spell runs.
        assert_eq!(spells.len(), 2);
        assert!((spells[0].entry() - 9.0).abs() < 1e-9 && (spells[1].duration() - 47.0).abs() < 1e-9);
        let repairs = node.repairs(0.0).unwrap();
        assert!(repairs[0].failed() && !repairs[1].failed());
        let judged = fleet.judged(&past, 2, 0).unwrap();
        assert!((judged[0].downtime - 1.0).abs() < 1e-9, "the second day of the outage lies in March");
        assert!(fleet.judged(&past, 3, 0).unwrap().is_empty());
        assert!(fleet.at(Month { year: 2005, month: 1 }).is_none());
    }

    #[test]
    fn at_mid_month_what_was_spent_is_known() {
        let read = fleet(&[&[(33.0, 12.0), (50.0, 24.0)]]);
        let fleet = Fleet::new(&read, 0.5).unwrap();
        let past = fleet.at(Month { year: 2003, month: 2 }).unwrap();
        let judged = fleet.judged(&past, 1, 0).unwrap();
        assert!((judged[0].ask.window.spent - 0.5).abs() < 1e-9 && (judged[0].ask.window.left() - 14.0).abs() < 1e-9);
        assert!((judged[0].downtime - 1.5).abs() < 1e-9);
        assert_eq!(past.nodes[0].failures_between(past.as_of - 14.0, past.as_of), 1);
    }
}
