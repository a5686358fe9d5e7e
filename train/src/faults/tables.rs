//! The results as tables of plain text.

use survival::Interval;

use super::FaultsReport;
use super::anomaly::{AnomalyResult, ThresholdRule};
use super::fault_type::FaultTypeResult;
use super::features::View;
use super::root_cause::RootCauseResult;

/// All tables, one after another.
pub(super) fn text(report: &FaultsReport) -> String {
    let mut out = String::new();
    section(&mut out, "Type of fault", fault_types(&report.fault_type));
    section(&mut out, "Type of fault: truth × named", confusions(&report.fault_type));
    section(&mut out, "Root cause", root_causes(&report.root_cause));
    section(&mut out, "Root cause by type of fault: first / among three", by_type(&report.root_cause));
    section(&mut out, "Anomaly", anomalies(&report.anomaly));
    for set in &report.sets {
        for note in &set.notes {
            out.push_str(&format!("{}: {note}\n", set.name));
        }
    }
    for absent in &report.absent {
        out.push_str(&format!("{absent}: not here, left out\n"));
    }
    out
}

fn section(out: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if rows.len() < 2 {
        return;
    }
    out.push_str(title);
    out.push('\n');
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out.push('\n');
}

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn interval(value: &Interval) -> String {
    format!("{:.3} [{:.3}, {:.3}]", value.estimate, value.low, value.high)
}

fn view(view: View) -> &'static str {
    match view {
        View::Unaided => "unaided",
        View::RootKnown => "root known",
    }
}

fn fault_types(results: &[FaultTypeResult]) -> Vec<Vec<String>> {
    let mut rows = vec![header(&["set", "told", "method", "cases", "macro F1", "accuracy", "log loss", "F1 by seed"])];
    rows.extend(results.iter().map(|result| {
        let seeds = &result.macro_f1_by_seed;
        let by_seed = if seeds.is_empty() {
            String::new()
        } else {
            let mean = seeds.iter().sum::<f64>() / seeds.len() as f64;
            format!("{mean:.3} ± {:.3} of {}", super::numeric::deviation(seeds), seeds.len())
        };
        vec![
            result.set.clone(),
            view(result.view).to_owned(),
            result.method.name().to_owned(),
            result.predictions.len().to_string(),
            interval(&result.macro_f1),
            interval(&result.accuracy),
            interval(&result.log_loss),
            by_seed,
        ]
    }));
    rows
}

fn confusions(results: &[FaultTypeResult]) -> Vec<Vec<String>> {
    let mut rows = vec![header(&["set", "told", "method", "types", "counts"])];
    rows.extend(results.iter().map(|result| {
        let lines: Vec<String> = result
            .confusion
            .iter()
            .map(|line| line.iter().map(usize::to_string).collect::<Vec<_>>().join(" "))
            .collect();
        vec![
            result.set.clone(),
            view(result.view).to_owned(),
            result.method.name().to_owned(),
            result.types.join(", "),
            lines.join(" | "),
        ]
    }));
    rows
}

fn root_causes(results: &[RootCauseResult]) -> Vec<Vec<String>> {
    let mut rows = vec![header(&["set", "method", "cases", "top 1", "top 3", "mean reciprocal rank"])];
    rows.extend(results.iter().map(|result| {
        vec![
            result.set.clone(),
            result.method.name().to_owned(),
            result.ranks.len().to_string(),
            interval(&result.top1),
            interval(&result.top3),
            interval(&result.reciprocal_rank),
        ]
    }));
    rows
}

fn by_type(results: &[RootCauseResult]) -> Vec<Vec<String>> {
    let mut rows = vec![header(&["set", "method", "by type"])];
    rows.extend(results.iter().filter(|result| !result.by_type.is_empty()).map(|result| {
        let types: Vec<String> = result
            .by_type
            .iter()
            .map(|(name, (cases, first, three))| format!("{name} ({cases}) {first:.2} / {three:.2}"))
            .collect();
        vec![result.set.clone(), result.method.name().to_owned(), types.join(", ")]
    }));
    rows
}

fn anomalies(results: &[AnomalyResult]) -> Vec<Vec<String>> {
    let mut rows = vec![header(&[
        "set",
        "detector",
        "threshold by",
        "event F1",
        "caught",
        "recall",
        "false",
        "per system-day",
        "delay min",
    ])];
    rows.extend(results.iter().map(|result| {
        let counts = &result.counts;
        let f1 = match (&result.f1, result.recall) {
            (Some(f1), _) => interval(f1),
            (None, Some(_)) => counts.f1().map_or_else(String::new, |f1| format!("{f1:.3}")),
            _ => String::new(),
        };
        vec![
            result.set.clone(),
            result.detector.name().to_owned(),
            match result.rule {
                ThresholdRule::OtherSystems => "other systems".to_owned(),
                ThresholdRule::AlarmBudget(budget) => format!("{budget} alarms a day"),
            },
            f1,
            result
                .recall
                .map_or_else(String::new, |_| format!("{} of {}", counts.caught, counts.caught + counts.missed)),
            result.recall.as_ref().map_or_else(String::new, interval),
            counts.false_alarms.to_string(),
            format!("{:.2}", result.false_alarms_per_day),
            result.median_delay_minutes.map_or_else(String::new, |minutes| format!("{minutes:.0}")),
        ]
    }));
    rows
}
