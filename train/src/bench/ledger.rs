//! Every trial of a tuning run, one JSON line each, synced as it is written.
//!
//! A line cut short by a kill is dropped when the file is opened again; everything before it counts.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use model::ModelKind;
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::error::{Result, TrainError, io};

/// One fit of one trial on one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Task.
    pub task: String,
    /// Part held out.
    pub held_out: String,
    /// Family.
    pub kind: ModelKind,
    /// Trial, 0 for the defaults.
    pub trial: usize,
    /// Fold it was judged on.
    pub fold: usize,
    /// What tuning minimises; `None` where the fit failed.
    pub loss: Option<f64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// The settings tried.
    pub settings: TrainConfig,
}

/// An append-only file of entries.
pub struct Ledger {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Ledger {
    /// Opens or makes the file and reads what is in it.
    ///
    /// # Errors
    /// When it cannot be read or written, or a line that is not the last is no entry.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io(parent))?;
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io(path)(error)),
        };
        let mut entries = Vec::new();
        let mut whole = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if !line.ends_with('\n') {
                break;
            }
            let entry = serde_json::from_str(line).map_err(|error| TrainError::Config {
                file: path.display().to_string(),
                reason: format!("line {} is no trial ({error}); remove the file to begin again", number + 1),
            })?;
            entries.push(entry);
            whole += line.len();
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(io(path))?;
        if whole < text.len() {
            file.set_len(whole as u64).map_err(io(path))?;
        }
        Ok(Self { path: path.to_owned(), file, entries })
    }

    /// What was tried so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(&mut self, entry: Entry) -> Result<()> {
        let mut line = serde_json::to_string(&entry).map_err(|error| TrainError::Config {
            file: self.path.display().to_string(),
            reason: format!("a trial cannot be written: {error}"),
        })?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()).map_err(io(&self.path))?;
        self.entries.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(trial: usize) -> Entry {
        Entry {
            task: "a".to_owned(),
            held_out: "test".to_owned(),
            kind: ModelKind::Cox,
            trial,
            fold: 0,
            loss: Some(0.25),
            error: None,
            seconds: 1.5,
            settings: TrainConfig::default(),
        }
    }

    #[test]
    fn a_line_cut_short_is_dropped_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/ledger.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.push(entry(0)).unwrap();
        ledger.push(entry(1)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.entries(), [entry(0)]);
        ledger.push(entry(2)).unwrap();
        assert_eq!(Ledger::open(&path).unwrap().entries(), [entry(0), entry(2)]);
    }

    #[test]
    fn a_line_of_something_else_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        Ledger::open(&path).unwrap().push(entry(0)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{}}\n")).unwrap();
        let error = Ledger::open(&path).err().map(|error| error.to_string()).unwrap();
        assert!(error.contains("line 2"), "{error}");
    }
}
