//! OTLP over gRPC and HTTP, as a collector or an SDK sends it.

#![cfg(feature = "ingest")]

mod ingest_support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, BufMut};
use datasets::ingest::{ReceiverOptions, now};
use features::canonical::Limits;
use features::sample::STALE_NAN_BITS;
use flate2::Compression;
use flate2::write::GzEncoder;
use ingest_support::*;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

const GAUGE: &str = "container.memory.working_set";
const COUNTER: &str = "container.cpu.time";

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A point at milliseconds, accumulated since milliseconds.
fn point(time: i64, start: i64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: time.cast_unsigned() * 1_000_000 + 999_999,
        start_time_unix_nano: start.cast_unsigned() * 1_000_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn gauge(points: Vec<NumberDataPoint>) -> Metric {
    Metric { name: GAUGE.to_owned(), data: Some(Data::Gauge(Gauge { data_points: points })), ..Metric::default() }
}

fn sum(temporality: AggregationTemporality, points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum { data_points: points, aggregation_temporality: temporality as i32, is_monotonic: true };
    Metric { name: COUNTER.to_owned(), data: Some(Data::Sum(sum)), ..Metric::default() }
}

fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let attributes = vec![
        attribute("k8s.namespace.name", "shop"),
        attribute("k8s.pod.name", "cart"),
        attribute("k8s.container.name", "app"),
        attribute("k8s.pod.uid", "u1"),
    ];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
}

/// Sends bytes as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = message.remaining();
        Ok(Some(message.copy_to_bytes(length).to_vec()))
    }
}

