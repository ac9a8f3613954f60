//! Frames as they go to browsers, encoded once and shared (RFC 6455, section 5).

use std::borrow::Cow;

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame as WireFrame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::id::Id;

/// What a client sends or is sent: one message, text or binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// UTF-8 text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
}

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// As frames of a WebSocket (RFC 6455).
    Socket,
    /// As Server-Sent Events (WHATWG HTML, section 9.2).
    Feed,
}

impl Wire {
    /// A message, ready for any number of sockets; `id` is its place in a log.
    pub(crate) fn message(self, frame: &Frame<'_>, id: Option<Id>) -> Bytes {
        match (self, frame) {
            (Self::Socket, frame) => frame.encode(),
            (Self::Feed, Frame::Text(text)) => {
                let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
                // A line break in the text would end the line.
                let lines: Vec<&str> = text.split(['\n', '\r']).collect();
                format!("{id}data: {}\n\n", lines.join("\ndata: ")).into()
            }
            (Self::Feed, Frame::Binary(_)) => Bytes::new(),
        }
    }

    /// A sign of life.
    pub(crate) fn ping(self) -> Bytes {
        match self {
            Self::Socket => PING,
            Self::Feed => Bytes::from_static(b":\n\n"),
        }
    }

    /// The last word.
    pub(crate) fn close(self, close: &Close) -> Bytes {
        match self {
            Self::Socket => close.encode(),
            Self::Feed => format!(": {} {}\n\n", close.code, close.reason).into(),
        }
    }
}

impl Frame<'_> {
    /// The message as one unmasked frame, ready for any number of sockets.
    pub(crate) fn encode(&self) -> Bytes {
        let (payload, opcode) = match self {
            Self::Text(text) => (Bytes::copy_from_slice(text.as_bytes()), Data::Text),
            Self::Binary(bytes) => (Bytes::copy_from_slice(bytes), Data::Binary),
        };
        wire(WireFrame::message(payload, OpCode::Data(opcode), true))
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

    /// This node ends; another one serves on.
    pub(crate) fn restart() -> Self {
        Self::new(1012, "this node ends: connect again")
    }

    /// The answer to a close frame without a code, which has none either (RFC 6455, section 7.1.5).
    pub(crate) const NO_STATUS: u16 = 1005;

    /// The connection ended without a close frame; never on the wire.
    pub(crate) const ABNORMAL: u16 = 1006;

    fn encode(&self) -> Bytes {
        if self.code == Self::NO_STATUS {
            return wire(WireFrame::close(None));
        }
        // A control frame holds 125 bytes, two of them the code.
        let end = self.reason.floor_char_boundary(123);
        let reason = self.reason[..end].into();
        wire(WireFrame::close(Some(CloseFrame { code: self.code.into(), reason })))
    }
}

/// An empty ping.
const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// A frame's bytes.
pub(crate) fn wire(frame: WireFrame) -> Bytes {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("writing to a Vec cannot fail");
    bytes.into()
}
