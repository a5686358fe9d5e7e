//! Simulator, feature map and circuit.

use ndarray::{Array2, array};
use rand::RngExt;

use super::{close, uniform};
use crate::quantum::adam::Differentiable;
use crate::quantum::generator;
use crate::quantum::kernel::{ZzFeatureMap, geometric_difference, measured, measured_gram};
use crate::quantum::state::{Complex, Gate, StateVector};
use crate::quantum::vqc::Circuit;

const ROOT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;

fn random_state(qubits: usize, seed: u64) -> StateVector {
    let mut random = generator(seed, 0);
    let amplitudes: Vec<Complex> = (0..1 << qubits).map(|_| (uniform(&mut random), uniform(&mut random))).collect();
    StateVector::from_amplitudes(&amplitudes).unwrap()
}

fn gates(qubits: usize, seed: u64) -> Vec<Gate> {
    let mut random = generator(seed, 1);
    (0..40)
        .map(|_| {
            let a = random.random_range(0..qubits);
            let b = (a + random.random_range(1..qubits)) % qubits;
            let angle = 4.0 * uniform(&mut random);
            match random.random_range(0..10) {
                0 => Gate::H(a),
                1 => Gate::X(a),
                2 => Gate::Y(a),
                3 => Gate::Z(a),
                4 => Gate::Rx(a, angle),
                5 => Gate::Ry(a, angle),
                6 => Gate::Rz(a, angle),
                7 => Gate::Cx(a, b),
                8 => Gate::Cz(a, b),
                _ => Gate::Rzz(a, b, angle),
            }
        })
        .collect()
}

fn inverse(gate: Gate) -> Gate {
    match gate {
        Gate::Rx(q, t) => Gate::Rx(q, -t),
        Gate::Ry(q, t) => Gate::Ry(q, -t),
        Gate::Rz(q, t) => Gate::Rz(q, -t),
        Gate::Rzz(a, b, t) => Gate::Rzz(a, b, -t),
        own => own,
    }
}

/// The whole 2ⁿ × 2ⁿ operator by its definition: entry (row, column) from the bits of both.
fn entry(gate: Gate, row: usize, column: usize) -> Complex {
    let bit = |index: usize, q: usize| index >> q & 1;
    match gate {
        Gate::Cx(c, t) => (f64::from(u8::from(row == if bit(column, c) == 1 { column ^ 1 << t } else { column })), 0.0),
        Gate::Cz(a, b) if row == column => (if bit(row, a) == 1 && bit(row, b) == 1 { -1.0 } else { 1.0 }, 0.0),
        Gate::Rzz(a, b, t) if row == column => {
            let sign = if bit(row, a) == bit(row, b) { 1.0 } else { -1.0 };
            ((0.5 * t).cos(), -sign * (0.5 * t).sin())
        }
        Gate::Cz(..) | Gate::Rzz(..) => (0.0, 0.0),
        Gate::H(q) | Gate::X(q) | Gate::Y(q) | Gate::Z(q) | Gate::Rx(q, _) | Gate::Ry(q, _) | Gate::Rz(q, _) => {
            if row & !(1 << q) == column & !(1 << q) {
                gate.matrix().unwrap()[bit(row, q)][bit(column, q)]
            } else {
                (0.0, 0.0)
            }
        }
    }
}

#[test]
fn every_gate_equals_its_explicit_matrix() {
    for (trial, gate) in gates(3, 5).into_iter().chain(gates(3, 6)).enumerate() {
        let before = random_state(3, trial as u64);
        let mut after = before.clone();
        after.apply(gate).unwrap();
        for row in 0..8 {
            let mut sum = (0.0, 0.0);
            for column in 0..8 {
                let (m, v) = (entry(gate, row, column), before.amplitude(column).unwrap());
                sum.0 += m.0 * v.0 - m.1 * v.1;
                sum.1 += m.0 * v.1 + m.1 * v.0;
            }
            let got = after.amplitude(row).unwrap();
            close(got.0, sum.0, 1e-14);
            close(got.1, sum.1, 1e-14);
        }
    }
}

