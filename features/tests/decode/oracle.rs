//! What must hold for any bytes; each function panics where it does not. The tests call these with messages they make,
//! the fuzz targets with whatever they find.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use features::decode::exposition::{self, Dialect};
use features::decode::remote_read::{self, Frames};
use features::decode::{
    Collected, Collector, DecodeError, Decoded, Point, otlp, remote_write, snappy, vm_export, xor_chunk,
};
use features::mapping::MappingSet;
use features::{Catalogue, Labels};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use proto::prometheus::chunk::Encoding;
use proto::prometheus::{ChunkedReadResponse, Label, ReadResponse, TimeSeries, WriteRequest, write_v2};

use crate::gorilla;

/// A series as it must come out: label pairs as they are in the message, start of accumulation, points.
type Expected = (Vec<(String, String)>, Option<i64>, Vec<Point>);

/// Whether a label set is one that a series may have.
fn acceptable(pairs: &[(String, String)]) -> bool {
    let mut names = BTreeSet::new();
    pairs.len() <= 128
        && pairs.iter().all(|(name, value)| name.len() <= 65_536 && value.len() <= 65_536)
        && pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 262_144
        && pairs.iter().all(|(name, value)| value.is_empty() || (!name.is_empty() && names.insert(name)))
        && pairs.iter().any(|(name, value)| name == "__name__" && !value.is_empty())
}

fn same(point: &Point, other: &Point) -> bool {
    point.time == other.time && point.value.to_bits() == other.value.to_bits()
}

fn compare(expected: &[Expected], collected: &Collector) {
    let good: Vec<&Expected> = expected.iter().filter(|(pairs, _, _)| acceptable(pairs)).collect();
    assert_eq!(collected.series.len(), good.len(), "series taken: {:?}", collected.reasons);
    assert_eq!(collected.refused as usize, expected.len() - good.len(), "series refused: {:?}", collected.reasons);
    for (series, (pairs, created, points)) in collected.series.iter().zip(good) {
        assert_eq!(series.labels, Labels::try_new(pairs.clone()).unwrap());
        assert_eq!(series.created, *created);
        assert_eq!(series.points.len(), points.len());
        assert!(series.points.iter().zip(points).all(|(a, b)| same(a, b)), "{series:?} {points:?}");
    }
    one_identity_one_label_set(&collected.series);
}

fn one_identity_one_label_set(series: &[Collected]) {
    let mut known = HashMap::new();
    for series in series {
        assert_eq!(*known.entry(series.identity).or_insert(&series.labels), &series.labels);
    }
}

/// Refusals that are ours alone: prost reads groups, and does not know what a wrong content type looks like.
fn ours_alone(error: &DecodeError) -> bool {
    ["is a group", "field 5 of remote write 2.0", "field 1 holds the series", "symbol"]
        .iter()
        .any(|part| error.problem.contains(part))
}

/// What prost takes is taken, and nothing else comes out. What prost refuses may be taken: it looks at strings and at
/// fields that are passed over here.
fn agree<M>(
    theirs: Result<M, prost::DecodeError>,
    ours: Result<Decoded, DecodeError>,
    collected: &Collector,
    expected: impl FnOnce(&M) -> Vec<Expected>,
) {
    let Ok(message) = theirs else { return };
    match ours {
        Ok(decoded) => {
            let expected = expected(&message);
            assert_eq!(decoded.series as usize, expected.len());
            assert_eq!(decoded.points as usize, expected.iter().map(|(_, _, points)| points.len()).sum::<usize>());
            compare(&expected, collected);
        }
        Err(error) => assert!(ours_alone(&error), "{error}"),
    }
}

fn pairs(labels: &[Label]) -> Vec<(String, String)> {
    labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
}

fn plain_series(series: &TimeSeries) -> Option<Expected> {
    let points = series.samples.iter().map(|sample| Point { time: sample.timestamp, value: sample.value });
    let points: Vec<Point> = points.collect();
    (!points.is_empty()).then(|| (pairs(&series.labels), None, points))
}

