//! The fitted models of `survival` over the same normalised input as the network.

use std::sync::Arc;

use features::{Design, Unscaling};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use survival::{
    AalenJohansen, CauseSpecificAft, CauseSpecificCox, CauseSpecificTimeVaryingCox, CauseSpecificWeibull,
    CovariatePath, DiscreteHazard, StratifiedAalenJohansen, SurvivalCurve, SurvivalError, TimeGrid,
};

use crate::Result;
use crate::predictor::CurveModel;

/// A classical model as it lies in a bundle.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum ClassicalModel {
    /// Cause-specific Cox.
    Cox {
        /// The fitted model.
        fitted: CauseSpecificCox,
        /// Columns of the design it reads; all when `None`.
        columns: Option<Vec<usize>>,
    },
    /// Cause-specific Cox over the ages of entities, fitted on what was known at each of their cuts.
    CoxTimeVarying {
        /// The fitted model.
        fitted: CauseSpecificTimeVaryingCox,
        /// How age is read from a row.
        age: Unscaling,
        /// Ages are held below this, the last failure's: beyond it nothing is known.
        last_age: f64,
    },
    /// Cause-specific Weibull AFT.
    Weibull {
        /// The fitted model.
        fitted: CauseSpecificWeibull,
    },
    /// Accelerated life under another law.
    Aft {
        /// The fitted model.
        fitted: CauseSpecificAft,
    },
    /// Discrete-time logistic hazard.
    DiscreteHazard {
        /// The fitted model.
        fitted: DiscreteHazard,
    },
    /// The life table: the same curve for every row.
    KaplanMeier {
        /// The fitted estimator.
        fitted: AalenJohansen,
    },
    /// A life table per class.
    ClassTable {
        /// The fitted estimators.
        fitted: StratifiedAalenJohansen,
    },
}

/// A classical model on a grid.
pub struct Classical {
    model: ClassicalModel,
    grid: Arc<TimeGrid>,
}

impl Classical {
    /// A model that answers on `grid`.
    #[must_use]
    pub fn new(model: ClassicalModel, grid: Arc<TimeGrid>) -> Self {
        Self { model, grid }
    }

    /// The fitted model.
    #[must_use]
    pub fn into_model(self) -> ClassicalModel {
        self.model
    }
}

impl CurveModel for Classical {
    fn curves(&self, design: &Design) -> Result<Vec<SurvivalCurve>> {
        let curves = match &self.model {
            ClassicalModel::Cox { fitted, columns } => {
                fitted.curves(matrix(design, columns.as_deref())?.view(), &self.grid)?
            }
            ClassicalModel::CoxTimeVarying { fitted, age, last_age } => {
                let x = matrix(design, None)?;
                let below = last_age * (1.0 - 1e-9);
                let ages: Vec<f64> = x.column(age.column).iter().map(|&z| age.value(z).clamp(0.0, below)).collect();
                fitted.curves_at(x.view(), &ages, &self.grid, CovariatePath::Held)?
            }
            ClassicalModel::Weibull { fitted } => fitted.curves(matrix(design, None)?.view(), &self.grid)?,
            ClassicalModel::Aft { fitted } => fitted.curves(matrix(design, None)?.view(), &self.grid)?,
            ClassicalModel::ClassTable { fitted } => fitted.curves(matrix(design, None)?.view(), &self.grid)?,
            ClassicalModel::DiscreteHazard { fitted } => fitted.curves(matrix(design, None)?.view())?,
            ClassicalModel::KaplanMeier { fitted } => vec![fitted.on_grid(&self.grid)?; design.rows],
        };
        Ok(curves)
    }
}

/// Flat part of a design in double precision, rows × columns.
///
/// # Errors
/// When a column number lies beyond the design.
pub fn matrix(design: &Design, columns: Option<&[usize]>) -> Result<Array2<f64>> {
    let all: Vec<usize> = (0..design.width).collect();
    let columns = columns.unwrap_or(&all);
    if let Some(&column) = columns.iter().find(|&&column| column >= design.width) {
        return Err(SurvivalError::Shape { what: "design columns", expected: column + 1, got: design.width }.into());
    }
    let mut values = Vec::with_capacity(design.rows * columns.len());
    for row in 0..design.rows {
        let row = &design.flat[row * design.width..(row + 1) * design.width];
        values.extend(columns.iter().map(|&column| f64::from(row[column])));
    }
    Array2::from_shape_vec((design.rows, columns.len()), values)
        .map_err(|_| SurvivalError::Shape { what: "design values", expected: design.rows, got: 0 }.into())
}
