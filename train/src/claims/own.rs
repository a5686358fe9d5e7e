//! Does the neural model pay on this data set, or is Cox enough?
//!
//! The protocol of the benchmarks on a data set of one's own: equal rows, inputs and time to tune for every family, the
//! rows held out judged once, controls beside it, and one sentence at the end.

use std::collections::BTreeMap;
use std::path::Path;

use datasets::{Dataset, Progress};
use features::{LabeledBatch, Split};
use model::ModelKind;
use serde::{Deserialize, Serialize};

use crate::bench::run::BenchConfig;
use crate::bench::tune::Budget;
use crate::bench::{Objective, Outer, Task, run_task};
use crate::claims::compare::{Against, Bench};
use crate::claims::controls::{self, Controls};
use crate::claims::judge::{Basis, Finding, judge};
use crate::claims::register::{Margin, Score};
use crate::claims::report::{ClaimsReport, Frame};
use crate::claims::run::{curves, theorem};
use crate::error::{Result, TrainError};

/// Level of the tests.
const ALPHA: f64 = 0.05;
/// One column alone may not reach this AUC.
const LEAK_AUC: f64 = 0.98;
/// Seed of bootstrap and controls.
const SEED: u64 = 20;
/// Folds where the data set has no test part of its own.
const FOLDS: u32 = 5;
/// Groups below this cannot be split into five folds with three parts each.
const LEAST_GROUPS: usize = 20;
/// Lives are in any unit here, so their margin is a share.
const LIFE_MARGIN: Margin = Margin::Relative(0.02);
/// δ of a Brier score at one horizon.
const BRIER_MARGIN: Margin = Margin::Relative(0.01);

/// What a laptop finishes in minutes: five families, 3 seeds, 6 trials or 2 minutes of tuning each per part held out.
#[must_use]
pub fn default_config() -> BenchConfig {
    BenchConfig {
        kinds: vec![
            ModelKind::HazardNet,
            ModelKind::Cox,
            ModelKind::BoostedHazard,
            ModelKind::Weibull,
            ModelKind::KaplanMeier,
        ],
        seeds: 3,
        budget: Budget { seconds: 120.0, trials: 6 },
        base: crate::TrainConfig::default(),
        replicates: 2000,
    }
}

/// The answer in one word, for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The network beats every rival beyond the margin.
    NeuralPays,
    /// It beats the classical model, not every rival.
    AnotherRivalIsEnough,
    /// The classical model is equal or better.
    ClassicalIsEnough,
    /// Neither was shown.
    NotShown,
}

