//! From decoded series to stored rows; the same for every protocol and for imports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use features::canonical::{
    Canonical, CanonicalRow, Canonicalizer, Counts, Limits, Reason, Refusal, Resolve, Statistics,
};
use features::decode::{DecodeError, SeriesSink, SourceSeries};
use features::{CanonicalSeries, Catalogue};

use super::store::RowStore;
use crate::lake::{LakeRow, SeriesId, Ticket};
use crate::{DatasetError, Result};

/// Canonicaliser and store, shared by all requests.
///
/// Inflating a message needs no lock; the canonicaliser is locked from a message's first series to its last, and
/// released before the rows are written. Two requests overlap where the time goes: unpacking and waiting for the disk.
pub struct Pipeline {
    store: Arc<dyn RowStore>,
    shared: Mutex<Shared>,
}

struct Shared {
    canonicalizer: Canonicalizer,
    /// By handle of the canonicaliser.
    series: Vec<Slot>,
}

/// The store's number of a series, or the series while the store has not taken it.
enum Slot {
    Registered(SeriesId),
    Waiting(Box<CanonicalSeries>),
}

/// What a message became.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// Rows on their way to the store.
    pub rows: Vec<LakeRow>,
    /// What happened to every sample.
    pub counts: Counts,
    /// The first thing the sender should be told.
    pub refusal: Option<Refusal>,
    /// For [`Pipeline::forget`].
    handles: Vec<CanonicalRow>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub enum Failure {
    /// It is not what it claims to be; sending it again does not help.
    Malformed(DecodeError),
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
        Self { store, shared: Mutex::new(Shared { canonicalizer, series: Vec::new() }) }
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RowStore> {
        &self.store
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
        let mut sink = Sink { pipeline: self, shared: None, canonical: Canonical::default(), received_at };
        let decoded = decode(&mut sink);
        let Sink { shared, mut canonical, .. } = sink;
        let mut taken = Taken::default();
        if let Some(mut shared) = shared {
            // Also after a failed decoding: the canonicaliser announces a series once.
            shared.announce(&mut canonical);
            if decoded.is_ok() {
                shared.resolve(self.store.as_ref(), &canonical, &mut taken).map_err(Failure::Store)?;
            }
        }
        let decoded = decoded.map_err(Failure::Malformed)?;
        taken.counts.merge(&canonical.counts);
        taken.refusal = canonical.refusal.or(taken.refusal);
        taken.handles = canonical.rows;
        Ok((decoded, taken))
    }

    /// Hands the rows to the store; they are safe once [`RowStore::wait`] returns for the ticket, if there is one.
    ///
    /// # Errors
    /// When the store cannot take them.
    pub fn append(&self, received_at: i64, taken: &Taken) -> Result<Option<Ticket>> {
        if taken.rows.is_empty() {
            return Ok(None);
        }
        self.store.append(received_at, &taken.rows).map(Some).inspect_err(|_| self.forget(taken))
    }

    /// Waits until the rows of a ticket are safe.
    ///
    /// # Errors
    /// When they are not.
    pub fn wait(&self, ticket: Option<Ticket>, taken: &Taken) -> Result<()> {
        ticket.map_or(Ok(()), |ticket| self.store.wait(ticket)).inspect_err(|_| self.forget(taken))
    }

    /// The sender will send this again, so its deltas must not count as seen.
    fn forget(&self, taken: &Taken) {
        self.lock().canonicalizer.forget(&taken.handles);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic in one request must not stop the others; the canonicaliser is whole between two series.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn announce(&mut self, canonical: &mut Canonical) {
        for (handle, series) in canonical.new_series.drain(..) {
            debug_assert_eq!(handle as usize, self.series.len(), "handles count up from 0");
            self.series.push(Slot::Waiting(Box::new(series)));
        }
    }

    /// Handles to the store's numbers; series without room are counted.
    fn resolve(&mut self, store: &dyn RowStore, canonical: &Canonical, taken: &mut Taken) -> Result<()> {
        taken.rows.reserve(canonical.rows.len());
        for row in &canonical.rows {
            let Some(slot) = self.series.get_mut(row.handle as usize) else { continue };
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

struct Sink<'a> {
    pipeline: &'a Pipeline,
    shared: Option<MutexGuard<'a, Shared>>,
    canonical: Canonical,
    received_at: i64,
}

impl SeriesSink for Sink<'_> {
    fn take(&mut self, series: &SourceSeries<'_>) {
        let shared = self.shared.get_or_insert_with(|| self.pipeline.lock());
        shared.canonicalizer.take(series, self.received_at, &mut self.canonical);
    }
}
