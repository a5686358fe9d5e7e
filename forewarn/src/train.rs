//! `forewarn train`: one data set, one family, one bundle.

use anyhow::Context;
use datasets::Dataset;
use train::TrainConfig;
use train::pipeline::train_bundles;

use crate::args::TrainArgs;
use crate::bar::{Bar, Style};
use crate::config_file;

pub(crate) fn run(args: TrainArgs) -> anyhow::Result<()> {
    let text = config_file::text(args.config.as_deref())?;
    let name = args.config.as_ref().map_or("settings".to_owned(), |path| path.display().to_string());
    let mut config = TrainConfig::parse(&text, &name)?;
    if let Some(model) = args.model {
        config.model = model;
    }
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    if let Some(device) = args.device {
        config.device = device;
    }
    config_file::fresh(&args.out)?;
    let dataset = Dataset::open(&args.dataset)?;
    let rows = dataset.rows()?;
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    let place = |_| args.out.clone();
    let trained = train_bundles(&dataset, &rows, &[config.model], &config, &place, &bar)
        .with_context(|| format!("training {} on {}", config.model.name(), args.dataset.display()))?;
    for bundle in trained {
        if args.json {
            let line = serde_json::json!({
                "bundle": bundle.dir, "model": bundle.info.name, "version": bundle.info.version,
                "digest": bundle.info.digest, "seconds": bundle.seconds, "notes": bundle.notes,
                "history": bundle.history,
            });
            println!("{}", serde_json::to_string_pretty(&line)?);
        } else {
            println!(
                "{}: {}@{} in {:.1} s",
                bundle.dir.display(),
                bundle.info.name,
                bundle.info.version,
                bundle.seconds
            );
            for note in &bundle.notes {
                println!("  {note}");
            }
        }
    }
    Ok(())
}
