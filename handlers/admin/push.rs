//! The push stream of any room, for operators.

use parlor::{Refusal, Request, Response};

use super::note;
use crate::push::stream::{PlainPush, success};
use crate::rooms::access::Room;

/// `POST /admin/rooms/{room}/push`: starts the room's stream.
pub(crate) async fn start(request: Request) -> Result<Response, Refusal> {
    let (room, _) = Room::operated(&request, request.param("room")).await?;
    note(&request, "push_start", room.name()).await?;
    parlor::start_interval::<PlainPush>(request.context(), &room.push_group()).await?;
    Ok(success())
}

/// `DELETE /admin/rooms/{room}/push`: stops it.
pub(crate) async fn stop(request: Request) -> Result<Response, Refusal> {
    let (room, _) = Room::operated(&request, request.param("room")).await?;
    note(&request, "push_stop", room.name()).await?;
    request.context().stop_ticker(&room.push_group()).await?;
    Ok(success())
}
