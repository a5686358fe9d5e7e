//! Where a model runs: the single place that decides, and the self-test that may overrule it.
//!
//! Burn's wgpu path has known silent faults (tracel-ai/burn #5257, #5162, #4366), so no device is believed
//! before it reproduces what the CPU computes.

use std::str::FromStr;

use burn::tensor::Device;
use features::Design;
use serde::Serialize;

use crate::network::{HazardNet, Inputs, NetworkConfig, NetworkShape};
use crate::neural::read;
use crate::{ModelError, Result};

/// Largest difference of a self-test value between a device and the CPU.
pub const DEVICE_TOLERANCE: f64 = 1e-4;

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceChoice {
    /// A real GPU if one is there and passes its self-test, else the CPU.
    #[default]
    Auto,
    /// A real GPU or an error.
    Gpu,
    /// The CPU.
    Cpu,
    /// A software graphics adapter; exists to test the GPU path without a GPU.
    Software,
}

impl FromStr for DeviceChoice {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "gpu" => Ok(Self::Gpu),
            "cpu" => Ok(Self::Cpu),
            "software" => Ok(Self::Software),
            other => Err(format!("unknown device {other:?}; known: auto, gpu, cpu, software")),
        }
    }
}

/// A graphics adapter of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// Name as the driver gives it.
    pub name: String,
    /// `discrete_gpu`, `integrated_gpu`, `virtual_gpu`, `software` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal`, `dx12`, `gl` …
    pub api: String,
    /// Driver and its version.
    pub driver: String,
}

/// A device that passed its self-test.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Burn's handle.
    pub device: Device,
    /// Name for cards, logs and answers.
    pub name: String,
    /// Whether this is the reference device.
    pub is_cpu: bool,
    /// Why this one, in a sentence.
    pub why: String,
}

impl Chosen {
    /// The CPU, with the reason for it.
    #[must_use]
    pub fn cpu(why: impl Into<String>) -> Self {
        Self { device: Device::flex(), name: "cpu (flex)".to_owned(), is_cpu: true, why: why.into() }
    }
}

/// Decides on a device and tests it.
///
/// # Errors
/// When a GPU or software adapter was asked for by name and is absent or misses the self-test.
pub fn choose(choice: DeviceChoice) -> Result<Chosen> {
    let (wanted, software) = match choice {
        DeviceChoice::Cpu => return Ok(Chosen::cpu("asked for")),
        DeviceChoice::Auto => ("GPU", false),
        DeviceChoice::Gpu => ("GPU", false),
        DeviceChoice::Software => ("software", true),
    };
    match accelerated(software).and_then(|chosen| self_test(&chosen).map(|()| chosen)) {
        Ok(chosen) => Ok(chosen),
        Err(error) if choice == DeviceChoice::Auto => Ok(Chosen::cpu(error.to_string())),
        Err(ModelError::Device { found, .. }) => Err(ModelError::Device { wanted, found }),
        Err(error) => Err(error),
    }
}

#[cfg(not(feature = "wgpu"))]
fn accelerated(_software: bool) -> Result<Chosen> {
    Err(ModelError::Device { wanted: "GPU", found: "this build has no wgpu (cargo feature `wgpu`)".to_owned() })
}

/// Adapters of this machine; empty where the build has no wgpu.
#[cfg(not(feature = "wgpu"))]
#[must_use]
pub fn adapters() -> Vec<Adapter> {
    Vec::new()
}

