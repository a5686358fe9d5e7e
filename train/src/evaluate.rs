//! Every score of every model on the same rows, with clustered bootstrap intervals and paired differences.

use std::collections::BTreeMap;
use std::sync::Arc;

use features::LabeledBatch;
use model::{AlarmLevels, ModelKind};
use serde::{Deserialize, Serialize};
use survival::scores::brier::{brier_contributions, integrated_brier_contributions};
use survival::scores::calibration::{ReliabilityTable, d_calibration, failure_probabilities, reliability_table};
use survival::scores::concordance::{harrell, harrell_weighted};
use survival::scores::detection::{HorizonLabels, ThresholdPoint};
use survival::scores::log_likelihood::log_loss_contributions;
use survival::{
    CensoringWeights, ClusterBootstrap, Interval, KaplanMeier, Observation, PairedInterval, Readout, SurvivalCurve,
    TimeGrid,
};

use crate::error::Result;

/// Replicates and seed of the bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// Replicates for scores that are means over rows.
    pub replicates: usize,
    /// Replicates for rank scores, each of which sorts the rows again.
    pub rank_replicates: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self { replicates: 2000, rank_replicates: 200, seed: 20 }
    }
}

/// What one model predicted for the rows under evaluation.
pub struct Predicted {
    /// Name in tables.
    pub name: String,
    /// Family.
    pub kind: ModelKind,
    /// One curve per row.
    pub curves: Vec<SurvivalCurve>,
    /// Outermost RUL quantiles per row, as the model's own calibration reads them; `None` beyond the grid.
    pub rul_interval: Vec<(Option<f64>, Option<f64>)>,
    /// Share of lives those intervals should hold.
    pub nominal_coverage: f64,
    /// The model's `high` alarm level, per row: folds of a cross-validation choose their own.
    pub alarm_level: Vec<f64>,
    /// Horizon the alarm level refers to.
    pub alarm_horizon: f64,
    /// Wall-clock seconds of its fit, where known.
    pub fit_seconds: Option<f64>,
}

impl Predicted {
    /// Curves of one model, read with its own quantile and alarm levels.
    ///
    /// # Errors
    /// When a quantile level is outside (0, 1).
    pub fn new(
        name: String,
        kind: ModelKind,
        curves: Vec<SurvivalCurve>,
        readout: &Readout,
        alarms: &AlarmLevels,
        fit_seconds: Option<f64>,
    ) -> Result<Self> {
        let outer = readout.quantile_levels.first().copied().zip(readout.quantile_levels.last().copied());
        let rul_interval = curves
            .iter()
            .map(|curve| match outer {
                Some((low, high)) => Ok((curve.quantile(low)?, curve.quantile(high)?)),
                None => Ok((None, None)),
            })
            .collect::<Result<Vec<_>>>()?;
        let nominal = readout.quantiles.last().unwrap_or(&1.0) - readout.quantiles.first().unwrap_or(&0.0);
        Ok(Self {
            name,
            kind,
            rul_interval,
            nominal_coverage: nominal,
            alarm_level: vec![alarms.high; curves.len()],
            alarm_horizon: alarms.horizon,
            curves,
            fit_seconds,
        })
    }

    /// Adds the rows of another fold.
    pub fn extend(&mut self, fold: Self) {
        self.curves.extend(fold.curves);
        self.rul_interval.extend(fold.rul_interval);
        self.alarm_level.extend(fold.alarm_level);
        self.fit_seconds = self.fit_seconds.zip(fold.fit_seconds).map(|(a, b)| a + b);
    }
}

/// What the rows under evaluation are.
pub struct Judged<'a> {
    /// Name of the data set.
    pub dataset: &'a str,
    /// Rows and labels.
    pub test: &'a LabeledBatch,
    /// Labels of the training part: the censoring distribution comes from them.
    pub training: &'a [Observation],
    /// Time axis.
    pub grid: &'a Arc<TimeGrid>,
    /// Cause names.
    pub causes: &'a [String],
    /// Horizons.
    pub readout: &'a Readout,
    /// The true curves, on simulated data.
    pub truth: Option<&'a [SurvivalCurve]>,
    /// Ticks per unit of duration, to tell one failure from another.
    pub ticks_per_unit: i64,
}

