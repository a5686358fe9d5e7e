//! McNemar's test: two deciders, the same rows, each right or wrong.
//!
//! Only rows on which exactly one is right (discordant rows) tell them apart.

use serde::{Deserialize, Serialize};

use super::binomial::clopper_pearson;
use super::open_level;
use crate::scores::check_rows;
use crate::special::chi_square_survival;
use crate::special_beta::binomial_cdf;
use crate::{Interval, Result, SurvivalError};

/// Below this many discordant rows the exact binomial test is used.
pub const EXACT_BELOW: usize = 25;

/// How the p was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McNemarMethod {
    /// Binomial with probability ½ over the discordant rows.
    Exact,
    /// χ² with one degree of freedom of (|b − c| − 1)²/(b + c), Edwards' continuity correction.
    ContinuityCorrected,
}

/// Result of McNemar's test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows on which only A is right.
    pub only_a: usize,
    /// Rows on which only B is right.
    pub only_b: usize,
    /// All rows.
    pub rows: usize,
    /// Accuracy of A − accuracy of B. The interval is exact given the number of discordant rows: Clopper–Pearson of
    /// A's share among them, carried over.
    pub effect: Interval,
    /// Which of the two.
    pub method: McNemarMethod,
    /// Two-sided p; 1 when no row is discordant.
    pub p_value: f64,
}

/// Compares two lists of "was the decision right?".
///
/// # Errors
/// When there is no row or lengths differ.
pub fn mcnemar(right_a: &[bool], right_b: &[bool], level: f64) -> Result<McNemar> {
    check_rows("decisions of the second", right_a.len(), right_b.len())?;
    let only = |a: bool| right_a.iter().zip(right_b).filter(|(x, y)| **x == a && **y != a).count();
    mcnemar_counts(only(true), only(false), right_a.len(), level)
}

/// The same from the two discordant counts.
///
/// # Errors
/// When there is no row, or fewer rows than discordant ones.
pub fn mcnemar_counts(only_a: usize, only_b: usize, rows: usize, level: f64) -> Result<McNemar> {
    let discordant = only_a + only_b;
    if rows == 0 {
        return Err(SurvivalError::Empty { what: "list of decisions" });
    }
    if rows < discordant {
        return Err(SurvivalError::Shape {
            what: "rows of which some are discordant",
            expected: discordant,
            got: rows,
        });
    }
    let method = if discordant < EXACT_BELOW { McNemarMethod::Exact } else { McNemarMethod::ContinuityCorrected };
    let p_value = match method {
        McNemarMethod::Exact => (2.0 * binomial_cdf(only_a.min(only_b), discordant, 0.5)?).min(1.0),
        McNemarMethod::ContinuityCorrected => {
            let excess = (only_a.abs_diff(only_b) as f64 - 1.0).max(0.0);
            chi_square_survival(excess * excess / discordant as f64, 1.0)
        }
    };
    let carry = |share: f64| (2.0 * share - 1.0) * discordant as f64 / rows as f64;
    let effect = if discordant == 0 {
        Interval { estimate: 0.0, low: 0.0, high: 0.0, level: open_level(level)? }
    } else {
        let share = clopper_pearson(only_a, discordant, level)?;
        Interval { estimate: carry(share.estimate), low: carry(share.low), high: carry(share.high), level }
    };
    Ok(McNemar { only_a, only_b, rows, effect, method, p_value })
}
