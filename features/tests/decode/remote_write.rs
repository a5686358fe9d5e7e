//! Remote write 1.0 and 2.0 against prost.

use features::decode::remote_write::{v1, v2};
use features::decode::{Collector, Temporality};
use features::sample::STALE_NAN_BITS;
use proptest::prelude::*;
use prost::Message as _;
use proto::prometheus::{Exemplar, Histogram, Label, MetricMetadata, Sample, TimeSeries, WriteRequest, write_v2};

use crate::oracle;

fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(name, value)| label(name, value)).collect(),
        samples: samples.iter().map(|&(timestamp, value)| Sample { value, timestamp }).collect(),
        ..TimeSeries::default()
    }
}

fn request(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec()
}

fn read(bytes: &[u8]) -> Collector {
    let mut collector = Collector::default();
    v1(bytes, &mut collector).unwrap();
    collector
}

#[test]
fn a_bad_series_costs_itself_alone() {
    let long = "x".repeat(1_000_000);
    let good = series(&[("__name__", "up"), ("job", "node")], &[(1, 1.0)]);
    let mut not_text = series(&[("__name__", "up")], &[(1, 1.0)]).encode_to_vec();
    // The second byte of the value "up" is no text any more.
    let at = not_text.windows(2).position(|pair| pair == b"up").unwrap();
    not_text[at + 1] = 0xff;
    let mut bytes = request(vec![
        good.clone(),
        series(&[("job", "node")], &[(1, 1.0), (2, 2.0)]),
        series(&[("__name__", "up"), ("job", "a"), ("job", "b")], &[(1, 1.0)]),
        series(&[("__name__", "up"), ("blob", &long)], &[(1, 1.0)]),
    ]);
    prost::encoding::bytes::encode(1, &not_text, &mut bytes);
    bytes.extend(request(vec![good]));
    let collector = read(&bytes);
    assert_eq!(collector.series.len(), 2);
    assert_eq!(collector.refused, 4);
    let reasons: Vec<&str> = collector.reasons.iter().map(|reason| reason.problem.as_str()).collect();
    assert_eq!(reasons[0], "series {job=\"node\"} has no metric name (label __name__)");
    assert_eq!(reasons[1], "series up{job=\"a\", job=\"b\"}: label \"job\" is given twice");
    assert!(reasons[2].ends_with("the value of label \"blob\" has 1000000 bytes, at most 65536 are taken"));
    assert_eq!(reasons[3], "\"u\u{fffd}\" is not UTF-8");
    assert_eq!(bytes[collector.reasons[3].at], 0xff, "the place of the first bad byte");
}

#[test]
fn one_label_set_has_one_identity_and_a_stale_mark_keeps_its_bits() {
    let stale = f64::from_bits(STALE_NAN_BITS);
    let collector = read(&request(vec![
        series(&[("__name__", "up"), ("job", "node")], &[(1, 1.0)]),
        series(&[("__name__", "up"), ("job", "other")], &[(1, 1.0)]),
        series(&[("__name__", "up"), ("job", "node")], &[(2, stale)]),
    ]));
    let identity: Vec<u128> = collector.series.iter().map(|series| series.identity).collect();
    assert_eq!(identity[0], identity[2]);
    assert_ne!(identity[0], identity[1]);
    assert_eq!(collector.series[2].points[0].value.to_bits(), STALE_NAN_BITS);
}

#[test]
fn what_is_passed_over_is_counted() {
    let mut one = series(&[("__name__", "up")], &[(1, 1.0)]);
    one.exemplars = vec![Exemplar::default(); 3];
    let mut two = series(&[("__name__", "latency")], &[]);
    two.histograms = vec![Histogram { sum: 1.0, positive_counts: vec![1.0], ..Histogram::default() }; 2];
    let metadata = vec![MetricMetadata { help: "Whether it is up.".to_owned(), ..MetricMetadata::default() }];
    let bytes = WriteRequest { timeseries: vec![one, two], metadata }.encode_to_vec();
    let mut collector = Collector::default();
    let decoded = v1(&bytes, &mut collector).unwrap();
    assert_eq!((decoded.series, decoded.points, decoded.exemplars, decoded.histograms), (1, 1, 3, 2));
}

