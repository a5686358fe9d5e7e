//! Brier score and its integral over time, weighted for censoring (Graf et al. 1999).
//!
//! BS(t) = mean of `1[T ≤ t, failed]·S(t|x)²/G(T−) + 1[T > t]·(1 − S(t|x))²/G(t)`; IBS = ∫BS dt / (t_max − t_min)
//! by the trapezoid rule over the given times. Weights use G(T−), the probability of still being watched just before
//! T; scikit-survival divides by G(T), which differs only when a training unit was censored exactly at T.

use serde::{Deserialize, Serialize};

use super::{check_rows, check_values};
use crate::{KaplanMeier, Observation, Outcome, Result, SurvivalCurve, SurvivalError};

/// Below this share of units still watched a weight above 20 would decide the score: refused.
pub const LEAST_CENSORING_SURVIVAL: f64 = 0.05;

/// G(t) = P(censoring time > t), fitted on training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CensoringWeights {
    censoring: KaplanMeier,
    least: f64,
}

impl CensoringWeights {
    /// Fits G on the training observations; failures come before censorings at ties.
    ///
    /// # Errors
    /// When there is no observation.
    pub fn fit(training: &[Observation]) -> Result<Self> {
        Ok(Self { censoring: KaplanMeier::fit_censoring(training)?, least: LEAST_CENSORING_SURVIVAL })
    }

    /// The same with another limit than [`LEAST_CENSORING_SURVIVAL`] for G.
    ///
    /// # Errors
    /// When `least` is outside (0, 1).
    pub fn with_least(mut self, least: f64) -> Result<Self> {
        crate::special::open_unit("least share not censored", least)?;
        self.least = least;
        Ok(self)
    }

    /// G(t).
    #[must_use]
    pub fn at(&self, time: f64) -> f64 {
        self.censoring.survival_at(time)
    }

    /// G(t−).
    #[must_use]
    pub fn before(&self, time: f64) -> f64 {
        self.censoring.survival_before(time)
    }

    /// The smallest G over the training times: report it beside the scores.
    #[must_use]
    pub fn smallest(&self) -> f64 {
        self.censoring.survival().last().copied().unwrap_or(1.0)
    }

    /// The distribution itself.
    #[must_use]
    pub fn distribution(&self) -> &KaplanMeier {
        &self.censoring
    }

    /// The last time with a defined score: G ≥ the limit there, and training follow-up reaches it.
    ///
    /// G falls at single times, so this is the last training duration before G drops below the limit.
    #[must_use]
    pub fn allowed_until(&self) -> f64 {
        let enough = self.censoring.survival().partition_point(|&g| g >= self.least);
        if enough == 0 { 0.0 } else { self.censoring.times()[enough - 1] }
    }

    /// Whether a score at `time` is defined: G(time) ≥ the limit and `time` within the training follow-up.
    #[must_use]
    pub fn allows(&self, time: f64) -> bool {
        time >= 0.0 && self.at(time) >= self.least && self.censoring.times().last().is_some_and(|&end| time <= end)
    }

    /// Those of `times` at which a score is defined.
    #[must_use]
    pub fn allowed_times(&self, times: &[f64]) -> Vec<f64> {
        times.iter().copied().filter(|&t| self.allows(t)).collect()
    }

    /// Refuses a time at which weights would rest on hardly anyone.
    ///
    /// # Errors
    /// When G(`time`) is below the limit or `time` lies beyond the training follow-up.
    pub fn check(&self, time: f64) -> Result<()> {
        if self.allows(time) {
            return Ok(());
        }
        if time.is_nan() || time < 0.0 {
            return Err(SurvivalError::Domain { what: "time of a score", value: time, domain: "at least 0" });
        }
        Err(SurvivalError::ThinCensoring {
            time,
            probability: self.at(time),
            least: self.least,
            allowed_until: self.allowed_until(),
        })
    }

    /// The weight of a unit failing at `time`: 1/G(T−), 0 for one beyond any training follow-up.
    pub(crate) fn of_failure(&self, time: f64) -> f64 {
        let g = self.before(time);
        if g > 0.0 { 1.0 / g } else { 0.0 }
    }
}

/// BS(t) from S(t|x) of every row.
///
/// # Errors
/// When lengths differ, a value is not finite, or G(t) is too small.
pub fn brier_score(
    observations: &[Observation],
    survival_at_t: &[f64],
    time: f64,
    censoring: &CensoringWeights,
) -> Result<f64> {
    let contributions = brier_contributions(observations, survival_at_t, time, censoring)?;
    Ok(contributions.iter().sum::<f64>() / contributions.len() as f64)
}

/// Each row's part of BS(t); their mean is the score.
///
/// # Errors
/// As [`brier_score`].
pub fn brier_contributions(
    observations: &[Observation],
    survival_at_t: &[f64],
    time: f64,
    censoring: &CensoringWeights,
) -> Result<Vec<f64>> {
    check_rows("survival values", observations.len(), survival_at_t.len())?;
    check_values("survival values", survival_at_t)?;
    censoring.check(time)?;
    let alive_weight = 1.0 / censoring.at(time);
    Ok(observations
        .iter()
        .zip(survival_at_t)
        .map(|(observation, &s)| match observation.outcome() {
            _ if observation.duration() > time => (1.0 - s) * (1.0 - s) * alive_weight,
            Outcome::Failed(_) => s * s * censoring.of_failure(observation.duration()),
            Outcome::Censored(_) => 0.0,
        })
        .collect())
}

