//! The frame decoder, compared with the decoder of the `tungstenite` library.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::within;
use crate::wire::decoder::{Decoded, FrameDecoder};

/// Bytes of memory per byte of input: buffered, in its frame, in its message, and one word for each
/// frame of six bytes.
const BYTES_PER_INPUT_BYTE: usize = 64;
const BASE_BYTES: usize = 4096;

/// The decoded messages, and the close code if the input is invalid.
type Outcome = (Vec<Decoded>, Option<u16>);

/// Decodes frames. The input holds the maximum length in steps of four bytes, the cuts, and the
/// frames.
pub fn frame_decoder(bytes: &[u8]) {
    let [limit, cut, frames @ ..] = bytes else { return };
    let limit = 4 * usize::from(*limit);
    let most = BASE_BYTES + BYTES_PER_INPUT_BYTE * frames.len();
    let whole = within(most, || read(frames, limit, std::iter::repeat(frames.len())));
    assert_eq!(read(frames, limit, std::iter::repeat(1)), whole, "byte by byte");
    let widths = std::iter::successors(Some(usize::from(*cut)), |width| Some((width * 137 + 71) % 257));
    let pieces = within(most, || read(frames, limit, widths.map(|width| width % 19)));
    assert_eq!(pieces, whole, "in pieces");
    is_expected(&whole, &read_by_library(frames, limit));
}

fn read(mut frames: &[u8], limit: usize, mut widths: impl Iterator<Item = usize>) -> Outcome {
    let (mut decoder, mut all) = (FrameDecoder::new(limit), Vec::new());
    while !frames.is_empty() {
        let width = widths.next().unwrap_or(1).min(frames.len());
        let (piece, rest) = frames.split_at(width);
        decoder.push(piece);
        frames = rest;
        loop {
            match decoder.next() {
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

/// Returns what the library decodes, and its error if the input is invalid.
fn read_by_library(frames: &[u8], limit: usize) -> (Vec<Message>, Option<Error>) {
    // Control frames may exceed the limit for messages.
    let config = WebSocketConfig::default()
        .read_buffer_size(512)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit.max(125)));
    let mut socket = WebSocket::from_raw_socket(Peer(frames), Role::Server, Some(config));
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

/// The library checks a frame when it is complete, the decoder when its header is. So only the
/// decoder may have found a protocol error.
fn is_expected((read, protocol_error): &Outcome, (expected, error): &(Vec<Message>, Option<Error>)) {
    let messages = read.iter().filter(|received| !matches!(received, Decoded::Fragment(_)));
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
        // The library echoes a code that must not be sent; the decoder rejects it.
        (Some(code), Some(Message::Close(Some(close))), _)
            if close.code == CloseCode::Protocol && close.code == CloseCode::from(*code) => {}
        (Some(_), None, _) | (None, None, None) => {}
        (protocol_error, message, error) => {
            panic!("protocol_error {protocol_error:?}, expected {message:?} and {error:?}")
        }
    }
}

/// A peer that sends these bytes and accepts every answer.
pub(super) struct Peer<'a>(pub(super) &'a [u8]);

impl Read for Peer<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.0.read(space)
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
