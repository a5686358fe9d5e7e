//! Bytes of a receiver to series handed over: one thread, plain clock.
//!
//! `cargo bench --workspace --bench decode`. A request of remote write as a Prometheus sends it that scrapes
//! node_exporters: 2,000 samples, one a series, ten labels each. The same request through `prost` (all of it decoded
//! into owned strings) stands beside it; that both see the same series and points is asserted first.

use std::collections::HashSet;
use std::hint::black_box;
use std::time::Instant;

use features::decode::{Collector, SeriesSink, SourceSeries, remote_write, snappy};
use prost::Message as _;
use proto::prometheus::{Label, Sample, TimeSeries, WriteRequest, write_v2};

const SAMPLES: usize = 2_000;
const REPEATS: usize = 2_001;

fn main() {
    // `cargo test --benches` calls this too; timings belong to `cargo bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let request = request();
    let bytes = request.encode_to_vec();
    let block = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    let second = second(&request).encode_to_vec();
    assert_equal(&request, &bytes, &second);
    println!("{SAMPLES} samples, {} labels each: {} bytes, {} packed", labels_each(&request), bytes.len(), block.len());
    println!("{:<52} {:>10} {:>14} {:>8}", "what", "median", "samples/s", "ratio");

    let prost = median(|| WriteRequest::decode(black_box(bytes.as_slice())).unwrap().timeseries.len());
    row("1.0, prost: every message and string decoded", prost, prost);
    let first = median(|| {
        let mut known = Known::default();
        remote_write::v1(black_box(&bytes), &mut known).unwrap();
        known.series.len()
    });
    row("1.0, ours: every label set new, labels parsed", first, prost);
    let mut known = Known::default();
    remote_write::v1(&bytes, &mut known).unwrap();
    let again = median(|| {
        remote_write::v1(black_box(&bytes), &mut known).unwrap();
        known.points
    });
    row("1.0, ours: label sets known, looked up", again, prost);
    let mut nothing = Nothing(0);
    let bare = median(|| {
        remote_write::v1(black_box(&bytes), &mut nothing).unwrap();
        nothing.0
    });
    row("1.0, ours: handed over, nothing done", bare, prost);
    let mut unpacked = Vec::new();
    let packed = median(|| {
        snappy::unpack(black_box(&block), 1 << 24, &mut unpacked).unwrap();
        remote_write::v1(&unpacked, &mut known).unwrap();
        known.points
    });
    row("1.0, ours: unpacked, label sets known, looked up", packed, prost);
    let prost_2 = median(|| write_v2::Request::decode(black_box(second.as_slice())).unwrap().timeseries.len());
    row("2.0, prost: every message decoded, strings apart", prost_2, prost_2);
    let mut known = Known::default();
    let again_2 = median(|| {
        remote_write::v2(black_box(&second), &mut known).unwrap();
        known.points
    });
    row("2.0, ours: label sets known, looked up", again_2, prost_2);
}

fn row(what: &str, seconds: f64, beside: f64) {
    #[expect(clippy::cast_precision_loss, reason = "2,000")]
    let rate = SAMPLES as f64 / seconds / 1e6;
    println!("{what:<52} {:>7.0} µs {rate:>12.2} M {:>7.1}x", seconds * 1e6, beside / seconds);
}

fn median<T>(mut run: impl FnMut() -> T) -> f64 {
    let mut seconds: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[REPEATS / 2]
}

/// What a receiver does at the least: it knows its series.
#[derive(Default)]
struct Known {
    series: HashSet<u128>,
    points: usize,
}

impl SeriesSink for Known {
    fn take(&mut self, series: &SourceSeries<'_>) {
        if !self.series.contains(&series.identity) {
            black_box((series.labels)().unwrap());
            self.series.insert(series.identity);
        }
        self.points += series.points.len();
    }
}

struct Nothing(usize);

impl SeriesSink for Nothing {
    fn take(&mut self, series: &SourceSeries<'_>) {
        self.0 += series.points.len();
    }
}

