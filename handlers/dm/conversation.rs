//! A private chat of two accounts: the same from both sides.
//!
//! | record | what |
//! |---|---|
//! | index `talks:<id>` | the ids of those with whom this user has talked, by when the last message came |
//! | `read:<id>:<other's id>` | the id of the last message that this user has read of the other |

use parlor::{Broker, Context, Group, HistoryRange, Id, Identity, Index, LayerError, Request, Store};

use crate::chat::v1 as chat;
use crate::dm::inbox;

/// What the names of such groups begin with. No room's name has a colon, so none of them is a room's.
const CHAT: &str = "chat_dm:";
const PUSH: &str = "dm:";
/// Most talks that are listed.
const MOST: usize = 100;

/// A private chat, as one of the two sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    mine: String,
    peer: String,
}

impl Conversation {
    /// The chat of the client with the account of this name, and what that is called; `None` if there is no such account,
    /// it is the client's own, or the client has none.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
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

    /// The chat whose group this is, as this client sees it; `None` if it is another group.
    pub(crate) fn of_group(group: &Group, identity: &Identity) -> Option<Self> {
        let (one, other) = group.name().strip_prefix(CHAT)?.split_once(':')?;
        let peer = if one == identity.id() { other } else { one };
        Some(Self::of(identity.id(), peer))
    }

    /// The other one's id.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    pub(crate) fn chat_group(&self) -> Group {
        self.group(CHAT)
    }

    pub(crate) fn push_group(&self) -> Group {
        self.group(PUSH)
    }

    fn group(&self, prefix: &str) -> Group {
        let (one, other) =
            if self.mine < self.peer { (&self.mine, &self.peer) } else { (&self.peer, &self.mine) };
        Group::new(&format!("{prefix}{one}:{other}"))
    }

    /// The client has said something, which is in the log at this place: it is in the list of both, and the other one is
    /// told. Doing it again does no harm.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
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
        inbox::tell(context, peer, mine, identity.name(), count).await
    }

    /// The client has read everything up to this message.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
    pub(crate) async fn read(&self, context: &Context, id: Id) -> Result<(), LayerError> {
        if self.read_up_to(context).await? >= id {
            return Ok(());
        }
        context.store().put(&self.read_key(), &id.to_string(), None).await?;
        let Some(peer) = context.accounts().of_id(&self.peer).await? else { return Ok(()) };
        inbox::tell(context, &self.mine, &self.peer, &peer.name, self.unread(context).await?).await
    }

    /// How many messages of the other one the client has not read, of those that a page of the log holds.
    ///
    /// # Errors
    /// [`LayerError`] when the layer does not answer.
    pub(crate) async fn unread(&self, context: &Context) -> Result<usize, LayerError> {
        let since = self.read_up_to(context).await?;
        let page = context.layer().history(&self.chat_group(), HistoryRange::After(since)).await?;
        let is_news =
            |event: &parlor::Event| event.kind() == chat::MESSAGE && event.text("user") == Some(&self.peer);
        Ok(page.events.iter().filter(|event| is_news(event)).count())
    }

    async fn read_up_to(&self, context: &Context) -> Result<Id, LayerError> {
        let read = context.store().get(&self.read_key()).await?;
        Ok(read.and_then(|id| id.parse().ok()).unwrap_or(Id::START))
    }

    fn read_key(&self) -> String {
        format!("read:{}:{}", self.mine, self.peer)
    }
}

/// A line of somebody's list of private chats.
pub(crate) struct InboxEntry {
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) unread: usize,
    /// When the last message came, in milliseconds since 1970.
    pub(crate) at: u64,
}

/// The private chats of this user, the liveliest first.
///
/// # Errors
/// [`LayerError`] when the layer does not answer.
pub(crate) async fn lines(context: &Context, user: &str) -> Result<Vec<InboxEntry>, LayerError> {
    let mut lines = Vec::new();
    for (peer, at) in context.store().top(&talks_of(user), MOST).await? {
        let Some(account) = context.accounts().of_id(&peer).await? else { continue };
        let unread = Conversation::of(user, &peer).unread(context).await?;
        lines.push(InboxEntry { user: peer, name: account.name, unread, at });
    }
    Ok(lines)
}

fn talks_of(user: &str) -> String {
    format!("talks:{user}")
}
