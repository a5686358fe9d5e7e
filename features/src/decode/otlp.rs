//! OpenTelemetry metrics (`opentelemetry.proto.collector.metrics.v1`, OTLP 1.x).
//!
//! Data model: <https://opentelemetry.io/docs/specs/otel/metrics/data-model/>. What becomes of it:
//!
//! | there | here |
//! |---|---|
//! | name of the metric | `__name__`, dots and all |
//! | name of the scope | `otel_scope_name`, by which a mapping tells data scraped from Prometheus apart |
//! | attributes of the resource and of the point | labels; of two with one name the point's counts |
//! | attributes `__name__` | left out: the metric has a name |
//! | attribute `otel_scope_name` | kept where the scope has no name, left out otherwise |
//! | gauge | level |
//! | sum, monotonic | accumulated or delta, as it says |
//! | sum, not monotonic, cumulative | level |
//! | histogram, exponential histogram, summary | two series, `NAME_count` and `NAME_sum`; buckets and quantiles are passed over |
//! | flag "no recorded value" | stale mark |
//! | start time | start of accumulation, where it is known and not after the point |
//! | nanoseconds | milliseconds, floored |
//!
//! A point is refused, alone and with its reason, when it has no time, no value, no temporality where one is needed, a
//! delta that is not monotonic (a change is no level), or labels that no series may have.

mod attribute;

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, NumberDataPoint, metric::Data, number_data_point,
};
use prost::Message;

use super::labels::{MOST_LABELS, cut, labels_of, pairs_identity, refused_identity};
use super::{DecodeError, Decoded, Point, SeriesSink, SourceSeries, Temporality};
use crate::sample::STALE_NAN_BITS;

const WHAT: &str = "ExportMetricsServiceRequest";
const NAME: &str = "__name__";
const SCOPE: &str = "otel_scope_name";

/// Decodes and reads a request as it comes over HTTP.
///
/// # Errors
/// When the bytes are no such message; nothing has been handed over then.
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
    let mut walk = Walk { sink, decoded: Decoded::default(), scratch: Vec::new() };
    for resource in &request.resource_metrics {
        let attributes = resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let resource_attributes = attribute::all(attributes);
        for scope in &resource.scope_metrics {
            let scope_name = scope.scope.as_ref().map_or("", |scope| scope.name.as_str());
            for metric in &scope.metrics {
                let shared = Shared { resource: &resource_attributes, scope: scope_name, name: &metric.name };
                walk.metric(shared, metric.data.as_ref());
            }
        }
    }
    walk.decoded
}

/// What the points of one metric share.
#[derive(Clone, Copy)]
struct Shared<'a> {
    resource: &'a Result<Vec<(&'a str, Cow<'a, str>)>, String>,
    scope: &'a str,
    name: &'a str,
}

/// Attributes, times and flags, which points of every kind have.
#[derive(Clone, Copy)]
struct Common<'a> {
    attributes: &'a [KeyValue],
    start: u64,
    time: u64,
    flags: u32,
}

macro_rules! common {
    ($point:expr) => {
        Common {
            attributes: &$point.attributes,
            start: $point.start_time_unix_nano,
            time: $point.time_unix_nano,
            flags: $point.flags,
        }
    };
}

struct Walk<'s> {
    sink: &'s mut dyn SeriesSink,
    decoded: Decoded,
    scratch: Vec<u8>,
}

