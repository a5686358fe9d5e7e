//! Shares for people: one prediction by column, channel and step, and the mean over many.

use features::FeatureBatch;
use model::{LoadedBundle, Predictor};
use serde::{Deserialize, Serialize};
use survival::Prediction;

use super::{Attribution, DeletionCurve, Inputs, Method, Scorer, Source, attribute, deletion};
use crate::error::{Result, TrainError};

/// The share of one column or channel in one prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Column, or channel followed by `(window)`.
    pub input: String,
    /// What it added to the failure probability, from the baseline's.
    pub share: f64,
    /// The value before scaling: of a channel its newest one. `None` where it was not observed.
    pub value: Option<f32>,
    /// For a channel, the step with the largest share, in units of duration before `as_of`.
    pub strongest_ago: Option<f64>,
}

/// The shares of one channel along the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelShare {
    /// The channel.
    pub channel: String,
    /// Sum over its summaries.
    pub summaries: f64,
    /// Per step, oldest first.
    pub steps: Vec<f64>,
}

/// Why one row was given its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Bundle, as name@version.
    pub model: String,
    /// How shares were found.
    pub method: Method,
    /// Entity key.
    pub entity: String,
    /// Its kind.
    pub kind: String,
    /// Its incarnation.
    pub incarnation: String,
    /// Moment of the prediction, in ticks.
    pub as_of: i64,
    /// Horizon of the probability.
    pub horizon: f64,
    /// Unit of times.
    pub unit: String,
    /// The failure probability.
    pub probability: f64,
    /// The one of the baseline: every input at the mean of the training part.
    pub baseline: f64,
    /// Sum of all shares minus (probability − baseline).
    pub gap: f64,
    /// Columns and channels, the largest shares first.
    pub contributions: Vec<Contribution>,
    /// Channels by step.
    pub channels: Vec<ChannelShare>,
    /// Names of the causes.
    pub causes: Vec<String>,
    /// Edges of the curve.
    pub edges: Vec<f64>,
    /// S at the edges.
    pub survival: Vec<f64>,
    /// Incidence per cause at the edges.
    pub incidence: Vec<Vec<f64>>,
    /// What is read from the curve.
    pub prediction: Prediction,
}

/// Explains one row of a batch.
///
/// # Errors
/// When the batch has no such row or is of another spec, or the horizon lies beyond the grid.
pub fn explain(bundle: &LoadedBundle, rows: &FeatureBatch, row: usize, horizon: f64) -> Result<Explanation> {
    if row >= rows.rows() {
        let reason = format!("there is no row {row}; the data set has {}, counted from 0", rows.rows());
        return Err(TrainError::Study { what: "explanation".to_owned(), reason });
    }
    let info = bundle.info();
    let batch = rows.select(&[row]);
    let curve = bundle.predict(&batch)?.swap_remove(0);
    let predictor = bundle.predictor();
    let design = predictor.normalizer().design(&batch)?;
    let scorer = Scorer::new(predictor, horizon);
    let attribution = attribute(&scorer, &design, &[0])?.swap_remove(0);
    let inputs = Inputs::new(&info.spec, predictor.normalizer());
    let entity = &batch.entities()[0];
    Ok(Explanation {
        model: format!("{}@{}", info.name, info.version),
        method: scorer.method(),
        entity: entity.key().to_owned(),
        kind: entity.kind().name().to_owned(),
        incarnation: entity.incarnation().to_owned(),
        as_of: batch.as_of()[0],
        horizon,
        unit: info.grid.unit().short().to_owned(),
        probability: attribution.prediction,
        baseline: attribution.baseline,
        gap: attribution.gap,
        contributions: contributions(&inputs, &attribution, &batch),
        channels: channels(&inputs, &attribution),
        causes: info.causes.clone(),
        edges: curve.grid().edges().to_vec(),
        survival: curve.survival().to_vec(),
        incidence: curve.incidence().to_vec(),
        prediction: bundle.read(&curve)?,
    })
}

