//! Which type of fault was it: every classifier on the same columns, the same folds, each case asked for once.
//!
//! Settings are chosen by log loss on folds inside the cases that teach. Probabilities of all methods are mixed with a
//! little of the uniform, because a type may be asked for that no earlier case had.

use datasets::benchmark::faults::{FaultCase, FaultSet};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use survival::{ClusterBootstrap, Interval};

use super::FaultsOptions;
use super::boosted::{BoostedConfig, OneVsRest};
use super::features::{Shifts, View, case_row};
use super::folds::{Fold, folds, inner_folds};
use super::logistic::{Multinomial, Standardizer};
use super::neural::{NetworkChoice, fit_predict};
use super::score::{confusion, log_losses, macro_f1, most_likely, rate};
use crate::error::{Result, TrainError};

/// Share of the uniform in every probability.
const UNIFORM: f64 = 0.02;
/// Cases nearest in time that the clock-only control asks.
const NEAREST: usize = 3;
const RIDGES: [f64; 5] = [0.1, 1.0, 10.0, 100.0, 1000.0];
const TREES: [BoostedConfig; 4] = [
    BoostedConfig { rounds: 20, depth: 1, learning_rate: 0.2 },
    BoostedConfig { rounds: 80, depth: 1, learning_rate: 0.2 },
    BoostedConfig { rounds: 20, depth: 3, learning_rate: 0.2 },
    BoostedConfig { rounds: 80, depth: 3, learning_rate: 0.2 },
];
const NETWORKS: [NetworkChoice; 4] = [
    NetworkChoice { hidden: 16, epochs: 60, learning_rate: 0.01, weight_decay: 0.1 },
    NetworkChoice { hidden: 16, epochs: 200, learning_rate: 0.01, weight_decay: 0.1 },
    NetworkChoice { hidden: 32, epochs: 60, learning_rate: 0.01, weight_decay: 3.0 },
    NetworkChoice { hidden: 32, epochs: 200, learning_rate: 0.01, weight_decay: 3.0 },
];

/// A way of naming the type of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeMethod {
    /// How often each type was seen before: the floor.
    Majority,
    /// The types of the three faults nearest in time: what the schedule alone is worth.
    ClockOnly,
    /// Multinomial logistic regression with a ridge.
    Logit,
    /// The same with the labels of the teaching cases permuted: must fall to the floor.
    LogitPermuted,
    /// Boosted trees, one class against the rest.
    Boosted,
    /// A small network, the mean of its seeds.
    Network,
}

impl TypeMethod {
    /// All of them, floors first.
    pub const ALL: [Self; 6] =
        [Self::Majority, Self::ClockOnly, Self::LogitPermuted, Self::Logit, Self::Boosted, Self::Network];

    /// Name in tables and of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::ClockOnly => "clock_only",
            Self::Logit => "logit",
            Self::LogitPermuted => "logit_permuted",
            Self::Boosted => "boosted",
            Self::Network => "network",
        }
    }

    /// Settings tried inside each fold.
    fn trials(self) -> usize {
        match self {
            Self::Majority | Self::ClockOnly => 1,
            Self::Logit | Self::LogitPermuted => RIDGES.len(),
            Self::Boosted => TREES.len(),
            Self::Network => NETWORKS.len(),
        }
    }

    fn setting(self, trial: usize) -> String {
        match self {
            Self::Majority | Self::ClockOnly => String::new(),
            Self::Logit | Self::LogitPermuted => format!("ridge {}", RIDGES[trial]),
            Self::Boosted => format!("{} rounds of depth {}", TREES[trial].rounds, TREES[trial].depth),
            Self::Network => format!(
                "{} hidden, {} epochs, decay {}",
                NETWORKS[trial].hidden, NETWORKS[trial].epochs, NETWORKS[trial].weight_decay
            ),
        }
    }
}

/// What a method said of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypePrediction {
    /// Case.
    pub id: String,
    /// Resampled together.
    pub cluster: String,
    /// Position of its type.
    pub truth: usize,
    /// Position of the likeliest type.
    pub predicted: usize,
    /// Probability of each type.
    pub probabilities: Vec<f64>,
}

