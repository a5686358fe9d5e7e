//! A data set under one way of holding rows out.

use datasets::Dataset;
use features::split::group_bucket;
use features::{LabeledBatch, Split};

use crate::bench::tune::Objective;
use crate::error::{Result, TrainError};
use crate::fitted::Parts;

/// Which rows are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outer {
    /// Groups in so many folds; every row is judged once, by models that saw nothing of its group.
    Folds(u32),
    /// The data set's own test part, judged by models fitted on the others.
    Given,
}

/// A data set under one protocol.
pub struct Task<'a> {
    /// Name in tables, files and committed settings.
    pub name: String,
    /// The data set.
    pub dataset: &'a Dataset,
    /// All its rows.
    pub rows: &'a LabeledBatch,
    /// What is held out.
    pub outer: Outer,
    /// What tuning minimises.
    pub objective: Objective,
}

/// One part held out, and the rows models may learn from.
pub struct HeldOut {
    /// `fold-0` … or `test`.
    pub name: String,
    /// Rows to learn from.
    pub develop: Vec<usize>,
    /// Rows to judge.
    pub test: Vec<usize>,
}

impl Task<'_> {
    /// Every part held out.
    ///
    /// # Errors
    /// When a part, or what is left of it, is empty.
    pub fn held_out(&self) -> Result<Vec<HeldOut>> {
        let rows = self.rows;
        let parts: Vec<HeldOut> = match self.outer {
            Outer::Given => {
                let (test, develop) = (0..rows.rows()).partition(|&row| rows.splits[row] == Split::Test);
                vec![HeldOut { name: "test".to_owned(), develop, test }]
            }
            Outer::Folds(folds) => (0..folds)
                .map(|fold| {
                    let (test, develop) =
                        (0..rows.rows()).partition(|&row| crate::crossval::fold_of(&rows.groups[row], folds) == fold);
                    HeldOut { name: format!("fold-{fold}"), develop, test }
                })
                .collect(),
        };
        if let Some(part) = parts.iter().find(|part| part.test.is_empty() || part.develop.is_empty()) {
            let reason = format!(
                "{}: {} has {} rows to judge and {} to learn from; use fewer folds",
                self.name,
                part.name,
                part.test.len(),
                part.develop.len()
            );
            return Err(TrainError::Data { model: "any model".to_owned(), reason });
        }
        Ok(parts)
    }

    /// Rows to learn from as the three parts a fit wants; of the groups, 70 in 100 train, 15 validate, 15 calibrate.
    #[must_use]
    pub fn parts(&self, develop: &[usize]) -> ThreeParts {
        let pick = |wanted: &dyn Fn(u32) -> bool| -> Vec<usize> {
            develop.iter().copied().filter(|&row| wanted(group_bucket("inner", &self.rows.groups[row]))).collect()
        };
        ThreeParts {
            train: self.rows.select(&pick(&|at| at < 70)),
            validation: self.rows.select(&pick(&|at| (70..85).contains(&at))),
            calibration: self.rows.select(&pick(&|at| at >= 85)),
        }
    }
}

/// The rows of one fit.
pub struct ThreeParts {
    /// Fitted on.
    pub train: LabeledBatch,
    /// Chosen on.
    pub validation: LabeledBatch,
    /// Calibrated on.
    pub calibration: LabeledBatch,
}

impl ThreeParts {
    /// The same as a fit takes them.
    #[must_use]
    pub fn of<'a>(&'a self, dataset: &'a Dataset) -> Parts<'a> {
        Parts {
            spec: dataset.spec(),
            grid: dataset.grid(),
            causes: dataset.causes(),
            readout: dataset.readout(),
            train: &self.train,
            validation: &self.validation,
            calibration: &self.calibration,
        }
    }
}
