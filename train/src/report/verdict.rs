//! What the comparison comes to, in sentences.

use super::comparison::{lowest_brier, score_name};
use crate::evaluate::{Difference, Evaluation};
use datasets::page::number::{GAP, decimals, fixed, p_value, paired_ends, percent};

/// The first line of the report and the lines under it.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    /// Who leads whom by how much on what.
    pub(super) headline: String,
    /// The other scores against the same rival, and the count over all rivals.
    pub(super) details: Vec<String>,
}

/// `−0.0041 (95 % interval −0.0060 to −0.0022)`, in the digits the interval supports.
pub(super) fn difference_text(evaluation: &Evaluation, difference: &Difference) -> (String, String) {
    let paired = &difference.difference;
    if !paired.difference.is_finite() {
        return (GAP.to_owned(), String::new());
    }
    let decimals = decimals(&[paired_ends(paired)], evaluation.groups);
    let sign = if paired.difference > 0.0 { "+" } else { "" };
    let estimate = format!("{sign}{}", fixed(paired.difference, decimals));
    (estimate, format!("[{}, {}]", fixed(paired.low, decimals), fixed(paired.high, decimals)))
}

/// Judged by the integrated Brier score, which rewards ranking and calibration alike.
pub(super) fn verdict(evaluation: &Evaluation) -> Verdict {
    let data = &evaluation.dataset;
    let Some(first) = evaluation.models.first() else {
        return Verdict { headline: format!("No model was judged on {data}."), details: Vec::new() };
    };
    // The strongest rival on these very rows: choosing it here can only make the first model look worse.
    let without_network = |index: usize| {
        let kind = evaluation.models[index].kind;
        index > 0 && !kind.is_neural() && kind != model::ModelKind::Stack
    };
    let rival = if first.kind.is_neural() { lowest_brier(evaluation, without_network) } else { None };
    let Some(rival) = rival.or_else(|| lowest_brier(evaluation, |index| index > 0)) else {
        let headline = format!("{} was judged alone on {data}: nothing to compare it with.", first.name);
        return Verdict { headline, details: Vec::new() };
    };
    let rival = &evaluation.models[rival];
    let what = if rival.kind.is_classical() { "the best classical rival" } else { "the strongest rival" };
    let against = |score: &str| {
        evaluation.differences.iter().find(|d| d.a == first.name && d.b == rival.name && d.score == score)
    };
    let headline = match against("integrated_brier") {
        None => format!("No verdict: {} and {} were not compared on {data}.", first.name, rival.name),
        Some(found) => headline(evaluation, found, &rival.name, what, rival.integrated_brier.estimate),
    };
    let mut details = Vec::new();
    for found in evaluation.differences.iter().filter(|d| d.a == first.name && d.b == rival.name) {
        if found.score != "integrated_brier" && found.difference.difference.is_finite() {
            let name = score_name(evaluation, &found.score);
            details.push(format!("{name} against {}: {} ({}).", rival.name, found.verdict, amount(evaluation, found)));
        }
    }
    details.extend(tally(evaluation, &first.name));
    Verdict { headline, details }
}

fn headline(evaluation: &Evaluation, found: &Difference, rival: &str, what: &str, theirs: f64) -> String {
    let data = &evaluation.dataset;
    let paired = &found.difference;
    let first = &found.a;
    let amount = amount(evaluation, found);
    let size = 100.0 * paired.difference.abs() / theirs;
    let relative =
        if size.is_finite() { format!("{} % ", fixed(size, usize::from(size < 10.0))) } else { String::new() };
    if paired.high < 0.0 {
        format!("{first} leads {rival}, {what}, on {data}: integrated Brier score {relative}lower ({amount}).")
    } else if paired.low > 0.0 {
        format!(
            "{rival}, {what}, leads {first} on {data}: {first}'s integrated Brier score is {relative}higher ({amount})."
        )
    } else if paired.low.is_finite() && paired.high.is_finite() {
        format!("No difference shown between {first} and {rival}, {what}, on {data}: integrated Brier score {amount}.")
    } else {
        format!("No verdict: the integrated Brier scores of {first} and {rival} on {data} could not be compared.")
    }
}

fn amount(evaluation: &Evaluation, found: &Difference) -> String {
    let (estimate, interval) = difference_text(evaluation, found);
    let level = percent(found.difference.level);
    format!("difference {estimate}, {level} interval {interval}, p {}", p_value(found.difference.p_value))
}

/// Over all rivals, so that one favourable comparison is not taken for the whole.
fn tally(evaluation: &Evaluation, first: &str) -> Option<String> {
    let mut counts = [0usize; 3];
    for found in evaluation.differences.iter().filter(|d| d.score == "integrated_brier" && d.a == first) {
        let kind = if found.difference.high < 0.0 {
            0
        } else if found.difference.low > 0.0 {
            1
        } else {
            2
        };
        counts[kind] += 1;
    }
    let rivals: usize = counts.iter().sum();
    (rivals > 1).then(|| {
        format!(
            "Over all {rivals} rivals, integrated Brier score: {first} is ahead of {}, behind {}, no difference shown for {}.",
            counts[0], counts[1], counts[2]
        )
    })
}
