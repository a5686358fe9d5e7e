//! Too much, too late, gone, and a model that fails.

mod common;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use common::{Server, Toy, assert_same, batch, expected, info, request, spec};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::v1::RowStatus;
use proto::v1::risk_service_client::RiskServiceClient;
use serve::ServeConfig;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::{Code, Request, Status};

/// HTTP/2 and nothing else.
struct Bare(http2::SendRequest<Body>);

impl Bare {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }
}

impl Service<http::Request<Body>> for Bare {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_full_queue_answers_resource_exhausted_at_once() {
    let toy = Toy { pause: Duration::from_millis(400), ..Toy::new() };
    let config =
        ServeConfig { queue_capacity_rows: 4, rows_per_request: 4, max_batch_rows: 2, ..ServeConfig::default() };
    let server = Server::start(toy.clone(), config).await;
    let client = server.client().await;
    let score = |rows, seed| {
        let mut client = client.clone();
        tokio::spawn(async move { client.score(request(&batch(&spec(), rows, seed))).await })
    };
    let running = score(2, 1);
    until(async || toy.batches.load(Ordering::SeqCst) == 1).await;
    let waiting = score(4, 2);
    until(async || server.metric("forewarn_queue_rows{class=\"interactive\"}").await == 4).await;

    let start = Instant::now();
    let refused = score(1, 3).await.unwrap().unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(200), "well before the queue moves");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("4 of 4 queue rows are taken, 1 more do not fit; retry in"), "{refused:?}");
    let pause: u64 = refused.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert!((10..=5000).contains(&pause));

    assert_eq!(running.await.unwrap().unwrap().into_inner().risks.len(), 2);
    assert_eq!(waiting.await.unwrap().unwrap().into_inner().risks.len(), 4);
    assert!(score(4, 4).await.unwrap().is_ok(), "the places are free again");
    assert_eq!(server.metric("forewarn_requests_rejected_total{reason=\"queue_full\"}").await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_request_whose_deadline_passed_in_the_queue_is_never_computed() {
    let toy = Toy { pause: Duration::from_millis(300), ..Toy::new() };
    let server = Server::start(toy.clone(), ServeConfig::default()).await;
    let mut first = server.client().await;
    let running = tokio::spawn(async move { first.score(request(&batch(&spec(), 1, 1))).await });
    until(async || toy.batches.load(Ordering::SeqCst) == 1).await;

    let mut late = Request::new(request(&batch(&spec(), 5, 2)));
    late.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
    // tonic's own channel reads the header too and would answer first, with a status of its own.
    let mut client =
        RiskServiceClient::with_origin(Bare::connect(server.address).await, "http://test".parse().unwrap());
    let start = Instant::now();
    let status = client.score(late).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(
        (Duration::from_millis(40)..Duration::from_millis(250)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    assert!(running.await.unwrap().is_ok());
    until(async || server.metric("forewarn_requests_cancelled_total{stage=\"queue\"}").await == 1).await;
    assert_eq!(toy.computed.load(Ordering::SeqCst), 1, "only the first request was computed");

    let mut expired = Request::new(request(&batch(&spec(), 1, 3)));
    expired.metadata_mut().insert("grpc-timeout", "1n".parse().unwrap());
    assert_eq!(client.score(expired).await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(toy.computed.load(Ordering::SeqCst), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_went_away_is_not_computed_and_frees_its_places() {
    let toy = Toy { pause: Duration::from_millis(200), ..Toy::new() };
    let server = Server::start(toy.clone(), ServeConfig::default()).await;
    let client = server.client().await;
    let mut first = client.clone();
    let running = tokio::spawn(async move { first.score(request(&batch(&spec(), 1, 1))).await });
    until(async || toy.batches.load(Ordering::SeqCst) == 1).await;
    let gone: Vec<_> = (0..20)
        .map(|seed| {
            let mut client = client.clone();
            tokio::spawn(async move { client.score(request(&batch(&spec(), 3, seed))).await })
        })
        .collect();
    until(async || server.metric("forewarn_queue_rows{class=\"interactive\"}").await == 60).await;
    for call in gone {
        call.abort();
    }
    assert!(running.await.unwrap().is_ok());
    until(async || server.metric("forewarn_queue_rows{class=\"interactive\"}").await == 0).await;
    assert_eq!(server.metric("forewarn_requests_cancelled_total{stage=\"queue\"}").await, 20);
    assert_eq!(toy.computed.load(Ordering::SeqCst), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_poisoned_row_fails_alone_and_the_server_lives_on() {
    let toy = Toy { poison: Some("shop/web-7-5"), ..Toy::new() };
    let server = Server::start(toy, ServeConfig::default()).await;
    let mut client = server.client().await;
    let rows = batch(&spec(), 12, 7);
    let wanted = expected(&rows, &info().readout);
    let response = client.score(request(&rows)).await.unwrap().into_inner();
    for (row, risk) in response.risks.iter().enumerate() {
        if row == 5 {
            assert_eq!(risk.status(), RowStatus::ComputeFailed);
            assert!(risk.status_detail.contains("a poisoned row"), "{}", risk.status_detail);
        } else {
            assert_same(risk, &wanted[row]);
        }
    }
    // Again and again alone: the caller's fault, not the device's.
    for _ in 0..5 {
        let alone = client.score(request(&rows.slice(5, 6))).await.unwrap().into_inner();
        assert_eq!(alone.risks[0].status(), RowStatus::ComputeFailed);
    }
    assert!(server.http("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(client.score(request(&rows.slice(0, 5))).await.is_ok());
    server.stop().await;
}

/// The prefix of a message that never comes.
struct Promise(Option<u32>);

impl hyper::body::Body for Promise {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.0.take() {
            None => Poll::Pending,
            Some(length) => {
                let mut prefix = vec![0];
                prefix.extend(length.to_be_bytes());
                Poll::Ready(Some(Ok(Frame::data(prefix.into()))))
            }
        }
    }
}

#[tokio::test]
async fn promised_bytes_are_counted_before_room_is_made() {
    let config = ServeConfig { decode_limit_bytes: 65_536, inflight_request_bytes: 65_536, ..ServeConfig::default() };
    let server = Server::start(Toy::new(), config).await;
    let mut client = server.client().await;
    assert!(client.score(request(&batch(&spec(), 4, 1))).await.is_ok());
    let mut bare = Bare::connect(server.address).await;
    let promise = http::Request::post("http://test/forewarn.v1.RiskService/Score")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Promise(Some(65_536))))
        .unwrap();
    let stalled = tokio::spawn(bare.call(promise));
    let rejected = "forewarn_requests_rejected_total{reason=\"bytes_full\"}";
    until(async || {
        let refused = client.score(request(&batch(&spec(), 4, 1))).await;
        refused
            .is_err_and(|status| status.code() == Code::ResourceExhausted && status.message().contains("65536 bytes"))
    })
    .await;
    assert!(server.metric(rejected).await >= 1);
    stalled.abort();
    until(async || client.score(request(&batch(&spec(), 4, 1))).await.is_ok()).await;
    server.stop().await;
}
