//! Maintenance policies replayed over lives that ended in a failure: when would each unit have been replaced, at what cost?
//!
//! A planned replacement costs 1, a failure `ratio`. A policy is judged by its cost per unit of service,
//! Σ cost / Σ time in service (renewal reward), so that replacing early is paid for with lost life. The replacement age
//! and the threshold of the predictive policy are chosen for the least cost on units other than those they are applied
//! to. The oracle replaces at the last look before the failure: no policy that acts at looks can cost less per unit.

use std::collections::BTreeMap;

use features::split::group_bucket;
use features::{LabeledBatch, TimeAxis};
use serde::{Deserialize, Serialize};
use survival::compare::bootstrap::{BootstrapComparison, compare};
use survival::scores::calibration::failure_probabilities;
use survival::{ClusterBootstrap, SurvivalCurve};

use crate::error::{Result, TrainError};

/// Ratios of corrective to preventive cost that are swept.
pub const RATIOS: [f64; 9] = [1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0];
/// Folds the age and the threshold are chosen over.
const FOLDS: u32 = 5;
/// Thresholds tried, evenly over the looks ordered by probability.
const THRESHOLDS: usize = 60;

/// One unit that ran to failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Resampled as a whole.
    pub group: String,
    /// Time in service until the failure, counted from the first look.
    pub life: f64,
    /// (time in service, probability of failing within the horizon) at each look, in order, all before the failure.
    pub looks: Vec<(f64, f64)>,
}

/// What one unit cost, and for how long it served.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spent {
    cost: f64,
    service: f64,
}

/// Costs per unit of service at one ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Cost of a failure over that of a planned replacement.
    pub ratio: f64,
    /// Every unit fails.
    pub run_to_failure: f64,
    /// Every unit is replaced at the best age, or fails before.
    pub age_based: f64,
    /// Replaced when the predicted probability passes the best threshold.
    pub predictive: f64,
    /// Replaced at the last look before its failure.
    pub oracle: f64,
}

/// The sweep and the comparison at the ratio named beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Data set.
    pub data: String,
    /// Units replayed.
    pub units: usize,
    /// Units that did not end in a failure, left out.
    pub left_out: usize,
    /// By ratio.
    pub sweep: Vec<Rates>,
    /// Least ratio of the sweep from which on the predictive policy costs less than both others.
    pub break_even: Option<f64>,
    /// Ratio of the comparison.
    pub ratio: f64,
    /// The cheaper of the two others there.
    pub rival: String,
    /// Its cost per unit of service.
    pub rival_rate: f64,
    /// Its cost less that of the predictive policy.
    pub effect: BootstrapComparison,
}

/// The units of rows judged: those whose rows end in a failure, with the number left out.
///
/// # Errors
/// When a horizon lies beyond the curves.
pub fn units(
    rows: &LabeledBatch,
    axis: TimeAxis,
    curves: &[Vec<SurvivalCurve>],
    horizon: f64,
) -> Result<(Vec<Unit>, usize)> {
    let mut probability = vec![0.0; rows.rows()];
    for of_seed in curves {
        #[expect(clippy::cast_precision_loss, reason = "seeds")]
        let seeds = curves.len() as f64;
        for (sum, p) in probability.iter_mut().zip(failure_probabilities(of_seed, horizon)?) {
            *sum += p / seeds;
        }
    }
    let mut by_unit: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, entity) in rows.features.entities().iter().enumerate() {
        by_unit.entry(entity.key()).or_default().push(row);
    }
    let as_of = rows.features.as_of();
    let (mut units, mut left_out) = (Vec::new(), 0);
    for mut of_unit in by_unit.into_values() {
        of_unit.sort_by_key(|&row| as_of[row]);
        let (first, last) = (of_unit[0], of_unit[of_unit.len() - 1]);
        if !rows.observations[last].failed() {
            left_out += 1;
            continue;
        }
        let served = |row: usize| axis.units(as_of[row] - as_of[first]);
        units.push(Unit {
            group: rows.groups[last].clone(),
            life: served(last) + rows.observations[last].duration(),
            looks: of_unit.iter().map(|&row| (served(row), probability[row])).collect(),
        });
    }
    Ok((units, left_out))
}

