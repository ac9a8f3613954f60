//! The two encodings of Centrifugo's client protocol: JSON, an object a line, and Protobuf, each
//! message behind its length.

use std::borrow::Cow;

use parlor::Frame;
use prost::Message;
use prost::encoding::decode_varint;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

use crate::protocols::centrifugo::messages::{Command, Reply};

/// An encoding of commands and replies.
pub(crate) trait Encoding: Send + Sync + 'static {
    /// The subprotocol of its sockets.
    const SUBPROTOCOL: &'static str;
    /// The parameters of a query that ask for it.
    const IN_QUERY: &'static [(&'static str, &'static str)] = &[];
    /// Whether it is that of clients that ask for none.
    const IS_DEFAULT: bool = false;

    /// Splits a message into its commands. What cannot be split is one that cannot be decoded.
    fn split<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = Frame<'a>> + Send;

    /// Decodes a command; `None` for any other bytes.
    fn decode(frame: &Frame<'_>) -> Option<Command>;

    /// Encodes a reply; `None` for one that contains what is no JSON.
    fn encode(reply: &Reply) -> Option<Frame<'static>>;
}

/// One JSON object a line.
pub(crate) struct Json;

/// Protobuf messages, each behind its length as a varint.
pub(crate) struct Protobuf;

/// Decodes a JSON object.
///
/// # Errors
/// Returns what is wrong with any other bytes.
pub(crate) fn object<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    // A derived parser accepts arrays, too.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(serde_json::Error::custom("expected a JSON object"));
    }
    serde_json::from_slice(json)
}

/// Encodes an object on one line: clients split messages at line breaks. Those between the tokens
/// of data become spaces; within a text, JSON escapes them.
pub(super) fn line(object: &impl Serialize) -> Option<String> {
    let json = serde_json::to_string(object).ok()?;
    let breaks = ['\n', '\r'];
    Some(if json.contains(breaks) { json.replace(breaks, " ") } else { json })
}

pub(super) fn bytes<'a>(frame: &'a Frame<'_>) -> &'a [u8] {
    match frame {
        Frame::Text(text) => text.as_bytes(),
        Frame::Binary(bytes) => bytes,
    }
}

impl Encoding for Json {
    const SUBPROTOCOL: &'static str = "centrifuge-json";
    const IS_DEFAULT: bool = true;

    fn split<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = Frame<'a>> + Send {
        let lines = bytes(frame).split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.trim_ascii().is_empty());
        lines.map(|line| Frame::Binary(Cow::Borrowed(line)))
    }

    fn decode(frame: &Frame<'_>) -> Option<Command> {
        object(bytes(frame)).ok()
    }

    fn encode(reply: &Reply) -> Option<Frame<'static>> {
        line(reply).map(|json| Frame::Text(json.into()))
    }
}

impl Encoding for Protobuf {
    const SUBPROTOCOL: &'static str = "centrifuge-protobuf";
    const IN_QUERY: &'static [(&'static str, &'static str)] =
        &[("format", "protobuf"), ("cf_protocol", "protobuf")];

    fn split<'a>(frame: &'a Frame<'_>) -> impl Iterator<Item = Frame<'a>> + Send {
        let mut rest = bytes(frame);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let mut after = rest;
            let length = decode_varint(&mut after).ok().and_then(|length| usize::try_from(length).ok());
            let Some((message, more)) = length.and_then(|length| after.split_at_checked(length)) else {
                return Some(Frame::Text(Cow::Borrowed(CUT_SHORT))).inspect(|_| rest = &[]);
            };
            rest = more;
            Some(Frame::Binary(Cow::Borrowed(message)))
        })
    }

    fn decode(frame: &Frame<'_>) -> Option<Command> {
        match frame {
            Frame::Binary(bytes) => Command::decode(&**bytes).ok(),
            Frame::Text(_) => None,
        }
    }

    fn encode(reply: &Reply) -> Option<Frame<'static>> {
        Some(Frame::Binary(reply.encode_length_delimited_to_vec().into()))
    }
}

/// Stands for a message whose length is not that of what follows: no message is a text.
const CUT_SHORT: &str = "";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::centrifugo::messages::{Payload, PublishRequest};

    /// Returns the commands of a message, and whether all of it could be decoded.
    fn commands<E: Encoding>(frame: &Frame<'_>) -> Option<Vec<Command>> {
        E::split(frame).map(|frame| E::decode(&frame)).collect()
    }

    fn binary(bytes: &[u8]) -> Frame<'_> {
        Frame::Binary(Cow::Borrowed(bytes))
    }

    #[test]
    fn both_encodings_have_the_same_commands() {
        let publish = PublishRequest { channel: "lobby".to_owned(), data: br#"{"a": 1.50}"#.to_vec() };
        let publish = Command { id: 7, publish: Some(publish), ..Command::default() };
        let send = Command { send: Some(Payload { data: b"[]".to_vec() }), ..Command::default() };
        let json = "{\"id\":7,\"publish\":{\"channel\":\"lobby\",\"data\":{\"a\": 1.50}}}\n\n{\"send\":{\"data\":[]}}\n";
        let expected = Some(vec![publish.clone(), send.clone()]);
        assert_eq!(commands::<Json>(&Frame::Text(json.into())), expected);
        let mut protobuf = publish.encode_length_delimited_to_vec();
        protobuf.extend(send.encode_length_delimited_to_vec());
        assert_eq!(commands::<Protobuf>(&binary(&protobuf)), expected);
    }

    #[test]
    fn an_empty_protobuf_command_is_a_byte_and_an_empty_line_is_none() {
        assert_eq!(commands::<Protobuf>(&binary(&[0, 0])), Some(vec![Command::default(); 2]));
        assert_eq!(commands::<Json>(&Frame::Text("\n {} \n".into())), Some(vec![Command::default()]));
    }

    #[test]
    fn what_is_cut_short_cannot_be_decoded() {
        let ping = Command { id: 300, ..Command::default() }.encode_length_delimited_to_vec();
        for end in 1..ping.len() {
            assert_eq!(commands::<Protobuf>(&binary(&ping[..end])), None, "{end}");
        }
        for bytes in [&[0xff; 11][..], &[0xff, 0xff, 0xff, 0xff, 0x0f, 8], &[2, 8, 0xff], &[1, 7]] {
            assert_eq!(commands::<Protobuf>(&binary(bytes)), None, "{bytes:?}");
        }
        for json in ["{", "[]", "7", "{\"id\":-1}", "{\"id\":1.5}", "{} {}", "{\"publish\":{\"data\":nul}}"] {
            assert_eq!(commands::<Json>(&Frame::Text(json.into())), None, "{json}");
        }
        assert_eq!(commands::<Json>(&binary(b"{\"publish\":{\"data\":\"\xff\"}}")), None, "not UTF-8");
    }
}