/// Scores of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelScores {
    /// Name in tables.
    pub name: String,
    /// Family.
    pub kind: ModelKind,
    /// Integrated Brier score; lower is better.
    pub integrated_brier: Interval,
    /// Harrell's C of −restricted mean life; higher is better.
    pub concordance: Interval,
    /// Mean −ln likelihood per row; lower is better.
    pub log_loss: Interval,
    /// Brier score per horizon.
    pub brier: Vec<Interval>,
    /// Area under precision–recall per horizon; `None` where nobody failed.
    pub average_precision: Vec<Option<Interval>>,
    /// RMSE of the restricted mean against min(T, cap), where at least nine rows in ten tell it.
    pub rul_rmse: Option<Interval>,
    /// Share of known lives inside the outer RUL quantiles, and the share it should be.
    pub rul_coverage: Option<(f64, f64)>,
    /// p-value of D-calibration; small means miscalibrated.
    pub d_calibration_p: f64,
    /// Expected calibration error per horizon; `None` where it cannot be told.
    pub calibration_error: Vec<Option<f64>>,
    /// Lead times at the bundle's `high` alarm level.
    pub lead: LeadTimes,
    /// Seconds of fitting, where known.
    pub fit_seconds: Option<f64>,
    /// Integrated Brier score above the true curve's, on simulated data.
    pub regret: Option<PairedInterval>,
    /// Mean absolute difference to the true S over edges and rows, on simulated data.
    pub distance_to_truth: Option<f64>,
}

/// How early failures were announced at one alarm level.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeadTimes {
    /// Alarm level.
    pub level: f64,
    /// Failures seen in the rows.
    pub failures: usize,
    /// Failures with an alarm before them.
    pub caught: usize,
    /// Time from first alarm to failure of each caught one, sorted.
    pub lead: Vec<f64>,
    /// Rows above the level.
    pub alarms: usize,
    /// Rows above the level whose entity is known to have lived through the horizon.
    pub false_alarms: usize,
}

/// Difference of a score between two models, on the same rows and resamples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// First model.
    pub a: String,
    /// Second model.
    pub b: String,
    /// `integrated_brier`, `concordance` or `rul_rmse`.
    pub score: String,
    /// a − b.
    pub difference: PairedInterval,
    /// `a` or `b` is better with the interval clear of zero, else `no difference shown`.
    pub verdict: String,
}

/// Numbers behind the figures of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Kaplan–Meier of the rows: time, S, low, high.
    pub kaplan_meier: Vec<[f64; 4]>,
    /// Per model, mean predicted S by risk quarter (lowest risk first), at the grid edges, with Kaplan–Meier of those rows.
    pub by_risk: BTreeMap<String, Vec<RiskGroup>>,
    /// Per model and horizon, calibration tables.
    pub calibration: BTreeMap<String, Vec<Option<ReliabilityTable>>>,
    /// Per model, precision–recall at the last horizon with failures: recall, precision.
    pub precision_recall: BTreeMap<String, Vec<[f64; 2]>>,
    /// Prevalence beside it, and the horizon.
    pub prevalence: Option<(f64, f64)>,
    /// Per model, Brier score over time: time, score.
    pub brier: BTreeMap<String, Vec<[f64; 2]>>,
}

