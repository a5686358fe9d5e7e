//! Nothing that lies after the cut, or reached us after it, ever changes a row.

use std::collections::BTreeMap;

use features::catalogue::MetricDefinition;
use features::spec::{Channel, FlatColumn, FlatSource, KERNEL_VERSION, Statistic};
use features::{
    Catalogue, Entity, EntityKind, EntityTiles, Facts, FeatureSpec, MetricId, MetricKind, RowAssembler, Sample,
    TimeAxis,
};
use proptest::prelude::*;
use survival::TimeUnit;

const TILE: i64 = 10;
const LAG: i64 = 4;
const END: i64 = 600;

fn catalogue() -> Catalogue {
    let metric = |id: &str, kind| MetricDefinition {
        id: id.to_owned(),
        unit: "1".to_owned(),
        kind,
        states: Vec::new(),
        signed: false,
        combine: features::Combine::default(),
        foretells: String::new(),
    };
    Catalogue::try_new(vec![
        metric("level", MetricKind::Gauge),
        metric("total", MetricKind::Counter),
        metric("limit", MetricKind::Gauge),
    ])
    .unwrap()
}

fn spec(catalogue: &Catalogue) -> FeatureSpec {
    let tile = |name: &str, metric: &str, statistic, window| FlatColumn {
        name: name.to_owned(),
        source: FlatSource::Tile { metric: metric.to_owned(), statistic, window },
    };
    let channel = |name: &str, metric: &str, statistic, limit: Option<&str>| Channel {
        name: name.to_owned(),
        metric: metric.to_owned(),
        statistic,
        divide_by: limit.map(str::to_owned),
    };
    FeatureSpec {
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Seconds, ticks_per_unit: 1 },
        tile: TILE,
        ingest_lag: LAG,
        longest_gap: 100,
        flat: vec![
            FlatColumn { name: "age".to_owned(), source: FlatSource::Age },
            FlatColumn { name: "failures".to_owned(), source: FlatSource::EventCount { window: 200 } },
            FlatColumn { name: "since".to_owned(), source: FlatSource::SinceEvent },
            FlatColumn {
                name: "saturation".to_owned(),
                source: FlatSource::Saturation { used: "level".to_owned(), limit: "limit".to_owned(), window: 50 },
            },
            tile("slope", "level", Statistic::Slope, 300),
            tile("growth", "total", Statistic::Increase, 300),
        ],
        steps: 6,
        step: 2 * TILE,
        channels: vec![
            channel("level", "level", Statistic::Mean, Some("limit")),
            channel("rate", "total", Statistic::Rate, None),
        ],
        regimes: Vec::new(),
        summaries: Vec::new(),
        catalogue_digest: catalogue.digest(),
    }
}

/// Bits of the row at `as_of`.
fn row(samples: &[Sample], failures: &[i64], as_of: i64) -> Vec<u32> {
    let catalogue = catalogue();
    let spec = spec(&catalogue);
    let tiles = EntityTiles::build(&spec, &catalogue, "one", samples).unwrap();
    let mut assembler = RowAssembler::try_new(&spec, &catalogue).unwrap();
    let entity = Entity::try_new(EntityKind::Machine, "one", "").unwrap();
    let facts = Facts { born: Some(0), attributes: &BTreeMap::new(), failures };
    assembler.push(&entity, &facts, &tiles, as_of).unwrap();
    let batch = assembler.finish().unwrap();
    batch.flat().iter().chain(batch.sequence()).map(|value| value.to_bits()).collect()
}

/// One sample per time of each metric, some of them late.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (0_u16..3, 0..END, 0_u32..1000, prop_oneof![3 => Just(0_i64), 1 => 0_i64..60]);
    proptest::collection::vec(one, 0..200).prop_map(|raw| {
        let unique: BTreeMap<(u16, i64), (u32, i64)> =
            raw.into_iter().map(|(metric, time, value, delay)| ((metric, time), (value, delay))).collect();
        unique
            .into_iter()
            .map(|((metric, time), (value, delay))| {
                Sample::try_new(&catalogue(), MetricId(metric), time, time + delay, f64::from(value)).unwrap()
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn later_samples_and_later_known_samples_never_change_a_row(
        samples in samples(),
        mut failures in proptest::collection::vec(0..END, 0..5),
        cut in 0..END / TILE,
    ) {
        let as_of = cut * TILE;
        failures.sort_unstable();
        let known: Vec<Sample> =
            samples.iter().filter(|s| s.time() < as_of && s.known_at() <= as_of + LAG).copied().collect();
        let past: Vec<i64> = failures.iter().copied().filter(|&time| time <= as_of).collect();
        prop_assert_eq!(row(&samples, &failures, as_of), row(&known, &past, as_of));
    }

    #[test]
    fn a_row_is_the_same_today_and_in_a_year(samples in samples(), cut in 0..END / TILE) {
        let as_of = cut * TILE;
        let mut grown = samples.clone();
        for metric in 0..3 {
            for time in [END, END + 1, 10 * END] {
                grown.push(Sample::try_new(&catalogue(), MetricId(metric), time, time, 77.0).unwrap());
            }
        }
        grown.sort_by_key(|s| (s.metric(), s.time()));
        prop_assert_eq!(row(&samples, &[], as_of), row(&grown, &[END], as_of));
    }
}
