//! What the server counts and measures, in base units. Never an entity key as a label.

use std::sync::Arc;
use std::time::Duration;

use model::BundleInfo;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use proto::v1::RowStatus;
use tonic::Code;

use crate::admission::Admission;

/// Only one class of requests exists so far; the label is there so that a second one breaks no dashboard.
const CLASS: &str = "interactive";

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Rpc {
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Rows {
    model: Arc<str>,
    version: Arc<str>,
    class: &'static str,
    row_status: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OnDevice {
    model: Arc<str>,
    device: Arc<str>,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

/// The registry and a handle on everything in it that is written while serving.
pub(crate) struct Telemetry {
    registry: Registry,
    requests: Family<Rpc, Counter>,
    durations: Family<Method, Histogram, fn() -> Histogram>,
    rows: Vec<(RowStatus, Counter)>,
    queue_rows: Gauge,
    queue_wait: Histogram,
    batch_rows: Histogram,
    inference: Histogram,
    rejected: Family<Reason, Counter>,
    cancelled: Family<Stage, Counter>,
}

impl Telemetry {
    pub(crate) fn new(info: &BundleInfo, device: &str, capacity: usize) -> Self {
        let mut registry = Registry::with_prefix("forewarn");
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "Build of this server", Info::new(version));
        let model = vec![
            ("model", info.name.clone()),
            ("version", info.version.clone()),
            ("digest", info.digest.clone()),
            ("device", device.to_owned()),
        ];
        registry.register("model", "Model that answers", Info::new(model));

        let requests = Family::<Rpc, Counter>::default();
        registry.register("rpc_requests", "Calls answered, by method and status", requests.clone());
        let durations =
            Family::<Method, Histogram, fn() -> Histogram>::new_with_constructor(seconds as fn() -> Histogram);
        registry.register_with_unit(
            "rpc_request_duration",
            "From the request's headers to the answer's",
            Unit::Seconds,
            durations.clone(),
        );

        let by_status = Family::<Rows, Counter>::default();
        registry.register("rows", "Rows answered, by what became of them", by_status.clone());
        let name: Arc<str> = info.name.as_str().into();
        let version: Arc<str> = info.version.as_str().into();
        let rows = STATUSES
            .iter()
            .map(|&(status, row_status)| {
                let labels = Rows { model: Arc::clone(&name), version: Arc::clone(&version), class: CLASS, row_status };
                (status, by_status.get_or_create_owned(&labels))
            })
            .collect();

        let class = Class { class: CLASS };
        let waiting = Family::<Class, Gauge>::default();
        registry.register("queue_rows", "Rows that wait for the device", waiting.clone());
        let room = Family::<Class, Gauge>::default();
        registry.register("queue_capacity_rows", "Rows that may wait", room.clone());
        room.get_or_create(&class).set(i64::try_from(capacity).unwrap_or(i64::MAX));
        let waits = Family::<Class, Histogram, fn() -> Histogram>::new_with_constructor(seconds as fn() -> Histogram);
        registry.register_with_unit("queue_wait", "From admission to the device", Unit::Seconds, waits.clone());

        let batch_rows = Histogram::new(exponential_buckets(1.0, 2.0, 13));
        registry.register("batch_rows", "Rows computed together", batch_rows.clone());
        let inferences =
            Family::<OnDevice, Histogram, fn() -> Histogram>::new_with_constructor(seconds as fn() -> Histogram);
        registry.register_with_unit("inference_duration", "One batch on the device", Unit::Seconds, inferences.clone());

        let rejected = Family::<Reason, Counter>::default();
        registry.register("requests_rejected", "Score calls refused, by reason", rejected.clone());
        let cancelled = Family::<Stage, Counter>::default();
        registry.register("requests_cancelled", "Parts of calls nobody waited for any more", cancelled.clone());
        for stage in ["queue", "compute"] {
            cancelled.get_or_create_owned(&Stage { stage });
        }

        Self {
            requests,
            durations,
            rows,
            queue_rows: waiting.get_or_create_owned(&class),
            queue_wait: waits.get_or_create_owned(&class),
            batch_rows,
            inference: inferences.get_or_create_owned(&OnDevice { model: name, device: device.into() }),
            rejected,
            cancelled,
            registry,
        }
    }

    pub(crate) fn rpc(&self, method: &'static str, code: Code, took: Duration) {
        self.requests.get_or_create(&Rpc { method, code: code_name(code) }).inc();
        self.durations.get_or_create(&Method { method }).observe(took.as_secs_f64());
    }

    pub(crate) fn row(&self, status: RowStatus, rows: usize) {
        if let Some((_, counter)) = self.rows.iter().find(|(known, _)| *known == status) {
            counter.inc_by(u64::try_from(rows).unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn queue_wait(&self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64());
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 rows")]
    pub(crate) fn batch(&self, rows: usize, took: Duration) {
        self.batch_rows.observe(rows as f64);
        self.inference.observe(took.as_secs_f64());
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn cancelled(&self, stage: &'static str) {
        self.cancelled.get_or_create(&Stage { stage }).inc();
    }

    /// OpenMetrics text of now.
    pub(crate) fn text(&self, admission: &Admission) -> Result<String, std::fmt::Error> {
        self.queue_rows.set(i64::try_from(admission.waiting()).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Row statuses this server sends, and their label.
const STATUSES: [(RowStatus, &str); 5] = [
    (RowStatus::Ok, "ok"),
    (RowStatus::InsufficientHistory, "insufficient_history"),
    (RowStatus::InvalidInput, "invalid_input"),
    (RowStatus::NonFinite, "non_finite"),
    (RowStatus::ComputeFailed, "compute_failed"),
];

/// 100 µs to 13 s, each bucket twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 18))
}

/// Names of the gRPC documentation.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
