//! Publishing a message without a socket.

use parlor::{Refusal, Request, Response, StatusCode};

use crate::chat::client_frame::ClientFrame;
use crate::chat::frame_error as error;
use crate::chat::frame_error::{FrameError, FrameErrorCode};
use crate::chat::server_frame as frames;
use crate::chat::v1 as chat;
use crate::rooms::access::Room;

/// Answers `POST /chat/{room}/messages`: the body is a client's `message` frame, the response an
/// `ack` or an `error` frame.
pub(crate) async fn post(request: Request) -> Result<Response, Refusal> {
    let room = match Room::look_up(&request, request.param("room")).await {
        Ok(room) => room?,
        Err(error) => {
            let error = FrameError::from(&error);
            return Ok(answer(error.code.status(), &frames::error(&error, None)));
        }
    };
    let group = room.chat_group();
    let (error, id) = match ClientFrame::parse(request.body(), request.context().config().max_message_bytes) {
        Ok(ClientFrame::Message { text, id }) => {
            let event = chat::message(&text);
            let mut appended = request.append(&group, &event, id.as_deref()).await;
            if let Ok(said) = appended
                && let Err(away) = chat::noted(request.context(), request.identity(), &group, said).await
            {
                appended = Err(away);
            }
            match error::answer(&appended) {
                Ok(logged) => return Ok(answer(StatusCode::OK, &frames::ack(id.as_deref(), &logged))),
                Err(error) => (error, id),
            }
        }
        Ok(_) => (FrameError::new(FrameErrorCode::UnknownType, "`type`: expected message"), None),
        Err(wrong) => wrong,
    };
    Ok(answer(error.code.status(), &frames::error(&error, id.as_deref())))
}

fn answer(status: StatusCode, frame: &parlor::Frame<'_>) -> Response {
    let parlor::Frame::Text(json) = frame else { unreachable!("frames of this wire are texts") };
    Response::json_with(status, json.to_string())
}
