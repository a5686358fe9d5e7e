//! Everything a run of claims found, as `claims.json` keeps it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use survival::compare::verdict::Verdict;

use crate::claims::controls::Controls;
use crate::claims::judge::{ClaimRow, overall};
use crate::claims::lock::{Lock, Opening};
use crate::claims::maintenance::Replay;
use crate::claims::page;
use crate::error::{Result, TrainError, io};

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimsReport {
    /// One sentence.
    pub headline: String,
    /// What the verdicts rest on.
    pub frame: Frame,
    /// One per claim and data set, in the order of the register.
    pub rows: Vec<ClaimRow>,
    /// One word per claim over all its data sets.
    pub claims: BTreeMap<String, Verdict>,
    /// By data set.
    pub controls: Vec<Controls>,
    /// Maintenance policies replayed.
    pub maintenance: Vec<Replay>,
}

/// Data, budget, seeds and code of the verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Which run of a register this is; `None` for a data set of one's own.
    pub opening: Option<Opening>,
    /// Settings, data and code locked; `None` for a data set of one's own.
    pub lock: Option<Lock>,
    /// Digest of what each data set was built from.
    pub input_digests: BTreeMap<String, String>,
    /// Seconds of tuning per family and part held out.
    pub seconds: f64,
    /// Trials of tuning at most.
    pub trials: usize,
    /// Seeds of the fits, 1 to this.
    pub seeds: u64,
    /// Families fitted.
    pub models: Vec<String>,
    /// Level of the tests.
    pub alpha: f64,
    /// Replicates of the bootstrap.
    pub replicates: usize,
    /// Version of the program.
    pub version: String,
}

impl ClaimsReport {
    /// Puts the parts together; without `headline` it counts verdicts.
    #[must_use]
    pub fn new(
        headline: Option<String>,
        frame: Frame,
        rows: Vec<ClaimRow>,
        controls: Vec<Controls>,
        maintenance: Vec<Replay>,
    ) -> Self {
        let mut verdicts: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.primary) {
            verdicts.entry(row.id.clone()).or_default().push(row.verdict);
        }
        let claims: BTreeMap<String, Verdict> =
            verdicts.into_iter().map(|(id, verdicts)| (id, overall(&verdicts))).collect();
        let count = |wanted: Verdict| claims.values().filter(|verdict| **verdict == wanted).count();
        let headline = headline.unwrap_or_else(|| {
            format!(
                "Of {} claims {} are supported, {} refuted, {} undecided and {} not testable.",
                claims.len(),
                count(Verdict::Supported),
                count(Verdict::Refuted),
                count(Verdict::Undecided),
                count(Verdict::NotTestable)
            )
        });
        Self { headline, frame, rows, claims, controls, maintenance }
    }

    /// What went wrong in the controls, in words.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.controls.iter().flat_map(Controls::problems).collect()
    }

    /// Writes `claims.json` and `claims.html` into `folder`, each staged and renamed; returns their paths.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let json = serde_json::to_vec_pretty(self).map_err(|error| TrainError::Config {
            file: "claims.json".to_owned(),
            reason: format!("cannot be written: {error}"),
        })?;
        let places = [folder.join("claims.json"), folder.join("claims.html")];
        for (place, bytes) in places.iter().zip([json, page::page(self).into_bytes()]) {
            let staged = place.with_extension("staging");
            std::fs::write(&staged, bytes).map_err(io(&staged))?;
            std::fs::rename(&staged, place).map_err(io(place))?;
        }
        Ok(places)
    }

    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        page::page(self)
    }

    /// The rows for a terminal: claim, data, verdict, reason.
    #[must_use]
    pub fn table(&self) -> String {
        let width =
            |of: fn(&ClaimRow) -> String| self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (ids, data) = (width(|row| row.id.clone()), width(|row| shortened(&row.data)));
        let mut text = String::new();
        for row in &self.rows {
            let _ = writeln!(
                text,
                "{:<ids$}  {:<data$}  {:<12}  {}{}",
                row.id,
                shortened(&row.data),
                row.verdict.to_string(),
                if row.primary { "" } else { "(secondary) " },
                row.reason
            );
        }
        text
    }
}

/// Data in a column of a terminal.
fn shortened(data: &str) -> String {
    const MOST: usize = 28;
    if data.chars().count() <= MOST { data.to_owned() } else { data.chars().take(MOST - 1).chain(['…']).collect() }
}