/// Replays every policy over the sweep and compares at `ratio`.
///
/// # Errors
/// When there are fewer than ten units or two groups, or `ratio` is not above 1.
pub fn replay(data: &str, units: &[Unit], left_out: usize, ratio: f64, replicates: usize, seed: u64) -> Result<Replay> {
    let refuse = |reason: String| TrainError::Study { what: format!("maintenance on {data}"), reason };
    if units.len() < 10 {
        return Err(refuse(format!("{} units ended in a failure, ten are needed", units.len())));
    }
    if !(ratio > 1.0 && ratio.is_finite()) {
        return Err(refuse(format!("a ratio of {ratio}; a failure must cost more than a planned replacement")));
    }
    let sweep: Vec<Rates> = RATIOS.iter().map(|&ratio| Policies::at(units, ratio).rates(ratio)).collect();
    let cheaper = |rates: &Rates| rates.predictive < rates.run_to_failure.min(rates.age_based);
    let from = sweep.iter().rposition(|rates| !cheaper(rates)).map_or(0, |last| last + 1);
    let policies = Policies::at(units, ratio);
    let rates = policies.rates(ratio);
    let (rival, spent, rival_rate) = if rates.age_based <= rates.run_to_failure {
        ("replacement at the best age", &policies.age_based, rates.age_based)
    } else {
        ("run to failure", &policies.run_to_failure, rates.run_to_failure)
    };
    let groups: Vec<&str> = units.iter().map(|unit| unit.group.as_str()).collect();
    let bootstrap = ClusterBootstrap::new(&groups, replicates, seed)?;
    let effect = compare(&bootstrap, |weights| Some((rate(spent, weights)?, rate(&policies.predictive, weights)?)))?;
    Ok(Replay {
        data: data.to_owned(),
        units: units.len(),
        left_out,
        break_even: sweep.get(from).map(|rates| rates.ratio),
        sweep,
        ratio,
        rival: rival.to_owned(),
        rival_rate,
        effect,
    })
}

/// What each policy spent on each unit.
struct Policies {
    run_to_failure: Vec<Spent>,
    age_based: Vec<Spent>,
    predictive: Vec<Spent>,
    oracle: Vec<Spent>,
}

impl Policies {
    fn at(units: &[Unit], ratio: f64) -> Self {
        let fails = |unit: &Unit| Spent { cost: ratio, service: unit.life };
        let mut age_based: Vec<Spent> = units.iter().map(fails).collect();
        let mut predictive = age_based.clone();
        for fold in 0..FOLDS {
            let own = |unit: &&Unit| group_bucket("maintenance", &unit.group) % FOLDS == fold;
            let others: Vec<&Unit> = units.iter().filter(|unit| !own(unit)).collect();
            let age = best(&ages(&others), &others, |unit, age| by_age(unit, age, ratio));
            let threshold = best(&thresholds(&others), &others, |unit, level| by_threshold(unit, level, ratio));
            for (at, unit) in units.iter().enumerate().filter(|(_, unit)| own(unit)) {
                age_based[at] = age.map_or(fails(unit), |age| by_age(unit, age, ratio));
                predictive[at] = threshold.map_or(fails(unit), |level| by_threshold(unit, level, ratio));
            }
        }
        let last_look =
            |unit: &Unit| unit.looks.last().map_or(fails(unit), |&(service, _)| planned(service, unit, ratio));
        Self {
            run_to_failure: units.iter().map(fails).collect(),
            age_based,
            predictive,
            oracle: units.iter().map(last_look).collect(),
        }
    }

    fn rates(&self, ratio: f64) -> Rates {
        let whole = |spent: &[Spent]| rate(spent, &vec![1.0; spent.len()]).unwrap_or(f64::NAN);
        Rates {
            ratio,
            run_to_failure: whole(&self.run_to_failure),
            age_based: whole(&self.age_based),
            predictive: whole(&self.predictive),
            // Where a failure costs no more than a replacement the oracle lets units fail.
            oracle: whole(&self.oracle).min(whole(&self.run_to_failure)),
        }
    }
}

/// Replaced at this time in service, unless that is none: then it fails.
fn planned(service: f64, unit: &Unit, ratio: f64) -> Spent {
    if service > 0.0 && service < unit.life {
        Spent { cost: 1.0, service }
    } else {
        Spent { cost: ratio, service: unit.life }
    }
}

fn by_age(unit: &Unit, age: f64, ratio: f64) -> Spent {
    planned(age, unit, ratio)
}

fn by_threshold(unit: &Unit, level: f64, ratio: f64) -> Spent {
    let alarm = unit.looks.iter().find(|(service, p)| *service > 0.0 && *p >= level);
    alarm.map_or(Spent { cost: ratio, service: unit.life }, |&(service, _)| planned(service, unit, ratio))
}

/// Σ cost / Σ service.
fn rate(spent: &[Spent], weights: &[f64]) -> Option<f64> {
    let (cost, service) = spent
        .iter()
        .zip(weights)
        .fold((0.0, 0.0), |(cost, service), (spent, w)| (cost + w * spent.cost, service + w * spent.service));
    (service > 0.0).then(|| cost / service)
}

/// Ages worth trying: just before each failure, and never.
fn ages(units: &[&Unit]) -> Vec<f64> {
    let mut ages: Vec<f64> = units.iter().map(|unit| unit.life * (1.0 - 1e-9)).collect();
    ages.sort_unstable_by(f64::total_cmp);
    ages.push(f64::INFINITY);
    ages
}

/// Levels worth trying: probabilities that occurred, evenly by rank, and never.
fn thresholds(units: &[&Unit]) -> Vec<f64> {
    let mut seen: Vec<f64> = units.iter().flat_map(|unit| unit.looks.iter().map(|look| look.1)).collect();
    seen.sort_unstable_by(f64::total_cmp);
    let step = seen.len().div_ceil(THRESHOLDS).max(1);
    let mut levels: Vec<f64> = seen.iter().rev().step_by(step).copied().collect();
    levels.push(f64::INFINITY);
    levels
}

