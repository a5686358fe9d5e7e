//! What must hold of the curve scores for every input, and known worlds in which their answer is known.

use std::sync::Arc;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use survival::scores::antolini::{Reading, antolini, antolini_weighted};
use survival::scores::brier::{CensoringWeights, brier_score};
use survival::scores::calibration::d_calibration;
use survival::scores::calibration_index::integrated_calibration_index;
use survival::scores::censored_rul::{mae_hinge, mae_margin, mae_pseudo_observation};
use survival::scores::concordance::harrell;
use survival::scores::crps::{survival_crps, survival_crps_contributions};
use survival::scores::detection::HorizonLabels;
use survival::scores::dynamic_auc::{cumulative_dynamic_auc, cumulative_dynamic_auc_of_risk};
use survival::scores::incidence_concordance::concordance_of_cause;
use survival::scores::marginal_calibration::{aj_calibration, km_calibration};
use survival::scores::nbll::integrated_nbll;
use survival::scores::one_calibration::one_calibration;
use survival::scores::rul::mae;
use survival::scores::scaled_brier::{scaled_integrated_brier_score, scaled_integrated_brier_score_of_cause};
use survival::{
    AalenJohansen, Cause, CensorReason, KaplanMeier, Observation, Outcome, SurvivalCurve, TimeGrid, TimeUnit,
};

const FAILED: Outcome = Outcome::Failed(Cause(0));
const CENSORED: Outcome = Outcome::Censored(CensorReason::EndOfObservation);

fn grid(edges: &[f64]) -> Arc<TimeGrid> {
    Arc::new(TimeGrid::try_new(TimeUnit::Hours, edges.to_vec()).unwrap())
}

/// Units on a half-hour lattice up to 10 h, with delayed entries, and one two-cause curve each; curves repeat often.
fn scored(causes: u16) -> impl Strategy<Value = (Vec<Observation>, Vec<SurvivalCurve>)> {
    let unit = (1_u32..21, 0..=causes, 0_u32..8, 0_usize..6);
    let hazards = prop::collection::vec(prop::collection::vec((0.0..0.5_f64, 0.0..0.4_f64), 4), 6);
    (prop::collection::vec(unit, 4..50), hazards).prop_map(|(units, hazards)| {
        let grid = grid(&[0.0, 1.0, 3.0, 6.0, 10.0]);
        let curves: Vec<SurvivalCurve> = hazards
            .iter()
            .map(|rows| {
                let rows: Vec<Vec<f64>> = rows.iter().map(|&(a, b)| vec![a, b]).collect();
                SurvivalCurve::from_hazards(Arc::clone(&grid), &rows).unwrap()
            })
            .collect();
        units
            .into_iter()
            .map(|(half_hours, outcome, late, curve)| {
                let duration = f64::from(half_hours) / 2.0;
                let entry = if late > 4 { f64::from(late - 4) / 2.0 } else { 0.0 };
                let outcome = if outcome == 0 { CENSORED } else { Outcome::Failed(Cause(outcome - 1)) };
                let entry = if entry < duration { entry } else { 0.0 };
                (Observation::try_with_entry(duration, entry, outcome).unwrap(), curves[curve].clone())
            })
            .unzip()
    })
}

fn comparable(first: &Observation, later: &Observation) -> bool {
    let outlived =
        later.duration() > first.duration() || ((later.duration() - first.duration()).abs() < 1e-12 && !later.failed());
    first.failed() && outlived && later.entry() < first.duration()
}

