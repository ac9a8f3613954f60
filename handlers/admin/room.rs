//! The page of a room for operators: its messages, and the actions on it.

use minijinja::context;
use parlor::{
    Broker, CloseCode, Context, Control, Group, Id, Presence, Refusal, Request, Response, StatusCode,
};

use super::{about, back, no_action, note, user};
use crate::admin::closure;
use crate::rooms::claim;
use crate::rooms::name;
use crate::rooms::record::RoomRecord;
use crate::rooms::room::Room;

/// The close reason of a member that an operator removes.
const KICK_REASON: &str = "an operator has sent you away";

/// `GET /admin/rooms/{room}/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let (room, record) = Room::from_operator_path(&request).await?;
    let context = request.context();
    let owner = match &record.owner {
        Some(id) => context.accounts().find_by_id(id).await?.map(|owner| owner.name),
        None => None,
    };
    let kept = context.layer().log_length(&room.chat_group()).await?;
    let max_message_bytes = context.config().max_message_bytes;
    let RoomRecord { private, closed, .. } = record;
    request.render(
        "admin_room.html",
        context! {
            room_name => room.name(),
            title => room.name(),
            private,
            limited => name::is_limited(room.name()),
            closed,
            owner,
            kept,
            max_message_bytes,
        },
    )
}

/// Answers `POST /admin/rooms/{room}/`: form `action`, one of `kick` and `ban` (`user`: an id),
/// `remove` (`id`: of a message), `close`, `reopen` and `release`.
pub(crate) async fn act(request: Request) -> Result<Response, Refusal> {
    let form = request.form();
    let (room, _) = Room::from_operator_path(&request).await?;
    let (context, name) = (request.context(), room.name());
    match form.get("action") {
        "kick" => {
            let id = user(&request, form.get("user"))?;
            note(&request, "kick", &format!("{name}: {}", who(context, &room.chat_group(), id).await?))
                .await?;
            for group in [room.chat_group(), room.push_group()] {
                context.disconnect_user(id, Some(&group), CloseCode::Forbidden, KICK_REASON).await?;
            }
        }
        "ban" => {
            let id = user(&request, form.get("user"))?;
            note(&request, "ban", &who(context, &room.chat_group(), id).await?).await?;
            context.set_banned(id, true).await?;
        }
        "remove" => {
            let unknown = || Refusal::bad_request("`id`: expected the id of a message of this room");
            let id: Id = form.get("id").parse().map_err(|_| unknown())?;
            note(&request, "remove", &format!("{name}: {id}")).await?;
            if !context.layer().redact(&room.chat_group(), id).await? {
                return Err(unknown());
            }
        }
        "close" => {
            note(&request, "close", name).await?;
            closure::close(context, name).await?;
        }
        "release" => {
            note(&request, "release", name).await?;
            if !claim::release(context, name).await? {
                return Err(Refusal::new(StatusCode::CONFLICT, "this room has members or messages")
                    .message_key("used_private_room"));
            }
        }
        "reopen" => {
            note(&request, "reopen", name).await?;
            closure::reopen(context, name).await?;
        }
        _ => return Err(no_action()),
    }
    Ok(back(&request.url("admin_room", &[("room", name)])))
}

/// Formats a user for the audit log, by the name of its account or by its name in this group.
async fn who(context: &Context, group: &Group, id: &str) -> Result<String, Refusal> {
    if let Some(account) = context.accounts().find_by_id(id).await? {
        return Ok(about(&account.name, id));
    }
    let members = context.layer().presence(group).await?.members.unwrap_or_default();
    let named = members.iter().find_map(|member| member.split_once('/').filter(|(other, _)| *other == id));
    Ok(about(named.map_or("", |(_, name)| name), id))
}
