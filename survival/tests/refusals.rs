//! Bad input gives one clear error or a defined answer, never NaN and never a panic.

use std::sync::Arc;

use ndarray::{Array2, array};
use survival::scores::brier::{CensoringWeights, brier_score, integrated_brier_score};
use survival::scores::concordance::harrell;
use survival::scores::resampling::ClusterBootstrap;
use survival::{
    AalenJohansen, AftOptions, Cause, CauseSpecificCox, CensorReason, CoxModel, CoxOptions, DiscreteHazard,
    HazardOptions, KaplanMeier, NelsonAalen, Observation, Outcome, SurvivalCurve, SurvivalError, TimeGrid, TimeUnit,
    WeibullAft,
};

const FAILED: Outcome = Outcome::Failed(Cause(0));
const CENSORED: Outcome = Outcome::Censored(CensorReason::EndOfObservation);

fn lives(outcomes: &[(f64, Outcome)]) -> Vec<Observation> {
    outcomes.iter().map(|&(t, o)| Observation::try_new(t, o).unwrap()).collect()
}

/// Eight lives with two informative columns.
fn small() -> (Array2<f64>, Vec<Observation>) {
    let x = array![[1.0, 0.2], [2.0, 0.1], [0.5, 0.9], [1.5, 0.4], [3.0, 0.3], [0.1, 0.8], [2.2, 0.7], [1.1, 0.6]];
    let observations = lives(&[
        (3.0, FAILED),
        (1.0, FAILED),
        (7.0, CENSORED),
        (2.0, FAILED),
        (4.0, FAILED),
        (8.0, FAILED),
        (5.0, CENSORED),
        (6.0, FAILED),
    ]);
    (x, observations)
}

fn grid() -> Arc<TimeGrid> {
    Arc::new(TimeGrid::try_new(TimeUnit::Days, vec![0.0, 2.0, 4.0, 8.0]).unwrap())
}

#[test]
fn observations_refuse_bad_durations_and_entries() {
    for duration in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        assert!(matches!(Observation::try_new(duration, FAILED), Err(SurvivalError::Duration { .. })), "{duration}");
    }
    for entry in [2.0, 3.0, -1.0, f64::NAN] {
        let got = Observation::try_with_entry(2.0, entry, FAILED);
        assert!(matches!(got, Err(SurvivalError::Entry { .. })), "{entry}");
    }
}

#[test]
fn every_estimator_refuses_an_empty_list() {
    let nothing = Array2::zeros((0, 2));
    assert!(matches!(KaplanMeier::fit(&[]), Err(SurvivalError::Empty { .. })));
    assert!(matches!(NelsonAalen::fit(&[]), Err(SurvivalError::Empty { .. })));
    assert!(matches!(AalenJohansen::fit(&[], 1), Err(SurvivalError::Empty { .. })));
    assert!(matches!(CoxModel::fit(nothing.view(), &[], &CoxOptions::default()), Err(SurvivalError::Empty { .. })));
    assert!(matches!(WeibullAft::fit(nothing.view(), &[], &AftOptions::default()), Err(SurvivalError::Empty { .. })));
    let got = DiscreteHazard::fit(nothing.view(), &[], &grid(), 1, &HazardOptions::default());
    assert!(matches!(got, Err(SurvivalError::Empty { .. })));
    assert!(matches!(harrell(&[], &[]), Err(SurvivalError::Empty { .. })));
}

#[test]
fn all_censored_is_flat_without_a_model_and_an_error_with_one() {
    let (x, observations) = small();
    let censored = lives(&observations.iter().map(|o| (o.duration(), CENSORED)).collect::<Vec<_>>());
    assert_eq!(KaplanMeier::fit(&censored).unwrap().survival_at(100.0).to_bits(), 1.0_f64.to_bits());
    let no_failures = SurvivalError::NoFailures { rows: 8 };
    let (cox, aft) = (CoxOptions::default(), AftOptions::default());
    assert_eq!(CoxModel::fit(x.view(), &censored, &cox).unwrap_err(), no_failures);
    assert_eq!(CauseSpecificCox::fit(x.view(), &censored, 2, &cox).unwrap_err(), no_failures);
    assert_eq!(WeibullAft::fit(x.view(), &censored, &aft).unwrap_err(), no_failures);
    let got = DiscreteHazard::fit(x.view(), &censored, &grid(), 1, &HazardOptions::default());
    assert_eq!(got.unwrap_err(), no_failures);
    assert_eq!(harrell(&censored, &[0.0; 8]).unwrap_err(), SurvivalError::NoComparablePair { rows: 8 });
}

#[test]
fn a_value_that_is_not_finite_is_named_with_row_and_column() {
    let (mut x, observations) = small();
    x[[3, 1]] = f64::NAN;
    let got = CoxModel::fit(x.view(), &observations, &CoxOptions::default()).unwrap_err();
    assert!(got.to_string().starts_with("covariates: row 3, column 1 is NaN"), "{got}");
    x[[3, 1]] = f64::INFINITY;
    assert!(WeibullAft::fit(x.view(), &observations, &AftOptions::default()).is_err());
    assert!(DiscreteHazard::fit(x.view(), &observations, &grid(), 1, &HazardOptions::default()).is_err());
    let (x, observations) = small();
    let model = CoxModel::fit(x.view(), &observations, &CoxOptions { ridge: 1.0, ..CoxOptions::default() }).unwrap();
    assert!(model.survival_on_grid(array![[1.0, f64::NAN]].view(), &grid()).is_err());
    assert!(model.linear_predictor(&[1.0]).is_err());
    assert!(harrell(&observations, &[f64::NAN; 8]).is_err());
}

