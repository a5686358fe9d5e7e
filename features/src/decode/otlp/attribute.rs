//! Attributes as labels: text as it is, numbers and truth values as they are written, lists and maps as JSON, bytes as
//! hexadecimal digits (<https://opentelemetry.io/docs/specs/otel/common/#attribute>).

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use serde_json::Value as Json;

use super::super::labels::cut;
use super::MOST_LABELS;

/// Lists in lists deeper than this are no label.
const DEEPEST: usize = 16;

/// Name and value of every attribute. An attribute without a value has the empty text, which is no label.
pub(super) fn all(attributes: &[KeyValue]) -> Result<Vec<(&str, Cow<'_, str>)>, String> {
    if attributes.len() > MOST_LABELS {
        return Err(format!("{} attributes, at most {MOST_LABELS} are taken", attributes.len()));
    }
    attributes
        .iter()
        .map(|pair| {
            let value = pair.value.as_ref().map_or(Ok(Cow::Borrowed("")), text);
            let value = value.map_err(|problem| format!("attribute {:?}: {problem}", cut(&pair.key, 40)))?;
            Ok((pair.key.as_str(), value))
        })
        .collect()
}

fn text(value: &AnyValue) -> Result<Cow<'_, str>, &'static str> {
    Ok(match &value.value {
        Some(any_value::Value::StringValue(text)) => Cow::Borrowed(text),
        Some(any_value::Value::DoubleValue(value)) => Cow::Owned(value.to_string()),
        _ => match json(value, 0)? {
            Json::Null => Cow::Borrowed(""),
            Json::String(text) => Cow::Owned(text),
            other => Cow::Owned(other.to_string()),
        },
    })
}

fn json(value: &AnyValue, depth: usize) -> Result<Json, &'static str> {
    if depth > DEEPEST {
        return Err("nests deeper than 16 lists");
    }
    Ok(match &value.value {
        None => Json::Null,
        Some(any_value::Value::StringValue(text)) => Json::String(text.clone()),
        Some(any_value::Value::BoolValue(value)) => Json::Bool(*value),
        Some(any_value::Value::IntValue(value)) => Json::from(*value),
        Some(any_value::Value::DoubleValue(value)) => {
            // JSON has no word for these.
            if value.is_finite() { Json::from(*value) } else { Json::String(value.to_string()) }
        }
        Some(any_value::Value::BytesValue(bytes)) => Json::String(hex::encode(bytes)),
        Some(any_value::Value::ArrayValue(list)) => {
            list.values.iter().map(|value| json(value, depth + 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Some(any_value::Value::KvlistValue(map)) => {
            let pair = |pair: &KeyValue| {
                let value = pair.value.as_ref().map_or(Ok(Json::Null), |value| json(value, depth + 1))?;
                Ok((pair.key.clone(), value))
            };
            Json::Object(map.values.iter().map(pair).collect::<Result<_, &'static str>>()?)
        }
        // Of the protocol for profiles, whose table of strings is not here.
        Some(any_value::Value::StringValueStrindex(_)) => return Err("a place in a table of strings that is not sent"),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    use super::*;

    fn any(value: any_value::Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    #[test]
    fn every_kind_has_its_text() {
        let list = any_value::Value::ArrayValue(ArrayValue {
            values: vec![any(any_value::Value::StringValue("a\"b".to_owned())), any(any_value::Value::IntValue(-7))],
        });
        let map = any_value::Value::KvlistValue(KeyValueList {
            values: ["z", "a"]
                .map(|key| KeyValue {
                    key: key.to_owned(),
                    value: Some(any(any_value::Value::BoolValue(true))),
                    ..KeyValue::default()
                })
                .to_vec(),
        });
        for (value, expected) in [
            (any_value::Value::StringValue("a b".to_owned()), "a b"),
            (any_value::Value::BoolValue(false), "false"),
            (any_value::Value::IntValue(i64::MIN), "-9223372036854775808"),
            (any_value::Value::DoubleValue(0.5), "0.5"),
            (any_value::Value::DoubleValue(2.0), "2"),
            (any_value::Value::DoubleValue(f64::NEG_INFINITY), "-inf"),
            (any_value::Value::BytesValue(vec![0, 255]), "00ff"),
            (list, r#"["a\"b",-7]"#),
            (map, r#"{"a":true,"z":true}"#),
        ] {
            assert_eq!(text(&any(value)).unwrap(), expected);
        }
        assert_eq!(text(&AnyValue { value: None }).unwrap(), "");
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        let nested = |levels: usize| {
            (0..levels).fold(any(any_value::Value::BoolValue(true)), |inner, _| {
                any(any_value::Value::ArrayValue(ArrayValue { values: vec![inner] }))
            })
        };
        assert!(text(&nested(16)).is_ok());
        assert_eq!(text(&nested(17)), Err("nests deeper than 16 lists"));
    }
}
