//! Sock Shop with CPU hogs and memory leaks (azamikram/rcd, NeurIPS 2022): fifty small cases with their root.
//!
//! The normal part was recorded up to three days before the other; telling one from the other says nothing. What counts
//! is the ranking of services. The set names no licence for its data: for evaluation, to be cited.

use std::collections::BTreeMap;
use std::path::Path;

use super::grid::Columns;
use super::{EntitySeries, FaultCase, FaultSet, FoldRule, ServiceLevel};
use crate::error::{DatasetError, Result};

/// Columns that say what a row is of; all others are metrics.
const LABELS: [&str; 6] = ["case", "service", "fault", "rep", "phase", "time"];
/// The one series of the entry of the shop.
const FELT: (&str, &str) = ("front-end", "cpu");

/// All cases of the file.
///
/// # Errors
/// When the file is missing, a column is, or a case lacks its normal or its anomalous part.
pub fn cases(folder: &Path) -> Result<FaultSet> {
    let path = folder.join("cases.parquet");
    let (columns, input) = Columns::read(&path)?;
    let time = columns.times("time")?;
    let [case, service, fault, phase] =
        [columns.texts("case")?, columns.texts("service")?, columns.texts("fault")?, columns.texts("phase")?];
    let (mut entities, mut metrics): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut places = Vec::new();
    for column in columns.number_names().into_iter().filter(|name| !LABELS.contains(&name.as_str())) {
        let Some((entity, metric)) = column.split_once('_') else {
            let problem = "is not <service>_<metric>".to_owned();
            return Err(DatasetError::Column { path, column, problem });
        };
        let place = |names: &mut Vec<String>, name: &str| {
            names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        };
        places.push((place(&mut entities, entity), place(&mut metrics, metric), columns.numbers(&column)?));
    }

    let mut rows: BTreeMap<&str, [Vec<usize>; 2]> = BTreeMap::new();
    for row in 0..columns.rows() {
        let part = match phase[row].as_str() {
            "normal" => 0,
            "anomalous" => 1,
            other => {
                let problem = format!("is {other:?} in row {}, expected normal or anomalous", row + 1);
                return Err(DatasetError::Column { path, column: "phase".to_owned(), problem });
            }
        };
        rows.entry(case[row].as_str()).or_default()[part].push(row);
    }
    let mut cases = Vec::with_capacity(rows.len());
    for (id, [mut normal, mut anomalous]) in rows {
        let refuse = |reason: String| DatasetError::config(path.display().to_string(), format!("case {id}: {reason}"));
        let (Some(&first), false) = (anomalous.first(), normal.is_empty()) else {
            return Err(refuse(format!("{} normal and {} anomalous rows, need both", normal.len(), anomalous.len())));
        };
        let root = entities.iter().position(|entity| *entity == service[first]);
        let root = root.ok_or_else(|| refuse(format!("service {:?} has no metrics", service[first])))?;
        normal.sort_by_key(|&row| time[row]);
        anomalous.sort_by_key(|&row| time[row]);
        let begin = time[anomalous[0]];
        let before = normal.len();
        let mut series = EntitySeries::empty(before + anomalous.len(), entities.clone(), metrics.clone());
        for (step, &row) in normal.iter().chain(&anomalous).enumerate() {
            for (entity, metric, values) in &places {
                #[expect(clippy::cast_possible_truncation, reason = "measurements in single precision")]
                series.put(step, *entity, *metric, values[row] as f32);
            }
        }
        let felt = entities.iter().position(|e| e == FELT.0).zip(metrics.iter().position(|m| m == FELT.1));
        let service_level = felt.map(|(entity, metric)| ServiceLevel {
            name: format!("{} {}", FELT.0, FELT.1),
            values: series.column(0..series.steps, entity, metric),
            entity: Some(entity),
            metric: Some(metric),
        });
        cases.push(FaultCase {
            set: "rcd_sockshop".to_owned(),
            id: id.to_owned(),
            fault: before..series.steps,
            series,
            step: 1,
            fault_type: Some(fault[first].clone()),
            root,
            root_metric: Some(fault[first].clone()),
            group: service[first].clone(),
            cluster: format!("{}-{}", service[first], fault[first]),
            time: begin,
            service_level,
            calls: Vec::new(),
        });
    }
    cases.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    Ok(FaultSet {
        name: "rcd_sockshop".to_owned(),
        cases,
        folds: FoldRule::LeaveGroupOut,
        inputs: vec![input],
        notes: vec![
            "An easy set, a floor: the metric that was hit jumps to a ceiling.".to_owned(),
            "Repetitions share the deployment; services are held out whole, which is stricter than by repetition."
                .to_owned(),
            "Only five of the thirteen services are ever hurt.".to_owned(),
        ],
    })
}
