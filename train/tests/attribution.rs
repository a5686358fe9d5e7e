//! Shares of a prediction: they sum to what they share out, agree with the exact answer where there is one, and say where the
//! prediction really rests.

mod common;

use std::sync::Arc;

use datasets::Silent;
use datasets::simulator::World;
use features::{Design, LabeledBatch, Split};
use model::{CurveModel, DeviceChoice, LoadedBundle, ModelKind};
use survival::{CensoringWeights, SurvivalCurve, TimeGrid, TimeUnit};
use train::TrainConfig;
use train::attribution::{Attribution, Inputs, Method, Scorer, attribute, explain, overall, tolerance};
use train::importance::{Judge, permutation_importance};
use train::pipeline::train_bundles;

/// S(t) = exp(−t·e^η) with η linear in the flat columns, and one column that a rule steps on.
struct Exponential {
    grid: Arc<TimeGrid>,
    slopes: Vec<f64>,
    step: f64,
}

impl CurveModel for Exponential {
    fn curves(&self, design: &Design) -> model::Result<Vec<SurvivalCurve>> {
        let mut curves = Vec::new();
        for row in design.flat.chunks_exact(design.width) {
            let linear: f64 = self.slopes.iter().zip(row).map(|(b, &x)| b * f64::from(x)).sum();
            let eta = linear - 2.0 + if row[0] > 0.55 { self.step } else { 0.0 };
            let survival = self.grid.edges().iter().map(|t| (-t * eta.exp()).exp()).collect();
            curves.push(SurvivalCurve::from_survival(self.grid.clone(), survival)?);
        }
        Ok(curves)
    }
}

fn exponential(step: f64) -> (model::BundlePredictor, Design, Vec<f64>) {
    let folder = tempfile::tempdir().unwrap();
    // Only the type needs a normaliser; designs here are made by hand.
    let dataset = common::fleet(&folder.path().join("fleet"), World::LogLinear, 12, false);
    let normalizer = features::Normalizer::fit(dataset.spec(), &dataset.rows().unwrap().features).unwrap();
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 1.0, 2.0, 4.0]).unwrap());
    let slopes = vec![0.8, -0.5, 0.0, 0.3];
    let model = Exponential { grid, slopes: slopes.clone(), step };
    let predictor = model::BundlePredictor::new(normalizer, Box::new(model), model::Calibration::identity(1));
    let flat = vec![1.0_f32, 2.0, 3.0, 0.0];
    let design = Design { rows: 1, width: 4, flat, steps: 2, channels: 1, sequence: vec![1.0, -1.0] };
    (predictor, design, slopes)
}

#[test]
fn a_linear_predictor_shares_in_proportion_to_its_terms() {
    let (predictor, design, slopes) = exponential(0.0);
    let scorer = Scorer::new(&predictor, 2.0);
    assert_eq!(scorer.method(), Method::StepwiseDifferences);
    let found = &attribute(&scorer, &design, &[0]).unwrap()[0];
    // F depends on η alone, so that the integrated gradient of term j is exactly β_j·x_j/Σβx of the difference.
    let terms: Vec<f64> = slopes.iter().zip(&design.flat).map(|(b, &x)| b * f64::from(x)).collect();
    let difference = found.prediction - found.baseline;
    let total: f64 = terms.iter().sum();
    for (share, term) in found.flat.iter().zip(&terms) {
        // Second order in a stretch of an eighth.
        assert!((share - difference * term / total).abs() < 2e-3, "{share} against {}", difference * term / total);
    }
    assert!(found.gap.abs() < 1e-12, "{}", found.gap);
    assert!(!found.window && found.sequence.iter().all(|share| share.abs() < 1e-15), "the window is not read");
}

#[test]
fn a_step_goes_to_the_input_that_takes_it() {
    let (predictor, design, _) = exponential(1.5);
    let scorer = Scorer::new(&predictor, 2.0);
    let with = &attribute(&scorer, &design, &[0]).unwrap()[0];
    let (predictor, design, _) = exponential(0.0);
    let without = &attribute(&Scorer::new(&predictor, 2.0), &design, &[0]).unwrap()[0];
    assert!(with.gap.abs() < 1e-12);
    assert!(with.flat[0] > without.flat[0] + 0.1, "{} against {}", with.flat[0], without.flat[0]);
    assert!(with.flat[2].abs() < 1e-15, "a column without slope has no share");
    let refused = attribute(&scorer_of(&predictor), &design, &[1]).unwrap_err().to_string();
    assert!(refused.contains("row 1 of a batch of 1"), "{refused}");
    assert!(attribute(&Scorer::new(&predictor, 9.0), &design, &[0]).is_err(), "beyond the grid");
}

fn scorer_of(predictor: &model::BundlePredictor) -> Scorer<'_> {
    Scorer::new(predictor, 2.0)
}

/// Bundles of a small fleet, and its test part.
fn bundles(kinds: &[ModelKind]) -> (LabeledBatch, LabeledBatch, Vec<LoadedBundle>) {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::LogLinear, 120, false);
    let rows = dataset.rows().unwrap();
    let mut config = TrainConfig { device: DeviceChoice::Cpu, ..TrainConfig::default() };
    (config.fit.epochs, config.fit.patience) = (6, 3);
    let place = |kind: ModelKind| folder.path().join(kind.name());
    let trained = train_bundles(&dataset, &rows, kinds, &config, &place, &Silent).unwrap();
    let loaded = trained.iter().map(|t| LoadedBundle::load(&t.dir, DeviceChoice::Cpu).unwrap()).collect();
    (rows.part(Split::Train), rows.part(Split::Test), loaded)
}

