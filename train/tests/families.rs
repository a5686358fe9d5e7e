//! Every family is fitted, written as a bundle and read back on one small fleet; mixtures are what they say they are.

mod common;

use datasets::Silent;
use datasets::simulator::World;
use features::Split;
use model::{CurveModel, DeviceChoice, Fitted, LoadedBundle, ModelKind, Predictor};
use survival::SurvivalCurve;
use train::bench::task::ThreeParts;
use train::config::{BoostedConfig, EnsembleConfig, FitConfig};
use train::pipeline::train_bundles;
use train::{TrainConfig, fit_model, prepare};

fn quick() -> TrainConfig {
    TrainConfig {
        device: DeviceChoice::Cpu,
        fit: FitConfig { epochs: 3, patience: 2, ..FitConfig::default() },
        ensemble: EnsembleConfig { members: 2 },
        boosted: BoostedConfig { trees: 40, ..BoostedConfig::default() },
        ..TrainConfig::default()
    }
}

fn distance(a: &[SurvivalCurve], b: &[SurvivalCurve]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.survival().iter().zip(b.survival()));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn every_family_is_a_bundle_that_answers_as_it_was_fitted() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::Interaction, 24, false);
    let rows = dataset.rows().unwrap();
    let test = rows.part(Split::Test);
    for cross_fit in [0, 3] {
        let config = TrainConfig { cross_fit, ..quick() };
        let place = |kind: ModelKind| folder.path().join(format!("{}-{cross_fit}", kind.name()));
        let trained = train_bundles(&dataset, &rows, &ModelKind::ALL, &config, &place, &Silent).unwrap();
        assert_eq!(trained.len(), ModelKind::ALL.len());
        for bundle in &trained {
            let loaded = LoadedBundle::load(&bundle.dir, DeviceChoice::Cpu).unwrap();
            assert_eq!(loaded.info().kind, bundle.kind);
            let curves = loaded.predict(&test.features).unwrap();
            assert_eq!(curves.len(), test.rows(), "{}", bundle.kind.name());
            let mixture = matches!(loaded.fitted(), Fitted::Mixture(_));
            let alone = matches!(bundle.kind, ModelKind::HazardNetEnsemble | ModelKind::Stack);
            assert!(mixture || !(alone && cross_fit == 0) || bundle.notes.iter().any(|note| note.contains("share")));
            assert!(cross_fit == 0 || mixture, "{}: folds make a mixture", bundle.kind.name());
        }
    }
}

#[test]
fn a_mixture_is_the_mean_of_its_members() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::LogLinear, 24, false);
    let rows = dataset.rows().unwrap();
    let labels = ThreeParts {
        train: rows.part(Split::Train),
        validation: rows.part(Split::Validation),
        calibration: rows.part(Split::Calibration),
    };
    let parts = labels.of(&dataset);
    let prepared = prepare(parts, 0).unwrap();
    let fitted = fit_model(ModelKind::HazardNetEnsemble, parts, &prepared, &quick(), None, &Silent).unwrap();
    let Fitted::Mixture(members) = &fitted.fitted else { unreachable!("two networks") };
    assert_eq!(members.len(), 2);
    let design = fitted.normalizer.design(&rows.part(Split::Test).features).unwrap();
    let cpu = burn::tensor::Device::flex();
    let of_member = |at: usize| members[at].fitted.model(dataset.grid(), &cpu).unwrap().curves(&design).unwrap();
    let (first, second) = (of_member(0), of_member(1));
    assert!(distance(&first, &second) > 1e-4, "two seeds are two networks");
    let mean: Vec<SurvivalCurve> =
        first.iter().zip(&second).map(|(a, b)| SurvivalCurve::mixture(&[(0.5, a), (0.5, b)]).unwrap()).collect();
    let whole: Box<dyn CurveModel> = fitted.fitted.model(dataset.grid(), &cpu).unwrap();
    assert!(distance(&whole.curves(&design).unwrap(), &mean) < 1e-12);
}

#[test]
fn dropping_survived_intervals_moves_no_mean_risk() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = common::fleet(&folder.path().join("fleet"), World::Interaction, 60, false);
    let rows = dataset.rows().unwrap();
    let labels = ThreeParts {
        train: rows.part(Split::Train),
        validation: rows.part(Split::Validation),
        calibration: rows.part(Split::Calibration),
    };
    let parts = labels.of(&dataset);
    let prepared = prepare(parts, 0).unwrap();
    let mean_risk = |cells: usize| -> (f64, String) {
        let mut config = quick();
        config.boosted.cells = cells;
        let fitted = fit_model(ModelKind::BoostedHazard, parts, &prepared, &config, None, &Silent).unwrap();
        let model = fitted.fitted.model(dataset.grid(), &burn::tensor::Device::flex()).unwrap();
        let design = fitted.normalizer.design(&labels.train.features).unwrap();
        let horizon = dataset.readout().horizons[1];
        let curves = model.curves(&design).unwrap();
        let total: f64 = curves.iter().map(|curve| curve.failure_probability(horizon).unwrap()).sum();
        #[expect(clippy::cast_precision_loss, reason = "rows of a test")]
        (total / curves.len() as f64, fitted.notes.join("; "))
    };
    let (whole, notes) = mean_risk(1_000_000_000);
    assert!(notes.contains("kept at 1.000"), "{notes}");
    let (drawn, notes) = mean_risk(400_000);
    assert!(!notes.contains("kept at 1.000"), "{notes}");
    // Without the correction the odds would be off by the share kept, several times over.
    assert!((drawn / whole - 1.0).abs() < 0.15, "{drawn} against {whole}: {notes}");
}
