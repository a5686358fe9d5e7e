//! Classical laws of failure and repair, simulated forward from each node's present state.
//!
//! Per system one law of up spells and one (log-normal) of repairs, fitted to what lies within the lookback; a system with
//! too few failures takes the fleet's. Shrunk variants multiply the hazard of a node by a gamma multiplier learned from
//! its own count ([`survival::gamma_poisson`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array2;
use survival::gamma_poisson::GammaPoisson;
use survival::log_normal::LogNormal;
use survival::power_law::{PowerLaw, WatchedProcess};
use survival::renewal::AlternatingRenewal;
use survival::spell_law::{EmpiricalLaw, SpellLaw};
use survival::{AftOptions, Observation, WeibullAft};

use super::forecaster::{AvailabilityForecaster, NodeForecast, unfitted};
use super::past::{Ask, NodePast, Past};
use crate::error::{Result, TrainError};

/// Failures a system needs for a law of its own.
const LEAST_FAILURES: usize = 20;
/// Nodes a system needs to tell how they differ.
const LEAST_NODES: usize = 5;

/// Law of up spells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpLaw {
    /// Constant hazard: failures / up time.
    Exponential,
    /// Hazard by time since repair.
    Weibull,
    /// Kaplan–Meier of up spells with an exponential tail.
    Empirical,
    /// Crow–AMSAA: hazard by age, whole history, minimal repair.
    PowerLaw,
}

/// A renewal forecaster.
#[derive(Debug, Clone)]
pub struct Renewal {
    law: UpLaw,
    /// Whether nodes of a system are told apart.
    shrunk: bool,
    lookback_days: f64,
    replicates: usize,
    name: String,
    systems: BTreeMap<u32, Laws>,
    fleet: Option<Laws>,
}

#[derive(Debug, Clone)]
struct Laws {
    up: SpellLaw,
    down: SpellLaw,
    nodes: Option<GammaPoisson>,
}

impl Renewal {
    /// `lookback_days` bounds what is fitted to (a power law takes the whole history); `replicates` per forecast.
    #[must_use]
    pub fn new(law: UpLaw, shrunk: bool, lookback_days: f64, replicates: usize) -> Self {
        let base = match law {
            UpLaw::Exponential => "exponential",
            UpLaw::Weibull => "weibull",
            UpLaw::Empirical => "kaplan-meier",
            UpLaw::PowerLaw => "crow-amsaa",
        };
        let name = if shrunk { format!("{base}-shrunk") } else { base.to_owned() };
        Self { law, shrunk, lookback_days, replicates, name, systems: BTreeMap::new(), fleet: None }
    }

