//! Remote write from bytes to acknowledged after fsync, sender and receiver in processes of their own.
//!
//! `cargo bench -p datasets --features ingest --bench receiver -- [millions of samples]`, or `-- flood 10` for ten
//! million distinct series and the memory they take.
//!
//! Rows are those of a recorded node_exporter, for as many instances as fill requests of 2,000 samples; snappy and
//! protobuf are made beforehand. Eight requests are under way at a time, each acknowledged after its group's fsync.
//! All samples must be in the lake, once, before anything is printed. Processor time is that of each process, from
//! the system: what one core does is samples per second of the receiver's own time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use datasets::ingest::{Listeners, Pipeline, ReceiverOptions, now, serve};
use datasets::lake::Scan;
use datasets::{Lake, LakeOptions, LakeWriter};
use features::canonical::Limits;
use features::mapping::MappingSet;
use features::{Catalogue, EntityKind};
use prost::Message;
use proto::prometheus::{Label, Sample, TimeSeries, WriteRequest};

const RECORDED: &str = include_str!("../../features/tests/fixtures/mappings/node_exporter.prom");
const PER_REQUEST: usize = 2_000;
const UNDER_WAY: usize = 8;

/// Name and labels of every recorded row.
fn recorded() -> Vec<Vec<(String, String)>> {
    RECORDED
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let end = line.rfind(' ').expect("a value");
            let (name, labels) = line[..end].split_once('{').unwrap_or((&line[..end], "}"));
            let mut pairs = vec![("__name__".to_owned(), name.trim().to_owned())];
            for pair in labels.trim_end().trim_end_matches('}').split("\",") {
                if let Some((name, value)) = pair.split_once("=\"") {
                    pairs.push((name.to_owned(), value.trim_end_matches('"').to_owned()));
                }
            }
            pairs
        })
        .collect()
}

/// Bodies of `scrapes` scrapes of the instances, and how many samples they hold and how many are of mapped metrics.
fn bodies(samples: usize) -> (Vec<Vec<u8>>, usize) {
    let rows = recorded();
    let mut bodies = Vec::new();
    let mut total = 0;
    let instances = 10_000 / rows.len() + 1;
    let begun = now() - 3_600_000;
    let mut scrape = 0;
    while total < samples {
        let mut series = Vec::with_capacity(instances * rows.len());
        for instance in 0..instances {
            for row in &rows {
                let mut labels: Vec<Label> =
                    row.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect();
                labels.push(Label { name: "instance".to_owned(), value: format!("worker-{instance}:9100") });
                labels.push(Label { name: "job".to_owned(), value: "node".to_owned() });
                labels.sort_by(|a, b| a.name.cmp(&b.name));
                let value = 1e6 + f64::from(scrape) + f64::from(u32::try_from(instance).unwrap_or(0)) / 7.0;
                let samples = vec![Sample { value, timestamp: begun + i64::from(scrape) * 15_000 }];
                series.push(TimeSeries { labels, samples, ..TimeSeries::default() });
            }
        }
        total += series.len();
        for part in series.chunks(PER_REQUEST) {
            let request = WriteRequest { timeseries: part.to_vec(), ..WriteRequest::default() };
            let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("small enough");
            bodies.push(packed);
        }
        scrape += 1;
    }
    (bodies, total)
}

/// The receiver: prints its address, ends when its input does.
fn receive(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let http = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", http.local_addr().expect("an address"));
        let catalogue = Arc::new(Catalogue::standard());
        let mappings = Arc::new(MappingSet::standard(&catalogue));
        let writer = Arc::new(LakeWriter::open(dir, LakeOptions::default()).expect("a lake"));
        let pipeline = Arc::new(Pipeline::new(writer, catalogue, mappings, Limits::default()));
        let options = ReceiverOptions { flush_every: Duration::from_secs(60), ..ReceiverOptions::default() };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = std::io::stdin().read_line(&mut line);
            let _ = stop.send(());
        });
        let listeners = Listeners { http: Some(http), otlp: None };
        serve(listeners, pipeline, options, async { drop(stopped.await) }).await.expect("received");
    });
}

/// A process of this program that receives, and its address.
fn start(dir: &Path) -> (std::process::Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg("receive")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the receiver starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let address = lines.next().expect("its address").expect("its address");
    (child, format!("http://{address}/api/v1/write"))
}

