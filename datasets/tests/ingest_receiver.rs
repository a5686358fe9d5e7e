//! The receiver over real sockets: what is stored, what is refused and how, what happens when it is too much.

#![cfg(feature = "ingest")]

mod ingest_support;

use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use datasets::ingest::{ReceiverOptions, now};
use datasets::lake::{LakeOptions, LakeWriter};
use features::canonical::Limits;
use features::sample::STALE_NAN_BITS;
use ingest_support::*;

const MEMORY: &str = "node_memory_MemAvailable_bytes";
const STORED: &str = "node/a node.mem.available";

fn memory(points: &[(i64, f64)]) -> (Labels<'static>, Vec<(i64, f64)>) {
    (named(MEMORY, &[("instance", "a:9100"), ("job", "node")]), points.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_in_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let now = now();
    let request =
        write_request_1(&[memory(&[(now - 2, 1.0), (now - 1, 2.0)]), (named("go_goroutines", &[]), vec![(now, 9.0)])]);
    assert_eq!(post(&receiver, V1, snappy(&request)).await, (204, String::new()));
    // Out of order, and twice: sorted and stored once.
    let request = write_request_1(&[memory(&[(now - 1, 2.0), (now - 3, 0.5)])]);
    assert_eq!(post(&receiver, "application/x-protobuf;proto=prometheus.WriteRequest", snappy(&request)).await.0, 204);

    let health = reqwest::get(format!("{}/-/healthy", receiver.http)).await.unwrap();
    assert_eq!(health.status(), 200);
    assert_eq!(reqwest::get(format!("{}/-/ready", receiver.http)).await.unwrap().status(), 200);
    let figures = reqwest::get(format!("{}/metrics", receiver.http)).await.unwrap().text().await.unwrap();
    for line in [
        "forewarn_ingest_requests_total{protocol=\"remote_write_1\",ending=\"stored\"} 2",
        "forewarn_ingest_samples_received_total{protocol=\"remote_write_1\"} 5",
        "forewarn_ingest_samples_dropped_total{reason=\"unmapped\"} 1",
        "forewarn_ingest_ignored_samples_total{name=\"go_goroutines\",reason=\"unmapped\"} 1",
        "forewarn_ingest_rows_stored_total 4",
        "forewarn_ingest_durable_seconds_count 2",
        "forewarn_ingest_lake_series 1",
    ] {
        assert!(figures.lines().any(|seen| seen == line), "no {line:?} in\n{figures}");
    }
    let stats = receiver.stop().await;
    assert_eq!(stats.rows, 4);
    assert_eq!(stats.ignored, [("go_goroutines".to_owned(), None, 1, 1)]);
    assert_eq!(samples(folder.path(), STORED), [(now - 3, 0.5), (now - 2, 1.0), (now - 1, 2.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_says_how_much_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let now = now();
    let future = now + 86_400_000;
    let good = write_request_2(&[memory(&[(now, 1.0)]), (named("go_goroutines", &[]), vec![(now, 9.0)])]);
    let partial = write_request_2(&[memory(&[(now + 1, 2.0), (future, 3.0)])]);
    for (request, status, written) in [(good, 204, "2"), (partial, 400, "1")] {
        let send = client().post(format!("{}/api/v1/push", receiver.http)).header("content-type", V2);
        let response = send.header("content-encoding", "snappy").body(snappy(&request)).send().await.unwrap();
        assert_eq!(response.status(), status);
        let headers = response.headers();
        assert_eq!(headers["x-prometheus-remote-write-samples-written"], written);
        assert_eq!(headers["x-prometheus-remote-write-histograms-written"], "0");
        assert_eq!(headers["x-prometheus-remote-write-exemplars-written"], "0");
    }
    let (status, text) = post(&receiver, V2, snappy(&write_request_1(&[memory(&[(now, 1.0)])]))).await;
    assert_eq!(status, 400, "{text}");
    receiver.stop().await;
    assert_eq!(samples(folder.path(), STORED), [(now, 1.0), (now + 1, 2.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_refused_in_words_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = ReceiverOptions { max_body: 100_000, max_decoded: 1 << 20, ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), options).await;
    let good = write_request_1(&[memory(&[(now(), 1.0)]), memory(&[(now() + 1, 1.0)])]);
    let mut torn = snappy(&good);
    torn.truncate(torn.len() - 3);
    let mut bomb = Vec::new();
    varint(&mut bomb, u64::from(u32::MAX));
    bomb.extend_from_slice(&[0; 64]);
    let mut honest_bomb = Vec::new();
    varint(&mut honest_bomb, 1 << 20);
    honest_bomb.extend_from_slice(&[0; 64]);
    for (body, part) in [
        (b"not snappy at all".to_vec(), "snappy"),
        (Vec::new(), "snappy"),
        (torn, "snappy"),
        (bomb, "claims 4294967295 bytes"),
        (honest_bomb, "claims 1048576 bytes"),
        (snappy(&good[..good.len() - 5]), "prometheus"),
        (snappy(&[0xff; 40]), "prometheus"),
    ] {
        let (status, text) = post(&receiver, V1, body).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(part), "{text:?} lacks {part:?}");
        assert_eq!(text.trim_end().lines().count(), 1, "one clear message: {text:?}");
    }
    let (status, text) = post(&receiver, V1, vec![0; 100_001]).await;
    assert_eq!(status, 413, "{text}");
    // Without a length, the limit is found while reading.
    let pieces = futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 10_000])));
    let send = client().post(format!("{}/api/v1/write", receiver.http)).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(send.send().await.unwrap().status(), 413);
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-type", "application/x-protobuf;proto=io.prometheus.write.v3.Request"),
        ("content-encoding", "gzip"),
        ("content-encoding", "zstd"),
    ] {
        let send = client().post(format!("{}/api/v1/write", receiver.http)).header(name, value).body(snappy(&good));
        let response = send.send().await.unwrap();
        assert_eq!(response.status(), 415);
        assert!(response.text().await.unwrap().contains(value));
    }
    assert_eq!(client().get(format!("{}/api/v1/write", receiver.http)).send().await.unwrap().status(), 405);
    let stats = receiver.stop().await;
    assert_eq!(stats.rows, 0);
    assert!(content(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_series_are_named_and_the_others_stored() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let now = now();
    let long = "x".repeat(1 << 20);
    let bad: [(Labels<'_>, i64, &[&str]); 4] = [
        (vec![("instance", "a:9100")], now, &["bad_labels", "__name__", "instance"]),
        (named(MEMORY, &[("instance", "a"), ("instance", "b")]), now, &["bad_labels", "\"instance\"", "twice"]),
        (named(MEMORY, &[("instance", &long)]), now, &["bad_labels", "1048576 bytes"]),
        (
            named(MEMORY, &[("instance", "a:9100")]),
            now + 86_400_000,
            &["far_future", "node_memory_MemAvailable_bytes{instance=\"a:9100\"}", "clock"],
        ),
    ];
    for (turn, (labels, time, parts)) in (0_i64..).zip(bad) {
        let request = write_request_1(&[(labels, vec![(time, 1.0)]), memory(&[(now + turn, 5.0)])]);
        let (status, text) = post(&receiver, V1, snappy(&request)).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.starts_with("1 of 2 samples refused, the rest is stored"), "{text}");
        assert!(text.len() < 1000, "a megabyte is not repeated to the sender");
        for part in parts {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    }
    receiver.stop().await;
    assert_eq!(samples(folder.path(), STORED), [(now, 5.0), (now + 1, 5.0), (now + 2, 5.0), (now + 3, 5.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stale_mark_is_stored_and_other_nans_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let now = now();
    let stale = f64::from_bits(STALE_NAN_BITS);
    let other = f64::from_bits(0x7ff0_0000_0000_0001);
    let points = [(now, f64::NAN), (now + 1, other), (now + 2, f64::NEG_INFINITY), (now + 3, -1.0), (now + 4, stale)];
    assert_eq!(post(&receiver, V1, snappy(&write_request_1(&[memory(&points)]))).await.0, 204);
    let stats = receiver.stop().await;
    assert_eq!(stats.dropped, [("non_finite", 3), ("negative", 1)]);
    assert_eq!(content(folder.path())[STORED], [(now + 4, STALE_NAN_BITS)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_series_is_refused_and_the_known_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let lake = LakeWriter::open(folder.path(), LakeOptions { max_series: 50, ..LakeOptions::default() }).unwrap();
    let limits = Limits { max_series: 100, ..Limits::default() };
    let receiver = Receiver::start(pipeline(Arc::new(lake), limits), ReceiverOptions::default()).await;
    let now = now();
    assert_eq!(post(&receiver, V1, snappy(&write_request_1(&[memory(&[(now, 1.0)])]))).await.0, 204);
    for turn in 0..5 {
        let names: Vec<String> = (0..2000).map(|at| format!("host-{turn}-{at}")).collect();
        let series: Vec<_> =
            names.iter().map(|name| (named(MEMORY, &[("instance", name)]), vec![(now, 1.0)])).collect();
        let (status, text) = post(&receiver, V1, snappy(&write_request_1(&series))).await;
        assert_eq!(status, 400);
        assert!(text.contains("series_limit"), "{text}");
    }
    assert_eq!(post(&receiver, V1, snappy(&write_request_1(&[memory(&[(now + 1, 2.0)])]))).await.0, 204);
    let stats = receiver.stop().await;
    assert_eq!(stats.series, 100, "remembered no more than allowed");
    assert_eq!(stats.rows, 51);
    assert_eq!(stats.dropped, [("series_limit", 10_000 - 49)]);
    assert_eq!(samples(folder.path(), STORED), [(now, 1.0), (now + 1, 2.0)]);
    assert_eq!(content(folder.path()).len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_waits_and_is_then_asked_to_come_again() {
    let store = Arc::new(TestStore::default());
    let options =
        ReceiverOptions { max_in_flight: 2, patience: Duration::from_millis(20), ..ReceiverOptions::default() };
    let receiver = Arc::new(Receiver::start(pipeline(store.clone(), Limits::default()), options).await);
    let body = snappy(&write_request_1(&[memory(&[(now(), 1.0)])]));
    store.hold(true);
    let under_way: Vec<_> = (0..2)
        .map(|_| {
            let (receiver, body) = (receiver.clone(), body.clone());
            tokio::spawn(async move { post(&receiver, V1, body).await.0 })
        })
        .collect();
    let waiting = store.clone();
    tokio::task::spawn_blocking(move || waiting.until_waiting(2)).await.unwrap();
    let send = client().post(format!("{}/api/v1/write", receiver.http)).body(body.clone());
    let refused = send.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(refused.text().await.unwrap().contains("2 requests are under way"));
    store.hold(false);
    for request in under_way {
        assert_eq!(request.await.unwrap(), 204);
    }
    assert_eq!(post(&receiver, V1, body).await.0, 204, "there is room again");
    assert_eq!(store.rows().len(), 3, "what was refused was not stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_makes_the_sender_try_again() {
    let store = Arc::new(TestStore::default());
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), ReceiverOptions::default()).await;
    let body = snappy(&write_request_1(&[memory(&[(now(), 1.0)])]));
    store.full.store(true, Ordering::Relaxed);
    let (status, text) = post(&receiver, V1, body.clone()).await;
    assert_eq!(status, 503);
    assert!(text.contains("disk full"), "{text}");
    store.full.store(false, Ordering::Relaxed);
    assert_eq!(post(&receiver, V1, body).await.0, 204);
    assert_eq!(store.rows().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_is_under_way_and_flushes() {
    let store = Arc::new(TestStore::default());
    let mut receiver = Receiver::start(pipeline(store.clone(), Limits::default()), ReceiverOptions::default()).await;
    store.hold(true);
    let url = format!("{}/api/v1/write", receiver.http);
    let body = snappy(&write_request_1(&[memory(&[(now(), 1.0)])]));
    let send = client().post(&url).body(body.clone()).send();
    let under_way = tokio::spawn(async move { send.await.unwrap().status().as_u16() });
    let waiting = store.clone();
    tokio::task::spawn_blocking(move || waiting.until_waiting(1)).await.unwrap();
    receiver.ask_to_stop();
    // The port closes, though a request is still under way.
    while client().post(&url).body(body.clone()).send().await.is_ok_and(|response| response.status() != 503) {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.flushes.load(Ordering::Relaxed), 0, "not before the last rows are safe");
    store.hold(false);
    assert_eq!(under_way.await.unwrap(), 204);
    let stats = receiver.stop().await;
    assert_eq!(stats.rows, store.rows().len() as u64);
    assert_eq!(store.flushes.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_taken() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions { token: Some("s3cret\n".to_owned()), ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), options).await;
    let body = snappy(&write_request_1(&[memory(&[(now(), 1.0)])]));
    for (token, status) in [(None, 401), (Some("s3cre"), 401), (Some("s3cretx"), 401), (Some("s3cret"), 204)] {
        let mut request = client().post(format!("{}/api/v1/write", receiver.http)).body(body.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{token:?}");
    }
    assert_eq!(store.rows().len(), 1);
    let contradiction = ReceiverOptions { token: Some(" \n".to_owned()), ..ReceiverOptions::default() };
    assert!(contradiction.validate().unwrap_err().to_string().contains("token is empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn export_lines_may_be_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let receiver =
        Receiver::start(pipeline(open_lake(folder.path()), Limits::default()), ReceiverOptions::default()).await;
    let now = now();
    let lines = format!(
        "{{\"metric\":{{\"__name__\":\"{MEMORY}\",\"instance\":\"a:9100\"}},\"values\":[1,2.5],\"timestamps\":[{},{now}]}}\n\n",
        now - 1
    );
    let url = format!("{}/api/v1/import", receiver.http);
    assert_eq!(client().post(&url).body(lines.clone()).send().await.unwrap().status(), 204);
    let torn = format!("{lines}{{\"metric\":");
    assert_eq!(client().post(&url).body(torn).send().await.unwrap().status(), 400);
    let packed = client().post(&url).header("content-encoding", "gzip").body(lines);
    assert_eq!(packed.send().await.unwrap().status(), 415);
    receiver.stop().await;
    assert_eq!(samples(folder.path(), STORED), [(now - 1, 1.0), (now, 2.5)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_too_many_samples_is_too_large_and_leaves_nothing() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions { max_samples: 10, ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), options).await;
    let now = now();
    let of = |samples: i64| vec![memory(&(0..samples).map(|at| (now - at, 1.0)).collect::<Vec<_>>())];
    let text = "the request holds more than 10 samples; send smaller batches\n";
    for (content_type, request) in [(V1, write_request_1(&of(11))), (V2, write_request_2(&of(11)))] {
        assert_eq!(post(&receiver, content_type, snappy(&request)).await, (413, text.to_owned()));
    }
    // In many series no message within is large.
    let spread: Vec<_> = (0..11).map(|at| memory(&[(now - at, 1.0)])).collect();
    assert_eq!(post(&receiver, V1, snappy(&write_request_1(&spread))).await.0, 413);
    let lines = format!(
        "{{\"metric\":{{\"__name__\":\"{MEMORY}\",\"instance\":\"a:9100\"}},\"values\":[1,2,3,4,5,6],\"timestamps\":[1,2,3,4,5,6]}}\n"
    );
    let send = client().post(format!("{}/api/v1/import", receiver.http)).body(lines.repeat(2));
    assert_eq!(send.send().await.unwrap().status(), 413);
    assert!(store.rows().is_empty());
    assert_eq!(post(&receiver, V1, snappy(&write_request_1(&of(10)))).await.0, 204);
    assert_eq!(store.rows().len(), 10);
    let none = ReceiverOptions { max_samples: 0, ..ReceiverOptions::default() };
    assert!(none.validate().unwrap_err().to_string().contains("max_samples is 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_of_very_many_empty_samples_is_too_large() {
    let store = Arc::new(TestStore::default());
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), ReceiverOptions::default()).await;
    let mut series = label_fields(&named(MEMORY, &[("instance", "a:9100")]));
    for _ in 0..=ReceiverOptions::default().max_samples {
        field(&mut series, 2, b"");
    }
    let mut request = Vec::new();
    field(&mut request, 1, &series);
    let body = snappy(&request);
    assert!(body.len() < 200_000, "{} bytes", body.len());
    let (status, text) = post(&receiver, V1, body).await;
    assert_eq!((status, text.contains("more than 1000000 samples")), (413, true), "{text}");
    assert!(store.rows().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_too_slowly_may_be_sent_again() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions { body_timeout: Duration::from_millis(50), ..ReceiverOptions::default() };
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), options).await;
    let address = receiver.http.trim_start_matches("http://").to_owned();
    let status = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"POST /api/v1/write HTTP/1.1\r\nHost: receiver\r\nContent-Length: 100\r\n\r\nslow").unwrap();
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status).unwrap();
        status
    });
    assert!(status.await.unwrap().starts_with("HTTP/1.1 503 "), "senders drop what is answered with 400");
}

static CLOCK: AtomicI64 = AtomicI64::new(0);

#[tokio::test(flavor = "multi_thread")]
async fn while_the_clock_lies_behind_what_it_was_samples_are_asked_for_again() {
    let store = Arc::new(TestStore::default());
    let options = ReceiverOptions { clock: || CLOCK.load(Ordering::Relaxed), ..ReceiverOptions::default() };
    let limits = Limits::default();
    let receiver = Receiver::start(pipeline(store.clone(), limits), options).await;
    let begin = now();
    let at = |time: i64| snappy(&write_request_1(&[memory(&[(time, 1.0)])]));
    CLOCK.store(begin, Ordering::Relaxed);
    assert_eq!(post(&receiver, V1, at(begin)).await.0, 204);
    CLOCK.store(begin - limits.max_future - 1, Ordering::Relaxed);
    let (status, text) = post(&receiver, V1, at(begin + 5000)).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("clock fell back by 600001 ms"), "{text}");
    assert_eq!(store.rows().len(), 1);
    // A smaller step is passed over: samples are measured by the latest time that was seen.
    CLOCK.store(begin - limits.max_future, Ordering::Relaxed);
    assert_eq!(post(&receiver, V1, at(begin + limits.max_future)).await.0, 204);
    CLOCK.store(begin + 10_000, Ordering::Relaxed);
    assert_eq!(post(&receiver, V1, at(begin + 10_000)).await.0, 204);
    assert_eq!(store.rows().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_encodings_may_be_written_in_capitals() {
    let store = Arc::new(TestStore::default());
    let receiver = Receiver::start(pipeline(store.clone(), Limits::default()), ReceiverOptions::default()).await;
    let series = [memory(&[(now(), 1.0)])];
    for (content_type, request) in [
        ("Application/X-Protobuf", write_request_1(&series)),
        ("application/X-protobuf; Proto=io.prometheus.write.v2.Request", write_request_2(&series)),
    ] {
        let send = client().post(format!("{}/api/v1/write", receiver.http)).header("content-type", content_type);
        let response = send.header("content-encoding", "Snappy").body(snappy(&request)).send().await.unwrap();
        assert_eq!(response.status(), 204, "{content_type}");
    }
    assert_eq!(store.rows().len(), 2);
}
