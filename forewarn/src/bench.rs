//! `forewarn bench`: the whole protocol of one benchmark, resumable, for every family.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use datasets::Dataset;
use datasets::benchmark::alibaba_pods::AlibabaPodsConfig;
use datasets::benchmark::backblaze_drives::BackblazeDrivesConfig;
use datasets::benchmark::cmapss::CmapssConfig;
use datasets::benchmark::survival_tables::{SurvivalTable, SurvivalTablesConfig};
use datasets::benchmark::titan_gpu::{Places, TitanGpuConfig};
use datasets::benchmark::{AlibabaPods, BackblazeDrives, Cmapss, SurvivalTables, TitanGpu};
use datasets::source::Source;
use train::bench::run::ChosenSettings;
use train::bench::{BenchConfig, Objective, Outer, Task, TaskSummary, run_task};
use train::faults::FaultsOptions;
use train::nodes::{NodesConfig, forecast_nodes};

use crate::args::{BenchArgs, BenchName};
use crate::bar::{Bar, Style};
use crate::exit::usage;
use crate::{config_file, demo_real};

/// Cycles between rows of an engine: neighbouring cycles tell nearly the same.
const CUT_EVERY: u32 = 4;
const FOLDS: u32 = 5;

/// One data set of a benchmark, before it is built.
pub(crate) struct Plan {
    pub(crate) name: String,
    outer: Outer,
    objective: Objective,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let config = config(args)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let lock = std::fs::File::create(args.out.join("bench.lock")).context("making the lock file")?;
    lock.try_lock().with_context(|| format!("{} is in use by another run", args.out.display()))?;
    same_settings(&args.out, &config)?;
    match args.name {
        BenchName::Prevent => return prevent(args, &config),
        BenchName::Faults => return faults(args, &config),
        BenchName::Nodes => return nodes(args),
        _ => {}
    }
    let chosen = args.chosen.as_deref().map(read_chosen).transpose()?;
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    let mut summaries: Vec<TaskSummary> = Vec::new();
    let mut settings: BTreeMap<String, ChosenSettings> = BTreeMap::new();
    let plans = plans(args.name);
    if let Some(unknown) = args.tasks.iter().find(|task| !plans.iter().any(|plan| plan.name == **task)) {
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        return Err(usage(format!("--tasks {unknown}: this benchmark has {}", names.join(", "))));
    }
    for plan in plans.iter().filter(|plan| args.tasks.is_empty() || args.tasks.contains(&plan.name)) {
        let dataset = open(args.name, &args.data, &args.out, &plan.name, &bar)?;
        let rows = dataset.rows()?;
        let task = Task {
            name: plan.name.clone(),
            dataset: &dataset,
            rows: &rows,
            outer: plan.outer,
            objective: plan.objective,
        };
        let of_task = match &chosen {
            None => None,
            Some(chosen) => Some(chosen.get(&plan.name).with_context(|| {
                format!("no settings are committed for {}; run it once without --chosen", plan.name)
            })?),
        };
        let (summary, found) = run_task(&task, &config, of_task, &args.out.join("work"), &bar)
            .with_context(|| format!("benchmark {}", plan.name))?;
        if !args.json {
            println!("{}", summary.markdown());
        }
        summaries.push(summary);
        settings.insert(plan.name.clone(), found);
        config_file::write(&args.out.join("chosen.json"), &serde_json::to_vec_pretty(&settings)?)?;
        let text: Vec<String> = summaries.iter().map(TaskSummary::markdown).collect();
        config_file::write(&args.out.join("tables.md"), text.join("\n").as_bytes())?;
        config_file::write(&args.out.join("summary.json"), &serde_json::to_vec_pretty(&summaries)?)?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&summaries)?);
    } else {
        println!("tables: {}", args.out.join("tables.md").display());
        println!("settings: {}", args.out.join("chosen.json").display());
    }
    Ok(())
}

fn prevent(args: &BenchArgs, config: &BenchConfig) -> anyhow::Result<()> {
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    demo_real::prevent(&args.data.join("prevent_redis_runs"), &args.out, &config.base, args.json, &bar)
}

/// Availability at the beginning of each month, service levels at its middle as well.
fn nodes(args: &BenchArgs) -> anyhow::Result<()> {
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    let data = datasets::benchmark::lanl::read(&args.data.join("lanl_node_failures"))?;
    let mut reports = BTreeMap::new();
    let mut text = String::new();
    for (name, elapsed) in [("month-start", 0.0), ("mid-month", 0.5)] {
        let config = NodesConfig { elapsed, ..NodesConfig::default() };
        let work = args.out.join("work").join(name);
        let report = forecast_nodes(&data, &config, &mut config.forecasters(), &work, &bar)?;
        let tests = report.monthly.diebold_mariano(&config.reference);
        let _ =
            write!(text, "{name}\n\n{}\nDiebold-Mariano of {} on monthly means:\n", report.table(), config.reference);
        for (loss, rivals) in &tests {
            for (rival, test) in rivals {
                let e = &test.effect;
                let _ = writeln!(
                    text,
                    "{loss} - {rival}: {:+.6} [{:+.6}, {:+.6}], p {:.3}",
                    e.estimate, e.low, e.high, test.p_value
                );
            }
        }
        text.push('\n');
        reports.insert(name, serde_json::json!({ "report": report, "diebold_mariano": tests }));
    }
    config_file::write(&args.out.join("summary.json"), &serde_json::to_vec_pretty(&reports)?)?;
    config_file::write(&args.out.join("tables.md"), text.as_bytes())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

fn faults(args: &BenchArgs, config: &BenchConfig) -> anyhow::Result<()> {
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    let options = FaultsOptions {
        seeds: usize::try_from(config.seeds).unwrap_or(usize::MAX),
        replicates: config.replicates,
        ..FaultsOptions::default()
    };
    let report = train::faults::run(&args.data, Some(&args.out.join("work")), &options, &bar)?;
    config_file::write(&args.out.join("summary.json"), &serde_json::to_vec_pretty(&report)?)?;
    config_file::write(&args.out.join("tables.md"), report.text().as_bytes())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.text());
    }
    Ok(())
}

