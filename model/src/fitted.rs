//! What a fit leaves behind, whatever the family, and how it lies in a bundle.
//!
//! A mixture is an ensemble over seeds, a model cross-fitted over folds, or a stack of families: a weighted mean of
//! its members' curves, each calibrated by itself first where it was. Means of S and of every F_c keep the laws.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use features::Design;
use serde::{Deserialize, Serialize};
use survival::{SurvivalCurve, TimeGrid};

#[cfg(feature = "boosted")]
use crate::boosted::{Boosted, BoostedHazard};
use crate::calibration::Calibration;
use crate::classical::{Classical, ClassicalModel};
use crate::network::{HazardNet, NetworkConfig, NetworkShape};
use crate::neural::{Neural, from_safetensors, to_safetensors};
use crate::predictor::{CurveModel, ModelKind};
use crate::{ModelError, Result};

/// The fitted part of a model.
#[derive(Clone)]
pub enum Fitted {
    /// A network, its configuration and sizes.
    Neural(Box<HazardNet>, NetworkConfig, NetworkShape),
    /// A classical model.
    Classical(ClassicalModel),
    /// Boosted trees.
    #[cfg(feature = "boosted")]
    Boosted(BoostedHazard),
    /// A weighted mean of several.
    Mixture(Vec<Member>),
}

/// One of several models whose curves are averaged.
#[derive(Clone)]
pub struct Member {
    /// Its family.
    pub kind: ModelKind,
    /// Its share; the shares of a mixture sum to 1.
    pub weight: f64,
    /// Applied to its curves before they are averaged.
    pub calibration: Calibration,
    /// The model.
    pub fitted: Fitted,
}

/// The same without weights: where in the bundle each part lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Structure {
    Neural { config: NetworkConfig, shape: NetworkShape, file: String },
    Classical { file: String },
    Boosted { file: String },
    Mixture { members: Vec<MemberStructure> },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberStructure {
    kind: ModelKind,
    weight: f64,
    calibration: Calibration,
    model: Structure,
}

impl Fitted {
    /// The model on a grid and device; only networks look at the device.
    ///
    /// # Errors
    /// When network and grid do not fit, or a mixture has no members or shares that do not sum to 1.
    pub fn model(&self, grid: &Arc<TimeGrid>, device: &Device) -> Result<Box<dyn CurveModel>> {
        Ok(match self {
            Self::Neural(network, config, shape) => {
                let fresh = config.init(*shape, &vec![0.0; shape.intervals * shape.causes], device)?;
                let network = from_safetensors(fresh, &to_safetensors(network)?, device)?;
                let window = (shape.steps, shape.channels);
                Box::new(Neural::try_new(network, grid.clone(), device.clone(), shape.width, window)?)
            }
            Self::Classical(model) => Box::new(Classical::new(model.clone(), grid.clone())),
            #[cfg(feature = "boosted")]
            Self::Boosted(model) => Box::new(Boosted::new(model.clone(), grid.clone())),
            Self::Mixture(members) => {
                let members = members
                    .iter()
                    .map(|m| Ok((m.weight, m.calibration.clone(), m.fitted.model(grid, device)?)))
                    .collect::<Result<Vec<_>>>()?;
                Box::new(Mixture::try_new(members)?)
            }
        })
    }

    /// Whether any part of it is a network, and so cares for the device.
    #[must_use]
    pub fn is_neural(&self) -> bool {
        match self {
            Self::Neural(..) => true,
            Self::Mixture(members) => members.iter().any(|member| member.fitted.is_neural()),
            _ => false,
        }
    }

    /// The one classical model in it, where it is nothing else.
    #[must_use]
    pub fn classical(&self) -> Option<&ClassicalModel> {
        match self {
            Self::Classical(model) => Some(model),
            _ => None,
        }
    }