#[test]
fn circuits_keep_norms_and_inner_products_and_can_be_undone() {
    for seed in 0..10 {
        let (u, v) = (random_state(5, seed), random_state(5, seed + 100));
        let (mut a, mut b) = (u.clone(), v.clone());
        let sequence = gates(5, seed);
        for gate in &sequence {
            a.apply(*gate).unwrap();
            b.apply(*gate).unwrap();
        }
        close(a.norm(), 1.0, 1e-13);
        let (before, after) = (u.inner(&v).unwrap(), a.inner(&b).unwrap());
        close(after.0, before.0, 1e-13);
        close(after.1, before.1, 1e-13);
        for gate in sequence.iter().rev() {
            a.apply(inverse(*gate)).unwrap();
        }
        close(a.fidelity(&u).unwrap(), 1.0, 1e-12);
    }
}

#[test]
fn bell_and_ghz_states_are_what_books_say() {
    let mut bell = StateVector::zero(2).unwrap();
    bell.apply(Gate::H(0)).unwrap();
    bell.apply(Gate::Cx(0, 1)).unwrap();
    for (index, expected) in [ROOT_HALF, 0.0, 0.0, ROOT_HALF].into_iter().enumerate() {
        close(bell.amplitude(index).unwrap().0, expected, 1e-15);
    }
    let mut ghz = StateVector::zero(4).unwrap();
    ghz.apply(Gate::H(0)).unwrap();
    for q in 1..4 {
        ghz.apply(Gate::Cx(q - 1, q)).unwrap();
        // Half of an entangled pair is maximally mixed.
        for component in ghz.bloch(q).unwrap() {
            close(component, 0.0, 1e-15);
        }
    }
    let counts = ghz.sample(4_000, &mut generator(3, 0));
    assert_eq!(counts[0] + counts[15], 4_000);
    // Five standard deviations of Binomial(4000, ½).
    assert!(counts[0].abs_diff(2_000) < 158, "{counts:?}");
}

#[test]
fn a_bloch_vector_is_that_of_the_prepared_qubit() {
    let (polar, azimuth) = (0.7_f64, -1.1_f64);
    let mut state = StateVector::zero(3).unwrap();
    state.apply(Gate::H(0)).unwrap();
    state.apply(Gate::Ry(1, polar)).unwrap();
    state.apply(Gate::Rz(1, azimuth)).unwrap();
    let expected = [polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()];
    for (got, expected) in state.bloch(1).unwrap().into_iter().zip(expected) {
        close(got, expected, 1e-14);
    }
    close(state.bloch(0).unwrap()[0], 1.0, 1e-14);
}

/// Qiskit 2.6.2, `ZZFeatureMap(3, reps=2, entanglement='full')` and `Statevector`, numpy 2.4.6, Python 3.
/// Its phases are exp(−iφZ), ours exp(+iφZ) as in the paper: amplitudes are complex conjugates, so ⟨Y⟩ changes sign and
/// fidelities do not.
#[test]
fn the_feature_map_gives_the_kernel_and_reduced_states_of_qiskit() {
    let x = array![[0.3, -0.7, 1.1], [1.2, 0.4, -0.5], [-0.9, 2.0, 0.1]];
    let states = ZzFeatureMap { bandwidth: 1.0, entangling: true }.states(x.view()).unwrap();
    let k = states.fidelities(&states).unwrap();
    let expected = [
        [1.0, 0.170_813_869_273, 0.196_061_750_883],
        [0.170_813_869_273, 1.0, 0.154_180_795_526],
        [0.196_061_750_883, 0.154_180_795_526, 1.0],
    ];
    for (row, expected) in k.rows().into_iter().zip(expected) {
        row.iter().zip(expected).for_each(|(got, expected)| close(*got, expected, 1e-11));
    }
    let bloch = [
        [0.165_129_294_429, 0.764_551_372_6, -0.464_980_104_62],
        [0.944_853_485_807, -0.230_657_347_373, 0.167_791_464_665],
        [0.200_409_099_985, -0.814_462_166_76, 0.335_687_695_902],
    ];
    for (got, expected) in states.bloch().row(0).iter().zip(bloch.as_flattened()) {
        close(*got, *expected, 1e-11);
    }
}

