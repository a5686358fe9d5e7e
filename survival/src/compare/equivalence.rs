//! Two one-sided tests (Schuirmann 1987): is the difference within ±δ? The only way to say "equal".

use serde::{Deserialize, Serialize};

use crate::special::open_unit;
use crate::special_beta::student_t_cdf;
use crate::{Interval, Result, SurvivalError};

/// Result of two one-sided tests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Equivalence {
    /// δ, in the unit of the difference.
    pub margin: f64,
    /// Level of each one-sided test.
    pub alpha: f64,
    /// The larger of the two one-sided p; `None` from an interval alone.
    pub p_value: Option<f64>,
    /// Whether both tests reject: the difference lies within ±δ.
    pub equal: bool,
}

/// From a mean difference with its standard error and degrees of freedom ([`super::paired_t`], [`super::corrected_t`]).
///
/// # Errors
/// When δ or the standard error is not positive, the estimate is not finite, or `alpha` is outside (0, ½).
pub fn t(estimate: f64, standard_error: f64, degrees_of_freedom: f64, margin: f64, alpha: f64) -> Result<Equivalence> {
    check(margin, alpha)?;
    if !(standard_error.is_finite() && standard_error > 0.0) {
        return Err(SurvivalError::NoSpread { what: "difference tested for equality", value: estimate });
    }
    // P of a difference this far inside, were the truth at −δ, and at +δ.
    let above = student_t_cdf(-(estimate + margin) / standard_error, degrees_of_freedom)?;
    let below = student_t_cdf((estimate - margin) / standard_error, degrees_of_freedom)?;
    Ok(from_p(above.max(below), margin, alpha))
}

/// From an interval: equal when it lies inside (−δ, δ). Its level must be at least 1 − 2α (90 % for α = 0.05): the
/// usual 95 % interval will do, and is stricter.
///
/// # Errors
/// When δ is not positive, `alpha` is outside (0, ½), the interval's level is too low, or a bound is not finite.
pub fn interval(effect: &Interval, margin: f64, alpha: f64) -> Result<Equivalence> {
    check(margin, alpha)?;
    if effect.level < 1.0 - 2.0 * alpha - 1e-12 {
        return Err(SurvivalError::Domain {
            what: "level of an interval tested for equality",
            value: effect.level,
            domain: "at least 1 − 2α",
        });
    }
    crate::scores::check_values("bounds of an interval tested for equality", &[effect.low, effect.high])?;
    Ok(Equivalence { margin, alpha, p_value: None, equal: effect.low > -margin && effect.high < margin })
}

/// From the replicates of a bootstrap: each one-sided p is the share of them beyond its margin, the data counted once.
pub(super) fn replicates(values: &[f64], margin: f64, alpha: f64) -> Result<Equivalence> {
    check(margin, alpha)?;
    let share = |count: usize| (count + 1) as f64 / (values.len() + 1) as f64;
    let below = share(values.iter().filter(|v| **v <= -margin).count());
    let above = share(values.iter().filter(|v| **v >= margin).count());
    Ok(from_p(below.max(above), margin, alpha))
}

fn from_p(p_value: f64, margin: f64, alpha: f64) -> Equivalence {
    Equivalence { margin, alpha, p_value: Some(p_value), equal: p_value < alpha }
}

fn check(margin: f64, alpha: f64) -> Result<()> {
    open_unit("alpha", alpha)?;
    if alpha >= 0.5 {
        return Err(SurvivalError::Domain { what: "alpha of a test of equality", value: alpha, domain: "below 0.5" });
    }
    if margin.is_finite() && margin > 0.0 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what: "margin of equality", value: margin, domain: "positive and finite" })
    }
}
