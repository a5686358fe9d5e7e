//! Tests of comparison and decision scores on bad and degenerate input: one clear error or a defined answer.

#![expect(clippy::needless_pass_by_value, reason = "the checks take a result as it comes out of the call")]

use ndarray::{Array2, array};
use survival::compare::corrected_t::corrected_t;
use survival::compare::correlated_bayes::correlated_t;
use survival::compare::delong::{auc_interval, delong};
use survival::compare::diebold_mariano::{LagWindow, diebold_mariano};
use survival::compare::equivalence::Equivalence;
use survival::compare::friedman::friedman;
use survival::compare::marginal_homogeneity::stuart_maxwell;
use survival::compare::mcnemar::{mcnemar, mcnemar_counts};
use survival::compare::paired_t::paired_t;
use survival::compare::verdict::{Evidence, judge, judge_level, judge_violations};
use survival::compare::wilcoxon::wilcoxon;
use survival::compare::{adjust, binomial, bootstrap, equivalence, flipped};
use survival::scores::action_costs::{ActionCosts, cost_curve};
use survival::scores::alerts::{LeadTimes, at_daily_budget, at_false_alarm_rate};
use survival::scores::anomaly::{event_scores, point_adjusted_curve};
use survival::scores::anomaly_volume::volume_under_pr_surface;
use survival::scores::brier::{CensoringWeights, brier_score};
use survival::scores::classification::{Confusion, log_loss, top_k_accuracy};
use survival::scores::detection::HorizonLabels;
use survival::scores::root_cause::{RankedFault, accuracy_at, mean_reciprocal_rank};
use survival::special_beta::{
    beta_quantile, beta_regularised, binomial_cdf, student_t_quantile, student_t_two_sided, studentised_range_survival,
};
use survival::{Cause, CensorReason, ClusterBootstrap, Interval, Observation, Outcome, SurvivalError};

const NAN: f64 = f64::NAN;

fn is_domain<T: std::fmt::Debug>(got: Result<T, SurvivalError>) {
    assert!(matches!(got, Err(SurvivalError::Domain { .. })), "{got:?}");
}

fn is_empty<T: std::fmt::Debug>(got: Result<T, SurvivalError>) {
    assert!(matches!(got, Err(SurvivalError::Empty { .. })), "{got:?}");
}

fn is_shape<T: std::fmt::Debug>(got: Result<T, SurvivalError>) {
    assert!(matches!(got, Err(SurvivalError::Shape { .. })), "{got:?}");
}

fn is_not_finite<T: std::fmt::Debug>(got: Result<T, SurvivalError>) {
    assert!(matches!(got, Err(SurvivalError::NonFinite { .. })), "{got:?}");
}

fn has_no_spread<T: std::fmt::Debug>(got: Result<T, SurvivalError>) {
    assert!(matches!(got, Err(SurvivalError::NoSpread { .. })), "{got:?}");
}

/// Exactly "no difference": 0 in \[0, 0\].
fn is_nothing(effect: &Interval) {
    assert!(effect.estimate.abs() + effect.low.abs() + effect.high.abs() <= 0.0, "{effect:?}");
}

fn certain(p: f64) {
    assert!((p - 1.0).abs() < 1e-15, "{p}");
}

#[test]
fn special_functions_name_the_argument_outside_its_domain() {
    is_domain(beta_regularised(0.0, 1.0, 0.5));
    is_domain(beta_regularised(1.0, 1.0, NAN));
    is_domain(beta_quantile(1.0, 1.0, 1.0));
    is_domain(student_t_two_sided(NAN, 3.0));
    is_domain(student_t_two_sided(1.0, -1.0));
    is_domain(student_t_quantile(0.0, 3.0));
    is_domain(binomial_cdf(1, 2, 1.5));
    is_domain(studentised_range_survival(1.0, 1));
    is_domain(studentised_range_survival(NAN, 3));
    // The ends themselves are defined.
    assert!(beta_regularised(2.0, 3.0, 0.0).unwrap() <= 0.0 && student_t_two_sided(1e200, 3.0).unwrap() <= 0.0);
    certain(beta_regularised(2.0, 3.0, 1.0).unwrap());
    assert!(student_t_quantile(0.5, 3.0).unwrap().abs() <= 0.0);
}

