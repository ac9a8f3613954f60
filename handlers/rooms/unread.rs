//! Unread messages of private chats, and the events that announce their number.
//!
//! | record | what |
//! |---|---|
//! | index `talks:<id>` | the ids of this user's peers, by the time of the last message |
//! | `read:<id>:<peer's id>` | the id of the last message of the peer that this user has read |

use parlor::{Broker, Context, Event, Group, HistoryRange, Id, Identity, Index, LayerError, Store};

use crate::rooms::conversation::Conversation;
use crate::rooms::groups::MESSAGE_TYPE;

/// The type of an event with the `user` and `name` of the peer, and the unread `count`.
pub(crate) const UNREAD_TYPE: &str = "chat_unread";
/// The most conversations in a list.
const MAX_LISTED_CONVERSATIONS: usize = 100;

/// An entry in a user's list of conversations.
pub(crate) struct InboxEntry {
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) unread: usize,
    /// When the last message was sent, in Unix milliseconds.
    pub(crate) at: u64,
}

/// Returns the conversations of this user, the most recent first.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn entries(context: &Context, user: &str) -> Result<Vec<InboxEntry>, LayerError> {
    let mut entries = Vec::new();
    for (peer, at) in context.store().top(&peers_key(user), MAX_LISTED_CONVERSATIONS).await? {
        let Some(account) = context.accounts().find_by_id(&peer).await? else { continue };
        let unread = count(context, &Conversation::new(user, &peer)).await?;
        entries.push(InboxEntry { user: peer, name: account.name, unread, at });
    }
    Ok(entries)
}

/// Records a message of the client: adds the conversation to the lists of both users, and sends the
/// peer its unread count. Idempotent.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn record_message(
    context: &Context,
    conversation: &Conversation,
    sender: &Identity,
    id: Id,
) -> Result<(), LayerError> {
    let (user, peer) = (conversation.user(), conversation.peer());
    context.store().add(&peers_key(user), peer, id.millis()).await?;
    context.store().add(&peers_key(peer), user, id.millis()).await?;
    let count = count(context, &conversation.reversed()).await?;
    announce(context, peer, &event(user, sender.name(), count)).await
}

/// Marks messages up to this one as read.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn mark_read(
    context: &Context,
    conversation: &Conversation,
    id: Id,
) -> Result<(), LayerError> {
    if read_up_to(context, conversation).await? >= id {
        return Ok(());
    }
    context.store().put(&read_key(conversation), &id.to_string(), None).await?;
    let Some(peer) = context.accounts().find_by_id(conversation.peer()).await? else { return Ok(()) };
    let count = count(context, conversation).await?;
    announce(context, conversation.user(), &event(&peer.id, &peer.name, count)).await
}

/// Counts the peer's unread messages, up to one page of the log.
async fn count(context: &Context, conversation: &Conversation) -> Result<usize, LayerError> {
    let since = read_up_to(context, conversation).await?;
    let page = context.layer().history(&conversation.chat_group(), HistoryRange::After(since)).await?;
    let is_unread =
        |event: &Event| event.kind() == MESSAGE_TYPE && event.text("user") == Some(conversation.peer());
    Ok(page.events.iter().filter(|event| is_unread(event)).count())
}

/// Creates the event that this user has `count` unread messages from a peer.
pub(crate) fn event(peer: &str, name: &str, count: usize) -> Event {
    Event::new(UNREAD_TYPE).with("user", peer).with("name", name).with("count", &count.to_string())
}

/// Returns the group of a user's inbox. Names of rooms have no colon, so no room has this group.
pub(crate) fn inbox_group(user: &str) -> Group {
    Group::new(&format!("inbox:{user}"))
}

/// Sends an event to all sockets of this user's inbox.
async fn announce(context: &Context, user: &str, event: &Event) -> Result<(), LayerError> {
    context.layer().append(&inbox_group(user), event, None).await?;
    Ok(())
}

async fn read_up_to(context: &Context, conversation: &Conversation) -> Result<Id, LayerError> {
    Ok(context.store().read_text(&read_key(conversation)).await?.unwrap_or(Id::START))
}

fn read_key(conversation: &Conversation) -> String {
    format!("read:{}:{}", conversation.user(), conversation.peer())
}

fn peers_key(user: &str) -> String {
    format!("talks:{user}")
}
