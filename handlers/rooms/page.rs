//! The page of a room, or of a private chat.

use minijinja::context;
use parlor::Request;
use parlor::http::{Refusal, Response, StatusCode};

use crate::rooms::access;
use crate::rooms::access::Room;
use crate::web::urls;

/// `GET /chat/{room}`: the page is at the address with the slash.
pub(crate) async fn slash(request: Request) -> Result<Response, Refusal> {
    let room = Room::of_path(&request).await?;
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &path(&room)))
}

/// `GET /chat/{room}/`. Where there are no guests, they are sent to log in.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    if !access::admits_guests(&request) {
        return Ok(Response::redirect(StatusCode::SEE_OTHER, &urls::login(request.target())));
    }
    let room = match Room::look_up(&request, request.name()).await {
        Ok(room) => room?,
        Err(_) => Room::untold(&request)?,
    };
    if room.talk().is_some() {
        return Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &path(&room)));
    }
    show(&request, &room)
}

/// The page of this room.
pub(crate) fn show(request: &Request, room: &Room) -> Result<Response, Refusal> {
    let max_message_bytes = request.context().config().max_message_bytes;
    let (is_private, peer) = (room.private().is_some(), room.talk().map(|talk| talk.peer().to_owned()));
    let title = room.name().strip_prefix('@').unwrap_or(room.name());
    let context = context! { room_name => room.name(), title, is_private, peer, max_message_bytes };
    request.render("room.html", context)
}

/// Where this room's page is.
pub(crate) fn path(room: &Room) -> String {
    match room.name().strip_prefix('@') {
        Some(peer) => urls::talk(peer),
        None => urls::room(room.name()),
    }
}
