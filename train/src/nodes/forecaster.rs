//! The seam between the protocol and whatever forecasts.

use survival::renewal::{DowntimeForecast, Window};

use super::past::{Ask, Past};
use crate::error::{Result, TrainError};

/// A forecast of one node's month.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeForecast {
    /// Distribution of the downtime of the whole month, days; one draw is a point forecast.
    pub downtime: DowntimeForecast,
    /// P(downtime > budget) for every budget asked about.
    pub breach: Vec<f64>,
}

impl NodeForecast {
    /// Breach probabilities as the distribution has them.
    #[must_use]
    pub fn of(downtime: DowntimeForecast, budgets: &[f64]) -> Self {
        let breach = budgets.iter().map(|&budget| downtime.breach_probability(budget)).collect();
        Self { downtime, breach }
    }

    /// One value, certain of itself.
    ///
    /// # Errors
    /// When it is less than was spent or more than is left.
    pub fn point(window: Window, downtime: f64, budgets: &[f64]) -> Result<Self> {
        Ok(Self::of(DowntimeForecast::from_draws(window, vec![downtime])?, budgets))
    }
}

/// Forecasts months of nodes from their past.
///
/// [`AvailabilityForecaster::fit`] sees a fleet as known at one moment; [`AvailabilityForecaster::forecast`] may be asked
/// at that moment and at later ones, until the next fit.
pub trait AvailabilityForecaster {
    /// Name in tables.
    fn name(&self) -> &str;

    /// Everything a result depends on besides data and protocol; a change of it repeats finished months.
    fn settings(&self) -> String {
        self.name().to_owned()
    }

    /// Fits anew every so many months, counted from the first.
    fn refit_every(&self) -> usize {
        1
    }

    /// Learns from what is known.
    ///
    /// # Errors
    /// When nothing can be learned from it.
    fn fit(&mut self, past: &Past<'_>) -> Result<()>;

    /// One forecast per question; `budgets` are downtimes of the whole month, days.
    ///
    /// # Errors
    /// When it was never fitted, or a law refuses its inputs.
    fn forecast(&self, past: &Past<'_>, asks: &[Ask], budgets: &[f64]) -> Result<Vec<NodeForecast>>;
}

/// The refusal of a forecaster that was never fitted.
pub(super) fn unfitted(name: &str) -> TrainError {
    TrainError::Data { model: name.to_owned(), reason: "it was asked for a forecast before it was fitted".to_owned() }
}
