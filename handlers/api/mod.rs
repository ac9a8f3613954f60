//! The API, for programs with a key and for operators.

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

use parlor::{Response, StatusCode};
use serde::Serialize;

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    Response::json_with(status, serde_json::to_string(body).expect("answers have text keys"))
}