/// Scores of one method on one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultTypeResult {
    /// Data set.
    pub set: String,
    /// What the method was told.
    pub view: View,
    /// Method.
    pub method: TypeMethod,
    /// Types, in the order of positions.
    pub types: Vec<String>,
    /// Mean F1 over types; clusters resampled.
    pub macro_f1: Interval,
    /// Share named rightly.
    pub accuracy: Interval,
    /// Mean −ln of the probability of the truth; clusters resampled.
    pub log_loss: Interval,
    /// Counts, truth × predicted.
    pub confusion: Vec<Vec<usize>>,
    /// Macro F1 of each seed alone, where there are several.
    pub macro_f1_by_seed: Vec<f64>,
    /// Settings tried in each fold.
    pub trials: usize,
    /// Setting chosen in each fold.
    pub chosen: Vec<String>,
    /// Every case asked for.
    pub predictions: Vec<TypePrediction>,
}

/// The columns and labels of a set.
struct Table<'a> {
    cases: Vec<&'a FaultCase>,
    rows: Vec<Vec<f64>>,
    labels: Vec<usize>,
    types: Vec<String>,
}

/// Runs one method over a set.
///
/// # Errors
/// When the set names fewer than two types, its rule allows no learning, or a fit fails.
pub fn run_fault_type(
    set: &FaultSet,
    view: View,
    method: TypeMethod,
    options: &FaultsOptions,
) -> Result<FaultTypeResult> {
    let refused = |reason: String| TrainError::Data { model: format!("{} on {}", method.name(), set.name), reason };
    let cases: Vec<&FaultCase> = set.cases.iter().filter(|case| case.fault_type.is_some()).collect();
    let mut types: Vec<String> = cases.iter().filter_map(|case| case.fault_type.clone()).collect();
    types.sort();
    types.dedup();
    if types.len() < 2 {
        return Err(refused(format!("{} types of fault, need at least two", types.len())));
    }
    let label = |case: &&FaultCase| types.iter().position(|name| Some(name) == case.fault_type.as_ref()).unwrap_or(0);
    let labels: Vec<usize> = cases.iter().map(label).collect();
    let rows = cases.iter().map(|case| case_row(case, &Shifts::of(case), view)).collect();
    let table = Table { rows, labels, types: types.clone(), cases };
    let outer = folds(&table.cases, set.folds);
    if outer.is_empty() {
        return Err(refused("no case may teach about another, or all are of one group".to_owned()));
    }

    let seeds = if method == TypeMethod::Network { options.seeds.max(1) } else { 1 };
    let mut asked: Vec<usize> = Vec::new();
    let mut by_seed: Vec<Vec<Vec<f64>>> = vec![Vec::new(); seeds];
    let mut chosen = Vec::new();
    for fold in &outer {
        let trial = choose(&table, set, fold, method, options)?;
        chosen.push(method.setting(trial));
        for (seed, kept) in (0..).zip(&mut by_seed) {
            kept.extend(predict(&table, fold, method, trial, options.seed.wrapping_add(seed))?);
        }
        asked.extend(&fold.test);
    }
    let truth: Vec<usize> = asked.iter().map(|&case| table.labels[case]).collect();
    let probabilities: Vec<Vec<f64>> = (0..asked.len())
        .map(|row| {
            let mean = |class: usize| by_seed.iter().map(|kept| kept[row][class]).sum::<f64>() / seeds as f64;
            (0..types.len()).map(mean).collect()
        })
        .collect();
    let predicted: Vec<usize> = probabilities.iter().map(|row| most_likely(row)).collect();
    let clusters: Vec<String> = asked.iter().map(|&case| table.cases[case].cluster.clone()).collect();
    let bootstrap = ClusterBootstrap::new(&clusters, options.replicates, options.seed)?;
    let right: Vec<f64> = truth.iter().zip(&predicted).map(|(t, p)| f64::from(u8::from(t == p))).collect();
    let even = vec![1.0; truth.len()];
    let of_seed = |kept: &Vec<Vec<f64>>| {
        let own: Vec<usize> = kept.iter().map(|row| most_likely(row)).collect();
        macro_f1(&truth, &own, types.len(), &even)
    };
    Ok(FaultTypeResult {
        set: set.name.clone(),
        view,
        method,
        macro_f1: bootstrap.interval_of(|weights| macro_f1(&truth, &predicted, types.len(), weights))?,
        accuracy: rate(&right, &clusters, options.replicates, options.seed)?,
        log_loss: bootstrap.interval_of_mean(&log_losses(&truth, &probabilities))?,
        confusion: confusion(&truth, &predicted, types.len()),
        macro_f1_by_seed: if seeds > 1 { by_seed.iter().filter_map(of_seed).collect() } else { Vec::new() },
        trials: method.trials(),
        chosen,
        predictions: asked
            .iter()
            .enumerate()
            .map(|(row, &case)| TypePrediction {
                id: table.cases[case].id.clone(),
                cluster: clusters[row].clone(),
                truth: truth[row],
                predicted: predicted[row],
                probabilities: probabilities[row].clone(),
            })
            .collect(),
        types,
    })
}