/// Rows of similar predicted risk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskGroup {
    /// Rows in it.
    pub rows: usize,
    /// Mean predicted S at the grid edges.
    pub predicted: Vec<f64>,
    /// Kaplan–Meier of the rows at the grid edges.
    pub observed: Vec<f64>,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Data set.
    pub dataset: String,
    /// Part of the data set the rows are of.
    #[serde(default = "test_part")]
    pub part: String,
    /// Rows judged.
    pub rows: usize,
    /// Units resampled.
    pub groups: usize,
    /// Rows that end in a failure.
    pub failures: usize,
    /// Distinct failures behind those rows.
    pub distinct_failures: usize,
    /// Unit of times.
    pub unit: String,
    /// Horizons.
    pub horizons: Vec<f64>,
    /// Cause names.
    pub causes: Vec<String>,
    /// Grid edges.
    pub edges: Vec<f64>,
    /// The integrated Brier score runs from the first to the last of these.
    pub brier_times: Vec<f64>,
    /// Smallest share not yet censored that was divided by.
    pub smallest_censoring_weight: f64,
    /// Cap of RUL and restricted mean.
    pub restricted_to: f64,
    /// Bootstrap settings.
    pub config: EvaluateConfig,
    /// One per model.
    pub models: Vec<ModelScores>,
    /// Paired differences of the first model to every other.
    pub differences: Vec<Difference>,
    /// Behind the figures.
    pub figures: Figures,
}

/// Times the integrated Brier score runs over: grid edges up to the last horizon, where enough were still watched.
#[must_use]
pub fn brier_times(grid: &TimeGrid, readout: &Readout, censoring: &CensoringWeights) -> Vec<f64> {
    let last = readout.horizons.last().copied().unwrap_or(grid.last_edge());
    let until: Vec<f64> = grid.edges().iter().copied().filter(|&t| t > 0.0 && t <= last).collect();
    censoring.allowed_times(&until)
}

/// Evaluations of releases that judged nothing else do not say so.
fn test_part() -> String {
    features::Split::Test.name().to_owned()
}

