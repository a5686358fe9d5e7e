//! What the tests of the receivers and importers share: senders' bytes, a lake to look into, a store that fails.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use datasets::ingest::store::{HistoryRow, RowStore};
use datasets::ingest::{Listeners, Pipeline, ReceiverOptions};
use datasets::lake::{Lake, LakeOptions, LakeRow, LakeWriter, Scan, SeriesId, Ticket};
use datasets::{DatasetError, ingest};
use features::canonical::Limits;
use features::mapping::MappingSet;
use features::{CanonicalSeries, Catalogue, EntityKind};
use tokio::net::TcpListener;

/// `kind/key metric part` to its samples, values as bits.
pub(crate) type Content = BTreeMap<String, Vec<(i64, u64)>>;

/// Everything a lake holds.
pub(crate) fn content(dir: &Path) -> Content {
    let catalogue = Catalogue::standard();
    let lake = Lake::open(dir).unwrap();
    let mut content = Content::new();
    for kind in EntityKind::ALL {
        lake.scan(&Scan::all(kind), &mut |run| {
            let entity = &lake.tables().entities()[usize::try_from(run.entity).unwrap()];
            let part = &lake.tables().series()[run.series as usize].part;
            let name = format!("{}/{} {} {part}", kind.name(), entity.key, catalogue.name(run.metric));
            let rows = content.entry(name.trim_end().to_owned()).or_default();
            rows.extend(run.times.iter().zip(run.values).map(|(&time, value)| (time, value.to_bits())));
            Ok(())
        })
        .unwrap();
    }
    content
}

/// Compares two lakes and says where they part.
pub(crate) fn assert_same(left: &Content, right: &Content) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, rows) in left {
        let other = &right[name];
        let apart = rows.iter().zip(other).position(|(a, b)| a != b);
        assert_eq!((apart, rows.len()), (None, other.len()), "{name}");
    }
}

/// The samples of one series of a lake, as numbers.
pub(crate) fn samples(dir: &Path, name: &str) -> Vec<(i64, f64)> {
    let content = content(dir);
    let rows = content.get(name).unwrap_or_else(|| panic!("no {name:?} in {:?}", content.keys()));
    rows.iter().map(|&(time, bits)| (time, f64::from_bits(bits))).collect()
}

pub(crate) fn mappings(catalogue: &Catalogue) -> Arc<MappingSet> {
    let files = [
        ("node_exporter", include_str!("../../../features/mappings/node_exporter.toml")),
        ("otel-k8s", include_str!("../../../features/mappings/otel-k8s.toml")),
    ];
    Arc::new(MappingSet::of(&files, catalogue).unwrap())
}

pub(crate) fn open_lake(dir: &Path) -> Arc<LakeWriter> {
    Arc::new(LakeWriter::open(dir, LakeOptions::default()).unwrap())
}

pub(crate) fn pipeline(store: Arc<dyn RowStore>, limits: Limits) -> Arc<Pipeline> {
    let catalogue = Arc::new(Catalogue::standard());
    let mappings = mappings(&catalogue);
    Arc::new(Pipeline::new(store, catalogue, mappings, limits))
}

/// A running receiver.
pub(crate) struct Receiver {
    pub(crate) http: String,
    pub(crate) otlp: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<datasets::Result<ingest::IngestStats>>,
}

impl Receiver {
    pub(crate) async fn start(pipeline: Arc<Pipeline>, options: ReceiverOptions) -> Self {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let otlp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let addresses = (http.local_addr().unwrap(), otlp.local_addr().unwrap());
        let listeners = Listeners { http: Some(http), otlp: Some(otlp) };
        let task = tokio::spawn(ingest::serve(listeners, pipeline, options, async {
            let _ = stopped.await;
        }));
        Self {
            http: format!("http://{}", addresses.0),
            otlp: format!("http://{}", addresses.1),
            stop: Some(stop),
            task,
        }
    }

