//! The members of an event, in one allocation, and their encoding in MessagePack.

use rmp::decode::{read_map_len, read_str_len};
use rmp::encode::{write_map_len, write_str};
use smallvec::SmallVec;

use super::Malformed;

/// The maximum depth of values, in rmpv's counting (two for each array or map). No consumer reads
/// nested values, and recursion must be bounded.
const MAX_DEPTH: usize = 64;
/// The maximum memory that is reserved before the input justifies it, in bytes.
const MAX_RESERVED_BYTES: usize = 1024;

/// Names and texts in order, in one allocation for each event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// Names and texts, alternating.
    texts: String,
    /// The end of each. Few events have more than four members.
    ends: SmallVec<[usize; 8]>,
}

impl Members {
    /// Creates an empty list with space for this many bytes.
    pub(super) fn with_space(bytes: usize) -> Self {
        Self { texts: String::with_capacity(bytes), ends: SmallVec::new() }
    }

    pub(super) fn push(&mut self, name: &str, text: &str) {
        for part in [name, text] {
            self.texts.push_str(part);
            self.ends.push(self.texts.len());
        }
    }

    /// Returns a copy with two more members.
    pub(super) fn and(&self, more: [(&str, &str); 2]) -> Self {
        let space: usize = more.iter().map(|(name, text)| name.len() + text.len()).sum();
        let mut members = Self::with_space(self.texts.len() + space);
        members.texts.push_str(&self.texts);
        members.ends.extend_from_slice(&self.ends);
        for (name, text) in more {
            members.push(name, text);
        }
        members
    }

    /// Returns the first text of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.chunks_exact(2).map(move |ends| {
            let member = (&self.texts[start..ends[0]], &self.texts[ends[0]..ends[1]]);
            start = ends[1];
            member
        })
    }

    /// Returns the number of bytes on the heap.
    pub(super) fn size(&self) -> usize {
        self.texts.capacity()
    }

    /// Returns the number of bytes of all names and texts.
    pub(super) fn bytes(&self) -> usize {
        self.texts.len()
    }

    /// Encodes one map of texts, whose header counts that many more members.
    pub(super) fn encode(&self, missing: usize) -> Vec<u8> {
        let count = self.ends.len() / 2 + missing;
        // No header is longer than five bytes.
        let mut bytes = Vec::with_capacity(self.texts.len() + 5 * (1 + self.ends.len()));
        let written = u32::try_from(count).map(|count| write_map_len(&mut bytes, count).is_ok());
        assert_eq!(written, Ok(true), "an event has fewer members than a map can have");
        for (name, text) in self.iter() {
            for text in [name, text] {
                write_str(&mut bytes, text).expect("writing to a Vec cannot fail");
            }
        }
        bytes
    }

    /// Decodes one map whose last `missing` members are absent, and keeps the wanted text members.
    pub(super) fn decode<'a>(
        bytes: &'a [u8],
        missing: u32,
        mut wanted: impl FnMut(&'a [u8], &'a [u8]) -> bool,
    ) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let Ok(promised) = read_map_len(&mut rest) else { return Err(no_map(bytes)) };
        let count = promised.checked_sub(missing).ok_or(Malformed::TrailingBytes)?;
        let (mut texts, mut ends) =
            (Vec::with_capacity(bytes.len().min(MAX_RESERVED_BYTES)), SmallVec::new());
        let mut is_utf8 = true;
        for _ in 0..count {
            let (Some(name), Some(text)) = (text(&mut rest)?, text(&mut rest)?) else { continue };
            if wanted(name, text) {
                for part in [name, text] {
                    texts.extend_from_slice(part);
                    ends.push(texts.len());
                }
            } else {
                is_utf8 &= [name, text].iter().all(|part| std::str::from_utf8(part).is_ok());
            }
        }
        if !rest.is_empty() {
            return Err(Malformed::TrailingBytes);
        }
        let texts = String::from_utf8(texts).map_err(|_| Malformed::NotUtf8)?;
        // Two invalid texts can join to valid UTF-8, so each one is checked.
        is_utf8 &= ends.iter().all(|end| texts.is_char_boundary(*end));
        if is_utf8 { Ok(Self { texts, ends }) } else { Err(Malformed::NotUtf8) }
    }
}

