//! The past of a Prometheus and of a VictoriaMetrics, asked of small servers that answer as those do, or badly.

#![cfg(feature = "ingest")]

mod ingest_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use datasets::Silent;
use datasets::ingest::files::{FileKind, FileTarget, TablePlan, import};
use datasets::ingest::history::{Moment, Period};
use datasets::ingest::prometheus::{self, Mode};
use datasets::ingest::{
    Auth, Endpoint, HistoryOptions, HistoryReport, Pipeline, ReceiverOptions, RowStore, now, victoria,
};
use datasets::lake::{CompactOptions, Lake, Table, compact};
use features::Catalogue;
use features::canonical::Limits;
use features::mapping::MappingSet;
use features::sample::STALE_NAN_BITS;
use ingest_support::*;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prost::Message;

const FROM: i64 = 1_700_000_000_000;
const STEP: i64 = 15_000;
const SAMPLES: i64 = 100;
const MEMORY: &str = "node_memory_MemAvailable_bytes";
const LOAD: &str = "node_memory_MemTotal_bytes";

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
    #[prost(int32, repeated, tag = "2")]
    accepted: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    from: i64,
    #[prost(int64, tag = "2")]
    until: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<Matcher>,
}

#[derive(Clone, PartialEq, Message)]
struct Matcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

/// How the server treats its nth request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    /// One byte of a frame is wrong.
    Corrupt,
    /// The connection breaks inside the answer.
    Torn,
    Status(u16, &'static str),
    /// Answers samples though chunks are asked for.
    Old,
    /// The connection breaks, and nobody listens for a while.
    Restarts,
}

/// By name and instance, or name and `label=value,label=value`.
type Data = BTreeMap<(&'static str, &'static str), Vec<(i64, f64)>>;

struct Server {
    data: Data,
    mood: Box<dyn Fn(usize) -> Mood + Send + Sync>,
    requests: AtomicUsize,
    /// Names and spans asked for.
    asked: Mutex<Vec<(String, i64, i64)>>,
    url: Mutex<String>,
    listening: Mutex<Option<tokio::task::AbortHandle>>,
}

fn data() -> Data {
    let mut data = Data::new();
    for (name, scale) in [(MEMORY, 1.0), (LOAD, 0.5), ("go_goroutines", 2.0)] {
        for instance in ["a:9100", "b:9100"] {
            let points = (0..SAMPLES).map(|at| (FROM + at * STEP, scale * (1000 + at % 7) as f64));
            data.insert((name, instance), points.collect());
        }
    }
    // One that ends.
    data.get_mut(&(MEMORY, "b:9100")).unwrap().truncate(50);
    data.get_mut(&(MEMORY, "b:9100")).unwrap().push((FROM + 50 * STEP, f64::from_bits(STALE_NAN_BITS)));
    data
}

impl Server {
    async fn start(mood: impl Fn(usize) -> Mood + Send + Sync + 'static) -> Arc<Self> {
        Self::of(data(), mood).await
    }

    async fn of(data: Data, mood: impl Fn(usize) -> Mood + Send + Sync + 'static) -> Arc<Self> {
        let server = Arc::new(Self {
            data,
            mood: Box::new(mood),
            requests: AtomicUsize::new(0),
            asked: Mutex::default(),
            url: Mutex::default(),
            listening: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        *server.url.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        server.listen(listener);
        server
    }

    fn listen(self: &Arc<Self>, listener: tokio::net::TcpListener) {
        let router = Router::new()
            .route("/api/v1/read", post(read))
            .route("/api/v1/export", get(export))
            .route("/api/v1/label/__name__/values", get(names))
            .with_state(self.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        *self.listening.lock().unwrap() = Some(task.abort_handle());
    }

    /// Returns once nobody listens any more; somebody will again on the same port.
    async fn restart(self: &Arc<Self>) {
        let listening = self.listening.lock().unwrap().take();
        listening.unwrap().abort();
        let address = self.url.lock().unwrap().trim_start_matches("http://").to_owned();
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        let server = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.listen(tokio::net::TcpListener::bind(&address).await.unwrap());
        });
    }

    fn endpoint(&self) -> Endpoint {
        let url = self.url.lock().unwrap().clone();
        Endpoint { pause: Duration::from_millis(1), ..Endpoint::new(url) }
    }

    fn mood(&self) -> Mood {
        (self.mood)(self.requests.fetch_add(1, Ordering::SeqCst))
    }

    fn series(&self, pattern: &str) -> impl Iterator<Item = (Labels<'static>, &Vec<(i64, f64)>)> {
        let names: Vec<String> = pattern.split('|').map(|name| name.replace('\\', "")).collect();
        let wanted = self.data.iter().filter(move |((name, _), _)| names.iter().any(|wanted| wanted == name));
        wanted.map(|((name, labels), points)| (labels_of(name, labels), points))
    }
}

fn labels_of(name: &'static str, labels: &'static str) -> Labels<'static> {
    if !labels.contains('=') {
        return named(name, &[("instance", labels)]);
    }
    named(name, &labels.split(',').map(|pair| pair.split_once('=').unwrap()).collect::<Vec<_>>())
}

