//! The page of a room, or of a private chat.

use minijinja::context;
use parlor::{Refusal, Request, Response, StatusCode};

use crate::rooms::access;
use crate::rooms::access::Room;

/// Answers `GET /chat/{room}/`. Redirects guests to the login page where guests are not admitted.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    if !access::admits_guests(&request) {
        return Ok(Response::redirect(
            StatusCode::SEE_OTHER,
            &request.url("login", &[("next", request.target())]),
        ));
    }
    let room = match Room::look_up(&request, request.param("room")).await {
        Ok(room) => room?,
        Err(_) => Room::unchecked(&request)?,
    };
    if room.talk().is_some() {
        return Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &path(&request, &room)));
    }
    show(&request, &room)
}

/// Renders the page of this room.
pub(crate) fn show(request: &Request, room: &Room) -> Result<Response, Refusal> {
    let max_message_bytes = request.context().config().max_message_bytes;
    let (is_private, peer) = (room.private().is_some(), room.talk().map(|talk| talk.peer().to_owned()));
    let title = room.name().strip_prefix('@').unwrap_or(room.name());
    let context = context! { room_name => room.name(), title, is_private, peer, max_message_bytes };
    request.render("room.html", context)
}

/// Returns the path of the page of this room.
pub(crate) fn path(request: &Request, room: &Room) -> String {
    match room.name().strip_prefix('@') {
        Some(peer) => request.url("talk", &[("user", peer)]),
        None => request.url("room", &[("room", room.name())]),
    }
}