/// Returns the next value if it is a text; ignores any other.
fn text<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let mut after = *rest;
    let Ok(length) = read_str_len(&mut after) else {
        // Two for the enclosing map.
        return skip_value(rest, MAX_DEPTH - 2).map(|()| None);
    };
    let (text, after) = after.split_at_checked(length as usize).ok_or(Malformed::MessagePack)?;
    *rest = after;
    Ok(Some(text))
}

fn skip_value(rest: &mut &[u8], depth: usize) -> Result<(), Malformed> {
    let value = rmpv::decode::read_value_ref_with_max_depth(rest, depth);
    value.map(|_| ()).map_err(|_| Malformed::MessagePack)
}

/// Returns the error for bytes that do not start with a map.
fn no_map(mut bytes: &[u8]) -> Malformed {
    match skip_value(&mut bytes, MAX_DEPTH) {
        Err(malformed) => malformed,
        Ok(()) if bytes.is_empty() => Malformed::NotAMap,
        Ok(()) => Malformed::TrailingBytes,
    }
}

#[cfg(test)]
mod tests {
    use rmpv::{Value, ValueRef};

    use super::*;

    /// Lengths at which MessagePack changes the encoding of a text, and their neighbours.
    const LENGTHS: [usize; 9] = [0, 1, 31, 32, 255, 256, 65_535, 65_536, 70_000];

    fn decoded(bytes: &[u8]) -> Result<Members, Malformed> {
        Members::decode(bytes, 0, |_, _| true)
    }

    /// Decodes by way of a tree of values.
    fn decoded_by_rmpv(mut bytes: &[u8]) -> Result<Members, Malformed> {
        let value = rmpv::decode::read_value_ref_with_max_depth(&mut bytes, MAX_DEPTH)
            .map_err(|_| Malformed::MessagePack)?;
        if !bytes.is_empty() {
            return Err(Malformed::TrailingBytes);
        }
        let ValueRef::Map(map) = value else { return Err(Malformed::NotAMap) };
        let mut members = Members::default();
        for member in &map {
            if let (ValueRef::String(name), ValueRef::String(text)) = member {
                let (Some(name), Some(text)) = (name.as_str(), text.as_str()) else {
                    return Err(Malformed::NotUtf8);
                };
                members.push(name, text);
            }
        }
        Ok(members)
    }

    fn members(texts: &[(&str, &str)]) -> Members {
        let mut members = Members::default();
        for (name, text) in texts {
            members.push(name, text);
        }
        members
    }

