//! Laws of tiles: joining is associative, and rows depend on samples alone, not on how they arrived.

use std::collections::BTreeMap;

use features::catalogue::MetricDefinition;
use features::spec::{Channel, FlatColumn, FlatSource, KERNEL_VERSION, Statistic};
use features::{
    Catalogue, Entity, EntityKind, EntityTiles, Facts, FeatureSpec, MetricId, MetricKind, RowAssembler, Sample, Tile,
    TimeAxis,
};
use proptest::prelude::*;
use survival::TimeUnit;

/// Exact on whole numbers, because they only compare and add.
const EXACT: [Statistic; 7] = [
    Statistic::Count,
    Statistic::Last,
    Statistic::Min,
    Statistic::Max,
    Statistic::Increase,
    Statistic::Resets,
    Statistic::MaxStep,
];
/// Divide on the way, so groupings differ in the last bits.
const ROUNDED: [Statistic; 4] = [Statistic::Mean, Statistic::Std, Statistic::Slope, Statistic::Rate];

fn tile_of(samples: &[(i64, f64)]) -> Tile {
    samples.iter().fold(Tile::EMPTY, |mut tile, &(time, value)| {
        tile.push(time, value);
        tile
    })
}

/// Rising times with whole values, cut at two places.
fn stream() -> impl Strategy<Value = (Vec<(i64, f64)>, usize, usize)> {
    let step = (1_i64..50, 0_i32..100_000);
    proptest::collection::vec(step, 3..60).prop_flat_map(|steps| {
        let mut time = 0;
        let samples: Vec<(i64, f64)> = steps
            .into_iter()
            .map(|(wait, value)| {
                time += wait;
                (time, f64::from(value))
            })
            .collect();
        let n = samples.len();
        (Just(samples), 0..=n, 0..=n)
    })
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn merging_tiles_is_associative((samples, a, b) in stream()) {
        let (first, second) = (a.min(b), a.max(b));
        let (old, middle, new) = (tile_of(&samples[..first]), tile_of(&samples[first..second]), tile_of(&samples[second..]));
        let left = Tile::merge(&Tile::merge(&new, &middle), &old);
        let right = Tile::merge(&new, &Tile::merge(&middle, &old));
        let whole = tile_of(&samples);
        for statistic in EXACT {
            let values = [left, right, whole].map(|tile| tile.statistic(statistic, 1.0));
            prop_assert!(values[0].to_bits() == values[1].to_bits() && values[1].to_bits() == values[2].to_bits(), "{statistic:?}: {values:?}");
        }
        for statistic in ROUNDED {
            let values = [left, right, whole].map(|tile| tile.statistic(statistic, 1.0));
            // 60 values up to 1e5: squares up to 1e10 lose at most some 1e-12 of themselves.
            prop_assert!(close(values[0], values[1], 1e-11) && close(values[1], values[2], 1e-11), "{statistic:?}: {values:?}");
        }
    }

    #[test]
    fn an_empty_tile_changes_nothing((samples, _, _) in stream()) {
        let tile = tile_of(&samples);
        prop_assert_eq!(Tile::merge(&Tile::EMPTY, &tile), tile);
        prop_assert_eq!(Tile::merge(&tile, &Tile::EMPTY), tile);
    }

    #[test]
    fn statistics_are_those_of_the_samples((samples, _, _) in stream()) {
        let tile = tile_of(&samples);
        let n = samples.len() as f64;
        let mean = samples.iter().map(|s| s.1).sum::<f64>() / n;
        let mean_time = samples.iter().map(|s| s.0 as f64).sum::<f64>() / n;
        let m2 = samples.iter().map(|s| (s.1 - mean).powi(2)).sum::<f64>();
        let t2 = samples.iter().map(|s| (s.0 as f64 - mean_time).powi(2)).sum::<f64>();
        let tv = samples.iter().map(|s| (s.0 as f64 - mean_time) * (s.1 - mean)).sum::<f64>();
        let increase: f64 = samples.windows(2).map(|w| if w[1].1 >= w[0].1 { w[1].1 - w[0].1 } else { w[1].1 }).sum();
        prop_assert!(close(tile.statistic(Statistic::Mean, 1.0), mean, 1e-12));
        prop_assert!(close(tile.statistic(Statistic::Std, 1.0), (m2 / (n - 1.0)).sqrt(), 1e-10));
        prop_assert!(close(tile.statistic(Statistic::Slope, 1.0), tv / t2, 1e-9));
        prop_assert!(close(tile.statistic(Statistic::Increase, 1.0), increase, 0.0));
    }

    #[test]
    fn duplicates_late_arrivals_and_older_history_leave_every_bit(
        (samples, a, b) in stream(),
        late in proptest::collection::vec(0_i64..3000, 0..10),
    ) {
        let as_of = samples.last().map_or(0, |s| (s.0 / TILE + 1) * TILE);
        let plain: Vec<Sample> = samples.iter().map(|&(time, value)| sample(time, time, value)).collect();
        let expected = row(&plain, as_of);

        let mut messy = plain.clone();
        messy.extend([a, b].into_iter().filter_map(|index| plain.get(index)).copied());
        for time in late {
            // Known long after its tile was closed: never used, whatever it says. Other times than the plain ones.
            if !samples.iter().any(|s| s.0 == time) {
                messy.push(sample(time, time + 10_000, 123.0));
            }
        }
        messy.sort_by_key(|s| (s.metric(), s.time()));
        messy.dedup_by(|x, y| x.time() == y.time() && x.known_at() != y.known_at());
        prop_assert_eq!(&row(&messy, as_of), &expected);

        let recent: Vec<Sample> = plain.iter().filter(|s| s.time() >= as_of - LOOKBACK).copied().collect();
        prop_assert_eq!(&row(&recent, as_of), &expected);
    }
}

