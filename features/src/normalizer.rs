//! Location and scale fitted on the training part alone, stored in the bundle, applied by every model.
//!
//! Flat columns are scaled over all rows (long-tailed ones after `ln(1 + x)`), windows per operating
//! condition where the spec names regimes. Summaries of the normalised windows join the flat part, so that
//! a linear model sees what a network sees. Missing values become 0, the training mean, and a column that
//! says so where they are neither rare nor the rule.

use serde::{Deserialize, Serialize};

use crate::batch::FeatureBatch;
use crate::spec::{FeatureSpec, Summary};
use crate::{FeatureError, Result};

/// Normalised values are cut here: a sensor gone wild must not drown the rest.
const CLIP: f32 = 8.0;
/// Above this many conditions the regime channels are not regimes.
const MOST_REGIMES: usize = 64;

/// Input of a model: dense, finite, scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Rows.
    pub rows: usize,
    /// Columns of the flat part, summaries included.
    pub width: usize,
    /// Row-major flat part.
    pub flat: Vec<f32>,
    /// Steps of the window.
    pub steps: usize,
    /// Channels of the window.
    pub channels: usize,
    /// Rows × steps × channels.
    pub sequence: Vec<f32>,
}

impl Design {
    /// These rows, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let size = self.steps * self.channels;
        let mut flat = Vec::with_capacity(rows.len() * self.width);
        let mut sequence = Vec::with_capacity(rows.len() * size);
        for &row in rows {
            flat.extend_from_slice(&self.flat[row * self.width..(row + 1) * self.width]);
            sequence.extend_from_slice(&self.sequence[row * size..(row + 1) * size]);
        }
        Self { rows: rows.len(), width: self.width, flat, steps: self.steps, channels: self.channels, sequence }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Scaling {
    log: bool,
    location: f32,
    /// 0 for a constant column, which then stays 0.
    inverse_scale: f32,
    /// Whether a column tells that this one was missing.
    flag_missing: bool,
}

impl Scaling {
    fn apply(self, value: f32) -> f32 {
        if value.is_nan() {
            return 0.0;
        }
        let value = if self.log { value.max(0.0).ln_1p() } else { value };
        ((value - self.location) * self.inverse_scale).clamp(-CLIP, CLIP)
    }
}

/// Turns a normalised value back; values beyond the clip stay at it, and a missing one becomes the training mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unscaling {
    /// Column of the design.
    pub column: usize,
    log: bool,
    location: f64,
    scale: f64,
}

impl Unscaling {
    /// The value before scaling.
    #[must_use]
    pub fn value(&self, normalised: f64) -> f64 {
        let value = normalised * self.scale + self.location;
        if self.log { value.exp_m1() } else { value }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Regime {
    /// Rounded values of the regime channels.
    key: Vec<i64>,
    channels: Vec<Scaling>,
}

/// A fitted normaliser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalizer {
    spec_hash: String,
    steps: usize,
    channels: usize,
    flat: Vec<Scaling>,
    regime_channels: Vec<(usize, f64)>,
    regimes: Vec<Regime>,
    summaries: Vec<Summary>,
    summary_scaling: Vec<Scaling>,
    names: Vec<String>,
}

impl Normalizer {
    /// Fits on `train`, the rows of the training part alone.
    ///
    /// # Errors
    /// When there are no rows, the spec differs, or the regime channels take too many values.
    pub fn fit(spec: &FeatureSpec, train: &FeatureBatch) -> Result<Self> {
        if train.rows() == 0 {
            return Err(FeatureError::Fit { reason: "the training part has no rows".to_owned() });
        }
        let hash = spec.hash();
        if hash != train.spec_hash() {
            return Err(FeatureError::SpecMismatch { expected: hash, got: train.spec_hash().to_owned() });
        }
        let width = train.width();
        let flat: Vec<Scaling> = (0..width)
            .map(|column| fit_scaling((0..train.rows()).map(|row| train.flat()[row * width + column]), true))
            .collect();
        let regime_channels: Vec<(usize, f64)> = spec
            .regimes
            .iter()
            .filter_map(|regime| spec.channel_index(&regime.channel).map(|index| (index, regime.resolution)))
            .collect();
        let mut normalizer = Self {
            spec_hash: hash,
            steps: train.steps(),
            channels: train.channels(),
            flat,
            regime_channels,
            regimes: Vec::new(),
            summaries: spec.summaries.clone(),
            summary_scaling: Vec::new(),
            names: Vec::new(),
        };
        normalizer.fit_regimes(train)?;
        normalizer.fit_summaries(spec, train);
        Ok(normalizer)
    }

