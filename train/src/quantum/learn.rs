//! Kernel ridge regression and the kernel logistic hazard at one horizon, tuned alike for every kernel.
//!
//! Both fit f = K α + b with an unpenalised b under weights w: Σ w (y − f)² + λ αᵀKα, or
//! Σ w log(1 + e^{−(2y−1) f}) + ½ λ αᵀKα, where 1/(1 + e^{−f}) is the discrete hazard of the interval (0, horizon], that
//! is P(T ≤ horizon). Newton steps solve (K + λW⁻¹) α = z − b with 1ᵀα = 0 through
//! S = λI + W^½ K W^½ (Rasmussen & Williams 2006, section 3.4), which stays well conditioned when a weight is 0.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::linear::Cholesky;
use super::{check_finite, refusal};
use crate::error::Result;

/// Which loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Learner {
    /// Squared error; predictions are cut to [0, 1].
    Ridge,
    /// Logistic loss: the hazard at one horizon.
    Logistic,
}

/// f = K α + b.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelModel {
    learner: Learner,
    coefficients: Array1<f64>,
    intercept: f64,
}

/// What is predicted: failed within the horizon, with a weight per row (1/G under censoring, 0 when unknown).
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// 1 for a failure within the horizon, else 0.
    pub failed: Vec<f64>,
    /// Weight of each row, at least 0.
    pub weight: Vec<f64>,
}

impl Targets {
    /// Checks lengths, weights and that both classes carry weight.
    ///
    /// # Errors
    /// When one of these fails.
    pub fn new(failed: &[bool], weight: &[f64]) -> Result<Self> {
        if failed.len() != weight.len() {
            return Err(refusal("targets", format!("{} labels and {} weights", failed.len(), weight.len())));
        }
        check_finite("targets", "weights", weight)?;
        if let Some(row) = weight.iter().position(|w| *w < 0.0) {
            return Err(refusal("targets", format!("weight of row {row} is {}, must be at least 0", weight[row])));
        }
        let failures = failed.iter().zip(weight).filter(|(f, w)| **f && **w > 0.0).count();
        let survivors = failed.iter().zip(weight).filter(|(f, w)| !**f && **w > 0.0).count();
        if failures == 0 || survivors == 0 {
            let reason = format!("{failures} failures and {survivors} survivors with weight; need one of each");
            return Err(refusal("targets", reason));
        }
        Ok(Self { failed: failed.iter().map(|f| f64::from(u8::from(*f))).collect(), weight: weight.to_vec() })
    }

    /// Some of the rows.
    ///
    /// # Errors
    /// When they hold one class only or a row does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        let pick = |values: &[f64]| -> Option<Vec<f64>> { rows.iter().map(|&row| values.get(row).copied()).collect() };
        let (Some(failed), Some(weight)) = (pick(&self.failed), pick(&self.weight)) else {
            return Err(refusal("targets", "a selected row does not exist"));
        };
        Self::new(&failed.iter().map(|f| *f > 0.5).collect::<Vec<_>>(), &weight)
    }

    /// Weighted share of failures.
    #[must_use]
    pub fn prevalence(&self) -> f64 {
        let failed: f64 = self.failed.iter().zip(&self.weight).map(|(f, w)| f * w).sum();
        failed / self.weight.iter().sum::<f64>()
    }
}

/// 1/(1 + e^{−f}).
pub(crate) fn sigmoid(f: f64) -> f64 {
    if f >= 0.0 { 1.0 / (1.0 + (-f).exp()) } else { f.exp() / (1.0 + f.exp()) }
}

/// Weighted mean of −log p of what happened, probabilities kept 10⁻⁶ from 0 and 1 so that one surprise stays finite.
pub(crate) fn log_loss(targets: &Targets, probability: &[f64]) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for ((y, w), p) in targets.failed.iter().zip(&targets.weight).zip(probability) {
        let p = p.clamp(1e-6, 1.0 - 1e-6);
        sum -= w * (y * p.ln() + (1.0 - y) * (1.0 - p).ln());
        total += w;
    }
    sum / total
}

