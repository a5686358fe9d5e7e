//! How often did such months breach? Each node's own months, mixed with those of its system.
//!
//! Breaches of a node are binomial with a probability that varies over the system as Beta(a, b); after n months the
//! posterior mean weighs the node's own share by n/(n + a + b) and the system's by the rest. The weight is fitted once per
//! system to months with any downtime above the middle budget; the same mixture of months is the forecast distribution.

use std::collections::BTreeMap;

use survival::renewal::DowntimeForecast;

use super::forecaster::{AvailabilityForecaster, NodeForecast};
use super::past::{Ask, NodePast, Past};
use crate::error::Result;

/// Draws of the mixed distribution.
const DRAWS: usize = 400;
/// Prior weight, in months, where a system is too small or too even to tell.
const DEFAULT_STRENGTH: f64 = 12.0;
/// Share of a month above which it counts as one with downtime when strengths are fitted.
const NOTABLE: f64 = 0.001;

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub struct BetaBinomial {
    lookback_months: usize,
    /// Per system: a + b, and the shares of its recent months, sorted.
    systems: BTreeMap<u32, (f64, Vec<f64>)>,
}

impl BetaBinomial {
    /// Months looked back at.
    #[must_use]
    pub fn new(lookback_months: usize) -> Self {
        Self { lookback_months, systems: BTreeMap::new() }
    }

    fn recent<'a>(&self, node: &NodePast<'a>) -> &'a [f64] {
        &node.monthly[node.monthly.len().saturating_sub(self.lookback_months)..]
    }
}

impl AvailabilityForecaster for BetaBinomial {
    fn name(&self) -> &str {
        "beta-binomial"
    }

    fn settings(&self) -> String {
        format!("{} over {} months", self.name(), self.lookback_months)
    }

    fn fit(&mut self, past: &Past<'_>) -> Result<()> {
        let mut months: BTreeMap<u32, Vec<&[f64]>> = BTreeMap::new();
        for node in past.nodes.iter().filter(|node| node.until >= past.as_of) {
            months.entry(node.system()).or_default().push(self.recent(node));
        }
        self.systems = months
            .into_iter()
            .map(|(system, nodes)| {
                let mut shares = nodes.concat();
                shares.sort_unstable_by(f64::total_cmp);
                (system, (strength(&nodes), shares))
            })
            .collect();
        Ok(())
    }

    fn forecast(&self, past: &Past<'_>, asks: &[Ask], budgets: &[f64]) -> Result<Vec<NodeForecast>> {
        asks.iter()
            .map(|ask| {
                let node = &past.nodes[ask.node];
                let mut own = self.recent(node).to_vec();
                own.sort_unstable_by(f64::total_cmp);
                let (strength, fleet) = match self.systems.get(&node.system()) {
                    Some((strength, fleet)) => (*strength, fleet.as_slice()),
                    None => (0.0, own.as_slice()),
                };
                let weight = own.len() as f64 / (own.len() as f64 + strength);
                let left = ask.window.left();
                let above = |sorted: &[f64], limit: f64| {
                    let at_most = sorted.partition_point(|share| share * left <= limit);
                    (sorted.len() - at_most) as f64 / sorted.len().max(1) as f64
                };
                let breach = budgets
                    .iter()
                    .map(|budget| budget - ask.window.spent)
                    .map(|limit| weight * above(&own, limit) + (1.0 - weight) * above(fleet, limit));
                let own_draws = (weight * DRAWS as f64).round() as usize;
                let shares = spread(&own, own_draws).chain(spread(fleet, DRAWS - own_draws));
                let draws: Vec<f64> = shares.map(|share| ask.window.spent + share * left).collect();
                let breach = breach.collect();
                Ok(NodeForecast { breach, downtime: DowntimeForecast::from_draws(ask.window, draws)? })
            })
            .collect()
    }
}

/// Quantiles at the middles of `count` equal steps.
fn spread(sorted: &[f64], count: usize) -> impl Iterator<Item = f64> {
    let last = sorted.len().saturating_sub(1);
    (0..count).map(move |step| {
        let place = ((step as f64 + 0.5) / count as f64 * sorted.len() as f64) as usize;
        sorted.get(place.min(last)).copied().unwrap_or(0.0)
    })
}

/// a + b by moments (Kleinman 1973): the spread of node shares beyond what binomial chance makes.
fn strength(nodes: &[&[f64]]) -> f64 {
    let rows: Vec<(f64, f64)> = nodes
        .iter()
        .filter(|months| !months.is_empty())
        .map(|months| (months.len() as f64, months.iter().filter(|share| **share > NOTABLE).count() as f64))
        .collect();
    let total: f64 = rows.iter().map(|(n, _)| n).sum();
    let mean = rows.iter().map(|(_, k)| k).sum::<f64>() / total;
    if rows.len() < 5 || !(mean > 0.0 && mean < 1.0) {
        return DEFAULT_STRENGTH;
    }
    let between: f64 = rows.iter().map(|(n, k)| n * (k / n - mean).powi(2)).sum();
    let nodes = rows.len() as f64;
    let squares: f64 = rows.iter().map(|(n, _)| n * n).sum::<f64>() / total;
    // E between = mean(1 − mean)·[(nodes − 1) + ρ(total − squares − nodes + 1)], ρ = 1/(a + b + 1).
    let excess = (between / (mean * (1.0 - mean)) - (nodes - 1.0)) / (total - squares - nodes + 1.0).max(1.0);
    1.0 / excess.clamp(1e-3, 0.999) - 1.0
}

#[cfg(test)]
mod tests {
    use datasets::benchmark::lanl::Month;

    use super::super::past::{Fleet, tests::fleet};
    use super::*;

    #[test]
    fn strength_is_large_among_equals_and_small_among_unequals() {
        let up = [0.0; 20];
        let down = [0.5; 20];
        let half: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
        assert!(strength(&[half.as_slice(); 10]) > 100.0);
        assert!(strength(&[&up, &up, &up, &down, &down, &down]) < 0.1);
        assert!((strength(&[up.as_slice(); 10]) - DEFAULT_STRENGTH).abs() < 1e-12);
    }

    #[test]
    fn a_node_is_drawn_towards_its_system() {
        let bad: Vec<(f64, f64)> = (0..23).map(|month| (f64::from(month) * 30.0 + 5.0, 12.0)).collect();
        let nodes: Vec<&[(f64, f64)]> = (0..10).map(|i| if i < 2 { bad.as_slice() } else { &[] }).collect();
        let read = fleet(&nodes);
        let fleet = Fleet::new(&read, 0.0).unwrap();
        let past = fleet.at(Month { year: 2004, month: 6 }).unwrap();
        let mut model = BetaBinomial::new(24);
        model.fit(&past).unwrap();
        let asks: Vec<Ask> = fleet.judged(&past, 2, 0).unwrap().into_iter().map(|j| j.ask).collect();
        let forecasts = model.forecast(&past, &asks, &[0.3]).unwrap();
        let (bad, quiet) = (forecasts[0].breach[0], forecasts[5].breach[0]);
        assert!(bad > 0.8 && bad < 1.0 && quiet < 0.1 && quiet > 0.0, "{bad} {quiet}");
    }
}
