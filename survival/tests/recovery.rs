//! Simulated worlds with a known law: the fits must find it again, and no forecast may beat the truth.

use std::sync::Arc;

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use survival::scores::brier::{CensoringWeights, integrated_brier_contributions};
use survival::scores::calibration::d_calibration;
use survival::scores::resampling::ClusterBootstrap;
use survival::{
    AftOptions, Cause, CensorReason, CoxModel, CoxOptions, DiscreteHazard, HazardOptions, KaplanMeier, Observation,
    Outcome, SurvivalCurve, Ties, TimeGrid, TimeUnit, WeibullAft, negative_log_likelihood,
};

const SHAPE: f64 = 1.4;
const SCALE: f64 = 8.0;
/// Effects on the log hazard.
const EFFECTS: [f64; 2] = [0.7, -0.4];

struct World {
    x: Array2<f64>,
    observations: Vec<Observation>,
}

/// Weibull lives with proportional effects; random and administrative censoring; some watched from a later age.
fn world(rows: usize, seed: u64) -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut x = Array2::zeros((rows, 2));
    let mut observations = Vec::with_capacity(rows);
    while observations.len() < rows {
        let row = [rng.random::<f64>() * 3.0 - 1.5, if rng.random::<f64>() < 0.3 { 1.0 } else { 0.0 }];
        let eta: f64 = row.iter().zip(EFFECTS).map(|(x, b)| x * b).sum();
        let life = SCALE * (-(1.0 - rng.random::<f64>()).ln() / eta.exp()).powf(1.0 / SHAPE);
        let watch = (rng.random::<f64>() * 30.0 + 0.1).min(20.0);
        let entry = if rng.random::<f64>() < 0.4 { rng.random::<f64>() * 4.0 } else { 0.0 };
        let duration = life.min(watch);
        if entry >= duration {
            continue;
        }
        let outcome =
            if life <= watch { Outcome::Failed(Cause(0)) } else { Outcome::Censored(CensorReason::EndOfObservation) };
        let place = observations.len();
        x[[place, 0]] = row[0];
        x[[place, 1]] = row[1];
        observations.push(Observation::try_with_entry(duration, entry, outcome).unwrap());
    }
    World { x, observations }
}

#[test]
fn cox_and_weibull_find_the_law_again_under_delayed_entry() {
    let w = world(20_000, 11);
    let cox = CoxModel::fit(w.x.view(), &w.observations, &CoxOptions::default()).unwrap();
    for ((b, truth), se) in cox.coefficients().iter().zip(EFFECTS).zip(cox.standard_errors()) {
        assert!((b - truth).abs() < 4.0 * se, "{b} against {truth}, standard error {se}");
    }
    // Λ(t|x) itself, at x = (0, 0): about 2 % standard error at this size.
    for t in [2.0, 6.0, 12.0] {
        let got = cox.cumulative_hazard_at(&[0.0, 0.0], t).unwrap();
        let truth = (t / SCALE).powf(SHAPE);
        assert!((got / truth - 1.0).abs() < 0.08, "{got} against {truth} at {t}");
    }
    let weibull = WeibullAft::fit(w.x.view(), &w.observations, &AftOptions::default()).unwrap();
    assert!((weibull.shape() / SHAPE - 1.0).abs() < 0.03, "{}", weibull.shape());
    assert!((weibull.scale(&[0.0, 0.0]).unwrap() / SCALE - 1.0).abs() < 0.03);
    // Proportional effects b on the hazard stretch life by −b/ρ.
    assert!((weibull.coefficients()[0] + EFFECTS[0] / SHAPE).abs() < 0.03);
}

