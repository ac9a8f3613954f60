//! The page of a room, or of a private chat.

use minijinja::context;
use parlor::{Denied, Refusal, Request, Response, StatusCode};

use crate::rooms::room::{Room, may_enter_rooms};

/// Answers `GET /chat/{room}/`. Redirects guests to the login page where guests are not admitted.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let (context, identity) = (request.context(), request.identity());
    if !may_enter_rooms(context, identity) {
        return Ok(Response::redirect(
            StatusCode::SEE_OTHER,
            &request.url("login", &[("next", request.target())]),
        ));
    }
    let name = request.param("room").unwrap_or_default();
    let room = match Room::find(context, identity, name).await {
        Err(Denied::Layer(_)) => Room::unchecked(context, name)?,
        found => found?,
    };
    if room.conversation().is_some() {
        return Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &path(&request, &room)));
    }
    show(&request, &room)
}

/// Renders the page of this room.
pub(crate) fn show(request: &Request, room: &Room) -> Result<Response, Refusal> {
    let max_message_bytes = request.context().config().max_message_bytes;
    let (is_private, peer) =
        (room.private().is_some(), room.conversation().map(|conversation| conversation.peer().to_owned()));
    let title = room.title();
    let context = context! { room_name => room.name(), title, is_private, peer, max_message_bytes };
    request.render("room.html", context)
}

/// Returns the path of the page of this room.
pub(crate) fn path(request: &Request, room: &Room) -> String {
    match room.name().strip_prefix('@') {
        Some(peer) => request.url("conversation", &[("user", peer)]),
        None => request.url("room", &[("room", room.name())]),
    }
}
