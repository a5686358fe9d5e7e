//! The report of a comparison: one page that needs nothing beside it, and the same numbers for a terminal.
//!
//! [`render`] puts the verdict first, then tables, figures, cards and settings; [`table`] is the short form. Rows of
//! scores come from `comparison`, sentences from `verdict`, drawings from `figures` and `over_time`. [`render_bundle`] is the
//! report on one bundle, which draws with the same hands and has its own figures in `bundle`.

mod bundle;
mod comparison;
mod figures;
mod markdown;
mod over_time;
mod terminal;
mod verdict;

#[cfg(test)]
mod sample;

pub use bundle::render_bundle;
pub use terminal::table;

use comparison::{Better, Cell, ScoreRow, best_classical, score_name};
use datasets::page::number::{count, fixed, p_value, percent, plural, time};
use datasets::page::{document, gap, signed as set, text};

use crate::evaluate::Evaluation;

/// The report as one HTML page: no script, nothing loaded from elsewhere, light and dark, on screen and on paper.
///
/// `cards` are (name, Markdown) of the models, shown folded below the figures.
#[must_use]
pub fn render(title: &str, evaluation: &Evaluation, cards: &[(String, String)]) -> String {
    let body = [
        verdict_lines(evaluation),
        comparison_table(evaluation),
        difference_table(evaluation),
        format!("<section><h2>Figures</h2>\n{}</section>\n", figures::all(evaluation)),
        model_cards(cards),
        settings(evaluation),
    ]
    .concat();
    document(title, &body)
}

fn verdict_lines(evaluation: &Evaluation) -> String {
    let verdict = verdict::verdict(evaluation);
    let details: String = verdict.details.iter().map(|line| format!("<li>{}</li>", prose(line))).collect();
    let details = if details.is_empty() { String::new() } else { format!("<ul>{details}</ul>\n") };
    format!(
        "<header><p class=\"verdict\">{}</p>\n{details}<p class=\"facts\">{} Horizons {}.</p></header>\n",
        prose(&verdict.headline),
        text(&figures::counts(evaluation)),
        text(&figures::horizons(evaluation)),
    )
}

/// Sentences hold hyphens in names and minus signs before digits; only the latter become a true minus.
fn prose(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len());
    let mut before = ' ';
    let mut rest = sentence.chars().peekable();
    while let Some(c) = rest.next() {
        let sign = c == '-' && matches!(before, ' ' | '[' | '(') && rest.peek().is_some_and(char::is_ascii_digit);
        out.push(if sign { '−' } else { c });
        before = c;
    }
    // "95 %" stays on one line.
    text(&out.replace(" %", "\u{a0}%"))
}

fn comparison_table(evaluation: &Evaluation) -> String {
    let best = best_classical(evaluation, |_| true);
    let heads: String = evaluation
        .models
        .iter()
        .enumerate()
        .map(|(index, model)| {
            let badge = if Some(index) == best { "<span class=\"badge\">best classical</span>" } else { "" };
            let class = if Some(index) == best { " class=\"rival\"" } else { "" };
            let kind = Some(model.kind.name()).filter(|kind| *kind != model.name).unwrap_or_default();
            format!("<th scope=\"col\"{class}>{}<small>{kind}</small>{badge}</th>", text(&model.name))
        })
        .collect();
    let rows: String = comparison::rows(evaluation).iter().map(|row| score_row(row, best)).collect();
    let level = evaluation.models.first().map_or(0.95, |m| m.integrated_brier.level);
    let few = if evaluation.groups < 10 {
        format!(" Averages over {} are given to one digit.", plural(evaluation.groups, "group"))
    } else {
        String::new()
    };
    format!(
        "<section><h2>Comparison</h2>\n<div class=\"scroll\"><table class=\"scores\"><thead><tr><th scope=\"col\">Score</th>\
         {heads}</tr></thead><tbody>{rows}</tbody></table></div>\n<p class=\"note\">In brackets: {} intervals from \
         resampling whole groups. Bold: best estimate of its row, whether or not the difference is shown; the paired \
         differences decide that. ↓ lower is better, ↑ higher is better. The best classical model is the one with the \
         lowest integrated Brier score.{few}</p></section>\n",
        percent(level)
    )
}

