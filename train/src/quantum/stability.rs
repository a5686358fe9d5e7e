//! How far p(h) moves when nothing about the entity does: shot noise, and inputs changed by ±1 % of a standard deviation.
//!
//! A surrogate for "stable", which the theory does not define: p(h) moves by less than [`STABLE`]. The classical twin
//! sees the same changed inputs; shots mean nothing to it.

use std::fmt::Write;

use ndarray::Array2;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use survival::{ClusterBootstrap, PairedInterval};

use super::contender::{Fitted, draws};
use super::preparation::Components;
use super::task::Settings;
use crate::error::Result;

/// Standard deviation of p(h) below which a prediction counts as stable.
pub const STABLE: f64 = 0.01;
/// Inputs are moved by a uniform draw of up to this many standard deviations of their column.
pub const INPUT_CHANGE: f64 = 0.01;

/// One model under one disturbance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StabilityRow {
    /// Model.
    pub model: String,
    /// Shots per reading, 0 for exact values.
    pub shots: u32,
    /// Whether inputs were moved too.
    pub inputs_moved: bool,
    /// Mean over rows of the standard deviation of p(h) over repeats.
    pub mean_deviation: f64,
    /// Largest of them.
    pub largest_deviation: f64,
    /// Largest |p(h) − undisturbed p(h)| seen.
    pub largest_move: f64,
    /// Share of rows with a standard deviation below [`STABLE`].
    pub stable_share: f64,
    /// The classical twin.
    pub twin: String,
    /// Mean deviation − that of the twin under the same change of inputs; `None` for a twin itself, and when the groups
    /// are too few for a bootstrap.
    pub over_twin: Option<PairedInterval>,
}

impl StabilityRow {
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        let shots = if self.shots == 0 { "exact".to_owned() } else { format!("{} shots", self.shots) };
        let inputs = if self.inputs_moved { "inputs ±1 % sd" } else { "inputs as they are" };
        write!(
            out,
            "  sd of p(h), {:<20} {shots:>12}, {inputs:<18}: mean {:.4}, largest {:.4}, below {STABLE} in {:.0} %",
            self.model,
            self.mean_deviation,
            self.largest_deviation,
            100.0 * self.stable_share
        )?;
        match &self.over_twin {
            Some(d) => writeln!(out, "; over {} {:+.4} [{:+.4}, {:+.4}]", self.twin, d.difference, d.low, d.high),
            None => writeln!(out),
        }
    }
}

/// Test rows of one fold before components are taken.
pub(crate) struct Probe<'a> {
    pub(crate) raw: Array2<f64>,
    pub(crate) components: &'a Components,
    pub(crate) groups: Vec<&'a str>,
}

/// Quantum model and classical twin.
const TWINS: [(&str, &str); 3] =
    [("fidelity logistic", "Gaussian logistic"), ("projected logistic", "Gaussian logistic"), ("circuit", "MLP")];

pub(crate) fn rows(probe: &Probe<'_>, fitted: &[(String, Fitted)], settings: &Settings) -> Result<Vec<StabilityRow>> {
    let find = |name: &str| fitted.iter().find(|(own, _)| own == name).map(|(_, model)| model);
    let mut out: Vec<StabilityRow> = Vec::new();
    for (name, twin) in TWINS {
        let (Some(model), Some(classical)) = (find(name), find(twin)) else { continue };
        let quiet = vec![0.0; probe.raw.nrows()];
        let moved = deviations(probe, classical, None, true, settings)?;
        if !out.iter().any(|row| row.model == twin) {
            out.push(summary(twin, twin, 0, true, &moved, None));
        }
        let shots = settings.shots[0];
        for (shots, inputs_moved) in [(None, true), (Some(shots), false), (Some(shots), true)] {
            let seen = deviations(probe, model, shots, inputs_moved, settings)?;
            let base = if inputs_moved { &moved.deviation } else { &quiet };
            // One group only leaves nothing to draw.
            let over = ClusterBootstrap::new(&probe.groups, settings.replicates, settings.seed).ok();
            let over = over.map(|b| b.paired_difference(&seen.deviation, base)).transpose()?;
            out.push(summary(name, twin, shots.unwrap_or(0), inputs_moved, &seen, over));
        }
    }
    Ok(out)
}

struct Disturbed {
    deviation: Vec<f64>,
    largest_move: f64,
}

fn deviations(
    probe: &Probe<'_>,
    model: &Fitted,
    shots: Option<u32>,
    inputs_moved: bool,
    settings: &Settings,
) -> Result<Disturbed> {
    // The same draws for every model: a twin sees the very same inputs.
    let mut random = draws(settings.seed, 0, u64::MAX);
    let mut noise = draws(settings.seed, 0, u64::MAX - 1);
    let exact = model.predict(probe.components.apply(probe.raw.view()).view(), None, &mut noise)?;
    let n = exact.len();
    let (mut sum, mut squares, mut largest_move) = (vec![0.0; n], vec![0.0; n], 0.0_f64);
    for _ in 0..settings.repeats {
        let mut raw = probe.raw.clone();
        if inputs_moved {
            raw.iter_mut().for_each(|v| *v += INPUT_CHANGE * (2.0 * random.random::<f64>() - 1.0));
        }
        let p = model.predict(probe.components.apply(raw.view()).view(), shots, &mut noise)?;
        for (i, p) in p.into_iter().enumerate() {
            let shift = p - exact[i];
            sum[i] += shift;
            squares[i] += shift * shift;
            largest_move = largest_move.max(shift.abs());
        }
    }
    let repeats = settings.repeats as f64;
    let variance = |s: f64, q: f64| ((q - s * s / repeats) / (repeats - 1.0)).max(0.0);
    let deviation = sum.iter().zip(&squares).map(|(s, q)| variance(*s, *q).sqrt()).collect();
    Ok(Disturbed { deviation, largest_move })
}

fn summary(
    model: &str,
    twin: &str,
    shots: u32,
    inputs_moved: bool,
    seen: &Disturbed,
    over_twin: Option<PairedInterval>,
) -> StabilityRow {
    let n = seen.deviation.len() as f64;
    StabilityRow {
        model: model.to_owned(),
        shots,
        inputs_moved,
        mean_deviation: seen.deviation.iter().sum::<f64>() / n,
        largest_deviation: seen.deviation.iter().copied().fold(0.0, f64::max),
        largest_move: seen.largest_move,
        stable_share: seen.deviation.iter().filter(|d| **d < STABLE).count() as f64 / n,
        twin: twin.to_owned(),
        over_twin,
    }
}
