//! The fleet behind a Prometheus endpoint: `/metrics` answers with what was measured last.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::oneshot;

use crate::error::{LabError, Result};

/// The newest exposition.
#[derive(Debug, Clone, Default)]
pub struct Newest(Arc<Mutex<Arc<str>>>);

impl Newest {
    /// Shows this from now on.
    pub fn set(&self, text: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.into();
    }

    /// What is shown.
    #[must_use]
    pub fn get(&self) -> Arc<str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running endpoint; it ends when dropped.
#[derive(Debug)]
pub struct Exporter {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Exporter {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(address: SocketAddr, newest: Newest) -> Result<Self> {
        let refuse = |error: std::io::Error| LabError::Host {
            reason: format!("cannot listen on {address} for the exporter: {error}"),
        };
        let listener = std::net::TcpListener::bind(address).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refuse)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/-/healthy", get(async || "healthy\n"))
            .with_state(newest);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                // A scraper may hold its connection open; the end does not wait for it.
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => {
                        if let Err(error) = served {
                            tracing::warn!(%error, "the exporter ended");
                        }
                    }
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn metrics(State(newest): State<Newest>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], newest.get().to_string())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_scrape_sees_what_was_measured_last() {
        let newest = Newest::default();
        let exporter = Exporter::start(([127, 0, 0, 1], 0).into(), newest.clone()).unwrap();
        let scrape = || {
            let mut stream = TcpStream::connect(exporter.address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        newest.set("a 1\n");
        assert!(scrape().ends_with("\r\n\r\na 1\n"));
        newest.set("a 2\n");
        let text = scrape();
        assert!(text.ends_with("a 2\n") && text.contains("version=0.0.4"), "{text}");
        let taken = Exporter::start(exporter.address, Newest::default()).unwrap_err().to_string();
        assert!(taken.contains(&exporter.address.to_string()), "{taken}");
    }
}
