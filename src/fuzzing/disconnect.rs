//! Disconnect commands: JSON from Redis, and the resulting close frames.

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::frame_decoder::Peer;
use super::within;
use crate::layer::Disconnect;
use crate::wire::frame::Transport;

/// Bytes of memory per byte of input.
const BYTES_PER_INPUT_BYTE: usize = 16;
const BASE_BYTES: usize = 4096;

/// Parses a command.
pub fn disconnect(bytes: &[u8]) {
    let Some(command) = within(BASE_BYTES + BYTES_PER_INPUT_BYTE * bytes.len(), || Disconnect::decode(bytes))
    else {
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
