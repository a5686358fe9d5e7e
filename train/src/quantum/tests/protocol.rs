//! The protocol on tasks whose answer is known.

use ndarray::Array2;
use survival::PairedInterval;

use super::{close, uniform};
use crate::quantum::experiment::run;
use crate::quantum::generator;
use crate::quantum::preparation::{Components, group_folds};
use crate::quantum::report::{QuantumReport, Role, Verdict, holm};
use crate::quantum::task::{External, Settings, Task, chosen_rows};

struct Made {
    x: Array2<f64>,
    failed: Vec<bool>,
    groups: Vec<String>,
    external: Vec<External>,
}

/// Three rows per group; failing is likelier with x₀ + x₁; the outside score is the true logit.
fn made(rows: usize) -> Made {
    let mut random = generator(17, 0);
    let x = Array2::from_shape_fn((rows, 5), |_| 1.7 * uniform(&mut random));
    let logit: Vec<f64> = x.rows().into_iter().map(|r| 2.0 * (r[0] + r[1]) - 1.0).collect();
    let failed = logit.iter().map(|l| 0.5 * (1.0 + uniform(&mut random)) < 1.0 / (1.0 + (-l).exp())).collect();
    let groups = (0..rows).map(|i| format!("unit {}", i / 3)).collect();
    Made { x, failed, groups, external: vec![External { name: "truth".to_owned(), score: logit, probability: false }] }
}

fn small() -> Settings {
    Settings {
        rows: 120,
        qubits: vec![3],
        layers: 2,
        bandwidths: vec![0.1, 0.4],
        gaussian_scales: vec![0.1, 0.4],
        ridges: vec![0.3, 3.0],
        rates: vec![0.03, 0.1],
        decays: vec![0.0, 1e-2],
        epochs: 10,
        shots: vec![500],
        outer_folds: 3,
        inner_folds: 2,
        replicates: 100,
        repeats: 4,
        ..Settings::default()
    }
}

fn task(made: &Made) -> Task<'_> {
    Task {
        name: "synthetic",
        x: made.x.view(),
        failed: &made.failed,
        groups: &made.groups,
        weights: None,
        external: &made.external,
    }
}

#[test]
fn everyone_learns_a_plain_task_and_nobody_one_of_shuffled_labels() {
    let made = made(150);
    let report = run(&task(&made), &small()).unwrap();
    let size = &report.sizes[0];
    assert_eq!(size.contenders.len(), 19);
    assert_eq!(report.rows.len(), 120);
    let of = |name: &str| size.contenders.iter().find(|c| c.name == name).unwrap();
    // Three of five equal directions are kept, so components lose some of what the whole table and the truth know.
    for name in ["fidelity logistic", "projected logistic", "Gaussian logistic, all columns", "MLP", "circuit", "truth"]
    {
        let c = of(name);
        assert!(c.auprc.estimate > report.prevalence + 0.1, "{name}: {:?}, prevalence {}", c.auprc, report.prevalence);
    }
    assert!(of("truth").brier.is_none());
    for c in &size.shuffled {
        // Standard error of AUPRC at 120 rows is about 0.05.
        assert!((c.auprc.estimate - report.prevalence).abs() < 0.2, "{}: {:?}", c.name, c.auprc);
    }
    for c in size.contenders.iter().filter(|c| c.role != Role::Classical || c.trials > 0) {
        assert_eq!(c.trials, 4, "{}", c.name);
        assert_eq!(c.chosen.len(), 3, "{}", c.name);
        assert!(c.predictions.iter().all(|p| (0.0..=1.0).contains(p)));
    }
    assert_eq!(size.comparisons.iter().filter(|c| c.ablation).count(), 5);
    assert_eq!(size.pretest.len(), 2);
    let stable = |shots: u32, moved: bool| {
        let found = size.stability.iter().find(|r| r.model == "circuit" && r.shots == shots && r.inputs_moved == moved);
        found.unwrap().mean_deviation
    };
    assert!(stable(500, false) > stable(0, true), "500 shots move p(h) more than one percent of the inputs");
    assert!(stable(0, true) > 0.0);

    let again = run(&task(&made), &small()).unwrap();
    let timeless = |report: &QuantumReport| QuantumReport { runtime_seconds: 0.0, ..report.clone() };
    assert_eq!(timeless(&report), timeless(&again), "same seed, same report");
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<QuantumReport>(&text).unwrap(), report);
    assert!(report.text().contains("no row can show a quantum advantage"));
}

