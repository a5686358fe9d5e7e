//! What every request goes through, whatever its protocol: admission, decoding, storing, counting.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use features::decode::{DecodeError, SeriesSink};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ReceiverOptions, limit};
use crate::DatasetError;
use crate::ingest::pipeline::{Pipeline, Rejection, Taken};
use crate::ingest::statistics::{Counters, Ending, Protocol};

/// The receiver's shared state.
pub(in crate::ingest) struct Work {
    pipeline: Arc<Pipeline>,
    options: ReceiverOptions,
    counters: Counters,
    places: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    token: Option<[u8; 32]>,
    /// Newest time of arrival, milliseconds: what the clock must not fall behind.
    newest: AtomicI64,
}

/// How a request is answered, before it is put into the words of its protocol.
#[derive(Debug)]
pub(in crate::ingest) struct Answer {
    pub(in crate::ingest) ending: Ending,
    /// Empty on success.
    pub(in crate::ingest) message: String,
    /// Samples that were taken: stored, or left out on purpose.
    pub(in crate::ingest) taken: u64,
    /// Samples refused; for protocols that count rejections beside success, those of unusable value too.
    pub(in crate::ingest) refused: u64,
}

impl Answer {
    pub(in crate::ingest) fn refusal(ending: Ending, message: impl Into<String>) -> Self {
        Self { ending, message: message.into(), taken: 0, refused: 0 }
    }
}

impl From<DecodeError> for Answer {
    fn from(error: DecodeError) -> Self {
        Self::refusal(Ending::Malformed, error.to_string())
    }
}

impl Work {
    pub(in crate::ingest) fn new(pipeline: Arc<Pipeline>, options: ReceiverOptions) -> Self {
        Self {
            pipeline,
            counters: Counters::default(),
            places: Arc::new(Semaphore::new(options.max_in_flight)),
            decoders: Arc::new(Semaphore::new(options.decoders)),
            token: options.token.as_deref().map(|token| digest(token.trim().as_bytes())),
            newest: AtomicI64::new(i64::MIN),
            options,
        }
    }

    pub(in crate::ingest) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    pub(in crate::ingest) fn options(&self) -> &ReceiverOptions {
        &self.options
    }

    pub(in crate::ingest) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether requests are still admitted.
    pub(in crate::ingest) fn is_open(&self) -> bool {
        !self.places.is_closed()
    }

    /// Admits no more requests; those under way go on.
    pub(in crate::ingest) fn close(&self) {
        self.places.close();
    }

    /// Whether an `Authorization` header opens the door. Digests are compared, so that the time it takes tells nothing
    /// of the token.
    pub(in crate::ingest) fn authorized(&self, header: Option<&[u8]>) -> bool {
        let Some(token) = self.token else { return true };
        let Some(given) = header.and_then(|value| value.strip_prefix(b"Bearer ")) else { return false };
        let given = digest(given.trim_ascii());
        given.iter().zip(token).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }

