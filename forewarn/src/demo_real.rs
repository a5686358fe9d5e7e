//! The protocols of the public data sets: cross-validation on C-MAPSS, leave one run out on PREVENT.

use std::path::Path;

use anyhow::Context;
use datasets::Dataset;
use datasets::benchmark::cmapss::CmapssConfig;
use datasets::benchmark::prevent::PreventConfig;
use datasets::benchmark::{Cmapss, Prevent};
use model::ModelKind;
use train::alarms::{alarm_table, leave_one_run_out};
use train::crossval::cross_validate;
use train::evaluate::{EvaluateConfig, evaluate};
use train::pipeline::judged;
use train::{TrainConfig, report};

use crate::args::DemoArgs;
use crate::bar::Bar;
use crate::exit::usage;
use crate::{config_file, evaluate as evaluate_command};

/// Folds of the cross-validation.
const FOLDS: u32 = 5;
/// Cycles between rows of an engine: neighbouring cycles tell nearly the same.
const CUT_EVERY: u32 = 4;

/// Engine-grouped cross-validation inside the training files; the published test files stay closed.
pub(crate) fn cmapss(from: &Path, out: &Path, config: &TrainConfig, args: &DemoArgs, bar: &Bar) -> anyhow::Result<()> {
    let mut evaluations = Vec::new();
    for &subset in &args.subsets {
        if !(1..=4).contains(&subset) {
            return Err(usage(format!("--subsets {subset}: C-MAPSS has FD001 to FD004, so 1 to 4")));
        }
        let name = format!("FD00{subset}");
        let folder = out.join(&name);
        let mut source = Cmapss::open(CmapssConfig { from: from.to_owned(), subset, cut_every: CUT_EVERY })?;
        datasets::build(&mut source, &folder.join("dataset"), bar).with_context(|| format!("building {name}"))?;
        let dataset = Dataset::open(folder.join("dataset"))?;
        let rows = dataset.rows()?;
        let work = folder.join("work");
        let result = cross_validate(&dataset, &rows, &ModelKind::FIRST, config, FOLDS, Some(&work), bar)
            .with_context(|| format!("cross-validating {name}"))?;
        let judged = judged(&dataset, &result.rows, &result.rows.observations, None);
        let evaluation = evaluate(&judged, &result.predicted, EvaluateConfig::default())?;
        if work.exists() {
            std::fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
        }
        config_file::write(&folder.join("training.toml"), config.to_toml().as_bytes())?;
        let report_path = evaluate_command::write(&folder, &evaluation, &dataset.manifest().title, &[])?;
        if !args.json {
            println!("{name}: {FOLDS}-fold cross-validation by engine, RUL capped at {}", evaluation.restricted_to);
            println!("{}", report::table(&evaluation));
            println!("report: {}\n", report_path.display());
        }
        evaluations.push(serde_json::json!({ "subset": name, "evaluation": evaluation, "report": report_path }));
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "out": out, "subsets": evaluations }))?);
    }
    Ok(())
}

/// Six crashes of a Redis cluster: alarms per run, thresholds chosen on the other runs alone.
pub(crate) fn prevent(from: &Path, out: &Path, config: &TrainConfig, json: bool, bar: &Bar) -> anyhow::Result<()> {
    let mut source = Prevent::open(&PreventConfig { from: from.to_owned() })?;
    let runs = source.runs().to_vec();
    let folder = out.join("dataset");
    if !folder.exists() {
        datasets::build(&mut source, &folder, bar).context("building the data set")?;
    }
    let dataset = Dataset::open(&folder)?;
    let rows = dataset.rows()?;
    let work = out.join("work");
    let kinds = [ModelKind::HazardNet, ModelKind::BoostedHazard, ModelKind::Cox];
    let outcomes = leave_one_run_out(&dataset, &rows, &runs, &kinds, config, Some(&work), bar)?;
    if work.exists() {
        std::fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
    }
    config_file::write(&out.join("training.toml"), config.to_toml().as_bytes())?;
    config_file::write(&out.join("alarms.json"), &serde_json::to_vec_pretty(&outcomes)?)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "out": out, "runs": outcomes }))?);
    } else {
        println!("{}", alarm_table(&outcomes));
        println!(
            "Minutes are 1-based rows of the run. Each threshold allows one alarm in the pre-injection minutes of the other five runs."
        );
        println!("table: {}", out.join("alarms.json").display());
    }
    Ok(())
}