#[test]
fn slopes_survive_times_of_this_century_and_values_of_gigabytes() {
    let start = 1_767_571_200_000_i64;
    let tile = tile_of(&(0..288).map(|i| (start + 300_000 * i, 1e10 + 1024.0 * i as f64)).collect::<Vec<_>>());
    let per_hour = tile.statistic(Statistic::Slope, 3_600_000.0);
    // 1024 bytes in 5 minutes; times of 1.8e12 leave some 1e-9 of a day's spread.
    assert!((per_hour - 12_288.0).abs() < 1e-4, "{per_hour}");
}

const TILE: i64 = 60;
const LOOKBACK: i64 = 10 * TILE;

fn catalogue() -> Catalogue {
    let level = MetricDefinition {
        id: "level".to_owned(),
        unit: "1".to_owned(),
        kind: MetricKind::Gauge,
        states: Vec::new(),
        signed: false,
        combine: features::Combine::default(),
        foretells: String::new(),
    };
    Catalogue::try_new(vec![level]).unwrap()
}

fn sample(time: i64, known_at: i64, value: f64) -> Sample {
    Sample::try_new(&catalogue(), MetricId(0), time, known_at, value).unwrap()
}

/// Bits of the row at `as_of`.
fn row(samples: &[Sample], as_of: i64) -> Vec<u32> {
    let catalogue = catalogue();
    let statistics = [Statistic::Mean, Statistic::Std, Statistic::Slope, Statistic::Max];
    let spec = FeatureSpec {
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Seconds, ticks_per_unit: 1 },
        tile: TILE,
        ingest_lag: 30,
        longest_gap: 1_000_000,
        flat: statistics
            .into_iter()
            .map(|statistic| FlatColumn {
                name: format!("{statistic:?}"),
                source: FlatSource::Tile { metric: "level".to_owned(), statistic, window: LOOKBACK },
            })
            .collect(),
        steps: 5,
        step: 2 * TILE,
        channels: vec![Channel {
            name: "level".to_owned(),
            metric: "level".to_owned(),
            statistic: Statistic::Mean,
            divide_by: None,
        }],
        regimes: Vec::new(),
        summaries: Vec::new(),
        catalogue_digest: catalogue.digest(),
    };
    assert_eq!(spec.lookback(), LOOKBACK);
    let tiles = EntityTiles::build(&spec, &catalogue, "one", samples).unwrap();
    let mut assembler = RowAssembler::try_new(&spec, &catalogue).unwrap();
    let entity = Entity::try_new(EntityKind::Machine, "one", "").unwrap();
    let facts = Facts { born: Some(0), attributes: &BTreeMap::new(), failures: &[] };
    assembler.push(&entity, &facts, &tiles, as_of).unwrap();
    let batch = assembler.finish().unwrap();
    batch.flat().iter().chain(batch.sequence()).map(|value| value.to_bits()).collect()
}
