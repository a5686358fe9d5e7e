//! A node's past as a row of features, and such rows with what came of them.
//!
//! Rows are made at the beginning of every month a node is up, and at the end of every repair. The label is the time to
//! the next failure, censored at the end of what is known.

use std::collections::BTreeMap;

use ndarray::Array2;
use survival::{Cause, CensorReason, Observation, Outcome};

use super::past::{NodePast, Past};
use crate::error::Result;

/// Days over which failures are counted.
const COUNTS: [f64; 4] = [7.0, 30.0, 90.0, 365.0];
/// Days between two regular rows of a node.
const STEP: f64 = 30.4375;
/// Days in a year.
const YEAR: f64 = 365.25;

/// Rows with labels.
pub struct NodeRows {
    /// n × p.
    pub x: Array2<f64>,
    /// Time to the next failure, days.
    pub observations: Vec<Observation>,
    /// Key of the node of each row.
    pub keys: Vec<String>,
}

/// How a fleet is turned into rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    systems: Vec<u32>,
}

/// Failures of a whole system: their times, and its nodes.
#[derive(Default)]
struct SystemPast {
    failures: Vec<f64>,
    nodes: Vec<(f64, f64)>,
}

/// Failures per node and day of each system, at any moment before.
pub(super) struct SystemRates(BTreeMap<u32, SystemPast>);

impl SystemRates {
    pub(super) fn of(past: &Past<'_>) -> Self {
        let mut systems: BTreeMap<u32, SystemPast> = BTreeMap::new();
        for node in &past.nodes {
            let system = systems.entry(node.system()).or_default();
            system.failures.extend(node.outages.iter().map(|outage| outage.start));
            system.nodes.push((node.from, node.until));
        }
        for system in systems.values_mut() {
            system.failures.sort_unstable_by(f64::total_cmp);
        }
        Self(systems)
    }

    /// Log of the rate over the last days, one failure in ten node-years added so that none stays finite.
    fn log_rate(&self, system: u32, at: f64, days: f64) -> f64 {
        let Some(past) = self.0.get(&system) else { return -(10.0 * YEAR).ln() };
        let before = |time: f64| past.failures.partition_point(|failure| *failure <= time);
        let failures = (before(at) - before(at - days)) as f64;
        let watched: f64 = past.nodes.iter().map(|(from, until)| (until.min(at) - from.max(at - days)).max(0.0)).sum();
        ((failures + 1.0) / (watched + 10.0 * YEAR)).ln()
    }
}

impl Columns {
    /// The columns of a fleet: those of its systems that are known.
    #[must_use]
    pub fn of(past: &Past<'_>) -> Self {
        let mut systems: Vec<u32> = past.nodes.iter().map(NodePast::system).collect();
        systems.sort_unstable();
        systems.dedup();
        Self { systems }
    }

