//! The HTTP side: headers to protocols, answers to status codes.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use features::decode::SeriesSink;
use futures_util::StreamExt;
use prost::Message;
use tokio::net::TcpListener;

use super::limit;
use super::work::{Answer, Work, read_gzip};
use crate::ingest::otlp;
use crate::ingest::statistics::{Ending, Protocol};
use crate::ingest::wire;
use crate::{DatasetError, Result};

const PROTOBUF: &str = "application/x-protobuf";

pub(super) async fn serve(
    listener: TcpListener,
    work: Arc<Work>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let router = Router::new()
        .route("/api/v1/write", post(remote_write))
        .route("/api/v1/push", post(remote_write))
        .route("/api/v1/import", post(lines))
        .route("/v1/metrics", post(otlp_metrics))
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(ready))
        .route("/metrics", get(figures))
        .with_state(work);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
        .map_err(|error| DatasetError::Config { subject: "HTTP listener".to_owned(), reason: error.to_string() })
}

async fn ready(State(work): State<Arc<Work>>) -> Response {
    if work.is_open() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
    }
}

async fn figures(State(work): State<Arc<Work>>) -> Response {
    let text = work.counters().exposition(work.pipeline());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn remote_write(State(work): State<Arc<Work>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (protocol, answer) = match remote_write_version(&parts.headers) {
        Ok(protocol) => {
            let (largest, most) = (work.options().max_decoded, work.options().max_samples);
            let answer = receive(&work, protocol, &parts.headers, body, move |body, sink| {
                limit::remote_write(&body, protocol, largest, most)?;
                match protocol {
                    Protocol::RemoteWrite2 => wire::remote_write_2(&body, largest, sink)?,
                    _ => wire::remote_write_1(&body, largest, sink)?,
                }
                Ok(())
            });
            (protocol, answer.await)
        }
        Err(answer) => (Protocol::RemoteWrite1, answer),
    };
    work.counters().ended(protocol, answer.ending);
    let mut response = plain(&answer);
    if protocol == Protocol::RemoteWrite2 {
        // Samples left out on purpose count as written: a sender takes 0 for a receiver that does not speak 2.0.
        for (name, count) in [("samples", answer.taken), ("histograms", 0), ("exemplars", 0)] {
            let name = HeaderName::from_static(match name {
                "samples" => "x-prometheus-remote-write-samples-written",
                "histograms" => "x-prometheus-remote-write-histograms-written",
                _ => "x-prometheus-remote-write-exemplars-written",
            });
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
    response
}

async fn lines(State(work): State<Arc<Work>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let encoding = text_of(&parts.headers, CONTENT_ENCODING);
    let answer = if is_one_of(encoding, &["", "identity"]) {
        receive(&work, Protocol::Lines, &parts.headers, body, |body, sink| Ok(wire::vm_lines(&body, sink)?)).await
    } else {
        unsupported(format!("content encoding {encoding:?} is not read here; send the lines plain"))
    };
    work.counters().ended(Protocol::Lines, answer.ending);
    plain(&answer)
}

async fn otlp_metrics(State(work): State<Arc<Work>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let content_type = essence(text_of(&parts.headers, CONTENT_TYPE));
    let encoding = text_of(&parts.headers, CONTENT_ENCODING);
    let answer = if !content_type.eq_ignore_ascii_case(PROTOBUF) {
        unsupported(format!("content type {content_type:?} is not read here; send {PROTOBUF}"))
    } else if !is_one_of(encoding, &["", "identity", "gzip"]) {
        unsupported(format!("content encoding {encoding:?} is not read here; send gzip or none"))
    } else {
        let (largest, most) = (work.options().max_decoded, work.options().max_samples);
        let inflate = encoding.eq_ignore_ascii_case("gzip");
        receive(&work, Protocol::OtlpHttp, &parts.headers, body, move |body, sink| {
            let message = if inflate { Bytes::from(read_gzip(&body, largest)?) } else { body };
            limit::otlp(&message, most)?;
            Ok(wire::otlp(&message, sink)?)
        })
        .await
    };
    work.counters().ended(Protocol::OtlpHttp, answer.ending);
    let kind = [(CONTENT_TYPE, PROTOBUF)];
    if matches!(answer.ending, Ending::Stored | Ending::Partial) {
        return (kind, otlp::response(&answer).encode_to_vec()).into_response();
    }
    let status = status(answer.ending);
    let mut response = (status, kind, otlp::http_status(&answer).encode_to_vec()).into_response();
    retry_after(&answer, &mut response);
    response
}

/// Which remote write it is, from the headers; those of old senders may be missing.
fn remote_write_version(headers: &HeaderMap) -> Result<Protocol, Answer> {
    let encoding = text_of(headers, CONTENT_ENCODING);
    if !is_one_of(encoding, &["", "snappy"]) {
        return Err(unsupported(format!(
            "content encoding {encoding:?} is not read here; remote write is sent as snappy"
        )));
    }
    let content_type = text_of(headers, CONTENT_TYPE);
    let proto = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("proto"))
        .map(|(_, value)| value.trim_matches('"'));
    // Names of messages tell upper from lower case, types of content do not.
    match (essence(content_type).to_ascii_lowercase().as_str(), proto) {
        ("", None) | (PROTOBUF, None | Some("prometheus.WriteRequest")) => Ok(Protocol::RemoteWrite1),
        (PROTOBUF, Some("io.prometheus.write.v2.Request")) => Ok(Protocol::RemoteWrite2),
        _ => Err(unsupported(format!(
            "content type {content_type:?} is not read here; send application/x-protobuf with \
             proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request"
        ))),
    }
}

/// Door, place, size; then the body, inflated and decoded on a thread that may block.
async fn receive<F>(work: &Arc<Work>, protocol: Protocol, headers: &HeaderMap, body: Body, decode: F) -> Answer
where
    F: FnOnce(Bytes, &mut dyn SeriesSink) -> Result<(), Answer> + Send + 'static,
{
    if !work.authorized(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)) {
        return Answer::refusal(Ending::Unauthorized, "send the receiver's token as Authorization: Bearer …");
    }
    let limit = work.options().max_body;
    let too_large =
        || Answer::refusal(Ending::TooLarge, format!("the body is larger than {limit} bytes; send smaller batches"));
    let announced = text_of(headers, CONTENT_LENGTH).parse::<usize>().ok();
    if announced.is_some_and(|length| length > limit) {
        // A sender that asked first (Expect: 100-continue) sends nothing after a refusal.
        if !headers.contains_key(EXPECT) {
            let _ = tokio::time::timeout(work.options().body_timeout, read_at_most(body, limit)).await;
        }
        return too_large();
    }
    let _place = match work.admit().await {
        Ok(place) => place,
        Err(answer) => return answer,
    };
    let body = match tokio::time::timeout(work.options().body_timeout, read_at_most(body, limit)).await {
        Ok(Ok(Some(body))) => body,
        Ok(Ok(None)) => return too_large(),
        Ok(Err(error)) => return Answer::refusal(Ending::Malformed, format!("the body ended early: {error}")),
        // A slow network is not the message's fault: refused as malformed, it would be dropped for good.
        Err(_) => {
            let limit = work.options().body_timeout;
            return Answer::refusal(Ending::Busy, format!("the body took longer than {limit:?}; send it again"));
        }
    };
    work.counters().received(body.len());
    work.clone().store(protocol, move |sink| decode(body, sink)).await
}

/// A body of at most `limit` bytes, or none where it is longer.
///
/// Of a longer body, up to four times the limit is read and thrown away: a sender whose connection closes while it
/// still writes sees a broken pipe instead of the answer, and sends the same again for ever.
async fn read_at_most(body: Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut pieces = body.into_data_stream();
    let (mut kept, mut seen) = (Vec::new(), 0_usize);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        seen = seen.saturating_add(piece.len());
        if seen <= limit {
            kept.extend_from_slice(&piece);
        } else {
            kept = Vec::new();
            if seen > limit.saturating_mul(4) {
                break;
            }
        }
    }
    Ok((seen <= limit).then(|| kept.into()))
}

fn unsupported(message: String) -> Answer {
    Answer::refusal(Ending::Unsupported, message)
}

/// A header as text, empty where it is missing or no text.
fn text_of(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").trim()
}

/// Whether a header's value is one of these, in upper or lower case.
fn is_one_of(value: &str, known: &[&str]) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(value))
}

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or("").trim()
}

fn status(ending: Ending) -> StatusCode {
    match ending {
        Ending::Stored => StatusCode::NO_CONTENT,
        Ending::Partial | Ending::Malformed => StatusCode::BAD_REQUEST,
        Ending::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Ending::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Ending::Busy | Ending::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Ending::Unauthorized => StatusCode::UNAUTHORIZED,
    }
}

fn plain(answer: &Answer) -> Response {
    let mut response = match status(answer.ending) {
        StatusCode::NO_CONTENT => StatusCode::NO_CONTENT.into_response(),
        status => (status, format!("{}\n", answer.message)).into_response(),
    };
    retry_after(answer, &mut response);
    response
}

fn retry_after(answer: &Answer, response: &mut Response) {
    let seconds = match answer.ending {
        Ending::Busy => "1",
        // A full disk is not mended in a second.
        Ending::Unavailable => "10",
        _ => return,
    };
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
}
