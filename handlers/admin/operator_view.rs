//! Sockets of operators in any room, including private and closed ones, but not in private chats.
//! Operators are members there like other users: no operator watches unseen.

use std::time::Duration;

use parlor::{
    Action, Config, Consumer, Event, Frame, Interval, Refusal, Request, StartPosition, Subscription, Welcome,
};

use crate::chat::v1::Chat;
use crate::push::stream::Push;
use crate::rooms::access::Room;

/// A socket at `/ws/admin/{room}/`, with the frames of [`Chat`].
pub(crate) struct Tail;

/// A socket at `/ws/admin/{room}/push`, with the frames of [`Push`].
pub(crate) struct PushTail;

impl Consumer for Tail {
    const SUBPROTOCOL: Option<&'static str> = Chat::SUBPROTOCOL;

    fn limit(config: &Config) -> usize {
        Chat::limit(config)
    }

    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let (room, _) = Room::operated(request, request.param("room")).await?;
        Ok(room.session(request, room.chat_group()).restricted().resuming(StartPosition::of(request)?))
    }

    fn too_fast(frame: &Frame<'_>) -> Option<Frame<'static>> {
        Chat::too_fast(frame)
    }

    async fn receive(session: &Subscription, frame: Frame<'_>) -> Action {
        Chat::receive(session, frame).await
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        Chat::event(event)
    }

    fn welcome(session: &Subscription, welcome: &Welcome) -> Option<Frame<'static>> {
        Chat::welcome(session, welcome)
    }

    fn bye(reconnect: Duration) -> Option<Frame<'static>> {
        Chat::bye(reconnect)
    }
}

impl Consumer for PushTail {
    const INTERVAL: Option<Interval> = Push::INTERVAL;
    const SUBPROTOCOL: Option<&'static str> = Push::SUBPROTOCOL;

    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let (room, _) = Room::operated(request, request.param("room")).await?;
        Ok(room.session(request, room.push_group()).restricted().resuming(StartPosition::now()))
    }

    fn too_fast(frame: &Frame<'_>) -> Option<Frame<'static>> {
        Push::too_fast(frame)
    }

    async fn receive(session: &Subscription, frame: Frame<'_>) -> Action {
        Push::receive(session, frame).await
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        Push::event(event)
    }

    fn welcome(session: &Subscription, welcome: &Welcome) -> Option<Frame<'static>> {
        Push::welcome(session, welcome)
    }

    fn bye(reconnect: Duration) -> Option<Frame<'static>> {
        Push::bye(reconnect)
    }
}
