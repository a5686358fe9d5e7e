//! Survival by predicted risk with the rows still followed, and incidence of the causes, stacked.

use datasets::page::number::{count, time};
use datasets::page::{Layout, absent, figure};
use datasets::svg::{Axis, Look, Plot};

use super::table;
use crate::examine::Examination;
use crate::report::figures::{QUARTERS, counts, survival};

pub(super) fn figures(examination: &Examination) -> String {
    let own = examination.evaluation.models.first().map_or("", |m| m.name.as_str());
    [survival(&examination.evaluation, &[own]), at_risk(examination), stacked(examination), over_time(examination)]
        .concat()
}

fn at_risk(examination: &Examination) -> String {
    let at_risk = &examination.at_risk;
    let times: Vec<String> = at_risk.times.iter().map(|&t| time(t, &examination.evaluation.unit)).collect();
    let mut heads = vec!["Rows at risk at"];
    heads.extend(times.iter().map(String::as_str));
    let row = |name: &str, counts: &[usize]| {
        std::iter::once(name.to_owned()).chain(counts.iter().map(|n| count(*n))).collect::<Vec<_>>()
    };
    let mut rows = vec![row("all", &at_risk.all)];
    for (quarter, counts) in at_risk.quarters.iter().enumerate() {
        rows.push(row(QUARTERS.get(quarter).copied().unwrap_or("group"), counts));
    }
    table(&heads, &rows)
}

fn stacked(examination: &Examination) -> String {
    const TITLE: &str = "Cumulative incidence";
    let evaluation = &examination.evaluation;
    let edges = &evaluation.edges;
    let causes = &examination.incidence;
    let Some(&end) = edges.last() else { return absent(TITLE, "the grid has no edges") };
    let sum = |pick: &dyn Fn(&crate::examine::CauseIncidence) -> f64| causes.iter().map(pick).sum::<f64>();
    let most =
        sum(&|c| c.predicted.last().copied().unwrap_or(0.0)).max(sum(&|c| c.observed.last().copied().unwrap_or(0.0)));
    if most <= 0.0 {
        return absent(TITLE, "nothing fails within the grid");
    }
    let x = Axis::new(&format!("Time from prediction ({})", evaluation.unit), 0.0, end);
    let mut plot = Plot::wide(TITLE, x, Axis::new("Share failed, by cause", 0.0, (1.1 * most).min(1.0)));
    let mut below = vec![[0.0, 0.0]; edges.len()];
    for (index, of) in causes.iter().enumerate() {
        let look = Look::series(index);
        let above: Vec<[f64; 2]> =
            below.iter().enumerate().map(|(at, b)| [b[0] + of.predicted[at], b[1] + of.observed[at]]).collect();
        let band: Vec<[f64; 3]> = edges.iter().enumerate().map(|(at, &t)| [t, below[at][0], above[at][0]]).collect();
        plot.band(&band, &look);
        let line = |side: usize| edges.iter().enumerate().map(|(at, &t)| [t, above[at][side]]).collect::<Vec<_>>();
        plot.line(&line(0), &look);
        plot.line(&line(1), &look.clone().dashed());
        plot.name_band(&look, &of.cause);
        below = above;
    }
    plot.name_line(&Look::ink().dashed(), "Aalen–Johansen");
    let caption = format!(
        "Causes stacked: mean predicted incidence (filled, solid edge) against the Aalen–Johansen estimate of the same rows \
         (dashed), each counted from the cause below it. {}",
        counts(evaluation)
    );
    figure(TITLE, Layout::Alone, &[(String::new(), plot.render())], &caption)
}

/// Brier(t), the floor as the zero line.
fn over_time(examination: &Examination) -> String {
    let names: Vec<&str> = examination.evaluation.models.iter().map(|m| m.name.as_str()).collect();
    crate::report::over_time::brier(&examination.evaluation, &names)
}
