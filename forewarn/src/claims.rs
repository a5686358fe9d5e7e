//! `forewarn claims`: claims said beforehand judged on public data, or one question asked of one's own data set.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use datasets::Dataset;
use model::DeviceChoice;
use serde::Serialize;
use train::bench::{BenchConfig, Task, answer_task};
use train::claims::config::{ClaimsConfig, DatasetEntry};
use train::claims::evidence::Evidence;
use train::claims::lock::{FILE_NAME, Lock, Opening, short};
use train::claims::report::{ClaimsReport, Frame};
use train::claims::{judge, own, run as registered};

use crate::args::{BenchName, ClaimsArgs};
use crate::bar::{Bar, Style};
use crate::exit::usage;
use crate::{bench, config_file};

/// Intervals of secondary tests.
const LEVEL: f64 = 0.95;

pub(crate) fn run(args: &ClaimsArgs) -> anyhow::Result<()> {
    match (&args.config, &args.data, &args.dataset) {
        (Some(config), Some(data), None) => register(args, config, data),
        (None, None, Some(dataset)) => own_data(args, dataset),
        _ => Err(usage("give --config with --data, or --dataset")),
    }
}

/// The register on public data.
fn register(args: &ClaimsArgs, path: &Path, data: &Path) -> anyhow::Result<()> {
    let text = config_file::text(Some(path))?;
    let config = ClaimsConfig::parse(&text, &path.display().to_string())?;
    let benchmarks = benchmarks(&config)?;
    let evidence = args.evidence.as_deref().map(Evidence::read).transpose()?.unwrap_or_default();
    let lock = Lock::of(path, data, config.files())?;
    let lock_path = path.with_file_name(FILE_NAME);
    let opening = lock.check(&lock_path);
    if args.dry_run {
        return show(args, &config, &lock, opening);
    }
    for entry in &config.datasets {
        entry.check(&lock.files)?;
    }
    let opening = opening?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let _held = hold(&args.out)?;
    same_run(&args.out, &(&config, &lock.files))?;
    if opening == Opening::First {
        // Before the first label is read: a run that dies from here on has opened them all the same.
        lock.write(&lock_path)?;
    }
    let bar = Bar::new(style(args));
    let (mut findings, mut controls, mut replays) = (Vec::new(), Vec::new(), Vec::new());
    let mut input_digests = BTreeMap::new();
    let mut models = std::collections::BTreeSet::new();
    for (entry, &benchmark) in config.datasets.iter().zip(&benchmarks) {
        let kinds = config.kinds(&entry.name);
        if kinds.is_empty() {
            continue;
        }
        let dataset = bench::open(benchmark, data, &args.out, &entry.name, &bar)?;
        let rows = dataset.rows()?;
        let task = Task {
            name: entry.name.clone(),
            dataset: &dataset,
            rows: &rows,
            outer: entry.split.into(),
            objective: entry.objective,
        };
        models.extend(kinds.iter().map(|kind| kind.name().to_owned()));
        let settings = BenchConfig {
            kinds,
            seeds: config.fit_seeds,
            budget: config.budget,
            base: train::TrainConfig { cross_fit: config.cross_fit, ..train::TrainConfig::default() },
            replicates: config.replicates,
        };
        let chosen = chosen(path, entry)?;
        let answered = answer_task(&task, &settings, chosen.as_ref(), &args.out.join("work"), &bar)
            .with_context(|| format!("data set {}", entry.name))?;
        let found = registered::registered(&config, &task, &answered)
            .with_context(|| format!("judging data set {}", entry.name))?;
        findings.extend(found.findings);
        controls.push(found.controls);
        replays.extend(found.replay);
        input_digests.insert(entry.name.clone(), dataset.manifest().input_digest.clone());
    }
    findings.extend(registered::over_sets(&findings, LEVEL)?);
    let findings = judge::register(findings, &evidence, &config.levels, config.alpha, config.seed)?;
    let rows = judge::judge(&findings, config.alpha, config.levels.law_share)?;
    let frame = Frame {
        opening: Some(opening),
        lock: Some(lock),
        input_digests,
        seconds: config.budget.seconds,
        trials: config.budget.trials,
        seeds: config.fit_seeds,
        models: models.into_iter().collect(),
        alpha: config.alpha,
        replicates: config.replicates,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    finish(args, &ClaimsReport::new(None, frame, rows, controls, replays))
}

/// One's own data set.
fn own_data(args: &ClaimsArgs, folder: &Path) -> anyhow::Result<()> {
    let config = own_config(args)?;
    let dataset = Dataset::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    let rows = dataset.rows()?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let _held = hold(&args.out)?;
    let manifest = dataset.manifest();
    same_run(&args.out, &(&config, &manifest.input_digest, &manifest.spec_hash))?;
    let bar = Bar::new(style(args));
    let report = own::own(&dataset, &rows, &config, &args.out.join("work"), &bar)?;
    finish(args, &report)
}

fn own_config(args: &ClaimsArgs) -> anyhow::Result<BenchConfig> {
    let mut config = match &args.settings {
        None => own::default_config(),
        Some(path) => config_file::parse(&config_file::text(Some(path))?, Some(path))?,
    };
    let defaults = own::default_config();
    config.kinds = if args.models.is_empty() { defaults.kinds } else { args.models.clone() };
    config.seeds = args.seeds.unwrap_or(defaults.seeds);
    config.budget.seconds = args.minutes.map_or(defaults.budget.seconds, |minutes| 60.0 * minutes);
    config.budget.trials = args.trials.unwrap_or(defaults.budget.trials);
    if config.seeds == 0 || config.budget.trials == 0 {
        return Err(usage("--seeds and --trials must be above 0"));
    }
    if !(config.budget.seconds > 0.0 && config.budget.seconds.is_finite()) {
        return Err(usage("--minutes must be above 0"));
    }
    if config.base.device == DeviceChoice::Auto && args.settings.is_none() {
        // Small networks gain nothing from a device, and the CPU is the reference.
        config.base.device = DeviceChoice::Cpu;
    }
    config.base.validate("settings of the claims")?;
    Ok(config)
}

/// The benchmark of every data set, and that it has the task.
fn benchmarks(config: &ClaimsConfig) -> anyhow::Result<Vec<BenchName>> {
    config
        .datasets
        .iter()
        .map(|entry| {
            let name = BenchName::from_str(&entry.benchmark, false).ok().filter(|name| *name != BenchName::Lab);
            let name = name.ok_or_else(|| {
                usage(format!("dataset {}: {} is no benchmark on public data", entry.name, entry.benchmark))
            })?;
            let plans = bench::plans(name);
            if plans.iter().any(|plan| plan.name == entry.name) {
                return Ok(name);
            }
            let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
            Err(usage(format!("dataset {}: benchmark {} has {}", entry.name, entry.benchmark, names.join(", "))))
        })
        .collect()
}

/// Settings tuned before, where the data set names a file of them.
fn chosen(config: &Path, entry: &DatasetEntry) -> anyhow::Result<Option<train::bench::run::ChosenSettings>> {
    let Some(file) = &entry.chosen else { return Ok(None) };
    let path = config.with_file_name(file);
    let mut all = bench::read_chosen(&path)?;
    let found = all.remove(&entry.name);
    found.map(Some).with_context(|| format!("{} has no settings for {}", path.display(), entry.name))
}

/// What would be opened.
fn show(args: &ClaimsArgs, config: &ClaimsConfig, lock: &Lock, opening: train::Result<Opening>) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Entry<'a> {
        name: &'a str,
        benchmark: &'a str,
        split: train::claims::config::SplitEntry,
        claims: Vec<&'a str>,
        models: Vec<&'static str>,
        files: BTreeMap<&'a str, Option<&'a String>>,
        as_said: bool,
    }
    let entries: Vec<Entry<'_>> = config
        .datasets
        .iter()
        .map(|entry| Entry {
            name: &entry.name,
            benchmark: &entry.benchmark,
            split: entry.split,
            claims: config
                .claims
                .iter()
                .filter(|claim| claim.datasets.contains(&entry.name))
                .map(|claim| claim.id.as_str())
                .collect(),
            models: config.kinds(&entry.name).into_iter().map(model::ModelKind::name).collect(),
            files: entry.files.iter().map(|file| (file.as_str(), lock.files.get(file))).collect(),
            as_said: entry.check(&lock.files).is_ok(),
        })
        .collect();
    if args.json {
        let value = serde_json::json!({
            "config": lock.config, "commit": lock.commit, "datasets": entries,
            "opening": opening.as_ref().ok(), "refused": opening.as_ref().err().map(ToString::to_string),
        });
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        println!("claims.toml {}, commit {}", short(&lock.config), short(&lock.commit));
        for entry in &entries {
            println!(
                "{:20} {:10} claims {}; {}",
                entry.name,
                entry.benchmark,
                entry.claims.join(", "),
                entry.models.join(", ")
            );
            for (file, digest) in &entry.files {
                println!("    {file} {}", digest.map_or("absent", |digest| short(digest)));
            }
            if !entry.as_said {
                println!("    these are not the files that were said beforehand");
            }
        }
        match &opening {
            Ok(Opening::First) => println!("would be the first opening; nothing was opened or written"),
            Ok(Opening::Reproduction) => println!("would be a reproduction; nothing was opened or written"),
            Err(_) => println!("would be refused; nothing was opened or written"),
        }
    }
    for entry in &config.datasets {
        entry.check(&lock.files)?;
    }
    opening?;
    Ok(())
}

