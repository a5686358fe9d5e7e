//! Remote write from bytes to acknowledged after fsync, sender and receiver in processes of their own.
//!
//! `cargo bench --workspace --bench receiver -- [millions of samples]`, or `-- flood 10` for ten
//! million distinct series and the memory they take.
//!
//! Rows are those of a recorded node_exporter, for as many instances as fill requests of 2,000 samples; snappy and
//! protobuf are made beforehand. Eight requests are under way at a time, each acknowledged after its group's fsync.
//! Before anything is printed the lake is read again: its samples must be those that the same bodies become when they
//! are decoded and mapped here, every one of them and each once. Processor time is that of each process, from the
//! system: what one core does is samples per second of the receiver's own time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use datasets::ingest::{Listeners, Pipeline, ReceiverOptions, now, serve};
use datasets::lake::{Scan, Table};
use datasets::{Lake, LakeOptions, LakeWriter};
use features::canonical::{Canonical, Canonicalizer, Limits, Reason};
use features::decode::{SeriesSink, SourceSeries, remote_write, snappy};
use features::mapping::MappingSet;
use features::{Catalogue, EntityKind};
use prost::Message;
use proto::prometheus::{Label, Sample, TimeSeries, WriteRequest};

const RECORDED: &str = include_str!("../../features/tests/fixtures/mappings/node_exporter.prom");
const PER_REQUEST: usize = 2_000;
const UNDER_WAY: usize = 8;

/// Milliseconds between scrapes.
const SCRAPE: i64 = 15_000;

/// Name and labels of every recorded row, and its value.
fn recorded() -> Vec<(Vec<(String, String)>, f64)> {
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
            (pairs, line[end..].trim().parse().expect("a number"))
        })
        .collect()
}

/// Bodies of scrapes of the instances, the newest a minute old, and how many samples they hold: as many as asked or
/// some more.
fn bodies(samples: usize) -> (Vec<Vec<u8>>, usize) {
    let rows = recorded();
    let mut bodies = Vec::new();
    let mut total = 0;
    let instances = 10_000 / rows.len() + 1;
    let scrapes = u32::try_from(samples.div_ceil(instances * rows.len())).expect("fewer than 2^32 scrapes");
    // A receiver refuses samples from the future.
    let begun = now() - 60_000 - i64::from(scrapes) * SCRAPE;
    for scrape in 0..scrapes {
        let mut series = Vec::with_capacity(instances * rows.len());
        for instance in 0..instances {
            for (row, recorded) in &rows {
                let mut labels: Vec<Label> =
                    row.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect();
                labels.push(Label { name: "instance".to_owned(), value: format!("worker-{instance}:9100") });
                labels.push(Label { name: "job".to_owned(), value: "node".to_owned() });
                labels.sort_by(|a, b| a.name.cmp(&b.name));
                // Flags stay flags, everything else moves a little.
                let moved = f64::from(scrape) + f64::from(u32::try_from(instance).unwrap_or(0)) / 7.0;
                let value = if *recorded > 1.0 { recorded + moved } else { *recorded };
                let samples = vec![Sample { value, timestamp: begun + i64::from(scrape) * SCRAPE }];
                series.push(TimeSeries { labels, samples, ..TimeSeries::default() });
            }
        }
        total += series.len();
        for part in series.chunks(PER_REQUEST) {
            let request = WriteRequest { timeseries: part.to_vec(), ..WriteRequest::default() };
            let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("small enough");
            bodies.push(packed);
        }
    }
    (bodies, total)
}

/// Samples as they must be in the lake: how many, and a sum over all of them that no order changes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    samples: usize,
    sum: u64,
}

impl Content {
    fn add(&mut self, time: i64, value: f64) {
        self.samples += 1;
        let mixed = time.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ value.to_bits().rotate_left(17);
        self.sum = self.sum.wrapping_add(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    }
}

/// What the bodies become: decoded and mapped in this process, one sample per canonical series and time.
fn expected(bodies: &[bytes::Bytes]) -> Content {
    /// Every series of a message to the canonicaliser.
    struct Sink<'a>(&'a mut Canonicalizer, &'a mut Canonical, i64);

    impl SeriesSink for Sink<'_> {
        fn take(&mut self, series: &SourceSeries<'_>) {
            self.0.take(series, self.2, self.1);
        }
    }

    let catalogue = Arc::new(Catalogue::standard());
    let mappings = Arc::new(MappingSet::standard(&catalogue));
    let mut canonicalizer = Canonicalizer::new(catalogue, mappings, Limits::default());
    let (mut canonical, mut unpacked, mut rows) = (Canonical::default(), Vec::new(), Vec::new());
    for body in bodies {
        canonical.clear();
        snappy::unpack(body, 64 << 20, &mut unpacked).expect("packed here");
        remote_write::v1(&unpacked, &mut Sink(&mut canonicalizer, &mut canonical, now())).expect("encoded here");
        let dropped = canonical.counts.dropped_in_all();
        assert_eq!(
            dropped,
            canonical.counts.dropped(Reason::Unmapped),
            "nothing but rows without a mapping is dropped"
        );
        rows.extend(canonical.rows.iter().map(|row| (row.handle, row.time, row.value.to_bits())));
    }
    // Two source series may be one canonical series.
    rows.sort_unstable();
    rows.dedup();
    let conflict = rows.windows(2).any(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
    assert!(!conflict, "two values of one series and time: which one is stored is no matter of this benchmark");
    let mut content = Content::default();
    for (_, time, bits) in rows {
        content.add(time, f64::from_bits(bits));
    }
    content
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
    // `cargo test --benches` calls this too; timings belong to `cargo bench`.
    if !words.iter().any(|word| word == "--bench") {
        return;
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
    let wanted = expected(&bodies);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
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

    let lake = Lake::open(&dir).expect("a lake");
    let mut stored = Content::default();
    for kind in EntityKind::ALL {
        lake.scan(&Scan::all(kind), &mut |run| {
            run.times.iter().zip(run.values).for_each(|(&time, &value)| stored.add(time, value));
            Ok(())
        })
        .expect("readable");
    }
    assert_eq!(stored, wanted, "what is in the lake is what was acknowledged, each sample once");
    // A scan leaves out what is stored twice, so the files are counted as well.
    let rows: u64 = lake.snapshot().table(Table::Samples).map(|file| file.rows).sum();
    assert_eq!(rows, wanted.samples as u64, "no sample is stored twice");
    println!(
        "{total} samples in {requests} requests of {PER_REQUEST}, {:.1} bytes a sample as sent; {} of them are of mapped \
         metrics and in the lake, each once, every value as sent\n",
        bytes as f64 / total as f64,
        stored.samples
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