fn contributions(inputs: &Inputs, attribution: &Attribution, batch: &FeatureBatch) -> Vec<Contribution> {
    let by_step = inputs.by_step(&attribution.sequence);
    let totals = inputs.totals(attribution);
    let mut found: Vec<Contribution> = inputs
        .groups()
        .into_iter()
        .zip(totals)
        .map(|((input, source), share)| {
            let (value, strongest_ago) = match source {
                Source::Column(at) => (batch.flat_row(0).get(at).copied(), None),
                Source::Channel(at) => {
                    let values = batch.sequence_row(0).iter().skip(at).step_by(inputs.channels().len().max(1));
                    let newest = values.copied().rfind(|v| v.is_finite());
                    let steps = by_step.get(at).map_or(&[][..], Vec::as_slice);
                    let strongest = (0..steps.len())
                        .max_by(|&a, &b| steps[a].abs().total_cmp(&steps[b].abs()))
                        .filter(|&step| steps[step].abs() > 0.0);
                    (newest, strongest.map(|step| inputs.ago(step)))
                }
            };
            Contribution { input, share, value: value.filter(|v| v.is_finite()), strongest_ago }
        })
        .collect();
    found.sort_by(|a, b| b.share.abs().total_cmp(&a.share.abs()).then_with(|| a.input.cmp(&b.input)));
    found
}

fn channels(inputs: &Inputs, attribution: &Attribution) -> Vec<ChannelShare> {
    let totals = inputs.totals(attribution);
    let columns = totals.len() - inputs.channels().len();
    inputs
        .by_step(&attribution.sequence)
        .into_iter()
        .enumerate()
        .map(|(at, steps)| ChannelShare {
            channel: inputs.channels()[at].clone(),
            summaries: totals[columns + at] - steps.iter().sum::<f64>(),
            steps,
        })
        .collect()
}

/// What predictions of many rows rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalAttribution {
    /// How shares were found.
    pub method: Method,
    /// Horizon of the probability.
    pub horizon: f64,
    /// Rows it is the mean over.
    pub rows: usize,
    /// Probability at the baseline.
    pub baseline: f64,
    /// Largest |sum of shares − difference| of a row.
    pub largest_gap: f64,
    /// Column or channel, mean |share|, mean share; the largest mean |share| first.
    pub inputs: Vec<(String, f64, f64)>,
    /// Per channel, mean |share| at each step, oldest first.
    pub channels: Vec<(String, Vec<f64>)>,
    /// How long before `as_of` the oldest step ends.
    pub oldest_ago: f64,
    /// The check by deletion.
    pub deletion: DeletionCurve,
}

/// Mean shares of the chosen rows, and their check by deletion.
///
/// # Errors
/// As [`attribute`]; also when no row is chosen.
pub fn overall(
    bundle: &LoadedBundle,
    batch: &FeatureBatch,
    rows: &[usize],
    horizon: f64,
    seed: u64,
) -> Result<GlobalAttribution> {
    if rows.is_empty() {
        let reason = "no row was chosen".to_owned();
        return Err(TrainError::Study { what: "attribution".to_owned(), reason });
    }
    let predictor = bundle.predictor();
    let design = predictor.normalizer().design(&batch.select(rows))?;
    let all: Vec<usize> = (0..design.rows).collect();
    let scorer = Scorer::new(predictor, horizon);
    let found = attribute(&scorer, &design, &all)?;
    let inputs = Inputs::new(&bundle.info().spec, predictor.normalizer());
    #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
    let weight = 1.0 / rows.len() as f64;
    let groups = inputs.groups();
    let mut sums = vec![(0.0, 0.0); groups.len()];
    let mut cells = vec![0.0; design.steps * design.channels];
    for attribution in &found {
        for (sum, total) in sums.iter_mut().zip(inputs.totals(attribution)) {
            sum.0 += weight * total.abs();
            sum.1 += weight * total;
        }
        for (cell, share) in cells.iter_mut().zip(&attribution.sequence) {
            *cell += weight * share.abs();
        }
    }
    let mut means: Vec<(String, f64, f64)> =
        groups.into_iter().zip(sums).map(|((name, _), (absolute, signed))| (name, absolute, signed)).collect();
    means.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(GlobalAttribution {
        method: scorer.method(),
        horizon,
        rows: rows.len(),
        baseline: found.first().map_or(f64::NAN, |a| a.baseline),
        largest_gap: found.iter().map(|a| a.gap.abs()).fold(0.0, f64::max),
        inputs: means,
        channels: inputs.channels().iter().cloned().zip(inputs.by_step(&cells)).collect(),
        oldest_ago: inputs.ago(0),
        deletion: deletion(&scorer, &design, &all, &found, seed)?,
    })
}
