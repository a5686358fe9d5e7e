//! Lines of VictoriaMetrics' `/api/v1/export`: one JSON object per series and line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use super::{DecodeError, Point, SeriesSink, SourceSeries, Temporality, labels_of};

const WHAT: &str = "line of /api/v1/export";

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    metric: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    values: Vec<Number>,
    timestamps: Vec<i64>,
}

/// JSON has no word for values that are no numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Value(f64),
    Word(String),
    Null(()),
}

/// Reads one line; returns its points.
///
/// # Errors
/// When it is no such object, or has more values than timestamps or fewer.
pub fn line(text: &str, sink: &mut dyn SeriesSink) -> Result<u64, DecodeError> {
    let refuse = |problem: String| DecodeError { what: WHAT, at: 0, problem };
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| DecodeError {
        what: WHAT,
        at: error.column(),
        problem: error.to_string(),
    })?;
    if line.values.len() != line.timestamps.len() {
        return Err(refuse(format!("{} values and {} timestamps", line.values.len(), line.timestamps.len())));
    }
    let mut points = Vec::with_capacity(line.values.len());
    for (value, &time) in line.values.iter().zip(&line.timestamps) {
        let value = match value {
            Number::Value(value) => *value,
            Number::Null(()) => f64::NAN,
            Number::Word(word) => match word.as_str() {
                "NaN" => f64::NAN,
                "Infinity" | "Inf" | "+Inf" => f64::INFINITY,
                "-Infinity" | "-Inf" => f64::NEG_INFINITY,
                other => return Err(refuse(format!("{other:?} is no value"))),
            },
        };
        points.push(Point { time, value });
    }
    let pairs: Vec<(String, String)> =
        line.metric.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut key = Vec::with_capacity(256);
    for (name, value) in &pairs {
        for text in [name, value] {
            key.extend_from_slice(&(text.len() as u64).to_le_bytes());
            key.extend_from_slice(text.as_bytes());
        }
    }
    sink.take(&SourceSeries {
        identity: xxh3_128(&key),
        temporality: Temporality::Unknown,
        created: None,
        points: &points,
        labels: &|| labels_of(pairs.clone(), WHAT, 0),
    });
    Ok(points.len() as u64)
}
