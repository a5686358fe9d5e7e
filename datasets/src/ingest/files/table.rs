//! Rows of a table on the way every sample goes: as series of their columns, through the same checks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use arrow::array::{Array, Float64Array, StringArray};
use chrono::DateTime;
use features::decode::{DecodeError, Point, SeriesSink, SourceSeries, Temporality};
use features::{Catalogue, Labels};

use super::Run;
use super::plan::{TablePlan, TimeUnit};
use crate::{DatasetError, Result};

/// Some rows of a table, their columns typed.
pub(super) struct Chunk {
    /// Line of the first row, for messages: 1-based, the header counted where there is one.
    pub(super) first_line: u64,
    /// Milliseconds.
    pub(super) times: Vec<i64>,
    /// Milliseconds, where a column says it.
    pub(super) known_at: Option<Vec<i64>>,
    /// In the order of [`TablePlan::text_columns`].
    pub(super) texts: Vec<StringArray>,
    /// In the order of [`TablePlan::value_columns`].
    pub(super) values: Vec<Values>,
}

/// A column of values.
pub(super) enum Values {
    Number(Float64Array),
    /// Numbers as text, or words for states.
    Text(StringArray),
}

/// Takes the rows of a chunk, and stores them when enough are held.
pub(super) fn take(run: &mut Run<'_>, plan: &TablePlan, catalogue: &Catalogue, chunk: &Chunk) -> Result<()> {
    let path = run.path.to_owned();
    let line = |row: usize, problem: String| DatasetError::Line {
        path: path.clone(),
        line: chunk.first_line + row as u64,
        problem,
    };
    check_times(plan, chunk, run.latest).map_err(|(row, problem)| line(row, problem))?;
    let columns = Columns::new(plan);
    let values = columns.values.iter().zip(&chunk.values).enumerate();
    let values = values
        .map(|(at, (name, values))| {
            numbers(plan, catalogue, at, values)
                .map_err(|(row, problem)| line(row, format!("column {name:?}: {problem}")))
        })
        .collect::<Result<Vec<_>>>()?;
    columns.check_names(plan, catalogue, chunk).map_err(|(row, problem)| line(row, problem))?;
    let rows = Rows { columns: &columns, chunk, values: &values, ignored: plan.long.as_ref().map(|long| &long.ignore) };
    let all = 0..chunk.times.len();
    let read_at = run.read_at;
    match &chunk.known_at {
        None => {
            let taken = run.importer.take(read_at, |sink| {
                rows.send(all, sink);
                Ok(())
            });
            taken.map_err(|failure| run.fail(failure, |_| chunk.first_line))?;
        }
        Some(known_at) => {
            for row in all {
                let taken = run.importer.take_known(read_at, known_at[row], |sink| {
                    rows.send(row..row + 1, sink);
                    Ok(())
                });
                taken.map_err(|failure| run.fail(failure, |_| chunk.first_line + row as u64))?;
            }
        }
    }
    run.advance(chunk.times.len() as u64)
}

/// A unit that is too fine for its column dates everything thousands of years ahead.
fn check_times(plan: &TablePlan, chunk: &Chunk, latest: i64) -> Result<(), (usize, String)> {
    let known_at = plan.known_at.as_ref().zip(chunk.known_at.as_ref());
    for (column, times) in std::iter::once((&plan.time, &chunk.times)).chain(known_at) {
        if let Some((row, time)) = times.iter().enumerate().find(|&(_, &time)| time > latest) {
            let unit = column.unit.map_or(String::new(), |unit| format!(" (the mapping file says {unit:?})"));
            let problem = format!(
                "column {:?}: time {time} ms after 1970 lies far in the future; check the column's unit{unit}",
                column.column
            );
            return Err((row, problem));
        }
    }
    Ok(())
}

/// Names of the columns as labels and metrics.
struct Columns<'a> {
    texts: Vec<&'a str>,
    values: Vec<&'a str>,
    /// Which text column names the metric; otherwise the value's column does.
    name: Option<usize>,
}

impl<'a> Columns<'a> {
    fn new(plan: &'a TablePlan) -> Self {
        Self { texts: plan.text_columns().collect(), values: plan.value_columns(), name: plan.name_column() }
    }

    /// In a long table every name must have a meaning.
    fn check_names(&self, plan: &TablePlan, catalogue: &Catalogue, chunk: &Chunk) -> Result<(), (usize, String)> {
        let (Some(long), Some(name)) = (&plan.long, self.name) else { return Ok(()) };
        for (row, name) in chunk.texts[name].iter().enumerate() {
            let name = name.unwrap_or_default();
            let known = long.ignore.contains(name)
                || long.name.iter().any(|entry| entry.name == name)
                || catalogue.id(name).is_ok();
            if !known {
                let problem = format!(
                    "metric {name:?} has no meaning in the mapping file; add a [[long.name]] or list it in long.ignore"
                );
                return Err((row, problem));
            }
        }
        Ok(())
    }

