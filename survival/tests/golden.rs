//! Every estimator and score against numbers of outside programs; see `golden/README.md` for their origin.

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;
use serde_json::Value;
use survival::scores::brier::{CensoringWeights, brier_score, integrated_brier_score};
use survival::scores::concordance::{harrell, uno};
use survival::scores::detection::HorizonLabels;
use survival::{
    AalenJohansen, AftOptions, Cause, CensorReason, CoxModel, CoxOptions, DiscreteHazard, HazardOptions, KaplanMeier,
    NelsonAalen, Observation, Outcome, SurvivalCurve, Ties, TimeGrid, TimeUnit, WeibullAft, negative_log_likelihood,
    special,
};

struct Table {
    x: Array2<f64>,
    observations: Vec<Observation>,
    header: csv::StringRecord,
    records: Vec<csv::StringRecord>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join("expected.json")).unwrap()).unwrap()
}

fn load(name: &str) -> Table {
    let mut reader = csv::Reader::from_path(folder().join(format!("{name}.csv"))).unwrap();
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let mut x = Array2::zeros((records.len(), 4));
    let mut observations = Vec::new();
    for (row, record) in records.iter().enumerate() {
        let value = |column: &str| number(&header, record, column);
        for column in 0..4 {
            x[[row, column]] = value(&format!("x{column}"));
        }
        let outcome = match value("cause") as u16 {
            0 => Outcome::Censored(CensorReason::EndOfObservation),
            cause => Outcome::Failed(Cause(cause - 1)),
        };
        observations.push(Observation::try_with_entry(value("duration"), value("entry"), outcome).unwrap());
    }
    Table { x, observations, header, records }
}

