//! However samples arrive, the tiles are the same to the bit; so are the rows, however the tiles were joined.

mod common;

use std::sync::Arc;

use common::{Arrival, END, LAG, TILE, arrivals, build, bytes, kernel, row_bits, samples};
use features::sample::STALE_NAN_BITS;
use features::tile::TileColumns;
use features::{EntityTiles, LiveTiles, TileBuilder};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn samples_as_they_arrive_give_the_tiles_of_the_whole_history(
        arrivals in arrivals(),
        repeats in proptest::collection::vec((any::<prop::sample::Index>(), 0_i64..300), 0..20),
        closings in proptest::collection::vec(any::<bool>(), 1..40),
    ) {
        let expected = build(&samples(&arrivals));
        let mut stream = arrivals.clone();
        for (index, delay) in repeats.into_iter().filter(|_| !arrivals.is_empty()) {
            let mut again = *index.get(&arrivals);
            again.known_at += delay;
            stream.push(again);
        }
        stream.sort_by_key(|arrival| arrival.known_at);

        let mut live = LiveTiles::new(Arc::new(kernel()), "one");
        for (arrival, &close) in stream.iter().zip(closings.iter().cycle()) {
            if close {
                live.close(arrival.known_at - 1).unwrap();
            }
            live.add(arrival.metric, arrival.part, arrival.time, arrival.known_at, arrival.value);
        }
        live.close(10 * END).unwrap();
        prop_assert_eq!(bytes(live.tiles()), bytes(&expected));
        prop_assert_eq!(live.conflicts(), 0);
    }

    #[test]
    fn duplicates_change_nothing_but_their_count(
        arrivals in arrivals(),
        repeats in proptest::collection::vec((any::<prop::sample::Index>(), 0_i64..300), 1..20),
    ) {
        let expected = build(&samples(&arrivals));
        let mut again = arrivals.clone();
        let mut added = 0;
        for (index, delay) in repeats.into_iter().filter(|_| !arrivals.is_empty()) {
            let mut repeat = *index.get(&arrivals);
            repeat.known_at += delay;
            // Before or after the one it repeats: the earliest arrival decides.
            again.insert(usize::try_from(delay).unwrap() % again.len(), repeat);
            added += 1;
        }
        again.sort_by_key(|arrival| (arrival.metric, arrival.part, arrival.time));
        let got = build(&samples(&again));
        prop_assert_eq!(bytes(&got), bytes(&expected));
        prop_assert_eq!(got.late(), expected.late());
        // Labels carried as a series make no tiles and are not counted.
        prop_assert!(got.duplicates() <= added);
    }

    #[test]
    fn runs_chopped_anywhere_give_the_same_tiles(
        arrivals in arrivals(),
        lengths in proptest::collection::vec(1_usize..30, 1..20),
        backwards in any::<bool>(),
    ) {
        let kernel = kernel();
        let mut builder = TileBuilder::new(&kernel, "one");
        let mut runs: Vec<&[Arrival]> =
            arrivals.chunk_by(|a, b| (a.metric, a.part) == (b.metric, b.part)).collect();
        if backwards {
            runs.reverse();
        }
        let lives = |run: &&[Arrival]| kernel_name(run[0]) == "start.time";
        runs.sort_by_key(|run| !lives(run));
        let mut lengths = lengths.iter().cycle();
        for run in runs {
            let mut rest = run;
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
                extend(&mut builder, now);
                rest = later;
            }
        }
        let tiles = builder.finish();
        let expected = build(&samples(&arrivals));
        prop_assert_eq!(bytes(&tiles), bytes(&expected));
        prop_assert_eq!(tiles.late(), expected.late());
        let late = arrivals.iter().filter(|a| a.is_late() && kernel_name(**a) != "owner").count();
        prop_assert_eq!(usize::try_from(tiles.late()).unwrap(), late);
    }

    #[test]
    fn tiles_stored_and_read_back_go_on_as_if_never_interrupted(
        arrivals in arrivals(),
        days in proptest::collection::vec(0_i64..END / TILE, 1..4),
        cut in 0_i64..END / TILE,
    ) {
        let kernel = kernel();
        let mut days = days;
        days.sort_unstable();
        let mut tiles = EntityTiles::default();
        let mut from = i64::MIN;
        for until in days.into_iter().map(|day| day * TILE).chain([i64::MAX]) {
            let mut builder = TileBuilder::resume(&kernel, "one", stored(&tiles, &kernel));
            let mut now: Vec<Arrival> =
                arrivals.iter().filter(|a| (from..until).contains(&a.time)).copied().collect();
            now.sort_by_key(|arrival| kernel_name(*arrival) != "start.time");
            for run in now.chunk_by(|a, b| (a.metric, a.part) == (b.metric, b.part)) {
                extend(&mut builder, run);
            }
            tiles = builder.finish();
            from = until;
        }
        let expected = build(&samples(&arrivals));
        prop_assert_eq!(bytes(&tiles), bytes(&expected));

        // Roll-ups made beforehand or on the way: the same rows.
        let as_of = cut * TILE;
        let bare = stored(&expected, &kernel);
        prop_assert_eq!(row_bits(&bare, &[], as_of), row_bits(&tiles, &[], as_of));
        // A row needs nothing older than the look-back.
        let mut recent = tiles;
        recent.forget_before(&kernel, as_of - common::spec().lookback());
        prop_assert_eq!(row_bits(&recent, &[], as_of), row_bits(&bare, &[], as_of));
    }
}

