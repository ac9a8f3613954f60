//! RESP3 (redis.io/docs/reference/protocol-spec), as far as the pipeline needs it: parsed in place,
//! without a copy.
//!
//! The client library makes a tree of owned values of every reply, passes it through two channels
//! and wakes two tasks; docs/performance.md has the cost for a message.

use std::io::Write as _;

/// Levels to which values may nest. Replies here have two, that of `HELLO` three.
const MAX_DEPTH: usize = 8;
/// Bytes of the longest text that Redis can hold.
const MAX_TEXT_BYTES: usize = 512 * 1024 * 1024;
/// Values of a list; commands here ask for fewer.
const MAX_LIST_VALUES: usize = 1024 * 1024;

/// A value that Redis sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// `+`, `$` and everything else that is one text on the wire: numbers, booleans.
    Text(&'a [u8]),
    /// `_`, and RESP2's `$-1` and `*-1`.
    Null,
    /// `-` and `!`: an error with its code.
    Error(&'a [u8]),
    /// `*`, `~`, and `%` as keys and values in turn.
    List(Vec<Value<'a>>),
    /// `>`: a value without a request.
    Push(Vec<Value<'a>>),
}

/// Bytes that are not RESP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Value<'a> {
    /// Parses the first value of these bytes; returns it with its length, or `None` if it is
    /// incomplete.
    ///
    /// # Errors
    /// [`Malformed`] when more bytes cannot make it a value.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut parser = Parser { bytes, at: 0 };
        Ok(parser.value(MAX_DEPTH)?.map(|value| (value, parser.at)))
    }

    /// Returns the text, if it is one in UTF-8.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Option<Value<'a>>, Malformed> {
        let Some(line) = self.line() else { return Ok(None) };
        let (kind, rest) = line.split_first().ok_or(Malformed)?;
        Ok(Some(match kind {
            b'+' | b':' | b',' | b'#' | b'(' => Value::Text(rest),
            b'-' => Value::Error(rest),
            b'_' => Value::Null,
            b'$' | b'=' | b'!' => match length(rest, MAX_TEXT_BYTES)? {
                None => Value::Null,
                Some(length) => {
                    let Some(text) = self.bytes.get(self.at..self.at + length + 2) else { return Ok(None) };
                    self.at += length + 2;
                    let text = text.strip_suffix(b"\r\n").ok_or(Malformed)?;
                    if *kind == b'!' { Value::Error(text) } else { Value::Text(text) }
                }
            },
            b'*' | b'~' | b'>' | b'%' => match length(rest, MAX_LIST_VALUES)? {
                None => Value::Null,
                Some(count) => {
                    let depth = depth.checked_sub(1).ok_or(Malformed)?;
                    let count = if *kind == b'%' { count * 2 } else { count };
                    let mut values = Vec::with_capacity(count.min(1024));
                    for _ in 0..count {
                        let Some(value) = self.value(depth)? else { return Ok(None) };
                        values.push(value);
                    }
                    if *kind == b'>' { Value::Push(values) } else { Value::List(values) }
                }
            },
            _ => return Err(Malformed),
        }))
    }

    /// Returns what is before the next line break, and skips the break.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        Some(&rest[..end])
    }
}

/// Parses a length of at most `most`; `None` for the -1 of a null.
fn length(digits: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    if digits == b"-1" {
        return Ok(None);
    }
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    length.filter(|length| *length <= most).map(Some).ok_or(Malformed)
}

/// Writes the beginning of a command with this number of arguments.
pub(super) fn begin(out: &mut Vec<u8>, arguments: usize) {
    write!(out, "*{arguments}\r\n").expect("writing to a Vec cannot fail");
}

/// Writes one argument.
pub(super) fn argument(out: &mut Vec<u8>, argument: &[u8]) {
    write!(out, "${}\r\n", argument.len()).expect("writing to a Vec cannot fail");
    out.extend_from_slice(argument);
    out.extend_from_slice(b"\r\n");
}

/// Writes a whole command.
pub(crate) fn command(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    begin(out, arguments.len());
    for text in arguments {
        argument(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_redis_are_parsed_in_place() {
        let push = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\na\r\n\r\n";
        let parts = vec![Value::Text(b"message"), Value::Text(b"c"), Value::Text(b"a\r\n")];
        assert_eq!(Value::parse(push), Ok(Some((Value::Push(parts), push.len()))));
        let list = b"*2\r\n:7\r\n*-1\r\n+next";
        let parts = vec![Value::Text(b"7"), Value::Null];
        assert_eq!(Value::parse(list), Ok(Some((Value::List(parts), 13))));
        assert_eq!(Value::parse(b"-ERR no\r\n"), Ok(Some((Value::Error(b"ERR no"), 9))));
        let map = vec![Value::Text(b"proto"), Value::Text(b"3")];
        assert_eq!(Value::parse(b"%1\r\n+proto\r\n:3\r\n"), Ok(Some((Value::List(map), 16))));
    }

    #[test]
    fn an_incomplete_value_is_none() {
        let whole = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n%1\r\n+a\r\n_\r\n";
        for end in 0..whole.len() {
            assert_eq!(Value::parse(&whole[..end]), Ok(None), "{end} bytes");
        }
        assert!(Value::parse(whole).unwrap().is_some());
    }

    #[test]
    fn bytes_that_cannot_become_a_value_are_malformed() {
        let deep = b"*1\r\n".repeat(10_000);
        let wrong = [
            &b"hello\r\n"[..],
            b"\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$99999999999\r\n",
            b"*9999999\r\n",
            b"$1\r\nabc",
            &deep,
        ];
        for bytes in wrong {
            assert_eq!(Value::parse(bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_command_is_a_list_of_texts() {
        let mut out = Vec::new();
        command(&mut out, &[b"PING", b"\xff\r\n"]);
        assert_eq!(out, b"*2\r\n$4\r\nPING\r\n$3\r\n\xff\r\n\r\n");
    }
}
