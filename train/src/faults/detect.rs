//! Detectors of anomalies: a series in, a score per step out, higher being odder, from the past of each step alone.
//!
//! What a detector learns it learns on the steps given to it. Every residual is divided by the residual's own 99 % quantile
//! over those steps, so that 1 is as odd as the oddest hundredth of them, in every series alike.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::numeric::{deviation, hashed_unit, least_squares, median, quantile};

/// Weight of the newest value in the moving mean and variance.
const NEWEST: f64 = 0.1;
/// Values before the moving variance is known well enough to divide by.
const WARM: usize = 30;
/// Values that the forecast looks back on.
const LAGS: usize = 12;
/// Ridge of the forecast, per coefficient, on standardised values.
const RIDGE: f64 = 1.0;
/// Level of the residuals that counts as 1.
const LEVEL: f64 = 0.99;

/// A way of finding what is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// By lot: the floor.
    Random,
    /// Distance from the median of the learning steps.
    StaticThreshold,
    /// Distance from an exponentially weighted mean in units of its deviation.
    MovingAverage,
    /// Difference from the same time a day before.
    SeasonalNaive,
    /// Residual of a linear forecast from the last values, and the same time a day before where there is one.
    Forecast,
}

impl Detector {
    /// All of them, the floor first.
    pub const ALL: [Self; 5] =
        [Self::Random, Self::StaticThreshold, Self::MovingAverage, Self::SeasonalNaive, Self::Forecast];

    /// Name in tables and of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::StaticThreshold => "static_threshold",
            Self::MovingAverage => "moving_average",
            Self::SeasonalNaive => "seasonal_naive",
            Self::Forecast => "forecast",
        }
    }

    /// Scores of every step; 0 where nothing was measured, everywhere where the learning steps hold nothing to learn.
    /// `None` where the series is too short for the method.
    pub(super) fn scores(
        self,
        values: &[f64],
        train: &Range<usize>,
        day: usize,
        name: &str,
        seed: u64,
    ) -> Option<Vec<f64>> {
        let residuals = match self {
            Self::Random => {
                return Some((0..values.len()).map(|t| hashed_unit(seed, &[name, &t.to_string()])).collect());
            }
            Self::StaticThreshold => {
                let Some(centre) = median(&values[train.clone()]) else { return Some(vec![0.0; values.len()]) };
                values.iter().map(|value| value - centre).collect()
            }
            Self::MovingAverage => moving(values),
            Self::SeasonalNaive => {
                // Less than a day and a quarter of learning leaves too few differences to know their size.
                if 4 * train.len() < 5 * day {
                    return None;
                }
                (0..values.len()).map(|t| if t >= day { values[t] - values[t - day] } else { f64::NAN }).collect()
            }
            Self::Forecast => forecast(values, train, day),
        };
        Some(scaled(&residuals, values, train))
    }
}

/// Absolute residuals in units of their own quantile; gaps are 0.
fn scaled(residuals: &[f64], values: &[f64], train: &Range<usize>) -> Vec<f64> {
    let sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    let usual = quantile(&sizes[train.clone()], LEVEL).unwrap_or(0.0);
    // A series that rested while learning has no size of its own; a hundredth of its level, or its first step, stands in.
    let level = median(&values[train.clone()]).unwrap_or(0.0).abs();
    let unit = usual.max(0.01 * level);
    let fallback = sizes.iter().copied().find(|size| *size > 0.0).unwrap_or(1.0);
    let unit = if unit > 0.0 { unit } else { fallback };
    sizes.into_iter().map(|size| if size.is_finite() { size / unit } else { 0.0 }).collect()
}

/// Distance from the weighted mean of the past in units of its deviation.
fn moving(values: &[f64]) -> Vec<f64> {
    let mut state: Option<(f64, f64)> = None;
    let mut seen = 0;
    values
        .iter()
        .map(|&value| {
            if !value.is_finite() {
                return f64::NAN;
            }
            let Some((mean, variance)) = state else {
                state = Some((value, 0.0));
                return f64::NAN;
            };
            let gap = value - mean;
            state = Some((mean + NEWEST * gap, (1.0 - NEWEST) * (variance + NEWEST * gap * gap)));
            // The floor keeps a metric that rests from being infinitely far from its rest.
            let floor = 0.01 * mean.abs() + 1e-9;
            seen += 1;
            if seen < WARM {
                return f64::NAN;
            }
            gap / variance.sqrt().max(floor)
        })
        .collect()
}