/// Adapters of this machine; empty where the build has no wgpu.
#[cfg(feature = "wgpu")]
#[must_use]
pub fn adapters() -> Vec<Adapter> {
    use burn::tensor::wgpu::wgpu;
    let backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    let kind = |kind| match kind {
        wgpu::DeviceType::DiscreteGpu => "discrete_gpu",
        wgpu::DeviceType::IntegratedGpu => "integrated_gpu",
        wgpu::DeviceType::VirtualGpu => "virtual_gpu",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    found
        .iter()
        .map(wgpu::Adapter::get_info)
        .map(|info| Adapter {
            name: info.name,
            kind: kind(info.device_type),
            api: info.backend.to_str().to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        })
        .collect()
}

#[cfg(feature = "wgpu")]
fn accelerated(software: bool) -> Result<Chosen> {
    use burn::tensor::DeviceKind;
    let adapters = adapters();
    let rank = |adapter: &&Adapter| match adapter.kind {
        "discrete_gpu" => 0,
        "integrated_gpu" => 1,
        _ => 2,
    };
    let usable = |adapter: &&Adapter| {
        if software { adapter.kind == "software" } else { rank(adapter) < 2 || adapter.kind == "virtual_gpu" }
    };
    let Some(adapter) = adapters.iter().filter(usable).min_by_key(rank) else {
        let seen = adapters.iter().map(|a| format!("{} ({}, {})", a.name, a.kind, a.api)).collect::<Vec<_>>();
        let seen = if seen.is_empty() { "no graphics adapter".to_owned() } else { format!("only {}", seen.join(", ")) };
        return Err(ModelError::Device { wanted: if software { "software" } else { "GPU" }, found: seen });
    };
    let kind = match adapter.kind {
        "discrete_gpu" => DeviceKind::DiscreteGpu(0),
        "integrated_gpu" => DeviceKind::IntegratedGpu(0),
        "virtual_gpu" => DeviceKind::VirtualGpu(0),
        _ => DeviceKind::Cpu,
    };
    let device = Device::wgpu_options().device_kind(kind).init().map_err(|error| ModelError::Device {
        wanted: "GPU",
        found: format!("{} failed to start: {error:?}", adapter.name),
    })?;
    let shader = if cfg!(feature = "vulkan") { "SPIR-V" } else { "WGSL" };
    Ok(Chosen {
        device,
        name: format!("{} ({}, {shader})", adapter.name, adapter.api),
        is_cpu: false,
        why: format!("{} of kind {} passed its self-test", adapter.name, adapter.kind),
    })
}

/// Runs a small fixed network on the device and on the CPU and compares every logit.
///
/// # Errors
/// When a value differs by more than [`DEVICE_TOLERANCE`] or cannot be read.
pub fn self_test(chosen: &Chosen) -> Result<()> {
    if chosen.is_cpu {
        return Ok(());
    }
    let (network, design) = fixed_network()?;
    let expected = forward(network.clone(), &design, &Device::flex())?;
    let got = forward(network, &design, &chosen.device)?;
    compare(&chosen.name, &expected, &got, design.rows, DEVICE_TOLERANCE)
}

/// Refuses a device whose values differ from the expected ones, naming the first row that does.
///
/// # Errors
/// When a value differs by more than `tolerance`, or one is not finite.
pub fn compare(device: &str, expected: &[f32], got: &[f32], rows: usize, tolerance: f64) -> Result<()> {
    let per_row = expected.len() / rows.max(1);
    for (row, (a, b)) in expected.chunks(per_row.max(1)).zip(got.chunks(per_row.max(1))).enumerate() {
        let error = a.iter().zip(b).fold(0.0_f64, |top, (x, y)| {
            let difference = (f64::from(*x) - f64::from(*y)).abs();
            if difference.is_nan() { f64::INFINITY } else { top.max(difference) }
        });
        if error > tolerance {
            return Err(ModelError::GoldenRow { device: device.to_owned(), row, error, tolerance });
        }
    }
    Ok(())
}

fn forward(network: HazardNet, design: &Design, device: &Device) -> Result<Vec<f32>> {
    use burn::module::Module;
    let rows: Vec<usize> = (0..design.rows).collect();
    let network = network.to_device(device);
    read(network.forward(Inputs::gather(design, &rows, device)))
}

/// A tiny network and input written down by a formula, the same on every machine.
fn fixed_network() -> Result<(HazardNet, Design)> {
    let shape = NetworkShape { width: 5, steps: 4, channels: 3, intervals: 3, causes: 2 };
    let config = NetworkConfig {
        flat_hidden: 8,
        patch_steps: 2,
        patch_hidden: 4,
        window_hidden: 4,
        fusion_hidden: 8,
        dropout: 0.0,
    };
    let device = Device::flex();
    let network = config.init(shape, &[0.1, -0.2, 0.3, -0.4, 0.5, -0.6], &device)?;
    let network = Waves::fill(network, &device);
    let rows = 7_u16;
    let wave = |n: u16| (f32::from(n) * 0.73).sin();
    let width = u16::try_from(shape.width).unwrap_or(0);
    let size = u16::try_from(shape.steps * shape.channels).unwrap_or(0);
    let design = Design {
        rows: usize::from(rows),
        width: shape.width,
        flat: (0..rows * width).map(wave).collect(),
        steps: shape.steps,
        channels: shape.channels,
        sequence: (0..rows * size).map(|n| wave(n + 31)).collect(),
    };
    Ok((network, design))
}

/// Puts sines into every weight, so that no part of the network is zero.
struct Waves {
    next: u16,
    device: Device,
}

impl Waves {
    fn fill(network: HazardNet, device: &Device) -> HazardNet {
        use burn::module::Module;
        network.map(&mut Self { next: 0, device: device.clone() })
    }
}

impl burn::module::ModuleMapper for Waves {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<burn::tensor::Tensor<D>>,
    ) -> burn::module::Param<burn::tensor::Tensor<D>> {
        let shape = param.val().dims();
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|_| {
                self.next = self.next.wrapping_add(1);
                (f32::from(self.next) * 1.37).sin() * 0.5
            })
            .collect();
        let data = burn::tensor::TensorData::new(values, shape.to_vec());
        param.map(|_| burn::tensor::Tensor::from_data(data, &self.device))
    }
}