    /// Hash of the spec this was fitted for.
    #[must_use]
    pub fn spec_hash(&self) -> &str {
        &self.spec_hash
    }

    /// Names of the flat design columns, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How a design column is turned back into the flat column it came from; `None` for a name that is none.
    #[must_use]
    pub fn unscaling(&self, name: &str) -> Option<Unscaling> {
        let column = self.names.iter().position(|known| known == name)?;
        // Only a column that may be missing is followed by one that says so, so those before it are counted.
        let mut at = 0;
        let scaling = self.flat.iter().find(|scaling| {
            let here = at == column;
            at += if here { 0 } else { 1 + usize::from(scaling.flag_missing) };
            here
        })?;
        Some(Unscaling {
            column,
            log: scaling.log,
            location: f64::from(scaling.location),
            scale: if scaling.inverse_scale > 0.0 { 1.0 / f64::from(scaling.inverse_scale) } else { 0.0 },
        })
    }

    /// Number of operating conditions found; 1 where the spec names none.
    #[must_use]
    pub fn regimes(&self) -> usize {
        self.regimes.len()
    }

    /// Columns of the flat part of a design.
    #[must_use]
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Steps and channels of the windows.
    #[must_use]
    pub fn window(&self) -> (usize, usize) {
        (self.steps, self.channels)
    }

    /// Scales a batch of the same spec.
    ///
    /// # Errors
    /// When the batch was made for another spec.
    pub fn design(&self, batch: &FeatureBatch) -> Result<Design> {
        if batch.spec_hash() != self.spec_hash {
            return Err(FeatureError::SpecMismatch {
                expected: self.spec_hash.clone(),
                got: batch.spec_hash().to_owned(),
            });
        }
        let rows = batch.rows();
        let mut design = Design {
            rows,
            width: self.width(),
            flat: Vec::with_capacity(rows * self.width()),
            steps: self.steps,
            channels: self.channels,
            sequence: Vec::with_capacity(batch.sequence().len()),
        };
        let mut window = Vec::with_capacity(self.steps * self.channels);
        for row in 0..rows {
            for (scaling, &value) in self.flat.iter().zip(batch.flat_row(row)) {
                design.flat.push(scaling.apply(value));
                if scaling.flag_missing {
                    design.flat.push(f32::from(u8::from(value.is_nan())));
                }
            }
            self.normalise_window(batch.sequence_row(row), &mut window);
            let mut at = 0;
            summarise(&window, self.steps, self.channels, &self.summaries, |value| {
                design.flat.push(self.summary_scaling[at].apply(value));
                at += 1;
            });
            design.sequence.extend(window.iter().map(|v| if v.is_nan() { 0.0 } else { *v }));
        }
        Ok(design)
    }