fn kernel_name(arrival: Arrival) -> &'static str {
    common::METRICS[usize::from(arrival.metric.0)].0
}

fn extend(builder: &mut TileBuilder<'_>, run: &[Arrival]) {
    let times: Vec<i64> = run.iter().map(|arrival| arrival.time).collect();
    let values: Vec<f64> = run.iter().map(|arrival| arrival.value).collect();
    let known_at: Vec<i64> = run.iter().map(|arrival| arrival.known_at).collect();
    builder.extend_run(run[0].metric, run[0].part, &times, &values, &known_at).unwrap();
}

/// Tiles through their columns and back, without roll-ups.
fn stored(tiles: &EntityTiles, kernel: &features::TileKernel) -> EntityTiles {
    let mut columns = TileColumns::default();
    let mut keys = Vec::new();
    for (metric, part, number, tile) in tiles.tiles() {
        columns.push(number, &tile);
        keys.push((metric, part, tile.kind()));
    }
    let mut read = EntityTiles::default();
    for (row, (metric, part, kind)) in keys.into_iter().enumerate() {
        let (number, tile) = columns.tile(row, kind).unwrap();
        read.insert(kernel, metric, part, number, &tile).unwrap();
    }
    read
}

#[test]
fn of_two_values_at_one_time_the_one_known_first_wins_then_the_larger() {
    let kernel = Arc::new(kernel());
    let level = features::MetricId(0);
    let alone = |known: &[(i64, f64)]| {
        let mut live = LiveTiles::new(Arc::clone(&kernel), "one");
        known.iter().for_each(|&(known_at, value)| live.add(level, 0, 10, known_at, value));
        live.close(TILE + LAG).unwrap();
        assert_eq!(live.closed_until(), TILE);
        (bytes(live.tiles()), live.conflicts())
    };
    let expected = alone(&[(11, 5.0)]).0;
    assert_eq!(alone(&[(12, 9.0), (11, 5.0)]), (expected.clone(), 1));
    assert_eq!(alone(&[(11, 4.0), (11, 5.0), (12, 5.0)]), (expected, 1));
}

#[test]
fn a_run_that_cannot_be_is_refused_by_name() {
    let kernel = kernel();
    let level = features::MetricId(0);
    let refused = |times: &[i64], values: &[f64]| {
        let mut builder = TileBuilder::new(&kernel, "pod-7");
        builder.extend_run(level, 0, times, values, times).unwrap_err().to_string()
    };
    assert_eq!(refused(&[20, 10], &[1.0, 1.0]), "entity pod-7, metric level: time runs backwards at 10");
    assert_eq!(refused(&[TILE, 1], &[1.0, 1.0]), "entity pod-7, metric level: time runs backwards at 1");
    assert_eq!(refused(&[5, 5], &[1.0, 2.0]), "entity pod-7, metric level: duplicate with another value at 5");
    assert_eq!(refused(&[5], &[f64::NAN]), "sample of level at 5: NaN is neither finite nor a stale mark");
    assert!(refused(&[5, 6], &[1.0]).contains("expected 2, got 1"));
}

#[test]
fn an_incarnation_that_ended_leaves_no_step_to_the_next() {
    let kernel = kernel();
    let total = features::MetricId(4);
    let mut builder = TileBuilder::new(&kernel, "one");
    builder.extend_run(total, 0, &[0, 10], &[1.0, 3.0], &[0, 10]).unwrap();
    builder.end_series(total, 0, 11).unwrap();
    builder.extend_run(total, 0, &[20, 30], &[7.0, 8.0], &[20, 30]).unwrap();
    let ended = builder.finish();

    let mut marked = TileBuilder::new(&kernel, "one");
    let stale = f64::from_bits(STALE_NAN_BITS);
    let times = [0, 10, 11, 20, 30];
    marked.extend_run(total, 0, &times, &[1.0, 3.0, stale, 7.0, 8.0], &times).unwrap();
    assert_eq!(bytes(&ended), bytes(&marked.finish()));
    let name = "total.increase.50";
    let at = common::names().iter().position(|known| known == name).unwrap();
    assert_eq!(row_bits(&ended, &[], TILE)[at], 3.0_f32.to_bits());
}

#[test]
fn a_life_counts_from_the_tile_that_told_it() {
    let kernel = kernel();
    let (total, restarts) = (features::MetricId(4), features::MetricId(6));
    // The counter rises from 3 to 7 although a life began at tick 15, told in the same tile or in the next.
    let increase = |told_at: i64, metric| {
        let mut builder = TileBuilder::new(&kernel, "one");
        builder.take_lives(&[told_at], &[1.5], &[told_at]);
        builder.extend_run(metric, 0, &[0, 10, 20], &[1.0, 3.0, 7.0], &[0, 10, 20]).unwrap();
        let name = format!("{}.increase.50", common::METRICS[usize::from(metric.0)].0);
        let at = common::names().iter().position(|known| *known == name).unwrap();
        f32::from_bits(row_bits(&builder.finish(), &[], TILE)[at])
    };
    assert_eq!(increase(20, total).to_bits(), 9.0_f32.to_bits());
    assert_eq!(increase(TILE + 1, total).to_bits(), 6.0_f32.to_bits());
    // The restart counter runs on across lives.
    assert_eq!(increase(20, restarts).to_bits(), 6.0_f32.to_bits());
}
