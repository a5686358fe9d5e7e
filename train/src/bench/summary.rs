//! Scores of every family on the same held-out rows: per seed, their median and spread, and paired differences.
//!
//! The rows of all parts held out are judged together. Intervals come from resampling groups; where a family has
//! seeds, each row counts with its mean over them, so that chance of the fit is averaged out before rows are drawn.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use features::LabeledBatch;
use model::ModelKind;
use serde::{Deserialize, Serialize};
use survival::compare::bootstrap::{BootstrapComparison, compare_means};
use survival::scores::brier::{brier_contributions, integrated_brier_contributions};
use survival::scores::calibration::{d_calibration, failure_probabilities};
use survival::scores::concordance::harrell;
use survival::scores::detection::HorizonLabels;
use survival::scores::log_likelihood::log_loss_contributions;
use survival::scores::rul::phm08;
use survival::{CensoringWeights, ClusterBootstrap, Observation, SurvivalCurve};

use crate::bench::run::{BenchConfig, ChosenSettings, PartAnswers};
use crate::bench::task::Task;
use crate::error::Result;
use crate::evaluate::{brier_times, interval_holds, mean, risk_of, rul_errors, weighted_rmse};

/// Scores of one fit, or of the folds of one seed together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedScores {
    /// Seed.
    pub seed: u64,
    /// Integrated Brier score.
    pub integrated_brier: f64,
    /// Harrell's C of −restricted mean life.
    pub concordance: f64,
    /// Mean −ln likelihood.
    pub log_loss: f64,
    /// Brier score per horizon; `None` where too few are followed so far.
    pub brier: Vec<Option<f64>>,
    /// Average precision per horizon; `None` where nobody failed.
    pub average_precision: Vec<Option<f64>>,
    /// RMSE against the life capped at the readout's restriction, and against the whole life; where lives are known.
    pub rul_rmse: Option<f64>,
    /// The same without the cap.
    pub rul_rmse_uncapped: Option<f64>,
    /// PHM08 score of capped lives.
    pub phm08: Option<f64>,
    /// Share of known lives between the outer quantiles, calibrated.
    pub coverage: Option<f64>,
    /// D-calibration over one row per group: rows of one unit are not independent, the test's rows must be.
    pub d_calibration_p: f64,
    /// Largest difference of a tenth's share from a tenth, over the same rows.
    pub d_calibration_worst: f64,
}

/// One family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindSummary {
    /// Family.
    pub kind: ModelKind,
    /// By seed.
    pub seeds: Vec<SeedScores>,
    /// Seconds of one fit, mean over seeds and parts.
    pub fit_seconds: f64,
    /// Rows predicted per second, the same.
    pub rows_per_second: f64,
    /// Integrated Brier score against that of the first family.
    pub against_first: Option<BootstrapComparison>,
    /// RUL RMSE against that of the first family: squared errors, mean over seeds.
    pub rmse_against_first: Option<BootstrapComparison>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// Task.
    pub task: String,
    /// Rows judged.
    pub rows: usize,
    /// Groups resampled.
    pub groups: usize,
    /// Rows that end in a failure.
    pub failures: usize,
    /// Unit of times.
    pub unit: String,
    /// Horizons.
    pub horizons: Vec<f64>,
    /// Share that fails within each, weighted for censoring.
    pub prevalence: Vec<Option<f64>>,
    /// The integrated Brier score runs over these.
    pub brier_times: Vec<f64>,
    /// Cap of lives.
    pub cap: f64,
    /// Families in the order run.
    pub kinds: Vec<KindSummary>,
    /// Trials and seconds of tuning by family, over all parts.
    pub tuning: BTreeMap<String, (usize, f64)>,
}

