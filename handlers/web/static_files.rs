//! Scripts, styles and pictures of the pages.

use parlor::{Refusal, Request, Response};

/// `GET /static/…`.
pub(crate) async fn file(request: Request) -> Result<Response, Refusal> {
    request.file(&format!("static/{}", request.param("path").unwrap_or_default()))
}
