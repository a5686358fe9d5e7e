//! Reliability before and after calibration, D-calibration, incidence per cause.

use datasets::page::number::{count, fixed, p_value, percent, time};
use datasets::page::{Layout, absent, figure, gap, signed, text};
use datasets::svg::{Axis, Look, Plot};
use survival::scores::calibration::ReliabilityTable;

use super::table;
use crate::examine::{CalibrationState, CauseIncidence, Examination};
use crate::report::figures::{counts, horizons, reliability};

pub(super) fn figures(examination: &Examination) -> String {
    [diagrams(examination), bins(examination), before_and_after(examination), tenths(examination), causes(examination)]
        .concat()
}

fn states(examination: &Examination) -> [(&'static str, &CalibrationState); 2] {
    [("after calibration", &examination.calibration.after), ("before calibration", &examination.calibration.before)]
}

fn diagrams(examination: &Examination) -> String {
    let evaluation = &examination.evaluation;
    let bins = states(examination).into_iter().flat_map(|(_, s)| s.tables.iter().flatten()).flat_map(|t| &t.bins);
    let largest = bins.flat_map(|bin| [bin.predicted, bin.observed]).filter(|v| v.is_finite()).fold(0.0, f64::max);
    if largest <= 0.0 {
        return absent("Reliability", "no horizon is followed by enough rows");
    }
    let end = (largest * 1.15).min(1.0);
    let mut panels = Vec::new();
    for (name, state) in states(examination) {
        let x = Axis::new("Predicted probability of failure", 0.0, end);
        let mut plot = Plot::small(&format!("Reliability {name}"), x, Axis::new("Observed share", 0.0, end));
        plot.line(&[[0.0, 0.0], [end, end]], &Look::reference());
        for (index, table) in state.tables.iter().enumerate() {
            if let Some(table) = table {
                reliability(&mut plot, table, &evaluation.unit, &Look::series(index));
            }
        }
        panels.push((name.to_owned(), plot.render()));
    }
    let caption = format!(
        "Rows in up to ten groups of equal size by predicted probability: mean prediction against 1 − Kaplan–Meier at \
         the horizon, with 95 % intervals. On the diagonal, predictions come true as often as they say. Horizons {}. {}",
        horizons(evaluation),
        counts(evaluation)
    );
    figure("Reliability", Layout::Equal, &panels, &caption)
}

/// The bins of what is served, with their counts.
fn bins(examination: &Examination) -> String {
    let unit = &examination.evaluation.unit;
    let row = |table: &ReliabilityTable| {
        table
            .bins
            .iter()
            .map(|bin| {
                vec![
                    text(&time(table.horizon, unit)),
                    count(bin.rows),
                    format!("{} to {}", fixed(bin.range.0, 4), fixed(bin.range.1, 4)),
                    fixed(bin.predicted, 4),
                    format!(
                        "{} <small>[{}, {}]</small>",
                        fixed(bin.observed, 4),
                        fixed(bin.low, 4),
                        fixed(bin.high, 4)
                    ),
                ]
            })
            .collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = examination.calibration.after.tables.iter().flatten().flat_map(row).collect();
    format!(
        "<details><summary>Bins, after calibration</summary>\n{}</details>\n",
        table(&["Horizon", "Rows", "Predictions", "Mean predicted", "Observed"], &rows)
    )
}

fn before_and_after(examination: &Examination) -> String {
    let calibration = &examination.calibration;
    let evaluation = &examination.evaluation;
    let pair = |of: &dyn Fn(&CalibrationState) -> String| vec![of(&calibration.before), of(&calibration.after)];
    let mut rows = vec![
        [
            vec!["Integrated Brier score".to_owned()],
            pair(&|s| {
                let i = &s.integrated_brier;
                format!("{} <small>[{}, {}]</small>", fixed(i.estimate, 5), fixed(i.low, 5), fixed(i.high, 5))
            }),
        ]
        .concat(),
        [vec!["Log loss per row".to_owned()], pair(&|s| signed(&fixed(s.log_loss, 4)))].concat(),
        [vec!["D-calibration p".to_owned()], pair(&|s| signed(&p_value(s.d_p_value)))].concat(),
    ];
    for (index, &horizon) in evaluation.horizons.iter().enumerate() {
        let error = |state: &CalibrationState| {
            let table = state.tables.get(index).and_then(Option::as_ref);
            let why = "too few rows are followed to this horizon";
            table.map_or_else(|| gap(why), |t| fixed(t.expected_error, 4))
        };
        let label = text(&format!("Expected calibration error at {}", time(horizon, &evaluation.unit)));
        rows.push([vec![label], pair(&error)].concat());
    }
    let numbers = |values: &[f64]| values.iter().map(|v| fixed(*v, 3)).collect::<Vec<_>>().join(", ");
    format!(
        "<h3>Before and after calibration</h3>\n{}<p class=\"note\">Logits of the hazards were scaled by {} and shifted by \
         {}, per cause, fitted on the calibration part.</p>\n",
        table(&["Score", "Before", "After"], &rows),
        signed(&numbers(&calibration.slope)),
        signed(&numbers(&calibration.shift))
    )
}

fn tenths(examination: &Examination) -> String {
    let evaluation = &examination.evaluation;
    let mut panels = Vec::new();
    for (name, state) in states(examination) {
        let bins = state.d_counts.len();
        if bins == 0 {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "ten bins")]
        let width = 1.0 / bins as f64;
        let expected = state.d_counts.iter().sum::<f64>() * width;
        let most = state.d_counts.iter().copied().fold(expected, f64::max);
        let x = Axis::new("S at the end of the life", 0.0, 1.0);
        let mut plot = Plot::small(&format!("D-calibration {name}"), x, Axis::new("Rows", 0.0, 1.1 * most));
        for (at, &height) in state.d_counts.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "ten bins")]
            let from = at as f64 * width;
            plot.bar(from + 0.06 * width, from + 0.94 * width, height, &Look::series(0));
        }
        plot.line(&[[0.0, expected], [1.0, expected]], &Look::reference());
        plot.name_line(&Look::reference(), &format!("right curves; p {}", p_value(state.d_p_value)));
        panels.push((name.to_owned(), plot.render()));
    }
    let caption = format!(
        "D-calibration: under right curves S at the time of failure is uniform; censored rows are spread over what they \
         leave possible. A small p says miscalibrated; rows of one entity overlap, which makes p smaller than it should \
         be. {}",
        counts(evaluation)
    );
    figure("D-calibration", Layout::Equal, &panels, &caption)
}