    /// Encodes with rmpv, as channels_redis does.
    fn packed(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    #[test]
    fn maps_of_texts_are_encoded_as_rmpv_does() {
        let long = "x".repeat(70_000);
        let mut tables: Vec<Vec<(&str, &str)>> =
            LENGTHS.map(|length| vec![("type", &long[..length])]).to_vec();
        tables.extend(LENGTHS.map(|length| vec![(&long[..length], "你好")]));
        tables.extend([0, 1, 4, 5, 15, 16, 70_000].map(|count| vec![("name", "\u{0}\u{10ffff}"); count]));
        for texts in tables {
            let map = texts.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
            let (written, expected) = (members(&texts).encode(0), packed(&Value::Map(map)));
            assert!(written == expected, "{} members of {} bytes", texts.len(), expected.len());
            assert!(decoded(&written) == Ok(members(&texts)));
        }
    }

    #[test]
    fn the_first_of_two_equal_names_counts() {
        let twice = members(&[("a", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!((twice.get("a"), twice.get("b"), twice.get("c")), (Some("1"), Some("2"), None));
        assert_eq!(twice.encode(0), b"\x83\xa1a\xa11\xa1b\xa12\xa1a\xa13");
        assert_eq!(members(&[("a", "1")]).and([("b", "2"), ("a", "3")]), twice);
    }

    /// Values of every kind but text.
    fn foreign() -> Vec<Value> {
        let list = Value::Array(vec![1.into(), "text".into(), Value::Nil]);
        let map = Value::Map(vec![(1.into(), list.clone()), ("x".into(), Value::F64(0.5))]);
        let mut values = vec![list, map, Value::Nil, true.into(), Value::F32(1.5), Value::Ext(5, vec![1, 2])];
        values.extend([0, 127, 128, 65_536, i64::MAX, -1, -32, -33, -129, i64::MIN].map(Value::from));
        values.extend(LENGTHS.map(|length| Value::Binary(vec![0xff; length])));
        values
    }

    /// Returns a map with each of these as a name, a member, and both.
    fn strange() -> Vec<u8> {
        let mut map = vec![("a".into(), "1".into())];
        for value in foreign() {
            map.extend([(value.clone(), "x".into()), ("x".into(), value.clone()), (value.clone(), value)]);
        }
        map.push(("b".into(), "你好".into()));
        packed(&Value::Map(map))
    }

    #[test]
    fn names_and_members_of_other_kinds_are_ignored() {
        assert_eq!(decoded(&strange()), Ok(members(&[("a", "1"), ("b", "你好")])));
    }

    #[test]
    fn truncated_and_trailing_bytes_are_refused() {
        let bytes = strange();
        for end in (0..bytes.len()).filter(|end| *end < 1000 || end % 997 == 0) {
            assert_eq!(decoded(&bytes[..end]), Err(Malformed::MessagePack), "cut at {end}");
        }
        assert_eq!(decoded(&[&bytes[..], b"\xc0"].concat()), Err(Malformed::TrailingBytes));
    }

    #[test]
    fn a_changed_byte_leaves_the_members_that_rmpv_reads() {
        let short = foreign().into_iter().filter(|value| packed(value).len() < 10);
        let map = short.chain(["你好".into(), "z".repeat(40).into()]).map(|value| ("a".into(), value));
        let bytes = packed(&Value::Map(map.collect()));
        for place in 0..bytes.len() {
            for byte in 0..=255 {
                let mut bytes = bytes.clone();
                bytes[place] = byte;
                assert_eq!(decoded(&bytes), decoded_by_rmpv(&bytes), "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn two_halves_of_a_character_are_no_texts() {
        for bytes in [&b"\x81\xa1\xc3\xa1\xa9"[..], b"\x82\xa1a\xa1\xc3\xa1\xa9\xa1b", b"\x81\xa1a\xa1\xc3"] {
            assert_eq!(decoded(bytes), Err(Malformed::NotUtf8), "{bytes:x?}");
        }
    }

    #[test]
    fn values_nest_as_deeply_as_rmpv_allows() {
        for levels in (0..40).chain([10_000]) {
            for (begin, end) in [(&b"\x81\xa1a"[..], &b"\xc0"[..]), (b"\x81", b"\xc0\xc0"), (b"", b"\xc0")] {
                let bytes = [begin, &b"\x91".repeat(levels), end].concat();
                assert_eq!(decoded(&bytes), decoded_by_rmpv(&bytes), "{levels} levels in {begin:x?}");
            }
        }
        let deepest = (0..40).filter(|levels| {
            decoded(&[b"\x81\xa1a", &b"\x91".repeat(*levels)[..], b"\xc0"].concat()).is_ok()
        });
        assert_eq!(deepest.max(), Some(30));
    }

    #[test]
    fn a_false_length_reserves_no_memory() {
        for head in [
            &b"\xdf\xff\xff\xff\xff"[..],
            b"\x81\xdb\x06\x00\x00\x00",
            b"\x81\xa1a\xc6\x06\x00\x00\x00",
            b"\xdd\x06\x00\x00\x00",
        ] {
            let made = allocation_counter::measure(|| assert_eq!(decoded(head), Err(Malformed::MessagePack)));
            assert!(made.bytes_total < 4096, "{head:x?} takes {} bytes", made.bytes_total);
        }
    }
}