/// Judges every family on every part.
///
/// # Errors
/// When there is no failure to judge by, or times lie beyond what was followed.
pub fn summarise(
    task: &Task<'_>,
    config: &BenchConfig,
    chosen: &ChosenSettings,
    parts: &[PartAnswers],
) -> Result<TaskSummary> {
    let order: Vec<usize> = parts.iter().flat_map(|part| part.rows.iter().copied()).collect();
    let judged = task.rows.select(&order);
    let readout = task.dataset.readout();
    let censoring = CensoringWeights::fit(&judged.observations)?;
    let times = brier_times(task.dataset.grid(), readout, &censoring);
    let bootstrap = ClusterBootstrap::new(&judged.groups, config.replicates, 20)?;
    let apart = one_per_group(&judged);
    let mut kinds: Vec<KindSummary> = Vec::new();
    let mut first: Option<(Vec<f64>, Option<Vec<f64>>)> = None;
    for (at, &kind) in config.kinds.iter().enumerate() {
        let fits: Vec<_> = parts.iter().flat_map(|part| &part.answers[at].1).collect();
        let mut seeds = Vec::new();
        let mut row_brier = vec![0.0; judged.rows()];
        let mut row_square: Option<Vec<f64>> = Some(vec![0.0; judged.rows()]);
        let count = parts.iter().map(|part| part.answers[at].1.len()).min().unwrap_or(0);
        for number in 0..count {
            let curves: Vec<SurvivalCurve> =
                parts.iter().flat_map(|part| part.answers[at].1[number].curves.iter().cloned()).collect();
            let contributions = integrated_brier_contributions(&judged.observations, &curves, &times, &censoring)?;
            let risk = risk_of(&curves, readout.restricted_to)?;
            let errors = rul_errors(&judged.observations, &risk, readout.restricted_to);
            add(&mut row_brier, &contributions, count);
            match (&mut row_square, &errors) {
                (Some(sum), Some(errors)) => {
                    let squares: Vec<f64> = errors.iter().map(|e| if e.is_nan() { 0.0 } else { e * e }).collect();
                    add(sum, &squares, count);
                }
                _ => row_square = None,
            }
            let levels: Vec<(f64, f64)> = parts
                .iter()
                .flat_map(|part| {
                    let answer = &part.answers[at].1[number];
                    let q = &answer.header.readout.quantile_levels;
                    let ends = (q.first().copied().unwrap_or(0.05), q.last().copied().unwrap_or(0.95));
                    std::iter::repeat_n(ends, answer.curves.len())
                })
                .collect();
            seeds.push(scores(&Fit {
                seed: parts[0].answers[at].1[number].seed,
                observations: &judged.observations,
                curves: &curves,
                risk: &risk,
                integrated_brier: mean(&contributions),
                errors: errors.as_deref(),
                levels: &levels,
                apart: &apart,
                censoring: &censoring,
                horizons: &readout.horizons,
                cap: readout.restricted_to,
            })?);
        }
        let (against_first, rmse_against_first) = match &first {
            None => {
                first = Some((row_brier.clone(), row_square.clone()));
                (None, None)
            }
            Some((brier, square)) => (
                Some(compare_means(&bootstrap, brier, &row_brier)?),
                square.as_ref().zip(row_square.as_ref()).map(|(a, b)| root_difference(&bootstrap, a, b)).transpose()?,
            ),
        };
        kinds.push(KindSummary {
            kind,
            seeds,
            fit_seconds: mean(&fits.iter().map(|fit| fit.header.seconds).collect::<Vec<_>>()),
            rows_per_second: mean(&fits.iter().map(|fit| fit.header.rows_per_second).collect::<Vec<_>>()),
            against_first,
            rmse_against_first,
        });
    }
    let mut tuning: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for (kind, chosen) in chosen.values().flatten() {
        let spent = tuning.entry(kind.clone()).or_default();
        spent.0 += chosen.trials;
        spent.1 += chosen.seconds;
    }
    let groups: HashSet<&String> = judged.groups.iter().collect();
    let prevalence = readout
        .horizons
        .iter()
        .map(|&h| HorizonLabels::new(&judged.observations, h, &censoring).ok()?.prevalence().ok())
        .collect();
    Ok(TaskSummary {
        task: task.name.clone(),
        rows: judged.rows(),
        groups: groups.len(),
        failures: judged.observations.iter().filter(|o| o.failed()).count(),
        unit: task.dataset.grid().unit().short().to_owned(),
        horizons: readout.horizons.clone(),
        prevalence,
        brier_times: times,
        cap: readout.restricted_to,
        kinds,
        tuning,
    })
}

