//! Bad input to the curve scores gives one clear error or a defined answer, never NaN and never a panic.

use std::sync::Arc;

use survival::scores::antolini::{Reading, antolini, antolini_weighted};
use survival::scores::brier::CensoringWeights;
use survival::scores::calibration_index::integrated_calibration_index;
use survival::scores::censored_rul::{mae_hinge, mae_margin, mae_pseudo_observation};
use survival::scores::crps::{survival_crps, survival_crps_contributions};
use survival::scores::dynamic_auc::{cumulative_dynamic_auc, cumulative_dynamic_auc_of_risk};
use survival::scores::health_indicator::{monotonicity, prognosability, trendability};
use survival::scores::incidence_concordance::concordance_of_cause;
use survival::scores::marginal_calibration::{aj_calibration, km_calibration};
use survival::scores::nbll::{integrated_nbll, negative_binomial_log_likelihood};
use survival::scores::one_calibration::one_calibration;
use survival::scores::prognostics::{PrognosisTrack, probability_within};
use survival::scores::scaled_brier::{scaled_integrated_brier_score, scaled_integrated_brier_score_of_cause};
use survival::{
    AalenJohansen, Cause, CensorReason, KaplanMeier, Observation, Outcome, SurvivalCurve, SurvivalError, TimeGrid,
    TimeUnit,
};

const FAILED: Outcome = Outcome::Failed(Cause(0));
const CENSORED: Outcome = Outcome::Censored(CensorReason::EndOfObservation);

fn lives(outcomes: &[(f64, Outcome)]) -> Vec<Observation> {
    outcomes.iter().map(|&(t, o)| Observation::try_new(t, o).unwrap()).collect()
}

fn some() -> Vec<Observation> {
    lives(&[(1.0, FAILED), (2.0, CENSORED), (3.0, FAILED), (4.0, CENSORED), (5.0, FAILED), (6.0, CENSORED)])
}

fn all_censored() -> Vec<Observation> {
    lives(&[(1.0, CENSORED), (2.0, CENSORED), (3.0, CENSORED), (4.0, CENSORED), (5.0, CENSORED), (6.0, CENSORED)])
}

fn curve_on(edges: &[f64]) -> SurvivalCurve {
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Days, edges.to_vec()).unwrap());
    let survival = edges.iter().map(|t| (-0.2 * t).exp()).collect();
    SurvivalCurve::from_survival(grid, survival).unwrap()
}

fn curves(n: usize) -> Vec<SurvivalCurve> {
    vec![curve_on(&[0.0, 2.0, 4.0, 8.0]); n]
}

fn weights() -> CensoringWeights {
    CensoringWeights::fit(&some()).unwrap()
}

#[test]
fn nothing_to_score_is_an_error() {
    let (g, km) = (weights(), KaplanMeier::fit(&some()).unwrap());
    let empty = |got: SurvivalError| assert!(matches!(got, SurvivalError::Empty { .. }), "{got}");
    empty(antolini(&[], &[], 1.0, Reading::AtFailure).unwrap_err());
    empty(concordance_of_cause(&[], Cause(0), &[], 1.0, None).unwrap_err());
    empty(cumulative_dynamic_auc(&[], &[], &[1.0], &g).unwrap_err());
    empty(cumulative_dynamic_auc_of_risk(&some(), &[0.1; 6], &[], &g).unwrap_err());
    empty(negative_binomial_log_likelihood(&[], &[], 1.0, &g).unwrap_err());
    empty(integrated_nbll(&[], &[], &[1.0, 2.0], &g).unwrap_err());
    empty(scaled_integrated_brier_score(&[], &[], &[1.0, 2.0], &g, &km).unwrap_err());
    empty(one_calibration(&[], &[], 1.0, 5).unwrap_err());
    empty(integrated_calibration_index(&[], &[], 1.0, 3).unwrap_err());
    empty(km_calibration(&[], &[], &[1.0, 2.0]).unwrap_err());
    empty(aj_calibration(&[], Cause(0), &[], &[1.0, 2.0]).unwrap_err());
    empty(survival_crps(&[], &[], 1.0).unwrap_err());
    empty(mae_hinge(&[], &[]).unwrap_err());
    empty(mae_margin(&[], &some(), &[1.0; 6]).unwrap_err());
    empty(mae_pseudo_observation(&[], &some(), &[1.0; 6]).unwrap_err());
    empty(PrognosisTrack::try_new(vec![], vec![], 1.0).unwrap_err());
}

