//! The tutorial's protocol: frames `{"message": "…"}` in both directions and nothing else.

use std::borrow::Cow;
use std::fmt;

use parlor::{
    Action, ChannelName, Close, CloseCode, Command, Config, Frame, LayerError, NumberedRequest, Protocol,
    Refused, Reply, ReplyTo, View,
};
use serde::{Serialize, Serializer};

use crate::protocols::raw_object::{Member, ParseError, RawObject};

/// The bytes of a frame beside its text, with the WebSocket header.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// The protocol of sockets without a subprotocol.
pub(crate) struct Tutorial;

impl Protocol for Tutorial {
    fn decode<'a>(frame: &'a Frame<'_>, _: &Config) -> Result<NumberedRequest<'a>, Action> {
        text(frame).map(|text| Command::publish(text).into()).map_err(Action::Close)
    }

    /// Ignores text frames, as the tutorial does.
    fn unsupported(frame: &Frame<'_>) -> Action {
        match frame {
            Frame::Text(_) => Action::Nothing,
            Frame::Binary(_) => {
                Action::Close(Close::new(CloseCode::UnsupportedData, "expected no binary frame"))
            }
        }
    }

    fn reply(_: &ReplyTo<'_>, reply: Result<&Reply, &LayerError>) -> Action {
        match reply {
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

    fn refuse(_: &NumberedRequest<'_>, refused: &Refused) -> Action {
        Action::Close(Close::new(CloseCode::PolicyViolation, refused.to_string()))
    }

    fn view(view: &View<'_>, _: ChannelName<'_>) -> Option<Frame<'static>> {
        match view {
            View::Message(message) if !message.is_redacted && !message.has_only_data() => {
                Some(frame(&Line(message.text), message.text.len()))
            }
            View::Line(line) => Some(frame(line, line.len())),
            _ => None,
        }
    }
}

/// A text as the tutorial displays it.
pub(crate) struct Line<'a>(pub(crate) &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[收到消息] {}", self.0)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Encodes a text of about `bytes` bytes as the frame that browsers receive.
fn frame(message: &(impl Serialize + ?Sized), bytes: usize) -> Frame<'static> {
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
    let object = RawObject::parse(text.as_bytes()).map_err(|unread| match unread {
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
    use parlor::Message;
    use serde_json::Value;

    use super::*;

    const LOBBY: ChannelName<'_> = ChannelName { stream: "chat", name: "lobby" };

    fn message(text: &str) -> View<'_> {
        View::Message(Message {
            text,
            data: None,
            event: None,
            user: None,
            name: None,
            subject: None,
            client: None,
            info: None,
            channel_info: None,
            position: None,
            is_redacted: false,
        })
    }

    #[test]
    fn the_tutorials_frames_keep_their_bytes() {
        for text in ["hi", "", "你好 \"\\/", "\u{0}\u{7f}\n\r\t\u{8}\u{c}", "</script>\u{2028}😀"] {
            let expected = format!("{{\"message\": {}}}", Value::from(format!("[收到消息] {text}")));
            assert_eq!(Tutorial::view(&message(text), LOBBY), Some(Frame::Text(expected.into())));
            let line = format!("{{\"message\": {}}}", Value::from(text));
            assert_eq!(Tutorial::view(&View::Line(text), LOBBY), Some(Frame::Text(line.into())));
        }
    }

    #[test]
    fn a_frame_takes_one_allocation() {
        let made = allocation_counter::measure(|| drop(Tutorial::view(&message("hi 你好"), LOBBY)));
        assert_eq!(made.count_total, 1);
    }

    #[test]
    fn a_frame_that_is_no_message_closes_with_its_code() {
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
