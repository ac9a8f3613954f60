//! Outgoing frames, encoded once and shared (RFC 6455, section 5).

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame as WireFrame, FrameHeader};

use crate::wire::close::Close;
use crate::wire::id::Id;

/// One message from or to a client, text or binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
}

/// The transport of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// As frames of a WebSocket (RFC 6455).
    WebSocket,
    /// As Server-Sent Events (WHATWG HTML, section 9.2).
    Sse,
    /// As the body of a response: texts as lines, bytes as they are.
    Body,
}

impl Transport {
    /// Encodes a message, ready for any number of sockets; `id` is its position in a log.
    pub(crate) fn message(self, frame: Frame<'_>, id: Option<Id>) -> Bytes {
        match (self, frame) {
            (Self::WebSocket, frame) => frame.encode(),
            (Self::Sse, Frame::Text(text)) => event(&text, id).into(),
            (Self::Sse, Frame::Binary(_)) => Bytes::new(),
            (Self::Body, Frame::Text(text)) => (text.into_owned() + "\n").into(),
            (Self::Body, Frame::Binary(bytes)) => bytes.into_owned().into(),
        }
    }

    /// Encodes a ping.
    pub(crate) fn ping(self) -> Bytes {
        match self {
            Self::WebSocket => PING,
            Self::Sse => Bytes::from_static(b":\n\n"),
            Self::Body => Bytes::from_static(b"\n"),
        }
    }

    /// Encodes a close frame.
    pub(crate) fn close(self, close: &Close) -> Bytes {
        match self {
            Self::WebSocket => close.encode(),
            Self::Sse => format!(": {} {}\n\n", close.code(), close.reason()).into(),
            Self::Body => Bytes::new(),
        }
    }
}

/// Encodes how long a browser's `EventSource` waits before it connects again, when the stream has
/// ended: `time` and up to as much again, so that readers do not all return at once.
pub(crate) fn retry(time: Duration) -> String {
    format!("retry: {}\n", time.mul_f64(1.0 + rand::random::<f64>()).as_millis())
}

/// Encodes a text as a Server-Sent Event.
fn event(text: &str, id: Option<Id>) -> String {
    let mut event = String::with_capacity(text.len() + 64);
    if let Some(id) = id {
        writeln!(event, "id: {id}").expect("writing to a String cannot fail");
    }
    // A line break in the text would end the field.
    for line in text.split('\n').flat_map(|line| line.split('\r')) {
        event.extend(["data: ", line, "\n"]);
    }
    event.push('\n');
    event
}

impl Frame<'_> {
    /// Returns the same message, without its own copy.
    pub(crate) fn borrowed(&self) -> Frame<'_> {
        match self {
            Self::Text(text) => Frame::Text(Cow::Borrowed(text)),
            Self::Binary(bytes) => Frame::Binary(Cow::Borrowed(bytes)),
        }
    }

    /// Encodes the message as one unmasked frame, ready for any number of sockets.
    pub(crate) fn encode(self) -> Bytes {
        let (opcode, mut bytes) = match self {
            Self::Text(text) => (Data::Text, text.into_owned().into_bytes()),
            Self::Binary(bytes) => (Data::Binary, bytes.into_owned()),
        };
        let header = FrameHeader { opcode: OpCode::Data(opcode), ..FrameHeader::default() };
        let payload = bytes.len();
        let length = header.len(payload as u64);
        // Shifts the payload in place: the allocation may have spare capacity.
        bytes.reserve_exact(length);
        bytes.resize(length + payload, 0);
        bytes.copy_within(..payload, length);
        header.format(payload as u64, &mut &mut bytes[..length]).expect("the header is as long as it says");
        bytes.into()
    }
}

/// An empty ping.
const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// Encodes a frame.
pub(crate) fn wire(frame: WireFrame) -> Bytes {
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("writing to a Vec cannot fail");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_frame_that_tungstenite_writes() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let text = "x".repeat(length);
            for (data, frame) in [
                (Data::Text, Frame::Text(Cow::Borrowed(&text))),
                (Data::Text, Frame::Text(Cow::Owned(text.clone() + &" ".repeat(20)))),
                (Data::Binary, Frame::Binary(Cow::Borrowed(text.as_bytes()))),
            ] {
                let payload = match &frame {
                    Frame::Text(text) => text.as_bytes().to_vec(),
                    Frame::Binary(bytes) => bytes.to_vec(),
                };
                let expected = wire(WireFrame::message(payload, OpCode::Data(data), true));
                assert!(frame.encode() == expected, "{data} of {length} bytes");
            }
        }
    }

    #[test]
    fn a_message_with_room_behind_it_becomes_a_frame_where_it_is() {
        let mut text = String::with_capacity(1000);
        text.push_str("hi");
        let at = text.as_ptr();
        let frame = Frame::Text(text.into()).encode();
        assert_eq!((&frame[..], frame.as_ptr()), (&b"\x81\x02hi"[..], at));
    }

    #[test]
    fn each_line_of_a_message_is_a_line_of_its_feeds_event() {
        for (text, id, expected) in [
            ("hi", None, "data: hi\n\n"),
            ("", None, "data: \n\n"),
            ("a\nb\r\nc", Some(Id::START.next(7)), "id: 7-0\ndata: a\ndata: b\ndata: \ndata: c\n\n"),
        ] {
            assert_eq!(Transport::Sse.message(Frame::Text(text.into()), id), expected);
        }
    }
}
