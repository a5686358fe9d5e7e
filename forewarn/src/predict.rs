//! `forewarn predict`: rows of a data set, asked of a running server.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context;
use datasets::Dataset;
use features::FeatureBatch;
use proto::v1::risk_service_client::RiskServiceClient;
use proto::v1::{Alarm, EntityKey, FeatureRows, Risk, RowStatus, ScoreRequest, ScoreResponse, score_request};
use serde::Serialize;
use tonic::transport::Channel;

use crate::args::PredictArgs;
use crate::exit::{unavailable, usage};

/// Rows per call: well below the server's limit on rows and bytes.
const ROWS_PER_CALL: usize = 256;

/// One answered row, as printed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Answer {
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) incarnation: String,
    pub(crate) as_of: i64,
    pub(crate) failure_probability: Vec<f64>,
    pub(crate) rul_quantiles: Vec<Option<f64>>,
    pub(crate) restricted_mean: Option<f64>,
    pub(crate) cause: String,
    pub(crate) cause_share: Option<f64>,
    pub(crate) health_indicator: Option<f64>,
    pub(crate) alarm: &'static str,
    pub(crate) status: String,
}

/// What the server said of itself and its numbers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Answers {
    pub(crate) model: String,
    pub(crate) version: String,
    pub(crate) horizons: Vec<f64>,
    pub(crate) quantiles: Vec<f64>,
    pub(crate) rows: Vec<Answer>,
}

