//! Laws of tiles: joining is associative, and what a tile says is what its samples say.

use features::catalogue::MetricKind;
use features::spec::Statistic;
use features::tile::{Frame, Rule, Span, Tile, TileColumns};
use proptest::prelude::*;

const KINDS: [MetricKind; 5] =
    [MetricKind::Gauge, MetricKind::Counter, MetricKind::Delta, MetricKind::State, MetricKind::Time];
/// Divide on the way, so groupings differ in the last bits; all others compare and add whole numbers.
const ROUNDED: [Statistic; 7] = [
    Statistic::Mean,
    Statistic::Std,
    Statistic::Slope,
    Statistic::Rate,
    Statistic::RateMax,
    Statistic::StepStd,
    Statistic::Fano,
];
const GAP: i64 = 30;
const FRAME: Frame = Frame { from: 0, as_of: 10_000, ticks_per_unit: 1.0 };

type Samples = Vec<(i64, f64)>;

fn tile_of(kind: MetricKind, samples: &[(i64, f64)], lives: &[i64]) -> Tile {
    let mut tile = Tile::empty(kind).unwrap();
    let rule = Rule { longest_gap: GAP, lives };
    samples.iter().for_each(|&(time, value)| tile.push(time, value, &rule));
    tile
}

fn join(newer: &Span, older: &Span) -> Span {
    Span::merge(newer, older, GAP).unwrap()
}

