//! Rankings of the entities of one case by how likely each is the root: the rankers that look at one case alone.

use datasets::benchmark::faults::FaultCase;

use super::features::{MOVED, Shifts};
use super::numeric::{correlation, fisher_survival, hashed_unit, least_squares, location_scale, signed_log};
use super::skeleton::skeleton;

/// Steps before the fault that correlations, tests of independence and regressions look at.
const LOOKBACK: usize = 200;
/// Share of a random walk that begins anew.
const RESTART: f64 = 0.15;
/// Level of the tests of independence.
const INDEPENDENCE_ALPHA: f64 = 0.01;
/// Level of the tests of Granger causality.
const GRANGER_ALPHA: f64 = 0.05;

/// Something that orders the entities of a case.
pub trait RootCauseRanker {
    /// Position of every entity with its score, higher being likelier; `None` where the case lacks what is needed.
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>>;
}

/// A score per entity from a hash of seed, case and name: the floor.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    /// Seed.
    pub seed: u64,
}

impl RootCauseRanker for Random {
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>> {
        let score = |(at, name): (usize, &String)| (at, hashed_unit(self.seed, &[&case.set, &case.id, name]));
        Some(case.series.entities.iter().enumerate().map(score).collect())
    }
}

/// The farthest robust distance of any metric from the time before.
#[derive(Debug, Clone, Copy)]
pub struct LargestShift;

impl RootCauseRanker for LargestShift {
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>> {
        let shifts = Shifts::of(case);
        Some((0..shifts.entities()).map(|entity| (entity, shifts.distance(entity))).collect())
    }
}

/// The largest absolute correlation of any metric with what users feel.
#[derive(Debug, Clone, Copy)]
pub struct ServiceCorrelation;

impl RootCauseRanker for ServiceCorrelation {
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>> {
        let level = case.service_level.as_ref()?;
        let looked = Looked::at(case);
        let felt = looked.of(&level.values);
        let score = |entity: usize| {
            (0..case.series.metrics.len())
                .filter(|&metric| level.entity != Some(entity) || level.metric != Some(metric))
                .map(|metric| correlation(&looked.column(case, entity, metric), &felt).abs())
                .fold(0.0, f64::max)
        };
        Some((0..case.series.entities.len()).map(|entity| (entity, score(entity))).collect())
    }
}

/// A skeleton of conditional independences (PC-stable, Fisher's z of partial correlations, at most two variables in a
/// condition, level 0.01) over the farthest metric of each entity, and on it a random walk that prefers what is correlated
/// with what users feel.
#[derive(Debug, Clone, Copy)]
pub struct SkeletonWalk;

impl RootCauseRanker for SkeletonWalk {
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>> {
        let level = case.service_level.as_ref()?;
        let looked = Looked::at(case);
        let mut columns = foremost_columns(case, &looked, true);
        let felt = standard(&looked.of(&level.values), looked.before)?;
        // The users' own series is a variable too, so that the walk has somewhere to begin.
        let entities: Vec<usize> = columns.iter().map(|(entity, _)| *entity).collect();
        let pulls: Vec<f64> = columns.iter().map(|(_, column)| correlation(column, &felt).abs().max(0.01)).collect();
        columns.push((usize::MAX, felt));
        let variables: Vec<Vec<f64>> = columns.into_iter().map(|(_, column)| column).collect();
        let linked = skeleton(&variables, INDEPENDENCE_ALPHA);
        let size = entities.len();
        let total: f64 = pulls.iter().sum();
        // Walks begin among the neighbours of what users feel, or anywhere where it has none.
        let mut start: Vec<f64> = (0..size).map(|v| if linked[size][v] { pulls[v] } else { 0.0 }).collect();
        let begun: f64 = start.iter().sum();
        for (slot, pull) in start.iter_mut().zip(&pulls) {
            *slot = if begun > 0.0 { *slot / begun } else { pull / total };
        }
        let transition = |from: usize| -> Vec<f64> {
            let mut row: Vec<f64> =
                (0..size).map(|to| if linked[from][to] && from != to { pulls[to] } else { 0.0 }).collect();
            // It stays where no neighbour pulls harder.
            let strongest = row.iter().copied().fold(0.0, f64::max);
            row[from] = (pulls[from] - strongest).max(0.0).max(if strongest > 0.0 { 0.0 } else { 1.0 });
            row
        };
        Some(scored(case, &entities, &stationary(&start, transition)))
    }
}

