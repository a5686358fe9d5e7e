//! `dataset.json`: files, digests, counts and the rules that made them. Written last; without it there is no data set.

use std::collections::BTreeMap;
use std::path::Path;

use features::{Catalogue, FeatureSpec};
use serde::{Deserialize, Serialize};
use survival::{Readout, TimeGrid};

use crate::error::{DatasetError, Result};
use crate::source::{Cuts, Input, SplitRule};

/// Version of the layout of a data set; a reader refuses another one by name.
pub const SCHEMA_VERSION: u32 = 1;
/// Name of the manifest inside a data set.
pub const FILE_NAME: &str = "dataset.json";

/// One file of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the data set, with `/`.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows, where it has rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// What went into one part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCounts {
    /// Rows.
    pub rows: u64,
    /// Rows that end in a failure.
    pub failures: u64,
    /// Entity histories with at least one row here.
    pub entities: u64,
    /// Groups with at least one row here.
    pub groups: u64,
}

/// What went into a data set, and what did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Rows.
    pub rows: u64,
    /// Rows that end in a failure.
    pub failures: u64,
    /// Entity histories (lives), with or without rows.
    pub entities: u64,
    /// Groups, with or without rows.
    pub groups: u64,
    /// Failure events by cause: each failure once, however many rows look ahead to it.
    pub events_by_cause: BTreeMap<String, u64>,
    /// Rows that end in a failure, by cause.
    pub rows_by_cause: BTreeMap<String, u64>,
    /// Rows that end in a censoring, by reason.
    pub rows_by_censor_reason: BTreeMap<String, u64>,
    /// Histories that no failure ended, by reason.
    pub ends_by_reason: BTreeMap<String, u64>,
    /// Cuts and records left out, by rule.
    pub excluded: BTreeMap<String, u64>,
    /// Samples left out because they came after their tile was closed.
    pub late_samples: u64,
    /// Identical duplicates dropped.
    pub duplicate_samples: u64,
    /// Rows, failures, entities and groups of each part.
    pub splits: BTreeMap<String, SplitCounts>,
    /// First and last moment of a row, in ticks.
    pub as_of_range: Option<(i64, i64)>,
    /// How much of the watched time was missing; `None` in data sets of releases that did not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<WatchCounts>,
}

/// How long entities were watched, and how much of that time nothing was seen of them. Times in ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchCounts {
    /// First moment of watching any entity.
    pub from: i64,
    /// Last moment of watching any entity.
    pub until: i64,
    /// Sum of the watched time of all histories, gaps included.
    pub total: i64,
    /// Histories that were older than the first moment they were watched (left truncation).
    pub joined_late: u64,
    /// Stretches without any sample, longer than the gap rule allows.
    pub gaps: u64,
    /// Histories with at least one of them.
    pub histories_with_gaps: u64,
    /// Sum of their lengths.
    pub missing: i64,
    /// The longest one.
    pub longest_gap: i64,
    /// Whose it was.
    pub longest_gap_entity: String,
    /// Gaps by length: longest allowed gap times 2, 4, 8, …, each with the number of gaps up to that length and
    /// above the bound before.
    pub gaps_up_to: Vec<(i64, u64)>,
}

/// The manifest of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`] of the build that wrote it.
    pub schema_version: u32,
    /// Short name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Licence of the source, in words.
    pub licence: String,
    /// Where it comes from.
    pub source: String,
    /// Version of the code that built it.
    pub code_version: String,
    /// Digest of everything that decides its content.
    pub input_digest: String,
    /// What it was made from.
    pub inputs: Vec<Input>,
    /// Digest of `spec`.
    pub spec_hash: String,
    /// What a row is made of.
    pub spec: FeatureSpec,
    /// Metrics the spec refers to.
    pub catalogue: Catalogue,
    /// Interval edges.
    pub grid: TimeGrid,
    /// Names of the causes; a failure's cause is an index into these.
    pub causes: Vec<String>,
    /// What to read from a curve.
    pub readout: Readout,
    /// When rows were made.
    pub cuts: Cuts,
    /// Which part they went to.
    pub split: SplitRule,
    /// Seed of the shuffle of outcomes, when this is a control nothing can be learned from.
    pub permuted_labels: Option<u64>,
    /// Whether `truth.parquet` holds the true curve of every row.
    pub has_truth: bool,
    /// What went in and what did not.
    pub counts: Counts,
    /// Traps of the source and how each was treated.
    pub notes: Vec<String>,
    /// First tick from which the source still held every raw sample: another spec can be built from there on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_since: Option<i64>,
    /// Every file besides this one.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// Reads and checks the manifest of the data set in `dir`.
    ///
    /// # Errors
    /// When there is none, it is of another schema version, holds an unknown key, or contradicts itself.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE_NAME);
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => DatasetError::NotFound {
                path: path.clone(),
                wanted: "the manifest; the folder is no data set, or its build did not finish".to_owned(),
            },
            _ => DatasetError::io(&path, "read the manifest")(error),
        })?;
        let refuse = |reason: String| DatasetError::Manifest { path: path.clone(), reason };
        // The version is looked at first: another layout deserves its own words, not "unknown field".
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| refuse(format!("not JSON: {error}")))?;
        let version = value.get("schema_version").cloned().unwrap_or_default();
        if version != SCHEMA_VERSION {
            return Err(DatasetError::SchemaVersion { path, found: version.to_string(), expected: SCHEMA_VERSION });
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        manifest.spec.validate(&manifest.catalogue).map_err(DatasetError::feature(path.display()))?;
        let hash = manifest.spec.hash();
        if hash != manifest.spec_hash {
            return Err(DatasetError::Disagrees {
                path,
                what: "hash of the spec",
                expected: manifest.spec_hash,
                got: hash,
            });
        }
        if manifest.files.iter().any(|file| file.path.split('/').any(|part| matches!(part, "" | "." | ".."))) {
            return Err(refuse("a file path leaves the data set".to_owned()));
        }
        Ok(manifest)
    }

    /// The manifest as it lies on disk.
    ///
    /// # Errors
    /// When a number cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| DatasetError::config(format!("manifest of {:?}", self.name), error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Files that hold rows, in order.
    pub fn parts(&self) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(|file| file.path.starts_with("rows/"))
    }

    /// A file by its path inside the data set.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }
}
