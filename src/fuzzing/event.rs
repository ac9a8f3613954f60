//! Events: MessagePack from Redis.

use rmp::encode::write_str;
use rmpv::ValueRef;

use super::within;
use crate::wire::event::{Event, Malformed, Position};
use crate::wire::id::Id;
use crate::wire::offset::Offset;

/// The maximum depth of values, in rmpv's counting.
const MAX_DEPTH: usize = 64;
/// Bytes of memory per byte of input: one byte can be a value of rmpv's tree, in a list that has
/// just grown.
const BYTES_PER_INPUT_BYTE: usize = 200;
const BASE_BYTES: usize = 4096;

/// Decodes bytes from Redis as an event of any sender, of a node, and as an open event of the log.
pub fn event(bytes: &[u8]) {
    let most = BASE_BYTES + BYTES_PER_INPUT_BYTE * bytes.len();
    let ours = within(most, || Event::decode_ours(bytes));
    let anybodys = within(most, || Event::decode(bytes));
    match &ours {
        Ok(event) if event.kind().starts_with("parlor_") => assert_eq!(anybodys, Err(Malformed::Reserved)),
        _ => assert_eq!(anybodys, ours, "from any sender"),
    }
    let expected = read_by_rmpv(bytes);
    assert_eq!(ours.is_ok(), expected.is_some(), "rmpv reads {expected:?}");
    if let Ok(event) = ours {
        let members = expected.unwrap_or_default();
        for (name, text) in &members {
            let is_place = |text: &str| {
                let is_offset = *name == "offset" && text.parse::<Offset>().is_ok();
                event.position().is_some() && (["id", "prev"].contains(name) || is_offset)
            };
            let kept = members.iter().find(|(known, text)| known == name && !is_place(text));
            assert_eq!(event.text(name), kept.map(|(_, text)| *text), "`{name}`: `{text}`");
        }
        is_written_as_it_was_read(&event);
    }
    let stamp = Position { id: Id::START.next(7), prev: Id::START, offset: None };
    if let Ok(event) = within(most, || Event::decode_open(bytes, stamp)) {
        assert_eq!(event.position(), Some(stamp));
        assert_eq!(Event::decode_open(&event.encode_open(), stamp), Ok(event));
    }
}

fn is_written_as_it_was_read(event: &Event) {
    let again = Event::decode_ours(&event.encode());
    let Some(stamp) = event.position() else {
        assert_eq!(again.as_ref(), Ok(event));
        return;
    };
    assert_eq!(again.map(|again| again.at_position(stamp)).as_ref(), Ok(event));
    // Completes the event as the script in Redis of versions without offsets does.
    let mut closed = event.encode_open();
    for (name, id) in [("id", stamp.id), ("prev", stamp.prev)] {
        write_str(&mut closed, name).expect("writing to a Vec cannot fail");
        write_str(&mut closed, &id.to_string()).expect("writing to a Vec cannot fail");
    }
    let numberless = event.clone().at_position(Position { offset: None, ..stamp });
    assert_eq!(Event::decode_ours(&closed), Ok(numberless));
}

/// Decodes the texts of a map with a `type`, by way of a tree of values.
fn read_by_rmpv(mut bytes: &[u8]) -> Option<Vec<(&str, &str)>> {
    let value = rmpv::decode::read_value_ref_with_max_depth(&mut bytes, MAX_DEPTH).ok()?;
    let ValueRef::Map(map) = value else { return None };
    let mut members = Vec::new();
    for member in map {
        if let (ValueRef::String(name), ValueRef::String(text)) = member {
            members.push((name.into_str()?, text.into_str()?));
        }
    }
    (bytes.is_empty() && members.iter().any(|(name, _)| *name == "type")).then_some(members)
}
