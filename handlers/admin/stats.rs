//! Statistics as JSON, for pages that refresh them.

use parlor::{Control, Refusal, Request, Response, now};
use serde_json::json;

use super::rooms;

/// Answers `GET /admin/figures`: the current figures of the nodes or, with `?of=rooms`, of the
/// rooms. `at` is the time on this node's clock.
pub(crate) async fn json(request: Request) -> Result<Response, Refusal> {
    let context = request.context();
    let figures = match request.query("of").as_deref() {
        None | Some("nodes") => json!({ "at": now(), "rows": context.layer().nodes().await? }),
        Some("rooms") => {
            let (rows, talks) = rooms::figures(context).await?;
            json!({ "at": now(), "rows": rows, "talks": talks })
        }
        Some(_) => return Err(Refusal::bad_request("`of`: expected nodes or rooms")),
    };
    Ok(Response::json(figures.to_string()))
}
