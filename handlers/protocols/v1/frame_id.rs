//! The id of a frame that is not valid JSON: the client has to know which message was rejected.

use crate::protocols::v1::client_frame::is_id;

/// Returns the member `id` of the outermost object, read as far as the text is JSON; `None` if it
/// is no id. Takes one pass.
pub(crate) fn find(json: &[u8]) -> Option<&str> {
    let (mut depth, mut at, mut id) = (0_usize, 0, None);
    while let Some(byte) = json.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => break, // what follows is another value
            b'}' | b']' => depth -= 1,
            b'"' => {
                let Some(name) = string(&json[at..]) else { break };
                at += name.len() + 2;
                if depth == 1
                    && name == b"id"
                    && let Some(value) = value_at(json, at)
                {
                    id = string(&json[value..]);
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    std::str::from_utf8(id?).ok().filter(|id| is_id(id))
}

/// Returns where the value of a member begins, whose name ends before `at`.
fn value_at(json: &[u8], at: usize) -> Option<usize> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let colon = at + json[at..].iter().position(|byte| !is_space(byte))?;
    let after = json.get(colon + 1..).filter(|_| json[colon] == b':')?;
    Some(colon + 1 + after.iter().position(|byte| !is_space(byte))?)
}

/// Returns the inside of a string with which the text begins, if it ends.
fn string(json: &[u8]) -> Option<&[u8]> {
    let inside = json.strip_prefix(b"\"")?;
    let mut is_escaped = false;
    let end = inside.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(&inside[..end])
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn an_id_is_read_from_broken_frames() {
        let nested = format!(r#"{{"x":{}{},"id":"a"}}"#, "[".repeat(200), "]".repeat(200));
        for (json, expected) in [
            (r#"{"id":"a-1","message":"hi"#, Some("a-1")),
            (r#"{"message":"hi \" \\","id" : "a"} x"#, Some("a")),
            (r#"{"message":1e999,"id":"a"}"#, Some("a")),
            (&nested, Some("a")),
            (r#"{"x":{"id":"b"},"id":"a"}"#, Some("a")),
            (r#"{"x":{"id":"b"}}"#, None),
            (r#"{"message":"id","x":"\"id\":\"b\""}"#, None),
            (r#"{"id":"not an id"}"#, None),
            (r#"{"id":5}"#, None),
            (r#"{"id":"a"#, None),
            (r#"{"id""#, None),
            (r#"{"id":"#, None),
            (r#"{} {"id":"a"}"#, None),
            ("", None),
        ] {
            assert_eq!(find(json.as_bytes()), expected, "{json:.60}");
        }
    }
}
