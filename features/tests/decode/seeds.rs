//! Where the fuzz targets begin: for every decoder a few small inputs that reach its parts.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use proto::prometheus::{
    Chunk, ChunkedReadResponse, ChunkedSeries, Exemplar, Histogram as NativeHistogram, Label, MetricMetadata,
    QueryResult, ReadResponse, Sample, TimeSeries, WriteRequest, write_v2,
};

use crate::gorilla;

const TIME: i64 = 1_700_000_000_000;

/// Target, name, content.
pub(crate) fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = vec![
        ("exposition", "text", TEXT.into()),
        ("exposition", "open-metrics", OPEN_METRICS.into()),
        ("exposition", "bad", "up{a=\"1\n# TYPE a b\nup 1 x\n{\"a.b\",c=\"\\\\\\\"\\n\"} +Inf 5\n".into()),
        ("mapping", "rows", MAPPING.into()),
        ("vm_export", "line", VM_LINE.into()),
        ("vm_export", "words", VM_WORDS.into()),
    ];
    let one = write_request();
    let two = write_request_2();
    seeds.extend([
        ("snappy", "write-request", snap::raw::Encoder::new().compress_vec(&one.encode_to_vec()).unwrap()),
        ("snappy", "zeros", snap::raw::Encoder::new().compress_vec(&[0; 5000]).unwrap()),
        ("snappy", "bomb", vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]),
        ("remote_write_v1", "request", one.encode_to_vec()),
        ("remote_write_v2", "request", two.encode_to_vec()),
        ("otlp", "numbers", otlp_numbers().encode_to_vec()),
        ("otlp", "distributions", otlp_distributions().encode_to_vec()),
    ]);
    let regular: Vec<(i64, u64)> = (0_u32..40)
        .map(|n| (TIME + i64::from(n) * 15_000 + i64::from(n % 7), f64::from(n * n / 3).to_bits()))
        .collect();
    let wild: Vec<(i64, u64)> =
        [(0, 0), (1, u64::MAX), (1 << 40, 1), (5, 0x7ff0_0000_0000_0002), (5, 1 << 63)].to_vec();
    seeds.extend([
        ("xor_chunk", "regular", gorilla::encode(&regular)),
        ("xor_chunk", "wild", gorilla::encode(&wild)),
        ("xor_chunk", "one", gorilla::encode(&regular[..1])),
    ]);
    let answer = ChunkedReadResponse {
        chunked_series: vec![ChunkedSeries {
            labels: labels(&[("__name__", "up"), ("job", "node")]),
            chunks: vec![
                Chunk { min_time_ms: TIME, max_time_ms: TIME, r#type: 1, data: gorilla::encode(&regular) },
                Chunk { r#type: 2, data: vec![1, 2], ..Chunk::default() },
            ],
        }],
        query_index: 0,
    };
    let message = answer.encode_to_vec();
    let mut stream = vec![7];
    for message in [message.as_slice(), &[]] {
        prost::encoding::encode_varint(message.len() as u64, &mut stream);
        stream.extend_from_slice(&crc32c::crc32c(message).to_be_bytes());
        stream.extend_from_slice(message);
    }
    let samples = ReadResponse { results: vec![QueryResult { timeseries: one.timeseries }] }.encode_to_vec();
    seeds.extend([
        ("remote_read", "chunks", [&[0], message.as_slice()].concat()),
        ("remote_read", "samples", [&[1], samples.as_slice()].concat()),
        ("remote_read", "stream", stream),
    ]);
    seeds
}

const TEXT: &str = "\
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 362812.78
node_cpu_seconds_total{cpu=\"0\",mode=\"a\\\\b\\\"c\\nd\"} +Inf 1700000000000
# TYPE rpc summary
rpc{quantile=\"0.99\"} NaN
rpc_sum 1.7e+07
rpc_count 2693
{\"k8s.pod.cpu\",\"k8s.pod.name\"=\"a\"} -0.5
";

const OPEN_METRICS: &str = "\
# TYPE requests counter
# UNIT requests seconds
requests_total{code=\"200\"} 17.0 1700000000.123 # {trace_id=\"abc\"} 0.67 1.7e9
requests_created{code=\"200\"} 1699990000.5
# TYPE latency histogram
latency_bucket{le=\"0.1\"} 8
latency_bucket{le=\"+Inf\"} 10
latency_count 10
latency_sum 3.5
latency_created 1.6e9
# EOF
";

const MAPPING: &str = "\
source = \"fuzz\"
version = 1
origin = \"none\"

[entity.node]
kind = \"node\"
key = [\"instance\"]

[[metric]]
select = 'node_memory_MemAvailable_bytes{job=~\"node|a.*\",instance!=\"\"}'
id = \"mem.available\"
entity = \"node\"
";

const VM_LINE: &str = r#"{"metric":{"__name__":"up","job":"node","instance":"a:9100"},"values":[0,1.5,-2e300],"timestamps":[1700000000000,1700000015000,1700000030000]}"#;
const VM_WORDS: &str =
    r#"{"metric":{"__name__":"\u0041\n"},"values":[null,"NaN","Infinity","-Infinity"],"timestamps":[1,2,3,4]}"#;

fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
    pairs.iter().map(|&(name, value)| Label { name: name.to_owned(), value: value.to_owned() }).collect()
}

fn write_request() -> WriteRequest {
    let sample = |value, offset| Sample { value, timestamp: TIME + offset };
    let series =
        |pairs: &[(&str, &str)], samples| TimeSeries { labels: labels(pairs), samples, ..TimeSeries::default() };
    let mut histogram = series(&[("__name__", "latency")], Vec::new());
    histogram.histograms =
        vec![NativeHistogram { schema: 3, positive_deltas: vec![1, -1], ..NativeHistogram::default() }];
    histogram.exemplars = vec![Exemplar { labels: labels(&[("trace_id", "a")]), value: 1.0, timestamp: TIME }];
    WriteRequest {
        timeseries: vec![
            series(
                &[("__name__", "node_cpu_seconds_total"), ("cpu", "0"), ("mode", "idle")],
                vec![sample(1.0, 0), sample(2.0, 15_000)],
            ),
            series(&[("__name__", "up"), ("job", "node")], vec![sample(f64::from_bits(0x7ff0_0000_0000_0002), 0)]),
            series(&[("job", "node"), ("job", "twice")], vec![sample(0.0, 0)]),
            histogram,
        ],
        metadata: vec![MetricMetadata { metric_family_name: "up".to_owned(), ..MetricMetadata::default() }],
    }
}

fn write_request_2() -> write_v2::Request {
    let sample = |value, start_timestamp| write_v2::Sample { value, timestamp: TIME, start_timestamp };
    let series = |labels_refs: &[u32], samples| write_v2::TimeSeries {
        labels_refs: labels_refs.to_vec(),
        samples,
        created_timestamp: 5,
        metadata: Some(write_v2::Metadata { r#type: 1, help_ref: 5, unit_ref: 0 }),
        ..write_v2::TimeSeries::default()
    };
    write_v2::Request {
        symbols: ["", "__name__", "up", "job", "node", "Whether it is up."].map(str::to_owned).to_vec(),
        timeseries: vec![
            series(&[1, 2, 3, 4], vec![sample(1.0, 0), sample(2.0, TIME)]),
            series(&[1, 9], vec![sample(1.0, 0)]),
            series(&[1, 2, 3], vec![sample(1.0, 0)]),
        ],
    }
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn otlp(name: &str, metrics: Vec<(&str, Data)>) -> ExportMetricsServiceRequest {
    let metrics = metrics.into_iter().map(|(name, data)| Metric {
        name: name.to_owned(),
        unit: "1".to_owned(),
        data: Some(data),
        ..Metric::default()
    });
    let attributes = vec![
        attribute("k8s.pod.name", any_value::Value::StringValue("a".to_owned())),
        attribute("list", any_value::Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }] })),
    ];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() }),
                metrics: metrics.collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn otlp_numbers() -> ExportMetricsServiceRequest {
    let point = |value, flags| NumberDataPoint {
        attributes: vec![
            attribute("cpu", any_value::Value::IntValue(3)),
            attribute("k8s.pod.name", any_value::Value::BoolValue(true)),
        ],
        start_time_unix_nano: 1_699_000_000_000_000_000,
        time_unix_nano: 1_700_000_000_000_000_000,
        flags,
        value,
        ..NumberDataPoint::default()
    };
    let double = Some(number_data_point::Value::AsDouble(1.5));
    let whole = Some(number_data_point::Value::AsInt(-1));
    let sum = |aggregation_temporality, is_monotonic| {
        Data::Sum(Sum { data_points: vec![point(whole, 0)], aggregation_temporality, is_monotonic })
    };
    otlp(
        "scope",
        vec![
            ("level", Data::Gauge(Gauge { data_points: vec![point(double, 0), point(None, 1), point(None, 0)] })),
            ("total", sum(2, true)),
            ("step", sum(1, true)),
            ("change", sum(1, false)),
            ("none", sum(0, false)),
        ],
    )
}

fn otlp_distributions() -> ExportMetricsServiceRequest {
    let histogram = HistogramDataPoint { time_unix_nano: 1, count: 2, sum: Some(0.5), ..HistogramDataPoint::default() };
    let summary = SummaryDataPoint { time_unix_nano: 1, count: 2, sum: 0.5, ..SummaryDataPoint::default() };
    otlp(
        "",
        vec![
            ("h", Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 })),
            ("s", Data::Summary(Summary { data_points: vec![summary] })),
        ],
    )
}
