//! What one episode looks like in numbers: how far each metric of each entity moved, how fast, and against whom.
//!
//! Everything compares the fault with the time before it inside one case, by median and robust scale, so no level, no name
//! and no clock reaches a model. Distances go through sign(x)·ln(1 + |x|).

use datasets::benchmark::faults::FaultCase;

use super::numeric::{deviation, location_scale, median, signed_log};

/// How one metric of one entity moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// Distance of the fault's median from the median before, in robust scales, signed log.
    pub(super) middle: f64,
    /// Farthest distance of the fault, the same way.
    pub(super) extreme: f64,
    /// Slope within the fault in robust scales per step, signed log.
    pub(super) slope: f64,
    /// ln of the deviation during over the deviation before.
    pub(super) spread: f64,
    /// Where the mean jumps most within the fault and the steps before it, 0 at its start, 1 at its end.
    pub(super) change: f64,
}

/// Shifts of a case, entity × metric; `None` where there is nothing to compare.
#[derive(Debug, Clone)]
pub(super) struct Shifts {
    metrics: usize,
    values: Vec<Option<Shift>>,
}

/// A distance above which a metric counts as moved: three robust scales.
pub(super) const MOVED: f64 = 3.0;

impl Shifts {
    /// Shifts of every metric of every entity.
    pub(super) fn of(case: &FaultCase) -> Self {
        let series = &case.series;
        let mut values = Vec::with_capacity(series.entities.len() * series.metrics.len());
        for entity in 0..series.entities.len() {
            for metric in 0..series.metrics.len() {
                let before = series.column(0..case.fault.start, entity, metric);
                let during = series.column(case.fault.clone(), entity, metric);
                values.push(shift(&before, &during));
            }
        }
        Self { metrics: series.metrics.len(), values }
    }

    /// Number of entities.
    pub(super) fn entities(&self) -> usize {
        self.values.len().checked_div(self.metrics).unwrap_or(0)
    }

    /// Number of metrics.
    pub(super) fn metrics(&self) -> usize {
        self.metrics
    }

    /// Shift of one metric of one entity.
    pub(super) fn at(&self, entity: usize, metric: usize) -> Option<Shift> {
        self.values[entity * self.metrics + metric]
    }

    /// The metric of an entity that moved farthest, and how far; the first of equals.
    pub(super) fn farthest(&self, entity: usize) -> Option<(usize, f64)> {
        self.farthest_but(entity, None)
    }

    /// The same, one metric left aside.
    pub(super) fn farthest_but(&self, entity: usize, aside: Option<usize>) -> Option<(usize, f64)> {
        (0..self.metrics)
            .filter(|metric| Some(*metric) != aside)
            .filter_map(|metric| self.at(entity, metric).map(|shift| (metric, shift.extreme.abs())))
            .fold(None, |best: Option<(usize, f64)>, next| match best {
                Some(held) if held.1 >= next.1 => Some(held),
                _ => Some(next),
            })
    }

    /// How far an entity moved: its farthest metric; 0 where nothing can be compared.
    pub(super) fn distance(&self, entity: usize) -> f64 {
        self.farthest(entity).map_or(0.0, |(_, distance)| distance)
    }

    /// The entity that moved farthest; the first of equals.
    fn foremost(&self) -> usize {
        (0..self.entities()).fold(0, |best, next| if self.distance(next) > self.distance(best) { next } else { best })
    }
}

fn shift(before: &[f64], during: &[f64]) -> Option<Shift> {
    let (centre, scale) = location_scale(before)?;
    // A metric that rested at 0 and stays there has not moved; one that leaves 0 is measured by itself.
    let scale = if scale > 0.0 { scale } else { 0.1 * during.iter().fold(0.0_f64, |top, v| top.max(v.abs())) };
    let distance = |value: f64| if scale > 0.0 { (value - centre) / scale } else { 0.0 };
    let middle = distance(median(during)?);
    let extreme = during
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .map(distance)
        .fold(0.0_f64, |far, value| if value.abs() > far.abs() { value } else { far });
    let points: Vec<(f64, f64)> = during
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_finite())
        .map(|(step, value)| (step as f64, distance(*value)))
        .collect();
    let spread = ((deviation(during) + 0.1 * scale + 1e-12) / (deviation(before) + 0.1 * scale + 1e-12)).ln();
    let joined: Vec<f64> = before[before.len().saturating_sub(during.len())..].iter().chain(during).copied().collect();
    Some(Shift {
        middle: signed_log(middle),
        extreme: signed_log(extreme),
        slope: signed_log(slope(&points)),
        spread,
        change: change_point(&joined, before.len().min(during.len())),
    })
}

