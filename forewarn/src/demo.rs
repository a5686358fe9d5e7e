//! `forewarn demo`: the whole path once, on the lab's containers, a simulated fleet or public data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use datasets::benchmark::AlibabaPods;
use datasets::benchmark::alibaba_pods::AlibabaPodsConfig;
use datasets::{Dataset, Simulator, SimulatorConfig, Source};
use features::LabeledBatch;
use model::{LoadedBundle, ModelKind, Predictor};
use serde::Serialize;
use train::evaluate::{EvaluateConfig, Evaluation};
use train::pipeline::{evaluate_bundles, train_bundles};
use train::{TrainConfig, report};

use crate::args::{DemoArgs, DemoSource, WorldArg};
use crate::bar::{Bar, Style};
use crate::exit::usage;
use crate::predict::{Answer, ask, newest, risk_lines, riskiest};
use crate::{config_file, demo_real, evaluate, serve};

/// Where a checkout holds the lab's published run.
const SHIPPED_LAB: &str = "datasets/lab";

/// What a script reads from `forewarn demo --json`.
#[derive(Serialize)]
struct Printed<'a> {
    out: &'a Path,
    dataset: PathBuf,
    bundles: BTreeMap<&'static str, PathBuf>,
    horizons: &'a [f64],
    riskiest: &'a [Answer],
    evaluation: &'a Evaluation,
    report: PathBuf,
    grpc: GrpcCheck,
}

/// How the server's answers compare with the library's on the same rows.
#[derive(Serialize)]
struct GrpcCheck {
    address: String,
    rows: usize,
    largest_difference_to_library: f64,
}

pub(crate) fn run(args: DemoArgs) -> anyhow::Result<()> {
    if args.open_test {
        return Err(usage(
            "--open-test reads published test labels, which are opened once, under a committed claims file; that is not there yet",
        ));
    }
    // Settings of the simulator ask for it.
    let simulated = args.world.is_some() || args.permute_labels;
    let source = args.source.unwrap_or(if simulated { DemoSource::Simulate } else { DemoSource::Lab });
    if simulated && source != DemoSource::Simulate {
        return Err(usage("--world and --permute-labels are for the simulator: --source simulate"));
    }
    let name = match source {
        DemoSource::Lab => "lab",
        DemoSource::Simulate => "simulate",
        DemoSource::Prevent => "prevent",
        DemoSource::Cmapss => "cmapss",
        DemoSource::AlibabaPods => "alibaba-pods",
    };
    let from = match (source, &args.from) {
        (DemoSource::Simulate, Some(_)) => {
            return Err(usage("--from is for data on disk; the simulator needs none"));
        }
        (DemoSource::Simulate, None) => PathBuf::new(),
        (_, Some(from)) => from.clone(),
        (DemoSource::Lab, None) => {
            let shipped = PathBuf::from(SHIPPED_LAB);
            if !shipped.join("dataset").exists() {
                return Err(usage(format!(
                    "{SHIPPED_LAB} is not here: run it from a checkout of the repository, name the folder with --from, or take --source simulate, which needs no files"
                )));
            }
            shipped
        }
        (_, None) => return Err(usage(format!("--source {name} needs --from, the folder of the data set"))),
    };
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("forewarn-demo-{name}")));
    config_file::fresh(&out)?;
    let text = config_file::text(args.config.as_deref())?;
    let file = args.config.as_ref().map_or("settings".to_owned(), |path| path.display().to_string());
    let mut config = TrainConfig::parse(&text, &file)?;
    config.device = args.device;
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    match source {
        DemoSource::Lab => whole_path(&from.join("dataset"), &out, &config, &args, &bar),
        DemoSource::Simulate => {
            let settings = SimulatorConfig {
                world: args.world.unwrap_or(WorldArg::Interaction).into(),
                permute_labels: args.permute_labels,
                ..SimulatorConfig::default()
            };
            built(&mut Simulator::new(settings)?, &out, &config, &args, &bar)
        }
        DemoSource::AlibabaPods => {
            built(&mut AlibabaPods::open(&AlibabaPodsConfig { from })?, &out, &config, &args, &bar)
        }
        DemoSource::Cmapss => demo_real::cmapss(&from, &out, &config, &args, &bar),
        DemoSource::Prevent => demo_real::prevent(&from, &out, &config, args.json, &bar),
    }
}

