//! The decoder of what a client sends: bytes to frames to messages (RFC 6455, sections 5.2 to 5.6,
//! 7.4 and 8.1).
//!
//! The library's decoder keeps 800 bytes for each socket, even an idle one. This one keeps
//! incomplete input only.

use std::borrow::Cow;
use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode as ReceivedCode, Control, Data, OpCode};

use crate::wire::close::{Close, CloseCode};

/// The maximum payload of a control frame, in bytes.
const MAX_CONTROL: u64 = 125;

/// The incomplete input of one client.
pub(crate) struct FrameDecoder {
    /// The bytes of frames that are not decoded yet, from `start` on.
    received: Vec<u8>,
    start: usize,
    /// The fragments of an incomplete message.
    message: Option<Box<Fragments>>,
    /// The maximum length of a message, in bytes.
    limit: usize,
}

struct Fragments {
    is_text: bool,
    bytes: Vec<u8>,
    /// The length of the prefix that is valid UTF-8.
    checked: usize,
}

/// A decoded frame or message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// The close frame of the client, with its code if it has one.
    Close(Option<u16>),
    /// A fragment with this many bytes: the message is not complete.
    Fragment(usize),
}

impl FrameDecoder {
    /// Creates an empty decoder.
    pub(crate) fn new(limit: usize) -> Self {
        Self { received: Vec::new(), start: 0, message: None, limit }
    }

    /// Returns the maximum length of a message, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many bytes of an incomplete message are held.
    pub(crate) fn held(&self) -> usize {
        self.received.len() - self.start + self.message.as_ref().map_or(0, |message| message.bytes.len())
    }

    /// Appends received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // Once for all frames of a read: one read may hold thousands.
        self.received.drain(..std::mem::take(&mut self.start));
        self.received.extend_from_slice(bytes);
    }

    /// Decodes the next frame; `None` until it is complete.
    ///
    /// # Errors
    /// Returns the close for invalid input.
    pub(crate) fn next(&mut self) -> Result<Option<Decoded>, Close> {
        let received = &self.received[self.start..];
        if received.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(received);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| protocol_error(error.to_string()))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let head = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(protocol_error("reserved bits are set"));
        }
        let mask = header.mask.ok_or_else(|| protocol_error("a client's frame is not masked"))?;
        self.check(header.opcode, header.is_final, length)?;
        let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(head);
        let Some(masked) = received.get(head..end) else { return Ok(None) };
        let mut payload = masked.to_vec();
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        self.start += end;
        if self.start == self.received.len() {
            (self.received, self.start) = (Vec::new(), 0); // most sockets are idle after that
        }
        match header.opcode {
            OpCode::Control(Control::Ping) => Ok(Some(Decoded::Ping(payload))),
            OpCode::Control(Control::Close) => close(&payload).map(Some),
            OpCode::Control(_) => Ok(Some(Decoded::Pong)),
            OpCode::Data(kind) => self.data(kind == Data::Text, header.is_final, payload).map(Some),
        }
    }

    /// Checks the header of a frame.
    fn check(&self, opcode: OpCode, is_final: bool, length: u64) -> Result<(), Close> {
        match opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(protocol_error("the opcode is reserved"));
            }
            OpCode::Control(_) if !is_final => return Err(protocol_error("a control frame is in fragments")),
            OpCode::Control(_) if length > MAX_CONTROL => {
                return Err(protocol_error("a control frame is too long"));
            }
            OpCode::Control(_) => return Ok(()),
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                return Err(protocol_error("a fragment continues nothing"));
            }
            OpCode::Data(Data::Text | Data::Binary) if self.message.is_some() => {
                return Err(protocol_error("a message begins inside another one"));
            }
            OpCode::Data(_) => {}
        }
        let already = self.message.as_ref().map_or(0, |message| message.bytes.len());
        if length > (self.limit - already) as u64 {
            return Err(Close::new(
                CloseCode::MessageTooBig,
                format!("message is longer than {} bytes", self.limit),
            ));
        }
        Ok(())
    }

    fn data(&mut self, is_text: bool, is_final: bool, payload: Vec<u8>) -> Result<Decoded, Close> {
        let length = payload.len();
        let mut message = match self.message.take() {
            Some(mut message) => {
                message.bytes.extend_from_slice(&payload);
                message
            }
            None if is_final && is_text => {
                return String::from_utf8(payload).map(Decoded::Text).map_err(|_| not_utf8());
            }
            None if is_final => return Ok(Decoded::Binary(payload)),
            None => Box::new(Fragments { is_text, bytes: payload, checked: 0 }),
        };
        if message.is_text {
            message.check()?;
        }
        match (is_final, message.is_text) {
            (false, _) => {
                self.message = Some(message);
                Ok(Decoded::Fragment(length))
            }
            (true, true) => String::from_utf8(message.bytes).map(Decoded::Text).map_err(|_| not_utf8()),
            (true, false) => Ok(Decoded::Binary(message.bytes)),
        }
    }
}

