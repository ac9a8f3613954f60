//! A user's lists of rooms, which its pages show and which bound how many rooms it may have.
//!
//! | record | what |
//! |---|---|
//! | index `rooms_of:{<id>}` | the private rooms that this user joined, by join time |
//! | index `rooms_made:{<id>}` | the private rooms that this user created, by time of creation |
//! | index `invitations:{<id>}` | the rooms to which this user is invited, by time of invitation |
//!
//! What is true, the record and the indexes of a room decide, which are in another slot. A room is
//! listed before the step that makes it true, and again after it; a reader leaves out what is not
//! true, and removes it when it is older than any step under way. So no command that fails leaves a
//! room out of a list for good, or one in it that counts.

use std::collections::HashSet;
use std::time::Duration;

use parlor::{Change, Context, Guard, Index, LayerError, SharedStore, Store, millis, now};

use crate::rooms::membership::MAX_MEMBERS;
use crate::rooms::record::RoomRecord;

/// The most open invitations of a user.
const MAX_INVITATIONS: usize = 50;
/// The age from which a room that is not true is removed: more than a request takes.
const SETTLED: Duration = Duration::from_mins(1);

/// A list of a user.
pub(crate) struct List<'a> {
    user: &'a str,
    index: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Joined,
    Made,
    Invited,
}

/// A room in a list, as it was at some time: one that was listed again is another entry.
pub(crate) struct Entry<'a> {
    index: String,
    room: &'a str,
    rank: u64,
}

impl<'a> List<'a> {
    /// Returns the list of rooms that the user joined by an invitation or a link.
    pub(crate) fn joined(user: &'a str) -> Self {
        Self { user, index: format!("rooms_of:{{{user}}}"), kind: Kind::Joined }
    }

    /// Returns the list of rooms that the user created. They are counted apart, so that
    /// invitations by other users do not use them up.
    pub(crate) fn made(user: &'a str) -> Self {
        Self { user, index: format!("rooms_made:{{{user}}}"), kind: Kind::Made }
    }

    /// Returns the list of rooms to which the user is invited.
    pub(crate) fn invited(user: &'a str) -> Self {
        Self { user, index: format!("invitations:{{{user}}}"), kind: Kind::Invited }
    }

    /// Lists a room that is about to become true; `None` if the list is full.
    pub(crate) async fn enter<'r>(
        &self,
        context: &Context,
        room: &'r str,
    ) -> Result<Option<Entry<'r>>, LayerError> {
        let fits = Guard::Fits { index: &self.index, name: room, limit: self.limit() };
        let entry = Entry { index: self.index.clone(), room, rank: now() };
        for is_last in [false, true] {
            if context.store().step(&[fits], &entry.renewal()).await?.is_none() {
                return Ok(Some(entry));
            }
            if !is_last {
                self.rooms(context).await?;
            }
        }
        Ok(None)
    }

    /// Takes an entry back whose step was not made, unless the room is in the list rightly.
    pub(crate) async fn withdraw(&self, store: &SharedStore, entry: Entry<'_>) -> Result<(), LayerError> {
        let listed = [(entry.room.to_owned(), entry.rank)];
        if self.truths(store, &listed).await? == [false] {
            strike(store, [&entry]).await?;
        }
        Ok(())
    }

    /// Returns the rooms of which it is true, the newest first, and when they were listed.
    pub(crate) async fn rooms(&self, context: &Context) -> Result<Vec<(String, u64)>, LayerError> {
        let store = context.store();
        let listed = store.top(&self.index, self.limit()).await?;
        let truths = self.truths(store, &listed).await?;
        let (mut rooms, mut settled) = (Vec::new(), Vec::new());
        for ((room, rank), is_true) in listed.into_iter().zip(truths) {
            if is_true {
                rooms.push((room, rank));
            } else if rank + millis(SETTLED) < now() {
                settled.push((room, rank));
            }
        }
        let untrue =
            settled.iter().map(|(room, rank)| Entry { index: self.index.clone(), room, rank: *rank });
        strike(store, &untrue.collect::<Vec<_>>()).await?;
        Ok(rooms)
    }

    async fn truths(&self, store: &SharedStore, listed: &[(String, u64)]) -> Result<Vec<bool>, LayerError> {
        let keys = |key: fn(&str) -> String| listed.iter().map(|(room, _)| key(room)).collect::<Vec<_>>();
        match self.kind {
            Kind::Joined => {
                let ranks = store.ranks(&keys(RoomRecord::members), self.user).await?;
                Ok(ranks.into_iter().map(|rank| rank.is_some()).collect())
            }
            Kind::Made => {
                let records = store.read_all::<RoomRecord>(&keys(RoomRecord::key)).await?;
                let is_own = |record: RoomRecord| record.owner.as_deref() == Some(self.user);
                Ok(records.into_iter().map(|record| record.is_some_and(is_own)).collect())
            }
            Kind::Invited => {
                let open_until = store.ranks(&keys(RoomRecord::invited), self.user).await?;
                Ok(open_until.into_iter().map(|until| until.is_some_and(|until| until > now())).collect())
            }
        }
    }

    fn limit(&self) -> usize {
        match self.kind {
            Kind::Joined | Kind::Made => MAX_MEMBERS,
            Kind::Invited => MAX_INVITATIONS,
        }
    }
}

impl Entry<'_> {
    /// Lists the room again, now that it is true: a call that failed meanwhile may have struck it.
    pub(crate) async fn confirm(mut self, store: &SharedStore) -> Result<(), LayerError> {
        self.rank = now();
        store.step(&[], &self.renewal()).await?;
        Ok(())
    }

    fn renewal(&self) -> [Change<'_>; 2] {
        let Self { index, room: name, rank } = self;
        [Change::Remove { index, name }, Change::Add { index, name, rank: *rank }]
    }
}

/// Returns the private rooms that a user joined or created, the newest first.
pub(crate) async fn private_rooms(context: &Context, user: &str) -> Result<Vec<String>, LayerError> {
    let mut rooms = List::joined(user).rooms(context).await?;
    rooms.extend(List::made(user).rooms(context).await?);
    rooms.sort_by(|(room, listed), (other, later)| (later, other).cmp(&(listed, room)));
    let mut rooms: Vec<String> = rooms.into_iter().map(|(room, _)| room).collect();
    let mut seen = HashSet::new();
    rooms.retain(|room| seen.insert(room.clone()));
    Ok(rooms)
}

/// Returns the entries of a room in several lists.
pub(crate) async fn entries<'r>(
    store: &SharedStore,
    lists: impl IntoIterator<Item = List<'_>>,
    room: &'r str,
) -> Result<Vec<Entry<'r>>, LayerError> {
    let indexes: Vec<String> = lists.into_iter().map(|list| list.index).collect();
    let ranks = store.ranks(&indexes, room).await?;
    let entries = indexes.into_iter().zip(ranks);
    Ok(entries.filter_map(|(index, rank)| Some(Entry { index, room, rank: rank? })).collect())
}

/// Removes entries that are true no more, but for those that were listed again.
pub(crate) async fn strike<'a>(
    store: &SharedStore,
    entries: impl IntoIterator<Item = &'a Entry<'a>>,
) -> Result<(), LayerError> {
    let removal =
        |Entry { index, room, rank }: &'a Entry<'a>| Change::RemoveRanked { index, name: room, rank: *rank };
    let removals: Vec<Change<'_>> = entries.into_iter().map(removal).collect();
    if !removals.is_empty() {
        store.step(&[], &removals).await?;
    }
    Ok(())
}
