//! The past of a Prometheus by remote read, and which metrics it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use features::decode::SeriesSink;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use serde::Deserialize;

use super::client::{Client, Endpoint, Trouble, explain_transport};
use super::history::{
    Clip, Fetch, FetchError, HistoryOptions, HistoryReport, Importer, Period, Piece, Span, alternatives, too_many_rows,
};
use super::pipeline::Pipeline;
use super::wire;
use crate::{Progress, Result};

const READ: &str = "/api/v1/read";
const NAMES: &str = "/api/v1/label/__name__/values";

/// An answer in one piece may measure this; a streamed one has no such bound.
const MAX_ANSWER: usize = 256 << 20;

/// In which form samples are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Chunks as they are on its disk, streamed: little memory on both sides. A server that does not know it answers
    /// in the other form, which is read as well.
    #[default]
    Streamed,
    /// All samples of a piece in one message.
    Samples,
}

/// Imports a period of these metrics; where it was imported before, what has come since.
///
/// # Errors
/// When the service cannot be asked, answers nonsense more than once, or the store fails. What was stored stays, and
/// the same call goes on from there.
pub async fn backfill(
    endpoint: &Endpoint,
    mode: Mode,
    names: &[String],
    period: &Period,
    options: &HistoryOptions,
    pipeline: Arc<Pipeline>,
    progress: &dyn Progress,
) -> Result<HistoryReport> {
    let client = Client::new(endpoint)?;
    let span = Span { kind: "prometheus", names, period, options };
    span.run(&client, &RemoteRead { client: &client, mode }, pipeline, progress).await
}

/// The metric names a Prometheus (or what speaks like one) has, for the check of what it lacks.
///
/// # Errors
/// When it cannot be asked.
pub async fn metric_names(endpoint: &Endpoint) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Names {
        data: BTreeSet<String>,
    }
    let client = Client::new(endpoint)?;
    let response = client.send(client.get(NAMES), NAMES).await.map_err(|trouble| client.fail(&trouble))?;
    let body = response.bytes().await.map_err(|error| client.fail(&explain_transport(&error)))?;
    let names: Names = serde_json::from_slice(&body).map_err(|error| {
        client.fail(&Trouble::Lasting(format!(
            "its answer at {NAMES} is no list of names ({error}); is this a Prometheus?"
        )))
    })?;
    Ok(names.data)
}

struct RemoteRead<'a> {
    client: &'a Client,
    mode: Mode,
}

impl Fetch for RemoteRead<'_> {
    async fn fetch(&self, piece: Piece<'_>, importer: &mut Importer) -> Result<(), FetchError> {
        let streamed_wanted = self.mode == Mode::Streamed;
        let body = wire::read_request(&alternatives(piece.names), piece.from, piece.until - 1, streamed_wanted)
            .map_err(|error| Trouble::Lasting(error.to_string()))?;
        let request = self
            .client
            .post(READ)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(CONTENT_ENCODING, "snappy")
            .header(ACCEPT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Read-Version", "0.1.0")
            .body(body);
        let response = self.client.send(request, READ).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        if content_type.starts_with("application/x-streamed-protobuf") {
            streamed(response, piece, importer).await
        } else if content_type.starts_with("application/x-protobuf") {
            in_one_piece(response, piece, importer).await
        } else {
            let problem = format!("answers {READ} with content type {content_type:?}, which is no remote read");
            Err(Trouble::Lasting(problem).into())
        }
    }
}

async fn streamed(
    mut response: reqwest::Response,
    piece: Piece<'_>,
    importer: &mut Importer,
) -> Result<(), FetchError> {
    let read_at = super::now();
    let mut frames = wire::frames();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain_transport(&error))? {
        frames.push(&chunk);
        while let Some(frame) =
            frames.message().map_err(|error| Trouble::Passing(format!("the stream is damaged: {error}")))?
        {
            let decode =
                |sink: &mut dyn SeriesSink| wire::chunked_read_response(frame, piece.from, piece.until - 1, sink);
            let fits = importer.take(read_at, decode)?;
            if !fits {
                return Err(too_many_rows(importer));
            }
        }
    }
    if frames.unfinished() {
        return Err(Trouble::Passing("the stream ends inside a frame".to_owned()).into());
    }
    Ok(())
}

async fn in_one_piece(
    mut response: reqwest::Response,
    piece: Piece<'_>,
    importer: &mut Importer,
) -> Result<(), FetchError> {
    let read_at = super::now();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain_transport(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(Trouble::TooMuch(format!("an answer of more than {MAX_ANSWER} bytes")).into());
        }
    }
    let fits = importer.take(read_at, |sink| {
        let mut clip = Clip { from: piece.from, until: piece.until, sink, points: Vec::new() };
        wire::read_response(&body, MAX_ANSWER, &mut clip)
    })?;
    if fits { Ok(()) } else { Err(too_many_rows(importer)) }
}
