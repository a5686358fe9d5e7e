//! Diebold–Mariano test: losses of two forecasts in sequence (Diebold & Mariano 1995), small-sample form of Harvey,
//! Leybourne & Newbold (1997).
//!
//! d_t = loss of A − loss of B. Forecasts h steps ahead overlap, so d is correlated up to lag h − 1: its long-run
//! variance is γ₀ + 2 Σ w_k γ_k. The statistic d̄/√(variance/n), times √((n + 1 − 2h + h(h−1)/n)/n), is compared with
//! Student's t of n − 1 degrees of freedom.

use serde::{Deserialize, Serialize};

use super::{mean_and_variance, paired, t_result};
use crate::{Interval, Result, SurvivalError};

/// Weights of the autocovariances γ_k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LagWindow {
    /// w = 1 up to lag h − 1: the original form. Its variance can come out negative, which is refused.
    Rectangular,
    /// w = 1 − k/(lags + 1) up to `lags`: never negative (Newey & West 1987). Take lags ≥ h − 1.
    Bartlett {
        /// Last lag with a weight above 0.
        lags: usize,
    },
}

/// Result of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DieboldMariano {
    /// Mean of loss A − loss B with its interval; negative favours A.
    pub effect: Interval,
    /// Corrected statistic.
    pub statistic: f64,
    /// Forecasts − 1.
    pub degrees_of_freedom: f64,
    /// Standard error of the mean difference, correction included.
    pub standard_error: f64,
    /// Two-sided p.
    pub p_value: f64,
}

/// Tests that two series of losses, in the order of time, have one mean; `horizon` h ≥ 1 in steps of the series.
///
/// # Errors
/// When lengths differ, a loss is not finite, there are fewer than two forecasts or not more than `horizon` or lags,
/// all differ by the same amount, or the rectangular variance is not positive.
pub fn diebold_mariano(
    loss_a: &[f64],
    loss_b: &[f64],
    horizon: usize,
    window: LagWindow,
    level: f64,
) -> Result<DieboldMariano> {
    let d = paired("losses in sequence", loss_a, loss_b)?;
    let (mean, plain) = mean_and_variance("losses in sequence", &d)?;
    let lags = match window {
        LagWindow::Rectangular => horizon.saturating_sub(1),
        LagWindow::Bartlett { lags } => lags,
    };
    if horizon == 0 || horizon.max(lags + 1) >= d.len() {
        return Err(SurvivalError::Domain {
            what: "horizon or lags of a comparison of forecasts",
            value: horizon.max(lags) as f64,
            domain: "at least 1 and below the number of forecasts",
        });
    }
    let (n, h) = (d.len() as f64, horizon as f64);
    let mut variance = autocovariance(&d, mean, 0);
    for lag in 1..=lags {
        let weight = match window {
            LagWindow::Rectangular => 1.0,
            LagWindow::Bartlett { .. } => 1.0 - lag as f64 / (lags as f64 + 1.0),
        };
        variance += 2.0 * weight * autocovariance(&d, mean, lag);
    }
    if variance <= 0.0 && plain > 0.0 {
        return Err(SurvivalError::Domain {
            what: "long-run variance of the differences with equal weights",
            value: variance,
            domain: "positive: use the Bartlett window",
        });
    }
    let small_sample = ((n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n).sqrt();
    let standard_error = (variance.max(0.0) / n).sqrt() / small_sample;
    let result = t_result("differences of losses", mean, standard_error, n - 1.0, level)?;
    Ok(DieboldMariano {
        effect: result.effect,
        statistic: result.statistic,
        degrees_of_freedom: n - 1.0,
        standard_error,
        p_value: result.p_value,
    })
}

fn autocovariance(d: &[f64], mean: f64, lag: usize) -> f64 {
    d[lag..].iter().zip(d).map(|(late, early)| (late - mean) * (early - mean)).sum::<f64>() / d.len() as f64
}
