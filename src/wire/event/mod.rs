//! Events: the messages of a group, in the format of `channels_redis`' pub/sub layer.
//!
//! On Redis an event is a bare MessagePack map with a string `type`, published on the channel
//! `asgi__group__<group>` (channels_redis 4.3, `channels_redis.pubsub`). Django's decoder ends
//! every consumer of a group on a map it cannot read, so the encoder is strict. Any Redis client
//! can publish, so the decoder accepts arbitrary bytes and never panics.

pub(crate) mod clearing;
mod malformed;
mod members;
mod redaction;

pub use self::malformed::Malformed;
use self::members::Members;
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// A map with a string `type` and other text members.
///
/// A Django process may send members of other kinds (numbers, lists, integer keys). They are
/// ignored: no consumer lists them, and so every event that is sent on is valid for Django.
///
/// # Examples
/// ```
/// use parlor::Event;
///
/// let event = Event::new("note.written").with("message", "hi");
/// assert_eq!(event.kind(), "note_written");
/// assert_eq!(event.text("message"), Some("hi"));
/// assert_eq!(event.text("user"), None);
///
/// // A MessagePack map, as channels_redis reads and writes it.
/// let bytes = event.encode();
/// assert_eq!(bytes, b"\x82\xa4type\xacnote.written\xa7message\xa2hi");
/// assert_eq!(Event::decode(&bytes), Ok(event));
///
/// // Types that only the layer sends are rejected.
/// assert!(Event::decode(&Event::new("parlor_gap").encode()).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    members: Members,
    /// The type with `_` for each `.`, if it has any.
    undotted: Option<Box<str>>,
    position: Option<Position>,
}

/// The position of an event in its group's log: the members `id`, `prev` and `offset` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The id of the event.
    pub id: Id,
    /// The id of the preceding event, or [`Id::START`].
    pub prev: Id,
    /// The number of the event; `None` if a node of a version before numbers appended it.
    pub offset: Option<Offset>,
}

/// The prefix of event types that only the layer sends.
const OWN: &str = "parlor_";
/// Events may be missing before this one. Members: `reason` (`trimmed`, `rewritten`), `after` (an
/// id).
pub const GAP: &str = "parlor_gap";
/// The members of the group changed. Members: `change` (`join`, `leave`, `rename`, `state`),
/// `user`, `count`, with `state` `members`, separated by spaces, unless they are too many, and the
/// `version`.
pub const PRESENCE: &str = "parlor_presence";
/// The member of a [`PRESENCE`] event with its number on this node.
pub(crate) const VERSION: &str = "version";
/// The group's interval was started. It has no members and is delivered to no socket.
pub(crate) const INTERVAL: &str = "parlor_interval";
/// A logged event was redacted. In the log it replaces the event and has no members. When
/// published, it has the member `id`.
pub const REDACTED: &str = "parlor_covered";
/// All events of the group's log were removed. Members: `last` (the id of the newest). Nodes
/// deliver a [`GAP`] in its place.
const CLEARED: &str = "parlor_cleared";

/// The initial capacity for the members of a new event, in bytes.
const INITIAL_MEMBER_BYTES: usize = 128;

impl Event {
    /// Creates an event of this type, without other members.
    pub fn new(kind: &str) -> Self {
        let mut members = Members::with_space(INITIAL_MEMBER_BYTES);
        members.push("type", kind);
        Self::of(members, None)
    }

    fn of(members: Members, position: Option<Position>) -> Self {
        let dotted = members.get("type").filter(|kind| kind.contains('.'));
        let undotted = dotted.map(|kind| kind.replace('.', "_").into());
        Self { members, undotted, position }
    }

    /// Returns the event with one more text member.
    #[must_use]
    pub fn with(mut self, name: &str, text: &str) -> Self {
        self.members.push(name, text);
        self
    }

    /// Returns a copy with two more members, which name the sender, a third for a sender whom other
    /// programs know by another text than the id, and one for the JSON that its token has of it.
    #[must_use]
    pub(crate) fn attributed(
        &self,
        user: &str,
        name: &str,
        subject: Option<&str>,
        info: Option<&str>,
    ) -> Self {
        let mut members = self.members.and([("user", user), ("name", name)]);
        if let Some(subject) = subject {
            members.push("subject", subject);
        }
        if let Some(info) = info {
            members.push("conn_info", info);
        }
        Self::of(members, self.position)
    }

    /// Returns the type as Channels dispatches it: `.` counts as `_`.
    pub fn kind(&self) -> &str {
        self.undotted.as_deref().or_else(|| self.text("type")).unwrap_or_default()
    }

