//! From decoded series to stored rows; the same for every protocol and for imports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use features::canonical::{
    Canonical, CanonicalRow, Canonicalizer, Counts, Limits, Reason, Refusal, Resolve, Statistics,
};
use features::decode::{DecodeError, SeriesSink, SourceSeries};
use features::{CanonicalSeries, Catalogue};
use hashbrown::HashMap;

use super::store::RowStore;
use crate::lake::{LakeRow, SeriesId, Ticket};
use crate::{DatasetError, Result};

/// Slots kept without asking whether their series are still known.
const FEWEST_SLOTS: usize = 1024;

/// Canonicaliser and store, shared by all requests.
///
/// Inflating a message needs no lock; the canonicaliser is locked from a message's first series to its last. Most
/// messages release it before their rows are written, so that two requests overlap where the time goes: unpacking and
/// waiting for the disk. Those that move sums of deltas or starts of counters hold it until the store has their rows:
/// until then what the canonicaliser remembers may have to be undone, and nobody may build on it.
///
/// Sums of deltas live as long as the process: a delta that is sent again after a restart may count twice.
pub struct Pipeline {
    store: Arc<dyn RowStore>,
    max_future: i64,
    shared: Mutex<Shared>,
}

struct Shared {
    canonicalizer: Canonicalizer,
    /// By handle of the canonicaliser.
    slots: HashMap<u32, Slot>,
    /// With more slots than this, those of series the canonicaliser has forgotten are dropped.
    prune_past: usize,
}

/// The store's number of a series, or the series while the store has not taken it.
enum Slot {
    Registered(SeriesId),
    Waiting(Box<CanonicalSeries>),
}

/// What a message became.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// Rows for the store.
    pub rows: Vec<LakeRow>,
    /// What happened to every sample.
    pub counts: Counts,
    /// The first thing the sender should be told.
    pub refusal: Option<Refusal>,
    /// The first value that cannot be stored.
    pub unusable: Option<Refusal>,
    /// For [`Pipeline::wait`]; none where there is nothing to wait for, or nothing was handed to the store.
    ticket: Option<Ticket>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub enum Failure {
    /// It is not what it claims to be; sending it again does not help.
    Malformed(DecodeError),
    /// The store failed; sending it again may help.
    Store(DatasetError),
}

/// Why a message was not accepted. Nothing of it is stored, nor remembered as seen.
#[derive(Debug)]
pub enum Rejection<E> {
    /// It could not be decoded.
    Unreadable(E),
    /// It holds more samples than a message may.
    TooMany,
    /// The store failed; sending it again may help.
    Store(DatasetError),
}

