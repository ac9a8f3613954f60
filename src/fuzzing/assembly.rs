//! The assembly: what a client sends on its socket. The library's own reader says what is expected.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::within;
use crate::wire::decoder::{Decoded, FrameDecoder};

/// Bytes of memory for each byte that came: in what was received, in its frame, in its message, and a word for each
/// frame of six bytes.
const EACH: usize = 64;
const FEW: usize = 4096;

/// What came, and the code with which the socket has to be closed over it.
type Outcome = (Vec<Decoded>, Option<u16>);

/// The longest message in steps of four bytes, how the bytes are cut, and the bytes.
pub fn assembly(bytes: &[u8]) {
    let [limit, cut, frames @ ..] = bytes else { return };
    let limit = 4 * usize::from(*limit);
    let most = FEW + EACH * frames.len();
    let whole = within(most, || read(frames, limit, std::iter::repeat(frames.len())));
    assert_eq!(read(frames, limit, std::iter::repeat(1)), whole, "byte by byte");
    let widths = std::iter::successors(Some(usize::from(*cut)), |width| Some((width * 137 + 71) % 257));
    let pieces = within(most, || read(frames, limit, widths.map(|width| width % 19)));
    assert_eq!(pieces, whole, "in pieces");
    is_expected(&whole, &read_by_library(frames, limit));
}

fn read(mut frames: &[u8], limit: usize, mut widths: impl Iterator<Item = usize>) -> Outcome {
    let (mut assembly, mut all) = (FrameDecoder::new(limit), Vec::new());
    while !frames.is_empty() {
        let width = widths.next().unwrap_or(1).min(frames.len());
        let (piece, rest) = frames.split_at(width);
        assembly.push(piece);
        frames = rest;
        loop {
            match assembly.next() {
                Ok(Some(Decoded::Close(code))) => {
                    all.push(Decoded::Close(code));
                    return (all, None);
                }
                Ok(Some(received)) => all.push(received),
                Ok(None) => break,
                Err(close) => return (all, Some(close.code())),
            }
        }
    }
    (all, None)
}

/// What the library reads, and what it finds wrong; `None` when the bytes end before anything is.
fn read_by_library(frames: &[u8], limit: usize) -> (Vec<Message>, Option<Error>) {
    // Control frames may be longer than messages.
    let config = WebSocketConfig::default()
        .read_buffer_size(512)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit.max(125)));
    let mut socket = WebSocket::from_raw_socket(ClientAddress(frames), Role::Server, Some(config));
    let mut all = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => {
                let is_last = message.is_close();
                all.push(message);
                if is_last {
                    return (all, None);
                }
            }
            Err(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                return (all, None);
            }
            Err(error) => return (all, Some(error)),
        }
    }
}

/// The library looks at a frame when it is whole, the assembly when its header is: so it may know of a protocol_error that the
/// library has yet to see.
fn is_expected((read, protocol_error): &Outcome, (expected, error): &(Vec<Message>, Option<Error>)) {
    let messages = read.iter().filter(|received| **received != Decoded::Fragment);
    let mut expected = expected.iter();
    for received in messages {
        let message = expected.next();
        let is_same = match (received, message) {
            (Decoded::Text(text), Some(Message::Text(other))) => text == other.as_str(),
            (Decoded::Binary(bytes), Some(Message::Binary(other)))
            | (Decoded::Ping(bytes), Some(Message::Ping(other))) => bytes == other,
            (Decoded::Close(code), Some(Message::Close(other))) => {
                *code == other.as_ref().map(|close| close.code.into())
            }
            (Decoded::Pong, Some(Message::Pong(_))) => true,
            _ => false,
        };
        assert!(is_same, "read {received:?}, expected {message:?}");
    }
    match (protocol_error, expected.next(), error) {
        // It answers a code that may not be sent, where the assembly refuses it.
        (Some(code), Some(Message::Close(Some(close))), _)
            if close.code == CloseCode::Protocol && close.code == CloseCode::from(*code) => {}
        (Some(_), None, _) | (None, None, None) => {}
        (protocol_error, message, error) => {
            panic!("protocol_error {protocol_error:?}, expected {message:?} and {error:?}")
        }
    }
}

/// A peer that says this, and takes every answer.
pub(super) struct ClientAddress<'a>(pub(super) &'a [u8]);

impl Read for ClientAddress<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.0.read(space)
    }
}

impl Write for ClientAddress<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
