//! What a score loses when the columns of one metric are shuffled among rows (permutation importance, Breiman 2001).
//!
//! All columns and channels made of one metric's tiles are shuffled together: one of them alone would be made up for by
//! the others. Shuffling is done before scaling, so that summaries of a window follow their window.

use std::collections::BTreeMap;

use features::{FeatureBatch, FeatureSpec, LabeledBatch};
use model::{LoadedBundle, Predictor};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use survival::scores::brier::integrated_brier_contributions;
use survival::{CensoringWeights, ClusterBootstrap, PairedInterval};

use crate::error::Result;

/// Columns and channels that are shuffled together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileGroup {
    /// The metric, or the column where it reads none.
    pub name: String,
    /// Numbers of flat columns.
    pub columns: Vec<usize>,
    /// Numbers of channels.
    pub channels: Vec<usize>,
}

/// The groups of a spec, by name. A column of two metrics goes with the first of them.
#[must_use]
pub fn tile_groups(spec: &FeatureSpec) -> Vec<TileGroup> {
    let mut groups: BTreeMap<String, TileGroup> = BTreeMap::new();
    let mut group = |name: &str, column: Option<usize>, channel: Option<usize>| {
        let group = groups.entry(name.to_owned()).or_insert_with(|| TileGroup {
            name: name.to_owned(),
            columns: Vec::new(),
            channels: Vec::new(),
        });
        group.columns.extend(column);
        group.channels.extend(channel);
    };
    for (at, column) in spec.flat.iter().enumerate() {
        group(column.source.metrics().first().copied().unwrap_or(&column.name), Some(at), None);
    }
    for (at, channel) in spec.channels.iter().enumerate() {
        group(&channel.metric, None, Some(at));
    }
    groups.into_values().collect()
}

/// What one group is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupImportance {
    /// The group.
    pub group: String,
    /// Flat columns and channels in it.
    pub columns: usize,
    /// Integrated Brier score with the group shuffled minus without: above 0 where the model uses it.
    pub loss: PairedInterval,
}

/// What shuffling is judged by.
pub struct Judge<'a> {
    /// Rows and what came of them.
    pub rows: &'a LabeledBatch,
    /// G of the training part.
    pub censoring: &'a CensoringWeights,
    /// Times of the integrated Brier score.
    pub times: &'a [f64],
    /// Resamples of the intervals.
    pub replicates: usize,
    /// Times each group is shuffled; scores are averaged.
    pub repeats: usize,
    /// Seed of shuffles and resamples.
    pub seed: u64,
}

/// The groups of the bundle's spec, the one worth most first.
///
/// # Errors
/// When the rows are of another spec, or times or groups do not suffice for the score and its intervals.
pub fn permutation_importance(bundle: &LoadedBundle, judge: &Judge<'_>) -> Result<Vec<GroupImportance>> {
    let spec = &bundle.info().spec;
    let observations = &judge.rows.observations;
    let score = |batch: &FeatureBatch| -> Result<Vec<f64>> {
        let curves = bundle.predict(batch)?;
        Ok(integrated_brier_contributions(observations, &curves, judge.times, judge.censoring)?)
    };
    let untouched = score(&judge.rows.features)?;
    let bootstrap = ClusterBootstrap::new(&judge.rows.groups, judge.replicates, judge.seed)?;
    let mut found = Vec::new();
    for (number, group) in tile_groups(spec).into_iter().enumerate() {
        let mut generator = ChaCha8Rng::seed_from_u64(judge.seed.wrapping_add(number as u64));
        let mut mean = vec![0.0; untouched.len()];
        for _ in 0..judge.repeats {
            let shuffled = shuffled(spec, &judge.rows.features, &group, &mut generator)?;
            for (sum, value) in mean.iter_mut().zip(score(&shuffled)?) {
                #[expect(clippy::cast_precision_loss, reason = "a handful of repeats")]
                let weight = 1.0 / judge.repeats.max(1) as f64;
                *sum += weight * value;
            }
        }
        let loss = bootstrap.paired_difference(&mean, &untouched)?;
        found.push(GroupImportance { group: group.name, columns: group.columns.len() + group.channels.len(), loss });
    }
    found.sort_by(|a, b| b.loss.difference.total_cmp(&a.loss.difference).then_with(|| a.group.cmp(&b.group)));
    Ok(found)
}

/// The batch with one group's values taken from other rows, whole rows at a time.
fn shuffled(spec: &FeatureSpec, batch: &FeatureBatch, group: &TileGroup, rng: &mut ChaCha8Rng) -> Result<FeatureBatch> {
    let mut order: Vec<usize> = (0..batch.rows()).collect();
    order.shuffle(rng);
    let (mut flat, mut sequence) = (batch.flat().to_vec(), batch.sequence().to_vec());
    let (width, channels, size) = (batch.width(), batch.channels(), batch.steps() * batch.channels());
    for (row, &from) in order.iter().enumerate() {
        for &column in &group.columns {
            flat[row * width + column] = batch.flat()[from * width + column];
        }
        for &channel in &group.channels {
            for step in 0..batch.steps() {
                let at = step * channels + channel;
                sequence[row * size + at] = batch.sequence()[from * size + at];
            }
        }
    }
    Ok(FeatureBatch::try_new(
        spec,
        batch.spec_hash().to_owned(),
        batch.entities().to_vec(),
        batch.as_of().to_vec(),
        flat,
        sequence,
    )?)
}