/// The candidate with the least cost per unit of service.
fn best(candidates: &[f64], units: &[&Unit], spend: impl Fn(&Unit, f64) -> Spent) -> Option<f64> {
    let cost = |candidate: f64| {
        let spent: Vec<Spent> = units.iter().map(|unit| spend(unit, candidate)).collect();
        rate(&spent, &vec![1.0; spent.len()])
    };
    let costs = candidates.iter().filter_map(|&candidate| cost(candidate).map(|cost| (cost, candidate)));
    costs.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit looked at each 10, whose probability is `early` until the last look and `late` there.
    fn unit(number: usize, life: f64, early: f64, late: f64) -> Unit {
        let mut looks: Vec<(f64, f64)> =
            (0..).map(|at| (10.0 * f64::from(at), early)).take_while(|(service, _)| *service < life).collect();
        if let Some(last) = looks.last_mut() {
            last.1 = late;
        }
        Unit { group: format!("unit {number}"), life, looks }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} against {b}");
    }

    #[test]
    fn each_policy_of_one_unit_worked_by_hand() {
        let one = unit(0, 35.0, 0.1, 0.9);
        // Looks at 0, 10, 20, 30; only the last is above ½.
        assert_eq!(by_threshold(&one, 0.5, 10.0), Spent { cost: 1.0, service: 30.0 });
        assert_eq!(by_threshold(&one, 0.05, 10.0), Spent { cost: 1.0, service: 10.0 });
        assert_eq!(by_threshold(&one, 0.95, 10.0), Spent { cost: 10.0, service: 35.0 });
        assert_eq!(by_age(&one, 20.0, 10.0), Spent { cost: 1.0, service: 20.0 });
        assert_eq!(by_age(&one, 40.0, 10.0), Spent { cost: 10.0, service: 35.0 });
        // Two units: (1 + 10) / (30 + 35); the second drawn twice: 21 / 100.
        let spent = [Spent { cost: 1.0, service: 30.0 }, Spent { cost: 10.0, service: 35.0 }];
        close(rate(&spent, &[1.0, 1.0]).unwrap(), 11.0 / 65.0);
        close(rate(&spent, &[1.0, 2.0]).unwrap(), 21.0 / 100.0);
        assert!(rate(&spent, &[0.0, 0.0]).is_none());
    }

    #[test]
    fn a_sure_signal_wins_from_the_first_ratio_that_pays_for_the_lost_life() {
        // Lives of 25, 45, … 185: the last look is 5 before the failure. Σ life 1050·2, Σ at the last look 1000·2.
        let lives: Vec<Unit> =
            (0..20_u32).map(|at| unit(at as usize, 25.0 + 20.0 * f64::from(at % 10), 0.1, 0.9)).collect();
        let found = replay("lives", &lives, 3, 10.0, 500, 1).unwrap();
        let at = |ratio: f64| found.sweep.iter().find(|rates| (rates.ratio - ratio).abs() < 1e-9).unwrap();
        let (life, looked): (f64, f64) =
            (lives.iter().map(|u| u.life).sum(), lives.iter().map(|u| u.looks[u.looks.len() - 1].0).sum());
        close(at(10.0).run_to_failure, 200.0 / life);
        close(at(10.0).oracle, 20.0 / looked);
        close(at(10.0).predictive, 20.0 / looked);
        // At equal cost nothing beats letting units fail.
        close(at(1.0).run_to_failure, 20.0 / life);
        close(at(1.0).predictive, at(1.0).run_to_failure);
        close(at(1.0).oracle, at(1.0).run_to_failure);
        assert_eq!(found.break_even, Some(2.0));
        assert!(found.effect.effect.low > 0.0 && found.left_out == 3);
    }

    #[test]
    fn without_a_signal_the_best_age_is_not_beaten() {
        // Equal lives, so age alone says everything, and a probability that says nothing.
        let lives: Vec<Unit> = (0..20).map(|at| unit(at, 95.0, 0.3, 0.3)).collect();
        let found = replay("lives", &lives, 0, 10.0, 500, 1).unwrap();
        assert_eq!((found.break_even, found.rival.as_str()), (None, "replacement at the best age"));
        assert!(found.effect.effect.high < 0.0, "{:?}", found.effect.effect);
        for rates in &found.sweep {
            assert!(rates.oracle <= rates.predictive + 1e-12 && rates.age_based <= rates.run_to_failure + 1e-12);
        }
    }

    #[test]
    fn too_few_lives_and_a_ratio_that_pays_nothing_are_refused() {
        let lives: Vec<Unit> = (0..20).map(|at| unit(at, 95.0, 0.3, 0.3)).collect();
        assert!(replay("few", &lives[..9], 0, 10.0, 500, 1).unwrap_err().to_string().contains("9 units"));
        assert!(replay("cheap", &lives, 0, 1.0, 500, 1).unwrap_err().to_string().contains("ratio of 1"));
    }
}
