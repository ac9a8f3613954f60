//! A deliberate fault in delivery: one message to one client is dropped, duplicated, swapped or
//! forged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::frame::{Frame, TEXT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tampering {
    Drop,
    Double,
    /// The message follows the next one.
    Swap,
    /// The message gets another text.
    Forge,
}

/// Reads the frames that a node sends on one connection.
pub struct Tamper {
    tampering: Tampering,
    /// Shared by all connections: the first that can apply it does so, once.
    armed: Arc<AtomicBool>,
    /// Bytes of an incomplete head or frame.
    rest: Vec<u8>,
    stage: Stage,
    held: Option<Frame>,
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
        let Some(mut message) = message_in(&frame) else { return vec![frame] };
        if let Some(held) = self.held.take() {
            return vec![frame, held];
        }
        if !self.armed.swap(false, Ordering::SeqCst) {
            return vec![frame];
        }
        match self.tampering {
            Tampering::Drop => vec![],
            Tampering::Double => vec![frame.clone(), frame],
            Tampering::Swap => {
                self.held = Some(frame);
                vec![]
            }
            Tampering::Forge => {
                message["text"] = Value::from("what no client sent");
                frame.payload = message.to_string().into_bytes();
                vec![frame]
            }
        }
    }
}

/// Returns the chat message in a frame, if it is one.
fn message_in(frame: &Frame) -> Option<Value> {
    let whole = frame.fin && frame.opcode == TEXT;
    let value: Value = whole.then(|| serde_json::from_slice(&frame.payload).ok())??;
    (value["type"] == "message").then_some(value)
}
