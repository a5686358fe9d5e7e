//! The failure events of a lake as a table of its own, told anew from what its samples show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use features::{Catalogue, EntityKind};

use super::context::Context;
use super::lives::{self, Watch};
use super::{each_entity, entity_series};
use crate::error::Result;
use crate::lake::{Lake, Scan, StoredEvent, replace_events};

/// Silence that ends a life, where no spec says otherwise.
const LONGEST_GAP: i64 = 300_000;

/// Every failure of a kind by the shipped rules, in the order of the entities.
///
/// # Errors
/// When a file of the lake cannot be read.
pub fn events_of(lake: &Lake, kind: EntityKind) -> Result<Vec<StoredEvent>> {
    let catalogue = Catalogue::standard();
    let Some((from, last)) = lake.times(kind) else { return Ok(Vec::new()) };
    let watch = Watch { from, until: last + 1, longest_gap: LONGEST_GAP };
    let mut context = Context::default();
    context.read_lake(lake, kind, watch.until, &catalogue)?;
    let metrics = features::event::metrics(&catalogue);
    let scan = |entities| Scan { entities, times: i64::MIN..watch.until, ..Scan::all(kind) }.with_metrics(&metrics);
    let mut events = Vec::new();
    let mut skipped = BTreeMap::new();
    each_entity(lake, kind, &scan, &mut |entity| {
        let row = &lake.tables().entities()[usize::try_from(entity.id).unwrap_or(0)];
        let series = entity_series(&entity, lake.tables(), &catalogue);
        for life in lives::of(kind, &row.key, &series, &watch, &catalogue, &context, &mut skipped)? {
            for event in life.own_events() {
                events.push(StoredEvent {
                    kind: kind.name().to_owned(),
                    key: row.key.clone(),
                    incarnation: life.incarnation.clone(),
                    cause: event.cause().to_owned(),
                    t_low: event.t_low(),
                    t_high: event.t_high(),
                    evidence: event.evidence().to_owned(),
                });
            }
        }
        Ok(())
    })?;
    Ok(events)
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
