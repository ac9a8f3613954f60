//! The page of a room.

use minijinja::context;
use parlor::Request;
use parlor::http::{Refusal, Response, StatusCode};

use crate::name::Name;
use crate::urls;

/// `GET /chat/{room}`: the page is at the address with the slash.
pub(crate) async fn slash(request: Request) -> Result<Response, Refusal> {
    let name = Name::of_path(&request)?;
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &urls::room(name.as_str())))
}

/// `GET /chat/{room}/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let name = Name::of_path(&request)?;
    let max_message_bytes = request.node().config().max_message_bytes;
    request.render("room.html", context! { room_name => name.as_str(), max_message_bytes })
}
