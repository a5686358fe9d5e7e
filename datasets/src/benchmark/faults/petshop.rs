//! PetShop: performance issues of a microservice application with its call graph (amazon-science, CLeaR 2024, CC-BY-4.0).
//!
//! All train issues have one root, all test issues others: only rankings that learn from no other case mean anything.
//! The normal rows of a scenario are the time of comparison; where a scenario has none, those of both others are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{EntitySeries, FaultCase, FaultSet, FoldRule, ServiceLevel};
use crate::benchmark::table::number;
use crate::error::{DatasetError, Result};
use crate::source::{Input, read_text};

/// Seconds between rows.
const STEP: i64 = 300;
/// Seconds after the alarm that belong to the issue: rows describe the five minutes that begin with them.
const AFTER: i64 = 600;
/// Folders, one per traffic scenario.
const SCENARIOS: [&str; 4] = ["high_traffic", "low_traffic", "temporal_traffic1", "temporal_traffic2"];
/// Scenarios with rows without an issue.
const WITH_NORMAL: [&str; 2] = ["high_traffic", "low_traffic"];
/// The statistic of latency and availability that issues are told by.
const TOLD_BY: &str = "Average";

#[derive(Deserialize)]
struct TargetFile {
    target: Target,
    root_cause: Root,
}

#[derive(Deserialize)]
struct Target {
    node: String,
    metric: String,
    timestamp: i64,
}

#[derive(Deserialize)]
struct Root {
    node: String,
}

/// Rows of a metrics file: time and (component, metric) → value.
struct Rows {
    times: Vec<i64>,
    columns: BTreeMap<(String, String), Vec<f64>>,
}