fn number(header: &csv::StringRecord, record: &csv::StringRecord, column: &str) -> f64 {
    let position = header.iter().position(|name| name == column).unwrap();
    record[position].parse().unwrap()
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

fn close_all(what: &str, got: &[f64], want: &[f64], absolute: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (index, (g, w)) in got.iter().zip(want).enumerate() {
        close(&format!("{what} {index}"), *g, *w, absolute);
    }
}

fn coefficients_match(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (index, (g, w)) in got.iter().zip(want).enumerate() {
        close(&format!("{what} {index}"), *g, *w, 1e-5 * (1.0 + w.abs()));
    }
}

#[test]
fn kaplan_meier_and_nelson_aalen_match_lifelines() {
    for name in ["ties", "entry"] {
        let (table, want) = (load(name), expected()[name].clone());
        let km = KaplanMeier::fit(&table.observations).unwrap();
        let na = NelsonAalen::fit(&table.observations).unwrap();
        close_all("times", km.times(), &list(&want["kaplan_meier"]["times"]), 0.0);
        close_all("survival", km.survival(), &list(&want["kaplan_meier"]["values"]), 1e-10);
        close_all("hazard", na.cumulative_hazard(), &list(&want["nelson_aalen"]["values"]), 1e-10);
        let (low, high) = (list(&want["interval_low"]), list(&want["interval_high"]));
        for (i, &time) in km.times().iter().enumerate() {
            let (l, h) = km.interval(time, 0.95).unwrap();
            close(&format!("{name}: low at {time}"), l, low[i], 1e-10);
            close(&format!("{name}: high at {time}"), h, high[i], 1e-10);
        }
    }
}

#[test]
fn censoring_distribution_matches_scikit_survival() {
    let want = expected()["ties"]["censoring"].clone();
    let g = KaplanMeier::fit_censoring(&load("ties").observations).unwrap();
    close_all("G", g.survival(), &list(&want["values"]), 1e-10);
}

#[test]
fn aalen_johansen_matches_scikit_survival() {
    let want = expected()["causes"]["incidence"].clone();
    let aj = AalenJohansen::fit(&load("causes").observations, 2).unwrap();
    for (i, time) in list(&want["times"]).into_iter().enumerate() {
        close("first cause", aj.incidence_at(Cause(0), time), list(&want["first"])[i], 1e-10);
        close("second cause", aj.incidence_at(Cause(1), time), list(&want["second"])[i], 1e-10);
    }
}

#[test]
fn cox_with_efron_ties_and_entry_times_matches_lifelines() {
    for name in ["ties", "entry"] {
        let (table, want) = (load(name), expected()[name]["cox_efron"].clone());
        let model = CoxModel::fit(table.x.view(), &table.observations, &CoxOptions::default()).unwrap();
        coefficients_match(name, model.coefficients(), &list(&want["coefficients"]));
        for (got, want) in model.standard_errors().iter().zip(list(&want["standard_errors"])) {
            close(&format!("{name}: standard error"), *got, want, 1e-4 * want);
        }
        let want = float(&want["log_likelihood"]);
        close(&format!("{name}: log-likelihood"), model.log_likelihood(), want, 1e-8 * want.abs());
    }
}

#[test]
fn cox_with_breslow_ties_and_its_baseline_match_scikit_survival() {
    let (table, want) = (load("ties"), expected()["ties"]["cox_breslow"].clone());
    let options = CoxOptions { ties: Ties::Breslow, ..CoxOptions::default() };
    let model = CoxModel::fit(table.x.view(), &table.observations, &options).unwrap();
    coefficients_match("breslow", model.coefficients(), &list(&want["coefficients"]));
    let baseline = &want["baseline_at_zero"];
    for (time, want) in list(&baseline["times"]).into_iter().zip(list(&baseline["values"])) {
        let got = model.cumulative_hazard_at(&[0.0; 4], time).unwrap();
        close(&format!("baseline at {time}"), got, want, 1e-5 * want);
    }
    let options = CoxOptions { ridge: float(&want["ridge"]), ..options };
    let model = CoxModel::fit(table.x.view(), &table.observations, &options).unwrap();
    coefficients_match("ridge", model.coefficients(), &list(&want["ridge_coefficients"]));
}

#[test]
fn weibull_matches_lifelines() {
    for name in ["ties", "entry"] {
        let (table, want) = (load(name), expected()[name]["weibull"].clone());
        let relative =
            |what: &str, got: f64, want: f64| close(&format!("{name}: {what}"), got, want, 1e-4 * want.abs());
        let nothing = Array2::zeros((table.observations.len(), 0));
        let plain = WeibullAft::fit(nothing.view(), &table.observations, &AftOptions::default()).unwrap();
        relative("scale", plain.scale(&[]).unwrap(), float(&want["scale"]));
        relative("shape", plain.shape(), float(&want["shape"]));
        assert!(plain.log_likelihood() >= float(&want["log_likelihood"]) - 1e-4, "{name}");
        let aft = WeibullAft::fit(table.x.view(), &table.observations, &AftOptions::default()).unwrap();
        relative("intercept", aft.intercept(), float(&want["aft_intercept"]));
        relative("shape with covariates", aft.shape(), float(&want["aft_shape"]));
        assert!(aft.log_likelihood() >= float(&want["aft_log_likelihood"]) - 1e-4, "{name}");
        for (got, want) in aft.coefficients().iter().zip(list(&want["aft_coefficients"])) {
            close(&format!("{name}: coefficient"), *got, want, 1e-4 * (1.0 + want.abs()));
        }
    }
}

#[test]
fn discrete_hazard_matches_logistic_regression_on_the_written_out_table() {
    let (table, want) = (load("causes"), expected()["causes"]["discrete"].clone());
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Days, list(&want["edges"])).unwrap());
    let options = HazardOptions { smoothing: 0.0, tolerance: 1e-13, ..HazardOptions::default() };
    let model = DiscreteHazard::fit(table.x.view(), &table.observations, &grid, 2, &options).unwrap();
    for (got, want) in model.intercepts().iter().zip(want["intercepts"].as_array().unwrap()) {
        coefficients_match("intercepts", got, &list(want));
    }
    for (got, want) in model.coefficients().iter().zip(want["coefficients"].as_array().unwrap()) {
        coefficients_match("coefficients", got, &list(want));
    }
    let want = float(&want["log_likelihood"]);
    close("log-likelihood", model.log_likelihood(), want, 1e-8 * want.abs());
    // The reference of the network's loss, on the model's own logits, adds up to the same number.
    let total: f64 = table
        .observations
        .iter()
        .zip(table.x.rows())
        .map(|(o, row)| negative_log_likelihood(&grid, &model.logits(&row.to_vec()).unwrap(), o))
        .sum();
    close("sum of losses", -total, want, 1e-8 * want.abs());
}

