//! Choosing settings by successive halving over folds: all trials on the first fold, the best third of them on the second,
//! the best third of those on the third (Jamieson & Talwalkar 2016, with folds as the resource).
//!
//! The budget is wall-clock seconds and trials, the same for every family of a data set. Seconds are those in the ledger,
//! so a run that was killed and resumed spends no more than one that was not. The defaults are trial 0 and go through
//! every fold, so they are always compared with what is chosen.

use std::time::Instant;

use datasets::Progress;
use features::split::group_bucket;
use model::ModelKind;
use serde::{Deserialize, Serialize};
use survival::CensoringWeights;
use survival::scores::brier::integrated_brier_score;
use survival::scores::log_likelihood::log_loss_contributions;

use crate::bench::ledger::{Entry, Ledger};
use crate::bench::space::{draw, most_trials};
use crate::bench::task::Task;
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::evaluate::{brier_times, mean, risk_of, rul_errors, weighted_rmse};
use crate::fitted::{fit_model, prepare};

/// Folds of the halving.
const FOLDS: u32 = 3;
/// One in so many trials goes on to the next fold.
const KEEP_ONE_IN: usize = 3;
/// Share of the seconds the first fold may take.
const FIRST_SHARE: f64 = 0.6;

/// What tuning minimises, on rows no trial was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Integrated Brier score.
    IntegratedBrier,
    /// RMSE of the restricted mean life against the life capped at the same time.
    RulRmse,
    /// Mean −ln likelihood.
    LogLoss,
}

/// How long a family may be tuned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Wall-clock seconds per family and held-out part.
    pub seconds: f64,
    /// Trials at most.
    pub trials: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { seconds: 1200.0, trials: 50 }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The trial with the lowest mean loss over all folds.
    pub trial: usize,
    /// That loss.
    pub loss: f64,
    /// The loss of the defaults on the same folds.
    pub defaults: Option<f64>,
    /// Trials made.
    pub trials: usize,
    /// Seconds they took.
    pub seconds: f64,
    /// The settings.
    pub settings: TrainConfig,
}

/// Tunes one family on the rows `develop` of a task; trials already in the ledger are not made again.
///
/// # Errors
/// When no trial could be fitted, or the ledger cannot be written.
#[expect(clippy::too_many_arguments, reason = "called from one place")]
pub fn tune(
    task: &Task<'_>,
    held_out: &str,
    develop: &[usize],
    kind: ModelKind,
    base: &TrainConfig,
    budget: Budget,
    ledger: &mut Ledger,
    progress: &dyn Progress,
) -> Result<Chosen> {
    let mut tuning = Tuning { task, held_out, develop, kind, base, ledger };
    let most = budget.trials.min(most_trials(kind)).max(1);
    progress.begin(&format!("{} {held_out}: tuning {}, trials", task.name, kind.name()), Some(most as u64));
    let mut tried = Vec::new();
    for trial in 0..most {
        if trial > 0 && !tuning.known(trial, 0) && tuning.seconds() > FIRST_SHARE * budget.seconds {
            break;
        }
        tuning.loss(trial, 0)?;
        tried.push(trial);
        progress.advance(1);
    }
    progress.end();
    let trials = tried.len();
    let mut alive = tried;
    for fold in 1..FOLDS as usize {
        let mut ranked: Vec<(f64, usize)> = Vec::new();
        for trial in alive {
            if let Some(loss) = tuning.mean_loss(trial, fold)? {
                ranked.push((loss, trial));
            }
        }
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ranked.truncate(ranked.len().div_ceil(KEEP_ONE_IN).max(1));
        alive = ranked.into_iter().map(|(_, trial)| trial).collect();
        if !alive.contains(&0) {
            alive.push(0);
        }
        for &trial in &alive {
            if trial == 0 || tuning.known(trial, fold) || tuning.seconds() <= budget.seconds {
                tuning.loss(trial, fold)?;
            }
        }
    }
    let mut best: Option<(f64, usize)> = None;
    for &trial in &alive {
        if (0..FOLDS as usize).all(|fold| tuning.known(trial, fold))
            && let Some(loss) = tuning.mean_loss(trial, FOLDS as usize)?
            && best.is_none_or(|(least, _)| loss < least)
        {
            best = Some((loss, trial));
        }
    }
    let Some((loss, trial)) = best else {
        let reason = tuning.entries().find_map(|entry| entry.error.clone()).unwrap_or_else(|| "no trial".to_owned());
        return Err(TrainError::Data { model: kind.name().to_owned(), reason });
    };
    Ok(Chosen {
        trial,
        loss,
        defaults: tuning.mean_loss(0, FOLDS as usize)?,
        trials,
        seconds: tuning.seconds(),
        settings: draw(kind, trial, base.seed, base),
    })
}

