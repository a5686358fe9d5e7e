//! `lab.json` of a run's folder: with what it was made, and what each sitting of it took.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result, io};

/// Form of the file.
const FORMAT: u32 = 1;

/// With what a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Form of the file.
    pub format: u32,
    /// Name of the run, part of the names of its cgroups and uids.
    pub run: String,
    /// Seed of the plan.
    pub seed: u64,
    /// SHA-256 of the families.
    pub families_digest: String,
    /// The families, as they were read.
    pub families: String,
    /// Every sitting, in order.
    pub sittings: Vec<Sitting>,
}

/// From one start of the lab to its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sitting {
    /// Containers at a time.
    pub concurrency: usize,
    /// Nodes they ran on.
    pub nodes: usize,
    /// Whether the lives asked for were reached.
    pub complete: bool,
    /// Milliseconds since the epoch.
    pub started_ms: i64,
    /// Seconds it took.
    pub seconds: f64,
    /// What measuring took.
    pub measuring: Measuring,
    /// Share of the time in which something on the machine waited for a CPU: by this the neighbours outside the lab are told.
    pub cpu_waiting: f64,
    /// How far the wall clock went away from the monotonic one, milliseconds.
    pub clock_drift_ms: i64,
    /// Kernel, cgroups, cores, runtime.
    pub machine: BTreeMap<String, String>,
    /// Pods that could not be driven to their end, with the reason.
    pub problems: Vec<String>,
}

/// What measuring took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measuring {
    /// Looks at the fleet, one a second.
    pub scrapes: u64,
    /// Seconds in which none was made because the one before took too long.
    pub missed: u64,
    /// Samples read from them.
    pub samples: u64,
    /// Mean containers at a look.
    pub containers: f64,
    /// CPU seconds of reading files and writing the text.
    pub cpu_seconds: f64,
    /// CPU seconds of mapping the text and writing it to the lake.
    pub lake_cpu_seconds: f64,
}

impl Measuring {
    /// Share of one core that reading and writing the text took, for so many containers.
    #[must_use]
    pub fn share_of_core(&self, containers: f64, seconds: f64) -> f64 {
        if self.containers > 0.0 && seconds > 0.0 {
            self.cpu_seconds / seconds * containers / self.containers
        } else {
            0.0
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("lab.json")
}

impl Record {
    /// A run that begins.
    #[must_use]
    pub fn new(run: String, seed: u64, families: String, families_digest: String) -> Self {
        Self { format: FORMAT, run, seed, families_digest, families, sittings: Vec::new() }
    }

    /// That of a folder; none where no run began there.
    ///
    /// # Errors
    /// When the file cannot be read or is of another form.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = path(folder);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(&path, "read the record of the run")(error)),
        };
        let refuse = |reason: String| LabError::Run { path: path.clone(), reason };
        let record: Self = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
        if record.format != FORMAT {
            return Err(refuse(format!("format {} is not known, this release reads {FORMAT}", record.format)));
        }
        Ok(Some(record))
    }

    /// Writes it, staged and renamed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = path(folder);
        let staged = folder.join("lab.json.staged");
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| LabError::Run { path: path.clone(), reason: error.to_string() })?;
        std::fs::write(&staged, text).map_err(io(&staged, "write the record of the run"))?;
        std::fs::rename(&staged, &path).map_err(io(&path, "put the record of the run in its place"))
    }

    /// Refuses to go on with other settings than a run began with.
    ///
    /// # Errors
    /// Names the setting with both values.
    pub fn agree(&self, folder: &Path, seed: u64, families_digest: &str) -> Result<()> {
        let refuse = |what: &str, was: String, is: String| {
            Err(LabError::Run {
                path: folder.to_owned(),
                reason: format!(
                    "a run with {what} {was} began here, asked for is {is}; give the same or another --out"
                ),
            })
        };
        if self.seed != seed {
            return refuse("seed", self.seed.to_string(), seed.to_string());
        }
        if self.families_digest != families_digest {
            return refuse("families", self.families_digest[..12].to_owned(), families_digest[..12].to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_with_its_own_settings_only() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), None);
        let digest = "0123456789abcdef".to_owned();
        let record = Record::new("r1".to_owned(), 7, "families".to_owned(), digest.clone());
        record.write(folder.path()).unwrap();
        let read = Record::read(folder.path()).unwrap().unwrap();
        assert_eq!(read, record);
        read.agree(folder.path(), 7, &digest).unwrap();
        let said = read.agree(folder.path(), 8, &digest).unwrap_err().to_string();
        assert!(said.contains("seed 7") && said.contains("asked for is 8"), "{said}");
        let said = read.agree(folder.path(), 7, "fedcba9876543210").unwrap_err().to_string();
        assert!(said.contains("families 0123456789ab"), "{said}");
        std::fs::write(path(folder.path()), r#"{"format": 9}"#).unwrap();
        assert!(Record::read(folder.path()).is_err());
    }

    #[test]
    fn the_cost_of_measuring_is_told_for_a_number_of_containers() {
        let measuring = Measuring { containers: 48.0, cpu_seconds: 6.0, ..Measuring::default() };
        assert!((measuring.share_of_core(24.0, 100.0) - 0.03).abs() < 1e-12);
        assert!(Measuring::default().share_of_core(24.0, 100.0).abs() < 1e-12);
    }
}