/// Runs the protocol in `work` and judges it.
///
/// # Errors
/// When the data set holds no failure or too few groups, no neural family or no rival is named, or a fit fails.
pub fn own(
    dataset: &Dataset,
    rows: &LabeledBatch,
    config: &BenchConfig,
    work: &Path,
    progress: &dyn Progress,
) -> Result<ClaimsReport> {
    let name = dataset.manifest().name.clone();
    let refuse = |reason: String| TrainError::Study { what: format!("claims about {name}"), reason };
    let failures = rows.observations.iter().filter(|observation| observation.failed()).count();
    if failures == 0 {
        let reason = format!("none of the {} rows ends in a failure, so no model can be judged", rows.rows());
        return Err(refuse(reason));
    }
    let groups: std::collections::BTreeSet<&String> = rows.groups.iter().collect();
    if groups.len() < LEAST_GROUPS {
        return Err(refuse(format!(
            "its rows are of {} groups, {LEAST_GROUPS} are needed to hold some out and resample them; choose another unit \
             of splitting",
            groups.len()
        )));
    }
    let claimed = config.kinds.iter().copied().find(|kind| kind.is_neural());
    let claimed =
        claimed.ok_or_else(|| refuse("--models names no neural family, so there is nothing to ask".into()))?;
    let has_test = rows.splits.contains(&Split::Test);
    let task = Task {
        name: name.clone(),
        dataset,
        rows,
        outer: if has_test { Outer::Given } else { Outer::Folds(FOLDS) },
        objective: Objective::IntegratedBrier,
    };
    let answered = crate::bench::answer_task(&task, config, None, work, progress)?;
    run_task(&task, config, None, work, progress)?;
    let rivals: Vec<ModelKind> = answered.config.kinds.iter().copied().filter(|&kind| kind != claimed).collect();
    if rivals.is_empty() {
        return Err(refuse(format!("--models names no rival of {}", claimed.name())));
    }
    let bench = Bench::new(&task, &answered, config.replicates, SEED)?;
    let brier = bench.against(claimed, &rivals, Score::IntegratedBrier, None)?;
    let findings = findings(&bench, claimed, &rivals, &brier)?;
    let rows = judge(&findings, ALPHA, 0.001)?;
    let controls = Controls {
        data: name.clone(),
        permutation: Some(controls::permutation(&task, &answered, SEED)?),
        leaks: Some(controls::leaks(&task, LEAK_AUC, SEED)?),
    };
    let (_, sentence) = answer(claimed, &brier, &name)?;
    let headline = if controls.problems().is_empty() {
        sentence
    } else {
        format!("A control failed, so trust no comparison below before it is explained. {sentence}")
    };
    let frame = Frame {
        opening: None,
        lock: None,
        input_digests: BTreeMap::from([(name, dataset.manifest().input_digest.clone())]),
        seconds: config.budget.seconds,
        trials: config.budget.trials,
        seeds: config.seeds,
        models: answered.config.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
        alpha: ALPHA,
        replicates: config.replicates,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(ClaimsReport::new(Some(headline), frame, rows, vec![controls], Vec::new()))
}

fn findings(bench: &Bench<'_>, claimed: ModelKind, rivals: &[ModelKind], brier: &[Against]) -> Result<Vec<Finding>> {
    let data = bench.task().name.clone();
    let unit = bench.task().dataset.grid().unit().short();
    let (curves_hold, lives, pods, table) = (curves(bench)?, theorem("T5.2")?, theorem("T8.2")?, theorem("T9.2")?);
    let mut findings = vec![curves_hold];
    findings.push(match bench.against(claimed, rivals, Score::RulRmse, None) {
        Ok(against) => Finding::compared(lives, &data, claimed, &against, LIFE_MARGIN, ALPHA)?,
        Err(TrainError::Study { reason, .. }) => Finding::of(lives, &data, Basis::Missing(reason)),
        Err(error) => return Err(error),
    });
    match bench.largest_horizon() {
        None => {
            let missing = "a horizon with failures and enough units followed so far".to_owned();
            findings.push(Finding::of(pods, &data, Basis::Missing(missing)));
        }
        Some(horizon) => {
            for (score, margin, primary) in
                [(Score::AveragePrecision, Margin::Absolute(0.01), true), (Score::Brier, BRIER_MARGIN, false)]
            {
                let against = bench.against(claimed, rivals, score, Some(horizon))?;
                findings.push(Finding {
                    endpoint: Some(format!("{}, {horizon} {unit}", score.name())),
                    primary,
                    ..Finding::compared(pods, &data, claimed, &against, margin, ALPHA)?
                });
            }
        }
    }
    findings.push(Finding::compared(table, &data, claimed, brier, Margin::Relative(0.01), ALPHA)?);
    Ok(findings)
}

/// The answer to the question, from integrated Brier scores: against Cox, or the best classical family where Cox was not
/// fitted, and against every rival.
///
/// # Errors
/// When a test of equality refuses its margin.
pub fn answer(claimed: ModelKind, brier: &[Against], data: &str) -> Result<(Answer, String)> {
    let best = |among: &dyn Fn(&&Against) -> bool| {
        brier.iter().filter(among).min_by(|a, b| a.rival_value.total_cmp(&b.rival_value))
    };
    let cox = brier.iter().find(|against| against.rival == ModelKind::Cox);
    let classical = cox.or_else(|| best(&|against| against.rival.is_classical())).or_else(|| best(&|_| true));
    let Some(classical) = classical else {
        return Ok((Answer::NotShown, format!("Nothing was compared with {} on {data}.", claimed.name())));
    };
    let beats = |against: &Against| {
        let effect = against.effect.effect;
        effect.low > 0.0 && effect.estimate > 0.01 * against.rival_value
    };
    let shown = |against: &Against| {
        let effect = against.effect.effect;
        let percent = |value: f64| 100.0 * value / against.rival_value;
        format!(
            "its integrated Brier score is {:.1} % {} that of {} (95 % interval of the gain {:.1} to {:.1} %)",
            percent(effect.estimate).abs(),
            if effect.estimate >= 0.0 { "below" } else { "above" },
            against.rival.name(),
            percent(effect.low),
            percent(effect.high)
        )
    };
    let (name, rival) = (claimed.name(), classical.rival.name());
    if let Some(left) = brier
        .iter()
        .filter(|against| !beats(against))
        .min_by(|a, b| a.effect.effect.estimate.total_cmp(&b.effect.effect.estimate))
    {
        if beats(classical) {
            let sentence = format!("On {data} {name} beats {rival}, but not {}: {}.", left.rival.name(), shown(left));
            return Ok((Answer::AnotherRivalIsEnough, sentence));
        }
        let margin = 0.01 * classical.rival_value;
        let equal = margin > 0.0 && classical.effect.equivalence(margin, ALPHA)?.equal;
        let worse = classical.effect.effect.high < 0.0;
        return Ok(if equal || worse {
            let why = if worse { "the network is behind" } else { "the two are equal within 1 %" };
            (Answer::ClassicalIsEnough, format!("On {data} {rival} is enough: {why}; for {name} {}.", shown(classical)))
        } else {
            let sentence = format!(
                "On {data} it was not shown that {name} pays: {}. Stay with {rival} until more data say otherwise.",
                shown(classical)
            );
            (Answer::NotShown, sentence)
        });
    }
    Ok((
        Answer::NeuralPays,
        format!("On {data} the neural model pays: {name} beats every rival; {}.", shown(classical)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use survival::Interval;
    use survival::compare::bootstrap::BootstrapComparison;

    fn against(rival: ModelKind, low: f64, estimate: f64, high: f64) -> Against {
        // Replicates spread over the interval, for the test of equality.
        let replicates = (0..=1000).map(|at| low + (high - low) * f64::from(at) / 1000.0).collect();
        let effect = BootstrapComparison {
            effect: Interval { estimate, low, high, level: 0.95 },
            corrected: None,
            p_value: 0.01,
            clusters: 50,
            undefined: 0,
            replicates,
        };
        Against { rival, claimed_value: 0.1 - estimate, rival_value: 0.1, effect }
    }

    #[test]
    fn each_answer_has_its_case() {
        let of = |cox: [f64; 3], trees: [f64; 3]| {
            let brier = [
                against(ModelKind::Cox, cox[0], cox[1], cox[2]),
                against(ModelKind::BoostedHazard, trees[0], trees[1], trees[2]),
            ];
            answer(ModelKind::HazardNet, &brier, "d").unwrap()
        };
        // 1 % of 0.1 is 0.001.
        assert_eq!(of([0.002, 0.005, 0.008], [0.001, 0.003, 0.005]).0, Answer::NeuralPays);
        let (found, sentence) = of([0.002, 0.005, 0.008], [-0.001, 0.0005, 0.002]);
        assert_eq!(found, Answer::AnotherRivalIsEnough);
        assert!(sentence.contains("boosted-hazard"), "{sentence}");
        let (found, sentence) = of([-0.008, -0.005, -0.002], [-0.001, 0.0005, 0.002]);
        assert_eq!(found, Answer::ClassicalIsEnough);
        assert!(sentence.contains("5.0 % above that of cox"), "{sentence}");
        assert_eq!(of([-0.0005, 0.0, 0.0005], [0.001, 0.003, 0.005]).0, Answer::ClassicalIsEnough);
        assert_eq!(of([-0.005, 0.002, 0.008], [0.001, 0.003, 0.005]).0, Answer::NotShown);
        assert_eq!(answer(ModelKind::HazardNet, &[], "d").unwrap().0, Answer::NotShown);
    }
}
