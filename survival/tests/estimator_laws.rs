//! Laws of the accelerated-life family, of stratified and time-varying Cox models and of the life table per class.

use std::sync::Arc;

use ndarray::{Array2, Axis, concatenate};
use proptest::prelude::*;
use survival::{
    AalenJohansen, AftLaw, AftModel, AftOptions, Cause, CauseSpecificAft, CauseSpecificCox,
    CauseSpecificTimeVaryingCox, CauseSpecificWeibull, CensorReason, CovariateChange, CovariatePath, CoxModel,
    CoxOptions, Observation, Outcome, StartStopRows, StratifiedAalenJohansen, StratifiedCox, SurvivalCurve, Ties,
    TimeGrid, TimeUnit, TimeVaryingCox, WeibullAft,
};

const CENSORED: Outcome = Outcome::Censored(CensorReason::EndOfObservation);

/// Lives with ties and at least three failures of each cause, late entries where asked for, two covariates and, in
/// column 2, a class of 0, 1 or 2.
fn study(causes: u16, entries: bool) -> impl Strategy<Value = (Array2<f64>, Vec<Observation>)> {
    let row = (1_u32..24, 0..=causes, 0.0..1.0_f64, any::<bool>(), -2.0..2.0_f64, 0.0..5.0_f64, 0..3_u8);
    prop::collection::vec(row, 20..60)
        .prop_map(move |rows| {
            let observations: Vec<Observation> = rows
                .iter()
                .map(|&(half_units, outcome, share, late, ..)| {
                    let duration = f64::from(half_units) / 2.0;
                    let entry = if entries && late { (share * duration * 4.0).floor() / 4.0 } else { 0.0 };
                    let outcome = if outcome == 0 { CENSORED } else { Outcome::Failed(Cause(outcome - 1)) };
                    Observation::try_with_entry(duration, entry, outcome).unwrap()
                })
                .collect();
            let x = Array2::from_shape_fn((rows.len(), 3), |(r, c)| match c {
                0 => rows[r].4,
                1 => rows[r].5,
                _ => f64::from(rows[r].6),
            });
            (x, observations)
        })
        .prop_filter("every cause must occur", move |(_, o)| {
            (0..causes).all(|c| o.iter().filter(|o| o.cause() == Some(Cause(c))).count() >= 3)
        })
}

fn grid() -> Arc<TimeGrid> {
    Arc::new(TimeGrid::try_new(TimeUnit::Hours, vec![0.0, 1.0, 2.5, 6.0, 13.0, 400.0]).unwrap())
}

fn ridge() -> CoxOptions {
    CoxOptions { ridge: 0.5, ..CoxOptions::default() }
}

fn held() -> AftOptions {
    AftOptions { ridge: 0.5, ..AftOptions::default() }
}

fn tight() -> AftOptions {
    AftOptions { ridge: 0.5, tolerance: 1e-13, ..AftOptions::default() }
}

fn obeys_the_laws(curve: &SurvivalCurve) -> Result<(), TestCaseError> {
    let s = curve.survival();
    prop_assert!((s[0] - 1.0).abs() <= 1e-9);
    prop_assert!(s.windows(2).all(|w| w[1] <= w[0]), "S rises: {s:?}");
    prop_assert!(s.iter().all(|v| (0.0..=1.0).contains(v)), "{s:?}");
    for (edge, &s) in s.iter().enumerate() {
        let total = s + curve.incidence().iter().map(|f| f[edge]).sum::<f64>();
        prop_assert!((total - 1.0).abs() <= 1e-9, "sum {total} at edge {edge}");
    }
    for f in curve.incidence() {
        prop_assert!(f.windows(2).all(|w| w[1] >= w[0] - 1e-12), "F falls: {f:?}");
    }
    Ok(())
}

fn near(what: &str, got: f64, want: f64, tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert!((got - want).abs() <= tolerance * (1.0 + want.abs()), "{what}: {got} against {want}");
    Ok(())
}

