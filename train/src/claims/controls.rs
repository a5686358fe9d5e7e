//! Controls that run with every comparison: shuffled outcomes must teach nothing, and a column that leaks the outcome
//! must be found.

use std::collections::BTreeMap;

use features::{LabeledBatch, Split};
use model::ModelKind;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use survival::scores::concordance::harrell_weighted;
use survival::scores::detection::HorizonLabels;
use survival::{CensoringWeights, ClusterBootstrap, Interval, Observation};

use crate::bench::task::Task;
use crate::bench::{Answered, Outer};
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::evaluate::risk_of;
use crate::fitted::{fit_model, prepare};

/// Name of the planted column.
const CANARY: &str = "canary";
/// A control fails wrongly once in a hundred.
const LEVEL: f64 = 0.99;

/// What the controls of one data set found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Controls {
    /// Data set.
    pub data: String,
    /// A model fitted and judged on shuffled outcomes; `None` where it was not asked for.
    pub permutation: Option<Permutation>,
    /// The search for columns that give the outcome away; `None` where it was not asked for.
    pub leaks: Option<Leaks>,
}

/// Shuffled outcomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Permutation {
    /// Family.
    pub model: ModelKind,
    /// Harrell's C on the rows held out, with its interval over groups.
    pub concordance: Interval,
    /// Whether the interval holds ½.
    pub passed: bool,
}

/// Columns that alone tell who fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaks {
    /// Horizon of the outcome.
    pub horizon: f64,
    /// One column alone may not reach this.
    pub limit: f64,
    /// Columns that do, with their AUC; the planted one is left out.
    pub columns: Vec<(String, f64)>,
    /// Whether the planted column was found.
    pub canary_found: bool,
}

impl Controls {
    /// What went wrong, in words; empty when nothing did.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(permutation) = self.permutation.as_ref().filter(|permutation| !permutation.passed) {
            problems.push(format!(
                "{}: on shuffled outcomes {} has a C of {:.3} [{:.3}, {:.3}], not ½",
                self.data,
                permutation.model.name(),
                permutation.concordance.estimate,
                permutation.concordance.low,
                permutation.concordance.high
            ));
        }
        if let Some(leaks) = &self.leaks {
            if !leaks.canary_found {
                problems.push(format!("{}: a planted leak was not found, so the leak check is blind here", self.data));
            }
            for (column, auc) in &leaks.columns {
                problems.push(format!(
                    "{}: the column {column} alone has an AUC of {auc:.3} within {}: it may hold the outcome",
                    self.data, leaks.horizon
                ));
            }
        }
        problems
    }
}

/// The rows a check may look at without opening a test part: those of other parts, or all in folds.
fn open_rows(task: &Task<'_>) -> Vec<usize> {
    (0..task.rows.rows()).filter(|&row| task.outer != Outer::Given || task.rows.splits[row] != Split::Test).collect()
}

/// Searches the flat columns, and plants one that leaks to see that the search works.
///
/// # Errors
/// When no horizon has both failures and survivors.
pub fn leaks(task: &Task<'_>, limit: f64, seed: u64) -> Result<Leaks> {
    let rows = task.rows.select(&open_rows(task));
    let censoring = CensoringWeights::fit(&rows.observations)?;
    let usable = |horizon: f64| -> Option<(f64, HorizonLabels)> {
        let labels = HorizonLabels::new(&rows.observations, horizon, &censoring).ok()?;
        labels.prevalence().ok().filter(|share| *share > 0.0 && *share < 1.0)?;
        Some((horizon, labels))
    };
    let horizons = &task.dataset.readout().horizons;
    let found = horizons.iter().rev().find_map(|&horizon| usable(horizon));
    let (horizon, labels) = found.ok_or_else(|| TrainError::Study {
        what: format!("the leak check of {}", task.name),
        reason: "no horizon has both failures and survivors that were followed so far".to_owned(),
    })?;
    let names = task.dataset.spec().flat.iter().map(|column| column.name.clone());
    let columns = names.enumerate().map(|(at, name)| {
        let values: Vec<f32> = (0..rows.rows()).map(|row| rows.features.flat_row(row)[at]).collect();
        (name, values)
    });
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    #[expect(clippy::cast_possible_truncation, reason = "a column is in single precision")]
    let canary = rows.observations.iter().map(|o| leak(o, horizon, &mut rng) as f32).collect();
    let mut suspects = suspicious(columns.chain([(CANARY.to_owned(), canary)]), &labels, limit);
    let planted = suspects.iter().position(|(name, _)| name == CANARY);
    if let Some(at) = planted {
        suspects.remove(at);
    }
    Ok(Leaks { horizon, limit, columns: suspects, canary_found: planted.is_some() })
}

/// Whether the unit failed within the horizon, with some noise: what a column filled in afterwards looks like.
fn leak(observation: &Observation, horizon: f64, rng: &mut ChaCha8Rng) -> f64 {
    let ended = observation.failed() && observation.duration() <= horizon;
    f64::from(u8::from(ended)) + rng.random_range(-0.4..0.4)
}

