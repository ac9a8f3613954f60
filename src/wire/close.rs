//! Close codes: one table for the wire, the metrics, the catalogue, `docs/protocol.md` and
//! `clients/js/parlor.js`.

use std::borrow::Cow;

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame as WireFrame;

use crate::wire::frame::wire;

/// The maximum length of a reason: a control frame holds 125 bytes, two of them the code (RFC 6455,
/// section 5.5).
pub const MAX_REASON_BYTES: usize = 123;

/// A close code that this server uses (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The client closed.
    Normal = 1000,
    /// The client broke RFC 6455.
    ProtocolError = 1002,
    /// The endpoint does not take this kind of data.
    UnsupportedData = 1003,
    /// The data are not what their kind promises.
    InvalidPayload = 1007,
    /// The data are well-formed and not what the endpoint expects.
    PolicyViolation = 1008,
    /// A message exceeds the limit.
    MessageTooBig = 1009,
    /// What the server has stored is corrupt.
    InternalError = 1011,
    /// The node ends, or the client's identity has changed.
    ServiceRestart = 1012,
    /// The layer does not answer.
    TryAgainLater = 1013,
    /// The login or token of the client has ended, or its API key was revoked.
    LoginEnded = 4401,
    /// The client lost its right to be here.
    Forbidden = 4403,
    /// The client is silent, or reads too slowly.
    Unresponsive = 4408,
    /// The client sends more than the limits allow.
    RateLimited = 4429,
}

/// Whether and how a client reconnects after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// At once, with jitter.
    Now,
    /// Later, with exponential back-off.
    Backoff,
    /// After a new login.
    Login,
    /// Not at all: a new connection would be closed for the same reason.
    Never,
}

/// A row of the table.
#[derive(Debug)]
pub struct CloseRow {
    /// The name in code: of the browser's constant and of the reason in the log.
    pub slug: &'static str,
    /// The reason on the wire, unless a more precise one is given.
    pub reason: &'static str,
    /// Whether and how a client reconnects.
    pub reconnect: Reconnect,
    /// The key of the text that the browser shows, if it shows one.
    pub catalogue_key: Option<&'static str>,
}

impl CloseCode {
    /// Every code, in ascending order.
    pub const ALL: [Self; 13] = [
        Self::Normal,
        Self::ProtocolError,
        Self::UnsupportedData,
        Self::InvalidPayload,
        Self::PolicyViolation,
        Self::MessageTooBig,
        Self::InternalError,
        Self::ServiceRestart,
        Self::TryAgainLater,
        Self::LoginEnded,
        Self::Forbidden,
        Self::Unresponsive,
        Self::RateLimited,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The row of this code.
    pub const fn row(self) -> CloseRow {
        const fn row(
            slug: &'static str,
            reason: &'static str,
            reconnect: Reconnect,
            catalogue_key: Option<&'static str>,
        ) -> CloseRow {
            CloseRow { slug, reason, reconnect, catalogue_key }
        }
        use Reconnect::{Backoff, Login, Never, Now};
        match self {
            Self::Normal => row("normal", "", Backoff, None),
            Self::ProtocolError => row("protocol_error", "not RFC 6455", Never, None),
            Self::UnsupportedData => row("unsupported_data", "expected a text frame", Never, None),
            Self::InvalidPayload => row("invalid_payload", "text is not UTF-8", Never, None),
            Self::PolicyViolation => row("policy_violation", "unexpected message", Never, None),
            Self::MessageTooBig => row("message_too_big", "message is too long", Never, None),
            Self::InternalError => row("internal_error", "the server cannot serve this", Never, None),
            Self::ServiceRestart => row("service_restart", "this node ends: connect again", Now, None),
            Self::TryAgainLater => row("try_again_later", "try again later", Backoff, None),
            Self::LoginEnded => row("login_ended", "the login has ended", Login, Some("closed.login_ended")),
            Self::Forbidden => row("forbidden", "no longer permitted", Never, Some("closed.forbidden")),
            Self::Unresponsive => row("unresponsive", "silent for too long", Now, None),
            Self::RateLimited => row("rate_limited", "too fast: say less", Backoff, Some("too_fast")),
        }
    }
}

impl Reconnect {
    /// Returns the word for it in `clients/js/parlor.js`.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Backoff => "backoff",
            Self::Login => "login",
            Self::Never => "never",
        }
    }
}

/// The content of a close frame: a code, and a readable reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    code: u16,
    reason: Cow<'static, str>,
}

