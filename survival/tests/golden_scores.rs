//! The curve scores against numbers of outside programs; see `golden/README.md` for their origin.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use survival::scores::antolini::{Reading, antolini};
use survival::scores::brier::CensoringWeights;
use survival::scores::calibration_index::integrated_calibration_index;
use survival::scores::censored_rul::{mae_hinge, mae_margin, mae_pseudo_observation};
use survival::scores::dynamic_auc::{cumulative_dynamic_auc, cumulative_dynamic_auc_of_risk};
use survival::scores::incidence_concordance::concordance_of_cause;
use survival::scores::marginal_calibration::{aj_calibration, km_calibration};
use survival::scores::nbll::{integrated_nbll, negative_binomial_log_likelihood};
use survival::scores::one_calibration::one_calibration;
use survival::scores::scaled_brier::scaled_integrated_brier_score;
use survival::{Cause, CensorReason, KaplanMeier, Observation, Outcome, SurvivalCurve, TimeGrid, TimeUnit};

/// Training units, scored units with their curves, and the risk column where the table has one.
struct Scored {
    train: Vec<Observation>,
    test: Vec<Observation>,
    curves: Vec<SurvivalCurve>,
    risk: Vec<f64>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn expected() -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join("expected_scores.json")).unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(float).collect()
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn close(what: &str, got: f64, want: f64, absolute: f64) {
    assert!((got - want).abs() <= absolute, "{what}: {got} against {want}, off by {:e}", got - want);
}

/// `scores` has S at the times, `score_causes` F of two causes.
fn scored(name: &str, times: &[f64]) -> Scored {
    let grid = Arc::new(
        TimeGrid::try_new(TimeUnit::Days, std::iter::once(0.0).chain(times.iter().copied()).collect()).unwrap(),
    );
    let mut reader = csv::Reader::from_path(folder().join(format!("{name}.csv"))).unwrap();
    let header = reader.headers().unwrap().clone();
    let mut scored = Scored { train: vec![], test: vec![], curves: vec![], risk: vec![] };
    for record in reader.records() {
        let record = record.unwrap();
        let text = |column: &str| &record[header.iter().position(|name| name == column).unwrap()];
        let value = |column: &str| text(column).parse::<f64>().unwrap();
        let at_times =
            |prefix: &str| -> Vec<f64> { (0..times.len()).map(|k| value(&format!("{prefix}{k}"))).collect() };
        let outcome = match value("cause") as u16 {
            0 => Outcome::Censored(CensorReason::EndOfObservation),
            cause => Outcome::Failed(Cause(cause - 1)),
        };
        let observation = Observation::try_new(value("duration"), outcome).unwrap();
        if text("part") == "train" {
            scored.train.push(observation);
            continue;
        }
        scored.test.push(observation);
        let from_zero = |first: f64, rest: Vec<f64>| std::iter::once(first).chain(rest).collect::<Vec<f64>>();
        scored.curves.push(if name == "scores" {
            scored.risk.push(value("risk"));
            SurvivalCurve::from_survival(Arc::clone(&grid), from_zero(1.0, at_times("s"))).unwrap()
        } else {
            let (a, b) = (from_zero(0.0, at_times("a")), from_zero(0.0, at_times("b")));
            let alive = a.iter().zip(&b).map(|(a, b)| 1.0 - a - b).collect();
            SurvivalCurve::try_new(Arc::clone(&grid), alive, vec![a, b]).unwrap()
        });
    }
    scored
}

fn failure_probabilities(s: &Scored, k: usize) -> Vec<f64> {
    s.curves.iter().map(|curve| 1.0 - curve.survival()[k + 1]).collect()
}

#[test]
fn time_dependent_concordance_matches_pycox() {
    let want = expected();
    let times = list(&want["times"]);
    for (name, key) in [("score_causes", "crossing"), ("scores", "single")] {
        let s = scored(name, &times);
        for case in want["concordance_td"][key].as_array().unwrap() {
            let until = float(&case["until"]);
            for (reading, key) in [(Reading::AtFailure, "exact"), (Reading::AtEdge, "at_edges")] {
                let got = antolini(&s.test, &s.curves, until, reading).unwrap();
                // The paper gives nothing for equal predictions.
                close(key, got.concordant / got.comparable, float(&case[key]), 1e-12);
            }
            // With one unit per time its adjusted form has no tied times left and gives equal predictions one half.
            let first = |row: &usize| {
                s.test[..*row]
                    .iter()
                    .all(|o| o.duration() < s.test[*row].duration() || o.duration() > s.test[*row].duration())
            };
            let rows: Vec<usize> = (0..s.test.len()).filter(first).collect();
            let test: Vec<Observation> = rows.iter().map(|&row| s.test[row]).collect();
            let curves: Vec<SurvivalCurve> = rows.iter().map(|&row| s.curves[row].clone()).collect();
            let got = antolini(&test, &curves, until, Reading::AtFailure).unwrap();
            close("adjusted", got.index, float(&case["distinct_times"]), 1e-12);
        }
    }
}