#[test]
fn shares_are_complete_true_of_the_model_and_find_what_it_reads() {
    let (train, test, bundles) = bundles(&[ModelKind::HazardNet, ModelKind::Cox, ModelKind::KaplanMeier]);
    let rows: Vec<usize> = (0..24).map(|at| at * test.rows() / 24).collect();
    for bundle in &bundles[..2] {
        let horizon = bundle.info().alarms.horizon;
        let found = overall(bundle, &test.features, &rows, horizon, 5).unwrap();
        println!("{}: {} rows, largest gap {:.1e}", bundle.info().name, found.rows, found.largest_gap);
        println!("{:>8} {:>10} {:>10}", "inputs", "top", "random");
        let curve = &found.deletion;
        for ((k, top), random) in curve.replaced.iter().zip(&curve.top).zip(&curve.random) {
            println!("{k:>8} {top:>10.4} {random:>10.4}");
        }
        // Completeness of every row, within the stated tolerance.
        let predictor = bundle.predictor();
        let design = predictor.normalizer().design(&test.features.select(&rows)).unwrap();
        let all: Vec<usize> = (0..design.rows).collect();
        let attributions: Vec<Attribution> = attribute(&Scorer::new(predictor, horizon), &design, &all).unwrap();
        for a in &attributions {
            let total: f64 = a.flat.iter().chain(&a.sequence).sum();
            let miss = (total - (a.prediction - a.baseline)).abs();
            assert!(miss <= tolerance(a.prediction, a.baseline), "{miss} of {}", a.prediction - a.baseline);
        }
        // Groups lose nothing of it.
        let inputs = Inputs::new(&bundle.info().spec, predictor.normalizer());
        let grouped: f64 = inputs.totals(&attributions[0]).iter().sum();
        let single: f64 = attributions[0].flat.iter().chain(&attributions[0].sequence).sum();
        assert!((grouped - single).abs() < 1e-9);
        // Deletion: at every step short of all, the top inputs move the prediction further than random ones.
        let last = curve.replaced.len() - 1;
        for at in 0..last {
            assert!(curve.top[at] > curve.random[at], "{} inputs: {curve:?}", curve.replaced[at]);
        }
        assert!((curve.top[last] - curve.random[last]).abs() < 1e-6, "all inputs are all inputs: {curve:?}");
        assert!(curve.advantage() > 0.2, "{}", curve.advantage());
    }

    // The network, walked like any other model, gives its shares to the same inputs.
    let network = bundles[0].predictor();
    let inner = network.model().network().unwrap().clone();
    let horizon = bundles[0].info().alarms.horizon;
    let riskiest = riskiest(&test, &bundles[0], horizon);
    let design = network.normalizer().design(&test.features.select(&[riskiest])).unwrap();
    let by_gradient = attribute(&Scorer::new(network, horizon), &design, &[0]).unwrap().swap_remove(0);
    let hidden = model::BundlePredictor::new(
        network.normalizer().clone(),
        Box::new(Hidden(
            model::neural::Neural::try_new(
                inner,
                bundles[0].info().grid.clone(),
                burn::tensor::Device::flex(),
                design.width,
                (design.steps, design.channels),
            )
            .unwrap(),
        )),
        network.calibration().clone(),
    );
    let scorer = Scorer::new(&hidden, horizon);
    assert_eq!(scorer.method(), Method::StepwiseDifferences);
    let by_steps = attribute(&scorer, &design, &[0]).unwrap().swap_remove(0);
    let inputs = Inputs::new(&bundles[0].info().spec, network.normalizer());
    let span = (by_gradient.prediction - by_gradient.baseline).abs();
    for ((group, _), (a, b)) in
        inputs.groups().iter().zip(inputs.totals(&by_gradient).iter().zip(inputs.totals(&by_steps)))
    {
        assert!((a - b).abs() <= 0.05 * span + 1e-4, "{group}: {a} against {b} of {span}");
    }

    // A life table rests on nothing.
    let table = &bundles[2];
    let explanation = explain(table, &test.features, riskiest, horizon).unwrap();
    assert!(explanation.contributions.iter().all(|c| c.share.abs() < 1e-12));

    // Memory drives the hazard of this world: shuffling it hurts, the life table loses nothing.
    let censoring = CensoringWeights::fit(&train.observations).unwrap();
    let times: Vec<f64> = bundles[0].info().grid.edges()[1..].to_vec();
    let times = censoring.allowed_times(&times);
    let judge = Judge { rows: &test, censoring: &censoring, times: &times, replicates: 200, repeats: 1, seed: 3 };
    let worth = permutation_importance(&bundles[1], &judge).unwrap();
    assert!(worth[0].loss.difference > 0.0 && worth[0].loss.low > 0.0, "{:?}", worth[0]);
    for group in permutation_importance(table, &judge).unwrap() {
        assert!(group.loss.difference.abs() < 1e-12, "{group:?}");
    }
    let refused = explain(table, &test.features, test.rows(), horizon).unwrap_err().to_string();
    assert!(refused.contains(&format!("no row {}", test.rows())), "{refused}");
    let refused = overall(table, &test.features, &[], horizon, 1).unwrap_err().to_string();
    assert!(refused.contains("no row was chosen"), "{refused}");
}

/// A network that does not say it is one.
struct Hidden(model::neural::Neural);

impl CurveModel for Hidden {
    fn curves(&self, design: &Design) -> model::Result<Vec<SurvivalCurve>> {
        self.0.curves(design)
    }
}

fn riskiest(test: &LabeledBatch, bundle: &LoadedBundle, horizon: f64) -> usize {
    let design = bundle.predictor().normalizer().design(&test.features).unwrap();
    let probabilities = Scorer::new(bundle.predictor(), horizon).probabilities(&design).unwrap();
    (0..probabilities.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap()
}
