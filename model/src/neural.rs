//! The network as a curve model, and its weights as safetensors.

use std::collections::HashMap;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use features::Design;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use survival::{SurvivalCurve, TimeGrid};

use crate::network::{HazardNet, Inputs, hazards_from_logits};
use crate::predictor::CurveModel;
use crate::{ModelError, Result};

/// Rows per forward pass: large enough for one good matrix product, small enough for the cache.
const ROWS_PER_PASS: usize = 1024;

/// A trained network on one device.
pub struct Neural {
    network: HazardNet,
    grid: Arc<TimeGrid>,
    device: Device,
    width: usize,
    window: (usize, usize),
}

impl Neural {
    /// A network that answers on `grid`.
    ///
    /// # Errors
    /// When the network's intervals differ from the grid's.
    pub fn try_new(
        network: HazardNet,
        grid: Arc<TimeGrid>,
        device: Device,
        width: usize,
        window: (usize, usize),
    ) -> Result<Self> {
        if network.intervals() != grid.intervals() {
            return Err(ModelError::Network {
                reason: format!("{} intervals, the grid has {}", network.intervals(), grid.intervals()),
            });
        }
        Ok(Self { network, grid, device, width, window })
    }
}

impl CurveModel for Neural {
    fn curves(&self, design: &Design) -> Result<Vec<SurvivalCurve>> {
        if design.width != self.width || (design.steps, design.channels) != self.window {
            return Err(ModelError::Network {
                reason: format!(
                    "fitted for {} columns and windows {:?}, got {} and {:?}",
                    self.width,
                    self.window,
                    design.width,
                    (design.steps, design.channels)
                ),
            });
        }
        let (intervals, causes) = (self.network.intervals(), self.network.causes());
        let mut curves = Vec::with_capacity(design.rows);
        let rows: Vec<usize> = (0..design.rows).collect();
        for chunk in rows.chunks(ROWS_PER_PASS) {
            let logits = self.network.forward(Inputs::gather(design, chunk, &self.device));
            let values: Vec<f32> = read(logits)?;
            for (row, logits) in chunk.iter().zip(values.chunks_exact(intervals * causes)) {
                if logits.iter().any(|z| !z.is_finite()) {
                    return Err(ModelError::NonFinite { row: *row });
                }
                let hazards = hazards_from_logits(logits, intervals, causes);
                curves.push(SurvivalCurve::from_hazards(self.grid.clone(), &hazards)?);
            }
        }
        Ok(curves)
    }

    fn network(&self) -> Option<&HazardNet> {
        Some(&self.network)
    }
}

/// Values of a tensor, read back from its device.
///
/// # Errors
/// When the device lost them.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().map_err(|error| ModelError::Device {
        wanted: "working",
        found: format!("reading a result failed: {error:?}"),
    })?;
    data.try_to_vec::<f32>().map_err(|error| ModelError::Network { reason: format!("{error:?}") })
}

#[derive(Default)]
struct Names {
    path: Vec<String>,
}

impl Names {
    fn full(&self) -> String {
        self.path.join(".")
    }
}

struct Collect {
    names: Names,
    tensors: Vec<(String, Vec<usize>, TensorData)>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.names.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.names.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        self.tensors.push((self.names.full(), shape, tensor.into_data()));
    }
}

/// Weights as one safetensors file in memory, single precision, names in sorted order.
///
/// # Errors
/// When a weight is not finite or cannot be read back.
pub fn to_safetensors(network: &HazardNet) -> Result<Vec<u8>> {
    let mut collect = Collect { names: Names::default(), tensors: Vec::new() };
    network.visit(&mut collect);
    let mut buffers = Vec::with_capacity(collect.tensors.len());
    for (name, shape, data) in collect.tensors {
        let values = data.try_to_vec::<f32>().map_err(|e| ModelError::Network { reason: format!("{name}: {e:?}") })?;
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return Err(ModelError::Network { reason: format!("weight {name} holds {bad}; the training diverged") });
        }
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        buffers.push((name, shape, bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, shape, bytes) in &buffers {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
            .map_err(|error| ModelError::Network { reason: format!("{name}: {error}") })?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize(views, None).map_err(|error| ModelError::Network { reason: error.to_string() })
}

struct Fill<'a> {
    names: Names,
    device: Device,
    tensors: HashMap<String, (Vec<usize>, &'a [u8])>,
    problem: Option<String>,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.names.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.names.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.names.full();
        let expected = param.val().dims().to_vec();
        match self.tensors.remove(&name) {
            Some((shape, bytes)) if shape == expected => {
                let (chunks, _) = bytes.as_chunks::<4>();
                let values: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
                if values.iter().any(|v| !v.is_finite()) {
                    self.problem.get_or_insert(format!("weight {name} holds a value that is not finite"));
                    return param;
                }
                let data = TensorData::new(values, shape);
                param.map(|_| Tensor::from_data(data, &self.device))
            }
            Some((shape, _)) => {
                self.problem.get_or_insert(format!("weight {name} has shape {shape:?}, expected {expected:?}"));
                param
            }
            None => {
                self.problem.get_or_insert(format!("weight {name} is missing"));
                param
            }
        }
    }
}

/// Puts the weights of a safetensors file into a network of the same configuration.
///
/// # Errors
/// When the file is none, or a weight is missing, left over, of another shape, or not finite.
pub fn from_safetensors(network: HazardNet, bytes: &[u8], device: &Device) -> Result<HazardNet> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| ModelError::Network { reason: format!("weights are no safetensors file: {error}") })?;
    let mut tensors = HashMap::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(ModelError::Network { reason: format!("weight {name} is {:?}, expected F32", view.dtype()) });
        }
        tensors.insert(name.to_owned(), (view.shape().to_vec(), view.data()));
    }
    let mut fill = Fill { names: Names::default(), device: device.clone(), tensors, problem: None };
    let network = network.map(&mut fill);
    if let Some(reason) = fill.problem {
        return Err(ModelError::Network { reason });
    }
    if let Some(name) = fill.tensors.keys().min() {
        return Err(ModelError::Network { reason: format!("weight {name} belongs to no layer of this network") });
    }
    Ok(network)
}