/// Tests of Granger causality (one lag, F test, level 0.05) between the farthest metrics of all pairs of entities, and
/// PageRank from effects to causes that begins where metrics moved farthest.
#[derive(Debug, Clone, Copy)]
pub struct GrangerRank;

impl RootCauseRanker for GrangerRank {
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>> {
        let columns = foremost_columns(case, &Looked::at(case), false);
        let shifts = Shifts::of(case);
        let size = columns.len();
        // weights[effect][cause]
        let mut weights = vec![vec![0.0; size]; size];
        for (effect, row) in weights.iter_mut().enumerate() {
            for (cause, slot) in row.iter_mut().enumerate() {
                if cause != effect {
                    let p = granger(&columns[cause].1, &columns[effect].1);
                    if p < GRANGER_ALPHA {
                        *slot = (-p.max(1e-12).ln()).max(0.0);
                    }
                }
            }
        }
        let entities: Vec<usize> = columns.iter().map(|(entity, _)| *entity).collect();
        let mut start: Vec<f64> = entities.iter().map(|&entity| shifts.distance(entity) + 1e-6).collect();
        let total: f64 = start.iter().sum();
        for slot in &mut start {
            *slot /= total;
        }
        Some(scored(case, &entities, &stationary(&start, |from| weights[from].clone())))
    }
}

/// Down the call graph from where users come in, along components that moved: the last of a chain is the root.
///
/// What moved is judged by the metric in which users feel the fault, where components have it; otherwise by any. Reached and without a moved callee scores 2 and more, reached 1 and more, anything else below 1; among equals the
/// farther moved is ahead.
#[derive(Debug, Clone, Copy)]
pub struct CallGraphWalk;

impl RootCauseRanker for CallGraphWalk {
    fn rank(&self, case: &FaultCase) -> Option<Vec<(usize, f64)>> {
        if case.calls.is_empty() {
            return None;
        }
        let shifts = Shifts::of(case);
        let size = shifts.entities();
        let felt = case.service_level.as_ref().and_then(|level| level.metric);
        let distance = |entity: usize| match felt {
            Some(metric) => shifts.at(entity, metric).map_or(0.0, |shift| shift.extreme.abs()),
            None => shifts.distance(entity),
        };
        let moved = |entity: usize| distance(entity) > MOVED.ln_1p();
        let callees = |entity: usize| case.calls.iter().filter(move |(from, _)| *from == entity).map(|(_, to)| *to);
        let entry = case.service_level.as_ref().and_then(|level| level.entity);
        let mut open: Vec<usize> = match entry {
            Some(entity) => vec![entity],
            None => (0..size)
                .filter(|&e| callees(e).next().is_some() && case.calls.iter().all(|(_, to)| *to != e))
                .collect(),
        };
        let mut reached = vec![false; size];
        while let Some(entity) = open.pop() {
            if !std::mem::replace(&mut reached[entity], true) {
                open.extend(callees(entity).filter(|&callee| moved(callee)));
            }
        }
        let score = |entity: usize| {
            let far = distance(entity);
            let place = match (reached[entity], callees(entity).any(moved)) {
                (true, false) => 2.0,
                (true, true) => 1.0,
                (false, _) => 0.0,
            };
            place + far / (1.0 + far)
        };
        Some((0..size).map(|entity| (entity, score(entity))).collect())
    }
}

/// The steps that are looked at: the end of the time before, and the fault; without steps in which nothing was measured,
/// such as those in the shadow of another fault.
struct Looked {
    steps: Vec<usize>,
    /// How many of them lie before the fault.
    before: usize,
}

impl Looked {
    fn at(case: &FaultCase) -> Self {
        let series = &case.series;
        let measured = |step: &usize| {
            (0..series.entities.len()).any(|e| (0..series.metrics.len()).any(|m| !series.at(*step, e, m).is_nan()))
        };
        let steps: Vec<usize> = (case.fault.start.saturating_sub(LOOKBACK)..case.fault.end).filter(measured).collect();
        Self { before: steps.partition_point(|step| *step < case.fault.start), steps }
    }

    fn column(&self, case: &FaultCase, entity: usize, metric: usize) -> Vec<f64> {
        self.steps.iter().map(|&step| f64::from(case.series.at(step, entity, metric))).collect()
    }

    fn of(&self, values: &[f64]) -> Vec<f64> {
        self.steps.iter().map(|&step| values[step]).collect()
    }
}