impl Close {
    /// Creates a close with this code and reason, cut to [`MAX_REASON_BYTES`].
    pub fn new(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.number(), reason: reason.into() }
    }

    /// Creates a close with a code of another table, which has to be sendable: between 3000 and
    /// 4999.
    pub fn foreign(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Returns the answer to a client's close frame, which echoes its code (RFC 6455, section
    /// 5.5.1).
    pub(crate) fn echo(code: Option<u16>) -> Self {
        Self::foreign(code.unwrap_or(Self::NO_STATUS), "")
    }

    /// A close frame without a code; never on the wire (RFC 6455, section 7.1.5).
    const NO_STATUS: u16 = 1005;

    /// A connection that ended without a close frame; never on the wire (RFC 6455, section 7.1.5).
    pub(crate) const ABNORMAL: u16 = 1006;

    /// Returns whether a close frame may carry this code. RFC 6455, section 7.4, reserves some for
    /// local use. Clients treat 1014, registered later, as a protocol error.
    pub(crate) fn is_sendable(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999)
    }

    /// Labels of sockets that ended with no code of [`CloseCode`]: a code outside of RFC 6455, a
    /// browser that leaves its page, no code, and no close frame.
    pub(crate) const FOREIGN: [u16; 4] = [0, 1001, Self::NO_STATUS, Self::ABNORMAL];

    /// Returns the label of this code in `parlor_closed_total`. Codes of peers outside of RFC 6455
    /// share 0.
    pub(crate) fn label(code: u16, by_peer: bool) -> u16 {
        if by_peer && !(1000..=1015).contains(&code) { 0 } else { code }
    }

    /// Returns whether the server failed: what it ended may begin again where it was.
    pub fn is_failure(&self) -> bool {
        let failures = [CloseCode::InternalError, CloseCode::ServiceRestart, CloseCode::TryAgainLater];
        failures.iter().any(|code| code.number() == self.code)
    }

    /// Returns the code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn encode(&self) -> Bytes {
        if self.code == Self::NO_STATUS {
            return wire(WireFrame::close(None));
        }
        let end = self.reason.floor_char_boundary(MAX_REASON_BYTES);
        let reason = self.reason[..end].into();
        wire(WireFrame::close(Some(CloseFrame { code: self.code.into(), reason })))
    }
}

/// Creates a close with the default reason of the code.
impl From<CloseCode> for Close {
    fn from(code: CloseCode) -> Self {
        Self::new(code, code.row().reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_table_may_be_sent_and_none_stands_twice() {
        assert!(CloseCode::ALL.iter().all(|code| Close::is_sendable(code.number())));
        assert!(CloseCode::ALL.is_sorted_by(|one, other| one.number() < other.number()));
        assert!(CloseCode::ALL.iter().all(|code| code.row().reason.len() <= MAX_REASON_BYTES));
    }

    #[test]
    fn the_browsers_constants_are_those_of_the_table() {
        let script = include_str!("../../clients/js/parlor.js");
        let listed: Vec<&str> =
            script.lines().map(str::trim).filter(|line| line.starts_with("{ code: ")).collect();
        let expected: Vec<String> = CloseCode::ALL
            .iter()
            .map(|code| {
                let CloseRow { slug, reconnect, .. } = code.row();
                let (number, reconnect) = (code.number(), reconnect.slug());
                format!("{{ code: {number}, slug: \"{slug}\", reconnect: \"{reconnect}\" }},")
            })
            .collect();
        assert_eq!(listed, expected);
    }

    #[test]
    fn the_documents_table_is_this_table() {
        let document = include_str!("../../docs/protocol.md");
        let table = document.split("## Close codes").nth(1).expect("a chapter");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .filter(|line| line.starts_with("| 1") || line.starts_with("| 4"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), CloseCode::ALL.len());
        for (row, code) in rows.iter().zip(CloseCode::ALL) {
            let CloseRow { slug, reconnect, .. } = code.row();
            let words = match reconnect {
                Reconnect::Now => "at once",
                Reconnect::Backoff => "later, with back-off",
                Reconnect::Login => "after a login",
                Reconnect::Never => "no",
            };
            assert_eq!((row[0], row[1]), (&*code.number().to_string(), &*format!("`{slug}`")));
            assert!(row[3].starts_with(words), "{code:?}: {} is not {words}", row[3]);
        }
    }

    #[test]
    fn both_catalogues_have_the_texts_of_the_table() {
        for catalogue in [include_str!("../../locales/en.json"), include_str!("../../locales/zh.json")] {
            let catalogue: serde_json::Value = serde_json::from_str(catalogue).unwrap();
            for key in CloseCode::ALL.iter().filter_map(|code| code.row().catalogue_key) {
                let pointer = format!("/client/{}", key.replace('.', "/"));
                assert!(catalogue.pointer(&pointer).is_some_and(serde_json::Value::is_string), "{pointer}");
            }
        }
    }
}
