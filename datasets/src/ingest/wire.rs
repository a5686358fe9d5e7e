//! The decoders of `features` under the limits of this room.

use features::decode::exposition::Dialect;
use features::decode::remote_read::{Frames, MatchKind, Matcher};
use features::decode::{
    DecodeError, SeriesSink, SourceSeries, exposition as text, otlp as otlp_decoder, remote_read, remote_write, snappy,
    vm_export,
};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;

/// Prometheus cuts frames at one MiB unless told otherwise; a frame holds at least one series, however long.
const LARGEST_FRAME: usize = 64 << 20;

type Result<T = (), E = DecodeError> = std::result::Result<T, E>;

/// A `prometheus.WriteRequest` in a snappy block that inflates to `largest` bytes at most.
pub(super) fn remote_write_1(body: &[u8], largest: usize, sink: &mut dyn SeriesSink) -> Result {
    remote_write::v1(&unpack(body, largest)?, sink).map(drop)
}

/// An `io.prometheus.write.v2.Request`, packed the same way.
pub(super) fn remote_write_2(body: &[u8], largest: usize, sink: &mut dyn SeriesSink) -> Result {
    remote_write::v2(&unpack(body, largest)?, sink).map(drop)
}

/// An `ExportMetricsServiceRequest` as bytes.
pub(super) fn otlp(body: &[u8], sink: &mut dyn SeriesSink) -> Result {
    otlp_decoder::bytes(body, sink).map(drop)
}

/// The same as a message.
pub(super) fn otlp_message(message: &ExportMetricsServiceRequest, sink: &mut dyn SeriesSink) {
    otlp_decoder::request_of(message, sink);
}

/// Lines of `/api/v1/export`; the error's place is the byte of `body`.
pub(super) fn vm_lines(body: &[u8], sink: &mut dyn SeriesSink) -> Result {
    let text = utf8(body, "lines of /api/v1/export")?;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty() {
            vm_export::line(line.trim_end(), sink).map_err(|error| DecodeError { at: at + error.at, ..error })?;
        }
        at += line.len();
    }
    Ok(())
}

/// A text exposition: lines that cannot be read, and the first of them in words.
pub(super) fn exposition(
    body: &[u8],
    dialect: Dialect,
    at: Option<i64>,
    sink: &mut dyn SeriesSink,
) -> Result<(u64, Option<(usize, String)>)> {
    let mut timed = Timed { sink, without_time: false };
    let (_, bad) = text::text(utf8(body, "text exposition")?, dialect, at.unwrap_or(i64::MIN), &mut timed);
    if timed.without_time {
        return Err(DecodeError {
            what: "text exposition",
            at: 0,
            problem: "a sample without a time, and nothing says when it was scraped".to_owned(),
        });
    }
    let first = bad.first().map(|bad| (bad.line, format!("column {}: {}", bad.column, bad.problem)));
    Ok((bad.len() as u64, first))
}

/// Notices samples that carry no time of their own.
struct Timed<'a> {
    sink: &'a mut dyn SeriesSink,
    without_time: bool,
}

impl SeriesSink for Timed<'_> {
    fn take(&mut self, series: &SourceSeries<'_>) {
        if series.points.iter().any(|point| point.time == i64::MIN) {
            self.without_time = true;
        } else {
            self.sink.take(series);
        }
    }
}

/// A snappy `prometheus.ReadRequest` for metrics whose name matches, from `from` up to and with `until`.
pub(super) fn read_request(names: &str, from: i64, until: i64, streamed: bool) -> Result<Vec<u8>> {
    let matcher = Matcher { kind: MatchKind::Regex, name: "__name__".to_owned(), value: names.to_owned() };
    let request = remote_read::request(from, until, &[matcher], streamed);
    snap::raw::Encoder::new().compress_vec(&request).map_err(|error| DecodeError {
        what: "prometheus.ReadRequest",
        at: 0,
        problem: error.to_string(),
    })
}

/// Puts the frames of a streamed answer together.
pub(super) fn frames() -> Frames {
    Frames::new(LARGEST_FRAME)
}

/// One frame of a streamed answer; points outside of `from..=until` are left out.
pub(super) fn chunked_read_response(frame: &[u8], from: i64, until: i64, sink: &mut dyn SeriesSink) -> Result {
    remote_read::chunked(frame, from, until, sink).map(drop)
}

/// A snappy `prometheus.ReadResponse`.
pub(super) fn read_response(body: &[u8], largest: usize, sink: &mut dyn SeriesSink) -> Result {
    remote_read::samples(&unpack(body, largest)?, sink).map(drop)
}

fn unpack(body: &[u8], largest: usize) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    snappy::unpack(body, largest, &mut unpacked)?;
    Ok(unpacked)
}

fn utf8<'a>(body: &'a [u8], what: &'static str) -> Result<&'a str> {
    std::str::from_utf8(body).map_err(|error| DecodeError {
        what,
        at: error.valid_up_to(),
        problem: "not UTF-8".to_owned(),
    })
}