impl Pipeline {
    /// A pipeline into a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn RowStore>,
        catalogue: Arc<Catalogue>,
        mappings: Arc<dyn Resolve>,
        limits: Limits,
    ) -> Self {
        let canonicalizer = Canonicalizer::new(catalogue, mappings, limits);
        let shared = Shared { canonicalizer, slots: HashMap::new(), prune_past: FEWEST_SLOTS };
        Self { store, max_future: limits.max_future, shared: Mutex::new(shared) }
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RowStore> {
        &self.store
    }

    /// How far a sample may lie ahead of its arrival, milliseconds.
    #[must_use]
    pub fn max_future(&self) -> i64 {
        self.max_future
    }

    /// What was seen and dropped since the start, with the `top` names that are not stored.
    #[must_use]
    pub fn statistics(&self, top: usize) -> Statistics {
        self.lock().canonicalizer.statistics(top)
    }

    /// Decodes one message that arrived at `received_at` and turns it into rows; nothing is stored yet.
    ///
    /// # Errors
    /// When the message cannot be decoded or the store cannot register its series.
    pub fn take<D>(
        &self,
        received_at: i64,
        decode: impl FnOnce(&mut dyn SeriesSink) -> Result<D, DecodeError>,
    ) -> Result<(D, Taken), Failure> {
        let mut sink = self.sink(received_at, usize::MAX);
        let decoded = decode(&mut sink).map_err(Failure::Malformed)?;
        let Some(mut message) = sink.message else { return Ok((decoded, Taken::default())) };
        let taken = message.resolve(self.store.as_ref()).map_err(Failure::Store)?;
        message.keep();
        Ok((decoded, taken))
    }

    /// The same for a message of `most` samples at most, whose rows are handed to the store; they are safe once
    /// [`wait`](Self::wait) returns.
    ///
    /// # Errors
    /// When the message cannot be decoded, is too large, or the store cannot take it: then it leaves no trace, so that
    /// it may be sent again.
    pub fn accept<E>(
        &self,
        received_at: i64,
        most: usize,
        decode: impl FnOnce(&mut dyn SeriesSink) -> Result<(), E>,
    ) -> Result<Taken, Rejection<E>> {
        let mut sink = self.sink(received_at, most);
        let decoded = decode(&mut sink);
        if sink.overfull {
            return Err(Rejection::TooMany);
        }
        decoded.map_err(Rejection::Unreadable)?;
        let Some(mut message) = sink.message else { return Ok(Taken::default()) };
        let mut taken = message.resolve(self.store.as_ref()).map_err(Rejection::Store)?;
        if message.canonical.moves_counters() {
            taken.ticket = self.append(received_at, &taken).map_err(Rejection::Store)?;
            message.keep();
        } else {
            message.keep();
            taken.ticket = self.append(received_at, &taken).map_err(Rejection::Store)?;
        }
        Ok(taken)
    }

    fn append(&self, received_at: i64, taken: &Taken) -> Result<Option<Ticket>> {
        if !taken.rows.is_empty() {
            return self.store.append(received_at, &taken.rows).map(Some);
        }
        // What was sent before may still be on its way to the disk; to acknowledge its repetition acknowledges it.
        let repeated = taken.counts.dropped(Reason::Repeated) > 0;
        repeated.then(|| self.store.newest()).transpose()
    }

    /// Waits until everything that an accepted message acknowledges is safe.
    ///
    /// # Errors
    /// When it is not. The store tries the rows again with the next ones, so what is remembered of them stays: a delta
    /// that is sent again is waited for, not counted again.
    pub fn wait(&self, taken: &Taken) -> Result<()> {
        taken.ticket.map_or(Ok(()), |ticket| self.store.wait(ticket))
    }

    fn sink(&self, received_at: i64, room: usize) -> Sink<'_> {
        Sink { pipeline: self, message: None, received_at, room, overfull: false }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic in one request must not stop the others; the canonicaliser is whole between two series.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the series of a message until there are more samples than room.
struct Sink<'a> {
    pipeline: &'a Pipeline,
    /// From the first series on.
    message: Option<Message<'a>>,
    received_at: i64,
    /// Samples that may still come.
    room: usize,
    overfull: bool,
}

impl SeriesSink for Sink<'_> {
    fn take(&mut self, series: &SourceSeries<'_>) {
        let Some(room) = self.room.checked_sub(series.points.len()).filter(|_| !self.overfull) else {
            self.overfull = true;
            return;
        };
        self.room = room;
        let message = self.message.get_or_insert_with(|| Message {
            shared: self.pipeline.lock(),
            canonical: Canonical::default(),
            kept: false,
        });
        message.shared.canonicalizer.take(series, self.received_at, &mut message.canonical);
    }
}

/// A message that holds the lock. What it changed is undone unless it is kept, also where a decoder or a mapping
/// panics.
struct Message<'a> {
    shared: MutexGuard<'a, Shared>,
    canonical: Canonical,
    kept: bool,
}

impl Message<'_> {
    fn resolve(&mut self, store: &dyn RowStore) -> Result<Taken> {
        let mut taken = Taken { counts: self.canonical.counts, ..Taken::default() };
        self.shared.announce(&mut self.canonical);
        self.shared.resolve(store, &self.canonical, &mut taken)?;
        if let Some(refusal) = self.canonical.refusal.take() {
            taken.refusal = Some(refusal);
        }
        taken.unusable = self.canonical.unusable.take();
        Ok(taken)
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        // The canonicaliser announces a series once, whatever becomes of the message.
        self.shared.announce(&mut self.canonical);
        if !self.kept {
            self.shared.canonicalizer.undo(&mut self.canonical);
        }
    }
}

impl Shared {
    fn announce(&mut self, canonical: &mut Canonical) {
        for (handle, series) in canonical.new_series.drain(..) {
            self.slots.insert(handle, Slot::Waiting(Box::new(series)));
        }
        if self.slots.len() > self.prune_past {
            let known = self.canonicalizer.handles();
            self.slots.retain(|handle, _| known.contains(handle));
            self.slots.shrink_to(2 * self.slots.len());
            self.prune_past = FEWEST_SLOTS.max(2 * self.slots.len());
        }
    }

    /// Handles to the store's numbers; series without room are counted.
    fn resolve(&mut self, store: &dyn RowStore, canonical: &Canonical, taken: &mut Taken) -> Result<()> {
        taken.rows.reserve(canonical.rows.len());
        for row in &canonical.rows {
            let slot = self.slots.get_mut(&row.handle).ok_or_else(|| {
                let handle = row.handle;
                DatasetError::config("ingest", format!("series {handle} was never announced; please report this"))
            })?;
            let series = match slot {
                Slot::Registered(series) => *series,
                Slot::Waiting(waiting) => {
                    let Some(series) = store.register(waiting)? else {
                        taken.refuse(waiting, row);
                        continue;
                    };
                    *slot = Slot::Registered(series);
                    series
                }
            };
            taken.rows.push(LakeRow { series, time: row.time, value: row.value });
        }
        Ok(())
    }
}

