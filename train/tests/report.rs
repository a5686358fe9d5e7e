//! A report on one bundle holds every block, needs nothing beside it, and refuses what it cannot judge.

mod common;

use std::path::{Path, PathBuf};

use datasets::simulator::World;
use datasets::{Dataset, Silent};
use features::{LabeledBatch, Split};
use model::{DeviceChoice, LoadedBundle, ModelKind};
use train::TrainConfig;
use train::evaluate::EvaluateConfig;
use train::examine::{ExamineConfig, FLOOR, Request, examine, tables};
use train::pipeline::train_bundles;
use train::report::render_bundle;

fn quick() -> ExamineConfig {
    ExamineConfig {
        bootstrap: EvaluateConfig { replicates: 200, rank_replicates: 20, seed: 7 },
        attributed_rows: 12,
        permuted_rows: 600,
        permutation_repeats: 1,
        smallest_slice: 30,
        ..ExamineConfig::default()
    }
}

fn train(dataset: &Dataset, rows: &LabeledBatch, kinds: &[ModelKind], folder: &Path) -> Vec<(PathBuf, LoadedBundle)> {
    let mut config = TrainConfig { device: DeviceChoice::Cpu, ..TrainConfig::default() };
    (config.fit.epochs, config.fit.patience) = (3, 2);
    let place = |kind: ModelKind| folder.join(kind.name());
    let trained = train_bundles(dataset, rows, kinds, &config, &place, &Silent).unwrap();
    trained.into_iter().map(|t| (t.dir.clone(), LoadedBundle::load(&t.dir, DeviceChoice::Cpu).unwrap())).collect()
}

const BLOCKS: [&str; 22] = [
    "Comparison",
    "Paired differences",
    "Model card",
    "Data card",
    "When the parts lie",
    "How long rows are followed",
    "Missing values",
    "Reliability",
    "Before and after calibration",
    "D-calibration",
    "Incidence per cause",
    "Survival",
    "Cumulative incidence",
    "Brier score over time",
    "Precision and recall",
    "Lead time within a budget of alarms",
    "Cost of acting",
    "Predicted against true remaining life",
    "By cause",
    "Shares of the inputs",
    "Check by deletion",
    "Worth of each metric",
];

