//! The life table per class: one Aalen–Johansen estimate per combination of a few columns.

use std::sync::Arc;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::classes::Classes;
use crate::nonparametric::AalenJohansen;
use crate::table::{check_finite, check_width};
use crate::{Observation, Result, SurvivalCurve, SurvivalError, TimeGrid};

/// One [`AalenJohansen`] per class; with one cause that is Kaplan–Meier per class.
///
/// A class with fewer failures than asked for, and a class that training never saw, answer with the curve of all rows
/// together: a risk set of a handful says more about chance than about the class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StratifiedAalenJohansen {
    classes: Classes,
    least_failures: usize,
    pooled: AalenJohansen,
    /// `None` where the class fell back.
    of_class: Vec<Option<AalenJohansen>>,
}

impl StratifiedAalenJohansen {
    /// One estimate per combination of values in `columns` of an n × p table; a class needs `least_failures` of any
    /// cause for a curve of its own.
    ///
    /// # Errors
    /// When shapes differ, a value is not finite, a column is unknown or named twice, the columns make more than 1000
    /// classes, `least_failures` is 0, or as [`AalenJohansen::fit`].
    pub fn fit(
        x: ArrayView2<'_, f64>,
        observations: &[Observation],
        causes: usize,
        columns: &[usize],
        least_failures: usize,
    ) -> Result<Self> {
        if x.nrows() != observations.len() {
            return Err(SurvivalError::Shape { what: "covariate rows", expected: observations.len(), got: x.nrows() });
        }
        if least_failures == 0 {
            return Err(SurvivalError::Domain {
                what: "failures a class needs for a curve of its own",
                value: 0.0,
                domain: "at least 1: without a failure a class has nothing to say",
            });
        }
        let pooled = AalenJohansen::fit(observations, causes)?;
        let (classes, of_row) = Classes::learn(x, columns)?;
        let of_class = classes
            .members(&of_row)
            .into_iter()
            .map(|rows| {
                let own: Vec<Observation> = rows.into_iter().map(|row| observations[row]).collect();
                let enough = own.iter().filter(|o| o.failed()).count() >= least_failures;
                if enough { AalenJohansen::fit(&own, causes).map(Some) } else { Ok(None) }
            })
            .collect::<Result<_>>()?;
        Ok(Self { classes, least_failures, pooled, of_class })
    }

    /// Number of causes.
    #[must_use]
    pub fn causes(&self) -> usize {
        self.pooled.causes()
    }

    /// The values of each class seen in training, in the order of the class columns.
    #[must_use]
    pub fn classes(&self) -> &[Vec<f64>] {
        self.classes.values()
    }

    /// The estimate of class `index` of [`StratifiedAalenJohansen::classes`]; `None` where it fell back.
    #[must_use]
    pub fn class(&self, index: usize) -> Option<&AalenJohansen> {
        self.of_class.get(index).and_then(Option::as_ref)
    }

    /// How many classes fell back to the pooled curve.
    #[must_use]
    pub fn fallbacks(&self) -> usize {
        self.of_class.iter().filter(|class| class.is_none()).count()
    }

    /// Failures a class needed for a curve of its own.
    #[must_use]
    pub fn least_failures(&self) -> usize {
        self.least_failures
    }

    /// The estimate over all rows.
    #[must_use]
    pub fn pooled(&self) -> &AalenJohansen {
        &self.pooled
    }

    /// S and every F_c of each row's class.
    ///
    /// # Errors
    /// When the table has another width than in training or holds a value that is not finite.
    pub fn curves(&self, x: ArrayView2<'_, f64>, grid: &Arc<TimeGrid>) -> Result<Vec<SurvivalCurve>> {
        check_width(self.classes.width(), x.ncols())?;
        check_finite(x)?;
        let pooled = self.pooled.on_grid(grid)?;
        let of_class: Vec<SurvivalCurve> = self
            .of_class
            .iter()
            .map(|class| class.as_ref().map_or_else(|| Ok(pooled.clone()), |own| own.on_grid(grid)))
            .collect::<Result<_>>()?;
        let curve_of = |row: ndarray::ArrayView1<'_, f64>| match self.classes.find(|column| row[column]) {
            Some(class) => of_class[class].clone(),
            None => pooled.clone(),
        };
        Ok(x.rows().into_iter().map(curve_of).collect())
    }
}
