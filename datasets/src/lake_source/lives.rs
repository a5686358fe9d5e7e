//! From the series of one entity to its lives: when it was watched, what failed, how watching ended.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use features::event::{EventRules, Subject, Trace, extract};
use features::{Catalogue, Entity, EntityHistory, EntityKind, EntityTiles, FailureEvent, MetricId, Tile};
use survival::CensorReason;

use super::OTHER;
use super::context::{After, Context, PodFacts};
use crate::error::{DatasetError, Result};

/// Between which moments entities are watched, and which silence ends a watch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) longest_gap: i64,
}

/// One series of an entity.
pub(super) struct EntitySeries<'a> {
    pub(super) metric: MetricId,
    pub(super) name: &'a str,
    pub(super) part: &'a str,
    pub(super) incarnation: &'a str,
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    pub(super) known_at: &'a [i64],
    /// Of pruned days, by interval number.
    pub(super) tiles: &'a [(i64, Tile)],
}

/// A stretch of an entity's time between two failures, or between birth and end.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) incarnation: String,
    pub(super) number: usize,
    pub(super) born: Option<i64>,
    pub(super) from: i64,
    pub(super) until: i64,
    end: CensorReason,
    gaps: Arc<[(i64, i64)]>,
    group: String,
    nodes: Vec<(i64, String)>,
}

/// Everything an entity went through.
#[derive(Debug, Default)]
pub(super) struct Lives {
    pub(super) lives: Vec<Life>,
    /// Of all its incarnations by `t_high`, each with the incarnation it happened to; also those that happened while
    /// the entity was down, and no life was there to end.
    pub(super) failures: Vec<(String, FailureEvent)>,
}

impl Lives {
    /// The failures by the causes a data set tells apart.
    pub(super) fn record(&self, key: &str, causes: &[String]) -> Result<Arc<[FailureEvent]>> {
        let named = DatasetError::feature(key);
        let told = |event: &FailureEvent| {
            if causes.iter().any(|cause| cause == event.cause()) {
                return Ok(event.clone());
            }
            let evidence = format!("{}: {}", event.cause(), event.evidence());
            FailureEvent::try_new(key, OTHER, event.t_low(), event.t_high(), evidence)
                .map(|other| other.shown(event.shown_at()))
                .map_err(&named)
        };
        self.failures.iter().map(|(_, event)| told(event)).collect()
    }
}

impl Life {
    pub(super) fn history(
        &self,
        kind: EntityKind,
        key: &str,
        record: &Arc<[FailureEvent]>,
        tiles: Arc<EntityTiles>,
    ) -> Result<EntityHistory> {
        let incarnation = format!("{}:{}", self.incarnation, self.number);
        Ok(EntityHistory {
            entity: Entity::try_new(kind, key, incarnation).map_err(DatasetError::feature(key))?,
            group: self.group.clone(),
            nodes: self.nodes.clone(),
            attributes: BTreeMap::new(),
            born: self.born,
            observed_from: self.from,
            observed_until: self.until,
            end: self.end,
            tiles: Some(tiles),
            samples: Vec::new(),
            events: record.clone(),
            gaps: self.gaps.clone(),
        })
    }
}

/// How a life ends.
enum End {
    Failed(FailureEvent),
    /// Last seen, over by, why.
    Broken(i64, i64, CensorReason),
}

impl End {
    fn key(&self) -> (i64, i64) {
        match self {
            Self::Failed(event) => (event.t_high(), event.t_low()),
            Self::Broken(low, high, _) => (*high, *low),
        }
    }
}

