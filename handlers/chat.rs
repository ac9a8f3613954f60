//! The chat consumer: what one says, everybody in the room reads.

use parlor::http::Refusal;
use parlor::{Action, Consumer, Event, Frame, Request, Session};

use crate::name::Name;
use crate::plain;

/// The type of a chat event, as the tutorial's consumer has it.
const MESSAGE: &str = "chat_message";

/// A socket at `/ws/chat/{room}/`.
pub(crate) struct Chat;

impl Consumer for Chat {
    async fn connect(request: &Request) -> Result<Session, Refusal> {
        Ok(Session::in_group(Name::of_path(request)?.chat_group()))
    }

    async fn receive(_: &Session, frame: Frame<'_>) -> Action {
        match plain::text(&frame) {
            Ok(text) => Action::Publish(Event::new(MESSAGE).with("message", &text)),
            Err(close) => Action::Close(close),
        }
    }

    fn event(event: &Event) -> Option<Frame<'static>> {
        if event.kind() != MESSAGE {
            return None;
        }
        Some(plain::frame(&format!("[收到消息] {}", event.text("message")?)))
    }
}
