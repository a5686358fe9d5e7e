//! OTLP metrics: what becomes of every kind of point.

use features::decode::otlp::{bytes, request_of};
use features::decode::{Collected, Collector, Temporality};
use features::sample::STALE_NAN_BITS;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;

use crate::oracle;

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;
/// 1 s and a little less than 1 ms after the epoch.
const TIME: u64 = 1_000_999_999;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn number(value: f64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: TIME,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn gauge(points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge { data_points: points })
}

fn sum(aggregation_temporality: i32, is_monotonic: bool) -> Data {
    Data::Sum(Sum { data_points: vec![number(3.0)], aggregation_temporality, is_monotonic })
}

fn request(resource: Vec<KeyValue>, scope: &str, name: &str, data: Data) -> ExportMetricsServiceRequest {
    let metric = Metric { name: name.to_owned(), data: Some(data), ..Metric::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: resource, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope { name: scope.to_owned(), ..InstrumentationScope::default() }),
                metrics: vec![metric],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn read(request: &ExportMetricsServiceRequest) -> Collector {
    let mut collector = Collector::default();
    let decoded = request_of(request, &mut collector);
    assert_eq!(decoded.points, collector.series.len() as u64 + collector.refused);
    collector
}

fn one(data: Data) -> Collected {
    let collector = read(&request(Vec::new(), "", "a.b", data));
    assert_eq!(collector.reasons, []);
    let [series] = collector.series.as_slice() else { panic!("{collector:?}") };
    series.clone()
}

fn refusal(data: Data) -> String {
    let collector = read(&request(Vec::new(), "", "a.b", data));
    let ([], [reason]) = (collector.series.as_slice(), collector.reasons.as_slice()) else { panic!("{collector:?}") };
    reason.problem.clone()
}

#[test]
fn labels_are_those_of_resource_scope_and_point() {
    let mut point = number(1.5);
    point.attributes =
        vec![attribute("k8s.pod.name", "of-the-point"), attribute("__name__", "no"), attribute("empty", "")];
    let resource = vec![
        attribute("k8s.pod.name", "of-the-resource"),
        attribute("k8s.node.name", "n1"),
        attribute("otel_scope_name", "no"),
    ];
    let collector = read(&request(resource.clone(), "my/scope", "k8s.pod.cpu.time", gauge(vec![point.clone()])));
    let expected = "k8s.pod.cpu.time{k8s.node.name=\"n1\",k8s.pod.name=\"of-the-point\",otel_scope_name=\"my/scope\"}";
    assert_eq!(collector.series[0].labels.to_string(), expected);
    // Where the scope has no name, what an earlier hop wrote of it is kept.
    let collector = read(&request(resource, "", "k8s.pod.cpu.time", gauge(vec![point])));
    assert!(collector.series[0].labels.to_string().ends_with("otel_scope_name=\"no\"}"));
}

#[test]
fn kinds_keep_their_meaning() {
    assert_eq!(one(gauge(vec![number(3.0)])).temporality, Temporality::Gauge);
    assert_eq!(one(sum(CUMULATIVE, true)).temporality, Temporality::Cumulative);
    assert_eq!(one(sum(DELTA, true)).temporality, Temporality::Delta);
    assert_eq!(one(sum(CUMULATIVE, false)).temporality, Temporality::Gauge);
    let series = one(sum(CUMULATIVE, true));
    assert_eq!((series.points[0].time, series.points[0].value, series.created), (1000, 3.0, None));
}

#[test]
fn whole_numbers_starts_and_stale_marks() {
    let mut point = number(0.0);
    point.value = Some(number_data_point::Value::AsInt(-7));
    point.start_time_unix_nano = 999_999;
    let series = one(gauge(vec![point.clone()]));
    assert_eq!((series.points[0].value, series.created), (-7.0, Some(0)));
    point.start_time_unix_nano = TIME + 1;
    assert_eq!(one(gauge(vec![point.clone()])).created, None, "nothing starts after it was measured");
    point.value = None;
    point.flags = 1;
    assert_eq!(one(gauge(vec![point])).points[0].value.to_bits(), STALE_NAN_BITS);
}

#[test]
fn distributions_give_count_and_sum() {
    let names = |data: Data| {
        let collector = read(&request(Vec::new(), "", "d", data));
        assert_eq!(collector.reasons, []);
        let text = |series: &Collected| {
            format!("{} {} {:?}", series.labels.name(), series.points[0].value, series.temporality)
        };
        collector.series.iter().map(text).collect::<Vec<_>>()
    };
    let point = HistogramDataPoint { time_unix_nano: TIME, count: 4, sum: Some(2.5), ..HistogramDataPoint::default() };
    let histogram = |point: HistogramDataPoint, aggregation_temporality| {
        Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality })
    };
    assert_eq!(names(histogram(point.clone(), CUMULATIVE)), ["d_count 4 Cumulative", "d_sum 2.5 Cumulative"]);
    assert_eq!(names(histogram(point.clone(), DELTA)), ["d_count 4 Delta", "d_sum 2.5 Delta"]);
    assert_eq!(names(histogram(HistogramDataPoint { sum: None, ..point.clone() }, DELTA)), ["d_count 4 Delta"]);
    let ended = HistogramDataPoint { sum: None, flags: 1, ..point };
    assert_eq!(names(histogram(ended, DELTA)), ["d_count NaN Delta", "d_sum NaN Delta"]);
    let point = ExponentialHistogramDataPoint { time_unix_nano: TIME, count: 1, sum: Some(0.5), ..Default::default() };
    let exponential = ExponentialHistogram { data_points: vec![point], aggregation_temporality: DELTA };
    assert_eq!(names(Data::ExponentialHistogram(exponential)), ["d_count 1 Delta", "d_sum 0.5 Delta"]);
    let point = SummaryDataPoint { time_unix_nano: TIME, count: 2, sum: 8.0, ..SummaryDataPoint::default() };
    assert_eq!(
        names(Data::Summary(Summary { data_points: vec![point] })),
        ["d_count 2 Cumulative", "d_sum 8 Cumulative"]
    );
}

