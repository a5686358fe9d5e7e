//! The models of the protocol in one form: tuned on training components, then asked for p(h) of any rows, with or
//! without shot noise.

use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;

use super::adam::{self, AdamOptions, Differentiable};
use super::kernel::{ZzFeatureMap, gaussian, measured, measured_gram, median_distance, squared_distances};
use super::learn::{KernelModel, Learner, Targets, for_each_fold, log_loss, tune};
use super::mlp::Mlp;
use super::task::Settings;
use super::vqc::Circuit;
use super::{generator, refusal};
use crate::error::Result;

/// A family of kernels with one free width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Fidelity { entangling: bool },
    Projected { entangling: bool },
    Gaussian,
}

/// A member with its width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kernel {
    Fidelity(ZzFeatureMap),
    /// With γ.
    Projected(ZzFeatureMap, f64),
    /// With γ.
    Gaussian(f64),
}

/// A kernel on the training rows.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) kernel: Kernel,
    pub(crate) gram: Array2<f64>,
    /// What new rows are held against: Bloch vectors for a projected kernel, components for the others.
    anchors: Array2<f64>,
}

impl Member {
    /// The members tried, exact. γ is relative to the median distance of the training rows.
    pub(crate) fn all(family: Family, x: ArrayView2<'_, f64>, settings: &Settings) -> Result<Vec<Self>> {
        let map = |bandwidth, entangling| ZzFeatureMap { bandwidth, entangling };
        match family {
            Family::Fidelity { entangling } => (settings.bandwidths.iter())
                .map(|&c| {
                    let states = map(c, entangling).states(x)?;
                    let gram = states.fidelities(&states)?;
                    Ok(Self { kernel: Kernel::Fidelity(map(c, entangling)), gram, anchors: x.to_owned() })
                })
                .collect(),
            Family::Projected { entangling } => (settings.bandwidths.iter())
                .map(|&c| {
                    let states = map(c, entangling).states(x)?;
                    let distances = states.projected_distances(&states)?;
                    let gamma = 1.0 / median_distance(distances.view());
                    let kernel = Kernel::Projected(map(c, entangling), gamma);
                    Ok(Self { kernel, gram: gaussian(&distances, gamma), anchors: states.bloch().clone() })
                })
                .collect(),
            Family::Gaussian => {
                let distances = squared_distances(x, x)?;
                let unit = 1.0 / median_distance(distances.view());
                let member = |scale: &f64| Self {
                    kernel: Kernel::Gaussian(scale * unit),
                    gram: gaussian(&distances, scale * unit),
                    anchors: x.to_owned(),
                };
                Ok(settings.gaussian_scales.iter().map(member).collect())
            }
        }
    }

    /// The same as read from shots: entries of the Gram matrix, or Bloch vectors once and for all.
    pub(crate) fn measured(&self, shots: u64, random: &mut ChaCha8Rng) -> Result<Self> {
        match self.kernel {
            Kernel::Fidelity(_) => Ok(Self { gram: measured_gram(&self.gram, shots, random)?.0, ..self.clone() }),
            Kernel::Projected(_, gamma) => {
                let anchors = measured_bloch(&self.anchors, shots, random)?;
                let gram = gaussian(&half_distances(&anchors, &anchors)?, gamma);
                Ok(Self { gram, anchors, ..*self })
            }
            Kernel::Gaussian(_) => Ok(self.clone()),
        }
    }
}

/// Σ_k ‖ρ_k − ρ′_k‖²_F of tables of Bloch vectors.
fn half_distances(a: &Array2<f64>, b: &Array2<f64>) -> Result<Array2<f64>> {
    Ok(squared_distances(a.view(), b.view())? * 0.5)
}

impl Kernel {
    /// Kernel values of new rows (down) with training rows (across); shots disturb what is measured of new rows.
    fn cross(
        self,
        new: ArrayView2<'_, f64>,
        anchors: &Array2<f64>,
        shots: Option<u64>,
        random: &mut ChaCha8Rng,
    ) -> Result<Array2<f64>> {
        match self {
            Self::Fidelity(map) => {
                let mut k = map.states(new)?.fidelities(&map.states(anchors.view())?)?;
                if let Some(shots) = shots {
                    for value in &mut k {
                        *value = measured(*value, shots, random)?;
                    }
                }
                Ok(k)
            }
            Self::Projected(map, gamma) => {
                let states = map.states(new)?;
                let bloch = match shots {
                    Some(shots) => measured_bloch(states.bloch(), shots, random)?,
                    None => states.bloch().clone(),
                };
                Ok(gaussian(&half_distances(&bloch, anchors)?, gamma))
            }
            Self::Gaussian(gamma) => Ok(gaussian(&squared_distances(new, anchors.view())?, gamma)),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Fidelity(map) => format!("bandwidth {}", map.bandwidth),
            Self::Projected(map, gamma) => format!("bandwidth {}, γ {gamma:.3}", map.bandwidth),
            Self::Gaussian(gamma) => format!("γ {gamma:.4}"),
        }
    }
}