/// The lives of one entity.
pub(super) fn of(
    kind: EntityKind,
    key: &str,
    series: &[EntitySeries<'_>],
    watch: &Watch,
    catalogue: &Catalogue,
    context: &Context,
    skipped: &mut BTreeMap<String, u64>,
) -> Result<Lives> {
    let mut incarnations: Vec<&str> = series.iter().map(|s| s.incarnation).filter(|i| !i.is_empty()).collect();
    incarnations.sort_unstable();
    incarnations.dedup();
    if incarnations.is_empty() {
        incarnations.push("");
    }
    let first = |incarnation: &str| {
        let own = series.iter().filter(|s| s.incarnation == incarnation);
        let raw = own.clone().filter_map(|s| s.times.first()).min().copied();
        let tiled = own.filter_map(|s| s.tiles.first()).map(|(_, tile)| tile.head().t_first).min();
        raw.into_iter().chain(tiled).min()
    };
    incarnations.sort_by_key(|incarnation| first(incarnation));
    let rules = context.rules();
    let mut lives = Vec::new();
    let mut failures: Vec<(String, FailureEvent)> = Vec::new();
    for incarnation in incarnations {
        let own: Vec<&EntitySeries<'_>> = series.iter().filter(|s| s.incarnation == incarnation).collect();
        let times = seen(&own, watch);
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
            *skipped.entry("incarnation_outside_the_watch".to_owned()).or_default() += 1;
            continue;
        };
        let pod = context.pod(kind, key, incarnation);
        let born = own
            .iter()
            .filter(|s| matches!(s.name, "created.time" | "start.time" | "boot.time"))
            .filter_map(|s| s.values.iter().copied().find(|value| !value.is_nan()))
            .map(milliseconds)
            .chain(pod.and_then(|pod| pod.created))
            .filter(|&time| time <= first)
            .max();
        let gaps: Arc<[(i64, i64)]> =
            times.windows(2).filter(|pair| pair[1] - pair[0] > watch.longest_gap).map(|p| (p[0], p[1])).collect();
        let group = group(kind, key, pod);
        let hosts = hosts(&own);
        let nodes = match kind {
            EntityKind::Node => vec![(i64::MIN, key.to_owned())],
            EntityKind::Vm => hosts.iter().map(|(span, host)| (span.start, (*host).to_owned())).collect(),
            _ => pod.map_or_else(Vec::new, |pod| pod.nodes.clone()),
        };
        let mut traces = traces(&own);
        // What a host shows of its maintenance counts for a machine while it is there.
        let metric = catalogue.id("maintenance").map_err(DatasetError::feature("the lake's metrics"))?;
        for (span, host) in &hosts {
            if let Some(seen) = context.maintenance(key, host) {
                let at = |time: i64| seen.times.partition_point(|&seen| seen < time);
                let inside = at(span.start)..at(span.end);
                let (times, values) = (&seen.times[inside.clone()], &seen.values[inside]);
                traces.push(Trace { metric, part: host, times, values });
            }
        }
        let what = Subject { kind, key, traces: &traces, seen: &times, notices: context.notices(key), born };
        let told = extract(&rules, catalogue, &what).map_err(DatasetError::feature(key))?;
        if told.ambiguous > 0 {
            *skipped.entry("ambiguous_failure".to_owned()).or_default() += told.ambiguous;
        }
        let actions = context.actions(kind, key, pod);
        let mut ends: Vec<End> = told.failures.into_iter().map(End::Failed).collect();
        ends.extend(told.breaks.into_iter().map(|b| End::Broken(b.t_low, b.t_high, b.reason)));
        if kind == EntityKind::Container {
            // What ends the pod ends its containers, though the pod shows it a scrape later.
            ends.extend(pod.iter().flat_map(|pod| pod.failures.iter().cloned()).map(End::Failed));
            let breaks = pod.iter().flat_map(|pod| &pod.breaks);
            ends.extend(breaks.map(|b| End::Broken(b.t_low, b.t_high, b.reason)));
        }
        let of_pod = pod.filter(|_| kind == EntityKind::Container).map_or(&[][..], |pod| &pod.down);
        let down: Vec<(i64, i64)> = told.down.iter().chain(of_pod).copied().collect();
        let up = |mut time: i64| {
            // One stretch may lead into another.
            while let Some(&(_, until)) = down.iter().find(|&&(from, until)| from <= time && time < until) {
                time = until;
            }
            time
        };
        let by_action = |time: i64| {
            let within = rules.ends.intervention_within.0;
            actions.iter().any(|&(at, _)| time > at && time - at <= within)
        };
        let before = ends.len();
        ends.retain(|end| !by_action(end.key().0));
        if ends.len() < before {
            *skipped.entry("failure_after_intervention".to_owned()).or_default() += (before - ends.len()) as u64;
        }
        ends.extend(actions.iter().map(|&(at, _)| End::Broken(at, at, CensorReason::Intervention)));
        // What had failed by the first scrape is on record, though there was no life to end.
        ends.retain(|end| match end {
            End::Failed(event) => event.t_high() >= first,
            End::Broken(_, high, _) => *high > first,
        });
        ends.retain(|end| end.key().0 <= last.saturating_add(watch.longest_gap));
        ends.sort_by_key(End::key);

        let (mut from, mut number, mut over) = (up(first), 0, false);
        let mut birth = if from == first { born } else { Some(from) };
        let mut live = |from: i64, until: i64, end: CensorReason, born: Option<i64>| {
            if until > from {
                lives.push(Life {
                    incarnation: incarnation.to_owned(),
                    number,
                    born,
                    from,
                    until,
                    end,
                    gaps: gaps.clone(),
                    group: group.clone(),
                    nodes: nodes.clone(),
                });
                number += 1;
            }
        };
        for end in ends {
            let over_at = match end {
                // Of several failures in one gap the first ends the life; the others are part of its record.
                End::Failed(event) => {
                    let until = event.t_high();
                    over |= until > last;
                    if until <= from {
                        *skipped.entry("failure_while_down".to_owned()).or_default() += u64::from(until < from);
                    }
                    failures.push((incarnation.to_owned(), event));
                    live(from, until, CensorReason::Lost, birth);
                    until
                }
                End::Broken(low, high, reason) => {
                    live(from, low.min(last), reason, birth);
                    high
                }
            };
            let next = up(over_at.max(from));
            if next > from {
                (from, birth) = (next, Some(next));
            }
        }
        if !over {
            let reason = end(kind, key, pod, last, watch, context, &rules, by_action(last));
            live(from, last, reason, birth);
        }
    }
    failures.sort_by_key(|(_, event)| (event.t_high(), event.t_low()));
    Ok(Lives { lives, failures })
}

