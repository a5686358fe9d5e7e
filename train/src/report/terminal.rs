//! The comparison for a terminal: models down, scores across, broken into blocks that fit.

use super::comparison::{Better, Cell, ScoreRow, best_classical, rows, score_name};
use super::figures::counts;
use super::verdict::{difference_text, verdict};
use crate::evaluate::Evaluation;
use datasets::page::number::{GAP, p_value, percent};

/// Columns of a terminal that also fits a mail and a commit message.
const WIDTH: usize = 120;
const LONGEST_NAME: usize = 26;

/// The comparison and the paired differences as plain text, no line longer than 120 characters.
///
/// Intervals stand in brackets, `*` marks the best classical model, `-` before a score that is better when lower and
/// `+` before one that is better when higher.
#[must_use]
pub fn table(evaluation: &Evaluation) -> String {
    let mut lines = Vec::new();
    wrap(&mut lines, &verdict(evaluation).headline, "");
    wrap(&mut lines, &counts(evaluation), "");
    lines.push(String::new());
    let names = names(evaluation);
    let columns: Vec<Vec<String>> = rows(evaluation).iter().map(column).collect();
    let mut blocks: Vec<Vec<Vec<String>>> = Vec::new();
    let name_width = widest(&names);
    let mut used = usize::MAX;
    for column in columns {
        let width = 2 + widest(&column);
        if used.saturating_add(width) > WIDTH {
            blocks.push(vec![names.clone()]);
            used = name_width;
        }
        used += width;
        if let Some(block) = blocks.last_mut() {
            block.push(column);
        }
    }
    for block in blocks {
        lines.extend(aligned(&block));
        lines.push(String::new());
    }
    let level = evaluation.models.first().map_or(0.95, |m| m.integrated_brier.level);
    let legend = format!(
        "[low, high]: {} interval; - lower is better, + higher is better; * best classical model by IBS; {GAP} not told \
         by these rows.",
        percent(level)
    );
    wrap(&mut lines, &legend, "");
    if !evaluation.differences.is_empty() {
        lines.push(String::new());
        lines.push("Paired differences, a - b on the same rows and resamples:".to_owned());
        lines.extend(aligned(&differences(evaluation)));
    }
    let mut out = lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    out.push('\n');
    out
}

/// The heading and one name per model, the best classical one marked.
fn names(evaluation: &Evaluation) -> Vec<String> {
    let best = best_classical(evaluation, |_| true);
    let named = evaluation.models.iter().enumerate().map(|(index, model)| {
        let mark = if Some(index) == best { " *" } else { "" };
        format!("{}{mark}", cut(&model.name, LONGEST_NAME))
    });
    std::iter::once("model".to_owned()).chain(named).collect()
}

fn column(row: &ScoreRow) -> Vec<String> {
    let mark = match row.better {
        Better::Lower => "-",
        Better::Higher => "+",
        Better::Neither => "",
    };
    let cell = |cell: &Cell| match &cell.interval {
        Some(interval) => format!("{} {interval}", cell.text),
        None => cell.text.clone(),
    };
    std::iter::once(format!("{mark}{}", row.short)).chain(row.cells.iter().map(cell)).collect()
}

fn differences(evaluation: &Evaluation) -> Vec<Vec<String>> {
    let of = |show: &dyn Fn(&crate::evaluate::Difference) -> String| evaluation.differences.iter().map(show).collect();
    vec![
        of(&|d| cut(&d.a, 18)),
        of(&|d| format!("vs {}", cut(&d.b, 18))),
        of(&|d| cut(&score_name(evaluation, &d.score), 30)),
        of(&|d| {
            let (estimate, interval) = difference_text(evaluation, d);
            format!("{estimate} {interval}")
        }),
        of(&|d| format!("p {}", p_value(d.difference.p_value))),
        // The verdict is the last column and may be the long one.
        of(&|d| cut(&d.verdict, 36)),
    ]
}

/// Columns side by side, two spaces between them.
fn aligned(columns: &[Vec<String>]) -> Vec<String> {
    let widths: Vec<usize> = columns.iter().map(|column| widest(column)).collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    (0..height)
        .map(|row| {
            let cells = columns.iter().zip(&widths).map(|(column, &width)| {
                let cell = column.get(row).map_or("", String::as_str);
                format!("{cell:<width$}")
            });
            cut(cells.collect::<Vec<_>>().join("  ").trim_end(), WIDTH)
        })
        .collect()
}

fn widest(column: &[String]) -> usize {
    column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)
}

fn cut(text: &str, most: usize) -> String {
    // A name with a line break would tear the table.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

fn wrap(lines: &mut Vec<String>, text: &str, indent: &str) {
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.len() > indent.len() {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(&cut(word, WIDTH - indent.len()));
    }
    lines.push(line);
}