async fn read(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let request = ReadRequest::decode(request.as_slice()).unwrap();
    assert_eq!(headers["content-encoding"], "snappy");
    let query = &request.queries[0];
    assert_eq!((query.matchers[0].kind, query.matchers[0].name.as_str()), (2, "__name__"));
    let pattern = query.matchers[0].value.clone();
    let mood = server.mood();
    if let Mood::Status(status, text) = mood {
        return (StatusCode::from_u16(status).unwrap(), text).into_response();
    }
    if mood == Mood::Restarts {
        server.restart().await;
    }
    server.asked.lock().unwrap().push((pattern.clone(), query.from, query.until));
    let inside = |time: &i64| (query.from..=query.until).contains(time);
    // As Prometheus chooses: the first form it knows.
    if request.accepted.first() == Some(&1) && mood != Mood::Old {
        let mut stream = Vec::new();
        for (labels, points) in server.series(&pattern) {
            // As on disk: whole chunks that touch the span, whatever else they hold.
            let chunks: Vec<_> = points.chunks(30).filter(|chunk| chunk.iter().any(|(time, _)| inside(time))).collect();
            if !chunks.is_empty() {
                frame(&mut stream, &chunked_series(&labels, &chunks));
            }
        }
        if mood == Mood::Corrupt {
            *stream.last_mut().unwrap() ^= 1;
        }
        return streamed("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", &stream, mood);
    }
    let mut result = Vec::new();
    for (labels, points) in server.series(&pattern) {
        let points: Vec<_> = points.iter().filter(|(time, _)| inside(time)).copied().collect();
        field(&mut result, 1, &time_series(&labels, &points));
    }
    let mut response = Vec::new();
    field(&mut response, 1, &result);
    ([("content-type", "application/x-protobuf"), ("content-encoding", "snappy")], snappy(&response)).into_response()
}

async fn export(State(server): State<Arc<Server>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap();
    let parameter = |name: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        percent_decoded(found.unwrap_or_else(|| panic!("no {name} in {query}")))
    };
    let pattern = parameter("match%5B%5D");
    let pattern = pattern.strip_prefix("{__name__=~\"").unwrap().strip_suffix("\"}").unwrap().to_owned();
    let milliseconds = |name: &str| (parameter(name).parse::<f64>().unwrap() * 1000.0).round() as i64;
    let (from, until) = (milliseconds("start"), milliseconds("end"));
    let mood = server.mood();
    if let Mood::Status(status, text) = mood {
        return (StatusCode::from_u16(status).unwrap(), text).into_response();
    }
    server.asked.lock().unwrap().push((pattern.clone(), from, until));
    let mut text = String::new();
    for (labels, points) in server.series(&pattern) {
        let seen = |&&(time, value): &&(i64, f64)| (from..=until).contains(&time) && !value.is_nan();
        let points: Vec<_> = points.iter().filter(seen).collect();
        if !points.is_empty() {
            let line = serde_json::json!({
                "metric": labels.into_iter().collect::<BTreeMap<_, _>>(),
                "values": points.iter().map(|point| point.1).collect::<Vec<_>>(),
                "timestamps": points.iter().map(|point| point.0).collect::<Vec<_>>(),
            });
            text += &format!("{line}\n");
        }
    }
    streamed("application/stream+json", text.as_bytes(), mood)
}

