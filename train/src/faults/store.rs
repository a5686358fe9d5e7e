//! One file per set and method, so that a run that was cut off goes on where it stopped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError, io};

/// Where results of one run are kept; nothing is kept without a folder.
pub(super) struct Store<'a> {
    folder: Option<&'a Path>,
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    /// Options, data and version that the result is of.
    identity: String,
    result: T,
}

impl<'a> Store<'a> {
    /// A store in a folder, which is made.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn open(folder: Option<&'a Path>) -> Result<Self> {
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(io(folder))?;
        }
        Ok(Self { folder })
    }

    /// The result under a name: read where it is there, otherwise made and kept.
    ///
    /// # Errors
    /// When the kept result is of other options or data, cannot be read or written, or the making fails.
    pub(super) fn get_or<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        identity: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(folder) = self.folder else { return make() };
        let path = folder.join(format!("{name}.json"));
        if path.is_file() {
            let text = fs::read(&path).map_err(io(&path))?;
            let kept: Kept<T> = serde_json::from_slice(&text).map_err(|error| unreadable(&path, &error))?;
            if kept.identity != identity {
                return Err(TrainError::Checkpoint { path, what: "an option, the data or the version" });
            }
            return Ok(kept.result);
        }
        let kept = Kept { identity: identity.to_owned(), result: make()? };
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| unreadable(&path, &error))?;
        let staged = folder.join(format!(".{name}.staging"));
        // A half-written file never has the name of a whole one.
        let written = fs::File::create(&staged).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.map_err(io(&staged))?;
        fs::rename(&staged, &path).map_err(io(&path))?;
        Ok(kept.result)
    }
}

fn unreadable(path: &Path, error: &serde_json::Error) -> TrainError {
    TrainError::Config {
        file: PathBuf::from(path).display().to_string(),
        reason: format!("{error}; remove the file and run it again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_result_is_not_made_again_and_one_of_another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(folder.path())).unwrap();
        assert_eq!(store.get_or("a", "run 1", || Ok(vec![0.1, 1.0 / 3.0])).unwrap(), [0.1, 1.0 / 3.0]);
        let again: Vec<f64> = store.get_or("a", "run 1", || panic!("made again")).unwrap();
        assert_eq!(again, [0.1, 1.0 / 3.0]);
        let message = store.get_or("a", "run 2", || Ok(vec![0.0])).unwrap_err().to_string();
        assert!(message.contains("a.json") && message.contains("belongs to another run"), "{message}");
        fs::write(folder.path().join("a.json"), "{").unwrap();
        let message = store.get_or("a", "run 1", || Ok(vec![0.0])).unwrap_err().to_string();
        assert!(message.contains("remove the file"), "{message}");
    }

    #[test]
    fn a_failure_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(folder.path())).unwrap();
        let failed = store
            .get_or("b", "run", || Err::<f64, _>(TrainError::Data { model: "m".to_owned(), reason: "r".to_owned() }));
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