    fn labels(&self, chunk: &Chunk, row: usize, value: usize) -> Result<Labels, DecodeError> {
        let mut pairs = Vec::with_capacity(self.texts.len() + 1);
        let mut name = self.values[value];
        for (at, (column, texts)) in self.texts.iter().zip(&chunk.texts).enumerate() {
            let text = if texts.is_null(row) { "" } else { texts.value(row) };
            if self.name == Some(at) {
                name = text;
            } else {
                pairs.push(((*column).to_owned(), text.to_owned()));
            }
        }
        pairs.push(("__name__".to_owned(), name.to_owned()));
        Labels::try_new(pairs).map_err(|twice| DecodeError {
            what: "table row",
            at: row,
            problem: format!("label {twice:?} is given twice"),
        })
    }
}

struct Rows<'a> {
    columns: &'a Columns<'a>,
    chunk: &'a Chunk,
    values: &'a [Float64Array],
    ignored: Option<&'a std::collections::BTreeSet<String>>,
}

impl Rows<'_> {
    fn send(&self, rows: Range<usize>, sink: &mut dyn SeriesSink) {
        for row in rows {
            if let (Some(ignored), Some(name)) = (self.ignored, self.columns.name)
                && ignored.contains(self.chunk.texts[name].value(row))
            {
                continue;
            }
            let key = self.key(row);
            for (column, values) in self.values.iter().enumerate() {
                if values.is_null(row) {
                    continue;
                }
                sink.take(&SourceSeries {
                    // Spread over all bits, so that the columns of a row do not meet those of another.
                    identity: key ^ (column as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
                    temporality: Temporality::Unknown,
                    created: None,
                    points: &[Point { time: self.chunk.times[row], value: values.value(row) }],
                    labels: &|| self.columns.labels(self.chunk, row, column),
                });
            }
        }
    }

    /// Equal texts, equal key.
    fn key(&self, row: usize) -> u128 {
        let half = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            seed.hash(&mut hasher);
            for texts in &self.chunk.texts {
                (!texts.is_null(row)).then(|| texts.value(row)).hash(&mut hasher);
            }
            u128::from(hasher.finish())
        };
        (half(0) << 64) | half(1)
    }
}

/// A column of values as numbers; words become the index of their state.
fn numbers(
    plan: &TablePlan,
    catalogue: &Catalogue,
    column: usize,
    values: &Values,
) -> Result<Float64Array, (usize, String)> {
    let texts = match values {
        Values::Number(numbers) => return Ok(numbers.clone()),
        Values::Text(texts) => texts,
    };
    let number = |(row, text): (usize, Option<&str>)| {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        if let Ok(number) = text.parse::<f64>() {
            return Ok(Some(number));
        }
        match plan.state(column, catalogue, text) {
            Some(state) => state.map(Some).map_err(|problem| (row, problem)),
            None => Err((row, format!("{text:?} is no number"))),
        }
    };
    texts.iter().enumerate().map(number).collect()
}

/// A time as text to milliseconds.
pub(super) fn parse_time(text: &str, unit: TimeUnit) -> Result<i64, String> {
    let text = text.trim();
    if unit == TimeUnit::Rfc3339 {
        return DateTime::parse_from_rfc3339(text)
            .map(|time| time.timestamp_millis())
            .map_err(|error| format!("time {text:?} is not RFC 3339 ({error})"));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return whole_time(whole, unit).ok_or_else(|| format!("time {text:?} is out of range"));
    }
    match text.parse::<f64>() {
        Ok(fraction) if fraction.is_finite() => Ok(fractional_time(fraction, unit)),
        _ => Err(format!("time {text:?} is no number (the mapping file says unit {unit:?})")),
    }
}

/// A whole time to milliseconds; finer ones are floored.
pub(super) fn whole_time(time: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::S => time.checked_mul(1000),
        TimeUnit::Ms | TimeUnit::Rfc3339 => Some(time),
        TimeUnit::Us => Some(time.div_euclid(1000)),
        TimeUnit::Ns => Some(time.div_euclid(1_000_000)),
    }
}

/// A time with a fraction to milliseconds, floored.
#[expect(clippy::cast_possible_truncation, reason = "floored; out of range saturates and is refused as far off")]
pub(super) fn fractional_time(time: f64, unit: TimeUnit) -> i64 {
    let milliseconds = match unit {
        // Half a microsecond mends what a decimal fraction of a second loses in binary.
        TimeUnit::S => time * 1000.0 + 0.000_5,
        TimeUnit::Ms | TimeUnit::Rfc3339 => time,
        TimeUnit::Us => time / 1000.0,
        TimeUnit::Ns => time / 1e6,
    };
    milliseconds.floor() as i64
}
