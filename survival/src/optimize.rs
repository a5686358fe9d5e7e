//! A small L-BFGS for smooth convex losses.
//!
//! Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 7.4 (two-loop recursion) and 3.5 in the simple form:
//! backtracking to the Armijo condition, expanding while the curvature condition fails.

/// Pairs (s, y) remembered.
const MEMORY: usize = 12;
/// Share of the promised decrease that a step must deliver.
const ARMIJO: f64 = 1e-4;
/// Share of the slope that may remain after a step.
const CURVATURE: f64 = 0.9;

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_iterations: usize,
    /// Stop when ½·gᵀD⁻¹g, about the decrease still to be had, falls below this.
    pub(crate) tolerance: f64,
}

/// Where it ended.
#[derive(Debug, Clone)]
pub(crate) struct Minimum {
    pub(crate) point: Vec<f64>,
    pub(crate) value: f64,
    pub(crate) iterations: usize,
    /// ½·gᵀD⁻¹g at the end.
    pub(crate) decrease_left: f64,
    pub(crate) converged: bool,
}

/// Minimises `loss`, which writes its gradient into the second argument and returns its value.
///
/// `diagonal` approximates the diagonal of the Hessian (every entry above 0) and sets the scale of each coordinate.
pub(crate) fn minimise(
    mut loss: impl FnMut(&[f64], &mut [f64]) -> f64,
    start: Vec<f64>,
    diagonal: &[f64],
    limits: Limits,
) -> Minimum {
    let size = start.len();
    let mut point = start;
    let mut gradient = vec![0.0; size];
    let mut value = loss(&point, &mut gradient);
    let mut memory: Vec<Pair> = Vec::new();
    let mut trial = vec![0.0; size];
    let mut trial_gradient = vec![0.0; size];
    let mut iterations = 0;
    let mut converged = false;
    while iterations < limits.max_iterations {
        if decrease_left(&gradient, diagonal) <= limits.tolerance {
            converged = true;
            break;
        }
        iterations += 1;
        let mut direction = two_loop(&gradient, diagonal, &memory);
        let mut slope = dot(&gradient, &direction);
        if slope.is_nan() || slope >= 0.0 {
            memory.clear();
            direction = two_loop(&gradient, diagonal, &memory);
            slope = dot(&gradient, &direction);
        }
        let Some((length, evaluated)) =
            search(&mut loss, &point, value, &direction, slope, &mut trial, &mut trial_gradient)
        else {
            break;
        };
        let new = if evaluated.settled {
            evaluated.value
        } else {
            advance(&mut trial, &point, length, &direction);
            loss(&trial, &mut trial_gradient)
        };
        let step: Vec<f64> = trial.iter().zip(&point).map(|(t, p)| t - p).collect();
        let change: Vec<f64> = trial_gradient.iter().zip(&gradient).map(|(t, g)| t - g).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-14 * dot(&change, &change).sqrt() * dot(&step, &step).sqrt() {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push(Pair { step, change, inverse: 1.0 / curvature });
        }
        std::mem::swap(&mut point, &mut trial);
        std::mem::swap(&mut gradient, &mut trial_gradient);
        value = new;
    }
    let decrease_left = decrease_left(&gradient, diagonal);
    Minimum { point, value, iterations, decrease_left, converged: converged || decrease_left <= limits.tolerance }
}

struct Evaluated {
    value: f64,
    /// Whether `trial` still holds this very point.
    settled: bool,
}

/// The last length that met the Armijo condition, preferably the curvature condition too.
fn search(
    loss: &mut impl FnMut(&[f64], &mut [f64]) -> f64,
    point: &[f64],
    value: f64,
    direction: &[f64],
    slope: f64,
    trial: &mut [f64],
    trial_gradient: &mut [f64],
) -> Option<(f64, Evaluated)> {
    let (mut low, mut high, mut length) = (0.0, f64::INFINITY, 1.0);
    let mut accepted = None;
    for _ in 0..40 {
        advance(trial, point, length, direction);
        let new = loss(trial, trial_gradient);
        // Near the minimum the decrease drowns in rounding; a step that does not rise visibly is then good enough.
        if new.is_finite() && new <= value + ARMIJO * length * slope + 1e-14 * value.abs() {
            if dot(trial_gradient, direction) >= CURVATURE * slope {
                return Some((length, Evaluated { value: new, settled: true }));
            }
            accepted = Some((length, Evaluated { value: new, settled: false }));
            low = length;
        } else {
            high = length;
        }
        length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * length };
    }
    accepted
}

fn advance(trial: &mut [f64], point: &[f64], length: f64, direction: &[f64]) {
    for ((t, p), d) in trial.iter_mut().zip(point).zip(direction) {
        *t = p + length * d;
    }
}

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
}

/// −H·g with H built from the remembered pairs on top of D⁻¹.
fn two_loop(gradient: &[f64], diagonal: &[f64], memory: &[Pair]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut alphas = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let alpha = pair.inverse * dot(&pair.step, &q);
        for (value, change) in q.iter_mut().zip(&pair.change) {
            *value -= alpha * change;
        }
        alphas.push(alpha);
    }
    for (value, d) in q.iter_mut().zip(diagonal) {
        *value /= d;
    }
    for (pair, alpha) in memory.iter().zip(alphas.iter().rev()) {
        let beta = pair.inverse * dot(&pair.change, &q);
        for (value, step) in q.iter_mut().zip(&pair.step) {
            *value += (alpha - beta) * step;
        }
    }
    for value in &mut q {
        *value = -*value;
    }
    q
}

fn decrease_left(gradient: &[f64], diagonal: &[f64]) -> f64 {
    0.5 * gradient.iter().zip(diagonal).map(|(g, d)| g * g / d).sum::<f64>()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_badly_scaled_bowl() {
        let curvatures = [1.0, 1e3, 1e-2, 50.0];
        let centre = [1.0, -2.0, 30.0, 0.0];
        let loss = |p: &[f64], g: &mut [f64]| {
            let mut value = 0.0;
            for i in 0..4 {
                let d = p[i] - centre[i];
                g[i] = curvatures[i] * d + d.powi(3) * 0.01;
                value += 0.5 * curvatures[i] * d * d + 0.0025 * d.powi(4);
            }
            value
        };
        let limits = Limits { max_iterations: 500, tolerance: 1e-16 };
        let end = minimise(loss, vec![0.0; 4], &[1.0; 4], limits);
        assert!(end.converged, "{end:?}");
        for (got, expected) in end.point.iter().zip(centre) {
            assert!((got - expected).abs() < 1e-5, "{end:?}");
        }
    }
}
