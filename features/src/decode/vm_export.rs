//! Lines of VictoriaMetrics' `/api/v1/export`: one JSON object per series and line,
//! `{"metric":{"__name__":"up",…},"values":[1,…],"timestamps":[1700000000000,…]}`.
//!
//! Form: <https://docs.victoriametrics.com/victoriametrics/#how-to-export-data-in-json-line-format>. Infinite values are
//! the words `"Infinity"` and `"-Infinity"`. A `null` is a NaN, and the only NaN that VictoriaMetrics stores is the stale
//! mark, so that is what it becomes; the word `"NaN"`, which other writers use, is a NaN without a meaning.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::labels::{labels_of, pairs_identity};
use super::{DecodeError, Decoded, Point, SeriesSink, SourceSeries, Temporality};
use crate::sample::STALE_NAN_BITS;

const WHAT: &str = "line of /api/v1/export";

#[derive(Deserialize)]
struct Line {
    metric: Pairs,
    values: Values,
    timestamps: Vec<i64>,
}

/// Reads one line; returns its points.
///
/// # Errors
/// When it is no such object, or has more values than timestamps or fewer. What is wrong with the labels is said by the
/// series.
pub fn line(text: &str, sink: &mut dyn SeriesSink) -> Result<u64, DecodeError> {
    let line: Line = serde_json::from_str(&without_bare_nan(text)).map_err(|error| DecodeError {
        what: WHAT,
        at: error.column(),
        problem: error.to_string(),
    })?;
    let Line { metric: Pairs(mut pairs), values: Values(values), timestamps } = line;
    if values.len() != timestamps.len() {
        return Err(DecodeError {
            what: WHAT,
            at: 0,
            problem: format!("{} values and {} timestamps, every value needs its own", values.len(), timestamps.len()),
        });
    }
    let points: Vec<Point> = timestamps.iter().zip(&values).map(|(&time, &value)| Point { time, value }).collect();
    pairs.sort_unstable();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // An empty label is one that is not there.
    let identity = pairs_identity(pairs.iter().copied().filter(|(_, value)| !value.is_empty()), &mut Vec::new());
    let mut decoded = Decoded::default();
    decoded.hand(
        sink,
        &SourceSeries {
            identity,
            temporality: Temporality::Unknown,
            created: None,
            points: &points,
            labels: &|| labels_of(&pairs, WHAT, 0),
        },
    );
    Ok(decoded.points)
}

/// The line with bare `NaN`, which is no JSON, as `null`: with `reduce_mem_usage` VictoriaMetrics 1.79 writes stale marks
/// so. Strings are left as they are.
fn without_bare_nan(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let (mut inside, mut escaped, mut from) = (false, false, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'N' if !inside && at >= from && text[at..].starts_with("NaN") => {
                plain.push_str(&text[from..at]);
                plain.push_str("null");
                from = at + "NaN".len();
            }
            _ => {}
        }
    }
    plain.push_str(&text[from..]);
    Cow::Owned(plain)
}

/// The members of an object in their order, none lost: a name that is given twice is an error of the series.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of label names and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

struct Values(Vec<f64>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Values;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(Number(value)) = list.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_seq(Numbers)
    }
}

struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, null, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            #[expect(clippy::cast_precision_loss, reason = "a value is a double, however it is written")]
            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "a value is a double, however it is written")]
            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(f64::from_bits(STALE_NAN_BITS)))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Number, E> {
                match word {
                    "NaN" => Ok(Number(f64::NAN)),
                    "Infinity" | "+Infinity" | "Inf" | "+Inf" => Ok(Number(f64::INFINITY)),
                    "-Infinity" | "-Inf" => Ok(Number(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Collector;

    fn read(text: &str) -> Collector {
        let mut collector = Collector::default();
        line(text, &mut collector).unwrap();
        collector
    }

    fn refusal(text: &str) -> String {
        line(text, &mut Collector::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_line_as_victoria_metrics_writes_it() {
        let text = r#"{"metric":{"__name__":"node_load1","job":"n\u00e9","instance":"a:9100"},"values":[0.5,null,3,"Infinity","-Infinity",1e300],"timestamps":[1,2,3,4,5,6]}"#;
        let collector = read(text);
        let [series] = collector.series.as_slice() else { panic!("{collector:?}") };
        assert_eq!(series.labels.to_string(), "node_load1{instance=\"a:9100\",job=\"né\"}");
        let bits: Vec<(i64, u64)> = series.points.iter().map(|point| (point.time, point.value.to_bits())).collect();
        let expected =
            [0.5, f64::from_bits(STALE_NAN_BITS), 3.0, f64::INFINITY, f64::NEG_INFINITY, 1e300].map(f64::to_bits);
        assert_eq!(bits, (1..=6).zip(expected).collect::<Vec<_>>());
    }

    #[test]
    fn a_bare_nan_is_a_stale_mark_and_one_in_a_string_is_text() {
        let text = r#"{"metric":{"__name__":"up","a":"NaN\"NaN","NaN":"b"},"values":[1,NaN,NaN],"timestamps":[1,2,3]}"#;
        let collector = read(text);
        let [series] = collector.series.as_slice() else { panic!("{collector:?}") };
        assert_eq!(series.labels.to_string(), "up{NaN=\"b\",a=\"NaN\\\"NaN\"}");
        let bits: Vec<u64> = series.points.iter().map(|point| point.value.to_bits()).collect();
        assert_eq!(bits, [1.0_f64.to_bits(), STALE_NAN_BITS, STALE_NAN_BITS]);
    }

    #[test]
    fn order_of_labels_and_unknown_members_change_nothing() {
        let one = read(r#"{"metric":{"__name__":"up","a":"1"},"values":[1],"timestamps":[5]}"#);
        let two = read(r#"{"timestamps":[5],"more":[{}],"values":[1.0],"metric":{"a":"1","__name__":"up"}}"#);
        assert_eq!(one, two);
        assert_eq!(one.series.len(), 1);
    }

    #[test]
    fn bad_lines_say_where() {
        assert_eq!(
            refusal(r#"{"metric":{"__name__":"up"},"values":[1,2],"timestamps":[1]}"#),
            "line of /api/v1/export, byte 0: 2 values and 1 timestamps, every value needs its own"
        );
        assert!(refusal(r#"{"metric":{"__name__":"up"},"values":["high"],"timestamps":[1]}"#).contains("\"high\""));
        assert!(refusal(r#"{"metric":{"__name__":"up"},"values":[1],"timestamps":[1.5]}"#).contains("1.5"));
        assert!(refusal(r#"{"metric":["up"],"values":[1],"timestamps":[1]}"#).contains("an object of label names"));
        assert!(refusal(r#"{"metric":{},"values":[1]}"#).contains("timestamps"));
        assert!(refusal("").contains("EOF"));
    }

    #[test]
    fn bad_labels_cost_the_series() {
        for labels in [r#"{"a":"1"}"#, r#"{"__name__":"up","a":"1","a":"2"}"#] {
            let collector = read(&format!("{{\"metric\":{labels},\"values\":[1],\"timestamps\":[1]}}"));
            assert_eq!((collector.series.len(), collector.refused), (0, 1), "{labels}");
        }
    }

    #[test]
    fn every_cut_is_refused() {
        let text = r#"{"metric":{"__name__":"up","a":"1"},"values":[1,null],"timestamps":[5,6]}"#;
        for end in 0..text.len() {
            assert!(line(&text[..end], &mut Collector::default()).is_err(), "{end}");
        }
    }
}