impl KernelModel {
    /// Fits on a Gram matrix of the training rows.
    ///
    /// # Errors
    /// When shapes differ, a value is not finite, λ is not above 0, or the kernel is not positive semi-definite.
    pub fn fit(learner: Learner, k: ArrayView2<'_, f64>, targets: &Targets, ridge: f64) -> Result<Self> {
        let n = targets.failed.len();
        if k.dim() != (n, n) {
            return Err(refusal("kernel model", format!("kernel of shape {:?} for {n} rows", k.dim())));
        }
        if !(ridge.is_finite() && ridge > 0.0) {
            return Err(refusal("kernel model", format!("ridge is {ridge}, must be above 0")));
        }
        check_finite("kernel model", "kernel", k.iter())?;
        let (coefficients, intercept) = match learner {
            Learner::Ridge => weighted_step(k, &targets.weight, &targets.failed, ridge)?,
            Learner::Logistic => logistic(k, targets, ridge)?,
        };
        Ok(Self { learner, coefficients, intercept })
    }

    /// P(failed within the horizon) from kernel values of new rows (down) with training rows (across).
    ///
    /// # Errors
    /// When the width differs or a value is not finite.
    pub fn predict(&self, cross: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
        if cross.ncols() != self.coefficients.len() {
            let reason = format!("{} kernel columns for {} training rows", cross.ncols(), self.coefficients.len());
            return Err(refusal("kernel model", reason));
        }
        check_finite("kernel model", "kernel", cross.iter())?;
        let f = cross.dot(&self.coefficients) + self.intercept;
        Ok(match self.learner {
            Learner::Ridge => f.iter().map(|f| f.clamp(0.0, 1.0)).collect(),
            Learner::Logistic => f.iter().map(|f| sigmoid(*f)).collect(),
        })
    }
}

/// (α, b) of (K + λW⁻¹) α = z − b, 1ᵀα = 0.
fn weighted_step(k: ArrayView2<'_, f64>, weight: &[f64], z: &[f64], ridge: f64) -> Result<(Array1<f64>, f64)> {
    let root: Array1<f64> = weight.iter().map(|w| w.sqrt()).collect();
    let mut s = k.to_owned();
    for (mut row, r) in s.rows_mut().into_iter().zip(&root) {
        row.zip_mut_with(&root, |value, c| *value *= r * c);
    }
    s.diag_mut().iter_mut().for_each(|d| *d += ridge);
    let factor =
        Cholesky::factor(s).ok_or_else(|| refusal("kernel model", "the kernel is not positive semi-definite"))?;
    let target: Array1<f64> = root.iter().zip(z).map(|(r, z)| r * z).collect();
    let (u, v) = (factor.solve(target.view()), factor.solve(root.view()));
    let intercept = root.dot(&u) / root.dot(&v);
    Ok((&root * &(u - v * intercept), intercept))
}

