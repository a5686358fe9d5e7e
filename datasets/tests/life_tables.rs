//! Public life tables as they lie beside the project: counts of the READMEs, and the reference results of other programs
//! refitted on the built rows. Ignored where the data is absent.

mod public_data;

use std::time::Instant;

use datasets::benchmark::backblaze_drives::BackblazeDrivesConfig;
use datasets::benchmark::survival_tables::{Covariates, SurvivalTable, SurvivalTablesConfig};
use datasets::benchmark::titan_gpu::{Places, TitanGpuConfig};
use datasets::benchmark::{BackblazeDrives, SurvivalTables, TitanGpu};
use datasets::{Dataset, Silent, Source, build};
use features::{LabeledBatch, Split};
use ndarray::Array2;
use serde_json::Value;
use survival::scores::concordance::harrell;
use survival::{CoxModel, CoxOptions};

use public_data::data;

fn main() {
    public_data::run(&[
        ("tables_have_the_published_rows_and_give_the_reference_likelihood", "survival_tables", tables),
        ("published_splits_are_kept_and_give_the_reference_concordance", "survival_tables", published_splits),
        ("columns_known_from_the_outcome_are_no_covariates", "survival_tables", baseline),
        ("titan_has_the_published_deaths_and_gives_the_reference_likelihood", "titan_gpu", titan),
        ("titan_places_of_the_first_day_differ_where_gpus_moved", "titan_gpu", titan_places),
        ("backblaze_has_the_published_drives_less_those_dropped", "backblaze_drives", backblaze),
    ]);
}

fn built(source: &mut dyn Source) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    build(source, &folder.path().join("set"), &Silent).unwrap();
    let seconds = begin.elapsed().as_secs_f64();
    let dataset = Dataset::open(folder.path().join("set")).unwrap();
    let counts = &dataset.manifest().counts;
    let intervals = dataset.grid().intervals();
    let name = source.name();
    println!(
        "{name}: {} rows, {} failures, {intervals} intervals, built in {seconds:.2} s",
        counts.rows, counts.failures
    );
    assert!((20..=32).contains(&intervals), "{name}: {:?}", dataset.grid().edges());
    dataset.verify(&Silent).unwrap();
    (folder, dataset)
}

fn table(table: SurvivalTable, covariates: Covariates, complete_cases: bool) -> (tempfile::TempDir, Dataset) {
    let config = SurvivalTablesConfig { from: data("survival_tables"), table, covariates, complete_cases };
    built(&mut SurvivalTables::open(&config).unwrap())
}

/// Numbers of other programs on the same tables.
fn reference(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(data(path)).unwrap()).unwrap()
}

/// Columns of these names (all where none are given) of these rows, as Cox takes them.
fn design(dataset: &Dataset, rows: &LabeledBatch, names: &[&str]) -> Array2<f64> {
    let flat = &dataset.spec().flat;
    let columns: Vec<usize> =
        (0..flat.len()).filter(|&at| names.is_empty() || names.contains(&flat[at].name.as_str())).collect();
    assert!(names.is_empty() || names.len() == columns.len());
    Array2::from_shape_fn((rows.rows(), columns.len()), |(row, column)| {
        f64::from(rows.features.flat_row(row)[columns[column]])
    })
}

fn cox(dataset: &Dataset, rows: &LabeledBatch, names: &[&str]) -> CoxModel {
    CoxModel::fit(design(dataset, rows, names).view(), &rows.observations, &CoxOptions::default()).unwrap()
}

fn failures(rows: &LabeledBatch) -> usize {
    rows.observations.iter().filter(|observation| observation.failed()).count()
}

fn close(got: f64, expected: &Value, tolerance: f64, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((got - expected).abs() <= tolerance, "{what}: {got}, expected {expected}");
}

