//! The node protocol on the outages of Los Alamos, where they are. `FOREWARN_NODES_WORK` keeps its months;
//! `FOREWARN_NODES_FULL=1` runs every month and prints the tables, otherwise one quarter is enough.

use std::path::{Path, PathBuf};

use datasets::Silent;
use datasets::benchmark::lanl::{self, Month};
use libtest_mimic::{Arguments, Trial};
use train::nodes::{NodesConfig, NodesReport, forecast_nodes};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/lanl_node_failures")
}

fn main() {
    let arguments = Arguments::from_args();
    let present = data().exists();
    let name = "lanl_months_are_forecast_by_every_rival".to_owned();
    let name = if present { name } else { format!("{name} (../shared/data/lanl_node_failures is not here)") };
    let trial = Trial::test(name, || {
        months();
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(!present)]).exit();
}

fn run(config: &NodesConfig, name: &str) -> NodesReport {
    let nodes = lanl::read(&data()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let work = std::env::var_os("FOREWARN_NODES_WORK").map_or(scratch.path().to_owned(), PathBuf::from).join(name);
    let report = forecast_nodes(&nodes, config, &mut config.forecasters(), &work, &Silent).unwrap();
    if std::env::var_os("FOREWARN_NODES_WORK").is_some() {
        std::fs::write(work.join("report.json"), serde_json::to_vec_pretty(&report).unwrap()).unwrap();
    }
    println!("{}", report.table());
    report
}

fn months() {
    let full = std::env::var_os("FOREWARN_NODES_FULL").is_some();
    let quarter = NodesConfig {
        first: Month { year: 2004, month: 1 },
        last: Month { year: 2004, month: 3 },
        replicates: 100,
        ..NodesConfig::default()
    };
    let config = if full { NodesConfig::default() } else { quarter };
    let report = run(&config, "month-start");
    let crps = |name: &str| report.scores.iter().find(|s| s.name == name).unwrap().losses["crps"].estimate;
    let brier = |name: &str| report.scores.iter().find(|s| s.name == name).unwrap().losses["brier_0.999"].estimate;
    // What must hold for the protocol to be worth anything: a distribution beats a repetition, and telling nodes apart
    // beats not telling them apart.
    assert!(crps("exponential") < crps("last-value"));
    assert!(brier("exponential-shrunk") < brier("exponential"));
    assert!(brier("weibull-shrunk") < brier("last-value"));
    if full {
        run(&NodesConfig { elapsed: 0.5, ..config }, "mid-month");
    }
}
