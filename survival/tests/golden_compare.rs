//! Tests of comparison and decision scores against numbers of outside programs; see `golden/README.md`.

use std::path::PathBuf;

use ndarray::Array2;
use serde_json::Value;
use survival::compare::corrected_t::corrected_t;
use survival::compare::correlated_bayes::correlated_t;
use survival::compare::delong::{auc_interval, delong};
use survival::compare::diebold_mariano::{LagWindow, diebold_mariano};
use survival::compare::friedman::friedman;
use survival::compare::marginal_homogeneity::stuart_maxwell;
use survival::compare::mcnemar::{McNemarMethod, mcnemar_counts};
use survival::compare::paired_t::paired_t;
use survival::compare::wilcoxon::wilcoxon;
use survival::compare::{adjust, binomial, bootstrap, equivalence};
use survival::scores::alerts::at_false_alarm_rate;
use survival::scores::anomaly_volume::volume_under_pr_surface;
use survival::scores::classification::{Confusion, log_loss, top_k_accuracy};
use survival::scores::detection::HorizonLabels;
use survival::scores::root_cause::{RankedFault, accuracy_at, mean_reciprocal_rank};
use survival::special_beta;

fn expected(part: &str) -> Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/expected_compare.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    all[part].clone()
}

fn cases(part: &str) -> Vec<Value> {
    expected(part).as_array().unwrap().clone()
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn whole(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(float).collect()
}

fn wholes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(whole).collect()
}

fn bools(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|v| v.as_bool().unwrap()).collect()
}

