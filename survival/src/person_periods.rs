//! Which intervals an observation speaks about, and the f64 reference of the network's loss built on that.

use crate::{Observation, TimeGrid};

/// The intervals one observation speaks about: survived `first..last`, then possibly a failure in `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonPeriods {
    /// First interval wholly at risk.
    pub first: usize,
    /// End (exclusive) of the intervals wholly survived.
    pub last: usize,
    /// Cause of a failure inside interval `last`.
    pub failed_of: Option<usize>,
}

impl PersonPeriods {
    /// The intervals of one observation, under the conventions shared by labels, losses and scores.
    ///
    /// - Entry: the first interval is the one that begins at or after the entry time; an interval entered half-way
    ///   is left out, because its hazard is conditional on being alive at its beginning.
    /// - Censored at t: only intervals that end at or before t, all of them survived.
    /// - Failed beyond the grid: censored at the grid's end.
    #[must_use]
    pub fn of(observation: &Observation, grid: &TimeGrid) -> Self {
        let first = grid.edges().partition_point(|&edge| edge < observation.entry());
        match (observation.cause(), grid.interval_of(observation.duration())) {
            (Some(cause), Some(last)) if last >= first => Self { first, last, failed_of: Some(usize::from(cause.0)) },
            // Entered and failed inside one interval: nothing wholly at risk.
            (Some(_), Some(_)) => Self { first, last: first, failed_of: None },
            _ => {
                let survived = grid.intervals_survived(observation.duration());
                Self { first, last: survived.max(first), failed_of: None }
            }
        }
    }
}

/// `−Σ_{j=e}^{k−1} ln p_j(survive) − 1[failed of c]·ln p_k(c)` for one observation.
///
/// `logits`: K × (C + 1) values laid out `[interval][class]`, class 0 = survive, class c + 1 = cause c.
/// e and k come from [`PersonPeriods::of`]. NaN when `logits` does not fill the grid or lacks the observed cause.
#[must_use]
pub fn negative_log_likelihood(grid: &TimeGrid, logits: &[f64], observation: &Observation) -> f64 {
    let classes = logits.len() / grid.intervals();
    let periods = PersonPeriods::of(observation, grid);
    if classes < 2 || logits.len() != classes * grid.intervals() || periods.failed_of.is_some_and(|c| c + 1 >= classes)
    {
        return f64::NAN;
    }
    let log_probability = |interval: usize, class: usize| {
        let row = &logits[interval * classes..(interval + 1) * classes];
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row[class] - largest - row.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
    };
    let survived: f64 = (periods.first..periods.last).map(|interval| log_probability(interval, 0)).sum();
    let failed = periods.failed_of.map_or(0.0, |cause| log_probability(periods.last, cause + 1));
    -(survived + failed)
}
