//! Unread messages of private chats, and the events that announce their number.
//!
//! | record | what |
//! |---|---|
//! | index `talks:<id>` | the ids of this user's peers, by the time of the last message |
//! | `read:<id>:<peer's id>` | the id of the last message that this user has read |
//! | index `unread:<id>:<peer's id>` | the ids of the newest messages that this user has not read |

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join3;
use parlor::{
    Broker, Change, Context, Event, Group, Guard, HistoryRange, Id, Identity, Index, LayerError, Store,
};

use crate::rooms::conversation::Conversation;

/// The type of an event with the `user` and `name` of the peer, and the unread `count`.
pub(crate) const UNREAD_TYPE: &str = "chat_unread";
/// The most conversations in a list.
const MAX_LISTED_CONVERSATIONS: usize = 100;
/// The most unread messages that are counted.
const MAX_UNREAD_MESSAGES: usize = 200;
/// Tries to count a message, and the pause before the second; it doubles.
const MAX_COUNT_TRIES: u32 = 6;
const COUNT_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// An entry in a user's list of conversations.
pub(crate) struct InboxEntry {
    pub(crate) user: String,
    pub(crate) name: String,
    /// What the peer is found by.
    pub(crate) handle: String,
    pub(crate) unread: usize,
    /// When the last message was sent, in Unix milliseconds.
    pub(crate) at: u64,
}

/// Returns the conversations of this user in which at least so many messages are unread, the most
/// recent first.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn entries(
    context: &Context,
    user: &str,
    min_unread: usize,
) -> Result<Vec<InboxEntry>, LayerError> {
    let peers = context.store().top(&peers_key(user), MAX_LISTED_CONVERSATIONS).await?;
    let indexes: Vec<String> =
        peers.iter().map(|(peer, _)| unread_key(&Conversation::new(user, peer))).collect();
    let counts = context.store().counts(&indexes).await?;
    let mut peers: Vec<((String, u64), usize)> = peers.into_iter().zip(counts).collect();
    peers.retain(|(_, unread)| *unread >= min_unread);
    let mut accounts = context.accounts().find_all(peers.iter().map(|((peer, _), _)| peer)).await?;
    let entries = peers.into_iter().filter_map(|((user, at), unread)| {
        let account = accounts.remove(&user)?;
        Some(InboxEntry { user, handle: account.handle(), name: account.name, unread, at })
    });
    Ok(entries.collect())
}

/// Records a message of the client, in a task of its own if the layer does not do it at once: the
/// message is in the log, whatever becomes of the count.
pub(crate) async fn record_message(
    context: &Arc<Context>,
    conversation: &Conversation,
    sender: &Identity,
    id: Id,
) {
    let name = sender.name().to_owned();
    if is_settled(&try_record(context, conversation, &name, id).await) {
        return;
    }
    let (context, conversation) = (Arc::clone(context), conversation.clone());
    Arc::clone(&context).spawn(async move {
        let mut pause = COUNT_RETRY_PAUSE;
        for _ in 1..MAX_COUNT_TRIES {
            tokio::time::sleep(pause).await;
            if is_settled(&try_record(&context, &conversation, &name, id).await) {
                return;
            }
            pause *= 2;
        }
    });
}

/// Returns whether another try would change nothing.
fn is_settled(recorded: &Result<(), LayerError>) -> bool {
    recorded.as_ref().err().is_none_or(|error| !error.is_retryable())
}

/// Adds the conversation to the lists of both users, counts the message, and sends the peer its
/// unread count. Idempotent.
async fn try_record(
    context: &Context,
    conversation: &Conversation,
    name: &str,
    id: Id,
) -> Result<(), LayerError> {
    let (user, peer) = (conversation.user(), conversation.peer());
    let (store, theirs) = (context.store(), conversation.reversed());
    let unread = unread_key(&theirs);
    let text = id.to_string();
    try_join3(
        store.add(&peers_key(user), peer, id.millis()),
        store.add(&peers_key(peer), user, id.millis()),
        store.add(&unread, &text, id.millis()),
    )
    .await?;
    // Read meanwhile, or sent again after it was read.
    if read_up_to(context, &theirs).await? >= id {
        store.remove(&unread, &text).await?;
    }
    let mut count = count(context, &theirs).await?;
    if count > MAX_UNREAD_MESSAGES {
        store.trim(&unread, MAX_UNREAD_MESSAGES).await?;
        count = MAX_UNREAD_MESSAGES;
    }
    announce(context, peer, &event(user, name, count)).await
}

/// Marks messages up to this one as read; an id beyond the newest message means that one.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn mark_read(
    context: &Context,
    conversation: &Conversation,
    id: Id,
) -> Result<(), LayerError> {
    let newest = context.layer().history(&conversation.chat_group(), HistoryRange::Before(None, 0)).await?;
    let id = id.min(newest.last);
    if !advance(context, conversation, id).await? {
        return Ok(());
    }
    let (store, unread) = (context.store(), unread_key(conversation));
    let counted = store.top(&unread, MAX_UNREAD_MESSAGES).await?;
    let is_unread = |text: &str| text.parse::<Id>().is_ok_and(|unread| unread > id);
    let (left, read): (Vec<String>, Vec<String>) =
        counted.into_iter().map(|(text, _)| text).partition(|text| is_unread(text));
    store.remove_all(&unread, &read).await?;
    let Some(peer) = context.accounts().find_by_id(conversation.peer()).await? else { return Ok(()) };
    announce(context, conversation.user(), &event(&peer.id, &peer.name, left.len())).await
}

/// Sets the last message that the user has read; returns `false` if it was not before this one.
async fn advance(context: &Context, conversation: &Conversation, id: Id) -> Result<bool, LayerError> {
    let (store, key) = (context.store(), read_key(conversation));
    loop {
        let before = store.read_text::<Id>(&key).await?;
        if before.unwrap_or(Id::START) >= id {
            return Ok(false);
        }
        let before = before.map(|before| before.to_string());
        let guard = Guard::Record { key: &key, value: before.as_deref() };
        let change = Change::Put { key: &key, value: &id.to_string() };
        // Unless another of the user's sockets was faster.
        if store.step(&[guard], &[change]).await?.is_none() {
            return Ok(true);
        }
    }
}

/// Returns the number of the peer's messages that the user has not read.
async fn count(context: &Context, conversation: &Conversation) -> Result<usize, LayerError> {
    context.store().count(&unread_key(conversation)).await
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

fn unread_key(conversation: &Conversation) -> String {
    format!("unread:{}:{}", conversation.user(), conversation.peer())
}
