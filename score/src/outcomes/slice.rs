//! The figures of one week, or of all of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use survival::scores::calibration::d_calibration;
use survival::{Cause, CensorReason, Observation, Outcome};

use super::alerts::{AlertOutcomes, Before, alerts};
use super::brier::{Brier, Judged, of_everybody_alike, of_risks, pooled, stored_curve, weights};
use super::join::{Failure, Joined};
use super::nights::{Alarm, Terms};
use super::observed::{ObservedShare, observed_share};
use crate::error::Result;

/// Bins of D-calibration.
const BINS: usize = 10;

/// One week of nights, or all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// `2026-W48` of ISO 8601, UTC, by `as_of`; or `total`.
    pub week: String,
    /// Moments at which something was scored.
    pub nights: usize,
    /// Rows scored.
    pub rows: usize,
    /// Entities scored.
    pub entities: usize,
    /// Rows of which nothing can be said, by rule; no figure below but `alerts` counts them.
    pub excluded: BTreeMap<String, usize>,
    /// Rows that left before the last horizon without having failed, by reason: neither failures nor successes.
    pub censored: BTreeMap<String, usize>,
    /// Figures at each horizon.
    pub horizons: Vec<AtHorizon>,
    /// Squared error, weighted for censoring by the follow-up of the week's own rows.
    pub brier: Brier,
    /// The same had every row been given the share that did fail in this week.
    pub reference: Brier,
    /// D-calibration of the first row of each entity.
    pub d_calibration: Option<DCalibrationOutcome>,
    /// Rows on which somebody acted.
    pub interventions: Interventions,
    /// By level.
    pub alerts: Vec<AlertOutcomes>,
}

/// Predicted and observed at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtHorizon {
    /// `24h`.
    pub horizon: String,
    /// Rows that failed within it.
    pub failures: usize,
    /// Entities that did.
    pub failing_entities: usize,
    /// Rows known to have lived beyond it.
    pub lived: usize,
    /// Rows of which neither is known.
    pub undecided: usize,
    /// Mean predicted failure probability of the rows followed at all.
    pub predicted: f64,
    /// The same less that of the first week: how far the score itself has moved.
    pub moved: Option<f64>,
    /// Share that failed by Kaplan–Meier; `None` where too few are followed that far.
    pub observed: Option<ObservedShare>,
}

/// Whether S(T) is uniform, read from what was stored of the curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DCalibrationOutcome {
    /// Entities, one row each.
    pub rows: usize,
    /// Rows (in part) by tenth of S.
    pub counts: Vec<f64>,
    /// χ² against equal counts.
    pub chi_square: f64,
    /// Its p: small means that the curves do not come true.
    pub p_value: f64,
}

/// What was done because of a prediction says something of the risk: scores with these rows censored, which is how all others
/// are told, without them, and with them as failures. The truth lies between, wherever the model was right to warn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interventions {
    /// Rows that ended so before the last horizon.
    pub rows: usize,
    /// Their entities.
    pub entities: usize,
    /// Rows of them that had been given an alarm.
    pub after_alarm: usize,
    /// Scores of the other rows alone.
    pub left_out: Option<Brier>,
    /// Scores had they failed when somebody acted.
    pub as_failures: Option<Brier>,
}

/// The figures of one week.
pub(super) fn of_week(
    name: String,
    rows: &[&Joined],
    failures: &[&Failure],
    before: &Before<'_>,
    terms: &Terms,
) -> Result<Slice> {
    let judged = judged(rows);
    let last = terms.horizons.last().copied().unwrap_or(0.0);
    let mut excluded = BTreeMap::new();
    let mut censored = BTreeMap::new();
    for row in rows {
        match (row.observation(), row.censored()) {
            (None, _) => {
                if let super::join::Fate::Excluded(rule) = row.fate {
                    *excluded.entry(rule.to_owned()).or_default() += 1;
                }
            }
            (Some(observation), Some(reason)) if observation.duration() <= last => {
                *censored.entry(reason.name().to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }
    Ok(Slice {
        week: name,
        nights: rows.iter().map(|row| row.risk.as_of).collect::<BTreeSet<_>>().len(),
        rows: rows.len(),
        entities: rows.iter().map(|row| row.risk.key.as_str()).collect::<HashSet<_>>().len(),
        excluded,
        censored,
        horizons: at_horizons(&judged, terms)?,
        brier: of_risks(&judged, terms)?,
        reference: of_everybody_alike(&judged, terms)?,
        d_calibration: uniform(&judged, terms)?,
        interventions: interventions(rows, terms, last)?,
        alerts: alerts(rows, failures, before, terms)?,
    })
}

/// All weeks as one: counts and calibration over all rows, Brier scores as the mean of the weeks'.
pub(super) fn total(
    weeks: &[Slice],
    rows: &[&Joined],
    failures: &[&Failure],
    before: &Before<'_>,
    terms: &Terms,
) -> Result<Slice> {
    let mut total = of_week("total".to_owned(), rows, failures, before, terms)?;
    let of =
        |pick: &dyn Fn(&Slice) -> Option<&Brier>| pooled(&weeks.iter().filter_map(pick).collect::<Vec<_>>(), terms);
    let interval = total.brier.interval.filter(|_| weeks.len() == 1);
    total.brier = Brier { interval, ..of(&|week| Some(&week.brier)) };
    total.reference = of(&|week| Some(&week.reference));
    if total.interventions.rows > 0 {
        // Weeks without any are the same either way.
        total.interventions.left_out = Some(of(&|week| week.interventions.left_out.as_ref().or(Some(&week.brier))));
        total.interventions.as_failures =
            Some(of(&|week| week.interventions.as_failures.as_ref().or(Some(&week.brier))));
    }
    Ok(total)
}

fn judged<'a>(rows: &[&'a Joined]) -> Vec<Judged<'a>> {
    rows.iter().filter_map(|row| Some(Judged { risk: &row.risk, observation: row.observation()? })).collect()
}

