//! Connections: our own accept loop, because tonic's neither ends while a client holds on nor aborts what is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant as TokioInstant, sleep, sleep_until};
use tonic::codegen::Service;

/// Pause after a failed accept: the usual cause, too many open files, does not go away by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long connections without a call in flight may linger once the server drains: time for last frames to leave.
const LINGER: Duration = Duration::from_secs(1);

/// Accepts until `stop`, a task per connection, at most `limit` of them; returns the tasks still running.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    limit: usize,
    mut stop: watch::Receiver<bool>,
    connection: impl Fn(TcpStream) -> F,
) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limit));
    let mut tasks = JoinSet::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (listener.accept().await, slot)
        };
        tokio::select! {
            () = stopped(&mut stop) => return tasks,
            Some(_) = tasks.join_next() => {}
            (accepted, slot) = next => match accepted {
                Ok((stream, _)) => {
                    // A single small answer must not wait for a full packet.
                    let _ = stream.set_nodelay(true);
                    let connection = connection(stream);
                    tasks.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Resolves once the server stops, or whoever could stop it has gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for connections to end: all of them, or those with a call in flight, or until `limit`; then aborts the rest.
pub(crate) async fn drain(mut connections: JoinSet<()>, calls: &Calls, limit: Duration) {
    let end = TokioInstant::now() + limit;
    let mut quiet_since = None;
    loop {
        if calls.in_flight() > 0 {
            quiet_since = None;
        } else if quiet_since.get_or_insert_with(Instant::now).elapsed() >= LINGER {
            break;
        }
        tokio::select! {
            ended = connections.join_next() => if ended.is_none() { break },
            () = sleep(Duration::from_millis(20)) => {}
            () = sleep_until(end) => break,
        }
    }
    let left = connections.len();
    if left > 0 {
        tracing::warn!(
            connections = left,
            calls = calls.in_flight(),
            "closing connections that did not end by themselves"
        );
    }
    connections.shutdown().await;
}

/// Calls between their first header and the last byte of their answer.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<AtomicUsize>);

impl Calls {
    pub(crate) fn in_flight(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn begin(&self) -> Call {
        self.0.fetch_add(1, Ordering::AcqRel);
        Call(Arc::clone(&self.0))
    }
}

/// One call; over when dropped.
pub(crate) struct Call(Arc<AtomicUsize>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(crate) fn log_end(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Serves one HTTP/1.1 connection of the metrics port.
pub(crate) async fn http_connection(router: axum::Router, stream: TcpStream, timeout: Duration) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        async move { router.call(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .serve_connection(TokioIo::new(stream), service);
    log_end(connection.await);
}
