//! Why a client may not enter a channel.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::http::response::Refusal;
use crate::layer::LayerError;
use crate::wire::frame::Transport;

/// Why a client may not enter a channel.
#[derive(Clone, Debug, Error)]
pub enum Denied {
    /// The name breaks the application's rule for names: 400.
    #[error("{0}")]
    BadName(Reason),
    /// Only clients with a login may enter: 401; 403 in the response to a WebSocket handshake,
    /// whose status the page of a browser does not see.
    #[error("{0}")]
    LoginRequired(Reason),
    /// This client may not enter: 403.
    #[error("{0}")]
    Forbidden(Reason),
    /// There is no such channel, or the client may not know of it: 404.
    #[error("not found")]
    NotFound,
    /// The layer did not answer: 503 if a retry may succeed, else 500.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// What was expected: a detail for programs, and perhaps a message of the catalogue for people.
#[derive(Clone, Debug)]
pub struct Reason {
    detail: Cow<'static, str>,
    message_key: Option<&'static str>,
    message_values: Vec<(&'static str, String)>,
}

impl Reason {
    /// Creates a reason with this detail.
    pub fn new(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), message_key: None, message_values: Vec::new() }
    }

    /// Sets the message of the catalogue that pages show instead of the detail.
    #[must_use]
    pub fn message_key(self, key: &'static str) -> Self {
        Self { message_key: Some(key), ..self }
    }

    /// Sets what replaces `{name}` in the message.
    #[must_use]
    pub fn message_value(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.message_values.push((name, value.into()));
        self
    }

    /// Returns a refusal for this reason, made of its detail.
    fn refusal(self, refuse: impl FnOnce(Cow<'static, str>) -> Refusal) -> Refusal {
        let mut refusal = refuse(self.detail);
        (refusal.message_key, refusal.message_values) = (self.message_key, self.message_values);
        refusal
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Denied {
    /// Returns the response to a request for this transport.
    pub(crate) fn refusal(self, transport: Transport) -> Refusal {
        match self {
            Self::LoginRequired(reason) if transport == Transport::WebSocket => {
                reason.refusal(Refusal::forbidden)
            }
            other => other.into(),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::BadName(reason) => reason.refusal(Self::bad_request),
            Denied::LoginRequired(reason) => reason.refusal(Self::unauthorized),
            Denied::Forbidden(reason) => reason.refusal(Self::forbidden),
            Denied::NotFound => Self::not_found(),
            Denied::Layer(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn a_required_login_is_401_and_on_a_websocket_403() {
        let denied = Denied::LoginRequired(Reason::new("expected a login").message_key("no_guests"));
        for (transport, status) in
            [(Transport::Sse, StatusCode::UNAUTHORIZED), (Transport::WebSocket, StatusCode::FORBIDDEN)]
        {
            let refusal = denied.clone().refusal(transport);
            assert_eq!((refusal.status, refusal.message_key), (status, Some("no_guests")), "{transport:?}");
        }
        let missing = Denied::NotFound.refusal(Transport::WebSocket);
        assert_eq!(missing.status, StatusCode::NOT_FOUND);
    }
}