fn tables() {
    let expected = [
        (SurvivalTable::Gbsg2, "GBSG2", 686, 299),
        (SurvivalTable::Flchain, "flchain", 7871, 2166),
        (SurvivalTable::Nwtco, "nwtco", 4028, 571),
        (SurvivalTable::Support2, "support2", 8873, 6036),
        (SurvivalTable::Veteran, "veteran", 137, 128),
        (SurvivalTable::Whas500, "whas500", 461, 176),
    ];
    let reference = reference("survival_tables/reference_results.json");
    for (which, key, rows, events) in expected {
        let (_folder, dataset) = table(which, Covariates::Reference, true);
        let counts = &dataset.manifest().counts;
        assert_eq!((counts.rows, counts.failures), (rows, events), "{key}");
        assert_eq!(counts.groups, rows, "{key}: every row is its own group");
        let left_out: u64 = counts.excluded.values().sum();
        assert_eq!(Some(rows + left_out), reference[key]["n_all"].as_u64(), "{key}: {:?}", counts.excluded);
        let all = dataset.rows().unwrap();
        for split in Split::ALL {
            assert!(failures(&all.part(split)) > 0, "{key}: no failure in {}", split.name());
        }
        let cox_reference = &reference[key]["cox_efron_lifelines"];
        let model = cox(&dataset, &all, &[]);
        let likelihood = model.log_likelihood();
        // Features are 32-bit numbers.
        close(likelihood, &cox_reference["loglik"], 1e-6 * likelihood.abs(), key);
    }
}

fn published_splits() {
    let expected = [
        (SurvivalTable::DeepsurvMetabric, "deepsurv_metabric", (1523, 887), (380, 216)),
        (SurvivalTable::DeepsurvGbsg, "deepsurv_gbsg", (1546, 968), (686, 299)),
        (SurvivalTable::DeepsurvSupport, "deepsurv_support", (7098, 4823), (1775, 1213)),
        (SurvivalTable::DeepsurvWhas, "deepsurv_whas", (1310, 552), (328, 138)),
    ];
    let reference = reference("survival_tables/reference_results.json");
    for (which, key, train, test) in expected {
        let (_folder, dataset) = table(which, Covariates::Reference, true);
        let rows = dataset.rows().unwrap();
        let fitted: Vec<usize> = (0..rows.rows()).filter(|&row| rows.splits[row] != Split::Test).collect();
        let (fitted, tested) = (rows.select(&fitted), rows.part(Split::Test));
        assert_eq!((fitted.rows(), failures(&fitted)), train, "{key}");
        assert_eq!((tested.rows(), failures(&tested)), test, "{key}");
        for (row, entity) in rows.features.entities().iter().enumerate() {
            assert_eq!(entity.key().starts_with("test/"), rows.splits[row] == Split::Test, "{entity:?}");
        }
        let share = rows.rows_of(Split::Train).len() as f64 / train.0 as f64;
        assert!((0.70..0.80).contains(&share), "{key}: {share} of the training rows are trained on");
        let model = cox(&dataset, &fitted, &[]);
        let risk: Vec<f64> = design(&dataset, &tested, &[])
            .rows()
            .into_iter()
            .map(|row| model.linear_predictor(row.as_slice().unwrap()).unwrap())
            .collect();
        let concordance = harrell(&tested.observations, &risk).unwrap().index;
        close(concordance, &reference[key]["cox_efron_lifelines"]["test_concordance"], 1e-4, key);
        let notes = dataset.manifest().notes.join("\n");
        assert_eq!(notes.contains("229 of the 328 published test rows"), key == "deepsurv_whas", "{notes}");
    }
}

fn baseline() {
    let (_folder, dataset) = table(SurvivalTable::Support2, Covariates::Baseline, false);
    assert_eq!((dataset.manifest().counts.rows, dataset.manifest().counts.failures), (9105, 6201));
    let rows = dataset.rows().unwrap();
    let mut missing = 0;
    for (at, column) in dataset.spec().flat.iter().enumerate() {
        for outcome in ["surv2m", "surv6m", "sfdm2", "dnr", "charges", "time", "event", "pid"] {
            assert!(!column.name.contains(outcome), "{}", column.name);
        }
        if column.name == "num_urine" {
            missing = (0..rows.rows()).filter(|&row| rows.features.flat_row(row)[at].is_nan()).count();
        }
    }
    assert_eq!(missing, 4862, "missing values stay missing");
    let (_folder, dataset) = table(SurvivalTable::Flchain, Covariates::Baseline, false);
    assert!(
        dataset.spec().flat.iter().all(|column| !column.name.contains("chapter")),
        "the cause of death is no covariate"
    );
}

