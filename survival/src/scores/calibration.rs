//! Do predicted probabilities come true? Reliability per horizon and D-calibration over the whole curve.

use super::{check_rows, check_values};
use serde::{Deserialize, Serialize};

use crate::special::chi_square_survival;
use crate::{Cause, KaplanMeier, Observation, Result, SurvivalCurve, SurvivalError};

/// One group of rows with similar predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Rows in the bin.
    pub rows: usize,
    /// Smallest and largest predicted probability in it.
    pub range: (f64, f64),
    /// Mean predicted probability of failing by the horizon.
    pub predicted: f64,
    /// 1 − Kaplan–Meier at the horizon, of the rows in the bin.
    pub observed: f64,
    /// Lower end of its interval (log-log scale).
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
}

/// Predicted against observed failure share at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityTable {
    /// The horizon.
    pub horizon: f64,
    /// Bins by increasing prediction.
    pub bins: Vec<ReliabilityBin>,
    /// ECE = Σ rows_b/n·|predicted_b − observed_b|.
    pub expected_error: f64,
}

/// Reliability table at `horizon`: rows sorted by predicted failure probability and cut into bins of equal size,
/// rows with equal predictions kept together, each bin against 1 − Kaplan–Meier of its own rows.
///
/// # Errors
/// When lengths differ, a prediction is outside [0, 1], or `bins` or `level` is out of its domain.
pub fn reliability_table(
    observations: &[Observation],
    predicted: &[f64],
    horizon: f64,
    bins: usize,
    level: f64,
) -> Result<ReliabilityTable> {
    check_probabilities(observations, predicted)?;
    check_horizon(horizon)?;
    let n = observations.len();
    let mut table = Vec::with_capacity(bins);
    let mut expected_error = 0.0;
    for members in bins_by_prediction(predicted, bins)? {
        let rows = members.len();
        let mean = members.iter().map(|&row| predicted[row]).sum::<f64>() / rows as f64;
        let own: Vec<Observation> = members.iter().map(|&row| observations[row]).collect();
        let curve = KaplanMeier::fit(&own)?;
        let observed = 1.0 - curve.survival_at(horizon);
        let (low, high) = curve.interval(horizon, level)?;
        expected_error += rows as f64 / n as f64 * (mean - observed).abs();
        table.push(ReliabilityBin {
            rows,
            range: (predicted[members[0]], predicted[members[rows - 1]]),
            predicted: mean,
            observed,
            low: 1.0 - high,
            high: 1.0 - low,
        });
    }
    Ok(ReliabilityTable { horizon, bins: table, expected_error })
}

/// Row numbers sorted by prediction and cut into at most `bins` groups of equal size, equal predictions together.
pub(super) fn bins_by_prediction(predicted: &[f64], bins: usize) -> Result<Vec<Vec<usize>>> {
    if bins == 0 {
        return Err(SurvivalError::Domain { what: "number of bins", value: 0.0, domain: "at least 1" });
    }
    let n = predicted.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| predicted[a].total_cmp(&predicted[b]));
    let mut groups = Vec::new();
    let mut start = 0;
    for bin in 1..=bins {
        let mut end = (n * bin / bins).max(start);
        if end == start {
            continue;
        }
        while end < n && predicted[order[end]] <= predicted[order[end - 1]] {
            end += 1;
        }
        groups.push(order[start..end].to_vec());
        start = end;
    }
    Ok(groups)
}

/// One probability per observation.
pub(super) fn check_probabilities(observations: &[Observation], predicted: &[f64]) -> Result<()> {
    check_rows("predicted probabilities", observations.len(), predicted.len())?;
    check_values("predicted probabilities", predicted)?;
    if let Some(&value) = predicted.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(SurvivalError::Domain { what: "predicted probability", value, domain: "in [0, 1]" });
    }
    Ok(())
}

pub(super) fn check_horizon(horizon: f64) -> Result<()> {
    if horizon.is_finite() && horizon > 0.0 {
        return Ok(());
    }
    Err(SurvivalError::Domain { what: "horizon", value: horizon, domain: "positive and finite" })
}

