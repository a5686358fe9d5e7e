//! `forewarn dataset`: import, simulate, verify, describe.

use std::path::Path;

use anyhow::Context;
use datasets::benchmark::alibaba_pods::AlibabaPodsConfig;
use datasets::benchmark::backblaze_drives::BackblazeDrivesConfig;
use datasets::benchmark::cmapss::CmapssConfig;
use datasets::benchmark::prevent::PreventConfig;
use datasets::benchmark::survival_tables::{Covariates, SurvivalTable, SurvivalTablesConfig};
use datasets::benchmark::titan_gpu::{Places, TitanGpuConfig};
use datasets::benchmark::{AlibabaPods, BackblazeDrives, Cmapss, Prevent, SurvivalTables, TitanGpu};
use datasets::simulator::World;
use datasets::{Dataset, LakeBuildConfig, LakeSource, Simulator, SimulatorConfig, Source};

use crate::args::{CovariatesArg, DatasetAction, DatasetArgs, ImportSource, PlacesArg, TableArg, WorldArg};
use crate::bar::{Bar, Style};
use crate::config_file;

impl From<WorldArg> for World {
    fn from(world: WorldArg) -> Self {
        match world {
            WorldArg::LogLinear => Self::LogLinear,
            WorldArg::Interaction => Self::Interaction,
        }
    }
}

impl From<TableArg> for SurvivalTable {
    fn from(table: TableArg) -> Self {
        match table {
            TableArg::Gbsg2 => Self::Gbsg2,
            TableArg::Flchain => Self::Flchain,
            TableArg::Nwtco => Self::Nwtco,
            TableArg::Support2 => Self::Support2,
            TableArg::Veteran => Self::Veteran,
            TableArg::Whas500 => Self::Whas500,
            TableArg::DeepsurvMetabric => Self::DeepsurvMetabric,
            TableArg::DeepsurvGbsg => Self::DeepsurvGbsg,
            TableArg::DeepsurvSupport => Self::DeepsurvSupport,
            TableArg::DeepsurvWhas => Self::DeepsurvWhas,
        }
    }
}

impl From<CovariatesArg> for Covariates {
    fn from(covariates: CovariatesArg) -> Self {
        match covariates {
            CovariatesArg::Reference => Self::Reference,
            CovariatesArg::Baseline => Self::Baseline,
        }
    }
}

impl From<PlacesArg> for Places {
    fn from(places: PlacesArg) -> Self {
        match places {
            PlacesArg::Summary => Self::Summary,
            PlacesArg::Intervals => Self::Intervals,
        }
    }
}

pub(crate) fn run(args: DatasetArgs) -> anyhow::Result<()> {
    let bar = Bar::new(Style::Person);
    match args.action {
        DatasetAction::Import { source, from, subset, cut_every, table, covariates, complete_cases, places, out } => {
            let mut source: Box<dyn Source> = match source {
                ImportSource::Prevent => Box::new(Prevent::open(&PreventConfig { from })?),
                ImportSource::Cmapss => Box::new(Cmapss::open(CmapssConfig { from, subset, cut_every })?),
                ImportSource::AlibabaPods => Box::new(AlibabaPods::open(&AlibabaPodsConfig { from })?),
                ImportSource::SurvivalTables => {
                    let table = table.context("--source survival-tables needs --table")?.into();
                    let covariates = covariates.into();
                    let config = SurvivalTablesConfig { from, table, covariates, complete_cases };
                    Box::new(SurvivalTables::open(&config)?)
                }
                ImportSource::TitanGpu => Box::new(TitanGpu::open(&TitanGpuConfig { from, places: places.into() })?),
                ImportSource::BackblazeDrives => Box::new(BackblazeDrives::open(&BackblazeDrivesConfig { from })?),
            };
            build(source.as_mut(), &out, &bar)
        }
        DatasetAction::Build { lake, spec, out, json } => {
            let bar = Bar::new(if json { Style::Script } else { Style::Person });
            let mut source = LakeSource::open(&lake, LakeBuildConfig::read(&spec)?)?;
            let built = datasets::build(&mut source, &out, &bar)
                .with_context(|| format!("building {} from {}", out.display(), lake.display()))?;
            if json {
                println!("{}", serde_json::to_string_pretty(&built.manifest.counts)?);
            } else {
                print_built(&out, &built);
            }
            Ok(())
        }
        DatasetAction::Simulate { config, world, seed, permute_labels, out } => {
            let text = config_file::text(config.as_deref())?;
            let mut settings: SimulatorConfig = config_file::parse(&text, config.as_deref())?;
            if let Some(world) = world {
                settings.world = world.into();
            }
            if let Some(seed) = seed {
                settings.seed = seed;
            }
            settings.permute_labels |= permute_labels;
            let resolved = toml::to_string_pretty(&settings)?;
            build(&mut Simulator::new(settings)?, &out, &bar)?;
            // Beside the folder, whose files are all named in its manifest.
            let mut beside = out.into_os_string();
            beside.push(".simulate.toml");
            config_file::write(Path::new(&beside), resolved.as_bytes())
        }
        DatasetAction::Verify { dir, json } => {
            let report = Dataset::open(&dir)?.verify(&bar)?;
            if json {
                let mut value = serde_json::to_value(&report)?;
                value["ok"] = true.into();
                println!("{}", serde_json::to_string_pretty(&value)?);
            } else {
                println!("{}: every digest, row count and schema as the manifest says", dir.display());
            }
            Ok(())
        }
        DatasetAction::Describe { dir, json, html, audit, seed } => {
            let dataset = Dataset::open(&dir)?;
            let description = dataset.describe_with(datasets::Audit { events: audit, seed })?;
            if let Some(file) = html {
                std::fs::write(&file, description.page(dataset.manifest()))
                    .with_context(|| format!("cannot write {}", file.display()))?;
                eprintln!("{}: written", file.display());
            }
            if json {
                println!("{}", serde_json::to_string_pretty(&description)?);
            } else {
                println!("{description}");
            }
            Ok(())
        }
    }
}

fn build(source: &mut dyn Source, out: &Path, bar: &Bar) -> anyhow::Result<()> {
    let built = datasets::build(source, out, bar).with_context(|| format!("building {}", out.display()))?;
    print_built(out, &built);
    Ok(())
}

fn print_built(out: &Path, built: &datasets::Built) {
    let counts = &built.manifest.counts;
    println!(
        "{}: {} rows of {} lives, {} failures ({})",
        out.display(),
        counts.rows,
        counts.entities,
        counts.events_by_cause.values().sum::<u64>(),
        counts.events_by_cause.iter().map(|(cause, n)| format!("{cause} {n}")).collect::<Vec<_>>().join(", ")
    );
}
