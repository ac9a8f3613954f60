//! A body of the API: a JSON object without unknown members.

use std::collections::HashSet;
use std::fmt;

use parlor::{Refusal, Request, StatusCode, parse_json};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocols::surrogates;

/// The most characters of a member's name that a refusal quotes.
const MAX_QUOTED_NAME_CHARS: usize = 64;

/// The most members of a body.
const MAX_MEMBERS: usize = 100;

/// The members that were not taken yet, in their order, each with its text.
pub(crate) struct Body(Vec<(String, (Value, Box<RawValue>))>);

impl Body {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// Returns 415 unless the content type is JSON, which a form of a foreign page cannot send, and
    /// 400 for a body that is no object, has more than [`MAX_MEMBERS`] or has a member twice.
    pub(crate) fn from_request(request: &Request) -> Result<Self, Refusal> {
        let kind = request.only_header("Content-Type")?.unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "`Content-Type`: expected application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        Self::parse(request.body())
    }

    pub(crate) fn parse(json: &[u8]) -> Result<Self, Refusal> {
        let parsed = serde_json::from_slice(json).or_else(|error| match surrogates::replace_lone(json) {
            Some(replaced) => serde_json::from_slice(&replaced),
            None => Err(error),
        });
        let body: Self = parsed.map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Refusal::bad_request(if error.is_data() {
                "`body`: expected a JSON object".to_owned()
            } else {
                format!("`body`: expected JSON; it is none at line {line}, column {column}")
            })
        })?;
        if body.0.len() > MAX_MEMBERS {
            return Err(Refusal::bad_request(format!("`body`: expected at most {MAX_MEMBERS} members")));
        }
        let mut names = HashSet::new();
        match body.0.iter().find(|(name, _)| !names.insert(name.as_str())) {
            Some((name, _)) => {
                Err(Refusal::bad_request(format!("`{name:.MAX_QUOTED_NAME_CHARS$}`: expected once")))
            }
            None => Ok(body),
        }
    }

    /// Takes a required text.
    pub(crate) fn text(&mut self, name: &str) -> Result<String, Refusal> {
        self.perhaps_text(name)?.ok_or_else(|| missing(name))
    }

    /// Takes an optional text.
    pub(crate) fn perhaps_text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.take(name).map(|value| text(name, value)).transpose()
    }

    /// Takes an optional value of any kind, as it is written; null is none.
    pub(crate) fn raw(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        let (_, (value, raw)) = self.0.remove(at);
        (!value.is_null()).then(|| raw.get().to_owned())
    }

    /// Takes a required list of texts.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refusal> {
        match self.take(name) {
            Some(Value::Array(values)) => values.into_iter().map(|value| text(name, value)).collect(),
            Some(_) => Err(Refusal::bad_request(format!("`{name}`: expected a list of strings"))),
            None => Err(missing(name)),
        }
    }

    /// Takes all remaining members, which must be texts.
    pub(crate) fn rest(self) -> Result<Vec<(String, String)>, Refusal> {
        let texts = self.0.into_iter();
        texts.map(|(name, (value, _))| text(&name, value).map(|text| (name, text))).collect()
    }

    /// Checks that no member remains.
    pub(crate) fn end(self) -> Result<(), Refusal> {
        match self.0.first() {
            Some((name, _)) => {
                Err(Refusal::bad_request(format!("`{name:.MAX_QUOTED_NAME_CHARS$}`: unknown here")))
            }
            None => Ok(()),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1.0)
    }
}

fn text(name: &str, value: Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Refusal::bad_request(format!("`{name:.MAX_QUOTED_NAME_CHARS$}`: expected a string"))),
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::bad_request(format!("`{name}`: expected, but missing"))
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Body, A::Error> {
                let mut body = Body(Vec::new());
                while let Some((name, raw)) = members.next_entry::<String, Box<RawValue>>()? {
                    let value = parse_json(raw.get()).map_err(A::Error::custom)?;
                    body.0.push((name, (value, raw)));
                }
                Ok(body)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail<T>(read: Result<T, Refusal>) -> String {
        read.err().expect("refused").detail().to_owned()
    }

    #[test]
    fn a_body_that_is_no_object_of_distinct_members_is_refused() {
        for (json, expected) in [
            ("", "`body`: expected JSON; it is none at line 1, column 0"),
            ("[1]", "`body`: expected a JSON object"),
            ("\"long text\"", "`body`: expected a JSON object"),
            ("{\"a\": 1, \"b\": 2, \"a\": 1}", "`a`: expected once"),
        ] {
            assert_eq!(detail(Body::parse(json.as_bytes())), expected, "{json}");
        }
    }

    #[test]
    fn a_body_has_at_most_a_hundred_members() {
        let body = |members: usize| {
            let members: Vec<String> = (0..members).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(Body::parse(body(100).as_bytes()).is_ok());
        assert_eq!(detail(Body::parse(body(101).as_bytes())), "`body`: expected at most 100 members");
        assert_eq!(detail(Body::parse(body(14_500).as_bytes())), "`body`: expected at most 100 members");
    }

    #[test]
    fn members_are_taken_one_by_one_until_none_is_left() {
        let read = |json: &str| Body::parse(json.as_bytes()).expect("an object");
        let mut body = read(r#"{"list": ["a", "b"], "text": "\u4f60"}"#);
        assert_eq!(body.perhaps_text("other").ok(), Some(None));
        assert_eq!(detail(body.text("other")), "`other`: expected, but missing");
        assert_eq!(body.text("text").ok().as_deref(), Some("你"));
        let half = read(r#"{"text": "\ud83d"}"#).text("text");
        assert_eq!(half.ok().as_deref(), Some("\u{fffd}"));
        assert_eq!(body.texts("list").ok(), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert!(body.end().is_ok());
        assert_eq!(detail(read(r#"{"text": 5}"#).text("text")), "`text`: expected a string");
        assert_eq!(detail(read(r#"{"list": "a"}"#).texts("list")), "`list`: expected a list of strings");
        assert_eq!(detail(read(r#"{"list": [5]}"#).texts("list")), "`list`: expected a string");
        assert_eq!(detail(read(r#"{"extra": null}"#).end()), "`extra`: unknown here");
        assert_eq!(detail(read(r#"{"a": "", "b": null}"#).rest()), "`b`: expected a string");
    }
}