/// Judges every model on the same rows. The first model is the one the others are compared with.
///
/// # Errors
/// When there are no rows or models, or no failure to judge by.
pub fn evaluate(judged: &Judged<'_>, models: &[Predicted], config: EvaluateConfig) -> Result<Evaluation> {
    let observations = &judged.test.observations;
    let censoring = CensoringWeights::fit(judged.training)?;
    let brier_times = brier_times(judged.grid, judged.readout, &censoring);
    let bootstrap = ClusterBootstrap::new(&judged.test.groups, config.replicates, config.seed)?;
    let rank_bootstrap = ClusterBootstrap::new(&judged.test.groups, config.rank_replicates, config.seed)?;
    let oracle = judged
        .truth
        .map(|curves| integrated_brier_contributions(observations, curves, &brier_times, &censoring))
        .transpose()?;

    let mut scores = Vec::with_capacity(models.len());
    let mut rows_brier = Vec::with_capacity(models.len());
    let mut risks = Vec::with_capacity(models.len());
    let mut rows_rul = Vec::with_capacity(models.len());
    let mut figures = Figures {
        kaplan_meier: kaplan_meier(observations)?,
        by_risk: BTreeMap::new(),
        calibration: BTreeMap::new(),
        precision_recall: BTreeMap::new(),
        prevalence: None,
        brier: BTreeMap::new(),
    };
    for predicted in models {
        let contributions = integrated_brier_contributions(observations, &predicted.curves, &brier_times, &censoring)?;
        let risk = risk_of(&predicted.curves, judged.readout.restricted_to)?;
        let rul = rul_errors(observations, &risk, judged.readout.restricted_to);
        let mut brier = Vec::new();
        let mut average_precision = Vec::new();
        let mut calibration_error = Vec::new();
        let mut tables = Vec::new();
        for &horizon in &judged.readout.horizons {
            let probabilities = failure_probabilities(&predicted.curves, horizon)?;
            let survival: Vec<f64> = probabilities.iter().map(|p| 1.0 - p).collect();
            brier.push(if censoring.allows(horizon) {
                bootstrap.interval_of_mean(&brier_contributions(observations, &survival, horizon, &censoring)?)?
            } else {
                Interval { estimate: f64::NAN, low: f64::NAN, high: f64::NAN, level: 0.95 }
            });
            let labels = HorizonLabels::new(observations, horizon, &censoring).ok();
            let precision = labels.as_ref().and_then(|labels| {
                rank_bootstrap
                    .interval_of(|weights| {
                        let labels = labels.reweighted(weights).ok()?;
                        Some(labels.precision_recall(&probabilities).ok()?.average_precision)
                    })
                    .ok()
            });
            if let (Some(labels), true) = (&labels, precision.is_some())
                && let Ok(curve) = labels.precision_recall(&probabilities)
            {
                let points = thin(&curve.points, 200);
                figures.precision_recall.insert(predicted.name.clone(), points);
                figures.prevalence = Some((horizon, curve.prevalence));
            }
            average_precision.push(precision);
            let table = reliability_table(observations, &probabilities, horizon, 10, 0.95).ok();
            calibration_error.push(table.as_ref().map(|table| table.expected_error));
            tables.push(table);
        }
        figures.calibration.insert(predicted.name.clone(), tables);
        figures.by_risk.insert(predicted.name.clone(), by_risk(observations, &predicted.curves, &risk, judged.grid)?);
        let mut over_time = Vec::new();
        for &time in &brier_times {
            let survival =
                predicted.curves.iter().map(|c| c.survival_at(time)).collect::<std::result::Result<Vec<_>, _>>()?;
            over_time.push([time, mean(&brier_contributions(observations, &survival, time, &censoring)?)]);
        }
        figures.brier.insert(predicted.name.clone(), over_time);

        let concordance = rank_bootstrap
            .interval_of(|weights| harrell_weighted(observations, &risk, weights).ok().map(|c| c.index))?;
        let concordance = Interval { estimate: harrell(observations, &risk)?.index, ..concordance };
        let regret = oracle.as_ref().map(|oracle| bootstrap.paired_difference(&contributions, oracle)).transpose()?;
        scores.push(ModelScores {
            name: predicted.name.clone(),
            kind: predicted.kind,
            integrated_brier: bootstrap.interval_of_mean(&contributions)?,
            concordance,
            log_loss: bootstrap.interval_of_mean(&log_loss_contributions(observations, &predicted.curves)?)?,
            brier,
            average_precision,
            rul_rmse: rul.as_ref().map(|rul| bootstrap.interval_of(|w| weighted_rmse(rul, w))).transpose()?,
            rul_coverage: coverage(observations, predicted),
            d_calibration_p: d_calibration(observations, &predicted.curves, 10)?.p_value,
            calibration_error,
            lead: lead_times(judged, predicted)?,
            fit_seconds: predicted.fit_seconds,
            regret,
            distance_to_truth: judged.truth.map(|truth| distance(truth, &predicted.curves)),
        });
        rows_brier.push(contributions);
        risks.push(risk);
        rows_rul.push(rul);
    }

    let mut differences = Vec::new();
    for other in 1..models.len() {
        let pair = |score: &str, difference: PairedInterval, lower_is_better: bool| {
            let (a, b) = (models[0].name.clone(), models[other].name.clone());
            let verdict = verdict(&difference, lower_is_better, &a, &b);
            Difference { a, b, score: score.to_owned(), difference, verdict }
        };
        differences.push(pair(
            "integrated_brier",
            bootstrap.paired_difference(&rows_brier[0], &rows_brier[other])?,
            true,
        ));
        let c = |risk: &[f64], weights: &[f64]| harrell_weighted(observations, risk, weights).ok().map(|c| c.index);
        let difference = rank_bootstrap.paired_difference_of(|w| c(&risks[0], w), |w| c(&risks[other], w))?;
        differences.push(pair("concordance", difference, false));
        if let (Some(a), Some(b)) = (&rows_rul[0], &rows_rul[other]) {
            let difference = bootstrap.paired_difference_of(|w| weighted_rmse(a, w), |w| weighted_rmse(b, w))?;
            differences.push(pair("rul_rmse", difference, true));
        }
    }
    let groups: std::collections::HashSet<&String> = judged.test.groups.iter().collect();
    Ok(Evaluation {
        dataset: judged.dataset.to_owned(),
        part: test_part(),
        rows: observations.len(),
        groups: groups.len(),
        failures: observations.iter().filter(|o| o.failed()).count(),
        distinct_failures: failures(judged).len(),
        unit: judged.grid.unit().short().to_owned(),
        horizons: judged.readout.horizons.clone(),
        causes: judged.causes.to_vec(),
        edges: judged.grid.edges().to_vec(),
        smallest_censoring_weight: brier_times.last().map_or(1.0, |&t| censoring.at(t)),
        brier_times,
        restricted_to: judged.readout.restricted_to,
        config,
        models: scores,
        differences,
        figures,
    })
}

