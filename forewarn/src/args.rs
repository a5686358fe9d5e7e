//! As typed; each becomes a library's configuration and is gone.

#[cfg(all(feature = "lab", target_os = "linux"))]
mod lab;
#[cfg(feature = "data")]
mod lake;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use model::DeviceChoice;

#[cfg(all(feature = "lab", target_os = "linux"))]
pub(crate) use lab::{LabAction, LabArgs, LabRunArgs};
#[cfg(feature = "ingest")]
pub(crate) use lake::{FileFormat, FilesArgs, IngestArgs, IngestFrom, ListenArgs, PullArgs};
#[cfg(feature = "data")]
pub(crate) use lake::{LakeAction, LakeArgs, MetricsAction, MetricsArgs};
#[cfg(feature = "sql")]
pub(crate) use lake::{SqlArgs, SqlFormat};

/// Predicts which virtual machines, containers, pods and nodes will fail, when, and of what, and tests on
/// your own data whether the neural model beats classical reliability statistics.
///
/// Exit codes: 0 done; 64 usage; 65 bad data; 66 no input; 69 service not there; 70 conflict or bug;
/// 74 input/output; 75 try again; 78 configuration or model invalid.
#[derive(Debug, Parser)]
#[command(name = "forewarn", version, propagate_version = true)]
pub(crate) struct Args {
    /// Say more on standard error: -v what is done, -vv how. FOREWARN_LOG overrides it.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole path once: data, models, comparison, server, answers.
    #[cfg(all(feature = "train", feature = "serve", feature = "score", feature = "client"))]
    Demo(DemoArgs),
    /// Bring metrics into a lake: receive remote write and OTLP, fetch history, import files.
    #[cfg(feature = "ingest")]
    Ingest(IngestArgs),
    /// Look at a lake, merge its files, drop old raw samples.
    #[cfg(feature = "data")]
    Lake(LakeArgs),
    /// Show the canonical metrics, who provides each and what it foretells.
    #[cfg(feature = "data")]
    Metrics(MetricsArgs),
    /// Ask a lake or data sets in SQL.
    #[cfg(feature = "sql")]
    Sql(SqlArgs),
    /// Run real containers to real failure, measured, and make a data set of it. Needs root and runc.
    #[cfg(all(feature = "lab", target_os = "linux"))]
    Lab(LabArgs),
    /// Make, check and look at data sets.
    #[cfg(feature = "data")]
    Dataset(DatasetArgs),
    /// Fit one model on a data set and write its bundle.
    #[cfg(feature = "train")]
    Train(TrainArgs),
    /// Compare bundles on the test part of a data set.
    #[cfg(feature = "train")]
    Evaluate(EvaluateArgs),
    /// Score rows of a data set into Parquet, resumable and exactly once.
    #[cfg(feature = "score")]
    Score(ScoreArgs),
    /// Answer Score calls over gRPC.
    #[cfg(feature = "serve")]
    Serve(ServeArgs),
    /// Ask a running server about rows of a data set.
    #[cfg(feature = "client")]
    Predict(PredictArgs),
    /// Show which devices there are, which pass their self-test, and what `auto` takes.
    Device(DeviceArgs),
}

/// Where the demo's data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoSource {
    /// Real containers run to failure in the lab: datasets/lab of the repository.
    Lab,
    /// A simulated fleet of containers whose true hazard is known.
    Simulate,
    /// Six crashes of a 20-node Redis cluster (PREVENT).
    Prevent,
    /// Run-to-failure turbofan engines (NASA C-MAPSS), by cross-validation.
    Cmapss,
    /// Production pods of a GPU cluster (Alibaba 2023).
    AlibabaPods,
}

