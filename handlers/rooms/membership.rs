//! The members of private rooms, and who is invited by name.
//!
//! | record | what |
//! |---|---|
//! | index `room_members:{chat_<name>}` | ids of a private room's members and owner, by join time |
//! | index `room_invited:{chat_<name>}` | ids of invited users, by the expiry of the invitation |
//! | index `rooms_of:{<id>}` | the private rooms of which this user is a member, by join time |
//! | index `rooms_made:{<id>}` | the private rooms that this user created |
//! | index `invitations:{<id>}` | the rooms to which this user is invited, by expiry |
//!
//! The indexes of a room decide who may enter; each change that lets a user in is one step with
//! the room's record. Those of a user are lists for its pages, and bound how much may be in them.

use std::time::Duration;

use parlor::{
    Change, CloseCode, Context, Disconnect, Guard, Index, LayerError, SharedStore, Store, millis, now,
};

use crate::rooms::groups;
use crate::rooms::record::RoomRecord;

/// The most members of a room, rooms of a user, and rooms that a user creates. Created rooms are
/// counted apart, so that invitations by other users do not use them up.
pub(crate) const MAX_MEMBERS: usize = 200;
/// The most open invitations of a user, and those among them to rooms of one owner.
const MAX_INVITATIONS: usize = 50;
const MAX_OWNER_INVITATIONS: usize = 5;
/// The lifetime of an invitation, by name or by link.
pub(crate) const INVITATION_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// What entitles a user to become a member.
pub(crate) enum Entitlement<'a> {
    /// An invitation by name.
    Invited,
    /// A link, by the hash of its secret.
    Link(&'a str),
}

/// What came of joining a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The user is a member now, or was one.
    Member,
    /// The room has too many members, or the user too many rooms.
    Full,
    /// There is no such room, or nothing entitles the user.
    NotEntitled,
}

/// What came of an invitation by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invited {
    /// The user sees it, and may accept it.
    Done,
    /// The user is a member already.
    Member,
    /// The room has too many members or invitations, or the user too many.
    Full,
}

/// Returns whether a user is a member.
pub(crate) async fn has(context: &Context, room: &str, user: &str) -> Result<bool, LayerError> {
    Ok(context.store().rank(&RoomRecord::members(room), user).await?.is_some())
}

/// Invites a user to a private room.
pub(crate) async fn invite(
    context: &Context,
    room: &str,
    record: &RoomRecord,
    user: &str,
) -> Result<Invited, LayerError> {
    let store = context.store();
    if has(context, room, user).await? {
        return Ok(Invited::Member);
    }
    let (list, invited) = (invitations_of(user), RoomRecord::invited(room));
    let rank = now() + millis(INVITATION_LIFETIME);
    let fits = Guard::Fits { index: &list, name: room, limit: MAX_INVITATIONS };
    let renew = [Change::Remove { index: &list, name: room }, Change::Add { index: &list, name: room, rank }];
    if store.step(&[fits], &renew).await?.is_some() {
        return Ok(Invited::Full);
    }
    let key = RoomRecord::key(room);
    let text = store.get(&key).await?.unwrap_or_default();
    let guards = [
        Guard::Record { key: &key, value: Some(&text) },
        Guard::Fits { index: &invited, name: user, limit: MAX_MEMBERS },
    ];
    let renew =
        [Change::Remove { index: &invited, name: user }, Change::Add { index: &invited, name: user, rank }];
    let is_same = RoomRecord::parse(&text).as_ref() == Some(record);
    if !is_same || store.step(&guards, &renew).await?.is_some() {
        store.remove(&list, room).await?;
        return Ok(Invited::Full);
    }
    // Counted behind the addition: of several at a time, the last one sees all that stay.
    let pending = invitations(context, user).await?;
    let of_owner = pending.iter().filter(|(_, other)| other.owner == record.owner).count();
    if of_owner > MAX_OWNER_INVITATIONS {
        decline(context, room, user).await?;
        return Ok(Invited::Full);
    }
    Ok(Invited::Done)
}

/// Makes an entitled user a member. Of a removal and a joining at the same time, the later one
/// counts: the entitlement, the room's record and the limit are checked in one step.
pub(crate) async fn join(
    context: &Context,
    room: &str,
    user: &str,
    entitlement: &Entitlement<'_>,
) -> Result<Joined, LayerError> {
    let store = context.store();
    let (key, members, invited, links, list) = (
        RoomRecord::key(room),
        RoomRecord::members(room),
        RoomRecord::invited(room),
        RoomRecord::links(room),
        rooms_of(user),
    );
    let fits = Guard::Fits { index: &list, name: room, limit: MAX_MEMBERS };
    let add = Change::Add { index: &list, name: room, rank: now() };
    let has_place = store.step(&[fits], &[add]).await?.is_none();
    let joined = loop {
        let text = store.get(&key).await?.unwrap_or_default();
        let is_open = RoomRecord::parse(&text).is_some_and(|record| record.private && !record.closed);
        if !is_open {
            break Joined::NotEntitled;
        }
        let entitled = match entitlement {
            Entitlement::Invited => Guard::RankAbove { index: &invited, name: user, rank: now() },
            Entitlement::Link(hash) => Guard::RankAbove { index: &links, name: hash, rank: now() },
        };
        let guards = [
            Guard::Record { key: &key, value: Some(&text) },
            entitled,
            Guard::Fits { index: &members, name: user, limit: if has_place { MAX_MEMBERS } else { 0 } },
        ];
        let changes = [
            Change::Add { index: &members, name: user, rank: now() },
            Change::Remove { index: &invited, name: user },
        ];
        match store.step(&guards, &changes).await? {
            None => break Joined::Member,
            Some(0) => {} // the record has changed
            Some(1) => break Joined::NotEntitled,
            Some(_) => break Joined::Full,
        }
    };
    list_if_member(context, room, user).await?;
    store.remove(&invitations_of(user), room).await?;
    if joined != Joined::Member && has(context, room, user).await? {
        return Ok(Joined::Member);
    }
    Ok(joined)
}

