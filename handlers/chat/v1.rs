//! The chat consumer on `parlor.v1`: messages are logged, and each member of the room receives each
//! message once.

use std::time::Duration;

use parlor::{
    Action, Appended, Config, Consumer, Context, Event, Frame, GAP, Group, Id, Identity, LayerError,
    PRESENCE, REDACTED, Refusal, Request, StartPosition, Subscription, Welcome,
};

use crate::chat::client_frame::ClientFrame;
use crate::chat::frame_error as error;
use crate::chat::frame_error::{FrameError, FrameErrorCode};
use crate::chat::server_frame as frames;
use crate::dm::conversation::Conversation;
use crate::rooms::access;
use crate::rooms::access::Room;

/// The type of a chat event, as in the tutorial's consumer.
pub(crate) const MESSAGE: &str = "chat_message";
/// The type of a typing event, which is not logged.
const TYPING: &str = "chat_typing";

/// The shortest time between two typing events of one socket.
const TYPING_PERIOD: Duration = Duration::from_secs(2);
/// Frames up to this multiple of the limit are answered by an error; longer ones close the socket.
const ANSWERED_LIMIT_MULTIPLE: usize = 4;

/// A socket at `/ws/chat/{room}/` that speaks `parlor.v1`, and an event stream at
/// `/sse/chat/{room}/`.
pub(crate) struct Chat;

impl Consumer for Chat {
    const SUBPROTOCOL: Option<&'static str> = Some("parlor.v1");

    fn limit(config: &Config) -> usize {
        config.max_message_bytes * ANSWERED_LIMIT_MULTIPLE
    }

    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let room = Room::of_path(request).await?;
        Ok(room.session(request, room.chat_group()).resuming(StartPosition::of(request)?))
    }

    async fn receive(session: &Subscription, frame: Frame<'_>) -> Action {
        let answer = match ClientFrame::read(&frame, session.config().max_message_bytes) {
            Ok(ClientFrame::Message { text, id }) => {
                let appended = say(session, &message(&text), id.as_deref()).await;
                match error::answer(&appended) {
                    Ok(logged) => frames::ack(id.as_deref(), &logged),
                    Err(error) => frames::error(&error, id.as_deref()),
                }
            }
            Ok(ClientFrame::Typing) => {
                session.signal(Event::new(TYPING).with("user", session.identity().member()), TYPING_PERIOD);
                return Action::Nothing;
            }
            Ok(ClientFrame::History { before, limit }) => match session.history(before, limit).await {
                Ok(page) => frames::history(&page.events, page.more),
                Err(error) => frames::error(&FrameError::from(&error), None),
            },
            Ok(ClientFrame::Read { id }) => match read(session, id).await {
                Ok(()) => return Action::Nothing,
                Err(error) => frames::error(&FrameError::from(&error), None),
            },
            Err((error, id)) => frames::error(&error, id.as_deref()),
        };
        Action::Send(answer)
    }

    fn too_fast(frame: &Frame<'_>) -> Option<Frame<'static>> {
        Some(too_fast(frame))
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        match event.kind() {
            MESSAGE => frames::message(event),
            REDACTED => frames::removed(event),
            TYPING => Some(frames::typing(event.text("user")?)),
            PRESENCE => frames::presence(event),
            GAP => frames::gap(event),
            _ => None,
        }
    }

    fn welcome(session: &Subscription, welcome: &Welcome) -> Option<Frame<'static>> {
        let name = session.name();
        let room = name.strip_prefix(access::CHAT).unwrap_or(name);
        Some(frames::welcome(room, session.identity(), welcome))
    }

    fn bye(reconnect: Duration) -> Option<Frame<'static>> {
        Some(frames::bye(reconnect))
    }
}

/// Returns the error for a frame over the rate limits.
pub(crate) fn too_fast(frame: &Frame<'_>) -> Frame<'static> {
    // Of any length: the error carries the client's id of the message.
    let id = match ClientFrame::read(frame, usize::MAX) {
        Ok(ClientFrame::Message { id, .. }) | Err((_, id)) => id,
        Ok(ClientFrame::Typing | ClientFrame::History { .. } | ClientFrame::Read { .. }) => None,
    };
    frames::error(
        &FrameError::new(FrameErrorCode::Rate, "too fast: send it again later, with the same `id`"),
        id.as_deref(),
    )
}

/// Publishes a message in the socket's room.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not accept it.
pub(crate) async fn say(
    session: &Subscription,
    event: &Event,
    id: Option<&str>,
) -> Result<Appended, LayerError> {
    let appended = session.append(event, id).await?;
    if let Some(group) = session.group() {
        noted(session.context(), session.identity(), group, appended).await?;
    }
    Ok(appended)
}

/// Updates the peer's unread count after a message in a private chat.
///
/// # Errors
/// Returns [`LayerError`] when the layer does not accept it.
pub(crate) async fn noted(
    context: &Context,
    identity: &Identity,
    group: &Group,
    appended: Appended,
) -> Result<(), LayerError> {
    match (Conversation::of_group(group, identity), appended) {
        (Some(talk), Appended::New(id) | Appended::Duplicate(id)) => talk.said(context, identity, id).await,
        _ => Ok(()),
    }
}

/// Marks messages up to this one as read. Has an effect in private chats only.
async fn read(session: &Subscription, id: Id) -> Result<(), LayerError> {
    match session.group().and_then(|group| Conversation::of_group(group, session.identity())) {
        Some(talk) => talk.read(session.context(), id).await,
        None => Ok(()),
    }
}

/// Creates a chat event with this text.
pub(crate) fn message(text: &str) -> Event {
    Event::new(MESSAGE).with("message", text)
}