    /// Names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let fixed = [
            "log_age",
            "log_since_repair",
            "never_failed",
            "log_count_7d",
            "log_count_30d",
            "log_count_90d",
            "log_count_365d",
            "log_count_all",
            "log_rate_all",
            "log_rate_365d",
            "log_mean_repair",
            "system_log_rate_30d",
            "system_log_rate_365d",
            "front_node",
            "graphics",
            "log_processors",
            "log_memory",
            "year_sin",
            "year_cos",
        ];
        fixed.into_iter().map(str::to_owned).chain(self.systems.iter().map(|s| format!("system_{s}"))).collect()
    }

    /// The features of a node at a moment at which it is up. With `just_repaired` they are those it would have had it
    /// failed and been repaired at that very moment.
    fn row(&self, node: &NodePast<'_>, rates: &SystemRates, at: f64, just_repaired: bool) -> Vec<f64> {
        let extra = usize::from(just_repaired);
        let count = |days: f64| (node.failures_between(at - days, at) + extra) as f64;
        let age = at - node.from;
        let known = node.outages.partition_point(|outage| outage.start <= at);
        let repaired = node.outages[..known].iter().filter_map(|o| Some((o.start, o.end.filter(|end| *end <= at)?)));
        let (mut repairs, mut repair_time, mut last) = (0.0, 0.0, node.from);
        for (start, end) in repaired {
            repairs += 1.0;
            repair_time += end - start;
            last = end;
        }
        let since = if just_repaired { 0.0 } else { at - last };
        let all = (known + extra) as f64;
        let system_year = rates.log_rate(node.system(), at, YEAR);
        // Observed over expected at the system's rate, shrunk by two failures of prior weight.
        let against = |failures: f64, days: f64| ((failures + 2.0) / (system_year.exp() * days.min(age) + 2.0)).ln();
        let (processors, memory) = node.size();
        let season = 2.0 * std::f64::consts::PI * (at / YEAR).fract();
        let mut row = vec![
            age.ln_1p(),
            since.ln_1p(),
            f64::from(u8::from(known + extra == 0)),
            count(COUNTS[0]).ln_1p(),
            count(COUNTS[1]).ln_1p(),
            count(COUNTS[2]).ln_1p(),
            count(COUNTS[3]).ln_1p(),
            all.ln_1p(),
            against(all, f64::INFINITY),
            against(count(COUNTS[3]), COUNTS[3]),
            // Two repairs of two hours of prior weight.
            ((repair_time + 4.0 / 24.0) / (repairs + 2.0)).ln(),
            rates.log_rate(node.system(), at, 30.0),
            system_year,
            f64::from(u8::from(node.number() == 0)),
            f64::from(u8::from(node.purpose().starts_with("graphics"))),
            processors.max(1.0).ln(),
            memory.max(1.0).ln(),
            season.sin(),
            season.cos(),
        ];
        row.extend(self.systems.iter().map(|system| f64::from(u8::from(*system == node.system()))));
        row
    }

    /// Rows of the moment of the forecast for these nodes (indices into [`Past::nodes`]): as they are, and as they would
    /// be just repaired.
    ///
    /// # Errors
    /// Never for rows of a like width.
    pub fn now(&self, past: &Past<'_>, nodes: &[usize], just_repaired: bool) -> Result<Array2<f64>> {
        let rates = SystemRates::of(past);
        let row = |&node: &usize| self.row(&past.nodes[node], &rates, past.as_of, just_repaired);
        let rows: Vec<Vec<f64>> = nodes.iter().map(row).collect();
        table(&rows, self.names().len())
    }

    /// Every row of the lookback, labelled with what is known now.
    ///
    /// # Errors
    /// Never for nodes that were read.
    pub fn rows(&self, past: &Past<'_>, lookback_days: f64) -> Result<NodeRows> {
        let rates = SystemRates::of(past);
        let begin = past.as_of - lookback_days;
        let (mut rows, mut observations, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for node in &past.nodes {
            let mut moments: Vec<f64> = node.outages.iter().filter_map(|outage| outage.end).collect();
            // Regular rows stand where later forecasts will: whole steps back from now.
            let steps = ((past.as_of - begin.max(node.from)) / STEP).floor().max(0.0) as usize;
            moments.extend((1..=steps).map(|step| past.as_of - step as f64 * STEP));
            for at in moments.into_iter().filter(|at| *at >= begin && *at > node.from && *at < node.until) {
                let next = node.outages.partition_point(|outage| outage.start <= at);
                if next > 0 && node.outages[next - 1].end.is_none_or(|end| end > at) {
                    continue;
                }
                let observation = match node.outages.get(next) {
                    Some(outage) => Observation::try_new(outage.start - at, Outcome::Failed(Cause(0)))?,
                    None => Observation::try_new(node.until - at, Outcome::Censored(CensorReason::EndOfObservation))?,
                };
                rows.push(self.row(node, &rates, at, false));
                observations.push(observation);
                keys.push(node.key().to_owned());
            }
        }
        Ok(NodeRows { x: table(&rows, self.names().len())?, observations, keys })
    }
}

fn table(rows: &[Vec<f64>], width: usize) -> Result<Array2<f64>> {
    let count = rows.len();
    Array2::from_shape_vec((count, width), rows.concat())
        .map_err(|_| survival::SurvivalError::Shape { what: "feature columns", expected: width * count, got: 0 }.into())
}

#[cfg(test)]
mod tests {
    use datasets::benchmark::lanl::Month;

    use super::super::past::{Fleet, tests::fleet};
    use super::*;

    #[test]
    fn rows_know_their_past_and_are_labelled_by_what_is_known() {
        let read = fleet(&[&[(100.0, 24.0), (104.0, 6.0), (400.0, 2.0)], &[]]);
        let fleet = Fleet::new(&read, 0.0).unwrap();
        let past = fleet.at(Month { year: 2003, month: 6 }).unwrap();
        let columns = Columns::of(&past);
        let names = columns.names();
        let of = |name: &str| names.iter().position(|n| n == name).unwrap();
        let now = columns.now(&past, &[0, 1], false).unwrap();
        assert_eq!(now.ncols(), names.len());
        // 1 June is day 151; last repaired on day 104.25, twice failed.
        assert!((now[[0, of("log_since_repair")]] - (151.0_f64 - 104.25).ln_1p()).abs() < 2e-3);
        assert!((now[[0, of("log_count_90d")]] - 2.0_f64.ln_1p()).abs() < 1e-12);
        assert!(now[[0, of("log_count_30d")]].abs() < 1e-12 && now[[1, of("never_failed")]] > 0.5);
        let next = columns.now(&past, &[1], true).unwrap();
        assert!(next[[0, of("log_since_repair")]].abs() < 1e-12 && next[[0, of("never_failed")]] < 0.5);
        let rows = columns.rows(&past, 1000.0).unwrap();
        assert!(rows.x.iter().all(|value| value.is_finite()));
        let failed = rows.observations.iter().filter(|o| o.failed()).count();
        // Node 0: a month back lies behind both failures; 2, 3 and 4 months back lie before, and one repair between.
        assert_eq!((rows.x.nrows(), failed), (2 * 4 + 2, 4));
        assert!(rows.observations.iter().all(|o| o.duration() <= 151.0), "the failure of day 400 is not known");
    }
}