/// World of the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorldArg {
    /// Hazards are log-linear in the metrics and proportional: Cox is the right model.
    LogLinear,
    /// Interactions, regimes and the shape of series decide: no linear summary suffices.
    Interaction,
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub(crate) struct DemoArgs {
    /// Where the data comes from. Default: lab, or simulate where --world or --permute-labels is given.
    #[arg(long, value_enum)]
    pub(crate) source: Option<DemoSource>,
    /// Folder of the data; not for the simulator. Default for lab: datasets/lab.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// World of the simulator. Default: interaction.
    #[arg(long, value_enum)]
    pub(crate) world: Option<WorldArg>,
    /// Shuffle the outcomes of the simulator: a control in which nothing can be learned.
    #[arg(long)]
    pub(crate) permute_labels: bool,
    /// Folder for data set, bundles, evaluation and report; must not exist. Default: forewarn-demo-<source>.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Settings of the fits, TOML.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the network is trained and served: auto, gpu, cpu or software.
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Read the published test labels as well (C-MAPSS); part of the evidence work, refused until its claims file is committed.
    #[arg(long)]
    pub(crate) open_test: bool,
    /// C-MAPSS subsets to run.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 2, 3, 4])]
    pub(crate) subsets: Vec<u8>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "data")]
#[derive(Debug, ClapArgs)]
pub(crate) struct DatasetArgs {
    #[command(subcommand)]
    pub(crate) action: DatasetAction,
}

