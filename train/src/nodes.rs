//! Availability, repair and service levels of nodes that fail and are repaired, forecast month by month.
//!
//! For every month and every node in service throughout it: how much of it will the node be up, and will it miss its
//! targets? Forecasts are made at the beginning of the month (or when part of it has passed), from what is known then
//! ([`past`]), by rivals that share one seam ([`forecaster`]): monthly figures alone ([`naive`], [`beta_binomial`]),
//! renewal processes with classical laws ([`renewal`]), and hazards learned from history ([`learned`], on the rows of
//! [`history`]).
//!
//! A forecast is a distribution, and each loss is met with what is best under it: the absolute error with the median, the
//! squared error with the mean (Gneiting 2011). Most node-months have no downtime at all, so under the absolute error
//! `always-up` is hard to beat, and a forecaster that beats it there has told quiet nodes from bad ones; CRPS, squared
//! error and the Brier scores of a breach show what the rest of the distribution is worth.
//!
//! Months that are done are kept in a folder and not made again while data, settings and forecasters stay the same.

pub mod beta_binomial;
pub mod forecaster;
pub mod history;
pub mod learned;
pub mod naive;
pub mod past;
pub mod renewal;
pub mod report;
pub mod rows;

use std::fs;
use std::path::Path;

use datasets::Progress;
use datasets::benchmark::lanl::{LanlNodes, Month};
use serde::{Deserialize, Serialize};
use survival::HazardOptions;

use crate::error::{Result, TrainError, io};
use beta_binomial::BetaBinomial;
use forecaster::AvailabilityForecaster;
use learned::{Learned, Logistic};
use naive::{Naive, Smoothing};
use past::{Ask, Fleet};
use renewal::{Renewal, UpLaw};
pub use report::{MonthlyLosses, NodesReport, monthly_losses};
use rows::MonthRows;

/// Which months are forecast, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodesConfig {
    /// First month forecast. Systems report thinly in their first year, so not the first of the file.
    pub first: Month,
    /// Last month forecast; the file must reach beyond its end.
    pub last: Month,
    /// Share of the month that has passed when its forecast is made: 0, or ½ for a service level at mid-window.
    pub elapsed: f64,
    /// Whole months a node must have been in service.
    pub least_months: usize,
    /// Availability targets.
    pub targets: Vec<f64>,
    /// How far back classical laws, repairs and shares of breached months look, days.
    pub lookback_days: f64,
    /// How far back rows for learned hazards reach, days.
    pub learned_lookback_days: f64,
    /// Months between two fits of a learned hazard.
    pub refit_every: usize,
    /// Simulated futures per forecast.
    pub replicates: usize,
    /// Resamples of nodes.
    pub bootstrap: usize,
    /// The forecaster the others are compared with.
    pub reference: String,
    /// Seed of simulations and resamples.
    pub seed: u64,
}

impl Default for NodesConfig {
    fn default() -> Self {
        Self {
            first: Month { year: 2000, month: 1 },
            last: Month { year: 2005, month: 8 },
            elapsed: 0.0,
            least_months: 3,
            targets: vec![0.99, 0.999],
            lookback_days: 365.0,
            learned_lookback_days: 730.0,
            refit_every: 3,
            replicates: 500,
            bootstrap: 2_000,
            reference: "discrete-hazard".to_owned(),
            seed: 0,
        }
    }
}

impl NodesConfig {
    fn check(&self) -> Result<()> {
        let refuse = |reason: String| Err(TrainError::Config { file: "nodes".to_owned(), reason });
        if self.last < self.first {
            return refuse(format!("last ({}) lies before first ({})", self.last, self.first));
        }
        if !(0.0..1.0).contains(&self.elapsed) {
            return refuse(format!("elapsed is {}, must be at least 0 and below 1", self.elapsed));
        }
        if self.targets.is_empty() || self.targets.iter().any(|t| !(*t > 0.0 && *t < 1.0)) {
            return refuse(format!("targets are {:?}; give at least one, each between 0 and 1", self.targets));
        }
        if self.least_months == 0 || self.refit_every == 0 || self.replicates == 0 || self.bootstrap == 0 {
            return refuse("least_months, refit_every, replicates and bootstrap must be above 0".to_owned());
        }
        let backwards = [self.lookback_days, self.learned_lookback_days];
        if backwards.iter().any(|days| !(days.is_finite() && *days > 0.0)) {
            return refuse(format!("lookbacks are {backwards:?} days, must be above 0"));
        }
        Ok(())
    }

