//! The page where one chooses a room.

use minijinja::context;
use parlor::Request;
use parlor::http::{Refusal, Response, StatusCode};

/// `GET /`.
pub(crate) async fn root(_: Request) -> Result<Response, Refusal> {
    Ok(Response::redirect(StatusCode::FOUND, "/chat/"))
}

/// `GET /chat`: the page is at the address with the slash.
pub(crate) async fn slash(_: Request) -> Result<Response, Refusal> {
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, "/chat/"))
}

/// `GET /chat/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    request.render("home.html", context! {})
}
