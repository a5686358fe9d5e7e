//! Codes, on state vectors and by counting.

use super::close;
use crate::quantum::codes::{Noise, Pauli, StabiliserCode};

const INPUTS: [((f64, f64), (f64, f64)); 4] =
    [((1.0, 0.0), (0.0, 0.0)), ((0.0, 0.0), (1.0, 0.0)), ((0.6, 0.0), (0.0, 0.8)), ((0.3, -0.5), (0.2, 0.7))];

#[test]
fn every_error_on_one_qubit_is_undone_on_the_state_vector() {
    for (code, noise, errors) in [
        (StabiliserCode::repetition(), Noise::BitFlip, 3),
        (StabiliserCode::five_qubit(), Noise::Depolarising, 15),
        (StabiliserCode::steane(), Noise::Depolarising, 21),
        (StabiliserCode::shor(), Noise::Depolarising, 27),
    ] {
        for (a, b) in INPUTS {
            close(code.encode(a, b).unwrap().norm(), 1.0, 1e-12);
            assert_eq!(code.recovered(noise, 0, a, b).unwrap(), (1, 1), "{}", code.name);
            assert_eq!(code.recovered(noise, 1, a, b).unwrap(), (errors, errors), "{}", code.name);
        }
    }
}

#[test]
fn two_errors_break_every_code() {
    let (a, b) = INPUTS[3];
    // Every pair of flips is taken for the third and completes a logical flip; a phase flip is not even seen.
    let repetition = StabiliserCode::repetition();
    assert_eq!(repetition.recovered(Noise::BitFlip, 2, a, b).unwrap(), (3, 0));
    let start = repetition.encode(a, b).unwrap();
    assert!(repetition.recover(&start, Pauli { x: 0, z: 1 }).unwrap() < 0.99);
    // The 5-qubit code is perfect: all 16 syndromes name at most one qubit, so each of the 90 pairs is misread.
    assert_eq!(StabiliserCode::five_qubit().recovered(Noise::Depolarising, 2, a, b).unwrap(), (90, 0));
    for code in [StabiliserCode::steane(), StabiliserCode::shor()] {
        let (errors, recovered) = code.recovered(Noise::Depolarising, 2, a, b).unwrap();
        assert!(recovered < errors, "{}: {recovered} of {errors}", code.name);
    }
}

#[test]
fn counting_agrees_with_the_state_vector_for_every_pauli_of_the_five_qubit_code() {
    let code = StabiliserCode::five_qubit();
    let start = code.encode(INPUTS[3].0, INPUTS[3].1).unwrap();
    for x in 0..32 {
        for z in 0..32 {
            let error = Pauli { x, z };
            let kept = code.recover(&start, error).unwrap() > 1.0 - 1e-9;
            assert_eq!(kept, !code.fails(error), "{error:?}");
        }
    }
}

#[test]
fn distances_are_the_published_ones() {
    assert_eq!(StabiliserCode::repetition().distance(Noise::BitFlip), Some(3));
    assert_eq!(StabiliserCode::repetition().distance(Noise::Depolarising), Some(1));
    for code in [StabiliserCode::five_qubit(), StabiliserCode::steane(), StabiliserCode::shor()] {
        assert_eq!(code.distance(Noise::Depolarising), Some(3), "{}", code.name);
    }
}

#[test]
fn rates_follow_the_closed_forms() {
    let grid = [0.0, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.5];
    let rates = StabiliserCode::repetition().logical_error_rates(Noise::BitFlip, &grid).unwrap();
    for (p, rate) in grid.iter().zip(rates) {
        close(rate, 3.0 * p * p - 2.0 * p.powi(3), 1e-15);
    }
    let rates = StabiliserCode::five_qubit().logical_error_rates(Noise::Depolarising, &grid).unwrap();
    for (p, rate) in grid.iter().zip(&rates) {
        // All pairs fail: 10 p² to leading order, and never above 1 − P(at most one error).
        let at_most_one = (1.0 - p).powi(5) + 5.0 * p * (1.0 - p).powi(4);
        assert!(*rate <= 1.0 - at_most_one + 1e-15);
    }
    close(rates[1] / 1e-5, 1.0, 1e-2);
    // No code without error as soon as p > 0.
    for (code, noise) in [
        (StabiliserCode::repetition(), Noise::BitFlip),
        (StabiliserCode::five_qubit(), Noise::Depolarising),
        (StabiliserCode::steane(), Noise::Depolarising),
        (StabiliserCode::shor(), Noise::Depolarising),
    ] {
        let rates = code.logical_error_rates(noise, &grid).unwrap();
        close(rates[0], 0.0, 0.0);
        assert!(rates[1..].windows(2).all(|w| w[0] > 0.0 && w[0] < w[1]), "{}: {rates:?}", code.name);
    }
}

#[test]
fn drawn_errors_give_the_exact_rate() {
    for (code, noise) in
        [(StabiliserCode::repetition(), Noise::BitFlip), (StabiliserCode::steane(), Noise::Depolarising)]
    {
        let exact = code.logical_error_rates(noise, &[0.1]).unwrap()[0];
        let (rate, error) = code.monte_carlo(noise, 0.1, 40_000, 5).unwrap();
        close(rate, exact, 5.0 * error);
        assert!(error < 0.1 * rate);
    }
}

#[test]
fn what_is_no_probability_or_code_word_is_refused() {
    let code = StabiliserCode::repetition();
    assert!(code.logical_error_rates(Noise::BitFlip, &[1.5]).is_err());
    assert!(code.logical_error_rates(Noise::BitFlip, &[f64::NAN]).is_err());
    assert!(code.monte_carlo(Noise::BitFlip, -0.1, 10, 1).is_err());
    assert!(code.monte_carlo(Noise::BitFlip, 0.1, 0, 1).is_err());
    assert!(code.encode((0.0, 0.0), (0.0, 0.0)).is_err());
    let amplitudes: Vec<(f64, f64)> = (0..8).map(|i| (f64::from(i), 0.0)).collect();
    let no_word = crate::quantum::state::StateVector::from_amplitudes(&amplitudes).unwrap();
    assert!(code.recover(&no_word, Pauli { x: 1, z: 0 }).is_err());
    let small = crate::quantum::state::StateVector::zero(2).unwrap();
    assert!(code.recover(&small, Pauli { x: 4, z: 0 }).is_err());
}
