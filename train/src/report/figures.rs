//! The figures: what was predicted beside what happened, each with the counts it rests on.

use survival::scores::calibration::ReliabilityTable;

use crate::evaluate::{Evaluation, RiskGroup};
use datasets::page::number::{count, percent, plural, small_percent, time};
use datasets::page::{Layout, absent, figure};
use datasets::svg::{Axis, Look, Plot};

/// Quarters of rows by predicted risk.
pub(super) const QUARTERS: [&str; 4] = ["lowest risk", "lower risk", "higher risk", "highest risk"];

/// Every figure, in the order of the report.
pub(super) fn all(evaluation: &Evaluation) -> String {
    let names: Vec<&str> = evaluation.models.iter().map(|m| m.name.as_str()).collect();
    [
        survival(evaluation, &names),
        calibration(evaluation, &names),
        precision_recall(evaluation, &names),
        super::over_time::brier(evaluation, &names),
        super::over_time::lead(evaluation),
    ]
    .concat()
}

/// n, groups, failures, split: what every caption ends with.
pub(super) fn counts(evaluation: &Evaluation) -> String {
    format!(
        "n = {} in {}; {} in a failure ({} distinct); {} rows of {}.",
        plural(evaluation.rows, "row"),
        plural(evaluation.groups, "group"),
        if evaluation.failures == 1 { "1 ends".to_owned() } else { format!("{} end", count(evaluation.failures)) },
        count(evaluation.distinct_failures),
        evaluation.part,
        evaluation.dataset,
    )
}

/// `12 h, 24 h`.
pub(super) fn horizons(evaluation: &Evaluation) -> String {
    evaluation.horizons.iter().map(|&h| time(h, &evaluation.unit)).collect::<Vec<_>>().join(", ")
}

pub(super) fn survival(evaluation: &Evaluation, names: &[&str]) -> String {
    let km = &evaluation.figures.kaplan_meier;
    // Beyond the last row followed the estimate is flat for want of data; the axis ends there.
    let last_edge = evaluation.edges.last().copied().unwrap_or(1.0);
    let followed = km.last().map_or(last_edge, |p| p[0]);
    let horizon = evaluation.horizons.last().copied().unwrap_or(0.0);
    let end = followed.max(horizon).min(last_edge);
    let groups = evaluation.figures.by_risk.values().flatten();
    let inside = |values: &[f64]| {
        let shown = evaluation.edges.iter().zip(values).filter(|(t, s)| **t <= end && s.is_finite());
        shown.map(|(_, s)| *s).fold(1.0, f64::min)
    };
    let lowest = groups.map(|g| inside(&g.predicted).min(inside(&g.observed))).fold(1.0, f64::min);
    let lowest = km.iter().filter(|p| p[0] <= end && p[2].is_finite()).map(|p| p[2]).fold(lowest, f64::min);
    // Rare failures would be a flat line under the frame; the caption says when the axis is cut.
    let low = if lowest > 0.6 { ((lowest - 0.02) * 10.0).floor() / 10.0 } else { 0.0 };
    let x = Axis::new(&format!("Time from prediction ({})", evaluation.unit), 0.0, end);
    let y = Axis::new("Share without failure, S", low, 1.0);

    let mut panels = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let Some(groups) = evaluation.figures.by_risk.get(*name) else { continue };
        let title = format!("Survival by predicted risk, {name}");
        let mut plot = if index == 0 {
            Plot::wide(&title, x.clone(), y.clone())
        } else {
            Plot::small(&title, x.clone(), y.clone())
        };
        if index == 0 {
            let start = [0.0, 1.0, 1.0, 1.0];
            let points: Vec<[f64; 4]> =
                std::iter::once(start).chain(km.iter().copied()).filter(|p| p[0] <= end).collect();
            let band: Vec<[f64; 3]> = points.iter().map(|p| [p[0], p[2], p[3]]).collect();
            plot.step_band(&band, &Look::ink());
            plot.steps(&points.iter().map(|p| [p[0], p[1]]).collect::<Vec<_>>(), &Look::ink());
            plot.name_line(&Look::ink(), "all rows, Kaplan–Meier");
            plot.name_band(&Look::ink(), "95 % band");
            plot.name_line(&Look::ink().dashed(), "Kaplan–Meier of a quarter");
        }
        risk_groups(&mut plot, evaluation, groups, end);
        panels.push(((*name).to_owned(), plot.render()));
    }
    if panels.is_empty() {
        return absent("Survival", "no model has curves by risk");
    }
    let cut = if low > 0.0 { format!(" The vertical axis starts at {low:.1}, not 0.") } else { String::new() };
    let caption = format!(
        "Rows in quarters of predicted risk: mean predicted S (solid) against Kaplan–Meier of the same rows (dashed). \
         Where the two part, the model misjudges that quarter; quarters far apart mean it tells rows apart. \
         Horizons {}. {}{cut}",
        horizons(evaluation),
        counts(evaluation)
    );
    figure("Survival", Layout::Led, &panels, &caption)
}

