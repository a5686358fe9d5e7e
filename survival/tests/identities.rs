//! Laws that hold for every input: they need no reference tool and catch what no table of numbers foresaw.

use std::sync::Arc;

use ndarray::Array2;
use proptest::prelude::*;
use survival::reliability::{availability, availability_of_cycle, k_of_n, parallel, series, shared_cause};
use survival::scores::brier::{CensoringWeights, brier_score, integrated_brier_contributions, integrated_brier_score};
use survival::scores::calibration::{d_calibration, reliability_table};
use survival::scores::concordance::{harrell, harrell_weighted, uno};
use survival::scores::detection::HorizonLabels;
use survival::scores::incidence_brier::integrated_brier_contributions_of_cause;
use survival::scores::resampling::ClusterBootstrap;
use survival::{
    AalenJohansen, AftOptions, Cause, CauseSpecificCox, CauseSpecificWeibull, CensorReason, CoxModel, CoxOptions,
    DiscreteHazard, HazardOptions, KaplanMeier, NelsonAalen, Observation, Outcome, SurvivalCurve, Ties, TimeGrid,
    TimeUnit, WeibullAft,
};

/// Durations on a half-unit lattice (so that ties abound); outcome 0 = censored, c = failed of cause c − 1.
fn lives(rows: std::ops::Range<usize>, causes: u16, entries: bool) -> impl Strategy<Value = Vec<Observation>> {
    prop::collection::vec((1_u32..24, 0..=causes, 0.0..1.0_f64, any::<bool>()), rows).prop_map(move |rows| {
        rows.into_iter()
            .map(|(half_units, outcome, share, late)| {
                let duration = f64::from(half_units) / 2.0;
                let entry = if entries && late { (share * duration * 4.0).floor() / 4.0 } else { 0.0 };
                let outcome = match outcome {
                    0 => Outcome::Censored(CensorReason::EndOfObservation),
                    cause => Outcome::Failed(Cause(cause - 1)),
                };
                Observation::try_with_entry(duration, entry, outcome).unwrap()
            })
            .collect()
    })
}

/// Lives with at least one failure of each cause, and two covariates in step with them.
fn study(causes: u16) -> impl Strategy<Value = (Array2<f64>, Vec<Observation>)> {
    (lives(12..60, causes, false), prop::collection::vec((-2.0..2.0_f64, 0.0..5.0_f64), 60))
        .prop_filter("every cause must occur", move |(o, _)| {
            (0..causes).all(|c| o.iter().any(|o| o.cause() == Some(Cause(c))))
        })
        .prop_map(|(o, x)| (Array2::from_shape_fn((o.len(), 2), |(r, c)| if c == 0 { x[r].0 } else { x[r].1 }), o))
}

fn grid(edges: &[f64]) -> Arc<TimeGrid> {
    Arc::new(TimeGrid::try_new(TimeUnit::Hours, edges.to_vec()).unwrap())
}

fn even_grid(intervals: u32, step: f64) -> Arc<TimeGrid> {
    grid(&(0..=intervals).map(|j| f64::from(j) * step).collect::<Vec<_>>())
}

fn stretched(observations: &[Observation], factor: f64) -> Vec<Observation> {
    observations
        .iter()
        .map(|o| Observation::try_with_entry(o.duration() * factor, o.entry() * factor, o.outcome()).unwrap())
        .collect()
}

fn repeated<T: Clone>(items: &[T]) -> Vec<T> {
    items.iter().chain(items).cloned().collect()
}

fn ridge() -> CoxOptions {
    CoxOptions { ridge: 0.5, ..CoxOptions::default() }
}

