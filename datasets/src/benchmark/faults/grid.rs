//! Long tables (one row per time and entity) put on a regular grid.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;

use super::EntitySeries;
use crate::error::{DatasetError, Result};
use crate::parquet_file::{batches, digest};
use crate::source::Input;

/// Columns of a Parquet file as they are needed here.
pub(super) struct Columns {
    path: PathBuf,
    names: Vec<String>,
    /// Numbers per column; empty for columns of text.
    numbers: Vec<Vec<f64>>,
    /// Text per column; empty for columns of numbers.
    texts: Vec<Vec<String>>,
    rows: usize,
}

impl Columns {
    /// Reads a whole file: numbers as doubles (NaN where missing), text as it is.
    pub(super) fn read(path: &Path) -> Result<(Self, Input)> {
        let (sha256, _) = digest(path)?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut columns =
            Self { path: path.to_owned(), names: Vec::new(), numbers: Vec::new(), texts: Vec::new(), rows: 0 };
        for batch in batches(path)? {
            columns.append(&batch?)?;
        }
        if columns.rows == 0 {
            return Err(DatasetError::Empty { path: path.to_owned(), what: "rows" });
        }
        Ok((columns, Input { name, sha256 }))
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.names.is_empty() {
            self.names = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
            self.numbers = vec![Vec::new(); self.names.len()];
            self.texts = vec![Vec::new(); self.names.len()];
        }
        for (index, array) in batch.columns().iter().enumerate() {
            self.append_column(index, array)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    fn append_column(&mut self, index: usize, array: &ArrayRef) -> Result<()> {
        if let Some(values) = array.as_any().downcast_ref::<Float64Array>() {
            self.numbers[index].extend(values.iter().map(|value| value.unwrap_or(f64::NAN)));
        } else if let Some(values) = array.as_any().downcast_ref::<Int64Array>() {
            // Bytes and epoch seconds stay far below 2^53.
            self.numbers[index].extend(values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)));
        } else if let Some(values) = array.as_any().downcast_ref::<StringArray>() {
            self.texts[index].extend(values.iter().map(|value| value.unwrap_or_default().to_owned()));
        } else {
            return Err(self.refuse(&self.names[index], &format!("is {}", array.data_type()), &DataType::Float64));
        }
        Ok(())
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Names of all columns of numbers.
    pub(super) fn number_names(&self) -> Vec<String> {
        let named = self.names.iter().zip(&self.numbers);
        named.filter(|(_, values)| !values.is_empty()).map(|(name, _)| name.clone()).collect()
    }

    /// A column of numbers.
    pub(super) fn numbers(&self, name: &str) -> Result<&[f64]> {
        let values = &self.numbers[self.position(name)?];
        if values.is_empty() {
            return Err(self.refuse(name, "is text", &DataType::Float64));
        }
        Ok(values)
    }

    /// A column of times, every one a finite number.
    pub(super) fn times(&self, name: &str) -> Result<Vec<i64>> {
        let values = self.numbers(name)?;
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            return Err(DatasetError::Column {
                path: self.path.clone(),
                column: name.to_owned(),
                problem: format!("is {} in row {}, expected epoch seconds", values[row], row + 1),
            });
        }
        #[expect(clippy::cast_possible_truncation, reason = "epoch seconds")]
        Ok(values.iter().map(|value| *value as i64).collect())
    }

    /// A column of text, no cell empty.
    pub(super) fn texts(&self, name: &str) -> Result<&[String]> {
        let values = &self.texts[self.position(name)?];
        if values.is_empty() {
            return Err(self.refuse(name, "holds numbers", &DataType::Utf8));
        }
        if let Some(row) = values.iter().position(String::is_empty) {
            return Err(DatasetError::Column {
                path: self.path.clone(),
                column: name.to_owned(),
                problem: format!("is empty in row {}", row + 1),
            });
        }
        Ok(values)
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.names.iter().position(|column| column == name).ok_or_else(|| DatasetError::Column {
            path: self.path.clone(),
            column: name.to_owned(),
            problem: format!("is missing; columns are {}", self.names.join(", ")),
        })
    }

    fn refuse(&self, name: &str, seen: &str, wanted: &DataType) -> DatasetError {
        DatasetError::Column {
            path: self.path.clone(),
            column: name.to_owned(),
            problem: format!("{seen}, expected {wanted}"),
        }
    }
}

/// What becomes of a time that one entity has twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// The file is not what it should be.
    Refuse,
    /// The first row counts.
    KeepFirst,
}

