//! Alarms on whole runs, leave one run out: when would each rule have spoken, and how often for nothing?
//!
//! The unit is the run; its risk each minute is the highest of its nodes. An alarm is `CONSECUTIVE` minutes in
//! a row at or above a threshold. The threshold for a run is the smallest that gives at most one alarm in the
//! minutes before injection of the *other* runs, each of them judged by a model that saw neither it nor the
//! run left out, so that no run is judged by what was learned from it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use datasets::benchmark::prevent::RunFacts;
use datasets::{Dataset, Progress, Silent};
use features::LabeledBatch;
use model::ModelKind;
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::error::Result;
use crate::fitted::{Parts, fit_model, prepare};

/// Minutes in a row that make an alarm.
pub const CONSECUTIVE: usize = 3;
/// Alarms allowed in the pre-injection minutes of all training runs together.
pub const ALLOWED: usize = 1;

/// What one rule did on one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// Threshold chosen on the other runs.
    pub threshold: f64,
    /// Minute of the first alarm after the injection, 1-based; `None` when there was none before the crash.
    pub alarm_minute: Option<i64>,
    /// Minutes from that alarm to the crash.
    pub lead_minutes: Option<i64>,
    /// Alarms before the injection.
    pub alarms_before_injection: usize,
}

/// One run, judged by every rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// Run.
    pub run: String,
    /// Its fault.
    pub fault: String,
    /// Minute of the injection, 1-based.
    pub injection_minute: i64,
    /// Minute of the crash, 1-based.
    pub crash_minute: i64,
    /// Minutes before injection that were watched.
    pub watched_before_injection: usize,
    /// By rule.
    pub rules: BTreeMap<String, RuleOutcome>,
}

/// Risk of a run per minute: (tick, highest risk of its nodes).
type Series = Vec<(i64, f64)>;