#[test]
fn paired_tests_refuse_what_they_cannot_pair() {
    for test in [
        (|a: &[f64], b: &[f64]| paired_t(a, b, 0.95).map(|_| ())) as fn(&[f64], &[f64]) -> Result<(), SurvivalError>,
        |a, b| wilcoxon(a, b, 0.95).map(|_| ()),
        |a, b| diebold_mariano(a, b, 1, LagWindow::Rectangular, 0.95).map(|_| ()),
    ] {
        is_empty(test(&[], &[]));
        is_shape(test(&[1.0, 2.0, 3.0], &[1.0]));
        is_not_finite(test(&[1.0, NAN, 3.0], &[1.0, 2.0, 3.0]));
        is_not_finite(test(&[1.0, 2.0, 3.0], &[1.0, 2.0, f64::INFINITY]));
    }
    is_domain(paired_t(&[1.0], &[2.0], 0.95));
    is_domain(paired_t(&[1.0, 2.0], &[2.0, 2.0], 1.0));
    is_domain(wilcoxon(&[1.0], &[2.0], 0.0));
}

#[test]
fn no_difference_anywhere_is_an_answer_and_one_without_spread_is_not() {
    let (x, shifted) = ([0.3, 0.1, 0.7, 0.2], [1.3, 1.1, 1.7, 1.2]);
    let same = paired_t(&x, &x, 0.95).unwrap();
    is_nothing(&same.effect);
    certain(same.p_value);
    has_no_spread(paired_t(&shifted, &x, 0.95));
    certain(diebold_mariano(&x, &x, 1, LagWindow::Rectangular, 0.95).unwrap().p_value);
    has_no_spread(diebold_mariano(&shifted, &x, 1, LagWindow::Rectangular, 0.95));
    let same = wilcoxon(&[0.5; 7], &[0.5; 7], 0.95).unwrap();
    certain(same.p_value);
    assert_eq!((same.used, same.zeros), (0, 7));
    is_nothing(&same.effect.unwrap());
    certain(corrected_t(&[0.0; 5], 20, 80, 0.95).unwrap().p_value);
    has_no_spread(corrected_t(&[0.1; 5], 20, 80, 0.95));
    has_no_spread(correlated_t(&[0.1; 5], 0.2, 0.01));
}

#[test]
fn five_data_sets_have_no_interval_at_95_percent() {
    let (a, b) = ([0.9, 0.8, 0.7, 0.95, 0.6], [0.85, 0.7, 0.55, 0.94, 0.3]);
    let got = wilcoxon(&a, &b, 0.95).unwrap();
    // The smallest two-sided p of five pairs is 2/32.
    assert!((got.p_value - 0.0625).abs() < 1e-15 && got.effect.is_none());
    assert!(wilcoxon(&a, &b, 0.9).unwrap().effect.is_some());
}

#[test]
fn folds_and_forecasts_name_a_size_that_cannot_be() {
    is_domain(corrected_t(&[0.1, 0.2], 0, 80, 0.95));
    is_domain(corrected_t(&[0.1, 0.2], 20, 0, 0.95));
    is_domain(corrected_t(&[0.1], 20, 80, 0.95));
    is_not_finite(corrected_t(&[0.1, NAN], 20, 80, 0.95));
    is_domain(correlated_t(&[0.1, 0.2], 1.0, 0.01));
    is_domain(correlated_t(&[0.1, 0.2], 0.1, -0.01));
    let (a, b) = ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], [0.0; 6]);
    is_domain(diebold_mariano(&a, &b, 0, LagWindow::Rectangular, 0.95));
    is_domain(diebold_mariano(&a, &b, 6, LagWindow::Rectangular, 0.95));
    is_domain(diebold_mariano(&a, &b, 1, LagWindow::Bartlett { lags: 5 + 1 }, 0.95));
    // Differences that alternate have a negative equal-weight variance at lag 1; the message says what helps.
    let got = diebold_mariano(&a, &b, 2, LagWindow::Rectangular, 0.95).unwrap_err();
    assert!(got.to_string().contains("Bartlett"), "{got}");
    assert!(diebold_mariano(&a, &b, 2, LagWindow::Bartlett { lags: 1 }, 0.95).is_ok());
}