async fn names(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|value| value != "Basic bWU6c2VjcmV0")
        || !headers.contains_key("x-scope-orgid")
    {
        return (StatusCode::UNAUTHORIZED, "who are you?").into_response();
    }
    let names: Vec<_> = server.data.keys().map(|(name, _)| name).collect();
    serde_json::json!({"status": "success", "data": names}).to_string().into_response()
}

/// Sent in pieces that respect no boundary; a torn one ends in an error.
fn streamed(content_type: &str, bytes: &[u8], mood: Mood) -> Response {
    let torn = matches!(mood, Mood::Torn | Mood::Restarts);
    let whole = if torn { bytes.len() / 2 } else { bytes.len() };
    let mut pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        bytes[..whole].chunks(37).map(|piece| Ok(piece.to_vec())).collect();
    if torn {
        pieces.push(Err(std::io::Error::other("the server died")));
    }
    ([("content-type", content_type)], Body::from_stream(futures_util::stream::iter(pieces))).into_response()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'%' => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                rest = &rest[2..];
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn frame(stream: &mut Vec<u8>, message: &[u8]) {
    varint(stream, message.len() as u64);
    stream.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
    stream.extend_from_slice(message);
}

/// A `ChunkedReadResponse` of one series.
fn chunked_series(labels: &Labels<'_>, chunks: &[&[(i64, f64)]]) -> Vec<u8> {
    let mut series = label_fields(labels);
    for points in chunks {
        let mut chunk = Vec::new();
        number(&mut chunk, 1, points[0].0.cast_unsigned());
        number(&mut chunk, 2, points[points.len() - 1].0.cast_unsigned());
        number(&mut chunk, 3, 1);
        field(&mut chunk, 4, &xor_chunk(points));
        field(&mut series, 2, &chunk);
    }
    let mut response = Vec::new();
    field(&mut response, 1, &series);
    response
}

/// The plainest encoding that is a Gorilla chunk: differences of differences in full, values as whole words.
fn xor_chunk(points: &[(i64, f64)]) -> Vec<u8> {
    let mut bits = Bits { bytes: u16::try_from(points.len()).unwrap().to_be_bytes().to_vec(), used: 0 };
    let mut difference = 0;
    for (at, &(time, value)) in points.iter().enumerate() {
        if at == 0 {
            let mut first = Vec::new();
            varint(&mut first, ((time << 1) ^ (time >> 63)).cast_unsigned());
            first.extend_from_slice(&value.to_bits().to_be_bytes());
            first.iter().for_each(|&byte| bits.push(u64::from(byte), 8));
            continue;
        }
        let (time_before, value_before) = points[at - 1];
        let next = time - time_before;
        if at == 1 {
            let mut second = Vec::new();
            varint(&mut second, next.cast_unsigned());
            second.iter().for_each(|&byte| bits.push(u64::from(byte), 8));
        } else if next == difference {
            bits.push(0, 1);
        } else {
            bits.push(0b1111, 4);
            bits.push((next - difference).cast_unsigned(), 64);
        }
        difference = next;
        let word = value.to_bits() ^ value_before.to_bits();
        if word == 0 {
            bits.push(0, 1);
        } else {
            // A new window of all 64 bits, whose count is written as 0.
            bits.push(0b11, 2);
            bits.push(0, 5);
            bits.push(0, 6);
            bits.push(word, 64);
        }
    }
    bits.bytes
}

struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u64, count: u32) {
        for at in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::from(value >> at & 1 == 1);
            *self.bytes.last_mut().unwrap() |= bit << (7 - self.used % 8);
            self.used += 1;
        }
    }
}

/// Everything mapped, until before the 90th sample.
fn expected() -> Content {
    expected_until(UNTIL)
}

fn expected_until(until: i64) -> Content {
    let mut content = Content::new();
    for ((name, instance), points) in data() {
        let metric = match name {
            MEMORY => "node.mem.available",
            LOAD => "node.mem.total",
            _ => continue,
        };
        let points = points.into_iter().filter(|(time, _)| *time < until).map(|(time, value)| (time, value.to_bits()));
        let host = instance.trim_end_matches(":9100");
        content.insert(format!("node/{host} {metric}"), points.collect());
    }
    content
}

const UNTIL: i64 = FROM + 90 * STEP;

fn wanted() -> Vec<String> {
    ["go_goroutines", MEMORY, LOAD].map(str::to_owned).to_vec()
}

