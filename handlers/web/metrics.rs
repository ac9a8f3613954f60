//! The node's metrics, for Prometheus.

use parlor::{METRICS, Refusal, Request, Response, StatusCode};

/// `GET /metrics`.
pub(crate) async fn text(_: Request) -> Result<Response, Refusal> {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(Response::new(StatusCode::OK, OPENMETRICS, METRICS.text()))
}