#[test]
fn delong_needs_two_of_each_class_and_a_spread() {
    let labels = [true, true, false, false, false];
    let (perfect, constant) = ([5.0, 4.0, 3.0, 2.0, 1.0], [1.0; 5]);
    is_domain(delong(&[true; 5], &perfect, &perfect, 0.95));
    is_domain(delong(&[true, false, false, false, false], &perfect, &perfect, 0.95));
    is_shape(delong(&labels, &perfect, &[1.0], 0.95));
    is_not_finite(delong(&labels, &perfect, &[NAN; 5], 0.95));
    has_no_spread(delong(&labels, &perfect, &constant, 0.95));
    has_no_spread(auc_interval(&labels, &perfect, 0.95));
    let same = delong(&labels, &perfect, &[50.0, 40.0, 3.0, 2.0, 1.0], 0.95).unwrap();
    is_nothing(&same.effect);
    certain(same.p_value);
}

#[test]
fn tables_of_decisions_without_disagreement_are_equal() {
    let right = [true, false, true];
    let same = mcnemar(&right, &right, 0.95).unwrap();
    is_nothing(&same.effect);
    certain(same.p_value);
    is_empty(mcnemar(&[], &[], 0.95));
    is_shape(mcnemar(&right, &[true], 0.95));
    is_shape(mcnemar_counts(3, 4, 6, 0.95));
    is_domain(mcnemar_counts(0, 0, 6, 1.0));
    let diagonal = stuart_maxwell(array![[5.0, 0.0], [0.0, 7.0]].view()).unwrap();
    assert_eq!(diagonal.degrees_of_freedom, 0);
    certain(diagonal.p_value);
    is_shape(stuart_maxwell(Array2::zeros((2, 3)).view()));
    is_empty(stuart_maxwell(Array2::zeros((2, 2)).view()));
    is_empty(stuart_maxwell(Array2::zeros((0, 0)).view()));
    is_domain(stuart_maxwell(array![[1.0, -1.0], [0.0, 2.0]].view()));
    is_domain(stuart_maxwell(array![[1.0, NAN], [0.0, 2.0]].view()));
}

#[test]
fn classes_mixed_up_in_two_separate_groups_are_two_tests_at_once() {
    // Classes 0, 1 and 2, 3 are never mixed up with each other: V is singular twice.
    let both = array![[9.0, 6.0, 0.0, 0.0], [1.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 2.0], [0.0, 0.0, 7.0, 9.0]];
    let got = stuart_maxwell(both.view()).unwrap();
    // (b − c)²/(b + c) of each pair: 25/7 and 25/9.
    assert!((got.statistic - 25.0 / 7.0 - 25.0 / 9.0).abs() < 1e-12);
    assert_eq!(got.degrees_of_freedom, 2);
}

#[test]
fn families_counts_and_ranks_refuse_impossible_values() {
    is_empty(adjust::holm(&[]));
    is_domain(adjust::holm(&[0.2, NAN]));
    is_domain(adjust::benjamini_hochberg(&[1.2]));
    is_empty(binomial::clopper_pearson(0, 0, 0.95));
    is_domain(binomial::clopper_pearson(3, 2, 0.95));
    is_domain(binomial::upper_bound(0, 10, 1.0));
    is_empty(binomial::rule_of_three(0));
    certain(binomial::rule_of_three(2).unwrap());
    certain(binomial::upper_bound(4, 4, 0.95).unwrap());
    is_domain(friedman(array![[1.0, 2.0]].view()));
    is_domain(friedman(array![[1.0], [2.0]].view()));
    is_not_finite(friedman(array![[1.0, NAN], [2.0, 3.0]].view()));
    let tied = friedman(Array2::from_elem((4, 3), 1.0).view()).unwrap();
    certain(tied.p_value);
    certain(tied.pair_p_value(0, 2).unwrap());
    is_domain(tied.pair_p_value(0, 3));
    is_domain(tied.critical_difference(0.0));
}