async fn grpc(receiver: &Receiver) -> MetricsServiceClient<tonic::transport::Channel> {
    MetricsServiceClient::connect(receiver.otlp.clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gauges_counters_deltas_and_missing_values_reach_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let mut client =
        grpc(&receiver).await.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    let t = now() - 60_000;
    let missing = NumberDataPoint { flags: 1, value: None, ..point(t + 2000, 0, 0.0) };
    let cumulative = AggregationTemporality::Cumulative;
    let first = request(vec![gauge(vec![point(t, 0, 7.0), missing]), sum(cumulative, vec![point(t, t - 10_000, 5.0)])]);
    // Restarted in between, and already higher than before: only the start says so.
    let second = request(vec![sum(cumulative, vec![point(t + 10_000, t + 3000, 6.0)])]);
    for request in [first, second] {
        assert_eq!(client.export(request).await.unwrap().into_inner(), ExportMetricsServiceResponse::default());
    }
    receiver.stop().await;
    assert_eq!(
        samples(folder.path(), "container/shop/cart/app cpu.time"),
        [(t - 10_000, 0.0), (t, 5.0), (t + 3000, 0.0), (t + 10_000, 6.0)]
    );
    let gauge = &content(folder.path())["container/shop/cart/app mem.working_set"];
    assert_eq!(gauge, &[(t, 7.0_f64.to_bits()), (t + 2000, STALE_NAN_BITS)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_are_summed_and_a_repeated_export_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let mut client = grpc(&receiver).await;
    let t = now() - 60_000;
    let delta = AggregationTemporality::Delta;
    let first = request(vec![sum(delta, vec![point(t, t - 10_000, 5.0)])]);
    let second = request(vec![sum(delta, vec![point(t + 10_000, t, 2.0)])]);
    for request in [first, second.clone(), second] {
        client.export(request).await.unwrap();
    }
    let stats = receiver.stop().await;
    assert_eq!(stats.dropped, [("repeated", 1)]);
    assert_eq!(
        samples(folder.path(), "container/shop/cart/app cpu.time"),
        [(t - 9_999, 0.0), (t, 5.0), (t + 10_000, 7.0)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_counted_in_the_answer_and_the_rest_stored() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let t = now();
    let points = vec![point(t, 0, 1.0), point(t + 86_400_000, 0, 2.0), point(t + 86_400_001, 0, 3.0)];
    let answer = grpc(&receiver).await.export(request(vec![gauge(points)])).await.unwrap().into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 2);
    assert!(partial.error_message.contains(GAUGE) && partial.error_message.contains("clock"), "{partial:?}");
    receiver.stop().await;
    assert_eq!(samples(folder.path(), "container/shop/cart/app mem.working_set"), [(t, 1.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_pass_and_larger_ones_are_refused() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions { max_decoded: 8 << 20, ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), options).await;
    let t = now();
    let of = |points: i64| request(vec![gauge((0..points).map(|at| point(t - at, 0, 1.0)).collect())]);
    let large = of(250_000);
    assert!(large.encoded_len() > 4 << 20, "more than the library takes unless told");
    grpc(&receiver).await.export(large).await.unwrap();
    assert_eq!(store.rows().len(), 250_000);
    let error = grpc(&receiver).await.export(of(500_000)).await.unwrap_err();
    // OUT_OF_RANGE, as the library has it, would be sent again for ever.
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert!(error.message().contains("the limit is: 8388608 bytes"), "{error}");
    assert!(error.details().is_empty(), "with a retry hint it would be sent again as well");
    assert_eq!(store.rows().len(), 250_000);
    let stats = receiver.stop().await;
    assert_eq!(stats.requests, [("otlp_grpc", "stored", 1), ("otlp_grpc", "too_large", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_too_many_points_is_too_large_and_leaves_nothing() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions { max_samples: 3, ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), options).await;
    let t = now();
    let of = |points: i64| request(vec![gauge((0..points).map(|at| point(t - at, 0, 1.0)).collect())]);
    let text = "the request holds more than 3 samples; send smaller batches";
    let error = grpc(&receiver).await.export(of(4)).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::ResourceExhausted, text));
    let send = client().post(format!("{}/v1/metrics", receiver.http)).header("content-type", V1);
    let response = send.body(of(4).encode_to_vec()).send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert!(String::from_utf8_lossy(&response.bytes().await.unwrap()).contains(text));
    assert!(store.rows().is_empty());
    grpc(&receiver).await.export(of(3)).await.unwrap();
    assert_eq!(store.rows().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_such_message_must_not_be_sent_again() {
    let store = Arc::new(TestStore::default());
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), ReceiverOptions::default()).await;
    let channel = tonic::transport::Channel::from_shared(receiver.otlp.clone()).unwrap().connect().await.unwrap();
    for (method, code) in [("Export", Code::InvalidArgument), ("Import", Code::Unimplemented)] {
        let path = format!("/opentelemetry.proto.collector.metrics.v1.MetricsService/{method}");
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.unwrap();
        let answer = client.unary(tonic::Request::new(vec![0xff; 40]), path.parse().unwrap(), Raw).await;
        assert_eq!(answer.unwrap_err().code(), code, "{method}");
    }
    assert!(store.rows().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_cannot_be_stored_are_rejected_points_here_and_repeated_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let mut client = grpc(&receiver).await;
    let t = now() - 60_000;
    let delta = sum(AggregationTemporality::Delta, vec![point(t, t - 10_000, 5.0)]);
    let points = vec![point(t, 0, -1.0), point(t + 1, 0, f64::NAN), point(t + 2, 0, 3.0)];
    let first = client.export(request(vec![delta.clone(), gauge(points)])).await.unwrap().into_inner();
    let partial = first.partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 2);
    assert!(partial.error_message.contains("2 of 4 samples refused"), "{partial:?}");
    assert!(partial.error_message.contains("negative") && partial.error_message.contains(GAUGE), "{partial:?}");
    let repeated = client.export(request(vec![delta])).await.unwrap().into_inner();
    assert_eq!(repeated.partial_success, None);
    receiver.stop().await;
    assert_eq!(samples(folder.path(), "container/shop/cart/app mem.working_set"), [(t + 2, 3.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_is_acknowledged_and_counted_once_when_the_disk_failed_in_between() {
    let store = Arc::new(TestStore::default());
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), ReceiverOptions::default()).await;
    let mut client = grpc(&receiver).await;
    let t = now() - 60_000;
    let delta = |time: i64, value: f64| {
        request(vec![sum(AggregationTemporality::Delta, vec![point(time, time - 10_000, value)])])
    };
    let values = || store.rows().iter().map(|row| row.value as i64).collect::<Vec<_>>();
    store.unsynced.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        // The store keeps the rows and has not written them, so neither the first nor its repetition is safe.
        assert_eq!(client.export(delta(t, 5.0)).await.unwrap_err().code(), Code::Unavailable);
    }
    store.unsynced.store(false, Ordering::Relaxed);
    client.export(delta(t, 5.0)).await.unwrap();
    assert_eq!(values(), [0, 5]);
    store.full.store(true, Ordering::Relaxed);
    assert_eq!(client.export(delta(t + 10_000, 2.0)).await.unwrap_err().code(), Code::Unavailable);
    store.full.store(false, Ordering::Relaxed);
    client.export(delta(t + 10_000, 2.0)).await.unwrap();
    assert_eq!(values(), [0, 5, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_delta_is_acknowledged_after_the_first() {
    let store = Arc::new(TestStore::default());
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), ReceiverOptions::default()).await;
    let t = now() - 60_000;
    let delta = request(vec![sum(AggregationTemporality::Delta, vec![point(t, t - 10_000, 5.0)])]);
    store.hold(true);
    let mut exports = Vec::new();
    for requests in 1..=2 {
        let (mut client, delta) = (grpc(&receiver).await, delta.clone());
        exports.push(tokio::spawn(async move { client.export(delta).await }));
        let waiting = store.clone();
        // Fails where a request was answered before its rows are safe.
        tokio::task::spawn_blocking(move || waiting.until_waiting(requests)).await.unwrap();
    }
    store.hold(false);
    for export in exports {
        export.await.unwrap().unwrap();
    }
    assert_eq!(store.rows().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_inflated_only_when_there_is_a_decoder_for_it() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions { decoders: 1, ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), options).await;
    let url = format!("{}/v1/metrics", receiver.http);
    store.hold_registering(true);
    let send = client().post(&url).header("content-type", V1);
    let send = send.body(request(vec![gauge(vec![point(now(), 0, 1.0)])]).encode_to_vec()).send();
    let first = tokio::spawn(async move { send.await.unwrap().status().as_u16() });
    let decoding = store.clone();
    tokio::task::spawn_blocking(move || decoding.until_registering(1)).await.unwrap();
    let send = client().post(&url).header("content-type", V1).header("content-encoding", "GZIP");
    let mut torn = tokio::spawn(async move { send.body("no gzip").send().await.unwrap().status().as_u16() });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut torn).await;
    assert!(early.is_err(), "found to be torn while the only decoder was busy: {early:?}");
    store.hold_registering(false);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(torn.await.unwrap(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_and_a_failing_disk_are_unavailable_and_a_missing_token_is_said() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions {
        max_in_flight: 1,
        patience: Duration::from_millis(20),
        token: Some("s3cret".to_owned()),
        ..ReceiverOptions::default()
    };
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), options).await;
    let mut client = grpc(&receiver).await;
    let signed = || {
        let mut request = tonic::Request::new(request(vec![gauge(vec![point(now(), 0, 1.0)])]));
        request.metadata_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
        request
    };
    let unsigned = client.export(signed().into_inner()).await.unwrap_err();
    assert_eq!(unsigned.code(), Code::Unauthenticated);

    store.hold(true);
    // A connection of its own: one takes no more streams than requests may be under way.
    let mut other = grpc(&receiver).await;
    let first = signed();
    let under_way = tokio::spawn(async move { other.export(first).await });
    let waiting = store.clone();
    tokio::task::spawn_blocking(move || waiting.until_waiting(1)).await.unwrap();
    let busy = client.export(signed()).await.unwrap_err();
    assert_eq!((busy.code(), busy.message()), (Code::Unavailable, "1 requests are under way; send it again later"));
    store.hold(false);
    under_way.await.unwrap().unwrap();

    store.full.store(true, Ordering::Relaxed);
    assert_eq!(client.export(signed()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(store.rows().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_http_plain_and_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let options = ReceiverOptions { max_body: 64 << 10, max_decoded: 64 << 10, ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), options).await;
    let url = format!("{}/v1/metrics", receiver.http);
    let t = now();
    let send = |body: Vec<u8>, content_type: &str, encoding: &str| {
        let request = client().post(&url).header("content-type", content_type);
        request.header("content-encoding", encoding).body(body).send()
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let plain = request(vec![gauge(vec![point(t, 0, 1.0)])]).encode_to_vec();
    let packed = gzip(&request(vec![gauge(vec![point(t + 1, 0, 2.0), point(t + 86_400_000, 0, 2.0)])]).encode_to_vec());
    let answer = send(plain.clone(), V1, "identity").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.unwrap().is_empty());
    let answer = send(packed, V1, "gzip").await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = ExportMetricsServiceResponse::decode(answer.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_data_points, 1);

    assert_eq!(send(plain.clone(), "application/json", "identity").await.unwrap().status(), 415);
    assert_eq!(send(plain.clone(), V1, "zstd").await.unwrap().status(), 415);
    assert_eq!(send(plain, V1, "gzip").await.unwrap().status(), 400);
    assert_eq!(send(vec![0xff; 100], V1, "identity").await.unwrap().status(), 400);
    assert_eq!(send(gzip(&vec![0; 1 << 20]), V1, "gzip").await.unwrap().status(), 413);
    receiver.stop().await;
    assert_eq!(samples(folder.path(), "container/shop/cart/app mem.working_set"), [(t, 1.0), (t + 1, 2.0)]);
}
