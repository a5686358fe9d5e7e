//! Both answers of remote read.

use features::decode::remote_read::{Frames, MatchKind, Matcher, chunked, request, samples};
use features::decode::{Collector, snappy};
use features::sample::STALE_NAN_BITS;
use proptest::prelude::*;
use prost::Message as _;
use proto::prometheus::{
    Chunk, ChunkedReadResponse, ChunkedSeries, Label, QueryResult, ReadRequest, ReadResponse, Sample, TimeSeries,
};

use crate::{gorilla, oracle};

fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

fn chunk(points: &[(i64, f64)]) -> Chunk {
    let bits: Vec<(i64, u64)> = points.iter().map(|(time, value)| (*time, value.to_bits())).collect();
    Chunk { r#type: 1, data: gorilla::encode(&bits), ..Chunk::default() }
}

fn response(chunks: Vec<Chunk>) -> Vec<u8> {
    let labels = vec![label("__name__", "up"), label("job", "node")];
    ChunkedReadResponse { chunked_series: vec![ChunkedSeries { labels, chunks }], query_index: 0 }.encode_to_vec()
}

#[test]
fn a_request_says_what_it_was_given() {
    let matcher = |kind, value: &str| Matcher { kind, name: "__name__".to_owned(), value: value.to_owned() };
    let kinds = [MatchKind::Equal, MatchKind::NotEqual, MatchKind::Regex, MatchKind::NotRegex];
    let matchers = kinds.map(|kind| matcher(kind, "up|down"));
    let read = ReadRequest::decode(request(-5, 10, &matchers, true).as_slice()).unwrap();
    assert_eq!(read.accepted_response_types, [1, 0]);
    let [query] = read.queries.as_slice() else { panic!("{read:?}") };
    assert_eq!((query.start_timestamp_ms, query.end_timestamp_ms), (-5, 10));
    assert_eq!(query.matchers.iter().map(|matcher| matcher.r#type).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(query.matchers.iter().all(|matcher| matcher.value == "up|down"));
}

#[test]
fn chunks_are_clipped_and_handed_over_one_by_one() {
    let bytes =
        response(vec![chunk(&[(10, 1.0), (20, 2.0)]), chunk(&[(30, 3.0), (40, f64::from_bits(STALE_NAN_BITS))])]);
    let mut collector = Collector::default();
    let decoded = chunked(&bytes, 20, 30, &mut collector).unwrap();
    assert_eq!((decoded.series, decoded.points), (2, 2));
    let times: Vec<Vec<i64>> =
        collector.series.iter().map(|series| series.points.iter().map(|point| point.time).collect()).collect();
    assert_eq!(times, [[20], [30]]);
    assert_eq!(collector.series[0].identity, collector.series[1].identity);
    assert_eq!(collector.series[0].labels.to_string(), "up{job=\"node\"}");
    let mut all = Collector::default();
    chunked(&bytes, i64::MIN, i64::MAX, &mut all).unwrap();
    assert_eq!(all.series[1].points[1].value.to_bits(), STALE_NAN_BITS);
}

#[test]
fn a_corrupt_chunk_is_named_by_its_byte() {
    let mut bad = chunk(&[(10, 1.0), (20, 2.0)]);
    bad.data.truncate(5);
    let bytes = response(vec![bad]);
    let error = chunked(&bytes, 0, 100, &mut Collector::default()).unwrap_err();
    assert_eq!(error.what, "XOR chunk");
    assert_eq!(error.problem, "ends before its last sample");
    // Two bytes of count and one of time are read, the value is not there.
    let data = bytes.len() - 5;
    assert_eq!(error.at, data + 3);
}

#[test]
fn chunks_of_other_kinds() {
    let histogram = Chunk { r#type: 2, data: vec![1, 2, 3], ..Chunk::default() };
    let mut collector = Collector::default();
    let decoded = chunked(&response(vec![histogram, chunk(&[(1, 1.0)])]), 0, 9, &mut collector).unwrap();
    assert_eq!((decoded.histograms, decoded.points), (1, 1));
    for kind in [0, 9] {
        let unknown = Chunk { r#type: kind, ..chunk(&[(1, 1.0)]) };
        let error = chunked(&response(vec![unknown]), 0, 9, &mut Collector::default()).unwrap_err();
        assert!(error.problem.contains(&format!("chunk encoding {kind} is not read here")), "{error}");
    }
}

#[test]
fn an_answer_with_samples() {
    let series = TimeSeries {
        labels: vec![label("__name__", "up")],
        samples: vec![
            Sample { value: 1.0, timestamp: 5 },
            Sample { value: f64::from_bits(STALE_NAN_BITS), timestamp: 6 },
        ],
        ..TimeSeries::default()
    };
    let answer = ReadResponse { results: vec![QueryResult { timeseries: vec![series] }, QueryResult::default()] };
    let block = snap::raw::Encoder::new().compress_vec(&answer.encode_to_vec()).unwrap();
    let mut unpacked = Vec::new();
    snappy::unpack(&block, 1000, &mut unpacked).unwrap();
    let mut collector = Collector::default();
    assert_eq!(samples(&unpacked, &mut collector).unwrap().points, 2);
    assert_eq!(collector.series[0].points[1].value.to_bits(), STALE_NAN_BITS);
    for end in 1..unpacked.len() {
        oracle::samples(&unpacked[..end]);
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(message.len() as u64, &mut bytes);
    bytes.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

fn responses() -> impl Strategy<Value = ChunkedReadResponse> {
    let points = prop::collection::vec((0..100_000_i64, any::<f64>()), 1..20).prop_map(|steps| {
        let mut time = -200_000;
        let points: Vec<(i64, f64)> = steps
            .into_iter()
            .map(|(step, value)| {
                time += step;
                (time, value)
            })
            .collect();
        chunk(&points)
    });
    let name = prop::sample::select(vec!["up", "node_load1", ""]);
    let series = (name, prop::collection::vec(points, 0..4))
        .prop_map(|(name, chunks)| ChunkedSeries { labels: vec![label("__name__", name), label("a", "1")], chunks });
    prop::collection::vec(series, 0..4)
        .prop_map(|chunked_series| ChunkedReadResponse { chunked_series, query_index: 0 })
}

proptest! {
    #[test]
    fn answers_are_read_as_prost_reads_them(response in responses(), at: prop::sample::Index, byte: u8) {
        let mut bytes = response.encode_to_vec();
        oracle::chunked(&bytes);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            oracle::chunked(&bytes);
        }
    }

    #[test]
    fn every_cut_is_read_as_prost_reads_it(response in responses()) {
        let bytes = response.encode_to_vec();
        for end in 0..bytes.len() {
            oracle::chunked(&bytes[..end]);
        }
    }

    #[test]
    fn streams_in_pieces_equal_whole_streams(responses in prop::collection::vec(responses(), 0..4), piece in 1_usize..300) {
        let stream: Vec<u8> = responses.iter().flat_map(|response| frame(&response.encode_to_vec())).collect();
        oracle::frames(&stream, piece);
        let mut frames = Frames::new(1 << 16);
        frames.push(&stream);
        for response in &responses {
            prop_assert_eq!(frames.message().unwrap().unwrap(), response.encode_to_vec());
        }
        prop_assert!(!frames.unfinished());
    }
}
