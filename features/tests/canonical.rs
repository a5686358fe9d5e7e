//! What becomes of source series: mapped once, checked always, bounded, and nothing lost without a count.

use std::cell::Cell;
use std::sync::Arc;

use features::canonical::{Canonical, CanonicalRow, Canonicalizer, Limits, Reason};
use features::decode::{DecodeError, Point, SourceSeries, Temporality};
use features::sample::STALE_NAN_BITS;
use features::{CanonicalSeries, Catalogue, Entity, EntityKind, Labels, Resolution, Transform};

const NOW: i64 = 1_790_000_000_000;

fn catalogue() -> Catalogue {
    let definitions = serde_json::json!([
        {"id": "mem.working_set", "unit": "By", "kind": "gauge"},
        {"id": "cpu.time", "unit": "s", "kind": "counter"},
        {"id": "phase", "unit": "1", "kind": "state", "states": ["Pending", "Running", "Failed"]},
    ]);
    serde_json::from_value(definitions).unwrap()
}

/// `memory_mib` scales, `cpu` is a counter, `phase` a state set, `broken` is refused, the rest unmapped.
fn mappings(labels: &Labels) -> Resolution {
    let catalogue = catalogue();
    let phases = &catalogue.definition(catalogue.id("phase").unwrap()).unwrap().states;
    let (metric, transform) = match labels.name() {
        "memory_mib" => ("mem.working_set", Transform::Scale(1_048_576.0)),
        "cpu" => ("cpu.time", Transform::Scale(1.0)),
        "phase" => {
            let index = phases.iter().position(|state| state == labels.get("phase")).unwrap();
            ("phase", Transform::State(u16::try_from(index).unwrap()))
        }
        "phase_code" => ("phase", Transform::Code(Arc::new([(7, 1)]))),
        "broken" => return Resolution::Refused("label \"pod\" is missing".to_owned()),
        _ => return Resolution::Unmapped,
    };
    let entity = Entity::try_new(EntityKind::Pod, labels.get("pod"), "").unwrap();
    let series = CanonicalSeries { entity, metric: catalogue.id(metric).unwrap(), part: String::new() };
    Resolution::Series(series, transform)
}

struct Source {
    identity: u128,
    labels: Vec<(&'static str, String)>,
    temporality: Temporality,
    created: Option<i64>,
    points: Vec<Point>,
}

fn source(identity: u128, name: &'static str, pod: &str, points: &[(i64, f64)]) -> Source {
    Source {
        identity,
        labels: vec![("__name__", name.to_owned()), ("pod", pod.to_owned())],
        temporality: Temporality::Unknown,
        created: None,
        points: points.iter().map(|&(time, value)| Point { time, value }).collect(),
    }
}

impl Source {
    fn label(mut self, name: &'static str, value: &str) -> Self {
        self.labels.push((name, value.to_owned()));
        self
    }

    fn delta(mut self, created: i64) -> Self {
        (self.temporality, self.created) = (Temporality::Delta, Some(created));
        self
    }

    fn cumulative(mut self, created: i64) -> Self {
        (self.temporality, self.created) = (Temporality::Cumulative, Some(created));
        self
    }

