//! From the series of one entity to its lives: when it was watched, what failed, how watching ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use features::event::{EventRules, Subject, Trace, extract};
use features::{Catalogue, Entity, EntityHistory, EntityKind, EntityTiles, FailureEvent, MetricId, Tile};
use survival::CensorReason;

use super::context::{After, Context, PodFacts};
use super::{LakeBuildConfig, OTHER};
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
    /// Of this and earlier lives of the key, by `t_high`.
    events: Vec<FailureEvent>,
    gaps: Vec<(i64, i64)>,
    group: String,
    nodes: Vec<(i64, String)>,
}

impl Life {
    /// Failures of this life alone.
    pub(super) fn own_events(&self) -> impl Iterator<Item = &FailureEvent> {
        self.events.iter().filter(|event| event.t_high() > self.from && event.t_high() <= self.until)
    }

    pub(super) fn history(
        &self,
        kind: EntityKind,
        key: &str,
        config: &LakeBuildConfig,
        tiles: Arc<EntityTiles>,
    ) -> Result<EntityHistory> {
        let named = DatasetError::feature(key);
        let incarnation = format!("{}:{}", self.incarnation, self.number);
        let mut events = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let told = config.labels.causes.iter().any(|cause| cause == event.cause());
            events.push(if told {
                event.clone()
            } else {
                let evidence = format!("{}: {}", event.cause(), event.evidence());
                FailureEvent::try_new(key, OTHER, event.t_low(), event.t_high(), evidence).map_err(&named)?
            });
        }
        Ok(EntityHistory {
            entity: Entity::try_new(kind, key, incarnation).map_err(&named)?,
            group: self.group.clone(),
            nodes: self.nodes.clone(),
            attributes: BTreeMap::new(),
            born: self.born,
            observed_from: self.from,
            observed_until: self.until,
            end: self.end,
            tiles: Some(tiles),
            samples: Vec::new(),
            events,
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
) -> Result<Vec<Life>> {
    let mut incarnations: Vec<&str> = series.iter().map(|s| s.incarnation).filter(|i| !i.is_empty()).collect();
    incarnations.sort_unstable();
    incarnations.dedup();
    if incarnations.is_empty() {
        incarnations.push("");
    }
    let first = |incarnation: &str| {
        series.iter().filter(|s| s.incarnation == incarnation).filter_map(|s| s.times.first()).min().copied()
    };
    incarnations.sort_by_key(|incarnation| first(incarnation));
    let rules = context.rules();
    let mut lives = Vec::new();
    let mut failures: Vec<FailureEvent> = Vec::new();
    for incarnation in incarnations {
        let own: Vec<&EntitySeries<'_>> = series.iter().filter(|s| s.incarnation == incarnation).collect();
        let mut times: Vec<i64> = own.iter().flat_map(|s| s.times).copied().collect();
        times.sort_unstable();
        times.dedup();
        times.retain(|&time| time >= watch.from && time < watch.until);
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
        let gaps: Vec<(i64, i64)> =
            times.windows(2).filter(|pair| pair[1] - pair[0] > watch.longest_gap).map(|p| (p[0], p[1])).collect();
        let group = group(kind, key, pod);
        let nodes = match kind {
            EntityKind::Node => vec![(i64::MIN, key.to_owned())],
            _ => pod.map_or_else(Vec::new, |pod| pod.nodes.clone()),
        };
        let what = Subject { kind, key, traces: &traces(&own), seen: &times, notices: context.notices(key) };
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
        }
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
        ends.retain(|end| end.key().0 > first && end.key().0 <= last.saturating_add(watch.longest_gap));
        ends.sort_by_key(End::key);

        let (mut from, mut birth, mut number, mut over) = (first, born, 0, false);
        let mut live = |from: i64, until: i64, end: CensorReason, born: Option<i64>, failures: &[FailureEvent]| {
            if until > from {
                lives.push(Life {
                    incarnation: incarnation.to_owned(),
                    number,
                    born,
                    from,
                    until,
                    end,
                    events: failures.to_vec(),
                    gaps: gaps.clone(),
                    group: group.clone(),
                    nodes: nodes.clone(),
                });
                number += 1;
            }
        };
        for end in ends {
            match end {
                // Of several failures in one gap the first ends the life; the others are part of its record.
                End::Failed(event) => {
                    let until = event.t_high();
                    over |= until > last;
                    failures.push(event);
                    live(from, until, CensorReason::Lost, birth, &failures);
                    (from, birth) = (until, Some(until));
                }
                End::Broken(low, high, reason) => {
                    live(from, low.min(last), reason, birth, &failures);
                    (from, birth) = (high, Some(high));
                }
            }
        }
        if !over {
            let reason = end(kind, key, pod, last, watch, context, &rules, by_action(last));
            live(from, last, reason, birth, &failures);
        }
    }
    Ok(lives)
}

fn traces<'a>(own: &[&EntitySeries<'a>]) -> Vec<Trace<'a>> {
    own.iter().map(|s| Trace { metric: s.metric, part: s.part, times: s.times, values: s.values }).collect()
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
