//! The page of an invitation link, and the answer to an invitation by name.

use minijinja::context;
use parlor::{Refusal, Request, Response, StatusCode};

use crate::rooms::invitations::Invitation;
use crate::rooms::membership;
use crate::rooms::membership::{Entitlement, Joined};
use crate::rooms::name::Name;
use crate::rooms::record::RoomRecord;

/// Answers `GET /invite/{link}/`: the room and the inviter. Clients without an account log in
/// first.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let (invitation, _) = invitation(&request).await?;
    if !request.identity().is_user() {
        return Ok(Response::redirect(
            StatusCode::SEE_OTHER,
            &request.url("login", &[("next", request.target())]),
        ));
    }
    request.render("invite.html", context! { room_name => invitation.room, by => invitation.by })
}

/// Answers `POST /invite/{link}/`: makes the client a member.
pub(crate) async fn accept(request: Request) -> Result<Response, Refusal> {
    let (invitation, hash) = invitation(&request).await?;
    join(&request, &invitation.room, &Entitlement::Link(&hash)).await
}

/// Answers `POST /invitations/`: form `room` and `action`, one of `accept` and `decline`.
pub(crate) async fn answer(request: Request) -> Result<Response, Refusal> {
    let form = request.form();
    check_account(&request)?;
    let is_accepted = match form.get("action") {
        "accept" => true,
        "decline" => false,
        _ => return Err(Refusal::bad_request("`action`: expected accept or decline")),
    };
    let room = Name::parse(request.context(), form.get("room")).map_err(|_| Refusal::not_found())?;
    if is_accepted {
        return join(&request, room.as_str(), &Entitlement::Invited).await;
    }
    membership::decline(request.context(), room.as_str(), request.identity().id()).await?;
    Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("home", &[])))
}

/// Refuses clients without an account.
fn check_account(request: &Request) -> Result<(), Refusal> {
    if request.identity().is_user() {
        return Ok(());
    }
    Err(Refusal::forbidden("only accounts have private rooms").message_key("accounts_only"))
}

async fn join(request: &Request, room: &str, entitlement: &Entitlement<'_>) -> Result<Response, Refusal> {
    check_account(request)?;
    match membership::join(request.context(), room, request.identity().id(), entitlement).await? {
        Joined::Member => {
            Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("room", &[("room", room)])))
        }
        Joined::Full => {
            Err(Refusal::new(StatusCode::CONFLICT, "this room has too many members, or you too many rooms")
                .message_key("full_room"))
        }
        Joined::NotEntitled => Err(Refusal::not_found()),
    }
}

/// Returns the invitation in the path, if its room exists, and the hash of its secret.
async fn invitation(request: &Request) -> Result<(Invitation, String), Refusal> {
    let context = request.context();
    let link = request.param("link").unwrap_or_default();
    let found = Invitation::find(context, link).await?.ok_or_else(Refusal::not_found)?;
    let record: Option<RoomRecord> = context.store().read(&RoomRecord::key(&found.0.room)).await?;
    let is_there = record.is_some_and(|record| record.private && !record.closed);
    if is_there { Ok(found) } else { Err(Refusal::not_found()) }
}
