//! Laws of the downtime simulation, against closed forms where there are some.

use proptest::prelude::*;
use survival::gamma_poisson::GammaFrailty;
use survival::log_normal::LogNormal;
use survival::power_law::PowerLaw;
use survival::reliability::availability;
use survival::renewal::{AlternatingRenewal, Now, Window};
use survival::spell_law::SpellLaw;
use survival::{SurvivalCurve, SurvivalError, TimeGrid, TimeUnit};

fn exponential(up: f64, down: f64) -> AlternatingRenewal {
    AlternatingRenewal {
        first_up: None,
        up: SpellLaw::exponential(1.0 / up).unwrap(),
        down: SpellLaw::exponential(1.0 / down).unwrap(),
        age: 0.0,
        frailty: None,
    }
}

#[test]
fn mean_availability_of_the_markov_case_is_the_textbook_one() {
    // A(t) = a + (1 − a)·e^{−(λ+μ)t} from up, so its mean over (0, L) is a + (1 − a)(1 − e^{−(λ+μ)L})/((λ+μ)L).
    let (up, down) = (40.0, 8.0);
    let a = availability(up, down).unwrap();
    let rate = 1.0 / up + 1.0 / down;
    for length in [5.0, 60.0, 3000.0] {
        let forecast = exponential(up, down).forecast(Now::Up(17.0), Window::whole(length).unwrap(), 8_000, 1).unwrap();
        let expected = a + (1.0 - a) * -(-rate * length).exp_m1() / (rate * length);
        // Standard error below 0.002 at every length.
        assert!((forecast.mean_availability() - expected).abs() < 0.005, "{length}: {}", forecast.mean_availability());
        let from_down =
            exponential(up, down).forecast(Now::Down(3.0), Window::whole(length).unwrap(), 8_000, 1).unwrap();
        let expected = a - a * -(-rate * length).exp_m1() / (rate * length);
        assert!((from_down.mean_availability() - expected).abs() < 0.006, "{length}");
    }
    let long = exponential(up, down).forecast(Now::Up(0.0), Window::whole(3000.0).unwrap(), 2_000, 1).unwrap();
    assert!((long.mean_availability() - a).abs() < 0.005, "in the long run MTBF/(MTBF + MTTR)");
    assert!((long.mean_failures().unwrap() - 3000.0 / (up + down)).abs() < 1.0);
}

#[test]
fn a_first_failure_is_as_likely_as_the_conditional_law_says() {
    let (shape, scale) = (0.6, 50.0);
    let renewal = AlternatingRenewal { up: SpellLaw::weibull(shape, scale).unwrap(), ..exponential(1.0, 1.0) };
    let hazard = |t: f64| (t / scale).powf(shape);
    for lasted in [0.0, 3.0, 200.0] {
        let forecast = renewal.forecast(Now::Up(lasted), Window::whole(10.0).unwrap(), 20_000, 7).unwrap();
        let expected = -(hazard(lasted) - hazard(lasted + 10.0)).exp_m1();
        assert!((forecast.breach_probability(0.0) - expected).abs() < 0.01, "{lasted}");
    }
}

#[test]
fn a_gamma_multiplier_gives_the_lomax_survival() {
    // ∫ e^{−zλt} dGamma(z) = (b/(b + λt))^a.
    let frailty = Some(GammaFrailty { shape: 0.8, rate: 0.8 });
    let renewal = AlternatingRenewal { frailty, ..exponential(20.0, 1.0) };
    let forecast = renewal.forecast(Now::Up(0.0), Window::whole(30.0).unwrap(), 8_000, 3).unwrap();
    let expected = 1.0 - (0.8_f64 / (0.8 + 1.5)).powf(0.8);
    assert!((forecast.breach_probability(0.0) - expected).abs() < 0.01);
}

#[test]
fn minimal_repair_counts_failures_by_age() {
    let law = PowerLaw { scale: 0.5, shape: 0.5 };
    let renewal = AlternatingRenewal { age: 100.0, up: SpellLaw::PowerLaw(law), ..exponential(1.0, 1e-6) };
    let forecast = renewal.forecast(Now::Up(100.0), Window::whole(300.0).unwrap(), 8_000, 3).unwrap();
    assert!((forecast.mean_failures().unwrap() - law.expected_failures(100.0, 400.0)).abs() < 0.06);
    // Down now: the clock is still the age, not the time since the failure.
    let forecast = renewal.forecast(Now::Down(0.1), Window::whole(300.0).unwrap(), 8_000, 3).unwrap();
    assert!((forecast.mean_failures().unwrap() - law.expected_failures(100.0, 400.0)).abs() < 0.06);
}

