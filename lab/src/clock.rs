//! The lab's clock: the wall's at the start, the monotonic one from there on.
//!
//! A clock that is set while containers live would move births, deaths and samples against each other; this one does
//! not, and says how far the wall went elsewhere.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall time that never jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    origin: i64,
}

impl Clock {
    /// A clock that agrees with the wall now.
    #[must_use]
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), origin: wall() }
    }

    /// Milliseconds since the epoch, UTC.
    #[must_use]
    pub(crate) fn now(&self) -> i64 {
        self.origin.saturating_add(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// How far the wall clock went ahead of this one since the start, milliseconds.
    #[must_use]
    pub(crate) fn drift(&self) -> i64 {
        wall() - self.now()
    }
}

fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds of milliseconds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are far below 2^53")]
pub(crate) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
