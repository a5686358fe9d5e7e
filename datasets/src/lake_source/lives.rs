//! From the series of one entity to its lives: when it was watched, what failed, how watching ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use features::{Catalogue, Entity, EntityHistory, EntityKind, EntityTiles, FailureEvent, MetricId, Sample};
use survival::CensorReason;

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
}

impl EntitySeries<'_> {
    /// Value that holds at a time: the newest not later.
    fn at(&self, time: i64) -> Option<f64> {
        let after = self.times.partition_point(|&t| t <= time);
        self.values[..after].last().copied().filter(|value| !value.is_nan())
    }
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
}

impl Life {
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

/// The lives of one entity.
pub(super) fn of(
    kind: EntityKind,
    key: &str,
    series: &[EntitySeries<'_>],
    watch: &Watch,
    catalogue: &Catalogue,
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
    let group = group(kind, key, series);
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
        let events = events(kind, key, &own, catalogue)?;
        let born = own
            .iter()
            .filter(|s| matches!(s.name, "created.time" | "start.time" | "boot.time"))
            .filter_map(|s| s.values.iter().copied().find(|value| !value.is_nan()))
            .map(milliseconds)
            .filter(|&time| time <= first)
            .max();
        let (end, reason) = end(&own, last, watch, catalogue);
        let gaps: Vec<(i64, i64)> =
            times.windows(2).filter(|pair| pair[1] - pair[0] > watch.longest_gap).map(|p| (p[0], p[1])).collect();
        let mut from = first;
        let mut birth = born;
        let mut number = 0;
        let own_events: Vec<FailureEvent> =
            events.into_iter().filter(|event| event.t_high() > first && event.t_high() <= last).collect();
        for event in own_events {
            // Of several failures in one gap the first ends the life; the others are part of its record.
            let until = event.t_high();
            failures.push(event);
            if until > from {
                lives.push(Life {
                    incarnation: incarnation.to_owned(),
                    number,
                    born: birth,
                    from,
                    until,
                    end: reason,
                    events: failures.clone(),
                    gaps: gaps.clone(),
                    group: group.clone(),
                });
                number += 1;
            }
            from = until;
            birth = Some(until);
        }
        if end > from {
            lives.push(Life {
                incarnation: incarnation.to_owned(),
                number,
                born: birth,
                from,
                until: end,
                end: reason,
                events: failures.clone(),
                gaps,
                group: group.clone(),
            });
        }
    }
    Ok(lives)
}

/// Workload of a pod or container, else the key.
fn group(kind: EntityKind, key: &str, series: &[EntitySeries<'_>]) -> String {
    let owner = series.iter().filter(|s| matches!(s.name, "pod.info" | "owner")).find_map(|s| {
        s.part
            .split(',')
            .find_map(|pair| pair.strip_prefix("created_by_name=").or_else(|| pair.strip_prefix("owner_name=")))
    });
    match (owner, kind) {
        (Some(owner), _) => {
            let namespace = key.split('/').next().unwrap_or("");
            format!("{namespace}/{owner}")
        }
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

/// When and why watching ended, should no failure have ended it.
fn end(own: &[&EntitySeries<'_>], last: i64, watch: &Watch, catalogue: &Catalogue) -> (i64, CensorReason) {
    if last + watch.longest_gap >= watch.until {
        return (last, CensorReason::EndOfObservation);
    }
    let state = |name: &str| {
        let series = own.iter().find(|s| s.name == name)?;
        let definition = catalogue.definition(series.metric)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "stored states are checked indices"
        )]
        let index = series.at(last)? as usize;
        definition.states.get(index).map(String::as_str)
    };
    let reason = match (state("phase"), state("disruption.reason")) {
        (_, Some("EvictionByEvictionAPI" | "DeletionByTaintManager")) => CensorReason::Drain,
        (_, Some("DeletionByPodGC")) => CensorReason::PlannedEnd,
        (Some("Succeeded"), _) => CensorReason::Completed,
        _ if own.iter().any(|s| s.name == "deletion.time" && s.at(last).is_some()) => CensorReason::PlannedEnd,
        _ => CensorReason::Lost,
    };
    (last, reason)
}

fn events(kind: EntityKind, key: &str, own: &[&EntitySeries<'_>], catalogue: &Catalogue) -> Result<Vec<FailureEvent>> {
    let named = DatasetError::feature(key);
    let mut samples = Vec::new();
    for series in own {
        if !matches!(series.name, "restart.count" | "terminated.reason" | "terminated.time") {
            continue;
        }
        for ((&time, &value), &known_at) in series.times.iter().zip(series.values).zip(series.known_at) {
            samples.push(Sample::try_new(catalogue, series.metric, time, known_at, value).map_err(&named)?);
        }
    }
    samples.sort_by_key(|sample| (sample.metric(), sample.time()));
    let mut events = match kind {
        EntityKind::Container | EntityKind::DockerContainer => {
            features::event::container_failures(key, catalogue, &samples, 1000.0).map_err(&named)?
        }
        _ => Vec::new(),
    };
    events.sort_by_key(|event| (event.t_high(), event.t_low()));
    Ok(events)
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
fn milliseconds(seconds: f64) -> i64 {
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