#[test]
fn every_block_is_there_and_nothing_is_loaded_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::LogLinear, 80, false);
    let rows = dataset.rows().unwrap();
    let bundles = train(&dataset, &rows, &[ModelKind::HazardNet, ModelKind::Cox], folder.path());
    let [(dir, bundle), (_, other)] = <[_; 2]>::try_from(bundles).ok().unwrap();
    let against = [other];
    let request = Request {
        dataset: &dataset,
        rows: &rows,
        part: Split::Test,
        bundle: &bundle,
        dir: &dir,
        against: &against,
        later: Some((&dataset, &rows)),
    };
    let found = examine(&request, &quick(), &Silent).unwrap();

    assert_eq!(found.evaluation.models[0].name, "hazard-net");
    assert_eq!(found.evaluation.models[1].name, FLOOR);
    assert_eq!(found.evaluation.models.len(), 3);
    assert!(found.bundle.parameters.is_some_and(|n| n > 10_000));
    // The same rows in parts add up to the whole.
    let judged = found.evaluation.rows;
    assert_eq!(judged, rows.rows_of(Split::Test).len());
    let tenths = |counts: &[f64]| counts.iter().sum::<f64>();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
    let rows_of_part = judged as f64;
    assert!((tenths(&found.calibration.after.d_counts) - rows_of_part).abs() < 1e-6);
    assert!((tenths(&found.calibration.before.d_counts) - rows_of_part).abs() < 1e-6);
    assert_eq!(found.at_risk.all[0], judged);
    for (at, all) in found.at_risk.all.iter().enumerate() {
        assert_eq!(*all, found.at_risk.quarters.iter().map(|q| q[at]).sum::<usize>());
    }
    for of in &found.incidence {
        assert_eq!(of.groups.iter().map(|g| g.0).sum::<usize>(), judged);
    }
    // What is served is what the comparison judged.
    let served = found.calibration.after.integrated_brier.estimate;
    assert!((served - found.evaluation.models[0].integrated_brier.estimate).abs() < 1e-12);
    // Never acting costs what running to failure does, so that the best threshold costs no more; perfect costs the ratio.
    let detection = found.detection.as_ref().unwrap();
    for curve in &detection.costs {
        assert!(curve.best[1] <= 1.0 + 1e-12 && curve.best[1] >= curve.ratio - 1e-12, "{curve:?}");
        assert!(curve.at_high >= curve.best[1] - 1e-12 && curve.at_ratio >= curve.best[1] - 1e-12, "{curve:?}");
    }
    for pair in detection.budgets.windows(2) {
        assert!(pair[0].caught <= pair[1].caught && pair[0].level >= pair[1].level, "{pair:?}");
    }
    for budget in &detection.budgets {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
        let share = budget.alarms as f64 / rows_of_part;
        assert!(share <= budget.budget + 1e-12, "{budget:?}");
    }

    let page = render_bundle(&found, "page.data");
    for block in BLOCKS {
        let heading = page.contains(&format!("<h2>{block}</h2>")) || page.contains(&format!("<h3>{block}</h3>"));
        assert!(heading, "{block} is missing");
    }
    for block in ["Skill by slice", "Shares along the window", "One row explained", "Population stability"] {
        assert!(page.contains(block), "{block} is missing");
    }
    for outside in ["http", "src=", "href=", "url(", "<script", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("NaN"), "{}", page.split("NaN").next().unwrap().lines().last().unwrap());
    for drawing in page.split("<svg").skip(1) {
        assert!(!drawing.split("</svg>").next().unwrap().contains("inf"));
    }
    let verdict = page.split("<p class=\"verdict\">").nth(1).and_then(|rest| rest.split("</p>").next()).unwrap();
    assert!(verdict.contains("the floor, Kaplan–Meier of the training part"), "{verdict}");
    assert!(verdict.contains("test rows of simulated-log-linear") && verdict.contains("interval"), "{verdict}");

    let place = folder.path().join("deep").join("page.data");
    let files = tables::write(&found, &place).unwrap();
    assert_eq!(files.len(), std::fs::read_dir(&place).unwrap().count());
    assert!(files.contains(&"drift_later.parquet".to_owned()) && files.len() >= 29, "{files:?}");
    assert!(tables::write(&found, &place).is_err(), "a folder that is there is left alone");
    let all = tables::tables(&found);
    for (name, table) in &all {
        let optional = ["missing", "lead_times"];
        assert!(table.rows() > 0 || optional.contains(name), "{name} is empty");
    }
}

#[test]
fn what_cannot_be_judged_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::LogLinear, 60, false);
    let rows = dataset.rows().unwrap();
    let bundles = train(&dataset, &rows, &[ModelKind::Cox], folder.path());
    let (dir, bundle) = &bundles[0];
    let request = Request { dataset: &dataset, rows: &rows, part: Split::Test, bundle, dir, against: &[], later: None };
    let refused = |request: &Request<'_>| examine(request, &quick(), &Silent).unwrap_err().to_string();

    let mut none = rows.clone();
    for split in &mut none.splits {
        if *split == Split::Test {
            *split = Split::Calibration;
        }
    }
    let message = refused(&Request { rows: &none, ..request });
    assert!(message.contains("the test part of simulated-log-linear has no rows"), "{message}");

    // The other world knows one column more.
    let other = common::fleet(&folder.path().join("other"), World::Interaction, 12, false);
    let other_rows = other.rows().unwrap();
    let message = refused(&Request { dataset: &other, rows: &other_rows, ..request });
    assert!(message.contains("expects feature spec") && message.contains("simulated-interaction"), "{message}");
    let message = refused(&Request { later: Some((&other, &other_rows)), ..request });
    assert!(message.contains("simulated-interaction"), "{message}");

    // Rows that all live: nothing to judge by, and one error instead of a page of gaps.
    let mut alive = rows.clone();
    for (observation, split) in alive.observations.iter_mut().zip(&alive.splits) {
        if *split == Split::Test {
            let outcome = survival::Outcome::Censored(survival::CensorReason::EndOfObservation);
            *observation = survival::Observation::try_new(observation.duration(), outcome).unwrap();
        }
    }
    let message = refused(&Request { rows: &alive, ..request });
    assert!(message.contains("censored") || message.contains("failure"), "{message}");
}