struct Tuning<'a> {
    task: &'a Task<'a>,
    held_out: &'a str,
    develop: &'a [usize],
    kind: ModelKind,
    base: &'a TrainConfig,
    ledger: &'a mut Ledger,
}

impl Tuning<'_> {
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.ledger
            .entries()
            .iter()
            .filter(|entry| entry.task == self.task.name && entry.held_out == self.held_out && entry.kind == self.kind)
    }

    fn seconds(&self) -> f64 {
        self.entries().map(|entry| entry.seconds).sum()
    }

    fn found(&self, trial: usize, fold: usize) -> Option<&Entry> {
        self.entries().find(|entry| entry.trial == trial && entry.fold == fold)
    }

    fn known(&self, trial: usize, fold: usize) -> bool {
        self.found(trial, fold).is_some()
    }

    /// Mean loss over the first `folds` folds; `None` where the trial failed on one.
    fn mean_loss(&mut self, trial: usize, folds: usize) -> Result<Option<f64>> {
        let mut total = 0.0;
        for fold in 0..folds {
            let Some(loss) = self.loss(trial, fold)? else { return Ok(None) };
            total += loss;
        }
        #[expect(clippy::cast_precision_loss, reason = "three folds")]
        Ok(Some(total / folds as f64))
    }

    /// Loss of a trial on a fold, from the ledger or by a fit.
    fn loss(&mut self, trial: usize, fold: usize) -> Result<Option<f64>> {
        let settings = draw(self.kind, trial, self.base.seed, self.base);
        if let Some(entry) = self.found(trial, fold) {
            if entry.settings == settings {
                return Ok(entry.loss);
            }
            return Err(TrainError::Config {
                file: "ledger".to_owned(),
                reason: format!(
                    "trial {trial} of {} on {} was made with other settings; use another --out or remove the ledger",
                    self.kind.name(),
                    self.task.name
                ),
            });
        }
        let started = Instant::now();
        let judged = self.fit_and_judge(&settings, fold);
        let (loss, error) = match judged {
            Ok(loss) if loss.is_finite() => (Some(loss), None),
            Ok(loss) => (None, Some(format!("loss is {loss}"))),
            Err(error) => (None, Some(error.to_string())),
        };
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(task = self.task.name, kind = self.kind.name(), trial, fold, ?loss, seconds, "trial");
        self.ledger.push(Entry {
            task: self.task.name.clone(),
            held_out: self.held_out.to_owned(),
            kind: self.kind,
            trial,
            fold,
            loss,
            error,
            seconds,
            settings,
        })?;
        Ok(loss)
    }

    fn fit_and_judge(&self, settings: &TrainConfig, fold: usize) -> Result<f64> {
        let rows = self.task.rows;
        let (judged, fitted): (Vec<usize>, Vec<usize>) = self
            .develop
            .iter()
            .partition(|&&row| group_bucket("tune", &rows.groups[row]) % FOLDS == u32::try_from(fold).unwrap_or(0));
        let parts = self.task.parts(&fitted);
        let parts = parts.of(self.task.dataset);
        let judged = rows.select(&judged);
        // One fit each: averaging over folds is for the model that is kept.
        let settings = TrainConfig { cross_fit: 0, ..settings.clone() };
        let prepared = prepare(parts, 0)?;
        let model = fit_model(self.kind, parts, &prepared, &settings, None, &datasets::Silent)?;
        let curves = model.predict(self.task.dataset.grid(), &judged.features)?;
        let observations = &judged.observations;
        let readout = self.task.dataset.readout();
        Ok(match self.task.objective {
            Objective::IntegratedBrier => {
                let censoring = CensoringWeights::fit(&parts.train.observations)?;
                let times = brier_times(self.task.dataset.grid(), readout, &censoring);
                integrated_brier_score(observations, &curves, &times, &censoring)?
            }
            Objective::LogLoss => mean(&log_loss_contributions(observations, &curves)?),
            Objective::RulRmse => {
                let risk = risk_of(&curves, readout.restricted_to)?;
                let errors =
                    rul_errors(observations, &risk, readout.restricted_to).ok_or_else(|| TrainError::Data {
                        model: self.kind.name().to_owned(),
                        reason: "fewer than nine lives in ten are known up to the cap: no RUL error".to_owned(),
                    })?;
                weighted_rmse(&errors, &vec![1.0; errors.len()]).unwrap_or(f64::NAN)
            }
        })
    }
}