fn same_curves(a: &[SurvivalCurve], b: &[SurvivalCurve], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        for (a, b) in a.survival().iter().zip(b.survival()) {
            near("S", *a, *b, tolerance)?;
        }
        for (a, b) in a.incidence().iter().flatten().zip(b.incidence().iter().flatten()) {
            near("F", *a, *b, tolerance)?;
        }
    }
    Ok(())
}

/// Every life cut at whole numbers into stretches with the same covariates.
fn cut(x: &Array2<f64>, observations: &[Observation]) -> (Array2<f64>, Vec<Observation>, Vec<usize>) {
    let (mut rows, mut pieces, mut ids) = (vec![], vec![], vec![]);
    for (row, o) in observations.iter().enumerate() {
        let mut start = o.entry();
        while start < o.duration() {
            let stop = (start.floor() + 3.0).min(o.duration());
            let outcome = if stop < o.duration() { CENSORED } else { o.outcome() };
            pieces.push(Observation::try_with_entry(stop, start, outcome).unwrap());
            rows.push(row);
            ids.push(row);
            start = stop;
        }
    }
    (x.select(Axis(0), &rows), pieces, ids)
}

fn round_trip<M: serde::Serialize + serde::de::DeserializeOwned>(model: &M) -> M {
    serde_json::from_str(&serde_json::to_string(model).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_curve_obeys_the_laws_and_survives_writing_and_reading((x, observations) in study(2, true)) {
        let (pieces_x, pieces, ids) = cut(&x, &observations);
        let rows = StartStopRows::try_new(pieces_x.view(), &pieces, &ids).unwrap();
        let mut curves = vec![];
        for law in AftLaw::ALL {
            let one = AftModel::fit(x.view(), &observations, law, &held()).unwrap();
            prop_assert_eq!(&round_trip(&one), &one);
            curves.extend(one.survival_on_grid(x.view(), &grid()).unwrap());
        }
        let causes = CauseSpecificAft::fit(x.view(), &observations, 2, &AftLaw::ALL, &held()).unwrap();
        prop_assert_eq!(&round_trip(&causes), &causes);
        curves.extend(causes.curves(x.view(), &grid()).unwrap());
        let stratified = StratifiedCox::fit(x.view(), &observations, &[2], &ridge()).unwrap();
        prop_assert_eq!(&round_trip(&stratified), &stratified);
        curves.extend(stratified.survival_on_grid(x.view(), &grid()).unwrap());
        let varying = CauseSpecificTimeVaryingCox::fit(&rows, 2, &[2], &ridge()).unwrap();
        prop_assert_eq!(&round_trip(&varying), &varying);
        curves.extend(varying.curves(x.view(), &grid(), CovariatePath::Held).unwrap());
        let classes = StratifiedAalenJohansen::fit(x.view(), &observations, 2, &[2], 8).unwrap();
        prop_assert_eq!(&round_trip(&classes), &classes);
        curves.extend(classes.curves(x.view(), &grid()).unwrap());
        for curve in &curves {
            obeys_the_laws(curve)?;
        }
    }

    #[test]
    fn stretching_time_stretches_the_scale_of_every_law_and_nothing_else(
        (x, observations) in study(1, true), factor in 0.01..100.0_f64
    ) {
        let longer: Vec<Observation> = observations
            .iter()
            .map(|o| Observation::try_with_entry(o.duration() * factor, o.entry() * factor, o.outcome()).unwrap())
            .collect();
        let failures = observations.iter().filter(|o| o.failed()).count() as f64;
        for law in AftLaw::ALL {
            let a = AftModel::fit(x.view(), &observations, law, &tight()).unwrap();
            let b = AftModel::fit(x.view(), &longer, law, &tight()).unwrap();
            near("shape", b.shape(), a.shape(), 1e-6)?;
            near("intercept", b.intercept(), a.intercept() + factor.ln(), 1e-6)?;
            near("log-likelihood", b.log_likelihood(), a.log_likelihood() - failures * factor.ln(), 1e-8)?;
            for (b, a) in b.coefficients().iter().zip(a.coefficients()) {
                near("coefficient", *b, *a, 1e-6)?;
            }
        }
    }

    #[test]
    fn shifting_and_scaling_a_covariate_moves_only_its_coefficient(
        (x, observations) in study(1, true), shift in -50.0..50.0_f64, scale in 0.1..10.0_f64
    ) {
        let mut moved = x.clone();
        moved.column_mut(0).mapv_inplace(|v| scale * v + shift);
        for law in AftLaw::ALL {
            let a = AftModel::fit(x.view(), &observations, law, &tight()).unwrap();
            let b = AftModel::fit(moved.view(), &observations, law, &tight()).unwrap();
            near("scaled coefficient", b.coefficients()[0] * scale, a.coefficients()[0], 1e-6)?;
            near("other coefficient", b.coefficients()[1], a.coefficients()[1], 1e-6)?;
            near("intercept", b.intercept(), a.intercept() - b.coefficients()[0] * shift, 1e-5)?;
            let (one, other) = (x.row(0).to_vec(), moved.row(0).to_vec());
            near("S", b.survival_at(&other, 3.0).unwrap(), a.survival_at(&one, 3.0).unwrap(), 1e-6)?;
        }
        let a = StratifiedCox::fit(x.view(), &observations, &[2], &ridge()).unwrap();
        let b = StratifiedCox::fit(moved.view(), &observations, &[2], &ridge()).unwrap();
        near("Cox", b.coefficients()[0] * scale, a.coefficients()[0], 1e-6)?;
        same_curves(&b.survival_on_grid(moved.view(), &grid()).unwrap(), &a.survival_on_grid(x.view(), &grid()).unwrap(), 1e-6)?;
    }

    #[test]
    fn the_order_of_rows_does_not_matter((x, observations) in study(2, true), turn in 1_usize..19) {
        let n = observations.len();
        let order: Vec<usize> = (0..n).rev().map(|row| (row + turn) % n).collect();
        let turned = x.select(Axis(0), &order);
        let moved: Vec<Observation> = order.iter().map(|&row| observations[row]).collect();
        let a = CauseSpecificAft::fit(x.view(), &observations, 2, &AftLaw::ALL, &tight()).unwrap();
        let b = CauseSpecificAft::fit(turned.view(), &moved, 2, &AftLaw::ALL, &tight()).unwrap();
        same_curves(&a.curves(x.view(), &grid()).unwrap(), &b.curves(x.view(), &grid()).unwrap(), 1e-6)?;
        let a = StratifiedCox::fit(x.view(), &observations, &[2], &ridge()).unwrap();
        let b = StratifiedCox::fit(turned.view(), &moved, &[2], &ridge()).unwrap();
        same_curves(
            &a.survival_on_grid(x.view(), &grid()).unwrap(), &b.survival_on_grid(x.view(), &grid()).unwrap(), 1e-8
        )?;
        let a = a.diagnostics(x.view(), &observations).unwrap();
        let b = b.diagnostics(turned.view(), &moved).unwrap();
        for (place, &row) in order.iter().enumerate() {
            for (a, b) in a.score_residuals().row(row).iter().zip(b.score_residuals().row(place)) {
                near("score residual", *b, *a, 1e-8)?;
            }
        }
        let a = StratifiedAalenJohansen::fit(x.view(), &observations, 2, &[2], 5).unwrap();
        let b = StratifiedAalenJohansen::fit(turned.view(), &moved, 2, &[2], 5).unwrap();
        same_curves(&a.curves(x.view(), &grid()).unwrap(), &b.curves(x.view(), &grid()).unwrap(), 1e-12)?;
    }

    #[test]
    fn the_exponential_law_is_the_weibull_law_with_shape_one((x, observations) in study(1, true)) {
        let exponential = AftModel::fit(x.view(), &observations, AftLaw::Exponential, &tight()).unwrap();
        let weibull = AftModel::fit(x.view(), &observations, AftLaw::Weibull, &tight()).unwrap();
        prop_assert_eq!(exponential.shape().to_bits(), 1.0_f64.to_bits());
        // A likelihood that may choose its shape is never lower; the ridge of this test is on both sides.
        let own = 0.5 * weibull.shape().ln().powi(2);
        let penalty = |m: &AftModel| {
            let n = x.nrows() as f64;
            m.coefficients().iter().zip(x.columns()).map(|(b, c)| {
                let mean = c.sum() / n;
                0.25 * b * b * c.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n
            }).sum::<f64>()
        };
        let (free, bound) =
            (weibull.log_likelihood() - penalty(&weibull) - own, exponential.log_likelihood() - penalty(&exponential));
        prop_assert!(free >= bound - 1e-8, "{free} below {bound}");
        let row = x.row(0).to_vec();
        let (scale, mean) = (exponential.scale(&row).unwrap(), exponential.mean_time_to_failure(&row).unwrap());
        near("mean", mean.unwrap(), scale, 1e-12)?;
        near("H", exponential.cumulative_hazard_at(&row, 2.5).unwrap(), 2.5 / scale, 1e-12)?;
    }

    #[test]
    fn weibull_is_one_law_of_the_family((x, observations) in study(2, true)) {
        let family = AftModel::fit(x.view(), &observations, AftLaw::Weibull, &held()).unwrap();
        let own = WeibullAft::fit(x.view(), &observations, &held()).unwrap();
        prop_assert_eq!(own.as_aft(), &family);
        let own = CauseSpecificWeibull::fit(x.view(), &observations, 2, &held()).unwrap();
        let family = CauseSpecificAft::fit(x.view(), &observations, 2, &[AftLaw::Weibull], &held()).unwrap();
        prop_assert_eq!(own.curves(x.view(), &grid()).unwrap(), family.curves(x.view(), &grid()).unwrap());
    }

    #[test]
    fn cutting_a_life_into_stretches_changes_nothing((x, observations) in study(2, true), efron in any::<bool>()) {
        let options = CoxOptions { ties: if efron { Ties::Efron } else { Ties::Breslow }, tolerance: 1e-12, ..ridge() };
        let (pieces_x, pieces, ids) = cut(&x, &observations);
        let rows = StartStopRows::try_new(pieces_x.view(), &pieces, &ids).unwrap();
        prop_assert_eq!(rows.count(), observations.len());
        // Columns are scaled over rows, and a ridge acts on scaled columns: take the free fit where there is one.
        let free = CoxOptions { ridge: 0.0, ..options };
        let Ok(whole) = CauseSpecificCox::fit(x.view(), &observations, 2, &free) else { return Ok(()) };
        let cut = CauseSpecificTimeVaryingCox::fit(&rows, 2, &[], &free).unwrap();
        same_curves(
            &cut.curves(x.view(), &grid(), CovariatePath::Held).unwrap(), &whole.curves(x.view(), &grid()).unwrap(), 1e-6
        )?;
        let whole = CoxModel::fit(x.view(), &observations, &free).unwrap();
        let cut = TimeVaryingCox::fit(&rows, &[], &free).unwrap();
        let robust = |d: survival::CoxDiagnostics, ids: &[usize]| d.robust_errors(ids).unwrap().standard_errors;
        let each: Vec<usize> = (0..observations.len()).collect();
        let a = robust(whole.diagnostics(x.view(), &observations).unwrap(), &each);
        let b = robust(cut.diagnostics(&rows).unwrap(), rows.units());
        for (a, b) in a.iter().zip(&b) {
            near("robust error", *b, *a, 1e-5)?;
        }
    }

    #[test]
    fn score_residuals_add_up_to_the_gradient_which_the_ridge_balances(
        (x, observations) in study(1, true), efron in any::<bool>()
    ) {
        let options = CoxOptions { ties: if efron { Ties::Efron } else { Ties::Breslow }, tolerance: 1e-13, ..ridge() };
        for strata in [&[][..], &[2][..]] {
            let model = StratifiedCox::fit(x.view(), &observations, strata, &options).unwrap();
            let diagnostics = model.diagnostics(x.view(), &observations).unwrap();
            let score = diagnostics.score_residuals().sum_axis(Axis(0));
            let schoenfeld = diagnostics.schoenfeld_residuals().sum_axis(Axis(0));
            for (k, (&column, beta)) in model.covariates().iter().zip(model.coefficients()).enumerate() {
                let c = x.column(column);
                let mean = c.sum() / c.len() as f64;
                let variance = c.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / c.len() as f64;
                near("score", score[k], options.ridge * variance * beta, 1e-5)?;
                near("Schoenfeld", schoenfeld[k], score[k], 1e-8)?;
            }
        }
    }

    #[test]
    fn a_path_that_repeats_what_is_known_is_the_held_path(
        (x, observations) in study(2, true), after in 0.1..5.0_f64, more in 0.1..5.0_f64
    ) {
        let (pieces_x, pieces, ids) = cut(&x, &observations);
        let rows = StartStopRows::try_new(pieces_x.view(), &pieces, &ids).unwrap();
        let model = CauseSpecificTimeVaryingCox::fit(&rows, 2, &[2], &ridge()).unwrap();
        let paths: Vec<Vec<CovariateChange>> = x
            .rows()
            .into_iter()
            .map(|row| [after, after + more].map(|after| CovariateChange { after, x: row.to_vec() }).to_vec())
            .collect();
        let known = model.curves(x.view(), &grid(), CovariatePath::Held).unwrap();
        same_curves(&model.curves(x.view(), &grid(), CovariatePath::Given(&paths)).unwrap(), &known, 1e-9)?;
        // A change after the last edge has no say, one before the first edge has all of it.
        let other = x.row(1).to_vec();
        let one = x.select(Axis(0), &[0]);
        let late = vec![vec![CovariateChange { after: 1e4, x: other.clone() }]];
        same_curves(&model.curves(one.view(), &grid(), CovariatePath::Given(&late)).unwrap(), &known[..1], 1e-12)?;
        let early = vec![vec![CovariateChange { after: 1e-9, x: other }]];
        same_curves(&model.curves(one.view(), &grid(), CovariatePath::Given(&early)).unwrap(), &known[1..2], 1e-9)?;
    }

    #[test]
    fn an_age_conditions_on_being_alive((x, observations) in study(1, false), age in 0.0..2.0_f64) {
        let ids: Vec<usize> = (0..observations.len()).collect();
        let rows = StartStopRows::try_new(x.view(), &observations, &ids).unwrap();
        let model = TimeVaryingCox::fit(&rows, &[], &ridge()).unwrap();
        let last = model.cox().baselines()[0].times.last().copied().unwrap();
        prop_assume!(age < last);
        let aged = model.curves_at(x.view(), &vec![age; x.nrows()], &grid(), CovariatePath::Held).unwrap();
        let shifted: Vec<f64> = grid().edges().iter().map(|t| t + age).filter(|t| *t > 0.0).collect();
        let whole = TimeGrid::try_new(TimeUnit::Hours, std::iter::once(0.0).chain(shifted).collect()).unwrap();
        let fresh = model.curves(x.view(), &Arc::new(whole.clone()), CovariatePath::Held).unwrap();
        for (aged, fresh) in aged.iter().zip(&fresh) {
            for (edge, s) in grid().edges().iter().zip(aged.survival()) {
                let later = whole.edges().iter().position(|t| *t >= edge + age).unwrap();
                let now = whole.edges().iter().position(|t| *t >= age).unwrap();
                prop_assume!(fresh.survival()[now] > 1e-12);
                near("S", *s, fresh.survival()[later] / fresh.survival()[now], 1e-9)?;
            }
        }
    }

    #[test]
    fn one_stratum_is_no_stratum_and_strata_of_their_own_add_up((x, observations) in study(1, true)) {
        let plain = CoxModel::fit(x.view(), &observations, &ridge()).unwrap();
        let one = StratifiedCox::fit(x.view(), &observations, &[], &ridge()).unwrap();
        prop_assert_eq!(plain.coefficients(), one.coefficients());
        prop_assert_eq!(plain.baseline_cumulative_hazard(), &one.baselines()[0].hazard[..]);
        // The table twice, as two strata, doubles everything.
        let label = |value: f64| Array2::from_elem((x.nrows(), 1), value);
        let first = concatenate![Axis(1), x, label(0.0)];
        let second = concatenate![Axis(1), x, label(1.0)];
        let twice = concatenate![Axis(0), first, second];
        let both: Vec<Observation> = observations.iter().chain(&observations).copied().collect();
        let options = CoxOptions { ridge: 1.0, ..ridge() };
        let model = StratifiedCox::fit(twice.view(), &both, &[3], &options).unwrap();
        near("log-likelihood", model.log_likelihood(), 2.0 * plain.log_likelihood(), 1e-8)?;
        for (got, want) in model.coefficients().iter().zip(plain.coefficients()) {
            near("coefficient", *got, *want, 1e-7)?;
        }
    }

    #[test]
    fn a_class_with_failures_enough_has_its_own_life_table_and_the_others_the_pooled_one(
        (x, observations) in study(2, false), least in 1_usize..12
    ) {
        let model = StratifiedAalenJohansen::fit(x.view(), &observations, 2, &[2], least).unwrap();
        let pooled = AalenJohansen::fit(&observations, 2).unwrap();
        let mut fallbacks = 0;
        for class in model.classes() {
            let own: Vec<Observation> =
                observations.iter().zip(x.rows()).filter(|(_, row)| row[2].total_cmp(&class[0]).is_eq()).map(|(o, _)| *o).collect();
            let enough = own.iter().filter(|o| o.failed()).count() >= least;
            fallbacks += usize::from(!enough);
            let want = if enough { AalenJohansen::fit(&own, 2).unwrap() } else { pooled.clone() };
            let mut row = Array2::zeros((1, 3));
            row[[0, 2]] = class[0];
            prop_assert_eq!(&model.curves(row.view(), &grid()).unwrap()[0], &want.on_grid(&grid()).unwrap());
        }
        prop_assert_eq!(model.fallbacks(), fallbacks);
        let unseen = Array2::from_elem((1, 3), 17.0);
        prop_assert_eq!(&model.curves(unseen.view(), &grid()).unwrap()[0], &pooled.on_grid(&grid()).unwrap());
    }
}

#[test]
fn the_smallest_aic_is_chosen_and_every_law_stands_in_the_table() {
    // Quantiles of a log-logistic law of shape 2.5: its own AIC must win.
    let n = 400;
    let observations: Vec<Observation> = (0..n)
        .map(|i| {
            let p = (f64::from(i) + 0.5) / f64::from(n);
            Observation::try_new(10.0 * (p / (1.0 - p)).powf(0.4), Outcome::Failed(Cause(0))).unwrap()
        })
        .collect();
    let x = Array2::zeros((observations.len(), 0));
    let model = CauseSpecificAft::fit(x.view(), &observations, 2, &AftLaw::ALL, &AftOptions::default()).unwrap();
    let table = model.candidates(Cause(0));
    assert_eq!(table.iter().map(|c| c.law).collect::<Vec<_>>(), AftLaw::ALL);
    assert_eq!(table.iter().map(|c| c.parameters).collect::<Vec<_>>(), [1, 2, 2, 2]);
    for candidate in table {
        let (ll, aic) = (candidate.log_likelihood.unwrap(), candidate.aic.unwrap());
        assert!((aic - (2.0 * candidate.parameters as f64 - 2.0 * ll)).abs() < 1e-9 && candidate.problem.is_none());
    }
    let fitted = model.model(Cause(0)).unwrap();
    assert_eq!(fitted.law(), AftLaw::LogLogistic);
    assert!((fitted.scale(&[]).unwrap() - 10.0).abs() < 0.01 && (fitted.shape() - 2.5).abs() < 0.05, "{fitted:?}");
    assert!(model.model(Cause(1)).is_none() && model.candidates(Cause(1)).is_empty());
}

#[test]
fn the_mean_life_is_the_area_under_survival_and_missing_where_that_is_infinite() {
    let lives = |spread: f64| -> Vec<Observation> {
        (1..=60)
            .map(|i| {
                let p = (f64::from(i) - 0.5) / 60.0;
                Observation::try_new((p / (1.0 - p)).powf(spread), Outcome::Failed(Cause(0))).unwrap()
            })
            .collect()
    };
    let nothing = Array2::zeros((60, 0));
    for law in AftLaw::ALL {
        let model = AftModel::fit(nothing.view(), &lives(0.25), law, &AftOptions::default()).unwrap();
        let mean = model.mean_time_to_failure(&[]).unwrap().unwrap();
        // ∫ S dt = ∫ S(e^y) e^y dy by the trapezoid rule, far into both tails.
        let step = 1e-3;
        let area: f64 = (-20_000..30_000)
            .map(|i| {
                let t = (f64::from(i) * step).exp();
                model.survival_at(&[], t).unwrap() * t * step
            })
            .sum();
        assert!((area - mean).abs() < 1e-4 * mean, "{}: {area} against {mean}", law.name());
    }
    let heavy = AftModel::fit(nothing.view(), &lives(1.5), AftLaw::LogLogistic, &AftOptions::default()).unwrap();
    assert!(heavy.shape() < 1.0);
    assert_eq!(heavy.mean_time_to_failure(&[]).unwrap(), None);
}

#[test]
fn a_weibull_model_lies_in_a_bundle_as_it_always_has() {
    let old = r#"{"columns":1,"models":[{"intercept":2.0,"coefficients":[0.5],"shape":1.5,"log_likelihood":-3.0,
        "iterations":4,"options":{"ridge":0.1,"max_iterations":100,"tolerance":1e-9}},null]}"#;
    let model: CauseSpecificWeibull = serde_json::from_str(old).unwrap();
    let written: serde_json::Value = serde_json::to_value(&model).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(old).unwrap());
    let h = model.model(Cause(0)).unwrap().cumulative_hazard_at(&[1.0], 3.0).unwrap();
    assert!((h - (3.0 / 2.5_f64.exp()).powf(1.5)).abs() < 1e-12, "{h}");
}

