//! Predicted against true remaining life, where it is known.

use datasets::page::number::{count, fixed, percent, short};
use datasets::page::{Layout, absent, gap, signed, text};
use datasets::svg::{Axis, Look, Plot};

use super::table;
use crate::examine::Examination;
use crate::report::figures::counts;

/// Rows drawn; the table beside the page holds all.
const DRAWN: usize = 250;

pub(super) fn figure(examination: &Examination) -> String {
    const TITLE: &str = "Predicted against true remaining life";
    let Some(life) = &examination.life else {
        return absent(TITLE, "no row fails within the grid");
    };
    let unit = &examination.evaluation.unit;
    let axis = |label: &str| Axis::new(&format!("{label} ({unit})"), 0.0, life.last_edge);
    let mut plot = Plot::wide(TITLE, axis("True time to failure"), axis("Predicted median"));
    plot.line(&[[0.0, 0.0], [life.last_edge, life.last_edge]], &Look::reference());
    let step = life.rows.len().div_ceil(DRAWN).max(1);
    let beyond = life.rows.iter().filter(|row| row.median.is_none()).count();
    for row in life.rows.iter().step_by(step) {
        // A median beyond the grid is drawn at its end.
        let at = [row.truth, row.median.unwrap_or(life.last_edge)];
        plot.dot(at, (f64::NAN, f64::NAN), &Look::series(usize::from(row.median.is_none())));
    }
    plot.name_dot(&Look::series(0), "row that failed");
    plot.name_dot(&Look::series(1), "median beyond the grid");
    let rows: Vec<Vec<String>> = life
        .bins
        .iter()
        .map(|bin| {
            let why = "no median of these rows lies within the grid";
            let told = |value: f64| if value.is_finite() { signed(&short(value)) } else { gap(why) };
            vec![
                text(&format!("{} to {} {unit}", short(bin.range.0), short(bin.range.1))),
                count(bin.rows),
                count(bin.told),
                told(bin.bias),
                told(bin.absolute),
                percent(bin.within_fifth),
                percent(bin.coverage),
                fixed(bin.width, 1),
            ]
        })
        .collect();
    let caption = format!(
        "Rows whose failure was seen within the grid: {} of {}, {} of them with a median beyond it. These are the short \
         lives, chosen by their outcome: a right model promises most of them more than they had. Outer quantiles should hold \
         {} of all lives, not of these alone. {}",
        count(life.rows.len()),
        count(life.all_rows),
        count(beyond),
        percent(life.nominal),
        counts(&examination.evaluation)
    );
    let heads = [
        "True life",
        "Rows",
        "Median within the grid",
        "Mean predicted − true",
        "Mean |predicted − true|",
        "Within 20 % of the true life",
        "Inside the quantiles",
        "Mean width of them",
    ];
    datasets::page::figure(TITLE, Layout::Alone, &[(String::new(), plot.render())], &caption) + &table(&heads, &rows)
}
