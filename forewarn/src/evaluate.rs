//! `forewarn evaluate`: any bundles, one table, `evaluation.json`, `report.html`; or past nights, see [`crate::outcomes`].

use std::path::Path;

use anyhow::Context;
use datasets::Dataset;
use model::LoadedBundle;
use train::evaluate::{EvaluateConfig, Evaluation};
use train::pipeline::evaluate_bundles;
use train::report;

use crate::args::EvaluateArgs;
use crate::bar::{Bar, Style};
use crate::config_file;
use crate::exit::usage;

pub(crate) fn run(args: EvaluateArgs) -> anyhow::Result<()> {
    #[cfg(feature = "score")]
    if let Some(scores) = &args.past.scores {
        return crate::outcomes::run(scores, &args.past, &args.out, args.json);
    }
    // The arguments' group asks for the one or the other.
    let from = args.dataset.ok_or_else(|| usage("--dataset is missing; give the data set to compare on"))?;
    let device = args.device.unwrap_or_default();
    let text = config_file::text(args.config.as_deref())?;
    let config: EvaluateConfig = config_file::parse(&text, args.config.as_deref())?;
    config_file::fresh(&args.out)?;
    let dataset = Dataset::open(&from)?;
    let mut bundles = Vec::with_capacity(args.bundles.len());
    let mut cards = Vec::with_capacity(args.bundles.len());
    for dir in &args.bundles {
        let bundle = LoadedBundle::load(dir, device)?;
        cards.push((bundle.info().name.clone(), bundle.info().card.clone()));
        bundles.push((bundle, None));
    }
    let rows = dataset.rows()?;
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    let evaluation = evaluate_bundles(&dataset, &rows, &bundles, config, &bar)
        .with_context(|| format!("evaluating on {}", from.display()))?;
    let report = write(&args.out, &evaluation, &dataset.manifest().title, &cards)?;
    config_file::write(&args.out.join("evaluate.toml"), toml::to_string_pretty(&config)?.as_bytes())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&evaluation)?);
    } else {
        println!("{}", report::table(&evaluation));
        println!("report: {}", report.display());
    }
    Ok(())
}

/// Writes `evaluation.json` and `report.html` into a folder and returns the report's path.
pub(crate) fn write(
    out: &Path,
    evaluation: &Evaluation,
    title: &str,
    cards: &[(String, String)],
) -> anyhow::Result<std::path::PathBuf> {
    config_file::write(&out.join("evaluation.json"), &serde_json::to_vec_pretty(evaluation)?)?;
    let path = out.join("report.html");
    config_file::write(&path, report::render(title, evaluation, cards).as_bytes())?;
    Ok(path)
}
