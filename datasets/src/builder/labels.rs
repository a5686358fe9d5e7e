//! The labelled cuts of one history, and the shuffle that makes a control of them.

use std::collections::{BTreeMap, VecDeque};

use features::label::{Label, observe};
use features::{EntityHistory, Split};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use survival::Observation;

use super::tally::Tally;
use crate::error::{DatasetError, Result};
use crate::progress::Progress;
use crate::source::{BuildPlan, Source};

/// What was observed after a cut, and how long the entity was known alive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CutLabel {
    pub(super) observation: Observation,
    pub(super) known_alive: f64,
}

/// A moment that becomes a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cut {
    pub(super) as_of: i64,
    pub(super) split: Split,
    pub(super) label: CutLabel,
}

/// Every cut of a history that becomes a row; the others are counted.
pub(super) fn cuts_of(plan: &BuildPlan, history: &EntityHistory, tally: &mut Tally) -> Result<Vec<Cut>> {
    let mut cuts = Vec::new();
    for as_of in plan.cuts.moments(history.observed_from, history.observed_until) {
        let label = observe(history, plan.spec.time, &plan.causes, as_of)
            .map_err(DatasetError::feature(format!("{} at {as_of}", history.entity.key())))?;
        match (label, plan.split.part(&history.group, as_of)) {
            (Label::Excluded(rule), _) => tally.exclude(rule.name()),
            (_, None) => tally.exclude("purged"),
            (Label::Observed { observation, known_alive }, Some(split)) => {
                cuts.push(Cut { as_of, split, label: CutLabel { observation, known_alive } });
            }
        }
    }
    Ok(cuts)
}

/// Labels in the order in which the rows of each part will ask for them.
pub(super) type Shuffled = BTreeMap<Split, VecDeque<CutLabel>>;

/// Labels of every row, shuffled inside each part, so that the parts keep their number of failures.
pub(super) fn shuffled(
    source: &mut dyn Source,
    plan: &BuildPlan,
    seed: u64,
    progress: &dyn Progress,
) -> Result<Shuffled> {
    progress.begin(&format!("shuffling the outcomes of {}", plan.name), source.entities());
    let mut labels: BTreeMap<Split, Vec<CutLabel>> = BTreeMap::new();
    source.histories(&mut |history, _| {
        for cut in cuts_of(plan, &history, &mut Tally::default())? {
            labels.entry(cut.split).or_default().push(cut.label);
        }
        progress.advance(1);
        Ok(())
    })?;
    progress.end();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    Ok(labels
        .into_iter()
        .map(|(split, mut labels)| {
            labels.shuffle(&mut random);
            (split, labels.into())
        })
        .collect())
}
