//! Anomalies in one series: event-wise scores, the PA%K curve, detection delay. The volume under the surface is in
//! [`super::anomaly_volume`].
//!
//! Point adjustment counts a whole event as found when one step of it was alarmed; random alarms then look state of the
//! art (Kim et al., AAAI 2022). It appears here as the left end of the PA%K curve and nowhere alone.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::check_rows;
use crate::{Result, SurvivalError};

/// Maximal runs of `true`.
#[must_use]
pub fn runs(steps: &[bool]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (step, _) in steps.iter().enumerate().filter(|(_, on)| **on) {
        match runs.last_mut() {
            Some(run) if run.end == step => run.end = step + 1,
            _ => runs.push(step..step + 1),
        }
    }
    runs
}

/// Events found, alarms that were right, and how late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventScores {
    /// True events.
    pub events: usize,
    /// Runs of alarmed steps.
    pub alarms: usize,
    /// Share of alarms that touch an event; 0 without alarms.
    pub precision: f64,
    /// Share of events with an alarmed step.
    pub recall: f64,
    /// Harmonic mean of the two; 0 when both are.
    pub f1: f64,
    /// Share of alarmed *steps* inside events; 0 without alarms. One alarm that never ends has precision 1 above, and
    /// only the share of anomalous steps here.
    pub step_precision: f64,
    /// Harmonic mean of event recall and step precision (Garg et al. 2021): the one to compare detectors by.
    pub composite_f1: f64,
    /// Steps from the start of each event to the first alarmed step in it; `None` for a missed event.
    pub delays: Vec<Option<usize>>,
}

impl EventScores {
    /// Mean delay of the events found; `None` when none was. Read it beside the recall: missing the hard ones shortens it.
    #[must_use]
    pub fn mean_delay(&self) -> Option<f64> {
        let found: Vec<f64> = self.delays.iter().flatten().map(|d| *d as f64).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

/// Scores alarmed steps against anomalous ones.
///
/// # Errors
/// When there is no step, lengths differ, or no step is anomalous.
pub fn event_scores(anomalous: &[bool], alarmed: &[bool]) -> Result<EventScores> {
    let events = events(anomalous, alarmed)?;
    let alarms = runs(alarmed);
    let first = |steps: &Range<usize>, of: &[bool]| of[steps.clone()].iter().position(|on| *on);
    let delays: Vec<Option<usize>> = events.iter().map(|event| first(event, alarmed)).collect();
    let right = alarms.iter().filter(|alarm| first(alarm, anomalous).is_some()).count();
    let recall = delays.iter().flatten().count() as f64 / events.len() as f64;
    let precision = share(right, alarms.len());
    let (caught, raised) = overlap(anomalous, alarmed);
    let step_precision = share(caught, raised);
    Ok(EventScores {
        events: events.len(),
        alarms: alarms.len(),
        precision,
        recall,
        f1: harmonic(precision, recall),
        step_precision,
        composite_f1: harmonic(step_precision, recall),
        delays,
    })
}

/// F1 of steps after point adjustment of events alarmed on more than a share K of their steps, for K from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointAdjustedCurve {
    /// K, as shares: 0 is full point adjustment, 1 is none.
    pub share: Vec<f64>,
    /// F1 at each.
    pub f1: Vec<f64>,
    /// Area by the trapezoid rule: the number to quote.
    pub area: f64,
}

/// The PA%K curve at `points` + 1 equally spaced K (Kim et al. 2022 use 100).
///
/// # Errors
/// When there is no step, lengths differ, no step is anomalous, or `points` is 0.
pub fn point_adjusted_curve(anomalous: &[bool], alarmed: &[bool], points: usize) -> Result<PointAdjustedCurve> {
    if points == 0 {
        return Err(SurvivalError::Domain { what: "steps of the PA%K curve", value: 0.0, domain: "at least 1" });
    }
    let events = events(anomalous, alarmed)?;
    let alarmed_in: Vec<usize> =
        events.iter().map(|event| alarmed[event.clone()].iter().filter(|a| **a).count()).collect();
    let positives: usize = events.iter().map(ExactSizeIterator::len).sum();
    let (caught, raised) = overlap(anomalous, alarmed);
    let mut curve = PointAdjustedCurve { share: vec![], f1: vec![], area: 0.0 };
    for point in 0..=points {
        // In whole numbers, so that "more than K" is exact.
        let filled: usize = events
            .iter()
            .zip(&alarmed_in)
            .filter(|(event, count)| **count * points > point * event.len())
            .map(|(event, count)| event.len() - count)
            .sum();
        let caught = caught + filled;
        // F1 = 2 TP / (alarmed + anomalous).
        curve.share.push(point as f64 / points as f64);
        curve.f1.push(2.0 * caught as f64 / (raised + filled + positives) as f64);
    }
    curve.area = curve.f1.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).sum::<f64>() / points as f64;
    Ok(curve)
}

fn events(anomalous: &[bool], alarmed: &[bool]) -> Result<Vec<Range<usize>>> {
    check_rows("alarmed steps", anomalous.len(), alarmed.len())?;
    let events = runs(anomalous);
    if events.is_empty() { Err(SurvivalError::Empty { what: "list of anomalous events" }) } else { Ok(events) }
}

/// Alarmed steps that are anomalous, and alarmed steps.
fn overlap(anomalous: &[bool], alarmed: &[bool]) -> (usize, usize) {
    let caught = anomalous.iter().zip(alarmed).filter(|(a, b)| **a && **b).count();
    (caught, alarmed.iter().filter(|a| **a).count())
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn harmonic(a: f64, b: f64) -> f64 {
    if a + b > 0.0 { 2.0 * a * b / (a + b) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == '#').collect()
    }

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }

    #[test]
    fn events_worked_by_hand() {
        let truth = steps("..####....##....#.");
        let alarm = steps("#...##.##...##....");
        // Alarms: 0, 4–5, 7–8, 12–13; only 4–5 touches an event. Events found: the first, 2 steps late.
        let got = event_scores(&truth, &alarm).unwrap();
        assert_eq!((got.events, got.alarms), (3, 4));
        close(got.precision, 1.0 / 4.0);
        close(got.recall, 1.0 / 3.0);
        close(got.f1, 2.0 / 7.0);
        close(got.step_precision, 2.0 / 7.0);
        assert_eq!(got.delays, [Some(2), None, None]);
        close(got.mean_delay().unwrap(), 2.0);
    }

    #[test]
    fn an_alarm_that_never_ends_is_seen_through_by_step_precision() {
        let truth = steps("....#.....#.........");
        let got = event_scores(&truth, &[true; 20]).unwrap();
        close(got.f1, 1.0);
        close(got.step_precision, 0.1);
        close(got.composite_f1, 2.0 * 0.1 / 1.1);
    }

    #[test]
    fn point_adjustment_worked_by_hand() {
        let truth = steps("####..####");
        let alarm = steps("#...#.###.");
        // Alarmed 5, right 4 of 8. Shares ¼ and ¾. K = 0 fills 3 + 1, K = ½ fills 1, K = 1 none.
        let curve = point_adjusted_curve(&truth, &alarm, 4).unwrap();
        let want = [16.0 / 17.0, 10.0 / 14.0, 10.0 / 14.0, 8.0 / 13.0, 8.0 / 13.0];
        for (got, want) in curve.f1.iter().zip(want) {
            close(*got, want);
        }
        close(curve.area, (0.5 * want[0] + want[1] + want[2] + want[3] + 0.5 * want[4]) / 4.0);
    }
}