fn verdict(difference: &PairedInterval, lower_is_better: bool, a: &str, b: &str) -> String {
    let (better, worse) = if lower_is_better { (a, b) } else { (b, a) };
    if difference.high < 0.0 {
        format!("{better} is better")
    } else if difference.low > 0.0 {
        format!("{worse} is better")
    } else {
        "no difference shown".to_owned()
    }
}

/// Risk as minus the restricted mean life: the longer the life, the lower the risk.
pub(crate) fn risk_of(curves: &[SurvivalCurve], restricted_to: f64) -> Result<Vec<f64>> {
    Ok(curves
        .iter()
        .map(|curve| curve.restricted_mean(restricted_to).map(|m| -m))
        .collect::<std::result::Result<_, _>>()?)
}

/// Predicted minus true capped life per row, NaN where the truth is not known; `None` when too few are.
pub(crate) fn rul_errors(observations: &[Observation], risk: &[f64], cap: f64) -> Option<Vec<f64>> {
    let errors: Vec<f64> = observations
        .iter()
        .zip(risk)
        .map(|(observation, risk)| {
            let known = observation.failed() || observation.duration() >= cap;
            if known { -risk - observation.duration().min(cap) } else { f64::NAN }
        })
        .collect();
    let known = errors.iter().filter(|e| !e.is_nan()).count();
    (known * 10 >= errors.len() * 9).then_some(errors)
}

pub(crate) fn weighted_rmse(errors: &[f64], weights: &[f64]) -> Option<f64> {
    let (sum, total) = errors
        .iter()
        .zip(weights)
        .filter(|(error, _)| !error.is_nan())
        .fold((0.0, 0.0), |(sum, total), (error, weight)| (sum + weight * error * error, total + weight));
    (total > 0.0).then(|| (sum / total).sqrt())
}

/// Whether a life lies between two quantiles, `None` where it is not known: a quantile beyond the grid bounds nothing from
/// above, and everything within the grid lies below it.
pub(crate) fn interval_holds(
    observation: &Observation,
    last: f64,
    low: Option<f64>,
    high: Option<f64>,
) -> Option<bool> {
    let duration = observation.duration();
    let known = observation.failed() || duration >= last;
    let above = low.map_or(duration >= last, |edge| duration >= edge);
    let below = high.is_none_or(|edge| duration <= edge);
    known.then_some(above && below)
}

/// Share of known lives between the outermost RUL quantiles, and its nominal value.
fn coverage(observations: &[Observation], predicted: &Predicted) -> Option<(f64, f64)> {
    let mut inside = 0.0;
    let mut known = 0.0;
    for ((observation, curve), (low, high)) in observations.iter().zip(&predicted.curves).zip(&predicted.rul_interval) {
        let Some(held) = interval_holds(observation, curve.grid().last_edge(), *low, *high) else { continue };
        known += 1.0;
        inside += f64::from(u8::from(held));
    }
    #[expect(clippy::cast_precision_loss, reason = "row counts")]
    let rows = observations.len() as f64;
    // Where few lives are known only the short ones are, and their coverage says nothing.
    (known >= 0.9 * rows).then(|| (inside / known, predicted.nominal_coverage))
}