#[test]
fn the_feature_map_is_its_circuit_of_gates() {
    let row = array![0.4, -1.3, 0.8, 2.1];
    let (map, c) = (ZzFeatureMap { bandwidth: 0.6, entangling: true }, 0.6);
    let mut state = StateVector::zero(4).unwrap();
    for _ in 0..2 {
        for q in 0..4 {
            state.apply(Gate::H(q)).unwrap();
            // exp(iφZ) = R_Z(−2φ).
            state.apply(Gate::Rz(q, -2.0 * c * row[q])).unwrap();
        }
        let pi = std::f64::consts::PI;
        for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            state.apply(Gate::Rzz(a, b, -2.0 * (pi - c * row[a]) * (pi - c * row[b]))).unwrap();
        }
    }
    close(map.state(row.view()).unwrap().fidelity(&state).unwrap(), 1.0, 1e-13);
}

#[test]
fn without_entanglement_the_kernel_is_a_product_over_columns() {
    let x = array![[0.3, -0.7, 1.1], [1.2, 0.4, -0.5]];
    let map = ZzFeatureMap { bandwidth: 0.8, entangling: false };
    let states = map.states(x.view()).unwrap();
    let product: f64 = (0..3)
        .map(|c| {
            let own = map.states(x.select(ndarray::Axis(1), &[c]).view()).unwrap();
            own.fidelities(&own).unwrap()[[0, 1]]
        })
        .product();
    close(states.fidelities(&states).unwrap()[[0, 1]], product, 1e-13);
    // A pure product state has reduced states on the sphere, an entangled one inside.
    let length = |s: &ndarray::ArrayView1<'_, f64>| s.iter().take(3).map(|v| v * v).sum::<f64>();
    close(length(&states.bloch().row(0)), 1.0, 1e-13);
    let tangled = ZzFeatureMap { bandwidth: 0.8, entangling: true }.states(x.view()).unwrap();
    assert!(length(&tangled.bloch().row(0)) < 0.99);
}

#[test]
fn a_measured_kernel_has_binomial_spread_and_stays_positive() {
    let mut random = generator(9, 0);
    let draws: Vec<f64> = (0..4_000).map(|_| measured(0.2, 1_000, &mut random).unwrap()).collect();
    let mean = draws.iter().sum::<f64>() / 4_000.0;
    let variance = draws.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / 3_999.0;
    close(mean, 0.2, 5.0 * (0.2_f64 * 0.8 / 1_000.0 / 4_000.0).sqrt());
    // Five standard errors of a variance over 4,000 draws: 5·√(2/4000) = 11 %.
    close(variance / (0.2 * 0.8 / 1_000.0), 1.0, 0.112);

    let x = Array2::from_shape_fn((60, 3), |_| uniform(&mut random));
    let states = ZzFeatureMap { bandwidth: 0.05, entangling: true }.states(x.view()).unwrap();
    let exact = states.fidelities(&states).unwrap();
    let (noisy, shift) = measured_gram(&exact, 100, &mut random).unwrap();
    assert!(shift > 0.0, "near-constant kernels are indefinite after noise");
    let (values, _) = crate::quantum::linear::symmetric_eigen(noisy.view());
    assert!(values.iter().all(|v| *v > 0.0), "{values}");
    close(noisy[[3, 5]], noisy[[5, 3]], 0.0);
}

#[test]
fn the_geometric_difference_of_diagonal_kernels_is_worked_by_hand() {
    // K_C = diag(1.5, 0.5), K_Q = diag(0.5, 1.5), trace 2 each: general = max √(q c)/(c + λ), training = max λ√q/(c + λ).
    let classical = Array2::from_diag(&array![1.5, 0.5]);
    let quantum = Array2::from_diag(&array![0.5, 1.5]);
    let g = geometric_difference(&classical, &quantum, 0.1).unwrap();
    close(g.general, 0.75_f64.sqrt() / 0.6, 1e-8);
    close(g.training, 0.1 * 1.5_f64.sqrt() / 0.6, 1e-8);
    // The scale of a kernel does not matter.
    let scaled = geometric_difference(&(classical * 7.0), &quantum, 0.1).unwrap();
    close(scaled.general, g.general, 1e-8);
    assert!(geometric_difference(&Array2::eye(3), &Array2::eye(2), 0.1).is_err());
    assert!(geometric_difference(&Array2::eye(2), &Array2::eye(2), 0.0).is_err());
}

