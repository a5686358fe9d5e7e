//! The past of a Prometheus and of a VictoriaMetrics, asked of small servers that answer as those do, or badly.

#![cfg(feature = "ingest")]

mod ingest_support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use datasets::Silent;
use datasets::ingest::prometheus::{self, Mode};
use datasets::ingest::{Auth, Endpoint, HistoryOptions, HistoryReport, victoria};
use features::canonical::Limits;
use features::sample::STALE_NAN_BITS;
use ingest_support::*;
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
}

type Data = BTreeMap<(&'static str, &'static str), Vec<(i64, f64)>>;

struct Server {
    data: Data,
    mood: Box<dyn Fn(usize) -> Mood + Send + Sync>,
    requests: AtomicUsize,
    /// Names and spans asked for.
    asked: Mutex<Vec<(String, i64, i64)>>,
    url: Mutex<String>,
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
        let server = Arc::new(Self {
            data: data(),
            mood: Box::new(mood),
            requests: AtomicUsize::new(0),
            asked: Mutex::default(),
            url: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        *server.url.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/api/v1/read", post(read))
            .route("/api/v1/export", get(export))
            .route("/api/v1/label/__name__/values", get(names))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
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
        wanted.map(|((name, instance), points)| (named(name, &[("instance", instance)]), points))
    }
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
    server.asked.lock().unwrap().push((pattern.clone(), query.from, query.until));
    let inside = |time: &i64| (query.from..=query.until).contains(time);
    if request.accepted == [1] && mood != Mood::Old {
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
        return streamed("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", stream, mood);
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
    streamed("application/stream+json", text.into_bytes(), mood)
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
fn streamed(content_type: &str, bytes: Vec<u8>, mood: Mood) -> Response {
    let whole = if mood == Mood::Torn { bytes.len() / 2 } else { bytes.len() };
    let mut pieces: Vec<Result<Vec<u8>, std::io::Error>> =
        bytes[..whole].chunks(37).map(|piece| Ok(piece.to_vec())).collect();
    if mood == Mood::Torn {
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
            if self.used % 8 == 0 {
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
    let mut content = Content::new();
    for ((name, instance), points) in data() {
        let metric = match name {
            MEMORY => "node.mem.available",
            LOAD => "node.mem.total",
            _ => continue,
        };
        let points = points.into_iter().filter(|(time, _)| *time < UNTIL).map(|(time, value)| (time, value.to_bits()));
        content.insert(format!("node/{instance} {metric}"), points.collect());
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
    dir: &std::path::Path,
    options: &HistoryOptions,
) -> datasets::Result<HistoryReport> {
    let lake = open_lake(dir);
    let pipeline = pipeline(lake, Limits::default());
    prometheus::backfill(&server.endpoint(), mode, &wanted(), FROM, UNTIL, options, pipeline, &Silent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_modes_and_an_old_server_bring_the_same_history() {
    for (mode, mood) in [(Mode::Streamed, Mood::Good), (Mode::Samples, Mood::Good), (Mode::Streamed, Mood::Old)] {
        let server = Server::start(move |_| mood).await;
        let folder = tempfile::tempdir().unwrap();
        let report = backfill(&server, mode, folder.path(), &options()).await.unwrap();
        assert_eq!(content(folder.path()), expected(), "{mode:?} {mood:?}");
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
    assert_eq!(content(folder.path()), expected());
    assert_eq!(report.samples, 90 * 5 + 51, "what was read twice counts once");
    assert_eq!(server.requests.load(Ordering::SeqCst), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_goes_on_where_it_stopped() {
    let dead = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let switch = dead.clone();
    let server = Server::start(move |request| match request {
        5.. if switch.load(Ordering::SeqCst) => Mood::Torn,
        _ => Mood::Good,
    })
    .await;
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
    assert_eq!(content(folder.path()), expected());

    let before = server.requests.load(Ordering::SeqCst);
    let report = backfill(&server, Mode::Streamed, folder.path(), &options()).await.unwrap();
    assert!(report.already_complete);
    assert_eq!((report.rows, server.requests.load(Ordering::SeqCst)), (0, before), "nothing is asked or stored twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_asked_for_in_halves() {
    let folder = tempfile::tempdir().unwrap();
    // A window holds up to 40 mapped rows.
    let server = Server::start(|_| Mood::Good).await;
    let options = HistoryOptions { max_rows: 15, ..options() };
    backfill(&server, Mode::Streamed, folder.path(), &options).await.unwrap();
    assert_eq!(content(folder.path()), expected());

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request| match request {
        0 | 1 => Mood::Status(400, "exceeded sample limit (50000000)"),
        _ => Mood::Good,
    })
    .await;
    backfill(&server, Mode::Samples, folder.path(), &options).await.unwrap();
    assert_eq!(content(folder.path()), expected());

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
        victoria::backfill(&server.endpoint(), &names, FROM, UNTIL, &options(), pipeline, &Silent).await
    };
    let error = run().await.unwrap_err().to_string();
    assert!(error.contains("502"), "{error}");
    let report = run().await.unwrap();
    assert!(report.resumed);
    let mut expected = expected();
    // Its exports leave stale marks out.
    expected.get_mut("node/b:9100 node.mem.available").unwrap().pop();
    assert_eq!(content(folder.path()), expected);
}
