//! A deliberate fault in delivery: one message to one client is dropped, duplicated, swapped or
//! forged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::frame::{Frame, TEXT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tampering {
    pub protocol: Protocol,
    pub deed: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Parlor,
    Centrifugo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Drop,
    Double,
    /// The message follows the next one of its room.
    Swap,
    /// The message gets another text.
    Forge,
    /// The message gets the offset of the one before it.
    Renumber,
}

/// Reads the frames that a node sends on one connection.
pub struct Tamper {
    tampering: Tampering,
    /// Shared by all connections: the first that can apply it does so, once.
    armed: Arc<AtomicBool>,
    /// Bytes of an incomplete head or frame.
    rest: Vec<u8>,
    stage: Stage,
    /// A message that follows the next one of its room.
    held: Option<(Frame, Value)>,
}

/// What the bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The head of a response.
    Head,
    /// Frames after a 101.
    Frames,
    /// Anything else, which passes as it is.
    Other,
}

impl Tamper {
    pub fn new(tampering: Tampering, armed: Arc<AtomicBool>) -> Self {
        Self { tampering, armed, rest: Vec::new(), stage: Stage::Head, held: None }
    }

    /// Takes bytes from the node and returns those for the client.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.rest.extend(bytes);
        let mut out = Vec::new();
        if self.stage == Stage::Head {
            let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") else {
                return out;
            };
            self.stage = if self.rest.starts_with(b"HTTP/1.1 101 ") { Stage::Frames } else { Stage::Other };
            out.extend(self.rest.drain(..end + 4));
        }
        if self.stage == Stage::Other {
            out.append(&mut self.rest);
            return out;
        }
        while let Some(frame) = Frame::take(&mut self.rest) {
            for frame in self.treat(frame) {
                out.extend(frame.bytes());
            }
        }
        out
    }

    fn treat(&mut self, mut frame: Frame) -> Vec<Frame> {
        let Tampering { protocol, deed } = self.tampering;
        let Some(mut message) = message_in(&frame, protocol) else { return vec![frame] };
        let room = protocol.room_of(&message).clone();
        if let Some((held, _)) = self.held.take_if(|(_, held)| *held == room) {
            return vec![frame, held];
        }
        if deed == Deed::Renumber && message["push"]["pub"]["offset"] == 1 {
            return vec![frame];
        }
        if !self.armed.swap(false, Ordering::SeqCst) {
            return vec![frame];
        }
        match deed {
            Deed::Drop => return vec![],
            Deed::Double => return vec![frame.clone(), frame],
            Deed::Swap => {
                self.held = Some((frame, room));
                return vec![];
            }
            Deed::Forge => *protocol.text_of(&mut message) = Value::from("what no client sent"),
            Deed::Renumber => {
                let offset = &mut message["push"]["pub"]["offset"];
                *offset = Value::from(offset.as_u64().expect("an offset") - 1);
            }
        }
        frame.payload = message.to_string().into_bytes();
        vec![frame]
    }
}

impl Protocol {
    fn room_of(self, message: &Value) -> &Value {
        match self {
            Self::Parlor => &message["room"],
            Self::Centrifugo => &message["push"]["channel"],
        }
    }

    fn text_of(self, message: &mut Value) -> &mut Value {
        match self {
            Self::Parlor => &mut message["text"],
            Self::Centrifugo => &mut message["push"]["pub"]["data"]["text"],
        }
    }
}

/// Returns the chat message in a frame of this protocol, if it is one.
fn message_in(frame: &Frame, protocol: Protocol) -> Option<Value> {
    let whole = frame.fin && frame.opcode == TEXT;
    let value: Value = whole.then(|| serde_json::from_slice(&frame.payload).ok())??;
    let is_message = match protocol {
        Protocol::Parlor => value["type"] == "message",
        Protocol::Centrifugo => value["push"]["pub"].is_object(),
    };
    is_message.then_some(value)
}
