//! Publishes one message in many rooms.

use futures_util::future::join_all;
use parlor::{Id, Refusal, Request, Response, StatusCode};
use serde::Serialize;

use super::body::Body;
use crate::api::publish_request::PublishRequest;
use crate::rooms::room::Room;

/// The most rooms of one request.
const MAX_BROADCAST_ROOMS: usize = 100;

#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

/// The outcome in one room: what a request for this room alone would answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Published { room: String, status: u16, id: Id, duplicate: bool },
    Refused { room: String, status: u16, detail: String },
}

/// Answers `POST /api/broadcast`.
pub(crate) async fn send(request: Request) -> Result<Response, Refusal> {
    let mut body = Body::from_request(&request)?;
    let rooms = body.texts("rooms")?;
    let publish = PublishRequest::from_request(&request, &mut body)?;
    body.end()?;
    if !(1..=MAX_BROADCAST_ROOMS).contains(&rooms.len()) {
        return Err(Refusal::bad_request(format!("`rooms`: expected 1 to {MAX_BROADCAST_ROOMS}")));
    }
    if let Some((_, room)) = rooms.iter().enumerate().find(|(at, room)| rooms[..*at].contains(room)) {
        return Err(Refusal::bad_request(format!(
            "`rooms`: expected each once, and `{room:.64}` is there twice"
        )));
    }
    let outcomes = rooms.into_iter().map(|room| outcome(&request, &publish, room));
    let results = join_all(outcomes).await;
    Ok(super::answer(StatusCode::OK, &Results { results }))
}

async fn outcome(request: &Request, publish: &PublishRequest, room: String) -> Outcome {
    let said = async {
        request.charge_item()?;
        publish.publish_in(request, &Room::find_for_api(request.context(), &room).await?).await
    };
    match said.await {
        Ok(done) => {
            let (status, id, duplicate) = (done.status().as_u16(), done.id, done.duplicate);
            Outcome::Published { room, status, id, duplicate }
        }
        Err(refusal) => {
            let (status, detail) = (refusal.status().as_u16(), refusal.detail().to_owned());
            Outcome::Refused { room, status, detail }
        }
    }
}
