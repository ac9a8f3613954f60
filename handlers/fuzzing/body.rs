//! What other programs send to the API.

use parlor::{Refusal, StatusCode};
use serde_json::Value;

use crate::api::body::Body;

/// Bytes of memory for each byte that came: six of them can be a member of a tree of values.
const EACH: usize = 512;
const FEW: usize = 16 * 1024;

/// A body.
pub(crate) fn body(bytes: &[u8]) {
    let (mut read, most) = (None, FEW + EACH * bytes.len());
    let taken = allocation_counter::measure(|| read = Some(Body::read(bytes))).bytes_max;
    assert!(taken <= most as u64, "took {taken} bytes, where {most} are enough");
    let value = serde_json::from_slice::<Value>(bytes);
    let mut body = match read {
        Some(Ok(body)) => body,
        Some(Err(refusal)) => return is_told(&refusal),
        None => return,
    };
    let Ok(Value::Object(members)) = value else { panic!("no object is read from {value:?}") };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    match body.perhaps_text("message") {
        Ok(message) => assert_eq!(message.as_deref(), text("message")),
        Err(refusal) => is_told(&refusal),
    }
    match body.texts("rooms") {
        Ok(rooms) => assert_eq!(members.get("rooms"), Some(&Value::from(rooms))),
        Err(refusal) => is_told(&refusal),
    }
    match body.rest() {
        Ok(rest) => assert!(rest.iter().all(|(name, value)| text(name) == Some(value)), "{rest:?}"),
        Err(refusal) => is_told(&refusal),
    }
}

/// In few words, whatever came.
fn is_told(refusal: &Refusal) {
    assert!(
        refusal.status() == StatusCode::BAD_REQUEST && refusal.detail().len() < 500,
        "{}",
        refusal.detail()
    );
}
