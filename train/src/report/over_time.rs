//! Figures along time: the Brier score ahead of the prediction, and how early failures were announced.

use model::ModelKind;

use super::comparison::median;
use super::figures::{counts, horizons};
use crate::evaluate::{Evaluation, LeadTimes};
use datasets::page::number::{count, fixed, percent, short};
use datasets::page::{Layout, absent, figure, gap, text};
use datasets::svg::{Axis, Look, Plot};

/// Skill below this is drawn at the frame: early on, a quotient of two tiny scores would set the scale for all.
const LOWEST_SKILL: f64 = -0.5;

/// Brier score over time, as skill over Kaplan–Meier where that model is among those judged.
pub(super) fn brier(evaluation: &Evaluation, names: &[&str]) -> String {
    let zero = evaluation
        .models
        .iter()
        .find(|m| m.kind == ModelKind::KaplanMeier)
        .and_then(|m| evaluation.figures.brier.get(&m.name));
    let curves: Vec<(usize, &str, Vec<[f64; 2]>)> = names
        .iter()
        .enumerate()
        .filter_map(|(index, name)| {
            let points = evaluation.figures.brier.get(*name)?;
            Some((index, *name, zero.map_or_else(|| points.clone(), |zero| skill(points, zero))))
        })
        .collect();
    let values = || curves.iter().flat_map(|(_, _, points)| points).filter(|p| p[1].is_finite());
    if values().next().is_none() {
        return absent("Brier score over time", "no time is followed by enough rows");
    }
    let end = values().map(|p| p[0]).fold(0.0, f64::max);
    let most = values().map(|p| p[1]).fold(0.0, f64::max);
    let least = values().map(|p| p[1]).fold(0.0, f64::min);
    let x = Axis::new(&format!("Time from prediction ({})", evaluation.unit), 0.0, end);
    let (label, low, high) = match zero {
        Some(_) => {
            let low = least.max(LOWEST_SKILL);
            let room = 0.08 * (most - low).max(0.02);
            ("Skill, 1 − BS / BS of Kaplan–Meier", low - room, most + room)
        }
        None => ("Brier score", 0.0, 1.08 * most),
    };
    let mut plot = Plot::wide(label, x, Axis::new(label, low, high));
    if zero.is_some() {
        plot.line(&[[0.0, 0.0], [end, 0.0]], &Look::reference());
    }
    for (index, name, points) in &curves {
        let look = Look::series(*index);
        plot.line(points, &look);
        plot.name_line(&look, name);
    }
    let reading = match zero {
        Some(_) => "Above zero a model knows more than the average curve of all rows, below it less.",
        None => "Lower is better.",
    };
    let cut = if zero.is_some() && least < LOWEST_SKILL {
        format!(" Values below {LOWEST_SKILL:.1} are drawn at the frame.")
    } else {
        String::new()
    };
    let caption = format!(
        "Brier score of S(t) at each grid edge, weighted for censoring. {reading}{cut} Horizons {}. {}",
        horizons(evaluation),
        counts(evaluation)
    );
    figure("Brier score over time", Layout::Alone, &[(String::new(), plot.render())], &caption)
}

/// 1 − score/zero at the times both have.
fn skill(points: &[[f64; 2]], zero: &[[f64; 2]]) -> Vec<[f64; 2]> {
    points
        .iter()
        .zip(zero)
        .map(|(&[t, score], &[_, zero])| [t, if zero > 0.0 { 1.0 - score / zero } else { f64::NAN }])
        .collect()
}

/// Share of failures announced at least x before, and what the alarms cost.
pub(super) fn lead(evaluation: &Evaluation) -> String {
    let models = &evaluation.models;
    let failures = models.iter().map(|m| m.lead.failures).max().unwrap_or(0);
    if failures == 0 {
        return absent("Lead time", "no failure among the rows");
    }
    let longest =
        models.iter().filter_map(|m| m.lead.lead.last().copied()).filter(|l| l.is_finite()).fold(0.0, f64::max);
    let end = if longest > 0.0 { longest } else { evaluation.horizons.last().copied().unwrap_or(1.0) };
    let x = Axis::new(&format!("At least this long before the failure ({})", evaluation.unit), 0.0, end);
    let mut plot = Plot::wide("Lead time", x, Axis::new("Share of failures announced", 0.0, 1.0));
    for (index, model) in models.iter().enumerate() {
        let look = Look::series(index);
        plot.steps(&announced(&model.lead), &look);
        plot.name_line(&look, &format!("{} (missed {})", model.name, missed(&model.lead)));
    }
    let caption = format!(
        "First row at or above the model's own high alarm level, per failure. The curve starts at the share announced at \
         all; what is missing to 1 was missed. Horizons {}. {}",
        horizons(evaluation),
        counts(evaluation)
    );
    let drawing = format!("{}{}", plot.render(), alarms(evaluation));
    figure("Lead time", Layout::Alone, &[(String::new(), drawing)], &caption)
}

fn missed(lead: &LeadTimes) -> String {
    let failures = lead.failures.max(1);
    #[expect(clippy::cast_precision_loss, reason = "counts of failures")]
    let share = lead.failures.saturating_sub(lead.caught) as f64 / failures as f64;
    percent(share)
}

/// Steps of #{lead ≥ x}/failures, at most 300 of them.
#[expect(clippy::cast_precision_loss, reason = "counts of failures")]
fn announced(lead: &LeadTimes) -> Vec<[f64; 2]> {
    let failures = lead.failures.max(1) as f64;
    let total = lead.lead.len();
    let step = total.div_ceil(300).max(1);
    let mut points = vec![[0.0, total as f64 / failures]];
    for (index, &time) in lead.lead.iter().enumerate() {
        if (index + 1) % step == 0 || index + 1 == total {
            points.push([time, (total - index - 1) as f64 / failures]);
        }
    }
    points
}

/// Alarms beside the figure: a lead time bought with many false alarms is worth little.
fn alarms(evaluation: &Evaluation) -> String {
    let few = evaluation.distinct_failures < 10;
    let head = "<tr><th>Model</th><th>level</th><th>announced</th><th>missed</th><th>median lead</th>\
                <th>rows alarmed</th><th>known false</th></tr>";
    let rows: String = evaluation
        .models
        .iter()
        .map(|model| {
            let lead = &model.lead;
            let median = median(&lead.lead).filter(|m| m.is_finite()).map_or_else(
                || gap("no failure was announced at this level"),
                |m| text(&format!("{} {}", if few { fixed(m, 1) } else { short(m) }, evaluation.unit)),
            );
            let level = if lead.level.is_finite() { text(&fixed(lead.level, 3)) } else { gap("no level was chosen") };
            format!(
                "<tr><th>{}</th><td>{level}</td><td>{} of {}</td><td>{}</td><td>{median}</td><td>{}</td><td>{}</td></tr>",
                text(&model.name),
                count(lead.caught),
                count(lead.failures),
                missed(lead),
                count(lead.alarms),
                count(lead.false_alarms)
            )
        })
        .collect();
    format!("<div class=\"scroll\"><table class=\"plain\"><thead>{head}</thead><tbody>{rows}</tbody></table></div>")
}
