//! Hard and bad input for the Cox family, the accelerated-life family and the classes: one clear error or a defined
//! answer, never NaN and never a number that means nothing.

use std::sync::Arc;

use ndarray::{Array2, array};
use survival::{
    AftLaw, AftModel, AftOptions, Cause, CauseSpecificAft, CauseSpecificTimeVaryingCox, CensorReason, CovariateChange,
    CovariatePath, CoxModel, CoxOptions, Observation, Outcome, StartStopRows, StratifiedAalenJohansen, StratifiedCox,
    SurvivalError, TimeGrid, TimeTransform, TimeUnit, TimeVaryingCox,
};

const FAILED: Outcome = Outcome::Failed(Cause(0));
const CENSORED: Outcome = Outcome::Censored(CensorReason::EndOfObservation);

fn lives(outcomes: &[(f64, Outcome)]) -> Vec<Observation> {
    outcomes.iter().map(|&(t, o)| Observation::try_new(t, o).unwrap()).collect()
}

fn piece(start: f64, stop: f64, outcome: Outcome) -> Observation {
    Observation::try_with_entry(stop, start, outcome).unwrap()
}

/// Twelve lives; column 0 a class, columns 1 and 2 covariates.
fn small() -> (Array2<f64>, Vec<Observation>) {
    let x = Array2::from_shape_fn((12, 3), |(r, c)| match c {
        0 => (r % 2) as f64,
        1 => ((r * 7) % 12) as f64,
        _ => ((r * 5 + 3) % 11) as f64 / 4.0,
    });
    let observations =
        (0..12).map(|r| (((r * 3) % 13) as f64 + 1.0, if r % 4 == 3 { CENSORED } else { FAILED })).collect::<Vec<_>>();
    (x, lives(&observations))
}

fn grid() -> Arc<TimeGrid> {
    Arc::new(TimeGrid::try_new(TimeUnit::Days, vec![0.0, 2.0, 4.0, 8.0]).unwrap())
}

fn options() -> CoxOptions {
    CoxOptions::default()
}

fn ridge() -> CoxOptions {
    CoxOptions { ridge: 0.5, ..options() }
}

/// Every way to a Cox model gives the same answer.
fn cox_both_ways(
    x: &Array2<f64>,
    observations: &[Observation],
    options: &CoxOptions,
) -> Result<Vec<f64>, SurvivalError> {
    let ids: Vec<usize> = (0..observations.len()).collect();
    let plain = CoxModel::fit(x.view(), observations, options).map(|m| m.coefficients().to_vec());
    let rows = StartStopRows::try_new(x.view(), observations, &ids).unwrap();
    let varying = TimeVaryingCox::fit(&rows, &[], options).map(|m| m.cox().coefficients().to_vec());
    assert_eq!(plain, varying);
    plain
}

#[test]
fn no_failure_is_refused_by_every_member_of_the_families() {
    let (x, observations) = small();
    let censored = lives(&observations.iter().map(|o| (o.duration(), CENSORED)).collect::<Vec<_>>());
    let want = SurvivalError::NoFailures { rows: 12 };
    assert_eq!(cox_both_ways(&x, &censored, &options()).unwrap_err(), want);
    assert_eq!(StratifiedCox::fit(x.view(), &censored, &[0], &options()).unwrap_err(), want);
    let ids: Vec<usize> = (0..12).collect();
    let rows = StartStopRows::try_new(x.view(), &censored, &ids).unwrap();
    assert_eq!(CauseSpecificTimeVaryingCox::fit(&rows, 2, &[], &options()).unwrap_err(), want);
    for law in AftLaw::ALL {
        assert_eq!(AftModel::fit(x.view(), &censored, law, &AftOptions::default()).unwrap_err(), want);
    }
    let got = CauseSpecificAft::fit(x.view(), &censored, 2, &AftLaw::ALL, &AftOptions::default());
    assert_eq!(got.unwrap_err(), want);
    // Without a model the answer is a flat curve.
    let flat = StratifiedAalenJohansen::fit(x.view(), &censored, 1, &[0], 1).unwrap();
    assert_eq!(flat.fallbacks(), 2);
    assert_eq!(flat.curves(x.view(), &grid()).unwrap()[3].survival(), [1.0; 4]);
}

