//! Arguments of `forewarn claims`.

use std::path::PathBuf;

use clap::{ArgGroup, Args as ClapArgs};

use super::model_kind;

#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("what").required(true).args(["config", "dataset"])))]
pub(crate) struct ClaimsArgs {
    /// The register's claims.toml: data, margins, rivals and budget, committed first. The first run writes claims.lock
    /// beside it; a run with other settings, data or code is refused.
    #[arg(long, value_name = "FILE", requires = "data")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the public data, one folder per set in it.
    #[arg(long, value_name = "DIR", conflicts_with = "dataset")]
    pub(crate) data: Option<PathBuf>,
    /// A data set of your own: does the neural model pay here, or is Cox enough?
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: Option<PathBuf>,
    /// Folder for fits, claims.json and claims.html; a run that was stopped goes on in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Folder with what other benchmarks found: nodes.json, faults.json, quantum.json, maintenance.json, lab.json.
    #[arg(long, value_name = "DIR", conflicts_with = "dataset")]
    pub(crate) evidence: Option<PathBuf>,
    /// Show what would be opened; open nothing, write nothing.
    #[arg(long, conflicts_with = "dataset")]
    pub(crate) dry_run: bool,
    /// Minutes of tuning per family and part held out. Default: 2.
    #[arg(long, value_name = "M", conflicts_with = "config")]
    pub(crate) minutes: Option<f64>,
    /// Trials of tuning at most. Default: 6.
    #[arg(long, value_name = "N", conflicts_with = "config")]
    pub(crate) trials: Option<usize>,
    /// Seeds of the families that have any. Default: 3.
    #[arg(long, value_name = "N", conflicts_with = "config")]
    pub(crate) seeds: Option<u64>,
    /// Families; the first neural one is held against the others. Default: hazard-net, cox, boosted-hazard, weibull,
    /// kaplan-meier.
    #[arg(long, value_name = "MODEL", value_delimiter = ',', value_parser = model_kind(), conflicts_with = "config")]
    pub(crate) models: Vec<model::ModelKind>,
    /// Settings of the fits, TOML, as for `forewarn bench`; families, seeds and tuning are those of this command.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) settings: Option<PathBuf>,
    /// Print JSON; progress goes to standard error as JSON lines.
    #[arg(long)]
    pub(crate) json: bool,
}