/// `features::decode::remote_write::v1`.
pub(crate) fn remote_write_v1(bytes: &[u8]) {
    let mut collected = Collector::default();
    let ours = remote_write::v1(bytes, &mut collected);
    agree(WriteRequest::decode(bytes), ours, &collected, |request| {
        request.timeseries.iter().filter_map(plain_series).collect()
    });
}

/// `features::decode::remote_write::v2`.
pub(crate) fn remote_write_v2(bytes: &[u8]) {
    let mut collected = Collector::default();
    let ours = remote_write::v2(bytes, &mut collected);
    agree(write_v2::Request::decode(bytes), ours, &collected, |request| {
        assert_eq!(request.symbols[0], "");
        request.timeseries.iter().flat_map(|series| symbol_series(series, &request.symbols)).collect()
    });
}

fn symbol_series(series: &write_v2::TimeSeries, symbols: &[String]) -> Vec<Expected> {
    let symbol = |reference: u32| symbols.get(reference as usize).cloned();
    let (refs, rest) = series.labels_refs.as_chunks::<2>();
    let pairs: Option<Vec<(String, String)>> =
        refs.iter().map(|&[name, value]| Some((symbol(name)?, symbol(value)?))).collect();
    // A set that cannot be built is as good as an empty one: both are refused.
    let pairs = pairs.filter(|_| rest.is_empty()).unwrap_or_default();
    let start = |sample: &write_v2::Sample| {
        if sample.start_timestamp == 0 { series.created_timestamp } else { sample.start_timestamp }
    };
    let runs = series.samples.chunk_by(|a, b| a.start_timestamp == b.start_timestamp);
    let expected = runs.map(|samples| {
        let points = samples.iter().map(|sample| Point { time: sample.timestamp, value: sample.value });
        (pairs.clone(), Some(start(&samples[0])).filter(|&start| start > 0), points.collect())
    });
    expected.collect()
}

/// `features::decode::otlp`: every point of the message is handed over, as often as its kind has series.
pub(crate) fn otlp(bytes: &[u8]) {
    let mut collected = Collector::default();
    let ours = otlp::bytes(bytes, &mut collected);
    let theirs = ExportMetricsServiceRequest::decode(bytes);
    assert_eq!(ours.is_ok(), theirs.is_ok());
    let (Ok(decoded), Ok(request)) = (ours, theirs) else { return };
    let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    let sums = |flags: u32, sum: Option<f64>| 1 + usize::from(sum.is_some() || flags & 1 == 1);
    let points: usize = metrics
        .map(|metric| match &metric.data {
            None => 0,
            Some(Data::Gauge(data)) => data.data_points.len(),
            Some(Data::Sum(data)) => data.data_points.len(),
            Some(Data::Histogram(data)) => data.data_points.iter().map(|p| sums(p.flags, p.sum)).sum(),
            Some(Data::ExponentialHistogram(data)) => data.data_points.iter().map(|p| sums(p.flags, p.sum)).sum(),
            Some(Data::Summary(data)) => 2 * data.data_points.len(),
        })
        .sum();
    assert_eq!(decoded.points as usize, points);
    assert_eq!(collected.series.len() + collected.refused as usize, points);
    one_identity_one_label_set(&collected.series);
}

/// A stream of frames gives the same messages whole and in pieces of `piece` bytes.
pub(crate) fn frames(stream: &[u8], piece: usize) {
    let messages = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut frames = Frames::new(1 << 16);
        let mut messages = Vec::new();
        for piece in pieces {
            frames.push(piece);
            loop {
                match frames.message() {
                    Ok(Some(message)) => messages.push(message.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error), true),
                }
            }
        }
        (messages, None, frames.unfinished())
    };
    let whole = messages(&mut std::iter::once(stream));
    assert_eq!(messages(&mut stream.chunks(piece.max(1))), whole);
    for message in whole.0 {
        chunked(&message);
    }
}