#[cfg(feature = "data")]
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetAction {
    /// Build a data set from a public benchmark.
    Import {
        /// Which one.
        #[arg(long, value_enum)]
        source: ImportSource,
        /// Its folder.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// C-MAPSS subset, 1 to 4.
        #[arg(long, default_value_t = 1)]
        subset: u8,
        /// Cycles between rows (C-MAPSS).
        #[arg(long, default_value_t = 3)]
        cut_every: u32,
        /// Folder to write; must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Build a data set from a lake: windows, labels, splits.
    Build {
        /// The lake.
        #[arg(long, value_name = "DIR")]
        lake: PathBuf,
        /// What to build, TOML: kind, cuts, causes, split, features.
        #[arg(long, value_name = "FILE")]
        spec: PathBuf,
        /// Folder to write; must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Print the manifest's counts as JSON; progress goes to standard error as JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Build a data set from a simulated fleet whose true hazard is known.
    Simulate {
        /// Settings of the fleet, TOML; every key has a default.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// World of the simulator, over the file's.
        #[arg(long, value_enum)]
        world: Option<WorldArg>,
        /// Seed, over the file's.
        #[arg(long)]
        seed: Option<u64>,
        /// Shuffle the outcomes: a control in which nothing can be learned.
        #[arg(long)]
        permute_labels: bool,
        /// Folder to write; must not exist.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Recompute every digest, row count and schema.
    Verify {
        /// The data set.
        dir: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Count entities, failures by cause, censorings by reason, gaps, missing values; show a random sample of the
    /// failures with their evidence, so that a person can check the labels.
    Describe {
        /// The data set.
        dir: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Write a page with pictures to this file as well.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Failures in the sample.
        #[arg(long, value_name = "N", default_value_t = 5)]
        audit: usize,
        /// Another seed draws other failures.
        #[arg(long, value_name = "S", default_value_t = 0)]
        seed: u64,
    },
}

/// Public data sets with an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportSource {
    /// PREVENT Redis runs.
    Prevent,
    /// NASA C-MAPSS.
    Cmapss,
    /// Alibaba GPU pods 2023.
    AlibabaPods,
}

/// Families a bundle can be trained of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelArg {
    /// Neural discrete-time hazard model.
    HazardNet,
    /// Cause-specific proportional hazards.
    Cox,
    /// Cause-specific Weibull accelerated failure time.
    Weibull,
    /// Life table, no covariates.
    KaplanMeier,
    /// Logistic hazard per interval, linear.
    DiscreteHazard,
    /// Cox on age alone.
    AgeOnly,
}

impl From<ModelArg> for model::ModelKind {
    fn from(model: ModelArg) -> Self {
        match model {
            ModelArg::HazardNet => Self::HazardNet,
            ModelArg::Cox => Self::Cox,
            ModelArg::Weibull => Self::Weibull,
            ModelArg::KaplanMeier => Self::KaplanMeier,
            ModelArg::DiscreteHazard => Self::DiscreteHazard,
            ModelArg::AgeOnly => Self::AgeOnly,
        }
    }
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub(crate) struct TrainArgs {
    /// The data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Which family; over the file's `model`.
    #[arg(long, value_enum)]
    pub(crate) model: Option<ModelArg>,
    /// Folder of the bundle; must not exist. A killed run leaves `<out>.run` and goes on from there.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Settings, TOML; every key has a default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Seed, over the file's.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// auto, gpu, cpu or software; over the file's.
    #[arg(long)]
    pub(crate) device: Option<DeviceChoice>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub(crate) struct EvaluateArgs {
    /// The data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Bundles; the others are compared with the first.
    #[arg(long = "bundle", value_name = "DIR", required = true, num_args = 1..)]
    pub(crate) bundles: Vec<PathBuf>,
    /// Folder for evaluation.json and report.html; must not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replicates and seed of the bootstrap, TOML; every key has a default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// auto, gpu, cpu or software.
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Print evaluation.json instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "score")]
#[derive(Debug, ClapArgs)]
pub(crate) struct ScoreArgs {
    /// The data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: Option<PathBuf>,
    /// A lake: every entity of the bundle's kind as of the newest tile edge, or of --as-of (RFC 3339 or milliseconds).
    #[arg(long, value_name = "DIR", conflicts_with = "dataset")]
    pub(crate) lake: Option<PathBuf>,
    /// Which entities of the lake.
    #[arg(long, default_value = "container")]
    pub(crate) kind: String,
    /// Event rules by which past failures of the lake are told: those the bundle's data set was built by, where its spec
    /// named a file. The shipped ones unless given.
    #[arg(long, value_name = "FILE", requires = "lake")]
    pub(crate) rules: Option<PathBuf>,
    /// The bundle.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Folder for the risks; runs lie side by side in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Which rows: all, latest (newest of each entity), or one tick.
    #[arg(long, value_name = "T")]
    pub(crate) as_of: Option<score::AsOf>,
    /// Settings, TOML, instead of the options above.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Split the fleet into N shares and score them all here.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    pub(crate) shards: Option<u32>,
    /// Score share i of N, counted from 0; `i` alone takes N from --config. JOB_COMPLETION_INDEX gives i where this is absent.
    #[arg(long, value_name = "i/N")]
    pub(crate) shard: Option<String>,
    /// auto, gpu, cpu or software.
    #[arg(long)]
    pub(crate) device: Option<DeviceChoice>,
    /// Print the night's manifest as JSON; progress goes to standard error as JSON lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "serve")]
#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// The bundle.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: PathBuf,
    /// Address of the gRPC port; port 0 takes a free one, which is printed.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8001")]
    pub(crate) listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Allow an address other machines can reach; there is no encryption yet.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Settings of batching and limits, TOML; every key has a default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// auto, gpu, cpu or software.
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
}

#[cfg(feature = "client")]
#[derive(Debug, ClapArgs)]
pub(crate) struct PredictArgs {
    /// Address of the server's gRPC port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8001")]
    pub(crate) address: SocketAddr,
    /// The data set whose rows are asked about.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Rows to ask about: all, latest or one tick.
    #[arg(long, value_name = "T", default_value = "latest")]
    pub(crate) as_of: String,
    /// Show this many, riskiest first.
    #[arg(long, default_value_t = 10)]
    pub(crate) top: usize,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DeviceArgs {
    /// Try this one: auto, gpu, cpu or software.
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A length of time in milliseconds: 90s, 5m, 1h, 7d.
#[cfg(feature = "data")]
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    text.parse::<datasets::Span>().map(|span| span.0)
}