    /// The rivals that come with the protocol, the learned one last. Others may be added to the list.
    #[must_use]
    pub fn forecasters(&self) -> Vec<Box<dyn AvailabilityForecaster>> {
        let renewal = |law, shrunk| Box::new(Renewal::new(law, shrunk, self.lookback_days, self.replicates));
        let months = (self.lookback_days / 30.0).round().max(1.0) as usize;
        let options = HazardOptions { ridge: 1.0, tolerance: 1e-6, ..HazardOptions::default() };
        let hazards = Logistic::new(options);
        vec![
            Box::new(Naive::AlwaysUp),
            Box::new(Naive::LastValue),
            Box::new(Naive::MeanSoFar),
            Box::new(Smoothing::default()),
            Box::new(BetaBinomial::new(months)),
            renewal(UpLaw::Exponential, false),
            renewal(UpLaw::Exponential, true),
            renewal(UpLaw::Weibull, false),
            renewal(UpLaw::Weibull, true),
            renewal(UpLaw::Empirical, true),
            renewal(UpLaw::PowerLaw, true),
            Box::new(Learned::new(
                hazards,
                self.learned_lookback_days,
                self.lookback_days,
                self.replicates,
                self.refit_every,
            )),
        ]
    }
}

/// Runs the protocol; months go to `work` as `origin-YYYY-MM.json` and are taken from there when they match.
///
/// # Errors
/// When the settings contradict themselves or the file, a forecaster cannot be fitted, two bear one name, or the disk
/// refuses.
pub fn forecast_nodes(
    data: &LanlNodes,
    config: &NodesConfig,
    forecasters: &mut [Box<dyn AvailabilityForecaster>],
    work: &Path,
    progress: &dyn Progress,
) -> Result<NodesReport> {
    config.check()?;
    let identity = identity(data, config, forecasters)?;
    fs::create_dir_all(work).map_err(io(work))?;
    let fleet = Fleet::new(data, config.elapsed)?;
    let mut months = Vec::new();
    let mut month = config.first;
    while month <= config.last {
        months.push(month);
        month = month.next();
    }
    progress.begin("months", Some(months.len() as u64));
    // The month each forecaster was last fitted in: after a resumption that need not be the one it should be.
    let mut fitted: Vec<Option<Month>> = vec![None; forecasters.len()];
    let mut done = Vec::with_capacity(months.len());
    for (index, &month) in months.iter().enumerate() {
        if let Some(rows) = MonthRows::load(work, month, &identity)? {
            done.push(rows);
            progress.advance(1);
            continue;
        }
        let beyond = |month: Month| TrainError::Config {
            file: "nodes".to_owned(),
            reason: format!("{month} does not end within the file; choose an earlier last month"),
        };
        let past = fleet.at(month).ok_or_else(|| beyond(month))?;
        let judged = fleet.judged(&past, config.least_months, config.seed)?;
        if judged.is_empty() {
            let reason = format!("no node has been in service for {} months before {month}", config.least_months);
            return Err(TrainError::Data { model: "nodes".to_owned(), reason });
        }
        let budgets: Vec<f64> = config.targets.iter().map(|target| (1.0 - target) * past.length).collect();
        let asks: Vec<Ask> = judged.iter().map(|row| row.ask).collect();
        let mut rows = MonthRows::new(&identity, &past, &judged, &budgets);
        for (forecaster, fitted) in forecasters.iter_mut().zip(&mut fitted) {
            let due = months[index - index % forecaster.refit_every().max(1)];
            if *fitted != Some(due) {
                if due == month {
                    forecaster.fit(&past)?;
                } else {
                    forecaster.fit(&fleet.at(due).ok_or_else(|| beyond(due))?)?;
                }
                *fitted = Some(due);
            }
            let forecasts = forecaster.forecast(&past, &asks, &budgets)?;
            rows.add(forecaster.name(), &judged, &forecasts)?;
        }
        rows.save(work)?;
        done.push(rows);
        progress.advance(1);
    }
    progress.end();
    report::report(&done, config, &data.input.sha256)
}

/// What a finished month depends on: not on the range of months, except that refits are counted from the first.
fn identity(data: &LanlNodes, config: &NodesConfig, forecasters: &[Box<dyn AvailabilityForecaster>]) -> Result<String> {
    let mut names: Vec<&str> = forecasters.iter().map(|forecaster| forecaster.name()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("two forecasters are called {:?}", pair[0]);
        return Err(TrainError::Config { file: "nodes".to_owned(), reason });
    }
    let settings: Vec<String> = forecasters.iter().map(|forecaster| forecaster.settings()).collect();
    Ok(format!(
        "data {} first {} elapsed {} least {} targets {:?} seed {}: {}",
        data.input.sha256,
        config.first,
        config.elapsed,
        config.least_months,
        config.targets,
        config.seed,
        settings.join("; ")
    ))
}

#[cfg(test)]
mod tests;
