//! Links by which accounts become members of a private room, until they expire or are revoked.
//!
//! | record | what |
//! |---|---|
//! | `invite:<hash of the link's secret>` | the room and the inviter; expires after a week |
//! | index `invites:{chat_<name>}` | the hashes of a room's valid links, by expiry |

use parlor::{Change, Context, Identity, Index, LayerError, Store, millis, now, secret};
use serde::{Deserialize, Serialize};

use crate::rooms::membership::INVITATION_LIFETIME;
use crate::rooms::record::RoomRecord;

/// The most links of a room. A new one replaces the oldest.
const MAX_ROOM_INVITATIONS: usize = 20;

/// The record of a link. It says where the link leads; whether it is valid, the index says.
#[derive(Serialize, Deserialize)]
pub(crate) struct Invitation {
    /// The room's name.
    pub(crate) room: String,
    /// The name of the inviter.
    pub(crate) by: String,
}

impl Invitation {
    /// Creates an invitation, and returns the secret of its link, which is not stored.
    pub(crate) async fn make(context: &Context, room: &str, by: &Identity) -> Result<String, LayerError> {
        let invitation = Self { room: room.to_owned(), by: by.name().to_owned() };
        let (secret, store) = (secret::new(), context.store());
        let (hash, index) = (secret::hash(&secret), RoomRecord::links(room));
        store.write(&key(&hash), &invitation, Some(INVITATION_LIFETIME)).await?;
        let rank = now() + millis(INVITATION_LIFETIME);
        let changes = [
            Change::Add { index: &index, name: &hash, rank },
            Change::Trim { index: &index, keep: MAX_ROOM_INVITATIONS },
        ];
        store.step(&[], &changes).await?;
        Ok(secret)
    }

    /// Returns the invitation of a link and the hash of its secret, if the link is valid.
    pub(crate) async fn find(context: &Context, link: &str) -> Result<Option<(Self, String)>, LayerError> {
        if !secret::is_one(link) {
            return Ok(None);
        }
        let hash = secret::hash(link);
        let Some(invitation) = context.store().read::<Self>(&key(&hash)).await? else { return Ok(None) };
        let until = context.store().rank(&RoomRecord::links(&invitation.room), &hash).await?;
        Ok(until.is_some_and(|until| until > now()).then_some((invitation, hash)))
    }

    /// Returns the hashes of a room's links and when they expire, the latest first.
    pub(crate) async fn of_room(context: &Context, room: &str) -> Result<Vec<(String, u64)>, LayerError> {
        let index = RoomRecord::links(room);
        let mut links = context.store().top(&index, 2 * MAX_ROOM_INVITATIONS).await?;
        let ended = links.split_off(links.partition_point(|(_, ends)| *ends > now()));
        let ended: Vec<String> = ended.into_iter().map(|(hash, _)| hash).collect();
        context.store().remove_all(&index, &ended).await?;
        Ok(links)
    }

    /// Revokes a link of this room. Ignores one of another room.
    pub(crate) async fn revoke(context: &Context, room: &str, hash: &str) -> Result<(), LayerError> {
        if context.store().remove(&RoomRecord::links(room), hash).await? {
            context.store().delete(&key(hash)).await?;
        }
        Ok(())
    }
}

fn key(hash: &str) -> String {
    format!("invite:{hash}")
}