/// 300 s of 20 samples and series, two names at once.
fn options() -> HistoryOptions {
    HistoryOptions { window: 20 * STEP, batch: 2, known_after: 60_000, max_rows: 1000 }
}

async fn backfill(
    server: &Server,
    mode: Mode,
    dir: &Path,
    options: &HistoryOptions,
) -> datasets::Result<HistoryReport> {
    let pipeline = pipeline(open_lake(dir), Limits::default());
    let period = Period::fixed(FROM, UNTIL);
    prometheus::backfill(&server.endpoint(), mode, &wanted(), &period, options, pipeline, &Silent).await
}

async fn backfill_period(endpoint: &Endpoint, dir: &Path, period: &Period) -> datasets::Result<HistoryReport> {
    let pipeline = pipeline(open_lake(dir), Limits::default());
    prometheus::backfill(endpoint, Mode::Streamed, &wanted(), period, &options(), pipeline, &Silent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_modes_and_an_old_server_bring_the_same_history() {
    for (mode, mood) in [(Mode::Streamed, Mood::Good), (Mode::Samples, Mood::Good), (Mode::Streamed, Mood::Old)] {
        let server = Server::start(move |_| mood).await;
        let folder = tempfile::tempdir().unwrap();
        let report = backfill(&server, mode, folder.path(), &options()).await.unwrap();
        assert_same(&content(folder.path()), &expected());
        assert_eq!(report.pieces, 10);
        assert_eq!(report.rows, 90 * 3 + 51);
        assert_eq!(report.dropped, [("unmapped", 180)]);
        // Windows meet without overlap: each ends a millisecond before the next begins.
        let asked = server.asked.lock().unwrap();
        assert_eq!(asked[0], (format!("go_goroutines|{MEMORY}"), FROM, FROM + 20 * STEP - 1));
        assert_eq!(asked[1], (LOAD.to_owned(), FROM, FROM + 20 * STEP - 1));
        assert_eq!(asked[9], (LOAD.to_owned(), FROM + 80 * STEP, UNTIL - 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_the_way_is_noticed_and_asked_for_again() {
    let server = Server::start(|request| match request {
        1 => Mood::Corrupt,
        3 => Mood::Torn,
        5 => Mood::Status(503, "starting up"),
        _ => Mood::Good,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let report = backfill(&server, Mode::Streamed, folder.path(), &options()).await.unwrap();
    assert_same(&content(folder.path()), &expected());
    assert_eq!(report.samples, 90 * 5 + 51, "what was read twice counts once");
    assert_eq!(server.requests.load(Ordering::SeqCst), 13);
}

/// A server whose answers break off from the sixth on, while the switch is set.
async fn dying_server() -> (Arc<Server>, Arc<AtomicBool>) {
    let dead = Arc::new(AtomicBool::new(true));
    let switch = dead.clone();
    let server = Server::start(move |request| match request {
        5.. if switch.load(Ordering::SeqCst) => Mood::Torn,
        _ => Mood::Good,
    })
    .await;
    (server, dead)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_goes_on_where_it_stopped() {
    let (server, dead) = dying_server().await;
    let folder = tempfile::tempdir().unwrap();
    let error = backfill(&server, Mode::Streamed, folder.path(), &options()).await.unwrap_err().to_string();
    assert!(error.starts_with(&server.endpoint().name()) && error.contains("broke off"), "{error}");
    let half = content(folder.path());
    assert!(!half.is_empty() && half != expected());

    dead.store(false, Ordering::SeqCst);
    server.asked.lock().unwrap().clear();
    let report = backfill(&server, Mode::Streamed, folder.path(), &options()).await.unwrap();
    assert!(report.resumed && !report.already_complete);
    assert_eq!(report.pieces, 5);
    assert_eq!(server.asked.lock().unwrap()[0], (LOAD.to_owned(), FROM + 40 * STEP, FROM + 60 * STEP - 1));
    assert_same(&content(folder.path()), &expected());

    let before = server.requests.load(Ordering::SeqCst);
    let report = backfill(&server, Mode::Streamed, folder.path(), &options()).await.unwrap();
    assert!(report.already_complete);
    assert_eq!((report.rows, server.requests.load(Ordering::SeqCst)), (0, before), "nothing is asked or stored twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_words_later_go_on_where_the_last_run_stopped() {
    let (server, dead) = dying_server().await;
    let folder = tempfile::tempdir().unwrap();
    let later = |by: i64| Period { from: Moment::ago("30d", FROM + by), until: Moment::ago("0s", UNTIL + by) };
    let run = |by: i64| {
        let (endpoint, period, dir) = (server.endpoint(), later(by), folder.path());
        async move { backfill_period(&endpoint, dir, &period).await }
    };
    run(0).await.unwrap_err();

    // A minute later it goes on in the windows it began, and then fetches what has come since, with an overlap of ten
    // minutes: 44 steps more.
    dead.store(false, Ordering::SeqCst);
    server.asked.lock().unwrap().clear();
    let report = run(60_000).await.unwrap();
    assert!(report.resumed && !report.already_complete);
    assert_eq!(report.pieces, 5 + 6);
    let asked = std::mem::take(&mut *server.asked.lock().unwrap());
    assert_eq!(asked[0], (LOAD.to_owned(), FROM + 40 * STEP, FROM + 60 * STEP - 1));
    assert_eq!(asked[4], (LOAD.to_owned(), FROM + 80 * STEP, UNTIL - 1));
    assert_eq!(asked[5].1, UNTIL - 40 * STEP);
    assert_eq!(asked[10].2, UNTIL + 60_000 - 1);
    assert_same(&content(folder.path()), &expected_until(UNTIL + 60_000));

    // Another repetition begins at the last end, not thirty days back.
    let report = run(120_000).await.unwrap();
    assert!(report.resumed && !report.already_complete);
    let asked = std::mem::take(&mut *server.asked.lock().unwrap());
    assert_eq!((asked[0].1, asked[asked.len() - 1].2), (UNTIL + 60_000 - 40 * STEP, UNTIL + 120_000 - 1));
    assert_same(&content(folder.path()), &expected_until(UNTIL + 120_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_to_come_is_not_noted_as_fetched() {
    let server = Server::start(|_| Mood::Good).await;
    let folder = tempfile::tempdir().unwrap();
    let begun = now();
    let period = Period::fixed(begun - 600_000, begun + 86_400_000);
    for run in 0..2 {
        let report = backfill_period(&server.endpoint(), folder.path(), &period).await.unwrap();
        assert!(!report.already_complete && report.pieces > 0, "run {run}: {report:?}");
        let asked = std::mem::take(&mut *server.asked.lock().unwrap());
        assert!(asked.iter().all(|(_, _, until)| *until <= now()), "{asked:?}");
        // So that the second run has something to do.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let period = Period::fixed(begun + 60_000_000, begun + 86_400_000);
    let error = backfill_period(&server.endpoint(), folder.path(), &period).await.unwrap_err().to_string();
    assert!(error.contains("which is now"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_restarted_is_waited_for() {
    let mood = |request: usize| if request == 3 { Mood::Restarts } else { Mood::Good };
    let server = Server::start(mood).await;
    let folder = tempfile::tempdir().unwrap();
    let period = Period::fixed(FROM, UNTIL);
    let report = backfill_period(&server.endpoint(), folder.path(), &period).await.unwrap();
    assert_same(&content(folder.path()), &expected());
    assert_eq!((report.pieces, server.requests.load(Ordering::SeqCst)), (10, 11));

    // Not for ever.
    let server = Server::start(mood).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint { outage: Duration::ZERO, ..server.endpoint() };
    let error = backfill_period(&endpoint, folder.path(), &period).await.unwrap_err().to_string();
    assert!(error.contains("cannot connect"), "{error}");

    // And not at all where nobody ever answered: this would wait for an hour.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let endpoint = Endpoint { outage: Duration::from_secs(3600), ..Endpoint::new(nobody) };
    let error = backfill_period(&endpoint, folder.path(), &period).await.unwrap_err().to_string();
    assert!(error.contains("cannot connect") && error.contains("is it running"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_asked_for_in_halves() {
    let folder = tempfile::tempdir().unwrap();
    // A window holds up to 40 mapped rows.
    let server = Server::start(|_| Mood::Good).await;
    let options = HistoryOptions { max_rows: 15, ..options() };
    backfill(&server, Mode::Streamed, folder.path(), &options).await.unwrap();
    assert_same(&content(folder.path()), &expected());

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request {
        0 | 1 => Mood::Status(400, "exceeded sample limit (50000000)"),
        _ => Mood::Good,
    })
    .await;
    backfill(&server, Mode::Samples, folder.path(), &options).await.unwrap();
    assert_same(&content(folder.path()), &expected());

    let server = Server::start(|_| Mood::Good).await;
    let hopeless = HistoryOptions { max_rows: 1, ..options };
    let folder = tempfile::tempdir().unwrap();
    let error = backfill(&server, Mode::Streamed, folder.path(), &hopeless).await.unwrap_err().to_string();
    assert!(error.contains("max_rows"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (mood, parts) in [
        (Mood::Status(404, "page not found"), ["404", "/api/v1/read", "address"]),
        (Mood::Status(401, "no token"), ["401", "no token", "give it the user"]),
        (Mood::Status(400, "bad matcher"), ["400", "bad matcher", "http://127.0.0.1"]),
    ] {
        let server = Server::start(move |_| mood).await;
        let error = backfill(&server, Mode::Streamed, folder.path(), &options()).await.unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error} lacks one of {parts:?}");
        assert_eq!(server.requests.load(Ordering::SeqCst), 1, "asking again would not help");
    }
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://me:secret@{}/", free.local_addr().unwrap());
    drop(free);
    let error = prometheus::metric_names(&Endpoint::new(nobody)).await.unwrap_err().to_string();
    assert!(error.contains("cannot connect") && error.contains("is it running"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    let error = prometheus::metric_names(&Endpoint::new("prometheus:9090")).await.unwrap_err().to_string();
    assert!(error.contains("http://"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_listed_with_user_and_headers() {
    let server = Server::start(|_| Mood::Good).await;
    let mut endpoint = server.endpoint();
    let error = prometheus::metric_names(&endpoint).await.unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("who are you?"), "{error}");
    endpoint.auth = Auth::Basic { user: "me".to_owned(), password: "secret".to_owned() };
    endpoint.headers = vec![("X-Scope-OrgID".to_owned(), "fleet".to_owned())];
    assert!(!format!("{endpoint:?}").contains("secret"));
    let names = prometheus::metric_names(&endpoint).await.unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["go_goroutines", MEMORY, LOAD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_lines_bring_the_same_history_and_resume() {
    let server = Server::start(|request| match request {
        2 => Mood::Torn,
        // Dead for all attempts of one piece.
        6..10 => Mood::Status(502, ""),
        _ => Mood::Good,
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let names = wanted();
    let run = || async {
        let pipeline = pipeline(open_lake(folder.path()), Limits::default());
        let period = Period::fixed(FROM, UNTIL);
        victoria::backfill(&server.endpoint(), &names, &period, &options(), pipeline, &Silent).await
    };
    let error = run().await.unwrap_err().to_string();
    assert!(error.contains("502"), "{error}");
    let report = run().await.unwrap();
    assert!(report.resumed);
    let mut expected = expected();
    // Its exports leave stale marks out.
    expected.get_mut("node/b node.mem.available").unwrap().pop();
    assert_same(&content(folder.path()), &expected);
}

/// Three hours over a midnight, every 15 seconds.
const TICKS: i64 = 720;
const FLEET_UNTIL: i64 = FROM + TICKS * STEP;

/// A day that ends soon after the begin: levels, counters with resets and parts, states, ends and stale marks, entities
/// with and without incarnations.
fn fleet() -> Data {
    const CONTAINER: &str = "container=app,id=/kubepods/pod0123456789abcdef0123456789abcdef/c,namespace=shop,pod=cart";
    let mut data = Data::new();
    let mut put = |name, labels, value: &dyn Fn(i64) -> Option<f64>| {
        let points = (0..TICKS).filter_map(|at| Some((FROM + at * STEP, value(at)?)));
        data.insert((name, labels), points.collect());
    };
    let level = |at: i64| 1e9 + (at * at % 97) as f64 / 7.0;
    put(MEMORY, "a:9100", &|at| Some(level(at)));
    // Gone for an hour, with a mark at its end.
    put(MEMORY, "b:9100", &|at| match at {
        200 => Some(f64::from_bits(STALE_NAN_BITS)),
        201..440 => None,
        _ => Some(level(at + 1)),
    });
    let idle = |at: i64| (at % 300) as f64 * 14.7;
    put("node_cpu_seconds_total", "cpu=0,instance=a:9100,mode=idle", &|at| Some(idle(at)));
    put("node_cpu_seconds_total", "cpu=1,instance=a:9100,mode=idle", &|at| Some(idle(at + 40)));
    put("node_disk_read_time_seconds_total", "device=sda,instance=a:9100", &|at| Some(at as f64 / 3.0));
    put("container_memory_working_set_bytes", CONTAINER, &|at| Some(level(at).floor()));
    put("container_cpu_usage_seconds_total", CONTAINER, &|at| Some((at % 500) as f64 * 0.1));
    let pending = |at: i64| f64::from(u8::from(at % 333 < 20));
    let uid = "namespace=shop,phase=Pending,pod=cart,uid=01234567-89ab-cdef-0123-456789abcdef";
    put("kube_pod_status_phase", uid, &|at| Some(pending(at)));
    let uid = "namespace=shop,phase=Running,pod=cart,uid=01234567-89ab-cdef-0123-456789abcdef";
    put("kube_pod_status_phase", uid, &|at| Some(1.0 - pending(at)));
    put("go_goroutines", "a:9100", &|_| Some(7.0));
    data
}

fn standard_pipeline(store: Arc<dyn RowStore>) -> Arc<Pipeline> {
    let catalogue = Arc::new(Catalogue::standard());
    let mappings = Arc::new(MappingSet::standard(&catalogue));
    Arc::new(Pipeline::new(store, catalogue, mappings, Limits::default()))
}

/// What the receiver of the test below takes for now.
static CLOCK: AtomicI64 = AtomicI64::new(0);

/// Sends it minute by minute as it happens; some messages twice, two in the wrong order.
async fn receive(data: &Data, dir: &Path) {
    let options = ReceiverOptions { clock: || CLOCK.load(Ordering::SeqCst), ..ReceiverOptions::default() };
    CLOCK.store(FROM, Ordering::SeqCst);
    let receiver = Receiver::start(standard_pipeline(open_lake(dir)), options).await;
    let mut minutes: Vec<i64> = (FROM..FLEET_UNTIL).step_by(60_000).collect();
    minutes.swap(7, 8);
    for (turn, &minute) in minutes.iter().enumerate() {
        CLOCK.fetch_max(minute + 61_000, Ordering::SeqCst);
        let inside = |(time, _): &&(i64, f64)| (minute..minute + 60_000).contains(time);
        let series = data.iter().map(|(&(name, labels), points)| {
            (labels_of(name, labels), points.iter().filter(inside).copied().collect::<Vec<_>>())
        });
        let body = snappy(&write_request_1(&series.collect::<Vec<_>>()));
        let times = if turn % 10 == 0 { 2 } else { 1 };
        for _ in 0..times {
            assert_eq!(ingest_support::post(&receiver, V1, body.clone()).await, (204, String::new()));
        }
    }
    receiver.stop().await;
}

/// Writes it as a table of series.
fn export_parquet(data: &Data, path: &Path) -> TablePlan {
    let rows: Vec<(Labels<'static>, i64, f64)> = data
        .iter()
        .flat_map(|(&(name, labels), points)| {
            points.iter().map(move |&(time, value)| (labels_of(name, labels), time, value))
        })
        .collect();
    let names: BTreeSet<&str> = rows.iter().flat_map(|(labels, ..)| labels.iter().map(|label| label.0)).collect();
    let text = |name: &str| -> ArrayRef {
        let value = |(labels, ..): &(Labels<'static>, i64, f64)| {
            labels.iter().find(|label| label.0 == name).map(|label| label.1)
        };
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
    let values: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2)));
    let columns = names.iter().map(|&name| (name, text(name))).chain([("t", times), ("v", values)]);
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let labels: Vec<&&str> = names.iter().filter(|name| **name != "__name__").collect();
    let plan = format!(
        "[time]\ncolumn = \"t\"\nunit = \"ms\"\n[series]\nname = \"__name__\"\nvalue = \"v\"\nlabels = {labels:?}\n"
    );
    TablePlan::parse(&plan).unwrap()
}

/// Every field of every tile as its file holds it, floats as bits, by kind, key, incarnation, metric, part and number.
fn tiles(dir: &Path) -> BTreeMap<(String, i64), Vec<i64>> {
    let catalogue = Catalogue::standard();
    let lake = Lake::open(dir).unwrap();
    let mut tiles = BTreeMap::new();
    for file in lake.snapshot().files.iter().filter(|file| file.table == Table::Tiles) {
        let file = std::fs::File::open(dir.join(&file.path)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let bits = |column: &ArrayRef| -> Vec<i64> {
                match column.data_type() {
                    DataType::Float64 => {
                        let values = column.as_primitive::<Float64Type>().values().iter();
                        values.map(|value| value.to_bits().cast_signed()).collect()
                    }
                    _ => cast(column, &DataType::Int64).unwrap().as_primitive::<Int64Type>().values().to_vec(),
                }
            };
            let named = |name: &str| bits(batch.column_by_name(name).unwrap());
            let (series, numbers) = (named("series_id"), named("number"));
            let schema = batch.schema();
            let ids = ["entity_id", "metric", "series_id", "number"];
            let fields = schema.fields().iter().zip(batch.columns());
            let fields: Vec<Vec<i64>> = fields
                .filter(|(field, _)| !ids.contains(&field.name().as_str()))
                .map(|(_, column)| bits(column))
                .collect();
            for (row, (&series, &number)) in series.iter().zip(&numbers).enumerate() {
                let series = &lake.tables().series()[usize::try_from(series).unwrap()];
                let entity = &lake.tables().entities()[usize::try_from(series.entity).unwrap()];
                let whose = format!(
                    "{}/{} {:?} {} {}",
                    entity.kind.name(),
                    entity.key,
                    series.incarnation,
                    catalogue.name(series.metric),
                    series.part
                );
                let tile = fields.iter().map(|field| field[row]).collect();
                assert!(tiles.insert((whose, number), tile).is_none(), "two tiles of one series and number");
            }
        }
    }
    tiles
}

#[tokio::test(flavor = "multi_thread")]
async fn received_read_back_or_imported_from_parquet_the_tiles_are_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let lake = |name: &str| folder.path().join(name);
    let data = fleet();

    receive(&data, &lake("received")).await;

    let server = Server::of(fleet(), |_| Mood::Good).await;
    let names: BTreeSet<String> = data.keys().map(|(name, _)| (*name).to_owned()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let options = HistoryOptions { known_after: 60_000, window: 3_600_000, batch: 3, max_rows: 100_000 };
    let period = Period::fixed(FROM, FLEET_UNTIL);
    for (name, mode) in [("chunks", Mode::Streamed), ("samples", Mode::Samples)] {
        let pipeline = standard_pipeline(open_lake(&lake(name)));
        prometheus::backfill(&server.endpoint(), mode, &names, &period, &options, pipeline, &Silent).await.unwrap();
    }

    let path = folder.path().join("fleet.parquet");
    let kind = FileKind::Parquet(export_parquet(&data, &path));
    let catalogue = Arc::new(Catalogue::standard());
    let target = FileTarget {
        store: open_lake(&lake("parquet")),
        mappings: Arc::new(MappingSet::standard(&catalogue)),
        catalogue,
        limits: Limits::default(),
        options,
    };
    import(&path, &kind, &target, &Silent).unwrap();

    let samples = content(&lake("received"));
    assert!(samples.contains_key("container/shop/cart/app mem.working_set"), "{:?}", samples.keys());
    assert_eq!(samples.len(), 8, "{:?}", samples.keys());
    let report = compact(&lake("received"), &CompactOptions::at(now()), &Silent).unwrap();
    let first = tiles(&lake("received"));
    assert!(report.tiles > 200 && report.tiles == first.len() as u64, "{report:?}");
    let days: BTreeSet<i64> = first.keys().map(|(_, number)| number.div_euclid(288)).collect();
    assert_eq!(days.len(), 2, "both sides of midnight");
    for name in ["chunks", "samples", "parquet"] {
        assert_same(&content(&lake(name)), &samples);
        compact(&lake(name), &CompactOptions::at(now()), &Silent).unwrap();
        let other = tiles(&lake(name));
        assert_eq!(other.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>(), "{name}");
        for (key, tile) in &first {
            assert_eq!(tile, &other[key], "{name}: {key:?}");
        }
    }
}