/// Series of node_exporter as remote write carries them, with the labels a scrape and a cluster add.
fn request() -> WriteRequest {
    const FAMILIES: [(&str, &str, &[&str]); 8] = [
        ("node_cpu_seconds_total", "mode", &["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"]),
        ("node_disk_read_time_seconds_total", "device", &["nvme0n1", "nvme1n1", "sda", "dm-0"]),
        ("node_filesystem_avail_bytes", "mountpoint", &["/", "/boot/efi", "/var/lib/containerd", "/var/lib/kubelet"]),
        ("node_network_receive_bytes_total", "device", &["eth0", "cilium_host", "lxc09a7f3c1d2e4", "lo"]),
        ("node_netstat_TcpExt_ListenDrops", "netns", &["host"]),
        ("node_pressure_memory_stalled_seconds_total", "scope", &["system"]),
        ("node_memory_MemAvailable_bytes", "unit", &["bytes"]),
        ("node_vmstat_pgmajfault", "unit", &["pages"]),
    ];
    let mut timeseries = Vec::with_capacity(SAMPLES);
    for node in 0_u32.. {
        for (name, label, values) in FAMILIES {
            for (index, value) in values.iter().enumerate() {
                for cpu in 0..4 {
                    if timeseries.len() == SAMPLES {
                        return WriteRequest { timeseries, metadata: Vec::new() };
                    }
                    let labels = [
                        ("__name__", name.to_owned()),
                        ("cluster", "prod-eu-central-1".to_owned()),
                        ("container", "node-exporter".to_owned()),
                        ("cpu", cpu.to_string()),
                        ("endpoint", "http-metrics".to_owned()),
                        ("instance", format!("10.42.{}.{}:9100", node / 200, node % 200)),
                        ("job", "node-exporter".to_owned()),
                        (label, (*value).to_owned()),
                        ("namespace", "monitoring".to_owned()),
                        ("pod", format!("prometheus-node-exporter-{node:05}")),
                    ];
                    let labels = labels.map(|(name, value)| Label { name: name.to_owned(), value }).to_vec();
                    let value = 362_812.78 + f64::from(node) + f64::from(cpu) / 7.0 + index as f64;
                    let timestamp = 1_700_000_000_000 + i64::from(node) * 37;
                    let samples = vec![Sample { value, timestamp }];
                    timeseries.push(TimeSeries { labels, samples, ..TimeSeries::default() });
                }
            }
        }
    }
    unreachable!("the nodes do not end")
}

/// The same as remote write 2.0.
fn second(request: &WriteRequest) -> write_v2::Request {
    let mut symbols = vec![String::new()];
    let mut places = std::collections::HashMap::new();
    let mut place = |text: &str| -> u32 {
        *places.entry(text.to_owned()).or_insert_with(|| {
            symbols.push(text.to_owned());
            u32::try_from(symbols.len() - 1).unwrap()
        })
    };
    let series = |series: &TimeSeries, place: &mut dyn FnMut(&str) -> u32| write_v2::TimeSeries {
        labels_refs: series.labels.iter().flat_map(|label| [place(&label.name), place(&label.value)]).collect(),
        samples: series
            .samples
            .iter()
            .map(|sample| write_v2::Sample { value: sample.value, timestamp: sample.timestamp, start_timestamp: 0 })
            .collect(),
        ..write_v2::TimeSeries::default()
    };
    let timeseries = request.timeseries.iter().map(|one| series(one, &mut place)).collect();
    write_v2::Request { symbols, timeseries }
}

fn labels_each(request: &WriteRequest) -> usize {
    request.timeseries[0].labels.len()
}

fn assert_equal(request: &WriteRequest, bytes: &[u8], second: &[u8]) {
    let theirs = WriteRequest::decode(bytes).unwrap();
    assert_eq!(&theirs, request);
    let (mut one, mut two) = (Collector::default(), Collector::default());
    remote_write::v1(bytes, &mut one).unwrap();
    remote_write::v2(second, &mut two).unwrap();
    for ours in [one, two] {
        assert_eq!((ours.series.len(), ours.refused), (SAMPLES, 0));
        for (ours, theirs) in ours.series.iter().zip(&theirs.timeseries) {
            assert_eq!(ours.labels.iter().count(), theirs.labels.len());
            assert!(theirs.labels.iter().all(|label| ours.labels.get(&label.name) == label.value));
            assert_eq!(ours.points.len(), theirs.samples.len());
            for (ours, theirs) in ours.points.iter().zip(&theirs.samples) {
                assert_eq!((ours.time, ours.value.to_bits()), (theirs.timestamp, theirs.value.to_bits()));
            }
        }
    }
}
