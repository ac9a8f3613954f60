//! Errors and close codes of Centrifugo's client protocol, as its table of codes has them.

use parlor::{
    Close, CloseCode, Denied, INVALID_TOKEN, LayerError, NOT_CONNECTED, Refused, TOKEN_EXPIRED,
    TOO_MANY_CHANNELS, TOO_SLOW,
};

pub(crate) use crate::protocols::centrifugo::messages::Error;

/// An error that answers a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum ErrorCode {
    /// The server failed; another attempt may succeed.
    Internal = 100,
    /// There is no such channel, and there can be none.
    UnknownChannel = 102,
    /// The client may not do this.
    PermissionDenied = 103,
    /// There is no such method.
    MethodNotFound = 104,
    /// The client has subscribed to this channel already.
    AlreadySubscribed = 105,
    /// The client has as many subscriptions as it may have.
    LimitExceeded = 106,
    /// The request is malformed.
    BadRequest = 107,
    /// The server does not offer this.
    NotAvailable = 108,
    /// The token has expired: the client gets another one.
    TokenExpired = 109,
    /// The client sends too much; another attempt may succeed later.
    TooManyRequests = 111,
    /// What followed the position is lost.
    UnrecoverablePosition = 112,
}

/// A code with which a client loses its subscription.
pub(crate) mod unsubscribed {
    /// The server ended it for good.
    pub(crate) const SERVER: u32 = 2000;
    /// Messages may be missing: the client subscribes again from its position.
    pub(crate) const INSUFFICIENT_STATE: u32 = 2500;
    /// The token for the channel has expired: the client subscribes again with another one.
    pub(crate) const EXPIRED: u32 = 2501;
}

impl ErrorCode {
    fn message(self) -> &'static str {
        match self {
            Self::Internal => "internal server error",
            Self::UnknownChannel => "unknown channel",
            Self::PermissionDenied => "permission denied",
            Self::MethodNotFound => "method not found",
            Self::AlreadySubscribed => "already subscribed",
            Self::LimitExceeded => "limit exceeded",
            Self::BadRequest => "bad request",
            Self::NotAvailable => "not available",
            Self::TokenExpired => "token expired",
            Self::TooManyRequests => "too many requests",
            Self::UnrecoverablePosition => "unrecoverable position",
        }
    }

    fn is_temporary(self) -> bool {
        matches!(self, Self::Internal | Self::TooManyRequests)
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self { code: code as u32, message: code.message().to_owned(), temporary: code.is_temporary() }
    }
}

impl From<&Refused> for ErrorCode {
    fn from(refused: &Refused) -> Self {
        match refused {
            Refused::NotJoined | Refused::TakesNoCommands => Self::PermissionDenied,
            Refused::AlreadyJoined => Self::AlreadySubscribed,
            Refused::TooMany(_) => Self::LimitExceeded,
            Refused::TooFast => Self::TooManyRequests,
            // Its client may have subscribed again, which an error for good would undo.
            Refused::TryAgain | Refused::HasLeft => Self::Internal,
            Refused::TokenExpired => Self::TokenExpired,
            Refused::Unrecoverable => Self::UnrecoverablePosition,
            Refused::Denied(Denied::BadName(_)) => Self::UnknownChannel,
            Refused::Denied(Denied::LoginRequired(_) | Denied::Forbidden(_) | Denied::NotFound) => {
                Self::PermissionDenied
            }
            Refused::Denied(Denied::Layer(error)) => Self::from(error),
        }
    }
}

impl From<&LayerError> for ErrorCode {
    fn from(_: &LayerError) -> Self {
        Self::Internal
    }
}

/// Returns the close frame that clients of this protocol understand: they reconnect after a code
/// below 3500 and after one from 4000 to 4499.
pub(crate) fn close(close: &Close) -> Close {
    let code = CloseCode::ALL.into_iter().find(|code| code.number() == close.code());
    let (number, reason) = match (code, close.reason()) {
        (Some(CloseCode::ServiceRestart), _) => (3001, "shutdown"),
        (Some(CloseCode::TryAgainLater | CloseCode::InternalError), _) => (3004, "internal server error"),
        (Some(CloseCode::LoginEnded), TOKEN_EXPIRED) => (3005, "connection expired"),
        (Some(CloseCode::LoginEnded), _) => (3500, INVALID_TOKEN),
        (Some(CloseCode::Forbidden), _) => (3503, "force disconnect"),
        (Some(CloseCode::Unresponsive), NOT_CONNECTED) => (3502, "stale"),
        (Some(CloseCode::Unresponsive), TOO_SLOW) => (3008, "slow"),
        (Some(CloseCode::Unresponsive), _) => (3012, "no pong"),
        (Some(CloseCode::PolicyViolation), TOO_MANY_CHANNELS) => (3505, "channel limit"),
        (Some(CloseCode::RateLimited), _) => (3013, "too many requests"),
        (
            Some(
                CloseCode::ProtocolError
                | CloseCode::UnsupportedData
                | CloseCode::InvalidPayload
                | CloseCode::PolicyViolation,
            ),
            _,
        ) => (3501, "bad request"),
        // Codes of the application and of the client.
        (Some(CloseCode::Normal | CloseCode::MessageTooBig) | None, _) => return close.clone(),
    };
    Close::foreign(number, reason)
}

/// Returns how a client loses a subscription that was closed so.
pub(crate) fn unsubscribe(close: &Close) -> (u32, &'static str) {
    if close.is_failure() {
        (unsubscribed::INSUFFICIENT_STATE, "insufficient state")
    } else if close.reason() == TOKEN_EXPIRED {
        (unsubscribed::EXPIRED, "subscription expired")
    } else {
        (unsubscribed::SERVER, "server unsubscribe")
    }
}
