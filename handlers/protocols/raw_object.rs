//! A JSON object of a client, parsed in one pass.

use std::borrow::Cow;

use parlor::parse_json;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocols::surrogates;

/// The known members of a JSON object. Of two members with one name, the last counts.
#[derive(Default)]
pub(crate) struct RawObject<'a> {
    pub(crate) kind: Option<Member<'a>>,
    pub(crate) message: Option<Member<'a>>,
    pub(crate) id: Option<Member<'a>>,
    pub(crate) before: Option<Member<'a>>,
    pub(crate) limit: Option<Member<'a>>,
    pub(crate) room: Option<Member<'a>>,
    pub(crate) push: Option<Member<'a>>,
    pub(crate) inbox: Option<Member<'a>>,
    pub(crate) since: Option<Member<'a>>,
    pub(crate) history: Option<Member<'a>>,
    pub(crate) presence: Option<Member<'a>>,
    pub(crate) typing: Option<Member<'a>>,
    pub(crate) event: Option<Member<'a>>,
    /// The text of a value that is not null.
    pub(crate) data: Option<Cow<'a, str>>,
}

/// The value of a member. A text without escapes borrows from the input. Unknown members are parsed
/// too: serde would accept invalid JSON or unbounded nesting in an ignored one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Member<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Other(Value),
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Name {
    Type,
    #[serde(alias = "text")]
    Message,
    Id,
    Before,
    Limit,
    Room,
    Push,
    Inbox,
    Since,
    History,
    Presence,
    Typing,
    Event,
    Data,
    #[serde(other)]
    Other,
}

/// The reason why bytes are not a JSON object.
pub(crate) enum ParseError {
    /// The bytes are not JSON.
    NotJson,
    /// The bytes are another JSON value.
    NotAnObject,
}

impl<'a> RawObject<'a> {
    /// Parses an object. A half of a surrogate pair becomes U+FFFD.
    ///
    /// # Errors
    /// Returns [`ParseError`] for any other input.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, ParseError> {
        // Only unusual input is parsed again: to replace halves of pairs, and to state the reason.
        serde_json::from_slice(json).or_else(|_| match surrogates::replace_lone(json) {
            Some(replaced) => {
                serde_json::from_slice(&replaced).map(RawObject::into_owned).map_err(|_| reason(&replaced))
            }
            None => Err(reason(json)),
        })
    }

    fn into_owned<'b>(self) -> RawObject<'b> {
        let owned = |member: Option<Member<'_>>| member.map(Member::into_owned);
        RawObject {
            kind: owned(self.kind),
            message: owned(self.message),
            id: owned(self.id),
            before: owned(self.before),
            limit: owned(self.limit),
            room: owned(self.room),
            push: owned(self.push),
            inbox: owned(self.inbox),
            since: owned(self.since),
            history: owned(self.history),
            presence: owned(self.presence),
            typing: owned(self.typing),
            event: owned(self.event),
            data: self.data.map(|data| Cow::Owned(data.into_owned())),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<RawObject<'de>, A::Error> {
                let (mut object, mut ignored) = (RawObject::default(), None);
                while let Some(name) = members.next_key()? {
                    let member = match name {
                        Name::Type => &mut object.kind,
                        Name::Message => &mut object.message,
                        Name::Id => &mut object.id,
                        Name::Before => &mut object.before,
                        Name::Limit => &mut object.limit,
                        Name::Room => &mut object.room,
                        Name::Push => &mut object.push,
                        Name::Inbox => &mut object.inbox,
                        Name::Since => &mut object.since,
                        Name::History => &mut object.history,
                        Name::Presence => &mut object.presence,
                        Name::Typing => &mut object.typing,
                        Name::Event => &mut object.event,
                        Name::Data => {
                            object.data = data_of(members.next_value()?)?;
                            continue;
                        }
                        Name::Other => &mut ignored,
                    };
                    *member = Some(members.next_value()?);
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Returns the text of a value, unless it is null.
fn data_of<E: Error>(raw: &RawValue) -> Result<Option<Cow<'_, str>>, E> {
    // What is kept as it came must be as strict as what is read.
    let value = parse_json(raw.get()).map_err(E::custom)?;
    Ok((!value.is_null()).then_some(Cow::Borrowed(raw.get())))
}

/// Returns why JSON is no object.
fn reason(json: &[u8]) -> ParseError {
    match serde_json::from_slice::<Value>(json) {
        Ok(_) => ParseError::NotAnObject,
        Err(_) => ParseError::NotJson,
    }
}

impl Member<'_> {
    fn into_owned<'b>(self) -> Member<'b> {
        match self {
            Self::Text(text) => Member::Text(Cow::Owned(text.into_owned())),
            Self::Other(value) => Member::Other(value),
        }
    }

    /// Returns the value if it is a text.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_read_as_the_replacement_character() {
        let object = RawObject::parse(br#"{"message": "half \ud83d", "id": "a"}"#).ok().expect("an object");
        assert_eq!(object.message.as_ref().and_then(Member::text), Some("half \u{fffd}"));
        assert_eq!(object.id.as_ref().and_then(Member::text), Some("a"));
        assert!(matches!(RawObject::parse(br#"["\ud83d"]"#), Err(ParseError::NotAnObject)));
        assert!(matches!(RawObject::parse(br#"{"message": "\ud83d""#), Err(ParseError::NotJson)));
    }

    #[test]
    fn json_is_as_strict_in_unknown_members() {
        let strange = [
            r#""\x""#,
            "\"\n\"",
            "\"\u{1}\"",
            "1e999",
            "01",
            "1.",
            "nul",
            "[1,]",
            "{1: 2}",
            "{\"a\"}",
            "1e-999",
            "123456789012345678901234567890",
            "[[]]",
            "{\"a\": {\"a\": 1}}",
            "\"\u{7f}\"",
            "\u{feff}1",
        ];
        let nested = [100, 126, 127, 128, 60_000].map(|depth| "[".repeat(depth) + &"]".repeat(depth));
        for value in strange.iter().copied().chain(nested.iter().map(String::as_str)) {
            for name in ["x", "message", "type", "limit", "data"] {
                let json = format!("{{\"{name}\": {value}}}");
                let is_read = serde_json::from_str::<Value>(&json).is_ok();
                assert_eq!(RawObject::parse(json.as_bytes()).is_ok(), is_read, "{json:.200}");
            }
        }
        for json in [&b"{\"x\": \"\xff\"}"[..], b"{\"message\": \"\xc3\"}", b"{\"\xff\": 1}", b"\xff"] {
            assert!(matches!(RawObject::parse(json), Err(ParseError::NotJson)), "{json:x?}");
        }
    }
}
