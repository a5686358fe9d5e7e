//! The answer for one entity, every number read from one curve.

use serde::{Deserialize, Serialize};

use crate::{Cause, Result, SurvivalCurve};

/// What to read from a curve: fixed per bundle, so that report, night and server print the same thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readout {
    /// Horizons for the failure probability, in the grid's unit, increasing.
    pub horizons: Vec<f64>,
    /// Nominal levels of the RUL quantiles, such as 0.05, 0.5, 0.95.
    pub quantiles: Vec<f64>,
    /// Curve levels at which those quantiles are read, adjusted on the calibration split; the nominal levels when not calibrated.
    pub quantile_levels: Vec<f64>,
    /// Restriction time of the mean remaining life (125 cycles on C-MAPSS).
    pub restricted_to: f64,
}

/// Failure probability per horizon, remaining useful life, cause and health of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// 1 − S(h) for each horizon of the [`Readout`].
    pub failure_probability: Vec<f64>,
    /// F_c(h): one row per cause, one value per horizon.
    pub incidence: Vec<Vec<f64>>,
    /// Remaining useful life at each quantile level; `None` beyond the grid.
    pub rul_quantiles: Vec<Option<f64>>,
    /// ∫₀^τ S with τ = `restricted_to`.
    pub restricted_mean: f64,
    /// Cause with the largest incidence at the last horizon.
    pub cause: Cause,
    /// That cause's share of the failure probability at the last horizon.
    pub cause_share: f64,
    /// 1 − p(first horizon): 1 is healthy.
    pub health_indicator: f64,
}

impl Prediction {
    /// Reads a prediction from a curve.
    ///
    /// # Errors
    /// When a horizon or the restriction time lies beyond the curve's grid.
    pub fn from_curve(curve: &SurvivalCurve, readout: &Readout) -> Result<Self> {
        let failure_probability =
            readout.horizons.iter().map(|&h| curve.failure_probability(h)).collect::<Result<Vec<_>>>()?;
        let mut incidence = Vec::with_capacity(curve.causes());
        for cause in 0..curve.causes() {
            let cause = Cause(u16::try_from(cause).unwrap_or(u16::MAX));
            incidence.push(
                readout.horizons.iter().map(|&h| curve.cumulative_incidence(cause, h)).collect::<Result<Vec<_>>>()?,
            );
        }
        let rul_quantiles = readout.quantile_levels.iter().map(|&q| curve.quantile(q)).collect::<Result<Vec<_>>>()?;
        let last = readout.horizons.last().copied().unwrap_or(readout.restricted_to);
        let (cause, cause_share) = curve.most_likely_cause(last)?;
        let health_indicator = 1.0 - failure_probability.first().copied().unwrap_or(0.0);
        Ok(Self {
            restricted_mean: curve.restricted_mean(readout.restricted_to)?,
            failure_probability,
            incidence,
            rul_quantiles,
            cause,
            cause_share,
            health_indicator,
        })
    }
}