/// The issues of the published train part.
///
/// # Errors
/// When a file is missing or is not what it should be, or an issue names a component without metrics.
pub fn issues(folder: &Path) -> Result<FaultSet> {
    let mut inputs = Vec::new();
    let mut normal = BTreeMap::new();
    for scenario in WITH_NORMAL {
        let (rows, input) = read_rows(&folder.join(scenario).join("noissue/metrics.csv.gz"))?;
        inputs.push(named(input, scenario));
        normal.insert(scenario, rows);
    }
    let mut cases = Vec::new();
    for scenario in SCENARIOS {
        let (calls, input) = read_graph(&folder.join(scenario).join("graph.csv"))?;
        inputs.push(named(input, scenario));
        let before: Vec<&Rows> =
            normal.get(scenario).map_or_else(|| normal.values().collect::<Vec<_>>(), |rows| vec![rows]);
        for issue in list(&folder.join(scenario).join("train"))? {
            let name = issue.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let (rows, input) = read_rows(&issue.join("metrics.csv.gz"))?;
            inputs.push(named(input, &format!("{scenario}/{name}")));
            let target_path = issue.join("target.json");
            let (text, input) = read_text(&target_path)?;
            inputs.push(named(input, &format!("{scenario}/{name}")));
            let target: TargetFile = serde_json::from_str(&text)
                .map_err(|error| DatasetError::config(target_path.display().to_string(), error.to_string()))?;
            cases.push(case(&format!("{scenario}/{name}"), scenario, &before, &rows, &target, &calls, &target_path)?);
        }
    }
    cases.sort_by(|a: &FaultCase, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    Ok(FaultSet {
        name: "petshop".to_owned(),
        cases,
        folds: FoldRule::RankingOnly,
        inputs,
        notes: vec![
            "All twenty issues given have one root; nothing is learned from them, and their agreement says little.".to_owned(),
            "The scenarios with temporal traffic are compared with the normal rows of both other scenarios; theirs could not be had.".to_owned(),
        ],
    })
}

fn case(
    id: &str,
    scenario: &str,
    before: &[&Rows],
    rows: &Rows,
    file: &TargetFile,
    calls: &[(String, String)],
    path: &Path,
) -> Result<FaultCase> {
    let refuse = |reason: String| DatasetError::config(path.display().to_string(), reason);
    let mut entities: Vec<String> = rows.columns.keys().map(|(entity, _)| entity.clone()).collect();
    entities.extend(calls.iter().flat_map(|(a, b)| [a.clone(), b.clone()]));
    entities.sort();
    entities.dedup();
    let mut metrics: Vec<String> = rows.columns.keys().map(|(_, metric)| metric.clone()).collect();
    metrics.sort();
    metrics.dedup();
    let alarm = file.target.timestamp;
    let during: Vec<usize> = (0..rows.times.len())
        .filter(|&row| rows.times[row] > alarm - STEP && rows.times[row] <= alarm + AFTER)
        .collect();
    if during.is_empty() {
        return Err(refuse(format!("no row around the alarm at {alarm}; rows are {:?}", rows.times)));
    }
    let ahead: Vec<usize> = (0..rows.times.len()).filter(|&row| rows.times[row] <= alarm - STEP).collect();
    // The rows just before the alarm belong to the time of comparison too.
    let parts: Vec<(&Rows, Vec<usize>)> = before
        .iter()
        .map(|part| (*part, (0..part.times.len()).collect()))
        .chain([(rows, ahead), (rows, during.clone())])
        .collect();
    let steps: usize = parts.iter().map(|(_, chosen)| chosen.len()).sum();
    let mut series = EntitySeries::empty(steps, entities, metrics);
    let mut base = 0;
    for (part, chosen) in &parts {
        for ((entity, metric), values) in &part.columns {
            let place = series.entity(entity).zip(series.metrics.iter().position(|name| name == metric));
            let Some((entity, metric)) = place else { continue };
            for (offset, &row) in chosen.iter().enumerate() {
                #[expect(clippy::cast_possible_truncation, reason = "measurements in single precision")]
                series.put(base + offset, entity, metric, values[row] as f32);
            }
        }
        base += chosen.len();
    }
    let known = |name: &str| series.entity(name).ok_or_else(|| refuse(format!("component {name:?} has no metrics")));
    let (root, felt) = (known(&file.root_cause.node)?, known(&file.target.node)?);
    let told = format!("{}.{TOLD_BY}", file.target.metric);
    let metric = series.metrics.iter().position(|name| *name == told);
    let metric = metric.ok_or_else(|| refuse(format!("metric {told:?} is not among {}", series.metrics.join(", "))))?;
    Ok(FaultCase {
        set: "petshop".to_owned(),
        id: id.to_owned(),
        fault: steps - during.len()..steps,
        step: STEP,
        fault_type: None,
        root,
        root_metric: None,
        group: scenario.to_owned(),
        cluster: id.to_owned(),
        time: alarm,
        service_level: Some(ServiceLevel {
            name: format!("{} {told}", file.target.node),
            values: series.column(0..steps, felt, metric),
            entity: Some(felt),
            metric: Some(metric),
        }),
        calls: calls.iter().filter_map(|(a, b)| series.entity(a).zip(series.entity(b))).collect(),
        series,
    })
}

/// Three header rows name component, metric and statistic of each column; rows of values follow.
fn read_rows(path: &Path) -> Result<(Rows, Input)> {
    let (text, input) = read_text(path)?;
    let line = |line: u64, problem: String| DatasetError::Line { path: path.to_owned(), line, problem };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let records: Vec<csv::StringRecord> =
        reader.records().collect::<Result<_, _>>().map_err(|error| line(0, error.to_string()))?;
    let [components, metrics, statistics, time, rows @ ..] = records.as_slice() else {
        return Err(line(1, format!("{} lines, expected four of a header and then rows", records.len())));
    };
    let expected = ["microservice", "metric", "statistic", "unix_timestamp"];
    for (number, (record, name)) in [components, metrics, statistics, time].into_iter().zip(expected).enumerate() {
        if record.get(0) != Some(name) {
            return Err(line(number as u64 + 1, format!("begins with {:?}, expected {name:?}", record.get(0))));
        }
    }
    if rows.is_empty() {
        return Err(DatasetError::Empty { path: path.to_owned(), what: "rows below the header" });
    }
    let mut read = Rows { times: Vec::with_capacity(rows.len()), columns: BTreeMap::new() };
    let text_of = |record: &csv::StringRecord, column: usize| record.get(column).unwrap_or_default().trim().to_owned();
    for (index, row) in rows.iter().enumerate() {
        let at = index as u64 + 5;
        let seconds = number(row.get(0).unwrap_or_default()).map_err(|problem| line(at, format!("time {problem}")))?;
        #[expect(clippy::cast_possible_truncation, reason = "epoch seconds")]
        read.times.push(seconds as i64);
        for column in 1..components.len() {
            let name =
                (text_of(components, column), format!("{}.{}", text_of(metrics, column), text_of(statistics, column)));
            let cell = text_of(row, column);
            // No traffic, no value.
            let value = if cell.is_empty() {
                f64::NAN
            } else {
                number(&cell).map_err(|problem| line(at, format!("column {} {problem}", column + 1)))?
            };
            read.columns.entry(name).or_default().push(value);
        }
    }
    if let Some((name, _)) = read.columns.iter().find(|(_, values)| values.len() != rows.len()) {
        return Err(line(1, format!("column {} {} appears twice", name.0, name.1)));
    }
    Ok((read, input))
}

/// Pairs of caller and callee: row calls column where the cell is above 0.
fn read_graph(path: &Path) -> Result<(Vec<(String, String)>, Input)> {
    let (text, input) = read_text(path)?;
    let line = |line: u64, problem: String| DatasetError::Line { path: path.to_owned(), line, problem };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let records: Vec<csv::StringRecord> =
        reader.records().collect::<Result<_, _>>().map_err(|error| line(0, error.to_string()))?;
    let Some((header, rows)) = records.split_first() else {
        return Err(DatasetError::Empty { path: path.to_owned(), what: "components" });
    };
    let mut calls = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for column in 1..row.len() {
            let cell = row.get(column).unwrap_or_default();
            let value =
                number(cell).map_err(|problem| line(index as u64 + 2, format!("column {} {problem}", column + 1)))?;
            if value > 0.0 {
                let callee = header.get(column).unwrap_or_default();
                calls.push((row.get(0).unwrap_or_default().to_owned(), callee.to_owned()));
            }
        }
    }
    Ok((calls, input))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(DatasetError::io(folder, "list the issues"))?;
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(DatasetError::io(folder, "list the issues"))?;
    found.retain(|path| path.is_dir());
    found.sort();
    if found.is_empty() {
        return Err(DatasetError::Empty { path: folder.to_owned(), what: "issues" });
    }
    Ok(found)
}

fn named(input: Input, place: &str) -> Input {
    Input { name: format!("{place}/{}", input.name), ..input }
}