/// Declines an invitation by name.
pub(crate) async fn decline(context: &Context, room: &str, user: &str) -> Result<(), LayerError> {
    context.store().remove(&RoomRecord::invited(room), user).await?;
    context.store().remove(&invitations_of(user), room).await?;
    Ok(())
}

/// Removes a member, and closes its sockets in this room on every node. With `revoke_links`, also
/// ends all links of the room in the same step: the member may have one.
pub(crate) async fn leave(
    context: &Context,
    room: &str,
    user: &str,
    revoke_links: bool,
) -> Result<(), LayerError> {
    let store = context.store();
    let (members, invited, links) =
        (RoomRecord::members(room), RoomRecord::invited(room), RoomRecord::links(room));
    let changes = [
        Change::Remove { index: &members, name: user },
        Change::Remove { index: &invited, name: user },
        Change::Clear { index: &links },
    ];
    let commands = [groups::chat_group(room), groups::push_group(room)].map(|group| {
        Disconnect::of_user(user, Some(&group), CloseCode::Forbidden, "no member of this room any more")
    });
    let changes = if revoke_links { &changes } else { &changes[..2] };
    context.change_rights(&commands, |rights| async move { rights.write(&[], changes).await }).await?;
    store.remove(&invitations_of(user), room).await?;
    list_if_member(context, room, user).await
}

/// Lists a room among those of a user if the user is a member, else removes it there. Called after
/// each change of a membership: the last of several changes leaves the right list.
pub(crate) async fn list_if_member(context: &Context, room: &str, user: &str) -> Result<(), LayerError> {
    let (store, list) = (context.store(), rooms_of(user));
    let mut is_member = has(context, room, user).await?;
    loop {
        if is_member {
            store.step(&[], &[Change::Add { index: &list, name: room, rank: now() }]).await?;
        } else {
            store.remove(&list, room).await?;
        }
        let was_member = std::mem::replace(&mut is_member, has(context, room, user).await?);
        if was_member == is_member {
            return Ok(());
        }
    }
}

/// Removes a room that is no longer private among those of its members.
pub(crate) async fn unlist(context: &Context, room: &str, members: &[String]) -> Result<(), LayerError> {
    let lists: Vec<String> = members.iter().map(|member| rooms_of(member)).collect();
    let removals: Vec<Change<'_>> = lists.iter().map(|index| Change::Remove { index, name: room }).collect();
    context.store().step(&[], &removals).await?;
    // The name may have been claimed again.
    for (member, _) in context.store().top(&RoomRecord::members(room), MAX_MEMBERS).await? {
        list_if_member(context, room, &member).await?;
    }
    Ok(())
}

/// Returns the private rooms of a user, the newest first.
pub(crate) async fn rooms_of_user(context: &Context, user: &str) -> Result<Vec<String>, LayerError> {
    let rooms = context.store().top(&rooms_of(user), MAX_MEMBERS).await?;
    Ok(rooms.into_iter().map(|(room, _)| room).collect())
}

/// Returns the rooms to which a user is invited, with their records, the newest first.
pub(crate) async fn invitations(
    context: &Context,
    user: &str,
) -> Result<Vec<(String, RoomRecord)>, LayerError> {
    let store = context.store();
    let list = invitations_of(user);
    let rooms = store.top(&list, MAX_INVITATIONS).await?;
    let keys_of = |key: fn(&str) -> String| rooms.iter().map(|(room, _)| key(room)).collect::<Vec<_>>();
    let open_until = store.ranks(&keys_of(RoomRecord::invited), user).await?;
    let records = store.read_all::<RoomRecord>(&keys_of(RoomRecord::key)).await?;
    let (mut open, mut ended) = (Vec::new(), Vec::new());
    for (((room, _), until), record) in rooms.into_iter().zip(open_until).zip(records) {
        let is_invited = until.is_some_and(|until| until > now());
        match record.filter(|record| is_invited && record.private && !record.closed) {
            Some(record) => open.push((room, record)),
            None => ended.push(room),
        }
    }
    store.remove_all(&list, &ended).await?;
    Ok(open)
}

/// Counts a room among those that a user created, unless there are too many; returns whether it is
/// counted.
pub(crate) async fn count_as_made(store: &SharedStore, user: &str, room: &str) -> Result<bool, LayerError> {
    let made = rooms_made(user);
    let fits = Guard::Fits { index: &made, name: room, limit: MAX_MEMBERS };
    let add = Change::Add { index: &made, name: room, rank: now() };
    Ok(store.step(&[fits], &[add]).await?.is_none())
}

/// Counts a room no longer among those that a user created.
pub(crate) async fn uncount_as_made(store: &SharedStore, user: &str, room: &str) -> Result<(), LayerError> {
    store.remove(&rooms_made(user), room).await?;
    Ok(())
}

fn rooms_made(user: &str) -> String {
    format!("rooms_made:{{{user}}}")
}

fn rooms_of(user: &str) -> String {
    format!("rooms_of:{{{user}}}")
}

fn invitations_of(user: &str) -> String {
    format!("invitations:{{{user}}}")
}