impl Taken {
    fn refuse(&mut self, series: &CanonicalSeries, row: &CanonicalRow) {
        self.counts.add(Reason::SeriesLimit, 1);
        self.refusal.get_or_insert_with(|| Refusal {
            reason: Reason::SeriesLimit,
            message: format!(
                "{} {}{}{}, time {} ms: the lake has no room for another series; raise its limit or send fewer",
                series.entity.kind().name(),
                series.entity.key(),
                if series.part.is_empty() { "" } else { ", " },
                series.part,
                row.time,
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, Ordering};

    use features::decode::{Point, Temporality};
    use features::{Entity, EntityKind, Labels, Resolution, Transform};

    use super::super::store::HistoryRow;
    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    /// Keeps what it is given, unless told to refuse it.
    #[derive(Default)]
    struct Store {
        series: Mutex<Vec<CanonicalSeries>>,
        rows: Mutex<Vec<LakeRow>>,
        no_room: AtomicBool,
        broken: AtomicBool,
        full: AtomicBool,
    }

    fn failure() -> DatasetError {
        DatasetError::DiskFull { path: "test".into() }
    }

    impl RowStore for Store {
        fn register(&self, series: &CanonicalSeries) -> Result<Option<SeriesId>> {
            if self.broken.load(Ordering::Relaxed) {
                return Err(failure());
            }
            if self.no_room.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let mut known = self.series.lock().unwrap();
            let at = known.iter().position(|one| one == series).unwrap_or_else(|| {
                known.push(series.clone());
                known.len() - 1
            });
            Ok(Some(SeriesId(u32::try_from(at).unwrap())))
        }

        fn append(&self, _known_at: i64, rows: &[LakeRow]) -> Result<Ticket> {
            if self.full.load(Ordering::Relaxed) {
                return Err(DatasetError::Full { path: "test".into(), waiting: 0 });
            }
            self.rows.lock().unwrap().extend_from_slice(rows);
            Ok(Ticket(0))
        }

        fn wait(&self, _ticket: Ticket) -> Result<()> {
            Ok(())
        }

        fn import(&self, _name: &str, _progress: &str, _rows: Vec<HistoryRow>) -> Result<()> {
            Ok(())
        }

        fn imported(&self, _name: &str) -> Result<Option<String>> {
            Ok(None)
        }

        fn flush(&self) -> Result<()> {
            Ok(())
        }

        fn wants_flush(&self) -> bool {
            false
        }
    }

    /// Every metric is the CPU time of the pod named like it, but one that no mapping survives.
    fn pipeline(limits: Limits) -> (Arc<Store>, Pipeline) {
        let store = Arc::new(Store::default());
        let catalogue = Arc::new(Catalogue::standard());
        let metric = catalogue.id("cpu.time").unwrap();
        let mappings = move |labels: &Labels| {
            assert_ne!(labels.name(), "boom", "a mapping that panics");
            let entity = Entity::try_new(EntityKind::Pod, labels.name(), "").unwrap();
            Resolution::Series(CanonicalSeries { entity, metric, part: String::new() }, Transform::Scale(1.0))
        };
        let pipeline = Pipeline::new(store.clone(), catalogue, Arc::new(mappings), limits);
        (store, pipeline)
    }

    /// Growth of a counter in the ten seconds before a time.
    fn delta(sink: &mut dyn SeriesSink, name: &str, time: i64, value: f64) {
        let labels = || -> Result<Labels, DecodeError> {
            Ok(Labels::try_new(vec![("__name__".to_owned(), name.to_owned())]).unwrap())
        };
        let mut identity = [0; 16];
        identity[..name.len()].copy_from_slice(name.as_bytes());
        sink.take(&SourceSeries {
            identity: u128::from_le_bytes(identity),
            temporality: Temporality::Delta,
            created: Some(time - 10_000),
            points: &[Point { time, value }],
            labels: &labels,
        });
    }

    fn accept(pipeline: &Pipeline, name: &str, time: i64, value: f64) -> Result<Taken, Rejection<()>> {
        pipeline.accept(NOW, 100, |sink| {
            delta(sink, name, time, value);
            Ok(())
        })
    }

    /// All of them are whole.
    fn values(taken: &Taken) -> Vec<i64> {
        taken.rows.iter().map(|row| row.value as i64).collect()
    }

    #[test]
    fn a_delta_that_the_store_refused_counts_once_when_it_comes_again() {
        let (store, pipeline) = pipeline(Limits::default());
        accept(&pipeline, "a", NOW, 5.0).unwrap();
        store.full.store(true, Ordering::Relaxed);
        assert!(matches!(accept(&pipeline, "a", NOW + 10_000, 2.0), Err(Rejection::Store(DatasetError::Full { .. }))));
        store.full.store(false, Ordering::Relaxed);
        assert_eq!(values(&accept(&pipeline, "a", NOW + 10_000, 2.0).unwrap()), [7]);
        let repeated = accept(&pipeline, "a", NOW + 10_000, 2.0).unwrap();
        assert!(repeated.rows.is_empty());
        assert!(repeated.ticket.is_some(), "acknowledged when the first one is safe");
        assert_eq!(store.rows.lock().unwrap().len(), 3);
    }

    #[test]
    fn nothing_of_a_message_is_remembered_whose_series_cannot_be_registered() {
        let (store, pipeline) = pipeline(Limits::default());
        accept(&pipeline, "a", NOW, 5.0).unwrap();
        let both = |pipeline: &Pipeline| {
            pipeline.accept::<()>(NOW, 100, |sink| {
                delta(sink, "a", NOW + 10_000, 2.0);
                delta(sink, "b", NOW, 1.0);
                Ok(())
            })
        };
        store.broken.store(true, Ordering::Relaxed);
        assert!(matches!(both(&pipeline), Err(Rejection::Store(_))));
        store.broken.store(false, Ordering::Relaxed);
        assert_eq!(values(&both(&pipeline).unwrap()), [7, 0, 1]);
    }

    #[test]
    fn nothing_of_a_message_is_remembered_that_is_malformed_halfway_or_too_large() {
        let (store, pipeline) = pipeline(Limits::default());
        accept(&pipeline, "a", NOW, 5.0).unwrap();
        let malformed = pipeline.accept(NOW, 100, |sink| {
            delta(sink, "a", NOW + 10_000, 2.0);
            Err("malformed")
        });
        assert!(matches!(malformed, Err(Rejection::Unreadable("malformed"))));
        let too_large = pipeline.accept::<()>(NOW, 2, |sink| {
            for step in 1..=3 {
                delta(sink, "a", NOW + step * 10_000, 2.0);
            }
            Ok(())
        });
        assert!(matches!(too_large, Err(Rejection::TooMany)));
        let malformed = pipeline.take(NOW, |sink| {
            delta(sink, "a", NOW + 10_000, 2.0);
            Err::<(), _>(DecodeError { what: "test", at: 0, problem: String::new() })
        });
        assert!(matches!(malformed, Err(Failure::Malformed(_))));
        assert_eq!(values(&accept(&pipeline, "a", NOW + 10_000, 2.0).unwrap()), [7]);
        assert_eq!(store.rows.lock().unwrap().len(), 3);
    }

    #[test]
    fn a_mapping_that_panics_mixes_up_no_series() {
        let (store, pipeline) = pipeline(Limits::default());
        let died = catch_unwind(AssertUnwindSafe(|| {
            pipeline.accept::<()>(NOW, 100, |sink| {
                delta(sink, "a", NOW, 5.0);
                delta(sink, "boom", NOW, 5.0);
                Ok(())
            })
        }));
        assert!(died.is_err());
        for name in ["b", "a"] {
            let taken = accept(&pipeline, name, NOW, 2.0).unwrap();
            assert_eq!(values(&taken), [0, 2], "nothing of the request that died is summed");
            let series = usize::try_from(taken.rows[0].series.0).unwrap();
            assert_eq!(store.series.lock().unwrap()[series].entity.key(), name);
        }
    }

    #[test]
    fn memory_of_series_without_room_is_bounded() {
        let (store, pipeline) = pipeline(Limits { idle: 1000, ..Limits::default() });
        store.no_room.store(true, Ordering::Relaxed);
        for turn in 0..5000 {
            let at = NOW + turn * 1100;
            let name = format!("p{turn}");
            let taken = pipeline
                .accept::<()>(at, 100, |sink| {
                    delta(sink, &name, at, 1.0);
                    Ok(())
                })
                .unwrap();
            assert_eq!(taken.refusal.unwrap().reason, Reason::SeriesLimit);
        }
        let slots = pipeline.lock().slots.len();
        assert!(slots <= FEWEST_SLOTS, "{slots} slots of 5000 series, of which two are known");
        store.no_room.store(false, Ordering::Relaxed);
        let taken = accept(&pipeline, "p0", NOW, 1.0).unwrap();
        assert_eq!(values(&taken), [0, 1], "one that was forgotten is learned again");
    }
}
