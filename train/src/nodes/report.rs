//! What the months say together: means with intervals by node, differences, series by month, by system.

use std::collections::{BTreeMap, BTreeSet};

use datasets::benchmark::lanl::Month;
use serde::{Deserialize, Serialize};
use survival::compare::diebold_mariano::{DieboldMariano, LagWindow, diebold_mariano};
use survival::{ClusterBootstrap, Interval, PairedInterval};

use super::NodesConfig;
use super::rows::{Losses, MonthRows};
use crate::error::{Result, TrainError};

/// One forecaster over all months.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForecasterScores {
    /// Its name.
    pub name: String,
    /// Mean of each loss over node-months, resampled by node.
    pub losses: BTreeMap<String, Interval>,
    /// Per target, mean forecast probability of a breach, beside the observed share of [`NodesReport::breached`].
    pub mean_probability: Vec<f64>,
}

/// One forecaster against another on the same node-months.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Below 0 means that this one is better …
    pub a: String,
    /// … than this one.
    pub b: String,
    /// Which loss.
    pub loss: String,
    /// Mean difference, resampled by node.
    pub difference: PairedInterval,
}

/// Mean losses of each month: the series a Diebold–Mariano test takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonthlyLosses {
    /// The months, increasing.
    pub months: Vec<Month>,
    /// Node-months behind each mean.
    pub nodes: Vec<usize>,
    /// By loss, then forecaster: one mean per month.
    pub losses: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

impl MonthlyLosses {
    /// Diebold–Mariano of `reference` against every rival on the monthly means, by loss and rival: dependence up to three
    /// months is allowed for. Losses without a series of the reference, or whose difference never moves, are left out.
    #[must_use]
    pub fn diebold_mariano(&self, reference: &str) -> BTreeMap<String, BTreeMap<String, DieboldMariano>> {
        let mut tests: BTreeMap<String, BTreeMap<String, DieboldMariano>> = BTreeMap::new();
        for (loss, by_forecaster) in &self.losses {
            let Some(own) = by_forecaster.get(reference) else { continue };
            for (rival, theirs) in by_forecaster.iter().filter(|(rival, _)| *rival != reference) {
                if let Ok(test) = diebold_mariano(own, theirs, 1, LagWindow::Bartlett { lags: 3 }, 0.95) {
                    tests.entry(loss.clone()).or_default().insert(rival.clone(), test);
                }
            }
        }
        tests
    }
}

/// The whole result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodesReport {
    /// Digest of the file.
    pub data: String,
    /// How it was made.
    pub config: NodesConfig,
    /// Node-months judged.
    pub node_months: usize,
    /// Distinct nodes among them.
    pub nodes: usize,
    /// Mean observed availability.
    pub availability: f64,
    /// Per target, share of node-months that missed it.
    pub breached: Vec<f64>,
    /// Best absolute error first.
    pub scores: Vec<ForecasterScores>,
    /// The reference forecaster against every other, by loss.
    pub comparisons: Vec<Comparison>,
    /// Series by month.
    pub monthly: MonthlyLosses,
    /// Mean losses within each system: system, loss, forecaster.
    pub by_system: BTreeMap<u32, BTreeMap<String, BTreeMap<String, f64>>>,
}

/// Names of the losses, in the order of the tables.
#[must_use]
pub fn loss_names(targets: &[f64]) -> Vec<String> {
    let brier = targets.iter().map(|target| format!("brier_{target}"));
    ["absolute_error", "absolute_error_of_mean", "squared_error", "crps"]
        .into_iter()
        .map(str::to_owned)
        .chain(brier)
        .collect()
}

/// The values of one loss, by its place in [`loss_names`].
fn values(losses: &Losses, place: usize) -> &[f64] {
    match place {
        0 => &losses.absolute_error,
        1 => &losses.absolute_error_of_mean,
        2 => &losses.squared_error,
        3 => &losses.crps,
        target => &losses.brier[target - 4],
    }
}