#[test]
fn the_other_version_is_refused_by_name() {
    let two = write_v2::Request { symbols: vec![String::new()], timeseries: vec![write_v2::TimeSeries::default()] };
    let error = v1(&two.encode_to_vec(), &mut Collector::default()).unwrap_err();
    assert!(error.problem.contains("io.prometheus.write.v2.Request"), "{error}");
    let one = request(vec![series(&[("__name__", "up")], &[(1, 1.0)])]);
    let error = v2(&one, &mut Collector::default()).unwrap_err();
    assert!(error.problem.contains("remote write 1.0"), "{error}");
}

#[test]
fn an_empty_request_of_version_1_is_no_error() {
    assert_eq!(v1(&[], &mut Collector::default()).unwrap().series, 0);
}

/// Symbols `"", "__name__", "up", "job", "a"` and series of the given references.
fn request_2(timeseries: Vec<write_v2::TimeSeries>) -> Vec<u8> {
    let symbols = ["", "__name__", "up", "job", "a"].map(str::to_owned).to_vec();
    write_v2::Request { symbols, timeseries }.encode_to_vec()
}

fn sample_2(timestamp: i64, start_timestamp: i64) -> write_v2::Sample {
    write_v2::Sample { value: 1.0, timestamp, start_timestamp }
}

fn series_2(labels_refs: &[u32], samples: Vec<write_v2::Sample>) -> write_v2::TimeSeries {
    write_v2::TimeSeries { labels_refs: labels_refs.to_vec(), samples, ..write_v2::TimeSeries::default() }
}

#[test]
fn bad_references_cost_the_series() {
    let bytes = request_2(vec![
        series_2(&[1, 2, 3, 4], vec![sample_2(1, 0)]),
        series_2(&[1, 2, 3], vec![sample_2(1, 0)]),
        series_2(&[1, 2, 3, 5], vec![sample_2(1, 0)]),
        series_2(&[1, 2, 3, 0], vec![sample_2(1, 0)]),
        series_2(&[3, 4], vec![sample_2(1, 0)]),
        series_2(&[1; 258], vec![sample_2(1, 0)]),
        series_2(&[1, 2, 3, 4], vec![sample_2(2, 0)]),
    ]);
    let mut collector = Collector::default();
    v2(&bytes, &mut collector).unwrap();
    let labels: Vec<String> = collector.series.iter().map(|series| series.labels.to_string()).collect();
    assert_eq!(labels, ["up{job=\"a\"}", "up{}", "up{job=\"a\"}"]);
    assert_eq!(collector.series[0].identity, collector.series[2].identity);
    let reasons: Vec<&str> = collector.reasons.iter().map(|reason| reason.problem.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "3 label references, which do not make pairs",
            "label reference 5, the table has 5 symbols",
            "series {job=\"a\"} has no metric name (label __name__)",
            "more than 128 labels",
        ]
    );
}

#[test]
fn identity_of_version_2_is_that_of_the_strings() {
    let one = request_2(vec![series_2(&[1, 2, 3, 4], vec![sample_2(1, 0)])]);
    let symbols = ["", "a", "unused", "job", "up", "__name__"].map(str::to_owned).to_vec();
    let timeseries = vec![series_2(&[5, 4, 3, 1], vec![sample_2(1, 0)])];
    let two = write_v2::Request { symbols, timeseries }.encode_to_vec();
    let identity = |bytes: &[u8]| {
        let mut collector = Collector::default();
        v2(bytes, &mut collector).unwrap();
        collector.series[0].identity
    };
    assert_eq!(identity(&one), identity(&two));
}