/// Bloch components read from `shots` measurements in each basis.
fn measured_bloch(exact: &Array2<f64>, shots: u64, random: &mut ChaCha8Rng) -> Result<Array2<f64>> {
    let mut bloch = exact.clone();
    for value in &mut bloch {
        *value = 2.0 * measured((0.5 * (1.0 + *value)).clamp(0.0, 1.0), shots, random)? - 1.0;
    }
    Ok(bloch)
}

/// A tuned model.
#[derive(Debug, Clone)]
pub(crate) enum Fitted {
    Kernel { kernel: Kernel, model: KernelModel, anchors: Array2<f64>, chosen: String },
    Circuit { circuit: Circuit, parameters: Vec<f64>, chosen: String },
    Mlp { mlp: Mlp, parameters: Vec<f64>, chosen: String },
}

impl Fitted {
    /// Tries every member with every ridge.
    pub(crate) fn kernel(learner: Learner, members: &[Member], part: &Part<'_>, settings: &Settings) -> Result<Self> {
        let grams: Vec<Array2<f64>> = members.iter().map(|member| member.gram.clone()).collect();
        let (i, j) = tune(learner, &grams, &settings.ridges, part.targets, part.inner_folds)?;
        let Member { kernel, gram, anchors } =
            members.get(i).ok_or_else(|| refusal("tuning", "no kernel to choose from"))?;
        let model = KernelModel::fit(learner, gram.view(), part.targets, settings.ridges[j])?;
        let chosen = format!("{}, ridge {}", kernel.describe(), settings.ridges[j]);
        Ok(Self::Kernel { kernel: *kernel, model, anchors: anchors.clone(), chosen })
    }

    /// Tries every rate with every decay.
    pub(crate) fn circuit(
        circuit: Circuit,
        x: ArrayView2<'_, f64>,
        part: &Part<'_>,
        settings: &Settings,
        seed: u64,
    ) -> Result<Self> {
        let (parameters, chosen) = descend(&circuit, x, part, settings, seed)?;
        Ok(Self::Circuit { circuit, parameters, chosen })
    }

    /// Tries every rate with every decay.
    pub(crate) fn mlp(
        mlp: Mlp,
        x: ArrayView2<'_, f64>,
        part: &Part<'_>,
        settings: &Settings,
        seed: u64,
    ) -> Result<Self> {
        let (parameters, chosen) = descend(&mlp, x, part, settings, seed)?;
        Ok(Self::Mlp { mlp, parameters, chosen })
    }

    /// p(h) of rows of components. Shots mean nothing to a classical model.
    pub(crate) fn predict(
        &self,
        x: ArrayView2<'_, f64>,
        shots: Option<u32>,
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<f64>> {
        match self {
            Self::Kernel { kernel, model, anchors, .. } => {
                model.predict(kernel.cross(x, anchors, shots.map(u64::from), random)?.view())
            }
            Self::Circuit { circuit, parameters, .. } => match shots {
                None => adam::predict(circuit, parameters, x),
                Some(shots) => {
                    x.rows().into_iter().map(|r| circuit.measured(parameters, &r.to_vec(), shots, random)).collect()
                }
            },
            Self::Mlp { mlp, parameters, .. } => adam::predict(mlp, parameters, x),
        }
    }

    pub(crate) fn chosen(&self) -> &str {
        match self {
            Self::Kernel { chosen, .. } | Self::Circuit { chosen, .. } | Self::Mlp { chosen, .. } => chosen,
        }
    }

    /// The chosen kernel, where it is one.
    pub(crate) fn chosen_kernel(&self) -> Option<Kernel> {
        if let Self::Kernel { kernel, .. } = self { Some(*kernel) } else { None }
    }
}

/// Training rows of one outer fold.
pub(crate) struct Part<'a> {
    pub(crate) targets: &'a Targets,
    pub(crate) inner_folds: &'a [usize],
}

fn descend(
    function: &impl Differentiable,
    x: ArrayView2<'_, f64>,
    part: &Part<'_>,
    settings: &Settings,
    seed: u64,
) -> Result<(Vec<f64>, String)> {
    let mut best: Option<(f64, AdamOptions)> = None;
    for &rate in &settings.rates {
        for &decay in &settings.decays {
            let options = AdamOptions { epochs: settings.epochs, batch_rows: settings.batch_rows, rate, decay, seed };
            let mut loss = 0.0;
            let used = for_each_fold(part.targets, part.inner_folds, |train, rest, fit, judge| {
                let pick = |rows: &[usize]| x.select(ndarray::Axis(0), rows);
                let parameters = adam::fit(function, pick(train).view(), fit, &options)?;
                loss += log_loss(judge, &adam::predict(function, &parameters, pick(rest).view())?);
                Ok(())
            })?;
            if used > 0 && best.is_none_or(|(least, _)| loss < least) {
                best = Some((loss, options));
            }
        }
    }
    let (_, options) =
        best.ok_or_else(|| refusal("tuning", "no inner fold holds failures and survivors on both sides"))?;
    let parameters = adam::fit(function, x, part.targets, &options)?;
    Ok((parameters, format!("rate {}, decay {}", options.rate, options.decay)))
}

/// Draws of one purpose in one fold.
pub(crate) fn draws(seed: u64, fold: usize, purpose: u64) -> ChaCha8Rng {
    generator(seed, super::stream(&[fold as u64, purpose]))
}
