//! When was something wrong: every detector on the same systems, its threshold chosen where it is not judged.
//!
//! Where a set has labels but no time of its own for a threshold, the threshold of a system is the best of all others by
//! event F1. Elsewhere it is the lowest that stays within a budget of alarms per day on the validation steps.

use std::ops::Range;

use datasets::benchmark::faults::{WatchedSet, WatchedSystem};
use serde::{Deserialize, Serialize};
use survival::{ClusterBootstrap, Interval};

use super::FaultsOptions;
use super::detect::Detector;
use super::numeric::quantile;
use super::score::{EventCounts, count_events, exact_binomial};
use crate::error::{Result, TrainError};

/// Steps between two alarms that are one.
const MERGE: usize = 3;
/// Thresholds tried.
const LADDER: usize = 80;
/// Shares of steps above the lowest and the highest threshold tried.
const TAILS: (f64, f64) = (0.2, 2e-5);

/// How a threshold was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// Best event F1 of all other systems.
    OtherSystems,
    /// The lowest within so many alarms per system and day on validation steps.
    AlarmBudget(f64),
}

/// What a detector did to one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemCounts {
    /// System.
    pub id: String,
    /// Threshold used.
    pub threshold: f64,
    /// Events and alarms.
    pub counts: EventCounts,
}

/// Scores of one detector on one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyResult {
    /// Data set.
    pub set: String,
    /// Detector.
    pub detector: Detector,
    /// How thresholds were chosen.
    pub rule: ThresholdRule,
    /// All systems together.
    pub counts: EventCounts,
    /// Event F1, systems resampled; `None` without labels or for a single system.
    pub f1: Option<Interval>,
    /// Share of events caught, exact binomial; `None` without labels.
    pub recall: Option<Interval>,
    /// Median minutes from the start of a caught event to its first alarm.
    pub median_delay_minutes: Option<f64>,
    /// False alarms per system and day.
    pub false_alarms_per_day: f64,
    /// Series that the method could not score, because they are too short for it.
    pub series_left_out: usize,
    /// Each system.
    pub systems: Vec<SystemCounts>,
}

/// Runs one detector over a set. `None` where not one series is long enough for it.
///
/// # Errors
/// When the set has no system or a range of a system reaches beyond its series.
pub fn run_anomaly(set: &WatchedSet, detector: Detector, options: &FaultsOptions) -> Result<Option<AnomalyResult>> {
    check(set, detector)?;
    let mut left_out = 0;
    let mut scores = Vec::with_capacity(set.systems.len());
    let mut scored = 0;
    for system in &set.systems {
        let (of_system, without) = system_scores(system, detector, options.seed);
        left_out += without;
        scored += system.series.len() - without;
        scores.push(of_system);
    }
    if scored == 0 {
        return Ok(None);
    }
    let budget = set.systems.iter().all(|system| !system.validation.is_empty());
    let rule = if budget { ThresholdRule::AlarmBudget(options.alarms_per_day) } else { ThresholdRule::OtherSystems };
    let mut systems = Vec::with_capacity(set.systems.len());
    let common = budget.then(|| within_budget(&set.systems, &scores, options.alarms_per_day));
    for (at, system) in set.systems.iter().enumerate() {
        let threshold = common.unwrap_or_else(|| best_of_others(&set.systems, &scores, at));
        systems.push(SystemCounts {
            id: system.id.clone(),
            threshold,
            counts: judge(system, &scores[at], threshold, &system.test),
        });
    }
    let mut counts = EventCounts::default();
    for system in &systems {
        counts.add(&system.counts);
    }
    let step = set.systems.first().map_or(60, |system| system.step);
    let delays: Vec<f64> = counts.delays.iter().map(|steps| *steps as f64 * step as f64 / 60.0).collect();
    let f1 = if set.labelled && systems.len() > 1 {
        let ids: Vec<String> = systems.iter().map(|system| system.id.clone()).collect();
        let bootstrap = ClusterBootstrap::new(&ids, options.replicates, options.seed)?;
        bootstrap.interval_of(|weights| weighted_f1(&systems, weights)).ok()
    } else {
        None
    };
    Ok(Some(AnomalyResult {
        set: set.name.clone(),
        detector,
        rule,
        f1,
        recall: (set.labelled && counts.caught + counts.missed > 0)
            .then(|| exact_binomial(counts.caught, counts.caught + counts.missed)),
        median_delay_minutes: quantile(&delays, 0.5),
        false_alarms_per_day: counts.false_alarms as f64 / counts.days.max(1e-9),
        series_left_out: left_out,
        counts,
        systems,
    }))
}