/// Distinct failures: (entity, time) with the rows that precede each.
fn failures(judged: &Judged<'_>) -> BTreeMap<(String, i64), Vec<usize>> {
    let mut found: BTreeMap<(String, i64), Vec<usize>> = BTreeMap::new();
    let features = &judged.test.features;
    for (row, observation) in judged.test.observations.iter().enumerate() {
        if observation.failed() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "ticks of an event")]
            let time = features.as_of()[row] + (observation.duration() * judged.ticks_per_unit as f64).round() as i64;
            found.entry((features.entities()[row].key().to_owned(), time)).or_default().push(row);
        }
    }
    found
}

fn lead_times(judged: &Judged<'_>, predicted: &Predicted) -> Result<LeadTimes> {
    let horizon = predicted.alarm_horizon;
    let probabilities = failure_probabilities(&predicted.curves, horizon)?;
    let level = predicted.alarm_level.first().copied().unwrap_or(1.0);
    let mut times = LeadTimes { level, ..LeadTimes::default() };
    for rows in failures(judged).values() {
        times.failures += 1;
        let alarmed = rows.iter().filter(|&&row| probabilities[row] >= predicted.alarm_level[row]);
        if let Some(lead) = alarmed.map(|&row| judged.test.observations[row].duration()).max_by(f64::total_cmp) {
            times.caught += 1;
            times.lead.push(lead);
        }
    }
    times.lead.sort_unstable_by(f64::total_cmp);
    for (row, observation) in judged.test.observations.iter().enumerate() {
        if probabilities[row] >= predicted.alarm_level[row] {
            times.alarms += 1;
            if observation.duration() > horizon {
                times.false_alarms += 1;
            }
        }
    }
    Ok(times)
}

fn kaplan_meier(observations: &[Observation]) -> Result<Vec<[f64; 4]>> {
    let estimate = KaplanMeier::fit(observations)?;
    let step = (estimate.times().len() / 300).max(1);
    estimate
        .times()
        .iter()
        .step_by(step)
        .map(|&time| {
            let (low, high) = estimate.interval(time, 0.95)?;
            Ok([time, estimate.survival_at(time), low, high])
        })
        .collect()
}

fn by_risk(
    observations: &[Observation],
    curves: &[SurvivalCurve],
    risk: &[f64],
    grid: &Arc<TimeGrid>,
) -> Result<Vec<RiskGroup>> {
    let mut order: Vec<usize> = (0..risk.len()).collect();
    order.sort_by(|&a, &b| risk[a].total_cmp(&risk[b]));
    let size = order.len().div_ceil(4).max(1);
    let mut groups = Vec::new();
    for rows in order.chunks(size) {
        let observed: Vec<Observation> = rows.iter().map(|&row| observations[row]).collect();
        let estimate = KaplanMeier::fit(&observed)?;
        let predicted = (0..grid.edges().len())
            .map(|edge| mean(&rows.iter().map(|&row| curves[row].survival()[edge]).collect::<Vec<_>>()))
            .collect();
        let observed = grid.edges().iter().map(|&time| estimate.survival_at(time)).collect();
        groups.push(RiskGroup { rows: rows.len(), predicted, observed });
    }
    Ok(groups)
}

fn distance(truth: &[SurvivalCurve], curves: &[SurvivalCurve]) -> f64 {
    let per_row: Vec<f64> = truth
        .iter()
        .zip(curves)
        .map(|(a, b)| mean(&a.survival().iter().zip(b.survival()).map(|(x, y)| (x - y).abs()).collect::<Vec<_>>()))
        .collect();
    mean(&per_row)
}

fn thin(points: &[ThresholdPoint], most: usize) -> Vec<[f64; 2]> {
    let step = points.len().div_ceil(most).max(1);
    points.iter().step_by(step).map(|point| [point.recall, point.precision]).collect()
}

#[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