struct Scored {
    train: Vec<Observation>,
    test: Vec<Observation>,
    risk: Vec<f64>,
    curves: Vec<SurvivalCurve>,
    times: Vec<f64>,
    want: Value,
}

fn scored() -> Scored {
    let (table, want) = (load("scores"), expected()["scores"].clone());
    let times = list(&want["times"]);
    let grid = Arc::new(
        TimeGrid::try_new(TimeUnit::Days, std::iter::once(0.0).chain(times.iter().copied()).collect()).unwrap(),
    );
    let mut scored = Scored { train: vec![], test: vec![], risk: vec![], curves: vec![], times, want };
    let part = table.header.iter().position(|name| name == "part").unwrap();
    for (observation, record) in table.observations.iter().zip(&table.records) {
        if &record[part] == "train" {
            scored.train.push(*observation);
            continue;
        }
        scored.test.push(*observation);
        scored.risk.push(number(&table.header, record, "risk"));
        let survival = std::iter::once(1.0)
            .chain((0..scored.times.len()).map(|k| number(&table.header, record, &format!("s{k}"))))
            .collect();
        scored.curves.push(SurvivalCurve::from_survival(Arc::clone(&grid), survival).unwrap());
    }
    scored
}

#[test]
fn concordance_matches_lifelines_and_scikit_survival() {
    let s = scored();
    let got = harrell(&s.test, &s.risk).unwrap();
    close("lifelines", got.index, float(&s.want["lifelines_concordance"]), 1e-12);
    let want = &s.want["harrell"];
    close("index", got.index, float(&want["index"]), 1e-12);
    close("concordant", got.concordant, float(&want["concordant"]), 0.0);
    close("discordant", got.discordant, float(&want["discordant"]), 0.0);
    close("tied", got.tied_risk, float(&want["tied_risk"]), 0.0);
    for case in s.want["uno"].as_array().unwrap() {
        let got = uno(&s.train, &s.test, &s.risk, float(&case["tau"])).unwrap();
        close("uno", got.index, float(&case["index"]), 1e-12);
    }
}

#[test]
fn brier_scores_match_scikit_survival() {
    let s = scored();
    let censoring = CensoringWeights::fit(&s.train).unwrap();
    for (k, (&time, want)) in s.times.iter().zip(list(&s.want["brier"])).enumerate() {
        let at: Vec<f64> = s.curves.iter().map(|c| c.survival()[k + 1]).collect();
        close("brier", brier_score(&s.test, &at, time, &censoring).unwrap(), want, 1e-8);
    }
    let got = integrated_brier_score(&s.test, &s.curves, &s.times, &censoring).unwrap();
    close("integrated brier", got, float(&s.want["integrated_brier"]), 1e-8);
}

#[test]
fn weighted_roc_and_precision_recall_match_scikit_learn() {
    let s = scored();
    let censoring = CensoringWeights::fit(&s.train).unwrap();
    for case in s.want["detection"].as_array().unwrap() {
        let horizon = float(&case["horizon"]);
        let risk: Vec<f64> = s.curves.iter().map(|c| c.failure_probability(horizon).unwrap()).collect();
        let labels = HorizonLabels::new(&s.test, horizon, &censoring).unwrap();
        close("roc", labels.roc_auc(&risk).unwrap(), float(&case["roc_auc"]), 1e-10);
        let curve = labels.precision_recall(&risk).unwrap();
        close("average precision", curve.average_precision, float(&case["average_precision"]), 1e-10);
    }
}

#[test]
fn special_functions_match_scipy() {
    let want = expected()["special"].clone();
    let check = |name: &str, evaluate: &dyn Fn(&[f64]) -> f64| {
        for case in want[name].as_array().unwrap() {
            let case = list(case);
            let (value, arguments) = case.split_last().unwrap();
            let got = evaluate(arguments);
            // Far tails are allowed to vanish: 1e-14 absolute is below any p value worth printing.
            close(&format!("{name}{arguments:?}"), got, *value, 1e-10 * value.abs() + 1e-14);
        }
    };
    check("ln_gamma", &|a| special::ln_gamma(a[0]));
    check("gamma_upper", &|a| special::gamma_upper(a[0], a[1]));
    check("chi_square_quantile", &|a| special::chi_square_quantile(a[0], a[1]).unwrap());
    check("normal_quantile", &|a| special::normal_quantile(a[0]).unwrap());
}