fn titan() {
    let config = TitanGpuConfig { from: data("titan_gpu"), places: Places::Summary };
    let (_folder, dataset) = built(&mut TitanGpu::open(&config).unwrap());
    let counts = &dataset.manifest().counts;
    assert_eq!((counts.entities, counts.groups), (21_165, 200));
    assert_eq!(counts.events_by_cause, [("dbe".to_owned(), 2562), ("otb".to_owned(), 1004)].into());
    assert_eq!(
        counts.ends_by_reason,
        [("end_of_observation".to_owned(), 13_118), ("planned_end".to_owned(), 4481)].into()
    );
    assert_eq!(counts.rows, 21_165 + 20_833 + 19_460 + 9835 + 6075);
    assert_eq!(counts.failures, 3566 + 3537 + 3417 + 1929 + 982);
    assert_eq!(dataset.readout().horizons, [365.0, 730.0, 1460.0]);
    let rows = dataset.rows().unwrap();
    let births: Vec<usize> = (0..rows.rows()).filter(|&row| rows.features.as_of()[row] == 0).collect();
    let births = rows.select(&births);
    let model = cox(&dataset, &births, &["cage_1", "cage_2", "node_1", "node_2", "node_3", "batch_old"]);
    let likelihood = model.log_likelihood();
    let expected = reference("titan_gpu/reference_cox.json");
    close(likelihood, &expected["cox_efron_lifelines"]["loglik"], 1e-6 * likelihood.abs(), "titan");
    let age = dataset.spec().flat.iter().position(|column| column.name == "age").unwrap();
    for row in 0..rows.rows() {
        let days = rows.features.as_of()[row] / 86_400;
        assert!((f64::from(rows.features.flat_row(row)[age]) - days as f64).abs() < 1e-9);
    }
}

fn titan_places() {
    let attributes = |places| {
        let mut source = TitanGpu::open(&TitanGpuConfig { from: data("titan_gpu"), places }).unwrap();
        let mut seen = Vec::new();
        source
            .histories(&mut |history, _| {
                seen.push((history.group, history.attributes));
                Ok(())
            })
            .unwrap();
        seen
    };
    let (summary, first) = (attributes(Places::Summary), attributes(Places::Intervals));
    let moved = summary.iter().zip(&first).filter(|(summary, first)| summary != first).count();
    assert_eq!((summary.len(), moved), (21_165, 21_165 - 19_924));
}

fn backblaze() {
    let config = BackblazeDrivesConfig { from: data("backblaze_drives") };
    let (_folder, dataset) = built(&mut BackblazeDrives::open(&config).unwrap());
    let counts = &dataset.manifest().counts;
    // Of 63,976 drives 4 end before they begin and 15 on their first day, 4 and 11 of them as failures; 51 came back.
    assert_eq!(counts.entities, 63_976 - 4 - 15);
    assert_eq!(counts.events_by_cause, [("failed".to_owned(), 7183 - 4 - 11 - 51)].into());
    assert_eq!((counts.excluded["time_negative"], counts.excluded["time_zero"]), (4, 15));
    assert_eq!(
        counts.ends_by_reason,
        [
            ("end_of_observation".to_owned(), 10_129 - 1),
            ("maintenance".to_owned(), 51),
            ("planned_end".to_owned(), 46_664 - 3),
        ]
        .into()
    );
    assert_eq!(counts.rows, 63_957 + 62_314 + 56_725 + 31_273);
    assert_eq!(dataset.readout().horizons, [30.0, 365.0, 1095.0]);
    let rows = dataset.rows().unwrap();
    let flat = &dataset.spec().flat;
    let nan = |name: &str| {
        let at = flat.iter().position(|column| column.name == name).unwrap();
        let entities = (0..rows.rows()).filter(|&row| rows.features.flat_row(row)[at].is_nan());
        entities.map(|row| rows.groups[row].clone()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((nan("age"), nan("capacity_terabytes")), (91, 1));
    let mut parts = std::collections::BTreeMap::new();
    for (group, split) in rows.groups.iter().zip(&rows.splits) {
        assert_eq!(parts.entry(group).or_insert(split), &split, "drive {group} is in two parts");
    }
}