#[test]
fn concordance_of_a_cause_matches_hazardous() {
    let want = expected();
    let s = scored("score_causes", &list(&want["times"]));
    let censoring = CensoringWeights::fit(&s.train).unwrap();
    for case in want["concordance_of_cause"].as_array().unwrap() {
        let (cause, horizon) = (Cause(float(&case["cause"]) as u16), float(&case["horizon"]));
        let risk: Vec<f64> = s.curves.iter().map(|c| c.cumulative_incidence(cause, horizon).unwrap()).collect();
        let got = concordance_of_cause(&s.test, cause, &risk, horizon, Some(&censoring)).unwrap();
        close("weighted", got.index, float(&case["weighted"]), 1e-12);
        let got = concordance_of_cause(&s.test, cause, &risk, horizon, None).unwrap();
        close("plain", got.index, float(&case["plain"]), 1e-12);
    }
}

#[test]
fn dynamic_auc_matches_scikit_survival() {
    let want = expected();
    let times = list(&want["times"]);
    let s = scored("scores", &times);
    let censoring = CensoringWeights::fit(&s.train).unwrap();
    let want = &want["dynamic_auc"];
    for (got, key, mean) in [
        (cumulative_dynamic_auc(&s.test, &s.curves, &times, &censoring).unwrap(), "curves", "mean_of_curves"),
        (cumulative_dynamic_auc_of_risk(&s.test, &s.risk, &times, &censoring).unwrap(), "risk", "mean_of_risk"),
    ] {
        for (got, want) in got.auc.iter().zip(list(&want[key])) {
            close(key, *got, want, 1e-10);
        }
        close(mean, got.mean, float(&want[mean]), 1e-10);
    }
}

#[test]
fn binomial_log_likelihood_matches_pycox() {
    let want = expected();
    let times = list(&want["times"]);
    let s = scored("scores", &times);
    let censoring = CensoringWeights::fit(&s.train).unwrap();
    for (k, (&time, want)) in times.iter().zip(list(&want["nbll"]["at"])).enumerate() {
        let at: Vec<f64> = s.curves.iter().map(|curve| curve.survival()[k + 1]).collect();
        let got = negative_binomial_log_likelihood(&s.test, &at, time, &censoring).unwrap();
        close("at a time", got, want, 1e-12);
    }
    let got = integrated_nbll(&s.test, &s.curves, &times, &censoring).unwrap();
    close("integrated", got, float(&want["nbll"]["integrated"]), 1e-12);
}

#[test]
fn scaled_brier_score_matches_the_ratio_of_two_of_scikit_survival() {
    let want = expected();
    let times = list(&want["times"]);
    let s = scored("scores", &times);
    let censoring = CensoringWeights::fit(&s.train).unwrap();
    let average = KaplanMeier::fit(&s.train).unwrap();
    let got = scaled_integrated_brier_score(&s.test, &s.curves, &times, &censoring, &average).unwrap();
    close("score", got.score, float(&want["scaled_brier"]["score"]), 1e-10);
    close("reference", got.reference, float(&want["scaled_brier"]["reference"]), 1e-10);
    close("scaled", got.scaled, float(&want["scaled_brier"]["scaled"]), 1e-10);
}

#[test]
fn one_calibration_matches_survival_eval() {
    let want = expected();
    let s = scored("score_causes", &list(&want["times"]));
    // The rows that share a curve are left out, and as many kept as the groups divide.
    let rows: Vec<usize> = (0..s.test.len()).filter(|row| !(10..25).contains(row)).take(140).collect();
    let test: Vec<Observation> = rows.iter().map(|&row| s.test[row]).collect();
    let mut with_greenwood = 0;
    for case in want["one_calibration"].as_array().unwrap() {
        let all = failure_probabilities(&s, float(&case["k"]) as usize);
        let predicted: Vec<f64> = rows.iter().map(|&row| all[row]).collect();
        let got = one_calibration(&test, &predicted, float(&case["horizon"]), float(&case["bins"]) as usize).unwrap();
        let nam = got.dagostino_nam;
        close("statistic", nam.statistic, float(&case["chi_square"]), 1e-9);
        close("degrees of freedom", nam.degrees_of_freedom, float(&case["degrees_of_freedom"]), 0.0);
        close("p value", nam.p_value, float(&case["p_value"]), 1e-12);
        assert_eq!(got.greenwood.is_some(), !case["greenwood"].is_null());
        if let Some(greenwood) = got.greenwood {
            with_greenwood += 1;
            close("Greenwood", greenwood.statistic, float(&case["greenwood"]), 1e-9);
            close("p value", greenwood.p_value, float(&case["greenwood_p_value"]), 1e-12);
            close("degrees", greenwood.degrees_of_freedom, float(&case["greenwood_degrees_of_freedom"]), 0.0);
        }
    }
    assert!(with_greenwood > 0);
}

