//! The errors of frames: one enum for the wire, the statuses of HTTP and `docs/protocol.md`.

use std::borrow::Cow;

use parlor::{Appended, Id, LayerError, StatusCode};

/// The code of an `error` frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameErrorCode {
    /// The frame is not one that a client sends.
    Malformed,
    /// The frame has an unknown `type`.
    UnknownType,
    /// The text exceeds `--max-message-bytes`.
    TooLarge,
    /// The client's id of the message breaks the rule for ids.
    BadId,
    /// The client's id belongs to another message.
    Conflict,
    /// The connection has not joined the room.
    NotJoined,
    /// The connection has joined the room already.
    AlreadyJoined,
    /// The connection has joined as many rooms as it may.
    TooMany,
    /// The name of a room breaks the rule for names.
    InvalidRoom,
    /// Only clients with a login may join.
    LoginRequired,
    /// This client may not join.
    NoAccess,
    /// There is no such room, or the client may not know of it.
    NotFound,
    /// The layer does not answer.
    Unavailable,
    /// A stored record is corrupt.
    Internal,
    /// The client exceeds its rate limits.
    Rate,
}

impl FrameErrorCode {
    /// The code on the wire.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownType => "unknown_type",
            Self::TooLarge => "too_large",
            Self::BadId => "bad_id",
            Self::Conflict => "conflict",
            Self::NotJoined => "not_joined",
            Self::AlreadyJoined => "already_joined",
            Self::TooMany => "too_many",
            Self::InvalidRoom => "invalid_room",
            Self::LoginRequired => "login_required",
            Self::NoAccess => "no_access",
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Rate => "rate",
        }
    }

    /// Whether the same frame may succeed later.
    pub(crate) const fn is_retryable(self) -> bool {
        match self {
            Self::Unavailable | Self::Rate => true,
            Self::Malformed
            | Self::UnknownType
            | Self::TooLarge
            | Self::BadId
            | Self::Conflict
            | Self::NotJoined
            | Self::AlreadyJoined
            | Self::TooMany
            | Self::InvalidRoom
            | Self::LoginRequired
            | Self::NoAccess
            | Self::NotFound
            | Self::Internal => false,
        }
    }

    /// The status of a response with this error.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::UnknownType | Self::BadId | Self::InvalidRoom => StatusCode::BAD_REQUEST,
            Self::LoginRequired => StatusCode::UNAUTHORIZED,
            Self::NoAccess => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict | Self::NotJoined | Self::AlreadyJoined | Self::TooMany => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Rate => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// Why a frame of a client had no effect: a code, and a detail for people.
pub(crate) struct FrameError {
    pub(crate) code: FrameErrorCode,
    pub(crate) detail: Cow<'static, str>,
}

/// The position of a message in the log.
pub(crate) struct Logged {
    pub(crate) id: Id,
    pub(crate) duplicate: bool,
}

impl FrameError {
    pub(crate) fn new(code: FrameErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(
            FrameErrorCode::Unavailable,
            "the server cannot reach its messages: send it again, with the same `id`",
        )
    }
}

/// A failed call of the layer: `unavailable` if a retry may succeed, else `internal`.
impl From<&LayerError> for FrameError {
    fn from(error: &LayerError) -> Self {
        if error.is_retryable() {
            Self::unavailable()
        } else {
            Self::new(FrameErrorCode::Internal, "the server could not do it, and cannot if it is sent again")
        }
    }
}

/// The position of an appended message, or the error that its id is in use.
impl TryFrom<Appended> for Logged {
    type Error = FrameError;

    fn try_from(appended: Appended) -> Result<Self, FrameError> {
        match appended {
            Appended::New(id, _) => Ok(Self { id, duplicate: false }),
            Appended::Duplicate(id, _) => Ok(Self { id, duplicate: true }),
            Appended::Conflict => Err(FrameError::new(
                FrameErrorCode::Conflict,
                "`id`: used for another message less than five minutes ago",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FrameErrorCode;

    const ALL: [FrameErrorCode; 15] = [
        FrameErrorCode::Malformed,
        FrameErrorCode::UnknownType,
        FrameErrorCode::TooLarge,
        FrameErrorCode::BadId,
        FrameErrorCode::Conflict,
        FrameErrorCode::NotJoined,
        FrameErrorCode::AlreadyJoined,
        FrameErrorCode::TooMany,
        FrameErrorCode::InvalidRoom,
        FrameErrorCode::LoginRequired,
        FrameErrorCode::NoAccess,
        FrameErrorCode::NotFound,
        FrameErrorCode::Unavailable,
        FrameErrorCode::Internal,
        FrameErrorCode::Rate,
    ];

    #[test]
    fn the_errors_of_the_protocols_document_are_those_of_the_enum() {
        let document = include_str!("../../../docs/protocol.md");
        let table = document.split("| code | retry | why |").nth(1).expect("a table");
        let rows: Vec<(&str, &str)> = table
            .lines()
            .skip(2)
            .map_while(|line| line.strip_prefix("| ")?.split_once(" | "))
            .map(|(code, rest)| (code.trim_matches('`'), rest.split(' ').next().unwrap_or_default()))
            .collect();
        let expected = ALL.map(|code| (code.slug(), if code.is_retryable() { "yes" } else { "no" }));
        assert_eq!(rows, expected);
    }

    #[test]
    fn the_browsers_error_codes_are_those_of_the_enum() {
        let script = include_str!("../../../clients/js/parlor.js");
        let table = script.split("export const ErrorCode").nth(1).expect("the codes");
        let table = table.split("});").next().expect("their end");
        let listed: Vec<&str> =
            table.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
        let expected = ALL.map(|code| format!("{}: \"{}\",", code.slug().to_uppercase(), code.slug()));
        assert_eq!(listed, expected);
    }
}
