//! `parlor.v1`: frames with identifiers, acks and errors, as docs/protocol.md defines them.

pub(crate) mod client_frame;
pub(crate) mod frame_error;
pub(crate) mod frame_id;
pub(crate) mod members_json;
pub(crate) mod server_frame;

use std::time::Duration;

use parlor::{Action, Command, Config, Frame, Identity, LayerError, Protocol, Reply, View, ViewFn, Welcome};

use crate::protocols::v1::frame_error::{FrameError, FrameErrorCode, Logged};

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

    fn decode<'a>(frame: &'a Frame<'_>, config: &Config) -> Result<Command<'a>, Action> {
        client_frame::decode(frame, config.max_message_bytes)
            .map_err(|(error, id)| Action::Send(server_frame::error(&error, id.as_deref())))
    }

    fn unsupported(_: &Frame<'_>) -> Action {
        Action::Send(server_frame::error(&unsupported(), None))
    }

    fn too_fast(frame: &Frame<'_>) -> Action {
        // Of any length: the error carries the client's id of the message.
        let id = match client_frame::decode(frame, usize::MAX) {
            Ok(Command::Publish { id, .. }) | Err((_, id)) => id,
            Ok(_) => None,
        };
        let error =
            FrameError::new(FrameErrorCode::Rate, "too fast: send it again later, with the same `id`");
        Action::Send(server_frame::error(&error, id.as_deref()))
    }

    fn reply(command: &Command<'_>, reply: Result<&Reply, &LayerError>, view: ViewFn) -> Action {
        let id = match command {
            Command::Publish { id, .. } => id.as_deref(),
            _ => None,
        };
        Action::Send(match reply {
            Ok(Reply::Nothing) => return Action::Nothing,
            Ok(Reply::Unsupported) => {
                let error =
                    FrameError::new(FrameErrorCode::UnknownType, "this socket does not take this type");
                server_frame::error(&error, None)
            }
            Ok(Reply::Published(appended)) => match Logged::try_from(*appended) {
                Ok(logged) => server_frame::ack(id, &logged),
                Err(error) => server_frame::error(&error, id),
            },
            Ok(Reply::History(page)) => server_frame::history(&page.events, page.more, view),
            Err(error) => server_frame::error(&FrameError::from(error), id),
        })
    }

    fn view(view: &View<'_>) -> Option<Frame<'static>> {
        Some(server_frame::view(view))
    }

    fn welcome(name: &str, identity: &Identity, welcome: &Welcome) -> Option<Frame<'static>> {
        Some(server_frame::welcome(name, identity, welcome))
    }

    fn bye(reconnect: Duration) -> Option<Frame<'static>> {
        Some(server_frame::bye(reconnect))
    }
}

/// Returns the error for a frame in a channel that takes no commands.
fn unsupported() -> FrameError {
    FrameError::new(FrameErrorCode::UnknownType, "this socket only listens")
}