#[test]
fn calibration_index_matches_survival_eval() {
    let want = expected();
    let s = scored("score_causes", &list(&want["times"]));
    for case in want["calibration_index"].as_array().unwrap() {
        let predicted = failure_probabilities(&s, float(&case["k"]) as usize);
        let (horizon, knots) = (float(&case["horizon"]), float(&case["knots"]) as usize);
        let got = integrated_calibration_index(&s.test, &predicted, horizon, knots).unwrap();
        let numbers = [("ici", got.ici), ("e50", got.e50), ("e90", got.e90), ("e_max", got.largest)];
        for (index, (key, got)) in numbers.into_iter().enumerate() {
            let what = format!("{key} at {horizon} with {knots} knots");
            close(&what, got, float(&case[key]), 1e-6);
            // Absent where lifelines says that it did not converge.
            if let Some(with_lifelines) = case["with_lifelines"].as_array() {
                close(&what, got, float(&with_lifelines[index]), 1e-9);
            }
        }
    }
}

#[test]
fn marginal_calibration_matches_hazardous_and_survival_eval() {
    let want = expected();
    let times: Vec<f64> = std::iter::once(0.0).chain(list(&want["times"])).collect();
    let s = scored("score_causes", &times[1..]);
    let want = &want["marginal"];
    let got = km_calibration(&s.test, &s.curves, &times).unwrap();
    close("KM", got.integrated_squared, float(&want["kaplan_meier"]["integrated_squared"]), 1e-12);
    close("largest", got.largest, float(&want["kaplan_meier"]["largest"]), 1e-12);
    for (cause, want) in list(&want["aalen_johansen"]).into_iter().enumerate() {
        let got = aj_calibration(&s.test, Cause(cause as u16), &s.curves, &times).unwrap();
        close("AJ", got.integrated_squared, want, 1e-12);
    }
}

#[test]
fn errors_of_lives_under_censoring_match_survival_eval_and_lifelines() {
    let want = expected();
    let s = scored("scores", &list(&want["times"]));
    let want = &want["mean_errors"];
    let predicted = list(&want["predicted"]);
    close("hinge", mae_hinge(&s.test, &predicted).unwrap(), float(&want["hinge"]), 1e-10);

    let last_failure = s.train.iter().filter(|o| o.failed()).map(Observation::duration).fold(0.0, f64::max);
    let ended: Vec<Observation> = s.train.iter().copied().filter(|o| o.duration() <= last_failure).collect();
    for (training, suffix) in [(&s.train, ""), (&ended, "_ended")] {
        let got = mae_margin(&stepped(training), &s.test, &predicted).unwrap();
        close("margin", got, float(&want[format!("margin{suffix}")]), 1e-7);
        let got = mae_pseudo_observation(training, &s.test, &predicted).unwrap();
        close("pseudo-observation", got, float(&want[format!("pseudo_observation{suffix}")]), 1e-9);
    }
    // On the table as it is SurvivalEVAL joins the points by lines; failure times are one day apart, so a step lies half
    // a day off its line on average.
    let got = mae_margin(&s.train, &s.test, &predicted).unwrap();
    assert!((got - float(&want["margin_of_lines"])).abs() < 0.5, "{got}");
    let got = mae_pseudo_observation(&s.train, &s.test, &predicted).unwrap();
    assert!((got - float(&want["pseudo_observation_of_lines"])).abs() < 0.5, "{got}");
}

/// A censoring just before every failure time: SurvivalEVAL's lines between the points then are steps.
fn stepped(training: &[Observation]) -> Vec<Observation> {
    let mut times: Vec<f64> = training.iter().filter(|o| o.failed()).map(Observation::duration).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let censored = Outcome::Censored(CensorReason::EndOfObservation);
    training.iter().copied().chain(times.iter().map(|t| Observation::try_new(t - 1e-9, censored).unwrap())).collect()
}
