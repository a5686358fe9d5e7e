//! What the metrics of a life show at each scrape.

use features::{Catalogue, Sample};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::HOUR;
use super::exposition::Series;
use super::world::{Levels, normal};
use crate::error::{DatasetError, Result};

/// A scrape reaches us this much later, in ticks.
const DELAY: i64 = 2_000;
/// One sample in so many comes too late for its tile, by this many ticks.
const LATE_ONE_IN: u32 = 5_000;
const LATE_DELAY: i64 = 15 * 60_000;
/// CFS periods of a second.
const PERIODS_PER_SECOND: f64 = 10.0;

/// The metrics that a container shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    WorkingSet,
    MemoryLimit,
    ResidentSet,
    Cache,
    MajorFaults,
    CpuTime,
    CpuLimit,
    ThrottledPeriods,
    Descriptors,
    Threads,
}

/// Limits of a container, the same over all its lives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// Bytes.
    pub(super) memory: f64,
    /// Cores.
    pub(super) cpu: f64,
}

/// Adds one signal's samples of a life that began at `start`, at the times given.
pub(super) fn emit(
    signal: Signal,
    series: Series,
    (levels, limits): (&Levels, Limits),
    (start, times): (i64, &[i64]),
    catalogue: &Catalogue,
    random: &mut ChaCha8Rng,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let mut total = 0.0;
    let mut previous = start;
    for &time in times {
        let hours = span(time - start);
        let passed = span(time - previous);
        previous = time;
        // A counter grows by its rate since the last scrape, with noise that cannot take it back.
        let mut grow = |per_hour: f64, noise: f64| {
            total += (per_hour * passed * (1.0 + noise * normal(random))).max(0.0);
            total
        };
        let value = match signal {
            Signal::MemoryLimit => limits.memory,
            Signal::CpuLimit => limits.cpu,
            Signal::CpuTime => grow(levels.cpu.max(0.01) * limits.cpu * 3600.0, 0.08),
            Signal::ThrottledPeriods => grow(levels.throttled.max(0.0) * PERIODS_PER_SECOND * 3600.0, 0.1).floor(),
            Signal::MajorFaults => grow(levels.faults.max(0.0), 0.1).floor(),
            Signal::WorkingSet => limits.memory * (levels.memory + 0.036 * normal(random)).clamp(0.02, 0.99),
            Signal::ResidentSet => limits.memory * (0.8 * levels.memory + 0.04 * normal(random)).clamp(0.01, 0.99),
            Signal::Cache => {
                let wave = levels.saw.map_or(0.0, |saw| 0.06 * saw.at(hours));
                limits.memory * (levels.cache + wave + 0.008 * normal(random)).max(0.0)
            }
            Signal::Descriptors => (levels.descriptors + 8.0 * normal(random)).round().max(0.0),
            Signal::Threads => (levels.threads + 4.0 * normal(random)).round().max(1.0),
        };
        samples.push(sample(catalogue, series, time, value, random)?);
    }
    Ok(())
}

/// A sample as it reaches us: nearly always in time.
pub(super) fn sample(
    catalogue: &Catalogue,
    series: Series,
    time: i64,
    value: f64,
    random: &mut ChaCha8Rng,
) -> Result<Sample> {
    let delay = if random.random_ratio(1, LATE_ONE_IN) { LATE_DELAY } else { DELAY };
    Sample::try_new(catalogue, series.metric, time, time + delay, value * series.factor)
        .map_err(DatasetError::feature("simulator"))
}

/// Ticks in hours.
#[expect(clippy::cast_precision_loss, reason = "a simulation is far below 2^53 milliseconds")]
pub(super) fn span(ticks: i64) -> f64 {
    ticks as f64 / HOUR as f64
}