#[test]
fn inputs_of_unequal_length_are_an_error() {
    let (g, km) = (weights(), KaplanMeier::fit(&some()).unwrap());
    let shape = |got: SurvivalError| assert!(matches!(got, SurvivalError::Shape { .. }), "{got}");
    let (o, five) = (some(), curves(5));
    shape(antolini(&o, &five, 1.0, Reading::AtFailure).unwrap_err());
    shape(antolini_weighted(&o, &curves(6), 1.0, Reading::AtEdge, &[1.0]).unwrap_err());
    shape(concordance_of_cause(&o, Cause(0), &[0.1], 1.0, None).unwrap_err());
    shape(cumulative_dynamic_auc(&o, &five, &[1.5], &g).unwrap_err());
    shape(cumulative_dynamic_auc_of_risk(&o, &[0.1], &[1.5], &g).unwrap_err());
    shape(negative_binomial_log_likelihood(&o, &[0.5], 1.0, &g).unwrap_err());
    shape(integrated_nbll(&o, &five, &[1.0, 2.0], &g).unwrap_err());
    shape(integrated_nbll(&o, &curves(6), &[1.0], &g).unwrap_err());
    shape(scaled_integrated_brier_score(&o, &five, &[1.0, 2.0], &g, &km).unwrap_err());
    shape(one_calibration(&o, &[0.5], 1.0, 5).unwrap_err());
    shape(integrated_calibration_index(&o, &[0.5], 1.0, 3).unwrap_err());
    shape(km_calibration(&o, &five, &[1.0, 2.0]).unwrap_err());
    shape(km_calibration(&o, &curves(6), &[1.0]).unwrap_err());
    shape(aj_calibration(&o, Cause(0), &five, &[1.0, 2.0]).unwrap_err());
    shape(survival_crps(&o, &five, 1.0).unwrap_err());
    shape(mae_hinge(&o, &[1.0]).unwrap_err());
    shape(mae_margin(&o, &o, &[1.0]).unwrap_err());
    shape(PrognosisTrack::try_new(vec![1.0], vec![], 2.0).unwrap_err());
    shape(PrognosisTrack::try_new(vec![1.0], vec![1.0], 2.0).unwrap().convergence().unwrap_err());
    let track = PrognosisTrack::try_new(vec![1.0], vec![1.0], 2.0).unwrap();
    shape(track.cumulative_relative_accuracy(Some(&[1.0, 1.0])).unwrap_err());
    shape(monotonicity(&[]).unwrap_err());
    shape(monotonicity(&[vec![1.0]]).unwrap_err());
    shape(trendability(&[vec![1.0, 2.0]]).unwrap_err());
    shape(prognosability(&[vec![1.0, 2.0]]).unwrap_err());
}

#[test]
fn values_that_are_no_numbers_or_no_probabilities_are_an_error() {
    let (o, g) = (some(), weights());
    let bad = [0.1, 0.2, f64::NAN, 0.4, 0.5, 0.6];
    let refused = |got: SurvivalError| assert!(matches!(got, SurvivalError::NonFinite { row: 2, .. }), "{got}");
    refused(concordance_of_cause(&o, Cause(0), &bad, 3.0, None).unwrap_err());
    refused(cumulative_dynamic_auc_of_risk(&o, &bad, &[1.5], &g).unwrap_err());
    refused(negative_binomial_log_likelihood(&o, &bad, 1.0, &g).unwrap_err());
    refused(one_calibration(&o, &bad, 1.0, 2).unwrap_err());
    refused(integrated_calibration_index(&o, &bad, 1.0, 3).unwrap_err());
    refused(mae_hinge(&o, &bad).unwrap_err());
    refused(mae_margin(&o, &o, &bad).unwrap_err());
    refused(mae_pseudo_observation(&o, &o, &bad).unwrap_err());
    let domain = |got: SurvivalError| assert!(matches!(got, SurvivalError::Domain { .. }), "{got}");
    domain(one_calibration(&o, &[1.5; 6], 1.0, 2).unwrap_err());
    domain(integrated_calibration_index(&o, &[-0.5; 6], 1.0, 3).unwrap_err());
    domain(antolini_weighted(&o, &curves(6), 1.0, Reading::AtEdge, &[-1.0; 6]).unwrap_err());
    assert!(monotonicity(&[vec![1.0, f64::INFINITY]]).is_err());
    assert!(trendability(&[vec![1.0, 2.0], vec![1.0, f64::NAN]]).is_err());
    assert!(PrognosisTrack::try_new(vec![1.0], vec![f64::NAN], 2.0).is_err());
    assert!(PrognosisTrack::try_new(vec![f64::NAN], vec![1.0], 2.0).is_err());
}