    fn laws(&self, nodes: &[&NodePast<'_>], begin: f64) -> Result<Option<Laws>> {
        let mut spells = Vec::new();
        for node in nodes {
            spells.extend(node.up_spells(begin)?);
        }
        if spells.iter().filter(|spell| spell.failed()).count() < LEAST_FAILURES {
            return Ok(None);
        }
        let Some(down) = repair_law(nodes, begin)? else { return Ok(None) };
        let up = match self.law {
            UpLaw::PowerLaw => match PowerLaw::fit(&nodes.iter().map(|node| process(node)).collect::<Vec<_>>()) {
                Ok(law) => SpellLaw::PowerLaw(law),
                // Failures at one end of the watched ages have no finite power law; the fleet's is taken.
                Err(survival::SurvivalError::Domain { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            _ => self.up_law(&spells)?,
        };
        let nodes = if self.shrunk && nodes.len() >= LEAST_NODES {
            let mut counts = Vec::with_capacity(nodes.len());
            let mut expected = Vec::with_capacity(nodes.len());
            for node in nodes {
                let (count, hazard) = seen(&up, node, begin)?;
                counts.push(count);
                expected.push(hazard);
            }
            Some(GammaPoisson::fit(&counts, &expected)?)
        } else {
            None
        };
        Ok(Some(Laws { up, down, nodes }))
    }

    fn up_law(&self, spells: &[Observation]) -> Result<SpellLaw> {
        Ok(match self.law {
            UpLaw::Weibull => {
                let none = Array2::zeros((spells.len(), 0));
                let fit = WeibullAft::fit(none.view(), spells, &AftOptions::default())?;
                SpellLaw::weibull(fit.shape(), fit.scale(&[])?)?
            }
            UpLaw::Empirical => SpellLaw::Empirical(Arc::new(EmpiricalLaw::fit(spells)?)),
            UpLaw::Exponential | UpLaw::PowerLaw => {
                let failures = spells.iter().filter(|spell| spell.failed()).count();
                let up: f64 = spells.iter().map(|spell| spell.duration() - spell.entry()).sum();
                SpellLaw::exponential(failures as f64 / up)?
            }
        })
    }
}

/// Log-normal repairs of these nodes; `None` where there are too few to tell.
pub(super) fn repair_law(nodes: &[&NodePast<'_>], begin: f64) -> Result<Option<SpellLaw>> {
    let mut repairs = Vec::new();
    for node in nodes {
        repairs.extend(node.repairs(begin)?);
    }
    if repairs.iter().filter(|repair| repair.failed()).count() < LEAST_FAILURES {
        return Ok(None);
    }
    Ok(Some(SpellLaw::LogNormal(LogNormal::fit(&repairs)?)))
}

fn process(node: &NodePast<'_>) -> WatchedProcess {
    let failures = node.outages.iter().map(|outage| outage.start - node.from).filter(|age| *age > 0.0).collect();
    WatchedProcess { from: 0.0, until: node.until - node.from, failures }
}

/// Failures of a node, and what the law expected of the same spells.
fn seen(up: &SpellLaw, node: &NodePast<'_>, begin: f64) -> Result<(usize, f64)> {
    if let SpellLaw::PowerLaw(_) = up {
        let process = process(node);
        return Ok((process.failures.len(), up.hazard_between(process.from, process.until)));
    }
    let spells = node.up_spells(begin)?;
    let count = spells.iter().filter(|spell| spell.failed()).count();
    Ok((count, spells.iter().map(|spell| up.hazard_between(spell.entry(), spell.duration())).sum()))
}

/// The nodes of each system.
pub(super) fn by_system<'p, 'a>(past: &'p Past<'a>) -> BTreeMap<u32, Vec<&'p NodePast<'a>>> {
    let mut systems: BTreeMap<u32, Vec<&NodePast<'_>>> = BTreeMap::new();
    for node in &past.nodes {
        systems.entry(node.system()).or_default().push(node);
    }
    systems
}

impl AvailabilityForecaster for Renewal {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> String {
        format!("{} lookback {} d, {} replicates", self.name, self.lookback_days, self.replicates)
    }

    fn fit(&mut self, past: &Past<'_>) -> Result<()> {
        let begin = past.as_of - self.lookback_days;
        let all: Vec<&NodePast<'_>> = past.nodes.iter().collect();
        let fleet = self.laws(&all, begin)?;
        let mut systems = BTreeMap::new();
        for (system, nodes) in by_system(past) {
            if let Some(laws) = self.laws(&nodes, begin)? {
                systems.insert(system, laws);
            }
        }
        if fleet.is_none() {
            let reason = format!("fewer than {LEAST_FAILURES} failures or repairs before {}", past.month);
            return Err(TrainError::Data { model: self.name.clone(), reason });
        }
        (self.fleet, self.systems) = (fleet, systems);
        Ok(())
    }

    fn forecast(&self, past: &Past<'_>, asks: &[Ask], budgets: &[f64]) -> Result<Vec<NodeForecast>> {
        let fleet = self.fleet.as_ref().ok_or_else(|| unfitted(&self.name))?;
        let begin = past.as_of - self.lookback_days;
        asks.iter()
            .map(|ask| {
                let node = &past.nodes[ask.node];
                let laws = self.systems.get(&node.system()).unwrap_or(fleet);
                let frailty = match &laws.nodes {
                    Some(nodes) => {
                        let (count, expected) = seen(&laws.up, node, begin)?;
                        Some(nodes.posterior(count, expected)?)
                    }
                    None => None,
                };
                let (up, down, age) = (laws.up.clone(), laws.down.clone(), node.until - node.from);
                let renewal = AlternatingRenewal { first_up: None, up, down, age, frailty };
                Ok(NodeForecast::of(renewal.forecast(node.now(), ask.window, self.replicates, ask.seed)?, budgets))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use datasets::benchmark::lanl::Month;

    use super::super::past::{Fleet, tests::fleet};
    use super::*;

    #[test]
    fn every_law_tells_a_bad_node_from_quiet_ones_when_shrunk() {
        let bad: Vec<(f64, f64)> = (0..60).map(|i| (f64::from(i) * 8.0 + 3.0, 2.0 + f64::from(i % 5))).collect();
        let one = [(40.0, 3.0), (300.0, 1.0)];
        let nodes: Vec<&[(f64, f64)]> = (0..12).map(|i| if i == 0 { bad.as_slice() } else { one.as_slice() }).collect();
        let read = fleet(&nodes);
        let fleet = Fleet::new(&read, 0.0).unwrap();
        let past = fleet.at(Month { year: 2004, month: 4 }).unwrap();
        let asks: Vec<Ask> = fleet.judged(&past, 2, 0).unwrap().into_iter().map(|j| j.ask).collect();
        for law in [UpLaw::Exponential, UpLaw::Weibull, UpLaw::Empirical, UpLaw::PowerLaw] {
            for shrunk in [false, true] {
                let mut model = Renewal::new(law, shrunk, 1000.0, 400);
                assert!(model.forecast(&past, &asks, &[]).is_err(), "not yet fitted");
                model.fit(&past).unwrap();
                let forecasts = model.forecast(&past, &asks, &[0.0]).unwrap();
                let again = model.forecast(&past, &asks, &[0.0]).unwrap();
                assert_eq!(forecasts, again, "the seed decides");
                let (bad, quiet) = (forecasts[0].breach[0], forecasts[3].breach[0]);
                assert!((0.0..=1.0).contains(&bad) && (0.0..=1.0).contains(&quiet));
                if shrunk {
                    // Failures every eight days sharp follow none of the laws; what is asked for is the difference.
                    assert!(bad > 0.7 && quiet < 0.4, "{}: {bad} {quiet}", model.name());
                }
            }
        }
    }

    #[test]
    fn a_fleet_without_failures_cannot_be_fitted() {
        let read = fleet(&[&[], &[]]);
        let fleet = Fleet::new(&read, 0.0).unwrap();
        let past = fleet.at(Month { year: 2004, month: 4 }).unwrap();
        let error = Renewal::new(UpLaw::Weibull, true, 365.0, 10).fit(&past).unwrap_err();
        assert!(error.to_string().contains("fewer than 20"), "{error}");
    }
}
