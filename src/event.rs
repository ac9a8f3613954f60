//! An event: what travels through a group, on the wire of `channels_redis`' pub/sub layer.
//!
//! On Redis an event is a bare MessagePack map with a string `type`, published on the channel
//! `asgi__group__<group>` (channels_redis 4.3, `channels_redis.pubsub`). Django's decoder ends every
//! consumer of a group on a map it cannot read, so the encoder is strict; anybody can publish on
//! Redis, so the decoder takes all bytes and never panics.

use std::fmt;

use rmpv::ValueRef;

/// How far values may nest, in rmpv's counting (two for each array or map): no consumer reads
/// nested values, and recursion must end.
const MAX_DEPTH: usize = 64;

/// A map with a string `type` and other text members.
///
/// A Django process may send members of other kinds (numbers, lists, integer keys). They are read
/// over: no consumer here lists them, and so nothing can be sent on that Django could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    members: Vec<(String, String)>,
}

/// Why bytes from Redis are no event.
#[derive(Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not MessagePack, cut short, or nested too deep.
    MessagePack,
    /// One MessagePack value, then more bytes.
    TrailingBytes,
    /// MessagePack, but not a map.
    NotAMap,
    /// A text that is not UTF-8.
    NotUtf8,
    /// A map without a string under `type`.
    NoType,
}

impl Event {
    /// An event of this type, without other members.
    pub fn new(kind: &str) -> Self {
        Self { members: vec![("type".to_owned(), kind.to_owned())] }
    }

    /// The same event with one more text member.
    #[must_use]
    pub fn with(mut self, name: &str, text: &str) -> Self {
        self.members.push((name.to_owned(), text.to_owned()));
        self
    }

    /// The event's type as Channels' dispatch reads it: `.` counts as `_`.
    pub fn kind(&self) -> String {
        self.text("type").unwrap_or_default().replace('.', "_")
    }

    /// A text member; `None` if it is absent or was no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }

    /// The bytes for Redis: one map of texts, and nothing after it.
    pub fn encode(&self) -> Vec<u8> {
        let members = self.members.iter().map(|(key, text)| (key.as_str().into(), text.as_str().into()));
        let mut bytes = Vec::with_capacity(64);
        rmpv::encode::write_value_ref(&mut bytes, &ValueRef::Map(members.collect()))
            .expect("writing to a Vec cannot fail");
        bytes
    }

    /// Reads what somebody put on Redis.
    ///
    /// # Errors
    /// [`Malformed`], for every input that is not exactly one event.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let value = rmpv::decode::read_value_ref_with_max_depth(&mut bytes, MAX_DEPTH)
            .map_err(|_| Malformed::MessagePack)?;
        if !bytes.is_empty() {
            return Err(Malformed::TrailingBytes);
        }
        let ValueRef::Map(members) = value else { return Err(Malformed::NotAMap) };
        let texts = members.iter().filter_map(|(key, value)| match (key, value) {
            (ValueRef::String(key), ValueRef::String(text)) => Some((key, text)),
            _ => None,
        });
        let texts = texts.map(|(key, text)| Some((key.as_str()?.to_owned(), text.as_str()?.to_owned())));
        let event = Self { members: texts.collect::<Option<_>>().ok_or(Malformed::NotUtf8)? };
        if event.text("type").is_none() {
            return Err(Malformed::NoType);
        }
        Ok(event)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessagePack => "`payload` is not MessagePack, or nests too deep",
            Self::TrailingBytes => "`payload` goes on after its map",
            Self::NotAMap => "`payload` is not a map",
            Self::NotUtf8 => "`payload` holds a text that is not UTF-8",
            Self::NoType => "`type` is not a string",
        })
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    /// As channels_redis writes `{"type": "chat_message", "message": "hi 你好"}`.
    const FROM_DJANGO: &[u8] = b"\x82\xa4type\xacchat_message\xa7message\xa9hi \xe4\xbd\xa0\xe5\xa5\xbd";

    #[test]
    fn what_django_writes_is_read_and_written_again_byte_for_byte() {
        let event = Event::decode(FROM_DJANGO).unwrap();
        assert_eq!((event.kind().as_str(), event.text("message")), ("chat_message", Some("hi 你好")));
        assert_eq!(Event::new("chat_message").with("message", "hi 你好").encode(), FROM_DJANGO);
    }

    #[test]
    fn a_dot_in_a_type_is_an_underscore_as_in_channels() {
        assert_eq!(Event::new("chat.message").kind(), "chat_message");
    }

    #[test]
    fn bytes_that_are_no_event_are_told_apart() {
        let deep: Vec<u8> = std::iter::repeat_n(0x91, 10_000).collect();
        let huge = b"\xdd\x06\x00\x00\x00";
        for (bytes, expected) in [
            (&b""[..], Malformed::MessagePack),
            (&deep, Malformed::MessagePack),
            (huge, Malformed::MessagePack),
            (b"\x80\x80", Malformed::TrailingBytes),
            (b"\x2a", Malformed::NotAMap),
            (b"\x80", Malformed::NoType),
            (b"\x81\xa4type\x01", Malformed::NoType),
            (b"\x81\xa4type\xa2\xff\xfe", Malformed::NotUtf8),
        ] {
            assert_eq!(Event::decode(bytes), Err(expected), "{bytes:x?}");
        }
    }

    #[test]
    fn integer_keys_do_no_harm() {
        let event = Event::decode(b"\x82\x01\x02\xa4type\xa1a").unwrap();
        assert_eq!((event.kind().as_str(), event.text("message")), ("a", None));
    }
}