/// The farthest metric of each entity as robust distances over the steps looked at; entities without one are left out.
///
/// The series in which users feel the fault is not taken for its entity when it is a variable of its own (`but_felt`).
fn foremost_columns(case: &FaultCase, looked: &Looked, but_felt: bool) -> Vec<(usize, Vec<f64>)> {
    let shifts = Shifts::of(case);
    (0..shifts.entities())
        .filter_map(|entity| {
            let felt = case.service_level.as_ref().filter(|level| but_felt && level.entity == Some(entity));
            let (metric, _) = shifts.farthest_but(entity, felt.and_then(|level| level.metric))?;
            Some((entity, standard(&looked.column(case, entity, metric), looked.before)?))
        })
        .collect()
}

/// Signed-log robust distances from the first `before` values, gaps at 0; `None` where nothing moves or most is missing.
fn standard(column: &[f64], before: usize) -> Option<Vec<f64>> {
    let (centre, scale) = location_scale(&column[..before])?;
    let known = column.iter().filter(|value| value.is_finite()).count();
    if 2 * known < column.len() {
        return None;
    }
    let scale = if scale > 0.0 { scale } else { 0.1 * column.iter().fold(0.0_f64, |top, v| top.max(v.abs())) };
    if scale <= 0.0 {
        return None;
    }
    let distance = |value: &f64| if value.is_finite() { signed_log((value - centre) / scale) } else { 0.0 };
    Some(column.iter().map(distance).collect())
}

/// p of the F test that yesterday's cause adds to yesterday's effect in telling today's effect; 1 where it cannot be told.
pub(super) fn granger(cause: &[f64], effect: &[f64]) -> f64 {
    let rows = effect.len().saturating_sub(1);
    if rows < 8 {
        return 1.0;
    }
    let target = &effect[1..];
    let own: Vec<Vec<f64>> = (0..rows).map(|t| vec![1.0, effect[t]]).collect();
    let both: Vec<Vec<f64>> = (0..rows).map(|t| vec![1.0, effect[t], cause[t]]).collect();
    let (Some((_, restricted)), Some((_, full))) =
        (least_squares(&own, target, 0.0), least_squares(&both, target, 0.0))
    else {
        return 1.0;
    };
    let free = rows as f64 - 3.0;
    if full <= 1e-12 * restricted.max(1e-12) {
        return 1.0;
    }
    fisher_survival((restricted - full).max(0.0) / (full / free), 1.0, free)
}

/// Where a walk with restarts spends its time; rows without a way out begin anew.
fn stationary(start: &[f64], transition: impl Fn(usize) -> Vec<f64>) -> Vec<f64> {
    let rows: Vec<(Vec<f64>, f64)> = (0..start.len())
        .map(|from| {
            let row = transition(from);
            let sum = row.iter().sum();
            (row, sum)
        })
        .collect();
    let mut mass = start.to_vec();
    for _ in 0..500 {
        let mut next: Vec<f64> = start.iter().map(|slot| RESTART * slot).collect();
        for (from, (row, sum)) in rows.iter().enumerate() {
            let (going, total) = if *sum > 0.0 { (row.as_slice(), *sum) } else { (start, 1.0) };
            for (slot, weight) in next.iter_mut().zip(going) {
                *slot += (1.0 - RESTART) * mass[from] * weight / total;
            }
        }
        let change: f64 = next.iter().zip(&mass).map(|(a, b)| (a - b).abs()).sum();
        mass = next;
        if change < 1e-12 {
            break;
        }
    }
    mass
}

/// Scores of all entities of a case; those that were left out get 0.
fn scored(case: &FaultCase, entities: &[usize], scores: &[f64]) -> Vec<(usize, f64)> {
    let mut all: Vec<(usize, f64)> = (0..case.series.entities.len()).map(|entity| (entity, 0.0)).collect();
    for (entity, score) in entities.iter().zip(scores) {
        all[*entity].1 = *score;
    }
    all
}

/// Rank of the root from 1; entities of equal score share the middle of their places.
pub(super) fn rank_of(root: usize, scores: &[(usize, f64)]) -> f64 {
    let own = scores.iter().find(|(entity, _)| *entity == root).map_or(f64::NEG_INFINITY, |(_, score)| *score);
    let above = scores.iter().filter(|(_, score)| *score > own).count() as f64;
    let equal = scores.iter().filter(|(entity, score)| *entity != root && score.total_cmp(&own).is_eq()).count() as f64;
    1.0 + above + 0.5 * equal
}

#[cfg(test)]
mod tests {
    use datasets::benchmark::faults::{EntitySeries, ServiceLevel};

