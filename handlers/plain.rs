//! The plain wire: the tutorial's frames, `{"message": "…"}` in both directions and nothing else.

use parlor::http::Refusal;
use parlor::{Action, Close, Consumer, Event, Frame, Request, Session};
use serde_json::Value;

use crate::chat;
use crate::name::Name;

/// A socket at `/ws/chat/{room}/` that asks for no subprotocol.
pub(crate) struct PlainChat;

impl Consumer for PlainChat {
    async fn connect(request: &Request) -> Result<Session, Refusal> {
        Ok(Session::in_group(request, Name::of_path(request)?.chat_group()))
    }

    async fn receive(session: &Session, received: Frame<'_>) -> Action {
        let event = match text(&received) {
            Ok(text) => chat::message(&text),
            Err(close) => return Action::Close(close),
        };
        match session.append(&event, None).await {
            Ok(_) => Action::Nothing,
            // This wire has no other way to tell it, and silence would be a lie.
            Err(_) => Action::Close(Close::new(1013, "could not be sent: try again later")),
        }
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        if event.kind() != chat::MESSAGE {
            return None;
        }
        Some(frame(&chat::line(event.text("message")?)))
    }
}

/// A text as the frame that browsers get.
pub(crate) fn frame(text: &str) -> Frame<'static> {
    // As Python's json.dumps spaces it, for clients that compare bytes.
    Frame::Text(format!("{{\"message\": {}}}", Value::from(text)).into())
}

/// The text of a frame that a browser sent.
///
/// # Errors
/// The close frame for what is no `{"message": "…"}`.
fn text(frame: &Frame<'_>) -> Result<String, Close> {
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