impl Fragments {
    /// Rejects bytes that cannot become UTF-8. A fragment may end inside a character.
    fn check(&mut self) -> Result<(), Close> {
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_some() => return Err(not_utf8()),
            Err(error) => self.checked += error.valid_up_to(),
        }
        Ok(())
    }
}

/// Parses the payload of a close frame: empty, or a sendable code and a text.
fn close(payload: &[u8]) -> Result<Decoded, Close> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(Decoded::Close(None))
        } else {
            Err(protocol_error("half a close code"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !ReceivedCode::from(code).is_allowed() {
        return Err(protocol_error("no close code that may be sent"));
    }
    std::str::from_utf8(reason).map_err(|_| not_utf8())?;
    Ok(Decoded::Close(Some(code)))
}

fn protocol_error(why: impl Into<Cow<'static, str>>) -> Close {
    Close::new(CloseCode::ProtocolError, why)
}

fn not_utf8() -> Close {
    CloseCode::InvalidPayload.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a frame as a client sends it: its first byte, and the masked payload.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let length = u8::try_from(payload.len()).expect("a short frame");
        let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        [first, 0x80 | length].into_iter().chain(mask).chain(masked).collect()
    }

    /// Checks the result for these bytes, however they are cut.
    fn read(bytes: &[u8]) -> Result<Vec<Decoded>, u16> {
        let read_in = |step: usize| {
            let (mut assembly, mut all) = (FrameDecoder::new(20), Vec::new());
            for part in bytes.chunks(step) {
                assembly.push(part);
                while let Some(received) = assembly.next().map_err(|close| close.code())? {
                    all.push(received);
                }
            }
            assert!(assembly.received.capacity() == 0 || !assembly.received.is_empty(), "kept for nothing");
            Ok(all)
        };
        let whole = read_in(bytes.len());
        for step in 1..bytes.len() {
            assert_eq!(read_in(step), whole, "in steps of {step}");
        }
        whole
    }

    #[test]
    fn frames_become_messages() {
        let text = |text: &str| Decoded::Text(text.to_owned());
        assert_eq!(read(&frame(0x81, "hü".as_bytes())), Ok(vec![text("hü")]));
        assert_eq!(read(&frame(0x82, b"\xff")), Ok(vec![Decoded::Binary(vec![0xff])]));
        let split =
            [frame(0x01, b"h\xc3"), frame(0x89, b"?"), frame(0x00, b""), frame(0x80, b"\xbc")].concat();
        let expected =
            vec![Decoded::Fragment(2), Decoded::Ping(b"?".to_vec()), Decoded::Fragment(0), text("hü")];
        assert_eq!(read(&split), Ok(expected));
        let end = [frame(0x8a, b"!"), frame(0x88, b"\x03\xe8bye")].concat();
        assert_eq!(read(&end), Ok(vec![Decoded::Pong, Decoded::Close(Some(1000))]));
        assert_eq!(read(&frame(0x88, b"")), Ok(vec![Decoded::Close(None)]));
    }

    #[test]
    fn a_protocol_error_is_refused() {
        let unmasked = vec![0x81, 1, b'a'];
        let long = vec![0x81, 0xfe, 0, 21, 1, 2, 3, 4];
        let longer = [frame(0x01, &[b'a'; 15]), frame(0x80, &[b'a'; 6])].concat();
        for (code, bytes) in [
            (CloseCode::ProtocolError, unmasked),
            (CloseCode::ProtocolError, frame(0xc1, b"a")),
            (CloseCode::ProtocolError, frame(0x83, b"a")),
            (CloseCode::ProtocolError, frame(0x8b, b"a")),
            (CloseCode::ProtocolError, frame(0x80, b"a")),
            (CloseCode::ProtocolError, frame(0x09, b"a")),
            (CloseCode::ProtocolError, [frame(0x01, b"a"), frame(0x81, b"b")].concat()),
            (CloseCode::ProtocolError, vec![0x89, 0xfe, 0, 126, 1, 2, 3, 4]),
            (CloseCode::ProtocolError, frame(0x88, b"\x03")),
            (CloseCode::ProtocolError, frame(0x88, b"\x03\xed")),
            (CloseCode::InvalidPayload, frame(0x88, b"\x03\xe8\xff")),
            (CloseCode::InvalidPayload, frame(0x81, b"\xff")),
            (CloseCode::InvalidPayload, frame(0x01, b"a\xff")),
            (CloseCode::InvalidPayload, [frame(0x01, b"\xc3"), frame(0x80, b"")].concat()),
            (CloseCode::MessageTooBig, long),
            (CloseCode::MessageTooBig, longer),
        ] {
            assert_eq!(read(&bytes), Err(code.number()), "{bytes:x?}");
        }
    }
}
