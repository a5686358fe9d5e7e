//! Squared error of stored risks, weighted for censoring.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use survival::scores::brier::{brier_score, integrated_brier_contributions};
use survival::{CensorReason, CensoringWeights, ClusterBootstrap, KaplanMeier, Observation, SurvivalCurve, TimeGrid};

use super::nights::{Risk, Terms};
use crate::error::Result;

/// Moments between two horizons at which the integral looks.
const STEPS: usize = 8;
/// Replicates of the interval, and their seed: the same rows give the same interval.
const REPLICATES: usize = 1000;
const SEED: u64 = 0;

/// Brier scores of some rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Brier {
    /// Rows judged.
    pub rows: usize,
    /// By horizon; `None` where too few rows are followed that far.
    pub at: Vec<Option<f64>>,
    /// Their mean over time from the first horizon to the last; `None` where one end is not reached or there is one horizon.
    pub integrated: Option<f64>,
    /// 95 % interval of `integrated`, entities drawn with replacement.
    pub interval: Option<(f64, f64)>,
}

/// One row to judge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) risk: &'a Risk,
    pub(super) observation: Observation,
}

/// G of these rows themselves: there is no training data whose follow-up would be that of a later week.
///
/// Where nobody left before the last horizon G is 1 up to it, also when the longest life was a failure.
pub(super) fn weights(rows: &[Judged<'_>], terms: &Terms) -> Result<CensoringWeights> {
    let last = terms.horizons.last().copied().unwrap_or(1.0);
    let early = |observation: &Observation| !observation.failed() && observation.duration() <= last;
    let observations: Vec<Observation> = rows.iter().map(|row| row.observation).collect();
    if observations.iter().any(early) {
        return Ok(CensoringWeights::fit(&observations)?);
    }
    let after = Observation::try_new(2.0 * last, survival::Outcome::Censored(CensorReason::EndOfObservation))?;
    Ok(CensoringWeights::fit(&[after])?)
}

/// Scores of the stored risks.
pub(super) fn of_risks(rows: &[Judged<'_>], terms: &Terms) -> Result<Brier> {
    let Some(plan) = Plan::of(rows, terms)? else { return Ok(Brier::none(terms)) };
    let at = plan.at(|at| rows.iter().map(|row| 1.0 - row.risk.failure_probability[at]).collect())?;
    let (mut integrated, mut interval) = (None, None);
    if let Some(times) = plan.times() {
        let curves = rows.iter().map(|row| stored_curve(row.risk, terms)).collect::<Result<Vec<_>>>()?;
        let parts = integrated_brier_contributions(&plan.observations, &curves, &times, &plan.weights)?;
        integrated = Some(mean(&parts));
        let entities: Vec<&str> = rows.iter().map(|row| row.risk.key.as_str()).collect();
        // One entity shows no spread.
        if entities.iter().any(|entity| *entity != entities[0]) {
            let found = ClusterBootstrap::new(&entities, REPLICATES, SEED)?.interval_of_mean(&parts)?;
            interval = Some((found.low, found.high));
        }
    }
    Ok(Brier { rows: rows.len(), at, integrated, interval })
}

/// What everybody would score who was told the share of these very rows that failed: a reference nobody could have known
/// beforehand, so that to be below it is worth something.
pub(super) fn of_everybody_alike(rows: &[Judged<'_>], terms: &Terms) -> Result<Brier> {
    let Some(plan) = Plan::of(rows, terms)? else { return Ok(Brier::none(terms)) };
    let curve = KaplanMeier::fit(&plan.observations)?;
    let alike = |time: f64| vec![curve.survival_at(time); rows.len()];
    let at = plan.at(|at| alike(terms.horizons[at]))?;
    let mut integrated = None;
    if let Some(times) = plan.times() {
        let scores = times
            .iter()
            .map(|&time| Ok(brier_score(&plan.observations, &alike(time), time, &plan.weights)?))
            .collect::<Result<Vec<f64>>>()?;
        let area: f64 = times.windows(2).zip(scores.windows(2)).map(|(t, s)| 0.5 * (t[1] - t[0]) * (s[0] + s[1])).sum();
        integrated = Some(area / (times[times.len() - 1] - times[0]));
    }
    Ok(Brier { rows: rows.len(), at, integrated, interval: None })
}

/// The scores of several weeks as one: each week has weights of its own, since the newest is followed for the shortest time.
/// Weeks in which a score is not told have no part in it.
pub(super) fn pooled(weeks: &[&Brier], terms: &Terms) -> Brier {
    let rows = weeks.iter().map(|week| week.rows).sum();
    let of = |pick: &dyn Fn(&Brier) -> Option<f64>| {
        let told: Vec<(f64, f64)> =
            weeks.iter().filter_map(|week| Some((pick(week)?, f64::from(u32::try_from(week.rows).ok()?)))).collect();
        let rows: f64 = told.iter().map(|(_, rows)| rows).sum();
        (rows > 0.0).then(|| told.iter().map(|(score, rows)| score * rows).sum::<f64>() / rows)
    };
    let at = (0..terms.horizons.len()).map(|at| of(&|week| week.at.get(at).copied().flatten())).collect();
    Brier { rows, at, integrated: of(&|week| week.integrated), interval: None }
}

impl Brier {
    fn none(terms: &Terms) -> Self {
        Self { at: vec![None; terms.horizons.len()], ..Self::default() }
    }
}

/// Rows, their weights, and where a score can be told.
struct Plan<'a> {
    observations: Vec<Observation>,
    weights: CensoringWeights,
    terms: &'a Terms,
}

impl<'a> Plan<'a> {
    fn of(rows: &[Judged<'_>], terms: &'a Terms) -> Result<Option<Self>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let observations = rows.iter().map(|row| row.observation).collect();
        Ok(Some(Self { observations, weights: weights(rows, terms)?, terms }))
    }

    fn at(&self, survival: impl Fn(usize) -> Vec<f64>) -> Result<Vec<Option<f64>>> {
        let score = |(at, &horizon): (usize, &f64)| {
            let told = self.weights.allows(horizon);
            let score = || brier_score(&self.observations, &survival(at), horizon, &self.weights);
            Ok(told.then(score).transpose()?)
        };
        self.terms.horizons.iter().enumerate().map(score).collect()
    }

    /// From the first horizon to the last, where scores are told all the way.
    fn times(&self) -> Option<Vec<f64>> {
        let horizons = &self.terms.horizons;
        let mut times = vec![*horizons.first()?];
        for pair in horizons.windows(2) {
            #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
            let between = (1..STEPS).map(|step| pair[0] + (pair[1] - pair[0]) * step as f64 / STEPS as f64);
            times.extend(between);
            times.push(pair[1]);
        }
        (times.len() > 1 && times.iter().all(|&time| self.weights.allows(time))).then_some(times)
    }
}

/// The curve through what was stored of it: 1 at 0, S at every horizon, and the quantiles up to the last horizon. Between them it
/// is read on a straight line.
pub(super) fn stored_curve(risk: &Risk, terms: &Terms) -> Result<SurvivalCurve> {
    let last = terms.horizons.last().copied().unwrap_or(0.0);
    let mut points: Vec<(f64, f64)> =
        terms.horizons.iter().zip(&risk.failure_probability).map(|(&horizon, p)| (horizon, 1.0 - p)).collect();
    for (&(_, level), life) in terms.quantiles.iter().zip(&risk.quantiles) {
        if let Some(life) = life.filter(|life| *life > 0.0 && *life < last)
            && points.iter().all(|(time, _)| (time - life).abs() > 1e-9 * last)
        {
            points.push((life, 1.0 - level));
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut edges, mut survival, mut s) = (vec![0.0], vec![1.0], 1.0_f64);
    for (time, value) in points {
        // A quantile is found by division, and may be off by the last bit.
        s = s.min(value);
        edges.push(time);
        survival.push(s);
    }
    Ok(SurvivalCurve::from_survival(Arc::new(TimeGrid::try_new(terms.unit, edges)?), survival)?)
}

fn mean(values: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rows")]
    let count = values.len() as f64;
    values.iter().sum::<f64>() / count
}
