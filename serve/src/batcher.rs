//! The bounded queue before the device, and when a batch closes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use features::FeatureBatch;
use survival::SurvivalCurve;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use crate::telemetry::Telemetry;

/// What became of a row on the device: its curve, or why there is none.
pub(crate) type Outcome = Result<SurvivalCurve, String>;

/// Rows of one request on their way to the device.
pub(crate) struct Job {
    pub(crate) features: FeatureBatch,
    pub(crate) deadline: Instant,
    pub(crate) enqueued: Instant,
    /// Where the answers go. The caller holds the other end; once it lets go, nobody waits for them.
    pub(crate) reply: UnboundedSender<Answer>,
}

/// The answers to some rows of a job: a range of the batch's outcomes, so no row can reach another caller.
pub(crate) struct Answer {
    pub(crate) rows: Range<usize>,
    pub(crate) outcomes: Arc<Vec<Outcome>>,
    /// Where `rows` start within `outcomes`.
    pub(crate) offset: usize,
    pub(crate) waited: Duration,
    pub(crate) computed: Duration,
}

/// Some rows of a job, taken from the queue.
pub(crate) struct Slice {
    pub(crate) job: Arc<Job>,
    pub(crate) rows: Range<usize>,
    pub(crate) waited: Duration,
}

/// What the device does next.
pub(crate) enum Next {
    /// Compute these rows.
    Batch(Vec<Slice>),
    /// Nothing came while it was patient.
    Idle,
    /// No more will come.
    Closed,
}

/// Jobs in order of arrival, taken from by one device thread.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    max_batch_rows: usize,
    window: Duration,
    telemetry: Arc<Telemetry>,
}

struct State {
    waiting: VecDeque<Waiting>,
    rows: usize,
    open: bool,
}

struct Waiting {
    job: Arc<Job>,
    /// First row not handed out: a job larger than a batch is taken in several.
    next: usize,
    /// The rows' places in the queue, free again once the last row is taken.
    _places: OwnedSemaphorePermit,
}

/// When the rows that wait become a batch.
#[derive(Debug, PartialEq, Eq)]
enum Close {
    Now,
    At(Instant),
    Never,
}

impl Queue {
    pub(crate) fn new(max_batch_rows: usize, window: Duration, telemetry: Arc<Telemetry>) -> Self {
        let state = State { waiting: VecDeque::new(), rows: 0, open: true };
        Self { state: Mutex::new(state), changed: Condvar::new(), max_batch_rows, window, telemetry }
    }

