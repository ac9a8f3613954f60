//! What operators see and do at `/admin/`. The runtime serves these routes to operators alone ([`for_staff`]), and each
//! action is written into the audit log before it is done.
//!
//! [`for_staff`]: parlor::Route::for_staff

pub(crate) mod audit;
pub(crate) mod keys;
pub(crate) mod nodes;
pub(crate) mod operator_view;
pub(crate) mod push;
pub(crate) mod room;
pub(crate) mod rooms;
pub(crate) mod stats;
pub(crate) mod users;

mod closure;

use parlor::{LayerError, Refusal, Request, Response, StatusCode};

/// Writes into the audit log what the client of this request is about to do.
async fn note(request: &Request, what: &str, about: &str) -> Result<(), LayerError> {
    request.context().audit(request.identity().name(), what, about).await
}

/// Back to the page on which it was done.
fn back(path: &str) -> Response {
    Response::redirect(StatusCode::SEE_OTHER, path)
}

/// No action of this page.
fn no_action() -> Refusal {
    Refusal::bad_request("`action`: expected one that this page has")
}

/// Another user than the operator, by its id.
fn user<'a>(request: &Request, id: &'a str) -> Result<&'a str, Refusal> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() != 16 || !id.bytes().all(is_digit) {
        return Err(Refusal::bad_request("`user`: expected 16 hexadecimal digits"));
    }
    if id == request.identity().id() {
        return Err(Refusal::bad_request("`user`: expected somebody else").told_by("not_yourself"));
    }
    Ok(id)
}

/// A user for the audit log.
fn about(name: &str, id: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") }
}

/// A time in milliseconds since 1970, as RFC 3339 writes it; pages show it in the reader's own zone.
fn time(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
