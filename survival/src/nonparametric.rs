//! Kaplan–Meier, Nelson–Aalen and Aalen–Johansen: what the data say without a model.
//!
//! All three read one table of counts per distinct duration t_i: n_i at risk just before t_i
//! (entry < t_i ≤ duration) and d_i failing at t_i. Beyond the last observed time the last value is carried forward.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::risk_table::{RiskTable, step_value};
use crate::special::two_sided_factor;
use crate::{Cause, Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// Ŝ(t) = ∏_{t_i ≤ t} (1 − d_i/n_i), with Greenwood's variance Ŝ²·Σ d_i/(n_i(n_i − d_i)).
///
/// With entry times n_i counts only units already under watch; a risk set that empties early takes Ŝ to 0 for good,
/// so start the clock where the risk set is large enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KaplanMeier {
    times: Vec<f64>,
    at_risk: Vec<f64>,
    events: Vec<f64>,
    survival: Vec<f64>,
    /// Σ d/(n(n − d)) up to each time; 0 once Ŝ is 0, where the product with Ŝ² has no other sensible value.
    greenwood: Vec<f64>,
}

impl KaplanMeier {
    /// The product-limit estimate; every cause counts as the failure.
    ///
    /// # Errors
    /// When there is no observation.
    pub fn fit(observations: &[Observation]) -> Result<Self> {
        Ok(Self::from_counts(RiskTable::new(observations, None)?, false))
    }

    /// The same with one weight per observation; weight 2 equals the row given twice.
    ///
    /// # Errors
    /// When there is no observation, the lengths differ, or a weight is negative or not finite.
    pub fn fit_weighted(observations: &[Observation], weights: &[f64]) -> Result<Self> {
        Ok(Self::from_counts(RiskTable::new(observations, Some(weights))?, false))
    }

    /// G(t) = P(censoring time > t): censorings are the events, and at equal times failures come first,
    /// so a unit failing at t has left the risk set of the censorings at t.
    ///
    /// # Errors
    /// When there is no observation.
    pub fn fit_censoring(observations: &[Observation]) -> Result<Self> {
        Ok(Self::from_counts(RiskTable::new(observations, None)?, true))
    }

    fn from_counts(table: RiskTable, censoring: bool) -> Self {
        let mut survival = Vec::with_capacity(table.times.len());
        let mut greenwood = Vec::with_capacity(table.times.len());
        let (at_risk, events): (Vec<f64>, Vec<f64>) = if censoring {
            table
                .at_risk
                .iter()
                .zip(table.failures.iter().zip(&table.censorings))
                .map(|(n, (failed, censored))| (n - failed, *censored))
                .unzip()
        } else {
            (table.at_risk, table.failures)
        };
        let (mut s, mut sum) = (1.0, 0.0);
        for (&n, &d) in at_risk.iter().zip(&events) {
            if d > 0.0 {
                let left = n - d;
                if left > 1e-12 * n {
                    s *= left / n;
                    sum += d / (n * left);
                } else {
                    s = 0.0;
                    sum = 0.0;
                }
            }
            survival.push(s);
            greenwood.push(if s > 0.0 { sum } else { 0.0 });
        }
        Self { times: table.times, at_risk, events, survival, greenwood }
    }

    /// Distinct durations, increasing.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// n_i just before each time (a sum of weights when weighted).
    #[must_use]
    pub fn at_risk(&self) -> &[f64] {
        &self.at_risk
    }

    /// d_i at each time.
    #[must_use]
    pub fn events(&self) -> &[f64] {
        &self.events
    }

    /// Ŝ from each time on.
    #[must_use]
    pub fn survival(&self) -> &[f64] {
        &self.survival
    }

    /// Greenwood's variance of Ŝ at each time.
    #[must_use]
    pub fn variance(&self) -> Vec<f64> {
        self.survival.iter().zip(&self.greenwood).map(|(s, g)| s * s * g).collect()
    }

