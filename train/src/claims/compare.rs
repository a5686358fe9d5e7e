//! One family against its rivals on the curves of a benchmark: paired, whole groups resampled.
//!
//! Where a family has seeds, each row (or, for average precision, each replicate) counts with the mean over them. The
//! weights for censoring come from the rows judged and are the same for every family and replicate, as in the tables of
//! the benchmark.

use model::ModelKind;
use survival::compare::bootstrap::{BootstrapComparison, compare, compare_means};
use survival::scores::brier::{brier_contributions, integrated_brier_contributions};
use survival::scores::calibration::failure_probabilities;
use survival::scores::detection::HorizonLabels;
use survival::{CensoringWeights, ClusterBootstrap, SurvivalCurve};

use crate::bench::run::{Answered, PartAnswers};
use crate::bench::task::Task;
use crate::claims::register::{Margin, Score};
use crate::error::{Result, TrainError};
use crate::evaluate::{brier_times, mean, risk_of, rul_errors};

/// The rows judged and every family's curves for them.
pub struct Bench<'a> {
    task: &'a Task<'a>,
    answered: &'a Answered,
    judged: features::LabeledBatch,
    censoring: CensoringWeights,
    bootstrap: ClusterBootstrap,
}

/// One family against one rival.
#[derive(Debug, Clone, PartialEq)]
pub struct Against {
    /// Rival.
    pub rival: ModelKind,
    /// Value of the claimed family, mean over seeds.
    pub claimed_value: f64,
    /// Value of the rival.
    pub rival_value: f64,
    /// The difference, turned so that positive favours the claimed family.
    pub effect: BootstrapComparison,
}

/// What each row of a family counts with, or the scores behind an average precision.
enum Values {
    Rows(Vec<f64>),
    Squares(Vec<f64>),
    Scores(Vec<Vec<f64>>),
}

impl<'a> Bench<'a> {
    /// Rows and curves of a task that was answered.
    ///
    /// # Errors
    /// When nothing was judged, or all of it is one group.
    pub fn new(task: &'a Task<'a>, answered: &'a Answered, replicates: usize, seed: u64) -> Result<Self> {
        let order: Vec<usize> = answered.parts.iter().flat_map(|part| part.rows.iter().copied()).collect();
        let judged = task.rows.select(&order);
        let censoring = CensoringWeights::fit(&judged.observations)?;
        let bootstrap = ClusterBootstrap::new(&judged.groups, replicates, seed)?;
        Ok(Self { task, answered, judged, censoring, bootstrap })
    }

    /// Rows judged.
    #[must_use]
    pub fn judged(&self) -> &features::LabeledBatch {
        &self.judged
    }

