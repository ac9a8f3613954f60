//! The pages of private chats: all of them, and one.

use minijinja::{Value, context};
use parlor::Request;
use parlor::http::{Refusal, Response, StatusCode};

use crate::dm::conversation as talk;
use crate::rooms::access::Room;
use crate::rooms::page as room;
use crate::web::urls;

/// `GET /dm`: the page is at the address with the slash.
pub(crate) async fn slash(_: Request) -> Result<Response, Refusal> {
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, urls::TALKS))
}

/// `GET /dm/`: one's private chats; with `?user=`, on to the one with that account.
pub(crate) async fn list(request: Request) -> Result<Response, Refusal> {
    let identity = request.identity();
    if !identity.is_user() {
        return Ok(Response::redirect(StatusCode::SEE_OTHER, &urls::login(request.target())));
    }
    let (context, name) = (request.context(), request.query("user").unwrap_or_default());
    let mut error = None;
    if !name.is_empty() {
        match context.accounts().named(&name).await? {
            Some(account) if account.id == identity.id() => error = Some("yourself"),
            Some(account) => {
                return Ok(Response::redirect(StatusCode::SEE_OTHER, &urls::talk(&account.name)));
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

/// `GET /dm/{user}`: the page is at the address with the slash.
pub(crate) async fn talk_slash(request: Request) -> Result<Response, Refusal> {
    let room = room(&request).await?;
    Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &room::path(&room)))
}

/// `GET /dm/{user}/`: the private chat with this account, at the address with its own name.
pub(crate) async fn talk(request: Request) -> Result<Response, Refusal> {
    let room = room(&request).await?;
    if Some(&room.name()[1..]) != request.name() {
        return Ok(Response::redirect(StatusCode::PERMANENT_REDIRECT, &room::path(&room)));
    }
    room::show(&request, &room)
}

async fn room(request: &Request) -> Result<Room, Refusal> {
    let name = format!("@{}", request.name().unwrap_or_default());
    Room::named(request, Some(&name)).await
}
