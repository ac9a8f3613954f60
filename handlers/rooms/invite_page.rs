//! The page of an invitation.

use minijinja::context;
use parlor::{Refusal, Request, Response, StatusCode};

use crate::rooms::invitations::Invitation;
use crate::rooms::membership;
use crate::rooms::record::RoomRecord;

/// Answers `GET /invite/{link}/`: the room and the inviter. Clients without an account log in
/// first.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let invitation = invitation(&request).await?;
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
    let invitation = invitation(&request).await?;
    let identity = request.identity();
    if !identity.is_user() {
        return Err(Refusal::forbidden("only accounts have private rooms").message_key("accounts_only"));
    }
    let (context, room) = (request.context(), &invitation.room);
    let was_member = membership::has(context, room, identity.id()).await?;
    if !membership::join(context, room, identity.id()).await? {
        return Err(
            Refusal::new(StatusCode::CONFLICT, "this room has too many members").message_key("full_room")
        );
    }
    // Checked again: the link may have been revoked meanwhile, as when a member is removed.
    if !was_member && self::invitation(&request).await.is_err() {
        membership::leave(context, room, identity.id()).await?;
        return Err(Refusal::not_found());
    }
    Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("room", &[("room", room)])))
}

/// Returns the invitation in the path, if its room exists.
async fn invitation(request: &Request) -> Result<Invitation, Refusal> {
    let context = request.context();
    let link = request.param("link").unwrap_or_default();
    let invitation = Invitation::find(context, link).await?.ok_or_else(Refusal::not_found)?;
    let record: Option<RoomRecord> = context.store().read(&RoomRecord::key(&invitation.room)).await?;
    let is_there = record.is_some_and(|record| record.private && !record.closed);
    if is_there { Ok(invitation) } else { Err(Refusal::not_found()) }
}
