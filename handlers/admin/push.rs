//! The push stream of any room, for operators.

use parlor::{Refusal, Request, Response};

use super::note;
use crate::push::channel::Push;
use crate::push::stream::success;
use crate::rooms::room::Room;

/// `POST /admin/rooms/{room}/push`: starts the room's stream.
pub(crate) async fn start(request: Request) -> Result<Response, Refusal> {
    let (room, _) = Room::from_operator_path(&request).await?;
    note(&request, "push_start", room.name()).await?;
    parlor::start_interval::<Push>(request.context(), &room.push_group()).await?;
    Ok(success())
}

/// `DELETE /admin/rooms/{room}/push`: stops it.
pub(crate) async fn stop(request: Request) -> Result<Response, Refusal> {
    let (room, _) = Room::from_operator_path(&request).await?;
    note(&request, "push_stop", room.name()).await?;
    parlor::stop_interval(request.context(), &room.push_group()).await?;
    Ok(success())
}
