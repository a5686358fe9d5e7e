//! Tiles from samples as they arrive: in any order within the lag, some of them twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::builder::TileBuilder;
use super::kernel::TileKernel;
use super::tiles::EntityTiles;
use crate::Result;
use crate::catalogue::MetricId;
use crate::sample::STALE_NAN_BITS;

/// The tiles of one entity while samples come in.
///
/// Samples wait in their open tile until it closes, are then sorted and become the same tile that the whole
/// history would have given. Of two values at one time the one known first wins, then the larger.
#[derive(Debug)]
pub struct LiveTiles {
    kernel: Arc<TileKernel>,
    entity: String,
    open: BTreeMap<(MetricId, u32), Vec<Waiting>>,
    tiles: EntityTiles,
    /// Intervals before this one are closed.
    closed: i64,
    late: u64,
    conflicts: u64,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    time: i64,
    known_at: i64,
    value: f64,
}

impl LiveTiles {
    /// Nothing yet; `entity` is named in errors.
    #[must_use]
    pub fn new(kernel: Arc<TileKernel>, entity: &str) -> Self {
        Self {
            kernel,
            entity: entity.to_owned(),
            open: BTreeMap::new(),
            tiles: EntityTiles::default(),
            closed: i64::MIN,
            late: 0,
            conflicts: 0,
        }
    }

    /// Takes one sample in canonical units; a late one is counted and dropped. Values are those of a checked
    /// [`Sample`](crate::Sample): finite, or the stale mark.
    #[inline]
    pub fn add(&mut self, metric: MetricId, part: u32, time: i64, known_at: i64, value: f64) {
        let number = self.kernel.number(time);
        if number < self.closed || known_at > self.kernel.closes(number) {
            self.late += 1;
            return;
        }
        self.open.entry((metric, part)).or_default().push(Waiting { time, known_at, value });
    }

    /// Closes every tile whose lag is over at `watermark`: no sample known at or before it is still to come.
    ///
    /// # Errors
    /// When a value is neither finite nor the stale mark, or a metric is unknown.
    pub fn close(&mut self, watermark: i64) -> Result<()> {
        let kernel = Arc::clone(&self.kernel);
        let closed = watermark.saturating_sub(kernel.ingest_lag).div_euclid(kernel.tile);
        if closed <= self.closed {
            return Ok(());
        }
        self.closed = closed;
        let until = closed.saturating_mul(kernel.tile);
        let mut ready: Vec<((MetricId, u32), Vec<Waiting>)> = Vec::new();
        for (&series, waiting) in &mut self.open {
            let (mut now, later): (Vec<_>, Vec<_>) = waiting.iter().partition(|sample| sample.time < until);
            *waiting = later;
            if !now.is_empty() {
                self.conflicts += settle(&mut now);
                ready.push((series, now));
            }
        }
        self.open.retain(|_, waiting| !waiting.is_empty());
        if ready.is_empty() {
            return Ok(());
        }
        let mut builder = TileBuilder::resume(&kernel, &self.entity, std::mem::take(&mut self.tiles));
        // Lives first: counters are read by them.
        ready.sort_by_key(|&((metric, part), _)| (!kernel.tells_lives(metric), metric, part));
        let (mut times, mut values, mut known_at) = (Vec::new(), Vec::new(), Vec::new());
        for ((metric, part), samples) in ready {
            times.clear();
            values.clear();
            known_at.clear();
            for Waiting { time, known_at: known, value } in samples {
                times.push(time);
                values.push(value);
                known_at.push(known);
            }
            builder.extend_run(metric, part, &times, &values, &known_at)?;
        }
        self.tiles = builder.finish();
        Ok(())
    }

    /// The closed tiles.
    #[must_use]
    pub fn tiles(&self) -> &EntityTiles {
        &self.tiles
    }

    /// End of the newest closed tile: the latest moment a row can be made for.
    #[must_use]
    pub fn closed_until(&self) -> i64 {
        self.closed.saturating_mul(self.kernel.tile)
    }

    /// Samples that came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Different values at one time, of which one was kept.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Forgets tiles that end at or before `time`.
    pub fn forget_before(&mut self, time: i64) {
        self.tiles.forget_before(&self.kernel, time);
        self.tiles.roll_up(&self.kernel);
    }
}

/// Sorts by time, keeps one value per time, and says how many differing ones were dropped.
fn settle(samples: &mut Vec<Waiting>) -> u64 {
    let order = |a: &Waiting, b: &Waiting| {
        let largest_first = b.value.total_cmp(&a.value);
        (a.time, a.known_at).cmp(&(b.time, b.known_at)).then(largest_first)
    };
    if !samples.is_sorted_by(|a, b| order(a, b).is_le()) {
        samples.sort_by(order);
    }
    let mut conflicts = 0;
    samples.dedup_by(|later, kept| {
        let same = later.time == kept.time;
        conflicts += u64::from(same && later.value.to_bits() != kept.value.to_bits());
        same
    });
    debug_assert!(samples.iter().all(|s| s.value.is_finite() || s.value.to_bits() == STALE_NAN_BITS));
    conflicts
}
