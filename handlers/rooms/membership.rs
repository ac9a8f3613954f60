//! The members of private rooms.
//!
//! | record | what |
//! |---|---|
//! | index `rooms_of:<id>` | the private rooms of which this user is a member, by join time |
//! | index `rooms_made:<id>` | the private rooms that this user created |

use parlor::{
    CloseCode, Context, Control, Group, Index, LayerError, Presence, Refusal, Request, Response, StatusCode,
    Store, now,
};

use crate::rooms::groups;
use crate::rooms::groups::CHAT_PREFIX;
use crate::rooms::index_page;
use crate::rooms::name::Name;
use crate::rooms::record::RoomRecord;

/// The most members of a room, rooms of a user, and rooms that a user creates. Created rooms are
/// counted apart, so that invitations by other users do not use them up.
pub(crate) const MAX_MEMBERS: usize = 200;

/// Answers `POST /rooms/`: form `room`; creates a private room with an unused name.
pub(crate) async fn make(request: Request) -> Result<Response, Refusal> {
    let form = request.form();
    let identity = request.identity();
    if !identity.is_user() {
        return Err(Refusal::forbidden("only accounts have private rooms").message_key("accounts_only"));
    }
    let text = form.get("room");
    let Ok(name) = Name::parse(request.context(), text.trim()) else {
        return index_page::with_error(&request, StatusCode::BAD_REQUEST, text, "bad_room").await;
    };
    let context = request.context();
    if context.store().count(&rooms_made(identity.id())).await? >= MAX_MEMBERS {
        return index_page::with_error(&request, StatusCode::CONFLICT, text, "too_many_rooms").await;
    }
    if !claim(context, name.as_str(), identity.id()).await? {
        return index_page::with_error(&request, StatusCode::CONFLICT, text, "used_room").await;
    }
    context.store().add(&rooms_made(identity.id()), name.as_str(), now()).await?;
    add(context, name.as_str(), identity.id()).await?;
    Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("room", &[("room", name.as_str())])))
}

/// Makes a room private, unless it has an owner, members or messages.
async fn claim(context: &Context, name: &str, owner: &str) -> Result<bool, LayerError> {
    // Its push group would be the chat group of the room after the prefix.
    if name.starts_with(CHAT_PREFIX) {
        return Ok(false);
    }
    let record = RoomRecord { owner: Some(owner.to_owned()), private: true, closed: false };
    let (store, key) = (context.store(), RoomRecord::key(name));
    let groups = [groups::chat_group(name), groups::push_group(name)];
    // Checked before the claim too: a claim on a used name must not lock its members out meanwhile.
    if is_used(context, &groups).await? || !store.create(&key, &record.text(), None).await? {
        return Ok(false);
    }
    // From here on only the owner may enter. Members that entered meanwhile make the name a used
    // one.
    if is_used(context, &groups).await? {
        store.delete(&key).await?;
        return Ok(false);
    }
    for group in &groups {
        groups::disconnect_group(
            context,
            group,
            CloseCode::ServiceRestart,
            "this room is private now: connect again",
        )
        .await?;
    }
    Ok(true)
}

/// Returns whether one of these groups has members, or the first has messages.
async fn is_used(context: &Context, groups: &[Group; 2]) -> Result<bool, LayerError> {
    let layer = context.layer();
    Ok(layer.log_figures(&groups[0]).await?.events > 0
        || layer.member_count(&groups[0]).await? > 0
        || layer.member_count(&groups[1]).await? > 0)
}

/// Makes a user a member. Returns `false` if the room has too many members or the user too many
/// rooms.
pub(crate) async fn join(context: &Context, room: &str, user: &str) -> Result<bool, LayerError> {
    let store = context.store();
    if has(context, room, user).await? {
        return Ok(true);
    }
    if store.count(&RoomRecord::members(room)).await? >= MAX_MEMBERS
        || store.count(&rooms_of(user)).await? >= MAX_MEMBERS
    {
        return Ok(false);
    }
    add(context, room, user).await?;
    Ok(true)
}

/// Returns whether a user is a member.
pub(crate) async fn has(context: &Context, room: &str, user: &str) -> Result<bool, LayerError> {
    Ok(context.store().rank(&RoomRecord::members(room), user).await?.is_some())
}

async fn add(context: &Context, room: &str, user: &str) -> Result<(), LayerError> {
    context.store().add(&RoomRecord::members(room), user, now()).await?;
    context.store().add(&rooms_of(user), room, now()).await?;
    Ok(())
}

/// Removes a member, and closes its sockets in this room on every node.
pub(crate) async fn leave(context: &Context, room: &str, user: &str) -> Result<(), LayerError> {
    let store = context.store();
    store.remove(&RoomRecord::members(room), user).await?;
    store.remove(&rooms_of(user), room).await?;
    for group in [groups::chat_group(room), groups::push_group(room)] {
        context
            .disconnect_user(user, Some(&group), CloseCode::Forbidden, "no member of this room any more")
            .await?;
    }
    Ok(())
}

/// Returns the private rooms of a user, the newest first.
pub(crate) async fn rooms_of_user(context: &Context, user: &str) -> Result<Vec<String>, LayerError> {
    let rooms = context.store().top(&rooms_of(user), MAX_MEMBERS).await?;
    Ok(rooms.into_iter().map(|(room, _)| room).collect())
}

fn rooms_made(user: &str) -> String {
    format!("rooms_made:{user}")
}

fn rooms_of(user: &str) -> String {
    format!("rooms_of:{user}")
}
