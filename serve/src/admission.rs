//! Accept or refuse before any work: rows that fit, time that is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataMap;

use crate::config::ServeConfig;
use crate::{Result, ServeError};

/// Counts waiting rows, not requests: a request of 4096 rows takes 4096 places.
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    capacity: usize,
    /// Moving average of what a row costs the device, in nanoseconds: tells a refused caller when to come back.
    row_cost: AtomicU64,
}

impl Admission {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(capacity)), capacity, row_cost: AtomicU64::new(0) }
    }

    /// Places for this many rows, at once or not at all.
    pub(crate) fn admit(&self, rows: usize) -> Result<OwnedSemaphorePermit> {
        let places = u32::try_from(rows).unwrap_or(u32::MAX);
        Arc::clone(&self.places).try_acquire_many_owned(places).map_err(|_| ServeError::QueueFull {
            rows,
            waiting: self.waiting(),
            capacity: self.capacity,
            retry_after: self.retry_after(),
        })
    }

    /// Rows that hold a place.
    pub(crate) fn waiting(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    /// Notes what a batch cost.
    pub(crate) fn note(&self, rows: usize, took: Duration) {
        let cost = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / u64::try_from(rows.max(1)).unwrap_or(1);
        let before = self.row_cost.load(Ordering::Relaxed);
        let average = if before == 0 { cost } else { before - before / 8 + cost / 8 };
        self.row_cost.store(average, Ordering::Relaxed);
    }

    /// Half the time the queue needs to empty, within bounds a client can live with.
    fn retry_after(&self) -> Duration {
        let rows = u64::try_from(self.waiting()).unwrap_or(u64::MAX);
        let empty = Duration::from_nanos(rows.saturating_mul(self.row_cost.load(Ordering::Relaxed)));
        (empty / 2).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }
}

/// When a request must be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    allowed: Duration,
}

impl Deadline {
    /// Reads `grpc-timeout`; a request without one gets the default, a longer one the largest honoured.
    pub(crate) fn of(metadata: &MetadataMap, arrived: Instant, config: &ServeConfig) -> Result<Self> {
        let allowed = match metadata.get("grpc-timeout") {
            None => config.default_deadline(),
            Some(value) => value.to_str().ok().and_then(parse_timeout).ok_or_else(|| ServeError::Invalid {
                reason: format!("grpc-timeout {value:?} is no timeout (up to 8 digits and one of H, M, S, m, u, n)"),
            })?,
        };
        let allowed = allowed.min(config.max_deadline());
        Ok(Self { at: arrived + allowed, allowed })
    }

    pub(crate) fn check(self) -> Result<()> {
        if Instant::now() < self.at { Ok(()) } else { Err(self.exceeded()) }
    }

    pub(crate) fn exceeded(self) -> ServeError {
        ServeError::DeadlineExceeded { allowed: self.allowed }
    }
}

/// `TimeoutValue TimeoutUnit` of the gRPC protocol.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(value * 3600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_every_unit_are_read() {
        assert_eq!(parse_timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse_timeout("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
    }

    #[test]
    fn what_is_no_timeout_is_refused() {
        for text in ["", "S", "1", "-1S", "1s", "123456789S", "1é", "1.5S", "+1S"] {
            assert_eq!(parse_timeout(text), None, "{text:?}");
        }
    }

    #[test]
    fn rows_not_requests_fill_the_queue() {
        let admission = Admission::new(10);
        let first = admission.admit(7).unwrap();
        assert_eq!(admission.waiting(), 7);
        let refused = admission.admit(4).unwrap_err().to_string();
        assert!(refused.starts_with("7 of 10 queue rows are taken, 4 more do not fit; retry in 10 ms"), "{refused}");
        assert!(admission.admit(3).is_ok());
        drop(first);
        assert_eq!(admission.waiting(), 0);
    }
}