    /// Lines a job up; `false` when the queue is closed.
    pub(crate) fn push(&self, job: Job, places: OwnedSemaphorePermit) -> bool {
        let mut state = self.lock();
        if !state.open {
            return false;
        }
        state.rows += job.features.rows();
        state.waiting.push_back(Waiting { job: Arc::new(job), next: 0, _places: places });
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Takes the next batch, waiting for one at most `patience`.
    pub(crate) fn next(&self, patience: Option<Duration>) -> Next {
        let give_up = patience.map(|patience| Instant::now() + patience);
        let mut state = self.lock();
        loop {
            if !state.open {
                return Next::Closed;
            }
            let now = Instant::now();
            let wake = match state.close(now, self.max_batch_rows, self.window) {
                Close::Now => {
                    let (batch, left_out) = state.take(now, self.max_batch_rows);
                    for _ in 0..left_out {
                        self.telemetry.cancelled("queue");
                    }
                    if !batch.is_empty() {
                        return Next::Batch(batch);
                    }
                    continue;
                }
                Close::At(time) => Some(time),
                Close::Never => give_up,
            };
            state = match wake {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(time) if time <= now => return Next::Idle,
                Some(time) => self.changed.wait_timeout(state, time - now).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Takes no more and forgets what waits: its callers are told that the server is going away.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.open = false;
        state.rows = 0;
        state.waiting.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The device is idle when it asks, so without a window whatever waits goes at once.
    fn close(&self, now: Instant, max_rows: usize, window: Duration) -> Close {
        let Some(oldest) = self.waiting.front() else { return Close::Never };
        let due = oldest.job.enqueued + window;
        if window.is_zero() || self.rows >= max_rows || now >= due { Close::Now } else { Close::At(due) }
    }

    /// Rows for one batch, oldest first. A job nobody waits for any more, or whose time is up, is left out here, so
    /// that it is never computed; such jobs are counted.
    fn take(&mut self, now: Instant, max_rows: usize) -> (Vec<Slice>, usize) {
        let (mut batch, mut left_out) = (Vec::new(), 0);
        let mut room = max_rows;
        while room > 0
            && let Some(front) = self.waiting.front_mut()
        {
            let left = front.job.features.rows() - front.next;
            if front.job.deadline <= now || front.job.reply.is_closed() {
                left_out += 1;
                self.rows -= left;
                self.waiting.pop_front();
                continue;
            }
            let taken = left.min(room);
            let rows = front.next..front.next + taken;
            let waited = now.saturating_duration_since(front.job.enqueued);
            batch.push(Slice { job: Arc::clone(&front.job), rows, waited });
            front.next += taken;
            room -= taken;
            self.rows -= taken;
            if taken == left {
                self.waiting.pop_front();
            }
        }
        (batch, left_out)
    }
}

#[cfg(test)]
mod tests {
    use features::spec::{FlatColumn, FlatSource, KERNEL_VERSION};
    use features::{Entity, EntityKind, FeatureSpec, TimeAxis};
    use survival::TimeUnit;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::admission::Admission;

    fn rows(count: usize) -> FeatureBatch {
        let spec = FeatureSpec {
            mappings: Default::default(),
            kernel_version: KERNEL_VERSION,
            time: TimeAxis { unit: TimeUnit::Cycles, ticks_per_unit: 1 },
            tile: 1,
            ingest_lag: 0,
            longest_gap: 1,
            flat: vec![FlatColumn { name: "age".to_owned(), source: FlatSource::Age }],
            steps: 0,
            step: 1,
            channels: vec![],
            regimes: vec![],
            summaries: vec![],
            scrape_interval: None,
            rollup: None,
            catalogue_digest: String::new(),
        };
        let entity = Entity::try_new(EntityKind::Machine, "engine", "").unwrap();
        FeatureBatch::try_new(&spec, String::new(), vec![entity; count], vec![0; count], vec![0.0; count], vec![])
            .unwrap()
    }

    fn waiting(counts: &[usize], enqueued: Instant) -> State {
        let admission = Admission::new(100);
        let waiting = counts
            .iter()
            .map(|&count| {
                // The receiver is leaked, so that the caller seems to wait for ever.
                let (reply, answers) = unbounded_channel();
                std::mem::forget(answers);
                let deadline = enqueued + Duration::from_secs(1);
                let job = Arc::new(Job { features: rows(count), deadline, enqueued, reply });
                Waiting { job, next: 0, _places: admission.admit(count).unwrap() }
            })
            .collect();
        State { waiting, rows: counts.iter().sum(), open: true }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn without_a_window_whatever_waits_goes_at_once() {
        let now = Instant::now();
        assert_eq!(waiting(&[1], now).close(now, 8, Duration::ZERO), Close::Now);
        assert_eq!(waiting(&[], now).close(now, 8, Duration::ZERO), Close::Never);
    }

    #[test]
    fn a_window_ends_with_the_oldest_row_or_a_full_batch() {
        let now = Instant::now();
        assert_eq!(waiting(&[1, 3], now).close(now + MS, 8, 2 * MS), Close::At(now + 2 * MS));
        assert_eq!(waiting(&[1, 3], now).close(now + 2 * MS, 8, 2 * MS), Close::Now);
        assert_eq!(waiting(&[5, 3], now).close(now, 8, 2 * MS), Close::Now);
    }

    #[test]
    fn jobs_are_taken_in_order_and_split_where_the_batch_is_full() {
        let now = Instant::now();
        let mut state = waiting(&[3, 6, 2], now);
        let mut ranges = |max| {
            let (batch, _) = state.take(now, max);
            batch.iter().map(|slice| (slice.rows.start, slice.rows.end)).collect::<Vec<_>>()
        };
        assert_eq!(ranges(4), [(0, 3), (0, 1)]);
        assert_eq!(ranges(4), [(1, 5)]);
        assert_eq!(ranges(4), [(5, 6), (0, 2)]);
        assert!(ranges(4).is_empty());
        assert_eq!(state.rows, 0);
    }

    #[test]
    fn what_is_too_late_is_not_taken() {
        let now = Instant::now();
        let mut state = waiting(&[3, 6], now);
        let (batch, left_out) = state.take(now + Duration::from_secs(1), 4);
        assert!(batch.is_empty() && left_out == 2);
        assert_eq!((state.rows, state.waiting.len()), (0, 0));
    }
}
