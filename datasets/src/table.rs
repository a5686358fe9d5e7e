//! Small tables as Parquet: the numbers behind a figure, for whoever wants to draw it again.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{DatasetError, Result};
use crate::parquet_file::ParquetSink;

/// Values of one column.
#[derive(Debug, Clone, PartialEq)]
enum Column {
    Text(Vec<String>),
    Number(Vec<f64>),
    Count(Vec<usize>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Count(values) => values.len(),
        }
    }

    fn field(&self, name: &str) -> Field {
        match self {
            Self::Text(_) => Field::new(name, DataType::Utf8, false),
            // A number that could not be told is null: NaN would poison whatever is computed from the column.
            Self::Number(_) => Field::new(name, DataType::Float64, true),
            Self::Count(_) => Field::new(name, DataType::Int64, false),
        }
    }

    fn array(&self) -> ArrayRef {
        match self {
            Self::Text(values) => Arc::new(StringArray::from_iter_values(values)),
            Self::Number(values) => {
                Arc::new(values.iter().map(|v| v.is_finite().then_some(*v)).collect::<Float64Array>())
            }
            Self::Count(values) => {
                Arc::new(Int64Array::from_iter_values(values.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX))))
            }
        }
    }
}

/// Named columns of equal length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Column)>,
}

impl Table {
    /// A table without columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column of text.
    #[must_use]
    pub fn text<S: Into<String>>(mut self, name: &str, values: impl IntoIterator<Item = S>) -> Self {
        self.columns.push((name.to_owned(), Column::Text(values.into_iter().map(Into::into).collect())));
        self
    }

    /// Adds a column of numbers; what is not finite is written as null.
    #[must_use]
    pub fn number(mut self, name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        self.columns.push((name.to_owned(), Column::Number(values.into_iter().collect())));
        self
    }

    /// Adds a column of counts.
    #[must_use]
    pub fn count(mut self, name: &str, values: impl IntoIterator<Item = usize>) -> Self {
        self.columns.push((name.to_owned(), Column::Count(values.into_iter().collect())));
        self
    }

    /// Rows; those of the first column.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// Writes the table to a file that must not exist yet, and waits until it is on disk.
    ///
    /// # Errors
    /// When the columns differ in length, or the file is there already or cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let fields: Vec<Field> = self.columns.iter().map(|(name, column)| column.field(name)).collect();
        let schema = Arc::new(Schema::new(fields));
        let arrays = self.columns.iter().map(|(_, column)| column.array()).collect();
        let refuse = |error: arrow::error::ArrowError| DatasetError::Parquet {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(refuse)?;
        let mut sink = ParquetSink::create(path.to_owned(), &schema)?;
        if batch.num_rows() > 0 {
            sink.write(&batch)?;
        }
        sink.close(&path.display().to_string()).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, Int64Type};

    use super::*;
    use crate::parquet_file::batches;

    #[test]
    fn what_was_written_is_read_and_what_is_no_number_is_null() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        let table = Table::new().text("name", ["a", "b"]).number("value", [0.5, f64::NAN]).count("n", [3, 0]);
        table.write(&path).unwrap();
        let read: Vec<RecordBatch> = batches(&path).unwrap().collect::<Result<_>>().unwrap();
        assert_eq!(read.len(), 1);
        let column = |name: &str| read[0].column_by_name(name).unwrap();
        assert_eq!(column("name").as_string::<i32>().value(1), "b");
        assert!((column("value").as_primitive::<Float64Type>().value(0) - 0.5).abs() < 1e-15);
        assert!(column("value").is_null(1));
        assert_eq!(column("n").as_primitive::<Int64Type>().value(0), 3);
        // What is there is not written over.
        assert!(table.write(&path).is_err());
    }

    #[test]
    fn an_empty_table_keeps_its_columns_and_a_ragged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.parquet");
        Table::new().text("name", Vec::<String>::new()).number("value", []).write(&path).unwrap();
        assert_eq!(batches(&path).unwrap().count(), 0);
        let ragged = Table::new().count("n", [1, 2]).number("value", [0.1]);
        assert!(ragged.write(&folder.path().join("ragged.parquet")).is_err());
    }
}
