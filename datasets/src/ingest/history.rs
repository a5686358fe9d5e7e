//! Fetching the past piece by piece: small enough for memory, each piece stored together with how far it came.
//!
//! The span is cut into windows, the metric names into batches; one piece is one batch in one window or part of it. A
//! piece that holds too many rows, or that the service refuses as too large, is asked for again in halves. Nobody
//! recorded when a sample of the past became known, so it is taken to be known [`HistoryOptions::known_after`] its own
//! time.
//!
//! An import is known by what was asked for, word for word: `30d` is the same import tomorrow. Its note says which span
//! that was when it began, so that a run that died goes on in the same windows, and one that is repeated after its end
//! goes on from there.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use features::canonical::{Counts, Reason, Refusal};
use features::decode::{DecodeError, Point, SeriesSink, SourceSeries};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::{Client, Trouble};
use super::pipeline::{Failure, Pipeline};
use super::receiver::blocking;
use super::store::HistoryRow;
use crate::{DatasetError, Progress, Result};

/// How the past is cut and dated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryOptions {
    /// A sample became known this long after its time, milliseconds: the usual delay of the source.
    pub known_after: i64,
    /// Length of a window, milliseconds.
    pub window: i64,
    /// Metric names asked for at once.
    pub batch: usize,
    /// Rows held before they are stored; 32 bytes each.
    pub max_rows: usize,
}

impl Default for HistoryOptions {
    /// Known at once, two hours, 20 names, four million rows.
    fn default() -> Self {
        Self { known_after: 0, window: 7_200_000, batch: 20, max_rows: 4_000_000 }
    }
}

/// Longest wait between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A period that goes on begins this long before its last end, milliseconds: what was on its way to the service then is
/// there now, and what the lake holds already it drops.
const OVERLAP: i64 = 600_000;

/// A moment as somebody gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    at: i64,
    text: String,
}

impl Moment {
    /// The same one whenever it is asked for, milliseconds since the epoch.
    #[must_use]
    pub fn fixed(at: i64) -> Self {
        Self { at, text: at.to_string() }
    }

    /// One that is counted back from the present: today it is `at`, tomorrow another one of the same `text`, such as
    /// `30d`.
    #[must_use]
    pub fn ago(text: impl Into<String>, at: i64) -> Self {
        Self { at, text: text.into() }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn at(&self) -> i64 {
        self.at
    }
}

/// A period of the past as somebody asked for it; its end is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// First moment.
    pub from: Moment,
    /// Where it ends; one that is still to come ends now, and is gone on with when it is asked for again.
    pub until: Moment,
}

impl Period {
    /// The same one whenever it is asked for, milliseconds since the epoch.
    #[must_use]
    pub fn fixed(from: i64, until: i64) -> Self {
        Self { from: Moment::fixed(from), until: Moment::fixed(until) }
    }
}

/// What an import brought.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HistoryReport {
    /// Pieces stored by this run.
    pub pieces: u64,
    /// Samples read by this run.
    pub samples: u64,
    /// Rows handed to the lake by this run, which drops those it holds already.
    pub rows: u64,
    /// Samples that say nothing, such as the rows of a state set that hold 0.
    pub silent: u64,
    /// Reason, samples dropped.
    pub dropped: Vec<(&'static str, u64)>,
    /// Lines of a text that could not be read and were left out.
    pub bad_lines: u64,
    /// The first sample refused or line left out, in words.
    pub refusal: Option<String>,
    /// An earlier run had finished this import; nothing was read.
    pub already_complete: bool,
    /// An earlier run had begun it; this one went on where that one stopped.
    pub resumed: bool,
}

/// Rows of one import on their way to the store.
pub(super) struct Importer {
    pipeline: Arc<Pipeline>,
    name: String,
    known_after: i64,
    max_rows: usize,
    rows: Vec<HistoryRow>,
    counts: Counts,
    refusal: Option<Refusal>,
    total: Counts,
    report: HistoryReport,
}