    /// Hands it over; how often its labels were parsed.
    fn to(&self, canonicalizer: &mut Canonicalizer, received_at: i64, out: &mut Canonical) -> u32 {
        let parsed = Cell::new(0);
        let labels = || {
            parsed.set(parsed.get() + 1);
            Labels::try_new(self.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
                .map_err(|twice| DecodeError {
                    what: "labels",
                    at: 0,
                    problem: format!("label {twice:?} is given twice"),
                })
        };
        let series = SourceSeries {
            identity: self.identity,
            temporality: self.temporality,
            created: self.created,
            points: &self.points,
            labels: &labels,
        };
        canonicalizer.take(&series, received_at, out);
        parsed.get()
    }
}

fn canonicalizer(limits: Limits) -> Canonicalizer {
    Canonicalizer::new(Arc::new(catalogue()), Arc::new(mappings), limits)
}

fn run(canonicalizer: &mut Canonicalizer, source: &Source) -> Canonical {
    let mut out = Canonical::default();
    source.to(canonicalizer, NOW, &mut out);
    out
}

fn row(handle: u32, time: i64, value: f64) -> CanonicalRow {
    CanonicalRow { handle, time, value }
}

#[test]
fn labels_are_parsed_once_and_values_are_scaled() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let series = source(1, "memory_mib", "a", &[(NOW, 2.0), (NOW + 1, 3.0)]);
    let mut out = Canonical::default();
    assert_eq!(series.to(&mut canonicalizer, NOW, &mut out), 1);
    assert_eq!(out.new_series.len(), 1);
    assert_eq!(out.rows, [row(0, NOW, 2_097_152.0), row(0, NOW + 1, 3_145_728.0)]);
    out.clear();
    assert_eq!(series.to(&mut canonicalizer, NOW, &mut out), 0, "known by its identity");
    assert!(out.new_series.is_empty());
    assert_eq!(out.rows.len(), 2);
}

#[test]
fn equal_canonical_series_share_a_handle_whatever_names_them() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let mut out = Canonical::default();
    source(1, "memory_mib", "a", &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    source(2, "memory_mib", "a", &[(NOW, 1.0)]).label("replica", "b").to(&mut canonicalizer, NOW, &mut out);
    source(3, "memory_mib", "b", &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    assert_eq!(out.rows.iter().map(|row| row.handle).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(out.new_series.len(), 2);
}

#[test]
fn a_state_set_becomes_one_series_of_what_holds() {
    let catalogue = catalogue();
    let states = catalogue.definition(catalogue.id("phase").unwrap()).unwrap().states.clone();
    let mut canonicalizer = canonicalizer(Limits::default());
    let mut out = Canonical::default();
    let stale = f64::from_bits(STALE_NAN_BITS);
    for (index, state) in states.iter().enumerate() {
        let holds = if index == 1 { 1.0 } else { 0.0 };
        let series = source(index as u128, "phase", "a", &[(NOW, holds), (NOW + 1, stale)]).label("phase", state);
        series.to(&mut canonicalizer, NOW, &mut out);
    }
    assert_eq!(out.rows, [row(0, NOW, 1.0)], "the end of one row of the set is not the end of the series");
    assert_eq!(out.counts.silent, 2 * states.len() as u64 - 1);
    assert_eq!(out.counts.dropped_in_all(), 0);
}

#[test]
fn impossible_values_are_dropped_and_counted_by_metric_and_reason() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let future = NOW + Limits::default().max_future;
    let points = [
        (NOW, f64::NAN),
        (NOW, f64::INFINITY),
        (NOW, f64::MAX),
        (NOW, -1.0),
        (future + 1, 1.0),
        (-1, 1.0),
        (future, 1.0),
        (NOW, f64::from_bits(STALE_NAN_BITS)),
        (NOW, f64::from_bits(STALE_NAN_BITS + 1)),
    ];
    let out = run(&mut canonicalizer, &source(1, "memory_mib", "a", &points));
    assert_eq!(out.rows.len(), 2);
    assert_eq!(out.rows[0], row(0, future, 1_048_576.0));
    assert_eq!(out.rows[1].value.to_bits(), STALE_NAN_BITS);
    let dropped = canonicalizer.statistics(10).dropped;
    let expected = [(Reason::NonFinite, 4), (Reason::Negative, 1), (Reason::FarFuture, 1), (Reason::BeforeEpoch, 1)];
    assert_eq!(dropped, expected.map(|(reason, count)| ("mem.working_set".to_owned(), reason, count)));
    let refusal = out.refusal.expect("the sender's clock is the sender's business");
    assert_eq!(refusal.reason, Reason::FarFuture);
    for part in ["memory_mib{pod=\"a\"}", &(future + 1).to_string(), "clock"] {
        assert!(refusal.message.contains(part), "{} lacks {part}", refusal.message);
    }

    let out = run(&mut canonicalizer, &source(2, "phase_code", "a", &[(NOW, 7.0), (NOW, 8.0)]));
    assert_eq!(out.rows.len(), 1);
    assert_eq!(out.counts.dropped(Reason::UnknownState), 1);
    assert_eq!(out.refusal, None);
}

#[test]
fn what_nobody_asked_for_is_counted_by_name_and_not_told() {
    let mut canonicalizer = canonicalizer(Limits { max_names: 2, ..Limits::default() });
    let mut out = Canonical::default();
    for identity in 0..3 {
        source(identity, "go_gc", "a", &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    }
    let again = source(0, "go_gc", "a", &[(NOW, 1.0), (NOW, 1.0)]);
    assert_eq!(again.to(&mut canonicalizer, NOW, &mut out), 0, "not parsed again");
    source(3, "broken", "a", &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    source(4, "one_name_too_many", "a", &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    assert_eq!(out.refusal, None);
    assert_eq!((out.counts.dropped(Reason::Unmapped), out.counts.dropped(Reason::Refused)), (6, 1));
    let ignored = canonicalizer.statistics(10).ignored;
    let names: Vec<_> = ignored.iter().map(|name| (name.name.as_str(), name.series, name.samples)).collect();
    assert_eq!(names, [("go_gc", 3, 5), ("(others)", 1, 1), ("broken", 1, 1)]);
    assert_eq!(ignored[2].reason.as_deref(), Some("label \"pod\" is missing"));
}

#[test]
fn past_the_limit_new_series_are_refused_by_name_and_known_ones_go_on() {
    let mut canonicalizer = canonicalizer(Limits { max_series: 2, ..Limits::default() });
    let mut out = Canonical::default();
    for identity in 0..100 {
        let pod = format!("p{identity}");
        source(identity, "memory_mib", &pod, &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    }
    assert_eq!(out.rows.len(), 2);
    assert_eq!(out.counts.dropped(Reason::SeriesLimit), 98);
    let message = out.refusal.unwrap().message;
    assert!(message.contains("memory_mib{pod=\"p2\"}") && message.contains("2 series are known"), "{message}");
    let known = run(&mut canonicalizer, &source(1, "memory_mib", "p1", &[(NOW, 1.0)]));
    assert_eq!(known.rows, [row(1, NOW, 1_048_576.0)]);
    assert_eq!(canonicalizer.statistics(0).series, 2);
}

#[test]
fn series_that_ended_make_room_for_new_ones() {
    let limits = Limits { max_series: 2, idle: 1000, ..Limits::default() };
    let mut canonicalizer = canonicalizer(limits);
    let mut out = Canonical::default();
    let stays = source(0, "memory_mib", "stays", &[(NOW, 1.0)]);
    for turn in 0..10 {
        let pod = format!("p{turn}");
        let at = NOW + i64::from(turn) * 2500;
        assert_eq!(stays.to(&mut canonicalizer, at, &mut out), u32::from(turn == 0), "in use, so not forgotten");
        source(1 + turn as u128, "memory_mib", &pod, &[(NOW, 1.0)]).to(&mut canonicalizer, at, &mut out);
        stays.to(&mut canonicalizer, at + 1100, &mut out);
    }
    assert_eq!(out.counts.dropped(Reason::SeriesLimit), 0);
    assert_eq!(out.new_series.len(), 11);
}

#[test]
fn memory_of_unmapped_series_is_bounded_and_none_is_refused() {
    let mut canonicalizer = canonicalizer(Limits { max_ignored: 10, ..Limits::default() });
    let mut out = Canonical::default();
    for identity in 0..1000 {
        source(identity, "go_gc", "a", &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    }
    assert_eq!(out.counts.dropped(Reason::Unmapped), 1000);
    assert_eq!(out.refusal, None);
}

#[test]
fn series_without_a_usable_name_are_refused_and_the_others_stored() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let mut out = Canonical::default();
    let mut nameless = source(1, "x", "a", &[(NOW, 1.0)]);
    nameless.labels.remove(0);
    nameless.to(&mut canonicalizer, NOW, &mut out);
    source(2, "memory_mib", "a", &[(NOW, 1.0)]).label("pod", "b").to(&mut canonicalizer, NOW, &mut out);
    source(3, "memory_mib", "a", &[(NOW, 1.0)]).to(&mut canonicalizer, NOW, &mut out);
    assert_eq!(out.rows.len(), 1);
    assert_eq!(out.counts.dropped(Reason::BadLabels), 2);
    assert!(out.refusal.unwrap().message.contains("no metric name"));
}

#[test]
fn deltas_become_a_counter_that_starts_at_zero_and_counts_nothing_twice() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let first = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW, 5.0)]).delta(NOW - 10_000));
    assert_eq!(first.rows, [row(0, NOW - 9_999, 0.0), row(0, NOW, 5.0)]);
    assert_eq!(first.counts.starts, 1);
    let second = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW + 10_000, 2.0)]).delta(NOW));
    assert_eq!(second.rows, [row(0, NOW + 10_000, 7.0)]);
    let repeated = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW + 10_000, 2.0)]).delta(NOW));
    assert!(repeated.rows.is_empty());
    assert_eq!(repeated.counts.dropped(Reason::Repeated), 1);
}

