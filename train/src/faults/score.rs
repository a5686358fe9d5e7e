//! Scores of the fault benchmark, over row multiplicities so that the bootstrap can draw clusters.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use survival::compare::binomial::clopper_pearson;
use survival::{ClusterBootstrap, Interval};

use crate::error::Result;

/// Class of highest probability; the first of equals.
pub(super) fn most_likely(probabilities: &[f64]) -> usize {
    let mut best = 0;
    for (class, value) in probabilities.iter().enumerate() {
        if *value > probabilities[best] {
            best = class;
        }
    }
    best
}

/// Mean F1 over the classes that are in the truth or are predicted, weighted rows; `None` without weight.
pub(super) fn macro_f1(truth: &[usize], predicted: &[usize], classes: usize, weights: &[f64]) -> Option<f64> {
    let (mut hit, mut wanted, mut given) = (vec![0.0; classes], vec![0.0; classes], vec![0.0; classes]);
    for ((t, p), weight) in truth.iter().zip(predicted).zip(weights) {
        wanted[*t] += weight;
        given[*p] += weight;
        if t == p {
            hit[*t] += weight;
        }
    }
    let scores: Vec<f64> = (0..classes)
        .filter(|&class| wanted[class] + given[class] > 0.0)
        .map(|class| 2.0 * hit[class] / (wanted[class] + given[class]))
        .collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// −ln of the probability given to the truth, per row.
pub(super) fn log_losses(truth: &[usize], probabilities: &[Vec<f64>]) -> Vec<f64> {
    truth.iter().zip(probabilities).map(|(class, row)| -row[*class].max(1e-300).ln()).collect()
}

/// Counts, truth × predicted.
pub(super) fn confusion(truth: &[usize], predicted: &[usize], classes: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; classes]; classes];
    for (t, p) in truth.iter().zip(predicted) {
        counts[*t][*p] += 1;
    }
    counts
}

/// Exact binomial interval at 95 % for `hits` of `n`; the whole of [0, 1] for none of none.
pub(super) fn exact_binomial(hits: usize, n: usize) -> Interval {
    let nothing_known = Interval { estimate: f64::NAN, low: 0.0, high: 1.0, level: 0.95 };
    clopper_pearson(hits, n, 0.95).unwrap_or(nothing_known)
}

/// Mean of values in [0, 1] with an interval: by resampled clusters, or, where resampling would show no spread, by the
/// exact binomial interval with one trial per cluster.
pub(super) fn rate(values: &[f64], clusters: &[String], replicates: usize, seed: u64) -> Result<Interval> {
    let mut names: Vec<&String> = clusters.iter().collect();
    names.sort();
    names.dedup();
    let all_alike = values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits());
    let whole = values.iter().all(|value| value.fract().abs() < 1e-12);
    if whole && (names.len() == values.len() || all_alike) {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let hits = (mean * names.len() as f64).round() as usize;
        return Ok(exact_binomial(hits, names.len()));
    }
    if names.len() < 2 || all_alike {
        let estimate = values.iter().sum::<f64>() / values.len().max(1) as f64;
        return Ok(Interval { estimate, low: estimate, high: estimate, level: 0.95 });
    }
    Ok(ClusterBootstrap::new(clusters, replicates, seed)?.interval_of_mean(values)?)
}

/// What a threshold on a score did to the events of some systems.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventCounts {
    /// Events in which an alarm began.
    pub caught: usize,
    /// Events without.
    pub missed: usize,
    /// Alarms that began outside of every event.
    pub false_alarms: usize,
    /// Steps from the start of an event to its first alarm, one per caught event.
    pub delays: Vec<usize>,
    /// Days that were judged.
    pub days: f64,
}

impl EventCounts {
    /// 2·caught / (2·caught + missed + false alarms); `None` where there is nothing to judge.
    #[must_use]
    pub fn f1(&self) -> Option<f64> {
        let all = 2 * self.caught + self.missed + self.false_alarms;
        (all > 0).then(|| 2.0 * self.caught as f64 / all as f64)
    }

    /// Adds the counts of another system.
    pub(super) fn add(&mut self, other: &Self) {
        self.caught += other.caught;
        self.missed += other.missed;
        self.false_alarms += other.false_alarms;
        self.delays.extend(&other.delays);
        self.days += other.days;
    }
}

