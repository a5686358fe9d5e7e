//! For whom it works, and of what.

use datasets::page::number::{count, fixed, p_value, percent, small_percent, time};
use datasets::page::{Layout, absent, figure, gap, signed, text};
use datasets::svg::{Axis, Look, Rows};

use super::table;
use crate::examine::{CauseScore, Examination, Slice, worst};
use crate::report::figures::counts;

pub(super) fn blocks(examination: &Examination) -> String {
    [slices(examination), causes(examination)].concat()
}

fn slices(examination: &Examination) -> String {
    const TITLE: &str = "Skill by slice";
    let slices = &examination.slices;
    if slices.is_empty() {
        return absent(TITLE, "all rows are of one kind, one group prefix and one age");
    }
    let bad = worst(slices);
    let differences = || slices.iter().filter_map(|s| s.difference.as_ref());
    let most = differences().map(|d| d.high).fold(0.0, f64::max);
    let least = differences().map(|d| d.low).fold(0.0, f64::min);
    let room = 0.05 * (most - least).max(1e-9);
    let mut chart = Rows::new(TITLE, Axis::new("Integrated Brier score − the floor's", least - room, most + room));
    chart.reference(0.0);
    for slice in slices.iter().filter(|s| s.difference.is_some()) {
        let is_worst = bad.is_some_and(|bad| bad == slice);
        let look = Look::series(usize::from(is_worst));
        if let Some(d) = &slice.difference {
            let star = if is_worst { " *" } else { "" };
            let label = format!("{} {}{star}", slice.by, slice.value);
            chart.dot(&label, d.difference, Some((d.low, d.high)), &look);
        }
    }
    let named = match bad {
        Some(bad) => format!("Worst: {} {} (*), the least skill.", bad.by, bad.value),
        None => "No slice has rows and failures enough to be judged.".to_owned(),
    };
    let caption = format!(
        "Integrated Brier score of rows that share a property known before the prediction, less that of the floor on the same \
         rows; below zero the model knows more. {named} Slices of fewer than {} rows, ten failing rows or two groups are \
         counted but not judged; intervals are not adjusted for their number. {}",
        examination.config.smallest_slice,
        counts(&examination.evaluation)
    );
    let rows: Vec<Vec<String>> = slices.iter().map(|slice| row(slice, bad)).collect();
    let heads = ["Slice", "Rows", "Failing", "Groups", "Integrated Brier score", "Floor", "Skill", "Difference"];
    figure(TITLE, Layout::Alone, &[(String::new(), chart.render())], &caption) + &table(&heads, &rows)
}

fn row(slice: &Slice, bad: Option<&Slice>) -> Vec<String> {
    let why = "too few rows, failures or groups";
    let worst = if bad == Some(slice) { " <span class=\"badge\">worst</span>" } else { "" };
    vec![
        format!("{}{worst}", text(&format!("{}: {}", slice.by, slice.value))),
        count(slice.rows),
        count(slice.failures),
        count(slice.groups),
        slice.score.as_ref().map_or_else(
            || gap(why),
            |i| format!("{} <small>[{}, {}]</small>", fixed(i.estimate, 4), fixed(i.low, 4), fixed(i.high, 4)),
        ),
        slice.floor.map_or_else(|| gap(why), |floor| fixed(floor, 4)),
        slice.skill().map_or_else(|| gap(why), |skill| signed(&percent(skill))),
        slice.difference.as_ref().map_or_else(
            || gap(why),
            |d| {
                let interval = format!("[{}, {}], p {}", fixed(d.low, 4), fixed(d.high, 4), p_value(d.p_value));
                format!("{} <small>{}</small>", signed(&fixed(d.difference, 4)), signed(&interval))
            },
        ),
    ]
}

fn causes(examination: &Examination) -> String {
    let unit = &examination.evaluation.unit;
    let why = "no row is known to fail of it within the horizon";
    let told = |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(|| gap(why), show);
    let row = |of: &CauseScore| {
        let d = &of.difference;
        vec![
            text(&of.cause),
            count(of.failures),
            told(of.average_precision, |v| fixed(v, 3)),
            told(of.prevalence, small_percent),
            told(of.roc_area, |v| fixed(v, 3)),
            fixed(of.score.estimate, 4),
            format!(
                "{} <small>{}</small>",
                signed(&fixed(d.difference, 4)),
                signed(&format!("[{}, {}], p {}", fixed(d.low, 4), fixed(d.high, 4), p_value(d.p_value)))
            ),
        ]
    };
    let horizon = examination.causes.first().map_or(f64::NAN, |c| c.horizon);
    let precision = format!("Average precision at {}", time(horizon, unit));
    let heads = [
        "Cause",
        "Failing rows",
        precision.as_str(),
        "Prevalence",
        "ROC area",
        "Integrated Brier score of it",
        "Less the floor's",
    ];
    let rows: Vec<Vec<String>> = examination.causes.iter().map(row).collect();
    format!(
        "<h3>By cause</h3>\n{}<p class=\"note\">All rows; each cause as the failure, the others competing. {}</p>\n",
        table(&heads, &rows),
        text(&counts(&examination.evaluation))
    )
}
