//! Kernel fits, Adam and the MLP.

use ndarray::{Array1, Array2, array};

use super::{close, uniform};
use crate::quantum::adam::{self, AdamOptions, Differentiable};
use crate::quantum::generator;
use crate::quantum::kernel::{gaussian, median_distance, squared_distances};
use crate::quantum::learn::{KernelModel, Learner, Targets, tune};
use crate::quantum::linear::{Cholesky, symmetric_eigen};
use crate::quantum::mlp::Mlp;
use crate::quantum::vqc::Circuit;

fn table(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut random = generator(seed, 0);
    Array2::from_shape_fn((rows, columns), |_| uniform(&mut random))
}

#[test]
fn cholesky_solves_over_several_panels_and_refuses_the_indefinite() {
    for n in [1, 5, 48, 49, 130] {
        let m = table(n, n, n as u64);
        let a = m.dot(&m.t()) + Array2::<f64>::eye(n) * 0.1;
        let x: Array1<f64> = (0..n).map(|i| (i as f64).cos()).collect();
        let solved = Cholesky::factor(a.clone()).unwrap().solve(a.dot(&x).view());
        solved.iter().zip(&x).for_each(|(got, expected)| close(*got, *expected, 1e-8));
    }
    let mut bad = Array2::<f64>::eye(60);
    bad[[55, 55]] = -1.0;
    assert!(Cholesky::factor(bad).is_none());
    assert!(Cholesky::factor(Array2::zeros((2, 3))).is_none());
}

#[test]
fn eigenvectors_rebuild_the_matrix() {
    let m = table(12, 12, 4);
    let a = &m + &m.t();
    let (values, vectors) = symmetric_eigen(a.view());
    assert!(values.windows(2).into_iter().all(|w| w[0] >= w[1]));
    let rebuilt = vectors.dot(&Array2::from_diag(&values)).dot(&vectors.t());
    rebuilt.iter().zip(&a).for_each(|(got, expected)| close(*got, *expected, 1e-12));
}

/// scikit-learn 1.9.1, `LogisticRegression(C=1/0.7, tol=1e-12)` with sample weights, numpy 2.4.6: with a linear kernel the
/// kernel model is ridge logistic regression.
#[test]
fn kernel_logistic_with_a_linear_kernel_is_that_of_scikit_learn() {
    let x =
        array![[0.5, 1.0], [-1.2, 0.3], [0.8, -0.6], [1.9, 0.2], [-0.4, -1.5], [0.1, 0.9], [-2.0, 1.1], [1.3, -1.0]];
    let failed = [true, false, true, true, false, false, false, true];
    let targets = Targets::new(&failed, &[1.0, 1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 0.0]).unwrap();
    let k = x.dot(&x.t());
    let model = KernelModel::fit(Learner::Logistic, k.view(), &targets, 0.7).unwrap();
    let expected = [
        0.628_025_892,
        0.147_538_676,
        0.770_680_463,
        0.932_663_763,
        0.418_668_13,
        0.494_263_221,
        0.046_813_459,
        0.878_978_238,
    ];
    for (got, expected) in model.predict(k.view()).unwrap().into_iter().zip(expected) {
        close(got, expected, 1e-5);
    }
}

#[test]
fn kernel_ridge_with_a_linear_kernel_solves_the_normal_equations() {
    let x = table(30, 3, 2);
    let failed: Vec<bool> = x.rows().into_iter().map(|r| r[0] + 0.3 * r[1] > 0.0).collect();
    let weight: Vec<f64> = (0..30).map(|i| 0.5 + f64::from(i % 3)).collect();
    let targets = Targets::new(&failed, &weight).unwrap();
    let k = x.dot(&x.t());
    let ridge = 8.0;
    let got = KernelModel::fit(Learner::Ridge, k.view(), &targets, ridge).unwrap().predict(k.view()).unwrap();
    // (Σ w x x' + λ diag(1, 1, 1, 0)) (β, b) = Σ w x y with x extended by 1.
    let wide = Array2::from_shape_fn((30, 4), |(i, j)| if j < 3 { x[[i, j]] } else { 1.0 });
    let weighted = Array2::from_shape_fn((30, 4), |(i, j)| weight[i] * wide[[i, j]]);
    let left = wide.t().dot(&weighted) + Array2::from_diag(&array![ridge, ridge, ridge, 0.0]);
    let right = weighted.t().dot(&Array1::from(targets.failed.clone()));
    let beta = Cholesky::factor(left).unwrap().solve(right.view());
    for (got, expected) in got.iter().zip(wide.dot(&beta)) {
        close(*got, expected.clamp(0.0, 1.0), 1e-10);
    }
}