fn table(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(list).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn close(what: &str, got: f64, want: f64, relative: f64) {
    assert!((got - want).abs() <= relative * want.abs() + 1e-14, "{what}: {got} against {want}");
}

fn close_field(case: &Value, field: &str, got: f64, relative: f64) {
    close(field, got, float(&case[field]), relative);
}

#[test]
fn special_functions_match_scipy() {
    let want = expected("special");
    let check = |name: &str, relative: f64, evaluate: &dyn Fn(&[f64]) -> f64| {
        for case in want[name].as_array().unwrap() {
            let case = list(case);
            let (value, arguments) = case.split_last().unwrap();
            close(&format!("{name}{arguments:?}"), evaluate(arguments), *value, relative);
        }
    };
    check("beta", 1e-11, &|a| special_beta::beta_regularised(a[0], a[1], a[2]).unwrap());
    check("beta_quantile", 1e-11, &|a| special_beta::beta_quantile(a[0], a[1], a[2]).unwrap());
    check("student_two_sided", 1e-11, &|a| special_beta::student_t_two_sided(a[0], a[1]).unwrap());
    check("student_quantile", 1e-11, &|a| special_beta::student_t_quantile(a[0], a[1]).unwrap());
    check("binomial_cdf", 1e-11, &|a| special_beta::binomial_cdf(a[0] as usize, a[1] as usize, a[2]).unwrap());
    // scipy integrates the range numerically and promises no more.
    let range = |a: &[f64]| special_beta::studentised_range_survival(a[0], a[1] as usize).unwrap();
    check("studentised_range", 1e-8, &range);
    let quantile = |a: &[f64]| special_beta::studentised_range_quantile(a[0], a[1] as usize).unwrap();
    check("studentised_range_quantile", 1e-7, &quantile);
}

#[test]
fn delong_matches_its_definition_and_two_programs() {
    for case in cases("delong") {
        let (positive, a, b) = (bools(&case["positive"]), list(&case["a"]), list(&case["b"]));
        let got = delong(&positive, &a, &b, 0.95).unwrap();
        for (field, value) in [
            ("auc_a", got.auc_a),
            ("auc_b", got.auc_b),
            ("standard_error", got.standard_error),
            ("statistic", got.statistic),
            ("p_value", got.p_value),
            ("low", got.effect.low),
            ("high", got.effect.high),
        ] {
            close_field(&case, field, value, 1e-9);
        }
        let single = auc_interval(&positive, &a, 0.95).unwrap();
        close_field(&case, "low_a", single.low, 1e-11);
        close_field(&case, "high_a", single.high, 1e-11);
    }
}

#[test]
fn diebold_mariano_matches_its_package() {
    for case in cases("diebold_mariano") {
        let horizon = whole(&case["horizon"]);
        let window = match case["window"].as_str().unwrap() {
            "bartlett" => LagWindow::Bartlett { lags: horizon - 1 },
            _ => LagWindow::Rectangular,
        };
        let got = diebold_mariano(&list(&case["a"]), &list(&case["b"]), horizon, window, 0.95).unwrap();
        close_field(&case, "statistic", got.statistic, 1e-10);
        close_field(&case, "p_value", got.p_value, 1e-9);
    }
}

#[test]
fn mcnemar_matches_statsmodels() {
    for case in cases("mcnemar") {
        let got = mcnemar_counts(whole(&case["only_a"]), whole(&case["only_b"]), whole(&case["rows"]), 0.95).unwrap();
        close_field(&case, "p_value", got.p_value, 1e-11);
        assert_eq!(got.method == McNemarMethod::Exact, case["exact"].as_bool().unwrap());
        // The interval and the exact test are one statement.
        if got.method == McNemarMethod::Exact {
            assert_eq!(got.effect.low > 0.0 || got.effect.high < 0.0, got.p_value < 0.05, "{case}");
        }
    }
}

#[test]
fn marginal_homogeneity_matches_statsmodels() {
    for case in cases("marginal_homogeneity") {
        let got = stuart_maxwell(table(&case["table"]).view()).unwrap();
        close_field(&case, "statistic", got.statistic, 1e-10);
        close_field(&case, "p_value", got.p_value, 1e-10);
        assert_eq!(got.degrees_of_freedom, whole(&case["df"]));
    }
}

#[test]
fn tests_on_folds_match_scipy_and_baycomp() {
    for case in cases("folds") {
        let d = list(&case["differences"]);
        let got = corrected_t(&d, whole(&case["test"]), whole(&case["train"]), 0.95).unwrap();
        for (field, value) in [
            ("standard_error", got.standard_error),
            ("statistic", got.statistic),
            ("p_value", got.p_value),
            ("low", got.effect.low),
            ("high", got.effect.high),
        ] {
            close_field(&case, field, value, 1e-10);
        }
        let got = correlated_t(&d, float(&case["correlation"]), float(&case["rope"])).unwrap();
        for (field, value) in [("above", got.above), ("within", got.within), ("below", got.below)] {
            close_field(&case, field, value, 1e-9);
        }
    }
}

#[test]
fn paired_t_and_equality_match_scipy_and_statsmodels() {
    for case in cases("paired_t") {
        let got = paired_t(&list(&case["a"]), &list(&case["b"]), 0.95).unwrap();
        for (field, value) in
            [("statistic", got.statistic), ("p_value", got.p_value), ("low", got.effect.low), ("high", got.effect.high)]
        {
            close_field(&case, field, value, 1e-10);
        }
        let margin = float(&case["margin"]);
        let equal =
            equivalence::t(got.effect.estimate, got.standard_error, got.degrees_of_freedom, margin, 0.05).unwrap();
        close_field(&case, "equality_p", equal.p_value.unwrap(), 1e-10);
        // Two one-sided tests at 5 % and the 90 % interval are one statement.
        let ninety = paired_t(&list(&case["a"]), &list(&case["b"]), 0.9).unwrap().effect;
        assert_eq!(equivalence::interval(&ninety, margin, 0.05).unwrap().equal, equal.equal);
    }
}

#[test]
fn wilcoxon_matches_scipy_and_the_list_of_all_signs() {
    for case in cases("wilcoxon") {
        let got = wilcoxon(&list(&case["a"]), &list(&case["b"]), 0.95).unwrap();
        close_field(&case, "p_value", got.p_value, 1e-11);
        assert_eq!(got.exact, case["exact"].as_bool().unwrap());
        if case.get("low").is_some() {
            let effect = got.effect.unwrap();
            for (field, value) in [("estimate", effect.estimate), ("low", effect.low), ("high", effect.high)] {
                close_field(&case, field, value, 1e-12);
            }
        }
    }
}

#[test]
fn adjusted_p_values_match_statsmodels() {
    let case = expected("adjust");
    let p = list(&case["p"]);
    for (got, want) in [(adjust::holm(&p), &case["holm"]), (adjust::benjamini_hochberg(&p), &case["bh"])] {
        for (got, want) in got.unwrap().into_iter().zip(list(want)) {
            close("adjusted p", got, want, 1e-12);
        }
    }
}

#[test]
fn binomial_bounds_match_statsmodels_and_scipy() {
    for case in cases("binomial") {
        let (k, n) = (whole(&case["k"]), whole(&case["n"]));
        let both = binomial::clopper_pearson(k, n, 0.95).unwrap();
        close_field(&case, "low", both.low, 1e-9);
        close_field(&case, "high", both.high, 1e-9);
        // scipy stops its search at 1e-12 absolute.
        close("upper", binomial::upper_bound(k, n, 0.95).unwrap(), float(&case["upper"]), 1e-8);
        close("lower", binomial::lower_bound(k, n, 0.95).unwrap(), float(&case["lower"]), 1e-8);
    }
    let exact = binomial::upper_bound(0, 300, 0.95).unwrap();
    let rule = binomial::rule_of_three(300).unwrap();
    assert!(exact < rule && exact > 0.99 * rule);
}

#[test]
fn friedman_and_nemenyi_match_scipy_and_scikit_posthocs() {
    for case in cases("friedman") {
        let got = friedman(table(&case["losses"]).view()).unwrap();
        for (rank, want) in got.mean_ranks.iter().zip(list(&case["mean_ranks"])) {
            close("mean rank", *rank, want, 1e-12);
        }
        close_field(&case, "statistic", got.statistic, 1e-10);
        close_field(&case, "p_value", got.p_value, 1e-9);
        close_field(&case, "critical_difference", got.critical_difference(0.05).unwrap(), 1e-7);
        let pairs = table(&case["pairs"]);
        for ((a, b), want) in pairs.indexed_iter() {
            let p = got.pair_p_value(a, b).unwrap();
            assert!((p - want).abs() < 1e-7, "pair {a}, {b}: {p} against {want}");
        }
    }
    // Table 5 of Demšar (2006): q at 0.05 is 1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164 for k = 2..10.
    for (k, want) in (2..).zip([1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]) {
        let q = special_beta::studentised_range_quantile(0.95, k).unwrap() / 2.0_f64.sqrt();
        // Its entries are rounded quantiles divided by √2, so their last digit may be off.
        assert!((q - want).abs() < 1e-3, "k = {k}: {q} against {want}");
    }
}

#[test]
fn bca_matches_scipy_on_its_own_replicates() {
    for case in cases("bca") {
        let (replicates, left_out) = (list(&case["replicates"]), list(&case["left_out"]));
        let got = bootstrap::bca(float(&case["estimate"]), &replicates, &left_out, float(&case["level"]));
        let got = got.unwrap().unwrap();
        close_field(&case, "low", got.low, 1e-10);
        close_field(&case, "high", got.high, 1e-10);
    }
}

#[test]
fn classification_matches_scikit_learn() {
    let case = expected("classification");
    let (truth, predicted) = (wholes(&case["truth"]), wholes(&case["predicted"]));
    let (p, classes) = (table(&case["probabilities"]), whole(&case["classes"]));
    let confusion = Confusion::new(&truth, &predicted, classes).unwrap();
    for (row, want) in confusion.counts.iter().zip(case["confusion"].as_array().unwrap()) {
        assert_eq!(*row, wholes(want));
    }
    // Class 4 is predicted and never true.
    assert!(confusion.per_class()[4].recall.is_none() && confusion.per_class()[4].f1 == Some(0.0));
    close_field(&case, "macro_f1", confusion.macro_f1(), 1e-12);
    for (class, want) in confusion.per_class().iter().zip(list(&case["f1"])) {
        close("f1", class.f1.unwrap(), want, 1e-12);
    }
    close_field(&case, "balanced_accuracy", confusion.balanced_accuracy(), 1e-12);
    close_field(&case, "accuracy", confusion.accuracy(), 1e-12);
    close_field(&case, "log_loss", log_loss(p.view(), &truth).unwrap(), 1e-12);
    // The same rows as ranked faults with one cause each.
    let faults: Vec<RankedFault> =
        p.rows().into_iter().zip(&truth).map(|(row, &t)| RankedFault::new(row.to_vec(), vec![t]).unwrap()).collect();
    for top in case["top"].as_array().unwrap() {
        let (k, want) = (whole(&top[0]), float(&top[1]));
        close("top k", top_k_accuracy(p.view(), &truth, k).unwrap(), want, 1e-12);
        close("AC@k", accuracy_at(&faults, k).unwrap(), want, 1e-12);
    }
    close_field(&case, "mrr", mean_reciprocal_rank(&faults).unwrap(), 1e-12);
}

#[test]
fn recall_at_a_false_alarm_rate_matches_scikit_learn() {
    let want = expected("false_alarms");
    let labels = HorizonLabels::known(&bools(&want["positive"])).unwrap();
    for case in want["cases"].as_array().unwrap() {
        let got = at_false_alarm_rate(&labels, &list(&want["score"]), float(&case["rate"])).unwrap().unwrap();
        close_field(case, "recall", got.recall, 1e-12);
        close_field(case, "threshold", got.threshold, 1e-12);
    }
}

#[test]
fn volume_under_the_surface_matches_vus() {
    for case in cases("volume") {
        let width = whole(&case["width"]);
        let got = volume_under_pr_surface(&bools(&case["anomalous"]), &list(&case["score"]), width).unwrap();
        close_field(&case, "volume", got, 1e-10);
    }
}