#[test]
fn equality_needs_a_margin_a_spread_and_a_level() {
    is_domain(equivalence::t(0.1, 0.1, 9.0, 0.0, 0.05));
    is_domain(equivalence::t(0.1, 0.1, 9.0, NAN, 0.05));
    is_domain(equivalence::t(0.1, 0.1, 9.0, 0.2, 0.5));
    has_no_spread(equivalence::t(0.0, 0.0, 9.0, 0.2, 0.05));
    is_domain(equivalence::t(NAN, 0.1, 9.0, 0.2, 0.05));
    let interval = Interval { estimate: 0.0, low: -0.1, high: 0.1, level: 0.8 };
    is_domain(equivalence::interval(&interval, 0.2, 0.05));
    is_not_finite(equivalence::interval(&Interval { low: NAN, level: 0.95, ..interval }, 0.2, 0.05));
    // Touching the margin is not inside it.
    let touching = Interval { high: 0.2, level: 0.9, ..interval };
    assert!(!equivalence::interval(&touching, 0.2, 0.05).unwrap().equal);
}

#[test]
fn verdicts_refuse_evidence_that_contradicts_itself() {
    let effect = Interval { estimate: 0.2, low: 0.1, high: 0.3, level: 0.95 };
    let evidence = Evidence { effect, margin: 0.05, equivalence: None, adjusted_p: None, alpha: 0.05 };
    assert!(judge(&evidence).is_ok());
    is_domain(judge(&Evidence { margin: 0.0, ..evidence }));
    is_domain(judge(&Evidence { alpha: 1.0, ..evidence }));
    is_domain(judge(&Evidence { adjusted_p: Some(NAN), ..evidence }));
    is_domain(judge(&Evidence { effect: Interval { low: 0.4, ..effect }, ..evidence }));
    is_not_finite(judge(&Evidence { effect: Interval { estimate: NAN, ..effect }, ..evidence }));
    let foreign = Equivalence { margin: 0.06, alpha: 0.05, p_value: None, equal: false };
    is_domain(judge(&Evidence { equivalence: Some(foreign), ..evidence }));
    is_empty(judge_violations(0, 0, 0.05, 0.05));
    is_domain(judge_violations(2, 1, 0.05, 0.05));
    is_domain(judge_violations(0, 10, 0.0, 0.05));
    is_domain(judge_level(&effect, NAN, true));
    assert_eq!(flipped(&effect), Interval { estimate: -0.2, low: -0.3, high: -0.1, level: 0.95 });
}

#[test]
fn a_bootstrap_comparison_refuses_the_undefined_and_leaves_out_what_bca_cannot_say() {
    let units = ["a", "b", "c", "d", "e", "f"];
    let draw = ClusterBootstrap::new(&units, 200, 7).unwrap();
    is_shape(bootstrap::compare_means(&draw, &[1.0; 6], &[1.0; 5]));
    is_not_finite(bootstrap::compare_means(&draw, &[1.0; 6], &[NAN; 6]));
    let undefined = bootstrap::compare(&draw, |_| None);
    assert!(matches!(undefined, Err(SurvivalError::UndefinedStatistic { .. })));
    let same = bootstrap::compare_means(&draw, &[1.0; 6], &[1.0; 6]).unwrap();
    is_nothing(&same.effect);
    certain(same.p_value);
    assert!(same.corrected.is_none());
    assert!(same.equivalence(0.1, 0.05).unwrap().equal);
    is_domain(same.equivalence(0.0, 0.05));
    is_empty(bootstrap::bca(0.0, &[], &[1.0], 0.95));
    is_not_finite(bootstrap::bca(0.0, &[1.0], &[NAN], 0.95));
    assert_eq!(bootstrap::bca(0.0, &[1.0, 2.0], &[1.0, 2.0], 0.95), Ok(None));
}

#[test]
fn both_ways_to_a_bootstrap_comparison_agree() {
    let units: Vec<String> = (0..90).map(|row| format!("unit {}", row % 30)).collect();
    let a: Vec<f64> = (0..90).map(|row| f64::from(row * 37 % 90) / 90.0).collect();
    let b: Vec<f64> = (0..90).map(|row| f64::from(row * 53 % 90) / 90.0 - 0.1).collect();
    let draw = ClusterBootstrap::new(&units, 500, 3).unwrap();
    let by_rows = bootstrap::compare(&draw, |times| {
        let mean = |x: &[f64]| x.iter().zip(times).map(|(x, w)| x * w).sum::<f64>() / times.iter().sum::<f64>();
        Some((mean(&a), mean(&b)))
    })
    .unwrap();
    let by_sums = bootstrap::compare_means(&draw, &a, &b).unwrap();
    let plain = draw.paired_difference(&a, &b).unwrap();
    let (row, sum) = (by_rows.corrected.unwrap(), by_sums.corrected.unwrap());
    for (x, y) in [
        (by_rows.effect.estimate, by_sums.effect.estimate),
        (by_rows.effect.low, by_sums.effect.low),
        (by_rows.p_value, by_sums.p_value),
        (row.low, sum.low),
        (row.high, sum.high),
        (plain.low, by_sums.effect.low),
        (plain.p_value, by_sums.p_value),
    ] {
        assert!((x - y).abs() < 1e-12, "{x} against {y}");
    }
    // The interval and the p are one statement, up to one replicate.
    assert_eq!(plain.low > 0.0, plain.p_value < 0.05);
}