/// Late stretches outweigh early ones by e^40 and more: walking back in time, sums over the late rows must leave the
/// risk sets of the early ones without trace. The two epochs never meet, so as two strata they give the same likelihood.
#[test]
fn start_stop_rows_that_leave_a_risk_set_take_no_digits_with_them() {
    let n = 120;
    let offset = 150.0;
    let mut x = Array2::zeros((2 * n, 3));
    let mut observations = vec![];
    for row in 0..2 * n {
        let late = row >= n;
        let value = ((row * 37) % 101) as f64 / 25.0;
        x[[row, 0]] = if late { offset + value } else { value };
        x[[row, 1]] = (row % 7) as f64;
        x[[row, 2]] = if late { 1.0 } else { 0.0 };
        // Larger values fail earlier, but not strictly so.
        let life = 1.0 + ((row * 53) % 89) as f64 / 89.0 * 10.0 * (-0.5 * value).exp();
        let outcome = if row % 5 == 0 { CENSORED } else { Outcome::Failed(Cause(0)) };
        let start = if late { 40.0 } else { 0.0 };
        observations.push(Observation::try_with_entry(start + life, start, outcome).unwrap());
    }
    let ids: Vec<usize> = (0..2 * n).collect();
    let options = CoxOptions { tolerance: 1e-12, ..CoxOptions::default() };
    let two = x.select(Axis(1), &[0, 1]);
    let rows = StartStopRows::try_new(two.view(), &observations, &ids).unwrap();
    let apart = StratifiedCox::fit(x.view(), &observations, &[2], &options).unwrap();
    let together = TimeVaryingCox::fit(&rows, &[], &options).unwrap();
    assert!(apart.coefficients()[0] * offset > 40.0, "{:?}", apart.coefficients());
    for (got, want) in together.cox().coefficients().iter().zip(apart.coefficients()) {
        assert!((got - want).abs() < 1e-7 * (1.0 + want.abs()), "{got} against {want}");
    }
    for (got, want) in together.cox().standard_errors().iter().zip(apart.standard_errors()) {
        assert!((got - want).abs() < 1e-7 * want, "{got} against {want}");
    }
    let errors = |d: survival::CoxDiagnostics| d.robust_errors(&ids).unwrap().standard_errors;
    let a = errors(together.diagnostics(&rows).unwrap());
    let b = errors(apart.diagnostics(x.view(), &observations).unwrap());
    for (got, want) in a.iter().zip(&b) {
        assert!((got - want).abs() < 1e-6 * want, "robust: {got} against {want}");
    }
}