/// √mean a − √mean b, resampled.
fn root_difference(bootstrap: &ClusterBootstrap, a: &[f64], b: &[f64]) -> Result<BootstrapComparison> {
    let root = |values: &[f64], weights: &[f64]| -> Option<f64> {
        let total: f64 = weights.iter().sum();
        (total > 0.0).then(|| (values.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / total).sqrt())
    };
    Ok(survival::compare::bootstrap::compare(bootstrap, |weights| Some((root(a, weights)?, root(b, weights)?)))?)
}

#[expect(clippy::cast_precision_loss, reason = "seeds")]
fn add(sum: &mut [f64], values: &[f64], of: usize) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value / of as f64;
    }
}

/// One row of each group, chosen by a hash, so that no row stands for another of its unit.
fn one_per_group(rows: &LabeledBatch) -> Vec<usize> {
    let mut chosen: BTreeMap<&String, (u32, usize)> = BTreeMap::new();
    for row in 0..rows.rows() {
        let place = features::split::group_bucket(&format!("row {row} "), &rows.groups[row]);
        let found = chosen.entry(&rows.groups[row]).or_insert((place, row));
        if place < found.0 {
            *found = (place, row);
        }
    }
    chosen.into_values().map(|(_, row)| row).collect()
}

struct Fit<'a> {
    seed: u64,
    observations: &'a [Observation],
    curves: &'a [SurvivalCurve],
    risk: &'a [f64],
    integrated_brier: f64,
    errors: Option<&'a [f64]>,
    levels: &'a [(f64, f64)],
    apart: &'a [usize],
    censoring: &'a CensoringWeights,
    horizons: &'a [f64],
    cap: f64,
}

fn scores(fit: &Fit<'_>) -> Result<SeedScores> {
    let mut brier = Vec::new();
    let mut average_precision = Vec::new();
    for &horizon in fit.horizons {
        let probabilities = failure_probabilities(fit.curves, horizon)?;
        let survival: Vec<f64> = probabilities.iter().map(|p| 1.0 - p).collect();
        brier.push(
            brier_contributions(fit.observations, &survival, horizon, fit.censoring).ok().map(|rows| mean(&rows)),
        );
        let labels = HorizonLabels::new(fit.observations, horizon, fit.censoring).ok();
        average_precision
            .push(labels.and_then(|l| l.precision_recall(&probabilities).ok()).map(|curve| curve.average_precision));
    }
    let known: Vec<(f64, f64)> = fit
        .errors
        .map(|errors| {
            let rows = errors.iter().zip(fit.risk).zip(fit.observations);
            rows.filter(|((error, _), _)| !error.is_nan()).map(|((_, risk), o)| (-risk, o.duration())).collect()
        })
        .unwrap_or_default();
    let predicted: Vec<f64> = known.iter().map(|(p, _)| *p).collect();
    let capped: Vec<f64> = known.iter().map(|(_, life)| life.min(fit.cap)).collect();
    let square: Vec<f64> = known.iter().map(|(p, life)| (p - life) * (p - life)).collect();
    let told = !known.is_empty();
    let alone: Vec<Observation> = fit.apart.iter().map(|&row| fit.observations[row]).collect();
    let alone_curves: Vec<SurvivalCurve> = fit.apart.iter().map(|&row| fit.curves[row].clone()).collect();
    let calibration = d_calibration(&alone, &alone_curves, 10)?;
    let total: f64 = calibration.counts.iter().sum();
    let tenth = 1.0 / calibration.counts.len() as f64;
    let worst = calibration.counts.iter().map(|count| (count / total - tenth).abs()).fold(0.0, f64::max);
    Ok(SeedScores {
        seed: fit.seed,
        integrated_brier: fit.integrated_brier,
        concordance: harrell(fit.observations, fit.risk)?.index,
        log_loss: mean(&log_loss_contributions(fit.observations, fit.curves)?),
        brier,
        average_precision,
        rul_rmse: fit.errors.and_then(|errors| weighted_rmse(errors, &vec![1.0; errors.len()])),
        rul_rmse_uncapped: told.then(|| mean(&square).sqrt()),
        phm08: if told { Some(phm08(&predicted, &capped)?) } else { None },
        coverage: if told { coverage(fit)? } else { None },
        d_calibration_p: calibration.p_value,
        d_calibration_worst: worst,
    })
}