#[test]
fn one_failure_is_fitted_where_it_says_something_and_refused_where_it_separates() {
    let mut observations: Vec<(f64, Outcome)> = (1..=6).map(|t| (f64::from(t), CENSORED)).collect();
    observations[0].1 = FAILED;
    // In the middle of those at risk: a finite coefficient.
    let middle = array![[2.0], [1.0], [3.0], [0.0], [5.0], [4.0]];
    let beta = cox_both_ways(&middle, &lives(&observations), &options()).unwrap();
    assert!(beta[0].is_finite() && beta[0] < 0.0, "{beta:?}");
    // The largest of those at risk: the coefficient would run off.
    let largest = array![[9.0], [1.0], [3.0], [0.0], [5.0], [4.0]];
    let got = cox_both_ways(&largest, &lives(&observations), &options()).unwrap_err();
    assert!(matches!(&got, SurvivalError::Column { column: 0, problem } if problem.contains("separating")), "{got}");
    assert!(got.to_string().contains("ridge"), "{got}");
    let held = cox_both_ways(&largest, &lives(&observations), &ridge()).unwrap();
    assert!(held[0].is_finite() && held[0] > 0.0, "{held:?}");
    // The exponential law needs one failure and no column; its scale is exposure per failure.
    let nothing = Array2::zeros((6, 0));
    let law = AftLaw::Exponential;
    let model = AftModel::fit(nothing.view(), &lives(&observations), law, &AftOptions::default()).unwrap();
    assert!((model.scale(&[]).unwrap() - 21.0).abs() < 1e-9);
}

#[test]
fn a_group_that_alone_fails_separates_alone_and_in_combination() {
    // Only rows with x0 = 1 fail; x1 says nothing about it.
    let n = 40;
    let x = Array2::from_shape_fn((n, 2), |(r, c)| if c == 0 { (r % 2) as f64 } else { ((r * 7) % 13) as f64 });
    let observations: Vec<Observation> = lives(
        &(0..n).map(|r| (((r * 11) % 41) as f64 + 1.0, if r % 2 == 1 { FAILED } else { CENSORED })).collect::<Vec<_>>(),
    );
    let got = cox_both_ways(&x, &observations, &options()).unwrap_err();
    assert!(matches!(&got, SurvivalError::Column { problem, .. } if problem.contains("separating")), "{got}");
    // Neither sum nor difference separates; together they hold the group that does.
    let mut mixed = x.clone();
    for mut row in mixed.rows_mut() {
        let (group, other) = (3.0 * row[0], row[1]);
        row[0] = group + other;
        row[1] = group - other;
    }
    let got = cox_both_ways(&mixed, &observations, &options()).unwrap_err();
    assert!(matches!(&got, SurvivalError::Column { problem, .. } if problem.contains("separating")), "{got}");
    assert!(cox_both_ways(&mixed, &observations, &ridge()).unwrap().iter().all(|b| b.is_finite()));
    // As a stratum the group costs nothing: x1 is fitted, and the silent stratum has no hazard.
    let model = StratifiedCox::fit(x.view(), &observations, &[0], &options()).unwrap();
    assert_eq!(model.covariates(), [1]);
    assert!(model.baselines()[0].times.is_empty() && !model.baselines()[1].times.is_empty());
    assert_eq!(model.survival_on_grid(x.view(), &grid()).unwrap()[0].survival(), [1.0; 4]);
}

#[test]
fn constant_columns_are_named_by_their_place_in_the_whole_table() {
    let (mut x, observations) = small();
    x.column_mut(2).fill(4.0);
    let want = SurvivalError::Column { column: 2, problem: "constant" };
    assert_eq!(cox_both_ways(&x, &observations, &options()).unwrap_err(), want);
    assert_eq!(StratifiedCox::fit(x.view(), &observations, &[0], &options()).unwrap_err(), want);
    for law in AftLaw::ALL {
        assert_eq!(AftModel::fit(x.view(), &observations, law, &AftOptions::default()).unwrap_err(), want);
    }
    let held = StratifiedCox::fit(x.view(), &observations, &[0], &ridge()).unwrap();
    assert!(held.coefficients()[1].abs() < 1e-15);
    let errors =
        held.diagnostics(x.view(), &observations).unwrap().robust_errors(&(0..12).collect::<Vec<_>>()).unwrap();
    assert!(errors.standard_errors.iter().all(|e| e.is_finite()), "{errors:?}");
}

#[test]
fn more_columns_than_rows_need_a_ridge() {
    let n = 8;
    let x = Array2::from_shape_fn((n, 12), |(r, c)| ((r * 31 + c * 17 + r * c * 7) % 23) as f64);
    let observations = lives(&(0..n).map(|r| (((r * 3) % 8) as f64 + 1.0, FAILED)).collect::<Vec<_>>());
    let got = cox_both_ways(&x, &observations, &options()).unwrap_err();
    assert!(matches!(&got, SurvivalError::Column { problem, .. } if problem.contains("collinear")), "{got}");
    assert!(cox_both_ways(&x, &observations, &ridge()).unwrap().iter().all(|b| b.is_finite()));
    for law in AftLaw::ALL {
        assert!(AftModel::fit(x.view(), &observations, law, &AftOptions::default()).is_err(), "{}", law.name());
        let held = AftOptions { ridge: 0.5, ..AftOptions::default() };
        let model = AftModel::fit(x.view(), &observations, law, &held).unwrap();
        assert!(model.survival_at(&x.row(0).to_vec(), 3.0).unwrap().is_finite());
    }
}

