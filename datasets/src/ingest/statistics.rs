//! What the receiver counts about itself, as a typed report and as a Prometheus exposition.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use features::canonical::{Counts, Ignored, Reason};
use serde::Serialize;

use super::pipeline::Pipeline;

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Prometheus remote write 1.0.
    RemoteWrite1,
    /// Prometheus remote write 2.0.
    RemoteWrite2,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// OTLP over HTTP.
    OtlpHttp,
    /// VictoriaMetrics export lines.
    Lines,
}

impl Protocol {
    const ALL: [Self; 5] = [Self::RemoteWrite1, Self::RemoteWrite2, Self::OtlpGrpc, Self::OtlpHttp, Self::Lines];

    fn name(self) -> &'static str {
        match self {
            Self::RemoteWrite1 => "remote_write_1",
            Self::RemoteWrite2 => "remote_write_2",
            Self::OtlpGrpc => "otlp_grpc",
            Self::OtlpHttp => "otlp_http",
            Self::Lines => "vm_lines",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Everything that belongs into the lake is safe there.
    Stored,
    /// The same, but some samples were refused and the sender was told.
    Partial,
    /// It was not what it claimed to be.
    Malformed,
    /// A content type or encoding nobody here reads.
    Unsupported,
    /// Over the limit of bytes or of samples.
    TooLarge,
    /// Turned away because too much was under way, or it came too slowly.
    Busy,
    /// The store failed, or this machine's clock cannot be trusted.
    Unavailable,
    /// No or a wrong token.
    Unauthorized,
}

impl Ending {
    const ALL: [Self; 8] = [
        Self::Stored,
        Self::Partial,
        Self::Malformed,
        Self::Unsupported,
        Self::TooLarge,
        Self::Busy,
        Self::Unavailable,
        Self::Unauthorized,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Partial => "partial",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// Upper edges of the time until a message is durable, milliseconds.
const EDGES: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000];

/// Counters that many requests add to at once.
#[derive(Debug, Default)]
pub struct Counters {
    requests: [[AtomicU64; Ending::ALL.len()]; Protocol::ALL.len()],
    samples: [AtomicU64; Protocol::ALL.len()],
    rows: AtomicU64,
    silent: AtomicU64,
    starts: AtomicU64,
    dropped: [AtomicU64; Reason::ALL.len()],
    late: AtomicU64,
    lag: AtomicI64,
    in_flight: AtomicI64,
    bytes: AtomicU64,
    durable: [AtomicU64; EDGES.len() + 1],
    durable_micros: AtomicU64,
}

/// What was received since the start; printed when the receiver stops.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IngestStats {
    /// Protocol, ending, requests; without those that never happened.
    pub requests: Vec<(&'static str, &'static str, u64)>,
    /// Protocol, samples decoded.
    pub samples: Vec<(&'static str, u64)>,
    /// Rows acknowledged as safe.
    pub rows: u64,
    /// Samples that say nothing, such as the rows of a state set that hold 0.
    pub silent: u64,
    /// Zeros added where a counter began.
    pub starts: u64,
    /// Reason, samples dropped.
    pub dropped: Vec<(&'static str, u64)>,
    /// Rows whose time lies far before their arrival.
    pub late: u64,
    /// Arrival less time of the newest row of the last message, milliseconds.
    pub lag: i64,
    /// Requests being worked on.
    pub in_flight: i64,
    /// Bytes of request bodies.
    pub bytes: u64,
    /// Source series remembered.
    pub series: usize,
    /// Canonical metric, reason, samples dropped.
    pub dropped_by_metric: Vec<(String, &'static str, u64)>,
    /// Source metric, what its mapping found wanting (nothing where there is no mapping), series, samples.
    pub ignored: Vec<(String, Option<String>, u64, u64)>,
}

/// Counts a request as under way for as long as it lives.
pub(super) struct Underway<'a>(&'a Counters);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    pub(super) fn underway(&self) -> Underway<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        Underway(self)
    }

