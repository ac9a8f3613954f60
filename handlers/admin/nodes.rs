//! The page of the nodes.

use minijinja::context;
use minijinja::value::Serde;
use parlor::Request;
use parlor::http::{Refusal, Response, StatusCode};
use parlor::layer::Control;
use parlor::wire::time::now;

/// `GET /admin`: the page is at the address with the slash.
pub(crate) async fn slash(_: Request) -> Result<Response, Refusal> {
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, "/admin/"))
}

/// `GET /admin/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let context = request.context();
    let rows = context.layer().nodes().await?;
    let layer = context.ready().unwrap_or_default();
    request.render(
        "admin_nodes.html",
        context! { rows => Serde(rows), layer, this => context.name(), at => now() },
    )
}