    /// A place among the requests under way.
    pub(in crate::ingest) async fn admit(&self) -> Result<OwnedSemaphorePermit, Answer> {
        match tokio::time::timeout(self.options.patience, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Answer::refusal(Ending::Busy, "the receiver is stopping; send it again later")),
            Err(_) => Err(Answer::refusal(
                Ending::Busy,
                format!("{} requests are under way; send it again later", self.options.max_in_flight),
            )),
        }
    }

    /// Decodes, stores and waits until what was stored is safe. Counts everything but the request itself. Inflating is
    /// up to `decode`: no more messages are inflated at once than there are decoders.
    pub(in crate::ingest) async fn store<F>(self: Arc<Self>, protocol: Protocol, decode: F) -> Answer
    where
        F: FnOnce(&mut dyn SeriesSink) -> Result<(), Answer> + Send + 'static,
    {
        let Ok(decoder) = self.decoders.clone().acquire_owned().await else {
            return Answer::refusal(Ending::Busy, "the receiver is stopping; send it again later");
        };
        let worker = tokio::task::spawn_blocking(move || {
            let _underway = self.counters.underway();
            self.store_blocking(protocol, decoder, decode)
        });
        worker.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request died");
            Answer::refusal(Ending::Unavailable, "internal error; see the receiver's log")
        })
    }

    fn store_blocking<F>(&self, protocol: Protocol, decoder: OwnedSemaphorePermit, decode: F) -> Answer
    where
        F: FnOnce(&mut dyn SeriesSink) -> Result<(), Answer>,
    {
        let received_at = match self.arrival() {
            Ok(received_at) => received_at,
            Err(answer) => return answer,
        };
        let taken = match self.pipeline.accept(received_at, self.options.max_samples, decode) {
            Ok(taken) => taken,
            Err(Rejection::Unreadable(answer)) => {
                tracing::debug!(?protocol, reason = %answer.message, "a message cannot be read");
                return answer;
            }
            Err(Rejection::TooMany) => return limit::too_many(self.options.max_samples),
            Err(Rejection::Store(error)) => return unavailable(&error),
        };
        // The next message may be decoded while this one waits for the disk.
        drop(decoder);
        let begun = Instant::now();
        if let Err(error) = self.pipeline.wait(&taken) {
            return unavailable(&error);
        }
        self.count(protocol, received_at, &taken, begun);
        answer(protocol, &taken)
    }

    /// When a message arrives, by a clock that never goes back. One that fell back would make every sample one from
    /// the future, and senders drop for good what is refused for that.
    fn arrival(&self) -> Result<i64, Answer> {
        let now = (self.options.clock)();
        let newest = self.newest.fetch_max(now, Ordering::Relaxed).max(now);
        let behind = newest.saturating_sub(now);
        if behind <= self.pipeline.max_future() {
            return Ok(newest);
        }
        let message = format!(
            "the receiver's clock fell back by {behind} ms to {now} ms since the epoch; set it right, or restart the \
             receiver if the time before was the wrong one, and send it again"
        );
        tracing::error!(
            behind,
            now,
            "the clock fell back; nothing is taken until it is set right or this is restarted"
        );
        Err(Answer::refusal(Ending::Unavailable, message))
    }

    fn count(&self, protocol: Protocol, received_at: i64, taken: &Taken, begun: Instant) {
        self.counters.took(protocol, &taken.counts);
        let late = taken.rows.iter().filter(|row| received_at - row.time > self.options.late_after).count();
        let newest = taken.rows.iter().map(|row| row.time).max();
        let lag = newest.map(|time| received_at - time);
        self.counters.stored(taken.rows.len() as u64, late as u64, lag, begun.elapsed());
    }
}

fn unavailable(error: &DatasetError) -> Answer {
    if let DatasetError::Full { .. } = error {
        return Answer::refusal(Ending::Busy, error.to_string());
    }
    tracing::error!(%error, "rows cannot be stored");
    Answer::refusal(Ending::Unavailable, format!("cannot store: {error}"))
}

fn answer(protocol: Protocol, taken: &Taken) -> Answer {
    let samples = taken.counts.samples;
    // OTLP wants every rejected point counted, and takes that for success; remote write would take it for an error.
    let (refused, refusal) = match protocol {
        Protocol::OtlpGrpc | Protocol::OtlpHttp => {
            (taken.counts.told() + taken.counts.unusable(), taken.refusal.as_ref().or(taken.unusable.as_ref()))
        }
        Protocol::RemoteWrite1 | Protocol::RemoteWrite2 | Protocol::Lines => {
            (taken.counts.told(), taken.refusal.as_ref())
        }
    };
    match refusal {
        Some(refusal) => Answer {
            ending: Ending::Partial,
            message: format!(
                "{refused} of {samples} samples refused, the rest is stored; the first, {}: {}",
                refusal.reason.name(),
                refusal.message
            ),
            taken: samples.saturating_sub(refused),
            refused,
        },
        None => Answer { ending: Ending::Stored, message: String::new(), taken: samples, refused },
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Inflates a gzip body up to a limit.
pub(in crate::ingest) fn read_gzip(body: &[u8], limit: usize) -> Result<Vec<u8>, Answer> {
    let mut inflated = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(body).take(limit as u64 + 1);
    if let Err(error) = reader.read_to_end(&mut inflated) {
        return Err(Answer::refusal(Ending::Malformed, format!("gzip body: {error}")));
    }
    if inflated.len() > limit {
        return Err(Answer::refusal(
            Ending::TooLarge,
            format!("the gzip body inflates to more than {limit} bytes; send smaller batches"),
        ));
    }
    Ok(inflated)
}