impl Importer {
    pub(super) fn new(pipeline: Arc<Pipeline>, name: String, options: &HistoryOptions) -> Self {
        Self {
            pipeline,
            name,
            known_after: options.known_after,
            max_rows: options.max_rows,
            rows: Vec::new(),
            counts: Counts::default(),
            refusal: None,
            total: Counts::default(),
            report: HistoryReport::default(),
        }
    }

    /// How far earlier runs came.
    pub(super) async fn progress(&self) -> Result<Option<String>> {
        let (pipeline, name) = (self.pipeline.clone(), self.name.clone());
        blocking(move || pipeline.store().imported(&name)).await
    }

    /// The same where no other thread waits for this one.
    pub(super) fn progress_now(&self) -> Result<Option<String>> {
        self.pipeline.store().imported(&self.name)
    }

    /// Decodes a part of the answer; `false` once more rows are held than may be.
    pub(super) fn take(
        &mut self,
        read_at: i64,
        decode: impl FnOnce(&mut dyn SeriesSink) -> Result<(), DecodeError>,
    ) -> Result<bool, Failure> {
        let known_after = self.known_after;
        self.take_rows(read_at, |time| time.saturating_add(known_after), decode)
    }

    /// The same for samples of which somebody recorded when they became known.
    pub(super) fn take_known(
        &mut self,
        read_at: i64,
        known_at: i64,
        decode: impl FnOnce(&mut dyn SeriesSink) -> Result<(), DecodeError>,
    ) -> Result<bool, Failure> {
        self.take_rows(read_at, |time| known_at.max(time), decode)
    }

    fn take_rows(
        &mut self,
        read_at: i64,
        known_at: impl Fn(i64) -> i64,
        decode: impl FnOnce(&mut dyn SeriesSink) -> Result<(), DecodeError>,
    ) -> Result<bool, Failure> {
        let ((), taken) = self.pipeline.take(read_at, decode)?;
        self.counts.merge(&taken.counts);
        if let Some(refusal) = taken.refusal {
            self.refusal.get_or_insert(refusal);
        }
        self.rows.extend(taken.rows.into_iter().map(|row| HistoryRow { row, known_at: known_at(row.time) }));
        Ok(!self.is_full())
    }

    /// Whether more rows are held than may be.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() > self.max_rows
    }

    /// Throws away what was taken since the last commit.
    pub(super) fn discard(&mut self) {
        self.rows.clear();
        self.counts = Counts::default();
        self.refusal = None;
    }

    /// Stores what was taken since the last commit, and how far that is.
    pub(super) async fn commit(&mut self, progress: String) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let (pipeline, name) = (self.pipeline.clone(), self.name.clone());
        let held = rows.len();
        blocking(move || pipeline.store().import(&name, &progress, rows)).await?;
        self.committed(held);
        Ok(())
    }

    /// The same where no other thread waits for this one.
    pub(super) fn commit_now(&mut self, progress: &str) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let held = rows.len();
        self.pipeline.store().import(&self.name, progress, rows)?;
        self.committed(held);
        Ok(())
    }

    fn committed(&mut self, rows: usize) {
        self.report.pieces += 1;
        self.report.rows += rows as u64;
        self.total.merge(&std::mem::take(&mut self.counts));
        if let (None, Some(refusal)) = (&self.report.refusal, self.refusal.take()) {
            self.report.refusal = Some(refusal.message);
        }
    }

    /// Lines were left out.
    pub(super) fn bad_lines(&mut self, lines: u64, problem: String) {
        self.report.bad_lines += lines;
        self.report.refusal.get_or_insert(problem);
    }

    pub(super) fn finish(mut self) -> HistoryReport {
        self.report.samples = self.total.samples;
        self.report.silent = self.total.silent;
        self.report.dropped = Reason::ALL
            .into_iter()
            .map(|reason| (reason.name(), self.total.dropped(reason)))
            .filter(|&(_, count)| count > 0)
            .collect();
        self.report
    }

    pub(super) fn report(&mut self) -> &mut HistoryReport {
        &mut self.report
    }
}

