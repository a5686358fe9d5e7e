//! What predictions rest on: shares of inputs, their check, the worth of each metric, one row explained.

use datasets::page::number::{count, fixed, p_value, percent, plural, short, time};
use datasets::page::{Layout, absent, figure, gap, signed, text};
use datasets::svg::{Axis, Heat, Look, Plot, Rows};

use super::table;
use crate::attribution::Explanation;
use crate::examine::Examination;
use crate::report::figures::counts;

/// Inputs drawn, the largest first.
const SHOWN: usize = 20;

pub(super) fn figures(examination: &Examination) -> String {
    [inputs(examination), steps(examination), deletion(examination), importance(examination), example(examination)]
        .concat()
}

fn inputs(examination: &Examination) -> String {
    const TITLE: &str = "Shares of the inputs";
    let attribution = &examination.attribution;
    let most = attribution.inputs.first().map_or(0.0, |input| input.1);
    if most <= 0.0 {
        return absent(TITLE, "no input moves the prediction of any row");
    }
    let mut chart = Rows::new(TITLE, Axis::new("Mean |share of the failure probability|", 0.0, 1.05 * most));
    for (name, absolute, _) in attribution.inputs.iter().filter(|input| input.1 > 0.0).take(SHOWN) {
        chart.bar(name, 0.0, *absolute, None, &Look::series(0));
    }
    let caption = format!(
        "Failure probability within {}, shared out over columns and channels by {}, from the row of means of the training \
         part (probability {}). A channel holds its summaries and its steps. Shares of a row sum to its difference; the \
         largest miss is {}. Mean over {}, evenly spread over the part. Shares say what the prediction rests on, not what \
         would prevent the failure. {}",
        time(attribution.horizon, &examination.evaluation.unit),
        attribution.method.name(),
        fixed(attribution.baseline, 4),
        fixed(attribution.largest_gap, 5),
        plural(attribution.rows, "row"),
        counts(&examination.evaluation)
    );
    figure(TITLE, Layout::Alone, &[(String::new(), chart.render())], &caption)
}

fn steps(examination: &Examination) -> String {
    const TITLE: &str = "Shares along the window";
    let attribution = &examination.attribution;
    if !attribution.channels.iter().flat_map(|(_, steps)| steps).any(|v| *v > 0.0) {
        return absent(TITLE, "the model reads no step of the window, only its summaries or none of it");
    }
    let unit = &examination.evaluation.unit;
    let oldest = format!("{} ago", time(attribution.oldest_ago, unit));
    let mut heat = Heat::new(TITLE, "Step of the window", (&oldest, "now"));
    for (channel, values) in &attribution.channels {
        heat.row(channel, values);
    }
    let caption = format!(
        "Mean |share| of every channel at every step, the fullest the largest; summaries are not in it. {}",
        counts(&examination.evaluation)
    );
    figure(TITLE, Layout::Alone, &[(String::new(), heat.render())], &caption)
}

#[expect(clippy::cast_precision_loss, reason = "counts of inputs")]
fn deletion(examination: &Examination) -> String {
    const TITLE: &str = "Check by deletion";
    let curve = &examination.attribution.deletion;
    let most = curve.top.iter().chain(&curve.random).copied().fold(0.0, f64::max);
    let least = curve.top.iter().chain(&curve.random).copied().fold(0.0, f64::min);
    let Some(&last) = curve.replaced.last() else { return absent(TITLE, "no input differs from the baseline") };
    if most <= 0.0 {
        return absent(TITLE, "no input moves the prediction of any row");
    }
    let x = Axis::new("Inputs put back to the baseline", 0.0, last as f64);
    let room = 0.08 * (most - least);
    let mut plot = Plot::wide(TITLE, x, Axis::new("Mean movement of the probability", least.min(0.0), most + room));
    let line = |values: &[f64]| -> Vec<[f64; 2]> {
        std::iter::once([0.0, 0.0]).chain(curve.replaced.iter().zip(values).map(|(&k, &v)| [k as f64, v])).collect()
    };
    plot.line(&line(&curve.top), &Look::series(0));
    plot.line(&line(&curve.random), &Look::series(1));
    plot.name_line(&Look::series(0), "largest shares first");
    plot.name_line(&Look::series(1), "random order");
    let rows: Vec<Vec<String>> = curve
        .replaced
        .iter()
        .zip(curve.top.iter().zip(&curve.random))
        .map(|(k, (top, random))| vec![count(*k), signed(&fixed(*top, 4)), signed(&fixed(*random, 4))])
        .collect();
    let caption = format!(
        "The k inputs with the largest shares towards the prediction, and k random ones, put back to the baseline: if shares \
         are true of the model, the first move it further. They do by {} of the area. Mean over {}. {}",
        percent(curve.advantage()),
        plural(curve.rows, "row"),
        counts(&examination.evaluation)
    );
    figure(TITLE, Layout::Alone, &[(String::new(), plot.render())], &caption)
        + &format!(
            "<details><summary>Numbers</summary>\n{}</details>\n",
            table(&["Inputs replaced", "Largest shares first", "Random order"], &rows)
        )
}

