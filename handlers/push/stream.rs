//! The push stream of a room: one line every two seconds for the sockets at `/ws/push/{room}`.

use std::time::Duration;

use jiff::Zoned;
use parlor::{
    Action, Close, CloseCode, Consumer, Event, Frame, Group, Interval, Refusal, Request, Response,
    StartPosition, Subscription, Welcome,
};

use crate::chat::frame_error::{FrameError, FrameErrorCode};
use crate::chat::server_frame as frames;
use crate::chat::tutorial as plain;
use crate::chat::v1 as chat;
use crate::rooms::access::Room;

/// The type of a push event; its `message` is the whole line.
const MESSAGE: &str = "push_message";

/// A socket at `/ws/push/{room}` without a subprotocol.
pub(crate) struct PlainPush;

/// A socket at `/ws/push/{room}` that speaks `parlor.v1`. Lines are not logged, so there is
/// nothing to resume.
pub(crate) struct Push;

const INTERVAL: Interval = Interval { period: Duration::from_secs(2), event: line };

impl Consumer for PlainPush {
    const INTERVAL: Option<Interval> = Some(INTERVAL);

    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let room = Room::of_path(request).await?;
        Ok(room.session(request, room.push_group()))
    }

    /// Ignores text frames, as the tutorial does.
    async fn receive(_: &Subscription, frame: Frame<'_>) -> Action {
        match frame {
            Frame::Text(_) => Action::Nothing,
            Frame::Binary(_) => {
                Action::Close(Close::new(CloseCode::UnsupportedData, "expected no binary frame"))
            }
        }
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        if event.kind() != MESSAGE {
            return None;
        }
        let line = event.text("message")?;
        Some(plain::frame(line, line.len()))
    }
}

impl Consumer for Push {
    const INTERVAL: Option<Interval> = Some(INTERVAL);
    const SUBPROTOCOL: Option<&'static str> = Some("parlor.v1");

    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let room = Room::of_path(request).await?;
        Ok(room.session(request, room.push_group()).resuming(StartPosition::now()))
    }

    async fn receive(_: &Subscription, _: Frame<'_>) -> Action {
        let error = FrameError::new(FrameErrorCode::UnknownType, "this socket only listens");
        Action::Send(frames::error(&error, None))
    }

    fn too_fast(frame: &Frame<'_>) -> Option<Frame<'static>> {
        Some(chat::too_fast(frame))
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        if event.kind() != MESSAGE {
            return None;
        }
        Some(frames::push(event.text("message")?))
    }

    fn welcome(session: &Subscription, welcome: &Welcome) -> Option<Frame<'static>> {
        Some(frames::welcome(session.name(), session.identity(), welcome))
    }

    fn bye(reconnect: Duration) -> Option<Frame<'static>> {
        Some(frames::bye(reconnect))
    }
}

/// `GET` and `POST /push?room=`: starts the room's stream.
pub(crate) async fn start(request: Request) -> Result<Response, Refusal> {
    let group = Room::of_query(&request).await?.push_group();
    parlor::start_interval::<PlainPush>(request.context(), &group).await.map_err(away)?;
    Ok(success())
}

/// `DELETE /push?room=`: stops it.
pub(crate) async fn stop(request: Request) -> Result<Response, Refusal> {
    let group = Room::of_query(&request).await?.push_group();
    request.context().stop_ticker(&group).await.map_err(away)?;
    Ok(success())
}

pub(crate) fn success() -> Response {
    Response::json("{\"status\": \"success\"}")
}

fn away(error: parlor::LayerError) -> Refusal {
    if error.is_retryable() {
        return Refusal::unavailable("the stream could not be reached: try again later");
    }
    error.into()
}

/// Creates the next line, with the node's local time.
fn line(group: &Group) -> Event {
    let now = Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
    Event::new(MESSAGE).with("message", &format!("[{now}] 实时推送 - 房间: {group}"))
}