fn risk_groups(plot: &mut Plot, evaluation: &Evaluation, groups: &[RiskGroup], end: f64) {
    let over_time = |values: &[f64]| -> Vec<[f64; 2]> {
        evaluation.edges.iter().zip(values).filter(|(t, _)| **t <= end).map(|(t, s)| [*t, *s]).collect()
    };
    for (quarter, group) in groups.iter().enumerate() {
        let look = Look::shade(quarter);
        // Known at the grid edges only: steps would claim that nothing fails between them.
        plot.line(&over_time(&group.observed), &look.clone().dashed());
        plot.line(&over_time(&group.predicted), &look);
        let name = QUARTERS.get(quarter).copied().filter(|_| groups.len() == 4);
        let name = name.map_or_else(|| format!("group {}", quarter + 1), ToOwned::to_owned);
        plot.name_line(&look, &format!("{name} (n = {})", count(group.rows)));
    }
}

fn calibration(evaluation: &Evaluation, names: &[&str]) -> String {
    let tables = |name: &str| evaluation.figures.calibration.get(name).map_or(&[][..], Vec::as_slice);
    let bins = names.iter().flat_map(|name| tables(name)).flatten().flat_map(|table| &table.bins);
    let largest = bins.flat_map(|bin| [bin.predicted, bin.observed]).filter(|v| v.is_finite()).fold(0.0, f64::max);
    if largest <= 0.0 {
        return absent("Calibration", "no horizon is followed by enough rows");
    }
    let end = (largest * 1.15).min(1.0);
    let mut panels = Vec::new();
    for name in names {
        if tables(name).iter().all(Option::is_none) {
            continue;
        }
        let x = Axis::new("Predicted probability of failure", 0.0, end);
        let y = Axis::new("Observed share", 0.0, end);
        let mut plot = Plot::small(&format!("Calibration, {name}"), x, y);
        plot.line(&[[0.0, 0.0], [end, end]], &Look::reference());
        for (index, table) in tables(name).iter().enumerate() {
            if let Some(table) = table {
                reliability(&mut plot, table, &evaluation.unit, &Look::series(index));
            }
        }
        panels.push(((*name).to_owned(), plot.render()));
    }
    let caption = format!(
        "Rows in up to ten groups of equal size by predicted probability: mean prediction against 1 − Kaplan–Meier at \
         the horizon, with 95 % intervals (cut at the frame). On the diagonal, predictions come true as often as they \
         say. Horizons {}. {}",
        horizons(evaluation),
        counts(evaluation)
    );
    figure("Calibration", Layout::Equal, &panels, &caption)
}

pub(super) fn reliability(plot: &mut Plot, table: &ReliabilityTable, unit: &str, look: &Look) {
    for bin in &table.bins {
        plot.dot([bin.predicted, bin.observed], (bin.low, bin.high), look);
    }
    plot.name_dot(look, &format!("by {}", time(table.horizon, unit)));
}

fn precision_recall(evaluation: &Evaluation, names: &[&str]) -> String {
    let Some((horizon, prevalence)) = evaluation.figures.prevalence else {
        return absent("Precision and recall", "no or too few rows fail within any horizon");
    };
    let x = Axis::new("Recall: share of failures alarmed", 0.0, 1.0);
    let y = Axis::new("Precision: share of alarms that fail", 0.0, 1.0);
    let mut plot = Plot::wide("Precision and recall", x, y);
    plot.line(&[[0.0, prevalence], [1.0, prevalence]], &Look::reference());
    for (index, name) in names.iter().enumerate() {
        if let Some(points) = evaluation.figures.precision_recall.get(*name) {
            plot.line(points, &Look::series(index));
            plot.name_line(&Look::series(index), name);
        }
    }
    plot.name_line(&Look::reference(), &format!("prevalence {}", small_percent(prevalence)));
    let caption = format!(
        "Every threshold on the probability of failing within {}, each row weighted for censoring. Alarms raised at \
         random have the precision of the prevalence, {}, at any recall. {}",
        time(horizon, &evaluation.unit),
        if prevalence >= 0.1 { percent(prevalence) } else { small_percent(prevalence) },
        counts(evaluation)
    );
    figure("Precision and recall", Layout::Alone, &[(String::new(), plot.render())], &caption)
}
