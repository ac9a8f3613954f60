//! The tutorial's protocol: frames `{"message": "…"}` in both directions and nothing else.

use std::borrow::Cow;

use parlor::{Action, Close, CloseCode, Consumer, Event, Frame, Refusal, Request, Subscription};
use serde::Serialize;

use crate::chat::raw_object::{Member, ParseError, RawObject};
use crate::chat::server_frame::Line;
use crate::chat::v1 as chat;
use crate::rooms::access::Room;

/// The bytes of a frame beside its text, with the WebSocket header.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// A socket at `/ws/chat/{room}/` without a subprotocol.
pub(crate) struct PlainChat;

impl Consumer for PlainChat {
    async fn connect(request: &Request) -> Result<Subscription, Refusal> {
        let room = Room::of_path(request).await?;
        Ok(room.session(request, room.chat_group()))
    }

    async fn receive(session: &Subscription, received: Frame<'_>) -> Action {
        let event = match text(&received) {
            Ok(text) => chat::message(&text),
            Err(close) => return Action::Close(close),
        };
        match chat::say(session, &event, None).await {
            Ok(_) => Action::Nothing,
            // This protocol has no error frames, and silence would mean success.
            Err(error) if !error.is_retryable() => {
                Action::Close(Close::new(CloseCode::InternalError, "could not be sent"))
            }
            Err(_) => {
                Action::Close(Close::new(CloseCode::TryAgainLater, "could not be sent: try again later"))
            }
        }
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        if event.kind() != chat::MESSAGE {
            return None;
        }
        let text = event.text("message")?;
        Some(frame(&Line(text), text.len()))
    }
}

/// Encodes a text of about `bytes` bytes as the frame that browsers receive.
pub(crate) fn frame(message: &(impl Serialize + ?Sized), bytes: usize) -> Frame<'static> {
    let mut json = Vec::with_capacity(bytes + FRAME_OVERHEAD_BYTES);
    // As Python's json.dumps spaces it, for clients that compare bytes.
    json.extend_from_slice(b"{\"message\": ");
    serde_json::to_writer(&mut json, message).expect("writing to a Vec cannot fail");
    json.push(b'}');
    Frame::Text(String::from_utf8(json).expect("JSON is UTF-8").into())
}

/// Returns the text of a frame that a browser sent.
///
/// # Errors
/// Returns the close frame for any frame that is not `{"message": "…"}`.
fn text<'a>(frame: &'a Frame<'_>) -> Result<Cow<'a, str>, Close> {
    let Frame::Text(text) = frame else {
        return Err(Close::from(CloseCode::UnsupportedData));
    };
    let object = RawObject::read(text.as_bytes()).map_err(|unread| match unread {
        ParseError::NotAnObject => {
            Close::new(CloseCode::PolicyViolation, "expected a JSON object with `message`")
        }
        ParseError::NotJson => {
            Close::new(CloseCode::InvalidPayload, "expected JSON as {\"message\": \"hi\"}")
        }
    })?;
    match object.message {
        Some(Member::Text(text)) => Ok(text),
        Some(Member::Other(_)) => Err(Close::new(CloseCode::PolicyViolation, "`message`: expected a string")),
        None => Err(Close::new(CloseCode::PolicyViolation, "`message`: expected, but missing")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_tutorials_frames_keep_their_bytes() {
        for text in ["hi", "", "你好 \"\\/", "\u{0}\u{7f}\n\r\t\u{8}\u{c}", "</script>\u{2028}😀"] {
            let expected = format!("{{\"message\": {}}}", Value::from(format!("[收到消息] {text}")));
            let event = Event::new(chat::MESSAGE).with("message", text);
            assert_eq!(PlainChat::event(&event), Some(Frame::Text(expected.into())));
        }
    }

    #[test]
    fn a_frame_takes_one_allocation() {
        let event = Event::new(chat::MESSAGE).with("message", "hi 你好");
        let made = allocation_counter::measure(|| drop(PlainChat::event(&event)));
        assert_eq!(made.count_total, 1);
    }

    #[test]
    fn what_is_no_message_closes_with_its_code() {
        for (said, code, reason) in [
            ("{", CloseCode::InvalidPayload, "expected JSON as {\"message\": \"hi\"}"),
            ("[]", CloseCode::PolicyViolation, "expected a JSON object with `message`"),
            ("{\"type\": 1}", CloseCode::PolicyViolation, "`message`: expected, but missing"),
            ("{\"message\": null}", CloseCode::PolicyViolation, "`message`: expected a string"),
        ] {
            assert_eq!(text(&Frame::Text(said.into())), Err(Close::new(code, reason)), "{said}");
        }
        assert_eq!(text(&Frame::Binary(b"{}".into())), Err(Close::from(CloseCode::UnsupportedData)));
        assert_eq!(text(&Frame::Text(r#"{"message": "\u4f60", "id": 5}"#.into())).as_deref(), Ok("你"));
    }
}
