//! PublishRequest the same in many rooms.

use futures_util::future::join_all;
use parlor::{Id, Refusal, Request, Response, StatusCode};
use serde::Serialize;

use super::body::Body;
use crate::api::publish_request::PublishRequest;
use crate::rooms::access::Room;

/// Most rooms of one call.
const MOST: usize = 100;

#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

/// What became of it in one room, as if it had been asked for alone.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Said { room: String, status: u16, id: Id, duplicate: bool },
    SignUpError { room: String, status: u16, detail: String },
}

/// `POST /api/broadcast`.
pub(crate) async fn send(request: Request) -> Result<Response, Refusal> {
    let mut body = Body::of(&request)?;
    let rooms = body.texts("rooms")?;
    let saying = PublishRequest::of(&request, &mut body)?;
    body.end()?;
    if !(1..=MOST).contains(&rooms.len()) {
        return Err(Refusal::bad_request(format!("`rooms`: expected 1 to {MOST}")));
    }
    if let Some((_, room)) = rooms.iter().enumerate().find(|(at, room)| rooms[..*at].contains(room)) {
        return Err(Refusal::bad_request(format!(
            "`rooms`: expected each once, and `{room:.64}` is there twice"
        )));
    }
    let outcomes = rooms.into_iter().map(|room| outcome(&request, &saying, room));
    let results = join_all(outcomes).await;
    Ok(super::answer(StatusCode::OK, &Results { results }))
}

async fn outcome(request: &Request, saying: &PublishRequest, room: String) -> Outcome {
    let said = async {
        request.charge_item()?;
        saying.said_in(request, &Room::served(request, Some(&room)).await?).await
    };
    match said.await {
        Ok(done) => {
            let (status, id, duplicate) = (done.status().as_u16(), done.id, done.duplicate);
            Outcome::Said { room, status, id, duplicate }
        }
        Err(refusal) => {
            let (status, detail) = (refusal.status().as_u16(), refusal.detail().to_owned());
            Outcome::SignUpError { room, status, detail }
        }
    }
}