#[test]
fn discrete_hazard_finds_a_logistic_world_again() {
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Hours, (0..=8).map(f64::from).collect()).unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let rows = 20_000;
    let mut x = Array2::zeros((rows, 1));
    let mut observations = Vec::new();
    for row in 0..rows {
        x[[row, 0]] = rng.random::<f64>() * 4.0 - 2.0;
        let odds = [(-3.0 + 0.8 * x[[row, 0]]).exp(), (-2.5 - 0.3 * x[[row, 0]]).exp()];
        let total = 1.0 + odds[0] + odds[1];
        let watch = 1 + (rng.random::<f64>() * 8.0) as u32;
        let mut outcome = Outcome::Censored(CensorReason::EndOfObservation);
        let mut end = f64::from(watch);
        for j in 0..watch {
            let u = rng.random::<f64>() * total;
            if u < odds[0] + odds[1] {
                outcome = Outcome::Failed(Cause(u16::from(u >= odds[0])));
                end = f64::from(j) + 0.5;
                break;
            }
        }
        observations.push(Observation::try_new(end, outcome).unwrap());
    }
    let model = DiscreteHazard::fit(x.view(), &observations, &grid, 2, &HazardOptions::default()).unwrap();
    assert!((model.coefficients()[0][0] - 0.8).abs() < 0.06, "{:?}", model.coefficients());
    assert!((model.coefficients()[1][0] + 0.3).abs() < 0.06, "{:?}", model.coefficients());
    for alpha in model.intercepts() {
        assert!((alpha[0] + 3.0).abs() < 0.25 && (alpha[1] + 2.5).abs() < 0.25, "{alpha:?}");
    }
}

#[test]
fn the_curve_of_the_truth_has_the_lowest_integrated_brier_score() {
    let (train, test) = (world(4_000, 21), world(30_000, 22));
    // Scores are for landmarks: units watched from time 0.
    let zero: Vec<usize> = (0..test.observations.len()).filter(|&r| test.observations[r].entry() <= 0.0).collect();
    let x = test.x.select(ndarray::Axis(0), &zero);
    let observations: Vec<Observation> = zero.iter().map(|&r| test.observations[r]).collect();
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Hours, (0..=80).map(|j| f64::from(j) * 0.25).collect()).unwrap());
    let curve = |eta: f64, shape: f64| {
        let s = grid.edges().iter().map(|t| (-(t / SCALE).powf(shape) * eta.exp()).exp()).collect();
        SurvivalCurve::from_survival(Arc::clone(&grid), s).unwrap()
    };
    let with = |factor: f64, shift: f64, shape: f64| -> Vec<SurvivalCurve> {
        x.rows().into_iter().map(|r| curve(factor * (r[0] * EFFECTS[0] + r[1] * EFFECTS[1]) + shift, shape)).collect()
    };
    let truth = with(1.0, 0.0, SHAPE);
    let cox = CoxModel::fit(
        train.x.view(),
        &train.observations,
        &CoxOptions { ties: Ties::Breslow, ..CoxOptions::default() },
    );
    let km = KaplanMeier::fit(&train.observations).unwrap().on_grid(&grid).unwrap();
    let rivals = [
        ("cox", cox.unwrap().survival_on_grid(x.view(), &grid).unwrap()),
        ("kaplan-meier", vec![km; x.nrows()]),
        ("sharper effects", with(1.5, 0.0, SHAPE)),
        ("weaker effects", with(0.6, 0.0, SHAPE)),
        ("pessimist", with(1.0, 0.3, SHAPE)),
        ("wrong shape", with(1.0, 0.0, 1.0)),
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let watched: Vec<Observation> = (0..20_000)
        .map(|_| {
            let watch = (rng.random::<f64>() * 30.0 + 0.1).min(20.0);
            Observation::try_new(watch, Outcome::Censored(CensorReason::EndOfObservation)).unwrap()
        })
        .collect();
    let censoring = CensoringWeights::fit(&watched).unwrap();
    let times: Vec<f64> = (1..=30).map(|k| f64::from(k) * 0.5).collect();
    let score =
        |curves: &[SurvivalCurve]| integrated_brier_contributions(&observations, curves, &times, &censoring).unwrap();
    let best = score(&truth);
    let rows: Vec<String> = (0..best.len()).map(|r| r.to_string()).collect();
    let bootstrap = ClusterBootstrap::new(&rows, 300, 3).unwrap();
    for (name, curves) in &rivals {
        let difference = bootstrap.paired_difference(&score(curves), &best).unwrap();
        // A fitted Cox model comes within noise of the truth; the wrong ones must lose visibly.
        if *name == "cox" {
            assert!(difference.high > 0.0 && difference.difference < 1e-3, "{name}: {difference:?}");
        } else {
            assert!(difference.low > 0.0, "{name}: {difference:?}");
        }
    }
    let d = d_calibration(&observations, &truth, 10).unwrap();
    assert!(d.p_value > 0.001, "truth: {d:?}");
    assert!(d_calibration(&observations, &with(1.0, 0.3, SHAPE), 10).unwrap().p_value < 1e-6);
}

