//! Covariate tables checked once, centred and scaled, so that every fit works on columns of like size.

use ndarray::ArrayView2;

use crate::linear::{Cholesky, Gram};
use crate::{Observation, Result, SurvivalError};

/// A pivot below this share of its variance counts as collinear: two columns correlated beyond 1 − 1e-10 / 2.
const COLLINEAR: f64 = 1e-10;

/// Columns with mean 0 and standard deviation 1, row-major; constant columns become zeros with scale 1.
pub(crate) struct Standardised {
    pub(crate) rows: Vec<f64>,
    len: usize,
    pub(crate) columns: usize,
    pub(crate) means: Vec<f64>,
    pub(crate) scales: Vec<f64>,
    constant: Vec<bool>,
}

impl Standardised {
    /// Checks shape and finiteness against the observations, then standardises.
    pub(crate) fn new(x: ArrayView2<'_, f64>, observations: &[Observation]) -> Result<Self> {
        if observations.is_empty() {
            return Err(SurvivalError::Empty { what: "list of observations" });
        }
        if x.nrows() != observations.len() {
            return Err(SurvivalError::Shape { what: "covariate rows", expected: observations.len(), got: x.nrows() });
        }
        check_finite(x)?;
        let columns = x.ncols();
        let mut means = Vec::with_capacity(columns);
        let mut scales = Vec::with_capacity(columns);
        let mut constant = Vec::with_capacity(columns);
        let n = x.nrows() as f64;
        for column in x.columns() {
            // Differences from the first value first: a large common offset then costs no digits.
            let anchor = column[0];
            let mean = anchor + column.iter().map(|v| v - anchor).sum::<f64>() / n;
            let variance = column.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
            let largest = column.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            let scale = variance.sqrt();
            let is_constant = scale.is_nan() || scale <= 1e-13 * largest || scale <= 0.0;
            means.push(mean);
            scales.push(if is_constant { 1.0 } else { scale });
            constant.push(is_constant);
        }
        let mut rows = Vec::with_capacity(x.len());
        for row in x.rows() {
            for (j, value) in row.iter().enumerate() {
                rows.push(if constant[j] { 0.0 } else { (value - means[j]) / scales[j] });
            }
        }
        Ok(Self { rows, len: x.nrows(), columns, means, scales, constant })
    }

    pub(crate) fn row(&self, index: usize) -> &[f64] {
        &self.rows[index * self.columns..(index + 1) * self.columns]
    }

    /// One flag per row, at least one failure, and without a ridge no column that repeats others.
    pub(crate) fn check_events(&self, events: &[bool], ridge: f64) -> Result<()> {
        if events.len() != self.len {
            return Err(SurvivalError::Shape { what: "event flags", expected: self.len, got: events.len() });
        }
        if !events.contains(&true) {
            return Err(SurvivalError::NoFailures { rows: self.len });
        }
        if ridge > 0.0 { Ok(()) } else { self.refuse_dependent_columns() }
    }

    /// Without a ridge every column must say something of its own: names the first that does not.
    pub(crate) fn refuse_dependent_columns(&self) -> Result<()> {
        if let Some(column) = self.constant.iter().position(|&c| c) {
            return Err(SurvivalError::Column { column, problem: "constant" });
        }
        let mut gram = Gram::new(self.columns);
        if self.columns > 0 {
            for row in self.rows.chunks_exact(self.columns) {
                gram.add(1.0, row);
            }
        }
        match Cholesky::factor(&gram.finish(), self.columns, 0.0, COLLINEAR) {
            Ok(_) => Ok(()),
            Err(column) => Err(SurvivalError::Column { column, problem: "collinear with the others" }),
        }
    }

    /// Coefficients per unit of the original columns.
    pub(crate) fn unscale(&self, standardised: &[f64]) -> Vec<f64> {
        standardised.iter().zip(&self.scales).map(|(b, s)| b / s).collect()
    }
}

/// Refuses NaN and infinities, naming row and column.
pub(crate) fn check_finite(x: ArrayView2<'_, f64>) -> Result<()> {
    for ((row, column), &value) in x.indexed_iter() {
        if !value.is_finite() {
            return Err(SurvivalError::NonFinite { what: "covariates", row, column, value });
        }
    }
    Ok(())
}

/// Refuses a row of another width than the fitted model's.
pub(crate) fn check_width(expected: usize, got: usize) -> Result<()> {
    if expected == got { Ok(()) } else { Err(SurvivalError::Shape { what: "covariates per row", expected, got }) }
}

/// Refuses a negative or non-finite ridge.
pub(crate) fn check_ridge(ridge: f64) -> Result<()> {
    if ridge.is_finite() && ridge >= 0.0 {
        Ok(())
    } else {
        Err(SurvivalError::Domain { what: "ridge", value: ridge, domain: "at least 0 and finite" })
    }
}

/// Equal as times of events: ties are exact, never "close".
pub(crate) fn same_time(a: f64, b: f64) -> bool {
    a.total_cmp(&b).is_eq()
}
