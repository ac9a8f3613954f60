//! What the node counts, for Prometheus.

use parlor::http::{Refusal, Response, StatusCode};
use parlor::{METRICS, Request};

/// `GET /metrics`.
pub(crate) async fn text(_: Request) -> Result<Response, Refusal> {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(Response::new(StatusCode::OK, OPENMETRICS, METRICS.text()))
}
