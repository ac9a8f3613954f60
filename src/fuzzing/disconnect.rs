//! Decisions: JSON from Redis, and the close frames that result from disconnect commands.

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::frame_decoder::Peer;
use super::within;
use crate::layer::{Disconnect, Instruction};
use crate::wire::frame::Transport;

/// Bytes of memory per byte of input.
const BYTES_PER_INPUT_BYTE: usize = 16;
const BASE_BYTES: usize = 4096;

/// Parses a command or an instruction.
pub fn disconnect(bytes: &[u8]) {
    let limit = BASE_BYTES + BYTES_PER_INPUT_BYTE * bytes.len();
    if let Some(instruction) = within(limit, || Instruction::decode(bytes)) {
        let json = serde_json::to_vec(&instruction).expect("texts and numbers become JSON");
        assert_eq!(Instruction::decode(&json), Some(instruction));
        assert!(Disconnect::decode(bytes).is_none(), "a decision is either of them");
    }
    let Some(command) = within(limit, || Disconnect::decode(bytes)) else {
        return;
    };
    let json = serde_json::to_vec(&command).expect("texts and numbers become JSON");
    assert_eq!(Disconnect::decode(&json).as_ref(), Some(&command));
    let names = [&command.user, &command.login, &command.group].map(Option::as_deref);
    let has_target = names.iter().any(Option::is_some);
    assert_eq!(command.matches(names[0], names[1], names[2]), has_target);
    assert!(!command.matches(None, None, None), "{command:?} matches all clients");
    let close = command.close();
    let frame = Transport::WebSocket.close(&close);
    let config = WebSocketConfig::default().read_buffer_size(512);
    let read = WebSocket::from_raw_socket(Peer(&frame), Role::Client, Some(config)).read();
    match read {
        Ok(Message::Close(Some(read))) => {
            assert_eq!(u16::from(read.code), command.code);
            assert!(read.reason.len() <= 123 && close.reason().starts_with(read.reason.as_str()), "{read:?}");
        }
        other => panic!("{command:?} closes with {other:?}"),
    }
    let event = Transport::Sse.close(&close);
    let lines = event.iter().filter(|byte| b"\r\n".contains(byte)).count();
    assert!(event.starts_with(b": ") && event.ends_with(b"\n\n") && lines == 2, "{event:?} is one comment");
}
