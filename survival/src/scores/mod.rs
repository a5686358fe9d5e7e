//! Every score, from curves and observations only, so that each predictor is judged by the same lines.
//!
//! Censoring is handled by weights `1[T ≤ t, failed]/G(T−)` and `1[T > t]/G(t)`, where G is the Kaplan–Meier estimate of
//! the censoring time fitted on *training* data ([`brier::CensoringWeights`]). Start in [`brier`] (the primary score);
//! [`resampling`] puts intervals on all of them.
//!
//! Order: [`concordance`], [`antolini`], [`incidence_concordance`], [`dynamic_auc`]. Curves: [`brier`],
//! [`incidence_brier`], [`scaled_brier`], [`nbll`], [`crps`], [`log_likelihood`]. Calibration: [`calibration`],
//! [`one_calibration`], [`marginal_calibration`], [`calibration_index`]. Lives: [`rul`], [`censored_rul`],
//! [`prognostics`], [`health_indicator`]. Decisions: [`detection`], [`alerts`], [`action_costs`]. Anomalies: [`anomaly`],
//! [`anomaly_volume`]. Faults: [`classification`], [`root_cause`].

pub mod action_costs;
pub mod alerts;
pub mod anomaly;
pub mod anomaly_volume;
pub mod antolini;
pub mod brier;
pub mod calibration;
pub mod calibration_index;
pub mod censored_rul;
pub mod classification;
pub mod concordance;
pub mod crps;
pub mod detection;
pub mod dynamic_auc;
pub mod health_indicator;
pub mod incidence_brier;
pub mod incidence_concordance;
pub mod log_likelihood;
pub mod marginal_calibration;
pub mod nbll;
pub mod one_calibration;
pub mod prognostics;
pub mod resampling;
pub mod root_cause;
pub mod rul;
pub mod scaled_brier;

use crate::{Result, SurvivalError};

/// Two inputs with one value per row.
pub(crate) fn check_rows(what: &'static str, expected: usize, got: usize) -> Result<()> {
    if expected == 0 {
        return Err(SurvivalError::Empty { what: "list of observations" });
    }
    if expected == got { Ok(()) } else { Err(SurvivalError::Shape { what, expected, got }) }
}

/// Every value finite; the error names its row.
pub(crate) fn check_values(what: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(row) => Err(SurvivalError::NonFinite { what, row, column: 0, value: values[row] }),
    }
}
