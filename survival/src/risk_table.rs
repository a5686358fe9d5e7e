//! Who was at risk, who failed and who was censored at each distinct duration.

use crate::table::same_time;
use crate::{Observation, Result, SurvivalError};

/// Counts (or sums of weights) at each distinct duration, increasing.
pub(crate) struct RiskTable {
    pub(crate) times: Vec<f64>,
    /// Weight with entry < t ≤ duration.
    pub(crate) at_risk: Vec<f64>,
    pub(crate) failures: Vec<f64>,
    pub(crate) censorings: Vec<f64>,
}

impl RiskTable {
    pub(crate) fn new(observations: &[Observation], weights: Option<&[f64]>) -> Result<Self> {
        if observations.is_empty() {
            return Err(SurvivalError::Empty { what: "list of observations" });
        }
        if let Some(weights) = weights {
            check_weights(weights, observations.len())?;
        }
        let weight = |row: usize| weights.map_or(1.0, |w| w[row]);
        let mut by_duration: Vec<usize> = (0..observations.len()).filter(|&row| weight(row) > 0.0).collect();
        if by_duration.is_empty() {
            return Err(SurvivalError::Empty { what: "list of observations with a weight above 0" });
        }
        let mut by_entry: Vec<usize> =
            by_duration.iter().copied().filter(|&row| observations[row].entry() > 0.0).collect();
        by_duration.sort_by(|&a, &b| observations[b].duration().total_cmp(&observations[a].duration()));
        by_entry.sort_by(|&a, &b| observations[b].entry().total_cmp(&observations[a].entry()));

        // From the last duration backwards: sums grow from 0, so nothing is lost to cancellation without entries.
        let mut table = Self { times: vec![], at_risk: vec![], failures: vec![], censorings: vec![] };
        let (mut not_yet_ended, mut not_yet_entered) = (0.0, 0.0);
        let (mut row, mut late) = (0, 0);
        while row < by_duration.len() {
            let time = observations[by_duration[row]].duration();
            let (mut failed, mut censored) = (0.0, 0.0);
            while row < by_duration.len() && same_time(observations[by_duration[row]].duration(), time) {
                let index = by_duration[row];
                if observations[index].failed() {
                    failed += weight(index);
                } else {
                    censored += weight(index);
                }
                row += 1;
            }
            not_yet_ended += failed + censored;
            while late < by_entry.len() && observations[by_entry[late]].entry() >= time {
                not_yet_entered += weight(by_entry[late]);
                late += 1;
            }
            table.times.push(time);
            // A unit ending at t is itself at risk, so rounding can never take the set below those ending.
            table.at_risk.push((not_yet_ended - not_yet_entered).max(failed + censored));
            table.failures.push(failed);
            table.censorings.push(censored);
        }
        table.times.reverse();
        table.at_risk.reverse();
        table.failures.reverse();
        table.censorings.reverse();
        Ok(table)
    }

    /// d_ci: one row per cause, one value per time (unweighted).
    pub(crate) fn failures_per_cause(&self, observations: &[Observation], causes: usize) -> Vec<Vec<f64>> {
        let mut counts = vec![vec![0.0; self.times.len()]; causes];
        for observation in observations {
            if let Some(cause) = observation.cause() {
                let position = self.times.partition_point(|&t| t < observation.duration());
                counts[usize::from(cause.0)][position] += 1.0;
            }
        }
        counts
    }
}

/// Value of a right-continuous step function: `before` ahead of the first time, the last value beyond the last.
pub(crate) fn step_value(times: &[f64], values: &[f64], time: f64, before: f64) -> f64 {
    match times.partition_point(|&t| t <= time) {
        0 => before,
        position => values[position - 1],
    }
}

/// One finite, non-negative weight per row.
pub(crate) fn check_weights(weights: &[f64], rows: usize) -> Result<()> {
    if weights.len() != rows {
        return Err(SurvivalError::Shape { what: "weights", expected: rows, got: weights.len() });
    }
    match weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        None => Ok(()),
        Some(&value) => Err(SurvivalError::Domain { what: "weight", value, domain: "at least 0 and finite" }),
    }
}