#[test]
fn without_a_failure_nothing_can_be_ranked_or_fitted() {
    let o = all_censored();
    let g = CensoringWeights::fit(&some()).unwrap();
    let p = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let got = antolini(&o, &curves(6), 4.0, Reading::AtFailure).unwrap_err();
    assert_eq!(got, SurvivalError::NoComparablePair { rows: 6 });
    let none = SurvivalError::NoFailures { rows: 6 };
    assert_eq!(concordance_of_cause(&o, Cause(0), &p, 4.0, None).unwrap_err(), none);
    // A cause nobody failed of.
    assert_eq!(concordance_of_cause(&some(), Cause(7), &p, 4.0, None).unwrap_err(), none);
    assert_eq!(cumulative_dynamic_auc_of_risk(&o, &p, &[2.5], &g).unwrap_err(), none);
    assert_eq!(integrated_calibration_index(&o, &p, 4.0, 3).unwrap_err(), none);
    assert_eq!(mae_margin(&o, &some(), &p).unwrap_err(), none);
    assert_eq!(mae_pseudo_observation(&o, &some(), &p).unwrap_err(), none);
    // Everybody left before the first failure of training: no row has a weight.
    let early = lives(&[(0.5, CENSORED)]);
    assert_eq!(mae_margin(&some(), &early, &[1.0]).unwrap_err(), SurvivalError::NoFailures { rows: 1 });
    // A horizon before the first failure, and one that none of known state outlived.
    assert!(cumulative_dynamic_auc_of_risk(&some(), &p, &[0.5], &g).is_err());
    let failed = lives(&[(1.0, FAILED), (2.0, FAILED)]);
    let g = CensoringWeights::fit(&failed).unwrap();
    let got = cumulative_dynamic_auc_of_risk(&failed, &p[..2], &[2.0], &g).unwrap_err();
    assert_eq!(got, SurvivalError::NoComparablePair { rows: 2 });
    // Defined all the same: no certain error, a flat estimate, and log-likelihoods of survival.
    assert!((mae_hinge(&o, &[9.0; 6]).unwrap()).abs() < 1e-15);
    assert!((km_calibration(&o, &curves(6), &[0.0, 2.0]).unwrap().observed[1] - 1.0).abs() < 1e-15);
    assert!(survival_crps(&o, &curves(6), 8.0).unwrap().is_finite());
}

