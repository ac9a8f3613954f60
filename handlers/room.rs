//! The page of a room.

use minijinja::context;
use parlor::Request;
use parlor::http::{Refusal, Response, StatusCode};

use crate::access::Room;
use crate::urls;

/// `GET /chat/{room}`: the page is at the address with the slash.
pub(crate) async fn slash(request: Request) -> Result<Response, Refusal> {
    let room = Room::of_path(&request).await?;
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &urls::room(room.name())))
}

/// `GET /chat/{room}/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let room = Room::of_path(&request).await?;
    if let Some(talk) = room.talk() {
        return Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &urls::talk(talk.name())));
    }
    let is_owner = room.private().is_some_and(|record| record.is_owned_by(request.identity()));
    let is_private = room.private().is_some();
    let max_message_bytes = request.node().config().max_message_bytes;
    request
        .render("room.html", context! { room_name => room.name(), is_private, is_owner, max_message_bytes })
}
