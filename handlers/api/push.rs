//! Starts and stops the push stream of a room.

use parlor::{Refusal, Request, Response, StatusCode};
use serde::Serialize;

use crate::push::stream::PlainPush;
use crate::rooms::access::Room;

#[derive(Serialize)]
struct Stream<'a> {
    room: &'a str,
    running: bool,
}

/// `POST /api/push/{room}`.
pub(crate) async fn start(request: Request) -> Result<Response, Refusal> {
    let room = Room::served(&request, request.param("room")).await?;
    parlor::start_interval::<PlainPush>(request.context(), &room.push_group()).await?;
    Ok(super::answer(StatusCode::OK, &Stream { room: room.name(), running: true }))
}

/// `DELETE /api/push/{room}`.
pub(crate) async fn stop(request: Request) -> Result<Response, Refusal> {
    let room = Room::served(&request, request.param("room")).await?;
    request.context().stop_ticker(&room.push_group()).await?;
    Ok(super::answer(StatusCode::OK, &Stream { room: room.name(), running: false }))
}
