//! `claims.toml`: what is fixed before a test label is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use model::ModelKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bench::tune::Budget;
use crate::bench::{Objective, Outer};
use crate::claims::register::{Evaluation, Margin, Theorem};
use crate::error::{Result, TrainError};

/// Everything fixed beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimsConfig {
    /// Level of every test, below 0.5.
    pub alpha: f64,
    /// Replicates of every bootstrap, 2000 at least.
    pub replicates: usize,
    /// Seed of everything random that is not a fit.
    pub seed: u64,
    /// Seeds 1 to this for the families that have any.
    pub fit_seeds: u64,
    /// Tuning per family and part held out.
    pub budget: Budget,
    /// Folds a kept model is averaged over, 0 for one fit; see [`crate::TrainConfig::cross_fit`].
    pub cross_fit: u32,
    /// What must find nothing, and what must be found.
    pub controls: ControlsConfig,
    /// Levels a claim of "always" is held to.
    pub levels: Levels,
    /// Ratio of corrective to preventive cost, and horizon, T5.1 is judged at.
    pub maintenance: MaintenanceConfig,
    /// Data sets.
    #[serde(rename = "dataset")]
    pub datasets: Vec<DatasetEntry>,
    /// Claims decided by a comparison.
    #[serde(rename = "claim")]
    pub claims: Vec<ClaimEntry>,
}

/// Controls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlsConfig {
    /// Fit on outcomes shuffled over groups.
    pub permutation: bool,
    /// Plant a column that leaks the outcome.
    pub canary: bool,
    /// One column alone may not reach this AUC.
    pub leak_auc: f64,
}

/// Levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Availability of a month that meets the service level.
    pub sla: f64,
    /// A law is supported when the bound of the share of exceptions is at most this.
    pub law_share: f64,
}

/// T5.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceConfig {
    /// Cost of a failure over that of a planned replacement.
    pub ratio: f64,
    /// A unit is replaced on its probability of failing within this, in the data set's unit.
    pub horizon: f64,
    /// Data sets replayed.
    pub datasets: Vec<String>,
    /// Family whose predictions are followed.
    pub model: ModelKind,
}

/// A data set and how it is held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetEntry {
    /// Task of the benchmark.
    pub name: String,
    /// Benchmark it belongs to, as `forewarn bench` names it.
    pub benchmark: String,
    /// Its own test part, or folds over groups.
    pub split: SplitEntry,
    /// What tuning minimises.
    pub objective: Objective,
    /// Files read, below `--data`.
    pub files: Vec<String>,
    /// [`input_digest`] of them.
    pub input_digest: String,
    /// Settings tuned before, a file of `forewarn bench` beside this one; without it they are tuned here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
}

/// How rows are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitEntry {
    /// The data set's own test part.
    Given,
    /// So many folds over groups.
    Folds(u32),
}

impl From<SplitEntry> for Outer {
    fn from(split: SplitEntry) -> Self {
        match split {
            SplitEntry::Given => Self::Given,
            SplitEntry::Folds(folds) => Self::Folds(folds),
        }
    }
}

/// A claim decided by a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimEntry {
    /// Theorem.
    pub id: String,
    /// δ: that of the register, said again where it is committed.
    pub margin: Margin,
    /// Family the claim is about.
    pub claimed: ModelKind,
    /// Every one must be beaten.
    pub rivals: Vec<ModelKind>,
    /// On each of these.
    pub datasets: Vec<String>,
    /// Horizon of scores at one horizon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<f64>,
}