/// Runs the protocol for each family and for the z-score rule.
///
/// # Errors
/// When a fold cannot be fitted.
pub fn leave_one_run_out(
    dataset: &Dataset,
    rows: &LabeledBatch,
    runs: &[RunFacts],
    kinds: &[ModelKind],
    config: &TrainConfig,
    work: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Vec<RunOutcome>> {
    let horizon = dataset.readout().horizons.last().copied().unwrap_or(dataset.grid().last_edge());
    let of_run: Vec<Vec<usize>> =
        runs.iter().map(|run| (0..rows.rows()).filter(|&row| rows.groups[row] == run.run).collect()).collect();
    // Series of run i from the model that left out i and j; the diagonal left out i alone.
    let mut series: BTreeMap<(String, usize, usize), Series> = BTreeMap::new();
    let fits = (kinds.len() + 1) * runs.len() * (runs.len() + 1) / 2;
    progress.begin("leave one run out, fits", Some(fits as u64));
    for i in 0..runs.len() {
        for j in i..runs.len() {
            let rest: Vec<usize> = (0..runs.len()).filter(|&run| run != i && run != j).collect();
            let out = if i == j { vec![i] } else { vec![i, j] };
            for &kind in kinds {
                let work = work.map(|work| work.join(format!("{}-without-{i}-{j}", kind.name())));
                let predicted =
                    fit_and_predict(dataset, rows, &of_run, &rest, &out, kind, config, work.as_deref(), horizon)?;
                for (run, risk) in out.iter().zip(predicted) {
                    let other = if i == j { i } else { i + j - run };
                    series.insert((kind.name().to_owned(), *run, other), highest(rows, &of_run[*run], &risk));
                }
                progress.advance(1);
            }
            let predicted = z_scores(rows, runs, &of_run, &rest, &out);
            for (run, risk) in out.iter().zip(predicted) {
                let other = if i == j { i } else { i + j - run };
                series.insert(("z-score".to_owned(), *run, other), highest(rows, &of_run[*run], &risk));
            }
            progress.advance(1);
        }
    }
    progress.end();

    let mut outcomes = Vec::with_capacity(runs.len());
    for (i, run) in runs.iter().enumerate() {
        let mut rules = BTreeMap::new();
        let mut watched = 0;
        for rule in kinds.iter().map(|kind| kind.name()).chain(["z-score"]) {
            let others: Vec<(&RunFacts, &Series)> = (0..runs.len())
                .filter(|&j| j != i)
                .filter_map(|j| Some((&runs[j], series.get(&(rule.to_owned(), j, i))?)))
                .collect();
            let threshold = choose_threshold(&others);
            let Some(own) = series.get(&(rule.to_owned(), i, i)) else { continue };
            watched = own.iter().filter(|(tick, _)| *tick <= run.injection()).count();
            rules.insert(rule.to_owned(), outcome(run, own, threshold));
        }
        outcomes.push(RunOutcome {
            run: run.run.clone(),
            fault: run.fault_type.clone(),
            injection_minute: run.injection_minute,
            crash_minute: run.failure_minute,
            watched_before_injection: watched,
            rules,
        });
    }
    Ok(outcomes)
}

#[expect(clippy::too_many_arguments, reason = "one fit of the protocol, called from one place")]
fn fit_and_predict(
    dataset: &Dataset,
    rows: &LabeledBatch,
    of_run: &[Vec<usize>],
    rest: &[usize],
    out: &[usize],
    kind: ModelKind,
    config: &TrainConfig,
    work: Option<&Path>,
    horizon: f64,
) -> Result<Vec<Vec<f64>>> {
    // The run that validates rotates with the run left out, so that no fault type always validates.
    let validating = rest[out[0] % rest.len()];
    let train: Vec<usize> =
        rest.iter().filter(|&&run| run != validating).flat_map(|&run| of_run[run].iter().copied()).collect();
    let train = rows.select(&train);
    let validation = rows.select(&of_run[validating]);
    // Scaling probabilities on one run would only add that run's accidents to the threshold.
    let nothing = rows.select(&[]);
    let parts = Parts {
        spec: dataset.spec(),
        grid: dataset.grid(),
        causes: dataset.causes(),
        readout: dataset.readout(),
        train: &train,
        validation: &validation,
        calibration: &nothing,
    };
    let prepared = prepare(parts, config.cross_fit)?;
    let fitted = fit_model(kind, parts, &prepared, config, work, &Silent)?;
    out.iter()
        .map(|&run| {
            let curves = fitted.predict(dataset.grid(), &rows.select(&of_run[run]).features)?;
            Ok(curves.iter().map(|curve| curve.failure_probability(horizon)).collect::<survival::Result<Vec<_>>>()?)
        })
        .collect()
}

/// Largest |z| over channels of each row's newest step, against pre-injection rows of the training runs.
fn z_scores(
    rows: &LabeledBatch,
    runs: &[RunFacts],
    of_run: &[Vec<usize>],
    rest: &[usize],
    out: &[usize],
) -> Vec<Vec<f64>> {
    let (steps, channels) = (rows.features.steps(), rows.features.channels());
    let newest = |row: usize| &rows.features.sequence_row(row)[(steps - 1) * channels..];
    let mut count = vec![0.0_f64; channels];
    let mut mean = vec![0.0_f64; channels];
    let mut square = vec![0.0_f64; channels];
    for &run in rest {
        for &row in of_run[run].iter().filter(|&&row| rows.features.as_of()[row] <= runs[run].injection()) {
            for (channel, &value) in newest(row).iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                count[channel] += 1.0;
                let before = f64::from(value) - mean[channel];
                mean[channel] += before / count[channel];
                square[channel] += before * (f64::from(value) - mean[channel]);
            }
        }
    }
    let score = |row: usize| {
        newest(row)
            .iter()
            .enumerate()
            .filter(|(channel, v)| !v.is_nan() && square[*channel] > 0.0)
            .map(|(channel, &v)| {
                (f64::from(v) - mean[channel]).abs() / (square[channel] / (count[channel] - 1.0)).sqrt()
            })
            .fold(0.0, f64::max)
    };
    out.iter().map(|&run| of_run[run].iter().map(|&row| score(row)).collect()).collect()
}

/// Highest risk of any node per minute.
fn highest(rows: &LabeledBatch, of_run: &[usize], risk: &[f64]) -> Series {
    let mut by_minute: BTreeMap<i64, f64> = BTreeMap::new();
    for (&row, &risk) in of_run.iter().zip(risk) {
        let top = by_minute.entry(rows.features.as_of()[row]).or_insert(f64::NEG_INFINITY);
        *top = top.max(risk);
    }
    by_minute.into_iter().collect()
}

