//! Do failures of one repairable entity come faster or slower as it ages?
//!
//! Laplace's test against a constant rate: under it the failure times are uniform on the watched time, so their mean
//! is about the middle, U = (t̄ − T/2)/(T·√(1/(12 n))) and U is close to a standard normal from about n = 4 on
//! (Cox & Lewis 1966, section 3.3). The power law itself is in [`crate::power_law`].

use serde::{Deserialize, Serialize};

use crate::special::normal_cdf;
use crate::{Result, SurvivalError};

/// When watching stopped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// At this time, whatever had failed by then.
    Time(f64),
    /// At the last failure.
    Failure,
}

/// A statistic close to standard normal under no trend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrendTest {
    /// Above 0: failures crowd towards the end (deterioration); below 0: towards the beginning (growth).
    pub statistic: f64,
    /// Two-sided.
    pub p_value: f64,
}

/// Laplace's trend test on failure times counted from the beginning of watching.
///
/// # Errors
/// When there are fewer than two usable times, a time is not positive and finite, or they decrease or pass the end.
pub fn laplace(times: &[f64], truncation: Truncation) -> Result<TrendTest> {
    let (inner, end) = split(times, truncation)?;
    if inner.len() < 2 {
        return Err(too_few(inner.len(), "at least 2 (3 where the last ends the watching)"));
    }
    let n = inner.len() as f64;
    let mean = inner.iter().sum::<f64>() / n;
    let statistic = (mean / end - 0.5) * (12.0 * n).sqrt();
    Ok(TrendTest { statistic, p_value: (2.0 * normal_cdf(-statistic.abs())).min(1.0) })
}

/// The failure times that are random given how watching ended, and its end: with failure truncation the last time is
/// that end itself.
pub(crate) fn split(times: &[f64], truncation: Truncation) -> Result<(&[f64], f64)> {
    let Some((&last, before)) = times.split_last() else {
        return Err(SurvivalError::Empty { what: "list of failure times" });
    };
    if let Some(&bad) = times.iter().find(|t| !(t.is_finite() && **t > 0.0)) {
        return Err(SurvivalError::Duration { duration: bad });
    }
    if let Some(pair) = times.windows(2).find(|pair| pair[1] < pair[0]) {
        return Err(SurvivalError::Domain {
            what: "failure time",
            value: pair[1],
            domain: "at least the one before it; sort them first",
        });
    }
    match truncation {
        Truncation::Failure => Ok((before, last)),
        Truncation::Time(end) if end.is_finite() && end >= last => Ok((times, end)),
        Truncation::Time(end) => Err(SurvivalError::Domain {
            what: "end of watching",
            value: end,
            domain: "finite and not before the last failure",
        }),
    }
}

pub(crate) fn too_few(got: usize, domain: &'static str) -> SurvivalError {
    SurvivalError::Domain { what: "number of failure times", value: got as f64, domain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laplace_worked_by_hand() {
        // Ten repairs in 1500 h (NIST/SEMATECH e-Handbook, 8.2.3.4): mean 568.3, U = (568.3/1500 − ½)·√120.
        let times = [5.0, 40.0, 43.0, 175.0, 389.0, 712.0, 747.0, 795.0, 1299.0, 1478.0];
        let test = laplace(&times, Truncation::Time(1500.0)).unwrap();
        assert!((test.statistic - (568.3 / 1500.0 - 0.5) * 120.0_f64.sqrt()).abs() < 1e-12);
        assert!((test.p_value - 0.184_525_493_4).abs() < 1e-9, "{test:?}");
        // Failure truncation: the last time is the end, nine are left, their mean is 467.2.
        let test = laplace(&times, Truncation::Failure).unwrap();
        assert!((test.statistic - (4205.0 / 9.0 / 1478.0 - 0.5) * 108.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn evenly_spread_failures_show_no_trend() {
        let times: Vec<f64> = (0..10).map(|i| f64::from(i) + 0.5).collect();
        let test = laplace(&times, Truncation::Time(10.0)).unwrap();
        assert!(test.statistic.abs() < 1e-12 && (test.p_value - 1.0).abs() < 1e-12);
        let mirrored: Vec<f64> = [1.0, 2.0, 9.0].iter().rev().map(|t| 10.0 - t).collect();
        let one = laplace(&[1.0, 2.0, 9.0], Truncation::Time(10.0)).unwrap();
        let other = laplace(&mirrored, Truncation::Time(10.0)).unwrap();
        assert!((one.statistic + other.statistic).abs() < 1e-12);
    }

    #[test]
    fn unsorted_empty_and_impossible_times_are_refused() {
        assert!(matches!(laplace(&[], Truncation::Failure), Err(SurvivalError::Empty { .. })));
        assert!(matches!(laplace(&[0.0, 1.0], Truncation::Time(2.0)), Err(SurvivalError::Duration { .. })));
        for (times, truncation) in [
            (&[2.0, 1.0, 3.0][..], Truncation::Failure),
            (&[1.0, 2.0][..], Truncation::Failure),
            (&[1.0][..], Truncation::Time(2.0)),
            (&[1.0, 2.0][..], Truncation::Time(1.5)),
            (&[1.0, 2.0][..], Truncation::Time(f64::NAN)),
        ] {
            assert!(matches!(laplace(times, truncation), Err(SurvivalError::Domain { .. })), "{times:?}");
        }
    }
}
