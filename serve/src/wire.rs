//! Messages to domain and back: the only place that knows both.
//!
//! [`request`] checks what a request says as a whole and reads finished rows, [`windows`] turns samples into rows by
//! the code that history goes through, [`response`] reads predictions from curves.

mod request;
mod response;
mod windows;

use std::sync::{Mutex, PoisonError};

use features::window::RowAssembler;
use features::{FeatureError, MetricId};
use model::BundleInfo;
use proto::v1::{EntityKey, ModelCard, RowStatus};
use survival::Readout;

use crate::config::ServeConfig;
use crate::{Result, ServeError};

/// The model as the wire sees it.
pub(crate) struct Wire {
    info: BundleInfo,
    config: ServeConfig,
    /// Metrics the spec reads, in id order.
    metrics: Vec<MetricId>,
    /// Assemblers not in use: compiling a spec costs more than assembling a row.
    assemblers: Mutex<Vec<RowAssembler>>,
    card: ModelCard,
}

/// A checked request without its features: one entry per row asked for, and what to read from the curves.
pub(crate) struct Rows {
    rows: Vec<Row>,
    readout: Readout,
}

/// Who a row is about, and why it is not computed, if so.
struct Row {
    entity: Option<EntityKey>,
    as_of: i64,
    fault: Option<Fault>,
}

/// Why a row has no answer.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    status: RowStatus,
    detail: String,
}

impl Fault {
    fn invalid(detail: impl Into<String>) -> Self {
        Self { status: RowStatus::InvalidInput, detail: detail.into() }
    }
}

impl From<FeatureError> for Fault {
    fn from(error: FeatureError) -> Self {
        let status = match error {
            FeatureError::NonFinite { .. } | FeatureError::Column { .. } => RowStatus::NonFinite,
            _ => RowStatus::InvalidInput,
        };
        let detail = match error {
            // The row was checked by itself, so its number says nothing.
            FeatureError::Column { column, .. } => infinite(&column),
            error => error.to_string(),
        };
        Self { status, detail }
    }
}

fn infinite(column: &str) -> String {
    format!("column {column:?} is infinite")
}

impl Wire {
    /// Checks that the bundle's parts agree, so that no request can find out that they do not.
    pub(crate) fn try_new(info: BundleInfo, device: &str, config: &ServeConfig) -> Result<Self> {
        let refuse = |reason: String| ServeError::Model { model: info.name.clone(), reason };
        info.spec.validate(&info.catalogue).map_err(|error| refuse(error.to_string()))?;
        // A bundle of an earlier kernel scores finished features; only windows, which it cannot compute, are refused.
        let assemblers = match info.spec.check_kernel() {
            Ok(()) => {
                vec![RowAssembler::try_new(&info.spec, &info.catalogue).map_err(|error| refuse(error.to_string()))?]
            }
            Err(_) => Vec::new(),
        };
        let metrics = info.spec.metrics(&info.catalogue).map_err(|error| refuse(error.to_string()))?;
        if info.spec.hash() != info.spec_hash {
            return Err(refuse(format!(
                "its feature spec hashes to {}, the bundle says {}",
                info.spec.hash(),
                info.spec_hash
            )));
        }
        let last = info.grid.last_edge();
        let readout = &info.readout;
        if readout.quantiles.len() != readout.quantile_levels.len() {
            return Err(refuse(format!(
                "{} quantiles but {} quantile_levels",
                readout.quantiles.len(),
                readout.quantile_levels.len()
            )));
        }
        let mut times = readout.horizons.iter().copied().chain([readout.restricted_to, info.alarms.horizon]);
        let outside = times.find(|&time| !(time > 0.0 && time <= last));
        if let Some(beyond) = outside {
            return Err(refuse(format!(
                "a time to read at is {beyond}, must be above 0 and at most {last}, the last edge"
            )));
        }
        let card = response::card(&info, device, config, &metrics);
        Ok(Self { config: config.clone(), metrics, assemblers: Mutex::new(assemblers), card, info })
    }

    /// What a client needs to know of the model.
    pub(crate) fn card(&self) -> ModelCard {
        self.card.clone()
    }

    /// Refuses a model or version that is not the one loaded; empty takes what there is.
    pub(crate) fn check_model(&self, model: &str, version: &str) -> Result<()> {
        for (what, asked, loaded) in [("model", model, &self.info.name), ("version", version, &self.info.version)] {
            if !asked.is_empty() && asked != loaded {
                let asked = asked.chars().take(256).collect();
                return Err(ServeError::NotFound { what, asked, loaded: loaded.clone() });
            }
        }
        Ok(())
    }

    fn assembler(&self) -> Result<RowAssembler> {
        let free = self.assemblers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match free {
            Some(assembler) => Ok(assembler),
            None => RowAssembler::try_new(&self.info.spec, &self.info.catalogue)
                .map_err(|error| ServeError::Model { model: self.info.name.clone(), reason: error.to_string() }),
        }
    }

    fn give_back(&self, assembler: RowAssembler) {
        self.assemblers.lock().unwrap_or_else(PoisonError::into_inner).push(assembler);
    }
}