/// Moments at which anything of an entity was seen.
fn seen(own: &[&EntitySeries<'_>], watch: &Watch) -> Vec<i64> {
    // Series of one scrape share their times, so few of them differ.
    let mut distinct: Vec<&[i64]> = Vec::new();
    for series in own {
        if !distinct.contains(&series.times) {
            distinct.push(series.times);
        }
    }
    let mut times = distinct.concat();
    for (_, tile) in own.iter().flat_map(|series| series.tiles) {
        // A tile says when it begins and ends, and how long it waited in between: not longer, if not too long.
        let head = tile.head();
        let silent = head.longest_wait > watch.longest_gap;
        let between = (head.t_first..head.t_last).step_by(usize::try_from(watch.longest_gap.max(1)).unwrap_or(1));
        times.extend(between.take(if silent { 1 } else { usize::MAX }));
        times.push(head.t_last);
    }
    // Stable: it merges the runs it finds.
    times.sort();
    times.dedup();
    times.retain(|&time| time >= watch.from && time < watch.until);
    times
}

fn traces<'a>(own: &[&EntitySeries<'a>]) -> Vec<Trace<'a>> {
    own.iter().map(|s| Trace { metric: s.metric, part: s.part, times: s.times, values: s.values }).collect()
}

/// Hosts of a virtual machine, each from when on it was seen there until the next, in order of time.
fn hosts<'a>(own: &[&EntitySeries<'a>]) -> Vec<(Range<i64>, &'a str)> {
    let info = own.iter().filter(|series| series.name == "vm.info");
    let mut seen: Vec<(i64, &'a str)> = info
        .filter_map(|series| {
            let host = series.part.split(',').find_map(|pair| pair.strip_prefix("host_name="))?;
            Some((*series.times.first()?, host))
        })
        .collect();
    seen.sort_unstable();
    let until = |at: usize| seen.get(at + 1).map_or(i64::MAX, |(next, _)| *next);
    (0..seen.len()).map(|at| (seen[at].0..until(at), seen[at].1)).collect()
}

/// Workload of a pod or container, else the key.
fn group(kind: EntityKind, key: &str, pod: Option<&PodFacts>) -> String {
    match (pod.and_then(|pod| pod.workload(key)), kind) {
        (Some(workload), _) => workload,
        // Replicas of a workload differ in the last two parts of their names.
        (None, EntityKind::Container | EntityKind::Pod) => workload_of(key),
        _ => key.to_owned(),
    }
}

/// `ns/name-5d9c7b8f6d-x2x9z[/container]` as `ns/name`; names of stateful sets (`name-0`) lose their number.
fn workload_of(key: &str) -> String {
    let mut parts = key.split('/');
    let (namespace, pod) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let generated = |part: &str| {
        (5..=10).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_digit())
            || part.len() == 5 && part.bytes().all(|b| b.is_ascii_alphanumeric())
            || !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
    };
    let mut pieces: Vec<&str> = pod.split('-').collect();
    for _ in 0..2 {
        if pieces.len() > 1 && pieces.last().is_some_and(|piece| generated(piece)) {
            pieces.pop();
        }
    }
    format!("{namespace}/{}", pieces.join("-"))
}

