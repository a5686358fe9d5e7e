//! Accelerated-life laws, strata, start–stop rows, robust errors and the test of proportional hazards against numbers of
//! outside programs; see `golden/README.md` for their origin.

use std::path::PathBuf;

use ndarray::{Array2, Axis};
use serde_json::Value;
use survival::{
    AftLaw, AftModel, AftOptions, Cause, CensorReason, CoxDiagnostics, CoxModel, CoxOptions, Observation, Outcome,
    StartStopRows, StratifiedCox, Ties, TimeTransform, TimeVaryingCox, special,
};

const STRATUM: usize = 2;

struct Table {
    x: Array2<f64>,
    observations: Vec<Observation>,
    /// The column `cluster` or `id`, where there is one.
    group: Vec<u64>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join("expected_estimators.json")).unwrap()).unwrap()
}

fn load(name: &str) -> Table {
    let mut reader = csv::Reader::from_path(folder().join(format!("{name}.csv"))).unwrap();
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let place = |column: &str| header.iter().position(|name| name == column);
    let value = |record: &csv::StringRecord, column: &str| record[place(column).unwrap()].parse::<f64>().unwrap();
    let x = Array2::from_shape_fn((records.len(), 4), |(row, column)| value(&records[row], &format!("x{column}")));
    let observations = records
        .iter()
        .map(|record| {
            let outcome = if value(record, "cause") > 0.0 {
                Outcome::Failed(Cause(0))
            } else {
                Outcome::Censored(CensorReason::EndOfObservation)
            };
            Observation::try_with_entry(value(record, "duration"), value(record, "entry"), outcome).unwrap()
        })
        .collect();
    let group = match place("cluster").or_else(|| place("id")) {
        Some(column) => records.iter().map(|record| record[column].parse().unwrap()).collect(),
        None => vec![],
    };
    Table { x, observations, group }
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn close(what: &str, got: f64, want: f64, absolute: f64) {
    assert!((got - want).abs() <= absolute, "{what}: {got} against {want}, off by {:e}", got - want);
}

fn relative_all(what: &str, got: &[f64], want: &[f64], relative: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (index, (g, w)) in got.iter().zip(want).enumerate() {
        close(&format!("{what} {index}"), *g, *w, relative * w.abs());
    }
}

fn coefficients_match(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (index, (g, w)) in got.iter().zip(want).enumerate() {
        close(&format!("{what} {index}"), *g, *w, 1e-5 * (1.0 + w.abs()));
    }
}

fn log_likelihood_matches(what: &str, got: f64, want: &Value) {
    close(&format!("{what}: log-likelihood"), got, float(want), 1e-8 * float(want).abs());
}

#[test]
fn accelerated_life_laws_match_lifelines_with_and_without_late_entry() {
    let expected = expected();
    let times = list(&expected["survival_times"]);
    for name in ["ties", "entry"] {
        let table = load(name);
        let nothing = Array2::zeros((table.observations.len(), 0));
        for law in [AftLaw::Exponential, AftLaw::LogNormal, AftLaw::LogLogistic] {
            let want = &expected["aft"][name][law.name()];
            let what = format!("{name}, {}", law.name());
            let relative =
                |part: &str, got: f64, want: f64| close(&format!("{what}: {part}"), got, want, 1e-4 * want.abs());
            let plain = AftModel::fit(nothing.view(), &table.observations, law, &AftOptions::default()).unwrap();
            relative("scale", plain.scale(&[]).unwrap(), float(&want["scale"]));
            assert!(plain.log_likelihood() >= float(&want["log_likelihood"]) - 1e-4, "{what}");
            close(&format!("{what}: AIC"), plain.aic(), float(&want["aic"]), 1e-3);
            for (&time, s) in times.iter().zip(list(&want["survival"])) {
                relative("survival", plain.survival_at(&[], time).unwrap(), s);
            }
            if !law.has_shape() {
                close(&what, plain.shape(), 1.0, 0.0);
                continue;
            }
            relative("shape", plain.shape(), float(&want["shape"]));
            let aft = AftModel::fit(table.x.view(), &table.observations, law, &AftOptions::default()).unwrap();
            relative("intercept", aft.intercept(), float(&want["aft_intercept"]));
            relative("shape with covariates", aft.shape(), float(&want["aft_shape"]));
            assert!(aft.log_likelihood() >= float(&want["aft_log_likelihood"]) - 1e-4, "{what}");
            for (got, want) in aft.coefficients().iter().zip(list(&want["aft_coefficients"])) {
                close(&format!("{what}: coefficient"), *got, want, 1e-4 * (1.0 + want.abs()));
            }
            let first = table.x.row(0).to_vec();
            for (&time, s) in times.iter().zip(list(&want["aft_survival_of_first_row"])) {
                close(&format!("{what}: survival of a row"), aft.survival_at(&first, time).unwrap(), s, 2e-4);
            }
        }
    }
}

#[test]
fn the_tail_of_the_normal_law_matches_scipy_far_beyond_underflow() {
    for case in expected()["normal_tail"].as_array().unwrap() {
        let case = list(case);
        close(
            &format!("at {}", case[0]),
            special::ln_normal_survival(case[0]),
            case[1],
            1e-13 * case[1].abs() + 1e-300,
        );
    }
}

#[test]
fn strata_match_lifelines() {
    for name in ["ties", "entry"] {
        let (table, want) = (load(name), expected()["strata"][name].clone());
        let model =
            StratifiedCox::fit(table.x.view(), &table.observations, &[STRATUM], &CoxOptions::default()).unwrap();
        coefficients_match(name, model.coefficients(), &list(&want["coefficients"]));
        relative_all(name, model.standard_errors(), &list(&want["standard_errors"]), 1e-4);
        log_likelihood_matches(name, model.log_likelihood(), &want["log_likelihood"]);
    }
}

#[test]
fn cluster_robust_errors_match_lifelines() {
    let (table, want) = (load("clusters"), expected());
    let model = CoxModel::fit(table.x.view(), &table.observations, &CoxOptions::default()).unwrap();
    let diagnostics = model.diagnostics(table.x.view(), &table.observations).unwrap();
    let clustered = diagnostics.robust_errors(&table.group).unwrap();
    assert_eq!(clustered.clusters, 60);
    relative_all("clustered", &clustered.standard_errors, &list(&want["clustered"]["standard_errors"]), 1e-4);
    let each: Vec<usize> = (0..table.observations.len()).collect();
    let robust = diagnostics.robust_errors(&each).unwrap();
    relative_all("robust", &robust.standard_errors, &list(&want["robust"]["standard_errors"]), 1e-4);

    let want = &want["clustered_strata"];
    let model = StratifiedCox::fit(table.x.view(), &table.observations, &[STRATUM], &CoxOptions::default()).unwrap();
    coefficients_match("strata", model.coefficients(), &list(&want["coefficients"]));
    let diagnostics = model.diagnostics(table.x.view(), &table.observations).unwrap();
    let errors = diagnostics.robust_errors(&table.group).unwrap().standard_errors;
    relative_all("clustered, strata", &errors, &list(&want["standard_errors"]), 1e-4);
}

#[test]
fn robust_errors_and_score_residuals_with_ties_and_late_entry_match_statsmodels() {
    let options = CoxOptions { ties: Ties::Breslow, ..CoxOptions::default() };
    for (name, file, strata) in [("ties", "ties", false), ("entry", "entry", false), ("entry_strata", "entry", true)] {
        let (table, want) = (load(file), expected()["breslow_groups"][name].clone());
        let strata: &[usize] = if strata { &[STRATUM] } else { &[] };
        let model = StratifiedCox::fit(table.x.view(), &table.observations, strata, &options).unwrap();
        coefficients_match(name, model.coefficients(), &list(&want["coefficients"]));
        log_likelihood_matches(name, model.log_likelihood(), &want["log_likelihood"]);
        let diagnostics = model.diagnostics(table.x.view(), &table.observations).unwrap();
        let groups: Vec<usize> = (0..table.observations.len()).map(|row| row % 30).collect();
        let errors = diagnostics.robust_errors(&groups).unwrap().standard_errors;
        relative_all(name, &errors, &list(&want["robust_standard_errors"]), 1e-4);
        if strata.is_empty() {
            for (row, want) in want["score_residuals"].as_array().unwrap().iter().enumerate() {
                for (got, want) in diagnostics.score_residuals().row(row).iter().zip(list(want)) {
                    close(&format!("{name}: score residual of row {row}"), *got, want, 1e-4 * (1.0 + want.abs()));
                }
            }
        }
    }
}

fn test_matches(what: &str, diagnostics: &CoxDiagnostics, want: &Value) {
    for (key, transform) in
        [("rank", TimeTransform::Rank), ("km", TimeTransform::KaplanMeier), ("identity", TimeTransform::Identity)]
    {
        let Some(want) = want.get(key) else { continue };
        let got = diagnostics.proportional_hazards(transform).unwrap();
        relative_all(&format!("{what}, {key}: statistic"), &got.statistics, &list(&want["statistics"]), 1e-4);
        for (got, want) in got.p_values.iter().zip(list(&want["p_values"])) {
            close(&format!("{what}, {key}: p"), *got, want, 1e-5);
        }
    }
}

#[test]
fn schoenfeld_residuals_and_the_test_of_proportional_hazards_match_lifelines() {
    let expected = expected();
    for name in ["clusters", "ties"] {
        let table = load(name);
        let model = CoxModel::fit(table.x.view(), &table.observations, &CoxOptions::default()).unwrap();
        let diagnostics = model.diagnostics(table.x.view(), &table.observations).unwrap();
        let want = expected["schoenfeld"][name].as_array().unwrap();
        assert_eq!(diagnostics.schoenfeld_residuals().nrows(), want.len(), "{name}");
        for (got, want) in diagnostics.schoenfeld_residuals().rows().into_iter().zip(want) {
            for (got, want) in got.iter().zip(list(want)) {
                close(&format!("{name}: Schoenfeld residual"), *got, want, 1e-4 * (1.0 + want.abs()));
            }
        }
        test_matches(name, &diagnostics, &expected["proportional"][name]);
    }
    let table = load("clusters");
    let model = StratifiedCox::fit(table.x.view(), &table.observations, &[STRATUM], &CoxOptions::default()).unwrap();
    let diagnostics = model.diagnostics(table.x.view(), &table.observations).unwrap();
    test_matches("strata", &diagnostics, &expected["proportional"]["clusters_strata"]);
    // With one covariate the test over all covariates is the test of that one.
    let one = table.x.select(Axis(1), &[0]);
    let model = CoxModel::fit(one.view(), &table.observations, &CoxOptions::default()).unwrap();
    let diagnostics = model.diagnostics(one.view(), &table.observations).unwrap();
    let test = diagnostics.proportional_hazards(TimeTransform::KaplanMeier).unwrap();
    close("global", test.global_statistic, test.statistics[0], 1e-10 * test.global_statistic);
}

#[test]
fn start_stop_rows_match_lifelines() {
    let table = load("start_stop");
    let rows = StartStopRows::try_new(table.x.view(), &table.observations, &table.group).unwrap();
    assert_eq!(rows.count(), 220);
    for (name, strata) in [("plain", &[][..]), ("strata", &[STRATUM][..])] {
        let want = expected()["time_varying"][name].clone();
        let model = TimeVaryingCox::fit(&rows, strata, &CoxOptions::default()).unwrap();
        coefficients_match(name, model.cox().coefficients(), &list(&want["coefficients"]));
        relative_all(name, model.cox().standard_errors(), &list(&want["standard_errors"]), 1e-4);
        log_likelihood_matches(name, model.cox().log_likelihood(), &want["log_likelihood"]);
    }
}