/// Least-squares slope; 0 for fewer than two points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let size = points.len() as f64;
    let (mean_x, mean_y) =
        (points.iter().map(|p| p.0).sum::<f64>() / size, points.iter().map(|p| p.1).sum::<f64>() / size);
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in points {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
    }
    if xx > 0.0 { xy / xx } else { 0.0 }
}

/// The split that leaves the least squares around two means, relative to `origin` and the steps after it.
fn change_point(values: &[f64], origin: usize) -> f64 {
    let finite: Vec<(usize, f64)> = values.iter().copied().enumerate().filter(|(_, value)| value.is_finite()).collect();
    let total: f64 = finite.iter().map(|(_, value)| value).sum();
    let count = finite.len() as f64;
    let (mut sum, mut best, mut place) = (0.0, 0.0, origin);
    for (index, (step, value)) in finite.iter().enumerate() {
        if index > 0 {
            let left = index as f64;
            // Between-group sum of squares of the two sides.
            let gain = (sum - left * total / count).powi(2) * count / (left * (count - left));
            if gain > best {
                (best, place) = (gain, *step);
            }
        }
        sum += value;
    }
    let after = (values.len() - origin).max(1) as f64;
    ((place as f64 - origin as f64) / after).clamp(-1.0, 1.0)
}

/// Columns of one entity for rankers, NaN where there is nothing to compare: per metric the farthest distance and its rank
/// among the entities, then the entity's own farthest, mean and number of moved metrics, slope and time of change.
pub(super) fn entity_row(shifts: &Shifts, entity: usize) -> Vec<f64> {
    let metrics = shifts.metrics();
    let mut row = Vec::with_capacity(2 * metrics + 6);
    let (mut sum, mut seen, mut moved) = (0.0, 0.0, 0.0);
    for metric in 0..metrics {
        let Some(own) = shifts.at(entity, metric) else {
            row.extend([f64::NAN, f64::NAN]);
            continue;
        };
        let own_far = own.extreme.abs();
        let others = (0..shifts.entities()).filter_map(|other| shifts.at(other, metric));
        let (mut farther, mut all) = (0.0, 0.0);
        for other in others {
            all += 1.0;
            farther += f64::from(u8::from(other.extreme.abs() > own_far));
        }
        row.extend([own.extreme, 1.0 - farther / all]);
        sum += own_far;
        seen += 1.0;
        moved += f64::from(u8::from(own_far > MOVED.ln_1p()));
    }
    let distance = shifts.distance(entity);
    let farther = (0..shifts.entities()).filter(|&other| shifts.distance(other) > distance).count() as f64;
    let foremost = shifts.farthest(entity).and_then(|(metric, _)| shifts.at(entity, metric));
    row.extend([
        distance,
        sum / f64::max(seen, 1.0),
        moved / f64::max(seen, 1.0),
        1.0 - farther / shifts.entities().max(1) as f64,
        foremost.map_or(f64::NAN, |shift| shift.slope),
        foremost.map_or(f64::NAN, |shift| shift.change),
    ]);
    row
}

/// Whether a classifier is told which entity was hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// It is not: what all entities show, and the one that moved farthest.
    Unaided,
    /// It is: the metrics of that entity alone.
    RootKnown,
}