#[test]
fn a_row_without_weight_changes_nothing() {
    let x = table(40, 2, 6);
    let k = gaussian(&squared_distances(x.view(), x.view()).unwrap(), 1.0);
    let mut failed: Vec<bool> = x.rows().into_iter().map(|r| r[0] > 0.2).collect();
    let mut weight = vec![1.0; 40];
    weight[7] = 0.0;
    let fit = |failed: &[bool], weight: &[f64]| {
        let targets = Targets::new(failed, weight).unwrap();
        KernelModel::fit(Learner::Logistic, k.view(), &targets, 0.1).unwrap().predict(k.view()).unwrap()
    };
    let before = fit(&failed, &weight);
    failed[7] = !failed[7];
    for (a, b) in before.iter().zip(fit(&failed, &weight)) {
        close(*a, b, 1e-9);
    }
}

#[test]
fn tuning_finds_the_width_that_fits() {
    // A checkerboard of four cells per side: a kernel far too wide sees nothing of it.
    let x = table(240, 2, 11);
    let cell = |v: f64| (2.0 * (v + 1.0)).floor() as i64;
    let failed: Vec<bool> = x.rows().into_iter().map(|r| (cell(r[0]) + cell(r[1])) % 2 == 0).collect();
    let targets = Targets::new(&failed, &[1.0; 240]).unwrap();
    let distances = squared_distances(x.view(), x.view()).unwrap();
    let kernels: Vec<Array2<f64>> = [0.01, 8.0, 5_000.0].iter().map(|g| gaussian(&distances, *g)).collect();
    let folds: Vec<usize> = (0..240).map(|i| i % 3).collect();
    for learner in [Learner::Logistic, Learner::Ridge] {
        assert_eq!(tune(learner, &kernels, &[0.1, 1.0], &targets, &folds).unwrap().0, 1, "{learner:?}");
    }
}

#[test]
fn mlp_gradients_are_those_of_finite_differences() {
    let mlp = Mlp::new(3, 4).unwrap();
    let parameters = mlp.initial(&mut generator(2, 0));
    let row = [0.3, -1.2, 0.8];
    let mut gradient = vec![f64::NAN; mlp.parameters()];
    mlp.logit(&parameters, &row, Some(&mut gradient)).unwrap();
    for (i, got) in gradient.iter().enumerate() {
        let at = |step: f64| {
            let mut moved = parameters.clone();
            moved[i] += step;
            mlp.logit(&moved, &row, None).unwrap()
        };
        close(*got, (at(1e-5) - at(-1e-5)) / 2e-5, 1e-8);
    }
}

#[test]
fn the_rival_has_as_many_parameters_as_the_circuit() {
    for qubits in [2, 4, 6, 8, 10] {
        for layers in 3..=6 {
            let circuit = Circuit::new(qubits, layers, true).unwrap().parameters();
            let mlp = Mlp::of_size(qubits, circuit).unwrap().parameters();
            // One unit is qubits + 2 parameters: the nearest width misses by half of one at most.
            assert!(2 * circuit.abs_diff(mlp) <= qubits + 2, "{qubits} qubits, {layers} layers: {circuit}, {mlp}");
        }
    }
}