#[test]
fn starts_of_accumulation_come_from_samples_and_from_the_series() {
    let mut old = series_2(&[1, 2], vec![sample_2(10, 0), sample_2(20, 0)]);
    old.created_timestamp = 5;
    old.metadata =
        Some(write_v2::Metadata { r#type: write_v2::metadata::MetricType::Counter as i32, ..Default::default() });
    let new = series_2(&[1, 2], vec![sample_2(30, 25), sample_2(40, 25), sample_2(50, 45), sample_2(60, 0)]);
    let mut collector = Collector::default();
    v2(&request_2(vec![old, new]), &mut collector).unwrap();
    let seen: Vec<_> = collector
        .series
        .iter()
        .map(|series| {
            (series.created, series.temporality, series.points.iter().map(|point| point.time).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some(5), Temporality::Cumulative, vec![10, 20]),
            (Some(25), Temporality::Unknown, vec![30, 40]),
            (Some(45), Temporality::Unknown, vec![50]),
            (None, Temporality::Unknown, vec![60]),
        ]
    );
}

#[test]
fn the_table_begins_with_the_empty_string() {
    let problem = |symbols: &[&str]| {
        let symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        let bytes = write_v2::Request { symbols, timeseries: Vec::new() }.encode_to_vec();
        v2(&bytes, &mut Collector::default()).map_err(|error| error.problem)
    };
    assert_eq!(problem(&[]), Err("no symbols; the first must be the empty string".to_owned()));
    assert_eq!(problem(&["up", ""]), Err("the first symbol is \"up\", it must be the empty string".to_owned()));
    assert!(problem(&[""]).is_ok());
}

#[test]
fn one_long_symbol_named_a_thousand_times_costs_little() {
    // 1,000 series of 128 labels with the same value of 60,000 bytes would be 7.7 GB of labels.
    let mut symbols = vec![String::new(), "__name__".to_owned(), "v".repeat(60_000)];
    symbols.extend((0..127).map(|n| format!("l{n}")));
    let mut refs = vec![1, 2];
    refs.extend((3..130).flat_map(|name| [name, 2]));
    let timeseries = vec![series_2(&refs, vec![sample_2(1, 0)]); 1000];
    let bytes = write_v2::Request { symbols, timeseries }.encode_to_vec();
    let mut collector = Collector::default();
    v2(&bytes, &mut collector).unwrap();
    assert_eq!((collector.series.len(), collector.refused), (0, 1000));
    assert!(collector.reasons[0].problem.contains("at most 262144 are taken"), "{}", collector.reasons[0]);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["__name__", "up", "job", "instance", "", "localhost:9100", "é"]).prop_map(str::to_owned),
        1 => ".{0,8}",
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::from_bits(STALE_NAN_BITS)), any::<f64>()]
}

fn messages_1() -> impl Strategy<Value = WriteRequest> {
    let labels = prop::collection::vec((text(), text()).prop_map(|(name, value)| Label { name, value }), 0..5);
    let named = (labels, any::<bool>()).prop_map(|(mut labels, named)| {
        if named {
            labels.retain(|other| other.name != "__name__");
            labels.insert(0, label("__name__", "up"));
        }
        labels
    });
    let samples = prop::collection::vec(
        (number(), any::<i64>()).prop_map(|(value, timestamp)| Sample { value, timestamp }),
        0..4,
    );
    let series =
        (named, samples, 0_usize..2, 0_usize..2).prop_map(|(labels, samples, exemplars, histograms)| TimeSeries {
            labels,
            samples,
            exemplars: vec![Exemplar { value: 1.0, ..Exemplar::default() }; exemplars],
            histograms: vec![Histogram { schema: 3, ..Histogram::default() }; histograms],
        });
    prop::collection::vec(series, 0..6)
        .prop_map(|timeseries| WriteRequest { timeseries, metadata: vec![MetricMetadata::default()] })
}