fn causes(examination: &Examination) -> String {
    let evaluation = &examination.evaluation;
    let mut panels = Vec::new();
    for of in &examination.incidence {
        let points = || of.groups.iter().flat_map(|g| [g.1, g.2]).filter(|v| v.is_finite());
        let largest = points().fold(0.0, f64::max);
        if largest <= 0.0 {
            continue;
        }
        let end = (1.15 * largest).min(1.0);
        let unit = &evaluation.unit;
        let x = Axis::new(&format!("Mean predicted incidence at {}", time(of.horizon, unit)), 0.0, end);
        let mut plot = Plot::small(&format!("Incidence of {}", of.cause), x, Axis::new("Aalen–Johansen", 0.0, end));
        plot.line(&[[0.0, 0.0], [end, end]], &Look::reference());
        for group in &of.groups {
            plot.dot([group.1, group.2], (f64::NAN, f64::NAN), &Look::series(0));
        }
        plot.name_dot(&Look::series(0), "a fifth of the rows");
        panels.push((format!("{} ({})", of.cause, count(of.failures)), plot.render()));
    }
    if panels.is_empty() {
        return absent("Incidence per cause", "no row fails within the horizon");
    }
    let end = |of: &CauseIncidence| {
        let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
        vec![text(&of.cause), count(of.failures), percent(last(&of.predicted)), percent(last(&of.observed))]
    };
    let rows: Vec<Vec<String>> = examination.incidence.iter().map(end).collect();
    let caption = format!(
        "Rows in fifths by predicted incidence of one cause, against the Aalen–Johansen estimate of the same rows: other \
         causes compete and are not treated as censored. In brackets: rows that end in the cause. {}",
        counts(evaluation)
    );
    figure("Incidence per cause", Layout::Equal, &panels, &caption)
        + &table(&["Cause", "Rows ending in it", "Predicted at the end of the grid", "Observed"], &rows)
}
