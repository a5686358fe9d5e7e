//! The data card and the drift of the inputs.

use std::collections::BTreeMap;

use datasets::page::number::{count, fixed, short, small_percent, time};
use datasets::page::{Layout, absent, figure, gap, signed, text};
use datasets::svg::{Axis, Look, Plot, Rows};
use survival::CensorReason;

use super::table;
use crate::drift::FeatureDrift;
use crate::examine::Examination;

/// Columns in a table.
const SHOWN: usize = 25;

pub(super) fn section(examination: &Examination) -> String {
    let data = &examination.data;
    let counts = &data.description.counts;
    let whole = |n: u64| count(usize::try_from(n).unwrap_or(usize::MAX));
    let mut out = format!(
        "<section><h2>Data card</h2>\n<p>{} ({}): {} rows of {} histories in {} groups; {} rows end in a failure. Source: {}. \
         Licence: {}. Digest <code>{}</code>.</p>\n",
        text(&data.description.title),
        text(&data.description.name),
        whole(counts.rows),
        whole(counts.entities),
        whole(counts.groups),
        whole(counts.failures),
        text(&data.source),
        text(&data.licence),
        text(&data.input_digest)
    );
    let listed = |heads: &[&str], counts: &BTreeMap<String, u64>, explained: bool| {
        if counts.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<String>> = counts
            .iter()
            .map(|(name, n)| {
                let mut row = vec![text(name), whole(*n)];
                if explained {
                    row.push(text(CensorReason::from_name(name).map_or("", CensorReason::explanation)));
                }
                row
            })
            .collect();
        table(heads, &rows)
    };
    out += &listed(&["Failures by cause", "Events"], &counts.events_by_cause, false);
    out += &listed(&["Censored rows by reason", "Rows", "What it says"], &counts.rows_by_censor_reason, true);
    out += &listed(&["Left out, by rule", "Cuts or records"], &counts.excluded, false);
    out += &parts(examination);
    out += &censoring(examination);
    out += &missing(examination);
    out + "</section>\n"
}

fn parts(examination: &Examination) -> String {
    const TITLE: &str = "When the parts lie";
    let data = &examination.data;
    let unit = &data.description.unit;
    let end = data.spans.iter().map(|span| span.until).fold(0.0, f64::max);
    let mut chart = Rows::new(TITLE, Axis::new(&format!("Moment of the row, from the first ({unit})"), 0.0, end));
    for (index, span) in data.spans.iter().enumerate() {
        chart.bar(&span.part, span.from, span.until, None, &Look::series(index));
    }
    let rows: Vec<Vec<String>> = data
        .description
        .splits
        .iter()
        .map(|part| {
            let span = data.spans.iter().find(|span| span.part == part.split);
            let judged = part.split == examination.evaluation.part;
            let badge = if judged { " <span class=\"badge\">judged here</span>" } else { "" };
            vec![
                format!("{}{badge}", text(&part.split)),
                count(part.rows),
                count(part.failures),
                count(part.entities),
                count(part.groups),
                span.map_or_else(
                    || gap("no rows"),
                    |s| text(&format!("{} to {} {unit}", short(s.from), short(s.until))),
                ),
                span.map_or_else(|| gap("no rows"), |s| count(s.shared_groups)),
            ]
        })
        .collect();
    let caption = "From the first to the last row of each part. Parts that overlap in time must differ in their groups, and \
                   say nothing of a later time; parts that share groups say nothing of new entities.";
    let heads = ["Part", "Rows", "Failing", "Entities", "Groups", "Moments", "Groups shared with other parts"];
    figure(TITLE, Layout::Alone, &[(String::new(), chart.render())], caption) + &table(&heads, &rows)
}

