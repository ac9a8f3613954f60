//! The API: what other programs do in rooms, with a key, and operators from pages of this site.

pub(crate) mod broadcast;
pub(crate) mod document;
pub(crate) mod events;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod push;
pub(crate) mod rooms;
pub(crate) mod users;

mod body;
mod saying;

use parlor::http::{Refusal, Response, StatusCode};
use parlor::{Request, Standing};
use serde::Serialize;

use crate::name::Name;

/// What a key may do: speak in rooms.
const PUBLISH: &str = "publish";
/// Read what is said, and who is there.
const READ: &str = "read";
/// Send users away.
const DISCONNECT: &str = "disconnect";

/// Whether the caller may do what this scope is for. Operators may do everything.
fn check(request: &Request, scope: &str) -> Result<(), Refusal> {
    let identity = request.identity();
    match identity.standing() {
        Standing::Key if identity.may(scope) => Ok(()),
        Standing::Key => {
            Err(Refusal::forbidden(format!("`Authorization`: expected a key with the scope `{scope}`")))
        }
        Standing::Staff => request.by_script(),
        Standing::User => Err(Refusal::forbidden("expected an API key, or the login of an operator")),
        Standing::Stranger | Standing::Guest => {
            Err(Refusal::unauthorized("`Authorization`: expected `Bearer` and an API key"))
        }
    }
}

/// The room in the path.
fn room_of_path(request: &Request) -> Result<Name, Refusal> {
    room(request, request.name())
}

/// The room of this name. Private chats are nobody else's: here they do not exist.
fn room(request: &Request, text: Option<&str>) -> Result<Name, Refusal> {
    if text.is_some_and(|text| text.starts_with('@')) {
        return Err(Refusal::not_found());
    }
    Name::parse(request, text)
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    Response::json_with(status, serde_json::to_string(body).expect("answers have text keys"))
}
