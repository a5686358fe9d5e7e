//! As typed; each becomes a library's configuration and is gone.

#[cfg(feature = "train")]
mod claims;
#[cfg(all(feature = "lab", target_os = "linux"))]
mod lab;
#[cfg(feature = "data")]
mod lake;

use std::net::SocketAddr;
use std::path::PathBuf;

#[cfg(feature = "train")]
use clap::ArgGroup;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use model::DeviceChoice;

#[cfg(feature = "train")]
pub(crate) use claims::ClaimsArgs;
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
    /// Run a benchmark: tune, fit and judge every family on public data, equal folds and time for all. Resumable.
    #[cfg(feature = "train")]
    Bench(BenchArgs),
    /// Judge claims said beforehand on public data, or ask of your own data set whether the neural model pays.
    #[cfg(feature = "train")]
    Claims(ClaimsArgs),
    /// Compare bundles on the test part of a data set, or past nights with what happened since.
    #[cfg(feature = "train")]
    Evaluate(EvaluateArgs),
    /// Look into one bundle: a page with every figure, and the numbers behind them as Parquet.
    #[cfg(feature = "train")]
    Report(ReportArgs),
    /// Say which inputs one prediction rests on.
    #[cfg(feature = "train")]
    Explain(ExplainArgs),
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
        /// Which of the survival tables.
        #[arg(long, value_enum, required_if_eq("source", "survival-tables"))]
        table: Option<TableArg>,
        /// Which columns of a survival table become features.
        #[arg(long, value_enum, default_value = "reference")]
        covariates: CovariatesArg,
        /// Leave out rows of a survival table with a missing covariate.
        #[arg(long)]
        complete_cases: bool,
        /// Where a GPU of Titan is said to be.
        #[arg(long, value_enum, default_value = "summary")]
        places: PlacesArg,
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
    /// One of ten medical tables with published results; needs --table.
    SurvivalTables,
    /// GPUs of the Titan supercomputer, 2013 to 2019.
    TitanGpu,
    /// Drives of Backblaze data centres, 2013 to 2025.
    BackblazeDrives,
}

/// Survival tables with published results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableArg {
    /// German Breast Cancer Study Group 2.
    Gbsg2,
    /// Serum free light chain.
    Flchain,
    /// National Wilms Tumour Study.
    Nwtco,
    /// SUPPORT: seriously ill patients in hospital.
    Support2,
    /// Veterans' lung cancer trial.
    Veteran,
    /// Worcester Heart Attack Study.
    Whas500,
    /// METABRIC, published split.
    DeepsurvMetabric,
    /// Rotterdam and GBSG, published split.
    DeepsurvGbsg,
    /// SUPPORT, published split.
    DeepsurvSupport,
    /// Worcester Heart Attack Study, published split.
    DeepsurvWhas,
}

/// Columns of a survival table that become features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CovariatesArg {
    /// Those of the reference results.
    Reference,
    /// Every column known at the start.
    Baseline,
}

/// Places of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlacesArg {
    /// As the summary says: chosen by what happened later.
    Summary,
    /// Of the first insertion.
    Intervals,
}

