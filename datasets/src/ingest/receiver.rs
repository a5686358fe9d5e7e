//! The server: remote write, OTLP over HTTP, export lines and its own figures on one port, OTLP over gRPC on another.
//!
//! A request passes four gates: its headers, a place among those under way (waited for a moment, then refused), its
//! size, and decoding on a blocking thread. It is answered with success once its rows are durable.
//!
//! What the answers mean to a sender:
//!
//! | answer | reason | the sender |
//! |---|---|---|
//! | 204, 200 | everything that belongs into the lake is durable; metrics without a mapping are dropped on purpose | goes on |
//! | 400 | the message is malformed, or some samples were refused: those are named, the rest is durable | must not repeat it |
//! | 401, 413, 415 | no token; too many bytes or samples; a type or encoding not read here | must be configured otherwise |
//! | 503 | too much under way, a body that came too slowly, a disk that fails, a clock that fell back | repeats it later |
//!
//! Being busy is a 503 and not a 429, because Prometheus drops what is answered with 429 unless it is told otherwise
//! (`retry_on_http_429`), and nothing may be lost for being sent too fast.
//!
//! Memory is bounded by [`ReceiverOptions::max_in_flight`] bodies and rows, and as many inflated messages of
//! [`ReceiverOptions::max_samples`] samples as there are decoders. What comes over gRPC is inflated, though not decoded,
//! before it is admitted: up to `max_in_flight` messages of each connection. There is no TLS in here: put a proxy in
//! front where the network is not trusted.
//!
//! Time is this machine's clock, and never goes back: where the clock falls back by more than samples may lie ahead of
//! it, nothing is taken until it has caught up.

mod http;
mod limit;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::otlp;
use super::pipeline::Pipeline;
use super::statistics::IngestStats;
use crate::{DatasetError, Result};

pub(super) use limit::otlp as check_otlp;
pub(super) use work::{Answer, Work};

/// Limits and manners of the receiver.
#[derive(Debug, Clone)]
pub struct ReceiverOptions {
    /// Largest request body, bytes, as sent.
    pub max_body: usize,
    /// Largest message after inflating, bytes. Also what a gRPC message may measure.
    pub max_decoded: usize,
    /// Most samples of one request. A sample can be sent in two bytes and takes many times that once decoded, so the
    /// limits in bytes do not bound the memory.
    pub max_samples: usize,
    /// Requests worked on at once, waiting for the disk included.
    pub max_in_flight: usize,
    /// Messages decoded at once.
    pub decoders: usize,
    /// How long a request waits for its place before it is refused.
    pub patience: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long requests under way may take once the receiver is asked to stop.
    pub drain: Duration,
    /// Longest time rows wait before they are written to their place.
    pub flush_every: Duration,
    /// What every request must carry as `Authorization: Bearer …`, if anything.
    pub token: Option<String>,
    /// Rows older than this on arrival count as late, milliseconds.
    pub late_after: i64,
    /// The clock, milliseconds since the epoch.
    pub clock: fn() -> i64,
}

impl Default for ReceiverOptions {
    /// 8 MiB as sent, 64 MiB inflated, a million samples, 32 requests, two seconds of patience, ten minutes make a row
    /// late.
    fn default() -> Self {
        Self {
            max_body: 8 << 20,
            max_decoded: 64 << 20,
            max_samples: 1_000_000,
            max_in_flight: 32,
            decoders: std::thread::available_parallelism().map_or(2, usize::from),
            patience: Duration::from_secs(2),
            body_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            flush_every: Duration::from_secs(60),
            token: None,
            late_after: 600_000,
            clock: super::now,
        }
    }
}

impl ReceiverOptions {
    /// Refuses limits that contradict each other.
    ///
    /// # Errors
    /// Naming both settings and both values.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(DatasetError::Config { subject: "receiver".to_owned(), reason });
        if self.max_in_flight == 0 || self.decoders == 0 {
            return refuse(format!(
                "max_in_flight ({}) and decoders ({}) must be above 0",
                self.max_in_flight, self.decoders
            ));
        }
        if self.max_samples == 0 {
            return refuse("max_samples is 0, which refuses every request; give at least 1".to_owned());
        }
        if self.max_body > self.max_decoded {
            return refuse(format!(
                "max_body ({} bytes) is larger than max_decoded ({} bytes)",
                self.max_body, self.max_decoded
            ));
        }
        if self.token.as_deref().is_some_and(|token| token.trim().is_empty()) {
            return refuse("the token is empty; put one into the file or leave the option out".to_owned());
        }
        Ok(())
    }
}

