//! The report on one bundle, as one page: verdict, cards, then figure by figure what it knows and what it rests on.

mod alarms;
mod calibration;
mod curves;
mod data;
mod remaining_life;
mod slices;
mod why;

use datasets::page::number::{count, p_value, percent, plural, short};
use datasets::page::{document, text};

use super::{comparison_table, difference_table, markdown, prose, verdict};
use crate::evaluate::{Difference, Evaluation};
use crate::examine::{BundleFacts, Examination, FLOOR, worst};

/// The report as one HTML page: no script, nothing loaded from elsewhere, light and dark, on screen and on paper.
///
/// `tables` names the folder with the numbers behind the figures, as a reader beside the page finds it.
#[must_use]
pub fn render_bundle(examination: &Examination, tables: &str) -> String {
    let bundle = &examination.bundle;
    let title = format!("{}@{} on {}", bundle.name, bundle.version, examination.data.description.title);
    let body = [
        header(examination, tables),
        comparison_table(&examination.evaluation),
        difference_table(&examination.evaluation),
        model_card(bundle),
        data::section(examination),
        section("Calibration", &calibration::figures(examination)),
        section("Survival and incidence", &curves::figures(examination)),
        section("Alarms", &alarms::figures(examination)),
        section("Remaining life", &remaining_life::figure(examination)),
        section("Slices", &slices::blocks(examination)),
        section("What predictions rest on", &why::figures(examination)),
        section("Drift", &data::drift(examination)),
    ]
    .concat();
    document(&title, &body)
}

fn section(heading: &str, body: &str) -> String {
    format!("<section><h2>{heading}</h2>\n{body}</section>\n")
}

/// A table with a row of headings; cells are HTML already.
fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", text(head))).collect();
    let rows: String = rows
        .iter()
        .map(|cells| {
            let cells = cells.iter().enumerate().map(|(at, cell)| match at {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table class=\"plain\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )
}

fn header(examination: &Examination, tables: &str) -> String {
    let evaluation = &examination.evaluation;
    let mut details: Vec<String> = evaluation
        .differences
        .iter()
        .filter(|d| d.score == "integrated_brier" && d.b != FLOOR)
        .map(|d| sentence(evaluation, d, &d.b))
        .collect();
    details.extend(examination.detection.as_ref().and_then(|detection| {
        let high = detection.alarms.iter().find(|alarm| alarm.name == "high")?;
        let best = detection.costs.first()?;
        Some(format!(
            "At its high level it alarms {} of rows and catches {} of failing rows with precision {}; prevalence {}. An \
             action that costs {} of a failure must find a failure in {} of its alarms to pay.",
            percent_of(high.alarmed),
            percent(high.recall),
            percent(high.precision),
            percent_of(detection.prevalence),
            percent(best.ratio),
            percent(best.ratio)
        ))
    }));
    if let Some(slice) = worst(&examination.slices) {
        let skill = slice.skill().map_or_else(String::new, |skill| {
            let way = if skill < 0.0 { "above" } else { "below" };
            format!(", integrated Brier score {} {way} the floor's", percent_of(skill.abs()))
        });
        details.push(format!("Worst slice: {} {}{skill} ({}).", slice.by, slice.value, plural(slice.rows, "row")));
    }
    let details: String = details.iter().map(|line| format!("<li>{}</li>", prose(line))).collect();
    let details = if details.is_empty() { String::new() } else { format!("<ul>{details}</ul>\n") };
    format!(
        "<header><p class=\"verdict\">{}</p>\n{details}<p class=\"facts\">{} Horizons {}. Numbers behind every figure: \
         {} (Parquet).</p></header>\n",
        prose(&headline(evaluation)),
        text(&super::figures::counts(evaluation)),
        text(&super::figures::horizons(evaluation)),
        text(tables),
    )
}

fn percent_of(share: f64) -> String {
    datasets::page::number::small_percent(share)
}

/// Whether the bundle knows more than the average curve of the training part.
fn headline(evaluation: &Evaluation) -> String {
    let found = evaluation.differences.iter().find(|d| d.score == "integrated_brier" && d.b == FLOOR);
    match found {
        None => format!("No verdict: the bundle was not compared with its floor on {}.", evaluation.dataset),
        Some(found) => sentence(evaluation, found, "the floor, Kaplan–Meier of the training part"),
    }
}

fn sentence(evaluation: &Evaluation, found: &Difference, rival: &str) -> String {
    let paired = &found.difference;
    let (estimate, interval) = verdict::difference_text(evaluation, found);
    let amount =
        format!("difference {estimate}, {} interval {interval}, p {}", percent(paired.level), p_value(paired.p_value));
    let theirs = evaluation.models.iter().find(|m| m.name == found.b).map_or(f64::NAN, |m| m.integrated_brier.estimate);
    let size = short(100.0 * paired.difference.abs() / theirs);
    let place = format!("{} rows of {}", evaluation.part, evaluation.dataset);
    let own = &found.a;
    if paired.high < 0.0 {
        format!("{own} beats {rival} on {place}: integrated Brier score {size} % lower ({amount}).")
    } else if paired.low > 0.0 {
        format!("{own} is worse than {rival} on {place}: integrated Brier score {size} % higher ({amount}).")
    } else if paired.low.is_finite() && paired.high.is_finite() {
        format!("No difference shown between {own} and {rival} on {place}: integrated Brier score {amount}.")
    } else {
        format!("No verdict: the integrated Brier scores of {own} and {rival} on {place} could not be compared.")
    }
}

fn model_card(bundle: &BundleFacts) -> String {
    let bytes: u64 = bundle.files.iter().map(|(_, size)| size).sum();
    let size = |bytes: u64| format!("{} bytes", count(usize::try_from(bytes).unwrap_or(usize::MAX)));
    let (steps, channels) = bundle.window;
    let input = if steps == 0 {
        plural(bundle.columns, "column")
    } else {
        format!(
            "{}, window of {} by {}",
            plural(bundle.columns, "column"),
            plural(steps, "step"),
            plural(channels, "channel")
        )
    };
    let mut rows = vec![
        vec!["Family".to_owned(), text(bundle.kind.name())],
        vec!["Version".to_owned(), text(&bundle.version)],
        vec!["Digest".to_owned(), format!("<code>{}</code>", text(&bundle.digest))],
        vec!["Feature spec".to_owned(), format!("<code>{}</code>", text(&bundle.spec_hash))],
        vec!["Input after scaling".to_owned(), text(&input)],
        vec!["Built with".to_owned(), text(&bundle.built_with)],
        vec!["This report by".to_owned(), text(concat!("forewarn ", env!("CARGO_PKG_VERSION")))],
        vec!["Device of this report".to_owned(), text(&format!("{}: {}", bundle.device, bundle.device_why))],
        vec!["Size".to_owned(), text(&size(bytes))],
    ];
    if let Some(parameters) = bundle.parameters {
        rows.push(vec!["Weights".to_owned(), count(parameters)]);
    }
    rows.extend(bundle.files.iter().map(|(name, bytes)| vec![format!("<code>{}</code>", text(name)), size(*bytes)]));
    format!(
        "<section><h2>Model card</h2>\n{}<details open><summary>Card</summary>\n{}</details>\n<details><summary>Settings of \
         its training</summary>\n<pre><code>{}</code></pre></details></section>\n",
        table(&["Of the bundle", ""], &rows),
        markdown::html(&bundle.card),
        text(&bundle.training)
    )
}
