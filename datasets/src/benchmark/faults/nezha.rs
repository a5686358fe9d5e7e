//! Online Boutique and TrainTicket with injected faults (IntelligentDDS/Nezha, ESEC/FSE 2023, MIT), one day each.
//!
//! `ts` and `inject_ts` are the clock; the published time columns are wrong and never read. No end of a fault is given:
//! a fault is taken to last [`LASTS`], and samples within [`SHADOW`] of another fault are no time of comparison.

use std::path::Path;

use super::grid::{Columns, Gridded, Repeats, signed};
use super::{FaultCase, FaultSet, FoldRule, ServiceLevel};
use crate::benchmark::table::Table;
use crate::error::{DatasetError, Result};

/// Seconds between samples.
const STEP: i64 = 60;
/// Minutes of comparison before a fault.
const BEFORE: usize = 60;
/// Seconds that a fault is taken to last: the shortest time between two of them.
pub const LASTS: i64 = 240;
/// Seconds after another fault that are not compared with.
pub const SHADOW: i64 = 300;
/// The day's folder and the name of its set.
pub const DAYS: [(&str, &str); 2] = [("2022-08-22", "nezha_boutique"), ("2023-01-29", "nezha_trainticket")];

/// The faults of one day.
///
/// # Errors
/// When a file is missing or is not what it should be, or a fault names a pod without metrics.
pub fn day(folder: &Path, day: &str) -> Result<FaultSet> {
    let Some((_, set)) = DAYS.into_iter().find(|(known, _)| *known == day) else {
        return Err(DatasetError::config(
            folder.display().to_string(),
            format!("day {day:?} is not one of {}", DAYS.map(|(day, _)| day).join(", ")),
        ));
    };
    let folder = folder.join(day);
    let metrics_path = folder.join("pod_metrics.parquet");
    let (columns, metrics_input) = Columns::read(&metrics_path)?;
    let metrics: Vec<String> =
        columns.number_names().into_iter().filter(|name| name != "ts" && name != "TimeStamp").collect();
    let grid = Gridded::of(&columns, "ts", "PodName", &metrics, STEP, Repeats::Refuse)?;
    let mut inputs = vec![metrics_input];

    let (table, input) = Table::read(&folder.join("faults.csv"))?;
    inputs.push(input);
    let [inject, pod, kind] = [table.column("inject_ts")?, table.column("pod")?, table.column("fault_type")?];
    let mut faults = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let name = table.text(row, pod);
        let Some(root) = grid.series.entity(name) else {
            return Err(table.refuse(row, format!("pod {name:?} has no metrics in {}", metrics_path.display())));
        };
        faults.push((table.whole(row, inject)?, root, table.text(row, kind).to_owned()));
    }
    faults.sort();
    let (felt, input) = front_service(&folder.join("front_service.csv.gz"), &grid)?;
    inputs.push(input);
    let dependency = folder.join("dependency.csv.gz");
    let mut calls = Vec::new();
    if dependency.exists() {
        let (pairs, input) = read_calls(&dependency, &grid.series.entities)?;
        calls = pairs;
        inputs.push(input);
    }

    let mut cases = Vec::with_capacity(faults.len());
    for (time, root, fault_type) in &faults {
        let fault = grid.steps_between(*time, time + LASTS);
        if fault.is_empty() {
            return Err(DatasetError::config(
                metrics_path.display().to_string(),
                format!("the fault at {time} lies outside of the metrics, which begin at {}", grid.start),
            ));
        }
        let from = signed(fault.start) - signed(BEFORE);
        let mut series = grid.window(from, BEFORE + fault.len());
        let at = |step: usize| grid.start + (from + signed(step)) * STEP;
        let mut level: Vec<f64> = (0..series.steps)
            .map(|step| {
                usize::try_from(from + signed(step)).ok().and_then(|s| felt.get(s)).copied().unwrap_or(f64::NAN)
            })
            .collect();
        for (step, felt_then) in level.iter_mut().enumerate().take(BEFORE) {
            let shadowed =
                faults.iter().any(|(other, _, _)| other != time && (0..SHADOW).contains(&(at(step) - other)));
            if shadowed {
                let width = series.entities.len() * series.metrics.len();
                series.values[step * width..(step + 1) * width].fill(f32::NAN);
                *felt_then = f64::NAN;
            }
        }
        let pod = &series.entities[*root];
        // The same pod is hurt in the same way up to three times.
        let cluster = format!("{pod} {fault_type}");
        cases.push(FaultCase {
            set: set.to_owned(),
            id: format!("{time}-{pod}-{fault_type}"),
            group: pod.clone(),
            cluster,
            fault: BEFORE..series.steps,
            step: STEP,
            fault_type: Some(fault_type.clone()),
            root: *root,
            root_metric: None,
            time: *time,
            service_level: Some(ServiceLevel {
                name: "front service LatencyP90(s)".to_owned(),
                values: level,
                entity: None,
                metric: None,
            }),
            calls: calls.clone(),
            series,
        });
    }
    Ok(FaultSet {
        name: set.to_owned(),
        cases,
        folds: FoldRule::LeaveGroupOut,
        inputs,
        notes: vec![
            "One day: types of fault are injected in blocks of time, so that a split by time would meet types never seen; pods are held out whole instead, and the clock-only control says what the schedule alone is worth.".to_owned(),
            "Metrics alone cannot see most `return` and `exception` faults: read scores per type.".to_owned(),
            format!("No end of a fault is given; the {LASTS} s after its injection are looked at."),
        ],
    })
}

/// The latency users see, on the steps of the grid.
fn front_service(path: &Path, grid: &Gridded) -> Result<(Vec<f64>, crate::source::Input)> {
    let (table, input) = Table::read(path)?;
    let [time, latency] = [table.column("TimeStamp")?, table.column("LatencyP90(s)")?];
    let mut values = vec![f64::NAN; grid.series.steps];
    for row in 0..table.len() {
        let at = grid.steps_between(table.whole(row, time)? - STEP / 2, i64::MAX / 2).start;
        let text = table.text(row, latency);
        // Nobody called in that minute.
        if text.is_empty() || text.eq_ignore_ascii_case("nan") {
            continue;
        }
        if let Some(value) = values.get_mut(at) {
            *value = table.number(row, latency)?;
        }
    }
    Ok((values, input))
}

/// Calls between services as calls between their pods; services without a pod are left out.
fn read_calls(path: &Path, pods: &[String]) -> Result<(Vec<(usize, usize)>, crate::source::Input)> {
    let (table, input) = Table::read(path)?;
    let [source, target] = [table.column("Source")?, table.column("Target")?];
    // `frontend-579b9bff58-t2dbm` is a pod of `frontend`.
    let pod_of = |service: &str| {
        pods.iter().position(|pod| pod.strip_prefix(service).is_some_and(|rest| rest.matches('-').count() == 2))
    };
    let pairs = (0..table.len()).filter_map(|row| pod_of(table.text(row, source)).zip(pod_of(table.text(row, target))));
    Ok((pairs.collect(), input))
}
