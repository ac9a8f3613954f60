//! The chat consumer on `parlor.v1`: what one says is in the room's log, and everybody in the room reads it once.

use std::time::Duration;

use parlor::config::Config;
use parlor::http::Refusal;
use parlor::wire::error::Unavailable;
use parlor::wire::event::{COVERED, GAP, PRESENCE};
use parlor::{
    Action, Appended, Consumer, Event, Frame, Group, Id, Identity, Node, Request, Session, Start, Welcome,
};

use crate::chat::client_frame::Said;
use crate::chat::frame_error as trouble;
use crate::chat::frame_error::Trouble;
use crate::chat::server_frame as frames;
use crate::dm::conversation::Talk;
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
    const PROTOCOL: Option<&'static str> = Some("parlor.v1");

    fn limit(config: &Config) -> usize {
        config.max_message_bytes * SLACK
    }

    async fn connect(request: &Request) -> Result<Session, Refusal> {
        let room = Room::of_path(request).await?;
        Ok(room.session(request, room.chat_group()).resuming(Start::of(request)?))
    }

    async fn receive(session: &Session, frame: Frame<'_>) -> Action {
        let answer = match Said::read(&frame, session.config().max_message_bytes) {
            Ok(Said::Message { text, id }) => {
                let appended = say(session, &message(&text), id.as_deref()).await;
                match trouble::answer(&appended) {
                    Ok(logged) => frames::ack(id.as_deref(), &logged),
                    Err(trouble) => frames::error(&trouble, id.as_deref()),
                }
            }
            Ok(Said::Typing) => {
                session.signal(Event::new(TYPING).with("user", session.identity().member()), TYPING_PERIOD);
                return Action::Nothing;
            }
            Ok(Said::History { before, limit }) => match session.history(before, limit).await {
                Ok(page) => frames::history(&page.events, page.more),
                Err(_) => frames::error(&Trouble::unavailable(), None),
            },
            Ok(Said::Read { id }) => match read(session, id).await {
                Ok(()) => return Action::Nothing,
                Err(_) => frames::error(&Trouble::unavailable(), None),
            },
            Err((trouble, id)) => frames::error(&trouble, id.as_deref()),
        };
        Action::Send(answer)
    }

    fn too_fast(frame: &Frame<'_>) -> Option<Frame<'static>> {
        Some(too_fast(frame))
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        match event.kind() {
            MESSAGE => frames::message(event),
            COVERED => frames::removed(event),
            TYPING => Some(frames::typing(event.text("user")?)),
            PRESENCE => frames::presence(event),
            GAP => frames::gap(event),
            _ => None,
        }
    }

    fn welcome(session: &Session, welcome: &Welcome) -> Option<Frame<'static>> {
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
    let id = match Said::read(frame, usize::MAX) {
        Ok(Said::Message { id, .. }) | Err((_, id)) => id,
        Ok(Said::Typing | Said::History { .. } | Said::Read { .. }) => None,
    };
    frames::error(&Trouble::new("rate", "too fast: send it again later, with the same `id`"), id.as_deref())
}

/// Says something in the socket's room.
///
/// # Errors
/// [`Unavailable`] when the layer did not take it.
pub(crate) async fn say(session: &Session, event: &Event, id: Option<&str>) -> Result<Appended, Unavailable> {
    let appended = session.append(event, id).await?;
    if let Some(group) = session.group() {
        noted(session.node(), session.identity(), group, appended).await?;
    }
    Ok(appended)
}

/// Something was said: in a private chat, the other one is told that it waits.
///
/// # Errors
/// [`Unavailable`] when the layer did not take it.
pub(crate) async fn noted(
    node: &Node,
    identity: &Identity,
    group: &Group,
    appended: Appended,
) -> Result<(), Unavailable> {
    match (Talk::of_group(group, identity), appended) {
        (Some(talk), Appended::New(id) | Appended::Known(id)) => talk.said(node, identity, id).await,
        _ => Ok(()),
    }
}

/// The client has read everything up to this message, which only in a private chat means something.
async fn read(session: &Session, id: Id) -> Result<(), Unavailable> {
    match session.group().and_then(|group| Talk::of_group(group, session.identity())) {
        Some(talk) => talk.read(session.node(), id).await,
        None => Ok(()),
    }
}

/// The event of somebody who says something.
pub(crate) fn message(text: &str) -> Event {
    Event::new(MESSAGE).with("message", text)
}
