//! The pages of private chats: all of them, and one.

use minijinja::{Value, context};
use parlor::{Refusal, Request, Response, StatusCode};

use crate::dm::conversation as talk;
use crate::rooms::access::Room;
use crate::rooms::page as room;

/// Answers `GET /dm/`: the client's private chats. `?user=` redirects to the chat with that
/// account.
pub(crate) async fn list(request: Request) -> Result<Response, Refusal> {
    let identity = request.identity();
    if !identity.is_user() {
        return Ok(Response::redirect(
            StatusCode::SEE_OTHER,
            &request.url("login", &[("next", request.target())]),
        ));
    }
    let (context, name) = (request.context(), request.query("user").unwrap_or_default());
    let mut error = None;
    if !name.is_empty() {
        match context.accounts().named(&name).await? {
            Some(account) if account.id == identity.id() => error = Some("yourself"),
            Some(account) => {
                return Ok(Response::redirect(
                    StatusCode::SEE_OTHER,
                    &request.url("talk", &[("user", &account.name)]),
                ));
            }
            None => error = Some("unknown_user"),
        }
    }
    let lines = talk::lines(context, identity.id()).await?;
    let talks: Vec<Value> = lines
        .into_iter()
        .map(|line| context! { id => line.user, name => line.name, unread => line.unread, at => line.at })
        .collect();
    let page = request.render("dm.html", context! { talks, name, error })?;
    Ok(if error.is_some() { page.with_status(StatusCode::NOT_FOUND) } else { page })
}

/// Answers `GET /dm/{user}/`: the private chat with this account, at the canonical form of its
/// name.
pub(crate) async fn talk(request: Request) -> Result<Response, Refusal> {
    let room = room(&request).await?;
    if Some(&room.name()[1..]) != request.param("user") {
        return Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &room::path(&request, &room)));
    }
    room::show(&request, &room)
}

async fn room(request: &Request) -> Result<Room, Refusal> {
    let name = format!("@{}", request.param("user").unwrap_or_default());
    Room::named(request, Some(&name)).await
}
