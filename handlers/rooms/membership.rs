//! The members of private rooms, and who is invited by name.
//!
//! | record | what |
//! |---|---|
//! | index `room_members:{chat_<name>}` | ids of a private room's members and owner, by join time |
//! | index `room_invited:{chat_<name>}` | ids of invited users, by the expiry of the invitation |
//!
//! They decide who may enter; each change that lets a user in is one step with the room's record.
//! What a user sees of them, and how many it may have, are its [lists](crate::rooms::lists).

use std::time::Duration;

use parlor::{Change, CloseCode, Context, Disconnect, Guard, Index, LayerError, Store, millis, now};

use crate::rooms::groups;
use crate::rooms::lists;
use crate::rooms::lists::List;
use crate::rooms::record::RoomRecord;

/// The most members of a room, rooms of a user, and rooms that a user creates.
pub(crate) const MAX_MEMBERS: usize = 200;
/// The most open invitations of a user to rooms of one owner.
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
    /// The room is not private any more, or an operator has closed it.
    NoRoom,
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
    let (key, invited) = (RoomRecord::key(room), RoomRecord::invited(room));
    let read: Option<(RoomRecord, String)> = store.read_for_step(&key).await?;
    let Some((_, text)) = read.filter(|(now, _)| now == record) else { return Ok(Invited::NoRoom) };
    let list = List::invited(user);
    let Some(entry) = list.enter(context, room).await? else { return Ok(Invited::Full) };
    let guards = [
        Guard::Record { key: &key, value: Some(&text) },
        Guard::Fits { index: &invited, name: user, limit: MAX_MEMBERS },
    ];
    let rank = now() + millis(INVITATION_LIFETIME);
    let renew =
        [Change::Remove { index: &invited, name: user }, Change::Add { index: &invited, name: user, rank }];
    if let Some(failed) = store.step(&guards, &renew).await? {
        list.withdraw(store, entry).await?;
        return Ok(if failed == 0 { Invited::NoRoom } else { Invited::Full });
    }
    entry.confirm(store).await?;
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
    let (list, invitation) = (List::joined(user), lists::entries(store, [List::invited(user)], room).await?);
    let joined = match list.enter(context, room).await? {
        None => Joined::Full,
        Some(entry) => {
            let joined = join_listed(context, room, user, entitlement).await?;
            match joined {
                Joined::Member => entry.confirm(store).await?,
                Joined::Full | Joined::NotEntitled => list.withdraw(store, entry).await?,
            }
            joined
        }
    };
    if joined != Joined::Full {
        lists::strike(store, &invitation).await?;
    }
    if joined != Joined::Member && has(context, room, user).await? {
        return Ok(Joined::Member);
    }
    Ok(joined)
}

async fn join_listed(
    context: &Context,
    room: &str,
    user: &str,
    entitlement: &Entitlement<'_>,
) -> Result<Joined, LayerError> {
    let store = context.store();
    let (key, members, invited, links) = (
        RoomRecord::key(room),
        RoomRecord::members(room),
        RoomRecord::invited(room),
        RoomRecord::links(room),
    );
    loop {
        let read: Option<(RoomRecord, String)> = store.read_for_step(&key).await?;
        let open = read.filter(|(record, _)| record.private && !record.closed);
        let Some((_, text)) = open else { return Ok(Joined::NotEntitled) };
        let entitled = match entitlement {
            Entitlement::Invited => Guard::RankAbove { index: &invited, name: user, rank: now() },
            Entitlement::Link(hash) => Guard::RankAbove { index: &links, name: hash, rank: now() },
        };
        let guards = [
            Guard::Record { key: &key, value: Some(&text) },
            entitled,
            Guard::Fits { index: &members, name: user, limit: MAX_MEMBERS },
        ];
        let changes = [
            Change::Add { index: &members, name: user, rank: now() },
            Change::Remove { index: &invited, name: user },
        ];
        match store.step(&guards, &changes).await? {
            None => return Ok(Joined::Member),
            Some(0) => {} // the record has changed
            Some(1) => return Ok(Joined::NotEntitled),
            Some(_) => return Ok(Joined::Full),
        }
    }
}

/// Declines an invitation by name.
pub(crate) async fn decline(context: &Context, room: &str, user: &str) -> Result<(), LayerError> {
    let store = context.store();
    let listed = lists::entries(store, [List::invited(user)], room).await?;
    store.remove(&RoomRecord::invited(room), user).await?;
    lists::strike(store, &listed).await
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
    let listed = lists::entries(store, [List::joined(user), List::invited(user)], room).await?;
    context.change_rights(&commands, |rights| async move { rights.write(&[], changes).await }).await?;
    lists::strike(store, &listed).await
}

/// Returns the rooms to which a user is invited, with their records, the newest first. Those to
/// rooms that an operator has closed are left out.
pub(crate) async fn invitations(
    context: &Context,
    user: &str,
) -> Result<Vec<(String, RoomRecord)>, LayerError> {
    let rooms = List::invited(user).rooms(context).await?;
    let keys: Vec<String> = rooms.iter().map(|(room, _)| RoomRecord::key(room)).collect();
    let records = context.store().read_all::<RoomRecord>(&keys).await?;
    let is_open = |record: &RoomRecord| record.private && !record.closed;
    let open = rooms.into_iter().zip(records);
    Ok(open.filter_map(|((room, _), record)| Some((room, record.filter(is_open)?))).collect())
}