    use super::*;

    /// front calls middle calls back, other stands alone; back jumps, middle follows a step later, front another.
    fn case() -> FaultCase {
        let names = ["front", "middle", "back", "other"].map(str::to_owned).to_vec();
        let mut series = EntitySeries::empty(60, names, vec!["latency".to_owned()]);
        let noise = |name: &str, t: usize| hashed_unit(7, &[name, &t.to_string()]) as f32 - 0.5;
        let back = |t: usize| noise("back", t) + if t >= 48 { 12.0 } else { 0.0 };
        let middle = |t: usize| noise("middle", t) * 0.4 + if t > 0 { 0.9 * back(t - 1) } else { 0.0 };
        let front = |t: usize| noise("front", t) * 0.4 + if t > 0 { 0.9 * middle(t - 1) } else { 0.0 };
        for t in 0..60 {
            for (entity, value) in [front(t), middle(t), back(t), noise("other", t)].into_iter().enumerate() {
                series.put(t, entity, 0, value);
            }
        }
        let values = series.column(0..60, 0, 0);
        FaultCase {
            set: "made".to_owned(),
            id: "chain".to_owned(),
            series,
            step: 60,
            fault: 48..60,
            fault_type: None,
            root: 2,
            root_metric: None,
            group: "g".to_owned(),
            cluster: "c".to_owned(),
            time: 0,
            service_level: Some(ServiceLevel {
                name: "front latency".to_owned(),
                values,
                entity: Some(0),
                metric: Some(0),
            }),
            calls: vec![(0, 1), (1, 2), (0, 3)],
        }
    }

    #[test]
    fn the_test_of_granger_agrees_with_least_squares_by_numpy() {
        let x = [0.1, 0.9, -0.4, 0.3, 1.2, -0.8, 0.5, 0.2, -0.6, 1.0, 0.4, -0.3];
        let y = [0.0, 0.3, 0.8, -0.1, 0.4, 1.0, -0.5, 0.6, 0.1, -0.4, 0.9, 0.5];
        assert!((granger(&x, &y) / 2.924_600_147_499_827e-7 - 1.0).abs() < 1e-6);
        assert!((granger(&y, &x) / 0.006_921_977_102_480_405 - 1.0).abs() < 1e-8);
        assert!((granger(&x[..5], &y[..5]) - 1.0).abs() < 1e-15, "too few rows tell nothing");
        assert!((granger(&[1.0; 12], &y) - 1.0).abs() < 1e-15, "a constant causes nothing");
    }

    #[test]
    fn the_call_graph_ends_at_the_last_that_moved() {
        let scores = CallGraphWalk.rank(&case()).unwrap();
        assert!((rank_of(2, &scores) - 1.0).abs() < 1e-12, "{scores:?}");
        assert!(scores[1].1 > 1.0 && scores[3].1 < 1.0, "reached, and not reached: {scores:?}");
        let without = FaultCase { calls: Vec::new(), ..case() };
        assert!(CallGraphWalk.rank(&without).is_none());
    }

    #[test]
    fn graph_walks_put_the_chain_before_what_stands_alone() {
        let case = case();
        for scores in [SkeletonWalk.rank(&case).unwrap(), GrangerRank.rank(&case).unwrap()] {
            assert!(scores[2].1 > scores[3].1 && scores[1].1 > scores[3].1, "{scores:?}");
            let total: f64 = scores.iter().map(|(_, score)| score).sum();
            assert!((total - 1.0).abs() < 1e-9, "{scores:?}");
        }
        let effect_to_cause = GrangerRank.rank(&case).unwrap();
        assert!(effect_to_cause[2].1 > effect_to_cause[0].1, "the cause is ahead of its effect: {effect_to_cause:?}");
    }

    #[test]
    fn without_what_users_feel_there_is_no_correlation_with_it() {
        let case = FaultCase { service_level: None, ..case() };
        assert!(ServiceCorrelation.rank(&case).is_none() && SkeletonWalk.rank(&case).is_none());
    }

    #[test]
    fn entities_of_equal_score_share_their_places() {
        let scores = [(0, 1.0), (1, 2.0), (2, 1.0), (3, 1.0)];
        assert!((rank_of(1, &scores) - 1.0).abs() < 1e-15);
        assert!((rank_of(0, &scores) - 3.0).abs() < 1e-15);
        let lots = Random { seed: 1 }.rank(&case()).unwrap();
        assert_ne!(lots, Random { seed: 2 }.rank(&case()).unwrap());
    }
}
