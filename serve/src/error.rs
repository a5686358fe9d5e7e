//! What can go wrong at start and in a request, and its one mapping to a gRPC status.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// When to try again after [`ServeError::BytesFull`]: a message is decoded in far less, unless its sender stalls.
const BYTES_PAUSE: Duration = Duration::from_millis(100);

/// Errors of the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A port that cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; stop what holds the port or choose another (port 0 takes a free one)"
    )]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A configuration that contradicts itself.
    #[error("configuration: {reason}")]
    Config {
        /// Which keys, which values, what to do.
        reason: String,
    },
    /// A model that cannot be served.
    #[error("model {model}: {reason}")]
    Model {
        /// Its name.
        model: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A thread or service that could not be started.
    #[error("cannot start {what}: {reason}")]
    Start {
        /// Which part.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// A model or version that is not loaded.
    #[error("{what} {asked:?} is not loaded; this server answers for {loaded:?}")]
    NotFound {
        /// `model` or `version`.
        what: &'static str,
        /// What was asked for.
        asked: String,
        /// What is loaded.
        loaded: String,
    },
    /// Rows made for another feature spec.
    #[error(
        "model expects feature spec {expected}, the request has {got}; rebuild the rows or ask the model they were made for"
    )]
    SpecMismatch {
        /// Hash of the model's spec.
        expected: String,
        /// Hash in the request.
        got: String,
    },
    /// A request that contradicts itself or the model.
    #[error("{reason}")]
    Invalid {
        /// What, where, what was seen.
        reason: String,
    },
    /// A request over a limit, however often it is sent.
    #[error("{what}: {got}, the limit is {limit} ({key}); split the request")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// What was seen.
        got: usize,
        /// The limit.
        limit: usize,
        /// The configuration key that sets it.
        key: &'static str,
    },
    /// No room for these rows now.
    #[error("{waiting} of {capacity} queue rows are taken, {rows} more do not fit; retry in {} ms", retry_after.as_millis())]
    QueueFull {
        /// Rows of the request.
        rows: usize,
        /// Rows waiting.
        waiting: usize,
        /// `queue_capacity_rows`.
        capacity: usize,
        /// When room is likely.
        retry_after: Duration,
    },
    /// No room for the bytes of this request now.
    #[error("requests of {limit} bytes are on their way in (inflight_request_bytes), {announced} more do not fit; retry in {} ms", BYTES_PAUSE.as_millis())]
    BytesFull {
        /// Length the request announced.
        announced: usize,
        /// `inflight_request_bytes`.
        limit: usize,
    },
    /// The caller's time is up; whatever was left is not computed.
    #[error("deadline of {} ms passed before the answer was ready", allowed.as_millis())]
    DeadlineExceeded {
        /// The time the request had.
        allowed: Duration,
    },
    /// The server is going away.
    #[error("the server is shutting down; ask another one")]
    Draining,
}

/// Result of everything in this crate that can fail.
pub type Result<T, E = ServeError> = std::result::Result<T, E>;

impl ServeError {
    /// Label of `requests_rejected_total`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "queue_full",
            Self::BytesFull { .. } => "bytes_full",
            Self::DeadlineExceeded { .. } => "deadline",
            Self::TooLarge { .. } => "too_large",
            Self::Draining => "draining",
            _ => "invalid",
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NotFound,
            Self::SpecMismatch { .. } => Code::FailedPrecondition,
            Self::Invalid { .. } => Code::InvalidArgument,
            Self::TooLarge { .. } | Self::QueueFull { .. } | Self::BytesFull { .. } => Code::ResourceExhausted,
            Self::DeadlineExceeded { .. } => Code::DeadlineExceeded,
            Self::Draining => Code::Unavailable,
            Self::Bind { .. } | Self::Config { .. } | Self::Model { .. } | Self::Start { .. } => Code::Internal,
        }
    }
}

impl From<ServeError> for Status {
    fn from(error: ServeError) -> Self {
        let mut status = Self::new(error.code(), error.to_string());
        let retry_after = match error {
            ServeError::QueueFull { retry_after, .. } => Some(retry_after),
            ServeError::BytesFull { .. } => Some(BYTES_PAUSE),
            _ => None,
        };
        if let Some(retry_after) = retry_after {
            // gRPC A6: clients with a retry policy wait this long before they try again.
            let pause = MetadataValue::from(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX));
            status.metadata_mut().insert("grpc-retry-pushback-ms", pause);
        }
        status
    }
}