fn importance(examination: &Examination) -> String {
    const TITLE: &str = "Worth of each metric";
    let groups = &examination.importance;
    let most = groups.iter().map(|g| g.loss.high).fold(0.0, f64::max);
    let least = groups.iter().map(|g| g.loss.low).fold(0.0, f64::min);
    if groups.is_empty() || most - least <= 0.0 {
        return absent(TITLE, "shuffling any metric changes no prediction");
    }
    let room = 0.03 * (most - least);
    let mut chart = Rows::new(TITLE, Axis::new("Rise of the integrated Brier score", least - room, most + room));
    chart.reference(0.0);
    for group in groups.iter().take(SHOWN) {
        chart.bar(&group.group, 0.0, group.loss.difference, Some((group.loss.low, group.loss.high)), &Look::series(0));
    }
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let loss = &group.loss;
            let interval = format!("[{}, {}]", fixed(loss.low, 5), fixed(loss.high, 5));
            vec![
                text(&group.group),
                count(group.columns),
                format!("{} <small>{}</small>", signed(&fixed(loss.difference, 5)), signed(&interval)),
                signed(&p_value(loss.p_value)),
            ]
        })
        .collect();
    let caption = format!(
        "All columns and channels of one metric taken from other rows, {} each, with 95 % intervals from resampling whole \
         groups. What two metrics both tell is worth little of either. At most {} rows. {}",
        plural(examination.config.permutation_repeats, "time"),
        count(examination.config.permuted_rows),
        counts(&examination.evaluation)
    );
    figure(TITLE, Layout::Alone, &[(String::new(), chart.render())], &caption)
        + &table(&["Metric", "Columns and channels", "Rise of the integrated Brier score", "p"], &rows)
}

fn example(examination: &Examination) -> String {
    let example = &examination.example;
    let shares = share_chart(example);
    let x = Axis::new(
        &format!("Time from prediction ({})", example.unit),
        0.0,
        example.edges.last().copied().unwrap_or(1.0),
    );
    let mut curve = Plot::small("Its curve", x, Axis::new("Share", 0.0, 1.0));
    let line = |values: &[f64]| example.edges.iter().zip(values).map(|(t, v)| [*t, *v]).collect::<Vec<_>>();
    curve.line(&line(&example.survival), &Look::ink());
    curve.name_line(&Look::ink(), "without failure, S");
    for (index, (cause, values)) in example.causes.iter().zip(&example.incidence).enumerate() {
        curve.line(&line(values), &Look::series(index));
        curve.name_line(&Look::series(index), cause);
    }
    let caption = format!(
        "The riskiest row of the part: {} {} [{}] as of {}. Failure within {} has probability {}; the row of training means \
         has {}. Shares that raise it point right.",
        example.kind,
        example.entity,
        example.incarnation,
        example.as_of,
        time(example.horizon, &example.unit),
        fixed(example.probability, 4),
        fixed(example.baseline, 4)
    );
    let rows: Vec<Vec<String>> = example
        .contributions
        .iter()
        .take(SHOWN)
        .map(|c| {
            vec![
                text(&c.input),
                signed(&fixed(c.share, 4)),
                c.value.map_or_else(|| gap("not observed"), |v| signed(&short(f64::from(v)))),
                c.strongest_ago.map_or_else(String::new, |ago| text(&format!("{} ago", time(ago, &example.unit)))),
            ]
        })
        .collect();
    let panels = [("Shares".to_owned(), shares), ("Its curve".to_owned(), curve.render())];
    figure("One row explained", Layout::Equal, &panels, &caption)
        + &table(&["Input", "Share", "Value (of a channel, its newest)", "Strongest step"], &rows)
}

fn share_chart(example: &Explanation) -> String {
    let top = || example.contributions.iter().take(12);
    let most = top().map(|c| c.share).fold(0.0, f64::max);
    let least = top().map(|c| c.share).fold(0.0, f64::min);
    let mut chart =
        Rows::new("Shares of the inputs", Axis::new("Share of the failure probability", 1.05 * least, 1.05 * most));
    chart.reference(0.0);
    for c in top() {
        chart.bar(&c.input, 0.0, c.share, None, &Look::series(usize::from(c.share < 0.0)));
    }
    chart.render()
}