/// Rising times with whole values below 16 states or 100,000, some waits longer than the gap; two cuts.
fn stream(kind: MetricKind) -> impl Strategy<Value = (Samples, usize, usize)> {
    let top = if kind == MetricKind::State { 16 } else { 100_000 };
    let step = (prop_oneof![9 => 1_i64..=GAP, 1 => GAP..200], 0_i32..top);
    proptest::collection::vec(step, 3..60).prop_flat_map(|steps| {
        let mut time = 0;
        let samples: Samples = steps
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

fn any_stream() -> impl Strategy<Value = (MetricKind, Samples, usize, usize)> {
    prop::sample::select(KINDS.to_vec()).prop_flat_map(|kind| stream(kind).prop_map(move |(s, a, b)| (kind, s, a, b)))
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

/// The statistics that mean something for a kind, by name of what was read.
fn readings(span: &Span, kind: MetricKind) -> Vec<(String, Option<Statistic>, f64)> {
    let statistics = Statistic::ALL.into_iter().filter(|s| s.suits(kind));
    let mut readings: Vec<_> = statistics.map(|s| (s.name().to_owned(), Some(s), span.statistic(s, &FRAME))).collect();
    if kind == MetricKind::State {
        readings.extend((0..16).map(|state| (format!("share {state}"), None, span.share(state))));
    }
    readings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn joining_is_associative((kind, samples, a, b) in any_stream()) {
        let (first, second) = (a.min(b), a.max(b));
        let part = |range: &[(i64, f64)]| tile_of(kind, range, &[]).span();
        let (old, middle, new) = (part(&samples[..first]), part(&samples[first..second]), part(&samples[second..]));
        let left = readings(&join(&join(&new, &middle), &old), kind);
        let right = readings(&join(&new, &join(&middle, &old)), kind);
        let whole = readings(&part(&samples), kind);
        for ((left, right), whole) in left.iter().zip(&right).zip(&whole) {
            let values = [left.2, right.2, whole.2];
            // Growth per tile is about tiles: the whole in one tile is another thing than in three.
            let per_tile = matches!(left.1, Some(Statistic::Fano | Statistic::RateMax));
            if left.1.is_some_and(|s| ROUNDED.contains(&s)) {
                // 60 values up to 1e5: squares up to 1e10 lose at most some 1e-12 of themselves.
                prop_assert!(close(values[0], values[1], 1e-11), "{}: {values:?}", left.0);
                prop_assert!(per_tile || close(values[1], values[2], 1e-11), "{}: {values:?}", left.0);
            } else {
                let bits = values.map(f64::to_bits);
                prop_assert!(bits[0] == bits[1] && bits[1] == bits[2], "{}: {values:?}", left.0);
            }
        }
    }

    #[test]
    fn an_empty_tile_changes_nothing((kind, samples, _, _) in any_stream()) {
        let (span, nothing) = (tile_of(kind, &samples, &[]).span(), Tile::empty(kind).unwrap().span());
        prop_assert_eq!(join(&nothing, &span), span);
        prop_assert_eq!(join(&span, &nothing), span);
    }

    #[test]
    fn slices_and_single_samples_give_the_same_bits(
        (kind, samples, a, b) in any_stream(),
        lives in proptest::collection::vec(0_i64..500, 0..3),
    ) {
        let mut lives = lives;
        lives.sort_unstable();
        let rule = Rule { longest_gap: GAP, lives: &lives };
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let mut sliced = Tile::empty(kind).unwrap();
        let (first, second) = (a.min(b), a.max(b));
        for range in [0..first, first..second, second..samples.len()] {
            sliced.extend(&times[range.clone()], &values[range], &rule);
        }
        let pushed = tile_of(kind, &samples, &lives);
        let bytes = |tile: &Tile| {
            let mut columns = TileColumns::default();
            columns.push(7, tile);
            format!("{columns:?}")
        };
        prop_assert_eq!(bytes(&sliced), bytes(&pushed));

        let mut stored = TileColumns::default();
        stored.push(-3, &pushed);
        prop_assert_eq!(stored.tile(0, kind).unwrap(), (-3, pushed));
    }

    #[test]
    fn a_gauge_says_what_its_samples_say((samples, _, _) in stream(MetricKind::Gauge)) {
        let span = tile_of(MetricKind::Gauge, &samples, &[]).span();
        let n = samples.len() as f64;
        let mean = samples.iter().map(|s| s.1).sum::<f64>() / n;
        let mean_time = samples.iter().map(|s| s.0 as f64).sum::<f64>() / n;
        let m2 = samples.iter().map(|s| (s.1 - mean).powi(2)).sum::<f64>();
        let t2 = samples.iter().map(|s| (s.0 as f64 - mean_time).powi(2)).sum::<f64>();
        let tv = samples.iter().map(|s| (s.0 as f64 - mean_time) * (s.1 - mean)).sum::<f64>();
        let longest = samples.windows(2).map(|w| w[1].0 - w[0].0).max().unwrap();
        let (time, value) = *samples.last().unwrap();
        for (statistic, expected, tolerance) in [
            (Statistic::Mean, mean, 1e-12),
            (Statistic::Std, (m2 / (n - 1.0)).sqrt(), 1e-10),
            (Statistic::Slope, tv / t2, 1e-9),
            (Statistic::Last, value, 0.0),
            (Statistic::Min, samples.iter().map(|s| s.1).fold(f64::INFINITY, f64::min), 0.0),
            (Statistic::Max, samples.iter().map(|s| s.1).fold(f64::NEG_INFINITY, f64::max), 0.0),
            (Statistic::Count, n, 0.0),
            (Statistic::LongestGap, longest as f64, 0.0),
            (Statistic::Staleness, (FRAME.as_of - time) as f64, 0.0),
        ] {
            let got = span.statistic(statistic, &FRAME);
            prop_assert!(close(got, expected, tolerance), "{statistic:?}: {got}, expected {expected}");
        }
    }

    #[test]
    fn a_counter_takes_steps_between_linked_samples_only(
        (samples, _, _) in stream(MetricKind::Counter),
        lives in proptest::collection::vec(0_i64..800, 0..4),
    ) {
        let mut lives = lives;
        lives.sort_unstable();
        let span = tile_of(MetricKind::Counter, &samples, &lives).span();
        let (mut increase, mut resets, mut largest, mut covered) = (0.0, 0.0, 0.0_f64, 0);
        for pair in samples.windows(2) {
            let ((before, from), (time, value)) = (pair[0], pair[1]);
            if time - before > GAP {
                continue;
            }
            covered += time - before;
            let reset = value < from || lives.iter().any(|&start| start > before && start <= time);
            let step = if reset { value } else { value - from };
            resets += f64::from(u8::from(reset));
            increase += step;
            largest = largest.max(step);
        }
        // A life that began shortly before the first sample counts from zero, in the window that saw it begin.
        let (time, first) = samples[0];
        let born = lives.iter().rev().find(|&&start| start <= time).filter(|&&start| time - start <= GAP);
        let (grown, since) = born.map_or((0.0, 0), |&start| (first, time - start));
        let got = |statistic| span.statistic(statistic, &FRAME);
        prop_assert!(close(got(Statistic::Increase), increase + grown, 0.0));
        prop_assert!(close(got(Statistic::Resets), resets, 0.0));
        prop_assert!(close(got(Statistic::MaxStep), largest, 0.0));
        let ticks = (covered + since) as f64;
        let rate = if ticks > 0.0 { (increase + grown) / ticks } else { f64::NAN };
        prop_assert!(close(got(Statistic::Rate), rate, 1e-12));
        let later = Frame { from: time + 1, ..FRAME };
        prop_assert!(close(span.statistic(Statistic::Increase, &later), increase, 0.0));
    }
}

fn exact(kind: MetricKind, tiles: &[&[(i64, f64)]]) -> Span {
    let mut spans = tiles.iter().rev().map(|samples| tile_of(kind, samples, &[]).span());
    let newest = spans.next().unwrap();
    spans.fold(newest, |newer, older| join(&newer, &older))
}

fn check(span: &Span, expected: &[(Statistic, f64)]) {
    for &(statistic, expected) in expected {
        let got = span.statistic(statistic, &FRAME);
        assert!(close(got, expected, 0.0), "{statistic:?}: {got}, expected {expected}");
    }
}

#[test]
fn a_stale_mark_ends_a_series_between_tiles_and_inside_one() {
    let rule = Rule::gap(GAP);
    let mut inside = Tile::empty(MetricKind::Counter).unwrap();
    inside.push(0, 10.0, &rule);
    inside.push(10, 12.0, &rule);
    inside.end();
    inside.push(20, 15.0, &rule);
    check(&inside.span(), &[(Statistic::Increase, 2.0), (Statistic::Rate, 0.2), (Statistic::Count, 3.0)]);

    let newer = tile_of(MetricKind::Counter, &[(20, 15.0), (30, 19.0)], &[]).span();
    let older = tile_of(MetricKind::Counter, &[(0, 10.0), (10, 12.0)], &[]);
    check(&join(&newer, &older.span()), &[(Statistic::Increase, 9.0)]);
    let mut ended = older;
    ended.end();
    check(&join(&newer, &ended.span()), &[(Statistic::Increase, 6.0)]);

    // The mark stands in an interval of its own: it cuts as well, in whatever order the three are joined.
    let mut mark = Tile::empty(MetricKind::Counter).unwrap();
    mark.end();
    let (mark, older) = (mark.span(), older.span());
    check(&join(&join(&newer, &mark), &older), &[(Statistic::Increase, 6.0)]);
    check(&join(&newer, &join(&mark, &older)), &[(Statistic::Increase, 6.0)]);
}

#[test]
fn a_new_life_is_a_reset_although_the_counter_did_not_fall() {
    let older = tile_of(MetricKind::Counter, &[(0, 10.0), (10, 12.0)], &[]).span();
    let newer = tile_of(MetricKind::Counter, &[(20, 15.0), (30, 19.0)], &[15]).span();
    check(&join(&newer, &older), &[(Statistic::Increase, 2.0 + 15.0 + 4.0), (Statistic::Resets, 1.0)]);
    check(&newer, &[(Statistic::Increase, 15.0 + 4.0), (Statistic::Resets, 0.0)]);
}

#[test]
fn growth_per_tile_gives_the_largest_rate_and_the_fano_factor() {
    // Tiles grow by 10 (inside), 5 + 15 (from the tile before, inside) and 30 in 10 ticks each way.
    let span = exact(MetricKind::Counter, &[&[(0, 0.0), (10, 10.0)], &[(20, 15.0), (30, 30.0)], &[(40, 60.0)]]);
    // Variance of 10, 20 and 30 is 100, their mean 20; the newest tile covers 10 ticks.
    check(&span, &[(Statistic::Fano, 5.0), (Statistic::RateMax, 3.0), (Statistic::Increase, 60.0)]);
    check(&exact(MetricKind::Counter, &[&[(0, 0.0), (10, 10.0)]]), &[(Statistic::Fano, f64::NAN)]);
}

#[test]
fn a_state_holds_until_the_next_linked_sample() {
    let span = exact(MetricKind::State, &[&[(0, 0.0), (10, 1.0), (25, 1.0)], &[(30, 2.0), (35, 2.0)], &[(100, 0.0)]]);
    // 0 for 10, 1 for 20 (across the edge of tiles), 2 for 5; nobody knows what held in the gap.
    check(&span, &[(Statistic::Transitions, 2.0), (Statistic::Last, 0.0), (Statistic::Count, 6.0)]);
    for (state, share) in [(0, 10.0 / 35.0), (1, 20.0 / 35.0), (2, 5.0 / 35.0), (3, 0.0), (16, f64::NAN)] {
        assert!(close(span.share(state), share, 0.0), "{state}: {}", span.share(state));
    }
}

#[test]
fn times_change_and_deltas_add_across_gaps() {
    let span = exact(MetricKind::Time, &[&[(0, 5.0), (10, 5.0)], &[(900, 7.0), (910, 7.0)], &[(920, 8.0)]]);
    check(&span, &[(Statistic::Changes, 2.0), (Statistic::Last, 8.0)]);
    let span = exact(MetricKind::Delta, &[&[(0, 5.0), (10, 3.0)], &[(900, 7.0)]]);
    check(&span, &[(Statistic::Increase, 15.0), (Statistic::Max, 7.0), (Statistic::Mean, 5.0)]);
}

/// Mean, variance and slope of whole numbers, without rounding until the end.
fn reference(samples: &[(i64, i64)]) -> (f64, f64, f64) {
    let n = samples.len() as i128;
    let sum = |of: &dyn Fn(i128, i128) -> i128| -> i128 {
        samples.iter().map(|&(time, value)| of(i128::from(time), i128::from(value))).sum()
    };
    let (t, x) = (sum(&|t, _| t), sum(&|_, x| x));
    let variance = n * sum(&|_, x| x * x) - x * x;
    let time = n * sum(&|t, _| t * t) - t * t;
    let both = n * sum(&|t, x| t * x) - t * x;
    (x as f64 / n as f64, variance as f64 / (n * (n - 1)) as f64, both as f64 / time as f64)
}

/// Joins tiles of `per_tile` samples and compares with the reference; values are `whole / 1024`.
fn accurate(samples: &[(i64, i64)], per_tile: usize) {
    // Whole numbers over 1024 below 2^53 are doubles without rounding: both sides see the same values.
    let values: Samples = samples.iter().map(|&(time, value)| (time, value as f64 / 1024.0)).collect();
    let tiles: Vec<&[(i64, f64)]> = values.chunks(per_tile).collect();
    let span = exact(MetricKind::Gauge, &tiles);
    let (mean, variance, slope) = reference(samples);
    let scale = (1_u32 << 10) as f64;
    for (statistic, expected) in
        [(Statistic::Mean, mean / scale), (Statistic::Std, variance.sqrt() / scale), (Statistic::Slope, slope / scale)]
    {
        let got = span.statistic(statistic, &FRAME);
        assert!((got / expected - 1.0).abs() < 1e-9, "{statistic:?} of tiles of {per_tile}: {got}, not {expected}");
    }
}

#[test]
fn small_noise_on_ten_gigabytes_keeps_nine_digits() {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 54).unwrap() - 512
    };
    // Half a byte up and down around 1e10 bytes, a day of samples every 15 s, times of this century; a slow rise.
    let start = 1_795_478_400_000_i64;
    let samples: Vec<(i64, i64)> =
        (0..5760).map(|i| (start + 15_000 * i, 10_000_000_000 * 1024 + i / 8 + noise())).collect();
    // The reference takes times from the start: the slope is the same and the products fit.
    let near: Vec<(i64, i64)> = samples.iter().map(|&(time, value)| (time - start, value)).collect();
    for per_tile in [1, 20, 240, 5760] {
        accurate(&near, per_tile);
    }
    let values: Samples = samples.iter().map(|&(time, value)| (time, value as f64 / 1024.0)).collect();
    let tiles: Vec<&[(i64, f64)]> = values.chunks(20).collect();
    let slope = exact(MetricKind::Gauge, &tiles).statistic(Statistic::Slope, &FRAME);
    assert!((slope * 1024.0 / reference(&near).2 - 1.0).abs() < 1e-9, "absolute times: {slope}");
}

#[test]
fn an_outlier_as_first_sample_keeps_nine_digits() {
    for first in [0_i64, 3] {
        let mut samples = vec![(0, first)];
        samples.extend((1..1000_i64).map(|i| (15_000 * i, 10_000_000_000 * 1024 + 1024 * (i % 3 - 1))));
        for per_tile in [20, 1000] {
            accurate(&samples, per_tile);
        }
    }
}

#[test]
fn slopes_survive_times_of_this_century_and_values_of_gigabytes() {
    let start = 1_767_571_200_000_i64;
    let samples: Samples = (0..288).map(|i| (start + 300_000 * i, 1e10 + 1024.0 * i as f64)).collect();
    let frame = Frame { ticks_per_unit: 3_600_000.0, ..FRAME };
    let per_hour = tile_of(MetricKind::Gauge, &samples, &[]).span().statistic(Statistic::Slope, &frame);
    // 1024 bytes in 5 minutes.
    assert!((per_hour / 12_288.0 - 1.0).abs() < 1e-12, "{per_hour}");
}

#[test]
fn rows_of_unequal_columns_are_refused() {
    let mut columns = TileColumns::default();
    columns.push(0, &tile_of(MetricKind::Gauge, &[(0, 1.0)], &[]));
    let refused = columns.tile(1, MetricKind::Gauge).unwrap_err().to_string();
    assert!(refused.contains("expected 1, got 1"), "{refused}");
    columns.born.clear();
    assert!(columns.tile(0, MetricKind::Gauge).is_err());
}