#[test]
fn points_that_mean_nothing_are_refused_with_their_reason() {
    let without = |change: fn(&mut NumberDataPoint)| {
        let mut point = number(1.0);
        change(&mut point);
        refusal(gauge(vec![point]))
    };
    assert_eq!(without(|point| point.time_unix_nano = 0), "metric \"a.b\": a point without a time");
    assert_eq!(
        without(|point| point.value = None),
        "metric \"a.b\": a point with neither a value nor the flag that there is none"
    );
    assert_eq!(
        without(|point| point.attributes = vec![KeyValue::default(); 129]),
        "metric \"a.b\": 129 attributes, at most 128 are taken"
    );
    assert_eq!(
        without(|point| point.attributes = vec![attribute("x", "1"), attribute("x", "2")]),
        "series a.b{x=\"1\", x=\"2\"}: label \"x\" is given twice"
    );
    assert!(refusal(sum(0, true)).contains("no temporality"));
    assert!(refusal(sum(DELTA, false)).contains("export it as cumulative"));
    let collector = read(&request(Vec::new(), "", "", gauge(vec![number(1.0)])));
    assert!(collector.reasons[0].problem.contains("has no metric name"));
    let resource = vec![attribute("x", "1"); 200];
    let collector = read(&request(resource, "", "a", gauge(vec![number(1.0)])));
    assert_eq!(collector.reasons[0].problem, "metric \"a\": resource: 200 attributes, at most 128 are taken");
}

#[test]
fn a_refused_point_costs_itself_alone() {
    let mut bad = number(1.0);
    bad.value = None;
    let collector = read(&request(Vec::new(), "", "a.b", gauge(vec![number(1.0), bad, number(2.0)])));
    assert_eq!((collector.series.len(), collector.refused), (2, 1));
}

#[test]
fn the_order_of_attributes_does_not_make_a_series() {
    let identity = |attributes: Vec<KeyValue>| {
        let mut point = number(1.0);
        point.attributes = attributes;
        one(gauge(vec![point])).identity
    };
    let (a, b) = (attribute("a", "1"), attribute("b", "2"));
    assert_eq!(identity(vec![a.clone(), b.clone()]), identity(vec![b.clone(), a.clone()]));
    assert_ne!(identity(vec![a.clone(), b]), identity(vec![a]));
}

fn requests() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let attributes = || {
        let pair = (prop::sample::select(vec!["a", "b", "__name__", ""]), ".{0,4}");
        prop::collection::vec(pair.prop_map(|(key, value)| attribute(key, &value)), 0..4)
    };
    let point = (attributes(), any::<f64>(), prop_oneof![Just(0), Just(TIME), any::<u64>()], 0..3_u32, any::<bool>());
    let point = point.prop_map(|(attributes, value, time_unix_nano, flags, with)| NumberDataPoint {
        attributes,
        time_unix_nano,
        flags,
        value: with.then_some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    });
    let points = prop::collection::vec(point, 0..4);
    let data = (points, 0..5_u32, 0..4_i32, any::<bool>()).prop_map(|(points, kind, temporality, is_monotonic)| {
        let histogram = |point: &NumberDataPoint| HistogramDataPoint {
            attributes: point.attributes.clone(),
            time_unix_nano: point.time_unix_nano,
            flags: point.flags,
            sum: point.value.is_some().then_some(1.0),
            ..HistogramDataPoint::default()
        };
        match kind {
            0 => gauge(points),
            1 => Data::Histogram(Histogram {
                data_points: points.iter().map(histogram).collect(),
                aggregation_temporality: temporality,
            }),
            _ => Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic }),
        }
    });
    (attributes(), ".{0,4}", "[a-z.]{0,6}", data)
        .prop_map(|(resource, scope, name, data)| request(resource, &scope, &name, data))
}

proptest! {
    #[test]
    fn every_point_is_handed_over(request in requests(), at: prop::sample::Index, byte: u8) {
        let mut encoded = request.encode_to_vec();
        oracle::otlp(&encoded);
        let mut collector = Collector::default();
        bytes(&encoded, &mut collector).unwrap();
        prop_assert_eq!(format!("{collector:?}"), format!("{:?}", read(&request)));
        for end in 0..encoded.len() {
            oracle::otlp(&encoded[..end]);
        }
        let at = at.index(encoded.len());
        encoded[at] = byte;
        oracle::otlp(&encoded);
    }
}