/// The mean loss of every forecaster in every month. The Diebold–Mariano test on the differences of two of these series
/// is applied by whoever compares them.
#[must_use]
pub fn monthly_losses(months: &[MonthRows], targets: &[f64]) -> MonthlyLosses {
    let mut losses: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for (place, loss) in loss_names(targets).into_iter().enumerate() {
        let series = losses.entry(loss).or_default();
        for month in months {
            for (name, row) in &month.losses {
                series.entry(name.clone()).or_default().push(mean(values(row, place)));
            }
        }
    }
    MonthlyLosses {
        months: months.iter().map(|month| month.month).collect(),
        nodes: months.iter().map(|month| month.nodes.len()).collect(),
        losses,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn report(months: &[MonthRows], config: &NodesConfig, data: &str) -> Result<NodesReport> {
    let nodes: Vec<&str> = months.iter().flat_map(|month| &month.nodes).map(String::as_str).collect();
    let distinct: BTreeSet<&str> = nodes.iter().copied().collect();
    let systems: Vec<u32> = months.iter().flat_map(|month| &month.systems).copied().collect();
    let availability: Vec<f64> = months.iter().flat_map(|month| &month.availability).copied().collect();
    let bootstrap = ClusterBootstrap::new(&nodes, config.bootstrap, config.seed)?;
    let names: Vec<&String> = months.first().map(|month| month.losses.keys().collect()).unwrap_or_default();
    let pooled = |name: &str, pick: &dyn Fn(&Losses) -> Vec<f64>| -> Result<Vec<f64>> {
        let mut all = Vec::with_capacity(nodes.len());
        for month in months {
            let losses = month.losses.get(name).ok_or_else(|| TrainError::Data {
                model: name.to_owned(),
                reason: format!("it has no forecasts for {}", month.month),
            })?;
            all.extend(pick(losses));
        }
        Ok(all)
    };
    let losses = loss_names(&config.targets);
    let mut scores = Vec::new();
    let mut by_system: BTreeMap<u32, BTreeMap<String, BTreeMap<String, f64>>> = BTreeMap::new();
    let mut tables: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for name in names {
        let mut intervals = BTreeMap::new();
        for (place, loss) in losses.iter().enumerate() {
            let all = pooled(name, &|row| values(row, place).to_vec())?;
            intervals.insert(loss.clone(), bootstrap.interval_of_mean(&all)?);
            let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
            for (system, value) in systems.iter().zip(&all) {
                let sum = sums.entry(*system).or_default();
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
            for (system, (sum, count)) in sums {
                by_system.entry(system).or_default().entry(loss.clone()).or_default().insert(name.clone(), sum / count);
            }
            tables.insert((place, name), all);
        }
        let mean_probability = (0..config.targets.len())
            .map(|target| Ok(mean(&pooled(name, &|row| row.probability[target].clone())?)))
            .collect::<Result<_>>()?;
        scores.push(ForecasterScores { name: name.clone(), losses: intervals, mean_probability });
    }
    let mut comparisons = Vec::new();
    for (place, loss) in losses.iter().enumerate() {
        let Some(reference) = tables.get(&(place, config.reference.as_str())) else { continue };
        for ((other, name), values) in &tables {
            if *other == place && *name != config.reference {
                comparisons.push(Comparison {
                    a: config.reference.clone(),
                    b: (*name).to_owned(),
                    loss: loss.clone(),
                    difference: bootstrap.paired_difference(reference, values)?,
                });
            }
        }
    }
    let by_error = |scores: &ForecasterScores| scores.losses.get("crps").map_or(f64::INFINITY, |i| i.estimate);
    scores.sort_by(|a, b| by_error(a).total_cmp(&by_error(b)));
    let breached = (0..config.targets.len())
        .map(|target| {
            let missed = months.iter().flat_map(|month| &month.breached[target]).filter(|missed| **missed).count();
            missed as f64 / nodes.len() as f64
        })
        .collect();
    Ok(NodesReport {
        data: data.to_owned(),
        config: config.clone(),
        node_months: nodes.len(),
        nodes: distinct.len(),
        availability: mean(&availability),
        breached,
        scores,
        comparisons,
        monthly: monthly_losses(months, &config.targets),
        by_system,
    })
}

impl NodesReport {
    /// The scores and the reference's differences as plain text.
    #[must_use]
    pub fn table(&self) -> String {
        let config = &self.config;
        let mut lines = vec![
            format!(
                "{} node-months of {} nodes, {} to {}, forecast when {:.0} % of the month has passed",
                self.node_months,
                self.nodes,
                config.first,
                config.last,
                100.0 * config.elapsed
            ),
            format!("mean availability {:.5}", self.availability),
        ];
        for (target, share) in config.targets.iter().zip(&self.breached) {
            lines.push(format!("target {target}: missed in {:.2} % of node-months", 100.0 * share));
        }
        let losses = loss_names(&config.targets);
        lines.push(String::new());
        let mut header = format!("{:<22}", "x 1000, [95 % by node]");
        for loss in &losses {
            header += &format!(" {:>28}", loss.replace("absolute_error", "abs").replace("squared_error", "sq"));
        }
        header += "  mean P(breach)";
        lines.push(header);
        for scores in &self.scores {
            let mut line = format!("{:<22}", scores.name);
            for loss in &losses {
                let cell = scores.losses.get(loss).map_or_else(String::new, |i| {
                    format!("{:.3} [{:.3}, {:.3}]", 1e3 * i.estimate, 1e3 * i.low, 1e3 * i.high)
                });
                line += &format!(" {cell:>28}");
            }
            for probability in &scores.mean_probability {
                line += &format!("  {probability:.4}");
            }
            lines.push(line);
        }
        lines.push(String::new());
        lines.push(format!(
            "{} minus rival, x 1000, [95 % by node]; below 0: {} is better",
            config.reference, config.reference
        ));
        let rivals: BTreeSet<&str> = self.comparisons.iter().map(|c| c.b.as_str()).collect();
        for rival in rivals {
            let mut line = format!("{rival:<22}");
            for loss in &losses {
                let found = self.comparisons.iter().find(|c| c.b == rival && c.loss == *loss);
                let cell = found.map_or_else(String::new, |c| {
                    let d = &c.difference;
                    format!("{:.3} [{:.3}, {:.3}]", 1e3 * d.difference, 1e3 * d.low, 1e3 * d.high)
                });
                line += &format!(" {cell:>28}");
            }
            lines.push(line);
        }
        lines.join("\n") + "\n"
    }
}
