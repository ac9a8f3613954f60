//! Invitations: links by which accounts become members of a private room, until they expire or are
//! revoked.
//!
//! | record | what |
//! |---|---|
//! | `invite:<hash of the link's secret>` | the room and the inviter; expires after a week |
//! | index `invites:<name>` | the hashes of a room's invitations, by expiry |

use std::time::Duration;

use parlor::{Context, Identity, Index, LayerError, Store, millis, now, secret};
use serde::{Deserialize, Serialize};

/// The lifetime of a link.
const INVITATION_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// The most links of a room. A new one replaces the oldest.
const MAX_ROOM_INVITATIONS: usize = 20;

/// The record of a link.
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
        let hash = secret::hash(&secret);
        store.write(&key(&hash), &invitation, Some(INVITATION_LIFETIME)).await?;
        store.add(&index(room), &hash, now() + millis(INVITATION_LIFETIME)).await?;
        for (oldest, _) in Self::of_room(context, room).await?.into_iter().skip(MAX_ROOM_INVITATIONS) {
            Self::revoke(context, room, &oldest).await?;
        }
        Ok(secret)
    }

    /// Returns the invitation of a link.
    pub(crate) async fn find(context: &Context, link: &str) -> Result<Option<Self>, LayerError> {
        if !secret::is_one(link) {
            return Ok(None);
        }
        context.store().read(&key(&secret::hash(link))).await
    }

    /// Returns the hashes of a room's invitations and when they expire, the latest first.
    pub(crate) async fn of_room(context: &Context, room: &str) -> Result<Vec<(String, u64)>, LayerError> {
        let mut links = context.store().top(&index(room), 2 * MAX_ROOM_INVITATIONS).await?;
        while let Some((hash, _)) = links.pop_if(|(_, ends)| *ends <= now()) {
            context.store().remove(&index(room), &hash).await?;
        }
        Ok(links)
    }

    /// Revokes an invitation of this room. Ignores one of another room.
    pub(crate) async fn revoke(context: &Context, room: &str, hash: &str) -> Result<(), LayerError> {
        if context.store().remove(&index(room), hash).await? {
            context.store().delete(&key(hash)).await?;
        }
        Ok(())
    }

    /// Revokes all invitations of this room.
    pub(crate) async fn revoke_all(context: &Context, room: &str) -> Result<(), LayerError> {
        for (hash, _) in Self::of_room(context, room).await? {
            Self::revoke(context, room, &hash).await?;
        }
        Ok(())
    }
}

fn key(hash: &str) -> String {
    format!("invite:{hash}")
}

fn index(room: &str) -> String {
    format!("invites:{room}")
}
