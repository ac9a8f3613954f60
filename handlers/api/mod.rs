//! The API: what other programs do in rooms, with a key, and operators from pages of this site.

pub(crate) mod broadcast;
pub(crate) mod document;
pub(crate) mod events;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod push;
pub(crate) mod rooms;
pub(crate) mod users;

pub(crate) mod body;
mod publish_request;

use parlor::http::{Refusal, Response, StatusCode};
use parlor::{Request, Role};
use serde::Serialize;

/// What a key may be for.
pub(crate) const SCOPES: [&str; 3] = [PUBLISH, READ, DISCONNECT];
/// To speak in rooms.
pub(crate) const PUBLISH: &str = "publish";
/// To read what is said, and who is there.
pub(crate) const READ: &str = "read";
/// To send users away.
const DISCONNECT: &str = "disconnect";

/// Whether the caller may do what this scope is for. Operators may do everything.
fn check(request: &Request, scope: &str) -> Result<(), Refusal> {
    let identity = request.identity();
    match identity.standing() {
        Role::Key if identity.may(scope) => Ok(()),
        Role::Key => {
            Err(Refusal::forbidden(format!("`Authorization`: expected a key with the scope `{scope}`")))
        }
        Role::Staff => request.by_script(),
        Role::User => Err(Refusal::forbidden("expected an API key, or the login of an operator")),
        Role::Anonymous | Role::Guest => {
            Err(Refusal::unauthorized("`Authorization`: expected `Bearer` and an API key"))
        }
    }
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    Response::json_with(status, serde_json::to_string(body).expect("answers have text keys"))
}
