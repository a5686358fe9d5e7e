//! A small made-up spec, rows of it, and one fitted model of each family.
#![allow(dead_code, reason = "each test file uses its share")]

use std::sync::Arc;

use features::spec::{Channel, FlatColumn, FlatSource, KERNEL_VERSION, Statistic, Summary};
use features::{
    Catalogue, Entity, EntityKind, FeatureBatch, FeatureSpec, MetricDefinition, MetricKind, Normalizer, TimeAxis,
};
use model::bundle::BundlePredictor;
use model::classical::matrix;
use model::{AlarmLevels, BundleParts, Calibration, ClassicalModel, Fitted, ModelKind, NetworkConfig, NetworkShape};
use survival::{
    AalenJohansen, AftOptions, Cause, CauseSpecificCox, CauseSpecificWeibull, CensorReason, CoxOptions, DiscreteHazard,
    HazardOptions, Observation, Outcome, Readout, TimeGrid, TimeUnit,
};

pub(crate) fn catalogue() -> Catalogue {
    let metric = |id: &str| MetricDefinition {
        id: id.to_owned(),
        unit: "1".to_owned(),
        kind: MetricKind::Gauge,
        states: Vec::new(),
        signed: true,
        combine: features::Combine::default(),
        foretells: String::new(),
    };
    Catalogue::try_new(vec![metric("a"), metric("b")]).unwrap()
}

pub(crate) fn spec() -> FeatureSpec {
    let channel = |name: &str, metric: &str| Channel {
        name: name.to_owned(),
        metric: metric.to_owned(),
        statistic: Statistic::Mean,
        divide_by: None,
    };
    FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Hours, ticks_per_unit: 1 },
        tile: 1,
        ingest_lag: 0,
        longest_gap: 3,
        flat: vec![
            FlatColumn { name: "age".to_owned(), source: FlatSource::Age },
            FlatColumn { name: "size".to_owned(), source: FlatSource::Attribute { attribute: "size".to_owned() } },
        ],
        steps: 8,
        step: 1,
        channels: vec![channel("a", "a"), channel("b", "b")],
        regimes: Vec::new(),
        summaries: vec![Summary::Last, Summary::Mean { steps: 4 }],
        scrape_interval: None,
        rollup: None,
        catalogue_digest: catalogue().digest(),
    }
}

pub(crate) fn batch(rows: usize) -> FeatureBatch {
    batch_of(&spec(), rows)
}

pub(crate) fn batch_of(spec: &FeatureSpec, rows: usize) -> FeatureBatch {
    let wave = |n: usize| f32::from(u16::try_from(n % 60_000).unwrap()).sin();
    let size = spec.steps * spec.channels.len();
    FeatureBatch::try_new(
        spec,
        spec.hash(),
        (0..rows).map(|row| Entity::try_new(EntityKind::Pod, format!("pod-{row}"), "").unwrap()).collect(),
        (0..rows).map(|row| i64::try_from(row).unwrap()).collect(),
        (0..rows * spec.flat.len()).map(|n| if n % 11 == 3 { f32::NAN } else { wave(n) }).collect(),
        (0..rows * size).map(|n| if n % 17 == 5 { f32::NAN } else { wave(n * 7) }).collect(),
    )
    .unwrap()
}

pub(crate) fn grid() -> Arc<TimeGrid> {
    Arc::new(TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 1.0, 3.0, 6.0, 12.0]).unwrap())
}

const ROWS: usize = 200;

fn observations() -> Vec<Observation> {
    (0..ROWS)
        .map(|row| {
            let duration = 0.2 + f64::from(u16::try_from(row * 37 % 151).unwrap()) / 10.0;
            let outcome = match row % 4 {
                0 => Outcome::Censored(CensorReason::EndOfObservation),
                1 => Outcome::Failed(Cause(1)),
                _ => Outcome::Failed(Cause(0)),
            };
            Observation::try_new(duration, outcome).unwrap()
        })
        .collect()
}

