//! Disconnect commands: JSON from Redis, and the resulting close frames.

use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::assembly::ClientAddress;
use super::within;
use crate::layer::Disconnect;
use crate::wire::frame::Transport;

/// Bytes of memory per byte of input.
const BYTES_PER_INPUT_BYTE: usize = 16;
const BASE_BYTES: usize = 4096;

/// Parses a command.
pub fn order(bytes: &[u8]) {
    let Some(order) = within(BASE_BYTES + BYTES_PER_INPUT_BYTE * bytes.len(), || Disconnect::decode(bytes))
    else {
        return;
    };
    let json = serde_json::to_vec(&order).expect("texts and numbers become JSON");
    assert_eq!(Disconnect::decode(&json).as_ref(), Some(&order));
    let names = [&order.user, &order.login, &order.group].map(Option::as_deref);
    let is_about_somebody = names.iter().any(Option::is_some);
    assert_eq!(order.matches(names[0], names[1], names[2]), is_about_somebody);
    assert!(!order.matches(None, None, None), "{order:?} matches all clients");
    let close = order.close();
    let frame = Transport::WebSocket.close(&close);
    let config = WebSocketConfig::default().read_buffer_size(512);
    let read = WebSocket::from_raw_socket(ClientAddress(&frame), Role::Client, Some(config)).read();
    match read {
        Ok(Message::Close(Some(read))) => {
            assert_eq!(u16::from(read.code), order.code);
            assert!(read.reason.len() <= 123 && close.reason().starts_with(read.reason.as_str()), "{read:?}");
        }
        other => panic!("{order:?} closes with {other:?}"),
    }
    let feed = Transport::Sse.close(&close);
    let lines = feed.iter().filter(|byte| b"\r\n".contains(byte)).count();
    assert!(feed.starts_with(b": ") && feed.ends_with(b"\n\n") && lines == 2, "{feed:?} is one comment");
}
