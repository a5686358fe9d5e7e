//! Every score of every model as rows of cells, the one source of the page's table and the terminal's.

use survival::Interval;

use crate::evaluate::{Evaluation, ModelScores};
use datasets::page::number::{
    GAP, count, decimals, ends, fixed, p_value, paired_ends, percent, short, small_percent, time,
};

/// Which way a score improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
    /// Not to be ranked.
    Neither,
}

/// One model's value of one score.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// The estimate, or a gap.
    pub(super) text: String,
    /// `[low, high]`.
    pub(super) interval: Option<String>,
    /// Why there is no number.
    pub(super) why: Option<&'static str>,
    /// The best estimate of the row.
    pub(super) best: bool,
}

impl Cell {
    fn plain(text: String) -> Self {
        Self { text, interval: None, why: None, best: false }
    }

    fn gap(why: &'static str) -> Self {
        Self { text: GAP.to_owned(), interval: None, why: Some(why), best: false }
    }
}

/// One score across models.
#[derive(Debug, Clone)]
pub(super) struct ScoreRow {
    /// Name in the page.
    pub(super) label: String,
    /// Name in a terminal column.
    pub(super) short: String,
    /// Which way it improves.
    pub(super) better: Better,
    /// One per model.
    pub(super) cells: Vec<Cell>,
}

const NOT_FOLLOWED: &str = "too few rows are followed to this horizon for the censoring weights";
const NOBODY_FAILED: &str = "no or too few rows fail within this horizon";
const LIVES_UNKNOWN: &str = "fewer than nine lives in ten are known up to the cap";
const NOT_TOLD: &str = "the rows do not determine this score";
const NOT_RECORDED: &str = "not recorded";
const NO_FAILURES: &str = "no failure among the rows";
const NONE_CAUGHT: &str = "no failure was announced at this level";

/// The classical model with the lowest integrated Brier score among those `allowed`.
pub(super) fn best_classical(evaluation: &Evaluation, allowed: impl Fn(usize) -> bool) -> Option<usize> {
    lowest_brier(evaluation, |index| allowed(index) && evaluation.models[index].kind.is_classical())
}

/// The model with the lowest integrated Brier score among those `allowed`.
pub(super) fn lowest_brier(evaluation: &Evaluation, allowed: impl Fn(usize) -> bool) -> Option<usize> {
    let score = |index: usize| evaluation.models[index].integrated_brier.estimate;
    (0..evaluation.models.len())
        .filter(|&index| allowed(index) && score(index).is_finite())
        .min_by(|&a, &b| score(a).total_cmp(&score(b)))
}

/// The comparison, the score that decides first.
pub(super) fn rows(evaluation: &Evaluation) -> Vec<ScoreRow> {
    let unit = evaluation.unit.as_str();
    let models = &evaluation.models;
    let groups = evaluation.groups;
    // What is averaged over failures has no more digits than the failures support.
    let failing = groups.min(evaluation.distinct_failures);
    let all = |pick: fn(&ModelScores) -> &Interval| models.iter().map(|m| Some(ends(pick(m)))).collect::<Vec<_>>();
    let mut rows = vec![
        interval_row("Integrated Brier score", "IBS", Better::Lower, groups, &all(|m| &m.integrated_brier), NOT_TOLD),
        interval_row("Concordance C (Harrell)", "C", Better::Higher, failing, &all(|m| &m.concordance), NOT_TOLD),
        interval_row("Log loss per row", "log loss", Better::Lower, groups, &all(|m| &m.log_loss), NOT_TOLD),
    ];
    for (index, &horizon) in evaluation.horizons.iter().enumerate() {
        let at = time(horizon, unit);
        let brier: Vec<_> = models.iter().map(|m| m.brier.get(index).map(ends)).collect();
        let (label, short) = (format!("Brier score at {at}"), format!("Brier@{at}"));
        rows.push(interval_row(&label, &short, Better::Lower, groups, &brier, NOT_FOLLOWED));
    }
    for (index, &horizon) in evaluation.horizons.iter().enumerate() {
        let at = time(horizon, unit);
        let precision: Vec<_> =
            models.iter().map(|m| m.average_precision.get(index).and_then(Option::as_ref).map(ends)).collect();
        let prevalence = evaluation.figures.prevalence.filter(|(h, _)| (h - horizon).abs() <= 1e-9 * horizon.abs());
        let beside = prevalence.map_or(String::new(), |(_, share)| format!(" (prevalence {})", small_percent(share)));
        let (label, short) = (format!("AUPRC at {at}{beside}"), format!("AUPRC@{at}"));
        rows.push(interval_row(&label, &short, Better::Higher, failing, &precision, NOBODY_FAILED));
    }
    let rmse: Vec<_> = models.iter().map(|m| m.rul_rmse.as_ref().map(ends)).collect();
    let label = format!("RMSE of remaining life, capped at {}", time(evaluation.restricted_to, unit));
    rows.push(interval_row(&label, &format!("RUL RMSE ({unit})"), Better::Lower, groups, &rmse, LIVES_UNKNOWN));
    rows.push(coverage_row(models));
    let cells = models.iter().map(|m| told(m.d_calibration_p, p_value, NOT_TOLD)).collect();
    rows.push(row("D-calibration p (small: miscalibrated)", "D-cal p", Better::Neither, cells));
    for (index, &horizon) in evaluation.horizons.iter().enumerate() {
        let at = time(horizon, unit);
        let errors: Vec<_> = models
            .iter()
            .map(|m| m.calibration_error.get(index).copied().flatten().map(|e| (e, f64::NAN, f64::NAN)))
            .collect();
        let (label, short) = (format!("Expected calibration error at {at}"), format!("ECE@{at}"));
        rows.push(interval_row(&label, &short, Better::Lower, groups, &errors, NOT_FOLLOWED));
    }
    rows.extend(lead_rows(evaluation, failing));
    if models.iter().any(|m| m.regret.is_some()) {
        let regret: Vec<_> = models.iter().map(|m| m.regret.as_ref().map(paired_ends)).collect();
        let label = "Regret: integrated Brier score above the true curve's";
        rows.push(interval_row(label, "regret", Better::Lower, groups, &regret, NOT_TOLD));
    }
    if models.iter().any(|m| m.distance_to_truth.is_some()) {
        let distances: Vec<_> = models.iter().map(|m| m.distance_to_truth.map(|d| (d, f64::NAN, f64::NAN))).collect();
        let label = "Mean |S − true S|";
        rows.push(interval_row(label, "|S-true S|", Better::Lower, groups, &distances, NOT_TOLD));
    }
    let cells =
        models.iter().map(|m| m.fit_seconds.map_or_else(|| Cell::gap(NOT_RECORDED), |s| told(s, short, NOT_RECORDED)));
    rows.push(row("Fit time (s)", "fit (s)", Better::Neither, cells.collect()));
    rows
}

