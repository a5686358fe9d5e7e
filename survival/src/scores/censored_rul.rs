//! Mean absolute error of predicted lives when some true lives are only known to be longer (Qi et al., ICML 2023).
//!
//! A failure at T counts |T − ŷ|. A unit censored at c counts
//!
//! * hinge: max(c − ŷ, 0), the part of the error that is certain; never punishes too long a prediction;
//! * margin: |e − ŷ| with e = E[T | T > c] = c + ∫_c^∞ S/S(c) under the average curve of the training data;
//! * pseudo-observation: |e − ŷ| with e = (n + 1)·θ(training and this unit) − n·θ(training), θ the mean life under the
//!   average curve, the unit's own contribution to it.
//!
//! In the last two a censored unit weighs 1 − S(c), since the earlier it left the more of e is the average's. S is the
//! Kaplan–Meier step function, and beyond its last time the line from (0, 1) through its last point down to 0.
//! SurvivalEVAL joins the points of the estimate by lines instead of steps, which makes every area a little smaller.

use super::{check_rows, check_values};
use crate::{KaplanMeier, Observation, Result, SurvivalError};

/// Mean over all rows of |T − ŷ| for failures and max(c − ŷ, 0) for censored rows.
///
/// # Errors
/// When lengths differ, there is no row, or a value is not finite.
pub fn mae_hinge(observations: &[Observation], predicted: &[f64]) -> Result<f64> {
    check_predicted(observations, predicted)?;
    let sum: f64 = observations
        .iter()
        .zip(predicted)
        .map(|(o, p)| if o.failed() { (o.duration() - p).abs() } else { (o.duration() - p).max(0.0) })
        .sum();
    Ok(sum / observations.len() as f64)
}

/// MAE-margin: a censored unit is expected to live as long as the training units that outlived it.
///
/// # Errors
/// As [`mae_hinge`]; also when nothing failed in training, no row has a weight (all censored before the first failure of
/// training), or delayed entries take the average curve to 0 before its last time.
pub fn mae_margin(training: &[Observation], observations: &[Observation], predicted: &[f64]) -> Result<f64> {
    check_predicted(observations, predicted)?;
    let life = AverageLife::fit(training)?;
    life.weighted_error(observations, predicted, |censored| life.beyond(censored))
}

/// MAE-PO: a censored unit counts as what it adds to the mean life of the training units. O((n + m) log n).
///
/// # Errors
/// As [`mae_margin`].
pub fn mae_pseudo_observation(
    training: &[Observation],
    observations: &[Observation],
    predicted: &[f64],
) -> Result<f64> {
    check_predicted(observations, predicted)?;
    let life = AverageLife::fit(training)?;
    let n = training.len() as f64;
    life.weighted_error(observations, predicted, |censored| (n + 1.0) * life.mean_with(censored) - n * life.mean())
}

fn check_predicted(observations: &[Observation], predicted: &[f64]) -> Result<()> {
    check_rows("predicted lives", observations.len(), predicted.len())?;
    check_values("predicted lives", predicted)
}

/// The average curve with its areas, and the same with one unit more at risk.
struct AverageLife {
    estimate: KaplanMeier,
    /// ∫ from each time to the last.
    area_after: Vec<f64>,
    /// S with one unit more at risk at every time up to it, and its integral from 0 up to it.
    longer: Vec<f64>,
    area_of_longer: Vec<f64>,
    last: f64,
    last_survival: f64,
}

impl AverageLife {
    fn fit(training: &[Observation]) -> Result<Self> {
        let estimate = KaplanMeier::fit(training)?;
        let (times, survival) = (estimate.times(), estimate.survival());
        let n = times.len();
        let (last, last_survival) = (times[n - 1], survival[n - 1]);
        if last_survival >= 1.0 {
            return Err(SurvivalError::NoFailures { rows: training.len() });
        }
        if survival[..n - 1].iter().any(|&s| s <= 0.0) {
            return Err(SurvivalError::Domain {
                what: "Kaplan–Meier estimate before its last time",
                value: 0.0,
                domain: "above 0; with delayed entries start the clock where the risk set is larger",
            });
        }
        let mut area_after = vec![0.0; n];
        for i in (0..n - 1).rev() {
            area_after[i] = area_after[i + 1] + survival[i] * (times[i + 1] - times[i]);
        }
        let (mut s, mut area, mut before) = (1.0, 0.0, 0.0);
        let mut longer = Vec::with_capacity(n);
        let mut area_of_longer = Vec::with_capacity(n);
        for ((&time, &at_risk), &failed) in times.iter().zip(estimate.at_risk()).zip(estimate.events()) {
            area += s * (time - before);
            before = time;
            s *= 1.0 - failed / (at_risk + 1.0);
            longer.push(s);
            area_of_longer.push(area);
        }
        Ok(Self { estimate, area_after, longer, area_of_longer, last, last_survival })
    }

    fn survival_at(&self, time: f64) -> f64 {
        if time <= self.last {
            self.estimate.survival_at(time)
        } else if self.last_survival > 0.0 {
            (1.0 - time * (1.0 - self.last_survival) / self.last).max(0.0)
        } else {
            0.0
        }
    }

    /// ∫_time^∞ S.
    fn area_beyond(&self, time: f64) -> f64 {
        if time > self.last {
            let s = self.survival_at(time);
            return if s > 0.0 { 0.5 * s * (self.last / (1.0 - self.last_survival) - time) } else { 0.0 };
        }
        let times = self.estimate.times();
        let next = times.partition_point(|&t| t <= time);
        let within = match times.get(next) {
            Some(&following) => self.estimate.survival_at(time) * (following - time) + self.area_after[next],
            None => 0.0,
        };
        within + tail(self.last, self.last_survival)
    }

    fn mean(&self) -> f64 {
        self.area_beyond(0.0)
    }

    /// E[T | T > time].
    fn beyond(&self, time: f64) -> f64 {
        let s = self.survival_at(time);
        if s > 0.0 { time + self.area_beyond(time) / s } else { time }
    }

    /// Mean life when a unit censored at `time` joins: it is at risk up to there and leaves later factors alone.
    fn mean_with(&self, time: f64) -> f64 {
        let times = self.estimate.times();
        let known = times.partition_point(|&t| t <= time);
        let (s, area, from) = match known {
            0 => (1.0, 0.0, 0.0),
            _ => (self.longer[known - 1], self.area_of_longer[known - 1], times[known - 1]),
        };
        let up_to_time = area + s * (time - from);
        if time >= self.last {
            return up_to_time + tail(time, s);
        }
        let ratio = s / self.estimate.survival_at(time);
        let within = self.area_beyond(time) - tail(self.last, self.last_survival);
        up_to_time + ratio * within + tail(self.last, ratio * self.last_survival)
    }

    fn weighted_error(
        &self,
        observations: &[Observation],
        predicted: &[f64],
        expected: impl Fn(f64) -> f64,
    ) -> Result<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (observation, prediction) in observations.iter().zip(predicted) {
            let time = observation.duration();
            let (truth, weight) =
                if observation.failed() { (time, 1.0) } else { (expected(time), 1.0 - self.survival_at(time)) };
            sum += weight * (truth - prediction).abs();
            weights += weight;
        }
        if weights > 0.0 { Ok(sum / weights) } else { Err(SurvivalError::NoFailures { rows: observations.len() }) }
    }
}

/// Area under the line from (0, 1) through (last, survival) beyond `last`.
fn tail(last: f64, survival: f64) -> f64 {
    if survival <= 0.0 { 0.0 } else { 0.5 * survival * (last / (1.0 - survival) - last) }
}