/// Columns of one case for classifiers of its type, NaN where there is nothing to compare.
pub(super) fn case_row(case: &FaultCase, shifts: &Shifts, view: View) -> Vec<f64> {
    let gap = [f64::NAN; 4];
    let of = |entity: usize, metric: usize| {
        shifts.at(entity, metric).map_or(gap, |shift| [shift.extreme, shift.middle, shift.slope, shift.spread])
    };
    let mut row = Vec::new();
    match view {
        View::RootKnown => {
            for metric in 0..shifts.metrics() {
                row.extend(of(case.root, metric));
            }
        }
        View::Unaided => {
            let foremost = shifts.foremost();
            for metric in 0..shifts.metrics() {
                let far: Vec<f64> =
                    (0..shifts.entities()).filter_map(|e| shifts.at(e, metric)).map(|shift| shift.extreme).collect();
                if far.is_empty() {
                    row.extend([f64::NAN; 3]);
                } else {
                    let moved = far.iter().filter(|value| value.abs() > MOVED.ln_1p()).count();
                    row.extend([
                        far.iter().copied().fold(0.0, f64::max),
                        far.iter().copied().fold(0.0, f64::min),
                        moved as f64 / far.len() as f64,
                    ]);
                }
                row.extend(&of(foremost, metric)[..2]);
            }
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use datasets::benchmark::faults::EntitySeries;

    use super::*;

    /// Entity 1 jumps by 10 at step 8 of 12 in metric 0; metric 1 is never measured.
    fn case() -> FaultCase {
        let mut series = EntitySeries::empty(12, vec!["a".into(), "b".into()], vec!["m".into(), "gone".into()]);
        for step in 0..12 {
            let noise = [0.5, -0.5, 1.0, -1.0][step % 4];
            series.put(step, 0, 0, 20.0 + noise);
            series.put(step, 1, 0, 20.0 + noise + if step >= 8 { 10.0 } else { 0.0 });
        }
        FaultCase {
            set: "made".into(),
            id: "one".into(),
            series,
            step: 60,
            fault: 8..12,
            fault_type: Some("jump".into()),
            root: 1,
            root_metric: None,
            group: "g".into(),
            cluster: "c".into(),
            time: 0,
            service_level: None,
            calls: Vec::new(),
        }
    }

    #[test]
    fn the_entity_that_jumped_is_foremost_and_jumped_at_the_start() {
        let shifts = Shifts::of(&case());
        assert_eq!(shifts.foremost(), 1);
        let shift = shifts.at(1, 0).unwrap();
        // Median 20, median deviation 0.75: scale 1.11195; the fault's median is 30, its farthest 31.
        assert!((shift.middle - (10.0 / 1.111_95_f64).ln_1p()).abs() < 1e-6, "{shift:?}");
        assert!((shift.extreme - (11.0 / 1.111_95_f64).ln_1p()).abs() < 1e-6, "{shift:?}");
        assert!(shift.change.abs() < 1e-12, "{shift:?}");
        assert!(shifts.at(1, 1).is_none());
        assert!(shifts.distance(0) < shifts.distance(1));
    }

    #[test]
    fn rows_have_one_width_and_say_where_nothing_was_measured() {
        let case = case();
        let shifts = Shifts::of(&case);
        let row = entity_row(&shifts, 1);
        assert_eq!(row.len(), 2 * 2 + 6);
        assert!(row[2].is_nan() && row[3].is_nan());
        assert!((row[1] - 1.0).abs() < 1e-12, "nobody moved farther");
        assert_eq!(case_row(&case, &shifts, View::RootKnown).len(), 8);
        assert_eq!(case_row(&case, &shifts, View::Unaided).len(), 10);
    }

    #[test]
    fn what_leaves_zero_has_moved_and_what_stays_has_not() {
        let moved = shift(&[0.0; 6], &[0.0, 4.0, 4.0]).unwrap();
        assert!((moved.extreme - 10.0_f64.ln_1p()).abs() < 1e-12, "{moved:?}");
        let rested = shift(&[0.0; 6], &[0.0; 3]).unwrap();
        assert!(rested.extreme.abs() < 1e-15 && rested.slope.abs() < 1e-15 && rested.spread.abs() < 1e-12);
        assert_eq!(shift(&[f64::NAN; 6], &[1.0]), None);
        assert_eq!(shift(&[1.0; 6], &[f64::NAN]), None);
    }
}