#[test]
fn constant_and_collinear_columns_are_named_without_a_ridge_and_fitted_with_one() {
    let (x, observations) = small();
    let with =
        |third: &dyn Fn(usize) -> f64| Array2::from_shape_fn((8, 3), |(r, c)| if c < 2 { x[[r, c]] } else { third(r) });
    let constant = with(&|_| 4.0);
    let collinear = with(&|r| 2.0 * x[[r, 0]] - x[[r, 1]] + 5.0);
    let (cox, aft) = (CoxOptions::default(), AftOptions::default());
    for (table, problem) in [(&constant, "constant"), (&collinear, "collinear with the others")] {
        let want = SurvivalError::Column { column: 2, problem };
        assert_eq!(CoxModel::fit(table.view(), &observations, &cox).unwrap_err(), want);
        assert_eq!(WeibullAft::fit(table.view(), &observations, &aft).unwrap_err(), want);
        let got = DiscreteHazard::fit(table.view(), &observations, &grid(), 1, &HazardOptions::default());
        assert_eq!(got.unwrap_err(), want);
    }
    let ridge = CoxOptions { ridge: 0.5, ..cox };
    let model = CoxModel::fit(constant.view(), &observations, &ridge).unwrap();
    assert!(model.coefficients()[2].abs() < 1e-15 && model.coefficients()[0].abs() > 1e-3);
    assert!(CoxModel::fit(collinear.view(), &observations, &ridge).is_ok());
}

#[test]
fn a_column_that_separates_the_failures_is_named() {
    let (mut x, observations) = small();
    // Earlier failures always have the larger value.
    for (row, observation) in observations.iter().enumerate() {
        x[[row, 1]] = 10.0 - observation.duration() + 0.01 * x[[row, 0]];
    }
    let got = CoxModel::fit(x.view(), &observations, &CoxOptions::default()).unwrap_err();
    assert!(matches!(&got, SurvivalError::Column { problem, .. } if problem.contains("separating")), "{got}");
}

#[test]
fn failures_that_the_columns_fit_exactly_need_a_ridge() {
    // Every life failed, at e^(column): the likelihood grows with the shape without end.
    let x = array![[0.5], [1.0], [1.5], [2.0]];
    let observations = lives(&x.iter().map(|v: &f64| (v.exp(), FAILED)).collect::<Vec<_>>());
    let free = WeibullAft::fit(x.view(), &observations, &AftOptions::default());
    // Whether the shape passes its bound or the steps run out first hangs on the last bits; an answer must not come.
    assert!(matches!(free, Err(SurvivalError::Domain { .. } | SurvivalError::NoConvergence { .. })), "{free:?}");
    let held = WeibullAft::fit(x.view(), &observations, &AftOptions { ridge: 0.1, ..AftOptions::default() }).unwrap();
    assert!(held.shape() > 1.0 && held.shape() < 100.0, "{}", held.shape());
}

#[test]
fn shapes_and_causes_that_disagree_are_refused() {
    let (x, observations) = small();
    let got = CoxModel::fit(x.view(), &observations[..5], &CoxOptions::default()).unwrap_err();
    assert_eq!(got, SurvivalError::Shape { what: "covariate rows", expected: 5, got: 8 });
    let foreign = vec![Observation::try_new(1.0, Outcome::Failed(Cause(3))).unwrap()];
    assert!(matches!(AalenJohansen::fit(&foreign, 2), Err(SurvivalError::Domain { .. })));
    assert!(KaplanMeier::fit_weighted(&observations, &[1.0]).is_err());
    assert!(KaplanMeier::fit_weighted(&observations, &[-1.0; 8]).is_err());
    assert!(CoxModel::fit(x.view(), &observations, &CoxOptions { ridge: -1.0, ..CoxOptions::default() }).is_err());
}

#[test]
fn scores_beyond_the_support_of_training_say_how_far_they_may_go() {
    let training =
        lives(&(1..=40).map(|t| (f64::from(t), if t % 4 == 0 { FAILED } else { CENSORED })).collect::<Vec<_>>());
    let censoring = CensoringWeights::fit(&training).unwrap();
    let got = brier_score(&training, &[0.5; 40], 40.0, &censoring).unwrap_err();
    let SurvivalError::ThinCensoring { allowed_until, .. } = got else { panic!("{got}") };
    assert!(brier_score(&training, &[0.5; 40], allowed_until, &censoring).is_ok());
    assert!(censoring.at(allowed_until) >= 0.05 && censoring.smallest() < 0.05);
    let curve = SurvivalCurve::from_survival(grid(), vec![1.0, 0.9, 0.8, 0.7]).unwrap();
    let got = integrated_brier_score(&training, &vec![curve; 40], &[1.0, 9.0], &censoring);
    assert!(matches!(got, Err(SurvivalError::BeyondGrid { .. })));
}

#[test]
fn a_bootstrap_of_one_cluster_is_refused() {
    assert!(matches!(ClusterBootstrap::new(&["a", "a"], 100, 1), Err(SurvivalError::Domain { .. })));
    assert!(ClusterBootstrap::new(&[] as &[&str], 100, 1).is_err());
    let bootstrap = ClusterBootstrap::new(&["a", "b", "c"], 50, 1).unwrap();
    assert!(bootstrap.interval_of_mean(&[1.0, f64::NAN, 2.0]).is_err());
    assert!(matches!(bootstrap.interval_of(|_| None), Err(SurvivalError::UndefinedStatistic { .. })));
}
