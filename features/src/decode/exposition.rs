//! The Prometheus text format 0.0.4, and of OpenMetrics 1.0 what says the same.
//!
//! `name{label="value",…} value [timestamp]`, one sample a line. Formats:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
//!
//! - `# TYPE` says whether the samples of its family are levels or accumulate; it counts until the next family begins.
//! - Timestamps are whole milliseconds in the older format and seconds with a fraction in OpenMetrics.
//! - In OpenMetrics `NAME_created` is no series: it becomes the start of accumulation of the other samples with its
//!   labels.
//! - Exemplars, `# HELP`, `# UNIT` and other comments are passed over.
//! - Names that need quotes are written inside the braces, as Prometheus 3 does: `{"my.metric","a.label"="1"} 5`.

mod family;
mod line;

use super::labels::{cut, text_identity};
use super::{Decoded, Point, SeriesSink, SourceSeries, Temporality};
use family::{Family, Part};
use line::Scanned;

/// How timestamps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The text format 0.0.4: whole milliseconds.
    Text,
    /// OpenMetrics: seconds with a fraction.
    OpenMetrics,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct BadLine {
    /// 1-based.
    pub line: usize,
    /// 1-based, in bytes.
    pub column: usize,
    /// What was seen and expected.
    pub problem: String,
}

/// The lines that could not be read: all are counted, the first hundred are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadLines {
    count: usize,
    kept: Vec<BadLine>,
}

impl BadLines {
    const KEPT: usize = 100;

    /// How many there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether every line could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first of them.
    #[must_use]
    pub fn first(&self) -> Option<&BadLine> {
        self.kept.first()
    }

    /// The first hundred, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &BadLine> {
        self.kept.iter()
    }

    fn push(&mut self, line: BadLine) {
        self.count += 1;
        if self.kept.len() < Self::KEPT {
            self.kept.push(line);
        }
    }
}

/// Reads an exposition, or a piece of one that begins and ends with whole lines. `now` is the time of samples that carry
/// none, in milliseconds. Bad lines cost themselves alone; `# EOF` is passed over, so that several expositions may follow
/// each other.
pub fn text(text: &str, dialect: Dialect, now: i64, sink: &mut dyn SeriesSink) -> (Decoded, BadLines) {
    let mut reader = Reader::new(dialect, now, sink);
    let mut bad = BadLines::default();
    for (index, line) in text.lines().enumerate() {
        if let Err(fault) = reader.line(line) {
            bad.push(fault.on(index));
        }
    }
    reader.flush();
    (reader.decoded, bad)
}

/// Reads a whole exposition and stops at the first bad line. OpenMetrics must end with `# EOF`.
///
/// # Errors
/// The first bad line. Series before it have been handed over by then.
pub fn strict(text: &str, dialect: Dialect, now: i64, sink: &mut dyn SeriesSink) -> Result<Decoded, BadLine> {
    let mut reader = Reader::new(dialect, now, sink);
    let mut lines = 0;
    let mut ended = false;
    for (index, line) in text.lines().enumerate() {
        if ended {
            return Err(Fault::new(0, format!("{:?} after # EOF", cut(line, 40))).on(index));
        }
        reader.line(line).map_err(|fault| fault.on(index))?;
        ended = dialect == Dialect::OpenMetrics && line == "# EOF";
        lines = index + 1;
    }
    if dialect == Dialect::OpenMetrics && !ended {
        return Err(Fault::new(0, "the text ends without # EOF; it was cut off").on(lines));
    }
    reader.flush();
    Ok(reader.decoded)
}

/// A problem at a place in a line.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// In bytes.
    at: usize,
    problem: String,
}

impl Fault {
    fn new(at: usize, problem: impl Into<String>) -> Self {
        Self { at, problem: problem.into() }
    }

    fn on(self, index: usize) -> BadLine {
        BadLine { line: index + 1, column: self.at + 1, problem: self.problem }
    }
}

/// Samples of one label set that wait for the start of their accumulation.
struct Held<'t> {
    line: &'t str,
    series_end: usize,
    temporality: Temporality,
    point: Point,
}

/// More samples than this do not wait: no histogram has as many buckets.
const MOST_HELD: usize = 1024;

struct Reader<'t, 's> {
    dialect: Dialect,
    now: i64,
    sink: &'s mut dyn SeriesSink,
    decoded: Decoded,
    family: Option<Family<'t>>,
    held: Vec<Held<'t>>,
    /// Labels of those held, but for the bucket or quantile.
    group: u64,
    created: Option<i64>,
}

impl<'t, 's> Reader<'t, 's> {
    fn new(dialect: Dialect, now: i64, sink: &'s mut dyn SeriesSink) -> Self {
        let decoded = Decoded::default();
        Self { dialect, now, sink, decoded, family: None, held: Vec::new(), group: 0, created: None }
    }

    fn line(&mut self, line: &'t str) -> Result<(), Fault> {
        let trimmed = line.trim_start_matches([' ', '\t']);
        if let Some(comment) = trimmed.strip_prefix('#') {
            return self.comment(comment, line.len() - comment.len());
        }
        if trimmed.is_empty() {
            return Ok(());
        }
        let scanned = line::scan(line, self.dialect)?;
        self.sample(line, &scanned);
        Ok(())
    }

    fn comment(&mut self, comment: &'t str, at: usize) -> Result<(), Fault> {
        let mut words = comment.split_ascii_whitespace();
        match words.next() {
            Some("TYPE") => {
                self.flush();
                // Whatever it says, it ends the family before.
                self.family = None;
                self.family = Some(Family::declared(words, self.dialect).map_err(|problem| Fault::new(at, problem))?);
            }
            Some("EOF") if words.next().is_none() => {
                self.flush();
                self.family = None;
            }
            _ => {}
        }
        Ok(())
    }

    fn sample(&mut self, line: &'t str, scanned: &Scanned<'t>) {
        let point = Point { time: scanned.time.unwrap_or(self.now), value: scanned.value };
        let part = self.family.as_ref().map_or(Part::Sample(Temporality::Unknown), |family| family.part(scanned.name));
        let waits = self.family.as_ref().is_some_and(|family| family.may_be_created);
        let held = |temporality| Held { line, series_end: scanned.series_end, temporality, point };
        match part {
            Part::Sample(temporality) if !waits => self.hand(&held(temporality), None),
            Part::Sample(temporality) => {
                self.join(scanned.group);
                self.held.push(held(temporality));
                if self.held.len() == MOST_HELD {
                    self.flush();
                }
            }
            Part::Created => {
                self.join(scanned.group);
                self.created = line::seconds(scanned.word).filter(|&time| time > 0);
            }
        }
    }

    /// A sample of these labels comes: those of others wait no longer.
    fn join(&mut self, group: u64) {
        if self.group != group {
            self.flush();
            self.group = group;
        }
    }

    fn flush(&mut self) {
        let created = self.created.take();
        for held in std::mem::take(&mut self.held) {
            self.hand(&held, created);
        }
    }

    fn hand(&mut self, held: &Held<'_>, created: Option<i64>) {
        // Only what accumulates has begun to.
        let created = created.filter(|_| held.temporality == Temporality::Cumulative);
        self.decoded.hand(
            self.sink,
            &SourceSeries {
                identity: text_identity(held.line[..held.series_end].trim_ascii()),
                temporality: held.temporality,
                created,
                points: &[held.point],
                labels: &|| line::labels(held.line),
            },
        );
    }
}

#[cfg(test)]
mod tests;