fn score_row(row: &ScoreRow, best_classical: Option<usize>) -> String {
    let arrow = match row.better {
        Better::Lower => "&nbsp;<span class=\"way\" title=\"lower is better\">↓</span>",
        Better::Higher => "&nbsp;<span class=\"way\" title=\"higher is better\">↑</span>",
        Better::Neither => "",
    };
    let cells: String = row
        .cells
        .iter()
        .enumerate()
        .map(|(index, cell)| {
            let class = if Some(index) == best_classical { " class=\"rival\"" } else { "" };
            format!("<td{class}>{}</td>", score_cell(cell))
        })
        .collect();
    format!("<tr><th scope=\"row\">{}{arrow}</th>{cells}</tr>\n", text(&row.label))
}

fn score_cell(cell: &Cell) -> String {
    if let Some(why) = cell.why {
        return gap(why);
    }
    let estimate = if cell.best { format!("<b>{}</b>", set(&cell.text)) } else { set(&cell.text) };
    let interval = cell.interval.as_deref().map_or(String::new(), |i| format!(" <small>{}</small>", set(i)));
    format!("{estimate}{interval}")
}

fn difference_table(evaluation: &Evaluation) -> String {
    if evaluation.differences.is_empty() {
        return String::new();
    }
    let rows: String = evaluation
        .differences
        .iter()
        .map(|d| {
            let why = "the difference could not be computed on these rows";
            let (estimate, interval) = if d.difference.difference.is_finite() {
                let (estimate, interval) = verdict::difference_text(evaluation, d);
                (set(&estimate), set(&interval))
            } else {
                (gap(why), String::new())
            };
            let p = if d.difference.p_value.is_finite() { set(&p_value(d.difference.p_value)) } else { gap(why) };
            format!(
                "<tr><th scope=\"row\">{} − {}</th><td>{}</td><td>{estimate} <small>{interval}</small></td><td>{p}</td>\
                 <td>{}</td></tr>\n",
                text(&d.a),
                text(&d.b),
                text(&score_name(evaluation, &d.score)),
                text(&d.verdict)
            )
        })
        .collect();
    format!(
        "<section><h2>Paired differences</h2>\n<div class=\"scroll\"><table class=\"plain\"><thead><tr>\
         <th scope=\"col\">a − b</th><th scope=\"col\">Score</th><th scope=\"col\">Difference</th><th scope=\"col\">p</th>\
         <th scope=\"col\">Verdict</th></tr></thead><tbody>{rows}</tbody></table></div>\n<p class=\"note\">Both models on \
         the same rows and the same resamples. A verdict names a model only where the interval is clear of zero; \
         intervals are not adjusted for the number of comparisons.</p></section>\n"
    )
}

fn model_cards(cards: &[(String, String)]) -> String {
    if cards.is_empty() {
        return String::new();
    }
    let cards: String = cards
        .iter()
        .map(|(name, card)| format!("<details><summary>{}</summary>\n{}</details>\n", text(name), markdown::html(card)))
        .collect();
    format!("<section><h2>Model cards</h2>\n{cards}</section>\n")
}

fn settings(evaluation: &Evaluation) -> String {
    let unit = &evaluation.unit;
    let config = &evaluation.config;
    let times = match (evaluation.brier_times.first(), evaluation.brier_times.last()) {
        (Some(&first), Some(&last)) => {
            format!(
                "{} to {}, {}",
                time(first, unit),
                time(last, unit),
                plural(evaluation.brier_times.len(), "grid edge")
            )
        }
        _ => "none".to_owned(),
    };
    let grid = evaluation.edges.last().map_or_else(
        || "none".to_owned(),
        |&last| format!("{} up to {}", plural(evaluation.edges.len().saturating_sub(1), "interval"), time(last, unit)),
    );
    let weight = evaluation.smallest_censoring_weight;
    let weight = if weight.is_finite() { fixed(weight, 3) } else { gap("no time was weighted") };
    let settings = [
        ("Data", text(&evaluation.dataset)),
        ("Causes of failure", text(&evaluation.causes.join(", "))),
        ("Bootstrap replicates", count(config.replicates)),
        ("Bootstrap replicates of rank scores", count(config.rank_replicates)),
        ("Bootstrap seed", config.seed.to_string()),
        ("Groups resampled", count(evaluation.groups)),
        ("Smallest censoring weight divided by", weight),
        ("Integrated Brier score over", text(&times)),
        ("Time grid", text(&grid)),
        ("Horizons", text(&figures::horizons(evaluation))),
        ("Remaining life restricted to", text(&time(evaluation.restricted_to, unit))),
    ];
    let rows: String = settings
        .iter()
        .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n"))
        .collect();
    format!(
        "<section><h2>Settings</h2>\n<div class=\"scroll\"><table class=\"plain\"><tbody>{rows}</tbody></table></div></section>\n"
    )
}

#[cfg(test)]
mod tests;
