//! The protocol on a small fleet made by hand.

use datasets::Silent;

use super::*;

fn small() -> NodesConfig {
    NodesConfig {
        first: Month { year: 2004, month: 2 },
        last: Month { year: 2004, month: 6 },
        replicates: 60,
        bootstrap: 100,
        lookback_days: 500.0,
        ..NodesConfig::default()
    }
}

/// Twelve nodes, of which every third fails every nine days.
fn data() -> LanlNodes {
    let bad: Vec<(f64, f64)> = (0..75).map(|i| (f64::from(i) * 9.0 + 3.0, 2.0 + f64::from(i % 5))).collect();
    let one = [(40.0, 3.0), (300.0, 1.0), (470.0, 30.0)];
    let nodes: Vec<&[(f64, f64)]> = (0..12).map(|i| if i % 3 == 0 { bad.as_slice() } else { one.as_slice() }).collect();
    past::tests::fleet(&nodes)
}

#[test]
fn a_killed_run_goes_on_to_the_same_report() {
    let (data, config) = (data(), small());
    let folder = tempfile::tempdir().unwrap();
    let whole = forecast_nodes(&data, &config, &mut config.forecasters(), folder.path(), &Silent).unwrap();
    assert_eq!((whole.node_months, whole.nodes, whole.monthly.months.len()), (60, 12, 5));
    // Months lost, in the middle of a refit period too: only they are made again, and the report is the same.
    for name in ["origin-2004-03.json", "origin-2004-06.json"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let kept = fs::metadata(folder.path().join("origin-2004-04.json")).unwrap().modified().unwrap();
    let again = forecast_nodes(&data, &config, &mut config.forecasters(), folder.path(), &Silent).unwrap();
    assert_eq!(whole, again);
    assert_eq!(fs::metadata(folder.path().join("origin-2004-04.json")).unwrap().modified().unwrap(), kept);
    // Other settings: nothing old is taken.
    let other = NodesConfig { seed: 1, ..config };
    let seeded = forecast_nodes(&data, &other, &mut other.forecasters(), folder.path(), &Silent).unwrap();
    assert_ne!(whole.monthly, seeded.monthly);
    fs::write(folder.path().join("origin-2004-04.json"), "{").unwrap();
    let broken = forecast_nodes(&data, &other, &mut other.forecasters(), folder.path(), &Silent).unwrap_err();
    assert!(broken.to_string().contains("origin-2004-04.json"), "{broken}");
}

#[test]
fn whoever_knows_the_nodes_beats_whoever_does_not() {
    let (data, config) = (data(), small());
    let folder = tempfile::tempdir().unwrap();
    let report = forecast_nodes(&data, &config, &mut config.forecasters(), folder.path(), &Silent).unwrap();
    let brier = |name: &str| report.scores.iter().find(|s| s.name == name).unwrap().losses["brier_0.999"].estimate;
    assert!(brier("exponential-shrunk") < 0.5 * brier("exponential"), "a third of the nodes are bad");
    assert!(brier("discrete-hazard") < 0.5 * brier("exponential"));
    assert!(brier("discrete-hazard") < brier("always-up"));
    // One pooled series per month, its mean weighted by nodes the overall mean.
    let series = &report.monthly.losses["crps"]["last-value"];
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let overall = report.scores.iter().find(|s| s.name == "last-value").unwrap().losses["crps"].estimate;
    assert!((mean - overall).abs() < 1e-12, "every month has the same twelve nodes");
    let table = report.table();
    assert!(table.contains("60 node-months of 12 nodes") && table.contains("crow-amsaa-shrunk"), "{table}");
}

#[test]
fn contradictions_are_refused_by_name() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    let refusal = |config: NodesConfig| {
        let error = forecast_nodes(&data, &config, &mut config.forecasters(), folder.path(), &Silent);
        error.unwrap_err().to_string()
    };
    assert!(refusal(NodesConfig { last: Month { year: 2003, month: 1 }, ..small() }).contains("before first"));
    assert!(refusal(NodesConfig { elapsed: 1.0, ..small() }).contains("elapsed"));
    assert!(refusal(NodesConfig { targets: vec![1.0], ..small() }).contains("targets"));
    assert!(refusal(NodesConfig { replicates: 0, ..small() }).contains("replicates"));
    assert!(refusal(NodesConfig { lookback_days: f64::NAN, ..small() }).contains("lookbacks"));
    assert!(refusal(NodesConfig { last: Month { year: 2005, month: 2 }, ..small() }).contains("2005-01"));
    assert!(refusal(NodesConfig { least_months: 500, ..small() }).contains("500 months"));
    let config = small();
    let mut twice: Vec<Box<dyn AvailabilityForecaster>> = vec![Box::new(Naive::AlwaysUp), Box::new(Naive::AlwaysUp)];
    let error = forecast_nodes(&data, &config, &mut twice, folder.path(), &Silent).unwrap_err();
    assert!(error.to_string().contains("always-up"), "{error}");
}