/// Bound ports, so that the caller chooses and knows them.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Remote write, OTLP over HTTP, export lines, health, own figures.
    pub http: Option<TcpListener>,
    /// OTLP over gRPC.
    pub otlp: Option<TcpListener>,
}

/// Receives until `shutdown` is ready, then takes no more, finishes what is under way, and writes everything to its
/// place.
///
/// # Errors
/// When the options contradict themselves, a listener fails, or the last rows cannot be written to their place (what
/// was acknowledged is safe all the same).
pub async fn serve(
    listeners: Listeners,
    pipeline: Arc<Pipeline>,
    options: ReceiverOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<IngestStats> {
    options.validate()?;
    let drain = options.drain;
    let work = Arc::new(Work::new(pipeline, options));
    let (stop, stopped) = watch::channel(false);
    let mut servers = tokio::task::JoinSet::new();
    if let Some(listener) = listeners.http {
        tracing::info!(address = ?listener.local_addr().ok(), "receiving remote write and OTLP over HTTP");
        servers.spawn(http::serve(listener, work.clone(), until(stopped.clone())));
    }
    if let Some(listener) = listeners.otlp {
        tracing::info!(address = ?listener.local_addr().ok(), "receiving OTLP over gRPC");
        servers.spawn(otlp::serve(listener, work.clone(), until(stopped.clone())));
    }
    let flusher = tokio::spawn(flush_now_and_then(work.clone(), until(stopped)));
    let mut shutdown = std::pin::pin!(shutdown);
    let mut ended = Ok(());
    tokio::select! {
        () = &mut shutdown => {}
        Some(result) = servers.join_next() => ended = server_ended(result),
    }
    work.close();
    let _ = stop.send(true);
    let rest = async {
        while let Some(result) = servers.join_next().await {
            if let Err(error) = server_ended(result) {
                tracing::warn!(%error, "a listener failed while stopping");
            }
        }
    };
    if tokio::time::timeout(drain, rest).await.is_err() {
        tracing::warn!(?drain, "some connections did not end in time and were cut");
        servers.abort_all();
    }
    // Its last flush may still be under way.
    let _ = flusher.await;
    let pipeline = work.pipeline().clone();
    let flushed = blocking(move || pipeline.store().flush()).await;
    let stats = work.counters().report(work.pipeline(), 20);
    tracing::info!(rows = stats.rows, late = stats.late, dropped = ?stats.dropped, "receiver stopped");
    ended?;
    flushed?;
    Ok(stats)
}

/// Flushes when enough rows wait or some have waited long enough, so that the log stays short.
async fn flush_now_and_then(work: Arc<Work>, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let every = work.options().flush_every;
    let mut flushed = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(every.min(Duration::from_millis(500))) => {}
        }
        let pipeline = work.pipeline().clone();
        if flushed.elapsed() < every && !pipeline.store().wants_flush() {
            continue;
        }
        if let Err(error) = blocking(move || pipeline.store().flush()).await {
            tracing::error!(%error, "rows cannot be written to their place; they stay in the log");
        }
        flushed = tokio::time::Instant::now();
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // A dropped sender means that the server is gone, which is a stop as well.
    let _ = stopped.wait_for(|&stop| stop).await;
}

fn server_ended(result: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    result.unwrap_or_else(|error| {
        Err(DatasetError::Config { subject: "receiver".to_owned(), reason: format!("a listener died: {error}") })
    })
}

/// Runs what blocks on a thread where it may.
pub(super) async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(job).await.unwrap_or_else(|error| {
        Err(DatasetError::Config { subject: "ingest".to_owned(), reason: format!("a worker died: {error}") })
    })
}