/// One request: these names, from a time up to before another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) names: &'a [String],
    pub(super) from: i64,
    pub(super) until: i64,
}

/// A service that can be asked for a piece of the past.
pub(super) trait Fetch {
    /// Hands what it answers to the importer.
    fn fetch(&self, piece: Piece<'_>, importer: &mut Importer) -> impl Future<Output = Result<(), FetchError>>;
}

/// Why a piece did not come.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The service.
    Service(Trouble),
    /// The store.
    Store(DatasetError),
}

impl From<Trouble> for FetchError {
    fn from(trouble: Trouble) -> Self {
        Self::Service(trouble)
    }
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        match failure {
            // Bytes that make no sense are a connection cut in an unlucky place as often as a wrong server.
            Failure::Malformed(error) => Self::Service(Trouble::Passing(format!("the answer cannot be read: {error}"))),
            Failure::Store(error) => Self::Store(error),
        }
    }
}

/// How far an import came: all batches up to `batch` of the window at `window`, and that batch up to `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    window: i64,
    batch: usize,
    until: i64,
}

impl Cursor {
    fn at(from: i64) -> Self {
        Self { window: from, batch: 0, until: from }
    }
}

/// What the ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    cursor: Cursor,
    /// Of which moments, from and until; notes of fixed periods may lack it.
    span: Option<(i64, i64)>,
}

/// A period of a service's past.
pub(super) struct Span<'a> {
    /// `prometheus`, `victoria-metrics`: part of the ledger's name.
    pub(super) kind: &'static str,
    pub(super) names: &'a [String],
    pub(super) period: &'a Period,
    pub(super) options: &'a HistoryOptions,
}

