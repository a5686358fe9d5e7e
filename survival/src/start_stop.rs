//! Lives told in pieces: one row per unit and stretch of time over which its covariates stood still.

use std::collections::BTreeMap;

use ndarray::ArrayView2;

use crate::{Observation, Result, SurvivalError};

/// Start–stop rows, checked unit by unit.
///
/// A row is at risk on (entry, duration] with the covariates of its line in the table, and its outcome says how that
/// stretch ended: censored for every stretch but the last, which alone may fail. Stretches of one unit must not overlap;
/// between them there may be gaps, in which the unit was not watched. A covariate may stand in a row only from the
/// moment it was known: a value measured at the end of a stretch belongs to the next one.
#[derive(Debug, Clone)]
pub struct StartStopRows<'a> {
    pub(crate) x: ArrayView2<'a, f64>,
    pub(crate) observations: &'a [Observation],
    units: Vec<usize>,
    count: usize,
}

impl<'a> StartStopRows<'a> {
    /// Rows with one id each; rows of one id are one life. A unit that is repaired and fails again is a new id.
    ///
    /// # Errors
    /// When the lengths differ, there is no row, two stretches of a unit overlap, or a unit goes on after its failure.
    pub fn try_new<I: Ord>(x: ArrayView2<'a, f64>, observations: &'a [Observation], ids: &[I]) -> Result<Self> {
        let rows = observations.len();
        if rows == 0 {
            return Err(SurvivalError::Empty { what: "list of start–stop rows" });
        }
        for (what, got) in [("covariate rows", x.nrows()), ("unit ids", ids.len())] {
            if got != rows {
                return Err(SurvivalError::Shape { what, expected: rows, got });
            }
        }
        let mut numbers: BTreeMap<&I, usize> = BTreeMap::new();
        let units: Vec<usize> = ids
            .iter()
            .map(|id| {
                let next = numbers.len();
                *numbers.entry(id).or_insert(next)
            })
            .collect();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|&a, &b| {
            units[a].cmp(&units[b]).then(observations[a].duration().total_cmp(&observations[b].duration()))
        });
        for pair in order.windows(2).filter(|pair| units[pair[0]] == units[pair[1]]) {
            let (before, after) = (&observations[pair[0]], &observations[pair[1]]);
            if after.entry() < before.duration() {
                let problem = format!(
                    "starts at {} while row {} of the same unit runs until {}",
                    after.entry(),
                    pair[0],
                    before.duration()
                );
                return Err(SurvivalError::StartStop { row: pair[1], problem });
            }
            if before.failed() {
                let problem = format!(
                    "goes on until {} after its unit failed at {} (row {}); give each life an id of its own",
                    after.duration(),
                    before.duration(),
                    pair[0]
                );
                return Err(SurvivalError::StartStop { row: pair[1], problem });
            }
        }
        let count = numbers.len();
        Ok(Self { x, observations, units, count })
    }

    /// Number of units.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The unit of each row, numbered by first appearance: the clusters of
    /// [`CoxDiagnostics::robust_errors`](crate::cox_diagnostics::CoxDiagnostics::robust_errors).
    #[must_use]
    pub fn units(&self) -> &[usize] {
        &self.units
    }
}
