//! The description of the API, in OpenAPI 3.1.

use parlor::{Refusal, Request, Response};

/// `GET /api/openapi.json`.
pub(crate) async fn file(_: Request) -> Result<Response, Refusal> {
    Ok(Response::json(include_str!("../../docs/openapi.json")))
}