#[test]
fn folds_keep_groups_whole_and_share_failures() {
    let groups: Vec<String> = (0..90).map(|i| format!("g{}", i / 3)).collect();
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let failed: Vec<f64> = (0..90).map(|i| f64::from(u8::from(i % 9 == 0))).collect();
    let folds = group_folds(&names, &failed, 5, 3).unwrap();
    for rows in folds.chunks(3) {
        assert!(rows.iter().all(|f| *f == rows[0]));
    }
    for fold in 0..5 {
        let own: Vec<usize> = (0..90).filter(|&row| folds[row] == fold).collect();
        close(own.iter().map(|&row| failed[row]).sum::<f64>(), 2.0, 0.0);
        assert_eq!(own.len(), 18);
    }
    assert!(group_folds(&names, &failed, 1, 3).is_err());
    assert!(group_folds(&names, &failed, 31, 3).is_err());
}

#[test]
fn components_have_unit_spread_where_they_were_learned() {
    let made = made(90);
    let components = Components::fit(made.x.view(), 3).unwrap();
    let z = components.apply(made.x.view());
    let covariance = z.t().dot(&z) / 90.0;
    for ((i, j), value) in covariance.indexed_iter() {
        close(*value, f64::from(u8::from(i == j)), 1e-10);
    }
    assert!(components.explained > 0.5 && components.explained < 1.0);
    assert!(Components::fit(made.x.view(), 6).is_err());
    assert!(Components::fit(Array2::zeros((4, 3)).view(), 1).is_err(), "no column varies");
}

#[test]
fn holm_steps_down() {
    for (got, expected) in holm(&[0.01, 0.04, 0.03, 0.005]).into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(got, expected, 1e-15);
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn a_verdict_follows_the_interval_and_the_margin() {
    let gain =
        |low: f64, high: f64| PairedInterval { difference: 0.5 * (low + high), low, high, level: 0.95, p_value: 0.01 };
    assert_eq!(Verdict::of(&gain(0.02, 0.05), 0.01, 0.01), Verdict::Supported);
    assert_eq!(Verdict::of(&gain(0.02, 0.05), 0.20, 0.01), Verdict::Undecided);
    assert_eq!(Verdict::of(&gain(0.001, 0.05), 0.01, 0.01), Verdict::Undecided);
    assert_eq!(Verdict::of(&gain(-0.005, 0.005), 0.5, 0.01), Verdict::Refuted);
    assert_eq!(Verdict::of(&gain(-0.05, -0.02), 0.01, 0.01), Verdict::Refuted);
    assert_eq!(Verdict::of(&gain(-0.05, 0.005), 0.5, 0.01), Verdict::Undecided);
}

#[test]
fn what_is_no_fair_experiment_is_refused() {
    let made = made(60);
    let whole = task(&made);
    for bad in [
        Settings { gaussian_scales: vec![1.0], ..small() },
        Settings { rates: vec![0.1], ..small() },
        Settings { ridges: vec![], ..small() },
        Settings { qubits: vec![], ..small() },
        Settings { shots: vec![], ..small() },
        Settings { shots: vec![0], ..small() },
        Settings { margin: f64::NAN, ..small() },
        Settings { rows: 5, ..small() },
        Settings { outer_folds: 1, ..small() },
    ] {
        assert!(chosen_rows(&whole, &bad).is_err(), "{bad:?}");
    }
    assert!(run(&whole, &Settings { qubits: vec![6], ..small() }).is_err(), "five columns");
    let healthy = vec![false; 60];
    assert!(run(&Task { failed: &healthy, ..whole }, &small()).is_err());
    assert!(chosen_rows(&Task { failed: &healthy[..59], ..whole }, &small()).is_err());
    let mut x = made.x.clone();
    x[[4, 2]] = f64::NAN;
    let error = chosen_rows(&Task { x: x.view(), ..whole }, &small()).unwrap_err().to_string();
    assert!(error.contains("NaN"), "{error}");
    assert!(chosen_rows(&Task { weights: Some(&[1.0; 59]), ..whole }, &small()).is_err());
    let one = vec!["same".to_owned(); 60];
    assert!(chosen_rows(&Task { groups: &one, ..whole }, &small()).is_err());
}