    /// The data set.
    #[must_use]
    pub fn task(&self) -> &Task<'_> {
        self.task
    }

    /// Families that were answered for.
    pub fn kinds(&self) -> impl Iterator<Item = ModelKind> {
        self.answered.parts.first().into_iter().flat_map(|part| part.answers.iter().map(|(kind, _)| *kind))
    }

    /// The largest horizon with a failure and enough units followed so far.
    #[must_use]
    pub fn largest_horizon(&self) -> Option<f64> {
        let usable = |&&horizon: &&f64| {
            HorizonLabels::new(&self.judged.observations, horizon, &self.censoring)
                .and_then(|labels| labels.prevalence())
                .is_ok_and(|share| share > 0.0)
        };
        self.task.dataset.readout().horizons.iter().filter(usable).copied().reduce(f64::max)
    }

    /// Curves of a family for the rows judged, one list per seed.
    ///
    /// # Errors
    /// When the family was not answered for.
    pub fn curves(&self, kind: ModelKind) -> Result<Vec<Vec<SurvivalCurve>>> {
        let of =
            |part: &'a PartAnswers| part.answers.iter().find(|(seen, _)| *seen == kind).map(|(_, answers)| answers);
        let parts: Option<Vec<_>> = self.answered.parts.iter().map(of).collect();
        let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(|| TrainError::Study {
            what: format!("a comparison on {}", self.task.name),
            reason: format!("{} was not fitted there", kind.name()),
        })?;
        let seeds = parts.iter().map(|answers| answers.len()).min().unwrap_or(0);
        Ok((0..seeds)
            .map(|seed| parts.iter().flat_map(|answers| answers[seed].curves.iter().cloned()).collect())
            .collect())
    }

    /// The claimed family against each rival.
    ///
    /// # Errors
    /// When a family was not answered for, or the score is undefined on these rows.
    pub fn against(
        &self,
        claimed: ModelKind,
        rivals: &[ModelKind],
        score: Score,
        horizon: Option<f64>,
    ) -> Result<Vec<Against>> {
        let of_claimed = self.values(claimed, score, horizon)?;
        rivals
            .iter()
            .map(|&rival| {
                let of_rival = self.values(rival, score, horizon)?;
                self.difference(rival, &of_claimed, &of_rival, horizon)
            })
            .collect()
    }

    fn difference(&self, rival: ModelKind, a: &Values, b: &Values, horizon: Option<f64>) -> Result<Against> {
        let (claimed_value, rival_value, effect) = match (a, b) {
            (Values::Rows(a), Values::Rows(b)) => (mean(a), mean(b), compare_means(&self.bootstrap, b, a)?),
            (Values::Squares(a), Values::Squares(b)) => {
                let effect = compare(&self.bootstrap, |weights| Some((root(b, weights)?, root(a, weights)?)))?;
                let ones = vec![1.0; a.len()];
                (root(a, &ones).unwrap_or(f64::NAN), root(b, &ones).unwrap_or(f64::NAN), effect)
            }
            (Values::Scores(a), Values::Scores(b)) => {
                let labels = HorizonLabels::new(&self.judged.observations, horizon.unwrap_or(0.0), &self.censoring)?;
                let precision = |scores: &[Vec<f64>], weights: &[f64]| -> Option<f64> {
                    let labels = labels.reweighted(weights).ok()?;
                    let of_seeds: Option<Vec<f64>> = scores
                        .iter()
                        .map(|scores| labels.precision_recall(scores).ok().map(|curve| curve.average_precision))
                        .collect();
                    of_seeds.map(|values| mean(&values))
                };
                let effect =
                    compare(&self.bootstrap, |weights| Some((precision(a, weights)?, precision(b, weights)?)))?;
                let ones = vec![1.0; self.judged.rows()];
                (precision(a, &ones).unwrap_or(f64::NAN), precision(b, &ones).unwrap_or(f64::NAN), effect)
            }
            _ => {
                return Err(TrainError::Study {
                    what: "a comparison".to_owned(),
                    reason: "two families were scored differently".to_owned(),
                });
            }
        };
        Ok(Against { rival, claimed_value, rival_value, effect })
    }

    fn values(&self, kind: ModelKind, score: Score, horizon: Option<f64>) -> Result<Values> {
        let curves = self.curves(kind)?;
        let observations = &self.judged.observations;
        let readout = self.task.dataset.readout();
        let undefined = |reason: &str| TrainError::Study {
            what: format!("the {} on {}", score.name(), self.task.name),
            reason: reason.to_owned(),
        };
        let at = || horizon.ok_or_else(|| undefined("no horizon was given"));
        let mut rows = vec![0.0; observations.len()];
        let mut add = |values: &[f64]| {
            #[expect(clippy::cast_precision_loss, reason = "seeds")]
            let seeds = curves.len() as f64;
            rows.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / seeds);
        };
        match score {
            Score::IntegratedBrier => {
                let times = brier_times(self.task.dataset.grid(), readout, &self.censoring);
                for of_seed in &curves {
                    add(&integrated_brier_contributions(observations, of_seed, &times, &self.censoring)?);
                }
                Ok(Values::Rows(rows))
            }
            Score::Brier => {
                let horizon = at()?;
                for of_seed in &curves {
                    let failing = failure_probabilities(of_seed, horizon)?;
                    let survival: Vec<f64> = failing.iter().map(|p| 1.0 - p).collect();
                    add(&brier_contributions(observations, &survival, horizon, &self.censoring)?);
                }
                Ok(Values::Rows(rows))
            }
            Score::AveragePrecision => {
                let horizon = at()?;
                let scores: std::result::Result<Vec<_>, _> =
                    curves.iter().map(|of_seed| failure_probabilities(of_seed, horizon)).collect();
                Ok(Values::Scores(scores?))
            }
            Score::RulRmse => {
                for of_seed in &curves {
                    let risk = risk_of(of_seed, readout.restricted_to)?;
                    let errors = rul_errors(observations, &risk, readout.restricted_to)
                        .ok_or_else(|| undefined("fewer than nine lives in ten are known up to the cap"))?;
                    add(&errors.iter().map(|error| error * error).collect::<Vec<_>>());
                }
                Ok(Values::Squares(rows))
            }
        }
    }
}