#[test]
fn weights_fitted_anew_in_each_replicate_move_the_interval() {
    let life = |i: usize| {
        let outcome = if i.is_multiple_of(3) {
            Outcome::Censored(CensorReason::EndOfObservation)
        } else {
            Outcome::Failed(Cause(0))
        };
        Observation::try_new(1.0 + (i * 17 % 60) as f64, outcome).unwrap()
    };
    let (train, test): (Vec<_>, Vec<_>) = ((0..60).map(life).collect(), (0..60).map(|i| life(i + 20)).collect());
    let a: Vec<f64> = test.iter().map(|o| if o.duration() > 30.0 { 0.7 } else { 0.4 }).collect();
    let b = vec![0.5; 60];
    let units: Vec<String> = (0..120).map(|i| format!("unit {i}")).collect();
    let draw = ClusterBootstrap::new(&units, 300, 5).unwrap();
    let fixed = CensoringWeights::fit(&train).unwrap();
    let run = |anew: bool| {
        bootstrap::compare(&draw, |times| {
            let (of_train, of_test) = times.split_at(60);
            let refitted = CensoringWeights::fit(&bootstrap::repeated(&train, of_train)).ok()?;
            let censoring = if anew { &refitted } else { &fixed };
            let rows = bootstrap::repeated(&test, of_test);
            let score = |s: &[f64]| brier_score(&rows, &bootstrap::repeated(s, of_test), 25.0, censoring).ok();
            Some((score(&a)?, score(&b)?))
        })
        .unwrap()
    };
    let (anew, once) = (run(true), run(false));
    assert!((anew.effect.estimate - once.effect.estimate).abs() < 1e-15);
    assert!((anew.effect.low - once.effect.low).abs() > 1e-6);
    assert!(anew.effect.high < 0.0 && anew.p_value < 0.05);
}

#[test]
fn alerts_refuse_budgets_and_costs_that_cannot_be() {
    is_empty(at_daily_budget(&[], &[], &[], &[], 1));
    is_shape(at_daily_budget(&[1], &[0, 1], &[0.5], &[true], 1));
    is_not_finite(at_daily_budget(&[1], &[0], &[NAN], &[true], 1));
    is_domain(at_daily_budget(&[1], &[0], &[0.5], &[true], 0));
    assert_eq!(at_daily_budget(&[1], &[0], &[0.5], &[false], 1).unwrap_err(), SurvivalError::NoFailures { rows: 1 });
    let labels = HorizonLabels::known(&[true, false]).unwrap();
    is_domain(at_false_alarm_rate(&labels, &[0.1, 0.2], 0.0));
    let all = HorizonLabels::known(&[true, true]).unwrap();
    assert!(matches!(at_false_alarm_rate(&all, &[0.1, 0.2], 0.1), Err(SurvivalError::NoComparablePair { rows: 2 })));
    is_empty(LeadTimes::new(&[], &[], 1.0));
    is_shape(LeadTimes::new(&[1.0], &[], 1.0));
    is_not_finite(LeadTimes::new(&[1.0], &[vec![NAN]], 1.0));
    is_domain(LeadTimes::new(&[1.0], &[vec![]], 0.0));
    let missed = LeadTimes::new(&[1.0], &[vec![]], 1.0).unwrap();
    certain(missed.missed_share());
    assert_eq!(missed.quantile(0.5), Ok(None));
    let costs = ActionCosts { corrective: 5.0, effectiveness: 1.0 };
    is_domain(ActionCosts { corrective: 0.0, ..costs }.break_even_precision());
    is_domain(ActionCosts { effectiveness: NAN, ..costs }.break_even_precision());
    is_domain(costs.per_unit_year(-1.0, 0.0, 1.0));
    is_domain(cost_curve(&labels, &[0.1, 0.2], &costs, 0.0));
}