/// Columns whose values, or whose absence, alone separate failures from survivors: AUC above `limit` in either
/// direction, or below 1 − `limit`.
#[must_use]
pub fn suspicious(
    columns: impl Iterator<Item = (String, Vec<f32>)>,
    labels: &HorizonLabels,
    limit: f64,
) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for (name, values) in columns {
        let seen: Vec<f64> = values.iter().map(|value| f64::from(u8::from(!value.is_nan()))).collect();
        let scores: Vec<f64> =
            values.iter().map(|value| if value.is_nan() { 0.0 } else { f64::from(*value) }).collect();
        // Rows without a value say nothing by their value; that they have none may say all.
        let by_value = labels.reweighted(&seen).and_then(|labels| labels.roc_auc(&scores)).ok();
        let by_absence = labels.roc_auc(&seen).ok();
        let enough = |auc: &f64| auc.max(1.0 - auc) > limit;
        // Few observed values separate by chance.
        let observed = seen.iter().sum::<f64>();
        #[expect(clippy::cast_precision_loss, reason = "rows")]
        let by_value = by_value.filter(|_| observed >= 0.1 * seen.len() as f64);
        if let Some(auc) = by_value.into_iter().chain(by_absence).find(enough) {
            found.push((name, auc.max(1.0 - auc)));
        }
    }
    found
}

/// Outcomes of whole groups handed to other groups: what is left to learn is nothing.
///
/// A group with more rows than the one it takes from takes them again from the start.
///
/// # Errors
/// When a batch cannot be put together.
pub fn permuted(rows: &LabeledBatch, seed: u64) -> Result<LabeledBatch> {
    let mut by_group: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, group) in rows.groups.iter().enumerate() {
        by_group.entry(group).or_default().push(row);
    }
    let groups: Vec<&Vec<usize>> = by_group.values().collect();
    let mut givers: Vec<usize> = (0..groups.len()).collect();
    givers.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut from: Vec<usize> = (0..rows.rows()).collect();
    for (takes, giver) in groups.iter().zip(givers) {
        for (at, &row) in takes.iter().enumerate() {
            from[row] = groups[giver][at % groups[giver].len()];
        }
    }
    Ok(LabeledBatch::try_new(
        rows.features.clone(),
        from.iter().map(|&row| rows.observations[row]).collect(),
        from.iter().map(|&row| rows.known_alive[row]).collect(),
        rows.groups.clone(),
        rows.splits.clone(),
    )?)
}

/// Fits one family on shuffled outcomes of the rows to learn from and judges it on shuffled outcomes of the first part
/// held out.
///
/// # Errors
/// When a fit fails or no pair can be compared.
pub fn permutation(task: &Task<'_>, answered: &Answered, seed: u64) -> Result<Permutation> {
    let model = answered.config.kinds.iter().copied().find(|&kind| kind == ModelKind::Cox);
    let model = model.unwrap_or(ModelKind::DiscreteHazard);
    let held_out = task.held_out()?;
    let part = held_out.first().ok_or_else(|| TrainError::Study {
        what: format!("the control of {}", task.name),
        reason: "nothing is held out".to_owned(),
    })?;
    let learned = permuted(&task.rows.select(&part.develop), seed)?;
    let judged = permuted(&task.rows.select(&part.test), seed.wrapping_add(1))?;
    let all: Vec<usize> = (0..learned.rows()).collect();
    let shuffled = Task { rows: &learned, name: task.name.clone(), ..*task };
    let rows = shuffled.parts(&all);
    let parts = rows.of(task.dataset);
    let prepared = prepare(parts, 0)?;
    let settings = TrainConfig { model, ..TrainConfig::default() };
    let fitted = fit_model(model, parts, &prepared, &settings, None, &datasets::Silent)?;
    let curves = fitted.predict(task.dataset.grid(), &judged.features)?;
    let risk = risk_of(&curves, task.dataset.readout().restricted_to)?;
    let bootstrap = ClusterBootstrap::new(&judged.groups, 500, seed)?.with_level(LEVEL)?;
    let concordance = bootstrap
        .interval_of(|weights| harrell_weighted(&judged.observations, &risk, weights).ok().map(|found| found.index))?;
    Ok(Permutation { model, concordance, passed: concordance.low <= 0.5 && concordance.high >= 0.5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_knows_is_found_in_either_direction_and_by_its_absence() {
        let positive: Vec<bool> = (0..200).map(|at| at % 4 == 0).collect();
        let labels = HorizonLabels::known(&positive).unwrap();
        let column = |name: &str, value: &dyn Fn(usize, bool) -> f32| {
            (name.to_owned(), positive.iter().enumerate().map(|(at, &yes)| value(at, yes)).collect::<Vec<f32>>())
        };
        let noise = |at: usize| u8::try_from((at * 37) % 101).map(f32::from).unwrap();
        let columns = [
            column("noise", &|at, _| noise(at)),
            column("above", &|at, yes| noise(at) + if yes { 200.0 } else { 0.0 }),
            column("below", &|at, yes| noise(at) - if yes { 200.0 } else { 0.0 }),
            column("absent", &|at, yes| if yes { f32::NAN } else { noise(at) }),
            column("nowhere", &|_, _| f32::NAN),
            // Seen in 2 of 200 rows, where it separates by chance.
            column("rare", &|at, _| if at < 2 { noise(at) } else { f32::NAN }),
            column("constant", &|_, _| 1.0),
        ];
        let found: Vec<String> =
            suspicious(columns.into_iter(), &labels, 0.98).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["above", "below", "absent"]);
    }

    #[test]
    fn problems_are_named() {
        let interval = Interval { estimate: 0.6, low: 0.55, high: 0.65, level: LEVEL };
        let permutation = Permutation { model: ModelKind::Cox, concordance: interval, passed: false };
        let leaks =
            Leaks { horizon: 24.0, limit: 0.98, columns: vec![("exit_code".to_owned(), 0.995)], canary_found: false };
        let controls = Controls { data: "pods".to_owned(), permutation: Some(permutation), leaks: Some(leaks) };
        let problems = controls.problems();
        assert_eq!(problems.len(), 3);
        assert!(problems[2].contains("exit_code") && problems[0].contains("0.600"), "{problems:?}");
        assert!(Controls { data: "pods".to_owned(), permutation: None, leaks: None }.problems().is_empty());
    }
}