impl Span<'_> {
    /// The name in the ledger: another address, period, cut or list of names is another import.
    fn name(&self, client: &Client) -> String {
        let mut hash = Sha256::new();
        for name in self.names {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        hash.update((self.options.batch as u64).to_le_bytes());
        hash.update(self.options.window.to_le_bytes());
        hash.update(self.options.known_after.to_le_bytes());
        let digest = hex::encode(&hash.finalize()[..8]);
        let Period { from, until } = self.period;
        format!("{} {} {}..{} {digest}", self.kind, client.endpoint().name(), from.text, until.text)
    }

    fn validate(&self, (from, until): (i64, i64)) -> Result<()> {
        let refuse = |reason: String| Err(DatasetError::Config { subject: "history".to_owned(), reason });
        if from >= until {
            let now = if until < self.period.until.at { ", which is now: there is no later history" } else { "" };
            return refuse(format!("from ({from} ms) is not before to ({until} ms{now})"));
        }
        if self.options.window <= 0 || self.options.batch == 0 || self.options.max_rows == 0 {
            return refuse(format!(
                "window ({} ms), batch ({} names) and max_rows ({}) must be above 0",
                self.options.window, self.options.batch, self.options.max_rows
            ));
        }
        if self.names.is_empty() {
            return refuse("no metric names to ask for".to_owned());
        }
        Ok(())
    }

    /// Fetches what earlier runs did not.
    pub(super) async fn run(
        &self,
        client: &Client,
        fetch: &impl Fetch,
        pipeline: Arc<Pipeline>,
        progress: &dyn Progress,
    ) -> Result<HistoryReport> {
        // What is still to come must not be noted as fetched.
        let asked = (self.period.from.at, self.period.until.at.min(super::now()));
        self.validate(asked)?;
        let name = self.name(client);
        let mut importer = Importer::new(pipeline, name.clone(), self.options);
        let mut parts = vec![Note { cursor: Cursor::at(asked.0), span: Some(asked) }];
        if let Some(text) = importer.progress().await? {
            let note: Note = serde_json::from_str(&text).map_err(|error| DatasetError::Config {
                subject: format!("import {name:?}"),
                reason: format!("its note in the ledger cannot be read ({error}): {text}"),
            })?;
            parts = rest_of(note, asked);
            importer.report().resumed = true;
            importer.report().already_complete = parts.is_empty();
            tracing::info!(import = name, at = note.cursor.window, "going on where an earlier run stopped");
        }
        let all: u64 = parts.iter().map(|part| self.steps(part.span.unwrap_or(asked))).sum();
        progress.begin("reading history", Some(all));
        for part in parts {
            self.fetch_span(client, fetch, part.cursor, part.span.unwrap_or(asked), &mut importer, progress).await?;
        }
        progress.end();
        Ok(importer.finish())
    }

    fn batches(&self) -> u64 {
        self.names.len().div_ceil(self.options.batch) as u64
    }

    /// Batches times windows.
    fn steps(&self, (from, until): (i64, i64)) -> u64 {
        (until - from).unsigned_abs().div_ceil(self.options.window.unsigned_abs()) * self.batches()
    }

    async fn fetch_span(
        &self,
        client: &Client,
        fetch: &impl Fetch,
        mut cursor: Cursor,
        span: (i64, i64),
        importer: &mut Importer,
        progress: &dyn Progress,
    ) -> Result<()> {
        let batches: Vec<&[String]> = self.names.chunks(self.options.batch).collect();
        let windows = (cursor.window.min(span.1) - span.0).div_euclid(self.options.window).unsigned_abs();
        progress.advance(windows * self.batches() + cursor.batch as u64);
        let mut length = self.options.window;
        while cursor.window < span.1 {
            let window_end = cursor.window.saturating_add(self.options.window).min(span.1);
            let until = cursor.until.saturating_add(length).min(window_end);
            let piece = Piece { names: batches[cursor.batch], from: cursor.until, until };
            match self.fetch_piece(client, fetch, piece, importer).await? {
                Fetched::Whole => {}
                Fetched::TooMuch(problem) => {
                    importer.discard();
                    length = (until - cursor.until) / 2;
                    if length < 1000 {
                        return Err(DatasetError::Remote {
                            url: client.endpoint().name(),
                            problem: format!(
                                "less than two seconds of {} names are still too much ({problem}); \
                                 raise max_rows or lower the batch",
                                piece.names.len()
                            ),
                        });
                    }
                    tracing::debug!(length, problem, "asking for less");
                    continue;
                }
            }
            cursor.until = until;
            let mut finished = 0;
            if until == window_end {
                cursor.batch += 1;
                cursor.until = cursor.window;
                finished = 1;
                if cursor.batch == batches.len() {
                    cursor = Cursor::at(window_end);
                }
                length = self.options.window;
            }
            let note = serde_json::to_string(&Note { cursor, span: Some(span) }).unwrap_or_default();
            importer.commit(note).await?;
            progress.advance(finished);
        }
        Ok(())
    }

    async fn fetch_piece(
        &self,
        client: &Client,
        fetch: &impl Fetch,
        piece: Piece<'_>,
        importer: &mut Importer,
    ) -> Result<Fetched> {
        let endpoint = client.endpoint();
        let mut pause = endpoint.pause;
        let mut attempt = 1;
        let mut away_since: Option<Instant> = None;
        loop {
            let trouble = match fetch.fetch(piece, importer).await {
                Ok(()) => return Ok(Fetched::Whole),
                Err(FetchError::Store(error)) => return Err(error),
                Err(FetchError::Service(trouble)) => trouble,
            };
            if matches!(trouble, Trouble::Away(_)) && client.has_answered() {
                away_since.get_or_insert_with(Instant::now);
            }
            let may_come_back = away_since.is_some_and(|since| since.elapsed() < endpoint.outage);
            let again = match trouble {
                Trouble::TooMuch(problem) => return Ok(Fetched::TooMuch(problem)),
                Trouble::Away(_) => may_come_back,
                // One that is back may not be ready yet.
                Trouble::Passing(_) => may_come_back || attempt < endpoint.attempts,
                Trouble::Lasting(_) => false,
            };
            if !again {
                return Err(client.fail(&trouble));
            }
            tracing::warn!(problem = trouble.problem(), attempt, "asking again");
            importer.discard();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }
}

/// What is left of a period: what an earlier run did not reach, and what has come since its end.
fn rest_of(note: Note, asked: (i64, i64)) -> Vec<Note> {
    let span = note.span.unwrap_or(asked);
    let mut parts = Vec::new();
    if note.cursor.window < span.1 {
        parts.push(Note { span: Some(span), ..note });
    }
    if asked.1 > span.1 {
        let from = (span.1 - OVERLAP).max(span.0);
        parts.push(Note { cursor: Cursor::at(from), span: Some((from, asked.1)) });
    }
    parts
}

enum Fetched {
    Whole,
    TooMuch(String),
}

/// The trouble of an answer with more rows than may be held.
pub(super) fn too_many_rows(importer: &Importer) -> FetchError {
    FetchError::Service(Trouble::TooMuch(format!("more than {} rows", importer.max_rows)))
}

/// Leaves out points outside of a piece: services answer in whole chunks, and with both ends included.
pub(super) struct Clip<'a> {
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) sink: &'a mut dyn SeriesSink,
    pub(super) points: Vec<Point>,
}