/// A long table on a grid that begins at `start`.
pub(super) struct Gridded {
    /// Epoch seconds of step 0.
    pub(super) start: i64,
    /// Seconds between steps.
    pub(super) step: i64,
    /// The values.
    pub(super) series: EntitySeries,
}

impl Gridded {
    /// Puts `metrics` of a long table on a grid: each sample at the nearest step, the later one where two share a step.
    pub(super) fn of(
        columns: &Columns,
        time: &str,
        entity: &str,
        metrics: &[String],
        step: i64,
        repeats: Repeats,
    ) -> Result<Self> {
        let times = columns.times(time)?;
        let names = columns.texts(entity)?;
        let mut entities: Vec<String> = names.to_vec();
        entities.sort_unstable();
        entities.dedup();
        let position: HashMap<&str, usize> =
            entities.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let start = times.iter().copied().min().unwrap_or(0);
        let last = times.iter().copied().max().unwrap_or(0);
        let steps = slot(last, start, step) + 1;
        // A grid far larger than its rows means a wrong unit of time, and would only fill memory.
        if steps > 1000 * columns.rows() {
            return Err(DatasetError::config(
                columns.path.display().to_string(),
                format!(
                    "times {start}..{last} span {steps} steps of {step} s for {} rows; are they seconds?",
                    columns.rows()
                ),
            ));
        }
        let mut seen: HashMap<(usize, usize), i64> = HashMap::with_capacity(columns.rows());
        let values: Vec<&[f64]> = metrics.iter().map(|name| columns.numbers(name)).collect::<Result<_>>()?;
        let mut series = EntitySeries::empty(steps, entities.clone(), metrics.to_vec());
        for row in 0..columns.rows() {
            let at = (slot(times[row], start, step), position[names[row].as_str()]);
            match seen.get(&at) {
                Some(&other) if other == times[row] && repeats == Repeats::Refuse => {
                    return Err(DatasetError::Column {
                        path: columns.path.clone(),
                        column: time.to_owned(),
                        problem: format!("is {} twice for {}, row {}", times[row], names[row], row + 1),
                    });
                }
                Some(&other) if other >= times[row] => continue,
                _ => {}
            }
            seen.insert(at, times[row]);
            for (metric, values) in values.iter().enumerate() {
                #[expect(clippy::cast_possible_truncation, reason = "measurements in single precision")]
                series.put(at.0, at.1, metric, values[row] as f32);
            }
        }
        Ok(Self { start, step, series })
    }

    /// Steps whose sample was taken at or after `from` and before `to`, cut to the grid.
    pub(super) fn steps_between(&self, from: i64, to: i64) -> Range<usize> {
        let at = |time: i64| {
            let steps = (time - self.start + self.step - 1).div_euclid(self.step);
            usize::try_from(steps).unwrap_or(0).min(self.series.steps)
        };
        at(from)..at(to).max(at(from))
    }

    /// A copy of `steps` steps beginning at `from`; steps outside of the grid are empty.
    pub(super) fn window(&self, from: i64, steps: usize) -> EntitySeries {
        let mut window = EntitySeries::empty(steps, self.series.entities.clone(), self.series.metrics.clone());
        let width = self.series.entities.len() * self.series.metrics.len();
        for (target, values) in window.values.chunks_exact_mut(width).enumerate() {
            let Ok(source) = usize::try_from(from + signed(target)) else { continue };
            if source < self.series.steps {
                values.copy_from_slice(&self.series.values[source * width..(source + 1) * width]);
            }
        }
        window
    }

    /// Metrics that change within at least one entity.
    pub(super) fn changing(&self) -> Vec<String> {
        let changes = |metric: usize| {
            (0..self.series.entities.len()).any(|entity| {
                let mut values = (0..self.series.steps)
                    .map(|step| self.series.at(step, entity, metric))
                    .filter(|value| !value.is_nan());
                let first = values.next();
                values.any(|value| Some(value.to_bits()) != first.map(f32::to_bits))
            })
        };
        (0..self.series.metrics.len())
            .filter(|&metric| changes(metric))
            .map(|metric| self.series.metrics[metric].clone())
            .collect()
    }
}

/// Nearest step.
fn slot(time: i64, start: i64, step: i64) -> usize {
    usize::try_from((time - start + step / 2).div_euclid(step)).unwrap_or(0)
}

/// A number of steps that may be counted backwards.
pub(super) fn signed(steps: usize) -> i64 {
    i64::try_from(steps).unwrap_or(i64::MAX)
}