fn at_horizons(rows: &[Judged<'_>], terms: &Terms) -> Result<Vec<AtHorizon>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let weights = weights(rows, terms)?;
    let observations: Vec<Observation> = rows.iter().map(|row| row.observation).collect();
    let entities: Vec<&str> = rows.iter().map(|row| row.risk.key.as_str()).collect();
    let of = |(at, &horizon): (usize, &f64)| {
        let failed = |row: &&Judged<'_>| row.observation.failed() && row.observation.duration() <= horizon;
        let failures = rows.iter().filter(failed).count();
        let lived = rows.iter().filter(|row| row.observation.duration() > horizon).count();
        let told = weights.allows(horizon);
        #[expect(clippy::cast_precision_loss, reason = "rows")]
        let count = rows.len() as f64;
        Ok(AtHorizon {
            horizon: crate::horizon_label(horizon, terms.unit),
            failures,
            failing_entities: rows.iter().filter(failed).map(|row| &row.risk.key).collect::<HashSet<_>>().len(),
            lived,
            undecided: rows.len() - failures - lived,
            predicted: rows.iter().map(|row| row.risk.failure_probability[at]).sum::<f64>() / count,
            moved: None,
            observed: told.then(|| observed_share(&observations, &entities, horizon)).transpose()?,
        })
    };
    terms.horizons.iter().enumerate().map(of).collect()
}

/// Rows of one entity are not independent, so each entity has one: its first.
fn uniform(rows: &[Judged<'_>], terms: &Terms) -> Result<Option<DCalibrationOutcome>> {
    let mut seen = HashSet::new();
    let first: Vec<&Judged<'_>> = rows.iter().filter(|row| seen.insert(row.risk.key.as_str())).collect();
    if first.is_empty() {
        return Ok(None);
    }
    let curves = first.iter().map(|row| stored_curve(row.risk, terms)).collect::<Result<Vec<_>>>()?;
    let observations: Vec<Observation> = first.iter().map(|row| row.observation).collect();
    let found = d_calibration(&observations, &curves, BINS)?;
    Ok(Some(DCalibrationOutcome {
        rows: first.len(),
        counts: found.counts,
        chi_square: found.chi_square,
        p_value: found.p_value,
    }))
}

fn interventions(rows: &[&Joined], terms: &Terms, last: f64) -> Result<Interventions> {
    let acted = |row: &Joined| {
        row.censored() == Some(CensorReason::Intervention)
            && row.observation().is_some_and(|observation| observation.duration() <= last)
    };
    let of: Vec<&&Joined> = rows.iter().filter(|row| acted(row)).collect();
    if of.is_empty() {
        return Ok(Interventions::default());
    }
    let others: Vec<&Joined> = rows.iter().copied().filter(|row| !acted(row)).collect();
    let all: Vec<Judged<'_>> = rows
        .iter()
        .copied()
        .filter_map(|row| {
            let mut observation = row.observation()?;
            if acted(row) {
                observation = Observation::try_new(observation.duration(), Outcome::Failed(Cause(0))).ok()?;
            }
            Some(Judged { risk: &row.risk, observation })
        })
        .collect();
    Ok(Interventions {
        rows: of.len(),
        entities: of.iter().map(|row| &row.risk.key).collect::<HashSet<_>>().len(),
        after_alarm: of.iter().filter(|row| row.risk.alarm > Alarm::None).count(),
        left_out: Some(of_risks(&judged(&others), terms)?),
        as_failures: Some(of_risks(&all, terms)?),
    })
}
