//! All tiles of one entity.

use super::builder::TileBuilder;
use super::kernel::TileKernel;
use super::series::Series;
use crate::catalogue::{Catalogue, MetricId};
use crate::sample::{Reading, STALE_NAN_BITS, Sample};
use crate::spec::FeatureSpec;
use crate::tile::Tile;
use crate::{FeatureError, Result};

/// Tiles of one entity, per metric and part, and what was left out on the way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityTiles {
    /// By (metric, part), ascending.
    pub(super) series: Vec<(MetricId, u32, Series)>,
    pub(super) late: u64,
    pub(super) duplicates: u64,
}

impl EntityTiles {
    /// Tiles of samples sorted by (metric, part, time).
    ///
    /// A sample that reached us more than `ingest_lag` after its tile ended is left out and counted, so a
    /// tile's content does not depend on who asks when. An identical duplicate is dropped and counted; of its
    /// times of arrival the earliest decides.
    ///
    /// # Errors
    /// When samples are not sorted, one time carries two different values, or the spec is of another kernel.
    pub fn build(spec: &FeatureSpec, catalogue: &Catalogue, entity: &str, samples: &[Sample]) -> Result<Self> {
        let kernel = TileKernel::try_new(spec, catalogue)?;
        let series_of = |sample: &Sample| (sample.metric(), sample.part());
        if !samples.is_sorted_by_key(series_of) {
            return Err(FeatureError::Spec {
                reason: format!("samples of {entity} are not sorted by metric and part"),
            });
        }
        let mut builder = TileBuilder::new(&kernel, entity);
        let runs = || samples.chunk_by(|a, b| series_of(a) == series_of(b));
        // Lives first: counters are read by them.
        for run in runs().filter(|run| kernel.tells_lives(run[0].metric())) {
            for sample in run {
                if let Some(value) = sample.value() {
                    builder.take_life(sample.time(), value, sample.known_at());
                }
            }
        }
        let (mut times, mut values, mut known_at) = (Vec::new(), Vec::new(), Vec::new());
        for run in runs() {
            times.clear();
            values.clear();
            known_at.clear();
            for sample in run {
                times.push(sample.time());
                known_at.push(sample.known_at());
                values.push(match sample.reading() {
                    Reading::Value(value) => value,
                    Reading::Stale => f64::from_bits(STALE_NAN_BITS),
                });
            }
            let (metric, part) = series_of(&run[0]);
            builder.extend_run(metric, part, &times, &values, &known_at)?;
        }
        Ok(builder.finish())
    }

    /// Samples left out because they came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Identical duplicates dropped.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Every tile with its metric, part and interval number, in that order.
    pub fn tiles(&self) -> impl Iterator<Item = (MetricId, u32, i64, Tile)> + '_ {
        self.series.iter().flat_map(|(metric, part, series)| {
            (0..series.len()).map(move |index| {
                let (number, tile) = series.tile(index);
                (*metric, *part, number, tile)
            })
        })
    }

    /// Adds a tile made earlier, newer than all of its metric and part: tiles as they are read back from disk.
    ///
    /// # Errors
    /// When it is not newer, of another kind than its metric, or of an unknown metric.
    pub fn insert(&mut self, kernel: &TileKernel, metric: MetricId, part: u32, number: i64, tile: &Tile) -> Result<()> {
        let Some(index) = self.index_or_new(kernel, metric, part)? else {
            return Err(FeatureError::Spec { reason: format!("metric {} has no tiles", kernel.name(metric)) });
        };
        if self.series[index].2.append(number, tile) {
            return Ok(());
        }
        Err(FeatureError::Spec {
            reason: format!(
                "tile {number} of metric {}, part {part}, a {:?}: tiles must come in order of time, of the metric's kind",
                kernel.name(metric),
                tile.kind()
            ),
        })
    }

    /// Joins groups of tiles beforehand for windows that are read from roll-ups; rows are the same without, only
    /// slower. To be called again when tiles were added.
    pub fn roll_up(&mut self, kernel: &TileKernel) {
        if let Some(multiple) = kernel.tile_multiple {
            for (_, _, series) in &mut self.series {
                series.roll(multiple, kernel.longest_gap);
            }
        }
    }

    /// Forgets tiles that end at or before `time`.
    pub fn forget_before(&mut self, kernel: &TileKernel, time: i64) {
        let number = kernel.number(time);
        for (_, _, series) in &mut self.series {
            series.forget(number);
        }
    }

    /// All parts of a metric.
    #[inline]
    pub(super) fn parts(&self, metric: MetricId) -> &[(MetricId, u32, Series)] {
        let from = self.series.partition_point(|&(at, ..)| at < metric);
        let length = self.series[from..].iter().take_while(|&&(at, ..)| at == metric).count();
        &self.series[from..from + length]
    }

    /// Where the series of a metric and part is, made when there is none; `None` for labels carried as series.
    pub(super) fn index_or_new(&mut self, kernel: &TileKernel, metric: MetricId, part: u32) -> Result<Option<usize>> {
        let at = self.series.partition_point(|&(m, p, _)| (m, p) < (metric, part));
        if self.series.get(at).is_some_and(|&(m, p, _)| (m, p) == (metric, part)) {
            return Ok(Some(at));
        }
        let Some(empty) = Series::empty(kernel.kind(metric)?) else { return Ok(None) };
        self.series.insert(at, (metric, part, empty));
        Ok(Some(at))
    }
}