pub(crate) fn run(args: PredictArgs) -> anyhow::Result<()> {
    let dataset = Dataset::open(&args.dataset)?;
    let rows = dataset.rows()?.features;
    let wanted = select(&rows, &args.as_of)?;
    if wanted.is_empty() {
        return Err(usage(format!("no row of {} is as of {}", args.dataset.display(), args.as_of)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let answers = runtime.block_on(ask(args.address, &rows.select(&wanted)))?;
    let top = riskiest(&answers.rows, args.top);
    if args.json {
        let answers = Answers { rows: top, ..answers };
        println!("{}", serde_json::to_string_pretty(&answers)?);
    } else {
        println!("{}@{} at {}, {} rows asked", answers.model, answers.version, args.address, answers.rows.len());
        let unit = dataset.grid().unit().short();
        println!("{}", risk_lines(&top, &answers.horizons, &answers.quantiles, unit));
    }
    Ok(())
}

/// Row numbers: all, the newest of each entity, or those of one tick.
fn select(rows: &FeatureBatch, as_of: &str) -> anyhow::Result<Vec<usize>> {
    Ok(match as_of {
        "all" => (0..rows.rows()).collect(),
        "latest" => newest(rows),
        tick => {
            let tick: i64 =
                tick.parse().map_err(|_| usage(format!("--as-of {tick:?} is neither all, latest nor a tick")))?;
            (0..rows.rows()).filter(|&row| rows.as_of()[row] == tick).collect()
        }
    })
}

/// The newest row of each entity.
pub(crate) fn newest(rows: &FeatureBatch) -> Vec<usize> {
    let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, entity) in rows.entities().iter().enumerate() {
        let best = newest.entry(entity.key()).or_insert(row);
        if rows.as_of()[row] > rows.as_of()[*best] {
            *best = row;
        }
    }
    newest.into_values().collect()
}

/// Asks a server about every row of a batch.
pub(crate) async fn ask(address: SocketAddr, rows: &FeatureBatch) -> anyhow::Result<Answers> {
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await.map_err(|error| {
        unavailable(format!("no server answers at {address} ({error}); start one with forewarn serve"))
    })?;
    let mut client = RiskServiceClient::new(channel).max_decoding_message_size(64 << 20);
    let mut answers: Option<Answers> = None;
    for start in (0..rows.rows()).step_by(ROWS_PER_CALL) {
        let chunk = rows.slice(start, (start + ROWS_PER_CALL).min(rows.rows()));
        let response = client
            .score(request(&chunk))
            .await
            .map_err(|status| unavailable(format!("{address}: {:?}: {}", status.code(), status.message())))?
            .into_inner();
        let causes = response.causes.clone();
        let ScoreResponse { model, version, horizons, quantiles, risks, .. } = response;
        let answers = answers.get_or_insert_with(|| Answers { model, version, horizons, quantiles, rows: Vec::new() });
        answers.rows.extend(risks.into_iter().map(|risk| answer(risk, &causes)));
    }
    answers.ok_or_else(|| usage("no rows to ask about"))
}

/// The features form of a request.
pub(crate) fn request(rows: &FeatureBatch) -> ScoreRequest {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let entities = rows
        .entities()
        .iter()
        .map(|entity| EntityKey {
            kind: entity.kind().name().to_owned(),
            key: entity.key().to_owned(),
            incarnation: entity.incarnation().to_owned(),
        })
        .collect();
    let body = FeatureRows {
        feature_spec_hash: rows.spec_hash().to_owned(),
        entities,
        as_of: rows.as_of().to_vec(),
        flat: bytes(rows.flat()).into(),
        sequence: bytes(rows.sequence()).into(),
    };
    ScoreRequest {
        model: String::new(),
        version: String::new(),
        horizons: Vec::new(),
        body: Some(score_request::Body::Features(body)),
    }
}

fn answer(risk: Risk, causes: &[String]) -> Answer {
    let alarm = match risk.alarm() {
        Alarm::High => "high",
        Alarm::Elevated => "elevated",
        Alarm::None => "none",
        Alarm::Unspecified => "unknown",
    };
    let status = match risk.status() {
        RowStatus::Ok => "ok".to_owned(),
        other => format!("{} {}", other.as_str_name(), risk.status_detail),
    };
    let entity = risk.entity.unwrap_or_default();
    Answer {
        entity: entity.key,
        kind: entity.kind,
        incarnation: entity.incarnation,
        as_of: risk.as_of,
        failure_probability: risk.failure_probability,
        rul_quantiles: risk.rul_quantiles.into_iter().map(|quantile| quantile.value).collect(),
        restricted_mean: risk.restricted_mean,
        cause: risk.cause.and_then(|cause| causes.get(cause as usize)).cloned().unwrap_or_default(),
        cause_share: risk.cause_share,
        health_indicator: risk.health_indicator,
        alarm,
        status,
    }
}

/// The riskiest rows at the last horizon, riskiest first.
pub(crate) fn riskiest(rows: &[Answer], at_most: usize) -> Vec<Answer> {
    let mut sorted: Vec<&Answer> = rows.iter().collect();
    let risk = |answer: &Answer| answer.failure_probability.last().copied().unwrap_or(0.0);
    sorted.sort_by(|a, b| risk(b).total_cmp(&risk(a)).then_with(|| a.entity.cmp(&b.entity)));
    sorted.into_iter().take(at_most).cloned().collect()
}

/// One line per row for a person.
pub(crate) fn risk_lines(rows: &[Answer], horizons: &[f64], quantiles: &[f64], unit: &str) -> String {
    use std::fmt::Write;
    let widest = rows.iter().map(|row| row.entity.len()).max().unwrap_or(6).max(6);
    let mut text = format!("{:<widest$}", "entity");
    for horizon in horizons {
        let _ = write!(text, "  P({horizon}{unit})");
    }
    let (low, high) = (quantiles.first().unwrap_or(&0.0), quantiles.last().unwrap_or(&1.0));
    let _ = writeln!(text, "   RUL median [{low}, {high}] {unit}    most likely cause      alarm");
    for row in rows {
        let _ = write!(text, "{:<widest$}", row.entity);
        for (probability, horizon) in row.failure_probability.iter().zip(horizons) {
            let width = format!("P({horizon}{unit})").len() + 2;
            let _ = write!(text, "{probability:>width$.3}");
        }
        let show = |value: Option<&Option<f64>>| match value {
            Some(Some(value)) => format!("{value:.1}"),
            _ => "beyond".to_owned(),
        };
        let middle = show(row.rul_quantiles.get(row.rul_quantiles.len() / 2));
        let interval = format!("[{}, {}]", show(row.rul_quantiles.first()), show(row.rul_quantiles.last()));
        let cause = format!("{} ({:.0} %)", row.cause, 100.0 * row.cause_share.unwrap_or(0.0));
        let _ = writeln!(text, "   {middle:>8} {interval:<18} {cause:<22} {}", row.alarm);
    }
    text
}
