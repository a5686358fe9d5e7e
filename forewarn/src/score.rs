//! `forewarn score`: the nightly job.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use datasets::lake_source::rows_at_by;
use features::EntityKind;
use features::event::EventRules;
use model::LoadedBundle;
use score::{AsOf, Outcome, ScoreConfig, score, score_rows};

use crate::args::ScoreArgs;
use crate::bar::{Bar, Style};
use crate::config_file;
use crate::exit::usage;

/// Looked at between parts.
static STOP: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(args: ScoreArgs) -> anyhow::Result<()> {
    let json = args.json;
    let bar = Bar::new(if json { Style::Script } else { Style::Person });
    let (config, outcome) = match args.lake.clone() {
        None => {
            let config = resolve(args)?;
            stop_on_signal();
            let outcome = score(&config, &bar, &STOP)?;
            (config, outcome)
        }
        Some(lake) => of_lake(args, &lake, &bar)?,
    };
    config_file::write(&outcome.dir().join("score.toml"), toml::to_string_pretty(&config)?.as_bytes())?;
    match &outcome {
        Outcome::Committed { dir, manifest } | Outcome::AlreadyCommitted { dir, manifest } => {
            if json {
                let mut value = serde_json::to_value(manifest)?;
                value["dir"] = serde_json::to_value(dir)?;
                println!("{}", serde_json::to_string_pretty(&value)?);
            } else {
                let again = if matches!(outcome, Outcome::AlreadyCommitted { .. }) { ", committed before" } else { "" };
                println!("{}: {} rows, {} failed{again}", dir.display(), manifest.rows, manifest.failed);
            }
        }
        Outcome::ShardDone { dir, missing } => {
            if json {
                println!("{}", serde_json::json!({ "dir": dir, "missing_shards": missing }));
            } else {
                println!("{}: shard done, waiting for shards {missing:?}", dir.display());
            }
        }
    }
    Ok(())
}

/// Scores every entity of a lake that is alive at the moment asked for, the newest closed tile unless given.
fn of_lake(mut args: ScoreArgs, lake: &Path, bar: &Bar) -> anyhow::Result<(ScoreConfig, Outcome)> {
    let moment = match args.as_of.take() {
        None | Some(AsOf::Latest) => None,
        Some(AsOf::At(milliseconds)) => Some(milliseconds),
        Some(AsOf::All) => return Err(usage("--as-of all is for data sets; a lake is scored at one moment")),
    };
    let kind = EntityKind::from_name(&args.kind)?;
    let rules = rules(args.rules.as_deref())?;
    // In the config the lake stands where the data set would, so that score.toml says what was scored.
    args.dataset = Some(lake.to_owned());
    args.as_of = Some(AsOf::Latest);
    let mut config = resolve(args)?;
    stop_on_signal();
    let bundle = LoadedBundle::load(&config.bundle, config.device)?;
    let info = bundle.info();
    let night = rows_at_by(lake, kind, &info.spec, &info.causes, moment, rules)?;
    config.as_of = AsOf::At(night.as_of);
    for (rule, count) in &night.skipped {
        eprintln!("{count} entities left out: {rule}");
    }
    let outcome = score_rows(&config, &bundle, &night.rows, &night.digest, bar, &STOP)?;
    Ok((config, outcome))
}

/// Event rules of a file; the shipped ones where none is named.
pub(crate) fn rules(path: Option<&Path>) -> anyhow::Result<EventRules> {
    let Some(path) = path else { return Ok(EventRules::shipped()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    EventRules::from_toml(&text).with_context(|| path.display().to_string())
}

fn resolve(args: ScoreArgs) -> anyhow::Result<ScoreConfig> {
    let mut config = match &args.config {
        Some(path) => {
            let text = config_file::text(Some(path))?;
            let mut config: ScoreConfig = config_file::parse(&text, Some(path))?;
            config.dataset = args.dataset.unwrap_or(config.dataset);
            config.bundle = args.bundle.unwrap_or(config.bundle);
            config.out = args.out.unwrap_or(config.out);
            config.as_of = args.as_of.unwrap_or(config.as_of);
            config
        }
        None => {
            let need = |what: &str, value: Option<PathBuf>| {
                value.ok_or_else(|| usage(format!("--{what} is missing; give it or a --config that has it")))
            };
            let as_of = args.as_of.ok_or_else(|| usage("--as-of is missing: all, latest or a tick"))?;
            ScoreConfig::new(
                need("dataset", args.dataset)?,
                need("bundle", args.bundle)?,
                need("out", args.out)?,
                as_of,
            )
        }
    };
    config.shards = args.shards.unwrap_or(config.shards);
    config.device = args.device.unwrap_or(config.device);
    let shard = args.shard.or_else(|| std::env::var("JOB_COMPLETION_INDEX").ok().filter(|_| args.shards.is_none()));
    if let Some(text) = shard {
        let (index, count) = match text.split_once('/') {
            Some((index, count)) => (index, Some(count)),
            None => (text.as_str(), None),
        };
        let number = |part: &str| {
            part.trim().parse::<u32>().map_err(|_| usage(format!("--shard {text:?} is not i/N, such as 0/8")))
        };
        config.shard = Some(number(index)?);
        if let Some(count) = count {
            config.shards = number(count)?;
        }
    }
    config.validate()?;
    Ok(config)
}

/// SIGTERM and Ctrl-C finish the part under way and end with 75.
fn stop_on_signal() {
    #[cfg(any(feature = "serve", feature = "ingest"))]
    std::thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(crate::stop::signal());
        STOP.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