#[test]
fn a_message_that_is_undone_may_come_again_and_counts_once() {
    let mut canonicalizer = canonicalizer(Limits::default());
    run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW, 5.0)]).delta(NOW - 10_000));
    let mut message = Canonical::default();
    source(1, "cpu", "a", &[(NOW + 10_000, 2.0)]).delta(NOW).to(&mut canonicalizer, NOW, &mut message);
    source(1, "cpu", "a", &[(NOW + 20_000, 1.0)]).delta(NOW + 10_000).to(&mut canonicalizer, NOW, &mut message);
    source(2, "cpu", "b", &[(NOW, 3.0)]).delta(NOW - 10_000).to(&mut canonicalizer, NOW, &mut message);
    assert!(message.moves_counters());
    let rows = message.rows.clone();
    assert_eq!(rows[..2], [row(0, NOW + 10_000, 7.0), row(0, NOW + 20_000, 8.0)]);
    canonicalizer.undo(&mut message);
    let mut again = Canonical::default();
    source(1, "cpu", "a", &[(NOW + 10_000, 2.0), (NOW + 20_000, 1.0)]).delta(NOW).to(
        &mut canonicalizer,
        NOW,
        &mut again,
    );
    source(2, "cpu", "b", &[(NOW, 3.0)]).delta(NOW - 10_000).to(&mut canonicalizer, NOW, &mut again);
    assert_eq!(again.rows, rows);
    assert_eq!(again.counts.dropped(Reason::Repeated), 0);
}

