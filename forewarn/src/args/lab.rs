//! `forewarn lab`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    pub(crate) action: LabAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabAction {
    /// Run containers until so many lives have ended, then build the data set of what was seen.
    ///
    /// A folder in which a run was cut off goes on where it stopped; containers, cgroups and mounts that a killed run
    /// left on this machine are taken away first.
    Run(LabRunArgs),
    /// Build the data set of a finished run again, and compare the event rules with what really happened.
    Build {
        /// Folder of the run.
        dir: PathBuf,
        /// Print JSON; progress goes to standard error as JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Train every model on a run's data set and tell what it foretells: scores, alarms within a budget, each true cause,
    /// beside the rule "memory above 90 % of its limit", and with shuffled labels as a control.
    #[cfg(feature = "train")]
    Study {
        /// Folder of the run, or of the published one.
        dir: PathBuf,
        /// Folder for bundles, evaluation and tables; must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Settings of the fits, TOML.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where the network is trained: auto, gpu, cpu or software.
        #[arg(long, default_value = "auto")]
        device: model::DeviceChoice,
        /// False alarms allowed per hour of a container.
        #[arg(long, value_name = "N", default_value_t = 1.0)]
        budget: f64,
        /// Print JSON; progress goes to standard error as JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// List the families of scripts, what each dies of, and what it does.
    Families {
        /// Families of your own, in the form of the shipped lab/families.toml.
        #[arg(long, value_name = "FILE")]
        scripts: Option<PathBuf>,
        /// Print the shipped file itself, to begin one of your own with.
        #[arg(long, conflicts_with = "scripts")]
        source: bool,
    },
    /// Take away the containers, cgroups and mounts that killed runs left on this machine.
    Clean,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LabRunArgs {
    /// Lives that shall end: starts of containers, each until its failure or planned end.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) lives: usize,
    /// Containers at a time.
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(crate) concurrency: usize,
    /// Another seed draws other scripts.
    #[arg(long, value_name = "S", default_value_t = 7)]
    pub(crate) seed: u64,
    /// Folder of the run: lake, journal of what really happened, data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Families of your own, in the form of the shipped lab/families.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) scripts: Option<PathBuf>,
    /// Show the fleet to a Prometheus at http://ADDR/metrics while it lives.
    #[arg(long, value_name = "ADDR")]
    pub(crate) exporter: Option<SocketAddr>,
    /// Leave it at the lake and the journal; `forewarn lab build` makes the data set later.
    #[arg(long)]
    pub(crate) no_dataset: bool,
    /// Print JSON; progress goes to standard error as JSON lines.
    #[arg(long)]
    pub(crate) json: bool,
}
