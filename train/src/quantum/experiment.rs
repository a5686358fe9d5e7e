//! The protocol Q1–Q3 on any yes/no task: same rows, splits, inputs and number of trials for every contender.
//!
//! Rows are a seeded subsample. Outer folds hold whole groups; every prediction is out of fold. Within each, components
//! and widths are learned on the training part alone, settings chosen by log loss on inner folds by group, then refitted
//! on the whole part. Scores are pooled over folds; intervals come from the cluster bootstrap over groups.

use std::time::Instant;

use ndarray::Axis;
use rand::seq::SliceRandom;

use super::adam::Differentiable as _;
use super::bench::{Bench, Entry, Source, Subject, entries};
use super::generator;
use super::judge::{Judge, Scored};
use super::learn::{Learner, Targets};
use super::mlp::Mlp;
use super::report::{QuantumReport, Role, SizeReport};
use super::stability::{self, Probe};
use super::task::{External, Settings, Task, chosen_rows};
use super::vqc::Circuit;
use crate::error::Result;

/// Runs the protocol at every number of qubits.
///
/// # Errors
/// When the task or the settings cannot be used, a training part holds one class only, or a fit fails.
pub fn run(task: &Task<'_>, settings: &Settings) -> Result<QuantumReport> {
    let start = Instant::now();
    let (rows, folds) = chosen_rows(task, settings)?;
    let groups: Vec<String> = rows.iter().map(|&row| task.groups[row].clone()).collect();
    let failed: Vec<bool> = rows.iter().map(|&row| task.failed[row]).collect();
    let weights: Vec<f64> = rows.iter().map(|&row| task.weights.map_or(1.0, |w| w[row])).collect();
    let targets = Targets::new(&failed, &weights)?;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(&mut generator(settings.seed, 3));
    let subject = Subject {
        x: task.x.select(Axis(0), &rows),
        shuffled: targets.select(&order)?,
        external: (task.external.iter())
            .map(|e| External { score: rows.iter().map(|&row| e.score[row]).collect(), ..e.clone() })
            .collect(),
        prevalence: targets.prevalence(),
        targets,
        groups,
        folds,
    };
    let sizes = settings.qubits.iter().map(|&n| at_size(&subject, settings, n)).collect::<Result<_>>()?;
    let mut distinct = subject.groups.clone();
    distinct.sort_unstable();
    distinct.dedup();
    Ok(QuantumReport {
        task: task.name.to_owned(),
        settings: settings.clone(),
        rows,
        groups: distinct.len(),
        columns: task.x.ncols(),
        prevalence: subject.prevalence,
        folds: subject.folds,
        sizes,
        runtime_seconds: start.elapsed().as_secs_f64(),
    })
}

fn at_size(subject: &Subject, settings: &Settings, qubits: usize) -> Result<SizeReport> {
    let entries = entries(settings, qubits);
    let circuit_size = Circuit::new(qubits, settings.layers, true)?.parameters();
    let mlp = Mlp::of_size(qubits, circuit_size)?;
    let mut real: Vec<Scored> = entries
        .iter()
        .map(|entry| Scored {
            name: entry.name.clone(),
            role: entry.role,
            trials: settings.trials(),
            parameters: match entry.source {
                Source::Circuit { .. } => Some(circuit_size),
                Source::Mlp => Some(mlp.parameters()),
                _ => None,
            },
            chosen: Vec::new(),
            score: vec![0.0; subject.folds.len()],
            probability: true,
        })
        .collect();
    let mut shuffled = real.clone();
    let (mut pretest, mut stability, mut explained) = (Vec::new(), Vec::new(), 0.0);
    for fold in 0..settings.outer_folds {
        let bench = Bench::new(subject, settings, qubits, fold)?;
        explained += bench.components.explained / settings.outer_folds as f64;
        let fitted = bench.fit(&subject.targets, &entries, mlp, |_| true, &mut real)?;
        if settings.shuffle {
            let exact = |e: &Entry| match e.source {
                Source::Kernel(_, learner) | Source::AllColumns(learner) => {
                    learner == Learner::Logistic && matches!(e.role, Role::Quantum | Role::Classical)
                }
                Source::Circuit { .. } | Source::Mlp => matches!(e.role, Role::Quantum | Role::Classical),
            };
            bench.fit(&subject.shuffled, &entries, mlp, exact, &mut shuffled)?;
        }
        if fold == 0 {
            pretest = bench.pretest(&fitted)?;
            let probe = Probe {
                raw: bench.raw(&bench.test),
                components: &bench.components,
                groups: bench.test.iter().map(|&row| subject.groups[row].as_str()).collect(),
            };
            stability = stability::rows(&probe, &fitted, settings)?;
        }
    }
    shuffled.retain(|scored| settings.shuffle && !scored.chosen.is_empty());
    real.extend(subject.external.iter().map(|e| Scored {
        name: e.name.clone(),
        role: Role::Classical,
        trials: 0,
        parameters: None,
        chosen: Vec::new(),
        score: e.score.clone(),
        probability: e.probability,
    }));
    let judge = Judge::new(&subject.targets, &subject.groups, settings)?;
    let blind = Judge::new(&subject.shuffled, &subject.groups, settings)?;
    Ok(SizeReport {
        qubits,
        explained_variance: explained,
        comparisons: judge.comparisons(&real)?,
        contenders: real.into_iter().map(|s| judge.contender(s)).collect::<Result<_>>()?,
        shuffled: shuffled.into_iter().map(|s| blind.contender(s)).collect::<Result<_>>()?,
        pretest,
        stability,
    })
}