fn messages_2() -> impl Strategy<Value = write_v2::Request> {
    let sample = (number(), any::<i64>(), prop_oneof![Just(0), Just(7), any::<i64>()])
        .prop_map(|(value, timestamp, start_timestamp)| write_v2::Sample { value, timestamp, start_timestamp });
    let named = prop_oneof![Just(vec![1, 2]), Just(Vec::new())];
    let refs = (named, prop::collection::vec(0_u32..9, 0..5)).prop_map(|(mut refs, more)| {
        refs.extend(more);
        refs
    });
    let series = (refs, prop::collection::vec(sample, 0..4), any::<i64>(), prop::option::of(0..9_i32)).prop_map(
        |(labels_refs, samples, created_timestamp, kind)| write_v2::TimeSeries {
            labels_refs,
            samples,
            created_timestamp,
            metadata: kind.map(|r#type| write_v2::Metadata { r#type, help_ref: 1, unit_ref: 0 }),
            ..write_v2::TimeSeries::default()
        },
    );
    (prop::collection::vec(text(), 0..5), prop::collection::vec(series, 0..6)).prop_map(|(more, timeseries)| {
        let symbols = ["", "__name__", "up", "job"].map(str::to_owned).into_iter().chain(more);
        write_v2::Request { symbols: symbols.collect(), timeseries }
    })
}

/// A field that no message has: every wire type but groups.
fn unknown_field() -> impl Strategy<Value = Vec<u8>> {
    let number = 100_u32..1000;
    (number, 0..4_u32, any::<u64>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(
        |(number, kind, value, bytes)| {
            let mut field = Vec::new();
            match kind {
                0 => prost::encoding::uint64::encode(number, &value, &mut field),
                1 => prost::encoding::fixed64::encode(number, &value, &mut field),
                2 => prost::encoding::bytes::encode(number, &bytes, &mut field),
                _ => prost::encoding::fixed32::encode(number, &(value as u32), &mut field),
            }
            field
        },
    )
}

proptest! {
    #[test]
    fn version_1_is_read_as_prost_reads_it(message in messages_1()) {
        oracle::remote_write_v1(&message.encode_to_vec());
    }

    #[test]
    fn version_2_is_read_as_prost_reads_it(message in messages_2()) {
        oracle::remote_write_v2(&message.encode_to_vec());
    }

    #[test]
    fn unknown_fields_change_nothing(message in messages_1(), unknown in prop::collection::vec(unknown_field(), 4)) {
        let plain = read(&message.encode_to_vec());
        let mut bytes = unknown[0].clone();
        for series in &message.timeseries {
            let mut encoded = unknown[1].clone();
            for label in &series.labels {
                prost::encoding::message::encode(1, label, &mut encoded);
                encoded.extend(&unknown[2]);
            }
            for sample in &series.samples {
                let mut inner = sample.encode_to_vec();
                inner.extend(&unknown[3]);
                prost::encoding::bytes::encode(2, &inner, &mut encoded);
            }
            prost::encoding::bytes::encode(1, &encoded, &mut bytes);
            bytes.extend(&unknown[3]);
        }
        let collector = read(&bytes);
        prop_assert_eq!(collector.refused, plain.refused);
        // Compared as text, in which a NaN equals itself.
        prop_assert_eq!(format!("{:?}", collector.series), format!("{:?}", plain.series));
    }

    #[test]
    fn every_cut_is_read_as_prost_reads_it(one in messages_1(), two in messages_2()) {
        let bytes = one.encode_to_vec();
        for end in 0..bytes.len() {
            oracle::remote_write_v1(&bytes[..end]);
        }
        let bytes = two.encode_to_vec();
        for end in 0..bytes.len() {
            oracle::remote_write_v2(&bytes[..end]);
        }
    }

    #[test]
    fn a_cut_inside_a_series_is_an_error(message in messages_1()) {
        let Some(series) = message.timeseries.first() else { return Ok(()) };
        let bytes = request(vec![series.clone()]);
        for end in 1..bytes.len() {
            prop_assert!(v1(&bytes[..end], &mut Collector::default()).is_err(), "{} of {}", end, bytes.len());
        }
    }

    #[test]
    fn any_bytes_are_read_as_prost_reads_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        oracle::remote_write_v1(&bytes);
        oracle::remote_write_v2(&bytes);
    }

    #[test]
    fn damaged_messages_are_read_as_prost_reads_them(one in messages_1(), two in messages_2(), at: prop::sample::Index, byte: u8) {
        for (bytes, check) in [
            (one.encode_to_vec(), oracle::remote_write_v1 as fn(&[u8])),
            (two.encode_to_vec(), oracle::remote_write_v2),
        ] {
            let mut bytes = bytes;
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                check(&bytes);
            }
        }
    }
}
