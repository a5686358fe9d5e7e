//! Settings of the server, checked as a whole.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Result, ServeError};

/// Longest window that is any use: beyond it waiting costs more than a fuller batch gains.
const LONGEST_WINDOW_MS: u64 = 10;

/// Every limit of the server. Keys carry their unit; what is left out takes its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeConfig {
    /// Rows computed together. 1024 keeps a CPU batch in its caches; 4096 suits a GPU.
    pub max_batch_rows: usize,
    /// How long an idle device waits for company to the oldest row. 0: a busy device makes the batch by itself; 1 helps a GPU.
    pub batch_window_ms: u64,
    /// Whether batches are filled up to a power of two, so that a device which compiles per shape sees few shapes.
    pub pad_batches: bool,
    /// Rows that may wait; beyond them a request is refused at once. About 16 full batches.
    pub queue_capacity_rows: usize,
    /// Rows of one request. A longer list gains nothing from being one message.
    pub rows_per_request: usize,
    /// Horizons of one request.
    pub horizons_per_request: usize,
    /// Length of an entity key in bytes; the longest Kubernetes path of namespace, pod and container is 380.
    pub key_bytes: usize,
    /// Size of a request message: 4096 rows of 256 columns.
    pub decode_limit_bytes: usize,
    /// Announced bytes of all requests that are not decoded yet, so that many streams cannot claim all memory.
    pub inflight_request_bytes: usize,
    /// Size of a response message.
    pub encode_limit_bytes: usize,
    /// Time a request has that names no deadline.
    pub default_deadline_ms: u64,
    /// Longest deadline honoured, so that a forgotten request frees its rows.
    pub max_deadline_ms: u64,
    /// Time to finish what was accepted after the shutdown signal: 25 of the usual 30 seconds.
    pub drain_ms: u64,
    /// Whether the server describes its services to clients that ask.
    pub reflection: bool,
    /// Wholly failed batches in a row before the server calls itself not ready.
    pub failed_batches: u32,
    /// gRPC connections at a time; further ones wait in the system's backlog.
    pub connections: usize,
    /// Streams of one connection at a time.
    pub streams_per_connection: u32,
    /// Silence after which a connection is asked whether it lives.
    pub keepalive_interval_ms: u64,
    /// Time to answer that.
    pub keepalive_timeout_ms: u64,
    /// Age at which a connection is asked to reconnect, so that load spreads over new servers.
    pub connection_age_ms: u64,
    /// Time it then has to finish.
    pub connection_grace_ms: u64,
    /// Size of a request's headers.
    pub header_list_bytes: u32,
    /// Streams reset before they were accepted that a connection may pile up (rapid reset).
    pub pending_accept_resets: usize,
    /// Streams the server reset for errors that a connection may pile up (MadeYouReset).
    pub local_error_resets: usize,
    /// Connections to the HTTP port at a time.
    pub http_connections: usize,
    /// Time to send the headers of an HTTP request.
    pub http_timeout_ms: u64,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            max_batch_rows: 1024,
            batch_window_ms: 0,
            pad_batches: false,
            queue_capacity_rows: 16_384,
            rows_per_request: 4096,
            horizons_per_request: 32,
            key_bytes: 512,
            decode_limit_bytes: 4 << 20,
            inflight_request_bytes: 512 << 20,
            encode_limit_bytes: 16 << 20,
            default_deadline_ms: 5_000,
            max_deadline_ms: 60_000,
            drain_ms: 25_000,
            reflection: true,
            failed_batches: 3,
            connections: 1024,
            streams_per_connection: 128,
            keepalive_interval_ms: 30_000,
            keepalive_timeout_ms: 10_000,
            connection_age_ms: 30 * 60_000,
            connection_grace_ms: 30_000,
            header_list_bytes: 16 << 10,
            pending_accept_resets: 20,
            local_error_resets: 1024,
            http_connections: 64,
            http_timeout_ms: 5_000,
        }
    }
}

impl ServeConfig {
    /// Reads TOML and checks it.
    ///
    /// # Errors
    /// When the text is no TOML, names a key that does not exist, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self =
            toml::from_str(text).map_err(|error| ServeError::Config { reason: error.to_string().trim().to_owned() })?;
        config.validate()?;
        Ok(config)
    }

    /// Checks each limit against those it can contradict.
    ///
    /// # Errors
    /// One message naming both keys and both values.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(ServeError::Config { reason });
        for (key, zero) in [
            ("max_batch_rows", self.max_batch_rows == 0),
            ("queue_capacity_rows", self.queue_capacity_rows == 0),
            ("rows_per_request", self.rows_per_request == 0),
            ("horizons_per_request", self.horizons_per_request == 0),
            ("key_bytes", self.key_bytes == 0),
            ("decode_limit_bytes", self.decode_limit_bytes == 0),
            ("encode_limit_bytes", self.encode_limit_bytes == 0),
            ("default_deadline_ms", self.default_deadline_ms == 0),
            ("failed_batches", self.failed_batches == 0),
            ("connections", self.connections == 0),
            ("streams_per_connection", self.streams_per_connection == 0),
            ("keepalive_interval_ms", self.keepalive_interval_ms == 0),
            ("keepalive_timeout_ms", self.keepalive_timeout_ms == 0),
            ("connection_age_ms", self.connection_age_ms == 0),
            ("http_connections", self.http_connections == 0),
            ("http_timeout_ms", self.http_timeout_ms == 0),
        ] {
            if zero {
                return refuse(format!("{key} is 0, must be above"));
            }
        }
        let most_rows = usize::try_from(u32::MAX >> 3).unwrap_or(usize::MAX);
        if self.queue_capacity_rows > most_rows {
            return refuse(format!(
                "queue_capacity_rows ({}) is more than can be counted ({most_rows})",
                self.queue_capacity_rows
            ));
        }
        for (small, value, large, limit) in [
            ("max_batch_rows", self.max_batch_rows, "queue_capacity_rows", self.queue_capacity_rows),
            ("rows_per_request", self.rows_per_request, "queue_capacity_rows", self.queue_capacity_rows),
            ("decode_limit_bytes", self.decode_limit_bytes, "inflight_request_bytes", self.inflight_request_bytes),
        ] {
            if value > limit {
                return refuse(format!("{small} ({value}) is larger than {large} ({limit})"));
            }
        }
        for (small, value, large, limit) in [
            ("default_deadline_ms", self.default_deadline_ms, "max_deadline_ms", self.max_deadline_ms),
            ("batch_window_ms", self.batch_window_ms, "the longest useful window", LONGEST_WINDOW_MS),
            ("batch_window_ms", self.batch_window_ms, "default_deadline_ms", self.default_deadline_ms),
        ] {
            if value > limit {
                return refuse(format!("{small} ({value}) is longer than {large} ({limit})"));
            }
        }
        Ok(())
    }

    pub(crate) fn batch_window(&self) -> Duration {
        Duration::from_millis(self.batch_window_ms)
    }

    pub(crate) fn default_deadline(&self) -> Duration {
        Duration::from_millis(self.default_deadline_ms)
    }

    pub(crate) fn max_deadline(&self) -> Duration {
        Duration::from_millis(self.max_deadline_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
