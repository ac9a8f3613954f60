//! A message that a program publishes, at most once under its idempotency key.

use parlor::{Appended, Event, Id, Refusal, Request, StatusCode};

use super::body::Body;
use crate::chat::channel;
use crate::protocols::v1::client_frame;
use crate::rooms::room::Room;

/// A message to publish in one room or in many.
pub(super) struct PublishRequest {
    message: Event,
    key: Option<String>,
}

/// A published message.
pub(super) struct Done {
    pub(super) id: Id,
    /// Whether it was published before, under the same key.
    pub(super) duplicate: bool,
}

impl PublishRequest {
    /// Reads the members `text` or `message`, `data` and `event` of the body, and the header
    /// `Idempotency-Key`.
    pub(super) fn from_request(request: &Request, body: &mut Body) -> Result<Self, Refusal> {
        let key = request.only_header("Idempotency-Key")?;
        if key.is_some_and(|key| !client_frame::is_id(key)) {
            let detail = "`Idempotency-Key`: expected 1 to 64 letters, digits, `-` or `_` of ASCII";
            return Err(Refusal::bad_request(detail));
        }
        let max = request.context().config().max_message_bytes;
        let data = body.raw("data");
        let (text, message) = (body.perhaps_text("text")?, body.perhaps_text("message")?);
        let text = match text.or(message) {
            Some(text) => text,
            None if data.is_some() => String::new(),
            None => return Err(Refusal::bad_request("`text`: expected, but missing")),
        };
        let event = body.perhaps_text("event")?;
        if event.as_deref().is_some_and(|event| !client_frame::is_event_name(event)) {
            return Err(Refusal::bad_request(client_frame::EVENT_RULE));
        }
        if text.len() + data.as_ref().map_or(0, String::len) > max {
            let what = if data.is_some() { "`text` and `data`" } else { "`text`" };
            let detail = format!("{what}: expected at most {max} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let message = channel::message(&text, data.as_deref(), event.as_deref());
        Ok(Self { message, key: key.map(str::to_owned) })
    }

    /// Publishes the message in this room.
    pub(super) async fn publish_in(&self, request: &Request, room: &Room) -> Result<Done, Refusal> {
        let (context, key) = (request.context(), self.key.as_deref());
        match context.append_from(request.identity(), &room.chat_group(), &self.message, key).await? {
            Appended::New(id, _) => Ok(Done { id, duplicate: false }),
            Appended::Duplicate(id, _) => Ok(Done { id, duplicate: true }),
            Appended::Conflict => {
                let detail = "`Idempotency-Key`: used for another message less than five minutes ago";
                Err(Refusal::new(StatusCode::CONFLICT, detail))
            }
        }
    }
}

impl Done {
    /// 201, or 200 for a duplicate.
    pub(super) fn status(&self) -> StatusCode {
        if self.duplicate { StatusCode::OK } else { StatusCode::CREATED }
    }
}