/// `features::decode::remote_read::chunked`, clipped to half of all times.
pub(crate) fn chunked(bytes: &[u8]) {
    let mut collected = Collector::default();
    let ours = remote_read::chunked(bytes, 0, i64::MAX, &mut collected);
    let Ok(response) = ChunkedReadResponse::decode(bytes) else { return };
    let mut expected: Vec<Expected> = Vec::new();
    let mut readable = true;
    for series in &response.chunked_series {
        for chunk in &series.chunks {
            let mut points = Vec::new();
            match chunk.r#type() {
                Encoding::Xor => readable &= xor_chunk::decode(&chunk.data, &mut points).is_ok(),
                Encoding::Histogram | Encoding::FloatHistogram => {}
                Encoding::Unknown => readable = false,
            }
            points.retain(|point| point.time >= 0);
            if !points.is_empty() {
                expected.push((pairs(&series.labels), None, points));
            }
        }
    }
    match ours {
        Ok(_) => {
            assert!(readable, "a chunk that cannot be read was passed over");
            compare(&expected, &collected);
        }
        Err(error) => assert!(!readable || ours_alone(&error), "{error}"),
    }
}

/// `features::decode::remote_read::samples`.
pub(crate) fn samples(bytes: &[u8]) {
    let mut collected = Collector::default();
    let ours = remote_read::samples(bytes, &mut collected);
    agree(ReadResponse::decode(bytes), ours, &collected, |response| {
        response.results.iter().flat_map(|result| &result.timeseries).filter_map(plain_series).collect()
    });
}

/// What a chunk holds can be written again and read again.
pub(crate) fn xor_chunk(bytes: &[u8]) {
    let mut points = Vec::new();
    if xor_chunk::decode(bytes, &mut points).is_err() {
        assert!(points.is_empty());
        return;
    }
    let values: Vec<(i64, u64)> = points.iter().map(|point| (point.time, point.value.to_bits())).collect();
    // The encoder computes differences without care for what leaves 64 bits.
    if values.iter().any(|(time, _)| time.unsigned_abs() > 1 << 60) {
        return;
    }
    let mut again = Vec::new();
    xor_chunk::decode(&gorilla::encode(&values), &mut again).unwrap();
    assert!(points.len() == again.len() && points.iter().zip(&again).all(|(a, b)| same(a, b)), "{points:?} {again:?}");
}

/// Both dialects; what is read strictly is read leniently, and what was read can be written and read again.
pub(crate) fn exposition(text: &str) {
    for dialect in [Dialect::Text, Dialect::OpenMetrics] {
        let mut lenient = Collector::default();
        let (decoded, bad) = exposition::text(text, dialect, 5, &mut lenient);
        assert!(decoded.points as usize + bad.len() <= text.lines().count());
        one_identity_one_label_set(&lenient.series);
        let mut strict = Collector::default();
        if exposition::strict(text, dialect, 5, &mut strict).is_ok() {
            assert!(bad.is_empty());
            assert_eq!(format!("{strict:?}"), format!("{lenient:?}"));
        }
        for series in &lenient.series {
            let mut again = Collector::default();
            let written = exposed(&series.labels, series.points[0]);
            let (_, bad) = exposition::text(&written, Dialect::Text, 0, &mut again);
            assert!(bad.is_empty(), "{written:?}: {:?}", bad.first());
            assert_eq!(again.series[0].labels, series.labels, "{written:?}");
            assert!(again.series[0].points[0].time == series.points[0].time);
        }
    }
}

/// A sample in the form of Prometheus 3, whose names may hold anything.
fn exposed(labels: &Labels, point: Point) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut text = format!("{{{}", quoted(labels.name()));
    for (name, value) in labels.iter().filter(|(name, _)| *name != "__name__") {
        text += &format!(",{}={}", quoted(name), quoted(value));
    }
    text + &format!("}} {:?} {}\n", point.value, point.time)
}

