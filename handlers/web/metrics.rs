//! The node's metrics, for Prometheus.

use parlor::{MetricsFormat, Refusal, Request, Response, StatusCode};

/// `GET /metrics`, in the format that the client asks for.
pub(crate) async fn text(request: Request) -> Result<Response, Refusal> {
    let format = MetricsFormat::from_accept(request.header("accept"));
    Ok(Response::new(StatusCode::OK, format.content_type(), request.context().metrics(format)))
}