fn finish(args: &ClaimsArgs, report: &ClaimsReport) -> anyhow::Result<()> {
    let [json, html] = report.write(&args.out)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!("{}\n", report.headline);
    for problem in report.problems() {
        println!("control: {problem}");
    }
    println!("{}", report.table());
    println!("report: {}\nnumbers: {}", html.display(), json.display());
    Ok(())
}

fn style(args: &ClaimsArgs) -> Style {
    if args.json { Style::Script } else { Style::Person }
}

/// Keeps a second run out of the folder while the file is held.
fn hold(out: &Path) -> anyhow::Result<std::fs::File> {
    let lock = std::fs::File::create(out.join("run.lock")).context("making the lock file")?;
    lock.try_lock().with_context(|| format!("{} is in use by another run", out.display()))?;
    Ok(lock)
}

/// A folder holds fits of one setting on one set of data: trials of others are not comparable.
fn same_run(out: &Path, run: &impl Serialize) -> anyhow::Result<()> {
    let path = out.join("run.json");
    let wanted = serde_json::to_vec_pretty(run)?;
    match std::fs::read(&path) {
        Ok(found) if found == wanted => Ok(()),
        Ok(_) => Err(usage(format!(
            "{} was made with other settings or data; give another --out, or remove it to begin again",
            path.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => config_file::write(&path, &wanted),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}
