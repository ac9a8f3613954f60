//! Publishing a message without a socket.

use parlor::{ChannelName, ClientRequest, Command, Denied, Frame, Refusal, Request, Response, StatusCode};

use crate::chat::channel;
use crate::protocols::streams::CHAT;
use crate::protocols::v1::client_frame;
use crate::protocols::v1::client_frame::Rejected;
use crate::protocols::v1::frame_error::{FrameError, FrameErrorCode, Logged};
use crate::protocols::v1::server_frame;
use crate::rooms::room::Room;

/// Answers `POST /chat/{room}/messages`: the body is a client's `message` frame, the response an
/// `ack` or an `error` frame. A `read` frame is answered 204.
pub(crate) async fn message(request: Request) -> Result<Response, Refusal> {
    let (context, identity) = (request.context(), request.identity());
    let name = request.param("room").unwrap_or_default();
    let failed = |error: &FrameError, id: Option<&str>| {
        let channel = ChannelName { stream: CHAT, name };
        response(error.code.status(), &server_frame::error(channel.into(), error, id))
    };
    let room = match Room::find(context, identity, name).await {
        Ok(room) => room,
        Err(Denied::Layer(error)) => return Ok(failed(&FrameError::from(&error), None)),
        Err(denied) => return Err(denied.into()),
    };
    let body = client_frame::parse(request.body(), context.config().max_message_bytes);
    let body = body.map(|body| match body {
        ClientRequest::Command(None, command) => Some(command),
        _ => None,
    });
    Ok(match body {
        Ok(Some(Command::Publish { text, data, event, id })) => {
            let (id, group) = (id.as_deref(), room.chat_group());
            if !room.may_publish(context) {
                let error = FrameError::new(FrameErrorCode::NoAccess, "only programs publish here");
                return Ok(failed(&error, id));
            }
            request.charge_log(&group)?;
            let message = channel::message(&text, data.as_deref(), event.as_deref());
            let appended = channel::publish(context, identity, &group, &message, id).await;
            match appended.map_err(|error| FrameError::from(&error)).and_then(Logged::try_from) {
                Ok(logged) => response(StatusCode::OK, &server_frame::ack(room.name(), id, &logged)),
                Err(error) => failed(&error, id),
            }
        }
        Ok(Some(Command::MarkRead { id })) => {
            match channel::mark_read(context, identity, &room.chat_group(), id).await {
                Ok(()) => Response::text(StatusCode::NO_CONTENT, ""),
                Err(error) => failed(&FrameError::from(&error), None),
            }
        }
        Ok(_) => {
            let error =
                FrameError::new(FrameErrorCode::UnknownType, "expected a message or read, and no `room`");
            failed(&error, None)
        }
        Err(Rejected { error, id, .. }) => failed(&error, id.as_deref()),
    })
}

fn response(status: StatusCode, frame: &Frame<'_>) -> Response {
    let Frame::Text(json) = frame else { unreachable!("frames of this protocol are texts") };
    Response::json_with(status, json.to_string())
}
