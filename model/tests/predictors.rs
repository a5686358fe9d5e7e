//! One suite for every predictor: laws of a curve, and a row alone equals the row in a batch.

mod common;

use model::{Fitted, ModelKind, Predictor};

fn every() -> Vec<(ModelKind, Fitted)> {
    vec![
        (ModelKind::HazardNet, common::network()),
        (ModelKind::Cox, common::cox()),
        (ModelKind::Weibull, common::weibull()),
        (ModelKind::DiscreteHazard, common::discrete()),
        (ModelKind::KaplanMeier, common::life_table()),
    ]
}

#[test]
fn every_predictor_starts_at_one_never_rises_and_sums_to_one() {
    for (kind, fitted) in every() {
        for curve in common::predictor(&fitted).predict(&common::batch(50)).unwrap() {
            let survival = curve.survival();
            assert!((survival[0] - 1.0).abs() < 1e-12, "{}", kind.name());
            for edge in 1..survival.len() {
                assert!(survival[edge] <= survival[edge - 1] + 1e-12, "{}: {survival:?}", kind.name());
                let total: f64 = survival[edge] + curve.incidence().iter().map(|f| f[edge]).sum::<f64>();
                assert!((total - 1.0).abs() < 1e-9, "{}: {total}", kind.name());
            }
        }
    }
}

#[test]
fn a_row_alone_equals_the_row_in_a_batch() {
    for (kind, fitted) in every() {
        let predictor = common::predictor(&fitted);
        let batch = common::batch(37);
        let together = predictor.predict(&batch).unwrap();
        for row in [0, 1, 17, 36] {
            let alone = predictor.predict(&batch.slice(row, row + 1)).unwrap();
            for (a, b) in alone[0].survival().iter().zip(together[row].survival()) {
                // Products of other heights may add in another order on the CPU: the last bits of an f32 logit.
                assert!((a - b).abs() < 1e-6, "{} row {row}: {a} against {b}", kind.name());
            }
        }
    }
}

#[test]
fn an_empty_batch_has_no_curves() {
    for (kind, fitted) in every() {
        let curves = common::predictor(&fitted).predict(&common::batch(0));
        assert!(curves.is_err() || curves.unwrap().is_empty(), "{}", kind.name());
    }
}

#[test]
fn missing_values_still_give_a_curve() {
    for (kind, fitted) in every() {
        let spec = common::spec();
        let rows = 2;
        let batch = features::FeatureBatch::try_new(
            &spec,
            spec.hash(),
            common::batch(rows).entities().to_vec(),
            vec![0; rows],
            vec![f32::NAN; rows * spec.flat.len()],
            vec![f32::NAN; rows * spec.steps * spec.channels.len()],
        )
        .unwrap();
        assert_eq!(common::predictor(&fitted).predict(&batch).unwrap().len(), rows, "{}", kind.name());
    }
}
