//! What one data set of a register says: its claims compared, its controls, its maintenance replayed.

use std::collections::BTreeMap;

use survival::compare::wilcoxon::wilcoxon;

use crate::bench::{Answered, Task};
use crate::claims::compare::Bench;
use crate::claims::config::ClaimsConfig;
use crate::claims::controls::{self, Controls};
use crate::claims::judge::{Basis, Finding};
use crate::claims::laws::{self, Count};
use crate::claims::maintenance::{self, Replay};
use crate::claims::register::{Evaluation, Margin, Theorem};
use crate::error::{Result, TrainError};

/// Data sets a test over data sets needs for an interval to exist at 95 %.
const LEAST_SETS: usize = 6;
/// Predictions are kept in single precision.
const ROUNDING: f64 = 1e-6;

/// What came of one data set.
pub struct FromDataset {
    /// Of its claims, and of T1.1 on every curve.
    pub findings: Vec<Finding>,
    /// Where it is one of the data sets replayed.
    pub replay: Option<Replay>,
    /// Controls.
    pub controls: Controls,
}

/// Judges everything `config` asks of a task that was answered.
///
/// # Errors
/// When a family was not answered for, a score is undefined, or a control cannot be run.
pub fn registered(config: &ClaimsConfig, task: &Task<'_>, answered: &Answered) -> Result<FromDataset> {
    let bench = Bench::new(task, answered, config.replicates, config.seed)?;
    let mut findings = vec![curves(&bench)?];
    for claim in config.claims.iter().filter(|claim| claim.datasets.contains(&task.name)) {
        let theorem = theorem(&claim.id)?;
        let Evaluation::Comparison(score) = theorem.evaluation else { continue };
        let against = bench.against(claim.claimed, &claim.rivals, score, claim.horizon)?;
        findings.push(Finding::compared(theorem, &task.name, claim.claimed, &against, claim.margin, config.alpha)?);
    }
    let mut replay = None;
    if config.maintenance.datasets.contains(&task.name) {
        let settings = &config.maintenance;
        let axis = task.dataset.spec().time;
        let curves = bench.curves(settings.model)?;
        let (units, left_out) = maintenance::units(bench.judged(), axis, &curves, settings.horizon)?;
        let found = maintenance::replay(&task.name, &units, left_out, settings.ratio, config.replicates, config.seed)?;
        findings.push(Finding::replayed(theorem("T5.1")?, &found, config.alpha)?);
        replay = Some(found);
    }
    let controls = Controls {
        data: task.name.clone(),
        permutation: config
            .controls
            .permutation
            .then(|| controls::permutation(task, answered, config.seed))
            .transpose()?,
        leaks: config
            .controls
            .canary
            .then(|| controls::leaks(task, config.controls.leak_auc, config.seed))
            .transpose()?,
    };
    Ok(FromDataset { findings, replay, controls })
}

/// T1.1 on every curve of every family.
///
/// # Errors
/// When a curve cannot be read.
pub fn curves(bench: &Bench<'_>) -> Result<Finding> {
    let mut all = Count { violations: 0, cases: 0, example: None, note: String::new() };
    for kind in bench.kinds() {
        for of_seed in bench.curves(kind)? {
            let count = laws::rising(&of_seed, ROUNDING)?;
            all.violations += count.violations;
            all.cases += count.cases;
            all.example = all.example.or(count.example);
        }
    }
    all.note = "every curve of every family and seed; up to 1e-6 is rounding of single precision".to_owned();
    Ok(Finding::counted(theorem("T1.1")?, &bench.task().name, all))
}

/// Secondary results over the data sets of each claim with a relative margin: Wilcoxon on the relative differences, one
/// per rival.
///
/// # Errors
/// When a value is not finite.
pub fn over_sets(findings: &[Finding], level: f64) -> Result<Vec<Finding>> {
    let mut shares: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for finding in findings {
        if !matches!(finding.theorem.margin, Some(Margin::Relative(_))) {
            continue;
        }
        for rival in &finding.rivals {
            if let (Some(claimed), Some(value)) = (rival.claimed_value, rival.rival_value)
                && value > 0.0
            {
                shares.entry((finding.theorem.id, &rival.name)).or_default().push((value - claimed) / value);
            }
        }
    }
    let mut found = Vec::new();
    for ((id, rival), shares) in shares {
        let theorem = theorem(id)?;
        let (Some(Margin::Relative(margin)), true) = (theorem.margin, shares.len() >= LEAST_SETS) else { continue };
        let test = wilcoxon(&shares, &vec![0.0; shares.len()], level)?;
        let Some(effect) = test.effect else { continue };
        let basis = Basis::Effect { effect, p: test.p_value, margin, equivalence: None };
        found.push(Finding {
            endpoint: Some(format!("{}, share of that of {rival}", theorem.endpoint)),
            note: "Wilcoxon signed rank over data sets".to_owned(),
            primary: false,
            ..Finding::of(theorem, &format!("{} data sets, against {rival}", shares.len()), basis)
        });
    }
    Ok(found)
}

pub(super) fn theorem(id: &str) -> Result<&'static Theorem> {
    Theorem::of(id).ok_or_else(|| TrainError::Study {
        what: format!("claim {id}"),
        reason: "no theorem of the register has this id".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::judge::RivalLine;

    #[test]
    fn data_sets_are_pooled_from_six_on_and_only_as_a_secondary_result() {
        let finding = |claimed: f64| {
            let line = RivalLine {
                name: "cox".to_owned(),
                claimed_value: Some(claimed),
                rival_value: Some(0.2),
                effect: None,
                p: None,
            };
            let theorem = Theorem::of("T9.2").unwrap();
            Finding { rivals: vec![line], ..Finding::of(theorem, "d", Basis::Case(String::new())) }
        };
        let findings: Vec<Finding> = [0.19, 0.188, 0.186, 0.191, 0.187, 0.185].map(finding).to_vec();
        assert!(over_sets(&findings[..5], 0.95).unwrap().is_empty());
        let found = over_sets(&findings, 0.95).unwrap();
        let [Finding { basis: Basis::Effect { effect, p, margin, .. }, primary: false, .. }] = found.as_slice() else {
            panic!("{found:?}")
        };
        // Six of six on one side: 2 · 2⁻⁶. Relative differences 4.5 to 7.5 %.
        assert!((p - 2.0 / 64.0).abs() < 1e-12 && (margin - 0.01).abs() < 1e-15);
        assert!(effect.estimate > 0.045 && effect.estimate < 0.075, "{effect:?}");
    }
}