impl Walk<'_> {
    fn metric(&mut self, shared: Shared<'_>, data: Option<&Data>) {
        match data {
            // A metric without data has no points to lose.
            None => {}
            Some(Data::Gauge(gauge)) => {
                for point in &gauge.data_points {
                    self.number(shared, Ok(Temporality::Gauge), point);
                }
            }
            Some(Data::Sum(sum)) => {
                let temporality = match (temporality_of(sum.aggregation_temporality), sum.is_monotonic) {
                    (Ok(Temporality::Cumulative), false) => Ok(Temporality::Gauge),
                    (Ok(Temporality::Delta), false) => {
                        Err("a delta of a sum that may fall is a change, not a level; export it as cumulative")
                    }
                    (temporality, _) => temporality,
                };
                for point in &sum.data_points {
                    self.number(shared, temporality, point);
                }
            }
            Some(Data::Histogram(histogram)) => {
                let temporality = temporality_of(histogram.aggregation_temporality);
                for point in &histogram.data_points {
                    self.pair(shared, temporality, common!(point), point.count, point.sum);
                }
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let temporality = temporality_of(histogram.aggregation_temporality);
                for point in &histogram.data_points {
                    self.pair(shared, temporality, common!(point), point.count, point.sum);
                }
            }
            Some(Data::Summary(summary)) => {
                for point in &summary.data_points {
                    self.pair(shared, Ok(Temporality::Cumulative), common!(point), point.count, Some(point.sum));
                }
            }
        }
    }

    fn number(&mut self, shared: Shared<'_>, temporality: Result<Temporality, &'static str>, point: &NumberDataPoint) {
        #[expect(clippy::cast_precision_loss, reason = "what a count above 2^53 loses no statistic here would see")]
        let value = point.value.map(|value| match value {
            number_data_point::Value::AsDouble(value) => value,
            number_data_point::Value::AsInt(value) => value as f64,
        });
        self.point(shared, "", temporality, common!(point), value);
    }

    #[expect(clippy::cast_precision_loss, reason = "what a count above 2^53 loses no statistic here would see")]
    fn pair(
        &mut self,
        shared: Shared<'_>,
        temporality: Result<Temporality, &'static str>,
        common: Common<'_>,
        count: u64,
        sum: Option<f64>,
    ) {
        self.point(shared, "_count", temporality, common, Some(count as f64));
        // A histogram need not have a sum; that none was recorded ends both series.
        if sum.is_some() || absent(common.flags) {
            self.point(shared, "_sum", temporality, common, sum);
        }
    }

    fn point(
        &mut self,
        shared: Shared<'_>,
        suffix: &str,
        temporality: Result<Temporality, &'static str>,
        common: Common<'_>,
        value: Option<f64>,
    ) {
        let time = milliseconds(common.time);
        let value = if absent(common.flags) { Some(f64::from_bits(STALE_NAN_BITS)) } else { value };
        let refuse = |walk: &mut Self, problem: String| {
            walk.refuse(shared, suffix, Point { time, value: value.unwrap_or(f64::NAN) }, &problem);
        };
        let (temporality, value) = match (temporality, value) {
            _ if common.time == 0 => return refuse(self, "a point without a time".to_owned()),
            (Err(reason), _) => return refuse(self, reason.to_owned()),
            (_, None) => {
                return refuse(self, "a point with neither a value nor the flag that there is none".to_owned());
            }
            (Ok(temporality), Some(value)) => (temporality, value),
        };
        let resource = match shared.resource {
            Ok(resource) => resource,
            Err(problem) => return refuse(self, format!("resource: {problem}")),
        };
        let own = match attribute::all(common.attributes) {
            Ok(own) => own,
            Err(problem) => return refuse(self, problem),
        };
        let name =
            if suffix.is_empty() { Cow::Borrowed(shared.name) } else { Cow::Owned([shared.name, suffix].concat()) };
        let pairs = merged(&name, shared.scope, &own, resource);
        let created = Some(common.start).filter(|&start| start > 0 && start <= common.time).map(milliseconds);
        let identity = pairs_identity(pairs.iter().copied(), &mut self.scratch);
        self.decoded.hand(
            self.sink,
            &SourceSeries {
                identity,
                temporality,
                created,
                points: &[Point { time, value }],
                labels: &|| labels_of(&pairs, WHAT, 0),
            },
        );
    }

    /// Hands a point over whose labels say why it is refused.
    fn refuse(&mut self, shared: Shared<'_>, suffix: &str, point: Point, problem: &str) {
        let name = [cut(shared.name, 200), suffix].concat();
        let labels = || Err(DecodeError { what: WHAT, at: 0, problem: format!("metric {name:?}: {problem}") });
        self.decoded.hand(
            self.sink,
            &SourceSeries {
                identity: refused_identity(name.as_bytes()),
                temporality: Temporality::Unknown,
                created: None,
                points: &[point],
                labels: &labels,
            },
        );
    }
}

/// All labels of a point, sorted by name.
fn merged<'p>(
    name: &'p str,
    scope: &'p str,
    own: &'p [(&'p str, Cow<'p, str>)],
    resource: &'p [(&'p str, Cow<'p, str>)],
) -> Vec<(&'p str, &'p str)> {
    let mut pairs = Vec::with_capacity(own.len() + resource.len() + 2);
    pairs.push((NAME, name));
    if !scope.is_empty() {
        pairs.push((SCOPE, scope));
    }
    let kept = |name: &str| name != NAME && (name != SCOPE || scope.is_empty());
    let own = own.iter().map(|(name, value)| (*name, value.as_ref())).filter(|(name, _)| kept(name));
    pairs.extend(own);
    let of_the_point = pairs.len();
    for (name, value) in resource {
        // Both lists hold at most 128 labels.
        if kept(name) && !pairs[..of_the_point].iter().any(|(own, _)| own == name) {
            pairs.push((name, value.as_ref()));
        }
    }
    pairs.sort_unstable();
    pairs
}

fn absent(flags: u32) -> bool {
    flags & DataPointFlags::NoRecordedValueMask as u32 != 0
}

fn temporality_of(number: i32) -> Result<Temporality, &'static str> {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Delta) => Ok(Temporality::Delta),
        Ok(AggregationTemporality::Cumulative) => Ok(Temporality::Cumulative),
        _ => Err("no temporality, which the protocol asks for: delta or cumulative"),
    }
}

/// Floored; the largest number of nanoseconds is far inside the range.
fn milliseconds(nanoseconds: u64) -> i64 {
    (nanoseconds / 1_000_000).cast_signed()
}
