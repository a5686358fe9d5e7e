//! Errors of remaining-useful-life predictions, where the true life is known.
//!
//! d = predicted − true, in the grid's unit: d > 0 promises more life than there was, the costly side.

use super::{check_rows, check_values};
use crate::special::open_unit;
use crate::{Result, SurvivalError};

/// √mean(d²).
///
/// # Errors
/// When lengths differ, there is no row, or a value is not finite.
pub fn rmse(predicted: &[f64], truth: &[f64]) -> Result<f64> {
    Ok(mean_of(predicted, truth, |d| d * d)?.sqrt())
}

/// mean |d|.
///
/// # Errors
/// As [`rmse`].
pub fn mae(predicted: &[f64], truth: &[f64]) -> Result<f64> {
    mean_of(predicted, truth, f64::abs)
}

/// Score of the PHM 2008 challenge: Σ (e^{−d/13} − 1 if d < 0, e^{d/10} − 1 otherwise).
///
/// A sum of exponentials: one unit can move it by thousands, so print the root mean square error beside it.
///
/// # Errors
/// As [`rmse`].
pub fn phm08(predicted: &[f64], truth: &[f64]) -> Result<f64> {
    let mean = mean_of(predicted, truth, |d| if d < 0.0 { (-d / 13.0).exp_m1() } else { (d / 10.0).exp_m1() })?;
    Ok(mean * predicted.len() as f64)
}

/// Mean pinball loss of a predicted quantile: q·(y − ŷ) above it, (1 − q)·(ŷ − y) below.
///
/// # Errors
/// As [`rmse`]; also when `quantile` is outside (0, 1).
pub fn pinball(quantile: f64, predicted: &[f64], truth: &[f64]) -> Result<f64> {
    open_unit("quantile level", quantile)?;
    mean_of(predicted, truth, |d| if d > 0.0 { (1.0 - quantile) * d } else { -quantile * d })
}

/// How often intervals hold the truth, and how wide they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Share of rows with low ≤ truth ≤ high.
    pub share: f64,
    /// Mean of high − low.
    pub mean_width: f64,
    /// Rows counted.
    pub rows: usize,
}

/// Coverage and mean width of predicted intervals.
///
/// # Errors
/// When lengths differ, a value is not finite, or an interval ends before it begins.
pub fn coverage(low: &[f64], high: &[f64], truth: &[f64]) -> Result<Coverage> {
    check_rows("upper ends", low.len(), high.len())?;
    check_rows("true values", low.len(), truth.len())?;
    check_values("lower ends", low)?;
    check_values("upper ends", high)?;
    check_values("true values", truth)?;
    let (mut inside, mut width) = (0_usize, 0.0);
    for ((&low, &high), truth) in low.iter().zip(high).zip(truth) {
        if high < low {
            return Err(SurvivalError::Domain {
                what: "upper end of an interval",
                value: high,
                domain: "at least the lower end",
            });
        }
        inside += usize::from((low..=high).contains(truth));
        width += high - low;
    }
    let rows = truth.len();
    Ok(Coverage { share: inside as f64 / rows as f64, mean_width: width / rows as f64, rows })
}

fn mean_of(predicted: &[f64], truth: &[f64], error: impl Fn(f64) -> f64) -> Result<f64> {
    check_rows("true values", predicted.len(), truth.len())?;
    check_values("predicted values", predicted)?;
    check_values("true values", truth)?;
    Ok(predicted.iter().zip(truth).map(|(p, t)| error(p - t)).sum::<f64>() / predicted.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_engines_worked_by_hand() {
        // d = +10, −13, 0.
        let (predicted, truth) = ([30.0, 7.0, 50.0], [20.0, 20.0, 50.0]);
        let e = std::f64::consts::E;
        assert!((phm08(&predicted, &truth).unwrap() - 2.0 * (e - 1.0)).abs() < 1e-12);
        assert!((rmse(&predicted, &truth).unwrap() - (269.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((mae(&predicted, &truth).unwrap() - 23.0 / 3.0).abs() < 1e-12);
        // q = 0.9: 10·0.1 + 13·0.9 = 12.7.
        assert!((pinball(0.9, &predicted, &truth).unwrap() - 12.7 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn coverage_counts_closed_intervals() {
        let got = coverage(&[0.0, 5.0], &[2.0, 6.0], &[2.0, 7.0]).unwrap();
        assert!((got.share - 0.5).abs() < 1e-15 && (got.mean_width - 1.5).abs() < 1e-15);
        assert!(coverage(&[1.0], &[0.0], &[0.5]).is_err());
        assert!(rmse(&[], &[]).is_err() && rmse(&[f64::NAN], &[1.0]).is_err());
    }
}
