//! Batched inference over gRPC.
//!
//! A connection is accepted by `transport`; `grpc` notes when a call arrived and how it ended, and `budget` how many
//! bytes are on their way in. In `service` a request gets its deadline and passes `wire`, which turns messages into
//! checked feature rows (raw windows through the same code as history) and keeps bad rows apart; `admission` gives
//! its rows a place or refuses at once; `batcher` lines them up; `worker`, the one thread that owns the
//! [`Predictor`], takes whatever waits, computes it together and answers by index range; and `wire` reads predictions
//! from the curves. `telemetry`, `http` and `readiness` watch.
//! Start reading in `service`.

mod admission;
mod batcher;
mod budget;
pub mod config;
pub mod error;
mod grpc;
mod http;
mod readiness;
mod service;
mod telemetry;
mod transport;
mod wire;
mod worker;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use model::{BundleInfo, Predictor};
use proto::v1::FILE_DESCRIPTOR_SET;
use proto::v1::risk_service_server::RiskServiceServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

pub use config::ServeConfig;
pub use error::{Result, ServeError};

use admission::Admission;
use batcher::Queue;
use grpc::Grpc;
use readiness::Readiness;
use service::Risks;
use telemetry::Telemetry;
use transport::Calls;
use wire::Wire;
use worker::{Device, Surroundings};

/// Time the device has to notice that the server has ended; a thread stuck in a driver cannot be stopped.
const DEVICE_END: Duration = Duration::from_secs(1);

/// What is served.
pub struct Model {
    /// What the bundle says of it.
    pub info: BundleInfo,
    /// Feature rows to curves; owned by one thread from here on.
    pub predictor: Box<dyn Predictor>,
    /// Where it runs, for people and metrics.
    pub device: String,
}

/// Listens on an address; port 0 takes a free one.
///
/// # Errors
/// When the address cannot be had, saying which and why.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })
}

/// Serves the model until `shutdown` resolves, then finishes what was accepted and returns.
///
/// Metrics and probes are answered on `http`, if given. After `shutdown` the health service says NOT_SERVING, nothing
/// more is accepted, calls in flight are answered, and what is left after `drain_ms` is cut off.
///
/// # Errors
/// When the configuration contradicts itself, the bundle's parts disagree, or a thread cannot be started.
pub async fn run(
    listener: TcpListener,
    http: Option<TcpListener>,
    model: Model,
    config: ServeConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    config.validate()?;
    let Model { info, predictor, device } = model;
    let (spec, spec_hash) = (info.spec.clone(), info.spec_hash.clone());
    let telemetry = Arc::new(Telemetry::new(&info, &device, config.queue_capacity_rows));
    let admission = Arc::new(Admission::new(config.queue_capacity_rows));
    let queue = Arc::new(Queue::new(config.max_batch_rows, config.batch_window(), Arc::clone(&telemetry)));
    // Whatever way this function is left, also by being dropped, the device thread ends.
    let _close = CloseOnDrop(Arc::clone(&queue));
    let wire = Wire::try_new(info, &device, &config)?;

    let (device_state, device) = watch::channel(Device::Starting);
    let surroundings = Surroundings {
        queue: Arc::clone(&queue),
        admission: Arc::clone(&admission),
        telemetry: Arc::clone(&telemetry),
        device: device_state,
    };
    let device_ended = worker::spawn(predictor, &spec, &spec_hash, &config, surroundings)?;

    let (stop, stopping) = watch::channel(false);
    let readiness = Readiness::new(device, stopping.clone());
    let reporter = HealthReporter::new();
    let mut background = JoinSet::new();
    background.spawn(readiness.clone().report(reporter.clone()));

    let calls = Calls::default();
    let risks = Risks {
        wire,
        queue: Arc::clone(&queue),
        admission: Arc::clone(&admission),
        telemetry: Arc::clone(&telemetry),
        config: config.clone(),
    };
    let grpc = Grpc::new(routes(risks, reporter, &config)?, &config, calls.clone(), Arc::clone(&telemetry));
    let mut accepting = pin!(transport::accept(listener, config.connections, stopping.clone(), {
        let stopping = stopping.clone();
        move |stream| grpc.clone().connection(stream, stopping.clone())
    }));
    let views = http::Views { telemetry, admission, readiness, config: Arc::new(config.clone()) };
    let mut watched = pin!(serve_http(http, views, &config));
    tracing::info!(config = %toml::to_string(&config).unwrap_or_default(), "serving");

    tokio::select! {
        () = shutdown => {}
        _ = &mut accepting => {}
        () = &mut watched => {}
    }
    tracing::info!("draining");
    stop.send_replace(true);
    let finish = async {
        let connections = accepting.await;
        transport::drain(connections, &calls, config.drain()).await;
    };
    // The HTTP port answers on, so that probes see "draining" and the last counts can be read.
    tokio::select! {
        () = finish => {}
        () = &mut watched => {}
    }
    queue.close();
    if tokio::time::timeout(DEVICE_END, device_ended).await.is_err() {
        tracing::warn!("the device has not finished its batch; leaving it behind");
    }
    Ok(())
}

fn routes(risks: Risks, reporter: HealthReporter, config: &ServeConfig) -> Result<Routes> {
    let risks = RiskServiceServer::new(risks)
        .max_decoding_message_size(config.decode_limit_bytes)
        .max_encoding_message_size(config.encode_limit_bytes);
    let health = tonic_health::server::HealthService::from_health_reporter(reporter);
    let health = tonic_health::pb::health_server::HealthServer::new(health);
    let mut routes = Routes::new(risks).add_service(health);
    if config.reflection {
        let describe = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let failed = |error: tonic_reflection::server::Error| ServeError::Start {
            what: "reflection",
            reason: error.to_string(),
        };
        routes = routes
            .add_service(describe().build_v1().map_err(failed)?)
            .add_service(describe().build_v1alpha().map_err(failed)?);
    }
    Ok(routes)
}

/// Answers metrics and probes for ever, or waits for ever where there is no port for them.
async fn serve_http(listener: Option<TcpListener>, views: http::Views, config: &ServeConfig) {
    let Some(listener) = listener else { return std::future::pending().await };
    let router = http::router(views);
    let timeout = Duration::from_millis(config.http_timeout_ms);
    let (_never, never) = watch::channel(false);
    transport::accept(listener, config.http_connections, never, move |stream| {
        transport::http_connection(router.clone(), stream, timeout)
    })
    .await;
}

struct CloseOnDrop(Arc<Queue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
