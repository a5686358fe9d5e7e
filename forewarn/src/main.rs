//! The one command a person types: parse, init logging, one match, exit code.

#![expect(clippy::needless_pass_by_value, reason = "arguments become a library's configuration and are gone")]

mod args;
mod bar;
#[cfg(feature = "train")]
mod bench;
#[cfg(feature = "train")]
mod claims;
mod config_file;
#[cfg(feature = "data")]
mod dataset;
#[cfg(all(feature = "train", feature = "serve", feature = "score", feature = "client"))]
mod demo;
#[cfg(feature = "train")]
mod demo_real;
mod device;
#[cfg(feature = "train")]
mod evaluate;
mod exit;
#[cfg(feature = "train")]
mod explain;
#[cfg(feature = "ingest")]
mod ingest;
#[cfg(all(feature = "lab", target_os = "linux"))]
mod lab;
#[cfg(all(feature = "lab", feature = "train", target_os = "linux"))]
mod lab_study;
#[cfg(feature = "data")]
mod lake;
#[cfg(feature = "data")]
mod metrics;
#[cfg(all(feature = "train", feature = "score"))]
mod outcomes;
#[cfg(feature = "client")]
mod predict;
#[cfg(feature = "train")]
mod report;
#[cfg(feature = "score")]
mod score;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "sql")]
mod sql;
#[cfg(any(feature = "serve", feature = "ingest"))]
mod stop;
#[cfg(feature = "train")]
mod train;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            // `--help` and `--version` are answers; everything else is a usage error (sysexits EX_USAGE).
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let level = match args.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("FOREWARN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();

    let result = match args.command {
        #[cfg(all(feature = "train", feature = "serve", feature = "score", feature = "client"))]
        Command::Demo(demo_args) => demo::run(demo_args),
        #[cfg(feature = "ingest")]
        Command::Ingest(ingest_args) => ingest::run(ingest_args),
        #[cfg(all(feature = "lab", target_os = "linux"))]
        Command::Lab(lab_args) => lab::run(lab_args),
        #[cfg(feature = "data")]
        Command::Lake(lake_args) => lake::run(lake_args),
        #[cfg(feature = "data")]
        Command::Metrics(metrics_args) => metrics::run(metrics_args),
        #[cfg(feature = "sql")]
        Command::Sql(sql_args) => sql::run(sql_args),
        #[cfg(feature = "data")]
        Command::Dataset(dataset_args) => dataset::run(dataset_args),
        #[cfg(feature = "train")]
        Command::Train(train_args) => train::run(train_args),
        #[cfg(feature = "train")]
        Command::Bench(bench_args) => bench::run(&bench_args),
        #[cfg(feature = "train")]
        Command::Claims(claims_args) => claims::run(&claims_args),
        #[cfg(feature = "train")]
        Command::Evaluate(evaluate_args) => evaluate::run(evaluate_args),
        #[cfg(feature = "train")]
        Command::Report(report_args) => report::run(report_args),
        #[cfg(feature = "train")]
        Command::Explain(explain_args) => explain::run(explain_args),
        #[cfg(feature = "score")]
        Command::Score(score_args) => score::run(score_args),
        #[cfg(feature = "serve")]
        Command::Serve(serve_args) => serve::run(serve_args),
        #[cfg(feature = "client")]
        Command::Predict(predict_args) => predict::run(predict_args),
        Command::Device(device_args) => device::run(device_args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("forewarn: {error:#}");
            ExitCode::from(exit::code(&error))
        }
    }
}
