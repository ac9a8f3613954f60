//! Claims: a user makes a room with an unused name private.

use parlor::{
    Change, CloseCode, Context, Control, Disconnect, Group, Guard, Index, LayerError, Presence, Refusal,
    Request, Response, RightsChange, StatusCode, Store, now,
};

use crate::rooms::groups;
use crate::rooms::groups::CHAT_PREFIX;
use crate::rooms::index_page;
use crate::rooms::membership;
use crate::rooms::name::Name;
use crate::rooms::record::RoomRecord;
use crate::settings::Settings;

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
    let (context, name) = (request.context(), name.as_str());
    if !membership::count_as_made(context.store(), identity.id(), name).await? {
        return index_page::with_error(&request, StatusCode::CONFLICT, text, "too_many_rooms").await;
    }
    if !claim(context, name, identity.id()).await? {
        let record: Option<RoomRecord> = context.store().read(&RoomRecord::key(name)).await?;
        if !record.is_some_and(|record| record.is_owned_by(identity)) {
            membership::uncount_as_made(context.store(), identity.id(), name).await?;
        }
        return index_page::with_error(&request, StatusCode::CONFLICT, text, "used_room").await;
    }
    membership::list_if_member(context, name, identity.id()).await?;
    Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("room", &[("room", name)])))
}

/// Makes a room private, unless its name is public by the settings, or it has a record, members or
/// messages.
async fn claim(context: &Context, name: &str, owner: &str) -> Result<bool, LayerError> {
    // Its push group would be the chat group of the room after the prefix.
    if name.starts_with(CHAT_PREFIX) || context.settings::<Settings>().is_public(name) {
        return Ok(false);
    }
    let groups = [groups::chat_group(name), groups::push_group(name)];
    // Checked before the claim too: one that cannot be made is not announced to all nodes.
    if is_used(context, &groups).await? {
        return Ok(false);
    }
    let record = RoomRecord { owner: Some(owner.to_owned()), private: true, closed: false };
    let (key, members, text) = (RoomRecord::key(name), RoomRecord::members(name), record.text());
    let changes =
        [Change::Put { key: &key, value: &text }, Change::Add { index: &members, name: owner, rank: now() }];
    let commands = groups.each_ref().map(|group| {
        let reason = "this room is private now: connect again";
        Disconnect::of_group(group, CloseCode::ServiceRestart, reason)
    });
    let guards = [&[Guard::Record { key: &key, value: None }][..], &are_unused(&groups)].concat();
    let (guards, changes) = (&guards, &changes);
    let claimed =
        context.change_rights(&commands, |rights| async move { rights.write(guards, changes).await });
    Ok(claimed.await?.is_some())
}

/// Makes a private room public again. A room that an operator closed stays closed. Returns `false`
/// if the room has members or messages: what was said to few must not be read by all.
pub(crate) async fn release(context: &Context, name: &str) -> Result<bool, LayerError> {
    let groups = [groups::chat_group(name), groups::push_group(name)];
    if is_used(context, &groups).await? {
        return Ok(false);
    }
    let members = context.store().top(&RoomRecord::members(name), membership::MAX_MEMBERS).await?;
    let commands =
        groups.each_ref().map(|group| Disconnect::of_group(group, CloseCode::Forbidden, "no longer private"));
    let groups = &groups;
    let unclaim = |rights| async move { unclaim(&rights, name, groups).await };
    let Some(released) = context.change_rights(&commands, unclaim).await? else {
        return Ok(context.store().get(&RoomRecord::key(name)).await?.is_none());
    };
    if let Some(owner) = released.owner {
        membership::uncount_as_made(context.store(), &owner, name).await?;
    }
    let members: Vec<String> = members.into_iter().map(|(member, _)| member).collect();
    membership::unlist(context, name, &members).await?;
    Ok(true)
}

/// Removes what a claim has written, and returns the record; `None` if there is none, or the room
/// is used.
async fn unclaim(
    rights: &RightsChange<'_>,
    name: &str,
    groups: &[Group; 2],
) -> Result<Option<RoomRecord>, LayerError> {
    let key = RoomRecord::key(name);
    let (members, invited, links) =
        (RoomRecord::members(name), RoomRecord::invited(name), RoomRecord::links(name));
    let mut refused = None;
    loop {
        let Some(text) = rights.store().get(&key).await? else { return Ok(None) };
        if refused.as_ref() == Some(&text) {
            return Ok(None);
        }
        let is_same = Guard::Record { key: &key, value: Some(&text) };
        let record = RoomRecord::parse(&text).unwrap_or_default();
        let closed = RoomRecord { closed: true, ..RoomRecord::default() }.text();
        let changes = [
            if record.closed {
                Change::Put { key: &key, value: &closed }
            } else {
                Change::Delete { key: &key }
            },
            Change::Clear { index: &members },
            Change::Clear { index: &invited },
            Change::Clear { index: &links },
        ];
        let guards = [&[is_same][..], &are_unused(groups)].concat();
        if rights.write(&guards, &changes).await?.is_some() {
            return Ok(Some(record));
        }
        refused = Some(text);
    }
}

/// Returns the conditions of a step that a room of these groups is not used.
fn are_unused([chat, push]: &[Group; 2]) -> [Guard<'_>; 3] {
    [Guard::NoEvents { group: chat }, Guard::NoMembers { group: chat }, Guard::NoMembers { group: push }]
}

/// Returns whether one of these groups has members, or the first has messages.
async fn is_used(context: &Context, groups: &[Group; 2]) -> Result<bool, LayerError> {
    let layer = context.layer();
    Ok(layer.log_length(&groups[0]).await? > 0
        || layer.member_count(&groups[0]).await? > 0
        || layer.member_count(&groups[1]).await? > 0)
}