impl ClaimsConfig {
    /// Reads and checks the text of a `claims.toml`.
    ///
    /// # Errors
    /// When it is no such file, or contradicts itself or the register; the message names `file` and the key.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)
            .map_err(|error| TrainError::Config { file: file.to_owned(), reason: error.to_string() })?;
        config.validate(file)?;
        Ok(config)
    }

    /// Checks the whole.
    ///
    /// # Errors
    /// As [`ClaimsConfig::parse`].
    pub fn validate(&self, file: &str) -> Result<()> {
        self.problem().map_or(Ok(()), |reason| Err(TrainError::Config { file: file.to_owned(), reason }))
    }

    fn problem(&self) -> Option<String> {
        let open = |value: f64| value > 0.0 && value < 1.0;
        if !(self.alpha > 0.0 && self.alpha < 0.5) {
            return Some(format!("alpha is {}, must be above 0 and below 0.5", self.alpha));
        }
        if self.replicates < 2000 {
            return Some(format!("replicates is {}, must be at least 2000", self.replicates));
        }
        if self.fit_seeds == 0 {
            return Some("fit_seeds is 0, must be at least 1".to_owned());
        }
        if !(self.budget.seconds > 0.0 && self.budget.seconds.is_finite()) || self.budget.trials == 0 {
            return Some("budget needs seconds and trials above 0".to_owned());
        }
        if !(self.controls.leak_auc > 0.5 && self.controls.leak_auc < 1.0) {
            return Some(format!("controls.leak_auc is {}, must be between 0.5 and 1", self.controls.leak_auc));
        }
        if !open(self.levels.sla) || !open(self.levels.law_share) {
            return Some("levels.sla and levels.law_share must lie between 0 and 1".to_owned());
        }
        let mut names = BTreeSet::new();
        for entry in &self.datasets {
            if !names.insert(entry.name.as_str()) {
                return Some(format!("dataset {} is there twice", entry.name));
            }
            if let Some(problem) = entry.problem() {
                return Some(format!("dataset {}: {problem}", entry.name));
            }
        }
        if !(self.maintenance.ratio > 1.0 && self.maintenance.ratio.is_finite()) {
            return Some(format!("maintenance.ratio is {}, must be above 1", self.maintenance.ratio));
        }
        if !(self.maintenance.horizon > 0.0 && self.maintenance.horizon.is_finite()) {
            return Some(format!("maintenance.horizon is {}, must be above 0", self.maintenance.horizon));
        }
        let known = |wanted: &[String]| wanted.iter().find(|name| !names.contains(name.as_str())).cloned();
        if let Some(name) = known(&self.maintenance.datasets) {
            return Some(format!("maintenance.datasets names {name}, which is no [[dataset]]"));
        }
        let mut claimed = BTreeSet::new();
        for claim in &self.claims {
            if !claimed.insert(claim.id.as_str()) {
                return Some(format!("claim {} is there twice", claim.id));
            }
            if let Some(problem) = claim.problem() {
                return Some(format!("claim {}: {problem}", claim.id));
            }
            if let Some(name) = known(&claim.datasets) {
                return Some(format!("claim {} names {name}, which is no [[dataset]]", claim.id));
            }
        }
        None
    }

    /// Families to be fitted on a data set: what its claims ask for, the claimed first, and what T5.1 follows.
    #[must_use]
    pub fn kinds(&self, dataset: &str) -> Vec<ModelKind> {
        let mut kinds = Vec::new();
        let mut add = |kind: ModelKind| {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        };
        for claim in self.claims.iter().filter(|claim| claim.datasets.iter().any(|name| name == dataset)) {
            add(claim.claimed);
            claim.rivals.iter().copied().for_each(&mut add);
        }
        if self.maintenance.datasets.iter().any(|name| name == dataset) {
            add(self.maintenance.model);
        }
        kinds
    }

    /// Every file, below `--data`.
    #[must_use]
    pub fn files(&self) -> BTreeSet<String> {
        self.datasets.iter().flat_map(|entry| entry.files.iter().cloned()).collect()
    }
}

impl DatasetEntry {
    fn problem(&self) -> Option<String> {
        if self.files.is_empty() {
            return Some("files is empty".to_owned());
        }
        let plain = |file: &String| {
            !file.is_empty() && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)))
        };
        if let Some(file) = self.files.iter().find(|file| !plain(file)) {
            return Some(format!("files names {file:?}; paths go down from --data, without a root and without .."));
        }
        if self.input_digest.len() != 64 || !self.input_digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Some(format!("input_digest {:?} is no SHA-256 in hexadecimal", self.input_digest));
        }
        match self.split {
            SplitEntry::Folds(folds) if !(2..=20).contains(&folds) => {
                Some(format!("split has {folds} folds, must be 2 to 20"))
            }
            _ => None,
        }
    }

    /// Refuses files other than those said beforehand; `found` are the digests by path.
    ///
    /// # Errors
    /// When a file is missing from `found` or the digest of all differs.
    pub fn check(&self, found: &BTreeMap<String, String>) -> Result<()> {
        let of_this: BTreeMap<String, String> = found
            .iter()
            .filter(|(path, _)| self.files.contains(path))
            .map(|(path, digest)| (path.clone(), digest.clone()))
            .collect();
        let got = input_digest(&of_this);
        if of_this.len() == self.files.len() && got == self.input_digest {
            return Ok(());
        }
        Err(TrainError::Config {
            file: "claims.toml".to_owned(),
            reason: format!(
                "dataset {} has input_digest {}, the files on disk give {got}: other data than was said beforehand; \
                 restore the files, or say so in claims.toml before anything is opened",
                self.name, self.input_digest
            ),
        })
    }
}