fn obeys_the_laws(curve: &SurvivalCurve, tolerance: f64) -> Result<(), TestCaseError> {
    let s = curve.survival();
    prop_assert!((s[0] - 1.0).abs() <= tolerance);
    prop_assert!(s.windows(2).all(|w| w[1] <= w[0]), "S rises: {s:?}");
    prop_assert!(s.iter().all(|v| (0.0..=1.0).contains(v)), "{s:?}");
    for (edge, &s) in s.iter().enumerate() {
        let total = s + curve.incidence().iter().map(|f| f[edge]).sum::<f64>();
        prop_assert!((total - 1.0).abs() <= tolerance, "sum {total} at edge {edge}");
    }
    for f in curve.incidence() {
        prop_assert!(f.windows(2).all(|w| w[1] >= w[0] - tolerance), "F falls: {f:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn curves_from_hazards_start_at_one_never_rise_and_sum_to_one(
        rows in prop::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64), 1..33)
    ) {
        // A share of a share keeps the sum of both hazards at most 1.
        let hazards: Vec<Vec<f64>> = rows.iter().map(|(a, b)| vec![a * b, a * (1.0 - b)]).collect();
        let curve = SurvivalCurve::from_hazards(even_grid(rows.len() as u32, 0.5), &hazards).unwrap();
        obeys_the_laws(&curve, 1e-9)?;
    }

    #[test]
    fn hazards_come_back_from_the_curve_they_made(rows in prop::collection::vec(0.0..0.9_f64, 1..33)) {
        let hazards: Vec<Vec<f64>> = rows.iter().map(|&h| vec![h]).collect();
        let curve = SurvivalCurve::from_hazards(even_grid(rows.len() as u32, 1.0), &hazards).unwrap();
        for (j, h) in rows.iter().enumerate() {
            let s = curve.survival();
            if s[j + 1] > 1e-8 {
                prop_assert!((1.0 - s[j + 1] / s[j] - h).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn quantiles_rise_with_their_level_and_are_missing_exactly_beyond_the_grid(
        rows in prop::collection::vec(0.0..0.6_f64, 1..20), q in 0.01..0.98_f64, more in 0.001..0.01_f64
    ) {
        let hazards: Vec<Vec<f64>> = rows.iter().map(|&h| vec![h]).collect();
        let curve = SurvivalCurve::from_hazards(even_grid(rows.len() as u32, 1.0), &hazards).unwrap();
        let (low, high) = (curve.quantile(q).unwrap(), curve.quantile(q + more).unwrap());
        prop_assert_eq!(low.is_none(), *curve.survival().last().unwrap() > 1.0 - q);
        if let (Some(low), Some(high)) = (low, high) {
            prop_assert!(low <= high);
            prop_assert!((curve.survival_at(low).unwrap() - (1.0 - q)).abs() < 1e-9);
        }
        prop_assert!(low.is_some() || high.is_none());
    }
}

proptest! {
    #[test]
    fn every_fitted_model_obeys_the_laws_of_a_curve((x, observations) in study(2)) {
        let grid = grid(&[0.0, 1.0, 2.5, 6.0, 13.0]);
        let mut curves = vec![
            AalenJohansen::fit(&observations, 2).unwrap().on_grid(&grid).unwrap(),
            KaplanMeier::fit(&observations).unwrap().on_grid(&grid).unwrap(),
            NelsonAalen::fit(&observations).unwrap().on_grid(&grid).unwrap(),
        ];
        curves.extend(CoxModel::fit(x.view(), &observations, &ridge()).unwrap().survival_on_grid(x.view(), &grid).unwrap());
        curves.extend(CauseSpecificCox::fit(x.view(), &observations, 2, &ridge()).unwrap().curves(x.view(), &grid).unwrap());
        let aft = AftOptions { ridge: 0.5, ..AftOptions::default() };
        curves.extend(WeibullAft::fit(x.view(), &observations, &aft).unwrap().survival_on_grid(x.view(), &grid).unwrap());
        curves.extend(CauseSpecificWeibull::fit(x.view(), &observations, 2, &aft).unwrap().curves(x.view(), &grid).unwrap());
        let hazard = HazardOptions { ridge: 0.5, ..HazardOptions::default() };
        curves.extend(DiscreteHazard::fit(x.view(), &observations, &grid, 2, &hazard).unwrap().curves(x.view()).unwrap());
        for curve in &curves {
            obeys_the_laws(curve, 1e-9)?;
        }
    }

    #[test]
    fn nelson_aalen_is_never_below_the_product_limit(observations in lives(1..80, 1, true)) {
        let (km, na) = (KaplanMeier::fit(&observations).unwrap(), NelsonAalen::fit(&observations).unwrap());
        for &t in km.times() {
            prop_assert!((-na.cumulative_hazard_at(t)).exp() >= km.survival_at(t) - 1e-15);
        }
    }

    #[test]
    fn one_cause_competing_with_none_equals_single_risk(observations in lives(1..80, 1, true)) {
        let km = KaplanMeier::fit(&observations).unwrap();
        let aj = AalenJohansen::fit(&observations, 1).unwrap();
        for &t in km.times() {
            prop_assert!((aj.incidence_at(Cause(0), t) - (1.0 - km.survival_at(t))).abs() < 1e-12);
        }
    }

    #[test]
    fn incidences_and_survival_of_aalen_johansen_sum_to_one(observations in lives(1..80, 3, true)) {
        let aj = AalenJohansen::fit(&observations, 3).unwrap();
        for &t in aj.times() {
            let total: f64 = (0..3).map(|c| aj.incidence_at(Cause(c), t)).sum::<f64>() + aj.survival_at(t);
            prop_assert!((total - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn no_censoring_equals_the_empirical_curve_with_plain_brier_scores(
        observations in lives(2..60, 1, false), s in prop::collection::vec(0.0..1.0_f64, 60)
    ) {
        let observations: Vec<Observation> = observations
            .iter().map(|o| Observation::try_new(o.duration(), Outcome::Failed(Cause(0))).unwrap()).collect();
        let n = observations.len() as f64;
        let km = KaplanMeier::fit(&observations).unwrap();
        let weights = CensoringWeights::fit(&observations).unwrap();
        for &t in km.times() {
            let beyond = observations.iter().filter(|o| o.duration() > t).count() as f64;
            prop_assert!((km.survival_at(t) - beyond / n).abs() < 1e-12);
            prop_assert!((weights.at(t) - 1.0).abs() < 1e-12 && (weights.before(t) - 1.0).abs() < 1e-12);
            let plain: f64 = observations.iter().zip(&s)
                .map(|(o, s)| (s - if o.duration() > t { 1.0 } else { 0.0 }).powi(2)).sum::<f64>() / n;
            let got = brier_score(&observations, &s[..observations.len()], t, &weights).unwrap();
            prop_assert!((got - plain).abs() < 1e-12);
        }
    }

    #[test]
    fn stretching_time_stretches_only_what_has_a_unit((x, observations) in study(1), factor in 0.01..100.0_f64) {
        let long = stretched(&observations, factor);
        let (km, km_long) = (KaplanMeier::fit(&observations).unwrap(), KaplanMeier::fit(&long).unwrap());
        prop_assert_eq!(km.survival(), km_long.survival());
        let risk: Vec<f64> = x.column(0).to_vec();
        if let Ok(c) = harrell(&observations, &risk) {
            prop_assert_eq!(c, harrell(&long, &risk).unwrap());
        }
        let (cox, cox_long) = (
            CoxModel::fit(x.view(), &observations, &ridge()).unwrap(), CoxModel::fit(x.view(), &long, &ridge()).unwrap());
        prop_assert_eq!(cox.coefficients(), cox_long.coefficients());
        let aft = AftOptions { ridge: 0.5, ..AftOptions::default() };
        let (w, w_long) = (
            WeibullAft::fit(x.view(), &observations, &aft).unwrap(), WeibullAft::fit(x.view(), &long, &aft).unwrap());
        prop_assert!((w.shape() / w_long.shape() - 1.0).abs() < 1e-5, "{} {}", w.shape(), w_long.shape());
        let row = [0.3, 1.0];
        let ratio = w_long.scale(&row).unwrap() / w.scale(&row).unwrap();
        prop_assert!((ratio / factor - 1.0).abs() < 1e-5, "{ratio} against {factor}");
    }

    #[test]
    fn the_order_of_rows_does_not_matter((x, observations) in study(2)) {
        let order: Vec<usize> = (0..observations.len()).rev().collect();
        let turned: Vec<Observation> = order.iter().map(|&r| observations[r]).collect();
        let x_turned = x.select(ndarray::Axis(0), &order);
        prop_assert_eq!(KaplanMeier::fit(&observations).unwrap(), KaplanMeier::fit(&turned).unwrap());
        let (a, b) = (
            CoxModel::fit(x.view(), &observations, &ridge()).unwrap(),
            CoxModel::fit(x_turned.view(), &turned, &ridge()).unwrap(),
        );
        for (a, b) in a.coefficients().iter().zip(b.coefficients()) {
            prop_assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()));
        }
    }

    #[test]
    fn weight_two_equals_the_row_given_twice(observations in lives(1..60, 1, true)) {
        let twice = repeated(&observations);
        let weights = vec![2.0; observations.len()];
        let (a, b) = (KaplanMeier::fit_weighted(&observations, &weights).unwrap(), KaplanMeier::fit(&twice).unwrap());
        for &t in a.times() {
            prop_assert!((a.survival_at(t) - b.survival_at(t)).abs() < 1e-12);
        }
        let (a, b) = (NelsonAalen::fit_weighted(&observations, &weights).unwrap(), NelsonAalen::fit(&twice).unwrap());
        for &t in a.times() {
            prop_assert!((a.cumulative_hazard_at(t) - b.cumulative_hazard_at(t)).abs() < 1e-12);
        }
    }

    #[test]
    fn every_row_twice_leaves_breslow_coefficients_unchanged((x, observations) in study(1)) {
        // A doubled table doubles likelihood and, here, penalty.
        let once = CoxOptions { ties: Ties::Breslow, ..ridge() };
        let both = CoxOptions { ridge: 1.0, ..once };
        let x2 = ndarray::concatenate![ndarray::Axis(0), x, x];
        let a = CoxModel::fit(x.view(), &observations, &once).unwrap();
        let b = CoxModel::fit(x2.view(), &repeated(&observations), &both).unwrap();
        for (a, b) in a.coefficients().iter().zip(b.coefficients()) {
            prop_assert!((a - b).abs() < 1e-6 * (1.0 + a.abs()));
        }
    }

    #[test]
    fn a_unit_censored_before_the_first_failure_changes_nothing((x, observations) in study(1), value in -2.0..2.0_f64) {
        let mut more = observations.clone();
        more.push(Observation::try_new(0.25, Outcome::Censored(CensorReason::Lost)).unwrap());
        let (a, b) = (KaplanMeier::fit(&observations).unwrap(), KaplanMeier::fit(&more).unwrap());
        for &t in a.times() {
            prop_assert!((a.survival_at(t) - b.survival_at(t)).abs() < 1e-12);
        }
        // Without a ridge: the penalty works on scaled columns, and the scale does see the extra row.
        let x_more = ndarray::concatenate![ndarray::Axis(0), x, ndarray::array![[value, 1.0]]];
        let fits = (
            CoxModel::fit(x.view(), &observations, &CoxOptions::default()),
            CoxModel::fit(x_more.view(), &more, &CoxOptions::default()),
        );
        if let (Ok(a), Ok(b)) = fits {
            prop_assert!((a.log_likelihood() - b.log_likelihood()).abs() < 1e-8 * a.log_likelihood().abs().max(1.0));
        }
    }

    #[test]
    fn cutting_a_row_into_start_stop_pieces_changes_nothing((x, observations) in study(1), share in 0.1..0.9_f64) {
        let mut pieces = Vec::new();
        let mut rows = Vec::new();
        for (row, o) in observations.iter().enumerate() {
            let cut = o.duration() * share;
            pieces.push(Observation::try_new(cut, Outcome::Censored(CensorReason::Gap)).unwrap());
            pieces.push(Observation::try_with_entry(o.duration(), cut, o.outcome()).unwrap());
            rows.extend([row, row]);
        }
        let cut = x.select(ndarray::Axis(0), &rows);
        let (a, b) = (KaplanMeier::fit(&observations).unwrap(), KaplanMeier::fit(&pieces).unwrap());
        for &t in a.times() {
            prop_assert!((a.survival_at(t) - b.survival_at(t)).abs() < 1e-12);
        }
        // Every row doubles, so the scales agree and the penalty may stay.
        for ties in [Ties::Efron, Ties::Breslow] {
            let options = CoxOptions { ties, ..ridge() };
            let a = CoxModel::fit(x.view(), &observations, &options).unwrap();
            let b = CoxModel::fit(cut.view(), &pieces, &options).unwrap();
            prop_assert!((a.log_likelihood() - b.log_likelihood()).abs() < 1e-8 * (1.0 + a.log_likelihood().abs()));
            for (a, b) in a.coefficients().iter().zip(b.coefficients()) {
                prop_assert!((a - b).abs() < 1e-6 * (1.0 + a.abs()));
            }
        }
        let aft = AftOptions { ridge: 0.5, ..AftOptions::default() };
        let a = WeibullAft::fit(x.view(), &observations, &aft).unwrap();
        let b = WeibullAft::fit(cut.view(), &pieces, &aft).unwrap();
        prop_assert!((a.shape() - b.shape()).abs() < 1e-5 * a.shape());
        let (a, b) = (harrell(&observations, x.column(0).as_slice().unwrap_or(&x.column(0).to_vec())),
            harrell(&pieces, cut.column(0).as_slice().unwrap_or(&cut.column(0).to_vec())));
        if let (Ok(a), Ok(b)) = (a, b) {
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn cutting_rows_exactly_at_a_failure_time_changes_nothing((x, observations) in study(1), half_units in 1_u32..12) {
        // The piece that ends at the cut is at risk there, the piece that begins at it is not.
        let cut = f64::from(half_units) / 2.0;
        let (mut pieces, mut rows) = (Vec::new(), Vec::new());
        for (row, o) in observations.iter().enumerate() {
            if o.duration() > cut {
                pieces.push(Observation::try_new(cut, Outcome::Censored(CensorReason::Gap)).unwrap());
                pieces.push(Observation::try_with_entry(o.duration(), cut, o.outcome()).unwrap());
                rows.extend([row, row]);
            } else {
                pieces.push(*o);
                rows.push(row);
            }
        }
        let (a, b) = (KaplanMeier::fit(&observations).unwrap(), KaplanMeier::fit(&pieces).unwrap());
        for &t in a.times() {
            prop_assert!((a.survival_at(t) - b.survival_at(t)).abs() < 1e-12);
        }
        let fits = (
            CoxModel::fit(x.view(), &observations, &CoxOptions::default()),
            CoxModel::fit(x.select(ndarray::Axis(0), &rows).view(), &pieces, &CoxOptions::default()),
        );
        if let (Ok(a), Ok(b)) = fits {
            prop_assert!((a.log_likelihood() - b.log_likelihood()).abs() < 1e-8 * (1.0 + a.log_likelihood().abs()));
        }
    }

    #[test]
    fn the_risk_set_is_whoever_entered_before_and_has_not_ended(observations in lives(1..60, 1, true)) {
        let km = KaplanMeier::fit(&observations).unwrap();
        for (&t, &n) in km.times().iter().zip(km.at_risk()) {
            let counted = observations.iter().filter(|o| o.entry() < t && t <= o.duration()).count();
            prop_assert!((n - counted as f64).abs() < 1e-12, "{n} at risk at {t}, counted {counted}");
        }
    }

    #[test]
    fn shifting_and_scaling_a_covariate_moves_only_its_coefficient(
        (x, observations) in study(1), shift in -1e3..1e3_f64, scale in 0.01..100.0_f64
    ) {
        let moved = Array2::from_shape_fn(x.raw_dim(), |(r, c)| if c == 0 { x[[r, c]] * scale + shift } else { x[[r, c]] });
        let fits = (
            CoxModel::fit(x.view(), &observations, &CoxOptions::default()),
            CoxModel::fit(moved.view(), &observations, &CoxOptions::default()),
        );
        if let (Ok(a), Ok(b)) = fits {
            prop_assert!((a.coefficients()[0] - b.coefficients()[0] * scale).abs() < 1e-5 * (1.0 + a.coefficients()[0].abs()));
            let difference = |m: &CoxModel, x: &Array2<f64>| {
                m.linear_predictor(&x.row(0).to_vec()).unwrap() - m.linear_predictor(&x.row(1).to_vec()).unwrap()
            };
            let (da, db) = (difference(&a, &x), difference(&b, &moved));
            prop_assert!((da - db).abs() < 1e-5 * (1.0 + da.abs()), "{da} {db}");
        }
    }
}

/// Every pair looked at: the definition that the fast version must equal.
fn concordance_by_pairs(o: &[Observation], risk: &[f64], first: &[f64], later: &[f64]) -> (f64, f64, f64) {
    let (mut concordant, mut discordant, mut tied) = (0.0, 0.0, 0.0);
    for i in 0..o.len() {
        for j in 0..o.len() {
            let (ti, tj) = (o[i].duration(), o[j].duration());
            let outlives = tj > ti || (tj >= ti && !o[j].failed());
            if i == j || !o[i].failed() || !outlives || o[j].entry() >= ti {
                continue;
            }
            let weight = first[i] * later[j];
            if risk[i] > risk[j] {
                concordant += weight;
            } else if risk[i] < risk[j] {
                discordant += weight;
            } else {
                tied += weight;
            }
        }
    }
    (concordant, discordant, tied)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn fast_concordance_equals_looking_at_every_pair(
        o in lives(2..50, 2, true), levels in prop::collection::vec(-4_i32..4, 50), copies in prop::collection::vec(0_u32..4, 50)
    ) {
        let risk: Vec<f64> = levels[..o.len()].iter().map(|&l| f64::from(l) / 3.0).collect();
        let ones = vec![1.0; o.len()];
        let (c, d, t) = concordance_by_pairs(&o, &risk, &ones, &ones);
        match harrell(&o, &risk) {
            Ok(got) => prop_assert_eq!((got.concordant, got.discordant, got.tied_risk), (c, d, t)),
            Err(_) => prop_assert!(c + d + t <= 0.0),
        }
        let weights: Vec<f64> = copies[..o.len()].iter().map(|&w| f64::from(w)).collect();
        let (c, d, t) = concordance_by_pairs(&o, &risk, &weights, &weights);
        match harrell_weighted(&o, &risk, &weights) {
            Ok(got) => prop_assert_eq!((got.concordant, got.discordant, got.tied_risk), (c, d, t)),
            Err(_) => prop_assert!(c + d + t <= 0.0),
        }
    }

    #[test]
    fn fast_weighted_concordance_equals_looking_at_every_pair(
        o in lives(2..50, 1, false), levels in prop::collection::vec(-4_i32..4, 50), tau in 1.0..13.0_f64
    ) {
        let risk: Vec<f64> = levels[..o.len()].iter().map(|&l| f64::from(l)).collect();
        let g = CensoringWeights::fit(&o).unwrap();
        let first: Vec<f64> = o.iter()
            .map(|o| if o.failed() && o.duration() < tau { g.at(o.duration()).powi(-2) } else { 0.0 }).collect();
        let (c, d, t) = concordance_by_pairs(&o, &risk, &first, &vec![1.0; o.len()]);
        if let Ok(got) = uno(&o, &o, &risk, tau) {
            prop_assert!((got.index - (c + 0.5 * t) / (c + d + t)).abs() < 1e-12);
        }
    }

    #[test]
    fn turning_the_risk_round_turns_the_index_round(
        o in lives(2..50, 1, false), levels in prop::collection::vec(-9_i32..9, 50)
    ) {
        let risk: Vec<f64> = levels[..o.len()].iter().map(|&l| f64::from(l)).collect();
        let turned: Vec<f64> = risk.iter().map(|r| -r).collect();
        if let Ok(got) = harrell(&o, &risk) {
            prop_assert!((got.index + harrell(&o, &turned).unwrap().index - 1.0).abs() < 1e-12);
            prop_assert!((harrell(&o, &vec![3.0; o.len()]).unwrap().index - 0.5).abs() < 1e-15);
        }
    }

    #[test]
    fn k_of_n_falls_in_k_and_rises_in_each_member(
        p in prop::collection::vec(0.0..=1.0_f64, 1..12), place in any::<prop::sample::Index>(), beta in 0.0..=1.0_f64
    ) {
        let n = p.len();
        let all: Vec<f64> = (0..=n).map(|k| k_of_n(k, &p).unwrap()).collect();
        prop_assert!(all.windows(2).all(|w| w[1] <= w[0] + 1e-12), "{all:?}");
        prop_assert!((all[0] - 1.0).abs() < 1e-12);
        prop_assert!((all[1] - parallel(&p).unwrap()).abs() < 1e-12);
        prop_assert!((all[n] - series(&p).unwrap()).abs() < 1e-12);
        let mut better = p.clone();
        let member = place.index(n);
        better[member] += 0.5 * (1.0 - better[member]);
        for (k, before) in all.iter().enumerate() {
            prop_assert!(k_of_n(k, &better).unwrap() >= before - 1e-12);
        }
        let mixed = shared_cause(beta, all[n], p[0]).unwrap();
        prop_assert!(mixed >= all[n].min(p[0]) - 1e-12 && mixed <= all[n].max(p[0]) + 1e-12);
    }

    #[test]
    fn availability_rises_with_up_time_and_falls_with_repair(up in 1e-3..1e6_f64, repair in 1e-3..1e6_f64, more in 1.01..3.0_f64) {
        let a = availability(up, repair).unwrap();
        prop_assert!((0.0..=1.0).contains(&a));
        prop_assert!(availability(up * more, repair).unwrap() > a && availability(up, repair * more).unwrap() < a);
        prop_assert!((availability_of_cycle(up + repair, repair).unwrap() - a).abs() < 1e-12);
    }

    #[test]
    fn integrated_brier_is_the_trapezoid_of_brier_and_the_mean_of_its_parts(
        o in lives(10..40, 2, false), scale in prop::collection::vec(0.1..20.0_f64, 40)
    ) {
        let g = CensoringWeights::fit(&o).unwrap();
        let grid = even_grid(48, 0.25);
        let curves: Vec<SurvivalCurve> = (0..o.len()).map(|i| {
            let s = grid.edges().iter().map(|t| (-t / scale[i]).exp()).collect();
            SurvivalCurve::from_survival(Arc::clone(&grid), s).unwrap()
        }).collect();
        let times = g.allowed_times(&[0.3, 1.0, 2.7, 4.5, 6.0, 8.0]);
        prop_assume!(times.len() >= 2);
        let brier: Vec<f64> = times.iter().map(|&t| {
            let s: Vec<f64> = curves.iter().map(|c| c.survival_at(t).unwrap()).collect();
            brier_score(&o, &s, t, &g).unwrap()
        }).collect();
        let area: f64 = (1..times.len()).map(|k| 0.5 * (brier[k] + brier[k - 1]) * (times[k] - times[k - 1])).sum();
        let want = area / (times[times.len() - 1] - times[0]);
        prop_assert!((integrated_brier_score(&o, &curves, &times, &g).unwrap() - want).abs() < 1e-12);
        let parts = integrated_brier_contributions(&o, &curves, &times, &g).unwrap();
        prop_assert!((parts.iter().sum::<f64>() / parts.len() as f64 - want).abs() < 1e-12);
        // One cause alone: the score of its incidence is the score of S.
        let single: Vec<Observation> = o.iter().map(|o| match o.outcome() {
            Outcome::Failed(_) => Observation::try_new(o.duration(), Outcome::Failed(Cause(0))).unwrap(),
            Outcome::Censored(_) => *o,
        }).collect();
        let by_cause = integrated_brier_contributions_of_cause(&single, Cause(0), &curves, &times, &g).unwrap();
        for (a, b) in parts.iter().zip(by_cause) {
            prop_assert!((a - b).abs() < 1e-12);
        }
    }

    #[test]
    fn roc_area_without_censoring_is_the_share_of_ordered_pairs(
        labels in prop::collection::vec(any::<bool>(), 2..40), levels in prop::collection::vec(-4_i32..4, 40)
    ) {
        let score: Vec<f64> = levels[..labels.len()].iter().map(|&l| f64::from(l)).collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (i, _) in labels.iter().enumerate().filter(|(_, l)| **l) {
            for (j, _) in labels.iter().enumerate().filter(|(_, l)| !**l) {
                pairs += 1.0;
                wins += if score[i] > score[j] { 1.0 } else if score[i] < score[j] { 0.0 } else { 0.5 };
            }
        }
        prop_assume!(pairs > 0.0);
        let got = HorizonLabels::known(&labels).unwrap();
        prop_assert!((got.roc_auc(&score).unwrap() - wins / pairs).abs() < 1e-12);
        let curve = got.precision_recall(&score).unwrap();
        prop_assert!((0.0..=1.0 + 1e-12).contains(&curve.average_precision));
        prop_assert!((curve.points.last().unwrap().recall - 1.0).abs() < 1e-12);
    }

    #[test]
    fn calibration_counts_every_row_once(o in lives(10..60, 1, false), scale in prop::collection::vec(0.5..20.0_f64, 60)) {
        let grid = even_grid(24, 0.5);
        let curves: Vec<SurvivalCurve> = (0..o.len()).map(|i| {
            let s = grid.edges().iter().map(|t| (-t / scale[i]).exp()).collect();
            SurvivalCurve::from_survival(Arc::clone(&grid), s).unwrap()
        }).collect();
        let d = d_calibration(&o, &curves, 10).unwrap();
        prop_assert!((d.counts.iter().sum::<f64>() - o.len() as f64).abs() < 1e-9);
        prop_assert!((0.0..=1.0).contains(&d.p_value));
        let predicted: Vec<f64> = curves.iter().map(|c| c.failure_probability(4.0).unwrap()).collect();
        let table = reliability_table(&o, &predicted, 4.0, 5, 0.95).unwrap();
        prop_assert_eq!(table.bins.iter().map(|b| b.rows).sum::<usize>(), o.len());
        for bin in &table.bins {
            prop_assert!(bin.low <= bin.observed + 1e-12 && bin.observed <= bin.high + 1e-12);
        }
    }
}

#[test]
fn a_model_written_and_read_gives_the_same_bits() {
    let x = Array2::from_shape_fn((40, 2), |(r, c)| ((r * 7 + c * 3) % 11) as f64 / 3.0 + (r as f64).sin());
    let o: Vec<Observation> = (0..40_u16)
        .map(|r| {
            let outcome = match r % 3 {
                0 => Outcome::Censored(CensorReason::Drain),
                cause => Outcome::Failed(Cause(cause - 1)),
            };
            Observation::try_new(1.0 + f64::from((r * 13) % 17) / 7.0, outcome).unwrap()
        })
        .collect();
    let grid = grid(&[0.0, 0.7, 1.9, 3.3]);
    let cox = CauseSpecificCox::fit(x.view(), &o, 2, &ridge()).unwrap();
    let weibull = CauseSpecificWeibull::fit(x.view(), &o, 2, &AftOptions::default()).unwrap();
    let discrete = DiscreteHazard::fit(x.view(), &o, &grid, 2, &HazardOptions::default()).unwrap();
    let cox_again: CauseSpecificCox = through_json(&cox);
    let weibull_again: CauseSpecificWeibull = through_json(&weibull);
    let discrete_again: DiscreteHazard = through_json(&discrete);
    assert_eq!(cox.curves(x.view(), &grid).unwrap(), cox_again.curves(x.view(), &grid).unwrap());
    assert_eq!(weibull.curves(x.view(), &grid).unwrap(), weibull_again.curves(x.view(), &grid).unwrap());
    assert_eq!(discrete.curves(x.view()).unwrap(), discrete_again.curves(x.view()).unwrap());
    let km = KaplanMeier::fit(&o).unwrap();
    assert_eq!(km, through_json(&km));
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn one_minus_kaplan_meier_per_cause_overstates_the_incidence() {
    let fail = |t: f64, c: u16| Observation::try_new(t, Outcome::Failed(Cause(c))).unwrap();
    let o = [fail(1.0, 0), fail(2.0, 1), fail(3.0, 0), fail(4.0, 1)];
    let aj = AalenJohansen::fit(&o, 2).unwrap();
    // 1/4 at t = 1, then ½·½ at t = 3 of the two left: F₀ = ½; Kaplan–Meier with cause 1 censored gives 5/8.
    assert!((aj.incidence_at(Cause(0), 3.0) - 0.5).abs() < 1e-15);
    let as_censored: Vec<Observation> = o
        .iter()
        .map(|o| match o.cause() {
            Some(Cause(1)) => Observation::try_new(o.duration(), Outcome::Censored(CensorReason::Lost)).unwrap(),
            _ => *o,
        })
        .collect();
    assert!((1.0 - KaplanMeier::fit(&as_censored).unwrap().survival_at(3.0) - 0.625).abs() < 1e-15);
}

#[test]
fn a_bootstrap_depends_on_seed_and_clusters_but_not_on_the_order_of_rows() {
    let names: Vec<String> = (0..60).map(|r| format!("host-{}", r % 20)).collect();
    let values: Vec<f64> = (0..60).map(|r| f64::from((r * r) % 17)).collect();
    let run = |names: &[String], values: &[f64], seed| {
        ClusterBootstrap::new(names, 500, seed).unwrap().interval_of_mean(values).unwrap()
    };
    let a = run(&names, &values, 7);
    assert_eq!(a, run(&names, &values, 7));
    assert!((a.low - run(&names, &values, 8).low).abs() > 0.0);
    let turned_names: Vec<String> = names.iter().rev().cloned().collect();
    let turned: Vec<f64> = values.iter().rev().copied().collect();
    let b = run(&turned_names, &turned, 7);
    assert!((a.low - b.low).abs() < 1e-12 && (a.high - b.high).abs() < 1e-12);
    assert!(a.low < a.estimate && a.estimate < a.high);
    // The same interval through row multiplicities.
    let bootstrap = ClusterBootstrap::new(&names, 500, 7).unwrap();
    let mean = |w: &[f64]| Some(w.iter().zip(&values).map(|(w, v)| w * v).sum::<f64>() / w.iter().sum::<f64>());
    let c = bootstrap.interval_of(mean).unwrap();
    assert!((a.low - c.low).abs() < 1e-12 && (a.high - c.high).abs() < 1e-12);
    let better: Vec<f64> = values.iter().map(|v| v - 0.5).collect();
    let difference = bootstrap.paired_difference(&better, &values).unwrap();
    assert!((difference.difference + 0.5).abs() < 1e-12 && difference.high < 0.0 && difference.p_value < 0.01);
    assert!((bootstrap.paired_difference(&values, &values).unwrap().p_value - 1.0).abs() < 1e-15);
}
