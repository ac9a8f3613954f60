//! Tickets: short-lived credentials for one socket.

use parlor::{Refusal, Request, Response, StatusCode, TICKET_LIFETIME};
use serde_json::json;

/// Answers `POST /api/tickets`: a ticket for the user of a token, or of a session with its CSRF
/// token.
pub(crate) async fn make(request: Request) -> Result<Response, Refusal> {
    let ticket = request.ticket().await?;
    let answer = json!({ "ticket": ticket, "expires_in": TICKET_LIFETIME.as_secs() });
    Ok(Response::json_with(StatusCode::CREATED, answer.to_string()))
}