fn logistic(k: ArrayView2<'_, f64>, targets: &Targets, ridge: f64) -> Result<(Array1<f64>, f64)> {
    let prevalence = targets.prevalence();
    let mut alpha = Array1::zeros(k.nrows());
    let mut b = (prevalence / (1.0 - prevalence)).ln();
    let mut f: Array1<f64> = Array1::from_elem(k.nrows(), b);
    let objective = |alpha: &Array1<f64>, b: f64, f: &Array1<f64>| {
        // αᵀKα = αᵀ(f − b).
        let penalty = 0.5 * ridge * (alpha.dot(f) - b * alpha.sum());
        let losses = f.iter().zip(&targets.failed).zip(&targets.weight).map(|((f, y), w)| w * (softplus(*f) - y * f));
        losses.sum::<f64>() + penalty
    };
    let mut value = objective(&alpha, b, &f);
    for _ in 0..100 {
        let p: Vec<f64> = f.iter().map(|f| sigmoid(*f)).collect();
        let curvature: Vec<f64> = p.iter().zip(&targets.weight).map(|(p, w)| w * (p * (1.0 - p)).max(1e-10)).collect();
        let z: Vec<f64> =
            (0..p.len()).map(|i| f[i] + (targets.failed[i] - p[i]) / (p[i] * (1.0 - p[i])).max(1e-10)).collect();
        let (alpha_to, b_to) = weighted_step(k, &curvature, &z, ridge)?;
        let f_to = k.dot(&alpha_to) + b_to;
        let mut length = 1.0;
        let before = value;
        for _ in 0..30 {
            let blend = |from: &Array1<f64>, to: &Array1<f64>| from * (1.0 - length) + to * length;
            let (alpha_try, f_try) = (blend(&alpha, &alpha_to), blend(&f, &f_to));
            let b_try = b * (1.0 - length) + b_to * length;
            let tried = objective(&alpha_try, b_try, &f_try);
            if tried <= value {
                (alpha, f, b, value) = (alpha_try, f_try, b_try, tried);
                break;
            }
            length *= 0.5;
        }
        if before - value <= 1e-9 * (1.0 + value.abs()) {
            return Ok((alpha, b));
        }
    }
    Err(refusal("kernel model", "the logistic fit did not settle in 100 Newton steps; raise the ridge"))
}

/// log(1 + e^f).
pub(crate) fn softplus(f: f64) -> f64 {
    f.max(0.0) + (-f.abs()).exp().ln_1p()
}

/// The best member of (kernels × ridges) by log loss on inner folds: (kernel, ridge) as indices.
///
/// `kernels` are Gram matrices of the training rows; `folds[i]` is the inner fold of row i. Every member is tried, so
/// equal lists mean equal trials. A fold whose rest holds one class is left out.
///
/// # Errors
/// When there is no member, no usable fold, or a fit fails.
pub fn tune(
    learner: Learner,
    kernels: &[Array2<f64>],
    ridges: &[f64],
    targets: &Targets,
    folds: &[usize],
) -> Result<(usize, usize)> {
    let mut best: Option<(f64, (usize, usize))> = None;
    for (i, k) in kernels.iter().enumerate() {
        for (j, &ridge) in ridges.iter().enumerate() {
            let mut loss = 0.0;
            let used = for_each_fold(targets, folds, |train, rest, fit, judge| {
                let model = KernelModel::fit(learner, block(k, train, train).view(), fit, ridge)?;
                loss += log_loss(judge, &model.predict(block(k, rest, train).view())?);
                Ok(())
            })?;
            if used > 0 && best.is_none_or(|(least, _)| loss < least) {
                best = Some((loss, (i, j)));
            }
        }
    }
    best.map(|(_, place)| place)
        .ok_or_else(|| refusal("tuning", "no inner fold holds failures and survivors on both sides"))
}

/// Calls `visit(training rows, held-out rows, their targets)` per usable fold; gives their number.
pub(crate) fn for_each_fold(
    targets: &Targets,
    folds: &[usize],
    mut visit: impl FnMut(&[usize], &[usize], &Targets, &Targets) -> Result<()>,
) -> Result<usize> {
    let mut used = 0;
    for fold in 0..=folds.iter().copied().max().unwrap_or(0) {
        let (rest, train): (Vec<usize>, Vec<usize>) = (0..folds.len()).partition(|&row| folds[row] == fold);
        let (Ok(fit), Ok(judge)) = (targets.select(&train), targets.select(&rest)) else { continue };
        visit(&train, &rest, &fit, &judge)?;
        used += 1;
    }
    Ok(used)
}

/// Rows and columns of a kernel.
pub(crate) fn block(k: &Array2<f64>, rows: &[usize], columns: &[usize]) -> Array2<f64> {
    k.select(Axis(0), rows).select(Axis(1), columns)
}