/// Why watching ended, should no failure have ended it.
#[expect(clippy::too_many_arguments, reason = "every one of them decides")]
fn end(
    kind: EntityKind,
    key: &str,
    pod: Option<&PodFacts>,
    last: i64,
    watch: &Watch,
    context: &Context,
    rules: &EventRules,
    by_action: bool,
) -> CensorReason {
    if last + watch.longest_gap >= watch.until {
        return CensorReason::EndOfObservation;
    }
    if by_action {
        return CensorReason::Intervention;
    }
    if kind == EntityKind::Node {
        let cordoned = context.cordoned(key, last - rules.ends.drain_within.0, last);
        return if cordoned { CensorReason::Maintenance } else { CensorReason::Lost };
    }
    let Some(pod) = pod else { return CensorReason::Lost };
    let drained = pod.node(last).is_some_and(|node| context.cordoned(node, last - rules.ends.drain_within.0, last));
    match (pod.phase.as_deref(), pod.disruption.as_deref()) {
        (Some("Succeeded"), _) => CensorReason::Completed,
        (_, Some("EvictionByEvictionAPI" | "DeletionByTaintManager")) => CensorReason::Drain,
        _ if drained => CensorReason::Drain,
        _ if pod.deleted || pod.disruption.as_deref() == Some("DeletionByPodGC") => {
            let owner = pod.owner.as_ref().map_or("", |(_, name)| name);
            match pod.workload(key).map(|workload| context.after(&workload, owner, last, rules.ends.replaced_within.0))
            {
                Some(After::Revision) => CensorReason::Rollout,
                Some(After::Nothing) => CensorReason::ScaleDown,
                Some(After::Replaced) | None => CensorReason::PlannedEnd,
            }
        }
        _ => CensorReason::Lost,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
pub(super) fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::workload_of;

    #[test]
    fn replicas_share_their_workload() {
        for (key, workload) in [
            ("shop/cart-5d9c7b8f6d-x2x9z/app", "shop/cart"),
            ("shop/cart-5d9c7b8f6d-qqwwe", "shop/cart"),
            ("db/postgres-0/postgres", "db/postgres"),
            ("kube-system/coredns-7db6d8ff4d-abcde/coredns", "kube-system/coredns"),
            ("shop/single/app", "shop/single"),
        ] {
            assert_eq!(workload_of(key), workload);
        }
    }
}
