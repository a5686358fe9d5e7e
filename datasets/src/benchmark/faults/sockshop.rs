//! Sock Shop on Kubernetes with chaos injection (OpenNetAI/Sock-Shop-Dataset, 2023, MIT).
//!
//! Faults of containers and of nodes are two sets, because their entities and metrics differ. `container_last_seen` is a
//! clock and is never read; metrics that never change are left out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use super::grid::{Columns, Gridded, Repeats, signed};
use super::{FaultCase, FaultSet, FoldRule, ServiceLevel, WatchedSet, WatchedSystem};
use crate::benchmark::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::Input;

/// Seconds between samples.
const STEP: i64 = 60;
/// Minutes of comparison before a fault. Faults come every 30 minutes and last 5, so these hold no other fault.
const BEFORE: usize = 22;
/// Seconds after the stated end that still count: rates look back over a minute.
const AFTER: i64 = 60;
/// Seconds after a fault in which an alarm is neither right nor wrong.
const RECOVERY: i64 = 600;
/// A clock, not a measurement.
const CLOCK: &str = "container_last_seen";
/// The one series of the entry of the shop that follows its users.
const FELT: (&str, &str) = ("front-end", "container_network_transmit_bytes_total");

struct Event {
    start: i64,
    end: i64,
    fault_type: String,
    entity: String,
}

/// The faults of containers: pods as entities.
///
/// # Errors
/// When a file is missing or is not what it should be, or a fault names a pod without metrics.
pub fn containers(folder: &Path) -> Result<FaultSet> {
    faults(folder, "sockshop_containers", "container_chaos_pods.parquet", "container_chaos_events.csv")
}

/// The faults of nodes: nodes as entities.
///
/// # Errors
/// As [`containers`].
pub fn nodes(folder: &Path) -> Result<FaultSet> {
    faults(folder, "sockshop_nodes", "node_chaos_nodes.parquet", "node_chaos_events.csv")
}

fn faults(folder: &Path, set: &str, metrics: &str, events: &str) -> Result<FaultSet> {
    let (grid, metrics_input) = pods(&folder.join(metrics))?;
    let (events, events_input) = read_events(&folder.join(events))?;
    let felt = grid
        .series
        .entities
        .iter()
        .position(|name| name.starts_with(FELT.0))
        .zip(grid.series.metrics.iter().position(|name| name == FELT.1));
    let mut cases = Vec::with_capacity(events.len());
    for event in &events {
        let fault = grid.steps_between(event.start, event.end + AFTER);
        let root = grid.series.entity(&event.entity);
        let (Some(root), false) = (root, fault.is_empty()) else {
            return Err(DatasetError::config(
                folder.join(metrics).display().to_string(),
                format!(
                    "the fault of {} at {} has no metrics; the event list belongs to another file",
                    event.entity, event.start
                ),
            ));
        };
        let series = grid.window(signed(fault.start) - signed(BEFORE), BEFORE + fault.len());
        let service_level = felt.map(|(entity, metric)| ServiceLevel {
            name: format!("{} {}", FELT.0, FELT.1),
            values: series.column(0..series.steps, entity, metric),
            entity: Some(entity),
            metric: Some(metric),
        });
        let id = format!("{}-{}-{}", event.start, event.entity, event.fault_type);
        cases.push(FaultCase {
            set: set.to_owned(),
            group: id.clone(),
            cluster: id.clone(),
            id,
            fault: BEFORE..series.steps,
            series,
            step: STEP,
            fault_type: Some(event.fault_type.clone()),
            root,
            root_metric: None,
            time: event.start,
            service_level,
            calls: Vec::new(),
        });
    }
    Ok(FaultSet {
        name: set.to_owned(),
        cases,
        folds: FoldRule::RollingOrigin,
        inputs: vec![metrics_input, events_input],
        notes: vec![
            "network-delay leaves little trace in the metrics of its own target.".to_owned(),
            "Faults come every 30 minutes: whoever sees the clock learns the schedule; compare the clock-only control."
                .to_owned(),
        ],
    })
}

