//! Recomputes everything a manifest claims about its files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use features::schema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Dataset, check_schema, reader_schema};
use crate::error::{DatasetError, Result};
use crate::parquet_file;
use crate::progress::Progress;

/// What was checked and found in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Files checked.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Labelled rows found.
    pub rows: u64,
    /// Files in the folder that the manifest does not name; they are not read by anything.
    pub unlisted: Vec<String>,
}

impl Dataset {
    /// Recomputes digests, row counts, schemas and the spec hash.
    ///
    /// # Errors
    /// At the first file that differs from the manifest, naming it.
    pub fn verify(&self, progress: &dyn Progress) -> Result<VerifyReport> {
        let manifest = self.manifest();
        let total = manifest.files.iter().map(|file| file.bytes).sum();
        progress.begin("verifying", Some(total));
        let mut rows = 0;
        for file in &manifest.files {
            let path = self.dir().join(&file.path);
            let got = digest(&path, progress)?;
            if got != file.sha256 {
                return Err(DatasetError::Digest { path, expected: file.sha256.clone(), got });
            }
            let Some(expected) = file.rows else { continue };
            let (reader, metadata, seen) = parquet_file::open(&path)?;
            if seen != expected {
                return Err(disagrees(&path, "number of rows", expected, seen));
            }
            if file.path.starts_with("rows/") {
                check_schema(&path, &schema::row_schema(self.spec()), &reader_schema(&reader), &metadata)?;
                rows += seen;
            }
        }
        progress.end();
        if rows != manifest.counts.rows {
            return Err(disagrees(self.dir(), "number of rows over all parts", manifest.counts.rows, rows));
        }
        if let Some(truth) = manifest.file(crate::builder::TRUTH)
            && truth.rows != Some(rows)
        {
            return Err(disagrees(
                &self.dir().join(&truth.path),
                "number of true curves",
                rows,
                truth.rows.unwrap_or(0),
            ));
        }
        // Reading every row checks names of causes, reasons and parts, and the laws of each observation.
        let read = self.rows()?;
        let failures = read.observations.iter().filter(|observation| observation.failed()).count() as u64;
        if failures != manifest.counts.failures {
            return Err(disagrees(
                self.dir(),
                "number of rows that end in a failure",
                manifest.counts.failures,
                failures,
            ));
        }
        Ok(VerifyReport { files: manifest.files.len(), bytes: total, rows, unlisted: self.unlisted()? })
    }

    fn unlisted(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in ["", "rows/"] {
            let path = self.dir().join(folder);
            let entries = std::fs::read_dir(&path).map_err(DatasetError::io(&path, "list the folder"))?;
            for entry in entries {
                let entry = entry.map_err(DatasetError::io(&path, "list the folder"))?;
                let name = format!("{folder}{}", entry.file_name().to_string_lossy());
                let known =
                    name == crate::manifest::FILE_NAME || name == "rows" || self.manifest().file(&name).is_some();
                if !known {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

fn digest(path: &Path, progress: &dyn Progress) -> Result<String> {
    let mut file = File::open(path).map_err(DatasetError::io(path, "open the file"))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(DatasetError::io(path, "read the file"))?;
        if read == 0 {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(&buffer[..read]);
        progress.advance(read as u64);
    }
}

fn disagrees(path: &Path, what: &'static str, expected: u64, got: u64) -> DatasetError {
    DatasetError::Disagrees { path: path.to_owned(), what, expected: expected.to_string(), got: got.to_string() }
}
