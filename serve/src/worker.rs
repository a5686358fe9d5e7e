//! The thread that owns the predictor.
//!
//! It takes a batch, computes it and answers by index range. A batch that fails, by an error or a panic, is halved
//! until the rows at fault stand alone, so that their neighbours are answered.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use features::{Entity, EntityKind, FeatureBatch, FeatureSpec};
use model::Predictor;
use survival::SurvivalCurve;
use tokio::sync::{oneshot, watch};

use crate::admission::Admission;
use crate::batcher::{Answer, Next, Outcome, Queue, Slice};
use crate::config::ServeConfig;
use crate::telemetry::Telemetry;
use crate::{Result, ServeError};

/// Halvings of one failed batch: enough to single out half a dozen rows of 1024, few enough that a lost device does
/// not hold the queue up.
const HALVINGS: u32 = 64;

/// How often a failing device is tried while nobody asks.
const PROBE: Duration = Duration::from_secs(1);

/// What is known of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// Not warm yet.
    Starting,
    /// Answers.
    Ready,
    /// Fails whatever it is given.
    Failing,
}

/// What the thread needs besides the predictor.
pub(crate) struct Surroundings {
    pub(crate) queue: Arc<Queue>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) device: watch::Sender<Device>,
}

/// Starts the thread; the receiver resolves when it has ended.
pub(crate) fn spawn(
    predictor: Box<dyn Predictor>,
    spec: &FeatureSpec,
    spec_hash: &str,
    config: &ServeConfig,
    surroundings: Surroundings,
) -> Result<oneshot::Receiver<()>> {
    let start = |reason: String| ServeError::Start { what: "the device thread", reason };
    let missing = missing_row(spec, spec_hash).map_err(|error| start(error.to_string()))?;
    let largest = config.pad_batches.then_some(config.max_batch_rows);
    let worker = Worker { predictor, pad_up_to: largest, failed_batches: config.failed_batches, missing, surroundings };
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("forewarn-device".to_owned())
        .spawn(move || {
            worker.run();
            // Nobody may be waiting for the end any more.
            let _ = ended.send(());
        })
        .map_err(|error| start(error.to_string()))?;
    Ok(end)
}

struct Worker {
    predictor: Box<dyn Predictor>,
    pad_up_to: Option<usize>,
    failed_batches: u32,
    /// A row with nothing observed: valid for every spec, so a device that fails on it fails on anything.
    missing: FeatureBatch,
    surroundings: Surroundings,
}

impl Worker {
    fn run(&self) {
        let Surroundings { queue, admission, telemetry, device } = &self.surroundings;
        // Warm before ready: the first batch of a shape pays for compiling and memory.
        let probe_works = match self.attempt(&self.missing) {
            Ok(_) => true,
            Err(reason) => {
                tracing::warn!(%reason, "the model refuses a row with nothing observed; it is not used as a probe");
                false
            }
        };
        device.send_replace(Device::Ready);
        let mut failed_in_a_row = 0;
        loop {
            let failing = *device.borrow() == Device::Failing;
            let slices = match queue.next(failing.then_some(PROBE)) {
                Next::Closed => return,
                Next::Idle => {
                    if probe_works && self.attempt(&self.missing).is_ok() {
                        failed_in_a_row = 0;
                        device.send_replace(Device::Ready);
                    }
                    continue;
                }
                Next::Batch(slices) => slices,
            };
            let started = Instant::now();
            let outcomes = self.predict(&slices);
            let computed = started.elapsed();
            admission.note(outcomes.len(), computed);
            telemetry.batch(outcomes.len(), computed);
            if outcomes.iter().any(Result::is_ok) {
                failed_in_a_row = 0;
                if failing {
                    device.send_replace(Device::Ready);
                }
            } else {
                failed_in_a_row += 1;
                // A caller with bad rows must not take the server down for everyone: only a device that also fails
                // on the probe is called failing.
                if failed_in_a_row >= self.failed_batches && !(probe_works && self.attempt(&self.missing).is_ok()) {
                    tracing::error!(batches = failed_in_a_row, "every row of these batches failed; not ready");
                    device.send_replace(Device::Failing);
                }
            }
            self.reply(&slices, outcomes, computed);
        }
    }