#[test]
fn when_all_fail_at_once_nothing_is_learnt_and_nothing_breaks() {
    let (x, _) = small();
    let observations = lives(&[(3.0, FAILED); 12]);
    for ties in [survival::Ties::Efron, survival::Ties::Breslow] {
        let beta = cox_both_ways(&x, &observations, &CoxOptions { ties, ..options() }).unwrap();
        assert!(beta.iter().all(|b| b.abs() < 1e-12), "{beta:?}");
    }
    let model = CoxModel::fit(x.view(), &observations, &options()).unwrap();
    let diagnostics = model.diagnostics(x.view(), &observations).unwrap();
    for transform in [TimeTransform::KaplanMeier, TimeTransform::Rank, TimeTransform::Identity] {
        assert!(matches!(diagnostics.proportional_hazards(transform), Err(SurvivalError::Domain { .. })));
    }
    // Every life ends at one moment: the shape has no largest likely value.
    for law in [AftLaw::Weibull, AftLaw::LogNormal, AftLaw::LogLogistic] {
        let got = AftModel::fit(Array2::zeros((12, 0)).view(), &observations, law, &AftOptions::default());
        assert!(matches!(got, Err(SurvivalError::Domain { .. } | SurvivalError::NoConvergence { .. })), "{got:?}");
    }
    // The choice among all laws falls on the one that has an answer, and says why the others have none.
    let events = vec![true; 12];
    let (model, table) =
        AftModel::choose(Array2::zeros((12, 0)).view(), &observations, &events, &AftLaw::ALL, &AftOptions::default())
            .unwrap();
    assert_eq!(model.law(), AftLaw::Exponential);
    assert_eq!(table.iter().filter(|c| c.problem.is_some() && c.aic.is_none()).count(), 3);
    let got = AftModel::choose(Array2::zeros((12, 0)).view(), &observations, &events, &[], &AftOptions::default());
    assert!(matches!(got, Err(SurvivalError::Empty { .. })));
}

#[test]
fn start_stop_rows_that_contradict_each_other_are_named() {
    let x = Array2::zeros((2, 1));
    let overlap = [piece(0.0, 5.0, CENSORED), piece(4.0, 7.0, FAILED)];
    let got = StartStopRows::try_new(x.view(), &overlap, &["a", "a"]).unwrap_err();
    assert_eq!(got.to_string(), "start–stop row 1 starts at 4 while row 0 of the same unit runs until 5");
    assert!(StartStopRows::try_new(x.view(), &overlap, &["a", "b"]).is_ok());
    let risen = [piece(5.0, 8.0, CENSORED), piece(0.0, 5.0, FAILED)];
    let got = StartStopRows::try_new(x.view(), &risen, &["a", "a"]).unwrap_err();
    assert!(matches!(&got, SurvivalError::StartStop { row: 0, problem } if problem.contains("failed at 5")), "{got}");
    assert!(matches!(StartStopRows::try_new(x.view(), &risen, &["a"]), Err(SurvivalError::Shape { .. })));
    let nothing: [Observation; 0] = [];
    assert!(matches!(StartStopRows::try_new(x.view(), &nothing, &[0; 0]), Err(SurvivalError::Empty { .. })));
}

#[test]
fn a_prediction_along_a_path_refuses_what_it_cannot_know() {
    let (x, observations) = small();
    let ids: Vec<usize> = (0..12).collect();
    let rows = StartStopRows::try_new(x.view(), &observations, &ids).unwrap();
    let model = TimeVaryingCox::fit(&rows, &[0], &ridge()).unwrap();
    let last = observations.iter().filter(|o| o.failed()).map(Observation::duration).fold(0.0, f64::max);
    let one = x.select(ndarray::Axis(0), &[0]);
    for age in [-1.0, f64::NAN, f64::INFINITY, last] {
        let got = model.curves_at(one.view(), &[age], &grid(), CovariatePath::Held).unwrap_err();
        assert!(matches!(&got, SurvivalError::Domain { what: "age at as_of", .. }), "{got}");
    }
    assert!(matches!(model.curves_at(one.view(), &[], &grid(), CovariatePath::Held), Err(SurvivalError::Shape { .. })));
    let change = |after: f64, x: Vec<f64>| CovariateChange { after, x };
    let row = x.row(1).to_vec();
    let malformed = [
        vec![change(0.0, row.clone())],
        vec![change(f64::NAN, row.clone())],
        vec![change(2.0, row.clone()), change(2.0, row.clone())],
        vec![change(2.0, vec![1.0])],
        vec![change(2.0, vec![0.0, f64::NAN, 1.0])],
        // A class that training never saw.
        vec![change(2.0, vec![9.0, 1.0, 1.0])],
    ];
    for path in malformed {
        let paths = [path];
        assert!(model.curves(one.view(), &grid(), CovariatePath::Given(&paths)).is_err(), "{paths:?}");
    }
    assert!(model.curves(one.view(), &grid(), CovariatePath::Given(&[])).is_err());
}

