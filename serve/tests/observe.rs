//! What an operator sees: health, reflection, the model's card, metrics and probes.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Server, Toy, batch, info, request, spec};
use features::{FeatureBatch, FeatureSpec};
use model::Predictor;
use proto::v1::{GetModelRequest, RowStatus, TimeUnit};
use serve::ServeConfig;
use survival::SurvivalCurve;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn the_card_says_what_a_client_needs() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let mut client = server.client().await;
    let card = client.get_model(GetModelRequest::default()).await.unwrap().into_inner();
    let info = info();
    assert_eq!((&card.name, &card.version, &card.digest), (&info.name, &info.version, &info.digest));
    assert_eq!((card.kind.as_str(), card.time_unit()), ("hazard-net", TimeUnit::Hours));
    assert_eq!(card.grid_edges, info.grid.edges());
    assert_eq!(card.card_markdown, "# toy");
    let spec: FeatureSpec = serde_json::from_str(&card.feature_spec_json).unwrap();
    assert_eq!(spec.hash(), card.feature_spec_hash);
    let metrics: Vec<_> = card.metrics.iter().map(|metric| (metric.id.as_str(), metric.kind.as_str())).collect();
    assert_eq!(metrics, [("mem.working_set", "gauge"), ("mem.limit", "gauge"), ("cpu.time", "counter")]);
    assert_eq!(card.limits.unwrap().rows_per_request, 4096);
    let other = GetModelRequest { model: "other".to_owned(), version: String::new() };
    assert_eq!(client.get_model(other).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions_and_can_be_off() {
    let wanted = ["forewarn.v1.RiskService", "grpc.health.v1.Health"];
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    {
        use tonic_reflection::pb::v1::ServerReflectionRequest;
        use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
        let asked = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        let questions = tokio_stream::iter([
            asked(MessageRequest::ListServices(String::new())),
            asked(MessageRequest::FileContainingSymbol("forewarn.v1.RiskService".to_owned())),
        ]);
        let mut client = ServerReflectionClient::new(server.connect().await);
        let mut answers = client.server_reflection_info(questions).await.unwrap().into_inner();
        let listed = answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = listed else { panic!("{listed:?}") };
        for service in wanted {
            assert!(list.service.iter().any(|known| known.name == service), "{service}");
        }
        let file = answers.next().await.unwrap().unwrap().message_response.unwrap();
        assert!(matches!(file, MessageResponse::FileDescriptorResponse(_)), "{file:?}");
    }
    {
        use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
        use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(server.connect().await);
        let mut answers = client.server_reflection_info(tokio_stream::once(question)).await.unwrap().into_inner();
        assert!(format!("{:?}", answers.next().await.unwrap().unwrap()).contains(wanted[0]));
    }
    server.stop().await;

    let server = Server::start(Toy::new(), ServeConfig { reflection: false, ..ServeConfig::default() }).await;
    let mut client =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(server.connect().await);
    let refused = client.server_reflection_info(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    server.stop().await;
}

/// A device that can be lost.
struct Losable {
    toy: Toy,
    lost: Arc<AtomicBool>,
}

impl Predictor for Losable {
    fn predict(&self, batch: &FeatureBatch) -> model::Result<Vec<SurvivalCurve>> {
        assert!(!self.lost.load(Ordering::SeqCst), "device lost");
        self.toy.predict(batch)
    }
}

async fn health(server: &Server) -> ServingStatus {
    let mut client = HealthClient::new(server.connect().await);
    let asked = HealthCheckRequest { service: "forewarn.v1.RiskService".to_owned() };
    client.check(asked).await.unwrap().into_inner().status()
}

async fn becomes(server: &Server, wanted: ServingStatus) {
    for _ in 0..100 {
        if health(server).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("never {wanted:?}");
}

#[tokio::test]
async fn health_flips_with_the_device_and_comes_back() {
    let lost = Arc::new(AtomicBool::new(false));
    let server = Server::start(Losable { toy: Toy::new(), lost: Arc::clone(&lost) }, ServeConfig::default()).await;
    becomes(&server, ServingStatus::Serving).await;
    let mut client = server.client().await;
    lost.store(true, Ordering::SeqCst);
    for round in 1..=3 {
        let response = client.score(request(&batch(&spec(), 2, round))).await.unwrap().into_inner();
        assert_eq!(response.risks[1].status(), RowStatus::ComputeFailed);
        if round < 3 {
            assert_eq!(health(&server).await, ServingStatus::Serving, "one bad batch does not flip health");
        }
    }
    becomes(&server, ServingStatus::NotServing).await;
    assert!(server.http("/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(server.http("/healthz").await.starts_with("HTTP/1.1 503"));
    lost.store(false, Ordering::SeqCst);
    becomes(&server, ServingStatus::Serving).await;
    assert!(server.http("/healthz").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_open_metrics_and_count_what_happened() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let mut client = server.client().await;
    client.score(request(&batch(&spec(), 7, 1))).await.unwrap();
    let mut wrong = request(&batch(&spec(), 1, 1));
    wrong.horizons = vec![99.0];
    client.score(wrong).await.unwrap_err();
    let text = server.http("/metrics").await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.ends_with("# EOF\n"));
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(name.starts_with("forewarn_") && value.parse::<f64>().is_ok(), "{line}");
    }
    let score = "method=\"/forewarn.v1.RiskService/Score\"";
    for line in [
        format!("forewarn_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        format!("forewarn_rpc_requests_total{{{score},code=\"OK\"}} 1"),
        format!("forewarn_rpc_requests_total{{{score},code=\"INVALID_ARGUMENT\"}} 1"),
        format!("forewarn_rpc_request_duration_seconds_count{{{score}}} 2"),
        "forewarn_requests_rejected_total{reason=\"invalid\"} 1".to_owned(),
        "forewarn_queue_rows{class=\"interactive\"} 0".to_owned(),
        "forewarn_queue_capacity_rows{class=\"interactive\"} 16384".to_owned(),
        "forewarn_queue_wait_seconds_count{class=\"interactive\"} 1".to_owned(),
        "forewarn_batch_rows_sum 7.0".to_owned(),
        "forewarn_inference_duration_seconds_count{model=\"toy\",device=\"cpu (test)\"} 1".to_owned(),
        "forewarn_requests_cancelled_total{stage=\"compute\"} 0".to_owned(),
    ] {
        assert!(body.lines().any(|known| known == line), "{line} in\n{body}");
    }
    assert!(body.contains("forewarn_model_info{model=\"toy\",version=\"0123456789ab\""));
    let ready = server.http("/readyz?verbose").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("max_batch_rows = 1024"), "{ready}");
    assert!(server.http("/elsewhere").await.starts_with("HTTP/1.1 404"));
    server.stop().await;
}