    /// Ŝ(t) = P(T > t), right-continuous.
    #[must_use]
    pub fn survival_at(&self, time: f64) -> f64 {
        step_value(&self.times, &self.survival, time, 1.0)
    }

    /// Ŝ(t−) = P(T ≥ t), the limit from the left.
    #[must_use]
    pub fn survival_before(&self, time: f64) -> f64 {
        match self.times.partition_point(|&t| t < time) {
            0 => 1.0,
            position => self.survival[position - 1],
        }
    }

    /// Pointwise interval for S(t) on the scale ln(−ln S): S^exp(±z·√Σd/(n(n−d)) / ln S).
    ///
    /// Where Ŝ is 0 or 1 the scale has no value there and both ends equal Ŝ.
    ///
    /// # Errors
    /// When `level` is outside (0, 1).
    pub fn interval(&self, time: f64, level: f64) -> Result<(f64, f64)> {
        let factor = two_sided_factor(level)?;
        let s = self.survival_at(time);
        let spread = step_value(&self.times, &self.greenwood, time, 0.0).sqrt();
        if s <= 0.0 || s >= 1.0 {
            return Ok((s, s));
        }
        let width = factor * spread / -s.ln();
        Ok((s.powf(width.exp()), s.powf((-width).exp())))
    }

    /// Ŝ at the edges of a grid, as a one-cause curve.
    ///
    /// # Errors
    /// Never for a grid that was checked; the curve's laws are checked again all the same.
    pub fn on_grid(&self, grid: &Arc<TimeGrid>) -> Result<SurvivalCurve> {
        let survival = grid.edges().iter().map(|&edge| self.survival_at(edge)).collect();
        SurvivalCurve::from_survival(Arc::clone(grid), survival)
    }
}

/// Λ̂(t) = Σ_{t_i ≤ t} d_i/n_i with variance Σ d_i/n_i².
///
/// exp(−Λ̂) is never below the product-limit estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NelsonAalen {
    times: Vec<f64>,
    at_risk: Vec<f64>,
    events: Vec<f64>,
    cumulative_hazard: Vec<f64>,
    variance: Vec<f64>,
}

impl NelsonAalen {
    /// The cumulative hazard of failing from any cause.
    ///
    /// # Errors
    /// When there is no observation.
    pub fn fit(observations: &[Observation]) -> Result<Self> {
        Ok(Self::from_counts(RiskTable::new(observations, None)?))
    }

    /// The same with one weight per observation.
    ///
    /// # Errors
    /// When there is no observation, the lengths differ, or a weight is negative or not finite.
    pub fn fit_weighted(observations: &[Observation], weights: &[f64]) -> Result<Self> {
        Ok(Self::from_counts(RiskTable::new(observations, Some(weights))?))
    }

    fn from_counts(table: RiskTable) -> Self {
        let (mut hazard, mut spread) = (0.0, 0.0);
        let mut cumulative_hazard = Vec::with_capacity(table.times.len());
        let mut variance = Vec::with_capacity(table.times.len());
        for (&n, &d) in table.at_risk.iter().zip(&table.failures) {
            if d > 0.0 {
                hazard += d / n;
                spread += d / (n * n);
            }
            cumulative_hazard.push(hazard);
            variance.push(spread);
        }
        Self { times: table.times, at_risk: table.at_risk, events: table.failures, cumulative_hazard, variance }
    }

    /// Distinct durations, increasing.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// n_i just before each time.
    #[must_use]
    pub fn at_risk(&self) -> &[f64] {
        &self.at_risk
    }

    /// d_i at each time.
    #[must_use]
    pub fn events(&self) -> &[f64] {
        &self.events
    }

    /// Λ̂ from each time on.
    #[must_use]
    pub fn cumulative_hazard(&self) -> &[f64] {
        &self.cumulative_hazard
    }

    /// Variance of Λ̂ at each time.
    #[must_use]
    pub fn variance(&self) -> &[f64] {
        &self.variance
    }