#[test]
fn classes_and_strata_refuse_columns_that_sort_nothing() {
    let (x, observations) = small();
    for columns in [&[3][..], &[0, 0]] {
        assert!(matches!(
            StratifiedCox::fit(x.view(), &observations, columns, &options()),
            Err(SurvivalError::Domain { what: "class column", .. })
        ));
        assert!(StratifiedAalenJohansen::fit(x.view(), &observations, 1, columns, 1).is_err());
    }
    let got = StratifiedAalenJohansen::fit(x.view(), &observations, 1, &[0], 0).unwrap_err();
    assert!(got.to_string().contains("at least 1"), "{got}");
    let many = Array2::from_shape_fn((1001, 1), |(r, _)| r as f64);
    let got = StratifiedAalenJohansen::fit(many.view(), &lives(&vec![(1.0, FAILED); 1001]), 1, &[0], 1).unwrap_err();
    assert!(got.to_string().starts_with("number of classes is 1001"), "{got}");
    let model = StratifiedCox::fit(x.view(), &observations, &[0], &ridge()).unwrap();
    let mut foreign = x.clone();
    foreign[[4, 0]] = 2.0;
    let got = model.survival_on_grid(foreign.view(), &grid()).unwrap_err();
    assert!(got.to_string().starts_with("row 4 belongs to the stratum column 0 = 2"), "{got}");
    let mut broken = x.clone();
    broken[[4, 0]] = f64::NAN;
    assert!(matches!(
        StratifiedCox::fit(broken.view(), &observations, &[0], &options()),
        Err(SurvivalError::NonFinite { row: 4, column: 0, .. })
    ));
    assert!(matches!(model.survival_on_grid(broken.view(), &grid()), Err(SurvivalError::NonFinite { .. })));
    // Zeros of either sign are one class.
    let mut signed = x.clone();
    signed.column_mut(0).mapv_inplace(|v| if v > 0.0 { v } else { -0.0 });
    assert_eq!(
        model.survival_on_grid(signed.view(), &grid()).unwrap(),
        model.survival_on_grid(x.view(), &grid()).unwrap()
    );
}

#[test]
fn robust_errors_need_names_for_all_rows_and_more_than_one_cluster() {
    let (x, observations) = small();
    let model = CoxModel::fit(x.view(), &observations, &ridge()).unwrap();
    let diagnostics = model.diagnostics(x.view(), &observations).unwrap();
    assert!(matches!(diagnostics.robust_errors(&["a"; 12]), Err(SurvivalError::Domain { .. })));
    assert!(matches!(diagnostics.robust_errors(&["a", "b"]), Err(SurvivalError::Shape { .. })));
    assert!(matches!(
        model.diagnostics(x.select(ndarray::Axis(1), &[0]).view(), &observations),
        Err(SurvivalError::Shape { .. })
    ));
}

#[test]
fn without_covariates_strata_are_life_tables_of_their_own() {
    let (x, observations) = small();
    let class = x.select(ndarray::Axis(1), &[0]);
    let model = StratifiedCox::fit(class.view(), &observations, &[0], &options()).unwrap();
    for (stratum, baseline) in model.strata().iter().zip(model.baselines()) {
        let own: Vec<Observation> = observations
            .iter()
            .zip(class.rows())
            .filter(|(_, row)| row[0].total_cmp(&stratum[0]).is_eq())
            .map(|(o, _)| *o)
            .collect();
        let life = survival::NelsonAalen::fit(&own).unwrap();
        for (time, hazard) in baseline.times.iter().zip(&baseline.hazard) {
            assert!((hazard - life.cumulative_hazard_at(*time)).abs() < 1e-12);
        }
    }
    let diagnostics = model.diagnostics(class.view(), &observations).unwrap();
    assert!(matches!(diagnostics.proportional_hazards(TimeTransform::Rank), Err(SurvivalError::Empty { .. })));
}
