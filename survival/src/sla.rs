//! Service level objectives: what a target allows, whether it was kept, whether it will be.

use serde::{Deserialize, Serialize};

use crate::reliability::RepairRecord;
use crate::renewal::DowntimeForecast;
use crate::{Result, SurvivalError};

/// Availability promised over a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ObjectiveParts")]
pub struct SlaObjective {
    target: f64,
    window: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectiveParts {
    target: f64,
    window: f64,
}

impl TryFrom<ObjectiveParts> for SlaObjective {
    type Error = SurvivalError;
    fn try_from(parts: ObjectiveParts) -> Result<Self> {
        Self::try_new(parts.target, parts.window)
    }
}

/// Whether an objective was kept in a window that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compliance {
    /// Observed availability reached the target.
    Compliant,
    /// It did not.
    NotCompliant,
    /// Too little of the window was seen to say.
    Unknown,
}

/// What is known of an objective in one window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The verdict.
    pub compliance: Compliance,
    /// Downtime that was still allowed; below 0 by how much it was passed.
    pub budget_left: f64,
    /// Share of the window in which the state is known.
    pub coverage: f64,
}

impl SlaObjective {
    /// A target such as 0.999 over a window in the unit of the spells.
    ///
    /// # Errors
    /// When the target is outside (0, 1] or the window not positive and finite.
    pub fn try_new(target: f64, window: f64) -> Result<Self> {
        if !(target > 0.0 && target <= 1.0) {
            return Err(SurvivalError::Domain { what: "availability target", value: target, domain: "in (0, 1]" });
        }
        if !(window.is_finite() && window > 0.0) {
            return Err(SurvivalError::Domain { what: "SLA window", value: window, domain: "positive and finite" });
        }
        Ok(Self { target, window })
    }

    /// The availability promised.
    #[must_use]
    pub fn target(&self) -> f64 {
        self.target
    }

    /// Over this long.
    #[must_use]
    pub fn window(&self) -> f64 {
        self.window
    }

    /// Downtime allowed: (1 − target)·window.
    #[must_use]
    pub fn budget(&self) -> f64 {
        (1.0 - self.target) * self.window
    }

    /// Judges a window by its spells.
    ///
    /// Downtime above the budget is a breach whatever was not seen, and where downtime and unknown time together keep
    /// within it the objective is kept. In between known time decides, availability = up/(up + down), if at least
    /// `least_coverage` of the window is known; otherwise nobody knows.
    ///
    /// # Errors
    /// When the spells do not fill the window (to one part in a million) or `least_coverage` is outside [0, 1].
    pub fn assess(&self, spells: &RepairRecord, least_coverage: f64) -> Result<Assessment> {
        if !(0.0..=1.0).contains(&least_coverage) {
            return Err(SurvivalError::Domain { what: "least coverage", value: least_coverage, domain: "in [0, 1]" });
        }
        let total = spells.up_time + spells.down_time + spells.unknown_time;
        if !self.is_as_long(total) {
            return Err(SurvivalError::Domain {
                what: "sum of the spells",
                value: total,
                domain: "the length of the window; give unseen time as unknown spells",
            });
        }
        let coverage = spells.coverage()?;
        let budget = self.budget();
        // Rounding of sums must not turn a downtime equal to the budget into a breach.
        let within = |downtime: f64| downtime <= budget + 1e-9 * self.window;
        let compliance = if !within(spells.down_time) {
            Compliance::NotCompliant
        } else if within(spells.down_time + spells.unknown_time) {
            Compliance::Compliant
        } else if coverage < least_coverage || coverage <= 0.0 {
            Compliance::Unknown
        } else if spells.observed_availability()? >= self.target {
            Compliance::Compliant
        } else {
            Compliance::NotCompliant
        };
        Ok(Assessment { compliance, budget_left: budget - spells.down_time, coverage })
    }

    /// Equal to the window, to one part in a million.
    fn is_as_long(&self, length: f64) -> bool {
        (length - self.window).abs() <= 1e-6 * self.window
    }

