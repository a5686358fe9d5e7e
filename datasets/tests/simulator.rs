//! The simulated fleet: known hazard recovered, same seed same bytes, controls that hold nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use datasets::simulator::World;
use datasets::{Dataset, Silent, Simulator, SimulatorConfig, build};
use features::{LabeledBatch, Normalizer, Split};
use ndarray::Array2;
use survival::cox::{CoxModel, CoxOptions};
use survival::{Observation, SurvivalCurve};

fn small(world: World) -> SimulatorConfig {
    SimulatorConfig { world, workloads: 40, hours: 144, cut_every_minutes: 24 * 60, ..SimulatorConfig::default() }
}

fn built(config: SimulatorConfig, dir: &Path) -> Dataset {
    build(&mut Simulator::new(config).unwrap(), dir, &Silent).unwrap();
    Dataset::open(dir).unwrap()
}

/// Share of comparable pairs in which the one with the higher risk fails first (Harrell).
fn concordance(observations: &[&Observation], risks: &[f64]) -> f64 {
    let (mut concordant, mut comparable) = (0.0, 0.0);
    for (i, first) in observations.iter().enumerate().filter(|(_, o)| o.failed()) {
        for (j, second) in observations.iter().enumerate() {
            if second.duration() > first.duration() {
                comparable += 1.0;
                concordant += match risks[i].total_cmp(&risks[j]) {
                    Ordering::Greater => 1.0,
                    Ordering::Equal => 0.5,
                    Ordering::Less => 0.0,
                };
            }
        }
    }
    concordant / comparable
}

#[test]
fn failures_follow_the_mean_true_curve() {
    for world in [World::LogLinear, World::Interaction] {
        let folder = tempfile::tempdir().unwrap();
        let dataset = built(SimulatorConfig { seed: 11, ..small(world) }, &folder.path().join("set"));
        let rows = dataset.rows().unwrap();
        let truth = dataset.truth().unwrap().unwrap();
        assert_eq!(rows.rows(), truth.len());
        let n = truth.len() as f64;
        // One cut a day and no horizon beyond a day: no failure is counted twice.
        let curve = survival::nonparametric::KaplanMeier::fit(&rows.observations).unwrap();
        for (edge, &time) in dataset.grid().edges().iter().enumerate().skip(1) {
            let expected = truth.iter().map(|c| c.survival()[edge]).sum::<f64>() / n;
            let seen = curve.survival_at(time);
            // Four binomial deviations; a quarter of the rows is censored within a day.
            let band = 4.0 * (expected * (1.0 - expected) / (0.75 * n)).sqrt();
            assert!(
                (seen - expected).abs() < band,
                "{world:?} at {time} h: {seen} against {expected} ± {band}, {n} rows"
            );
        }
    }
}

#[test]
fn same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = tempfile::tempdir().unwrap();
    let config = SimulatorConfig { workloads: 8, ..small(World::Interaction) };
    built(config.clone(), &folder.path().join("a"));
    built(config.clone(), &folder.path().join("b"));
    built(SimulatorConfig { seed: 2, ..config }, &folder.path().join("c"));
    for file in ["rows/part-00000.parquet", "events.parquet", "truth.parquet", "dataset.json", "README.md"] {
        let read = |name: &str| std::fs::read(folder.path().join(name).join(file)).unwrap();
        assert!(read("a") == read("b"), "{file} differs between equal builds");
        assert!(read("a") != read("c"), "{file} is the same for another seed");
    }
}

#[test]
fn the_oracle_ranks_and_the_control_does_not() {
    for world in [World::LogLinear, World::Interaction] {
        let folder = tempfile::tempdir().unwrap();
        let dataset = built(small(world), &folder.path().join("set"));
        let rows = dataset.rows().unwrap();
        let truth = dataset.truth().unwrap().unwrap();
        let observations: Vec<&Observation> = rows.observations.iter().collect();
        let risk = |curve: &SurvivalCurve| 1.0 - curve.survival()[curve.survival().len() - 1];
        let risks: Vec<f64> = truth.iter().map(risk).collect();
        let oracle = concordance(&observations, &risks);
        assert!(oracle > 0.72, "{world:?}: oracle ranks only {oracle}");

        let control = built(SimulatorConfig { permute_labels: true, ..small(world) }, &folder.path().join("control"));
        assert!(control.truth().unwrap().is_none(), "a control has no truth");
        assert_eq!(control.manifest().permuted_labels, Some(1));
        let shuffled = control.rows().unwrap();
        assert_eq!(shuffled.features.flat().len(), rows.features.flat().len());
        let observations: Vec<&Observation> = shuffled.observations.iter().collect();
        let chance = concordance(&observations, &risks);
        assert!((chance - 0.5).abs() < 0.07, "{world:?}: the control ranks {chance}");
        let multiset = |observations: &[Observation]| {
            let mut counts = BTreeMap::new();
            for observation in observations {
                *counts.entry(format!("{observation:?}")).or_insert(0) += 1;
            }
            counts
        };
        assert_eq!(multiset(&shuffled.observations), multiset(&rows.observations));
    }
}