    fn fit_regimes(&mut self, train: &FeatureBatch) -> Result<()> {
        if self.steps == 0 {
            self.regimes = vec![Regime { key: Vec::new(), channels: Vec::new() }];
            return Ok(());
        }
        let mut keys: Vec<Vec<i64>> = Vec::new();
        let mut regime_of_step = Vec::with_capacity(train.rows() * self.steps);
        let mut lookup = std::collections::HashMap::new();
        for step in train.sequence().chunks_exact(self.channels) {
            let key = self.regime_key(step);
            let index = match key {
                None => usize::MAX,
                Some(key) => {
                    let next = lookup.len();
                    let index = *lookup.entry(key.clone()).or_insert(next);
                    if index == keys.len() {
                        keys.push(key);
                    }
                    index
                }
            };
            regime_of_step.push(index);
            if keys.len() > MOST_REGIMES {
                return Err(FeatureError::Fit {
                    reason: format!("regime channels take more than {MOST_REGIMES} values; raise their resolution"),
                });
            }
        }
        if keys.is_empty() {
            keys.push(vec![0; self.regime_channels.len()]);
        }
        let regimes = keys
            .into_iter()
            .enumerate()
            .map(|(index, key)| {
                let channels = (0..self.channels)
                    .map(|channel| {
                        let values = train
                            .sequence()
                            .chunks_exact(self.channels)
                            .zip(&regime_of_step)
                            .filter(|&(_, &regime)| regime == index)
                            .map(|(step, _)| step[channel]);
                        fit_scaling(values, false)
                    })
                    .collect();
                Regime { key, channels }
            })
            .collect();
        self.regimes = regimes;
        Ok(())
    }

    fn fit_summaries(&mut self, spec: &FeatureSpec, train: &FeatureBatch) {
        for (column, scaling) in spec.flat.iter().zip(&self.flat) {
            self.names.push(column.name.clone());
            if scaling.flag_missing {
                self.names.push(format!("{}.missing", column.name));
            }
        }
        if self.steps == 0 {
            return;
        }
        let mut columns: Vec<Vec<f32>> = Vec::new();
        let mut window = Vec::new();
        for row in 0..train.rows() {
            self.normalise_window(train.sequence_row(row), &mut window);
            let mut at = 0;
            summarise(&window, self.steps, self.channels, &self.summaries, |value| {
                if columns.len() == at {
                    columns.push(Vec::with_capacity(train.rows()));
                }
                columns[at].push(value);
                at += 1;
            });
        }
        self.summary_scaling = columns
            .into_iter()
            .map(|column| Scaling { flag_missing: false, ..fit_scaling(column.into_iter(), false) })
            .collect();
        for summary in &self.summaries {
            for channel in &spec.channels {
                self.names.push(match summary {
                    Summary::Last => format!("{}.last", channel.name),
                    Summary::Mean { steps } => format!("{}.mean{steps}", channel.name),
                    Summary::Std { steps } => format!("{}.std{steps}", channel.name),
                    Summary::Slope { steps } => format!("{}.slope{steps}", channel.name),
                    Summary::Change { steps } => format!("{}.change{steps}", channel.name),
                });
            }
        }
    }

    /// The rounded regime channels of a step, or `None` where one was not observed.
    #[expect(clippy::cast_possible_truncation, reason = "settings over their resolution are small whole numbers")]
    fn regime_key(&self, step: &[f32]) -> Option<Vec<i64>> {
        self.regime_channels
            .iter()
            .map(|&(channel, resolution)| {
                let value = f64::from(step[channel]);
                value.is_finite().then(|| (value / resolution).round() as i64)
            })
            .collect()
    }

    /// The regime of a step; an unseen one is taken as the nearest seen.
    fn regime(&self, step: &[f32]) -> &Regime {
        if self.regimes.len() == 1 {
            return &self.regimes[0];
        }
        let Some(key) = self.regime_key(step) else { return &self.regimes[0] };
        let distance = |regime: &&Regime| -> i64 { regime.key.iter().zip(&key).map(|(a, b)| (a - b).abs()).sum() };
        self.regimes.iter().min_by_key(distance).unwrap_or(&self.regimes[0])
    }

