//! Fetching the past piece by piece: small enough for memory, each piece stored together with how far it came.
//!
//! The span is cut into windows, the metric names into batches; one piece is one batch in one window or part of it. A
//! piece that holds too many rows, or that the service refuses as too large, is asked for again in halves. Nobody
//! recorded when a sample of the past became known, so it is taken to be known [`HistoryOptions::known_after`] its own
//! time.

use std::future::Future;
use std::sync::Arc;

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

/// A span of a service's past.
pub(super) struct Span<'a> {
    /// `prometheus`, `victoria-metrics`: part of the ledger's name.
    pub(super) kind: &'static str,
    pub(super) names: &'a [String],
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) options: &'a HistoryOptions,
}

impl Span<'_> {
    /// The name in the ledger: another address, span, cut or list of names is another import.
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
        format!("{} {} {}..{} {digest}", self.kind, client.endpoint().name(), self.from, self.until)
    }

    fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(DatasetError::Config { subject: "history".to_owned(), reason });
        if self.from >= self.until {
            return refuse(format!("from ({} ms) is not before to ({} ms)", self.from, self.until));
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
        self.validate()?;
        let name = self.name(client);
        let mut importer = Importer::new(pipeline, name.clone(), self.options);
        let batches: Vec<&[String]> = self.names.chunks(self.options.batch).collect();
        let mut cursor = Cursor { window: self.from, batch: 0, until: self.from };
        if let Some(text) = importer.progress().await? {
            cursor = serde_json::from_str(&text).map_err(|error| DatasetError::Config {
                subject: format!("import {name:?}"),
                reason: format!("its note in the ledger cannot be read ({error}): {text}"),
            })?;
            importer.report().resumed = true;
            importer.report().already_complete = cursor.window >= self.until;
            tracing::info!(import = name, at = cursor.window, "going on where an earlier run stopped");
        }
        let units = |cursor: &Cursor| {
            let windows = (cursor.window.min(self.until) - self.from).div_euclid(self.options.window).unsigned_abs();
            windows * batches.len() as u64 + cursor.batch as u64
        };
        let all = (self.until - self.from).unsigned_abs().div_ceil(self.options.window.unsigned_abs());
        progress.begin("reading history", Some(all * batches.len() as u64));
        progress.advance(units(&cursor));

        let mut length = self.options.window;
        while cursor.window < self.until {
            let window_end = cursor.window.saturating_add(self.options.window).min(self.until);
            let until = cursor.until.saturating_add(length).min(window_end);
            let piece = Piece { names: batches[cursor.batch], from: cursor.until, until };
            match self.fetch_piece(client, fetch, piece, &mut importer).await? {
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
                    cursor = Cursor { window: window_end, batch: 0, until: window_end };
                }
                length = self.options.window;
            }
            let note = serde_json::to_string(&cursor).unwrap_or_default();
            importer.commit(note).await?;
            progress.advance(finished);
        }
        progress.end();
        Ok(importer.finish())
    }

    async fn fetch_piece(
        &self,
        client: &Client,
        fetch: &impl Fetch,
        piece: Piece<'_>,
        importer: &mut Importer,
    ) -> Result<Fetched> {
        let mut pause = client.endpoint().pause;
        let mut attempt = 1;
        loop {
            let trouble = match fetch.fetch(piece, importer).await {
                Ok(()) => return Ok(Fetched::Whole),
                Err(FetchError::Store(error)) => return Err(error),
                Err(FetchError::Service(trouble)) => trouble,
            };
            match trouble {
                Trouble::TooMuch(problem) => return Ok(Fetched::TooMuch(problem)),
                Trouble::Passing(problem) if attempt < client.endpoint().attempts => {
                    tracing::warn!(problem, attempt, "asking again");
                    importer.discard();
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                trouble => return Err(client.fail(trouble)),
            }
        }
    }
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