#[test]
fn risk_sets_that_shrink_by_many_orders_keep_their_digits() {
    // Two epochs that never overlap. The likelihood is a product over epochs, so their order cannot matter; but walking
    // back in time, one order subtracts weights near e³⁵ before those near e⁰ are used, 15 digits further down.
    // Several seeds: what is left after a careless subtraction may by chance be negative, and so be noticed.
    for seed in 0..8 {
        epochs_may_change_places(seed);
    }
}

fn epochs_may_change_places(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows: Vec<(bool, f64, f64)> = (0..400)
        .map(|_| {
            let (heavy, x) = (rng.random::<f64>() < 0.5, rng.random::<f64>() * 5.0);
            (heavy, x, (-(1.0 - rng.random::<f64>()).ln() * (-x).exp()).clamp(1e-6, 50.0))
        })
        .collect();
    let fit = |heavy_first: bool| {
        let x = Array2::from_shape_fn((rows.len(), 1), |(r, _)| rows[r].1 + if rows[r].0 { 35.0 } else { 0.0 });
        let observations: Vec<Observation> = rows
            .iter()
            .map(|&(heavy, _, t)| {
                let start = if heavy == heavy_first { 0.0 } else { 100.0 };
                Observation::try_with_entry(start + t, start, Outcome::Failed(Cause(0))).unwrap()
            })
            .collect();
        let model = CoxModel::fit(x.view(), &observations, &CoxOptions::default()).unwrap();
        assert!((model.coefficients()[0] - 1.0).abs() < 0.2, "{:?}", model.coefficients());
        (model.log_likelihood(), model.coefficients()[0])
    };
    let (a, b) = (fit(true), fit(false));
    assert!((a.0 - b.0).abs() < 1e-8 * a.0.abs(), "seed {seed}: {a:?} {b:?}");
    assert!((a.1 - b.1).abs() < 1e-6, "seed {seed}: {a:?} {b:?}");
}

#[test]
fn the_loss_of_one_unit_is_the_one_worked_by_hand() {
    let grid = TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
    // Every interval: survive, cause 0, cause 1 with odds 2 : 1 : 1.
    let logits: Vec<f64> = (0..3).flat_map(|_| [2.0_f64.ln(), 0.0, 0.0]).collect();
    let loss = |duration: f64, entry: f64, outcome: Outcome| {
        negative_log_likelihood(&grid, &logits, &Observation::try_with_entry(duration, entry, outcome).unwrap())
    };
    let (fail, cut) = (Outcome::Failed(Cause(1)), Outcome::Censored(CensorReason::EndOfObservation));
    let (half, quarter) = (2.0_f64.ln(), 4.0_f64.ln());
    let cases = [
        ("fails in the second interval", loss(1.5, 0.0, fail), half + quarter),
        ("fails exactly at an edge: the interval before it", loss(2.0, 0.0, fail), half + quarter),
        ("censored inside the second interval", loss(1.5, 0.0, cut), half),
        ("censored exactly at an edge has survived that interval", loss(2.0, 0.0, cut), 2.0 * half),
        ("fails beyond the grid: censored at its end", loss(9.0, 0.0, fail), 3.0 * half),
        ("enters at an edge", loss(2.5, 1.0, fail), half + quarter),
        ("enters inside an interval, which is left out", loss(2.5, 0.5, fail), half + quarter),
        ("enters and fails inside one interval", loss(0.9, 0.5, fail), 0.0),
        ("enters beyond the grid", loss(9.0, 5.0, cut), 0.0),
    ];
    for (what, got, want) in cases {
        assert!((got - want).abs() < 1e-14, "{what}: {got} against {want}");
    }
    let short = negative_log_likelihood(&grid, &logits[..5], &Observation::try_new(1.0, cut).unwrap());
    assert!(short.is_nan());
}
