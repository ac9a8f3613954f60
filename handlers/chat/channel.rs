//! The chat of a room or of a private chat.

use std::sync::Arc;
use std::time::Duration;

use parlor::{
    Appended, Channel, Client, Command, Context, Event, Group, Id, Identity, LayerError, Reply, View,
};

use crate::protocols::streams::CHAT;
use crate::rooms::conversation::Conversation;
use crate::rooms::groups::MESSAGE_TYPE;
use crate::rooms::unread;

/// The type of the event that a member is typing, which is not logged.
const TYPING_TYPE: &str = "chat_typing";
/// The shortest time between two typing events of one socket.
const TYPING_PERIOD: Duration = Duration::from_secs(2);

/// The channel at `/ws/chat/{room}/`, `/sse/chat/{room}/` and, for operators, `/ws/admin/{room}/`.
pub(crate) struct Chat;

impl Channel for Chat {
    const STREAM: &'static str = CHAT;
    async fn command(client: Client<'_>, command: &Command<'_>) -> Result<Reply, LayerError> {
        match command {
            Command::Publish { text, data, event, id } => {
                let said = message(text, data.as_deref(), event.as_deref());
                let appended = client.append(&said, id.as_deref()).await?;
                record_unread(client.context(), client.identity(), client.group(), appended).await;
                Ok(Reply::Published(appended))
            }
            Command::Typing => {
                let event = Event::new(TYPING_TYPE).with("user", client.identity().member());
                client.publish_ephemeral(event, TYPING_PERIOD).await;
                Ok(Reply::Nothing)
            }
            Command::Log { since, limit, reverse } => client.log(*since, *limit, *reverse).await,
            Command::Connections { .. } => client.connections().await,
            Command::History { before, limit } => client.history(*before, *limit).await.map(Reply::History),
            Command::MarkRead { id } => {
                mark_read(client.context(), client.identity(), client.group(), *id).await?;
                Ok(Reply::Nothing)
            }
        }
    }

    fn view(event: &Event) -> Option<View<'_>> {
        match event.kind() {
            MESSAGE_TYPE => Some(View::message(event, event.text("message")?)),
            TYPING_TYPE => Some(View::Typing { member: event.text("user")? }),
            _ => View::from_layer(event),
        }
    }
}

/// Publishes this message of a client in a chat group, at most once for its `id`, and updates the
/// peer's unread count if the group is a private chat.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not accept it.
pub(crate) async fn publish(
    context: &Arc<Context>,
    identity: &Identity,
    group: &Group,
    message: &Event,
    id: Option<&str>,
) -> Result<Appended, LayerError> {
    let appended = context.append_from(identity, group, message, id).await?;
    record_unread(context, identity, group, appended).await;
    Ok(appended)
}

/// Updates the peer's unread count if the group is a private chat and has this message of a client.
async fn record_unread(context: &Arc<Context>, identity: &Identity, group: &Group, appended: Appended) {
    if let Appended::New(id, _) | Appended::Duplicate(id, _) = appended
        && let Some(conversation) = Conversation::from_group(group, identity)
    {
        unread::record_message(context, &conversation, identity, id).await;
    }
}

/// Records that this client has read the messages of a group up to this one, if the group is a
/// private chat.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not answer.
pub(crate) async fn mark_read(
    context: &Context,
    identity: &Identity,
    group: &Group,
    id: Id,
) -> Result<(), LayerError> {
    let Some(conversation) = Conversation::from_group(group, identity) else { return Ok(()) };
    unread::mark_read(context, &conversation, id).await
}

/// Creates the event of a message with this text, this JSON, and this name of the application's.
///
/// Without a text it is empty: Django's consumers expect one.
pub(crate) fn message(text: &str, data: Option<&str>, event: Option<&str>) -> Event {
    let mut message = Event::new(MESSAGE_TYPE).with("message", text);
    for (name, value) in [("data", data), ("event", event)] {
        if let Some(value) = value {
            message = message.with(name, value);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_its_members_is_not_listed() {
        assert!(Chat::view(&message("hi", None, None)).is_some());
        for kind in [MESSAGE_TYPE, TYPING_TYPE, "parlor_presence", "parlor_gap", "x"] {
            assert!(Chat::view(&Event::new(kind)).is_none(), "{kind}");
        }
    }
}
