//! The pages of operators. Their routes do not exist for other clients ([`Who::Staff`]), and each
//! action is in the audit log before it is done.
//!
//! [`Who::Staff`]: parlor::Who::Staff

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod keys;
pub(crate) mod nodes;
pub(crate) mod push;
pub(crate) mod room;
pub(crate) mod rooms;
pub(crate) mod stats;
pub(crate) mod streams;
pub(crate) mod users;

mod closure;

use parlor::{LayerError, Refusal, Request, Response, StatusCode, secret};

/// Writes an action of the client into the audit log, before it is done.
async fn note(request: &Request, what: &str, about: &str) -> Result<(), LayerError> {
    request.context().audit(request.identity().name(), what, about).await
}

/// Redirects to the page of the form.
fn back(path: &str) -> Response {
    Response::redirect(StatusCode::SEE_OTHER, path)
}

/// Refuses an unknown action.
fn no_action() -> Refusal {
    Refusal::bad_request("`action`: expected one that this page has")
}

/// Checks that an id is that of another user than the operator.
fn user<'a>(request: &Request, id: &'a str) -> Result<&'a str, Refusal> {
    if !secret::is_user_id(id) {
        return Err(Refusal::bad_request("`user`: expected 16 hexadecimal digits"));
    }
    if id == request.identity().id() {
        return Err(Refusal::bad_request("`user`: expected another user than the operator")
            .message_key("not_yourself"));
    }
    Ok(id)
}

/// Formats a user for the audit log.
fn about(name: &str, id: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") }
}