    fn predict(&self, slices: &[Slice]) -> Vec<Outcome> {
        let rows = slices.iter().map(|slice| slice.rows.len()).sum();
        let mut outcomes = Vec::with_capacity(rows);
        let mut halvings = HALVINGS;
        match slices {
            [one] if one.rows.len() == one.job.features.rows() => {
                self.predict_halving(&one.job.features, &mut halvings, &mut outcomes);
            }
            slices => match joined(slices) {
                Ok(batch) => self.predict_halving(&batch, &mut halvings, &mut outcomes),
                Err(reason) => outcomes.extend(iter::repeat_n(Err(reason), rows)),
            },
        }
        outcomes
    }

    fn predict_halving(&self, batch: &FeatureBatch, halvings: &mut u32, outcomes: &mut Vec<Outcome>) {
        match self.attempt(batch) {
            Ok(curves) => outcomes.extend(curves.into_iter().map(Ok)),
            Err(reason) if batch.rows() <= 1 || *halvings == 0 => {
                tracing::warn!(rows = batch.rows(), %reason, "rows were not computed");
                outcomes.extend(iter::repeat_n(Err(reason), batch.rows()));
            }
            Err(_) => {
                *halvings -= 1;
                let middle = batch.rows() / 2;
                self.predict_halving(&batch.slice(0, middle), halvings, outcomes);
                self.predict_halving(&batch.slice(middle, batch.rows()), halvings, outcomes);
            }
        }
    }

    /// One call of the predictor: curves for every row, or why there are none.
    fn attempt(&self, batch: &FeatureBatch) -> Result<Vec<SurvivalCurve>, String> {
        let rows = batch.rows();
        let padded = self.pad_up_to.and_then(|largest| padded(batch, largest));
        let batch = padded.as_ref().unwrap_or(batch);
        // The predictor takes `&self` and its answer is thrown away with the panic; what it may have left behind
        // inside is its own, and the probe tells whether it still works.
        let mut curves = match catch_unwind(AssertUnwindSafe(|| self.predictor.predict(batch))) {
            Ok(Ok(curves)) => curves,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(panic) => return Err(format!("the model stopped on an internal error: {}", message(&*panic))),
        };
        if curves.len() != batch.rows() {
            return Err(format!("the model answered {} curves for {} rows", curves.len(), batch.rows()));
        }
        curves.truncate(rows);
        Ok(curves)
    }

    fn reply(&self, slices: &[Slice], outcomes: Vec<Outcome>, computed: Duration) {
        let outcomes = Arc::new(outcomes);
        let mut offset = 0;
        for slice in slices {
            self.surroundings.telemetry.queue_wait(slice.waited);
            let rows = slice.rows.clone();
            let next = offset + rows.len();
            let answer = Answer { rows, outcomes: Arc::clone(&outcomes), offset, waited: slice.waited, computed };
            if slice.job.reply.send(answer).is_err() {
                self.surroundings.telemetry.cancelled("compute");
            }
            offset = next;
        }
    }
}

/// One batch of all slices, in order.
fn joined(slices: &[Slice]) -> Result<FeatureBatch, String> {
    let part = |slice: &Slice| slice.job.features.slice(slice.rows.start, slice.rows.end);
    let (first, rest) = slices.split_first().ok_or("an empty batch")?;
    let mut batch = part(first);
    for slice in rest {
        batch.append(&part(slice)).map_err(|error| error.to_string())?;
    }
    Ok(batch)
}

/// The batch with its last row repeated up to a power of two, unless it has that size already.
fn padded(batch: &FeatureBatch, largest: usize) -> Option<FeatureBatch> {
    let rows = batch.rows();
    let size = rows.checked_next_power_of_two()?.min(largest.max(rows));
    if rows == 0 || size == rows {
        return None;
    }
    let rows: Vec<usize> = (0..size).map(|row| row.min(rows - 1)).collect();
    Some(batch.select(&rows))
}

fn missing_row(spec: &FeatureSpec, spec_hash: &str) -> features::Result<FeatureBatch> {
    let entity = Entity::try_new(EntityKind::Machine, "nothing-observed", "")?;
    let flat = vec![f32::NAN; spec.flat.len()];
    let sequence = vec![f32::NAN; spec.steps * spec.channels.len()];
    FeatureBatch::try_new(spec, spec_hash.to_owned(), vec![entity], vec![0], flat, sequence)
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