/// Scores with intervals share their decimals across models, so that the eye can compare them.
fn interval_row(
    label: &str,
    short: &str,
    better: Better,
    units: usize,
    values: &[Option<(f64, f64, f64)>],
    why: &'static str,
) -> ScoreRow {
    let known: Vec<(f64, f64, f64)> = values.iter().flatten().copied().filter(|(e, _, _)| e.is_finite()).collect();
    let decimals = decimals(&known, units);
    let estimates = known.iter().map(|(estimate, _, _)| *estimate);
    let best = match better {
        Better::Lower => estimates.min_by(f64::total_cmp),
        Better::Higher => estimates.max_by(f64::total_cmp),
        Better::Neither => None,
    }
    .filter(|_| known.len() > 1)
    .map(|best| fixed(best, decimals));
    let cells = values
        .iter()
        .map(|value| match value {
            Some((estimate, low, high)) if estimate.is_finite() => {
                let text = fixed(*estimate, decimals);
                let interval = (low.is_finite() && high.is_finite())
                    .then(|| format!("[{}, {}]", fixed(*low, decimals), fixed(*high, decimals)));
                // Equal as printed is equal: a difference below the digits shown is none to point at.
                let best = best.as_deref() == Some(text.as_str());
                Cell { text, interval, why: None, best }
            }
            _ => Cell::gap(why),
        })
        .collect();
    row(label, short, better, cells)
}

fn row(label: &str, short: &str, better: Better, cells: Vec<Cell>) -> ScoreRow {
    ScoreRow { label: label.to_owned(), short: short.to_owned(), better, cells }
}

fn told(value: f64, show: fn(f64) -> String, why: &'static str) -> Cell {
    if value.is_finite() { Cell::plain(show(value)) } else { Cell::gap(why) }
}

fn coverage_row(models: &[ModelScores]) -> ScoreRow {
    let nominal = models.iter().find_map(|m| m.rul_coverage).map(|(_, nominal)| nominal);
    let beside = nominal.map_or(String::new(), |share| format!(" (should be {})", percent(share)));
    let cells = models
        .iter()
        .map(|m| {
            m.rul_coverage.map_or_else(|| Cell::gap(LIVES_UNKNOWN), |(share, _)| told(share, percent, LIVES_UNKNOWN))
        })
        .collect();
    let short = nominal.map_or_else(|| "coverage".to_owned(), |share| format!("cover/{}", percent(share)));
    row(&format!("Lives inside the remaining-life quantiles{beside}"), &short, Better::Neither, cells)
}

/// What the `high` alarm level announces. Models choose their own levels, so these rows rank nobody.
fn lead_rows(evaluation: &Evaluation, failing: usize) -> [ScoreRow; 3] {
    let models = &evaluation.models;
    let unit = evaluation.unit.as_str();
    let caught = models.iter().map(|m| match (m.lead.failures, m.lead.caught) {
        (0, _) => Cell::gap(NO_FAILURES),
        (failures, caught) => Cell::plain(format!("{} of {}", count(caught), count(failures))),
    });
    let medians: Vec<Option<f64>> = models.iter().map(|m| median(&m.lead.lead)).collect();
    let median = medians.iter().map(|median| match median {
        None => Cell::gap(NONE_CAUGHT),
        Some(lead) if failing < 10 => Cell::plain(fixed(*lead, 1)),
        Some(lead) => told(*lead, short, NONE_CAUGHT),
    });
    let alarms = models.iter().map(|m| {
        let level = if m.lead.level.is_finite() { fixed(m.lead.level, 3) } else { GAP.to_owned() };
        Cell::plain(format!("{} ({}) @{level}", count(m.lead.alarms), count(m.lead.false_alarms)))
    });
    [
        row("Failures announced at the high alarm level", "caught", Better::Neither, caught.collect()),
        row(&format!("Median lead time ({unit})"), &format!("lead ({unit})"), Better::Neither, median.collect()),
        row("Rows alarmed (known false) @level", "alarms (false)", Better::Neither, alarms.collect()),
    ]
}

/// The middle of sorted values; of an even number the lower one, a time that was seen.
pub(super) fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// The name of a score as `Difference` carries it.
pub(super) fn score_name(evaluation: &Evaluation, score: &str) -> String {
    match score {
        "integrated_brier" => "Integrated Brier score".to_owned(),
        "concordance" => "Concordance C".to_owned(),
        "rul_rmse" => format!("RUL RMSE ({})", evaluation.unit),
        other => other.to_owned(),
    }
}