    /// P(breach by the end of the window), what was spent of the budget included.
    ///
    /// # Errors
    /// When the forecast is for a window of another length.
    pub fn breach_probability(&self, forecast: &DowntimeForecast) -> Result<f64> {
        let length = forecast.window().length;
        if !self.is_as_long(length) {
            return Err(SurvivalError::Domain {
                what: "window of the forecast",
                value: length,
                domain: "that of the objective",
            });
        }
        Ok(forecast.breach_probability(self.budget()))
    }
}

/// (p − 1\[breached\])²: Brier score of one breach forecast.
///
/// # Errors
/// When `probability` is outside [0, 1].
pub fn breach_brier(probability: f64, breached: bool) -> Result<f64> {
    if !(0.0..=1.0).contains(&probability) {
        return Err(SurvivalError::Domain { what: "breach probability", value: probability, domain: "in [0, 1]" });
    }
    Ok((probability - f64::from(u8::from(breached))).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewal::Window;

    fn spells(up: f64, down: f64, unknown: f64) -> RepairRecord {
        RepairRecord { up_time: up, down_time: down, unknown_time: unknown, failures: 1, repairs: 1 }
    }

    #[test]
    fn the_verdict_uses_only_what_is_certain_or_well_covered() {
        let objective = SlaObjective::try_new(0.99, 100.0).unwrap();
        assert!((objective.budget() - 1.0).abs() < 1e-12);
        let verdict = |up, down, unknown| objective.assess(&spells(up, down, unknown), 0.9).unwrap().compliance;
        assert_eq!(verdict(99.0, 1.0, 0.0), Compliance::Compliant);
        assert_eq!(verdict(98.9, 1.1, 0.0), Compliance::NotCompliant);
        assert_eq!(verdict(8.5, 1.5, 90.0), Compliance::NotCompliant, "over budget whatever was not seen");
        assert_eq!(verdict(99.0, 0.5, 0.5), Compliance::Compliant, "within budget whatever was not seen");
        assert_eq!(verdict(49.5, 0.5, 50.0), Compliance::Unknown);
        assert_eq!(verdict(94.5, 0.5, 5.0), Compliance::Compliant);
        assert_eq!(verdict(94.01, 0.99, 5.0), Compliance::NotCompliant, "0.9896 of the known time");
        assert_eq!(verdict(0.0, 0.0, 100.0), Compliance::Unknown);
        let left = objective.assess(&spells(98.0, 2.0, 0.0), 0.9).unwrap();
        assert!((left.budget_left + 1.0).abs() < 1e-12 && (left.coverage - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_breach_that_has_happened_is_certain() {
        let objective = SlaObjective::try_new(0.9, 10.0).unwrap();
        let window = Window::try_new(10.0, 5.0, 2.0).unwrap();
        let forecast = DowntimeForecast::from_draws(window, vec![2.0, 2.5]).unwrap();
        assert!((objective.breach_probability(&forecast).unwrap() - 1.0).abs() < 1e-15);
        assert!((breach_brier(0.8, true).unwrap() - 0.04).abs() < 1e-12 && breach_brier(1.2, true).is_err());
    }

    #[test]
    fn impossible_objectives_and_windows_are_refused() {
        assert!(SlaObjective::try_new(0.0, 1.0).is_err() && SlaObjective::try_new(f64::NAN, 1.0).is_err());
        assert!(SlaObjective::try_new(0.9, 0.0).is_err());
        let objective = SlaObjective::try_new(0.9, 10.0).unwrap();
        assert!(objective.assess(&spells(5.0, 1.0, 0.0), 0.9).is_err(), "four units are missing");
        assert!(objective.assess(&spells(9.0, 1.0, 0.0), 1.1).is_err());
        let other = DowntimeForecast::from_draws(Window::whole(20.0).unwrap(), vec![0.0]).unwrap();
        assert!(objective.breach_probability(&other).is_err());
        assert!(DowntimeForecast::from_draws(Window::whole(20.0).unwrap(), vec![21.0]).is_err());
        assert!(Window::try_new(10.0, 10.0, 0.0).is_err() && Window::try_new(10.0, 5.0, 6.0).is_err());
        assert!(serde_json::from_str::<SlaObjective>(r#"{"target": 2.0, "window": 1.0}"#).is_err());
    }
}
