//! The Prometheus text format 0.0.4, and the part of OpenMetrics that says the same.
//!
//! `name{label="value",…} value [timestamp]`, one sample a line; comments begin with `#`, of which `# EOF` ends
//! an OpenMetrics text. Exemplars after a value (`# {…}`) are passed over. OpenMetrics writes timestamps in
//! seconds, the older format in milliseconds.

use xxhash_rust::xxh3::xxh3_128;

use super::{Decoded, Point, SeriesSink, SourceSeries, Temporality, labels_of};

const WHAT: &str = "text exposition";

/// How timestamps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Whole milliseconds.
    Text,
    /// Seconds with a fraction.
    OpenMetrics,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// 1-based.
    pub line: usize,
    /// 1-based, in bytes.
    pub column: usize,
    /// What was seen and expected.
    pub problem: String,
}

/// Reads a whole exposition. `now` is the time of samples that carry none. Bad lines cost themselves alone and
/// are listed.
pub fn text(text: &str, dialect: Dialect, now: i64, sink: &mut dyn SeriesSink) -> (Decoded, Vec<BadLine>) {
    let mut decoded = Decoded::default();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim_start().starts_with('#') {
            if line.trim() == "# EOF" {
                break;
            }
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        match sample(line, dialect, now) {
            Ok((pairs, end, point)) => {
                decoded.series += 1;
                decoded.points += 1;
                let at = index + 1;
                sink.take(&SourceSeries {
                    identity: xxh3_128(line[..end].trim_end().as_bytes()),
                    temporality: Temporality::Unknown,
                    created: None,
                    points: &[point],
                    labels: &|| labels_of(pairs.clone(), WHAT, at),
                });
            }
            Err((column, problem)) => bad.push(BadLine { line: index + 1, column: column + 1, problem }),
        }
    }
    (decoded, bad)
}

fn name_end(line: &str) -> usize {
    line.find(|c: char| c == '{' || c.is_ascii_whitespace()).unwrap_or(line.len())
}

/// Labels, where they end, and the point.
type Sample = (Vec<(String, String)>, usize, Point);

fn sample(line: &str, dialect: Dialect, now: i64) -> Result<Sample, (usize, String)> {
    let mut pairs = Vec::new();
    let start = line.len() - line.trim_start().len();
    let end = start + name_end(&line[start..]);
    if end == start {
        return Err((start, "a line without a metric name".to_owned()));
    }
    pairs.push(("__name__".to_owned(), line[start..end].to_owned()));
    let mut at = end;
    if line[at..].starts_with('{') {
        at = labels(line, at + 1, &mut pairs)?;
    }
    let labels_end = at;
    let mut words = line[at..].split_ascii_whitespace();
    let value = words.next().ok_or((line.len(), "no value after the series".to_owned()))?;
    let value = number(value).ok_or_else(|| (at, format!("{value:?} is no value")))?;
    let time = match words.next() {
        None | Some("#") => now,
        Some(word) => time(word, dialect).ok_or_else(|| (at, format!("{word:?} is no timestamp")))?,
    };
    match words.next() {
        None | Some("#" | "{") => Ok((pairs, labels_end, Point { time, value })),
        Some(word) if word.starts_with('{') => Ok((pairs, labels_end, Point { time, value })),
        Some(word) => Err((at, format!("{word:?} after the sample"))),
    }
}

/// Reads labels from after `{`; returns where the text goes on after `}`.
fn labels(line: &str, mut at: usize, pairs: &mut Vec<(String, String)>) -> Result<usize, (usize, String)> {
    loop {
        at += line[at..].len() - line[at..].trim_start_matches([' ', '\t', ',']).len();
        if line[at..].starts_with('}') {
            return Ok(at + 1);
        }
        let Some(equals) = line[at..].find('=') else { return Err((at, "labels without an end }".to_owned())) };
        let name = line[at..at + equals].trim().to_owned();
        if name.is_empty() || name.contains(['"', '{', '}']) {
            return Err((at, format!("{name:?} is no label name")));
        }
        at += equals + 1;
        at += line[at..].len() - line[at..].trim_start().len();
        if !line[at..].starts_with('"') {
            return Err((at, format!("the value of label {name:?} does not begin with a quote")));
        }
        let (value, next) = quoted(line, at + 1).ok_or_else(|| (at, format!("label {name:?} has no end quote")))?;
        pairs.push((name, value));
        at = next;
    }
}

/// A value up to its quote, with `\\`, `\"` and `\n` undone, and where the text goes on.
fn quoted(line: &str, start: usize) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut escaped = false;
    for (offset, c) in line[start..].char_indices() {
        match (escaped, c) {
            (true, 'n') => value.push('\n'),
            (true, '\\' | '"') => value.push(c),
            (true, other) => {
                value.push('\\');
                value.push(other);
            }
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (false, '"') => return Some((value, start + offset + 1)),
            (false, c) => value.push(c),
        }
        escaped = false;
    }
    None
}

fn number(word: &str) -> Option<f64> {
    match word {
        "NaN" | "nan" => Some(f64::NAN),
        "+Inf" | "Inf" | "+inf" | "inf" => Some(f64::INFINITY),
        "-Inf" | "-inf" => Some(f64::NEG_INFINITY),
        word if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => word.parse().ok(),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be far inside the range")]
fn time(word: &str, dialect: Dialect) -> Option<i64> {
    match dialect {
        Dialect::Text => word.parse().ok(),
        Dialect::OpenMetrics => {
            let milliseconds = word.parse::<f64>().ok()? * 1000.0;
            (milliseconds.abs() < 9e15).then(|| milliseconds.floor() as i64)
        }
    }
}
