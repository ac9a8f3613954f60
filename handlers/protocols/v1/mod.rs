//! `parlor.v1`: frames with identifiers, acks and errors, as docs/protocol.md defines them.

pub(crate) mod client_frame;
pub(crate) mod frame_error;
pub(crate) mod frame_id;
pub(crate) mod members_json;
pub(crate) mod server_frame;

use std::time::Duration;

use parlor::{
    Action, ChannelName, ClientRequest, Close, Command, Config, Denied, Frame, Identity, LayerError,
    NumberedRequest, Protocol, Refused, Reply, ReplyTo, View, Welcome,
};

use crate::protocols::v1::client_frame::Rejected;
use crate::protocols::v1::frame_error::{FrameError, FrameErrorCode, Logged};
use crate::protocols::v1::server_frame::Place;

/// Frames up to this multiple of the limit are answered by an error; longer ones close the socket.
const ANSWERED_LIMIT_MULTIPLE: usize = 4;

/// The protocol.
pub(crate) struct V1;

impl Protocol for V1 {
    const RESUMES: bool = true;
    const SUBPROTOCOL: Option<&'static str> = Some("parlor.v1");

    fn max_frame_bytes(config: &Config) -> usize {
        config.max_message_bytes * ANSWERED_LIMIT_MULTIPLE
    }

    fn decode<'a>(frame: &'a Frame<'_>, config: &Config) -> Result<NumberedRequest<'a>, Action> {
        client_frame::decode(frame, config.max_message_bytes).map(NumberedRequest::from).map_err(|rejected| {
            let Rejected { error, id, room } = rejected;
            let place = Place { stream: None, room: room.as_deref() };
            Action::Send(server_frame::error(place, &error, id.as_deref()))
        })
    }

    fn unsupported(_: &Frame<'_>) -> Action {
        Action::Send(server_frame::error(Place::default(), &only_listens(), None))
    }

    fn too_fast(frame: &Frame<'_>) -> Action {
        // Of any length: the error carries the client's id of the message.
        match client_frame::decode(frame, usize::MAX) {
            Ok(request) => V1::refuse(&request.into(), &Refused::TooFast),
            Err(Rejected { id, room, .. }) => {
                let place = Place { stream: None, room: room.as_deref() };
                Action::Send(server_frame::error(place, &too_fast(), id.as_deref()))
            }
        }
    }

    fn reply(to: &ReplyTo<'_>, reply: Result<&Reply, &LayerError>) -> Action {
        let ReplyTo { command, channel, view, .. } = *to;
        let (id, room) = (id_of(command), channel.name);
        let failed = |error: &FrameError| server_frame::error(channel.into(), error, id);
        Action::Send(match reply {
            Ok(Reply::Nothing) => return Action::Nothing,
            Ok(Reply::Unsupported | Reply::Log(..) | Reply::Unrecoverable | Reply::Connections(_)) => {
                failed(&FrameError::new(FrameErrorCode::UnknownType, "this channel does not take this type"))
            }
            Ok(Reply::Published(appended)) => match Logged::try_from(*appended) {
                Ok(logged) => server_frame::ack(room, id, &logged),
                Err(error) => failed(&error),
            },
            Ok(Reply::History(page)) => server_frame::history(room, &page.events, page.more, view),
            Err(error) => failed(&FrameError::from(error)),
        })
    }

    fn view(view: &View<'_>, channel: ChannelName<'_>) -> Option<Frame<'static>> {
        server_frame::view(view, channel.name)
    }

    fn welcome(channel: ChannelName<'_>, identity: &Identity, welcome: &Welcome) -> Option<Frame<'static>> {
        Some(server_frame::welcome(channel, identity, welcome))
    }

    fn refuse(request: &NumberedRequest<'_>, refused: &Refused) -> Action {
        let Some(error) = refusal(refused) else { return Action::Nothing };
        let (target, id) = match &request.request {
            ClientRequest::Command(target, command) => (target.as_ref(), id_of(command)),
            ClientRequest::Join(join) => (Some(&join.target), None),
            ClientRequest::Leave(target) | ClientRequest::RefreshJoin(target, _) => (Some(target), None),
            ClientRequest::Connect(_) | ClientRequest::Refresh(_) | ClientRequest::Pong => (None, None),
        };
        let place = target
            .map(|target| ChannelName { stream: target.stream, name: client_frame::repeated(&target.name) });
        let place = place.map_or_else(Place::default, Place::from);
        Action::Send(server_frame::error(place, &error, id))
    }

    fn left(channel: ChannelName<'_>, close: &Close) -> Option<Frame<'static>> {
        Some(server_frame::left(channel, close))
    }

    fn bye(reconnect: Duration) -> Option<Frame<'static>> {
        Some(server_frame::bye(reconnect))
    }
}

/// Returns the client's id of a message.
fn id_of<'a>(command: &'a Command<'_>) -> Option<&'a str> {
    match command {
        Command::Publish { id, .. } => id.as_deref(),
        _ => None,
    }
}

fn only_listens() -> FrameError {
    FrameError::new(FrameErrorCode::UnknownType, "this channel only listens")
}

fn too_fast() -> FrameError {
    FrameError::new(FrameErrorCode::Rate, "too fast: send it again later, with the same `id`")
}

/// Returns the error for a request; `None` if the channel's `left` has answered it.
fn refusal(refused: &Refused) -> Option<FrameError> {
    use FrameErrorCode::{AlreadyJoined, InvalidRoom, LoginRequired, NoAccess, NotFound, NotJoined, TooMany};
    Some(match refused {
        Refused::HasLeft => return None,
        Refused::NotJoined => {
            FrameError::new(NotJoined, "`room`: expected one that this connection has joined")
        }
        Refused::AlreadyJoined => FrameError::new(AlreadyJoined, "this connection has joined it already"),
        Refused::TooMany(most) => {
            FrameError::new(TooMany, format!("a connection joins at most {most} channels: leave one first"))
        }
        Refused::TakesNoCommands => only_listens(),
        Refused::TooFast => too_fast(),
        Refused::TryAgain | Refused::TokenExpired | Refused::Unrecoverable => {
            FrameError::new(FrameErrorCode::Unavailable, "try again later")
        }
        Refused::Denied(Denied::Layer(error)) => FrameError::from(error),
        Refused::Denied(Denied::NotFound) => {
            FrameError::new(NotFound, "there is no such room for this client")
        }
        Refused::Denied(Denied::BadName(reason)) => FrameError::new(InvalidRoom, reason.to_string()),
        Refused::Denied(Denied::LoginRequired(reason)) => FrameError::new(LoginRequired, reason.to_string()),
        Refused::Denied(Denied::Forbidden(reason)) => FrameError::new(NoAccess, reason.to_string()),
    })
}