/// Reads a family's name; help lists them with what they are.
#[cfg(feature = "train")]
fn model_kind() -> impl clap::builder::TypedValueParser<Value = model::ModelKind> {
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
    let names = model::ModelKind::ALL.map(|kind| PossibleValue::new(kind.name()).help(kind.explanation()));
    PossibleValuesParser::new(names)
        .try_map(|name| model::ModelKind::from_name(&name).ok_or_else(|| format!("{name} is no family")))
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub(crate) struct TrainArgs {
    /// The data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Which family; over the file's `model`.
    #[arg(long, value_parser = model_kind())]
    pub(crate) model: Option<model::ModelKind>,
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

/// Benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchName {
    /// Turbofan engines FD001 to FD004: remaining life, engines in five folds of the training files.
    Cmapss,
    /// Ten medical tables with published scores.
    Survival,
    /// Production pods (Alibaba 2023), by time.
    Pods,
    /// GPUs of Titan, by cabinet.
    Gpus,
    /// Drives (Backblaze).
    Drives,
    /// Six crashes of a Redis cluster, leave one run out: alarms, lead times, false alarms.
    Prevent,
    /// Node outages of Los Alamos: availability and service levels, month by month, at its beginning and its middle.
    Nodes,
    /// Which fault, which root, and when: Sock Shop, Nezha, RCD, PetShop, NAB.
    Faults,
    /// Containers run to real failure; --data names the data set, datasets/lab/dataset.
    Lab,
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub(crate) struct BenchArgs {
    /// Which one.
    #[arg(value_enum)]
    pub(crate) name: BenchName,
    /// Folder of the public data, one folder per set in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Folder for data sets, fits and tables; a run that was stopped goes on in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Tune nothing: fit with the settings of this file, such as `bench/chosen/survival.json` of the repository.
    #[arg(long, value_name = "FILE")]
    pub(crate) chosen: Option<PathBuf>,
    /// Only these data sets of the benchmark.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// Only these families; the others are compared with the first.
    #[arg(long, value_name = "MODEL", value_delimiter = ',', value_parser = model_kind())]
    pub(crate) models: Vec<model::ModelKind>,
    /// Seeds of the families that have any. Default: 10.
    #[arg(long, value_name = "N")]
    pub(crate) seeds: Option<u64>,
    /// Minutes of tuning per family and part held out. Default: 20.
    #[arg(long, value_name = "M")]
    pub(crate) minutes: Option<f64>,
    /// Trials of tuning at most. Default: 50.
    #[arg(long, value_name = "N")]
    pub(crate) trials: Option<usize>,
    /// Settings, TOML; every key has a default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON; progress goes to standard error as JSON lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
#[cfg_attr(feature = "score", command(group(ArgGroup::new("judged").required(true).args(["dataset", "scores"]))))]
#[cfg_attr(not(feature = "score"), command(group(ArgGroup::new("judged").required(true).args(["dataset"]))))]
pub(crate) struct EvaluateArgs {
    /// The data set on whose test part bundles are compared.
    #[arg(long, value_name = "DIR", requires = "bundles", help_heading = "Bundles on a data set")]
    pub(crate) dataset: Option<PathBuf>,
    /// Bundles; the others are compared with the first.
    #[arg(long = "bundle", value_name = "DIR", requires = "dataset", num_args = 1.., help_heading = "Bundles on a data set")]
    pub(crate) bundles: Vec<PathBuf>,
    /// Replicates and seed of the bootstrap, TOML; every key has a default.
    #[arg(long, value_name = "FILE", requires = "dataset", help_heading = "Bundles on a data set")]
    pub(crate) config: Option<PathBuf>,
    /// auto, gpu, cpu or software. Default: auto.
    #[arg(long, requires = "dataset", help_heading = "Bundles on a data set")]
    pub(crate) device: Option<DeviceChoice>,
    #[cfg(feature = "score")]
    #[command(flatten)]
    pub(crate) past: PastArgs,
    /// Folder for what was found (evaluation.json and report.html, or outcomes.json and outcomes.parquet); must not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print the JSON instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
}

// No doc comment: it would become that of the command.
#[cfg(all(feature = "train", feature = "score"))]
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Past nights against what happened since")]
pub(crate) struct PastArgs {
    /// Folder of `forewarn score --out`: its committed nights are joined with the failures since, by ISO week.
    #[arg(long, value_name = "DIR", requires = "lake")]
    pub(crate) scores: Option<PathBuf>,
    /// The lake the nights were scored from, with what came since.
    #[arg(long, value_name = "DIR", requires = "scores")]
    pub(crate) lake: Option<PathBuf>,
    /// Event rules by which failures of the lake are told. The shipped ones unless given.
    #[arg(long, value_name = "FILE", requires = "scores")]
    pub(crate) rules: Option<PathBuf>,
    /// Log of what was done because of a prediction, JSON lines; such ends are reported apart, as intervention.
    #[arg(long, value_name = "FILE", requires = "scores")]
    pub(crate) actions: Option<PathBuf>,
    /// Only rows as of this moment or later (RFC 3339 or milliseconds).
    #[arg(long, value_name = "T", requires = "scores", value_parser = moment)]
    pub(crate) since: Option<i64>,
    /// Only rows as of before this moment; their outcomes are looked for to the end of the lake.
    #[arg(long, value_name = "T", requires = "scores", value_parser = moment)]
    pub(crate) until: Option<i64>,
}

/// Milliseconds of a moment.
#[cfg(all(feature = "train", feature = "score"))]
fn moment(text: &str) -> Result<i64, String> {
    match text.parse::<score::AsOf>() {
        Ok(score::AsOf::At(milliseconds)) => Ok(milliseconds),
        _ => Err(format!("{text:?} is neither RFC 3339, such as 2026-11-01T00:00:00Z, nor milliseconds since 1970")),
    }
}

/// Parts of a data set a bundle may be judged on: those it was not fitted or calibrated on.
#[cfg(feature = "train")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartArg {
    /// The test part.
    Test,
    /// The validation part, on which choices were made: scores there flatter.
    Validation,
}

#[cfg(feature = "train")]
impl From<PartArg> for features::Split {
    fn from(part: PartArg) -> Self {
        match part {
            PartArg::Test => Self::Test,
            PartArg::Validation => Self::Validation,
        }
    }
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// The data set.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// The page to write; must not exist. The tables go into a folder beside it: page.html gets page.data.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Which rows it is judged on.
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) part: PartArg,
    /// Other bundles, judged on the same rows.
    #[arg(long, value_name = "BUNDLE", num_args = 1..)]
    pub(crate) against: Vec<PathBuf>,
    /// A later data set of the same feature spec: its inputs are compared with those of training.
    #[arg(long, value_name = "DIR")]
    pub(crate) drift: Option<PathBuf>,
    /// Settings, TOML; every key has a default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// auto, gpu, cpu or software.
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Print every number of the page as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "train")]
#[derive(Debug, ClapArgs)]
pub(crate) struct ExplainArgs {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// The data set the row is of.
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Number of the row, counted from 0 in the order of the data set.
    #[arg(long, value_name = "N", required_unless_present = "entity")]
    pub(crate) row: Option<usize>,
    /// Key of an entity: its newest row.
    #[arg(long, value_name = "KEY", conflicts_with = "row")]
    pub(crate) entity: Option<String>,
    /// Horizon of the probability that is shared out, in the unit of the data set. Default: the one of the bundle's alarms.
    #[arg(long, value_name = "H")]
    pub(crate) horizon: Option<f64>,
    /// Show this many inputs, the largest shares first.
    #[arg(long, default_value_t = 15)]
    pub(crate) top: usize,
    /// auto, gpu, cpu or software.
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Print JSON: every input, channel and step.
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
