//! Tickets: what programs and pages of others show at a socket instead of what lasts.

use parlor::{Refusal, Request, Response, StatusCode, TICKET_LIFETIME};
use serde_json::json;

/// `POST /api/tickets`: a ticket for one socket, for whoever shows a token, or a login's cookie with the CSRF token.
pub(crate) async fn make(request: Request) -> Result<Response, Refusal> {
    let ticket = request.ticket().await?;
    let answer = json!({ "ticket": ticket, "expires_in": TICKET_LIFETIME.as_secs() });
    Ok(Response::json_with(StatusCode::CREATED, answer.to_string()))
}