#[test]
fn a_counter_that_began_anew_is_seen_to_even_when_it_is_higher() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let old = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW, 5.0)]).cumulative(NOW - 86_400_000));
    assert_eq!(old.rows, [row(0, NOW, 5.0)], "a start long ago adds nothing");
    let same = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW + 1, 6.0)]).cumulative(NOW - 86_400_000));
    assert_eq!(same.rows.len(), 1);
    let new = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW + 9, 8.0)]).cumulative(NOW + 5));
    assert_eq!(new.rows, [row(0, NOW + 5, 0.0), row(0, NOW + 9, 8.0)]);
    // A gauge has no start, whatever is said of it.
    let gauge = run(&mut canonicalizer, &source(2, "memory_mib", "a", &[(NOW, 1.0)]).cumulative(NOW - 5));
    assert_eq!(gauge.rows.len(), 1);
}

#[test]
fn a_start_that_wobbles_is_no_reset() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let first = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW, 5.0)]).cumulative(NOW - 1000));
    assert_eq!(first.rows, [row(0, NOW - 1000, 0.0), row(0, NOW, 5.0)]);
    for (time, created) in [(NOW + 10, NOW - 1003), (NOW + 20, NOW - 998), (NOW + 30, NOW), (NOW + 40, NOW - 1000)] {
        let later = run(&mut canonicalizer, &source(1, "cpu", "a", &[(time, 6.0)]).cumulative(created));
        assert_eq!(later.rows, [row(0, time, 6.0)], "start {}", created - NOW);
    }
    // A sample that comes late, of a counter that began before it, does not make its successor a new one.
    let new = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW + 60, 7.0)]).cumulative(NOW + 50));
    assert_eq!(new.rows, [row(0, NOW + 50, 0.0), row(0, NOW + 60, 7.0)]);
    let late = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW + 35, 6.0)]).cumulative(NOW - 1000));
    assert_eq!(late.rows, [row(0, NOW + 35, 6.0)]);
    let next = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW + 70, 8.0)]).cumulative(NOW + 50));
    assert_eq!(next.rows, [row(0, NOW + 70, 8.0)]);
}

