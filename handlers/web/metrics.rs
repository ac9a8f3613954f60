//! The node's metrics, for Prometheus.

use parlor::{Refusal, Request, Response, StatusCode};

/// `GET /metrics`.
pub(crate) async fn text(request: Request) -> Result<Response, Refusal> {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(Response::new(StatusCode::OK, OPENMETRICS, request.context().metrics()))
}