/// Share of known lives between the outer quantiles.
fn coverage(fit: &Fit<'_>) -> Result<Option<f64>> {
    let mut inside = Vec::new();
    for ((curve, observation), (low, high)) in fit.curves.iter().zip(fit.observations).zip(fit.levels) {
        let (low, high) = (curve.quantile(*low)?, curve.quantile(*high)?);
        if let Some(held) = interval_holds(observation, curve.grid().last_edge(), low, high) {
            inside.push(f64::from(u8::from(held)));
        }
    }
    Ok((!inside.is_empty()).then(|| mean(&inside)))
}

impl KindSummary {
    /// Median over seeds.
    #[must_use]
    pub fn median(&self, score: impl Fn(&SeedScores) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.seeds.iter().filter_map(score).filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(values[middle]),
            _ => Some(0.5 * (values[middle - 1] + values[middle])),
        }
    }

    /// Standard deviation over seeds; `None` for one.
    #[must_use]
    pub fn deviation(&self, score: impl Fn(&SeedScores) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.seeds.iter().filter_map(score).collect();
        let centre = mean(&values);
        #[expect(clippy::cast_precision_loss, reason = "seeds")]
        let degrees = values.len() as f64 - 1.0;
        (degrees > 0.0).then(|| (values.iter().map(|v| (v - centre) * (v - centre)).sum::<f64>() / degrees).sqrt())
    }
}

impl TaskSummary {
    /// The comparison as a Markdown table, one line per family.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let lives = self.kinds.iter().any(|kind| kind.median(|s| s.rul_rmse).is_some());
        let middle = self.horizons.len() / 2;
        let horizon = self.horizons.get(middle).copied().unwrap_or(self.cap);
        let _ = writeln!(
            text,
            "{}: {} rows in {} groups, {} end in a failure\n",
            self.task, self.rows, self.groups, self.failures
        );
        let rul = if lives { " RMSE (cap) | RMSE | PHM08 | cover 90 % |" } else { "" };
        let _ = writeln!(
            text,
            "| model | IBS | difference | p | C | log loss | AUPRC@{horizon} |{rul} D-cal p | worst tenth | fit s |"
        );
        let columns = 10 + if lives { 4 } else { 0 };
        let _ = writeln!(text, "|{}", "---|".repeat(columns));
        for kind in &self.kinds {
            let spread = |score: &dyn Fn(&SeedScores) -> Option<f64>, digits: usize| match kind.median(score) {
                None => "–".to_owned(),
                Some(median) => match kind.deviation(score) {
                    Some(deviation) => format!("{median:.digits$} ± {deviation:.digits$}"),
                    None => format!("{median:.digits$}"),
                },
            };
            let (difference, p) = match &kind.against_first {
                None => ("–".to_owned(), "–".to_owned()),
                Some(found) => {
                    let effect = &found.effect;
                    // Shown as this family minus the first: above 0 is worse.
                    let interval = format!("{:+.4} [{:+.4}, {:+.4}]", -effect.estimate, -effect.high, -effect.low);
                    (interval, format!("{:.3}", found.p_value))
                }
            };
            let _ = write!(
                text,
                "| {} | {} | {difference} | {p} | {} | {} | {} |",
                kind.kind.name(),
                spread(&|s| Some(s.integrated_brier), 4),
                spread(&|s| Some(s.concordance), 3),
                spread(&|s| Some(s.log_loss), 3),
                spread(&|s| s.average_precision.get(middle).copied().flatten(), 3),
            );
            if lives {
                let _ = write!(
                    text,
                    " {} | {} | {} | {} |",
                    spread(&|s| s.rul_rmse, 2),
                    spread(&|s| s.rul_rmse_uncapped, 2),
                    spread(&|s| s.phm08, 0),
                    spread(&|s| s.coverage.map(|c| 100.0 * c), 1),
                );
            }
            let _ = writeln!(
                text,
                " {} | {} | {:.1} |",
                spread(&|s| Some(s.d_calibration_p), 3),
                spread(&|s| Some(s.d_calibration_worst), 3),
                kind.fit_seconds
            );
        }
        text
    }
}