    pub(super) fn ended(&self, protocol: Protocol, ending: Ending) {
        self.requests[protocol as usize][ending as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn took(&self, protocol: Protocol, counts: &Counts) {
        self.samples[protocol as usize].fetch_add(counts.samples, Relaxed);
        self.silent.fetch_add(counts.silent, Relaxed);
        self.starts.fetch_add(counts.starts, Relaxed);
        for reason in Reason::ALL {
            self.dropped[reason as usize].fetch_add(counts.dropped(reason), Relaxed);
        }
    }

    pub(super) fn stored(&self, rows: u64, late: u64, lag: Option<i64>, waited: Duration) {
        self.rows.fetch_add(rows, Relaxed);
        self.late.fetch_add(late, Relaxed);
        if let Some(lag) = lag {
            self.lag.store(lag, Relaxed);
        }
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        let bucket = EDGES.iter().position(|edge| micros <= edge * 1000).unwrap_or(EDGES.len());
        self.durable[bucket].fetch_add(1, Relaxed);
        self.durable_micros.fetch_add(micros, Relaxed);
    }

    /// Everything as one report, with the `top` names of series that are not stored.
    #[must_use]
    pub fn report(&self, pipeline: &Pipeline, top: usize) -> IngestStats {
        let seen = pipeline.statistics(top);
        let mut stats = IngestStats {
            rows: self.rows.load(Relaxed),
            silent: self.silent.load(Relaxed),
            starts: self.starts.load(Relaxed),
            late: self.late.load(Relaxed),
            lag: self.lag.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            series: seen.series,
            dropped_by_metric: seen.dropped.into_iter().map(|(id, reason, n)| (id, reason.name(), n)).collect(),
            ignored: seen
                .ignored
                .into_iter()
                .map(|Ignored { name, reason, series, samples }| (name, reason, series, samples))
                .collect(),
            ..IngestStats::default()
        };
        for protocol in Protocol::ALL {
            for ending in Ending::ALL {
                let count = self.requests[protocol as usize][ending as usize].load(Relaxed);
                if count > 0 {
                    stats.requests.push((protocol.name(), ending.name(), count));
                }
            }
            let samples = self.samples[protocol as usize].load(Relaxed);
            if samples > 0 {
                stats.samples.push((protocol.name(), samples));
            }
        }
        for reason in Reason::ALL {
            let count = self.dropped[reason as usize].load(Relaxed);
            if count > 0 {
                stats.dropped.push((reason.name(), count));
            }
        }
        stats
    }

    /// The report as a Prometheus exposition.
    #[must_use]
    pub fn exposition(&self, pipeline: &Pipeline) -> String {
        let stats = self.report(pipeline, 20);
        let mut text = String::with_capacity(4096);
        family(&mut text, "requests_total", "counter", "Requests by protocol and how they ended.");
        for (protocol, ending, count) in &stats.requests {
            line(&mut text, "requests_total", &[("protocol", protocol), ("ending", ending)], *count as f64);
        }
        family(&mut text, "samples_received_total", "counter", "Samples decoded.");
        for (protocol, count) in &stats.samples {
            line(&mut text, "samples_received_total", &[("protocol", protocol)], *count as f64);
        }
        family(&mut text, "samples_dropped_total", "counter", "Samples not stored, by reason.");
        for (reason, count) in &stats.dropped {
            line(&mut text, "samples_dropped_total", &[("reason", reason)], *count as f64);
        }
        family(&mut text, "metric_samples_dropped_total", "counter", "Samples of canonical metrics not stored.");
        for (metric, reason, count) in &stats.dropped_by_metric {
            line(&mut text, "metric_samples_dropped_total", &[("metric", metric), ("reason", reason)], *count as f64);
        }
        family(&mut text, "ignored_samples_total", "counter", "Samples without a mapping, the most frequent names.");
        for (name, reason, _, samples) in &stats.ignored {
            let reason = reason.as_deref().unwrap_or("unmapped");
            line(&mut text, "ignored_samples_total", &[("name", name), ("reason", reason)], *samples as f64);
        }
        for (name, kind, help, value) in [
            ("rows_stored_total", "counter", "Rows acknowledged as safe.", stats.rows as f64),
            ("samples_silent_total", "counter", "Rows of state sets that hold 0.", stats.silent as f64),
            ("counter_starts_total", "counter", "Zeros added where a counter began.", stats.starts as f64),
            ("rows_late_total", "counter", "Rows long after their time.", stats.late as f64),
            ("received_bytes_total", "counter", "Bytes of request bodies.", stats.bytes as f64),
            ("lag_seconds", "gauge", "Age of the newest row of the last message.", stats.lag as f64 / 1000.0),
            ("requests_in_flight", "gauge", "Requests being worked on.", stats.in_flight as f64),
            ("source_series", "gauge", "Source series remembered.", stats.series as f64),
        ] {
            family(&mut text, name, kind, help);
            line(&mut text, name, &[], value);
        }
        for (name, kind, value) in pipeline.store().figures() {
            family(&mut text, name, kind, "Of the lake.");
            line(&mut text, name, &[], value);
        }
        self.durable_histogram(&mut text);
        text
    }

    fn durable_histogram(&self, text: &mut String) {
        family(text, "durable_seconds", "histogram", "Time from rows handed over to rows safe on disk.");
        let mut total = 0;
        for (bucket, count) in self.durable.iter().enumerate() {
            total += count.load(Relaxed);
            let edge = EDGES.get(bucket).map_or("+Inf".to_owned(), |&edge| (edge as f64 / 1000.0).to_string());
            line(text, "durable_seconds_bucket", &[("le", &edge)], total as f64);
        }
        line(text, "durable_seconds_sum", &[], self.durable_micros.load(Relaxed) as f64 / 1e6);
        line(text, "durable_seconds_count", &[], total as f64);
    }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP forewarn_ingest_{name} {help}\n# TYPE forewarn_ingest_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let _ = write!(text, "forewarn_ingest_{name}");
    for (index, (label, value)) in labels.iter().enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{}{label}=\"{value}\"", if index == 0 { '{' } else { ',' });
    }
    let _ = writeln!(text, "{} {value}", if labels.is_empty() { "" } else { "}" });
}