/// Millions of series, each seen once: what the receiver answers, and how much memory it takes.
fn flood(series: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, url) = start(&folder.path().join("lake"));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (answers, refusal) = runtime.block_on(async {
        let client = reqwest::Client::new();
        let mut answers = std::collections::BTreeMap::<u16, usize>::new();
        let mut refusal = String::new();
        let time = now() - 60_000;
        for first in (0..series).step_by(PER_REQUEST) {
            let timeseries = (first..first + PER_REQUEST)
                .map(|number| TimeSeries {
                    labels: [("__name__", "node_boot_time_seconds"), ("instance", &format!("worker-{number}:9100"))]
                        .map(|(name, value)| Label { name: name.to_owned(), value: value.to_owned() })
                        .to_vec(),
                    samples: vec![Sample { value: 1.7e9, timestamp: time }],
                    ..TimeSeries::default()
                })
                .collect();
            let request = WriteRequest { timeseries, ..WriteRequest::default() };
            let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("small enough");
            loop {
                let request = client.post(&url).header("content-encoding", "snappy").body(body.clone());
                let answer = request.header("content-type", "application/x-protobuf").send().await.expect("an answer");
                let status = answer.status().as_u16();
                *answers.entry(status).or_default() += 1;
                if status == 429 || status >= 500 {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    continue;
                }
                if refusal.is_empty() && status >= 400 {
                    refusal = answer.text().await.unwrap_or_default();
                }
                break;
            }
        }
        (answers, refusal)
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or(" unknown").trim().to_owned();
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    println!("{series} distinct series: answers by status {answers:?}; peak memory of the receiver {peak}");
    println!("first refusal: {}", refusal.trim().chars().take(300).collect::<String>());
}

/// Seconds of processor time of a process so far.
fn processor(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == "receive") {
        return receive(Path::new(&words[at + 1]));
    }
    let millions: usize = words.iter().skip(1).find_map(|word| word.parse().ok()).unwrap_or(4);
    if words.iter().any(|word| word == "flood") {
        return flood(millions * 1_000_000);
    }
    let (bodies, total) = bodies(millions * 1_000_000);
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("lake");
    let (mut child, url) = start(&dir);
    let id = child.id().to_string();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let requests = bodies.len();
    let bodies = Arc::new(bodies.into_iter().map(bytes::Bytes::from).collect::<Vec<_>>());
    let (sent_before, received_before) = (processor("self"), processor(&id));
    let begun = Instant::now();
    runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..UNDER_WAY {
            let (bodies, next, url) = (bodies.clone(), next.clone(), url.clone());
            tasks.push(tokio::spawn(async move {
                let client = reqwest::Client::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(body) = bodies.get(at) else { break };
                    loop {
                        let request = client
                            .post(&url)
                            .header("content-type", "application/x-protobuf")
                            .header("content-encoding", "snappy")
                            .body(body.clone());
                        let answer = request.send().await.expect("an answer");
                        // A full buffer is refused for the moment; senders come again.
                        if answer.status().as_u16() == 204 {
                            break;
                        }
                        assert!(answer.status().is_server_error() || answer.status().as_u16() == 429, "{answer:?}");
                        tokio::time::sleep(Duration::from_millis(30)).await;
                    }
                }
            }));
        }
        for task in tasks {
            task.await.expect("sent");
        }
    });
    let wall = begun.elapsed().as_secs_f64();
    let (sender, receiver) = (processor("self") - sent_before, processor(&id) - received_before);
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());

    let rows = recorded().len();
    let lake = Lake::open(&dir).expect("a lake");
    let mut stored = 0;
    for kind in EntityKind::ALL {
        lake.scan(&Scan::all(kind), &mut |run| {
            stored += run.times.len();
            Ok(())
        })
        .expect("readable");
    }
    let expected = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../features/tests/fixtures/mappings/node_exporter.expected"
    ))
    .unwrap_or_default();
    let mapped = rows - expected.lines().filter(|line| line.starts_with("unmapped")).count();
    println!(
        "{total} samples in {requests} requests of {PER_REQUEST}, {:.1} bytes a sample as sent; {mapped} of {rows} recorded \
         rows are of mapped metrics; {stored} samples in the lake, each once\n",
        bytes as f64 / total as f64
    );
    println!("| what | figure |\n|---|---|");
    println!("| acknowledged after fsync, wall clock | {:.2} million samples/s |", total as f64 / wall / 1e6);
    println!(
        "| receiver's processor time | {:.2} µs a sample, {:.2} million samples/s per core |",
        receiver / total as f64 * 1e6,
        total as f64 / receiver / 1e6
    );
    println!("| sender's processor time | {:.2} µs a sample |", sender / total as f64 * 1e6);
    println!("| cores busy | {:.2} receiver, {:.2} sender |", receiver / wall, sender / wall);
}
