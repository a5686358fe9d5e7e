//! Rows of one entity as stretches of one life, for models whose clock is age.
//!
//! A row cut at age a stands for (a, b], where b is the age at the entity's next row or the end of its own observation,
//! whichever comes first: what was known at a is taken to hold until then. A failure ends a life; rows of the same
//! entity after it begin another.

use features::{FeatureBatch, FeatureSpec, Normalizer, Unscaling};
use model::classical::ClassicalModel;
use ndarray::{ArrayView2, Axis};
use survival::{CauseSpecificTimeVaryingCox, CensorReason, CoxOptions, Observation, Outcome, StartStopRows};

use crate::classical_fit::FIT_TOLERANCE;
use crate::error::{Result, TrainError};

/// Entity and age of each row.
pub(crate) struct Lives {
    entities: Vec<String>,
    /// In the unit of the spec; NaN where it is not known.
    ages: Vec<f64>,
    age: Option<Unscaling>,
}

/// One row as a stretch.
struct Stretch {
    row: usize,
    life: usize,
    observation: Observation,
}

impl Lives {
    /// Lives behind the rows of a batch; `None` where the spec has no age.
    pub(crate) fn of(spec: &FeatureSpec, batch: &FeatureBatch) -> Option<Self> {
        let column = spec.flat.iter().position(|column| column.name == "age")?;
        let ages = (0..batch.rows()).map(|row| f64::from(batch.flat_row(row)[column])).collect();
        let entities = batch.entities().iter().map(|e| format!("{} {}", e.key(), e.incarnation())).collect();
        Some(Self { entities, ages, age: None })
    }

    /// With the way back from a design's column to an age.
    pub(crate) fn read_by(mut self, normalizer: &Normalizer) -> Self {
        self.age = normalizer.unscaling("age");
        self
    }

    /// These rows, in this order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self {
            entities: rows.iter().map(|&row| self.entities[row].clone()).collect(),
            ages: rows.iter().map(|&row| self.ages[row]).collect(),
            age: self.age,
        }
    }

    /// Fits the Cox model with changing covariates; rows without an age are left out.
    ///
    /// # Errors
    /// When no row has an age, or the fit does not converge.
    pub(crate) fn fit(
        &self,
        x: &ArrayView2<'_, f64>,
        observations: &[Observation],
        causes: usize,
        ridge: f64,
    ) -> Result<ClassicalModel> {
        let stretches = self.stretches(observations)?;
        let last_age = stretches
            .iter()
            .filter(|stretch| stretch.observation.failed())
            .map(|stretch| stretch.observation.duration())
            .fold(0.0, f64::max);
        let (Some(age), true) = (self.age, last_age > 0.0) else {
            let reason = "no failure at a known age among the training rows".to_owned();
            return Err(TrainError::Data { model: "cox-time-varying".to_owned(), reason });
        };
        let rows: Vec<usize> = stretches.iter().map(|stretch| stretch.row).collect();
        let lives: Vec<usize> = stretches.iter().map(|stretch| stretch.life).collect();
        let cut: Vec<Observation> = stretches.iter().map(|stretch| stretch.observation).collect();
        let x = x.select(Axis(0), &rows);
        let table = StartStopRows::try_new(x.view(), &cut, &lives)?;
        let options = CoxOptions { ridge, tolerance: FIT_TOLERANCE, ..CoxOptions::default() };
        let fitted = CauseSpecificTimeVaryingCox::fit(&table, causes, &[], &options)?;
        Ok(ClassicalModel::CoxTimeVarying { fitted, age, last_age })
    }

    fn stretches(&self, observations: &[Observation]) -> Result<Vec<Stretch>> {
        let mut order: Vec<usize> = (0..observations.len()).filter(|&row| self.ages[row] >= 0.0).collect();
        order.sort_by(|&a, &b| {
            self.entities[a].cmp(&self.entities[b]).then(self.ages[a].total_cmp(&self.ages[b])).then(a.cmp(&b))
        });
        let mut stretches: Vec<Stretch> = Vec::with_capacity(order.len());
        let mut life = 0;
        for (at, &row) in order.iter().enumerate() {
            let age = self.ages[row];
            let end = age + observations[row].duration();
            let next = order.get(at + 1).filter(|&&next| self.entities[next] == self.entities[row]);
            let until = next.map_or(end, |&next| self.ages[next].min(end));
            // A later row of the same age says the same of the same moment.
            if until > age {
                let whole = until >= end;
                let outcome =
                    if whole { observations[row].outcome() } else { Outcome::Censored(CensorReason::EndOfObservation) };
                stretches.push(Stretch { row, life, observation: Observation::try_with_entry(until, age, outcome)? });
            }
            let ended = until >= end && observations[row].failed();
            if next.is_none() || ended {
                life += 1;
            }
        }
        Ok(stretches)
    }
}

#[cfg(test)]
mod tests {
    use survival::Cause;

    use super::*;

    #[test]
    fn rows_of_an_entity_become_stretches_that_do_not_overlap() {
        let failed = Outcome::Failed(Cause(0));
        let censored = Outcome::Censored(CensorReason::EndOfObservation);
        let observe = |duration, outcome| Observation::try_new(duration, outcome).unwrap();
        let lives = Lives {
            entities: ["a", "a", "b", "a", "b"].map(str::to_owned).to_vec(),
            ages: vec![0.0, 2.0, 1.0, 6.0, f64::NAN],
            age: None,
        };
        // a fails at age 5, comes back and is censored at 8; b is censored at 4, and its second row has no age.
        let observations = [
            observe(5.0, failed),
            observe(3.0, failed),
            observe(3.0, censored),
            observe(2.0, censored),
            observe(1.0, failed),
        ];
        let got: Vec<(usize, usize, f64, f64, bool)> = lives
            .stretches(&observations)
            .unwrap()
            .iter()
            .map(|s| (s.row, s.life, s.observation.entry(), s.observation.duration(), s.observation.failed()))
            .collect();
        let want = [(0, 0, 0.0, 2.0, false), (1, 0, 2.0, 5.0, true), (3, 1, 6.0, 8.0, false), (2, 2, 1.0, 4.0, false)];
        assert_eq!(got, want);
    }
}