/// Alarms of `scores >= threshold` within `judged`, runs at most `merge` steps apart being one, against the windows.
///
/// A window is caught when an alarm *begins* inside; an alarm that begins outside of every window is false, unless it begins
/// in an ignored stretch. So an alarm that never ends catches nothing, and no step of a window is turned into a hit by
/// another (no point adjustment).
pub(super) fn count_events(
    scores: &[f64],
    threshold: f64,
    judged: &Range<usize>,
    windows: &[Range<usize>],
    ignored: &[Range<usize>],
    merge: usize,
    step_seconds: i64,
) -> EventCounts {
    let mut last: Option<usize> = None;
    let mut begun = Vec::new();
    for step in judged.clone().filter(|&step| scores[step] >= threshold) {
        if last.is_none_or(|last| step - last > merge) {
            begun.push(step);
        }
        last = Some(step);
    }
    let mut counts =
        EventCounts { days: judged.len() as f64 * step_seconds as f64 / 86_400.0, ..EventCounts::default() };
    for window in windows.iter().filter(|window| window.start < judged.end && window.end > judged.start) {
        match begun.iter().find(|step| window.contains(step)) {
            Some(first) => {
                counts.caught += 1;
                counts.delays.push(first - window.start);
            }
            None => counts.missed += 1,
        }
    }
    let excused = |step: &usize| windows.iter().chain(ignored).any(|range| range.contains(step));
    counts.false_alarms = begun.iter().filter(|step| !excused(step)).count();
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macro_f1_agrees_with_scikit_learn() {
        let (truth, predicted) = ([0, 0, 1, 2, 2, 2, 1, 0], [0, 1, 1, 2, 0, 2, 2, 0]);
        let plain = macro_f1(&truth, &predicted, 3, &[1.0; 8]).unwrap();
        assert!((plain - 0.611_111_111_111_111).abs() < 1e-12, "{plain}");
        let weights = [1.0, 2.0, 0.0, 1.0, 1.0, 3.0, 1.0, 2.0];
        let weighted = macro_f1(&truth, &predicted, 3, &weights).unwrap();
        assert!((weighted - 0.488_888_888_888_888_93).abs() < 1e-12, "{weighted}");
        assert_eq!(macro_f1(&[], &[], 3, &[]), None);
    }

    #[test]
    fn the_exact_interval_agrees_with_scipy() {
        // scipy.stats.beta.ppf
        let interval = exact_binomial(7, 20);
        assert!((interval.low - 0.153_909_2).abs() < 1e-7 && (interval.high - 0.592_188_53).abs() < 1e-7);
        let none = exact_binomial(0, 10);
        assert!(none.low.abs() < 1e-15 && (none.high - 0.308_497_107_818_760_7).abs() < 1e-12);
        let all = exact_binomial(10, 10);
        assert!((all.low - 0.691_502_892_181_239_2).abs() < 1e-12 && (all.high - 1.0).abs() < 1e-15);
    }

    #[test]
    fn events_are_counted_once_and_never_point_adjusted() {
        let mut scores = vec![0.0; 40];
        for step in [2, 3, 12, 14, 25, 33] {
            scores[step] = 1.0;
        }
        // Alarms 2–3 (false), 12–14 (in the first window), 25 (ignored), 33 (false); the second window is missed.
        let (windows, recovery) = ([10..16, 20..24], std::slice::from_ref(&(24..30)));
        let counts = count_events(&scores, 0.5, &(0..40), &windows, recovery, 3, 3600);
        assert_eq!((counts.caught, counts.missed, counts.false_alarms), (1, 1, 2));
        assert_eq!(counts.delays, [2]);
        assert!((counts.days - 40.0 / 24.0).abs() < 1e-12);
        assert!((counts.f1().unwrap() - 2.0 / 5.0).abs() < 1e-12);
        assert_eq!(EventCounts::default().f1(), None);
        let always = count_events(&[1.0; 40], 0.5, &(0..40), &windows, recovery, 3, 3600);
        assert_eq!((always.caught, always.missed, always.false_alarms), (0, 2, 1), "an endless alarm catches nothing");
    }

    #[test]
    fn a_rate_without_spread_still_has_an_interval() {
        let clusters: Vec<String> = ["a", "a", "b", "c"].map(str::to_owned).to_vec();
        let interval = rate(&[1.0; 4], &clusters, 200, 1).unwrap();
        assert!((interval.estimate - 1.0).abs() < 1e-15 && interval.low < 0.4, "three clusters: {interval:?}");
        let mixed = rate(&[1.0, 0.0, 1.0, 0.0], &clusters, 200, 1).unwrap();
        assert!(mixed.low < mixed.estimate && mixed.estimate < mixed.high);
    }
}
