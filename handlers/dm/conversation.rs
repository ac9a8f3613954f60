//! A private chat of two accounts: the same from both sides.
//!
//! | record | what |
//! |---|---|
//! | index `talks:<id>` | the ids of this user's peers, by the time of the last message |
//! | `read:<id>:<peer's id>` | the id of the last message of the peer that this user has read |

use parlor::{Broker, Context, Group, HistoryRange, Id, Identity, Index, LayerError, Request, Store};

use crate::chat::v1 as chat;
use crate::dm::inbox;

/// The prefix of a private chat's group. Names of rooms have no colon, so no room has such a group.
const CHAT_PREFIX: &str = "chat_dm:";
/// The prefix of a private chat's push group.
const PUSH_PREFIX: &str = "dm:";
/// The most private chats in a list.
const MAX_LISTED_CHATS: usize = 100;

/// A private chat, from the side of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    mine: String,
    peer: String,
}

impl Conversation {
    /// Returns the chat of the client with the account of this name, and the account's name. `None`
    /// if there is no such account, if it is the client's own, or if the client has no account.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn with(request: &Request, name: &str) -> Result<Option<(Self, String)>, LayerError> {
        let identity = request.identity();
        if !identity.is_user() {
            return Ok(None);
        }
        let peer = request.context().accounts().named(name).await?.filter(|peer| peer.id != identity.id());
        Ok(peer.map(|peer| (Self::of(identity.id(), &peer.id), peer.name)))
    }

    fn of(mine: &str, peer: &str) -> Self {
        Self { mine: mine.to_owned(), peer: peer.to_owned() }
    }

    /// Returns the chat of this group from the client's side; `None` for other groups.
    pub(crate) fn of_group(group: &Group, identity: &Identity) -> Option<Self> {
        let (one, other) = group.name().strip_prefix(CHAT_PREFIX)?.split_once(':')?;
        let peer = if one == identity.id() { other } else { one };
        Some(Self::of(identity.id(), peer))
    }

    /// Returns the id of the peer.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    pub(crate) fn chat_group(&self) -> Group {
        self.group(CHAT_PREFIX)
    }

    pub(crate) fn push_group(&self) -> Group {
        self.group(PUSH_PREFIX)
    }

    fn group(&self, prefix: &str) -> Group {
        let (one, other) =
            if self.mine < self.peer { (&self.mine, &self.peer) } else { (&self.peer, &self.mine) };
        Group::new(&format!("{prefix}{one}:{other}"))
    }

    /// Records a message of the client: adds the chat to the lists of both users, and sends the
    /// peer its unread count. Idempotent.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn said(
        &self,
        context: &Context,
        identity: &Identity,
        id: Id,
    ) -> Result<(), LayerError> {
        let (mine, peer) = (&self.mine, &self.peer);
        context.store().add(&talks_of(mine), peer, id.millis()).await?;
        context.store().add(&talks_of(peer), mine, id.millis()).await?;
        let count = Self::of(peer, mine).unread(context).await?;
        inbox::send_unread(context, peer, mine, identity.name(), count).await
    }

    /// Marks messages up to this one as read.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn read(&self, context: &Context, id: Id) -> Result<(), LayerError> {
        if self.read_up_to(context).await? >= id {
            return Ok(());
        }
        context.store().put(&self.read_key(), &id.to_string(), None).await?;
        let Some(peer) = context.accounts().of_id(&self.peer).await? else { return Ok(()) };
        inbox::send_unread(context, &self.mine, &self.peer, &peer.name, self.unread(context).await?).await
    }

    /// Counts the peer's unread messages, up to one page of the log.
    ///
    /// # Errors
    /// Returns [`LayerError`] when the layer does not answer.
    pub(crate) async fn unread(&self, context: &Context) -> Result<usize, LayerError> {
        let since = self.read_up_to(context).await?;
        let page = context.layer().history(&self.chat_group(), HistoryRange::After(since)).await?;
        let is_news =
            |event: &parlor::Event| event.kind() == chat::MESSAGE && event.text("user") == Some(&self.peer);
        Ok(page.events.iter().filter(|event| is_news(event)).count())
    }

    async fn read_up_to(&self, context: &Context) -> Result<Id, LayerError> {
        Ok(context.store().read_text(&self.read_key()).await?.unwrap_or(Id::START))
    }

    fn read_key(&self) -> String {
        format!("read:{}:{}", self.mine, self.peer)
    }
}

/// An entry in a user's list of private chats.
pub(crate) struct InboxEntry {
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) unread: usize,
    /// When the last message was sent, in Unix milliseconds.
    pub(crate) at: u64,
}

/// Returns the private chats of this user, the most recent first.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn lines(context: &Context, user: &str) -> Result<Vec<InboxEntry>, LayerError> {
    let mut lines = Vec::new();
    for (peer, at) in context.store().top(&talks_of(user), MAX_LISTED_CHATS).await? {
        let Some(account) = context.accounts().of_id(&peer).await? else { continue };
        let unread = Conversation::of(user, &peer).unread(context).await?;
        lines.push(InboxEntry { user: peer, name: account.name, unread, at });
    }
    Ok(lines)
}

fn talks_of(user: &str) -> String {
    format!("talks:{user}")
}
