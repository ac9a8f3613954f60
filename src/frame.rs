//! Frames as they go to browsers, encoded once and shared (RFC 6455, section 5).

use std::borrow::Cow;

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame as Wire;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// What a client sends or is sent: one message, text or binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// UTF-8 text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
}

impl Frame<'_> {
    /// The message as one unmasked frame, ready for any number of sockets.
    pub(crate) fn encode(&self) -> Bytes {
        let (payload, opcode) = match self {
            Self::Text(text) => (Bytes::copy_from_slice(text.as_bytes()), Data::Text),
            Self::Binary(bytes) => (Bytes::copy_from_slice(bytes), Data::Binary),
        };
        wire(Wire::message(payload, OpCode::Data(opcode), true))
    }
}

/// Why a socket is closed: a code of RFC 6455, section 7.4, or of 4000 to 4999, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code.
    pub code: u16,
    /// The reason, at most 123 bytes.
    pub reason: Cow<'static, str>,
}

impl Close {
    /// The reason for closing with this code.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The answer to a close frame without a code, which has none either (RFC 6455, section 7.1.5).
    pub(crate) const NO_STATUS: u16 = 1005;

    /// The connection ended without a close frame; never on the wire.
    pub(crate) const ABNORMAL: u16 = 1006;

    pub(crate) fn encode(&self) -> Bytes {
        if self.code == Self::NO_STATUS {
            return wire(Wire::close(None));
        }
        // A control frame holds 125 bytes, two of them the code.
        let end = self.reason.floor_char_boundary(123);
        let reason = self.reason[..end].into();
        wire(Wire::close(Some(CloseFrame { code: self.code.into(), reason })))
    }
}

/// An empty ping.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0]);

fn wire(frame: Wire) -> Bytes {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("writing to a Vec cannot fail");
    bytes.into()
}
