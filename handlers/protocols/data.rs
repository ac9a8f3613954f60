//! The data of messages: any JSON, kept as it came.

use std::borrow::Cow;

use parlor::parse_json;

use crate::protocols::surrogates;

/// Returns data that all clients can read, with U+FFFD in place of each half of a surrogate pair;
/// `None` for others. A client that cannot parse data cannot parse the frame that has them.
pub(crate) fn readable(json: &str) -> Option<Cow<'_, str>> {
    if parse_json(json).is_ok() {
        return Some(Cow::Borrowed(json));
    }
    let replaced = String::from_utf8(surrogates::replace_lone(json.as_bytes())?).ok()?;
    parse_json(&replaced).is_ok().then_some(Cow::Owned(replaced))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_some_reader_cannot_parse_are_none() {
        let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
        for json in ["1.50", "null", " {\"a\" : [ ] } ", r#""\ud83d\ude00""#, &deep(126)] {
            assert_eq!(readable(json).as_deref(), Some(json));
        }
        assert_eq!(readable(r#"{"a": "\ud83d"}"#).as_deref(), Some(r#"{"a": "\ufffd"}"#));
        for json in ["", "1e999", "[1,]", "1,2", "1],[2", "nul", "\"\u{1}\"", r#"["\ud83d""#, &deep(127)] {
            assert_eq!(readable(json), None, "{json}");
        }
    }
}
