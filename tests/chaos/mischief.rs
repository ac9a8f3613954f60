//! A deliberate fault in delivery: one message of one client is dropped, doubled, swapped or forged on its
//! way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::frame::{Frame, TEXT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    Drop,
    Double,
    /// The message comes after the next one.
    Swap,
    /// The message has another text.
    Forge,
}

/// Reads what a node sends on one connection, frame by frame.
pub struct Tamper {
    mischief: Mischief,
    /// Shared by all connections: whoever comes first does it, once.
    armed: Arc<AtomicBool>,
    /// What came and is not yet a whole head or frame.
    rest: Vec<u8>,
    upgraded: bool,
    held: Option<Frame>,
}

impl Tamper {
    pub fn new(mischief: Mischief, armed: Arc<AtomicBool>) -> Self {
        Self { mischief, armed, rest: Vec::new(), upgraded: false, held: None }
    }

    /// Takes bytes of the node, and gives those which the client gets.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.rest.extend(bytes);
        let mut out = Vec::new();
        if !self.upgraded {
            let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") else {
                return out;
            };
            out.extend(self.rest.drain(..end + 4));
            self.upgraded = true;
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
        match self.mischief {
            Mischief::Drop => vec![],
            Mischief::Double => vec![frame.clone(), frame],
            Mischief::Swap => {
                self.held = Some(frame);
                vec![]
            }
            Mischief::Forge => {
                message["text"] = Value::from("what nobody said");
                frame.payload = message.to_string().into_bytes();
                vec![frame]
            }
        }
    }
}

/// The chat message in a frame, if that is what it holds.
fn message_in(frame: &Frame) -> Option<Value> {
    let whole = frame.fin && frame.opcode == TEXT;
    let value: Value = whole.then(|| serde_json::from_slice(&frame.payload).ok())??;
    (value["type"] == "message").then_some(value)
}