#[test]
fn a_predicted_curve_rules_the_spell_that_runs_and_ends_with_its_grid() {
    let grid = std::sync::Arc::new(TimeGrid::try_new(TimeUnit::Days, vec![0.0, 10.0, 30.0]).unwrap());
    let curve = SurvivalCurve::from_survival(grid, vec![1.0, 0.7, 0.6]).unwrap();
    let first_up = Some(SpellLaw::Curve(std::sync::Arc::new(curve)));
    let renewal = AlternatingRenewal { first_up, ..exponential(1e9, 1.0) };
    let forecast = renewal.forecast(Now::Up(400.0), Window::whole(30.0).unwrap(), 20_000, 2).unwrap();
    assert!((forecast.breach_probability(0.0) - 0.4).abs() < 0.01, "counted from now, not from 400 days ago");
    let beyond = renewal.forecast(Now::Up(0.0), Window::whole(31.0).unwrap(), 10, 2);
    assert!(matches!(beyond, Err(SurvivalError::BeyondGrid { .. })));
}

#[test]
fn a_repair_under_way_is_continued_and_not_begun_anew() {
    let law = LogNormal::try_new(0.0, 2.0).unwrap();
    let renewal = AlternatingRenewal { down: SpellLaw::LogNormal(law), ..exponential(1e9, 1.0) };
    let window = Window::whole(5.0).unwrap();
    for lasted in [0.0, 2.0, 50.0] {
        let forecast = renewal.forecast(Now::Down(lasted), window, 20_000, 11).unwrap();
        let expected = law.survival_at(lasted + 5.0) / law.survival_at(lasted);
        assert!((forecast.breach_probability(4.999_999) - expected).abs() < 0.01, "{lasted}");
    }
}

#[test]
fn impossible_questions_are_refused() {
    let renewal = exponential(1.0, 1.0);
    let window = Window::whole(1.0).unwrap();
    assert!(renewal.forecast(Now::Up(0.0), window, 0, 0).is_err());
    let ageless = AlternatingRenewal { age: f64::NAN, ..exponential(1.0, 1.0) };
    assert!(ageless.forecast(Now::Up(0.0), window, 1, 0).is_err());
    assert!(renewal.forecast(Now::Up(-1.0), window, 1, 0).is_err());
    assert!(renewal.forecast(Now::Down(f64::NAN), window, 1, 0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn downtime_stays_in_its_window_and_breach_falls_with_the_budget(
        up in 0.1..1000.0_f64,
        shape in 0.3..3.0_f64,
        repair in -3.0..3.0_f64,
        spread in 0.1..3.0_f64,
        lasted in 0.0..100.0_f64,
        working: bool,
        elapsed in 0.0..29.0_f64,
        share in 0.0..1.0_f64,
        seed: u64,
    ) {
        let renewal = AlternatingRenewal {
            first_up: None,
            up: SpellLaw::weibull(shape, up).unwrap(),
            down: SpellLaw::LogNormal(LogNormal::try_new(repair, spread).unwrap()),
            age: lasted,
            frailty: Some(GammaFrailty { shape: 2.0, rate: 2.0 }),
        };
        let window = Window::try_new(30.0, elapsed, share * elapsed).unwrap();
        let now = if working { Now::Up(lasted) } else { Now::Down(lasted) };
        let forecast = renewal.forecast(now, window, 50, seed).unwrap();
        prop_assert_eq!(&forecast, &renewal.forecast(now, window, 50, seed).unwrap());
        prop_assert!((0.0..=1.0).contains(&forecast.mean_availability()));
        for &downtime in forecast.downtime().sorted() {
            prop_assert!(downtime >= window.spent && downtime <= window.spent + window.left() + 1e-9);
        }
        let mut last = 1.0;
        for budget in [0.0, 0.01, 0.3, 3.0, 10.0, 30.0 + 1e-6] {
            let breach = forecast.breach_probability(budget);
            prop_assert!(breach <= last && (0.0..=1.0).contains(&breach));
            last = breach;
        }
        prop_assert!(last <= 0.0, "nobody is down for longer than the window");
        let low = forecast.availability_quantile(0.1).unwrap();
        prop_assert!(low <= forecast.availability_quantile(0.9).unwrap());
        prop_assert!(forecast.crps(1.0).unwrap() >= 0.0);
    }
}