#[test]
fn times_beyond_what_is_known_say_how_far_they_may_go() {
    let o = some();
    let g = weights();
    let beyond = |got: SurvivalError| {
        assert!(matches!(got, SurvivalError::BeyondGrid { last_edge, .. } if last_edge < 8.5), "{got}");
    };
    for reading in [Reading::AtFailure, Reading::AtEdge] {
        beyond(antolini(&o, &curves(6), 9.0, reading).unwrap_err());
    }
    beyond(survival_crps(&o, &curves(6), 9.0).unwrap_err());
    beyond(probability_within(&curves(1)[0], 7.0, 0.2).unwrap_err());
    let short = vec![curve_on(&[0.0, 1.0, 2.0]); 6];
    beyond(integrated_nbll(&o, &short, &[1.0, 3.0], &g).unwrap_err());
    beyond(km_calibration(&o, &short, &[1.0, 3.0]).unwrap_err());
    beyond(cumulative_dynamic_auc(&o, &short, &[1.5, 3.5], &g).unwrap_err());

    let thin = |got: SurvivalError| {
        assert!(matches!(got, SurvivalError::ThinCensoring { allowed_until, .. } if allowed_until <= 6.0), "{got}");
    };
    let p = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    thin(concordance_of_cause(&o, Cause(0), &p, 7.0, Some(&g)).unwrap_err());
    thin(cumulative_dynamic_auc_of_risk(&o, &p, &[1.5, 7.0], &g).unwrap_err());
    thin(negative_binomial_log_likelihood(&o, &p, 7.0, &g).unwrap_err());
    thin(integrated_nbll(&o, &curves(6), &[1.0, 7.0], &g).unwrap_err());

    let followed = |got: SurvivalError| {
        assert!(matches!(got, SurvivalError::BeyondFollowUp { last, .. } if (last - 6.0).abs() < 1e-12), "{got}");
        assert!(got.to_string().contains("up to 6"), "{got}");
    };
    followed(one_calibration(&o, &p, 6.5, 2).unwrap_err());
    followed(integrated_calibration_index(&o, &p, 6.5, 3).unwrap_err());
    followed(km_calibration(&o, &curves(6), &[1.0, 6.5]).unwrap_err());
    followed(aj_calibration(&o, Cause(0), &curves(6), &[1.0, 6.5]).unwrap_err());
    // Weights that reach further than the average curve.
    let longer = CensoringWeights::fit(&lives(&[(1.0, FAILED), (9.0, FAILED)])).unwrap();
    let (km, aj) = (KaplanMeier::fit(&o).unwrap(), AalenJohansen::fit(&o, 1).unwrap());
    followed(scaled_integrated_brier_score(&o, &curves(6), &[1.0, 7.0], &longer, &km).unwrap_err());
    followed(scaled_integrated_brier_score_of_cause(&o, Cause(0), &curves(6), &[1.0, 7.0], &longer, &aj).unwrap_err());
}

