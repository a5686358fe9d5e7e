//! VUS-PR: the volume under the precision–recall surface over thresholds and label widths (Paparrizos et al., VLDB 2022).
//!
//! Labels of anomalies are blurred: a step d beyond an event counts `√(1 − d/w)` while d ≤ w/2, for each width w from 0 to
//! the largest. Per width the area under precision and recall is taken over all thresholds; their mean is the volume.
//!
//! Chosen before affiliation precision and recall, because it needs no threshold (our detectors give scores, and a
//! threshold tuned on the test would be one more way to flatter) and because a random score gets the share of anomalous
//! steps, where random alarms get an affiliation precision of a half and more.

use super::anomaly::runs;
use super::{check_rows, check_values};
use crate::{Result, SurvivalError};

/// Volume under the surface of `score` (larger = more anomalous) for widths 0..=`largest_width` steps; take the usual
/// length of an event or the period of the series. Every distinct score is a threshold.
///
/// At one threshold and width, with A the anomalous steps, B the blurred ones beside them that are alarmed:
/// TP = Σ label over alarmed steps; recall = min(1, TP / mean(|A|, |A| + ΣB)) × share of blurred events with an
/// alarmed step; precision = TP / alarmed steps. Area = Σ (recall step) · precision.
///
/// # Errors
/// When there is no step, lengths differ, a score is not finite, no step is anomalous, or all are.
pub fn volume_under_pr_surface(anomalous: &[bool], score: &[f64], largest_width: usize) -> Result<f64> {
    check_rows("scores", anomalous.len(), score.len())?;
    check_values("scores", score)?;
    let positives = anomalous.iter().filter(|a| **a).count();
    if positives == 0 {
        return Err(SurvivalError::Empty { what: "list of anomalous events" });
    }
    if positives == anomalous.len() {
        return Err(SurvivalError::Domain {
            what: "share of anomalous steps",
            value: 1.0,
            domain: "below 1: nothing is there to tell them from",
        });
    }
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_unstable_by(|&a, &b| score[b].total_cmp(&score[a]));
    let areas = (0..=largest_width).map(|width| area(anomalous, score, &order, width));
    Ok(areas.sum::<f64>() / (largest_width + 1) as f64)
}

fn area(anomalous: &[bool], score: &[f64], order: &[usize], width: usize) -> f64 {
    let surface = Blurred::new(anomalous, width);
    let positives = anomalous.iter().filter(|a| **a).count() as f64;
    let mut found = vec![false; surface.events];
    let (mut hits, mut beside, mut events_found) = (0.0, 0.0, 0);
    let (mut area, mut recall_before) = (0.0, 0.0);
    for (position, &step) in order.iter().enumerate() {
        hits += surface.label[step];
        if !anomalous[step] {
            beside += surface.label[step];
        }
        if let Some(event) = surface.event_of[step].filter(|event| !found[*event]) {
            found[event] = true;
            events_found += 1;
        }
        // Equal scores cannot be told apart by a threshold, so they are counted together.
        if order.get(position + 1).is_some_and(|&next| score[next] >= score[step]) {
            continue;
        }
        let expected = positives + 0.5 * beside;
        let recall = (hits / expected).min(1.0) * f64::from(events_found) / surface.events as f64;
        area += (recall - recall_before) * hits / (position + 1) as f64;
        recall_before = recall;
    }
    area
}

/// Labels blurred by one width, and the blurred events they form.
struct Blurred {
    label: Vec<f64>,
    event_of: Vec<Option<usize>>,
    events: usize,
}

impl Blurred {
    fn new(anomalous: &[bool], width: usize) -> Self {
        let (length, reach) = (anomalous.len(), width / 2);
        let mut label: Vec<f64> = anomalous.iter().map(|a| if *a { 1.0 } else { 0.0 }).collect();
        let mut event_of = vec![None; length];
        let mut events = 0;
        let mut last_end: Option<usize> = None;
        for run in runs(anomalous) {
            let last = run.end - 1;
            // Events whose blurred ends share a step are one.
            let merges = last_end.is_some_and(|end| end + reach + reach >= run.start);
            if !merges {
                events += 1;
            }
            for distance in 1..=reach {
                let value = (1.0 - distance as f64 / width as f64).sqrt();
                let sides = [run.start.checked_sub(distance), Some(last + distance).filter(|step| *step < length)];
                for step in sides.into_iter().flatten() {
                    label[step] = f64::min(1.0, label[step] + value);
                }
            }
            let from = run.start.saturating_sub(reach);
            event_of[from..(run.end + reach).min(length)].fill(Some(events - 1));
            last_end = Some(last);
        }
        Self { label, event_of, events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_zero_of_one_event_is_average_precision() {
        // One event: the share of events found is 1 from its first step on, and the area is the plain one.
        let truth = [false, true, true, false, false];
        let got = volume_under_pr_surface(&truth, &[0.4, 0.9, 0.2, 0.3, 0.1], 0).unwrap();
        // Ranks of the two anomalous steps: 1 and 4.
        assert!((got - (0.5 * 1.0 + 0.5 * 0.5)).abs() < 1e-12, "{got}");
    }

    #[test]
    fn a_perfect_score_fills_the_volume_and_a_constant_one_gets_the_share_of_anomalies() {
        let truth: Vec<bool> = (0..200).map(|step| (50..60).contains(&step)).collect();
        let perfect: Vec<f64> = truth.iter().map(|a| f64::from(u8::from(*a))).collect();
        assert!((volume_under_pr_surface(&truth, &perfect, 0).unwrap() - 1.0).abs() < 1e-12);
        assert!((volume_under_pr_surface(&truth, &[3.0; 200], 0).unwrap() - 0.05).abs() < 1e-12);
    }
}
