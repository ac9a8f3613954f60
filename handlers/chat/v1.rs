//! The chat consumer on `parlor.v1`: what one says is in the room's log, and everybody in the room reads it once.

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

/// The type of a chat event, as the tutorial's consumer has it.
pub(crate) const MESSAGE: &str = "chat_message";
/// Somebody is typing; only our own nodes hear of it.
const TYPING: &str = "chat_typing";

/// How often a client may say that somebody types.
const TYPING_PERIOD: Duration = Duration::from_secs(2);
/// Frames that are too long are told so up to this many times the limit; longer ones end the socket.
const SLACK: usize = 4;

/// A socket at `/ws/chat/{room}/` that speaks `parlor.v1`, and a feed at `/sse/chat/{room}/`.
pub(crate) struct Chat;

impl Consumer for Chat {
    const SUBPROTOCOL: Option<&'static str> = Some("parlor.v1");

    fn limit(config: &Config) -> usize {
        config.max_message_bytes * SLACK
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

/// The answer to a frame of a client that says more than it may.
pub(crate) fn too_fast(frame: &Frame<'_>) -> Frame<'static> {
    // Whatever its length: the client wants to know which message it was.
    let id = match ClientFrame::read(frame, usize::MAX) {
        Ok(ClientFrame::Message { id, .. }) | Err((_, id)) => id,
        Ok(ClientFrame::Typing | ClientFrame::History { .. } | ClientFrame::Read { .. }) => None,
    };
    frames::error(
        &FrameError::new(FrameErrorCode::Rate, "too fast: send it again later, with the same `id`"),
        id.as_deref(),
    )
}

/// Says something in the socket's room.
///
/// # Errors
/// [`LayerError`] when the layer did not take it.
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

/// Something was said: in a private chat, the other one is told that it waits.
///
/// # Errors
/// [`LayerError`] when the layer did not take it.
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

/// The client has read everything up to this message, which only in a private chat means something.
async fn read(session: &Subscription, id: Id) -> Result<(), LayerError> {
    match session.group().and_then(|group| Conversation::of_group(group, session.identity())) {
        Some(talk) => talk.read(session.context(), id).await,
        None => Ok(()),
    }
}

/// The event of somebody who says something.
pub(crate) fn message(text: &str) -> Event {
    Event::new(MESSAGE).with("message", text)
}