#[test]
fn anomalies_need_an_event_and_something_beside_it() {
    is_empty(event_scores(&[], &[]));
    is_empty(event_scores(&[false, false], &[true, false]));
    is_shape(event_scores(&[true], &[true, false]));
    is_domain(point_adjusted_curve(&[true], &[true], 0));
    is_empty(volume_under_pr_surface(&[false], &[1.0], 0));
    is_domain(volume_under_pr_surface(&[true], &[1.0], 0));
    is_not_finite(volume_under_pr_surface(&[true, false], &[1.0, NAN], 0));
    // Silence is scored, not divided by.
    let silent = event_scores(&[true, false], &[false, false]).unwrap();
    assert!(silent.precision + silent.recall + silent.f1 + silent.composite_f1 <= 0.0);
    assert_eq!((silent.mean_delay(), silent.delays), (None, vec![None]));
    assert!(point_adjusted_curve(&[true, false], &[false, false], 10).unwrap().area <= 0.0);
}

#[test]
fn random_alarms_look_good_only_under_full_point_adjustment() {
    // A small generator of fixed numbers: alarms on 5 % of the steps, whatever the truth.
    let mut state = 12_345_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let truth: Vec<bool> = (0..5000).map(|step| step % 500 >= 400).collect();
    let score: Vec<f64> = truth.iter().map(|_| uniform()).collect();
    let alarm: Vec<bool> = score.iter().map(|s| *s > 0.95).collect();
    let curve = point_adjusted_curve(&truth, &alarm, 100).unwrap();
    assert!(curve.f1[0] > 0.85, "{}", curve.f1[0]);
    assert!(curve.area < 0.2, "{}", curve.area);
    let events = event_scores(&truth, &alarm).unwrap();
    assert!(events.composite_f1 < 0.4 && events.recall > 0.99);
    // The share of anomalous steps is 0.2, a little more with the blurred ones.
    let volume = volume_under_pr_surface(&truth, &score, 20).unwrap();
    assert!((0.15..0.27).contains(&volume), "{volume}");
}

#[test]
fn classes_and_candidates_must_exist() {
    is_empty(Confusion::new(&[], &[], 2));
    is_shape(Confusion::new(&[0, 1], &[0], 2));
    is_domain(Confusion::new(&[0, 2], &[0, 1], 2));
    is_domain(Confusion::new(&[0, 1], &[0, 2], 2));
    is_empty(log_loss(Array2::zeros((0, 2)).view(), &[]));
    is_domain(log_loss(array![[0.5, 0.6]].view(), &[0]));
    is_domain(log_loss(array![[1.5, -0.5]].view(), &[0]));
    is_domain(log_loss(array![[0.5, 0.5]].view(), &[2]));
    let got = log_loss(array![[0.5, 0.5], [NAN, 0.5]].view(), &[0, 1]).unwrap_err();
    assert!(matches!(got, SurvivalError::NonFinite { row: 1, column: 0, .. }), "{got}");
    is_domain(top_k_accuracy(array![[0.5, 0.5]].view(), &[0], 0));
    is_shape(top_k_accuracy(array![[0.5, 0.5]].view(), &[0, 1], 1));
    is_empty(RankedFault::new(vec![], vec![]));
    is_empty(RankedFault::new(vec![1.0], vec![]));
    is_domain(RankedFault::new(vec![1.0], vec![1]));
    is_domain(RankedFault::new(vec![1.0, 2.0], vec![1, 1]));
    is_not_finite(RankedFault::new(vec![NAN], vec![0]));
    is_empty(accuracy_at(&[], 1));
    is_empty(mean_reciprocal_rank(&[]));
    let fault = RankedFault::new(vec![1.0], vec![0]).unwrap();
    is_domain(accuracy_at(std::slice::from_ref(&fault), 0));
    is_shape(fault.grouped(&[0, 1]));
    certain(accuracy_at(&[fault], 10).unwrap());
}
