//! Claims: a user makes a room with an unused name private.

use parlor::{
    Change, CloseCode, Context, Control, Disconnect, Group, Guard, Index, LayerError, Presence, Refusal,
    Request, Response, RightsChange, SharedStore, StatusCode, now,
};

use crate::rooms::groups;
use crate::rooms::groups::CHAT_PREFIX;
use crate::rooms::index_page;
use crate::rooms::lists;
use crate::rooms::lists::List;
use crate::rooms::membership;
use crate::rooms::name;
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
    let made = List::made(identity.id());
    let Some(entry) = made.enter(context, name).await? else {
        return index_page::with_error(&request, StatusCode::CONFLICT, text, "too_many_rooms").await;
    };
    if !claim(context, name, identity.id()).await? {
        made.withdraw(context.store(), entry).await?;
        return index_page::with_error(&request, StatusCode::CONFLICT, text, "used_room").await;
    }
    entry.confirm(context.store()).await?;
    Ok(Response::redirect(StatusCode::SEE_OTHER, &request.url("room", &[("room", name)])))
}

/// Makes a room private, unless its name is public or in a namespace by the settings, or it has a
/// record, members or messages.
async fn claim(context: &Context, name: &str, owner: &str) -> Result<bool, LayerError> {
    let is_reserved = name::is_in_namespace(name) || context.settings::<Settings>().is_public(name);
    // Its push group would be the chat group of the room after the prefix.
    if is_reserved || name.starts_with(CHAT_PREFIX) {
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

/// Makes a private room public again; nothing happens to one that is public. A room that an
/// operator closed stays closed. Returns `false` if the room has members or messages: what was said
/// to few must not be read by all.
pub(crate) async fn release(context: &Context, name: &str) -> Result<bool, LayerError> {
    let store = context.store();
    let Some(owner) = owner_of_private(store, name).await? else { return Ok(true) };
    let groups = [groups::chat_group(name), groups::push_group(name)];
    // Checked before the release too: one that cannot be made is not announced to all nodes.
    if is_used(context, &groups).await? {
        return Ok(false);
    }
    let members = store.top(&RoomRecord::members(name), membership::MAX_MEMBERS).await?;
    let lists = members.iter().map(|(member, _)| List::joined(member)).chain([List::made(&owner)]);
    let listed = lists::entries(store, lists, name).await?;
    let commands =
        groups.each_ref().map(|group| Disconnect::of_group(group, CloseCode::Forbidden, "no longer private"));
    let groups = &groups;
    let unclaim = |rights| async move { unclaim(&rights, name, groups).await };
    if context.change_rights(&commands, unclaim).await?.is_none() {
        return Ok(owner_of_private(store, name).await?.is_none());
    }
    lists::strike(store, &listed).await?;
    Ok(true)
}

/// Returns the id of the owner of a room; `None` if the room is not private.
async fn owner_of_private(store: &SharedStore, name: &str) -> Result<Option<String>, LayerError> {
    let record: Option<RoomRecord> = store.read(&RoomRecord::key(name)).await?;
    Ok(record.filter(|record| record.private).map(|record| record.owner.unwrap_or_default()))
}

/// Removes what a claim has written; `None` if the room is not private, or used.
async fn unclaim(
    rights: &RightsChange<'_>,
    name: &str,
    groups: &[Group; 2],
) -> Result<Option<()>, LayerError> {
    let key = RoomRecord::key(name);
    let (members, invited, links) =
        (RoomRecord::members(name), RoomRecord::invited(name), RoomRecord::links(name));
    let mut refused = None;
    loop {
        let read: Option<(RoomRecord, String)> = rights.store().read_for_step(&key).await?;
        let private = read.filter(|(record, text)| record.private && refused.as_ref() != Some(text));
        let Some((record, text)) = private else { return Ok(None) };
        let is_same = Guard::Record { key: &key, value: Some(&text) };
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
            return Ok(Some(()));
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