/// IBS over `times` (at least two, increasing, within every curve's grid).
///
/// # Errors
/// When lengths differ, times do not increase, one lies beyond a curve's grid, or G is too small at one.
pub fn integrated_brier_score(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<f64> {
    let contributions = integrated_brier_contributions(observations, curves, times, censoring)?;
    Ok(contributions.iter().sum::<f64>() / contributions.len() as f64)
}

/// Each row's part of the IBS; their mean is the score, so a cluster bootstrap needs no second pass over curves.
///
/// O(n·K) time, O(n + K) memory. G is that of the training data and stays fixed over replicates.
///
/// # Errors
/// As [`integrated_brier_score`].
pub fn integrated_brier_contributions(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    times: &[f64],
    censoring: &CensoringWeights,
) -> Result<Vec<f64>> {
    check_rows("curves", observations.len(), curves.len())?;
    let plan = TimePlan::new(times, censoring)?;
    let mut reader = CurveReader::default();
    let mut contributions = Vec::with_capacity(curves.len());
    for (observation, curve) in observations.iter().zip(curves) {
        reader.locate(curve, times)?;
        let survival = curve.survival();
        let duration = observation.duration();
        let failed_weight = if observation.failed() { censoring.of_failure(duration) } else { 0.0 };
        let alive = plan.times.partition_point(|&t| t < duration);
        let mut sum = 0.0;
        for k in 0..alive {
            let lost = 1.0 - reader.value(survival, k);
            sum += plan.alive[k] * lost * lost;
        }
        if failed_weight > 0.0 {
            let mut failed = 0.0;
            for k in alive..plan.times.len() {
                let s = reader.value(survival, k);
                failed += plan.share[k] * s * s;
            }
            sum += failed * failed_weight;
        }
        contributions.push(sum);
    }
    Ok(contributions)
}

/// Trapezoid weights that sum to 1 over the times, alone and divided by G.
pub(crate) struct TimePlan {
    pub(crate) times: Vec<f64>,
    pub(crate) share: Vec<f64>,
    pub(crate) alive: Vec<f64>,
}

impl TimePlan {
    pub(crate) fn new(times: &[f64], censoring: &CensoringWeights) -> Result<Self> {
        let share = trapezoid_shares(times)?;
        let mut alive = Vec::with_capacity(times.len());
        for (&time, weight) in times.iter().zip(&share) {
            censoring.check(time)?;
            alive.push(weight / censoring.at(time));
        }
        Ok(Self { times: times.to_vec(), share, alive })
    }
}

/// Weights of the trapezoid rule that sum to 1 over at least two increasing times.
pub(crate) fn trapezoid_shares(times: &[f64]) -> Result<Vec<f64>> {
    if times.len() < 2 {
        return Err(SurvivalError::Shape {
            what: "times to integrate over (at least 2)",
            expected: 2,
            got: times.len(),
        });
    }
    for pair in times.windows(2) {
        if pair[1].is_nan() || pair[0].is_nan() || pair[1] <= pair[0] {
            return Err(SurvivalError::Domain {
                what: "time to integrate over",
                value: pair[1],
                domain: "above the time before it",
            });
        }
    }
    let last = times.len() - 1;
    let span = times[last] - times[0];
    Ok((0..times.len())
        .map(|k| {
            let left = if k == 0 { times[0] } else { times[k - 1] };
            let right = if k == last { times[last] } else { times[k + 1] };
            0.5 * (right - left) / span
        })
        .collect())
}

/// Where the requested times fall on a curve's grid; found once and kept while the curves share one grid.
#[derive(Default)]
pub(crate) struct CurveReader {
    grid: Option<std::sync::Arc<crate::TimeGrid>>,
    /// Right edge of the enclosing interval and the share of the way to it.
    places: Vec<(usize, f64)>,
}

impl CurveReader {
    pub(crate) fn locate(&mut self, curve: &SurvivalCurve, times: &[f64]) -> Result<()> {
        if self.grid.as_ref().is_some_and(|grid| std::sync::Arc::ptr_eq(grid, curve.grid())) {
            return Ok(());
        }
        let grid = curve.grid();
        let edges = grid.edges();
        self.places.clear();
        for &time in times {
            if time > grid.last_edge() {
                return Err(SurvivalError::BeyondGrid { horizon: time, last_edge: grid.last_edge() });
            }
            let right = edges.partition_point(|&edge| edge < time).max(1);
            self.places.push((right, (time - edges[right - 1]) / (edges[right] - edges[right - 1])));
        }
        self.grid = Some(std::sync::Arc::clone(grid));
        Ok(())
    }

    /// The linear interpolation of [`SurvivalCurve::survival_at`] at the k-th time.
    pub(crate) fn value(&self, values: &[f64], k: usize) -> f64 {
        let (right, share) = self.places[k];
        values[right - 1] + share * (values[right] - values[right - 1])
    }
}
