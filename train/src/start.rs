//! Where the network begins: at the linear hazard model of its own flat part, its penalty chosen on validation.
//!
//! The head's bias takes the intercepts α_jc, the skip connection the effects β_c; the rest of the network starts at an
//! output of 0, so the untrained network equals that model and learns what it leaves over. Without it the network begins
//! at the life table.

use model::classical::matrix;
use survival::scores::log_likelihood::log_loss_contributions;
use survival::{DiscreteHazard, HazardOptions, TimeGrid};

use crate::error::Result;
use crate::evaluate::mean;
use crate::fit::{Part, Run};
use crate::loss::base_logits;

/// Penalties tried.
const RIDGES: [f64; 5] = [1.0, 10.0, 100.0, 1000.0, 10_000.0];
/// Gain in log-likelihood below which the fit stops.
const TOLERANCE: f64 = 1e-4;
/// Logits of an interval in which nothing failed are bounded here.
const LEAST_LOGIT: f64 = -16.0;

/// Bias of the head and effects of the skip connection.
pub(crate) struct Start {
    /// Intervals × causes.
    pub(crate) base: Vec<f32>,
    /// Columns × causes; empty for none.
    pub(crate) slopes: Vec<f32>,
}

impl Start {
    pub(crate) fn of(
        run: &Run<'_>,
        grid: &TimeGrid,
        causes: usize,
        train: Part<'_>,
        validation: Part<'_>,
    ) -> Result<Self> {
        let table = Self { base: base_logits(train.observations, grid, causes), slopes: Vec::new() };
        if !run.fit.linear_start || train.design.width == 0 {
            return Ok(table);
        }
        let shared = std::sync::Arc::new(grid.clone());
        let (x, held) = (matrix(train.design, None)?, matrix(validation.design, None)?);
        let mut best: Option<(f64, DiscreteHazard)> = None;
        for ridge in RIDGES {
            let options = HazardOptions { ridge, tolerance: TOLERANCE, ..HazardOptions::default() };
            // A penalty that gives no fit is no reason not to train.
            let Ok(fitted) = DiscreteHazard::fit(x.view(), train.observations, &shared, causes, &options) else {
                continue;
            };
            let loss = mean(&log_loss_contributions(validation.observations, &fitted.curves(held.view())?)?);
            if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                best = Some((loss, fitted));
            }
        }
        let Some((loss, fitted)) = best else { return Ok(table) };
        tracing::info!(loss, "linear start");
        #[expect(clippy::cast_possible_truncation, reason = "weights of a network in single precision")]
        let single = |value: f64| value as f32;
        let base = fitted.intercepts().iter().flatten().map(|&a| single(a.max(LEAST_LOGIT))).collect();
        let width = train.design.width;
        let slopes = (0..width)
            .flat_map(|column| fitted.coefficients().iter().map(move |of_cause| of_cause[column]))
            .map(single)
            .collect();
        Ok(Self { base, slopes })
    }
}