fn trained_loss(function: &impl Differentiable, columns: usize, rule: impl Fn(&[f64]) -> bool) -> f64 {
    let x = table(200, columns, 21);
    let failed: Vec<bool> = x.rows().into_iter().map(|r| rule(&r.to_vec())).collect();
    let targets = Targets::new(&failed, &[1.0; 200]).unwrap();
    let options = AdamOptions { epochs: 60, batch_rows: 20, rate: 0.05, decay: 0.0, seed: 3 };
    let parameters = adam::fit(function, x.view(), &targets, &options).unwrap();
    assert_eq!(parameters, adam::fit(function, x.view(), &targets, &options).unwrap(), "same seed, same fit");
    crate::quantum::learn::log_loss(&targets, &adam::predict(function, &parameters, x.view()).unwrap())
}

#[test]
fn circuit_and_mlp_learn_a_product_of_signs() {
    // No single column says anything; log 2 = 0.693 is knowing nothing.
    let rule = |r: &[f64]| r[0] * r[1] > 0.0;
    let circuit = trained_loss(&Circuit::new(2, 3, true).unwrap(), 2, rule);
    assert!(circuit < 0.35, "{circuit}");
    let mlp = trained_loss(&Mlp::new(2, 8).unwrap(), 2, rule);
    assert!(mlp < 0.35, "{mlp}");
}

#[test]
fn without_entanglement_a_sum_over_qubits_cannot_learn_a_product_of_signs() {
    let loss = trained_loss(&Circuit::new(2, 3, false).unwrap(), 2, |r| r[0] * r[1] > 0.0);
    assert!(loss > 0.55, "{loss}");
    // What each column says by itself it learns well.
    let loss = trained_loss(&Circuit::new(2, 3, false).unwrap(), 2, |r| r[0] + r[1] > 0.0);
    assert!(loss < 0.3, "{loss}");
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    assert!(Targets::new(&[true, true], &[1.0, 1.0]).is_err());
    assert!(Targets::new(&[true, false], &[1.0, 0.0]).is_err());
    assert!(Targets::new(&[true, false], &[1.0, -1.0]).is_err());
    assert!(Targets::new(&[true, false], &[1.0, f64::NAN]).is_err());
    assert!(Targets::new(&[true, false], &[1.0]).is_err());
    assert!(Targets::new(&[], &[]).is_err());
    let targets = Targets::new(&[true, false], &[1.0, 1.0]).unwrap();
    assert!(targets.select(&[5]).is_err());
    let eye = Array2::eye(2);
    for learner in [Learner::Ridge, Learner::Logistic] {
        assert!(KernelModel::fit(learner, Array2::eye(3).view(), &targets, 1.0).is_err());
        assert!(KernelModel::fit(learner, eye.view(), &targets, 0.0).is_err());
        assert!(KernelModel::fit(learner, array![[1.0, f64::NAN], [0.0, 1.0]].view(), &targets, 1.0).is_err());
        assert!(KernelModel::fit(learner, array![[1.0, 9.0], [9.0, 1.0]].view(), &targets, 0.1).is_err());
        let model = KernelModel::fit(learner, eye.view(), &targets, 1.0).unwrap();
        assert!(model.predict(Array2::zeros((1, 3)).view()).is_err());
        assert!(model.predict(array![[f64::NAN, 0.0]].view()).is_err());
    }
    assert!(tune(Learner::Ridge, &[eye], &[1.0], &targets, &[0, 1]).is_err(), "each side of a fold holds one class");
    let mlp = Mlp::new(2, 1).unwrap();
    let options = AdamOptions { epochs: 1, batch_rows: 2, rate: 0.1, decay: 0.0, seed: 1 };
    assert!(adam::fit(&mlp, Array2::zeros((2, 3)).view(), &targets, &options).is_err());
    assert!(adam::fit(&mlp, array![[f64::NAN, 0.0], [0.0, 0.0]].view(), &targets, &options).is_err());
    for bad in [AdamOptions { batch_rows: 0, ..options }, AdamOptions { rate: f64::NAN, ..options }] {
        assert!(adam::fit(&mlp, Array2::zeros((2, 2)).view(), &targets, &bad).is_err());
    }
    assert!(squared_distances(Array2::zeros((2, 2)).view(), Array2::zeros((2, 3)).view()).is_err());
    assert!(Mlp::new(0, 1).is_err());
    close(median_distance(Array2::zeros((1, 1)).view()), 1.0, 0.0);
}