    fn normalise_window(&self, raw: &[f32], window: &mut Vec<f32>) {
        window.clear();
        if self.channels == 0 {
            return;
        }
        for step in raw.chunks_exact(self.channels) {
            let regime = self.regime(step);
            for (scaling, &value) in regime.channels.iter().zip(step) {
                window.push(if value.is_nan() { f32::NAN } else { scaling.apply(value) });
            }
        }
    }
}

/// Mean and standard deviation in double precision, two passes; a long right tail is taken in logarithms.
fn fit_scaling(values: impl Iterator<Item = f32>, may_log: bool) -> Scaling {
    let mut seen: Vec<f32> = Vec::new();
    let mut rows = 0_usize;
    for value in values {
        rows += 1;
        if !value.is_nan() {
            seen.push(value);
        }
    }
    let missing = rows - seen.len();
    // Rarely missing carries no information, nearly always missing no data.
    let flag_missing = missing * 200 > rows && seen.len() * 200 > rows;
    let mut log = false;
    if may_log && seen.len() > 1 {
        seen.sort_unstable_by(f32::total_cmp);
        let (low, median, high) = (seen[0], seen[seen.len() / 2], seen[seen.len() - 1 - seen.len() / 1000]);
        log = low >= 0.0 && high > 30.0 * median.max(1.0);
    }
    if log {
        for value in &mut seen {
            *value = value.ln_1p();
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "row counts stay far below 2^53")]
    let n = seen.len() as f64;
    let mean = if seen.is_empty() { 0.0 } else { seen.iter().map(|&v| f64::from(v)).sum::<f64>() / n };
    let variance =
        if seen.len() < 2 { 0.0 } else { seen.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / (n - 1.0) };
    let scale = variance.sqrt();
    // A spread at the rounding level of the values is a constant sensor, not a signal.
    let constant = scale <= 1e-6 * mean.abs().max(1e-12);
    #[expect(clippy::cast_possible_truncation, reason = "stored in single precision beside the features")]
    let (location, inverse_scale) = (mean as f32, if constant { 0.0 } else { scale.recip() as f32 });
    Scaling { log, location, inverse_scale, flag_missing }
}

/// Every summary of every channel of a normalised window, in the order of the spec, NaN where unobserved.
fn summarise(window: &[f32], steps: usize, channels: usize, summaries: &[Summary], mut emit: impl FnMut(f32)) {
    let observed = |channel: usize, from: usize, until: usize| {
        (from..until).filter_map(move |step| {
            let value = window[step * channels + channel];
            (!value.is_nan()).then_some((step, value))
        })
    };
    for summary in summaries {
        for channel in 0..channels {
            let value = match *summary {
                Summary::Last => observed(channel, 0, steps).next_back().map(|(_, v)| v),
                Summary::Mean { steps: n } => mean(observed(channel, steps - n, steps).map(|(_, v)| v)),
                Summary::Std { steps: n } => deviation(observed(channel, steps - n, steps).map(|(_, v)| v)),
                Summary::Slope { steps: n } => slope(observed(channel, steps - n, steps)),
                Summary::Change { steps: n } => {
                    let newest = mean(observed(channel, steps - n, steps).map(|(_, v)| v));
                    let oldest = mean(observed(channel, 0, steps).take(n).map(|(_, v)| v));
                    newest.zip(oldest).map(|(new, old)| new - old)
                }
            };
            emit(value.unwrap_or(f32::NAN));
        }
    }
}

fn mean(values: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, n) = values.fold((0.0_f32, 0.0_f32), |(sum, n), v| (sum + v, n + 1.0));
    (n > 0.0).then(|| sum / n)
}

fn deviation(values: impl Iterator<Item = f32> + Clone) -> Option<f32> {
    let average = mean(values.clone())?;
    let (sum, n) = values.fold((0.0_f32, 0.0_f32), |(sum, n), v| (sum + (v - average).powi(2), n + 1.0));
    (n > 1.0).then(|| (sum / (n - 1.0)).sqrt())
}

#[expect(clippy::cast_precision_loss, reason = "step numbers are small")]
fn slope(points: impl Iterator<Item = (usize, f32)> + Clone) -> Option<f32> {
    let average = mean(points.clone().map(|(_, v)| v))?;
    let middle = mean(points.clone().map(|(step, _)| step as f32))?;
    let (co, square) = points.fold((0.0_f32, 0.0_f32), |(co, square), (step, v)| {
        let dt = step as f32 - middle;
        (co + dt * (v - average), square + dt * dt)
    });
    (square > 0.0).then(|| co / square)
}