fn config(args: &BenchArgs) -> anyhow::Result<BenchConfig> {
    let text = config_file::text(args.config.as_deref())?;
    let mut config: BenchConfig = config_file::parse(&text, args.config.as_deref())?;
    if !args.models.is_empty() {
        config.kinds.clone_from(&args.models);
    }
    if let Some(seeds) = args.seeds {
        config.seeds = seeds;
    }
    if let Some(minutes) = args.minutes {
        config.budget.seconds = 60.0 * minutes;
    }
    if let Some(trials) = args.trials {
        config.budget.trials = trials;
    }
    if config.seeds == 0 || config.kinds.is_empty() {
        return Err(usage("--seeds must be above 0 and --models name at least one family".to_owned()));
    }
    config.base.validate("settings of the benchmark")?;
    Ok(config)
}

/// A folder holds one benchmark of one setting: what was tuned for another is not comparable.
fn same_settings(out: &Path, config: &BenchConfig) -> anyhow::Result<()> {
    let path = out.join("bench.json");
    let wanted = serde_json::to_vec_pretty(config)?;
    match std::fs::read(&path) {
        Ok(found) if found == wanted => Ok(()),
        Ok(_) => Err(usage(format!(
            "{} was made with other settings; give another --out, or remove it to begin again",
            path.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => config_file::write(&path, &wanted),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

pub(crate) fn read_chosen(path: &Path) -> anyhow::Result<BTreeMap<String, ChosenSettings>> {
    let text = std::fs::read(path).with_context(|| format!("reading the committed settings {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} holds no chosen settings", path.display()))
}

/// Data sets of a benchmark.
pub(crate) fn plans(name: BenchName) -> Vec<Plan> {
    let plan = |name: &str, outer, objective| Plan { name: name.to_owned(), outer, objective };
    match name {
        BenchName::Cmapss => {
            (1..=4).map(|n| plan(&format!("fd00{n}"), Outer::Folds(FOLDS), Objective::RulRmse)).collect()
        }
        BenchName::Survival => SurvivalTable::ALL
            .iter()
            .map(|table| {
                // The published splits of the DeepSurv tables stay as they are; the others are judged in folds.
                let given = table.name().starts_with("deepsurv");
                let outer = if given { Outer::Given } else { Outer::Folds(FOLDS) };
                plan(table.name(), outer, Objective::IntegratedBrier)
            })
            .collect(),
        BenchName::Pods => vec![plan("pods", Outer::Given, Objective::IntegratedBrier)],
        BenchName::Gpus => vec![plan("gpus", Outer::Given, Objective::IntegratedBrier)],
        BenchName::Drives => vec![plan("drives", Outer::Given, Objective::IntegratedBrier)],
        BenchName::Lab => vec![plan("lab", Outer::Given, Objective::IntegratedBrier)],
        // Protocols of their own.
        BenchName::Prevent | BenchName::Nodes | BenchName::Faults => Vec::new(),
    }
}

/// The data set of a plan, built below `--out` where it is not there yet.
pub(crate) fn open(benchmark: BenchName, data: &Path, out: &Path, task: &str, bar: &Bar) -> anyhow::Result<Dataset> {
    if benchmark == BenchName::Lab {
        return Dataset::open(data).with_context(|| format!("opening {}", data.display()));
    }
    let folder: PathBuf = out.join("data").join(task);
    if !folder.exists() {
        let mut source = source(benchmark, data, task)?;
        datasets::build(&mut *source, &folder, bar).with_context(|| format!("building {task}"))?;
    }
    Ok(Dataset::open(&folder)?)
}

fn source(benchmark: BenchName, data: &Path, task: &str) -> anyhow::Result<Box<dyn Source>> {
    let from = |set: &str| data.join(set);
    Ok(match benchmark {
        BenchName::Cmapss => {
            let subset = task.bytes().last().map_or(0, |digit| digit.wrapping_sub(b'0'));
            Box::new(Cmapss::open(CmapssConfig { from: from("cmapss"), subset, cut_every: CUT_EVERY })?)
        }
        BenchName::Survival => {
            let table = SurvivalTable::ALL
                .into_iter()
                .find(|table| table.name() == task)
                .with_context(|| format!("no table {task}"))?;
            Box::new(SurvivalTables::open(&SurvivalTablesConfig {
                from: from("survival_tables"),
                table,
                covariates: Default::default(),
                complete_cases: false,
            })?)
        }
        BenchName::Pods => Box::new(AlibabaPods::open(&AlibabaPodsConfig { from: from("alibaba_gpu_pods_2023") })?),
        BenchName::Gpus => {
            Box::new(TitanGpu::open(&TitanGpuConfig { from: from("titan_gpu"), places: Places::Intervals })?)
        }
        BenchName::Drives => {
            Box::new(BackblazeDrives::open(&BackblazeDrivesConfig { from: from("backblaze_drives") })?)
        }
        BenchName::Lab | BenchName::Prevent | BenchName::Nodes | BenchName::Faults => {
            return Err(usage(format!("{task} has no data set to build here")));
        }
    })
}
