//! The probes of supervisors and load balancers.

use parlor::{Refusal, Request, Response, StatusCode};

/// `GET /healthz`: the process serves.
pub(crate) async fn live(_: Request) -> Result<Response, Refusal> {
    Ok(Response::text(StatusCode::OK, "ok\n"))
}

/// `GET /readyz`: the node can serve sockets. 503 while it cannot reach its layer.
pub(crate) async fn ready(request: Request) -> Result<Response, Refusal> {
    match request.context().ready() {
        Ok(layer) => Ok(Response::text(StatusCode::OK, format!("ready ({layer})\n"))),
        Err(away) => Err(Refusal::unavailable(away.to_string())),
    }
}
