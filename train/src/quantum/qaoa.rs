//! QAOA (Farhi et al. 2014, arXiv 1411.4028) on a state vector, read by [`solve_plan`](super::plan::solve_plan).
//!
//! |γ, β⟩ = Π e^{−iβ_k ΣX} e^{−iγ_k E} |+⟩ⁿ. Angles of depth p start from the best of depth p − 1 (interpolated, Zhou et
//! al. 2020, arXiv 1812.01041) and from seeded random points, each improved by Nelder & Mead's simplex on ⟨E⟩.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::qubo::Qubo;
use super::state::{StateVector, rx};
use super::{generator, refusal, stream};
use crate::error::Result;

/// Variables of a state vector at most: 2²⁰ amplitudes.
pub const MAX_VARIABLES: usize = 20;

/// How QAOA is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QaoaOptions {
    /// Largest depth p.
    pub depth: usize,
    /// Random starts per depth, besides the interpolated one.
    pub starts: usize,
    /// ⟨E⟩ evaluations per start.
    pub evaluations: usize,
    /// Assignments read from the final state.
    pub shots: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for QaoaOptions {
    fn default() -> Self {
        Self { depth: 3, starts: 4, evaluations: 200, shots: 1_000, seed: 1 }
    }
}

/// The best angles of one depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QaoaResult {
    /// p.
    pub depth: usize,
    /// (γ₁ … γ_p, β₁ … β_p); γ in units of 1/(standard deviation of E over all assignments).
    pub angles: Vec<f64>,
    /// ⟨E⟩.
    pub expected_energy: f64,
    /// (E_max − ⟨E⟩)/(E_max − E_min): 1 is perfect. Penalties stretch E_max, so read it beside `guessing_ratio`.
    pub approximation_ratio: f64,
    /// The ratio of uniform guessing.
    pub guessing_ratio: f64,
    /// Probability of reading an optimal assignment.
    pub optimum_probability: f64,
    /// Each assignment read once or more, with its count.
    #[serde(skip)]
    pub read: Vec<(u32, u32)>,
}

/// E of every assignment, scaled for phases.
struct Landscape {
    energies: Vec<f64>,
    least: f64,
    most: f64,
    mean: f64,
    deviation: f64,
    qubits: usize,
}

impl Landscape {
    fn new(qubo: &Qubo) -> Result<Self> {
        let qubits = qubo.variables();
        if qubits > MAX_VARIABLES {
            return Err(refusal("QAOA", format!("{qubits} variables, at most {MAX_VARIABLES}")));
        }
        let energies = qubo.energies();
        let n = energies.len() as f64;
        let mean = energies.iter().sum::<f64>() / n;
        let deviation = (energies.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / n).sqrt();
        let least = energies.iter().copied().fold(f64::INFINITY, f64::min);
        let most = energies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most <= least {
            return Err(refusal("QAOA", "every assignment has the same energy, so there is nothing to choose"));
        }
        Ok(Self { energies, least, most, mean, deviation, qubits })
    }

    fn state(&self, angles: &[f64]) -> Result<StateVector> {
        let mut state = StateVector::zero(self.qubits)?;
        state.re.fill((self.energies.len() as f64).sqrt().recip());
        let (gammas, betas) = angles.split_at(angles.len() / 2);
        for (gamma, beta) in gammas.iter().zip(betas) {
            let scale = -gamma / self.deviation;
            state.rotate_by(|index| {
                let (s, c) = (scale * (self.energies[index] - self.mean)).sin_cos();
                (c, s)
            });
            let mixer = rx(2.0 * beta);
            (0..self.qubits).for_each(|q| state.apply_one(q, &mixer));
        }
        Ok(state)
    }

    fn expected(&self, state: &StateVector) -> f64 {
        state.probabilities().zip(&self.energies).map(|(p, e)| p * e).sum()
    }

    fn ratio(&self, energy: f64) -> f64 {
        (self.most - energy) / (self.most - self.least)
    }

    /// Within rounding of the least.
    fn optimal(&self, energy: f64) -> bool {
        energy - self.least <= 1e-9 * (self.most - self.least)
    }
}

