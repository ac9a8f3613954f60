//! An event: what travels through a group, on the wire of `channels_redis`' pub/sub layer.
//!
//! On Redis an event is a bare MessagePack map with a string `type`, published on the channel
//! `asgi__group__<group>` (channels_redis 4.3, `channels_redis.pubsub`). Django's decoder ends every
//! consumer of a group on a map it cannot read, so the encoder is strict; anybody can publish on
//! Redis, so the decoder takes all bytes and never panics.

use std::fmt;

use rmpv::ValueRef;

use crate::id::Id;
use crate::rendering::Renderings;

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
    stamp: Option<Stamp>,
    pub(crate) renderings: Renderings,
}

/// An event's place in its group's log: the members `id` and `prev` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its own id.
    pub id: Id,
    /// The id of the event before it, or [`Id::START`].
    pub prev: Id,
}

/// The types of events that the layer itself makes begin so. Nobody else can send them.
const OWN: &str = "parlor_";
/// Between two events some may be missing. Members: `reason` (`trimmed`, `rewritten`), `after` (an id).
pub const GAP: &str = "parlor_gap";
/// Who is in the group. Members: `change` (`join`, `leave`, `state`), `user`, `count`, and with `state`
/// `members`, separated by spaces, unless they are too many.
pub const PRESENCE: &str = "parlor_presence";

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
    /// A type that only the layer makes.
    Reserved,
}

impl Event {
    /// An event of this type, without other members.
    pub fn new(kind: &str) -> Self {
        Self {
            members: vec![("type".to_owned(), kind.to_owned())],
            stamp: None,
            renderings: Renderings::default(),
        }
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

    /// Its place in the group's log; `None` if it did not pass the log.
    pub fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// The same event at this place of the log.
    #[must_use]
    pub(crate) fn stamped(self, stamp: Stamp) -> Self {
        Self { stamp: Some(stamp), ..self }
    }

    /// Whether the layer itself made it.
    pub(crate) fn is_own(&self) -> bool {
        self.text("type").is_some_and(|kind| kind.starts_with(OWN))
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn size(&self) -> usize {
        128 + self.members.iter().map(|(key, text)| 64 + key.len() + text.len()).sum::<usize>()
    }

    /// The bytes for Redis: one map of texts, and nothing after it.
    pub fn encode(&self) -> Vec<u8> {
        encode(self.members.iter().map(|(key, text)| (key.as_str(), text.as_str())))
    }

    /// The same bytes with two members promised and not there: whoever knows `id` and `prev` writes
    /// them behind.
    pub(crate) fn encode_open(&self) -> Vec<u8> {
        let members = self.members.iter().map(|(key, text)| (key.as_str(), text.as_str()));
        let mut bytes = encode(members.chain([("id", ""), ("prev", "")]));
        bytes.truncate(bytes.len() - "\u{0}id\u{0}\u{0}prev\u{0}".len());
        bytes
    }

    /// Reads what [`encode_open`](Self::encode_open) wrote.
    ///
    /// # Errors
    /// [`Malformed`], as [`decode`](Self::decode).
    pub(crate) fn decode_open(open: &[u8], stamp: Stamp) -> Result<Self, Malformed> {
        let closed = [open, b"\xa2id\xa0\xa4prev\xa0"].concat();
        let mut event = Self::decode(&closed)?;
        event.members.truncate(event.members.len() - 2);
        Ok(event.stamped(stamp))
    }

    /// Reads what somebody put on Redis.
    ///
    /// # Errors
    /// [`Malformed`], for every input that is not exactly one event.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let event = Self::decode_ours(bytes)?;
        if event.kind().starts_with(OWN) { Err(Malformed::Reserved) } else { Ok(event) }
    }

    /// Reads what only our own nodes and scripts put on Redis.
    ///
    /// # Errors
    /// [`Malformed`], for every input that is not exactly one event.
    pub(crate) fn decode_ours(mut bytes: &[u8]) -> Result<Self, Malformed> {
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
        let members = texts.collect::<Option<_>>().ok_or(Malformed::NotUtf8)?;
        let mut event = Self { members, stamp: None, renderings: Renderings::default() };
        if event.text("type").is_none() {
            return Err(Malformed::NoType);
        }
        let id = |name| event.text(name).and_then(|text| text.parse().ok());
        if let (Some(id), Some(prev)) = (id("id"), id("prev")) {
            event.members.retain(|(name, _)| name != "id" && name != "prev");
            event.stamp = Some(Stamp { id, prev });
        }
        Ok(event)
    }
}

fn encode<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let members = members.map(|(key, text)| (key.into(), text.into()));
    let mut bytes = Vec::with_capacity(64);
    rmpv::encode::write_value_ref(&mut bytes, &ValueRef::Map(members.collect()))
        .expect("writing to a Vec cannot fail");
    bytes
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessagePack => "`payload` is not MessagePack, or nests too deep",
            Self::TrailingBytes => "`payload` goes on after its map",
            Self::NotAMap => "`payload` is not a map",
            Self::NotUtf8 => "`payload` holds a text that is not UTF-8",
            Self::NoType => "`type` is not a string",
            Self::Reserved => "`type` begins with `parlor_`",
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
    fn an_open_event_is_completed_by_whoever_knows_its_place() {
        let event = Event::new("chat_message").with("message", "hi");
        let open = event.encode_open();
        let stamp = Stamp { id: Id::START.next(7), prev: Id::START };
        let closed = [&open[..], b"\xa2id\xa37-0\xa4prev\xa30-0"].concat();
        assert_eq!(Event::decode(&closed), Ok(event.clone().stamped(stamp)));
        assert_eq!(Event::decode_open(&open, stamp), Ok(event.stamped(stamp)));
    }

    #[test]
    fn an_id_that_is_none_of_ours_is_no_place_in_the_log() {
        let event = Event::decode(b"\x82\xa4type\xa1a\xa2id\xa242").unwrap();
        assert_eq!((event.stamp(), event.text("id")), (None, Some("42")));
    }

    #[test]
    fn nobody_can_send_an_event_of_the_layer() {
        assert_eq!(Event::decode(b"\x81\xa4type\xaaparlor.gap"), Err(Malformed::Reserved));
    }

    #[test]
    fn integer_keys_do_no_harm() {
        let event = Event::decode(b"\x82\x01\x02\xa4type\xa1a").unwrap();
        assert_eq!((event.kind().as_str(), event.text("message")), ("a", None));
    }
}