/// What a line holds can be written again and read again.
pub(crate) fn vm_export(text: &str) {
    let mut collected = Collector::default();
    let Ok(points) = vm_export::line(text, &mut collected) else { return };
    let Some(series) = collected.series.first() else {
        assert!(points == 0 || collected.refused == 1);
        return;
    };
    assert_eq!(series.points.len() as u64, points);
    let metric: HashMap<&str, &str> = series.labels.iter().collect();
    let value = |value: f64| match value {
        value if value.to_bits() == features::sample::STALE_NAN_BITS => serde_json::Value::Null,
        value if value.is_nan() => "NaN".into(),
        value if value == f64::INFINITY => "Infinity".into(),
        value if value == f64::NEG_INFINITY => "-Infinity".into(),
        value => value.into(),
    };
    let written = serde_json::json!({
        "metric": metric,
        "values": series.points.iter().map(|point| value(point.value)).collect::<Vec<_>>(),
        "timestamps": series.points.iter().map(|point| point.time).collect::<Vec<_>>(),
    });
    let mut again = Collector::default();
    vm_export::line(&written.to_string(), &mut again).unwrap();
    assert_eq!(again.series[0].labels, series.labels);
    assert_eq!(again.series[0].identity, series.identity);
    assert!(again.series[0].points.iter().zip(&series.points).all(|(a, b)| same(a, b)));
}

/// What is unpacked is what the library unpacks, and never larger than allowed.
pub(crate) fn snappy(block: &[u8]) {
    const LARGEST: usize = 1 << 20;
    let mut unpacked = Vec::new();
    match (snappy::unpack(block, LARGEST, &mut unpacked), snap::raw::decompress_len(block)) {
        (Ok(()), _) => {
            assert!(unpacked.len() <= LARGEST);
            assert_eq!(unpacked, snap::raw::Decoder::new().decompress_vec(block).unwrap());
        }
        (Err(_), Ok(length)) if length <= LARGEST => {
            assert_eq!(unpacked.capacity(), if length <= 22 * block.len() { unpacked.capacity() } else { 0 });
            assert!(snap::raw::Decoder::new().decompress_vec(block).is_err());
        }
        (Err(_), _) => assert_eq!(unpacked.capacity(), 0),
    }
}

/// Bytes for a mapping file: an error or a set of rules, never a panic.
pub(crate) fn mapping(text: &str) {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::standard);
    if let Ok(set) = MappingSet::of(&[("fuzz.toml", text)], &CATALOGUE) {
        for name in set.names() {
            if let Ok(labels) = Labels::try_new(vec![("__name__".to_owned(), name.to_owned())]) {
                let _ = set.resolve(&labels);
            }
        }
    }
}

/// The targets, each with a folder of its name in `fuzz/corpus`.
pub(crate) const TARGETS: [&str; 9] = [
    "exposition",
    "mapping",
    "otlp",
    "remote_read",
    "remote_write_v1",
    "remote_write_v2",
    "snappy",
    "vm_export",
    "xor_chunk",
];

/// Runs one target on one input.
pub(crate) fn check(target: &str, bytes: &[u8]) {
    match target {
        "exposition" => exposition(&String::from_utf8_lossy(bytes)),
        "mapping" => mapping(&String::from_utf8_lossy(bytes)),
        "otlp" => otlp(bytes),
        // The first byte chooses the form, and the size of the pieces of a stream.
        "remote_read" => match bytes.split_first() {
            Some((0, rest)) => chunked(rest),
            Some((1, rest)) => samples(rest),
            Some((&piece, rest)) => frames(rest, usize::from(piece)),
            None => {}
        },
        "remote_write_v1" => remote_write_v1(bytes),
        "remote_write_v2" => remote_write_v2(bytes),
        "snappy" => snappy(bytes),
        "vm_export" => vm_export(&String::from_utf8_lossy(bytes)),
        "xor_chunk" => xor_chunk(bytes),
        other => panic!("{other} is no target; {TARGETS:?} are"),
    }
}
