//! Text tables of public data sets, read strictly: every refusal names file, line and column.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result};
use crate::source::{Input, read_text};

/// A CSV file in memory, columns found by name.
pub(super) struct Table {
    pub(super) path: PathBuf,
    columns: HashMap<String, usize>,
    names: Vec<String>,
    rows: Vec<csv::StringRecord>,
}

impl Table {
    /// Reads a CSV file with a header, gzip or plain.
    pub(super) fn read(path: &Path) -> Result<(Self, Input)> {
        let (text, input) = read_text(path)?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let refuse = |error: csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            DatasetError::Line { path: path.to_owned(), line, problem: error.to_string() }
        };
        let names: Vec<String> = reader.headers().map_err(refuse)?.iter().map(str::to_owned).collect();
        let columns = names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect();
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        if rows.is_empty() {
            return Err(DatasetError::Empty { path: path.to_owned(), what: "rows below the header" });
        }
        Ok((Self { path: path.to_owned(), columns, names, rows }, input))
    }

    /// Reads `PATH.gz` where it is, else `PATH`.
    pub(super) fn read_either(path: &Path) -> Result<(Self, Input)> {
        let mut packed = path.as_os_str().to_owned();
        packed.push(".gz");
        let packed = PathBuf::from(packed);
        Self::read(if packed.exists() { &packed } else { path })
    }

    /// Names of the columns, in order.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Position of a column.
    pub(super) fn column(&self, name: &str) -> Result<usize> {
        self.columns.get(name).copied().ok_or_else(|| DatasetError::Column {
            path: self.path.clone(),
            column: name.to_owned(),
            problem: format!("is missing; the first columns are {}", self.names[..self.names.len().min(12)].join(", ")),
        })
    }

    /// Positions of several columns.
    pub(super) fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N]> {
        let mut found = [0; N];
        for (position, name) in found.iter_mut().zip(names) {
            *position = self.column(name)?;
        }
        Ok(found)
    }

    /// A cell as text.
    pub(super) fn text(&self, row: usize, column: usize) -> &str {
        self.rows[row].get(column).unwrap_or_default().trim()
    }

    /// A cell as a finite number.
    pub(super) fn number(&self, row: usize, column: usize) -> Result<f64> {
        let text = self.text(row, column);
        number(text).map_err(|problem| self.refuse(row, format!("column {:?} {problem}", self.names[column])))
    }

    /// A cell as a whole number; `12.0` is one.
    pub(super) fn whole(&self, row: usize, column: usize) -> Result<i64> {
        let value = self.number(row, column)?;
        if value.fract() != 0.0 || value.abs() > 9e15 {
            return Err(
                self.refuse(row, format!("column {:?} is {value}, expected a whole number", self.names[column]))
            );
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and far inside the range, checked above")]
        Ok(value as i64)
    }

    /// A refusal that names the line of a row.
    pub(super) fn refuse(&self, row: usize, problem: impl Into<String>) -> DatasetError {
        let line = self.rows[row].position().map_or(0, csv::Position::line);
        DatasetError::Line { path: self.path.clone(), line, problem: problem.into() }
    }
}

/// A finite number, or what is wrong with it.
pub(super) fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) => Err(format!("is {value}, expected a finite number")),
        Err(_) if text.is_empty() => Err("is empty, expected a number".to_owned()),
        Err(_) => Err(format!("is {text:?}, expected a number")),
    }
}
