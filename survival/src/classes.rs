//! Classes of units: one per combination of values in a few chosen columns.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::table::check_finite;
use crate::{Result, SurvivalError};

/// More classes than this means that a column of measurements was taken for one of kinds.
const MOST_CLASSES: usize = 1000;

/// The combinations seen in training, sorted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Classes {
    /// The columns that make a class, in the order of the values below.
    columns: Vec<usize>,
    /// Columns of the whole table.
    width: usize,
    values: Vec<Vec<f64>>,
}

impl Classes {
    /// The classes of a table, and the class of each of its rows. Without columns all rows are one class.
    pub(crate) fn learn(x: ArrayView2<'_, f64>, columns: &[usize]) -> Result<(Self, Vec<usize>)> {
        check_finite(x)?;
        for (place, &column) in columns.iter().enumerate() {
            let problem = if column >= x.ncols() {
                "an index of the table's columns"
            } else if columns[..place].contains(&column) {
                "named once"
            } else {
                continue;
            };
            return Err(SurvivalError::Domain { what: "class column", value: column as f64, domain: problem });
        }
        let keys: Vec<Vec<f64>> = x.rows().into_iter().map(|row| key(columns, |c| row[c])).collect();
        let mut values = keys.clone();
        values.sort_by(|a, b| compare(a, b));
        values.dedup_by(|a, b| compare(a, b).is_eq());
        if values.len() > MOST_CLASSES {
            return Err(SurvivalError::Domain {
                what: "number of classes",
                value: values.len() as f64,
                domain: "at most 1000: choose columns that take few values",
            });
        }
        let classes = Self { columns: columns.to_vec(), width: x.ncols(), values };
        let of_row = keys.iter().map(|k| classes.position(k).unwrap_or_default()).collect();
        Ok((classes, of_row))
    }

    /// Class of a row; `None` for a combination that training never saw.
    pub(crate) fn find(&self, value: impl Fn(usize) -> f64) -> Option<usize> {
        self.position(&key(&self.columns, value))
    }

    fn position(&self, key: &[f64]) -> Option<usize> {
        self.values.binary_search_by(|v| compare(v, key)).ok()
    }

    /// The values of each class, one per class column.
    pub(crate) fn values(&self) -> &[Vec<f64>] {
        &self.values
    }

    /// Columns of the whole table.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The columns that make no class: the covariates.
    pub(crate) fn others(&self) -> Vec<usize> {
        (0..self.width).filter(|column| !self.columns.contains(column)).collect()
    }

    /// What a row looks like to a reader: its class values in brackets.
    pub(crate) fn describe(&self, value: impl Fn(usize) -> f64) -> String {
        let values: Vec<String> =
            self.columns.iter().map(|&column| format!("column {column} = {}", value(column))).collect();
        values.join(", ")
    }

    /// Row numbers of each class.
    pub(crate) fn members(&self, of_row: &[usize]) -> Vec<Vec<usize>> {
        let mut members = vec![vec![]; self.values.len()];
        for (row, &class) in of_row.iter().enumerate() {
            members[class].push(row);
        }
        members
    }
}

/// Zeros of either sign are one value.
fn key(columns: &[usize], value: impl Fn(usize) -> f64) -> Vec<f64> {
    columns.iter().map(|&column| value(column) + 0.0).collect()
}

fn compare(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}
