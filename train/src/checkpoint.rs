//! Weights, optimiser and state of a run at an epoch's end, so that a killed run goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use model::{HazardNet, NetworkShape};
use serde::{Deserialize, Serialize};

use crate::error::{Result, TrainError, io};
use crate::fit::{Epoch, Part, Run};

/// Where a run stands.
#[derive(Debug, Clone)]
pub struct State {
    /// One entry per finished epoch.
    pub history: Vec<Epoch>,
    /// Best validation loss so far.
    pub best_loss: f64,
    /// Weights that had it, as safetensors.
    pub best_weights: Vec<u8>,
    /// Epochs since then.
    pub without_gain: usize,
}

impl State {
    /// Before the first epoch, with the initial weights.
    #[must_use]
    pub fn start(weights: Vec<u8>) -> Self {
        Self { history: Vec::new(), best_loss: f64::INFINITY, best_weights: weights, without_gain: 0 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    run: String,
    history: Vec<Epoch>,
    best_loss: f64,
    without_gain: usize,
}

/// The checkpoint folder of one run. Each epoch writes `epoch-NNNN`, staged and renamed; older ones go after.
pub struct Checkpoints {
    dir: PathBuf,
    /// What must be equal for a checkpoint to be of this run.
    identity: String,
}

impl Checkpoints {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path, run: &Run<'_>, shape: NetworkShape, train: Part<'_>) -> Result<Self> {
        fs::create_dir_all(dir).map_err(io(dir))?;
        let checksum = train
            .design
            .flat
            .iter()
            .chain(&train.design.sequence)
            .fold(0_u64, |sum, value| sum.rotate_left(5) ^ u64::from(value.to_bits()));
        let identity = format!(
            "{:?} {:?} {:?} seed {} device {} rows {} checksum {checksum:016x}",
            run.network, run.fit, shape, run.seed, run.device.name, train.design.rows
        );
        Ok(Self { dir: dir.to_owned(), identity })
    }

    /// The newest complete checkpoint, put into a network and optimiser of the same configuration.
    ///
    /// # Errors
    /// When it belongs to another run, or cannot be read.
    pub fn latest(
        &self,
        network: HazardNet,
        optimizer: ModuleOptimizer,
    ) -> Result<Option<(HazardNet, ModuleOptimizer, State)>> {
        let Some(path) = self.complete()?.pop() else { return Ok(None) };
        let text = fs::read(path.join("state.json")).map_err(io(&path))?;
        let unreadable = |reason: String| TrainError::Config { file: path.display().to_string(), reason };
        let file: StateFile = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if file.run != self.identity {
            return Err(TrainError::Checkpoint { path, what: "a setting, the device or the data" });
        }
        let network =
            network.try_load_file(path.join("network.bpk")).map_err(|error| unreadable(format!("{error:?}")))?;
        let optimizer = optimizer.load(path.join("optimizer.bpk")).map_err(|error| unreadable(format!("{error:?}")))?;
        let best_weights = fs::read(path.join("best.safetensors")).map_err(io(&path))?;
        let StateFile { history, best_loss, without_gain, .. } = file;
        tracing::info!(path = %path.display(), epochs = history.len(), "resumed");
        Ok(Some((network, optimizer, State { history, best_loss, best_weights, without_gain })))
    }

    /// Writes the checkpoint of the epoch just finished.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, network: &HazardNet, optimizer: &ModuleOptimizer, state: &State) -> Result<()> {
        let older = self.complete()?;
        let name = format!("epoch-{:04}", state.history.len());
        let staging = self.dir.join(format!(".{name}.staging"));
        if staging.exists() {
            fs::remove_dir_all(&staging).map_err(io(&staging))?;
        }
        fs::create_dir(&staging).map_err(io(&staging))?;
        let failed = |error: String| TrainError::Config { file: staging.display().to_string(), reason: error };
        network.clone().save_file(staging.join("network.bpk")).map_err(|error| failed(format!("{error:?}")))?;
        optimizer.save(staging.join("optimizer.bpk")).map_err(|error| failed(format!("{error:?}")))?;
        let file = StateFile {
            run: self.identity.clone(),
            history: state.history.clone(),
            best_loss: state.best_loss,
            without_gain: state.without_gain,
        };
        let text = serde_json::to_vec(&file).map_err(|error| failed(error.to_string()))?;
        for (name, bytes) in [("best.safetensors", &state.best_weights), ("state.json", &text)] {
            fs::write(staging.join(name), bytes).map_err(io(&staging))?;
        }
        for entry in fs::read_dir(&staging).map_err(io(&staging))? {
            let path = entry.map_err(io(&staging))?.path();
            fs::File::open(&path).and_then(|file| file.sync_all()).map_err(io(&path))?;
        }
        let place = self.dir.join(name);
        fs::rename(&staging, &place).map_err(io(&place))?;
        for path in older {
            fs::remove_dir_all(&path).map_err(io(&path))?;
        }
        Ok(())
    }

    /// Complete checkpoints, oldest first.
    fn complete(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io(&self.dir))? {
            let path = entry.map_err(io(&self.dir))?.path();
            let named = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("epoch-"));
            if named && path.join("state.json").is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}
