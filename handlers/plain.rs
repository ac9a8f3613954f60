//! The plain wire: the tutorial's frames, `{"message": "…"}` in both directions and nothing else.

use parlor::{Close, Frame};
use serde_json::Value;

/// A text as the frame that browsers get.
pub(crate) fn frame(text: &str) -> Frame<'static> {
    // As Python's json.dumps spaces it, for clients that compare bytes.
    Frame::Text(format!("{{\"message\": {}}}", Value::from(text)).into())
}

/// The text of a frame that a browser sent.
///
/// # Errors
/// The close frame for what is no `{"message": "…"}`.
pub(crate) fn text(frame: &Frame<'_>) -> Result<String, Close> {
    let Frame::Text(text) = frame else {
        return Err(Close::new(1003, "expected a text frame"));
    };
    let message = match serde_json::from_str(text) {
        Ok(Value::Object(mut object)) => object.remove("message"),
        Ok(_) => return Err(Close::new(1008, "expected a JSON object with `message`")),
        Err(_) => return Err(Close::new(1007, "expected JSON as {\"message\": \"hi\"}")),
    };
    match message {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Close::new(1008, "`message`: expected a string")),
        None => Err(Close::new(1008, "`message`: expected, but missing")),
    }
}