/// Residuals of a ridge regression on the last values, fitted on the learning steps.
fn forecast(values: &[f64], train: &Range<usize>, day: usize) -> Vec<f64> {
    let learnt = &values[train.clone()];
    let nothing = vec![f64::NAN; values.len()];
    let (Some(centre), spread) = (median(learnt), deviation(learnt)) else { return nothing };
    if spread <= 0.0 {
        return values.iter().map(|value| value - centre).collect();
    }
    let seasonal = 4 * train.len() >= 5 * day;
    let standard = |t: usize| (values[t] - centre) / spread;
    let inputs = |t: usize| -> Option<Vec<f64>> {
        if t < LAGS || (seasonal && t < day) {
            return None;
        }
        let mut row: Vec<f64> = (1..=LAGS).map(|lag| standard(t - lag)).collect();
        if seasonal {
            row.push(standard(t - day));
        }
        row.push(1.0);
        row.iter().all(|value| value.is_finite()).then_some(row)
    };
    let (mut rows, mut target) = (Vec::new(), Vec::new());
    for t in train.clone() {
        if let Some(row) = inputs(t).filter(|_| values[t].is_finite()) {
            rows.push(row);
            target.push(standard(t));
        }
    }
    if rows.len() < 4 * LAGS {
        return nothing;
    }
    let Some((weights, _)) = least_squares(&rows, &target, RIDGE) else { return nothing };
    (0..values.len())
        .map(|t| {
            let told = inputs(t).map(|row| row.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>());
            told.map_or(f64::NAN, |told| spread * (standard(t) - told))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A daily wave of 24 steps with a jump at step 200.
    fn wave() -> Vec<f64> {
        (0..240)
            .map(|t| {
                let noise = hashed_unit(3, &[&t.to_string()]) - 0.5;
                10.0 + 4.0 * (f64::from(t) * std::f64::consts::TAU / 24.0).sin()
                    + noise
                    + if t == 200 { 9.0 } else { 0.0 }
            })
            .collect()
    }

    #[test]
    fn the_jump_is_the_oddest_step_for_all_but_the_lot() {
        let values = wave();
        for detector in &Detector::ALL[1..] {
            let scores = detector.scores(&values, &(0..120), 24, "wave", 1).unwrap();
            let oddest = (121..223).fold(121, |best, t| if scores[t] > scores[best] { t } else { best });
            assert_eq!(oddest, 200, "{}", detector.name());
            assert!(scores[200] > 1.2, "{}: {}", detector.name(), scores[200]);
            assert!(scores.iter().all(|score| score.is_finite() && *score >= 0.0));
        }
    }

    #[test]
    fn no_score_looks_ahead() {
        let values = wave();
        for detector in Detector::ALL {
            let all = detector.scores(&values, &(0..120), 24, "wave", 1).unwrap();
            let cut = detector.scores(&values[..180], &(0..120), 24, "wave", 1).unwrap();
            for t in 0..180 {
                assert!((all[t] - cut[t]).abs() < 1e-12, "{} at {t}", detector.name());
            }
        }
    }

    #[test]
    fn gaps_and_series_at_rest_have_scores_that_are_numbers() {
        let mut values = vec![f64::NAN; 60];
        for detector in Detector::ALL {
            let scores = detector.scores(&values, &(0..40), 24, "gone", 1).unwrap();
            assert!(scores.iter().all(|score| score.is_finite()), "{}", detector.name());
        }
        values.fill(0.0);
        values[50] = 3.0;
        for detector in &Detector::ALL[1..] {
            let scores = detector.scores(&values, &(0..40), 24, "rest", 1).unwrap();
            assert!(scores[50] > 0.0 && scores[45].abs() < 1e-12, "{}: {scores:?}", detector.name());
        }
        assert_eq!(Detector::SeasonalNaive.scores(&values, &(0..20), 24, "short", 1), None);
    }
}
