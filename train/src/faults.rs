//! The fault benchmark: which type of fault it was, which entity was its root, and when something was wrong.
//!
//! [`run`] reads the public sets that lie under a folder, runs every method of [`fault_type`], [`root_cause`] and
//! [`anomaly`] on them, keeps one file per set and method, and returns a [`FaultsReport`]. Settings and thresholds are
//! chosen on cases and steps that teach; every judged case is asked for once.

pub mod anomaly;
pub mod boosted;
pub mod detect;
pub mod fault_type;
pub mod features;
mod folds;
mod logistic;
pub mod neural;
mod numeric;
pub mod rank;
pub mod root_cause;
pub mod score;
mod skeleton;
mod store;
mod tables;

use std::path::Path;

use datasets::benchmark::faults::{FaultSet, FoldRule, WatchedSet, genai, nab, nezha, petshop, rcd, sockshop};
use datasets::progress::Progress;
use datasets::source::Input;
use serde::{Deserialize, Serialize};

pub use anomaly::{AnomalyResult, run_anomaly};
pub use detect::Detector;
pub use fault_type::{FaultTypeResult, TypeMethod, run_fault_type};
pub use features::View;
pub use rank::RootCauseRanker;
pub use root_cause::{RootCauseResult, RootMethod, run_root_cause};

use crate::error::{Result, TrainError};
use store::Store;

/// Raised when a method or a reader changes what it answers, so that kept results of before are refused.
const VERSION: u32 = 1;

/// What a run is given besides its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultsOptions {
    /// Seed of everything random.
    pub seed: u64,
    /// Seeds of the small network.
    pub seeds: usize,
    /// Replicates of the bootstrap.
    pub replicates: usize,
    /// Budget of alarms per system and day where a threshold is chosen by one.
    pub alarms_per_day: f64,
}

impl Default for FaultsOptions {
    fn default() -> Self {
        Self { seed: 1, seeds: 10, replicates: 2000, alarms_per_day: 1.0 }
    }
}

impl FaultsOptions {
    fn validate(&self) -> Result<()> {
        let fine =
            self.seeds > 0 && self.replicates > 0 && self.alarms_per_day.is_finite() && self.alarms_per_day > 0.0;
        if fine {
            return Ok(());
        }
        Err(TrainError::Config {
            file: "options of the fault benchmark".to_owned(),
            reason: format!(
                "seeds {}, replicates {} and alarms_per_day {} must all be above 0",
                self.seeds, self.replicates, self.alarms_per_day
            ),
        })
    }
}

/// A set that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetFacts {
    /// Name.
    pub name: String,
    /// Episodes, or watched systems.
    pub members: usize,
    /// What it was read from, by digest.
    pub inputs: Vec<Input>,
    /// What a reader of results must know.
    pub notes: Vec<String>,
}

/// Everything a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultsReport {
    /// Options of the run.
    pub options: FaultsOptions,
    /// Sets that were read.
    pub sets: Vec<SetFacts>,
    /// Folders that are not there.
    pub absent: Vec<String>,
    /// Types of faults.
    pub fault_type: Vec<FaultTypeResult>,
    /// Root causes.
    pub root_cause: Vec<RootCauseResult>,
    /// Anomalies.
    pub anomaly: Vec<AnomalyResult>,
}

impl FaultsReport {
    /// All results as tables of plain text.
    #[must_use]
    pub fn text(&self) -> String {
        tables::text(self)
    }
}