    /// Λ̂(t), right-continuous.
    #[must_use]
    pub fn cumulative_hazard_at(&self, time: f64) -> f64 {
        step_value(&self.times, &self.cumulative_hazard, time, 0.0)
    }

    /// exp(−Λ̂) at the edges of a grid, as a one-cause curve.
    ///
    /// # Errors
    /// Never for a grid that was checked.
    pub fn on_grid(&self, grid: &Arc<TimeGrid>) -> Result<SurvivalCurve> {
        let survival = grid.edges().iter().map(|&edge| (-self.cumulative_hazard_at(edge)).exp()).collect();
        SurvivalCurve::from_survival(Arc::clone(grid), survival)
    }
}

/// F̂_c(t) = Σ_{t_i ≤ t} Ŝ(t_i−) d_ci/n_i: incidence of each cause while the others compete.
///
/// 1 − Kaplan–Meier per cause, with the other causes censored, overstates it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AalenJohansen {
    times: Vec<f64>,
    survival: Vec<f64>,
    incidence: Vec<Vec<f64>>,
}

impl AalenJohansen {
    /// Incidence of causes 0..`causes`.
    ///
    /// # Errors
    /// When there is no observation, `causes` is 0, or an observation failed of a cause at or beyond `causes`.
    pub fn fit(observations: &[Observation], causes: usize) -> Result<Self> {
        check_causes(observations, causes)?;
        let table = RiskTable::new(observations, None)?;
        let per_cause = table.failures_per_cause(observations, causes);
        let mut survival = Vec::with_capacity(table.times.len());
        let mut incidence = vec![Vec::with_capacity(table.times.len()); causes];
        let mut sums = vec![0.0; causes];
        let mut alive = 1.0;
        for (i, &n) in table.at_risk.iter().enumerate() {
            let d = table.failures[i];
            if d > 0.0 {
                for (sum, row) in sums.iter_mut().zip(&per_cause) {
                    *sum += alive * row[i] / n;
                }
                alive *= (n - d).max(0.0) / n;
            }
            survival.push(alive);
            for (values, sum) in incidence.iter_mut().zip(&sums) {
                values.push(*sum);
            }
        }
        Ok(Self { times: table.times, survival, incidence })
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.incidence.len()
    }

    /// Distinct durations, increasing.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.times
    }

    /// F̂_c(t), right-continuous; 0 for a cause the data set does not have.
    #[must_use]
    pub fn incidence_at(&self, cause: Cause, time: f64) -> f64 {
        self.incidence.get(usize::from(cause.0)).map_or(0.0, |values| step_value(&self.times, values, time, 0.0))
    }

    /// Ŝ(t) = 1 − Σ_c F̂_c(t).
    #[must_use]
    pub fn survival_at(&self, time: f64) -> f64 {
        step_value(&self.times, &self.survival, time, 1.0)
    }

    /// S and every F_c at the edges of a grid.
    ///
    /// # Errors
    /// Never for a grid that was checked.
    pub fn on_grid(&self, grid: &Arc<TimeGrid>) -> Result<SurvivalCurve> {
        let survival = grid.edges().iter().map(|&edge| self.survival_at(edge)).collect();
        let incidence = self
            .incidence
            .iter()
            .map(|values| grid.edges().iter().map(|&edge| step_value(&self.times, values, edge, 0.0)).collect())
            .collect();
        SurvivalCurve::try_new(Arc::clone(grid), survival, incidence)
    }
}

/// Every failure must be of a cause below `causes`.
pub(crate) fn check_causes(observations: &[Observation], causes: usize) -> Result<()> {
    if causes == 0 {
        return Err(SurvivalError::Empty { what: "list of causes" });
    }
    for cause in observations.iter().filter_map(Observation::cause) {
        if usize::from(cause.0) >= causes {
            return Err(SurvivalError::Domain {
                what: "cause index of an observation",
                value: f64::from(cause.0),
                domain: "below the number of causes",
            });
        }
    }
    Ok(())
}
