//! What was accepted is answered; what holds on is cut off.

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Server, Toy, batch, request, spec};
use serve::ServeConfig;
use tokio::io::AsyncWriteExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

#[tokio::test]
async fn shutdown_drains_what_was_accepted_and_ends_although_a_client_holds_on() {
    let toy = Toy { pause: Duration::from_millis(300), ..Toy::new() };
    let config = ServeConfig { drain_ms: 5_000, max_batch_rows: 2, ..ServeConfig::default() };
    let mut server = Server::start(toy.clone(), config).await;
    let client = server.client().await;
    let idle = server.connect().await;
    // A client that never says a word, and one that says half of one.
    let _silent = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let mut stuck = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stuck.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let calls: Vec<_> = (0..6)
        .map(|seed| {
            let mut client = client.clone();
            tokio::spawn(async move { client.score(request(&batch(&spec(), 1, seed))).await })
        })
        .collect();
    while server.metric("forewarn_queue_rows{class=\"interactive\"}").await < 1
        || toy.batches.load(Ordering::SeqCst) < 1
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // All six are in: one batch computes, the rest waits.
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.signal();
    let start = Instant::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(server.http("/readyz").await.starts_with("HTTP/1.1 503"), "probes are told while it drains");
    for call in calls {
        call.await.unwrap().expect("an accepted call is answered");
    }
    server.running.await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    drop(idle);
}

#[tokio::test]
async fn shutdown_ends_within_its_limit_when_the_device_does_not() {
    let toy = Toy { pause: Duration::from_secs(6), ..Toy::new() };
    let mut server = Server::start(toy.clone(), ServeConfig { drain_ms: 300, ..ServeConfig::default() }).await;
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.score(request(&batch(&spec(), 1, 1))).await });
    while toy.batches.load(Ordering::SeqCst) < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal();
    let start = Instant::now();
    server.running.await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn health_says_not_serving_before_the_end() {
    let toy = Toy { pause: Duration::from_millis(300), ..Toy::new() };
    let mut server = Server::start(toy.clone(), ServeConfig::default()).await;
    let mut health = HealthClient::new(server.connect().await);
    let mut watching = Vec::new();
    for service in ["", "forewarn.v1.RiskService"] {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let mut changes = health.watch(asked).await.unwrap().into_inner();
        while changes.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
        watching.push(changes);
    }
    let mut client = server.client().await;
    let call = tokio::spawn(async move { client.score(request(&batch(&spec(), 1, 1))).await });
    while toy.batches.load(Ordering::SeqCst) < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal();
    for mut changes in watching {
        assert_eq!(changes.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
    assert!(!call.is_finished(), "told before the last call was answered");
    assert!(call.await.unwrap().is_ok());
    let start = Instant::now();
    server.running.await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "watchers do not hold the server up");
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_error() {
    let taken = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = serve::bind(address).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
    assert!(error.contains("choose another"), "{error}");
}

#[tokio::test]
async fn dropping_the_server_stops_it() {
    let server = Server::start(Toy::new(), ServeConfig::default()).await;
    let mut client = server.client().await;
    client.score(request(&batch(&spec(), 1, 1))).await.unwrap();
    server.running.abort();
    let address = server.address;
    drop(server);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(client.score(request(&batch(&spec(), 1, 1))).await.is_err());
}
