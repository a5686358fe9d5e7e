//! What turns samples into tiles, looked up once: tile length, lag, gap rule, kinds, lives.

use crate::catalogue::{Catalogue, MetricId, MetricKind};
use crate::spec::{self, FeatureSpec};
use crate::{FeatureError, Result};

/// The part of a spec that decides the content of tiles, compiled against a catalogue.
#[derive(Debug, Clone)]
pub struct TileKernel {
    pub(super) tile: i64,
    pub(super) ingest_lag: i64,
    pub(super) longest_gap: i64,
    pub(super) tile_multiple: Option<i64>,
    /// By metric id: name and kind, and whether a new life is a reset.
    metrics: Vec<(String, MetricKind, bool)>,
    life_metrics: Vec<MetricId>,
    ticks_per_second: Option<f64>,
}

impl TileKernel {
    /// The kernel of a spec.
    ///
    /// # Errors
    /// When the spec was made for another kernel version, or contradicts itself or the catalogue.
    pub fn try_new(spec: &FeatureSpec, catalogue: &Catalogue) -> Result<Self> {
        spec.check_kernel()?;
        if spec.tile <= 0 || spec.ingest_lag < 0 || spec.longest_gap <= 0 {
            return Err(FeatureError::Spec {
                reason: format!(
                    "tile ({}) and longest_gap ({}) must be above 0, ingest_lag ({}) at least 0",
                    spec.tile, spec.longest_gap, spec.ingest_lag
                ),
            });
        }
        let metrics = catalogue.definitions().iter().map(|definition| {
            let resets = definition.kind == MetricKind::Counter && !spec::runs_on(&definition.id);
            (definition.id.clone(), definition.kind, resets)
        });
        Ok(Self {
            tile: spec.tile,
            ingest_lag: spec.ingest_lag,
            longest_gap: spec.longest_gap,
            tile_multiple: spec.rollup.map(|rollup| rollup.tile_multiple),
            metrics: metrics.collect(),
            life_metrics: spec::life_metrics(catalogue),
            ticks_per_second: spec.time.ticks_per_second(),
        })
    }

    /// Length of a tile in ticks.
    #[must_use]
    pub fn tile(&self) -> i64 {
        self.tile
    }

    /// Number of the tile a time falls into.
    #[must_use]
    pub fn number(&self, time: i64) -> i64 {
        time.div_euclid(self.tile)
    }

    /// Time after which a sample of tile `number` is late.
    #[must_use]
    pub fn closes(&self, number: i64) -> i64 {
        number.saturating_add(1).saturating_mul(self.tile).saturating_add(self.ingest_lag)
    }

    pub(super) fn name(&self, metric: MetricId) -> &str {
        self.metrics.get(usize::from(metric.0)).map_or("?", |(name, ..)| name)
    }

    pub(super) fn kind(&self, metric: MetricId) -> Result<MetricKind> {
        self.metrics
            .get(usize::from(metric.0))
            .map(|&(_, kind, _)| kind)
            .ok_or_else(|| FeatureError::UnknownMetric { metric: format!("#{}", metric.0), known: self.metrics.len() })
    }

    /// Whether a new life is a reset of this metric.
    pub(super) fn resets_with_life(&self, metric: MetricId) -> bool {
        self.metrics.get(usize::from(metric.0)).is_some_and(|&(_, _, resets)| resets)
    }

    /// Whether its values say when a life began.
    pub fn tells_lives(&self, metric: MetricId) -> bool {
        self.ticks_per_second.is_some() && self.life_metrics.contains(&metric)
    }
}

/// Starts of lives, and since which tile each is known.
///
/// A start counts from the tile in which it was read, never for an earlier one: what a tile holds does not
/// depend on anything after it. A reading matters only while it is new (no older than the longest gap and a
/// tile), so that tiles made from a month and from a day of history are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Lives {
    /// (start, number of the tile that told), by start.
    starts: Vec<(i64, i64)>,
    /// Scratch: starts known in one tile.
    known: Vec<i64>,
}

impl Lives {
    /// Takes a reading of a life metric that was in time: `seconds` since the epoch.
    pub(super) fn take(&mut self, kernel: &TileKernel, time: i64, seconds: f64) {
        let Some(per_second) = kernel.ticks_per_second else { return };
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is then no recent start")]
        let start = (seconds * per_second).floor() as i64;
        if start > time || time.saturating_sub(start) > kernel.longest_gap.saturating_add(kernel.tile) {
            return;
        }
        let number = kernel.number(time);
        let at = self.starts.partition_point(|&(known, _)| known < start);
        match self.starts.get_mut(at) {
            Some((known, told)) if *known == start => *told = (*told).min(number),
            _ => self.starts.insert(at, (start, number)),
        }
    }

    /// Starts that can matter to samples of tile `number`, ascending.
    #[inline]
    pub(super) fn known_in(&mut self, kernel: &TileKernel, number: i64) -> &[i64] {
        self.known.clear();
        if !self.starts.is_empty() {
            let oldest = number.saturating_mul(kernel.tile).saturating_sub(kernel.longest_gap);
            let from = self.starts.partition_point(|&(start, _)| start < oldest);
            let end = number.saturating_add(1).saturating_mul(kernel.tile);
            let recent = self.starts[from..].iter().take_while(|&&(start, _)| start < end);
            self.known.extend(recent.filter(|&&(_, told)| told <= number).map(|&(start, _)| start));
        }
        &self.known
    }
}
