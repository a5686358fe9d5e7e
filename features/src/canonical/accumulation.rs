//! Counters whose protocol says more than the value: when they began, or growth only.

use super::{Canonical, CanonicalRow, Canonicalizer, Known, Reason};
use crate::decode::{SourceSeries, Temporality};
use crate::sample::STALE_NAN_BITS;

/// A counter seen for the first time gets a zero at its start if it started within this long of its first sample,
/// milliseconds. One that started earlier ran before anybody listened: its growth since then is of no known time.
const FRESH_START: i64 = 3_600_000;

/// How far a counter has come whose protocol says more than the value.
///
/// It lives in memory only. A delta that arrives again after a restart of this process (its acknowledgement was lost
/// with the process) finds no accumulation, so it cannot be told from new growth: it begins a new count from zero, and
/// as of two rows of one time the lake keeps the one that was known first, the sum of before is read as growth once
/// more. Filling this from the lake would take the last row of every series, which the lake does not index. Senders
/// that cannot accept that should send cumulative sums, which name their start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accumulation {
    /// Sum of the deltas so far.
    sum: f64,
    /// Time of the newest sample.
    last: Option<i64>,
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
        let before = self.accumulations.get(series.identity);
        out.before.push((series.identity, before));
        let mut state = before.unwrap_or(Accumulation { sum: 0.0, last: None });
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
            if delta && state.last.is_some_and(|last| point.time <= last) {
                self.drop_one(known, Reason::Repeated, point, series, out);
                continue;
            }
            if let Some(zero_at) = state.began(series.created, delta, point.time) {
                out.rows.push(CanonicalRow { handle: known.handle, time: zero_at, value: 0.0 });
                out.counts.starts += 1;
            }
            let stale = value.to_bits() == STALE_NAN_BITS;
            let stored = if delta && !stale {
                state.sum += value;
                state.sum
            } else {
                value
            };
            // Cumulative samples may come out of order.
            state.last = state.last.max(Some(point.time));
            out.rows.push(CanonicalRow { handle: known.handle, time: point.time, value: stored });
        }
        self.accumulations.insert(series.identity, state);
    }
}

impl Accumulation {
    /// When the counter was zero, if a sample of this time is the first since then.
    fn began(&self, created: Option<i64>, delta: bool, time: i64) -> Option<i64> {
        let created = created.filter(|&created| created >= 0)?;
        match self.last {
            None if time.saturating_sub(created) > FRESH_START => return None,
            None => {}
            // The sums go on whatever the sender did in between.
            Some(_) if delta => return None,
            // Senders that compute their start (now less uptime) say another one every time. What began before a
            // sample that was seen already is that counter still; what began after it is a new one, however long ago.
            Some(last) if created <= last => return None,
            Some(_) => {}
        }
        // Deltas report back to back, so the start of one is the time of the one before it.
        let zero_at = if delta { created.saturating_add(1) } else { created };
        (zero_at < time).then_some(zero_at)
    }
}