/// √ of the weighted mean over rows whose life is known.
fn root(squares: &[f64], weights: &[f64]) -> Option<f64> {
    let known = squares.iter().zip(weights).filter(|(square, _)| !square.is_nan());
    let (sum, total) = known.fold((0.0, 0.0), |(sum, total), (square, weight)| (sum + weight * square, total + weight));
    (total > 0.0).then(|| (sum / total).sqrt())
}

/// The rival that leaves the least of the claim, in units of its margin; `None` without rivals.
#[must_use]
pub fn hardest(against: &[Against], margin: Margin) -> Option<&Against> {
    let left = |a: &Against| a.effect.effect.estimate / margin.against(a.rival_value).max(f64::MIN_POSITIVE);
    against.iter().min_by(|a, b| left(a).total_cmp(&left(b)))
}

/// The p a claim against several rivals goes into its family with.
///
/// Ahead, every rival must be beaten, so the largest p is that of the claim (an intersection–union test needs no
/// adjustment); behind, the rival was picked as the worst of several, so its p is multiplied by their number.
#[must_use]
pub fn p_of_claim(against: &[Against], hardest: &Against) -> f64 {
    if hardest.effect.effect.estimate > 0.0 {
        against.iter().map(|a| a.effect.p_value).fold(0.0, f64::max)
    } else {
        #[expect(clippy::cast_precision_loss, reason = "rivals")]
        let rivals = against.len() as f64;
        (rivals * hardest.effect.p_value).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use survival::Interval;

    fn against(rival: ModelKind, estimate: f64, p_value: f64, rival_value: f64) -> Against {
        let effect = Interval { estimate, low: estimate - 1.0, high: estimate + 1.0, level: 0.95 };
        let effect =
            BootstrapComparison { effect, corrected: None, p_value, clusters: 9, undefined: 0, replicates: vec![] };
        Against { rival, claimed_value: 0.0, rival_value, effect }
    }

    #[test]
    fn the_hardest_rival_leaves_the_least_in_margins() {
        // 2 % and 4 % of the rival: 2 and 4 margins of 1 %.
        let all = [against(ModelKind::Cox, 0.004, 0.01, 0.1), against(ModelKind::Weibull, 0.004, 0.2, 0.2)];
        assert_eq!(hardest(&all, Margin::Relative(0.01)).unwrap().rival, ModelKind::Weibull);
        assert!(hardest(&[], Margin::Absolute(1.0)).is_none());
        assert!((p_of_claim(&all, &all[1]) - 0.2).abs() < 1e-15);
        let behind = [against(ModelKind::Cox, 0.1, 0.5, 1.0), against(ModelKind::Weibull, -0.3, 0.02, 1.0)];
        assert!((p_of_claim(&behind, &behind[1]) - 0.04).abs() < 1e-15);
    }

    #[test]
    fn rows_without_a_known_life_do_not_count() {
        assert!((root(&[4.0, f64::NAN, 16.0], &[1.0, 1.0, 1.0]).unwrap() - 10f64.sqrt()).abs() < 1e-15);
        assert!(root(&[f64::NAN], &[1.0]).is_none());
    }
}
