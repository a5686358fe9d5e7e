//! Server metrics of the Numenta Anomaly Benchmark with windows in which something was wrong (MIT).
//!
//! Windows were placed by hand, several with hindsight. The first 15 % of a series are for learning and not judged.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDateTime;

use super::{WatchedSet, WatchedSystem};
use crate::benchmark::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::read_text;

/// Seconds between samples.
const STEP: i64 = 300;
/// Share of a series that is not judged, in hundredths.
const PROBATION: usize = 15;

/// Every series that has both a file and an entry in `windows.json`.
///
/// # Errors
/// When a file is missing, a time or value cannot be read, or times run backwards.
pub fn series(folder: &Path) -> Result<WatchedSet> {
    let windows_path = folder.join("windows.json");
    let (text, input) = read_text(&windows_path)?;
    let listed: BTreeMap<String, Vec<[String; 2]>> = serde_json::from_str(&text)
        .map_err(|error| DatasetError::config(windows_path.display().to_string(), error.to_string()))?;
    let mut inputs = vec![input];
    let mut systems = Vec::with_capacity(listed.len());
    for (name, windows) in listed {
        let file = name.rsplit('/').next().unwrap_or(&name);
        let (table, input) = Table::read(&folder.join(format!("{file}.gz")))?;
        inputs.push(input);
        let [time, value] = [table.column("timestamp")?, table.column("value")?];
        let mut samples = Vec::with_capacity(table.len());
        for row in 0..table.len() {
            let at = seconds(table.text(row, time)).map_err(|problem| table.refuse(row, problem))?;
            if samples.last().is_some_and(|(last, _)| at < *last) {
                return Err(table.refuse(row, "time runs backwards"));
            }
            samples.push((at, table.number(row, value)?));
        }
        let (start, end) = (samples[0].0, samples[samples.len() - 1].0);
        let slot = |at: i64| usize::try_from((at - start + STEP / 2).div_euclid(STEP)).unwrap_or(0);
        let steps = slot(end) + 1;
        let mut values = vec![f32::NAN; steps];
        for (at, value) in samples {
            #[expect(clippy::cast_possible_truncation, reason = "measurements in single precision")]
            let value = value as f32;
            values[slot(at)] = value;
        }
        let probation = steps * PROBATION / 100;
        let mut ranges = Vec::with_capacity(windows.len());
        for [from, to] in &windows {
            let parse = |text: &str| {
                seconds(text).map_err(|problem| {
                    DatasetError::config(windows_path.display().to_string(), format!("{name}: {problem}"))
                })
            };
            let range = slot(parse(from)?)..(slot(parse(to)?) + 1).min(steps);
            if range.is_empty() {
                return Err(DatasetError::config(
                    windows_path.display().to_string(),
                    format!("{name}: window {from} to {to} lies outside of the series"),
                ));
            }
            // A window that lies in the unjudged part cannot be asked for.
            if range.end > probation {
                ranges.push(range.start.max(probation)..range.end);
            }
        }
        ranges.sort_by_key(|range| range.start);
        systems.push(WatchedSystem {
            id: file.trim_end_matches(".csv").to_owned(),
            start,
            step: STEP,
            names: vec![file.trim_end_matches(".csv").to_owned()],
            series: vec![values],
            train: 0..probation,
            validation: 0..0,
            test: probation..steps,
            windows: ranges,
            ignored: Vec::new(),
        });
    }
    if systems.is_empty() {
        return Err(DatasetError::Empty { path: windows_path, what: "series" });
    }
    Ok(WatchedSet {
        name: "nab_server_metrics".to_owned(),
        systems,
        labelled: true,
        inputs,
        notes: vec![
            "Windows cover about a tenth of each series: alarms at random hit many of them, compare the random control."
                .to_owned(),
            "Thresholds for a series are chosen on all other series.".to_owned(),
        ],
    })
}

fn seconds(text: &str) -> Result<i64, String> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .map(|time| time.and_utc().timestamp())
        .map_err(|error| format!("{text:?} is no time ({error})"))
}