/// Pairs one by one: (concordant, discordant, tied).
fn pairs(n: usize, pair: impl Fn(usize, usize) -> Option<(f64, f64, f64)>) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for i in 0..n {
        for j in (0..n).filter(|&j| j != i) {
            if let Some((weight, first, later)) = pair(i, j) {
                sums[if first > later {
                    0
                } else if first < later {
                    1
                } else {
                    2
                }] += weight;
            }
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn time_dependent_concordance_equals_the_count_over_all_pairs((o, curves) in scored(1), until in 1_u32..21) {
        let until = f64::from(until) / 2.0;
        let edges = curves[0].grid().edges().to_vec();
        let weights: Vec<f64> = (0..o.len()).map(|row| (row % 3) as f64).collect();
        for reading in [Reading::AtFailure, Reading::AtEdge] {
            let want = pairs(o.len(), |i, j| {
                let time = match reading {
                    Reading::AtFailure => o[i].duration(),
                    Reading::AtEdge => *edges.iter().find(|&&edge| edge >= o[i].duration()).unwrap(),
                };
                (o[i].duration() <= until && comparable(&o[i], &o[j])).then(|| {
                    (weights[i] * weights[j], -curves[i].survival_at(time).unwrap(), -curves[j].survival_at(time).unwrap())
                })
            });
            let total: f64 = want.iter().sum();
            match antolini_weighted(&o, &curves, until, reading, &weights) {
                Ok(got) => {
                    for (got, want) in [got.concordant, got.discordant, got.tied_risk].into_iter().zip(want) {
                        prop_assert!((got - want).abs() < 1e-9, "{got} against {want}");
                    }
                    prop_assert!((got.index - (want[0] + 0.5 * want[2]) / total).abs() < 1e-12);
                }
                Err(_) => prop_assert!(total <= 0.0),
            }
        }
    }

    #[test]
    fn concordance_of_a_cause_equals_the_count_over_all_pairs((o, curves) in scored(2), horizon in 1_u32..21) {
        let horizon = f64::from(horizon) / 2.0;
        let risk: Vec<f64> = curves.iter().map(|c| c.cumulative_incidence(Cause(1), horizon).unwrap()).collect();
        let censoring = CensoringWeights::fit(&o).unwrap();
        for censoring in [None, Some(&censoring).filter(|c| c.allows(horizon))] {
            let weight = |row: usize| censoring.map_or(1.0, |c: &CensoringWeights| 1.0 / c.before(o[row].duration()));
            let want = pairs(o.len(), |i, j| {
                if o[i].cause() != Some(Cause(1)) || o[i].duration() > horizon {
                    return None;
                }
                let lost = o[j].cause() == Some(Cause(0)) && o[j].duration() <= o[i].duration();
                if lost {
                    Some((weight(i) * weight(j), risk[i], risk[j]))
                } else {
                    comparable(&o[i], &o[j]).then(|| (weight(i) * weight(i), risk[i], risk[j]))
                }
            });
            let total: f64 = want.iter().sum();
            match concordance_of_cause(&o, Cause(1), &risk, horizon, censoring) {
                Ok(got) => {
                    prop_assert!((got.comparable - total).abs() < 1e-9 * total);
                    prop_assert!((got.concordant - want[0]).abs() < 1e-9 * total);
                    prop_assert!((got.tied_risk - want[2]).abs() < 1e-9 * total);
                    let against: Vec<f64> = risk.iter().map(|r| -r).collect();
                    let against = concordance_of_cause(&o, Cause(1), &against, horizon, censoring).unwrap();
                    prop_assert!((got.index + against.index - 1.0).abs() < 1e-12);
                    let flat = concordance_of_cause(&o, Cause(1), &vec![0.5; o.len()], horizon, censoring).unwrap();
                    prop_assert!((flat.index - 0.5).abs() < 1e-12);
                }
                Err(_) => prop_assert!(total <= 0.0),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn curves_that_never_cross_are_ranked_as_by_one_number((o, _) in scored(1), ratios in prop::collection::vec(0_u32..5, 50)) {
        let grid = grid(&[0.0, 2.0, 5.0, 10.0]);
        let risk: Vec<f64> = ratios[..o.len()].iter().map(|&r| f64::from(r)).collect();
        let curve = |r: &f64| {
            let survival = [0.0, 1.0, 2.0, 4.0].iter().map(|h| f64::exp(-h * 0.1 * (1.0 + r))).collect();
            SurvivalCurve::from_survival(Arc::clone(&grid), survival).unwrap()
        };
        let curves: Vec<SurvivalCurve> = risk.iter().map(curve).collect();
        for reading in [Reading::AtFailure, Reading::AtEdge] {
            match (harrell(&o, &risk), antolini(&o, &curves, 10.0, reading)) {
                (Ok(want), Ok(got)) => prop_assert_eq!(want, got),
                (want, got) => prop_assert_eq!(want, got),
            }
        }
    }

    #[test]
    fn one_cause_alone_is_scored_as_all_causes((o, curves) in scored(1)) {
        let risk: Vec<f64> = curves.iter().map(|c| c.cumulative_incidence(Cause(0), 10.0).unwrap()).collect();
        if let Ok(want) = harrell(&o, &risk) {
            prop_assert_eq!(concordance_of_cause(&o, Cause(0), &risk, 10.0, None).unwrap(), want);
        }
    }

    #[test]
    fn without_censoring_scores_of_a_horizon_are_the_plain_ones((o, curves) in scored(1)) {
        let o: Vec<Observation> = o.iter().map(|o| Observation::try_new(o.duration(), FAILED).unwrap()).collect();
        let censoring = CensoringWeights::fit(&o).unwrap();
        let average = KaplanMeier::fit(&o).unwrap();
        let longest = o.iter().map(Observation::duration).fold(0.0, f64::max);
        let shortest = o.iter().map(Observation::duration).fold(f64::INFINITY, f64::min);
        prop_assume!(shortest < longest);
        let times = [shortest, 0.5 * (shortest + longest), longest];
        let got = scaled_integrated_brier_score(&o, &curves, &times, &censoring, &average).unwrap();
        let plain = |s: &dyn Fn(usize, f64) -> f64| {
            let at = |t: f64| (0..o.len()).map(|i| {
                let alive = if o[i].duration() > t { 1.0 } else { 0.0 };
                (alive - s(i, t)) * (alive - s(i, t))
            }).sum::<f64>() / o.len() as f64;
            0.25 * at(times[0]) + 0.5 * at(times[1]) + 0.25 * at(times[2])
        };
        prop_assert!((got.score - plain(&|i, t| curves[i].survival_at(t).unwrap())).abs() < 1e-12);
        prop_assert!((got.reference - plain(&|_, t| average.survival_at(t))).abs() < 1e-12);
        prop_assert!((got.scaled - (1.0 - got.score / got.reference)).abs() < 1e-15);

        let labels: Vec<bool> = o.iter().map(|o| o.duration() <= times[1]).collect();
        let risk: Vec<f64> = curves.iter().map(|c| c.failure_probability(times[1]).unwrap()).collect();
        let got = cumulative_dynamic_auc_of_risk(&o, &risk, &times[..2], &censoring).unwrap();
        let want = HorizonLabels::known(&labels).unwrap().roc_auc(&risk).unwrap();
        prop_assert!((got.auc[1] - want).abs() < 1e-12);
        let against: Vec<f64> = risk.iter().map(|r| -r).collect();
        let against = cumulative_dynamic_auc_of_risk(&o, &against, &times[..2], &censoring).unwrap();
        prop_assert!((got.mean + against.mean - 1.0).abs() < 1e-12);
        prop_assert!((0.0..=1.0).contains(&got.mean));

        let lives: Vec<f64> = o.iter().map(Observation::duration).collect();
        let predicted: Vec<f64> = (0..o.len()).map(|i| f64::from(i as u32 % 12)).collect();
        let want = mae(&predicted, &lives).unwrap();
        prop_assert!((mae_hinge(&o, &predicted).unwrap() - want).abs() < 1e-12);
        prop_assert!((mae_margin(&o, &o, &predicted).unwrap() - want).abs() < 1e-12);
        prop_assert!((mae_pseudo_observation(&o, &o, &predicted).unwrap() - want).abs() < 1e-12);
    }

    #[test]
    fn brier_of_one_cause_of_one_is_that_of_survival((o, _) in scored(1)) {
        let grid = grid(&[0.0, 1.0, 10.0]);
        let curves = vec![SurvivalCurve::from_survival(grid, vec![1.0, 0.7, 0.2]).unwrap(); o.len()];
        let Ok(censoring) = CensoringWeights::fit(&o) else { return Ok(()) };
        let times = [0.5, 1.0];
        let (km, aj) = (KaplanMeier::fit(&o).unwrap(), AalenJohansen::fit(&o, 1).unwrap());
        let all = scaled_integrated_brier_score(&o, &curves, &times, &censoring, &km);
        let one = scaled_integrated_brier_score_of_cause(&o, Cause(0), &curves, &times, &censoring, &aj);
        match (all, one) {
            (Ok(all), Ok(one)) => {
                prop_assert!((all.score - one.score).abs() < 1e-12);
                prop_assert!((all.reference - one.reference).abs() < 1e-12);
            }
            (all, one) => prop_assert!(all.is_err() && one.is_err()),
        }
    }

    #[test]
    fn the_estimate_given_to_everyone_is_calibrated_on_average((o, _) in scored(2)) {
        let longest = o.iter().map(Observation::duration).fold(0.0, f64::max);
        prop_assume!(longest > 1.0);
        let times: Vec<f64> = (0..=(2.0 * longest) as u32).map(|k| f64::from(k) / 2.0).collect();
        let grid = grid(&times);
        let estimate = AalenJohansen::fit(&o, 2).unwrap().on_grid(&grid).unwrap();
        let curves = vec![estimate; o.len()];
        prop_assert!(km_calibration(&o, &curves, &times).unwrap().largest < 1e-12);
        for cause in [Cause(0), Cause(1)] {
            prop_assert!(aj_calibration(&o, cause, &curves, &times).unwrap().integrated_squared < 1e-20);
        }
    }

    #[test]
    fn the_closed_form_of_crps_is_the_integral((o, curves) in scored(2), until in 7_u32..21) {
        let until = f64::from(until) / 2.0;
        let got = survival_crps_contributions(&o, &curves, until).unwrap();
        for ((o, curve), got) in o.iter().zip(&curves).zip(got) {
            // Midpoints of steps that meet every edge, entry and duration: the error is that of a parabola.
            let at_entry = curve.survival_at(o.entry()).unwrap();
            let steps = 4_000;
            let step = until / f64::from(steps);
            let mut want = 0.0;
            for k in 0..steps {
                let t = (f64::from(k) + 0.5) * step;
                if t < o.entry() {
                    continue;
                }
                let s = curve.survival_at(t).unwrap() / at_entry;
                if t < o.duration() {
                    want += step * (1.0 - s) * (1.0 - s);
                } else if o.failed() {
                    want += step * s * s;
                }
            }
            prop_assert!((got - want).abs() < 2.0 * step, "{got} against {want}");
            prop_assert!(got >= 0.0 && got <= until);
        }
    }

    #[test]
    fn the_worst_bin_bounds_the_chi_square((o, curves) in scored(2)) {
        let got = d_calibration(&o, &curves, 10).unwrap();
        let worst = got.worst_deviation();
        let n = o.len() as f64;
        prop_assert!((0.0..=0.9 + 1e-12).contains(&worst));
        prop_assert!(got.chi_square >= n * 10.0 * worst * worst - 1e-9);
        prop_assert!(got.chi_square <= n * 100.0 * worst * worst + 1e-9);
    }
}

/// n lives with hazard rate e^η, η uniform on [−1, 1], watched for a uniform time up to `watch`, with their rates.
fn world(n: usize, watch: f64, seed: u64) -> (Vec<Observation>, Vec<f64>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..n)
        .map(|_| {
            let rate = (2.0 * random.random::<f64>() - 1.0_f64).exp();
            let life = -(1.0 - random.random::<f64>()).ln() / rate;
            let end = watch * (0.05 + random.random::<f64>());
            let outcome = if life <= end { FAILED } else { CENSORED };
            (Observation::try_new(life.min(end).max(1e-9), outcome).unwrap(), rate)
        })
        .unzip()
}

fn exponential(grid: &Arc<TimeGrid>, rate: f64) -> SurvivalCurve {
    SurvivalCurve::from_survival(Arc::clone(grid), grid.edges().iter().map(|t| (-rate * t).exp()).collect()).unwrap()
}

fn fine_grid(until: f64) -> Arc<TimeGrid> {
    grid(&(0..=100).map(|k| until * f64::from(k) / 100.0).collect::<Vec<_>>())
}

#[test]
fn the_true_curves_have_the_best_proper_scores() {
    let (observations, rates) = world(20_000, 3.0, 7);
    let censoring = CensoringWeights::fit(&observations).unwrap();
    let grid = fine_grid(1.5);
    let times: Vec<f64> = (1..=15).map(|k| f64::from(k) / 10.0).collect();
    let nbll = |change: &dyn Fn(f64) -> f64| {
        let curves: Vec<SurvivalCurve> = rates.iter().map(|&r| exponential(&grid, change(r))).collect();
        integrated_nbll(&observations, &curves, &times, &censoring).unwrap()
    };
    let truth = nbll(&|r| r);
    for wrong in
        [nbll(&|r| 1.2 * r), nbll(&|r| r / 1.2), nbll(&|r| r.powf(1.3)), nbll(&|r| r.powf(0.7)), nbll(&|_| 1.0)]
    {
        assert!(truth < wrong, "{truth} against {wrong}");
    }

    let (lives, rates) = world(20_000, f64::MAX, 8);
    let crps = |change: &dyn Fn(f64) -> f64| {
        let curves: Vec<SurvivalCurve> = rates.iter().map(|&r| exponential(&grid, change(r))).collect();
        survival_crps(&lives, &curves, 1.5).unwrap()
    };
    let truth = crps(&|r| r);
    for wrong in
        [crps(&|r| 1.2 * r), crps(&|r| r / 1.2), crps(&|r| r.powf(1.3)), crps(&|r| r.powf(0.7)), crps(&|_| 1.0)]
    {
        assert!(truth < wrong, "{truth} against {wrong}");
    }
}

#[test]
fn crps_under_censoring_rewards_gloom() {
    // All lives have rate 1 and half of the units leave first. Expected score of rate r, by hand:
    // ½ − 2/(r + 2) + 1/(2r + 2) + ½·(1/(2r) − 1/(2r + 2)), which is 5/24 at r = 1 and less at r = 3/2.
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let observations: Vec<Observation> = (0..20_000)
        .map(|_| {
            let (life, end) = (-(1.0 - random.random::<f64>()).ln(), -(1.0 - random.random::<f64>()).ln());
            let outcome = if life <= end { FAILED } else { CENSORED };
            Observation::try_new(life.min(end).max(1e-9), outcome).unwrap()
        })
        .collect();
    let grid = fine_grid(8.0);
    let score = |rate| survival_crps(&observations, &vec![exponential(&grid, rate); observations.len()], 8.0).unwrap();
    let by_hand = |r: f64| 0.5 - 2.0 / (r + 2.0) + 0.5 / (r + 1.0) + 0.25 * (1.0 / r - 1.0 / (r + 1.0));
    assert!((by_hand(1.0) - 5.0 / 24.0).abs() < 1e-15);
    for rate in [1.0, 1.5] {
        assert!((score(rate) - by_hand(rate)).abs() < 0.01, "{} against {}", score(rate), by_hand(rate));
    }
    assert!(score(1.5) < score(1.0) - 0.01, "{} against {}", score(1.5), score(1.0));
}

#[test]
fn crps_is_the_area_under_the_brier_score_and_the_error_of_a_certain_prediction() {
    let (observations, rates) = world(300, f64::MAX, 11);
    let grid = fine_grid(2.0);
    let curves: Vec<SurvivalCurve> = rates.iter().map(|&r| exponential(&grid, r)).collect();
    let censoring = CensoringWeights::fit(&observations).unwrap();
    let steps = 2_000;
    let step = 2.0 / f64::from(steps);
    let area: f64 = (0..steps)
        .map(|k| {
            let t = (f64::from(k) + 0.5) * step;
            let s: Vec<f64> = curves.iter().map(|c| c.survival_at(t).unwrap()).collect();
            step * brier_score(&observations, &s, t, &censoring).unwrap()
        })
        .sum();
    assert!((survival_crps(&observations, &curves, 2.0).unwrap() - area).abs() < 1e-4);

    // S drops from 1 to 0 between 3 and 3 + 1e-9.
    let sure =
        SurvivalCurve::from_survival(self::grid(&[0.0, 3.0, 3.0 + 1e-9, 10.0]), vec![1.0, 1.0, 0.0, 0.0]).unwrap();
    let of = |t, outcome| {
        survival_crps(&[Observation::try_new(t, outcome).unwrap()], std::slice::from_ref(&sure), 10.0).unwrap()
    };
    assert!((of(5.0, FAILED) - 2.0).abs() < 1e-8);
    assert!((of(1.0, FAILED) - 2.0).abs() < 1e-8);
    // Censored before the predicted end: no error seen. After it: as if it had failed then.
    assert!(of(2.0, CENSORED) < 1e-8);
    assert!((of(5.0, CENSORED) - 2.0).abs() < 1e-8);
}

#[test]
fn crps_worked_by_hand() {
    // S: 1 → 0.5 on [0, 2], 0.5 → 0 on [2, 4]; T = 2: ∫₀² (t/4)² + ∫₂⁴ (1 − t/4)² = 1/6 + 1/6.
    let curve = SurvivalCurve::from_survival(grid(&[0.0, 2.0, 4.0]), vec![1.0, 0.5, 0.0]).unwrap();
    let of = |observation, until| survival_crps(&[observation], std::slice::from_ref(&curve), until).unwrap();
    assert!((of(Observation::try_new(2.0, FAILED).unwrap(), 4.0) - 1.0 / 3.0).abs() < 1e-15);
    assert!((of(Observation::try_new(2.0, CENSORED).unwrap(), 4.0) - 1.0 / 6.0).abs() < 1e-15);
    // ∫₀³ (t/4)² = 27/48, whether it failed later or left then.
    assert!((of(Observation::try_new(3.5, FAILED).unwrap(), 3.0) - 27.0 / 48.0).abs() < 1e-15);
    // Entered at 2 with S = ½: S/½ falls from 1 to 0 on [2, 4]; failed at 3: 2·∫₀^½ u²·2 = 1/6.
    let late = Observation::try_with_entry(3.0, 2.0, FAILED).unwrap();
    assert!((of(late, 4.0) - 1.0 / 6.0).abs() < 1e-15);
}

#[test]
fn errors_of_censored_lives_worked_by_hand() {
    // Training 1, 2+, 3, 4+: S = ¾ from 1, ⅜ from 3, and beyond 4 the line to 0 at 4/(1 − ⅜) = 6.4.
    let of = |t, o| Observation::try_new(t, o).unwrap();
    let training = [of(1.0, FAILED), of(2.0, CENSORED), of(3.0, FAILED), of(4.0, CENSORED)];
    let unit = [of(2.0, CENSORED)];
    // Beyond 2: ¾ + ⅜ + ½·⅜·2.4 = 1.575, over ¾: e = 4.1.
    assert!((mae_margin(&training, &unit, &[4.0]).unwrap() - 0.1).abs() < 1e-12);
    // Beyond 6: S = 1/16 and half of 0.4 left: e = 6.2. Beyond 6.4 nobody: e = c.
    assert!((mae_margin(&training, &[of(6.0, CENSORED)], &[4.0]).unwrap() - 2.2).abs() < 1e-12);
    assert!((mae_margin(&training, &[of(9.0, CENSORED)], &[4.0]).unwrap() - 5.0).abs() < 1e-12);
    // With 2+ once more: S = 0.8 from 1, 0.4 from 3, 0 at 4/0.6: 1 + 1.6 + 0.4 + ½·0.4·(8/3) = 3.5333; θ = 2.875 + 0.45.
    let e = 5.0 * (3.0 + 0.2 * 8.0 / 3.0) - 4.0 * 3.325;
    assert!((mae_pseudo_observation(&training, &unit, &[e - 1.0]).unwrap() - 1.0).abs() < 1e-12);
    // Weights: the failure 1, the censored 1 − ¾.
    let both = [of(2.0, CENSORED), of(5.0, FAILED)];
    assert!((mae_margin(&training, &both, &[4.0, 7.0]).unwrap() - (0.25 * 0.1 + 2.0) / 1.25).abs() < 1e-12);
    assert!((mae_hinge(&both, &[1.5, 7.0]).unwrap() - 1.25).abs() < 1e-15);
    assert!(mae_hinge(&unit, &[50.0]).unwrap() < 1e-15);
}

#[test]
fn one_unit_more_gives_the_mean_life_of_a_refit() {
    let (training, _) = world(60, 2.0, 12);
    let (units, _) = world(40, 6.0, 13);
    let mean = |observations: &[Observation]| {
        let km = KaplanMeier::fit(observations).unwrap();
        let (mut area, mut before, mut s) = (0.0, 0.0, 1.0);
        for (time, next) in km.times().iter().zip(km.survival()) {
            area += s * (time - before);
            (before, s) = (*time, *next);
        }
        area + if s > 0.0 { 0.5 * s * (before / (1.0 - s) - before) } else { 0.0 }
    };
    for unit in units.iter().filter(|o| !o.failed()) {
        let mut more = training.clone();
        more.push(*unit);
        let e = 61.0 * mean(&more) - 60.0 * mean(&training);
        assert!((mae_pseudo_observation(&training, &[*unit], &[e]).unwrap()).abs() < 1e-10, "{unit:?}");
    }
}

#[test]
fn calibration_tests_pass_the_truth_and_find_what_was_bent() {
    let (observations, rates) = world(20_000, 4.0, 21);
    let truth: Vec<f64> = rates.iter().map(|r| 1.0 - (-r).exp()).collect();
    let got = integrated_calibration_index(&observations, &truth, 1.0, 3).unwrap();
    assert!(got.ici < 0.01 && got.e50 < 0.01 && got.e90 < 0.02 && got.largest < 0.03, "{got:?}", got = got.ici);
    let test = one_calibration(&observations, &truth, 1.0, 10).unwrap();
    assert!(test.dagostino_nam.p_value > 0.01 && test.greenwood.unwrap().p_value > 0.01);

    // Hazards predicted as r^1.6·1.3 instead of r: the index must be the mean of what was bent.
    let bent: Vec<f64> = rates.iter().map(|r| 1.0 - (-1.3 * r.powf(1.6)).exp()).collect();
    let mut gaps: Vec<f64> = bent.iter().zip(&truth).map(|(b, t)| (b - t).abs()).collect();
    gaps.sort_by(f64::total_cmp);
    let got = integrated_calibration_index(&observations, &bent, 1.0, 4).unwrap();
    assert!((got.ici - gaps.iter().sum::<f64>() / gaps.len() as f64).abs() < 0.01, "{}", got.ici);
    assert!((got.e50 - gaps[10_000]).abs() < 0.01 && (got.e90 - gaps[18_000]).abs() < 0.015);
    let test = one_calibration(&observations, &bent, 1.0, 10).unwrap();
    assert!(test.dagostino_nam.p_value < 1e-6 && test.greenwood.unwrap().p_value < 1e-6);
}

#[test]
fn equal_predictions_have_a_flat_calibration_curve_and_few_values_a_straight_one() {
    let (observations, rates) = world(500, 4.0, 22);
    let observed = 1.0 - KaplanMeier::fit(&observations).unwrap().survival_at(1.0);
    let got = integrated_calibration_index(&observations, &vec![0.4; 500], 1.0, 3).unwrap();
    assert!((got.ici - (observed - 0.4).abs()).abs() < 1e-12 && (got.e50 - got.ici).abs() < 1e-12);
    // Two values, and predictions of exactly 0 and 1 stay defined.
    let two: Vec<f64> = rates.iter().map(|&r| if r > 1.0 { 0.8 } else { 0.4 }).collect();
    let got = integrated_calibration_index(&observations, &two, 1.0, 5).unwrap();
    assert!(got.calibrated.iter().all(|p| (0.0..=1.0).contains(p)) && got.ici < 0.1);
    let mut sure = two;
    (sure[0], sure[1]) = (0.0, 1.0);
    let got = integrated_calibration_index(&observations, &sure, 1.0, 3).unwrap();
    assert!(got.calibrated.iter().all(|p| (0.0..=1.0).contains(p)) && got.ici.is_finite());
}

#[test]
fn without_censoring_the_two_tests_of_calibration_differ_by_the_variance_alone() {
    let lives: Vec<Observation> = (1..=20).map(|t| Observation::try_new(f64::from(t), FAILED).unwrap()).collect();
    // Two groups of ten with 4 and 1 failures by 5, predicted 0.3 and 0.2.
    let order = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 5, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    let lives: Vec<Observation> = order.iter().map(|&t: &usize| lives[t - 1]).collect();
    let predicted: Vec<f64> = (0..20).map(|row| if row < 10 { 0.3 } else { 0.2 }).collect();
    let got = one_calibration(&lives, &predicted, 5.0, 2).unwrap();
    let want = 10.0 * 0.01 / 0.21 + 10.0 * 0.01 / 0.16;
    assert!((got.dagostino_nam.statistic - want).abs() < 1e-12);
    let want = 10.0 * 0.01 / 0.24 + 10.0 * 0.01 / 0.09;
    assert!((got.greenwood.unwrap().statistic - want).abs() < 1e-12);
}

#[test]
fn a_dynamic_auc_of_curves_reads_each_time_anew() {
    // Curves that cross at t = 2: the first unit is riskier before, the second after.
    let grid = grid(&[0.0, 1.0, 2.0, 3.0]);
    let curve = |s: [f64; 3]| SurvivalCurve::from_survival(Arc::clone(&grid), vec![1.0, s[0], s[1], s[2]]).unwrap();
    let (early, late) = (curve([0.4, 0.3, 0.3]), curve([0.9, 0.3, 0.0]));
    let lives: Vec<Observation> = [0.5, 2.5, 5.0].iter().map(|&t| Observation::try_new(t, FAILED).unwrap()).collect();
    let censoring = CensoringWeights::fit(&lives).unwrap();
    let curves = [early.clone(), late, early];
    let got = cumulative_dynamic_auc(&lives, &curves, &[1.0, 3.0], &censoring).unwrap();
    // At 1: 0.6 against 0.1 (won) and 0.6 (tied). At 3: cases 0.7 and 1 against 0.7: tied and won.
    assert!((got.auc[0] - 0.75).abs() < 1e-15 && (got.auc[1] - 0.75).abs() < 1e-15 && (got.mean - 0.75).abs() < 1e-15);
}