fn normalizer() -> Normalizer {
    Normalizer::fit(&spec(), &batch(ROWS)).unwrap()
}

fn x() -> ndarray::Array2<f64> {
    matrix(&normalizer().design(&batch(ROWS)).unwrap(), None).unwrap()
}

pub(crate) fn network() -> Fitted {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Device, Tensor, TensorData};
    struct Waves(u16);
    impl ModuleMapper for Waves {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let shape = param.val().dims();
            let values: Vec<f32> = (0..shape.iter().product::<usize>())
                .map(|_| {
                    self.0 = self.0.wrapping_add(1);
                    f32::from(self.0).sin() * 0.3
                })
                .collect();
            param.map(|_| Tensor::from_data(TensorData::new(values, shape.to_vec()), &Device::flex()))
        }
    }
    let (steps, channels) = normalizer().window();
    let shape = NetworkShape { width: normalizer().width(), steps, channels, intervals: grid().intervals(), causes: 2 };
    let config = NetworkConfig {
        flat_hidden: 16,
        patch_steps: 4,
        patch_hidden: 8,
        window_hidden: 8,
        fusion_hidden: 16,
        dropout: 0.1,
    };
    let network = config.init(shape, &vec![-1.0; grid().intervals() * 2], &Device::flex()).unwrap();
    Fitted::Neural(Box::new(network.map(&mut Waves(0))), config, shape)
}

pub(crate) fn cox() -> Fitted {
    let options = CoxOptions { ridge: 1.0, ..CoxOptions::default() };
    let fitted = CauseSpecificCox::fit(x().view(), &observations(), 2, &options).unwrap();
    Fitted::Classical(ClassicalModel::Cox { fitted, columns: None })
}

pub(crate) fn weibull() -> Fitted {
    let options = AftOptions { ridge: 1.0, ..AftOptions::default() };
    let fitted = CauseSpecificWeibull::fit(x().view(), &observations(), 2, &options).unwrap();
    Fitted::Classical(ClassicalModel::Weibull { fitted })
}

pub(crate) fn discrete() -> Fitted {
    let options = HazardOptions { ridge: 1.0, ..HazardOptions::default() };
    let fitted = DiscreteHazard::fit(x().view(), &observations(), &grid(), 2, &options).unwrap();
    Fitted::Classical(ClassicalModel::DiscreteHazard { fitted })
}

pub(crate) fn life_table() -> Fitted {
    Fitted::Classical(ClassicalModel::KaplanMeier { fitted: AalenJohansen::fit(&observations(), 2).unwrap() })
}

fn calibration() -> Calibration {
    Calibration { slope: vec![0.9, 1.1], shift: vec![0.1, -0.1] }
}

pub(crate) fn predictor(fitted: &Fitted) -> BundlePredictor {
    let model = fitted.model(&grid(), &burn::tensor::Device::flex()).unwrap();
    BundlePredictor::new(normalizer(), model, calibration())
}

pub(crate) fn parts(kind: ModelKind, fitted: Fitted) -> BundleParts {
    let quantiles = vec![0.05, 0.5, 0.95];
    BundleParts {
        name: kind.name().to_owned(),
        kind,
        fitted,
        spec: spec(),
        catalogue: catalogue(),
        grid: grid(),
        causes: vec!["one".to_owned(), "two".to_owned()],
        readout: Readout {
            horizons: vec![1.0, 6.0],
            quantile_levels: quantiles.clone(),
            quantiles,
            restricted_to: 12.0,
        },
        alarms: AlarmLevels { horizon: 6.0, elevated_budget: 0.05, elevated: 0.3, high_budget: 0.01, high: 0.6 },
        normalizer: normalizer(),
        calibration: calibration(),
        card: "# card".to_owned(),
        training: "seed = 1\n".to_owned(),
        golden: batch(8),
    }
}