/// The whole path from a source.
fn built(source: &mut dyn Source, out: &Path, config: &TrainConfig, args: &DemoArgs, bar: &Bar) -> anyhow::Result<()> {
    let dataset_dir = out.join("dataset");
    datasets::build(source, &dataset_dir, bar).context("building the data set")?;
    whole_path(&dataset_dir, out, config, args, bar)
}

/// From a data set on: bundles, comparison, report, server, answers.
fn whole_path(dataset_dir: &Path, out: &Path, config: &TrainConfig, args: &DemoArgs, bar: &Bar) -> anyhow::Result<()> {
    let dataset = Dataset::open(dataset_dir)?;
    let rows = dataset.rows()?;
    if !args.json {
        println!("{}", dataset.describe()?);
    }
    let kinds = ModelKind::FIRST;
    let place = |kind: ModelKind| out.join("bundles").join(kind.name());
    let trained = train_bundles(&dataset, &rows, &kinds, config, &place, bar).context("training")?;
    let mut bundles = Vec::with_capacity(trained.len());
    let mut cards = Vec::with_capacity(trained.len());
    for result in &trained {
        let bundle = LoadedBundle::load(&result.dir, args.device)?;
        cards.push((result.info.name.clone(), bundle.info().card.clone()));
        bundles.push((bundle, Some(result.seconds)));
    }
    let evaluation =
        evaluate_bundles(&dataset, &rows, &bundles, EvaluateConfig::default(), bar).context("evaluating")?;
    let report_path = evaluate::write(out, &evaluation, &dataset.manifest().title, &cards)?;

    let (bundle, _) = bundles.swap_remove(0);
    let (answers, grpc) = ask_own_server(bundle, &rows)?;
    let top = riskiest(&answers.rows, 10);
    if args.json {
        let printed = Printed {
            out,
            dataset: dataset_dir.to_owned(),
            bundles: trained.iter().map(|t| (t.kind.name(), t.dir.clone())).collect(),
            horizons: &answers.horizons,
            riskiest: &top,
            evaluation: &evaluation,
            report: report_path,
            grpc,
        };
        println!("{}", serde_json::to_string_pretty(&printed)?);
    } else {
        println!(
            "The ten riskiest of {} entities, asked over gRPC at {} (largest difference to the library: {:.1e}):\n",
            answers.rows.len(),
            grpc.address,
            grpc.largest_difference_to_library
        );
        println!("{}", risk_lines(&top, &answers.horizons, &answers.quantiles, dataset.grid().unit().short()));
        println!("{}", report::table(&evaluation));
        println!("report: {}", report_path.display());
    }
    Ok(())
}

/// Starts the server on a free port, asks it about the newest row of every entity, and stops it.
fn ask_own_server(bundle: LoadedBundle, rows: &LabeledBatch) -> anyhow::Result<(crate::predict::Answers, GrpcCheck)> {
    let wanted = rows.features.select(&newest(&rows.features));
    let expected = bundle
        .predict(&wanted)?
        .iter()
        .map(|curve| bundle.read(curve))
        .collect::<Result<Vec<_>, _>>()
        .context("predicting in the library")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let (address, answers) = runtime.block_on(async {
        let listener = ::serve::bind(([127, 0, 0, 1], 0).into()).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server =
            tokio::spawn(::serve::run(listener, None, serve::served(bundle), ::serve::ServeConfig::default(), async {
                let _ = stopped.await;
            }));
        let answers = ask(address, &wanted).await;
        let _ = stop.send(());
        server.await.context("the server's task")??;
        anyhow::Ok((address, answers?))
    })?;
    let mut largest = 0.0_f64;
    for (answer, prediction) in answers.rows.iter().zip(&expected) {
        for (a, b) in answer.failure_probability.iter().zip(&prediction.failure_probability) {
            largest = largest.max((a - b).abs());
        }
    }
    let check =
        GrpcCheck { address: address.to_string(), rows: answers.rows.len(), largest_difference_to_library: largest };
    Ok((answers, check))
}
