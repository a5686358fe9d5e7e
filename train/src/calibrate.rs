//! What follows a fit: calibration of hazards, conformal quantile levels, alarm levels.

use model::{AlarmLevels, Calibration, ModelKind};
use survival::{CensorReason, KaplanMeier, Observation, Outcome, Readout, SurvivalCurve};

use crate::config::AlarmConfig;
use crate::error::Result;

/// Failures a calibration part must hold before it may move a probability.
const LEAST_FAILURES: usize = 20;

/// What was learned after the fit.
pub(crate) struct Calibrated {
    pub(crate) calibration: Calibration,
    pub(crate) readout: Readout,
    pub(crate) alarms: AlarmLevels,
}

/// Curves of rows the model was not fitted on, and what became of them.
pub(crate) struct Held<'a> {
    pub(crate) curves: Vec<SurvivalCurve>,
    pub(crate) observations: &'a [Observation],
}

/// Calibration and quantile levels from `calibration`, alarm levels from `validation` (both, for rows out of fold).
///
/// # Errors
/// When curves and observations differ in number.
pub(crate) fn calibrate(
    kind: ModelKind,
    causes: usize,
    nominal: &Readout,
    alarms: &AlarmConfig,
    calibration: &Held<'_>,
    validation: Option<&Held<'_>>,
    notes: &mut Vec<String>,
) -> Result<Calibrated> {
    let failures = calibration.observations.iter().filter(|o| o.failed()).count();
    let mut readout = nominal.clone();
    let mut learned = Calibration::identity(causes);
    // The life table is its own calibration; scaling it by another part's luck helps nobody.
    if failures >= LEAST_FAILURES && kind != ModelKind::KaplanMeier {
        learned = Calibration::fit(&calibration.curves, calibration.observations)?;
    } else if failures < LEAST_FAILURES {
        notes.push(format!("not calibrated: {failures} failures in the calibration part, need {LEAST_FAILURES}"));
    }
    let apply = |curves: &[SurvivalCurve]| -> Result<Vec<SurvivalCurve>> {
        curves.iter().map(|curve| Ok(learned.apply(curve)?)).collect()
    };
    let curves = apply(&calibration.curves)?;
    if failures >= LEAST_FAILURES {
        readout.quantile_levels = conformal_levels(&curves, calibration.observations, &nominal.quantiles)?;
    }
    let judged = match validation {
        Some(held) => apply(&held.curves)?,
        None => curves,
    };
    let horizon = nominal.horizons.last().copied().or_else(|| judged.first().map(|c| c.grid().last_edge()));
    let horizon = horizon.unwrap_or(nominal.restricted_to);
    let mut risks =
        judged.iter().map(|curve| curve.failure_probability(horizon)).collect::<std::result::Result<Vec<_>, _>>()?;
    risks.sort_unstable_by(f64::total_cmp);
    let alarms = AlarmLevels {
        horizon,
        elevated_budget: alarms.elevated_budget,
        elevated: level(&risks, alarms.elevated_budget),
        high_budget: alarms.high_budget,
        high: level(&risks, alarms.high_budget),
    };
    Ok(Calibrated { calibration: learned, readout, alarms })
}

/// Smallest level with at most `budget` of the sorted risks above it; nobody alarms where all are equal.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of rows"
)]
fn level(sorted: &[f64], budget: f64) -> f64 {
    let allowed = (sorted.len() as f64 * budget).floor() as usize;
    let at = sorted.len().saturating_sub(allowed + 1);
    sorted.get(at).copied().unwrap_or(1.0).next_up().min(1.0)
}

/// Curve levels at which nominal RUL quantiles cover what they say on the calibration part.
///
/// U = F(T | x) is uniform under a right curve; its Kaplan–Meier estimate over censored rows gives, for each
/// nominal q, the level q′ with P(U ≤ q′) = q (split conformal prediction with censored scores; compare
/// Candès, Lei & Ren 2023). Levels not reached within the grid stay nominal.
fn conformal_levels(curves: &[SurvivalCurve], observations: &[Observation], nominal: &[f64]) -> Result<Vec<f64>> {
    let mut scores = Vec::with_capacity(curves.len());
    for (curve, observation) in curves.iter().zip(observations) {
        let last = curve.grid().last_edge();
        let within = observation.duration() <= last;
        let level = 1.0 - curve.survival_at(observation.duration().min(last))?;
        let outcome = match observation.outcome() {
            Outcome::Failed(cause) if within => Outcome::Failed(cause),
            _ => Outcome::Censored(CensorReason::EndOfObservation),
        };
        scores.push(Observation::try_new(level.max(1e-12), outcome)?);
    }
    let distribution = KaplanMeier::fit(&scores)?;
    let mut levels: Vec<f64> = Vec::with_capacity(nominal.len());
    for &q in nominal {
        let reached = distribution.survival().iter().position(|&s| 1.0 - s >= q).map(|at| distribution.times()[at]);
        let previous = levels.last().copied().unwrap_or(0.0);
        levels.push(reached.unwrap_or(q).clamp(1e-9, 1.0 - 1e-9).max(previous));
    }
    Ok(levels)
}
