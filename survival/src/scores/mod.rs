//! Every score, from curves and observations only, so that each predictor is judged by the same lines.
//!
//! Censoring is handled by weights `1[T ≤ t, failed]/G(T−)` and `1[T > t]/G(t)`, where G is the Kaplan–Meier estimate of
//! the censoring time fitted on *training* data ([`brier::CensoringWeights`]). Start in [`brier`] (the primary score),
//! then [`concordance`], [`calibration`], [`detection`], [`rul`]; [`resampling`] puts intervals on all of them.

pub mod brier;
pub mod calibration;
pub mod concordance;
pub mod detection;
pub mod incidence_brier;
pub mod log_likelihood;
pub mod resampling;
pub mod rul;

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