/// Ticks at which an alarm begins: the third minute in a row, once per stretch.
fn alarms(series: &[(i64, f64)], threshold: f64) -> Vec<i64> {
    let mut found = Vec::new();
    let mut streak = 0;
    let mut previous: Option<i64> = None;
    for &(tick, risk) in series {
        let follows = previous.is_some_and(|before| tick == before + 1);
        streak = if risk < threshold {
            0
        } else if follows {
            streak + 1
        } else {
            1
        };
        if streak == CONSECUTIVE {
            found.push(tick);
        }
        previous = Some(tick);
    }
    found
}

/// Smallest threshold with at most [`ALLOWED`] alarms before injection in all these runs together.
fn choose_threshold(runs: &[(&RunFacts, &Series)]) -> f64 {
    let before: Vec<Series> = runs
        .iter()
        .map(|(run, series)| series.iter().copied().filter(|(tick, _)| *tick <= run.injection()).collect())
        .collect();
    let mut candidates: Vec<f64> = before.iter().flatten().map(|(_, risk)| *risk).collect();
    candidates.sort_unstable_by(f64::total_cmp);
    candidates.dedup();
    // Raising the threshold can split one stretch in two, so counts are not monotone: take the smallest that,
    // with every larger one, keeps the budget.
    let mut threshold = candidates.last().map_or(f64::INFINITY, |top| top.next_up());
    for &candidate in candidates.iter().rev() {
        let count: usize = before.iter().map(|series| alarms(series, candidate).len()).sum();
        if count > ALLOWED {
            break;
        }
        threshold = candidate;
    }
    threshold
}

fn outcome(run: &RunFacts, series: &Series, threshold: f64) -> RuleOutcome {
    let all = alarms(series, threshold);
    let first = all.iter().copied().find(|&tick| tick > run.injection());
    RuleOutcome {
        threshold,
        alarm_minute: first.map(|tick| tick - run.start),
        lead_minutes: first.map(|tick| run.failure() - tick),
        alarms_before_injection: all.iter().filter(|&&tick| tick <= run.injection()).count(),
    }
}

/// The outcomes as a table for a terminal: no averages over six runs.
#[must_use]
pub fn alarm_table(outcomes: &[RunOutcome]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<5} {:<12} {:>9} {:>6}   {:<12} {:>6} {:>5} {:>17}",
        "run", "fault", "injection", "crash", "rule", "alarm", "lead", "alarms before"
    );
    for run in outcomes {
        for (rule, outcome) in &run.rules {
            let show = |value: Option<i64>| value.map_or("none".to_owned(), |v| v.to_string());
            let _ = writeln!(
                text,
                "{:<5} {:<12} {:>9} {:>6}   {:<12} {:>6} {:>5} {:>10} in {:>3}'",
                run.run,
                run.fault,
                run.injection_minute,
                run.crash_minute,
                rule,
                show(outcome.alarm_minute),
                show(outcome.lead_minutes),
                outcome.alarms_before_injection,
                run.watched_before_injection
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_needs_three_minutes_in_a_row_and_counts_once_per_stretch() {
        let series: Series = [0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9]
            .iter()
            .enumerate()
            .map(|(tick, risk)| (i64::try_from(tick).unwrap(), *risk))
            .collect();
        assert_eq!(alarms(&series, 0.5), vec![3, 11]);
    }

    #[test]
    fn a_missing_minute_breaks_the_row() {
        assert_eq!(alarms(&[(1, 1.0), (2, 1.0), (4, 1.0), (5, 1.0)], 0.5), Vec::<i64>::new());
    }

    #[test]
    fn the_threshold_is_the_smallest_that_keeps_the_budget() {
        let run = RunFacts {
            run: "a".to_owned(),
            fault_type: "f".to_owned(),
            injection_minute: 11,
            failure_minute: 20,
            rows: 20,
            start: 0,
        };
        let risk = [0.3, 0.3, 0.3, 0.1, 0.5, 0.5, 0.5, 0.1, 0.2];
        let series: Series = risk.iter().enumerate().map(|(t, r)| (i64::try_from(t).unwrap(), *r)).collect();
        // At 0.3 there are two alarms, at 0.5 one: one is allowed.
        assert!((choose_threshold(&[(&run, &series)]) - 0.5).abs() < 1e-12);
    }
}
