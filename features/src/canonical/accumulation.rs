//! Counters whose protocol says more than the value: when they began, or growth only.

use super::{Canonical, CanonicalRow, Canonicalizer, Known, Reason};
use crate::decode::{SourceSeries, Temporality};
use crate::sample::STALE_NAN_BITS;

/// Counters that start within this long of their first sample get a zero at their start.
const FRESH_START: i64 = 3_600_000;

/// How far a counter has come whose protocol says more than the value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accumulation {
    /// The start last seen.
    created: i64,
    /// Sum of the deltas so far.
    sum: f64,
    /// Time of the last delta.
    last: i64,
}

impl Canonicalizer {
    /// A counter whose protocol says when it began, or that reports growth only: stored as a counter from zero.
    pub(super) fn accumulate(
        &mut self,
        known: &Known,
        series: &SourceSeries<'_>,
        received_at: i64,
        out: &mut Canonical,
    ) {
        let delta = series.temporality == Temporality::Delta;
        let first = self.accumulations.get(series.identity);
        let mut state = first.unwrap_or(Accumulation { created: i64::MIN, sum: 0.0, last: i64::MIN });
        for &point in series.points {
            let value = match self.check(known, point, received_at) {
                Ok(Some(value)) => value,
                Ok(None) => {
                    out.counts.silent += 1;
                    continue;
                }
                Err(reason) => {
                    self.drop_one(known, reason, point, series, out);
                    continue;
                }
            };
            // A delta that comes again, or late, cannot be told from new growth once it is summed.
            if delta && point.time <= state.last {
                self.drop_one(known, Reason::Repeated, point, series, out);
                continue;
            }
            let starts =
                if delta { state.last == i64::MIN } else { series.created.is_some_and(|c| c != state.created) };
            if starts && let Some(created) = series.created {
                // Deltas report back to back, so the start of one is the time of the one before it.
                let zero_at = if delta { created.saturating_add(1) } else { created };
                if created >= 0 && zero_at < point.time && point.time - created <= FRESH_START {
                    out.rows.push(CanonicalRow { handle: known.handle, time: zero_at, value: 0.0 });
                    out.counts.starts += 1;
                }
                state.created = created;
            }
            let stale = value.to_bits() == STALE_NAN_BITS;
            let stored = if delta && !stale {
                state.sum += value;
                state.sum
            } else {
                value
            };
            state.last = point.time;
            out.rows.push(CanonicalRow { handle: known.handle, time: point.time, value: stored });
        }
        self.accumulations.insert(series.identity, state);
    }
}