#[test]
fn a_known_counter_that_began_anew_long_before_its_next_sample_is_seen_to() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let (hour, before) = (3_600_000, NOW - 5 * 3_600_000);
    run(&mut canonicalizer, &source(1, "cpu", "a", &[(before, 5.0)]).cumulative(before - 30 * hour));
    let new = run(&mut canonicalizer, &source(1, "cpu", "a", &[(NOW, 9.0)]).cumulative(before + hour));
    assert_eq!(new.rows, [row(0, before + hour, 0.0), row(0, NOW, 9.0)]);
    let unknown = run(&mut canonicalizer, &source(2, "cpu", "b", &[(NOW, 9.0)]).cumulative(before + hour));
    assert_eq!(unknown.rows, [row(1, NOW, 9.0)], "of one seen first, nobody knows when it grew");
}

#[test]
fn series_are_still_forgotten_after_the_clock_jumped_back() {
    let limits = Limits { idle: 1000, ..Limits::default() };
    let mut canonicalizer = canonicalizer(limits);
    let old = NOW - 10_000_000;
    let mut out = Canonical::default();
    let (gone, stays) = (source(1, "memory_mib", "gone", &[(old, 1.0)]), source(2, "memory_mib", "a", &[(old, 1.0)]));
    gone.to(&mut canonicalizer, NOW, &mut out);
    stays.to(&mut canonicalizer, NOW, &mut out);
    let back = NOW - 5_000_000;
    for step in 0..4 {
        assert_eq!(stays.to(&mut canonicalizer, back + step * 1100, &mut out), 0, "known, step {step}");
    }
    assert_eq!(canonicalizer.statistics(0).series, 1, "the periods go on from the earlier time");
    assert_eq!(gone.to(&mut canonicalizer, back + 4400, &mut out), 1, "was forgotten");
}

#[test]
fn handles_of_forgotten_series_are_not_given_out_again() {
    let limits = Limits { idle: 1000, ..Limits::default() };
    let mut canonicalizer = canonicalizer(limits);
    let mut out = Canonical::default();
    for turn in 0..100_u32 {
        let pod = format!("p{turn}");
        let at = NOW + i64::from(turn) * 1100;
        source(u128::from(turn), "memory_mib", &pod, &[(NOW, 1.0)]).to(&mut canonicalizer, at, &mut out);
        assert!(canonicalizer.handles().contains(&turn));
        assert!(canonicalizer.handles().len() <= 3);
    }
    let handles: Vec<u32> = out.new_series.iter().map(|(handle, _)| *handle).collect();
    assert_eq!(handles, (0..100).collect::<Vec<u32>>());
}

#[test]
fn the_first_value_that_cannot_be_stored_is_named_beside_what_the_sender_is_told() {
    let mut canonicalizer = canonicalizer(Limits::default());
    let points = [(NOW, -1.0), (NOW, f64::NAN), (-1, 1.0), (NOW, 1.0)];
    let out = run(&mut canonicalizer, &source(1, "memory_mib", "a", &points));
    assert_eq!((out.counts.told(), out.counts.unusable()), (1, 2));
    assert_eq!(out.refusal.unwrap().reason, Reason::BeforeEpoch);
    let unusable = out.unusable.unwrap();
    assert_eq!(unusable.reason, Reason::Negative);
    assert!(unusable.message.contains("memory_mib{pod=\"a\"}, time"), "{}", unusable.message);
}