/// Runs all methods on all sets below `data`; results are kept in `out`, and taken from there when they are of the same
/// options and data.
///
/// # Errors
/// When no set is there, a set cannot be read, a fit fails, or a kept result is of another run.
pub fn run(data: &Path, out: Option<&Path>, options: &FaultsOptions, progress: &dyn Progress) -> Result<FaultsReport> {
    options.validate()?;
    let store = Store::open(out)?;
    let mut report = FaultsReport {
        options: options.clone(),
        sets: Vec::new(),
        absent: Vec::new(),
        fault_type: Vec::new(),
        root_cause: Vec::new(),
        anomaly: Vec::new(),
    };
    for (folder, read) in EPISODES {
        let folder = data.join(folder);
        if !folder.is_dir() {
            note_absent(&mut report, &folder);
            continue;
        }
        let set = read(&folder)?;
        episodes(&set, options, &store, progress, &mut report)?;
        report.sets.push(SetFacts { name: set.name, members: set.cases.len(), inputs: set.inputs, notes: set.notes });
    }
    for (folder, read) in WATCHED {
        let folder = data.join(folder);
        if !folder.is_dir() {
            note_absent(&mut report, &folder);
            continue;
        }
        let set = read(&folder)?;
        let identity = identity(options, &set.inputs);
        progress.begin(&format!("anomalies of {}, detectors", set.name), Some(Detector::ALL.len() as u64));
        for detector in Detector::ALL {
            let name = format!("anomaly-{}-{}", set.name, detector.name());
            report.anomaly.extend(store.get_or(&name, &identity, || run_anomaly(&set, detector, options))?);
            progress.advance(1);
        }
        progress.end();
        report.sets.push(SetFacts {
            name: format!("{} (watched)", set.name),
            members: set.systems.len(),
            inputs: set.inputs,
            notes: set.notes,
        });
    }
    if report.sets.is_empty() {
        return Err(TrainError::Data {
            model: "the fault benchmark".to_owned(),
            reason: format!("none of its data sets is below {}", data.display()),
        });
    }
    Ok(report)
}

/// A reader of a folder.
type Reader<T> = fn(&Path) -> datasets::Result<T>;

const EPISODES: [(&str, Reader<FaultSet>); 6] = [
    ("sockshop_chaos_2023", sockshop::containers),
    ("sockshop_chaos_2023", sockshop::nodes),
    ("nezha_faults", |folder| nezha::day(folder, nezha::DAYS[0].0)),
    ("nezha_faults", |folder| nezha::day(folder, nezha::DAYS[1].0)),
    ("rcd_sockshop", rcd::cases),
    ("petshop", petshop::issues),
];

const WATCHED: [(&str, Reader<WatchedSet>); 3] = [
    ("nab_server_metrics", nab::series),
    ("sockshop_chaos_2023", sockshop::watched),
    ("alibaba_genai_pods_2026", genai::pods),
];

fn note_absent(report: &mut FaultsReport, folder: &Path) {
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    if !report.absent.contains(&name) {
        report.absent.push(name);
    }
}

fn episodes(
    set: &FaultSet,
    options: &FaultsOptions,
    store: &Store<'_>,
    progress: &dyn Progress,
    report: &mut FaultsReport,
) -> Result<()> {
    let identity = identity(options, &set.inputs);
    let typed = set.folds != FoldRule::RankingOnly && set.cases.iter().any(|case| case.fault_type.is_some());
    if typed {
        let total = 2 * TypeMethod::ALL.len() as u64;
        progress.begin(&format!("types of faults of {}, methods", set.name), Some(total));
        for view in [View::Unaided, View::RootKnown] {
            for method in TypeMethod::ALL {
                let told = if view == View::Unaided { "unaided" } else { "root_known" };
                let name = format!("fault_type-{}-{told}-{}", set.name, method.name());
                let make = || run_fault_type(set, view, method, options);
                report.fault_type.push(store.get_or(&name, &identity, make)?);
                progress.advance(1);
            }
        }
        progress.end();
    }
    progress.begin(&format!("root causes of {}, methods", set.name), Some(RootMethod::ALL.len() as u64));
    for method in RootMethod::ALL {
        let name = format!("root_cause-{}-{}", set.name, method.name());
        report.root_cause.extend(store.get_or(&name, &identity, || run_root_cause(set, method, options))?);
        progress.advance(1);
    }
    progress.end();
    Ok(())
}

/// What a kept result is of.
fn identity(options: &FaultsOptions, inputs: &[Input]) -> String {
    let inputs: Vec<String> = inputs.iter().map(|input| format!("{} {}", input.name, input.sha256)).collect();
    format!("version {VERSION}, {options:?}, {}", inputs.join(", "))
}
