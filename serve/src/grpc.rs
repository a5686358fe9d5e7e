//! One gRPC connection: HTTP/2 limits, age, and what is counted around every call.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, header::HeaderValue};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::codegen::Service;
use tonic::service::Routes;
use tonic::{Code, Status};

use crate::budget::{Budget, Budgeted};
use crate::config::ServeConfig;
use crate::service::Arrival;
use crate::telemetry::Telemetry;
use crate::transport::{Call, Calls, log_end, stopped};

/// What every gRPC connection shares.
#[derive(Clone)]
pub(crate) struct Grpc {
    routes: Routes,
    server: http2::Builder<TokioExecutor>,
    age: Duration,
    grace: Duration,
    calls: Calls,
    budget: Budget,
    telemetry: Arc<Telemetry>,
}

impl Grpc {
    pub(crate) fn new(routes: Routes, config: &ServeConfig, calls: Calls, telemetry: Arc<Telemetry>) -> Self {
        let mut server = http2::Builder::new(TokioExecutor::new());
        server
            .timer(TokioTimer::new())
            // A whole request of the largest size fits the windows, so that no call waits for a window update.
            .initial_stream_window_size(
                u32::try_from(config.decode_limit_bytes).unwrap_or(u32::MAX).clamp(1 << 16, 1 << 24),
            )
            .initial_connection_window_size(1 << 24)
            .max_concurrent_streams(config.streams_per_connection)
            .max_header_list_size(config.header_list_bytes)
            .max_pending_accept_reset_streams(config.pending_accept_resets)
            .max_local_error_reset_streams(config.local_error_resets)
            .keep_alive_interval(Duration::from_millis(config.keepalive_interval_ms))
            .keep_alive_timeout(Duration::from_millis(config.keepalive_timeout_ms))
            .auto_date_header(false);
        Self {
            routes: routes.prepare(),
            server,
            age: Duration::from_millis(config.connection_age_ms),
            grace: Duration::from_millis(config.connection_grace_ms),
            calls,
            budget: Budget::new(config.inflight_request_bytes, config.decode_limit_bytes, Arc::clone(&telemetry)),
            telemetry,
        }
    }

    /// Serves one connection until it ends, is too old, or the server stops.
    pub(crate) async fn connection(self, stream: TcpStream, mut stop: watch::Receiver<bool>) {
        let (age, grace) = (self.age, self.grace);
        let server = self.server.clone();
        let service = service_fn(move |request| {
            let grpc = self.clone();
            grpc.call(request)
        });
        let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            result = connection.as_mut() => return log_end(result),
            () = sleep(age) => {}
            () = stopped(&mut stop) => {}
        }
        // GOAWAY: streams that are open finish, new ones go elsewhere. A stopping server sets its own limit.
        connection.as_mut().graceful_shutdown();
        let stopping = *stop.borrow();
        tokio::select! {
            result = connection.as_mut() => log_end(result),
            () = sleep(grace), if !stopping => {}
        }
    }

    async fn call(mut self, mut request: Request<Incoming>) -> Result<Response<Counted>, Infallible> {
        let arrived = Instant::now();
        let method = method(request.uri().path());
        request.extensions_mut().insert(Arrival(arrived));
        let mut measure = Measure { telemetry: Arc::clone(&self.telemetry), method, arrived, code: Code::Cancelled };
        // Streams that last as long as the client likes must not hold a shutdown up.
        let call = (!LASTING.contains(&method)).then(|| self.calls.begin());
        let request = request.map(|body| Budgeted::new(body, self.budget.clone()));
        let mut response = self.routes.call(request).await?;
        measure.code = code(&mut response);
        Ok(response.map(|body| Counted { body, _call: call }))
    }
}

/// Counts the call when it is over, also when the caller went away and the future was dropped.
struct Measure {
    telemetry: Arc<Telemetry>,
    method: &'static str,
    arrived: Instant,
    code: Code,
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.telemetry.rpc(self.method, self.code, self.arrived.elapsed());
    }
}

/// The status of a response. A refusal has it in its headers; tonic calls a message over the decode limit
/// OUT_OF_RANGE, which clients take for a bad argument, so it is renamed.
fn code<B>(response: &mut Response<B>) -> Code {
    let Some(status) = response.headers_mut().get_mut(Status::GRPC_STATUS) else { return Code::Ok };
    let code = Code::from_bytes(status.as_bytes());
    if code == Code::OutOfRange {
        *status = HeaderValue::from(Code::ResourceExhausted as i32);
        return Code::ResourceExhausted;
    }
    code
}

/// Methods with a label of their own; anything else a client makes up shares one.
const METHODS: [&str; 6] = [
    "/forewarn.v1.RiskService/Score",
    "/forewarn.v1.RiskService/GetModel",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Streams without an end of their own.
const LASTING: [&str; 3] = [METHODS[3], METHODS[4], METHODS[5]];

fn method(path: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == path).unwrap_or("other")
}

/// A body that counts as a call until it is written or dropped.
struct Counted {
    body: tonic::body::Body,
    _call: Option<Call>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
