//! The page of the nodes.

use minijinja::context;
use minijinja::value::Serde;
use parlor::{Control, Refusal, Request, Response, now};

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
