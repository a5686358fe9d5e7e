//! One model per cause, and from their cumulative hazards to one curve.

use std::sync::Arc;

use crate::nonparametric::check_causes;
use crate::{Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// Calls `fit` once per cause with the flags of the rows that failed of it; `None` for a cause that never happened.
pub(crate) fn fit_each_cause<M>(
    observations: &[Observation],
    causes: usize,
    mut fit: impl FnMut(&[bool]) -> Result<M>,
) -> Result<Vec<Option<M>>> {
    check_causes(observations, causes)?;
    if !observations.iter().any(Observation::failed) {
        return Err(SurvivalError::NoFailures { rows: observations.len() });
    }
    (0..causes)
        .map(|cause| {
            let events: Vec<bool> =
                observations.iter().map(|o| o.cause().is_some_and(|c| usize::from(c.0) == cause)).collect();
            if events.contains(&true) { fit(&events).map(Some) } else { Ok(None) }
        })
        .collect()
}

/// A curve from H_c at the K + 1 edges, one row per cause.
///
/// Per interval the survival factor is exp(−Σ_c ΔH_c); the failures of the interval are split between the causes
/// in proportion to ΔH_c, which is exact when the hazards of the causes keep their ratio inside the interval.
pub(crate) fn curve_from_cumulative_hazards(grid: &Arc<TimeGrid>, hazards: &[Vec<f64>]) -> Result<SurvivalCurve> {
    let edges = grid.edges().len();
    let mut survival = Vec::with_capacity(edges);
    let mut incidence: Vec<Vec<f64>> = hazards.iter().map(|_| Vec::with_capacity(edges)).collect();
    let mut total_hazard = 0.0;
    let mut alive = 1.0;
    survival.push(alive);
    for cause in &mut incidence {
        cause.push(0.0);
    }
    for edge in 1..edges {
        let step: f64 = hazards.iter().map(|h| (h[edge] - h[edge - 1]).max(0.0)).sum();
        total_hazard += step;
        // exp of the running total instead of a product of factors: no error builds up over the edges.
        let next = f64::exp(-total_hazard);
        let lost = alive - next;
        for (cause, h) in incidence.iter_mut().zip(hazards) {
            let share = if !step.is_finite() {
                1.0 / hazards.len() as f64
            } else if step > 0.0 {
                (h[edge] - h[edge - 1]).max(0.0) / step
            } else {
                0.0
            };
            let before = cause[edge - 1];
            cause.push(before + lost * share);
        }
        alive = next;
        survival.push(alive);
    }
    SurvivalCurve::try_new(Arc::clone(grid), survival, incidence)
}
