//! Invariants of bodies that are sent to the API.

use parlor::{Refusal, StatusCode};
use serde_json::Value;

use crate::api::body::Body;
use crate::protocols::surrogates;

/// Allowed bytes of memory for each byte of input: six bytes can be a member of a tree of values.
const MEMORY_PER_INPUT_BYTE: usize = 512;
/// Allowed bytes of memory for any input.
const BASE_MEMORY_BYTES: usize = 16 * 1024;

/// Checks a body.
pub(crate) fn body(bytes: &[u8]) {
    let (mut read, most) = (None, BASE_MEMORY_BYTES + MEMORY_PER_INPUT_BYTE * bytes.len());
    let taken = allocation_counter::measure(|| read = Some(Body::parse(bytes))).bytes_max;
    assert!(taken <= most as u64, "took {taken} bytes, where {most} are enough");
    let replaced = surrogates::replace_lone(bytes);
    let value = serde_json::from_slice::<Value>(replaced.as_deref().unwrap_or(bytes));
    let mut body = match read {
        Some(Ok(body)) => body,
        Some(Err(refusal)) => return check_refusal(&refusal),
        None => return,
    };
    let Ok(Value::Object(members)) = value else { panic!("no object is read from {value:?}") };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    match body.perhaps_text("message") {
        Ok(message) => assert_eq!(message.as_deref(), text("message")),
        Err(refusal) => check_refusal(&refusal),
    }
    match body.texts("rooms") {
        Ok(rooms) => assert_eq!(members.get("rooms"), Some(&Value::from(rooms))),
        Err(refusal) => check_refusal(&refusal),
    }
    match body.rest() {
        Ok(rest) => assert!(rest.iter().all(|(name, value)| text(name) == Some(value)), "{rest:?}"),
        Err(refusal) => check_refusal(&refusal),
    }
}

/// Checks that a refusal is a short 400, whatever the input.
fn check_refusal(refusal: &Refusal) {
    assert!(
        refusal.status() == StatusCode::BAD_REQUEST && refusal.detail().len() < 500,
        "{}",
        refusal.detail()
    );
}
