//! Disconnects a user, from one room or from all.

use parlor::{CloseCode, MAX_REASON_BYTES, Refusal, Request, Response, StatusCode, secret};
use serde::Serialize;

use super::body::Body;
use crate::rooms::room::Room;

/// The prefix of an id; a name cannot have a colon.
const ID_PREFIX: &str = "id:";
/// The prefix of the `sub` of a user of another site.
const OUTSIDE_PREFIX: &str = "ext:";

#[derive(Serialize)]
struct Disconnected<'a> {
    user: &'a str,
}

/// `POST /api/users/{user}/disconnect`: closes the user's sockets on every node, as
/// [`CloseCode::Forbidden`].
pub(crate) async fn disconnect(request: Request) -> Result<Response, Refusal> {
    let user = user(&request).await?;
    let mut body = Body::from_request(&request)?;
    let reason = body.perhaps_text("reason")?;
    let room = body.perhaps_text("room")?;
    body.end()?;
    let reason = reason.as_deref().unwrap_or("disconnected");
    if reason.len() > MAX_REASON_BYTES {
        return Err(Refusal::bad_request(format!("`reason`: expected at most {MAX_REASON_BYTES} bytes")));
    }
    let context = request.context();
    let room = match &room {
        Some(room) => Some(Room::find_for_api(request.context(), room).await?),
        None => None,
    };
    let about = room.as_ref().map_or(user.clone(), |room| format!("{user}: {}", room.name()));
    context.audit(request.identity().name(), "disconnect", &about).await?;
    match room {
        Some(room) => {
            for group in [room.chat_group(), room.push_group()] {
                context.disconnect_user(&user, Some(&group), CloseCode::Forbidden, reason).await?;
            }
        }
        None => context.disconnect_user(&user, None, CloseCode::Forbidden, reason).await?,
    }
    Ok(super::answer(StatusCode::ACCEPTED, &Disconnected { user: &user }))
}

/// Returns the id of the user in the path: an account's name, `id:` and the id of any user, or
/// `ext:` and the `sub` of a user of another site.
async fn user(request: &Request) -> Result<String, Refusal> {
    let text = request.param("user").unwrap_or_default();
    if let Some(id) = text.strip_prefix(ID_PREFIX) {
        let wrong = || Refusal::bad_request("`user`: expected 16 hexadecimal digits after `id:`");
        return secret::is_user_id(id).then(|| id.to_owned()).ok_or_else(wrong);
    }
    let account = match text.strip_prefix(OUTSIDE_PREFIX) {
        Some(sub) => request.context().find_outside_user(sub).await?,
        None => request.context().accounts().find_by_name(text).await?,
    };
    Ok(account.ok_or_else(Refusal::not_found)?.id)
}
