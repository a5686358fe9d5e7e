//! OpenTelemetry metrics (`opentelemetry.proto.collector.metrics.v1`, OTLP 1.x).
//!
//! A point becomes a series whose `__name__` is the metric's name as it is, dots and all, and whose labels are the
//! resource's attributes overlaid by those of the point; `otel_scope_name` names the scope, by which a mapping
//! tells data scraped from Prometheus apart. Sums keep their temporality, non-monotonic sums are levels,
//! histograms and summaries give `NAME_count` and `NAME_sum`. Nanoseconds are floored to milliseconds.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, NumberDataPoint, metric::Data, number_data_point,
};
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

use super::{DecodeError, Decoded, Point, SeriesSink, SourceSeries, Temporality, labels_of};
use crate::sample::STALE_NAN_BITS;

const WHAT: &str = "ExportMetricsServiceRequest";

/// Decodes and reads a request as it comes over HTTP.
///
/// # Errors
/// When the bytes are no such message.
pub fn bytes(body: &[u8], sink: &mut dyn SeriesSink) -> Result<Decoded, DecodeError> {
    let request = ExportMetricsServiceRequest::decode(body).map_err(|error| DecodeError {
        what: WHAT,
        at: 0,
        problem: error.to_string(),
    })?;
    Ok(request_of(&request, sink))
}

/// Reads a request as the gRPC service hands it over.
pub fn request_of(request: &ExportMetricsServiceRequest, sink: &mut dyn SeriesSink) -> Decoded {
    let mut walk = Walk { sink, decoded: Decoded::default(), resource: Vec::new() };
    for resource in &request.resource_metrics {
        walk.resource.clear();
        let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
        walk.resource.extend(attributes.filter_map(text));
        for scope in &resource.scope_metrics {
            let scope_name = scope.scope.as_ref().map_or("", |scope| scope.name.as_str());
            for metric in &scope.metrics {
                walk.metric(scope_name, &metric.name, metric.data.as_ref());
            }
        }
    }
    walk.decoded
}

struct Walk<'a> {
    sink: &'a mut dyn SeriesSink,
    decoded: Decoded,
    resource: Vec<(String, String)>,
}

/// What the points of one metric share.
#[derive(Clone, Copy)]
struct Shared<'a> {
    scope: &'a str,
    name: &'a str,
    suffix: &'static str,
    temporality: Temporality,
}

impl Walk<'_> {
    fn metric(&mut self, scope: &str, name: &str, data: Option<&Data>) {
        let shared = |suffix, temporality| Shared { scope, name, suffix, temporality };
        match data {
            None => {}
            Some(Data::Gauge(gauge)) => {
                for point in &gauge.data_points {
                    self.number(shared("", Temporality::Gauge), point);
                }
            }
            Some(Data::Sum(sum)) => {
                let temporality = match temporality_of(sum.aggregation_temporality) {
                    // Some exporters write levels as sums that may fall.
                    _ if !sum.is_monotonic => Temporality::Gauge,
                    temporality => temporality,
                };
                for point in &sum.data_points {
                    self.number(shared("", temporality), point);
                }
            }
            Some(Data::Histogram(histogram)) => {
                let temporality = temporality_of(histogram.aggregation_temporality);
                for point in &histogram.data_points {
                    let at = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
                    self.pair(shared("", temporality), &point.attributes, at, point.count, point.sum);
                }
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let temporality = temporality_of(histogram.aggregation_temporality);
                for point in &histogram.data_points {
                    let at = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
                    self.pair(shared("", temporality), &point.attributes, at, point.count, point.sum);
                }
            }
            Some(Data::Summary(summary)) => {
                for point in &summary.data_points {
                    let at = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
                    let shared = shared("", Temporality::Cumulative);
                    self.pair(shared, &point.attributes, at, point.count, Some(point.sum));
                }
            }
        }
    }

    fn number(&mut self, shared: Shared<'_>, point: &NumberDataPoint) {
        #[expect(clippy::cast_precision_loss, reason = "counts above 2^53 lose what no statistic here would see")]
        let value = match point.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            // Allowed only together with the flag that there is no value.
            None => f64::from_bits(STALE_NAN_BITS),
        };
        let at = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
        self.point(shared, &point.attributes, at, value);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts above 2^53 lose what no statistic here would see")]
    fn pair(&mut self, shared: Shared<'_>, attributes: &[KeyValue], at: (u64, u64, u32), count: u64, sum: Option<f64>) {
        self.point(Shared { suffix: "_count", ..shared }, attributes, at, count as f64);
        if let Some(sum) = sum {
            self.point(Shared { suffix: "_sum", ..shared }, attributes, at, sum);
        }
    }

    fn point(&mut self, shared: Shared<'_>, attributes: &[KeyValue], at: (u64, u64, u32), value: f64) {
        let (time, start, flags) = at;
        let absent = flags & DataPointFlags::NoRecordedValueMask as u32 != 0;
        let value = if absent { f64::from_bits(STALE_NAN_BITS) } else { value };
        let mut pairs: Vec<(String, String)> = attributes.iter().filter_map(text).collect();
        let own = pairs.len();
        for pair in &self.resource {
            if !pairs[..own].iter().any(|(name, _)| *name == pair.0) {
                pairs.push(pair.clone());
            }
        }
        pairs.retain(|(name, _)| name != "__name__" && name != "otel_scope_name");
        pairs.push(("__name__".to_owned(), format!("{}{}", shared.name, shared.suffix)));
        pairs.push(("otel_scope_name".to_owned(), shared.scope.to_owned()));
        pairs.sort_unstable();
        let mut key = Vec::with_capacity(256);
        for (name, value) in &pairs {
            for text in [name, value] {
                key.extend_from_slice(&(text.len() as u64).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
        }
        self.decoded.series += 1;
        self.decoded.points += 1;
        self.sink.take(&SourceSeries {
            identity: xxh3_128(&key),
            temporality: shared.temporality,
            created: (start > 0).then(|| milliseconds(start)),
            points: &[Point { time: milliseconds(time), value }],
            labels: &|| labels_of(pairs.clone(), WHAT, 0),
        });
    }
}

fn temporality_of(number: i32) -> Temporality {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Delta) => Temporality::Delta,
        Ok(AggregationTemporality::Cumulative) => Temporality::Cumulative,
        _ => Temporality::Unknown,
    }
}

fn milliseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / 1_000_000).unwrap_or(i64::MAX)
}

/// An attribute as a label; lists and maps have no label form and are left out.
fn text(pair: &KeyValue) -> Option<(String, String)> {
    let AnyValue { value: Some(value) } = pair.value.as_ref()? else { return None };
    let text = match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::BoolValue(value) => value.to_string(),
        any_value::Value::IntValue(value) => value.to_string(),
        any_value::Value::DoubleValue(value) => value.to_string(),
        _ => return None,
    };
    Some((pair.key.clone(), text))
}