fn censoring(examination: &Examination) -> String {
    const TITLE: &str = "How long rows are followed";
    let data = &examination.data;
    let unit = &data.description.unit;
    let last_edge = examination.evaluation.edges.last().copied().unwrap_or(1.0);
    let points: Vec<[f64; 2]> = data.censoring.iter().copied().filter(|p| p[0] <= last_edge).collect();
    let mut plot =
        Plot::wide(TITLE, Axis::new(&format!("Time ({unit})"), 0.0, last_edge), Axis::new("Not censored, G", 0.0, 1.0));
    plot.steps(&points, &Look::series(0));
    plot.line(&[[0.0, 0.05], [last_edge, 0.05]], &Look::reference());
    plot.name_line(&Look::series(0), "G of the training part");
    plot.name_line(&Look::reference(), "least allowed");
    let caption = format!(
        "Share of rows not yet censored, from the training part. Scores are weighted by 1/G; they end where G falls below \
         0.05 or nobody is followed further, at {}. The smallest G divided by here is {}.",
        time(data.allowed_until, unit),
        fixed(examination.evaluation.smallest_censoring_weight, 3)
    );
    figure(TITLE, Layout::Alone, &[(String::new(), plot.render())], &caption)
}

fn missing(examination: &Examination) -> String {
    let mut missing: Vec<&(String, f64)> =
        examination.data.description.missing.iter().filter(|(_, share)| *share > 0.0).collect();
    missing.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rows: Vec<Vec<String>> =
        missing.iter().take(SHOWN).map(|(name, share)| vec![text(name), small_percent(*share)]).collect();
    let all = examination.data.description.missing.len();
    let note =
        format!("<h3>Missing values</h3>\n<p>{} of {} columns and channels miss values.</p>\n", missing.len(), all);
    if rows.is_empty() { note } else { note + &table(&["Column or channel", "Not observed"], &rows) }
}

pub(super) fn drift(examination: &Examination) -> String {
    let part = format!("{} rows against training rows", examination.evaluation.part);
    let mut out = profile(&part, &examination.drift);
    if let Some((name, later)) = &examination.drift_later {
        out += &profile(&format!("{name} against training rows"), later);
    }
    out
}

fn profile(what: &str, features: &[FeatureDrift]) -> String {
    let title = format!("Population stability: {what}");
    let most = features.iter().map(|f| f.index.max(f.by_chance)).filter(|v| v.is_finite()).fold(0.0, f64::max);
    if features.is_empty() || most <= 0.0 {
        return absent(&title, "no feature moved");
    }
    let mut chart = Rows::new(&title, Axis::new("Population stability index", 0.0, (1.05 * most).max(0.3)));
    chart.reference(0.25);
    for feature in features.iter().take(SHOWN) {
        let moved = feature.index > 0.25 && feature.index > feature.by_chance;
        chart.bar(&feature.feature, 0.0, feature.index, None, &Look::series(usize::from(moved)));
    }
    let moved = features.iter().filter(|f| f.index > 0.25 && f.index > f.by_chance).count();
    let chance = features.iter().map(|f| f.by_chance).fold(0.0, f64::max);
    let caption = format!(
        "Tenths of the training rows and a bin for missing values. Below 0.1 is usually taken for stable, above 0.25 (the line) \
         for moved: {moved} of {} here. With nothing moved an index comes to up to {} on average, counting groups as the \
         independent units. Inputs alone: a relation between inputs and failures may change without any of them.",
        features.len(),
        fixed(chance, 3)
    );
    let why = "not observed";
    let told = |value: f64| if value.is_finite() { signed(&short(value)) } else { gap(why) };
    let rows: Vec<Vec<String>> = features
        .iter()
        .take(SHOWN)
        .map(|f| {
            vec![
                text(&f.feature),
                fixed(f.index, 3),
                fixed(f.by_chance, 3),
                told(f.mean_reference),
                told(f.mean_later),
                small_percent(f.missing_reference),
                small_percent(f.missing_later),
            ]
        })
        .collect();
    let heads =
        ["Feature", "Index", "By chance", "Mean, training", "Mean, later", "Missing, training", "Missing, later"];
    figure(&title, Layout::Alone, &[(String::new(), chart.render())], &caption) + &table(&heads, &rows)
}
