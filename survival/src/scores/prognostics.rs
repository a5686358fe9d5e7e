//! How predictions of remaining life get better towards the end of one unit's life (Saxena et al., PHM 2008; IJPHM 2010).
//!
//! Times count from the unit's start; at time t the true remaining life is r*(t) = end − t, the predicted one r(t).

use serde::{Deserialize, Serialize};

use super::{check_rows, check_values};
use crate::{Result, SurvivalCurve, SurvivalError};

/// Predictions made along one life that ended in a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TrackParts", into = "TrackParts")]
pub struct PrognosisTrack {
    times: Vec<f64>,
    predicted: Vec<f64>,
    end_of_life: f64,
}

#[derive(Serialize, Deserialize)]
struct TrackParts {
    times: Vec<f64>,
    predicted: Vec<f64>,
    end_of_life: f64,
}

impl TryFrom<TrackParts> for PrognosisTrack {
    type Error = SurvivalError;
    fn try_from(parts: TrackParts) -> Result<Self> {
        Self::try_new(parts.times, parts.predicted, parts.end_of_life)
    }
}

impl From<PrognosisTrack> for TrackParts {
    fn from(track: PrognosisTrack) -> Self {
        Self { times: track.times, predicted: track.predicted, end_of_life: track.end_of_life }
    }
}

/// How long before the end the predictions were within their bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PrognosticHorizon {
    /// Remaining life at the first prediction within the bound, as defined; a lucky hit counts. `None` without one.
    pub first: Option<f64>,
    /// Remaining life at the first prediction from which on all stay within. `None` when the last is outside.
    pub lasting: Option<f64>,
}

impl PrognosisTrack {
    /// Predicted remaining life at increasing times, all before the end of life.
    ///
    /// # Errors
    /// When lengths differ, there is no prediction, a value is not finite, times do not increase, or one is not
    /// before the end of life.
    pub fn try_new(times: Vec<f64>, predicted: Vec<f64>, end_of_life: f64) -> Result<Self> {
        if times.is_empty() {
            return Err(SurvivalError::Empty { what: "list of predictions" });
        }
        check_rows("predicted remaining lives", times.len(), predicted.len())?;
        check_values("times of prediction", &times)?;
        check_values("predicted remaining lives", &predicted)?;
        if let Some(pair) = times.windows(2).find(|pair| pair[1] <= pair[0]) {
            return Err(SurvivalError::Domain {
                what: "time of prediction",
                value: pair[1],
                domain: "after the time before it",
            });
        }
        if !(end_of_life.is_finite() && times[times.len() - 1] < end_of_life) {
            return Err(SurvivalError::Domain {
                what: "end of life",
                value: end_of_life,
                domain: "finite and after every prediction",
            });
        }
        Ok(Self { times, predicted, end_of_life })
    }

    fn truth(&self, k: usize) -> f64 {
        self.end_of_life - self.times[k]
    }

    /// PH: remaining life when predictions first lie within ±α·end of life of the truth, a band of constant width.
    ///
    /// # Errors
    /// When `alpha` is outside (0, 1).
    pub fn prognostic_horizon(&self, alpha: f64) -> Result<PrognosticHorizon> {
        crate::special::open_unit("accuracy alpha", alpha)?;
        let bound = alpha * self.end_of_life;
        let within = |k: usize| (self.predicted[k] - self.truth(k)).abs() <= bound;
        let count = self.times.len();
        let first = (0..count).find(|&k| within(k));
        let outside = (0..count).rev().take_while(|&k| within(k)).last();
        Ok(PrognosticHorizon { first: first.map(|k| self.truth(k)), lasting: outside.map(|k| self.truth(k)) })
    }

