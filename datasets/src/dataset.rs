//! A built data set on disk: opened, read, verified and described.

mod describe;
mod describe_page;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use features::{Catalogue, FeatureBatch, FeatureSpec, LabeledBatch, schema};
use parquet::file::metadata::KeyValue;
use survival::{Readout, SurvivalCurve, TimeGrid};

use crate::builder::{TRUTH, TRUTH_COLUMN};
use crate::error::{DatasetError, Result};
use crate::manifest::Manifest;
use crate::parquet_file;

pub use describe::{Audit, Description, EventSample, OverTime, SplitDescription};
pub(crate) use describe::{explanation, missing_share};
pub use verify::VerifyReport;

/// A complete data set; its files were found with the sizes of the manifest.
#[derive(Debug, Clone)]
pub struct Dataset {
    dir: PathBuf,
    manifest: Manifest,
    grid: Arc<TimeGrid>,
}

impl Dataset {
    /// Opens the data set in `dir`. Digests are checked by [`Dataset::verify`], not here.
    ///
    /// # Errors
    /// When there is no manifest, it is of another schema version, contradicts itself, or a file is missing
    /// or of another size.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        let manifest = Manifest::read(&dir)?;
        for file in &manifest.files {
            let path = dir.join(&file.path);
            let size = std::fs::metadata(&path).map_err(DatasetError::io(&path, "open a file of the manifest"))?.len();
            if size != file.bytes {
                return Err(DatasetError::Disagrees {
                    path,
                    what: "size in bytes",
                    expected: file.bytes.to_string(),
                    got: size.to_string(),
                });
            }
        }
        let grid = Arc::new(manifest.grid.clone());
        Ok(Self { dir, manifest, grid })
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What a row is made of.
    #[must_use]
    pub fn spec(&self) -> &FeatureSpec {
        &self.manifest.spec
    }

    /// Metrics the spec refers to.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.manifest.catalogue
    }

    /// Interval edges; one object for labels, network head, curves and bundle.
    #[must_use]
    pub fn grid(&self) -> &Arc<TimeGrid> {
        &self.grid
    }

    /// Names of the causes of failure.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        &self.manifest.causes
    }

    /// What to read from a curve.
    #[must_use]
    pub fn readout(&self) -> &Readout {
        &self.manifest.readout
    }

    /// Every labelled row, in file order.
    ///
    /// # Errors
    /// When a part cannot be read or is not of this spec.
    pub fn rows(&self) -> Result<LabeledBatch> {
        let spec = self.spec();
        let named = |path: &Path| DatasetError::feature(path.display().to_string());
        let empty = FeatureBatch::try_new(spec, spec.hash(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut features = empty.map_err(named(&self.dir))?;
        let (mut observations, mut known_alive, mut groups, mut splits) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for file in self.manifest.parts() {
            let path = self.dir.join(&file.path);
            for batch in self.batches(&path, Some(&schema::row_schema(spec)))? {
                let part = schema::from_record_batch(spec, self.causes(), &batch?).map_err(named(&path))?;
                features.append(&part.features).map_err(named(&path))?;
                observations.extend(part.observations);
                known_alive.extend(part.known_alive);
                groups.extend(part.groups);
                splits.extend(part.splits);
            }
        }
        LabeledBatch::try_new(features, observations, known_alive, groups, splits).map_err(named(&self.dir))
    }

    /// The true curve of every row of [`Dataset::rows`], where the data set is simulated.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else than curves on this grid.
    pub fn truth(&self) -> Result<Option<Vec<SurvivalCurve>>> {
        if !self.manifest.has_truth {
            return Ok(None);
        }
        let path = self.dir.join(TRUTH);
        let edges = self.grid.edges().len();
        let width = i32::try_from(8 * edges * (1 + self.causes().len())).unwrap_or(i32::MAX);
        let mut curves = Vec::new();
        for batch in self.batches(&path, None)? {
            let batch = batch?;
            let column =
                batch.column_by_name(TRUTH_COLUMN).filter(|c| c.data_type() == &DataType::FixedSizeBinary(width));
            let column = column.ok_or_else(|| DatasetError::Column {
                path: path.clone(),
                column: TRUTH_COLUMN.to_owned(),
                problem: format!("is missing or not {width} bytes wide"),
            })?;
            let column = column.as_fixed_size_binary();
            for row in 0..column.len() {
                let (chunks, _) = column.value(row).as_chunks::<8>();
                let values: Vec<f64> = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
                let incidence = values[edges..].chunks_exact(edges).map(<[f64]>::to_vec).collect();
                let curve = SurvivalCurve::try_new(self.grid.clone(), values[..edges].to_vec(), incidence);
                curves.push(curve.map_err(|error| DatasetError::feature(path.display())(error.into()))?);
            }
        }
        Ok(Some(curves))
    }

    /// Batches of a file, its schema checked first where one is given.
    fn batches(&self, path: &Path, expected: Option<&Schema>) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
        let (reader, metadata, _) = parquet_file::open(path)?;
        if let Some(expected) = expected {
            check_schema(path, expected, reader_schema(&reader).as_ref(), &metadata)?;
        }
        Ok(parquet_file::named(path, reader))
    }
}

fn reader_schema(reader: &parquet::arrow::arrow_reader::ParquetRecordBatchReader) -> Arc<Schema> {
    use arrow::array::RecordBatchReader;
    reader.schema()
}

/// Columns by name and type, and the spec the rows were made for.
fn check_schema(path: &Path, expected: &Schema, got: &Schema, metadata: &[KeyValue]) -> Result<()> {
    for field in expected.fields() {
        let problem = match got.field_with_name(field.name()) {
            Err(_) => "is missing".to_owned(),
            Ok(seen) if seen.data_type() != field.data_type() => {
                format!("is {}, expected {}", seen.data_type(), field.data_type())
            }
            Ok(_) => continue,
        };
        return Err(DatasetError::Column { path: path.to_owned(), column: field.name().clone(), problem });
    }
    for (key, value) in expected.metadata() {
        let got = metadata.iter().find(|pair| pair.key == *key).and_then(|pair| pair.value.clone()).unwrap_or_default();
        if got != *value {
            return Err(DatasetError::Disagrees {
                path: path.to_owned(),
                what: "row schema version or feature spec hash",
                expected: value.clone(),
                got,
            });
        }
    }
    Ok(())
}
