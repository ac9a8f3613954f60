//! RESP3 from a server.

use super::within;
use crate::layer::redis::resp::{Value, command};

/// Bytes of memory per byte of input: four bytes can be a value, in a list that has just grown.
const BYTES_PER_INPUT_BYTE: usize = 64;
/// Space for the members of each list that has begun.
const BASE_BYTES: usize = 512 * 1024;
/// The maximum length of a prefix that is decoded on its own, in bytes.
const MAX_PREFIX_BYTES: usize = 512;

/// Decodes the bytes of a connection.
pub fn resp(bytes: &[u8]) {
    let more = [bytes, b"\r\n$3\r\nabc\r\n"].concat();
    match within(BASE_BYTES + BYTES_PER_INPUT_BYTE * bytes.len(), || Value::parse(bytes)) {
        Ok(None) => {}
        Err(malformed) => assert_eq!(Value::parse(&more), Err(malformed), "it stays malformed"),
        Ok(Some((value, length))) => {
            let whole = &bytes[..length];
            assert_eq!(Value::parse(&more).as_ref(), Ok(&Some((value, length))), "and more");
            for end in 0..length.min(MAX_PREFIX_BYTES) {
                assert_eq!(Value::parse(&whole[..end]), Ok(None), "{end} bytes of {length}");
            }
            let Ok(Some((value, _))) = Value::parse(whole) else { panic!("its own bytes are enough") };
            let mut written = Vec::new();
            write(&mut written, &value);
            assert_eq!(Value::parse(&written), Ok(Some((value, written.len()))), "written again");
            is_expected(whole);
        }
    }
    check_command(bytes);
}

/// The library decodes a value of the same length, or fails: it is stricter with numbers.
fn is_expected(whole: &[u8]) {
    if let Ok(expected) = redis::parse_redis_value(whole) {
        let Ok(Some((value, _))) = Value::parse(whole) else { panic!("it is a value") };
        assert!(is_same(&value, &expected), "read {value:?}, expected {expected:?}");
    }
}

fn is_same(value: &Value<'_>, expected: &redis::Value) -> bool {
    let all = |values: &[Value<'_>], expected: &[redis::Value]| {
        values.len() == expected.len()
            && values.iter().zip(expected).all(|(value, other)| is_same(value, other))
    };
    match (value, expected) {
        (Value::Text(text), redis::Value::BulkString(other)) => text == other,
        (Value::Text(text), redis::Value::SimpleString(other)) => *text == other.as_bytes(),
        (Value::Text(b"OK"), redis::Value::Okay)
        | (Value::Null, redis::Value::Nil)
        | (Value::Error(_), redis::Value::ServerError(_)) => true,
        (Value::List(values), redis::Value::Array(others) | redis::Value::Set(others)) => all(values, others),
        (Value::List(values), redis::Value::Map(others)) => {
            let others = others.iter().flat_map(|(name, value)| [name.clone(), value.clone()]);
            all(values, &others.collect::<Vec<_>>())
        }
        (Value::Push(values), redis::Value::Push { data, .. }) => {
            all(values.get(1..).unwrap_or_default(), data)
        }
        // Numbers, booleans and verbatim strings stay texts.
        (Value::Text(_), other) => !matches!(
            other,
            redis::Value::Nil | redis::Value::Array(_) | redis::Value::Set(_) | redis::Value::Map(_)
        ),
        _ => false,
    }
}

fn write(out: &mut Vec<u8>, value: &Value<'_>) {
    let text = |out: &mut Vec<u8>, kind: char, text: &[u8]| {
        out.extend_from_slice(format!("{kind}{}\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    };
    match value {
        Value::Text(bytes) => text(out, '$', bytes),
        Value::Error(bytes) => text(out, '!', bytes),
        Value::Null => out.extend_from_slice(b"_\r\n"),
        Value::List(values) | Value::Push(values) => {
            let kind = if matches!(value, Value::Push(_)) { '>' } else { '*' };
            out.extend_from_slice(format!("{kind}{}\r\n", values.len()).as_bytes());
            for value in values {
                write(out, value);
            }
        }
    }
}

/// An encoded command decodes to its arguments, whatever they contain.
fn check_command(bytes: &[u8]) {
    let arguments: Vec<&[u8]> = bytes.split(|byte| *byte == b' ').collect();
    let mut out = Vec::new();
    command(&mut out, &arguments);
    let expected = Value::List(arguments.iter().map(|argument| Value::Text(argument)).collect());
    assert_eq!(Value::parse(&out), Ok(Some((expected, out.len()))), "a command");
}