/// Concordance on the test part of a Cox model fitted on the training part, and of the oracle there.
fn cox_and_oracle(dataset: &Dataset, columns: impl Fn(&LabeledBatch) -> Array2<f64>) -> (f64, f64) {
    let rows = dataset.rows().unwrap();
    let truth = dataset.truth().unwrap().unwrap();
    let (train, test) = (rows.part(Split::Train), rows.part(Split::Test));
    let options = CoxOptions { ridge: 1.0, ..CoxOptions::default() };
    let model = CoxModel::fit(columns(&train).view(), &train.observations, &options).unwrap();
    let risks: Vec<f64> =
        columns(&test).rows().into_iter().map(|row| model.linear_predictor(&row.to_vec()).unwrap()).collect();
    let oracle: Vec<f64> = rows.rows_of(Split::Test).into_iter().map(|row| 1.0 - truth[row].survival()[18]).collect();
    let observations: Vec<&Observation> = test.observations.iter().collect();
    (concordance(&observations, &risks), concordance(&observations, &oracle))
}

/// Every column that the normaliser makes, summaries included.
fn every_column(dataset: &Dataset) -> impl Fn(&LabeledBatch) -> Array2<f64> {
    let train = dataset.rows().unwrap().part(Split::Train);
    let normalizer = Normalizer::fit(dataset.spec(), &train.features).unwrap();
    move |batch| {
        let design = normalizer.design(&batch.features).unwrap();
        let values = design.flat.iter().map(|&value| f64::from(value)).collect();
        Array2::from_shape_vec((design.rows, design.width), values).unwrap()
    }
}

/// The three interactions and the age, read from the raw window by somebody who knows the world.
fn known_interactions(batch: &LabeledBatch) -> Array2<f64> {
    let features = &batch.features;
    let mut columns = Array2::zeros((features.rows(), 4));
    for row in 0..features.rows() {
        let window = features.sequence_row(row);
        let channel = |index: usize| {
            window
                .chunks_exact(features.channels())
                .map(|step| f64::from(step[index]))
                .filter(|v| !v.is_nan())
                .collect()
        };
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let memory = (mean(channel(0)) - 0.5) / 0.13;
        let cpu = (mean(channel(4)) / 3600.0 - 0.45) / 0.12;
        let descriptors = mean(channel(6));
        let class = (descriptors - 400.0).signum();
        let cache: Vec<f64> = channel(2);
        // A slow rise has many small steps up and few large ones down.
        let cubes = cache.windows(2).map(|pair| (100.0 * (pair[1] - pair[0])).powi(3)).collect();
        let flat = features.flat_row(row);
        let tenant = 1.0 - 2.0 * f64::from(flat[11]);
        columns[[row, 0]] = tenant * memory * cpu;
        columns[[row, 1]] = class * (descriptors - 400.0 - 150.0 * class) / 30.0;
        columns[[row, 2]] = -mean(cubes).signum();
        columns[[row, 3]] = f64::from(flat[0]).max(1.0).ln();
    }
    columns
}

#[test]
fn each_world_is_won_by_the_model_that_fits_it() {
    let folder = tempfile::tempdir().unwrap();
    let log_linear =
        built(SimulatorConfig { workloads: 200, ..SimulatorConfig::default() }, &folder.path().join("linear"));
    let (cox, oracle) = cox_and_oracle(&log_linear, every_column(&log_linear));
    println!("log-linear: Cox {cox:.4}, oracle {oracle:.4}");
    assert!(oracle > 0.75 && cox > oracle - 0.03, "Cox {cox} is at home here, the oracle ranks {oracle}");

    let config = SimulatorConfig { world: World::Interaction, workloads: 200, ..SimulatorConfig::default() };
    let interaction = built(config, &folder.path().join("interaction"));
    let (cox, oracle) = cox_and_oracle(&interaction, every_column(&interaction));
    println!("interaction: Cox {cox:.4}, oracle {oracle:.4}");
    assert!(oracle > 0.75 && cox < 0.62, "Cox {cox} sees no main effects, the oracle ranks {oracle}");
    let (known, oracle) = cox_and_oracle(&interaction, known_interactions);
    println!("interaction: with the interactions known {known:.4}, oracle {oracle:.4}");
    assert!(known > oracle - 0.05, "the window holds what the oracle knows: {known} of {oracle}");
}

#[test]
fn a_group_is_never_in_two_parts() {
    let folder = tempfile::tempdir().unwrap();
    let rows = built(small(World::LogLinear), &folder.path().join("set")).rows().unwrap();
    let mut parts = BTreeMap::new();
    for (group, split) in rows.groups.iter().zip(&rows.splits) {
        assert_eq!(parts.entry(group.clone()).or_insert(*split), split, "{group}");
    }
}

#[test]
fn a_config_that_contradicts_itself_is_refused_with_both_values() {
    let error = Simulator::new(SimulatorConfig { cut_every_minutes: 7, ..SimulatorConfig::default() }).unwrap_err();
    assert!(error.to_string().contains("cut_every_minutes (7)"), "{error}");
    let error = Simulator::new(SimulatorConfig { nodes: 0, ..SimulatorConfig::default() }).unwrap_err();
    assert!(error.to_string().contains("nodes (0)"), "{error}");
    let unknown: Result<SimulatorConfig, _> = serde_json::from_str(r#"{"world":"interaction","wrokloads":3}"#);
    assert!(unknown.unwrap_err().to_string().contains("wrokloads"));
}