impl ClaimEntry {
    fn problem(&self) -> Option<String> {
        let Some(theorem) = Theorem::of(&self.id) else {
            return Some("no theorem of the register has this id".to_owned());
        };
        let Evaluation::Comparison(score) = theorem.evaluation else {
            return Some("the register decides it by something else than a comparison of families".to_owned());
        };
        if theorem.margin != Some(self.margin) {
            let registered = theorem.margin.map_or("none".to_owned(), |margin| margin.to_string());
            return Some(format!("margin is {}, the register has {registered}; change both or neither", self.margin));
        }
        if self.rivals.is_empty() || self.datasets.is_empty() {
            return Some("rivals and datasets must name at least one each".to_owned());
        }
        if self.rivals.contains(&self.claimed) {
            return Some(format!("{} is its own rival", self.claimed.name()));
        }
        match (score.at_horizon(), self.horizon) {
            (true, Some(horizon)) if horizon > 0.0 && horizon.is_finite() => None,
            (true, _) => Some(format!("the {} needs a horizon above 0", score.name())),
            (false, Some(_)) => Some(format!("the {} takes no horizon", score.name())),
            (false, None) => None,
        }
    }
}

/// SHA-256 over one line per file, digest and path, in the order of the paths: what `sha256sum` of the sorted files
/// prints, hashed again.
#[must_use]
pub fn input_digest(files: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    for (path, sha256) in files {
        digest.update(format!("{sha256}  {path}\n"));
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = include_str!("../../../claims.toml");

    fn refused(from: &str, to: &str) -> String {
        assert!(COMMITTED.contains(from), "{from:?} is not in claims.toml");
        ClaimsConfig::parse(&COMMITTED.replacen(from, to, 1), "claims.toml").unwrap_err().to_string()
    }

    #[test]
    fn the_committed_file_is_valid_and_names_every_comparison_of_the_register() {
        let config = ClaimsConfig::parse(COMMITTED, "claims.toml").unwrap();
        let claimed: BTreeSet<&str> = config.claims.iter().map(|claim| claim.id.as_str()).collect();
        let compared: BTreeSet<&str> = crate::claims::register::THEOREMS
            .iter()
            .filter(|theorem| matches!(theorem.evaluation, Evaluation::Comparison(_)))
            .map(|theorem| theorem.id)
            .collect();
        assert_eq!(claimed, compared);
        for entry in &config.datasets {
            assert!(config.kinds(&entry.name).len() >= 2, "{} is compared by nobody", entry.name);
        }
    }

    #[test]
    fn each_mistake_is_refused_by_its_key() {
        for (from, to, says) in [
            ("alpha = 0.05", "alpha = 0.5", "alpha is 0.5"),
            ("alpha = 0.05", "alpha = 0.05\nalhpa = 1", "alhpa"),
            ("replicates = 2000", "replicates = 200", "replicates is 200"),
            ("fit_seeds = 10", "fit_seeds = 0", "fit_seeds"),
            ("leak_auc = 0.98", "leak_auc = 0.4", "leak_auc"),
            ("ratio = 10.0", "ratio = 1.0", "maintenance.ratio"),
            ("id = \"T9.2\"", "id = \"T9.9\"", "no theorem"),
            ("id = \"T9.2\"", "id = \"T1.1\"", "something else than a comparison"),
            ("id = \"T9.2\"", "id = \"T5.2\"", "twice"),
            ("margin = { relative = 0.01 }", "margin = { relative = 0.02 }", "the register has 1 %"),
            ("horizon = 3600.0", "", "needs a horizon"),
            ("\"cmapss/train_FD001.txt.gz\"", "\"../train_FD001.txt.gz\"", "without .."),
            ("name = \"fd001\"", "name = \"fd002\"", "twice"),
            ("name = \"pods\"", "name = \"beans\"", "no [[dataset]]"),
            ("split = { folds = 5 }", "split = { folds = 1 }", "1 folds"),
        ] {
            let message = refused(from, to);
            assert!(message.contains(says) && message.starts_with("claims.toml"), "{from} -> {to}: {message}");
        }
    }

    #[test]
    fn other_files_than_were_said_are_refused() {
        let config = ClaimsConfig::parse(COMMITTED, "claims.toml").unwrap();
        let mut entry = config.datasets[0].clone();
        let found: BTreeMap<String, String> = entry.files.iter().map(|file| (file.clone(), "ab".repeat(32))).collect();
        assert!(entry.check(&found).unwrap_err().to_string().contains(&entry.name));
        entry.input_digest = input_digest(&found);
        entry.check(&found).unwrap();
        assert!(entry.check(&BTreeMap::new()).is_err());
    }
}
