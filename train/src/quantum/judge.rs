//! Scores, intervals and paired comparisons of the protocol.

use survival::scores::detection::HorizonLabels;
use survival::{ClusterBootstrap, PairedInterval};

use super::learn::Targets;
use super::report::{Comparison, Contender, Role, Verdict, holm};
use super::task::Settings;
use crate::error::Result;

/// Out-of-fold scores of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) trials: usize,
    pub(crate) parameters: Option<usize>,
    pub(crate) chosen: Vec<String>,
    pub(crate) score: Vec<f64>,
    pub(crate) probability: bool,
}

pub(crate) struct Judge<'a> {
    targets: &'a Targets,
    labels: HorizonLabels,
    bootstrap: ClusterBootstrap,
    margin: f64,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(targets: &'a Targets, groups: &[String], settings: &Settings) -> Result<Self> {
        let failed: Vec<bool> = targets.failed.iter().map(|f| *f > 0.5).collect();
        Ok(Self {
            targets,
            labels: HorizonLabels::known(&failed)?.reweighted(&targets.weight)?,
            bootstrap: ClusterBootstrap::new(groups, settings.replicates, settings.seed)?,
            margin: settings.margin,
        })
    }

    /// Of the labels weighted by the multiplicities of a replicate.
    fn auprc(&self, score: &[f64], factors: &[f64]) -> Option<f64> {
        Some(self.labels.reweighted(factors).ok()?.precision_recall(score).ok()?.average_precision)
    }

    /// w (y − p)² per row; weights are 1/G already, so the mean over rows is the score.
    fn brier(&self, score: &[f64]) -> Vec<f64> {
        let rows = self.targets.failed.iter().zip(&self.targets.weight).zip(score);
        rows.map(|((y, w), p)| w * (y - p) * (y - p)).collect()
    }

    pub(crate) fn contender(&self, scored: Scored) -> Result<Contender> {
        let brier =
            if scored.probability { Some(self.bootstrap.interval_of_mean(&self.brier(&scored.score))?) } else { None };
        Ok(Contender {
            auprc: self.bootstrap.interval_of(|factors| self.auprc(&scored.score, factors))?,
            brier,
            name: scored.name,
            role: scored.role,
            trials: scored.trials,
            parameters: scored.parameters,
            chosen: scored.chosen,
            predictions: scored.score,
        })
    }

    /// Every entangled model against each rival, and against itself without entanglement.
    pub(crate) fn comparisons(&self, all: &[Scored]) -> Result<Vec<Comparison>> {
        let mut found = Vec::new();
        for ablation in [false, true] {
            let mut pairs: Vec<(&Scored, &Scored, PairedInterval)> = Vec::new();
            for own in all.iter().filter(|s| s.role == Role::Quantum) {
                for rival in all.iter().filter(|rival| is_rival(own, rival, ablation)) {
                    let gain = self.bootstrap.paired_difference_of(
                        |factors| self.auprc(&own.score, factors),
                        |factors| self.auprc(&rival.score, factors),
                    )?;
                    pairs.push((own, rival, gain));
                }
            }
            let adjusted = holm(&pairs.iter().map(|(_, _, gain)| gain.p_value).collect::<Vec<_>>());
            for ((own, rival, gain), auprc_holm) in pairs.into_iter().zip(adjusted) {
                let brier = if own.probability && rival.probability {
                    Some(self.bootstrap.paired_difference(&self.brier(&own.score), &self.brier(&rival.score))?)
                } else {
                    None
                };
                found.push(Comparison {
                    contender: own.name.clone(),
                    rival: rival.name.clone(),
                    ablation,
                    verdict: Verdict::of(&gain, auprc_holm, self.margin),
                    auprc: gain,
                    auprc_holm,
                    brier,
                });
            }
        }
        Ok(found)
    }
}

/// A ridge fit meets the Gaussian ridge fits, anything else the logistic ones; MLP and outside scores meet all.
fn is_rival(own: &Scored, rival: &Scored, ablation: bool) -> bool {
    if ablation {
        return rival.role == Role::Product && rival.name == format!("{}, product", own.name);
    }
    let same_fit = own.name.contains("ridge") == rival.name.contains("ridge");
    rival.role == Role::Classical && (same_fit || !rival.name.starts_with("Gaussian"))
}