    /// α–λ accuracy: whether the prediction at the share λ of the way from the first prediction to the end lies within
    /// ±α·r* of the truth, a cone that narrows towards the end.
    ///
    /// Judged is the latest prediction made by then, against the truth at its own time.
    ///
    /// # Errors
    /// When `alpha` is outside (0, 1) or `lambda` outside [0, 1).
    pub fn alpha_lambda(&self, alpha: f64, lambda: f64) -> Result<bool> {
        crate::special::open_unit("accuracy alpha", alpha)?;
        if !(0.0..1.0).contains(&lambda) {
            return Err(SurvivalError::Domain {
                what: "share of the way lambda",
                value: lambda,
                domain: "at least 0 and below 1",
            });
        }
        let moment = self.times[0] + lambda * (self.end_of_life - self.times[0]);
        let k = self.times.partition_point(|&t| t <= moment).max(1) - 1;
        Ok((self.predicted[k] - self.truth(k)).abs() <= alpha * self.truth(k))
    }

    /// RA(t) = 1 − |r − r*|/r* at every prediction: 1 is perfect, below 0 is off by more than the whole remaining life.
    #[must_use]
    pub fn relative_accuracy(&self) -> Vec<f64> {
        (0..self.times.len()).map(|k| 1.0 - (self.predicted[k] - self.truth(k)).abs() / self.truth(k)).collect()
    }

    /// CRA: mean of RA over the predictions, with a weight per prediction (late ones often count more) or `None`.
    ///
    /// # Errors
    /// When the lengths differ, a weight is negative or not finite, or all are 0.
    pub fn cumulative_relative_accuracy(&self, weights: Option<&[f64]>) -> Result<f64> {
        let accuracy = self.relative_accuracy();
        let Some(weights) = weights else {
            return Ok(accuracy.iter().sum::<f64>() / accuracy.len() as f64);
        };
        crate::risk_table::check_weights(weights, accuracy.len())?;
        let total: f64 = weights.iter().sum();
        if total <= 0.0 {
            return Err(SurvivalError::Domain { what: "sum of weights", value: total, domain: "above 0" });
        }
        Ok(accuracy.iter().zip(weights).map(|(a, w)| a * w).sum::<f64>() / total)
    }

    /// Convergence of |r − r*|: distance from (first time, 0) to the centre of mass of the area under the error; the
    /// smaller, the faster the error went away. 0 when there never was one.
    ///
    /// The error at each prediction holds until the next one; the last prediction only ends the area.
    ///
    /// # Errors
    /// When there are fewer than two predictions.
    pub fn convergence(&self) -> Result<f64> {
        let count = self.times.len();
        if count < 2 {
            return Err(SurvivalError::Shape { what: "predictions (at least 2)", expected: 2, got: count });
        }
        let start = self.times[0];
        let (mut area, mut across, mut up) = (0.0, 0.0, 0.0);
        for k in 0..count - 1 {
            let error = (self.predicted[k] - self.truth(k)).abs();
            // From the first time on, so that a late clock costs no digits.
            let (left, right) = (self.times[k] - start, self.times[k + 1] - start);
            area += (right - left) * error;
            across += 0.5 * (right * right - left * left) * error;
            up += 0.5 * (right - left) * error * error;
        }
        Ok(if area > 0.0 { (across / area).hypot(up / area) } else { 0.0 })
    }
}