    /// Returns a text member; `None` if it is absent or not a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)
    }

    /// Returns the position in the group's log; `None` for events that are not logged.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Returns the event at this position of the log.
    #[must_use]
    pub(crate) fn at_position(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    /// Returns the number of a [`PRESENCE`] event on this node; `None` for other events.
    pub(crate) fn presence_version(&self) -> Option<u64> {
        if self.kind() == PRESENCE { self.text(VERSION)?.parse().ok() } else { None }
    }

    /// Returns whether only the layer sends events of this type.
    pub fn is_own(&self) -> bool {
        self.kind().starts_with(OWN)
    }

    /// Returns the approximate size in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.members.size()
    }

    /// Returns how many bytes its members have.
    pub(crate) fn bytes(&self) -> usize {
        self.members.bytes()
    }

    /// Encodes the event for Redis: one map of texts, without trailing bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.members.encode(0)
    }

    /// Encodes the event with a header that counts two more members, `id` and `prev`, as the log
    /// has it. The script in Redis appends them and `offset`, which it counts itself.
    pub(crate) fn encode_open(&self) -> Vec<u8> {
        self.members.encode(2)
    }

    /// Decodes what [`encode_open`](Self::encode_open) returned.
    ///
    /// # Errors
    /// Returns [`Malformed`], as [`decode`](Self::decode).
    pub(crate) fn decode_open(open: &[u8], stamp: Position) -> Result<Self, Malformed> {
        let members = Members::decode(open, 2, |_, _| true)?;
        Self::of(members, Some(stamp)).typed()?.anybodys()
    }

    /// Decodes an event that any Redis client may have published.
    ///
    /// # Errors
    /// Returns [`Malformed`] for every input that is not exactly one event.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::decode_ours(bytes)?.anybodys()
    }

    /// Decodes an event that only nodes and their scripts publish.
    ///
    /// # Errors
    /// Returns [`Malformed`] for every input that is not exactly one event.
    pub(crate) fn decode_ours(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut id, mut prev, mut offset) = (None, None, None);
        let mut members = Members::decode(bytes, 0, |name, text| {
            let place = match name {
                b"id" => &mut id,
                b"prev" => &mut prev,
                b"offset" => {
                    let parsed = Offset::from_bytes(text);
                    offset = parsed.or(offset); // the script appends the last one
                    return parsed.is_none();
                }
                _ => return true,
            };
            place.get_or_insert(text);
            false
        })?;
        let parsed = |text: Option<&[u8]>| std::str::from_utf8(text?).ok()?.parse().ok();
        let stamp = parsed(id).zip(parsed(prev)).map(|(id, prev)| Position { id, prev, offset });
        if stamp.is_none() && (id.is_some() || prev.is_some() || offset.is_some()) {
            // Ordinary members.
            members = Members::decode(bytes, 0, |_, _| true)?;
        }
        Self::of(members, stamp).typed()
    }

    fn typed(self) -> Result<Self, Malformed> {
        if self.text("type").is_some() { Ok(self) } else { Err(Malformed::NoType) }
    }

    fn anybodys(self) -> Result<Self, Malformed> {
        if self.is_own() { Err(Malformed::Reserved) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that channels_redis writes for `{"type": "chat_message", "message": "hi 你好"}`.
    const FROM_DJANGO: &[u8] = b"\x82\xa4type\xacchat_message\xa7message\xa9hi \xe4\xbd\xa0\xe5\xa5\xbd";

    #[test]
    fn an_event_of_django_is_decoded_and_encoded_byte_for_byte() {
        let event = Event::decode(FROM_DJANGO).unwrap();
        assert_eq!((event.kind(), event.text("message")), ("chat_message", Some("hi 你好")));
        assert_eq!(Event::new("chat_message").with("message", "hi 你好").encode(), FROM_DJANGO);
    }

    #[test]
    fn a_dot_in_a_type_is_an_underscore_as_in_channels() {
        assert_eq!(Event::new("chat.message").kind(), "chat_message");
    }

    #[test]
    fn bytes_that_are_no_event_have_their_own_errors() {
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
            (b"\x82\xa4type\xa1a\xa2id\xa1\xff", Malformed::NotUtf8),
            (b"\x84\xa4type\xa1a\xa2id\xa31-0\xa4prev\xa30-0\xa2id\xa1\xff", Malformed::NotUtf8),
        ] {
            assert_eq!(Event::decode(bytes), Err(expected), "{bytes:x?}");
        }
    }

    #[test]
    fn an_open_event_is_decoded_with_its_position() {
        let event = Event::new("chat_message").with("message", "hi");
        let open = event.encode_open();
        let stamp = Position { id: Id::START.next(7), prev: Id::START, offset: None };
        let closed = [&open[..], b"\xa2id\xa37-0\xa4prev\xa30-0"].concat();
        assert_eq!(Event::decode(&closed), Ok(event.clone().at_position(stamp)));
        assert_eq!(Event::decode_open(&open, stamp), Ok(event.at_position(stamp)));
    }

    #[test]
    fn an_open_event_promises_two_members_that_are_not_there() {
        let stamp = Position { id: Id::START.next(7), prev: Id::START, offset: None };
        for (bytes, expected) in [
            (&b"\x83\xa4type\xa1a\xa2id\xa37-0\xa4prev\xa30-0"[..], Malformed::TrailingBytes),
            (b"\x81\xa4type\xa1a", Malformed::TrailingBytes),
            (b"\x84\xa4type\xa1a", Malformed::MessagePack),
            (b"\x83\xa4type\x01", Malformed::NoType),
            (b"\x83\xa4type\xaaparlor_gap", Malformed::Reserved),
        ] {
            assert_eq!(Event::decode_open(bytes, stamp), Err(expected), "{bytes:x?}");
        }
    }

    #[test]
    fn the_first_id_and_prev_are_the_position_at_any_place() {
        let bytes = b"\x86\xa2id\x05\xa4prev\xa31-0\xa4type\xa1a\xa2id\xa32-0\xa1x\xa1y\xa4prev\xa1?";
        let stamp = Position { id: Id::START.next(2), prev: Id::START.next(1), offset: None };
        assert_eq!(Event::decode(bytes), Ok(Event::new("a").with("x", "y").at_position(stamp)));
    }

    #[test]
    fn an_offset_belongs_to_a_position_and_is_else_a_member() {
        let member = &b"\xa6offset\xb200000000000000ab:7"[..];
        let offset = Some(Offset { n: 7.try_into().unwrap(), ..Offset::first(0xab) });
        let logged = b"\x85\xa4type\xa1a\xa6offset\xa17\xa2id\xa37-0\xa4prev\xa30-0";
        let stamp = Position { id: Id::START.next(7), prev: Id::START, offset };
        assert_eq!(
            Event::decode(&[&logged[..], member].concat()),
            Ok(Event::new("a").with("offset", "7").at_position(stamp)),
        );
        assert_eq!(
            Event::decode(&[&b"\x82\xa4type\xa1a"[..], member].concat()),
            Ok(Event::new("a").with("offset", "00000000000000ab:7")),
        );
    }

    #[test]
    fn an_id_without_prev_is_a_member_like_any_other() {
        let event = Event::decode(b"\x83\xa2id\xa37-0\xa4type\xa3a.b\xa1x\xa1y").unwrap();
        assert_eq!((event.kind(), event.position(), event.text("id")), ("a_b", None, Some("7-0")));
        assert_eq!(event.encode(), b"\x83\xa2id\xa37-0\xa4type\xa3a.b\xa1x\xa1y");
    }

    #[test]
    fn a_message_on_its_way_takes_one_allocation_at_each_step() {
        let said = Event::new("chat_message").with("message", &"hi 你好 ".repeat(10));
        let stamp = Position { id: Id::START.next(7), prev: Id::START, offset: None };
        let open = said.attributed("a1b2c3d4e5f60718", "alice", None, None).encode_open();
        let closed = [&open[..], b"\xa2id\xa37-0\xa4prev\xa30-0"].concat();
        let count = |step: &dyn Fn()| allocation_counter::measure(step).count_total;
        assert_eq!(count(&|| drop(said.attributed("a1b2c3d4e5f60718", "alice", None, None))), 1, "signed");
        assert_eq!(count(&|| drop(said.encode_open())), 1, "written");
        assert_eq!(count(&|| drop(Event::decode(&closed))), 1, "read when it is published");
        assert_eq!(count(&|| drop(Event::decode_open(&open, stamp))), 1, "read from the log");
        assert_eq!(count(&|| drop(said.clone())), 1, "copied");
        assert_eq!(count(&|| assert_eq!(said.kind(), "chat_message")), 0, "asked for its type");
    }

    #[test]
    fn a_foreign_id_is_no_position_in_the_log() {
        let event = Event::decode(b"\x82\xa4type\xa1a\xa2id\xa242").unwrap();
        assert_eq!((event.position(), event.text("id")), (None, Some("42")));
    }

    #[test]
    fn an_event_of_the_layer_cannot_be_sent_by_a_client() {
        assert_eq!(Event::decode(b"\x81\xa4type\xaaparlor.gap"), Err(Malformed::Reserved));
    }

    #[test]
    fn integer_keys_do_no_harm() {
        let event = Event::decode(b"\x82\x01\x02\xa4type\xa1a").unwrap();
        assert_eq!((event.kind(), event.text("message")), ("a", None));
    }
}