    /// Asks it to stop without waiting for it.
    pub(crate) fn ask_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn stop(mut self) -> ingest::IngestStats {
        if self.stop.is_some() {
            self.ask_to_stop();
        }
        self.task.await.unwrap().unwrap()
    }
}

/// A client as every sender has one.
pub(crate) fn client() -> reqwest::Client {
    // reqwest is built without a TLS provider of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub(crate) const V1: &str = "application/x-protobuf";
pub(crate) const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// Posts a remote write body; status and text of the answer.
pub(crate) async fn post(receiver: &Receiver, content_type: &str, body: Vec<u8>) -> (u16, String) {
    let request = client().post(format!("{}/api/v1/write", receiver.http));
    let request = request.header("content-type", content_type).header("content-encoding", "snappy").body(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A label set.
pub(crate) type Labels<'a> = Vec<(&'a str, &'a str)>;

pub(crate) fn named<'a>(name: &'a str, labels: &[(&'a str, &'a str)]) -> Labels<'a> {
    std::iter::once(("__name__", name)).chain(labels.iter().copied()).collect()
}

/// `prometheus.WriteRequest`, unpacked.
pub(crate) fn write_request_1(series: &[(Labels<'_>, Vec<(i64, f64)>)]) -> Vec<u8> {
    let mut request = Vec::new();
    for (labels, points) in series {
        field(&mut request, 1, &time_series(labels, points));
    }
    request
}

/// `prometheus.TimeSeries`.
pub(crate) fn time_series(labels: &Labels<'_>, points: &[(i64, f64)]) -> Vec<u8> {
    let mut series = label_fields(labels);
    for &(time, value) in points {
        field(&mut series, 2, &sample(time, value));
    }
    series
}

/// The labels of a `prometheus.TimeSeries` or `prometheus.ChunkedSeries`.
pub(crate) fn label_fields(labels: &Labels<'_>) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        field(&mut label, 1, name.as_bytes());
        field(&mut label, 2, value.as_bytes());
        field(&mut series, 1, &label);
    }
    series
}

fn sample(time: i64, value: f64) -> Vec<u8> {
    let mut sample = vec![1 << 3 | 1];
    sample.extend_from_slice(&value.to_bits().to_le_bytes());
    number(&mut sample, 2, time.cast_unsigned());
    sample
}

/// `io.prometheus.write.v2.Request`, unpacked.
pub(crate) fn write_request_2(series: &[(Labels<'_>, Vec<(i64, f64)>)]) -> Vec<u8> {
    let mut symbols: Vec<&str> = vec![""];
    let mut encoded = Vec::new();
    for (labels, points) in series {
        let mut references = Vec::new();
        for text in labels.iter().flat_map(|&(name, value)| [name, value]) {
            let at = symbols.iter().position(|symbol| *symbol == text).unwrap_or_else(|| {
                symbols.push(text);
                symbols.len() - 1
            });
            varint(&mut references, at as u64);
        }
        let mut series = Vec::new();
        field(&mut series, 1, &references);
        for &(time, value) in points {
            field(&mut series, 2, &sample(time, value));
        }
        field(&mut encoded, 5, &series);
    }
    let mut request = Vec::new();
    for symbol in symbols {
        field(&mut request, 4, symbol.as_bytes());
    }
    request.extend(encoded);
    request
}

pub(crate) fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

pub(crate) fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

pub(crate) fn number(into: &mut Vec<u8>, field: u64, value: u64) {
    varint(into, field << 3);
    varint(into, value);
}

pub(crate) fn field(into: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(into, field << 3 | 2);
    varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// A store in memory that can be told to hold its breath or to fail.
#[derive(Default)]
pub(crate) struct TestStore {
    state: Mutex<TestState>,
    changed: Condvar,
    pub(crate) flushes: AtomicU64,
    pub(crate) full: AtomicBool,
    /// Rows are taken and kept, but do not reach the disk.
    pub(crate) unsynced: AtomicBool,
}

#[derive(Default)]
struct TestState {
    series: Vec<CanonicalSeries>,
    rows: Vec<LakeRow>,
    notes: BTreeMap<String, String>,
    /// Tickets wait while this is set.
    held: bool,
    waiting: u64,
    /// Series wait for their number while this is set.
    registering_held: bool,
    registering: u64,
    /// Imports that succeed before one fails; none fails without it.
    imports_left: Option<u64>,
}

impl TestStore {
    pub(crate) fn hold(&self, held: bool) {
        self.state.lock().unwrap().held = held;
        self.changed.notify_all();
    }

    /// Blocks until that many requests wait for the disk.
    pub(crate) fn until_waiting(&self, requests: u64) {
        let state = self.state.lock().unwrap();
        drop(self.wait_while(state, |state| state.waiting < requests));
    }

    pub(crate) fn hold_registering(&self, held: bool) {
        self.state.lock().unwrap().registering_held = held;
        self.changed.notify_all();
    }

    /// Blocks until that many requests wait for the number of a series.
    pub(crate) fn until_registering(&self, requests: u64) {
        let state = self.state.lock().unwrap();
        drop(self.wait_while(state, |state| state.registering < requests));
    }

    fn wait_while<'a>(
        &'a self,
        state: MutexGuard<'a, TestState>,
        condition: impl FnMut(&mut TestState) -> bool,
    ) -> MutexGuard<'a, TestState> {
        let (state, waited) = self.changed.wait_timeout_while(state, Duration::from_secs(30), condition).unwrap();
        // The runtime waits for its threads, so a test that failed would never end otherwise.
        assert!(!waited.timed_out(), "waited in vain");
        state
    }

    pub(crate) fn rows(&self) -> Vec<LakeRow> {
        self.state.lock().unwrap().rows.clone()
    }

    pub(crate) fn fail_imports_after(&self, imports: Option<u64>) {
        self.state.lock().unwrap().imports_left = imports;
    }
}

fn disk_full() -> DatasetError {
    DatasetError::DiskFull { path: "test".into() }
}

impl RowStore for TestStore {
    fn register(&self, series: &CanonicalSeries) -> datasets::Result<Option<SeriesId>> {
        let mut state = self.state.lock().unwrap();
        state.registering += 1;
        self.changed.notify_all();
        let mut state = self.wait_while(state, |state| state.registering_held);
        state.registering -= 1;
        let known = &mut state.series;
        let at = known.iter().position(|one| one == series).unwrap_or_else(|| {
            known.push(series.clone());
            known.len() - 1
        });
        Ok(Some(SeriesId(u32::try_from(at).unwrap())))
    }

    fn append(&self, _known_at: i64, rows: &[LakeRow]) -> datasets::Result<Ticket> {
        if self.full.load(Ordering::Relaxed) {
            return Err(disk_full());
        }
        self.state.lock().unwrap().rows.extend_from_slice(rows);
        Ok(Ticket(0))
    }

    fn wait(&self, _ticket: Ticket) -> datasets::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let mut state = self.wait_while(state, |state| state.held);
        state.waiting -= 1;
        if self.unsynced.load(Ordering::Relaxed) { Err(disk_full()) } else { Ok(()) }
    }

    fn import(&self, name: &str, progress: &str, rows: Vec<HistoryRow>) -> datasets::Result<()> {
        let mut state = self.state.lock().unwrap();
        match &mut state.imports_left {
            Some(0) => return Err(disk_full()),
            Some(left) => *left -= 1,
            None => {}
        }
        state.notes.insert(name.to_owned(), progress.to_owned());
        state.rows.extend(rows.iter().map(|row| row.row));
        Ok(())
    }

    fn imported(&self, name: &str) -> datasets::Result<Option<String>> {
        Ok(self.state.lock().unwrap().notes.get(name).cloned())
    }

    fn flush(&self) -> datasets::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn wants_flush(&self) -> bool {
        false
    }
}