/// Normal days and then the days of container faults, as one system of all series of all pods.
///
/// The normal days teach (first 60 %) and set the threshold (the rest); the days of faults are judged.
///
/// # Errors
/// As [`containers`].
pub fn watched(folder: &Path) -> Result<WatchedSet> {
    let (normal, normal_input) = pods(&folder.join("normal_pods.parquet"))?;
    let (chaos, chaos_input) = pods(&folder.join("container_chaos_pods.parquet"))?;
    let (events, events_input) = read_events(&folder.join("container_chaos_events.csv"))?;
    if chaos.start < normal.start + signed(normal.series.steps) * STEP {
        return Err(DatasetError::config(
            folder.display().to_string(),
            format!("the days of faults begin at {}, inside the normal days from {}", chaos.start, normal.start),
        ));
    }
    let shared = |a: &[String], b: &[String]| -> Vec<String> {
        let b: BTreeSet<&String> = b.iter().collect();
        a.iter().filter(|name| b.contains(name)).cloned().collect()
    };
    let entities = shared(&normal.series.entities, &chaos.series.entities);
    let metrics = shared(&normal.series.metrics, &chaos.series.metrics);
    let offset = usize::try_from((chaos.start - normal.start) / STEP).unwrap_or(0);
    let steps = offset + chaos.series.steps;
    let (mut names, mut series) = (Vec::new(), Vec::new());
    for entity in &entities {
        for metric in &metrics {
            let mut values = vec![f32::NAN; steps];
            for (part, from) in [(&normal, 0), (&chaos, offset)] {
                let place = part.series.entity(entity).zip(part.series.metrics.iter().position(|m| m == metric));
                let Some((e, m)) = place else { continue };
                for step in 0..part.series.steps {
                    values[from + step] = part.series.at(step, e, m);
                }
            }
            names.push(format!("{entity} {metric}"));
            series.push(values);
        }
    }
    let shifted = |range: Range<usize>| offset + range.start..offset + range.end;
    let windows: Vec<_> = events.iter().map(|e| shifted(chaos.steps_between(e.start, e.end + AFTER))).collect();
    let ignored =
        events.iter().map(|e| shifted(chaos.steps_between(e.end + AFTER, e.end + AFTER + RECOVERY))).collect();
    let learnt = normal.series.steps * 6 / 10;
    let system = WatchedSystem {
        id: "pods".to_owned(),
        start: normal.start,
        step: STEP,
        names,
        series,
        train: 0..learnt,
        validation: learnt..normal.series.steps,
        test: offset..steps,
        windows,
        ignored,
    };
    Ok(WatchedSet {
        name: "sockshop_containers".to_owned(),
        systems: vec![system],
        labelled: true,
        inputs: vec![normal_input, chaos_input, events_input],
        notes: vec![
            "One system of all pods: an alarm of any series is an alarm; the ten minutes after a fault count neither way."
                .to_owned(),
        ],
    })
}

fn pods(path: &Path) -> Result<(Gridded, Input)> {
    let (columns, input) = Columns::read(path)?;
    let metrics: Vec<String> =
        columns.number_names().into_iter().filter(|name| name != "ts" && name != CLOCK).collect();
    let all = Gridded::of(&columns, "ts", "entity", &metrics, STEP, Repeats::Refuse)?;
    let changing = all.changing();
    if changing.is_empty() {
        return Err(DatasetError::Empty { path: path.to_owned(), what: "metric that ever changes" });
    }
    if changing.len() == metrics.len() {
        return Ok((all, input));
    }
    Ok((Gridded::of(&columns, "ts", "entity", &changing, STEP, Repeats::Refuse)?, input))
}

fn read_events(path: &Path) -> Result<(Vec<Event>, Input)> {
    let (table, input) = Table::read(path)?;
    let [start, end, kind, entity] =
        [table.column("start_ts")?, table.column("end_ts")?, table.column("fault-type")?, table.column("entity")?];
    let mut events = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let event = Event {
            start: table.whole(row, start)?,
            end: table.whole(row, end)?,
            fault_type: table.text(row, kind).to_owned(),
            entity: table.text(row, entity).to_owned(),
        };
        if event.end <= event.start {
            return Err(table.refuse(row, format!("ends at {}, not after its start {}", event.end, event.start)));
        }
        if event.fault_type.is_empty() || event.entity.is_empty() {
            return Err(table.refuse(row, "fault-type or entity is empty"));
        }
        events.push(event);
    }
    events.sort_by(|a, b| (a.start, &a.entity).cmp(&(b.start, &b.entity)));
    Ok((events, input))
}