/// π[r*(1 − α), r*(1 + α)]: the probability a curve gives to remaining lives within ±α of the true one, to be held
/// against a β such as ½.
///
/// # Errors
/// When `alpha` is outside (0, 1), `remaining` is not positive, or the upper bound lies beyond the grid.
pub fn probability_within(curve: &SurvivalCurve, remaining: f64, alpha: f64) -> Result<f64> {
    crate::special::open_unit("accuracy alpha", alpha)?;
    if remaining.is_nan() || remaining <= 0.0 {
        return Err(SurvivalError::Domain { what: "true remaining life", value: remaining, domain: "positive" });
    }
    let high = curve.survival_at((1.0 + alpha) * remaining)?;
    Ok((curve.survival_at((1.0 - alpha) * remaining)? - high).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// End of life 100; r* = 90, 70, 50, 30, 10 and errors +30, −14, +8, −9, 0.
    fn track() -> PrognosisTrack {
        PrognosisTrack::try_new(vec![10.0, 30.0, 50.0, 70.0, 90.0], vec![120.0, 56.0, 58.0, 21.0, 10.0], 100.0).unwrap()
    }

    #[test]
    fn one_life_worked_by_hand() {
        let track = track();
        // ±0.1·100: errors 8, 9 and 0 are within, from t = 50 on.
        let horizon = track.prognostic_horizon(0.1).unwrap();
        assert_eq!((horizon.first, horizon.lasting), (Some(50.0), Some(50.0)));
        // ±8.5: +8 is a hit at t = 50 that does not last; −9 misses; 0 at t = 90 lasts.
        let horizon = track.prognostic_horizon(0.085).unwrap();
        assert_eq!((horizon.first, horizon.lasting), (Some(50.0), Some(10.0)));
        // λ = ½ is t = 55: the prediction of t = 50 with 8/50 = 0.16.
        assert!(track.alpha_lambda(0.2, 0.5).unwrap() && !track.alpha_lambda(0.15, 0.5).unwrap());
        // λ = 0 is the first prediction: 30/90.
        assert!(track.alpha_lambda(0.34, 0.0).unwrap() && !track.alpha_lambda(0.33, 0.0).unwrap());
        // RA = 2/3, 0.8, 0.84, 0.7, 1.
        let mean = (2.0 / 3.0 + 0.8 + 0.84 + 0.7 + 1.0) / 5.0;
        assert!((track.cumulative_relative_accuracy(None).unwrap() - mean).abs() < 1e-14);
        let late = track.cumulative_relative_accuracy(Some(&[0.0, 0.0, 0.0, 1.0, 3.0])).unwrap();
        assert!((late - 3.7 / 4.0).abs() < 1e-14);
        // Steps of 20 with heights 30, 14, 8, 9: area 61·20; x = Σ 20·M·(10, 30, 50, 70)/area; y = Σ 10·M²/area.
        let x = (30.0 * 10.0 + 14.0 * 30.0 + 8.0 * 50.0 + 9.0 * 70.0) / 61.0;
        let y = 0.5 * (900.0 + 196.0 + 64.0 + 81.0) / 61.0;
        assert!((track.convergence().unwrap() - f64::hypot(x, y)).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_track_has_the_best_of_every_number() {
        let track = PrognosisTrack::try_new(vec![0.0, 4.0, 8.0], vec![10.0, 6.0, 2.0], 10.0).unwrap();
        let horizon = track.prognostic_horizon(0.01).unwrap();
        assert_eq!((horizon.first, horizon.lasting), (Some(10.0), Some(10.0)));
        assert!(track.convergence().unwrap() < 1e-15);
        assert!((track.cumulative_relative_accuracy(None).unwrap() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn an_error_that_goes_away_sooner_converges_faster() {
        let track = |errors: [f64; 4]| {
            let times = vec![0.0, 2.0, 4.0, 6.0];
            let predicted = times.iter().zip(errors).map(|(t, e)| 10.0 - t + e).collect();
            PrognosisTrack::try_new(times, predicted, 10.0).unwrap().convergence().unwrap()
        };
        assert!(track([4.0, 1.0, 1.0, 0.0]) < track([4.0, 3.0, 1.0, 0.0]));
        // The same shape later on the clock is as fast.
        let late = PrognosisTrack::try_new(vec![1e6, 1e6 + 2.0, 1e6 + 4.0], vec![14.0, 9.0, 6.0], 1e6 + 10.0).unwrap();
        let early = PrognosisTrack::try_new(vec![0.0, 2.0, 4.0], vec![14.0, 9.0, 6.0], 10.0).unwrap();
        assert!((late.convergence().unwrap() - early.convergence().unwrap()).abs() < 1e-9);
    }
}