fn check(set: &WatchedSet, detector: Detector) -> Result<()> {
    let refused =
        |reason: String| Err(TrainError::Data { model: format!("{} on {}", detector.name(), set.name), reason });
    if set.systems.is_empty() {
        return refused("no system to watch".to_owned());
    }
    for system in &set.systems {
        let steps = system.steps();
        let reach = system.train.end.max(system.validation.end).max(system.test.end);
        if steps == 0 || reach > steps || system.test.is_empty() || system.series.iter().any(|s| s.len() != steps) {
            return refused(format!("system {} has {steps} steps, its parts reach {reach}", system.id));
        }
    }
    Ok(())
}

/// The oddest of all series per step, and how many series could not be scored.
fn system_scores(system: &WatchedSystem, detector: Detector, seed: u64) -> (Vec<f64>, usize) {
    let day = usize::try_from(86_400 / system.step.max(1)).unwrap_or(1).max(1);
    let mut top = vec![0.0_f64; system.steps()];
    let mut without = 0;
    // A lot is drawn per system, not per series.
    let series = if detector == Detector::Random { &system.series[..1] } else { &system.series[..] };
    for (name, values) in system.names.iter().zip(series) {
        let values: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
        let name = format!("{} {name}", system.id);
        match detector.scores(&values, &system.train, day, &name, seed) {
            Some(scores) => {
                for (slot, score) in top.iter_mut().zip(scores) {
                    *slot = slot.max(score);
                }
            }
            None => without += 1,
        }
    }
    (top, without)
}

fn judge(system: &WatchedSystem, scores: &[f64], threshold: f64, on: &Range<usize>) -> EventCounts {
    count_events(scores, threshold, on, &system.windows, &system.ignored, MERGE, system.step)
}

/// Thresholds from low to high: quantiles of what was scored, dense towards the top.
fn ladder(scores: &[f64]) -> Vec<f64> {
    let (from, to) = (TAILS.0.ln(), TAILS.1.ln());
    let rung = |at: usize| {
        let tail = (from + (to - from) * at as f64 / (LADDER - 1) as f64).exp();
        quantile(scores, 1.0 - tail)
    };
    let mut rungs: Vec<f64> = (0..LADDER).filter_map(rung).filter(|rung| *rung > 0.0).collect();
    // Above everything: a detector may say nothing at all.
    rungs.extend(scores.iter().copied().reduce(f64::max).map(|top| top * (1.0 + 1e-9) + 1e-9));
    rungs.dedup();
    rungs
}

/// The threshold with the best event F1 over all systems but one; the higher of equals.
fn best_of_others(systems: &[WatchedSystem], scores: &[Vec<f64>], but: usize) -> f64 {
    let others = || systems.iter().zip(scores).enumerate().filter(|(at, _)| *at != but).map(|(_, pair)| pair);
    let pooled: Vec<f64> = others().flat_map(|(system, scores)| scores[system.test.clone()].iter().copied()).collect();
    let mut best = (f64::MAX, -1.0);
    for threshold in ladder(&pooled) {
        let mut counts = EventCounts::default();
        for (system, scores) in others() {
            counts.add(&judge(system, scores, threshold, &system.test));
        }
        let f1 = counts.f1().unwrap_or(0.0);
        if f1 >= best.1 {
            best = (threshold, f1);
        }
    }
    best.0
}

/// The lowest threshold within the budget on all validation steps.
fn within_budget(systems: &[WatchedSystem], scores: &[Vec<f64>], per_day: f64) -> f64 {
    let pooled: Vec<f64> = systems
        .iter()
        .zip(scores)
        .flat_map(|(system, scores)| scores[system.validation.clone()].iter().copied())
        .collect();
    // From the top down to the first that is too loud: far below, alarms melt into few long ones and look rare again.
    let mut lowest = f64::MAX;
    for threshold in ladder(&pooled).into_iter().rev() {
        let mut counts = EventCounts::default();
        for (system, scores) in systems.iter().zip(scores) {
            counts.add(&judge(system, scores, threshold, &system.validation));
        }
        if counts.false_alarms as f64 > per_day * counts.days {
            break;
        }
        lowest = threshold;
    }
    lowest
}

fn weighted_f1(systems: &[SystemCounts], weights: &[f64]) -> Option<f64> {
    let (mut hit, mut all) = (0.0, 0.0);
    for (system, weight) in systems.iter().zip(weights) {
        let counts = &system.counts;
        hit += weight * 2.0 * counts.caught as f64;
        all += weight * (2 * counts.caught + counts.missed + counts.false_alarms) as f64;
    }
    (all > 0.0).then(|| hit / all)
}
