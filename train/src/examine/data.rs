//! The data set behind the scores: counts, when its parts lie, how long rows are followed.

use datasets::{Dataset, Description};
use features::{LabeledBatch, Split};
use serde::{Deserialize, Serialize};
use survival::CensoringWeights;

use crate::error::Result;

/// Points of a curve that are kept.
const POINTS: usize = 200;

/// When the rows of a part lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartSpan {
    /// Its name.
    pub part: String,
    /// Rows.
    pub rows: usize,
    /// First moment of a row, in units of duration since the first of all.
    pub from: f64,
    /// Last moment of a row.
    pub until: f64,
    /// Groups that have rows in another part as well.
    pub shared_groups: usize,
}

/// The data set in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataStudy {
    /// Counts, causes, censorings, gaps, missing values.
    pub description: Description,
    /// Where it comes from.
    pub source: String,
    /// Its licence.
    pub licence: String,
    /// Digest of everything that decides its content.
    pub input_digest: String,
    /// When the parts lie.
    pub spans: Vec<PartSpan>,
    /// G of the training part: time, share not yet censored.
    pub censoring: Vec<[f64; 2]>,
    /// Where scores end: G falls below the least allowed, or nobody is followed further.
    pub allowed_until: f64,
}

pub(super) fn study(dataset: &Dataset, rows: &LabeledBatch, censoring: &CensoringWeights) -> Result<DataStudy> {
    let manifest = dataset.manifest();
    let distribution = censoring.distribution();
    let stride = distribution.times().len().div_ceil(POINTS).max(1);
    let steps = distribution.times().iter().zip(distribution.survival()).step_by(stride);
    Ok(DataStudy {
        description: dataset.describe()?,
        source: manifest.source.clone(),
        licence: manifest.licence.clone(),
        input_digest: manifest.input_digest.clone(),
        spans: spans(dataset, rows),
        censoring: std::iter::once([0.0, 1.0]).chain(steps.map(|(&time, &share)| [time, share])).collect(),
        allowed_until: censoring.allowed_until(),
    })
}

fn spans(dataset: &Dataset, rows: &LabeledBatch) -> Vec<PartSpan> {
    use std::collections::{BTreeMap, BTreeSet};
    let first = rows.features.as_of().iter().min().copied().unwrap_or(0);
    let mut parts_of: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
    for (group, split) in rows.groups.iter().zip(&rows.splits) {
        parts_of.entry(group).or_default().insert(*split);
    }
    let axis = dataset.spec().time;
    Split::ALL
        .into_iter()
        .filter_map(|split| {
            let chosen = rows.rows_of(split);
            let moments = || chosen.iter().map(|&row| rows.features.as_of()[row]);
            let (from, until) = (moments().min()?, moments().max()?);
            Some(PartSpan {
                part: split.name().to_owned(),
                rows: chosen.len(),
                from: axis.units(from - first),
                until: axis.units(until - first),
                shared_groups: parts_of.values().filter(|parts| parts.contains(&split) && parts.len() > 1).count(),
            })
        })
        .collect()
}
