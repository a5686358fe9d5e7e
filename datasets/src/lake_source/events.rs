//! The failure events of a lake as a table of its own, told anew from what its samples show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use features::event::EventRules;
use features::{Catalogue, EntityKind, FailureEvent};

use super::context::Context;
use super::lives::{self, Watch};
use super::{each_entity, entity_series};
use crate::error::Result;
use crate::lake::{Lake, Scan, StoredEvent, replace_events};

/// Silence that ends a life, where no spec says otherwise, in milliseconds.
pub const LONGEST_GAP: i64 = 300_000;

/// Every failure of a kind by the shipped rules, in the order of the entities.
///
/// # Errors
/// When a file of the lake cannot be read.
pub fn events_of(lake: &Lake, kind: EntityKind) -> Result<Vec<StoredEvent>> {
    events_by(lake, kind, EventRules::shipped(), LONGEST_GAP)
}

/// Every failure of a kind by these rules, in the order of the entities; a silence of more than `longest_gap`
/// milliseconds ends a life.
///
/// # Errors
/// When a file of the lake cannot be read.
pub fn events_by(lake: &Lake, kind: EntityKind, rules: EventRules, longest_gap: i64) -> Result<Vec<StoredEvent>> {
    let catalogue = Catalogue::standard();
    let Some((from, last)) = lake.times(kind) else { return Ok(Vec::new()) };
    let watch = Watch { from, until: last + 1, longest_gap };
    let mut context = Context::by(rules);
    context.read_lake(lake, kind, watch.until, &catalogue)?;
    let metrics = features::event::metrics(&catalogue);
    let scan = |entities| Scan { entities, times: i64::MIN..watch.until, ..Scan::all(kind) }.with_metrics(&metrics);
    let mut events = Vec::new();
    let mut skipped = BTreeMap::new();
    let mut seen = vec![false; lake.tables().entities().len()];
    each_entity(lake, kind, &scan, &mut |entity| {
        let place = usize::try_from(entity.id).unwrap_or(0);
        let row = &lake.tables().entities()[place];
        seen[place] = true;
        let series = entity_series(&entity, lake.tables(), &catalogue);
        let told = lives::of(kind, &row.key, &series, &watch, &catalogue, &context, &mut skipped)?;
        events
            .extend(told.failures.into_iter().map(|(incarnation, event)| stored(kind, &row.key, incarnation, &event)));
        Ok(())
    })?;
    // What ends a pod ends its containers, also those that show nothing a rule reads.
    let mut incarnations: BTreeSet<(&str, &str)> = BTreeSet::new();
    for series in lake.tables().series() {
        let place = usize::try_from(series.entity).unwrap_or(0);
        let row = &lake.tables().entities()[place];
        if kind == EntityKind::Container && row.kind == kind && !seen[place] {
            incarnations.insert((&row.key, &series.incarnation));
        }
    }
    for (key, incarnation) in incarnations {
        let of_pod = context.pod(kind, key, incarnation).into_iter().flat_map(|pod| &pod.failures);
        events.extend(of_pod.map(|event| stored(kind, key, incarnation.to_owned(), event)));
    }
    Ok(events)
}

fn stored(kind: EntityKind, key: &str, incarnation: String, event: &FailureEvent) -> StoredEvent {
    StoredEvent {
        kind: kind.name().to_owned(),
        key: key.to_owned(),
        incarnation,
        cause: event.cause().to_owned(),
        t_low: event.t_low(),
        t_high: event.t_high(),
        evidence: event.evidence().to_owned(),
    }
}

/// Tells the events of every kind anew and commits them; how many there are, by kind. `now` in milliseconds.
///
/// # Errors
/// When a file of the lake cannot be read or written.
pub fn refresh_events(dir: &Path, now: i64) -> Result<BTreeMap<String, u64>> {
    let lake = Lake::open(dir)?;
    let kinds: BTreeSet<EntityKind> = lake.tables().entities().iter().map(|entity| entity.kind).collect();
    let mut counts = BTreeMap::new();
    for kind in kinds {
        let events = events_of(&lake, kind)?;
        replace_events(dir, kind.name(), &events, now)?;
        counts.insert(kind.name().to_owned(), events.len() as u64);
    }
    Ok(counts)
}
