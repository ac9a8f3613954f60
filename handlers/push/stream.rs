//! Starting and stopping the push stream of a room.

use parlor::{LayerError, Refusal, Request, Response, start_interval, stop_interval};

use crate::push::channel::Push;
use crate::rooms::room::Room;

/// `GET` and `POST /push?room=`: starts the room's stream.
pub(crate) async fn start(request: Request) -> Result<Response, Refusal> {
    let group = Room::from_query(&request).await?.push_group();
    start_interval::<Push>(request.context(), &group).await.map_err(refusal)?;
    Ok(success())
}

/// `DELETE /push?room=`: stops it.
pub(crate) async fn stop(request: Request) -> Result<Response, Refusal> {
    let group = Room::from_query(&request).await?.push_group();
    stop_interval(request.context(), &group).await.map_err(refusal)?;
    Ok(success())
}

/// Returns the response of the tutorial's button.
pub(crate) fn success() -> Response {
    Response::json("{\"status\": \"success\"}")
}

fn refusal(error: LayerError) -> Refusal {
    if error.is_retryable() {
        return Refusal::unavailable("the stream could not be reached: try again later");
    }
    error.into()
}
