//! The members of a private room: its owner invites and removes them, the others see them and may
//! leave.

use minijinja::{Value, context};
use parlor::{Index, LayerError, Refusal, Request, Response, StatusCode, now, rfc3339};

use crate::rooms::invitations::Invitation;
use crate::rooms::membership;
use crate::rooms::membership::{Invited, MAX_MEMBERS};
use crate::rooms::record::RoomRecord;
use crate::rooms::room::Room;

/// The message above the list: a refusal, or a new link.
#[derive(Default)]
struct Notice {
    error: Option<&'static str>,
    name: String,
    link: Option<String>,
}

/// `GET /chat/{room}/members/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let (room, record) = private_room(&request).await?;
    show(&request, &room, &record, Notice::default()).await
}

/// Answers `POST /chat/{room}/members/`: form `action`, one of `invite` (`name`), `remove`
/// (`name`), `link` and `revoke` (`link`) for the owner, `leave` for the other members.
pub(crate) async fn change(request: Request) -> Result<Response, Refusal> {
    let form = request.form();
    let (room, record) = private_room(&request).await?;
    let (context, identity) = (request.context(), request.identity());
    let is_owner = record.is_owned_by(identity);
    match (form.get("action"), is_owner) {
        ("leave", false) => {
            membership::leave(context, room.name(), identity.id(), false).await?;
            return Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("home", &[])));
        }
        ("invite" | "remove" | "link" | "revoke", false) => {
            return Err(Refusal::forbidden("only the owner of a room may do this").message_key("owners_only"));
        }
        (action @ ("invite" | "remove"), true) => {
            let name = form.get("name").trim();
            let error = match context.accounts().find_by_name(name).await? {
                None => Some("unknown_user"),
                Some(account) if account.id == identity.id() => Some("yourself"),
                Some(account) if action == "remove" => {
                    membership::leave(context, room.name(), &account.id, true).await?;
                    None
                }
                Some(account) => {
                    match membership::invite(context, room.name(), &record, &account.id).await? {
                        Invited::Done | Invited::Member => None,
                        Invited::Full => Some("full"),
                        Invited::NoRoom => return Err(Refusal::not_found()),
                    }
                }
            };
            if error.is_some() {
                let notice = Notice { error, name: name.to_owned(), link: None };
                let page = show(&request, &room, &record, notice).await?;
                return Ok(page.with_status(StatusCode::BAD_REQUEST));
            }
        }
        ("link", true) => {
            let secret = Invitation::make(context, room.name(), identity).await?;
            let link = Some(request.address_of(&request.url("invite", &[("link", &secret)])));
            let page = show(&request, &room, &record, Notice { link, ..Notice::default() }).await?;
            return Ok(page.unstored());
        }
        ("revoke", true) => Invitation::revoke(context, room.name(), form.get("link")).await?,
        _ => {
            return Err(Refusal::bad_request("`action`: expected invite, remove, link, revoke or leave"));
        }
    }
    Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("members", &[("room", room.name())])))
}

async fn private_room(request: &Request) -> Result<(Room, RoomRecord), Refusal> {
    let room = Room::from_path(request).await?;
    let record = room.private().cloned().ok_or_else(Refusal::not_found)?;
    Ok((room, record))
}

async fn show(
    request: &Request,
    room: &Room,
    record: &RoomRecord,
    notice: Notice,
) -> Result<Response, Refusal> {
    let is_owner = record.is_owned_by(request.identity());
    let members = members(request, room.name(), record).await?;
    let invited = if is_owner { invited(request, room.name()).await? } else { Vec::new() };
    let links = if is_owner { links(request, room.name()).await? } else { Vec::new() };
    let Notice { error, name, link } = notice;
    let context = context! { room_name => room.name(), members, invited, is_owner, links, error, name, link };
    request.render("members.html", context)
}

/// Returns the members: the owner first, the others by the time at which they joined.
async fn members(request: &Request, room: &str, record: &RoomRecord) -> Result<Vec<Value>, LayerError> {
    let context = request.context();
    let ids = context.store().top(&RoomRecord::members(room), MAX_MEMBERS).await?;
    let mut found = context.accounts().find_all(ids.iter().map(|(id, _)| id)).await?;
    let mut accounts: Vec<_> = ids.iter().rev().filter_map(|(id, _)| found.remove(id)).collect();
    accounts.sort_by_key(|account| record.owner.as_ref() != Some(&account.id));
    let me = request.identity().id();
    Ok(accounts
        .into_iter()
        .map(|account| {
            let is_owner = record.owner.as_ref() == Some(&account.id);
            context! { is_me => account.id == me, is_owner, handle => account.handle(), name => account.name }
        })
        .collect())
}

/// Returns the users who are invited and have not answered.
async fn invited(request: &Request, room: &str) -> Result<Vec<Value>, LayerError> {
    let context = request.context();
    let mut ids = context.store().top(&RoomRecord::invited(room), MAX_MEMBERS).await?;
    ids.retain(|(_, until)| *until > now());
    let mut found = context.accounts().find_all(ids.iter().map(|(id, _)| id)).await?;
    let accounts = ids.iter().filter_map(|(id, _)| found.remove(id));
    Ok(accounts.map(|account| context! { handle => account.handle(), name => account.name }).collect())
}

async fn links(request: &Request, room: &str) -> Result<Vec<Value>, LayerError> {
    let links = Invitation::of_room(request.context(), room).await?;
    Ok(links.into_iter().map(|(hash, ends)| context! { hash, ends => rfc3339(ends) }).collect())
}