impl SeriesSink for Clip<'_> {
    fn take(&mut self, series: &SourceSeries<'_>) {
        self.points.clear();
        self.points.extend(series.points.iter().filter(|point| (self.from..self.until).contains(&point.time)));
        if self.points.is_empty() {
            return;
        }
        let SourceSeries { identity, temporality, created, labels, .. } = *series;
        self.sink.take(&SourceSeries { identity, temporality, created, points: &self.points, labels });
    }
}

/// `^(?:a|b)$` without its anchors, which services add themselves.
pub(super) fn alternatives(names: &[String]) -> String {
    let mut pattern = String::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            pattern.push('|');
        }
        for character in name.chars() {
            if !(character.is_alphanumeric() || matches!(character, '_' | ':')) {
                pattern.push('\\');
            }
            pattern.push(character);
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(window: i64, span: Option<(i64, i64)>) -> Note {
        Note { cursor: Cursor::at(window), span }
    }

    #[test]
    fn what_is_left_is_the_rest_and_what_has_come_since() {
        let hour = 3_600_000;
        let day = (0, 24 * hour);
        let whole = |from, until| note(from, Some((from, until)));
        assert_eq!(rest_of(note(24 * hour, Some(day)), day), []);
        assert_eq!(rest_of(note(5 * hour, Some(day)), day), [note(5 * hour, Some(day))]);
        let later = (hour, 25 * hour);
        let since = whole(24 * hour - OVERLAP, 25 * hour);
        assert_eq!(rest_of(note(24 * hour, Some(day)), later), [since]);
        assert_eq!(rest_of(note(5 * hour, Some(day)), later), [note(5 * hour, Some(day)), since]);
        // No earlier than it began, and nothing where the clock went back.
        assert_eq!(rest_of(note(1000, Some((0, 1000))), (500, 2000)), [whole(0, 2000)]);
        assert_eq!(rest_of(note(24 * hour, Some(day)), (0, hour)), []);
    }

    #[test]
    fn a_note_without_a_span_is_one_of_the_period_asked_for() {
        let read: Note = serde_json::from_str(r#"{"window":5,"batch":0,"until":5}"#).unwrap();
        assert_eq!(read, note(5, None));
        assert_eq!(rest_of(read, (0, 9)), [note(5, Some((0, 9)))]);
        let written = serde_json::to_string(&note(5, Some((0, 9)))).unwrap();
        assert_eq!(serde_json::from_str::<Note>(&written).unwrap(), note(5, Some((0, 9))));
    }
}
