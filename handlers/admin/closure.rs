//! Closed rooms, which only operators may enter.
//!
//! | record | what |
//! |---|---|
//! | index `closed_rooms` | their names, by when they were closed |

use parlor::{Change, CloseCode, Context, Disconnect, Guard, Index, LayerError, RightsChange, Store, now};

use crate::rooms::groups;
use crate::rooms::record::RoomRecord;

const CLOSED_ROOMS_INDEX: &str = "closed_rooms";

/// Closes the room of this name and disconnects its members on every node.
pub(super) async fn close(context: &Context, name: &str) -> Result<(), LayerError> {
    let commands = [groups::chat_group(name), groups::push_group(name)]
        .map(|group| Disconnect::of_group(&group, CloseCode::Forbidden, "an operator has closed this room"));
    context.change_rights(&commands, |rights| write_closed(rights, name)).await?;
    Ok(())
}

async fn write_closed(rights: RightsChange<'_>, name: &str) -> Result<Option<()>, LayerError> {
    let key = RoomRecord::key(name);
    let is_absent = Guard::Record { key: &key, value: None };
    let new = RoomRecord { closed: true, ..RoomRecord::default() }.text();
    let listed = Change::Add { index: CLOSED_ROOMS_INDEX, name, rank: now() };
    let changes = [Change::Put { key: &key, value: &new }, listed];
    // The record may be created or deleted between the two calls.
    while rights.write(&[is_absent], &changes).await?.is_none() {
        let close = |record: &mut RoomRecord| record.closed = true;
        if rights.change(&key, close, &[listed]).await?.is_some() {
            break;
        }
    }
    Ok(Some(()))
}

/// Opens the room again. A public room that is open has no record.
pub(super) async fn reopen(context: &Context, name: &str) -> Result<(), LayerError> {
    let (store, key) = (context.store(), RoomRecord::key(name));
    let unlisted = Change::Remove { index: CLOSED_ROOMS_INDEX, name };
    loop {
        let read: Option<(RoomRecord, String)> = store.read_for_step(&key).await?;
        let (record, text) = read.unzip();
        let new = RoomRecord { closed: false, ..record.unwrap_or_default() };
        let is_same = Guard::Record { key: &key, value: text.as_deref() };
        let text = new.text();
        let opened = if new == RoomRecord::default() {
            Change::Delete { key: &key }
        } else {
            Change::Put { key: &key, value: &text }
        };
        if store.step(&[is_same], &[opened, unlisted]).await?.is_none() {
            return Ok(());
        }
    }
}

/// Returns the rooms that were closed last, the newest first.
pub(super) async fn newest(context: &Context, limit: usize) -> Result<Vec<String>, LayerError> {
    Ok(context.store().top(CLOSED_ROOMS_INDEX, limit).await?.into_iter().map(|(name, _)| name).collect())
}
