//! Starts and stops the push stream of a room.

use parlor::{Refusal, Request, Response, StatusCode};
use serde::Serialize;

use crate::push::channel::Push;
use crate::rooms::room::Room;

#[derive(Serialize)]
struct Stream<'a> {
    room: &'a str,
    running: bool,
}

/// `POST /api/push/{room}`.
pub(crate) async fn start(request: Request) -> Result<Response, Refusal> {
    let room = Room::from_api_path(&request).await?;
    parlor::start_interval::<Push>(request.context(), &room.push_group()).await?;
    Ok(super::answer(StatusCode::OK, &Stream { room: room.name(), running: true }))
}

/// `DELETE /api/push/{room}`.
pub(crate) async fn stop(request: Request) -> Result<Response, Refusal> {
    let room = Room::from_api_path(&request).await?;
    parlor::stop_interval(request.context(), &room.push_group()).await?;
    Ok(super::answer(StatusCode::OK, &Stream { room: room.name(), running: false }))
}