/// Failure probabilities at a horizon read from curves, for [`reliability_table`] and detection scores.
///
/// # Errors
/// When the horizon lies beyond a curve's grid.
pub fn failure_probabilities(curves: &[SurvivalCurve], horizon: f64) -> Result<Vec<f64>> {
    curves.iter().map(|curve| curve.failure_probability(horizon)).collect()
}

/// Incidences of one cause at a horizon read from curves.
///
/// # Errors
/// When the horizon lies beyond a curve's grid or the cause is unknown to it.
pub fn incidences(curves: &[SurvivalCurve], cause: Cause, horizon: f64) -> Result<Vec<f64>> {
    curves.iter().map(|curve| curve.cumulative_incidence(cause, horizon)).collect()
}

/// D-calibration: whether S_i(T_i) is uniform, as it is under the true curves (Haider et al., JMLR 2020).
#[derive(Debug, Clone, PartialEq)]
pub struct DCalibration {
    /// Rows (in part) per bin of S, from [0, 1/B) to [1 − 1/B, 1].
    pub counts: Vec<f64>,
    /// Σ (count − n/B)²/(n/B).
    pub chi_square: f64,
    /// P(χ²_{B−1} > chi_square). A guard, not a rank: large means no misfit was seen.
    pub p_value: f64,
}

impl DCalibration {
    /// max_b |count_b/n − 1/B|: how far the worst bin lies from its share, in [0, 1 − 1/B].
    #[must_use]
    pub fn worst_deviation(&self) -> f64 {
        let rows: f64 = self.counts.iter().sum();
        let share = 1.0 / self.counts.len() as f64;
        self.counts.iter().map(|count| (count / rows - share).abs()).fold(0.0, f64::max)
    }
}

/// D-calibration with `bins` equal bins of S.
///
/// A failure counts in the bin of S(T). A unit censored at c would have failed with S uniform on [0, S(c)], so it is
/// spread over that range. Units outliving the grid are censored at its last edge; entry times condition on
/// S(entry), so S(T)/S(entry) is binned.
///
/// # Errors
/// When lengths differ, there are fewer than two bins, or a curve gives S(entry) = 0 to a unit that was alive then.
pub fn d_calibration(observations: &[Observation], curves: &[SurvivalCurve], bins: usize) -> Result<DCalibration> {
    check_rows("curves", observations.len(), curves.len())?;
    if bins < 2 {
        return Err(SurvivalError::Domain { what: "number of bins", value: bins as f64, domain: "at least 2" });
    }
    let width = 1.0 / bins as f64;
    let bin_of = |s: f64| ((s * bins as f64) as usize).min(bins - 1);
    let mut counts = vec![0.0; bins];
    for (observation, curve) in observations.iter().zip(curves) {
        let last = curve.grid().last_edge();
        let failed = observation.failed() && observation.duration() <= last;
        let mut s = curve.survival_at(observation.duration().min(last))?.clamp(0.0, 1.0);
        if observation.entry() > 0.0 {
            let at_entry = curve.survival_at(observation.entry().min(last))?;
            if at_entry <= 0.0 {
                return Err(SurvivalError::Domain {
                    what: "survival at the entry time",
                    value: at_entry,
                    domain: "above 0",
                });
            }
            s = (s / at_entry).clamp(0.0, 1.0);
        }
        let own = bin_of(s);
        if failed || s <= 0.0 {
            counts[own] += 1.0;
            continue;
        }
        counts[own] += (s - own as f64 * width) / s;
        for count in &mut counts[..own] {
            *count += width / s;
        }
    }
    let expected = observations.len() as f64 * width;
    let chi_square = counts.iter().map(|c| (c - expected) * (c - expected) / expected).sum();
    Ok(DCalibration { counts, chi_square, p_value: chi_square_survival(chi_square, bins as f64 - 1.0) })
}