    /// Takes it apart into files, named under `stem`.
    pub(crate) fn to_files(&self, stem: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<Structure> {
        let mut put = |name: String, bytes: Vec<u8>| -> String {
            files.insert(name.clone(), bytes);
            name
        };
        Ok(match self {
            Self::Neural(network, config, shape) => {
                let file = put(format!("{stem}.safetensors"), to_safetensors(network)?);
                Structure::Neural { config: config.clone(), shape: *shape, file }
            }
            Self::Classical(model) => Structure::Classical { file: put(format!("{stem}.json"), to_json(model)?) },
            #[cfg(feature = "boosted")]
            Self::Boosted(model) => Structure::Boosted { file: put(format!("{stem}.trees.json"), to_json(model)?) },
            Self::Mixture(members) => {
                let mut parts = Vec::with_capacity(members.len());
                for (number, member) in members.iter().enumerate() {
                    parts.push(MemberStructure {
                        kind: member.kind,
                        weight: member.weight,
                        calibration: member.calibration.clone(),
                        model: member.fitted.to_files(&format!("{stem}-{number}"), files)?,
                    });
                }
                Structure::Mixture { members: parts }
            }
        })
    }
}

impl Structure {
    /// Puts it together from its files.
    pub(crate) fn read<'a>(&self, file: &dyn Fn(&str) -> Result<&'a [u8]>) -> Result<Fitted> {
        Ok(match self {
            Self::Neural { config, shape, file: name } => {
                let cpu = Device::flex();
                let fresh = config.init(*shape, &vec![0.0; shape.intervals * shape.causes], &cpu)?;
                let network = from_safetensors(fresh, file(name)?, &cpu)?;
                Fitted::Neural(Box::new(network), config.clone(), *shape)
            }
            Self::Classical { file: name } => Fitted::Classical(from_json(file(name)?, name)?),
            #[cfg(feature = "boosted")]
            Self::Boosted { file: name } => Fitted::Boosted(from_json(file(name)?, name)?),
            #[cfg(not(feature = "boosted"))]
            Self::Boosted { .. } => {
                return Err(ModelError::Network {
                    reason: "this build has no boosted trees; use one with the feature `boosted`".to_owned(),
                });
            }
            Self::Mixture { members } => Fitted::Mixture(
                members
                    .iter()
                    .map(|member| {
                        Ok(Member {
                            kind: member.kind,
                            weight: member.weight,
                            calibration: member.calibration.clone(),
                            fitted: member.model.read(file)?,
                        })
                    })
                    .collect::<Result<Vec<_>>>()?,
            ),
        })
    }
}

/// A weighted mean of curves.
struct Mixture {
    members: Vec<(f64, Calibration, Box<dyn CurveModel>)>,
}

impl Mixture {
    fn try_new(members: Vec<(f64, Calibration, Box<dyn CurveModel>)>) -> Result<Self> {
        let total: f64 = members.iter().map(|(weight, ..)| weight).sum();
        if members.iter().any(|(weight, ..)| weight.is_nan() || *weight < 0.0) || (total - 1.0).abs() > 1e-9 {
            let reason = format!("shares of {} members sum to {total}, must be at least 0 and sum to 1", members.len());
            return Err(ModelError::Network { reason });
        }
        Ok(Self { members })
    }
}

impl CurveModel for Mixture {
    fn curves(&self, design: &Design) -> Result<Vec<SurvivalCurve>> {
        let mut of_members = Vec::with_capacity(self.members.len());
        for (weight, calibration, model) in &self.members {
            if *weight > 0.0 {
                let curves =
                    model.curves(design)?.iter().map(|curve| calibration.apply(curve)).collect::<Result<Vec<_>>>()?;
                of_members.push((*weight, curves));
            }
        }
        mean_curves(&of_members)
    }
}

/// The weighted mean of several models' curves, row by row.
///
/// # Errors
/// When they differ in number of rows, grid or causes.
pub fn mean_curves(of_members: &[(f64, Vec<SurvivalCurve>)]) -> Result<Vec<SurvivalCurve>> {
    let rows = of_members.first().map_or(0, |(_, curves)| curves.len());
    if let Some((_, curves)) = of_members.iter().find(|(_, curves)| curves.len() != rows) {
        let error = survival::SurvivalError::Shape { what: "curves of a member", expected: rows, got: curves.len() };
        return Err(error.into());
    }
    (0..rows)
        .map(|row| {
            let members: Vec<(f64, &SurvivalCurve)> =
                of_members.iter().map(|(weight, curves)| (*weight, &curves[row])).collect();
            Ok(SurvivalCurve::mixture(&members)?)
        })
        .collect()
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| ModelError::Network { reason: format!("cannot be written as JSON: {error}") })
}

fn from_json<T: for<'de> Deserialize<'de>>(bytes: &[u8], name: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| ModelError::Network { reason: format!("{name}: {error}") })
}