/// The trial with the lowest log loss on folds inside the teaching cases; the first of equals, or of one.
fn choose(table: &Table, set: &FaultSet, fold: &Fold, method: TypeMethod, options: &FaultsOptions) -> Result<usize> {
    let inner = inner_folds(&table.cases, &fold.train, set.folds);
    let mut best = (0, f64::INFINITY);
    if method.trials() < 2 || inner.is_empty() {
        return Ok(0);
    }
    for trial in 0..method.trials() {
        let mut losses = Vec::new();
        for fold in &inner {
            let truth: Vec<usize> = fold.test.iter().map(|&case| table.labels[case]).collect();
            losses.extend(log_losses(&truth, &predict(table, fold, method, trial, options.seed)?));
        }
        let mean = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
        if mean < best.1 {
            best = (trial, mean);
        }
    }
    Ok(best.0)
}

/// Probabilities of the asked cases of a fold.
fn predict(table: &Table, fold: &Fold, method: TypeMethod, trial: usize, seed: u64) -> Result<Vec<Vec<f64>>> {
    let classes = table.types.len();
    let mut labels: Vec<usize> = fold.train.iter().map(|&case| table.labels[case]).collect();
    if method == TypeMethod::LogitPermuted {
        labels.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    }
    let rows = |cases: &[usize]| -> Vec<&[f64]> { cases.iter().map(|&case| table.rows[case].as_slice()).collect() };
    let (train, test) = (rows(&fold.train), rows(&fold.test));
    let standard = Standardizer::fit(&train);
    let scaled = |rows: &[&[f64]]| -> Vec<Vec<f64>> { rows.iter().map(|row| standard.apply(row)).collect() };
    let raw = match method {
        TypeMethod::Majority => vec![shares(&labels, classes); fold.test.len()],
        TypeMethod::ClockOnly => fold.test.iter().map(|&case| nearest(table, fold, case, classes)).collect(),
        TypeMethod::Logit | TypeMethod::LogitPermuted => {
            let model = Multinomial::fit(&scaled(&train), &labels, classes, RIDGES[trial])?;
            scaled(&test).iter().map(|row| model.probabilities(row)).collect()
        }
        TypeMethod::Boosted => OneVsRest::fit(&train, &labels, classes, TREES[trial], seed)?.probabilities(&test),
        TypeMethod::Network => fit_predict(&scaled(&train), &labels, classes, &scaled(&test), NETWORKS[trial], seed)?,
    };
    let mix = |p: f64| (1.0 - UNIFORM) * p + UNIFORM / classes as f64;
    Ok(raw.into_iter().map(|row| row.into_iter().map(mix).collect()).collect())
}

fn shares(labels: &[usize], classes: usize) -> Vec<f64> {
    let count = |class: usize| labels.iter().filter(|label| **label == class).count() as f64 + 0.5;
    (0..classes).map(|class| count(class) / (labels.len() as f64 + 0.5 * classes as f64)).collect()
}

/// Types of the teaching cases nearest in time, half a case of all types beside them.
fn nearest(table: &Table, fold: &Fold, case: usize, classes: usize) -> Vec<f64> {
    let mut order = fold.train.clone();
    order.sort_by_key(|&other| ((table.cases[other].time - table.cases[case].time).abs(), other));
    let labels: Vec<usize> = order.iter().take(NEAREST).map(|&other| table.labels[other]).collect();
    shares(&labels, classes)
}