/// Depths 1 to `options.depth`.
///
/// # Errors
/// When there are too many variables, every assignment is equal, or an option is 0.
pub fn qaoa(qubo: &Qubo, options: &QaoaOptions) -> Result<Vec<QaoaResult>> {
    if options.depth == 0 || options.evaluations == 0 || options.shots == 0 {
        return Err(refusal("QAOA", format!("{options:?}: depth, evaluations and shots must be above 0")));
    }
    let landscape = Landscape::new(qubo)?;
    let mut results: Vec<QaoaResult> = Vec::new();
    for depth in 1..=options.depth {
        let mut random = generator(options.seed, stream(&[depth as u64, 7]));
        let mut starts: Vec<Vec<f64>> = results.last().map(|r| interpolate(&r.angles)).into_iter().collect();
        for _ in 0..options.starts.max(1) {
            let gammas = (0..depth).map(|_| 2.0 * random.random::<f64>()).collect::<Vec<_>>();
            starts.push(gammas.into_iter().chain((0..depth).map(|_| random.random::<f64>() - 0.5)).collect());
        }
        let mut best: Option<(f64, Vec<f64>)> = None;
        for start in starts {
            let value = |angles: &[f64]| Ok(landscape.expected(&landscape.state(angles)?));
            let found = nelder_mead(start, 0.25, options.evaluations, value)?;
            if best.as_ref().is_none_or(|(least, _)| found.0 < *least) {
                best = Some(found);
            }
        }
        let Some((expected_energy, angles)) = best else { continue };
        let state = landscape.state(&angles)?;
        let hit = |(p, e): (f64, &f64)| if landscape.optimal(*e) { p } else { 0.0 };
        let counts = state.sample(options.shots, &mut random);
        results.push(QaoaResult {
            depth,
            expected_energy,
            approximation_ratio: landscape.ratio(expected_energy),
            guessing_ratio: landscape.ratio(landscape.mean),
            optimum_probability: state.probabilities().zip(&landscape.energies).map(hit).sum(),
            angles,
            read: (0..).zip(counts).filter(|(_, count)| *count > 0).collect(),
        });
    }
    Ok(results)
}

/// Angles of depth p + 1 along the line through those of depth p, for γ and β each.
fn interpolate(angles: &[f64]) -> Vec<f64> {
    let p = angles.len() / 2;
    let stretch = |own: &[f64]| -> Vec<f64> {
        (0..=p)
            .map(|i| {
                let share = i as f64 / p as f64;
                let before = if i > 0 { own[i - 1] } else { 0.0 };
                let after = if i < p { own[i] } else { 0.0 };
                share * before + (1.0 - share) * after
            })
            .collect()
    };
    [stretch(&angles[..p]), stretch(&angles[p..])].concat()
}

/// Nelder & Mead (1965) with the usual coefficients; the best (value, point) of about `evaluations` calls.
fn nelder_mead(
    start: Vec<f64>,
    reach: f64,
    evaluations: usize,
    mut value: impl FnMut(&[f64]) -> Result<f64>,
) -> Result<(f64, Vec<f64>)> {
    let n = start.len();
    let mut simplex = vec![(value(&start)?, start.clone())];
    for i in 0..n {
        let mut corner = start.clone();
        corner[i] += reach;
        simplex.push((value(&corner)?, corner));
    }
    let mut used = n + 1;
    while used < evaluations {
        simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
        if simplex[n].0 - simplex[0].0 <= 1e-10 * (1.0 + simplex[0].0.abs()) {
            break;
        }
        let centre: Vec<f64> = (0..n).map(|i| simplex[..n].iter().map(|(_, p)| p[i]).sum::<f64>() / n as f64).collect();
        let worst = simplex[n].clone();
        let along = |t: f64| -> Vec<f64> { centre.iter().zip(&worst.1).map(|(c, w)| c + t * (c - w)).collect() };
        let reflected = (value(&along(1.0))?, along(1.0));
        used += 1;
        if reflected.0 < simplex[0].0 {
            let expanded = (value(&along(2.0))?, along(2.0));
            used += 1;
            simplex[n] = if expanded.0 < reflected.0 { expanded } else { reflected };
        } else if reflected.0 < simplex[n - 1].0 {
            simplex[n] = reflected;
        } else {
            let t = if reflected.0 < worst.0 { 0.5 } else { -0.5 };
            let contracted = (value(&along(t))?, along(t));
            used += 1;
            if contracted.0 < worst.0.min(reflected.0) {
                simplex[n] = contracted;
            } else {
                let best = simplex[0].1.clone();
                for (v, p) in simplex.iter_mut().skip(1) {
                    p.iter_mut().zip(&best).for_each(|(x, b)| *x = b + 0.5 * (*x - b));
                    *v = value(p)?;
                }
                used += n;
            }
        }
    }
    simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(simplex.swap_remove(0))
}
