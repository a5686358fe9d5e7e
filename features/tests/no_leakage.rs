//! Nothing that lies after the cut, or reached us after it, ever changes a row, of any family.

mod common;

use common::{Arrival, END, LAG, METRICS, TILE, arrivals, build, names, row_bits, samples};
use features::{MetricId, MetricKind};
use proptest::prelude::*;

/// Names of the columns in which two rows differ.
fn differing(a: &[u32], b: &[u32]) -> Vec<String> {
    assert_eq!(a.len(), b.len());
    let pairs = names().into_iter().zip(a.iter().zip(b));
    pairs.filter(|(_, (a, b))| a != b).map(|(name, _)| name).collect()
}

fn failures() -> impl Strategy<Value = Vec<(i64, &'static str)>> {
    let one = (0..END, prop::sample::select(vec!["oom", "crash"]));
    proptest::collection::vec(one, 0..6).prop_map(|mut failures| {
        failures.sort_unstable();
        failures
    })
}

/// Another possible value of the metric.
fn other(arrival: Arrival, by: u32) -> f64 {
    let by = f64::from(by);
    match METRICS[usize::from(arrival.metric.0)].1 {
        MetricKind::State => by % 3.0,
        MetricKind::Time => (arrival.time as f64 / 10.0 - by % 3.0 / 10.0).max(0.0),
        MetricKind::Info => 1.0,
        _ => by,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn later_samples_and_later_known_samples_never_change_a_row(
        arrivals in arrivals(),
        failures in failures(),
        cut in 0..END / TILE,
    ) {
        let as_of = cut * TILE;
        let known: Vec<Arrival> =
            arrivals.iter().filter(|a| a.time < as_of && a.known_at <= as_of + LAG).copied().collect();
        let past: Vec<(i64, &str)> = failures.iter().copied().filter(|&(time, _)| time < as_of).collect();
        let whole = row_bits(&build(&samples(&arrivals)), &failures, as_of);
        let as_known = row_bits(&build(&samples(&known)), &past, as_of);
        prop_assert_eq!(differing(&whole, &as_known), Vec::<String>::new());
    }

    #[test]
    fn whatever_a_later_or_late_sample_says_the_row_is_the_same(
        arrivals in arrivals(),
        cut in 0..END / TILE,
        changes in proptest::collection::vec(0_u32..5000, 1..50),
    ) {
        let as_of = cut * TILE;
        let mut changed = arrivals.clone();
        let beyond = changed.iter_mut().filter(|a| a.time >= as_of || a.is_late());
        for (arrival, &by) in beyond.zip(changes.iter().cycle()) {
            arrival.value = other(*arrival, by);
        }
        let before = row_bits(&build(&samples(&arrivals)), &[], as_of);
        let after = row_bits(&build(&samples(&changed)), &[], as_of);
        prop_assert_eq!(differing(&before, &after), Vec::<String>::new());
    }

    #[test]
    fn a_row_is_the_same_today_and_in_a_year(arrivals in arrivals(), cut in 0..END / TILE) {
        let as_of = cut * TILE;
        let mut grown = arrivals.clone();
        for (metric, &(_, kind, ..)) in METRICS.iter().enumerate() {
            for time in [END, END + 1, 10 * END] {
                let metric = MetricId(u16::try_from(metric).unwrap());
                let value = if kind == MetricKind::State { 1.0 } else { 77.0 };
                grown.push(Arrival { metric, part: 0, time, known_at: time, value });
            }
        }
        grown.sort_by_key(|a| (a.metric, a.part, a.time));
        let before = row_bits(&build(&samples(&arrivals)), &[], as_of);
        let after = row_bits(&build(&samples(&grown)), &[(END, "oom")], as_of);
        prop_assert_eq!(differing(&before, &after), Vec::<String>::new());
    }

    /// The other side: samples that were known do matter, so the tests above cannot pass by ignoring everything.
    #[test]
    fn a_sample_known_before_the_cut_changes_the_row(arrivals in arrivals(), which in any::<prop::sample::Index>()) {
        let known = |a: &&Arrival| a.metric == MetricId(0) && a.value.is_finite() && !a.is_late();
        let candidates: Vec<Arrival> = arrivals.iter().filter(known).copied().collect();
        if !candidates.is_empty() {
            let chosen = which.get(&candidates);
            let as_of = (chosen.time / TILE + 1) * TILE;
            let mut changed = arrivals.clone();
            changed.iter_mut().filter(|a| a.metric == chosen.metric && a.time == chosen.time).for_each(|a| a.value += 1.0);
            let before = row_bits(&build(&samples(&arrivals)), &[], as_of);
            let after = row_bits(&build(&samples(&changed)), &[], as_of);
            prop_assert!(differing(&before, &after).contains(&"level.mean.50".to_owned()));
        }
    }
}
