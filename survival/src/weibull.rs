//! The Weibull case of [`AftModel`] under its own name, and as it has always lain in bundles.
//!
//! S(t|x) = exp(−(t/λ(x))^ρ), ln λ(x) = b₀ + xβ. ρ < 1: early failures, 1: constant hazard, ρ > 1: wear-out.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

pub use crate::aft::AftOptions;
use crate::aft::{AftFit, AftModel};
use crate::aft_law::AftLaw;
use crate::special::gamma;
use crate::{Observation, Result, SurvivalCurve, TimeGrid};

/// A fitted Weibull accelerated-life model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "AftFit", into = "AftFit")]
pub struct WeibullAft(AftModel);

impl From<AftFit> for WeibullAft {
    fn from(fit: AftFit) -> Self {
        Self(AftModel::of_fit(AftLaw::Weibull, fit))
    }
}

impl From<WeibullAft> for AftFit {
    fn from(model: WeibullAft) -> Self {
        model.0.into_fit()
    }
}

impl WeibullAft {
    /// [`AftModel::fit`] with the Weibull law.
    ///
    /// # Errors
    /// As [`AftModel::fit`].
    pub fn fit(x: ArrayView2<'_, f64>, observations: &[Observation], options: &AftOptions) -> Result<Self> {
        AftModel::fit(x, observations, AftLaw::Weibull, options).map(Self)
    }

    /// The same with `events[i]` saying whether row i ended in the event.
    ///
    /// # Errors
    /// As [`AftModel::fit`].
    pub fn fit_events(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        events: &[bool],
        options: &AftOptions,
    ) -> Result<Self> {
        AftModel::fit_events(x, observations, events, AftLaw::Weibull, options).map(Self)
    }

    /// The same model among its family.
    #[must_use]
    pub fn as_aft(&self) -> &AftModel {
        &self.0
    }

    /// b₀: ln λ at x = 0.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.0.intercept()
    }

    /// β per unit of the original columns.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        self.0.coefficients()
    }

    /// ρ.
    #[must_use]
    pub fn shape(&self) -> f64 {
        self.0.shape()
    }

    /// Log-likelihood at the optimum, in the unit of the durations, without the penalty.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.0.log_likelihood()
    }

    /// Newton steps taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.0.iterations()
    }

    /// λ(x): the age by which 63.2 % have failed, in the unit of the durations.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn scale(&self, row: &[f64]) -> Result<f64> {
        self.0.scale(row)
    }

    /// MTTF(x) = λ(x)·Γ(1 + 1/ρ).
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn mean_time_to_failure(&self, row: &[f64]) -> Result<f64> {
        Ok(self.0.scale(row)? * gamma(1.0 + 1.0 / self.0.shape()))
    }

    /// S(t|x).
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn survival_at(&self, row: &[f64], time: f64) -> Result<f64> {
        self.0.survival_at(row, time)
    }

    /// H(t|x) = (t/λ(x))^ρ; 0 up to t = 0.
    ///
    /// # Errors
    /// When the row has another width than the model.
    pub fn cumulative_hazard_at(&self, row: &[f64], time: f64) -> Result<f64> {
        self.0.cumulative_hazard_at(row, time)
    }

    /// S at the edges for every row of an n × p table.
    ///
    /// # Errors
    /// When the table has another width than the model or holds a value that is not finite.
    pub fn survival_on_grid(&self, rows: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        self.0.survival_on_grid(rows, grid)
    }
}
