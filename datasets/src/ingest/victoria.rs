//! The past of a VictoriaMetrics by its export lines, streamed.

use std::sync::Arc;

use super::client::{Client, Endpoint, Trouble, explain_transport};
use super::history::{
    Clip, Fetch, FetchError, HistoryOptions, HistoryReport, Importer, Period, Piece, Span, alternatives, too_many_rows,
};
use super::pipeline::Pipeline;
use super::wire;
use crate::{Progress, Result};

const PATH: &str = "/api/v1/export";

/// A line holds all values of one series in the piece; past this it is no line.
const MAX_LINE: usize = 64 << 20;

/// Imports a period of these metrics; where it was imported before, what has come since.
///
/// # Errors
/// When the service cannot be asked, answers nonsense more than once, or the store fails. What was stored stays, and
/// the same call goes on from there.
pub async fn backfill(
    endpoint: &Endpoint,
    names: &[String],
    period: &Period,
    options: &HistoryOptions,
    pipeline: Arc<Pipeline>,
    progress: &dyn Progress,
) -> Result<HistoryReport> {
    let client = Client::new(endpoint)?;
    let span = Span { kind: "victoria-metrics", names, period, options };
    span.run(&client, &Export { client: &client }, pipeline, progress).await
}

struct Export<'a> {
    client: &'a Client,
}

impl Fetch for Export<'_> {
    async fn fetch(&self, piece: Piece<'_>, importer: &mut Importer) -> Result<(), FetchError> {
        let selector = format!("{{__name__=~\"{}\"}}", alternatives(piece.names).replace('\\', "\\\\"));
        let request = self.client.get(PATH).query(&[
            ("match[]", selector),
            ("start", seconds(piece.from)),
            // Its end is included; the piece's is not.
            ("end", seconds(piece.until - 1)),
            ("reduce_mem_usage", "1".to_owned()),
        ]);
        let mut response = self.client.send(request, PATH).await?;
        let read_at = super::now();
        let mut rest = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(|error| explain_transport(&error))?;
            let ended = chunk.is_none();
            rest.extend_from_slice(chunk.as_deref().unwrap_or_default());
            // Whole lines only, unless there is no more.
            let whole =
                if ended { rest.len() } else { rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1) };
            if whole == 0 && rest.len() > MAX_LINE {
                return Err(Trouble::TooMuch(format!("a line of more than {MAX_LINE} bytes")).into());
            }
            let mut points = Vec::new();
            let fits = importer.take(read_at, |sink| {
                let mut clip = Clip { from: piece.from, until: piece.until, sink, points: std::mem::take(&mut points) };
                wire::vm_lines(&rest[..whole], &mut clip)
            })?;
            if !fits {
                return Err(too_many_rows(importer));
            }
            rest.drain(..whole);
            if ended {
                return Ok(());
            }
        }
    }
}

/// Milliseconds as the service wants them: seconds with a fraction.
fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000))
}
