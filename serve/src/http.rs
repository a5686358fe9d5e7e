//! What Prometheus and container probes ask for over HTTP/1.1.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::admission::Admission;
use crate::config::ServeConfig;
use crate::readiness::Readiness;
use crate::telemetry::Telemetry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct Views {
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) readiness: Readiness,
    pub(crate) config: Arc<ServeConfig>,
}

pub(crate) fn router(views: Views) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(views)
}

async fn metrics(State(views): State<Views>) -> Response {
    match views.telemetry.text(&views.admission) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Whether restarting would help: not while starting or draining, but with a device that fails on anything.
async fn healthz(State(views): State<Views>) -> Response {
    let status = if views.readiness.failing() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, views.readiness.word()).into_response()
}

/// Whether to send requests here; with `?verbose` also every limit.
async fn readyz(State(views): State<Views>, RawQuery(query): RawQuery) -> Response {
    let status = if views.readiness.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = format!("{}\n", views.readiness.word());
    if query.is_some_and(|query| query.starts_with("verbose")) {
        text.push_str(&toml::to_string(&*views.config).unwrap_or_default());
    }
    (status, text).into_response()
}