#[test]
fn circuit_gradients_are_those_of_finite_differences() {
    for (qubits, layers, entangling) in [(1, 2, true), (2, 3, true), (3, 2, false), (4, 3, true)] {
        let circuit = Circuit::new(qubits, layers, entangling).unwrap();
        let mut random = generator(qubits as u64, 4);
        let mut parameters = circuit.initial(&mut random);
        parameters.iter_mut().for_each(|p| *p += uniform(&mut random));
        let row: Vec<f64> = (0..qubits).map(|_| 2.0 * uniform(&mut random)).collect();
        let mut gradient = vec![f64::NAN; circuit.parameters()];
        circuit.logit(&parameters, &row, Some(&mut gradient)).unwrap();
        for (i, got) in gradient.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = parameters.clone();
                moved[i] += step;
                circuit.logit(&moved, &row, None).unwrap()
            };
            // Central differences: error of order 10⁻¹⁰ at this step.
            close(*got, (at(1e-5) - at(-1e-5)) / 2e-5, 1e-8);
        }
    }
}

#[test]
fn a_circuit_read_by_shots_centres_on_its_exact_value() {
    let circuit = Circuit::new(3, 2, true).unwrap();
    let mut random = generator(8, 0);
    let parameters = circuit.initial(&mut random);
    let row = [0.4, -1.0, 0.2];
    let exact = 1.0 / (1.0 + (-circuit.logit(&parameters, &row, None).unwrap()).exp());
    let read: Vec<f64> = (0..200).map(|_| circuit.measured(&parameters, &row, 1_000, &mut random).unwrap()).collect();
    let mean = read.iter().sum::<f64>() / 200.0;
    let deviation = (read.iter().map(|p| (p - mean) * (p - mean)).sum::<f64>() / 199.0).sqrt();
    assert!(deviation > 0.0 && deviation < 0.02, "{deviation}");
    // Five standard errors, and the curvature of the sigmoid, which is of order deviation².
    close(mean, exact, 5.0 * deviation / 200.0_f64.sqrt() + deviation * deviation);
    assert!(circuit.measured(&parameters, &row, 0, &mut random).is_err());
}

#[test]
fn what_is_no_state_gate_or_row_is_refused() {
    assert!(StateVector::zero(0).is_err());
    assert!(StateVector::zero(25).is_err());
    assert!(StateVector::from_amplitudes(&[(1.0, 0.0); 3]).is_err());
    assert!(StateVector::from_amplitudes(&[(0.0, 0.0); 4]).is_err());
    assert!(StateVector::from_amplitudes(&[(f64::NAN, 0.0); 4]).is_err());
    let mut state = StateVector::zero(2).unwrap();
    for gate in [Gate::H(2), Gate::Cx(0, 0), Gate::Cz(0, 2), Gate::Rx(0, f64::NAN), Gate::Rzz(0, 1, f64::INFINITY)] {
        assert!(state.apply(gate).is_err(), "{gate:?}");
    }
    assert!(state.bloch(2).is_err());
    assert!(state.inner(&StateVector::zero(3).unwrap()).is_err());
    let map = |bandwidth| ZzFeatureMap { bandwidth, entangling: true };
    assert!(map(0.0).states(array![[1.0, 2.0]].view()).is_err());
    assert!(map(1.0).states(array![[1.0, f64::NAN]].view()).is_err());
    assert!(map(1.0).states(Array2::zeros((0, 2)).view()).is_err());
    assert!(map(1.0).states(Array2::zeros((2, 0)).view()).is_err());
    assert!(Circuit::new(13, 1, true).is_err());
    assert!(Circuit::new(2, 0, true).is_err());
    let circuit = Circuit::new(2, 1, true).unwrap();
    assert!(circuit.logit(&[0.0; 3], &[1.0, 2.0], None).is_err());
    let mut random = generator(1, 0);
    assert!(measured(1.5, 10, &mut random).is_err());
    assert!(measured(0.5, 0, &mut random).is_err());
    assert!(measured_gram(&Array2::zeros((2, 3)), 10, &mut random).is_err());
}