#[test]
fn arguments_outside_their_domain_are_named() {
    let (o, g) = (some(), weights());
    let p = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let domain = |got: SurvivalError| assert!(matches!(got, SurvivalError::Domain { .. }), "{got}");
    for until in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        domain(antolini(&o, &curves(6), until, Reading::AtFailure).unwrap_err());
        domain(concordance_of_cause(&o, Cause(0), &p, until, None).unwrap_err());
        domain(one_calibration(&o, &p, until, 2).unwrap_err());
        domain(integrated_calibration_index(&o, &p, until, 3).unwrap_err());
    }
    for until in [0.0, -1.0, f64::NAN] {
        domain(survival_crps(&o, &curves(6), until).unwrap_err());
    }
    for times in [[2.0, 2.0], [2.0, 1.0], [1.0, f64::NAN]] {
        domain(cumulative_dynamic_auc(&o, &curves(6), &times, &g).unwrap_err());
        domain(integrated_nbll(&o, &curves(6), &times, &g).unwrap_err());
        domain(km_calibration(&o, &curves(6), &times).unwrap_err());
    }
    domain(km_calibration(&o, &curves(6), &[-1.0, 1.0]).unwrap_err());
    domain(aj_calibration(&o, Cause(1), &curves(6), &[1.0, 2.0]).unwrap_err());
    // An observation of a cause the curves do not know.
    let foreign = lives(&[(1.0, Outcome::Failed(Cause(3))), (2.0, FAILED)]);
    domain(aj_calibration(&foreign, Cause(0), &curves(2), &[1.0, 2.0]).unwrap_err());
    for bins in [0, 1] {
        domain(one_calibration(&o, &p, 4.0, bins).unwrap_err());
    }
    // All predictions alike are one group; a group that is certain has no spread to test against.
    domain(one_calibration(&o, &[0.3; 6], 4.0, 3).unwrap_err());
    domain(one_calibration(&o, &[0.0, 0.0, 0.0, 0.5, 0.5, 0.5], 4.0, 2).unwrap_err());
    for knots in [0, 2, 8] {
        domain(integrated_calibration_index(&o, &p, 4.0, knots).unwrap_err());
    }
    let track = PrognosisTrack::try_new(vec![1.0, 2.0], vec![3.0, 2.0], 4.0).unwrap();
    domain(track.prognostic_horizon(0.0).unwrap_err());
    domain(track.alpha_lambda(1.0, 0.5).unwrap_err());
    domain(track.alpha_lambda(0.1, 1.0).unwrap_err());
    domain(track.alpha_lambda(0.1, f64::NAN).unwrap_err());
    domain(track.cumulative_relative_accuracy(Some(&[0.0, 0.0])).unwrap_err());
    domain(track.cumulative_relative_accuracy(Some(&[1.0, -1.0])).unwrap_err());
    domain(PrognosisTrack::try_new(vec![2.0, 2.0], vec![3.0, 2.0], 4.0).unwrap_err());
    domain(PrognosisTrack::try_new(vec![2.0], vec![3.0], 2.0).unwrap_err());
    domain(PrognosisTrack::try_new(vec![2.0], vec![3.0], f64::INFINITY).unwrap_err());
    domain(probability_within(&curves(1)[0], 0.0, 0.2).unwrap_err());
    domain(prognosability(&[vec![1.0, 1.0], vec![2.0, 2.0]]).unwrap_err());
    assert!(serde_json::from_str::<PrognosisTrack>(r#"{"times":[2],"predicted":[1],"end_of_life":1}"#).is_err());
}

#[test]
fn curves_on_other_grids_cannot_be_read_at_common_edges() {
    let o = some();
    let mut mixed = curves(5);
    mixed.push(curve_on(&[0.0, 3.0, 8.0]));
    let got = antolini(&o, &mixed, 4.0, Reading::AtEdge).unwrap_err();
    assert!(got.to_string().contains("row 5"), "{got}");
    assert!(antolini(&o, &mixed, 4.0, Reading::AtFailure).is_ok());
    // Equal edges in another place of memory are one grid.
    let same: Vec<SurvivalCurve> = (0..6).map(|_| curve_on(&[0.0, 2.0, 4.0, 8.0])).collect();
    assert!(antolini(&o, &same, 4.0, Reading::AtEdge).is_ok());
}

#[test]
fn entries_the_curve_ruled_out_or_beyond_the_end_are_refused() {
    let late = [Observation::try_with_entry(6.0, 4.0, FAILED).unwrap()];
    let grid = Arc::new(TimeGrid::try_new(TimeUnit::Days, vec![0.0, 3.0, 8.0]).unwrap());
    let dead = SurvivalCurve::from_survival(grid, vec![1.0, 0.0, 0.0]).unwrap();
    let got = survival_crps_contributions(&late, &[dead], 8.0).unwrap_err();
    assert!(matches!(got, SurvivalError::Domain { what: "survival at the entry time", .. }), "{got}");
    assert!(matches!(survival_crps(&late, &curves(1), 4.0), Err(SurvivalError::Domain { .. })));
    // Delayed entries that empty the risk set early take the average curve to 0 for good.
    let training =
        [Observation::try_new(1.0, FAILED).unwrap(), Observation::try_with_entry(3.0, 2.0, CENSORED).unwrap()];
    assert!(matches!(mae_margin(&training, &some(), &[1.0; 6]), Err(SurvivalError::Domain { .. })));
}

#[test]
fn a_reference_without_error_cannot_scale_anything() {
    // Nobody fails before 9, the average curve says so, and all are alive at the times.
    let o = lives(&[(9.0, FAILED), (9.0, FAILED)]);
    let (g, km) = (CensoringWeights::fit(&o).unwrap(), KaplanMeier::fit(&o).unwrap());
    let got = scaled_integrated_brier_score(&o, &curves(2), &[1.0, 2.0], &g, &km).unwrap_err();
    assert!(matches!(got, SurvivalError::Domain { value, .. } if value.abs() < 1e-15), "{got}");
}
