//! The pages of private chats: all of them, and one.

use minijinja::{Value, context};
use parlor::{Refusal, Request, Response, StatusCode};

use crate::rooms::page;
use crate::rooms::room::Room;
use crate::rooms::unread;

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
        match context.accounts().find_by_name(&name).await? {
            Some(account) if account.id == identity.id() => error = Some("yourself"),
            Some(account) => {
                return Ok(Response::redirect(
                    StatusCode::SEE_OTHER,
                    &request.url("conversation", &[("user", &account.handle())]),
                ));
            }
            None => error = Some("unknown_user"),
        }
    }
    let entries = unread::entries(context, identity.id(), 0).await?;
    let conversations: Vec<Value> = entries
        .into_iter()
        .map(
            |entry| context! { id => entry.user, name => entry.name, handle => entry.handle, unread => entry.unread, at => entry.at },
        )
        .collect();
    let response = request.render("dm.html", context! { conversations, name, error })?;
    Ok(if error.is_some() { response.with_status(StatusCode::NOT_FOUND) } else { response })
}

/// Answers `GET /dm/{user}/`: the private chat with this account, at the canonical form of
/// its name.
pub(crate) async fn conversation(request: Request) -> Result<Response, Refusal> {
    let room = room(&request).await?;
    if Some(&room.name()[1..]) != request.param("user") {
        return Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &page::path(&request, &room)));
    }
    page::show(&request, &room)
}

async fn room(request: &Request) -> Result<Room, Refusal> {
    let name = format!("@{}", request.param("user").unwrap_or_default());
    Ok(Room::find(request.context(), request.identity(), &name).await?)
}
