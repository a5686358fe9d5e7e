//! Samples to rows, by the same code that history and the nightly job go through.

use std::collections::BTreeMap;

use features::window::RowAssembler;
use features::{EntityTiles, Facts, FeatureBatch, MetricId, Sample};
use proto::v1::{RawWindow, RawWindows, RowStatus, Series};

use super::request::invalid;
use super::{Fault, Row, Wire};
use crate::Result;

/// Ticks are exact as doubles up to here, and sums of a few of them cannot overflow.
const LARGEST_TICK: u64 = 1 << 53;

impl Wire {
    pub(super) fn window_rows(&self, message: RawWindows) -> Result<(Vec<Row>, FeatureBatch)> {
        self.check_count(message.windows.len())?;
        let spec = &self.info.spec;
        let mut features = FeatureBatch::try_new(spec, self.info.spec_hash.clone(), vec![], vec![], vec![], vec![])
            .map_err(|error| invalid(error.to_string()))?;
        let mut assembler = self.assembler()?;
        let mut rows = Vec::with_capacity(message.windows.len());
        for mut window in message.windows {
            let fault = match self.window_row(&mut assembler, &mut window) {
                Ok(row) => {
                    features.append(&row).map_err(|error| invalid(error.to_string()))?;
                    None
                }
                Err(fault) => Some(fault),
            };
            rows.push(Row { entity: window.entity, as_of: window.as_of, fault });
        }
        self.give_back(assembler);
        Ok((rows, features))
    }

    fn window_row(&self, assembler: &mut RowAssembler, window: &mut RawWindow) -> Result<FeatureBatch, Fault> {
        let entity = match &window.entity {
            Some(key) => self.entity(key)?,
            None => return Err(Fault::invalid("the window has no entity")),
        };
        let as_of = tick("as_of", window.as_of)?;
        if let Some(born) = window.born {
            not_later("born", tick("born", born)?, as_of)?;
        }
        let mut previous = i64::MIN;
        for &failure in &window.failures {
            not_later("failure", tick("failure", failure)?, as_of)?;
            if failure < previous {
                return Err(Fault::invalid(format!("failure at {failure} comes after one at {previous}: sort them")));
            }
            previous = failure;
        }
        let samples = self.samples(&window.series, as_of)?;
        let lookback = self.info.spec.lookback();
        let seen = |sample: &Sample| {
            sample.value().is_some()
                && (as_of - lookback..as_of).contains(&sample.time())
                && self.metrics.binary_search(&sample.metric()).is_ok()
        };
        if lookback > 0 && !samples.iter().any(seen) {
            let detail = format!("no sample of the model's metrics within the {lookback} ticks before {as_of}");
            return Err(Fault { status: RowStatus::InsufficientHistory, detail });
        }
        let tiles = EntityTiles::build(&self.info.spec, &self.info.catalogue, entity.key(), &samples)?;
        let attributes: BTreeMap<String, f64> = std::mem::take(&mut window.attributes).into_iter().collect();
        let facts =
            Facts { born: window.born, attributes: &attributes, failures: &window.failures, causes: &[], shown: &[] };
        assembler.push(&entity, &facts, &tiles, as_of)?;
        // Finished one by one, so that a value too large for single precision costs its own row only.
        Ok(assembler.finish()?)
    }

    /// All samples of a window, sorted by metric; within one they must come in order of time.
    fn samples(&self, series: &[Series], as_of: i64) -> Result<Vec<Sample>, Fault> {
        let catalogue = &self.info.catalogue;
        let mut by_metric: Vec<(MetricId, &Series)> = Vec::with_capacity(series.len());
        for series in series {
            by_metric.push((catalogue.id(&shortened(&series.metric))?, series));
        }
        by_metric.sort_by_key(|&(metric, _)| metric);
        if let Some(twice) = by_metric.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Fault::invalid(format!("metric {:?} is given twice", twice[0].1.metric)));
        }
        let mut samples = Vec::with_capacity(series.iter().map(|series| series.values.len()).sum());
        for (metric, series) in by_metric {
            let name = &series.metric;
            let (times, values, delays) = (&series.time_deltas, &series.values, &series.known_at_deltas);
            if times.len() != values.len() || !(delays.is_empty() || delays.len() == times.len()) {
                return Err(Fault::invalid(format!(
                    "metric {name:?}: {} times, {} values, {} known_at deltas",
                    times.len(),
                    values.len(),
                    delays.len()
                )));
            }
            let mut time = 0_i64;
            for (index, (&delta, &value)) in times.iter().zip(values).enumerate() {
                time = tick("sample", time.saturating_add(delta))?;
                not_later(name, time, as_of)?;
                let delay = delays.get(index).copied().unwrap_or(0);
                let known_at = tick("known_at", time.saturating_add(delay))?;
                samples.push(Sample::try_new(catalogue, metric, time, known_at, value)?);
            }
        }
        Ok(samples)
    }
}

fn tick(what: &str, time: i64) -> Result<i64, Fault> {
    if time.unsigned_abs() > LARGEST_TICK {
        return Err(Fault::invalid(format!("{what} at {time}: ticks go up to {LARGEST_TICK}")));
    }
    Ok(time)
}

/// What lies after `as_of` cannot be known then; whoever sends it has mixed up the times.
fn not_later(what: &str, time: i64, as_of: i64) -> Result<(), Fault> {
    if time > as_of {
        return Err(Fault::invalid(format!("{what:?} at {time} is later than as_of {as_of}")));
    }
    Ok(())
}

/// A name short enough to be repeated in a message.
fn shortened(name: &str) -> String {
    name.chars().take(256).collect()
}
