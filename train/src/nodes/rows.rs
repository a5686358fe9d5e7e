//! One month of forecasts and outcomes: scored, written to disk whole, read back when nothing has changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use datasets::benchmark::lanl::Month;
use serde::{Deserialize, Serialize};
use survival::sla::breach_brier;

use super::forecaster::NodeForecast;
use super::past::{Judged, Past};
use crate::error::{Result, TrainError, io};

/// What one forecaster lost on each node of a month.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// |median − observed| of availability.
    pub absolute_error: Vec<f64>,
    /// |mean − observed|.
    pub absolute_error_of_mean: Vec<f64>,
    /// (mean − observed)².
    pub squared_error: Vec<f64>,
    /// CRPS in availability.
    pub crps: Vec<f64>,
    /// Per target, (p − breached)².
    pub brier: Vec<Vec<f64>>,
    /// Per target, the probability of a breach.
    pub probability: Vec<Vec<f64>>,
}

/// Every forecast of one month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonthRows {
    /// Data, settings and forecasters it was made from.
    pub identity: String,
    /// The month.
    pub month: Month,
    /// Key of each node.
    pub nodes: Vec<String>,
    /// System of each node.
    pub systems: Vec<u32>,
    /// Observed availability of the month.
    pub availability: Vec<f64>,
    /// Per target, whether it was missed.
    pub breached: Vec<Vec<bool>>,
    /// By forecaster.
    pub losses: BTreeMap<String, Losses>,
}

impl MonthRows {
    pub(super) fn new(identity: &str, past: &Past<'_>, judged: &[Judged], budgets: &[f64]) -> Self {
        let node = |row: &Judged| &past.nodes[row.ask.node];
        Self {
            identity: identity.to_owned(),
            month: past.month,
            nodes: judged.iter().map(|row| node(row).key().to_owned()).collect(),
            systems: judged.iter().map(|row| node(row).system()).collect(),
            availability: judged.iter().map(|row| rounded(availability(row))).collect(),
            breached: budgets.iter().map(|b| judged.iter().map(|row| row.downtime > *b).collect()).collect(),
            losses: BTreeMap::new(),
        }
    }

    /// Scores one forecaster.
    ///
    /// # Errors
    /// When it answered another number of questions, or with something that is no forecast.
    pub(super) fn add(&mut self, name: &str, judged: &[Judged], forecasts: &[NodeForecast]) -> Result<()> {
        let targets = self.breached.len();
        let mut losses = Losses {
            brier: vec![Vec::with_capacity(judged.len()); targets],
            probability: vec![Vec::with_capacity(judged.len()); targets],
            ..Losses::default()
        };
        if forecasts.len() != judged.len() || forecasts.iter().any(|forecast| forecast.breach.len() != targets) {
            let reason = format!("{} answers to {} questions of {targets} targets", forecasts.len(), judged.len());
            return Err(TrainError::Data { model: name.to_owned(), reason });
        }
        for (row, (asked, forecast)) in judged.iter().zip(forecasts).enumerate() {
            let observed = availability(asked);
            let mean = forecast.downtime.mean_availability();
            let median = forecast.downtime.availability_quantile(0.5)?;
            losses.absolute_error.push(rounded((median - observed).abs()));
            losses.absolute_error_of_mean.push(rounded((mean - observed).abs()));
            losses.squared_error.push(rounded((mean - observed).powi(2)));
            losses.crps.push(rounded(forecast.downtime.crps(asked.downtime)?));
            for (target, &probability) in forecast.breach.iter().enumerate() {
                losses.brier[target].push(rounded(breach_brier(probability, self.breached[target][row])?));
                losses.probability[target].push(rounded(probability));
            }
        }
        self.losses.insert(name.to_owned(), losses);
        Ok(())
    }

    /// The month in a folder, if it is there and made from the same; one made from something else is made anew.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub(super) fn load(folder: &Path, month: Month, identity: &str) -> Result<Option<Self>> {
        let path = folder.join(file_name(month));
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(io(&path))?;
        let rows: Self = serde_json::from_slice(&bytes).map_err(|error| TrainError::Config {
            file: path.display().to_string(),
            reason: format!("{error}; remove the file to have the month made again"),
        })?;
        Ok((rows.identity == identity && rows.month == month).then_some(rows))
    }

    /// Writes the month beside its place, waits for the disk, and moves it there.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let place = folder.join(file_name(self.month));
        let staging = folder.join(format!(".{}.staging-{}", file_name(self.month), std::process::id()));
        let text = serde_json::to_vec(self)
            .map_err(|error| TrainError::Config { file: place.display().to_string(), reason: error.to_string() })?;
        fs::write(&staging, text).map_err(io(&staging))?;
        fs::File::open(&staging).and_then(|file| file.sync_all()).map_err(io(&staging))?;
        fs::rename(&staging, &place).map_err(io(&place))
    }
}

fn file_name(month: Month) -> String {
    format!("origin-{month}.json")
}

fn availability(row: &Judged) -> f64 {
    (1.0 - row.downtime / row.ask.window.length).clamp(0.0, 1.0)
}

/// Nine decimals: below any difference that is reported, and a third of the bytes.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}
